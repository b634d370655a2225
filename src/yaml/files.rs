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
    const OTHERS_WRITE: u32 = 0o002;
    const STICKY: u32 = 0o1000;
    let mode = |path: &Path| std::fs::metadata(path).map_or(0, |metadata| metadata.permissions().mode());
    let led_to = std::fs::canonicalize(path).ok().filter(|_| path.is_symlink());
    let file = led_to.as_deref().unwrap_or(path);
    if std::fs::metadata(file).is_ok_and(|metadata| !metadata.is_file()) {
        return None;
    }
    let is_open = |folder: &&Path| mode(folder) & (OTHERS_WRITE | STICKY) == OTHERS_WRITE;
    let (what, at) = if mode(file) & OTHERS_WRITE != 0 {
        ("this file", file)
    } else {
        (
            "a file in this folder",
            [folder(path), folder(file)].into_iter().find(is_open)?,
        )
    };
    let message = format!("every user of this host can change {what}, and so decide which sessions are killed");
    let mut warning = Diagnostic::of_file(&path.display().to_string(), "writable-by-all", message);
    warning.severity = Severity::Warning;
    Some(warning.hint(format!("run `chmod o-w {}`", at.display())))
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
            .filter(|path| {
                let hidden = path
                    .file_name()
                    .is_some_and(|name| name.to_string_lossy().starts_with('.'));
                let yaml = path
                    .extension()
                    .is_some_and(|extension| extension == "yaml" || extension == "yml");
                yaml && !hidden
            })
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
