//! Finds the policy files that the paths name, reads them, and checks them together.

use std::path::PathBuf;

use chrono::NaiveDate;
use chrono_tz::Tz;

use super::check::{FILE_KEYS, LoadedPolicies, check_files};
use crate::yaml::diagnostics::Diagnostic;
use crate::yaml::files::{MOST_FILES, expand, read, unread, writable_by_all};

/// Reads and checks policy files. Each path is a file, a folder (its `*.yaml` and `*.yml` files, sorted) or a glob.
#[must_use]
pub(crate) fn load(paths: &[PathBuf], today: NaiveDate, zone: Tz) -> LoadedPolicies {
    load_with(paths, None, today, zone)
}

/// The same with a file that the caller has read, before the others.
#[must_use]
pub(crate) fn load_with(
    paths: &[PathBuf],
    given: Option<(String, Vec<u8>)>,
    today: NaiveDate,
    zone: Tz,
) -> LoadedPolicies {
    let mut problems = Vec::new();
    let mut files: Vec<PathBuf> = Vec::new();
    for path in paths {
        for file in expand(path, &mut problems) {
            if !files.contains(&file) {
                files.push(file);
            }
        }
    }
    if files.len() > MOST_FILES {
        let message = format!("{} policy files; the limit is {MOST_FILES}", files.len());
        problems.push(Diagnostic::of_file(
            &paths[0].display().to_string(),
            "too-many-files",
            message,
        ));
        files.clear();
    }
    let mut contents: Vec<(String, Vec<u8>)> = given.into_iter().collect();
    let mut warnings: Vec<Diagnostic> = paths.iter().flat_map(|path| unread(path, &files, &FILE_KEYS)).collect();
    for file in &files {
        let name = file.display().to_string();
        warnings.extend(writable_by_all(file));
        match read(file) {
            Ok(bytes) => contents.push((name, bytes)),
            Err(error) => problems.push(Diagnostic::of_file(
                &name,
                "unreadable-file",
                format!("cannot read the file: {error}"),
            )),
        }
    }
    let mut loaded = check_files(&contents, today, zone);
    if !problems.is_empty() {
        loaded.set = None;
        problems.append(&mut loaded.diagnostics);
        loaded.diagnostics = problems;
    }
    loaded.diagnostics.append(&mut warnings);
    loaded
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;

    use super::*;

    const LIST: &str = "lists:\n  batch: [ETL]\n";
    const ONE: &str = "policies:\n  - {name: one, when: username in @batch, action: kill}\n";
    const TWO: &str = "policies:\n  - {name: two, when: SNIPED longer than 1h, action: kill}\n";

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).expect("written");
        }
        folder
    }

    fn names(paths: &[PathBuf]) -> Result<Vec<String>, Vec<&'static str>> {
        let loaded = load(paths, NaiveDate::MIN, Tz::UTC);
        match loaded.set {
            Some(set) => Ok(set.policies.iter().map(|policy| policy.name.to_string()).collect()),
            None => Err(loaded.diagnostics.iter().map(|one| one.code).collect()),
        }
    }

    #[test]
    fn each_file_of_folders_and_globs_is_read_once_and_in_order() {
        let folder = folder(&[
            ("b.yaml", ONE),
            ("a.yml", TWO),
            ("c.yaml", LIST),
            ("d.txt", "%"),
            (".e.yaml", "%"),
        ]);
        let path = |name: &str| folder.path().join(name);
        assert_eq!(names(&[folder.path().to_owned()]), Ok(vec!["two".into(), "one".into()]));
        assert_eq!(
            names(&[path("*.yaml"), path("a.yml"), path("b.yaml")]),
            Ok(vec!["one".into(), "two".into()])
        );
        // The list is in another file.
        assert_eq!(names(&[path("b.yaml")]), Err(vec!["unknown-name"]));
    }

    #[test]
    fn a_fifo_or_a_folder_in_place_of_a_file_is_refused_without_waiting() {
        let folder = folder(&[("a.yaml", TWO)]);
        let path = |name: &str| folder.path().join(name);
        let fifo = std::process::Command::new("mkfifo").arg(path("b.yaml")).status();
        assert!(fifo.expect("it runs").success());
        for paths in [folder.path().to_owned(), path("*.yaml"), path("b.yaml")] {
            assert_eq!(names(&[paths]), Err(vec!["unreadable-file"]));
        }
        std::fs::remove_file(path("b.yaml")).expect("removed");
        std::fs::create_dir(path("b.yaml")).expect("made");
        for paths in [folder.path().to_owned(), path("*.yaml")] {
            assert_eq!(names(&[paths]), Err(vec!["unreadable-file"]));
        }
    }

    #[test]
    fn one_path_without_policies_is_an_error_for_all_paths() {
        let folder = folder(&[("a.yaml", TWO)]);
        let path = |name: &str| folder.path().join(name);
        std::fs::create_dir(path("empty")).expect("created");
        assert_eq!(names(&[path("a.yaml"), path("b.yaml")]), Err(vec!["unreadable-file"]));
        assert_eq!(names(&[path("a.yaml"), path("*.yml")]), Err(vec!["no-files"]));
        assert_eq!(names(&[path("empty")]), Err(vec!["no-files"]));
    }

    #[test]
    fn a_name_in_two_files_is_refused_and_the_digest_depends_on_every_byte() {
        let twice = folder(&[("a.yaml", TWO), ("b.yaml", TWO)]);
        assert_eq!(names(&[twice.path().to_owned()]), Err(vec!["duplicate-name"]));
        let digest = |text: &str| {
            let files = [("f.yaml".to_owned(), text.as_bytes().to_vec())];
            check_files(&files, NaiveDate::MIN, Tz::UTC).set.expect("right").digest
        };
        assert_ne!(digest(TWO), digest(&format!("{TWO} ")));
    }

    #[test]
    fn a_world_writable_file_or_folder_gives_a_warning() {
        let set_mode = |path: &Path, mode| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("its owner may");
        };
        let folder = folder(&[("one.yaml", LIST)]);
        let file = folder.path().join("one.yaml");
        let cases = [
            (0o644, 0o755, None),
            (0o664, 0o775, None),
            (0o666, 0o755, Some("one.yaml")),
            (0o644, 0o777, Some("chmod o-w")),
            (0o644, 0o1777, None),
        ];
        for (of_file, of_folder, told) in cases {
            set_mode(&file, of_file);
            set_mode(folder.path(), of_folder);
            let loaded = load(&[folder.path().to_owned()], NaiveDate::MIN, Tz::UTC);
            assert!(loaded.set.is_some(), "a warning refuses nothing");
            let warned: Vec<String> = loaded.diagnostics.iter().map(|problem| problem.render(false)).collect();
            match told {
                None => assert_eq!(warned, [""; 0], "{of_file:o} in {of_folder:o}"),
                Some(told) => assert!(
                    warned.len() == 1 && warned[0].contains(told),
                    "{of_file:o} in {of_folder:o}: {warned:?}"
                ),
            }
        }
    }
}
