//! Accounts with passwords: each database has one for the daemon, or all have one in common, and entries read its password from files.
//!
//! Passwords are changed in the databases and in the files, in either order, with and without a reload, and refusals are forgotten by
//! deleting the daemon's file of them. The judge knows of each account which passwords it has refused, and asks at the beginning of
//! each attempt whether there may be one.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use orareaper::config::SecretSource;
use orareaper::oracle::{Login, Secret};

use super::chance::Chance;
use super::stage::Stage;

/// So many services of a listener that may lead to one account may refuse a password.
const MOST_SERVICES: usize = 3;

/// The accounts of a run.
#[derive(Debug)]
pub(crate) struct AccountsSpec {
    /// One account for all databases of the listener, as that of a common user.
    common: bool,
    /// One file for all entries; otherwise each has its own.
    one_file: bool,
    /// Each entry leads to its database by a service of its own.
    services: bool,
}

impl AccountsSpec {
    /// Draws them, and further entries that lead to the first database.
    pub(crate) fn draw(chance: &mut Chance, leads: &mut Vec<usize>) -> AccountsSpec {
        let services = chance.one_in(2);
        if services {
            leads.extend((0..chance.between(1, 4)).map(|_| 0));
        }
        AccountsSpec {
            common: chance.one_in(4),
            one_file: chance.one_in(2),
            services,
        }
    }

    fn user(&self) -> &'static str {
        if self.common { "c##reaper" } else { "reaper" }
    }
}

/// A password that is tried: the entry's service, the account, and the password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TriedLogin {
    pub(crate) service: usize,
    pub(crate) account: usize,
    pub(crate) password: u64,
}

/// What the accounts accept, and what the judge knows of attempts.
#[derive(Debug, Default)]
pub(crate) struct Accounts {
    /// The password of each account. It is a number here; 0 at first.
    right: BTreeMap<usize, u64>,
    /// What each file says.
    written: BTreeMap<usize, u64>,
    /// The highest number of a password.
    newest: u64,
    /// By service: the password that was refused last, and by which account, until one is accepted.
    refused: BTreeMap<usize, (u64, usize)>,
    /// By service: the password that was accepted since the daemon's start.
    good: BTreeMap<usize, u64>,
    /// The password that a service accepted last, until one refuses it that had accepted it: while it is right somewhere, services that
    /// refuse it may have another account.
    right_somewhere: Option<u64>,
    /// Attempts that are under way, and whether their passwords were known to be good when they began.
    under_way: Vec<(TriedLogin, bool)>,
    refusals: usize,
}

impl Accounts {
    /// The daemon begins anew: nothing is under way, and no password is known to be good.
    pub(crate) fn restarts(&mut self) {
        self.good.clear();
        self.right_somewhere = None;
        self.under_way.clear();
    }

    /// How many log-ins were refused.
    pub(crate) fn refusals(&self) -> usize {
        self.refusals
    }

    /// An attempt begins: whether there may be one, and whether its password is known to be good.
    pub(crate) fn begins(&mut self, tried: TriedLogin) -> Result<bool, String> {
        let TriedLogin {
            service,
            account,
            password,
        } = tried;
        if self
            .refused
            .get(&service)
            .is_some_and(|(refused, _)| *refused == password)
        {
            return Err(format!(
                "a password that was refused is tried again: {tried:?} {self:?}"
            ));
        }
        let count = self
            .refused
            .values()
            .filter(|refused| **refused == (password, account))
            .count();
        if count >= MOST_SERVICES && self.right_somewhere != Some(password) {
            return Err(format!(
                "one account refuses a password a {count}th time and more: {tried:?} {self:?}"
            ));
        }
        let is_known = self.good.get(&service) == Some(&password);
        // Whoever reconnects with a password that was accepted waits for nobody, and nobody waits for that.
        let is_open = |(other, known): &(TriedLogin, bool)| !known && other.service == service;
        if !is_known && self.under_way.iter().any(is_open) {
            return Err(format!(
                "two attempts at a time, of which nobody knows the end: {tried:?} {self:?}"
            ));
        }
        self.under_way.push((tried, is_known));
        Ok(is_known)
    }

    /// What the database says to it.
    pub(crate) fn answers(&mut self, tried: TriedLogin) -> bool {
        let TriedLogin {
            service,
            account,
            password,
        } = tried;
        let is_right = self.right.get(&account).copied().unwrap_or(0) == password;
        if is_right {
            self.refused.remove(&service);
            self.good.insert(service, password);
            self.right_somewhere = Some(password);
        } else {
            self.refusals += 1;
            self.refused.insert(service, (password, account));
            let was_right = self.good.remove(&service) == Some(password);
            self.right_somewhere = self.right_somewhere.filter(|right| !was_right || *right != password);
        }
        is_right
    }

    /// The attempt has ended, however.
    pub(crate) fn ends(&mut self, tried: TriedLogin, is_known: bool) {
        let it = (tried, is_known);
        if let Some(at) = self.under_way.iter().rposition(|other| *other == it) {
            self.under_way.remove(at);
        }
    }
}

/// An attempt that is under way.
pub(crate) struct UnderWay {
    stage: Arc<Stage>,
    pub(crate) tried: TriedLogin,
    is_known: bool,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.stage.accounts().ends(self.tried, self.is_known);
    }
}

impl Stage {
    fn file_of(&self, spec: &AccountsSpec, entry: usize) -> (usize, PathBuf) {
        let number = if spec.one_file { 0 } else { entry };
        (number, self.state.path().join(format!("password-{number}")))
    }

    /// How an entry logs in: its address, its account, and where its password is.
    pub(crate) fn way_in(&self, entry: usize, base: &str) -> (String, Login, Option<SecretSource>) {
        let plain = format!("//sim/{base}");
        let Some(spec) = &self.setting.accounts else {
            return (plain, Login::External, None);
        };
        let connect = if spec.services {
            format!("{plain}_{entry}")
        } else {
            plain
        };
        let login = Login::Password {
            user: spec.user().to_owned(),
            password: Secret::new("read from the file"),
        };
        (connect, login, Some(SecretSource::File(self.file_of(spec, entry).1)))
    }

    /// The files at the beginning.
    pub(crate) fn write_passwords(&self) {
        for entry in 0..self.setting.entries.len() {
            self.write_password(entry, 0);
        }
    }

    fn write_password(&self, entry: usize, password: u64) {
        let Some(spec) = &self.setting.accounts else { return };
        let (number, file) = self.file_of(spec, entry);
        self.accounts().written.insert(number, password);
        std::fs::write(file, format!("tiger{password}\n")).expect("written");
    }

    fn account_of(&self, spec: &AccountsSpec, entry: usize) -> usize {
        if spec.common {
            0
        } else {
            self.setting.entries[entry].says[0].base
        }
    }

    /// An entry tries its password.
    pub(crate) fn tries_password(self: &Arc<Self>, entry: usize) -> Option<UnderWay> {
        let spec = self.setting.accounts.as_ref()?;
        let mut accounts = self.accounts();
        let (account, (file, _)) = (self.account_of(spec, entry), self.file_of(spec, entry));
        // By the same address, or as a common user behind one listener, entries are known to share an account.
        let service = if spec.services && !spec.common { entry } else { account };
        let tried = TriedLogin {
            service,
            account,
            password: accounts.written[&file],
        };
        self.trace(|| format!("entry {entry} tries {tried:?}"));
        let begun = accounts.begins(tried);
        drop(accounts);
        match begun {
            Ok(is_known) => Some(UnderWay {
                stage: Arc::clone(self),
                tried,
                is_known,
            }),
            Err(why) => self.fails(&why),
        }
    }

    /// Whether its account takes it.
    pub(crate) fn is_let_in(&self, tried: TriedLogin) -> bool {
        self.accounts().answers(tried)
    }

    /// Passwords are changed, here or there, and refusals are forgotten.
    pub(crate) fn passwords_change(&self) {
        let Some(spec) = &self.setting.accounts else { return };
        let entries = self.setting.entries.len() as u64;
        let entry = usize::try_from(self.chance().between(0, entries - 1)).expect("few");
        let account = self.account_of(spec, entry);
        let what = self.chance().between(0, 23);
        self.trace(|| format!("passwords: {what} of entry {entry}"));
        let right = self.accounts().right.get(&account).copied().unwrap_or(0);
        match what {
            // In the database, and perhaps back again.
            0 | 1 => {
                let mut accounts = self.accounts();
                accounts.newest += 1;
                let newest = accounts.newest;
                accounts.right.insert(account, newest);
            }
            2 => drop(self.accounts().right.insert(account, 0)),
            3..=6 => self.write_password(entry, right),
            7 => self.write_password(entry, 1_000 + right),
            8 => {
                // Nobody need have tried anything yet.
                let _ = std::fs::remove_file(self.state.path().join("refused-logins.json"));
                self.accounts().refused.clear();
            }
            _ => {}
        }
        if what <= 8 || self.one_in(8) {
            for part in self.all_parts() {
                let says = self.judge().entries[part.at].clone();
                if let Some(says) = says.filter(|_| !self.one_in(3)) {
                    self.reload(part.at, &says);
                }
            }
        }
        if self.one_in(12) {
            // The connections of a database are lost: it was restarted.
            self.all_log_off(account);
        }
    }

    /// The connections of every database but this one are lost.
    pub(crate) fn all_others_log_off(&self, but: usize) {
        let bases = self.bases().len();
        (0..bases)
            .filter(|base| *base != but)
            .for_each(|base| self.all_log_off(base));
    }

    fn all_log_off(&self, base: usize) {
        self.bases()[base].sessions.retain(|session| session.group.is_some());
    }

    /// All passwords are put right, but for one account at most, whose database is named.
    pub(crate) fn settle_accounts(&self) -> Option<usize> {
        let spec = self.setting.accounts.as_ref()?;
        let bases: BTreeSet<usize> = self.setting.entries.iter().map(|entry| entry.says[0].base).collect();
        let stays = (!spec.common && !spec.services && bases.len() > 1 && self.one_in(2)).then_some(0);
        for entry in 0..self.setting.entries.len() {
            self.write_password(entry, 9_999);
            self.accounts().right.insert(self.account_of(spec, entry), 9_999);
        }
        if let Some(base) = stays {
            self.accounts().right.insert(base, 10_000);
        }
        let _ = std::fs::remove_file(self.state.path().join("refused-logins.json"));
        self.accounts().refused.clear();
        self.trace(|| format!("accounts are settled, but that of {stays:?}"));
        stays
    }
}
