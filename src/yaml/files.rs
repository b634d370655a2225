//! Finds and reads the YAML files of policies and configuration. No other module reads them from disk.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use super::diagnostics::{Diagnostic, Severity};
use super::node::LARGEST_FILE;

/// The most files that are read. If there are more, a path is probably wrong.
pub(crate) const MOST_FILES: usize = 1_000;

/// Warns of a file that every user of the host can change, or replace in its folder: whoever can write a policy can have
/// sessions killed. In a folder with the sticky bit, such as /tmp, only the owner can replace a file. For a symbolic link,
/// its target is checked too, and the message names the target. A device or a pipe is not checked, because reading it is
/// refused.
pub(crate) fn writable_by_all(path: &Path) -> Option<Diagnostic> {
    let (what, at) = open_to_all(path)?;
    let message = format!("every user of this host can change {what}, and so decide which sessions are killed");
    let mut warning = Diagnostic::of_file(&path.display().to_string(), "writable-by-all", message);
    warning.severity = Severity::Warning;
    Some(warning.hint(format!("run `chmod o-w {}`", at.display())))
}

/// What every user of the host can change of a file, in words, and the file or folder whose mode permits it.
pub(crate) fn open_to_all(path: &Path) -> Option<(&'static str, PathBuf)> {
    const OTHERS_WRITE: u32 = 0o002;
    const STICKY: u32 = 0o1000;
    let mode = |path: &Path| std::fs::metadata(path).map_or(0, |metadata| metadata.permissions().mode());
    let led_to = std::fs::canonicalize(path).ok().filter(|_| path.is_symlink());
    let file = led_to.as_deref().unwrap_or(path);
    if std::fs::metadata(file).is_ok_and(|metadata| !metadata.is_file()) {
        return None;
    }
    let is_open = |folder: &&Path| mode(folder) & (OTHERS_WRITE | STICKY) == OTHERS_WRITE;
    if mode(file) & OTHERS_WRITE != 0 {
        return Some(("this file", file.to_owned()));
    }
    let open = [folder(path), folder(file)].into_iter().find(is_open)?;
    Some(("a file in this folder", open.to_owned()))
}

/// Whether every user of the host can read a file: by its own mode, and by those of the folders that lead to it.
pub(crate) fn is_readable_by_all(path: &Path) -> bool {
    const OTHERS_READ: u32 = 0o004;
    const OTHERS_ENTER: u32 = 0o001;
    let Ok(file) = std::fs::canonicalize(path) else {
        return false;
    };
    let has = |path: &Path, bit| std::fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & bit != 0);
    let is_file = std::fs::metadata(&file).is_ok_and(|metadata| metadata.is_file());
    is_file && has(&file, OTHERS_READ) && file.ancestors().skip(1).all(|folder| has(folder, OTHERS_ENTER))
}

fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        Some(_) | None => Path::new("."),
    }
}

/// Opens a file that the configuration names, or a file of the state folder. Refuses everything but a regular file: reading a
/// FIFO would block until somebody writes to it, and a device may never end.
pub(crate) fn open_regular(path: &Path) -> std::io::Result<File> {
    const OTHER: &str = "it is not a regular file, but a pipe, a socket or a device";
    let refused = || std::io::Error::new(std::io::ErrorKind::InvalidInput, OTHER);
    let opened = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path);
    let file = opened.map_err(|error| match error.raw_os_error() {
        // What open(2) returns for a socket.
        Some(libc::ENXIO) => refused(),
        Some(_) | None => error,
    })?;
    let kind = file.metadata()?.file_type();
    if kind.is_dir() {
        return Err(std::io::Error::from(std::io::ErrorKind::IsADirectory));
    }
    if kind.is_file() { Ok(file) } else { Err(refused()) }
}

/// Reads at most one byte more than the largest file, so that a larger one can be refused without reading all of it.
pub(crate) fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = open_regular(path)?;
    file.take(LARGEST_FILE as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// What is put behind the name of a file that is set aside or not in place yet.
const SUFFIXES: [&str; 10] = [
    ".new",
    ".bak",
    ".old",
    ".orig",
    ".save",
    ".off",
    ".disabled",
    ".rpmnew",
    ".rpmsave",
    "~",
];

/// Those of them that an editor or a package manager puts behind its copy of a file that is still there.
const OF_COPIES: [&str; 5] = [".bak", ".old", ".orig", ".save", "~"];

/// So many folders below one another are looked at.
const DEEPEST: usize = 4;

/// Whether a file of this name in a folder is read.
fn is_read(name: &str) -> bool {
    !name.starts_with('.') && (name.ends_with(".yaml") || name.ends_with(".yml"))
}

/// The name under which a file would be read, if its own is nearly one, and whether it may be a copy of that.
fn nearly(name: &str) -> Option<(String, bool)> {
    // Names of editors' locks, and of the folders that Kubernetes puts a volume's files into.
    if is_read(name) || name.starts_with(".#") || name.starts_with("..") {
        return None;
    }
    let shown = name.strip_prefix('.').unwrap_or(name);
    let suffix = SUFFIXES.iter().find(|suffix| shown.ends_with(**suffix));
    let bare = suffix.map_or(shown, |suffix| &shown[..shown.len() - suffix.len()]);
    let (stem, extension) = bare.rsplit_once('.')?;
    let right = format!("{stem}.{}", extension.to_ascii_lowercase());
    let is_copy = suffix.is_some_and(|suffix| OF_COPIES.contains(suffix));
    (!stem.is_empty() && is_read(&right)).then_some((right, is_copy))
}

/// Warns of the files beside those that a folder or a glob names which look as if they were meant too: an exemption in one of them
/// protects nobody. `files` are those that are read, `keys` is what a file of this kind has at its top.
///
/// A copy beside the file that it was made of gives no warning, nor does a folder with a policy test. Of a glob, only names that it
/// would match if they were written right are looked at: what it excludes by its words is excluded on purpose.
pub(crate) fn unread(path: &Path, files: &[PathBuf], keys: &[&str]) -> Vec<Diagnostic> {
    let (place, pattern) = if path.is_dir() {
        (path, None)
    } else {
        match glob::Pattern::new(&path.display().to_string()) {
            Ok(pattern) if !path.exists() && folder(path).is_dir() => (folder(path), Some(pattern)),
            Ok(_) | Err(_) => return Vec::new(),
        }
    };
    let mut found = Vec::new();
    for entry in entries(place) {
        let Some(name) = entry.file_name().and_then(|name| name.to_str()) else {
            continue;
        };
        if entry.is_dir() {
            if pattern.is_none() && !name.starts_with('.') {
                found.extend(below(&entry, keys));
            }
            continue;
        }
        // A glob takes letters of either case.
        if files.contains(&entry) {
            continue;
        }
        let Some((right, is_copy)) = nearly(name) else { continue };
        let right = entry.with_file_name(right);
        let is_meant = pattern.as_ref().is_none_or(|pattern| pattern.matches_path(&right));
        if is_meant && !(is_copy && files.contains(&right)) {
            let hint = format!(
                "rename it to {}, or move it out of the folder if it is not to be in force",
                right.display()
            );
            found.push(not_read(
                &entry,
                "this file is not read, although its name is nearly that of a policy file",
                hint,
            ));
        }
    }
    found
}

/// The warning of a folder in a folder of policies, if it has policy files.
fn below(place: &Path, keys: &[&str]) -> Option<Diagnostic> {
    let inside = meant(place, keys, DEEPEST);
    let first = inside.first()?;
    let message = format!(
        "the policy files in this folder are not read, because only those directly in a folder are: {} and {} more",
        first.display(),
        inside.len() - 1
    );
    let message = message.replace(" and 0 more", "");
    let hint = format!(
        "add {} to `policies:` in the configuration, or move the files",
        first.parent().unwrap_or(place).display()
    );
    Some(not_read(place, &message, hint))
}

/// The files in a folder, and in those in it, that have a key of policy files at their top. The files of a policy test have not to
/// be in force.
fn meant(place: &Path, keys: &[&str], depth: usize) -> Vec<PathBuf> {
    let all = entries(place);
    if depth == 0
        || all
            .iter()
            .any(|entry| entry.file_name().is_some_and(|name| name == "timeline.yaml"))
    {
        return Vec::new();
    }
    let mut found = Vec::new();
    for entry in all {
        let name = entry.file_name().map(|name| name.to_string_lossy().into_owned());
        let name = name.unwrap_or_default();
        if entry.is_dir() && !entry.is_symlink() && !name.starts_with('.') {
            found.extend(meant(&entry, keys, depth - 1));
        } else if is_read(&name) || nearly(&name).is_some() {
            let bytes = read(&entry).unwrap_or_default();
            let text = String::from_utf8_lossy(&bytes);
            let has = |line: &str| {
                let mut keys = keys.iter();
                keys.any(|key| line.strip_prefix(key).is_some_and(|rest| rest.starts_with(':')))
            };
            if text.lines().any(has) {
                found.push(entry);
            }
        }
    }
    found
}

/// What is in a folder, by name; of a folder with more than [`MOST_FILES`] only so many. What cannot be read is empty: the warnings
/// made of it are a service.
fn entries(place: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(place) else {
        return Vec::new();
    };
    let entries = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mut entries: Vec<PathBuf> = entries.take(MOST_FILES).collect();
    entries.sort();
    entries
}

fn not_read(path: &Path, message: &str, hint: String) -> Diagnostic {
    let mut warning = Diagnostic::of_file(&path.display().to_string(), "not-read", message);
    warning.severity = Severity::Warning;
    warning.hint(hint)
}

/// The files that a path names: itself, the `*.yaml` and `*.yml` files of a folder, sorted, or the matches of a glob.
pub(crate) fn expand(path: &Path, problems: &mut Vec<Diagnostic>) -> Vec<PathBuf> {
    let shown = path.display().to_string();
    let mut problem = |code, message: String| problems.push(Diagnostic::of_file(&shown, code, message));
    if path.is_dir() {
        let entries = match std::fs::read_dir(path) {
            Ok(entries) => entries,
            Err(error) => {
                problem("unreadable-file", format!("cannot read the folder: {error}"));
                return Vec::new();
            }
        };
        let mut found: Vec<PathBuf> = entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.file_name().is_some_and(|name| is_read(&name.to_string_lossy())))
            .collect();
        found.sort();
        if found.is_empty() {
            problem("no-files", "the folder has no *.yaml or *.yml file".to_owned());
        }
        return found;
    }
    if path.exists() || !shown.contains(['*', '?', '[']) {
        return vec![path.to_owned()];
    }
    // As in a shell, `*` does not match hidden files, which may be backup copies of an editor.
    let options = glob::MatchOptions {
        require_literal_leading_dot: true,
        ..glob::MatchOptions::default()
    };
    match glob::glob_with(&shown, options) {
        Err(error) => {
            problem("bad-glob", format!("this is not a valid pattern: {}", error.msg));
            Vec::new()
        }
        Ok(matches) => {
            let found: Vec<PathBuf> = matches.filter_map(Result::ok).take(MOST_FILES + 1).collect();
            if found.is_empty() {
                problem("no-files", "no file matches".to_owned());
            }
            found
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_name_that_is_nearly_a_policy_file_s_is_told_with_the_right_one() {
        let cases = [
            ("ex.YAML", Some("ex.yaml")),
            ("ex.Yml", Some("ex.yml")),
            (".ex.yaml", Some("ex.yaml")),
            ("ex.yaml.new", Some("ex.yaml")),
            (".ex.YAML.rpmnew", Some("ex.yaml")),
            ("ex.yaml~", Some("ex.yaml")),
            ("ex.yaml", None),
            ("..yaml", None),
            (".yaml", None),
            ("..data", None),
            (".#ex.yaml", None),
            (".ex.yaml.swp", None),
            ("README.md", None),
            ("notes.new", None),
            ("yaml", None),
        ];
        for (name, right) in cases {
            assert_eq!(nearly(name).map(|(right, _)| right).as_deref(), right, "{name}");
        }
    }

    #[test]
    fn what_looks_like_a_policy_file_and_is_not_read_is_warned_of() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        for place in ["sub/deeper", "tests/one", "notes", ".git"] {
            std::fs::create_dir_all(path(place)).expect("made");
        }
        let written = [
            "a.yaml",
            "a.yaml~",
            "b.YAML",
            ".c.yaml",
            "d.yml.bak",
            "e.txt",
            "sub/deeper/f.yaml",
            "tests/one/timeline.yaml",
            "tests/one/policy.yaml",
            "notes/g.yaml",
            ".git/h.yaml",
        ];
        for name in written {
            let text = if name.starts_with("notes") {
                "hosts: [a]\n"
            } else {
                "exemptions: []\n"
            };
            std::fs::write(path(name), text).expect("written");
        }
        let warned = |of: &str| -> Vec<String> {
            let files = expand(&path(of), &mut Vec::new());
            let found = unread(&path(of), &files, &["exemptions"]);
            assert!(found.iter().all(|one| !one.is_error() && one.hint.is_some()));
            let names = found.iter().map(|one| {
                Path::new(&*one.file)
                    .strip_prefix(folder.path())
                    .expect("in it")
                    .to_owned()
            });
            names.map(|name| name.display().to_string()).collect()
        };
        assert_eq!(warned(""), [".c.yaml", "b.YAML", "d.yml.bak", "sub"]);
        assert_eq!(
            warned("*.yaml"),
            [".c.yaml"],
            "b.YAML is read, d.yml and sub are excluded by the pattern"
        );
        assert_eq!(warned("a*.yaml"), [""; 0]);
        assert_eq!(warned("a.yaml"), [""; 0]);
    }

    #[test]
    fn a_warning_about_a_link_names_its_target_and_a_device_gives_none() {
        let folder = tempfile::tempdir().expect("a folder");
        let [file, link, device] = ["policy", "link.yaml", "device.yaml"].map(|name| folder.path().join(name));
        std::fs::write(&file, "").expect("written");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o666)).expect("set");
        symlink(&file, &link).expect("linked");
        symlink("/dev/zero", &device).expect("linked");
        let hint = |path: &Path| writable_by_all(path).and_then(|warning| warning.hint);
        let real = file.canonicalize().expect("it is there");
        assert_eq!(hint(&link), Some(format!("run `chmod o-w {}`", real.display())));
        assert_eq!(hint(&device), None);
        assert_eq!(hint(Path::new("/dev/null")), None);
    }
}
