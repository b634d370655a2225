//! Accounts whose password was refused: a password is tried once, however many entries share the account, until it changes.
//!
//! Every refused log-in brings an account nearer to its lock (FAILED_LOGIN_ATTEMPTS, ten in Oracle's DEFAULT profile; Oracle
//! Database Security Guide, "Automatically Locking User Accounts After Failed Logins"). So a refusal is remembered by account,
//! address and password together, across reloads and restarts. The password itself is not kept, but a salted digest that is slow to
//! compute and shows only whether another password is the same.
//!
//! While an account's password is not known to be good, one attempt is made at a time, so that twelve entries that share it do
//! not make twelve at once. Entries of one multitenant database share their common users (`C##`): these are one account for
//! everything behind a listener.
//!
//! A password that was corrected in the database instead of the configuration has not changed: then the file has to be deleted.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::num::NonZeroU32;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_lc_rs::pbkdf2;
use rustix::fs::Access;
use serde::{Deserialize, Serialize};

use crate::oracle::{Class, Error, Login, Target};

/// The rounds of the digest (PBKDF2 with HMAC-SHA-256): they take some milliseconds, which slows guesses down too.
const ROUNDS: NonZeroU32 = NonZeroU32::new(20_000).expect("not zero");

/// At most this many bytes of the file are read.
const LARGEST: u64 = 1 << 20;

/// The memory of all accounts.
#[derive(Debug, Default)]
pub struct AccountMemory {
    /// The file that keeps refusals across restarts, if there is one.
    file: Option<PathBuf>,
    /// Whether refusals are written to it.
    keeps: bool,
    /// Whether it is a command's, which looks again right before it writes: the daemon may have written meanwhile.
    shares: bool,
    state: Mutex<Remembered>,
    ended: Condvar,
}

#[derive(Debug, Default)]
struct Remembered {
    refusals: Refusals,
    /// Passwords that were accepted, by account.
    good: BTreeMap<String, String>,
    /// Accounts whose password is being tried.
    trying: BTreeSet<String>,
}

/// The content of the file.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Refusals {
    /// Random, in hexadecimal, generated once.
    salt: String,
    /// By account.
    refused: BTreeMap<String, RefusedLogin>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct RefusedLogin {
    /// The password's digest.
    password: String,
    /// The database's answer.
    why: String,
}

/// Permission to try an account's password once.
#[derive(Debug)]
pub(crate) struct LoginAttempt {
    accounts: Arc<AccountMemory>,
    account: String,
    password: String,
    /// Whether other attempts with the account have to wait.
    alone: bool,
}

impl AccountMemory {
    /// The memory of a daemon, kept in its state folder.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(crate) fn of(state: &Path) -> io::Result<AccountMemory> {
        let file = state.join("refused-logins.json");
        let refusals = Refusals::read(&file)?;
        Ok(AccountMemory {
            keeps: true,
            ..AccountMemory::with(file, refusals)
        })
    }

    /// The memory of a command: a password that is recorded as refused in this state folder is not tried, and any other is tried once.
    /// A refusal is recorded there for the next command and for the daemon, where this user may write there and read what is there;
    /// a record that this user may not read counts as none, and is left alone.
    #[must_use]
    pub(crate) fn of_command(state: &Path) -> Arc<AccountMemory> {
        let file = state.join("refused-logins.json");
        let read = Refusals::read(&file);
        let may_write = rustix::fs::access(state, Access::WRITE_OK | Access::EXEC_OK).is_ok();
        let keeps = read.is_ok() && may_write;
        Arc::new(AccountMemory {
            keeps,
            shares: true,
            ..AccountMemory::with(file, read.unwrap_or_default())
        })
    }

    fn with(file: PathBuf, refusals: Refusals) -> AccountMemory {
        AccountMemory {
            file: Some(file),
            keeps: false,
            shares: false,
            state: Mutex::new(Remembered {
                refusals,
                ..Remembered::default()
            }),
            ended: Condvar::new(),
        }
    }

    /// Forgets all refusals if the file was deleted.
    pub(crate) fn look_again(&self) {
        if self.file.as_ref().is_some_and(|file| !file.exists()) {
            self.state().refusals.refused.clear();
        }
    }

    /// Whether it is a daemon's, which tries a corrected password after a reload.
    #[must_use]
    pub(crate) const fn are_kept(&self) -> bool {
        self.keeps && !self.shares
    }

    fn state(&self) -> MutexGuard<'_, Remembered> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for permission to try the target's password. `None` if it has none. Waits for another attempt with the same account.
    ///
    /// # Errors
    /// When this password was refused before ([`Class::Auth`]), or another attempt takes longer than `limit`.
    pub(crate) fn attempt(self: &Arc<Self>, target: &Target, limit: Duration) -> Result<Option<LoginAttempt>, Error> {
        let Login::Password { user, password } = &target.login else {
            return Ok(None);
        };
        let tried = || format!("connect to {} with driver {}", target.name, target.driver);
        let account = account(user, &target.connect, target.tns_admin.as_deref());
        let digest = {
            let mut state = self.state();
            if state.refusals.salt.is_empty() {
                let cannot = |error| Error::new(Class::Config, tried(), format!("read /dev/urandom: {error}"));
                state.refusals.salt = salt().map_err(cannot)?;
            }
            let salt = state.refusals.salt.clone();
            drop(state);
            digest(&salt, &account, password.reveal())
        };
        let is_busy =
            |state: &mut Remembered| state.good.get(&account) != Some(&digest) && state.trying.contains(&account);
        let (mut state, _) = self
            .ended
            .wait_timeout_while(self.state(), limit, is_busy)
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(refusal) = state
            .refusals
            .refused
            .get(&account)
            .filter(|refusal| refusal.password == digest)
        {
            let file = self.file.as_ref().map_or_else(String::new, |file| {
                format!(
                    ", or, if it was put right in the database, {} is deleted and the configuration reloaded",
                    file.display()
                )
            });
            let why = format!(
                "not tried: this password of {user} was refused before ({}); it is tried again when it has changed{file}",
                refusal.why
            );
            return Err(Error::new(Class::Auth, tried(), why));
        }
        if is_busy(&mut state) {
            let why = format!("an attempt with the same account {user} has not ended yet");
            return Err(Error::new(Class::Backoff, tried(), why));
        }
        let alone = state.good.get(&account) != Some(&digest);
        if alone {
            state.trying.insert(account.clone());
        }
        drop(state);
        Ok(Some(LoginAttempt {
            accounts: Arc::clone(self),
            account,
            password: digest,
            alone,
        }))
    }
}

impl LoginAttempt {
    /// Records the result of the attempt.
    pub(crate) fn ended<C>(self, answer: &Result<C, Error>) {
        let mut state = self.accounts.state();
        match answer {
            Ok(_) => {
                state.good.insert(self.account.clone(), self.password.clone());
                if state.refusals.refused.remove(&self.account).is_some() {
                    self.accounts.write(&state.refusals);
                }
            }
            Err(error) if error.is_wrong_password() => {
                state.good.remove(&self.account);
                let refusal = RefusedLogin {
                    password: self.password.clone(),
                    why: error.why.clone(),
                };
                state.refusals.refused.insert(self.account.clone(), refusal);
                self.accounts.write(&state.refusals);
            }
            Err(_) => {}
        }
    }
}

impl Drop for LoginAttempt {
    fn drop(&mut self) {
        if self.alone {
            self.accounts.state().trying.remove(&self.account);
            self.accounts.ended.notify_all();
        }
    }
}

impl AccountMemory {
    /// A refusal that cannot be written is kept until the process ends.
    fn write(&self, refusals: &Refusals) {
        let Some(file) = self.file.as_ref().filter(|_| self.keeps) else {
            return;
        };
        let mut refusals = refusals.clone();
        if self.shares {
            // A daemon may have written since. If it has a salt of its own, its record stays: none made with another can be added.
            let there = Refusals::read(file).unwrap_or_default();
            if !there.salt.is_empty() && there.salt != refusals.salt {
                return;
            }
            for (account, refusal) in there.refused {
                refusals.refused.entry(account).or_insert(refusal);
            }
        }
        if let Err(error) = refusals.write(file) {
            tracing::error!(
                file = %file.display(),
                error = error.to_string(),
                "cannot save a refused login: after a restart this password is tried once more"
            );
        }
    }
}

impl Refusals {
    fn read(file: &Path) -> io::Result<Refusals> {
        let mut text = String::new();
        match crate::yaml::files::open_regular(file) {
            Ok(open) => open.take(LARGEST).read_to_string(&mut text)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Refusals::default()),
            Err(error) => return Err(error),
        };
        serde_json::from_str(&text).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))
    }

    fn write(&self, file: &Path) -> io::Result<()> {
        let half = file.with_extension("new");
        let text = serde_json::to_vec_pretty(self)?;
        let mut open = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .custom_flags(libc::O_NONBLOCK)
            .open(&half)?;
        crate::folder::give(&open, file.parent().unwrap_or(Path::new(".")))?;
        open.write_all(&text)?;
        open.sync_all()?;
        fs::rename(half, file)
    }
}

fn salt() -> io::Result<String> {
    let mut bytes = [0; 16];
    fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(hex(&bytes))
}

fn digest(salt: &str, account: &str, password: &str) -> String {
    // The salt has one length, so that no other pair gives the same bytes.
    let salt = [salt, account].concat();
    let mut key = [0; 32];
    pbkdf2::derive(
        pbkdf2::PBKDF2_HMAC_SHA256,
        ROUNDS,
        salt.as_bytes(),
        password.as_bytes(),
        &mut key,
    );
    hex(&key)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The key of an account: the user and the address. Different spellings of the same address give one key; one that is not
/// recognized costs one more attempt.
fn account(user: &str, connect: &str, tns_admin: Option<&Path>) -> String {
    // `proxy[client]` logs in with the proxy's password.
    let user = user.split('[').next().unwrap_or(user).trim().to_uppercase();
    let is_common = user.starts_with("C##");
    let connect = connect.trim();
    let place = if connect.starts_with('(') {
        let packed: String = connect.chars().filter(|c| !c.is_whitespace()).collect();
        let packed = packed.to_uppercase();
        if is_common { addresses(&packed) } else { packed }
    } else if connect.contains('/') || connect.contains(':') {
        easy(connect, is_common)
    } else {
        let folder = tns_admin.map_or_else(String::new, |folder| folder.display().to_string());
        format!("{} {folder}", connect.to_uppercase())
    };
    format!("{user}@{place}")
}

/// Hosts and ports of a descriptor.
fn addresses(packed: &str) -> String {
    let values = |key: &str| {
        let after = packed.match_indices(key).map(|(at, _)| &packed[at + key.len()..]);
        after
            .filter_map(|rest| rest.split(')').next())
            .collect::<BTreeSet<&str>>()
    };
    let join = |values: BTreeSet<&str>| values.into_iter().collect::<Vec<_>>().join(",");
    format!("{}:{}", join(values("(HOST=")), join(values("(PORT=")))
}

/// `tcp://host:1521/service:server/instance?parameters`: the host with its port, and the service unless only the host counts.
fn easy(connect: &str, host_alone: bool) -> String {
    let connect = connect.split('?').next().unwrap_or(connect);
    let connect = connect
        .split_once("//")
        .map_or(connect, |(_, rest)| rest)
        .to_uppercase();
    let (host, service) = connect.split_once('/').unwrap_or((&connect, ""));
    let after_bracket = host.rsplit(']').next().unwrap_or(host);
    let host = if after_bracket.contains(':') {
        host.to_owned()
    } else {
        format!("{host}:1521")
    };
    let service = service.split([':', '/']).next().unwrap_or(service);
    if host_alone { host } else { format!("{host}/{service}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oracle::{Driver, Secret};

    fn target(user: &str, connect: &str, password: &str) -> Target {
        Target {
            name: "prod".into(),
            driver: Driver::Thin,
            connect: connect.to_owned(),
            login: Login::Password {
                user: user.to_owned(),
                password: Secret::new(password),
            },
            tns_admin: None,
            mark: None,
        }
    }

    fn refuse(accounts: &Arc<AccountMemory>, target: &Target) {
        let attempt = accounts
            .attempt(target, Duration::ZERO)
            .expect("free")
            .expect("a password");
        let refused = Error {
            code: Some(crate::oracle::error::WRONG_PASSWORD),
            ..Error::new(Class::Auth, "connect", "invalid username/password; logon denied")
        };
        attempt.ended(&Err::<(), _>(refused));
    }

    #[test]
    fn one_account_has_one_attempt_until_its_password_changes_and_after_a_restart() {
        let state = tempfile::tempdir().expect("a folder");
        let accounts = Arc::new(AccountMemory::of(state.path()).expect("nothing yet"));
        refuse(&accounts, &target("reaper", "//db1:1521/PROD", "tiger-zq7"));
        let written = fs::read_to_string(state.path().join("refused-logins.json")).expect("written");
        assert!(!written.contains("tiger-zq7"), "{written}");
        for accounts in [accounts, Arc::new(AccountMemory::of(state.path()).expect("it reads"))] {
            let same = [
                target("REAPER", "//DB1/prod", "tiger-zq7"),
                target("reaper[scott]", "db1:1521/prod:dedicated", "tiger-zq7"),
            ];
            for target in same {
                let error = accounts.attempt(&target, Duration::ZERO).expect_err("it was refused");
                assert_eq!(error.class, Class::Auth);
                assert!(error.why.contains("invalid username"), "{error}");
            }
            let others = [
                target("reaper", "//db1/PROD", "another"),
                target("reaper", "//db2/PROD", "tiger-zq7"),
                target("other", "//db1/PROD", "tiger-zq7"),
            ];
            for target in others {
                assert!(accounts.attempt(&target, Duration::ZERO).is_ok(), "{target:?}");
            }
        }
        fs::remove_file(state.path().join("refused-logins.json")).expect("it is there");
        let accounts = Arc::new(AccountMemory::of(state.path()).expect("nothing"));
        assert!(
            accounts
                .attempt(&target("reaper", "//db1/PROD", "tiger-zq7"), Duration::ZERO)
                .is_ok()
        );
    }

    #[test]
    fn a_command_respects_what_is_recorded_and_records_its_own_refusals_for_the_next() {
        let state = tempfile::tempdir().expect("a folder");
        let file = state.path().join("refused-logins.json");
        let (bad, other, third) = (
            target("reaper", "//db1/PROD", "tiger"),
            target("reaper", "//db2/PROD", "tiger"),
            target("reaper", "//db3/PROD", "tiger"),
        );
        let attempt = |accounts: &Arc<AccountMemory>, target| accounts.attempt(target, Duration::ZERO);
        let daemon = Arc::new(AccountMemory::of(state.path()).expect("nothing yet"));
        refuse(&daemon, &bad);
        let command = AccountMemory::of_command(state.path());
        let error = attempt(&command, &bad).expect_err("the daemon's attempt was the one");
        assert!(
            error.why.contains("not tried") && error.why.contains("refused-logins.json"),
            "{error}"
        );
        assert!(!command.are_kept(), "no daemon reloads it");
        // What the daemon records meanwhile stays.
        refuse(&daemon, &third);
        refuse(&command, &other);
        for refused in [&bad, &other, &third] {
            let error = attempt(&AccountMemory::of_command(state.path()), refused).expect_err("one attempt is enough");
            assert!(error.why.contains("not tried"), "{error}");
            let restarted = Arc::new(AccountMemory::of(state.path()).expect("it reads"));
            assert!(attempt(&restarted, refused).is_err(), "nor does the daemon try it");
        }
        fs::remove_file(&file).expect("it is there");
        assert!(attempt(&AccountMemory::of_command(state.path()), &bad).is_ok());
        // A record that cannot be read is left alone.
        fs::write(&file, "{").expect("written");
        refuse(&AccountMemory::of_command(state.path()), &bad);
        assert_eq!(fs::read_to_string(&file).expect("it is there"), "{");
        // Where there is no state folder, none is made.
        let nowhere = state.path().join("nowhere");
        refuse(&AccountMemory::of_command(&nowhere), &bad);
        assert!(!nowhere.exists());
    }

    #[test]
    fn a_common_user_is_one_account_behind_a_listener() {
        let accounts = Arc::new(AccountMemory::default());
        refuse(&accounts, &target("c##reaper", "//db1/PDB1", "tiger"));
        assert!(
            accounts
                .attempt(&target("C##REAPER", "//db1:1521/pdb2", "tiger"), Duration::ZERO)
                .is_err()
        );
    }

    #[test]
    fn a_password_that_is_not_known_to_be_good_is_tried_by_one_at_a_time() {
        let accounts = Arc::new(AccountMemory::default());
        let one = target("reaper", "//db1/PROD", "tiger");
        let first = accounts
            .attempt(&one, Duration::ZERO)
            .expect("free")
            .expect("a password");
        let second = accounts
            .attempt(&one, Duration::from_millis(5))
            .expect_err("the first is under way");
        assert_eq!(second.class, Class::Backoff);
        // The first ends without an answer: then nothing is known, and the next may try.
        first.ended(&Err::<(), _>(Error::new(Class::Backoff, "connect", "no answer")));
        assert!(accounts.attempt(&one, Duration::ZERO).is_ok());
    }

    #[test]
    fn a_password_that_was_put_right_is_not_remembered_as_refused() {
        let accounts = Arc::new(AccountMemory::default());
        refuse(&accounts, &target("reaper", "//db1/PROD", "tiger"));
        assert!(
            accounts
                .attempt(&target("reaper", "//db1/PROD", "lion"), Duration::ZERO)
                .is_ok()
        );
        assert!(
            accounts
                .attempt(&target("reaper", "//db1/PROD", "tiger"), Duration::ZERO)
                .is_err()
        );
    }
}
