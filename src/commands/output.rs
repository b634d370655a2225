//! The results of commands: on standard output, or in a file that they may replace.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::{ErrorKind, IsTerminal, Read as _, Write};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::cli::{CONFIG, ExitStatus};
use crate::commands::log::fail;
use crate::commands::manners::{colour_on, manners};
use crate::commands::stream::file_of;
use crate::recording::MAGIC;
use crate::terminal::TextStyle;

/// Writes a result. A closed pipe is not an error: the reader has seen enough.
pub(crate) fn print(bytes: &[u8]) -> ExitStatus {
    match write(bytes) {
        Ok(_) => ExitStatus::Fine,
        Err(status) => status,
    }
}

/// Writes a result. `false` if the reader has closed the pipe.
pub(crate) fn write(bytes: &[u8]) -> Result<bool, ExitStatus> {
    let mut out = std::io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(fail(&format!("write the result: {error}"))),
    }
}

/// Writes a report to a file, or to standard output if none is given or it is `-`.
pub(crate) fn deliver(file: Option<&Path>, report: &str) -> Result<(), ExitStatus> {
    match file_of(file) {
        Some(file) => replaceable(file)
            .and_then(|()| std::fs::write(file, report))
            .map_err(|error| fail(&format!("write the report to {}: {error}", file.display()))),
        None => write(report.as_bytes()).map(|_| ()),
    }
}

/// Whether a report can be written to a file later; for commands that run long before they have one. What is there stays as it is.
pub(crate) fn deliverable(file: Option<&Path>) -> Result<(), ExitStatus> {
    let Some(file) = file_of(file) else { return Ok(()) };
    let tried = replaceable(file).and_then(|()| match OpenOptions::new().write(true).create_new(true).open(file) {
        Ok(_) => std::fs::remove_file(file),
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        // A pipe that is opened and closed has ended for its reader.
        Err(_) if file.is_file() || file.is_dir() => OpenOptions::new().write(true).open(file).map(|_| ()),
        Err(_) => Ok(()),
    });
    tried.map_err(|error| fail(&format!("write the report to {}: {error}", file.display())))
}

/// What the daemon keeps in its state folder under these names is what it lives by. A file `paused` pauses it, whatever is in it.
const OF_THE_DAEMON: [&str; 3] = ["paused", "refused-logins.json", "told-exemptions.json"];

/// Whether a result may have a name at all, whether anything is there or not.
///
/// # Errors
/// What the name means to the daemon.
pub(crate) fn nameable(file: &Path) -> std::io::Result<()> {
    let name = file.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    if !OF_THE_DAEMON.contains(&&*name) {
        return Ok(());
    }
    let effect = if name == "paused" {
        ", and there it pauses the daemon"
    } else {
        ""
    };
    let why = format!("a file named {name} is the daemon's own in its state folder{effect}; give another name");
    Err(std::io::Error::new(ErrorKind::InvalidInput, why))
}

/// Whether a report may take the place of a file: not of what the daemon lives by, nor of what the command reads or has recorded, which
/// a mistyped name must not cost.
///
/// # Errors
/// What the file is.
fn replaceable(file: &Path) -> std::io::Result<()> {
    const LOOKED_AT: u64 = 1 << 20;
    nameable(file)?;
    let name = file.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    let mut content = Vec::new();
    if file.is_file() {
        // What cannot be read is none of them to this user; the attempt to write it says more.
        if let Ok(open) = std::fs::File::open(file) {
            open.take(LOOKED_AT).read_to_end(&mut content)?;
        }
    }
    let begins = |key: &str| {
        let mut lines = content.split(|byte| *byte == b'\n');
        lines.any(|line| line.starts_with(key.as_bytes()))
    };
    let is = if !content.is_empty() && name.starts_with("journal") && name.ends_with(".jsonl") {
        "a journal"
    } else if ["databases:", "include:", "defaults:"].into_iter().any(begins) {
        "a configuration"
    } else if ["policies:", "exemptions:"].into_iter().any(begins) {
        "a file of policies"
    } else if ["tls_server_config:", "http_server_config:", "basic_auth_users:"]
        .into_iter()
        .any(begins)
    {
        "a web configuration"
    } else if begins("-----BEGIN ") {
        "a certificate or a key"
    } else if file.is_file() && (name.ends_with(".ora") || ["cwallet.sso", "ewallet.p12"].contains(&&*name)) {
        "one of Oracle's own files"
    } else if file.is_file() && (is_beside_credentials(file) || is_named_secret(file)) {
        "a password or another secret"
    } else if content.starts_with(&MAGIC) {
        "a recording"
    } else if file.is_file() && is_an_input(file, std::env::args_os()) {
        "read by this command"
    } else {
        return Ok(());
    };
    let why = format!("it is {is} and is not replaced; give another name, or remove it first");
    Err(std::io::Error::new(ErrorKind::AlreadyExists, why))
}

/// Whether it is in the folder from which the unit loads credentials.
fn is_beside_credentials(file: &Path) -> bool {
    let real = file.canonicalize();
    let folder = real.as_deref().unwrap_or(file).parent();
    folder
        .and_then(Path::file_name)
        .is_some_and(|name| name == "credentials")
}

/// Whether the configuration that this command was given, else the usual one, keeps a secret in it.
fn is_named_secret(file: &Path) -> bool {
    let path = config_among(std::env::args_os());
    let config = path
        .is_file()
        .then(|| crate::config::load(&path))
        .and_then(|loaded| loaded.config);
    let place = |path: &Path| std::fs::metadata(path).ok().map(|it| (it.dev(), it.ino()));
    let of_output = place(file);
    config.is_some_and(|config| {
        config
            .files_of_secrets()
            .into_iter()
            .any(|secret| place(secret) == of_output)
    })
}

/// The path of the configuration among the arguments.
fn config_among(arguments: impl Iterator<Item = OsString>) -> PathBuf {
    let (mut given, mut is_next) = (PathBuf::from(CONFIG), false);
    for argument in arguments.skip(1) {
        if std::mem::take(&mut is_next) {
            given = argument.into();
            continue;
        }
        is_next = argument == "--config" || argument == "-c";
        if let Some(path) = argument.to_string_lossy().strip_prefix("--config=") {
            given = path.into();
        }
    }
    given
}

/// Whether a file is named among the arguments elsewhere than as the output.
fn is_an_input(file: &Path, arguments: impl Iterator<Item = OsString>) -> bool {
    let place = |path: &Path| std::fs::metadata(path).ok().map(|it| (it.dev(), it.ino()));
    let Some(of_output) = place(file) else { return false };
    let mut is_output = false;
    arguments.skip(1).any(|argument| {
        let names_output = std::mem::take(&mut is_output);
        is_output = argument == "-o" || argument == "--output";
        // `--snapshot=FILE` names a file as `--snapshot FILE` does.
        let text = argument.to_string_lossy().into_owned();
        let value = text.split_once('=').filter(|(key, _)| key.starts_with("--"));
        let (key, path) = value.map_or(("", &*text), |(key, path)| (key, path));
        !names_output && key != "--output" && place(Path::new(path)) == Some(of_output)
    })
}

/// The style of a result that goes to a file, or to standard output if none is given or it is `-`.
pub(crate) fn style_for(file: Option<&Path>) -> TextStyle {
    match file_of(file) {
        Some(_) => TextStyle {
            detail: manners().detail(),
            ..TextStyle::WHOLE
        },
        None => terminal_style(),
    }
}

/// On a terminal its width; in a pipe or a file nothing is cut, because there is no screen to fit. The colours and the detail are those
/// that were asked for.
pub(crate) fn terminal_style() -> TextStyle {
    let out = std::io::stdout();
    let style = TextStyle {
        colour: colour_on(&out),
        detail: manners().detail(),
        ..TextStyle::WHOLE
    };
    if !out.is_terminal() {
        return style;
    }
    let width = terminal_size::terminal_size().map(|(width, _)| usize::from(width.0));
    TextStyle {
        width: width.unwrap_or(TextStyle::default().width),
        ..style
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_command_reads_is_told_from_what_it_writes() {
        let folder = tempfile::tempdir().expect("a folder");
        let (there, other) = (folder.path().join("base.csv"), folder.path().join("other"));
        for file in [&there, &other] {
            std::fs::write(file, "x").expect("written");
        }
        let (there_as, other_as) = (there.display().to_string(), other.display().to_string());
        let linked = folder.path().join("link");
        std::os::unix::fs::symlink(&there, &linked).expect("a link");
        let link_as = linked.display().to_string();
        let is_input = |arguments: &[&str]| {
            let all = ["orareaper", "plan"].iter().chain(arguments);
            is_an_input(&there, all.map(OsString::from))
        };
        for fine in [
            vec!["--snapshot", &other_as, "-o", &there_as],
            vec!["--output", &there_as],
            vec![&format!("--output={there_as}"), "--snapshot", &other_as],
        ] {
            assert!(!is_input(&fine), "{fine:?}");
        }
        for read in [
            vec!["--snapshot", &there_as, "-o", &there_as],
            vec!["-o", &there_as, "--snapshot", &link_as],
            vec![&format!("--snapshot={there_as}"), "-o", &there_as],
            vec!["-o", &link_as, &there_as],
        ] {
            assert!(is_input(&read), "{read:?}");
        }
    }
}
