//! Passwords: where they come from, and a box that does not show what is in it.
//!
//! The configuration names a place and never holds the secret itself, so that it can be read, copied and put under version
//! control. The secret is read when a connection is made, which is also when a changed password is picked up.

use std::ffi::OsStr;
use std::fmt;
use std::io::Read as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

/// The longest password that is read; Oracle's own limit is 1024 bytes.
const LONGEST: u64 = 1024;

/// A password. It cannot be printed, and its memory is overwritten when it is dropped.
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes a password.
    #[must_use]
    pub fn new(text: String) -> Secret {
        Secret(Zeroizing::new(text))
    }

    /// The password itself, for the driver and for nobody else.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

/// Says that there is one.
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Where a password is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSource {
    /// A systemd credential: a file of this name in `$CREDENTIALS_DIRECTORY`, or where that is not set, as in a shell, the file
    /// that the unit takes it from, in the folder `credentials` beside the configuration.
    Credential(String, PathBuf),
    /// A file.
    File(PathBuf),
    /// An environment variable.
    Env(String),
}

/// As messages name it; never what it holds.
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
    /// Not started by systemd with that credential, and the file that the unit takes it from cannot be read.
    #[error("{}", outside(_0, _1))]
    Outside(SecretSource, #[source] std::io::Error),
    /// The file cannot be read.
    #[error("read {0}: {1}")]
    Io(SecretSource, #[source] std::io::Error),
    /// The variable is not there, or no text.
    #[error("read {0}: it is not set")]
    NotSet(SecretSource),
    /// Nothing there.
    #[error("read {0}: it is empty")]
    Empty(SecretSource),
    /// Not a password.
    #[error("read {0}: it is longer than {LONGEST} bytes or no UTF-8 text")]
    NoPassword(SecretSource),
}

impl SecretError {
    fn outside_the_unit(self) -> SecretError {
        if let SecretError::Io(source, error) = self {
            return SecretError::Outside(source, error);
        }
        self
    }
}

/// What to run where a credential is not to be had.
fn outside(source: &SecretSource, error: &std::io::Error) -> String {
    let (name, file) = match source {
        SecretSource::Credential(name, file) => (name.as_str(), file.display().to_string()),
        SecretSource::File(_) | SecretSource::Env(_) => ("", String::new()),
    };
    let what = if error.kind() == std::io::ErrorKind::PermissionDenied {
        "run the command as root, with sudo".to_owned()
    } else {
        format!(
            "if the unit has it from elsewhere, run `systemd-run --pipe --wait --collect -p LoadCredential={name}:FILE orareaper ...` \
             as root"
        )
    };
    format!("read {source}: CREDENTIALS_DIRECTORY is not set, as it is in the unit, and {file}: {error}; {what}")
}

impl SecretSource {
    /// What to do when the database refuses the password.
    #[must_use]
    pub fn remedy(&self) -> String {
        match self {
            SecretSource::Credential(_, file) if std::env::var_os("CREDENTIALS_DIRECTORY").is_some() => format!(
                "the password is {self}, which systemd copied when the service started: put it right where the unit takes it from \
                 ({}) and restart the service, a reload reads the same copy",
                file.display()
            ),
            SecretSource::Credential(_, file) | SecretSource::File(file) => {
                format!("put the password in {} right, then reload", file.display())
            }
            SecretSource::Env(name) => format!("put the password in {name} right and start anew"),
        }
    }

    /// Reads the password. One line end after it is not part of it.
    ///
    /// # Errors
    /// What was read and why it failed, never what it holds.
    pub fn read(&self) -> Result<Secret, SecretError> {
        self.read_with(|name| std::env::var_os(name))
    }

    /// The file, if it is one that every user of the host may read.
    pub(super) fn readable_by_all(&self) -> Option<&Path> {
        const OTHERS_READ: u32 = 0o004;
        let SecretSource::File(path) = self else { return None };
        let metadata = std::fs::metadata(path).ok()?;
        (metadata.permissions().mode() & OTHERS_READ != 0).then_some(path)
    }

    fn read_with(&self, variable: impl Fn(&str) -> Option<std::ffi::OsString>) -> Result<Secret, SecretError> {
        let secret = match self {
            SecretSource::Credential(name, outside) => match variable("CREDENTIALS_DIRECTORY") {
                Some(folder) => self.file(&Path::new(&folder).join(name))?,
                None => self.file(outside).map_err(SecretError::outside_the_unit)?,
            },
            SecretSource::File(path) => self.file(path)?,
            SecretSource::Env(name) => {
                let value = variable(name).ok_or_else(|| SecretError::NotSet(self.clone()))?;
                let text = OsStr::to_str(&value).ok_or_else(|| SecretError::NoPassword(self.clone()))?;
                Secret::new(text.to_owned())
            }
        };
        let text = secret.reveal();
        let text = text.strip_suffix('\n').unwrap_or(text);
        let text = text.strip_suffix('\r').unwrap_or(text);
        if text.is_empty() {
            return Err(SecretError::Empty(self.clone()));
        }
        if text.len() as u64 > LONGEST || text.contains('\0') {
            return Err(SecretError::NoPassword(self.clone()));
        }
        Ok(Secret::new(text.to_owned()))
    }

    fn file(&self, path: &Path) -> Result<Secret, SecretError> {
        let io = |error| SecretError::Io(self.clone(), error);
        let file = std::fs::File::options()
            .read(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(path)
            .map_err(io)?;
        if !file.metadata().map_err(io)?.is_file() {
            return Err(io(std::io::Error::new(
                std::io::ErrorKind::InvalidInput,
                "it is no ordinary file",
            )));
        }
        let mut file = file.take(LONGEST + 3);
        // Enough room from the start: growing would leave copies behind.
        let mut text = String::with_capacity(usize::try_from(LONGEST).unwrap_or(0) + 64);
        match file.read_to_string(&mut text) {
            Ok(_) => Ok(Secret::new(text)),
            Err(error) => {
                drop(Secret::new(text));
                if error.kind() == std::io::ErrorKind::InvalidData {
                    return Err(SecretError::NoPassword(self.clone()));
                }
                Err(io(error))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_not_shown() {
        assert_eq!(format!("{:?}", Secret::new("hunter2".into())), "Secret(…)");
    }

    #[test]
    fn a_password_is_read_from_where_it_is_kept() {
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
        // A blank is a character of the password, the line end is not.
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
        // In a shell it is the file that the unit takes it from.
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
