//! Accounts whose password was refused: a password is tried once, however many entries share the account, until it changes.
//!
//! Every refused log-in brings an account nearer to its lock (FAILED_LOGIN_ATTEMPTS, ten in Oracle's DEFAULT profile; Oracle
//! Database Security Guide, "Automatically Locking User Accounts After Failed Logins"). So a refusal is remembered by account,
//! address and password together, across reloads and restarts. The password itself is not kept, but a salted digest that is slow to
//! compute and shows only whether another password is the same.
//!
//! While an account's password is not known to be good, one attempt is made at a time, so that twelve entries that share it do
//! not make twelve at once. Entries of one multitenant database share their common users (`C##`): these are one account for
//! everything behind a listener. Of other users nobody knows before the log-in: several services of a listener may lead to one
//! account, or each to a PDB with an account of its own. So a password that three of them have refused is tried at no further one.
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

/// So many services of one listener may refuse one password of one user, who may be one account.
const MOST_SERVICES: usize = 3;

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
    /// Passwords that were accepted, by account and by listener.
    good: BTreeMap<String, String>,
    /// Accounts whose password is being tried, each with its listener.
    trying: BTreeMap<String, String>,
}

impl Remembered {
    fn is_good(&self, tried: &TriedPassword) -> bool {
        self.good.get(&tried.account) == Some(&tried.password)
    }

    /// The other accounts of the listener at which this user's password was refused.
    fn refused_elsewhere(&self, tried: &TriedPassword) -> Vec<&str> {
        let refused = self.refusals.refused.iter();
        let elsewhere = refused.filter(|(account, refusal)| {
            **account != tried.account && refusal.listener == tried.listener && refusal.at_listener == tried.at_listener
        });
        elsewhere.map(|(account, _)| account.as_str()).collect()
    }

    /// Whether another attempt has to end first.
    fn is_busy(&self, tried: &TriedPassword) -> bool {
        if self.is_good(tried) {
            return false;
        }
        let is_known_there = self.good.get(&tried.listener) == Some(&tried.at_listener);
        let there = self
            .trying
            .values()
            .filter(|listener| **listener == tried.listener)
            .count();
        let refused = self.refused_elsewhere(tried).len();
        let are_enough = !is_known_there && refused < MOST_SERVICES && refused + there >= MOST_SERVICES;
        self.trying.contains_key(&tried.account) || are_enough
    }
}

/// A password of a user at an address.
#[derive(Clone, Debug)]
struct TriedPassword {
    /// The account's key.
    account: String,
    /// The key of the user at the listener, whatever the service.
    listener: String,
    /// The password's digest, with the account.
    password: String,
    /// The same, with the listener.
    at_listener: String,
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
    /// The user at the listener; empty in records of versions that did not have it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    listener: String,
    /// The password's digest with the listener.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    at_listener: String,
    /// The database's answer.
    why: String,
}

/// Permission to try an account's password once.
#[derive(Debug)]
pub(crate) struct LoginAttempt {
    accounts: Arc<AccountMemory>,
    password: TriedPassword,
    /// Whether other attempts with the account have to wait.
    alone: bool,
}

impl AccountMemory {
    /// The memory of a daemon, kept in its state folder.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn of(state: &Path) -> io::Result<AccountMemory> {
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
    pub fn look_again(&self) {
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
        let (account, listener) = account(user, &target.connect, target.tns_admin.as_deref());
        let password = {
            let mut state = self.state();
            if state.refusals.salt.is_empty() {
                let cannot = |error| Error::new(Class::Config, tried(), format!("read /dev/urandom: {error}"));
                state.refusals.salt = salt().map_err(cannot)?;
            }
            let salt = state.refusals.salt.clone();
            drop(state);
            TriedPassword {
                password: digest(&salt, &account, password.reveal()),
                at_listener: digest(&salt, &listener, password.reveal()),
                account,
                listener,
            }
        };
        let (mut state, _) = self
            .ended
            .wait_timeout_while(self.state(), limit, |state| state.is_busy(&password))
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(refused) = refused(&state, &password, user) {
            let file = self.file.as_ref().map_or_else(String::new, |file| {
                format!(
                    ", or, if it was put right in the database, {} is deleted and the configuration reloaded",
                    file.display()
                )
            });
            let why = format!("not tried: {refused}; it is tried again when it has changed{file}");
            return Err(Error::new(Class::Auth, tried(), why));
        }
        if state.is_busy(&password) {
            let why = format!("an attempt with the same account {user} has not ended yet");
            return Err(Error::new(Class::Backoff, tried(), why));
        }
        let alone = !state.is_good(&password);
        if alone {
            state.trying.insert(password.account.clone(), password.listener.clone());
        }
        drop(state);
        Ok(Some(LoginAttempt {
            accounts: Arc::clone(self),
            password,
            alone,
        }))
    }
}

/// Why a password may not be tried, if so.
fn refused(state: &Remembered, tried: &TriedPassword, user: &str) -> Option<String> {
    let refusal = state.refusals.refused.get(&tried.account);
    if let Some(refusal) = refusal.filter(|refusal| refusal.password == tried.password) {
        return Some(format!("this password of {user} was refused before ({})", refusal.why));
    }
    let elsewhere = state.refused_elsewhere(tried);
    let is_known_there = state.good.get(&tried.listener) == Some(&tried.at_listener);
    (elsewhere.len() >= MOST_SERVICES && !is_known_there).then(|| {
        format!(
            "this password of {user} was refused at {} services of the same listener ({}), which may all lead to one account",
            elsewhere.len(),
            elsewhere.join(", ")
        )
    })
}

impl LoginAttempt {
    /// Records the result of the attempt.
    pub(crate) fn ended<C>(self, answer: &Result<C, Error>) {
        let mut state = self.accounts.state();
        match answer {
            Ok(_) => {
                let tried = &self.password;
                state.good.insert(tried.account.clone(), tried.password.clone());
                state.good.insert(tried.listener.clone(), tried.at_listener.clone());
                if state.refusals.refused.remove(&tried.account).is_some() {
                    self.accounts.write(&state.refusals);
                }
            }
            Err(error) if error.is_wrong_password() => {
                let tried = self.password.clone();
                if state.good.remove(&tried.account).as_ref() == Some(&tried.password)
                    && state.good.get(&tried.listener) == Some(&tried.at_listener)
                {
                    // It was right here and is not any more. So that a service took it once shows of no service that it has another
                    // account.
                    state.good.remove(&tried.listener);
                }
                let refusal = RefusedLogin {
                    password: tried.password,
                    listener: tried.listener,
                    at_listener: tried.at_listener,
                    why: error.why.clone(),
                };
                state.refusals.refused.insert(tried.account, refusal);
                self.accounts.write(&state.refusals);
            }
            Err(_) => {}
        }
    }
}

impl Drop for LoginAttempt {
    fn drop(&mut self) {
        if self.alone {
            self.accounts.state().trying.remove(&self.password.account);
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

/// The keys of an account and of the user at the listener: the user with the address, and with its hosts and ports alone. Different
/// spellings of the same address give one key; one that is not recognized costs one more attempt.
fn account(user: &str, connect: &str, tns_admin: Option<&Path>) -> (String, String) {
    // `proxy[client]` logs in with the proxy's password.
    let user = user.split('[').next().unwrap_or(user).trim().to_uppercase();
    let is_common = user.starts_with("C##");
    let connect = connect.trim();
    let (place, listener) = if connect.starts_with('(') {
        let packed: String = connect.chars().filter(|c| !c.is_whitespace()).collect();
        let packed = packed.to_uppercase();
        let listener = addresses(&packed);
        (packed, listener)
    } else if connect.contains('/') || connect.contains(':') {
        let (host, service) = easy(connect);
        (format!("{host}/{service}"), host)
    } else {
        // Where an alias leads to is not known here.
        let folder = tns_admin.map_or_else(String::new, |folder| folder.display().to_string());
        let alias = format!("{} {folder}", connect.to_uppercase());
        (alias.clone(), alias)
    };
    let place = if is_common { &listener } else { &place };
    (format!("{user}@{place}"), format!("{user} at {listener}"))
}

/// The spellings of this host that need no resolver are one.
fn host_name(host: &str) -> &str {
    match host {
        "LOCALHOST" | "[::1]" | "::1" => "127.0.0.1",
        other => other,
    }
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
    let hosts = values("(HOST=").into_iter().map(host_name).collect();
    format!("{}:{}", join(hosts), join(values("(PORT=")))
}

/// `tcp://host:1521/service:server/instance?parameters`: the host with its port, and the service.
fn easy(connect: &str) -> (String, String) {
    let connect = connect.split('?').next().unwrap_or(connect);
    let connect = connect
        .split_once("//")
        .map_or(connect, |(_, rest)| rest)
        .to_uppercase();
    let (host, service) = connect.split_once('/').unwrap_or((&connect, ""));
    let after_bracket = host.rsplit(']').next().unwrap_or(host);
    let (host, port) = match host.rsplit_once(':') {
        Some((host, port)) if after_bracket.contains(':') => (host, port),
        Some(_) | None => (host, "1521"),
    };
    let service = service.split([':', '/']).next().unwrap_or(service);
    (format!("{}:{port}", host_name(host)), service.to_owned())
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

    /// Ten refusals lock an account by Oracle's default profile, and twelve services may lead to one.
    #[test]
    fn a_password_that_three_services_of_a_listener_refused_is_tried_at_no_fourth() {
        let state = tempfile::tempdir().expect("a folder");
        let accounts = Arc::new(AccountMemory::of(state.path()).expect("nothing yet"));
        let at = |address: &str| target("reaper", address, "tiger");
        let attempt = |accounts: &Arc<AccountMemory>, target: &Target| accounts.attempt(target, Duration::ZERO);
        refuse(&accounts, &at("//localhost/S1"));
        refuse(&accounts, &at("127.0.0.1:1521/S2"));
        refuse(
            &accounts,
            &at("(DESCRIPTION=(ADDRESS=(HOST=LocalHost)(PORT=1521))(CONNECT_DATA=(SERVICE_NAME=S3)))"),
        );
        for accounts in [
            Arc::clone(&accounts),
            Arc::new(AccountMemory::of(state.path()).expect("it reads")),
        ] {
            let error = attempt(&accounts, &at("//[::1]:1521/S4")).expect_err("it may be the same account");
            assert_eq!(error.class, Class::Auth);
            assert!(
                error.why.contains("refused at 3 services") && error.why.contains("REAPER@127.0.0.1:1521/S1"),
                "{error}"
            );
            for other in [
                target("reaper", "//localhost/S4", "lion"),
                target("scott", "//localhost/S4", "tiger"),
                at("//localhost:1522/S4"),
                at("//db2/S4"),
            ] {
                assert!(attempt(&accounts, &other).is_ok(), "{other:?}");
            }
        }
        // A PDB in which the password is right shows that not all services lead to one account.
        let others = Arc::new(AccountMemory::default());
        let good = attempt(&others, &at("//db1/S0")).expect("free").expect("a password");
        good.ended(&Ok::<_, Error>(()));
        for service in ["S1", "S2", "S3", "S4", "S5"] {
            refuse(&others, &at(&format!("//db1/{service}")));
        }
    }

    /// Its services may all lead to one account, and what each of them took before shows nothing of it.
    #[test]
    fn a_password_that_was_changed_in_the_database_is_tried_at_three_services() {
        let accounts = Arc::new(AccountMemory::default());
        let at = |service: usize| target("reaper", &format!("//db1/S{service}"), "tiger");
        let attempt = |service| accounts.attempt(&at(service), Duration::ZERO);
        for service in 1..=12 {
            let good = attempt(service).expect("free").expect("a password");
            good.ended(&Ok::<_, Error>(()));
        }
        (1..=3).for_each(|service| refuse(&accounts, &at(service)));
        for service in 4..=12 {
            let error = attempt(service).expect_err("it may be the same account");
            assert!(error.why.contains("refused at 3 services"), "{error}");
        }
    }

    /// At the start all entries connect at once.
    #[test]
    fn attempts_under_way_count_until_one_succeeds() {
        let accounts = Arc::new(AccountMemory::default());
        let at = |service: usize| target("reaper", &format!("//db1/S{service}"), "tiger");
        let attempt = |service| accounts.attempt(&at(service), Duration::from_millis(5));
        let mut under_way: Vec<_> = (1..=3)
            .map(|service| attempt(service).expect("free").expect("a password"))
            .collect();
        let fourth = attempt(4).expect_err("three are under way");
        assert_eq!(fourth.class, Class::Backoff);
        under_way.remove(0).ended(&Ok::<_, Error>(()));
        assert!(attempt(4).is_ok() && attempt(5).is_ok());
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
