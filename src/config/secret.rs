//! Passwords: where they are stored, and a type that does not show them.
//!
//! The configuration names where a password is stored and never contains it, so that the file can be read, copied and put
//! under version control. The password is read each time a connection is made, so a changed one is used at once.

use std::fmt;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::yaml::files::is_readable_by_all;

/// The longest password that is read; Oracle's own limit is 1024 bytes.
const LONGEST: u64 = 1024;

/// A password. It cannot be printed, and its memory is overwritten when it is dropped.
pub struct Password(Zeroizing<String>);

impl Password {
    /// Wraps a password.
    #[must_use]
    pub(crate) fn new(text: String) -> Password {
        Password(Zeroizing::new(text))
    }

    /// What is said of a password with blanks before or after it.
    pub(super) const BLANKS: &str = "begins or ends with a blank, which is a part of the password";

    /// Whether it begins or ends with white space, which is rarely meant.
    pub(super) fn has_blanks_around(&self) -> bool {
        self.0.trim().len() != self.0.len()
    }

    /// The password itself, only for the driver.
    #[must_use]
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

/// Shows a placeholder.
impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Where a password is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSource {
    /// A systemd credential: the file with this name in `$CREDENTIALS_DIRECTORY`. If that is not set, as in a shell, it is the
    /// file that the unit loads the credential from, in the folder `credentials` beside the configuration.
    Credential(String, PathBuf),
    /// A file.
    File(PathBuf),
    /// An environment variable.
    Env(String),
}

/// The name of the source in messages, never the password.
impl fmt::Display for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SecretSource::Credential(name, _) => write!(f, "the credential `{name}`"),
            SecretSource::File(path) => write!(f, "the file {}", path.display()),
            SecretSource::Env(name) => write!(f, "the environment variable {name}"),
        }
    }
}

/// Why a password could not be read.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// `$CREDENTIALS_DIRECTORY` is not set, and the file that the unit loads the credential from cannot be read.
    #[error("{}", outside(_0, _1))]
    Outside(SecretSource, #[source] std::io::Error),
    /// The file cannot be read.
    #[error("read {0}: {1}")]
    Io(SecretSource, #[source] std::io::Error),
    /// The variable is not set.
    #[error("read {0}: it is not set")]
    NotSet(SecretSource),
    /// The source is empty, or has only white space.
    #[error("read {0}: it is empty")]
    Empty(SecretSource),
    /// The source does not contain a password.
    #[error("read {0}: it is longer than {LONGEST} bytes or not UTF-8 text")]
    NoPassword(SecretSource),
    /// The source begins with a byte order mark, which an editor wrote and the database would take for a part of the password.
    #[error(
        "read {0}: it begins with a byte order mark: save it as UTF-8 without one (`printf %s PASSWORD` writes none)"
    )]
    ByteOrderMark(SecretSource),
    /// The source has several lines.
    #[error("read {0}: it has several lines; a secret is one line, with or without a line end after it")]
    SeveralLines(SecretSource),
}

impl SecretError {
    /// Whether the daemon may be able to read it although this process cannot.
    pub(super) fn may_be_of_the_unit(&self) -> bool {
        match self {
            SecretError::Outside(..) | SecretError::NotSet(_) => true,
            SecretError::Io(_, error) => error.kind() == std::io::ErrorKind::PermissionDenied,
            SecretError::Empty(_)
            | SecretError::NoPassword(_)
            | SecretError::ByteOrderMark(_)
            | SecretError::SeveralLines(_) => false,
        }
    }

    fn outside_the_unit(self) -> SecretError {
        if let SecretError::Io(source, error) = self {
            return SecretError::Outside(source, error);
        }
        self
    }
}

/// The message for a credential that cannot be read outside the unit, with what to run.
fn outside(source: &SecretSource, error: &std::io::Error) -> String {
    let (name, file) = match source {
        SecretSource::Credential(name, file) => (name.as_str(), file.display().to_string()),
        SecretSource::File(_) | SecretSource::Env(_) => ("", String::new()),
    };
    let what = if error.kind() == std::io::ErrorKind::PermissionDenied {
        "run the command as root, with sudo".to_owned()
    } else {
        format!(
            "if the unit loads it from another file, run `systemd-run --pipe --wait --collect -p LoadCredential={name}:FILE orareaper ...` \
             as root"
        )
    };
    format!("read {source}: CREDENTIALS_DIRECTORY is not set (only the unit sets it), and {file}: {error}; {what}")
}

impl SecretSource {
    /// What to do when the database refuses the password. `runs`: a daemon is running, so it has to reload or restart too.
    #[must_use]
    pub(crate) fn remedy(&self, runs: bool) -> String {
        let remedy = self.remedy_for_any(runs);
        match self.read() {
            Ok(secret) if secret.has_blanks_around() => format!("{remedy}; it {}", Password::BLANKS),
            Ok(_) | Err(_) => remedy,
        }
    }

    fn remedy_for_any(&self, runs: bool) -> String {
        let then = |what: &'static str| if runs { what } else { "" };
        match self {
            SecretSource::Credential(_, file) if std::env::var_os("CREDENTIALS_DIRECTORY").is_some() => format!(
                "the password is from {self}, which systemd copied when the service started: correct it in the file that the unit \
                 loads ({}) and restart the service; a reload would use the old copy",
                file.display()
            ),
            SecretSource::Credential(_, file) | SecretSource::File(file) => {
                format!("correct the password in {}{}", file.display(), then(", then reload"))
            }
            SecretSource::Env(name) => format!("correct the password in {name}{}", then(", then restart")),
        }
    }

    /// Reads the password. One line end after it is removed; blanks before and after it are part of it.
    ///
    /// # Errors
    /// The source and the reason of the failure, never the contents.
    pub(crate) fn read(&self) -> Result<Password, SecretError> {
        self.read_with(|name| std::env::var_os(name))
    }

    /// The file on this host that the secret is written in, if it is in one. Of a credential, the one that systemd copies.
    pub(super) fn kept_in(&self) -> Option<&Path> {
        match self {
            SecretSource::File(path) | SecretSource::Credential(_, path) => Some(path),
            SecretSource::Env(_) => None,
        }
    }

    /// The same, if every user of the host can read it.
    pub(super) fn readable_by_all(&self) -> Option<&Path> {
        self.kept_in().filter(|file| is_readable_by_all(file))
    }

    fn read_with(&self, variable: impl Fn(&str) -> Option<std::ffi::OsString>) -> Result<Password, SecretError> {
        let bytes = match self {
            SecretSource::Credential(name, outside) => match variable("CREDENTIALS_DIRECTORY") {
                Some(folder) => self.file(&Path::new(&folder).join(name))?,
                None => self.file(outside).map_err(SecretError::outside_the_unit)?,
            },
            SecretSource::File(path) => self.file(path)?,
            SecretSource::Env(name) => {
                let value = variable(name).ok_or_else(|| SecretError::NotSet(self.clone()))?;
                Zeroizing::new(value.into_encoded_bytes())
            }
        };
        // Those of UTF-8 and of both orders of UTF-16.
        let marks: [&[u8]; 3] = [b"\xEF\xBB\xBF", b"\xFF\xFE", b"\xFE\xFF"];
        if marks.iter().any(|mark| bytes.starts_with(mark)) {
            return Err(SecretError::ByteOrderMark(self.clone()));
        }
        let text = std::str::from_utf8(&bytes).map_err(|_| SecretError::NoPassword(self.clone()))?;
        let text = text
            .strip_suffix("\r\n")
            .or_else(|| text.strip_suffix('\n'))
            .unwrap_or(text);
        if text.trim().is_empty() {
            return Err(SecretError::Empty(self.clone()));
        }
        if text.len() as u64 > LONGEST || text.contains('\0') {
            return Err(SecretError::NoPassword(self.clone()));
        }
        if text.contains(['\n', '\r']) {
            return Err(SecretError::SeveralLines(self.clone()));
        }
        Ok(Password::new(text.to_owned()))
    }

    fn file(&self, path: &Path) -> Result<Zeroizing<Vec<u8>>, SecretError> {
        let io = |error| SecretError::Io(self.clone(), error);
        let mut file = crate::yaml::files::open_regular(path).map_err(io)?.take(LONGEST + 3);
        // Enough capacity from the beginning: growing would leave copies in memory.
        let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(LONGEST).unwrap_or(0) + 64));
        file.read_to_end(&mut bytes).map_err(io)?;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_does_not_show_a_secret() {
        assert_eq!(format!("{:?}", Password::new("hunter2".into())), "Secret(…)");
    }

    #[test]
    fn one_line_is_a_password_and_nothing_else_is() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("prod.pw");
        let cases: [(&[u8], &str); 18] = [
            (b"tiger", "tiger"),
            (b"tiger\n", "tiger"),
            (b"tiger\r\n", "tiger"),
            (b" ti ger \n", " ti ger "),
            ("t\u{ef}ger\n".as_bytes(), "t\u{ef}ger"),
            (b"", "is empty"),
            (b"\n", "is empty"),
            (b"\r\n", "is empty"),
            (b" \t \n", "is empty"),
            (b"\n\n", "is empty"),
            (b"tiger\n\n", "several lines"),
            (b"tiger\r\n\r\n", "several lines"),
            (b"\ntiger\n", "several lines"),
            (b"tiger\r", "several lines"),
            (b"tiger\nlion\n", "several lines"),
            (b"\xEF\xBB\xBFtiger\r\n", "byte order mark"),
            (b"\xFF\xFEt\0i\0", "byte order mark"),
            (b"t\xFFger", "not UTF-8"),
        ];
        for (bytes, expected) in cases {
            std::fs::write(&file, bytes).expect("written");
            let variable: std::ffi::OsString = std::os::unix::ffi::OsStringExt::from_vec(bytes.to_vec());
            let sources = [SecretSource::File(file.clone()), SecretSource::Env("PW".into())];
            for source in sources {
                match source.read_with(|_| Some(variable.clone())) {
                    Ok(secret) => assert_eq!(secret.reveal(), expected, "{bytes:?}"),
                    Err(error) => {
                        let told = error.to_string();
                        assert!(told.contains(expected), "{bytes:?}: {told}");
                        assert!(told.contains(&source.to_string()), "it names the source: {told}");
                        assert!(
                            !told.contains("tiger") && !told.contains("lion"),
                            "it repeats the password: {told}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn the_remedy_for_a_refused_password_says_that_blanks_belong_to_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let source = SecretSource::File(folder.path().join("prod.pw"));
        for (text, told) in [("tiger \n", true), ("\ttiger", true), ("ti ger\n", false)] {
            std::fs::write(folder.path().join("prod.pw"), text).expect("written");
            let remedy = source.remedy(true);
            assert!(remedy.starts_with("correct the password in "), "{remedy}");
            assert_eq!(remedy.contains("ends with a blank"), told, "{text:?}: {remedy}");
        }
    }

    #[test]
    fn a_password_is_read_from_each_kind_of_source() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("prod"), "tiger \r\n").expect("written");
        std::fs::write(folder.path().join("empty"), "\n").expect("written");
        std::fs::write(folder.path().join("long"), "x".repeat(2000)).expect("written");
        let variable = |name: &str| match name {
            "CREDENTIALS_DIRECTORY" => Some(folder.path().into()),
            "PW" => Some("scott".into()),
            _ => None,
        };
        let read = |source: &SecretSource| source.read_with(variable).map(|secret| secret.reveal().to_owned());
        let credential =
            |name: &str| SecretSource::Credential(name.to_owned(), folder.path().join("outside").join(name));
        // A trailing blank is part of the password, the line end is not.
        assert_eq!(read(&credential("prod")).expect("read"), "tiger ");
        assert_eq!(
            read(&SecretSource::File(folder.path().join("prod"))).expect("read"),
            "tiger "
        );
        assert_eq!(read(&SecretSource::Env("PW".into())).expect("read"), "scott");
        assert!(matches!(read(&credential("empty")), Err(SecretError::Empty(_))));
        assert!(matches!(read(&credential("long")), Err(SecretError::NoPassword(_))));
        assert!(matches!(read(&credential("none")), Err(SecretError::Io(..))));
        assert!(matches!(
            read(&SecretSource::Env("NO".into())),
            Err(SecretError::NotSet(_))
        ));
        // Without CREDENTIALS_DIRECTORY, the file that the unit loads is read.
        let unset = credential("prod")
            .read_with(|_| None)
            .expect_err("there is no such file");
        let text = unset.to_string();
        assert!(
            text.starts_with("read the credential `prod`: CREDENTIALS_DIRECTORY is not set"),
            "{text}"
        );
        assert!(text.contains("outside/prod") && text.contains("systemd-run"), "{text}");
        std::fs::create_dir(folder.path().join("outside")).expect("a folder");
        std::fs::write(folder.path().join("outside/prod"), "lion\n").expect("written");
        let outside = credential("prod").read_with(|_| None).expect("read");
        assert_eq!(outside.reveal(), "lion");
    }
}
