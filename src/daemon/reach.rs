//! The way to a database: where it is, as whom, and how long each step may take.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::config::{SecretError, SecretSource, Via};
use crate::daemon::accounts::AccountMemory;
use crate::daemon::ranks::Leader;
use crate::oracle::{
    ActingConnection, Class, ConnectSlot, Connection, Connector, DecoyConnection, Error, Login, Secret, Target,
};

/// How to reach a database and how long each step may take.
#[derive(Clone, Debug)]
pub struct Reach {
    /// Address and account, with the password from the start of the daemon.
    pub target: Target,
    /// Where the password is kept, if there is one.
    pub password: Option<SecretSource>,
    /// The accounts whose passwords were refused and are not tried again.
    pub accounts: Arc<AccountMemory>,
    /// How sessions are ended there, if the configuration says it.
    pub via: Option<Via>,
    /// The lock by which one of several daemons leads, if there is one.
    pub leader: Option<Leader>,
    /// Who connects in the place of the drivers, if somebody does.
    pub connector: Option<Arc<dyn Connector>>,
    /// The limit for connecting.
    pub connect_limit: Duration,
    /// The limit of each call.
    pub call_limit: Duration,
    /// The limit of a statement that ends a session, which may wait for that session.
    pub kill_limit: Duration,
}

/// How to reach a database; a reload may change it while the threads run. Address and account never change: an entry with others
/// gets threads of its own.
#[derive(Clone, Debug)]
pub struct SharedReach(Arc<Mutex<Reach>>);

impl SharedReach {
    /// With its first value.
    #[must_use]
    pub fn new(reach: Reach) -> SharedReach {
        SharedReach(Arc::new(Mutex::new(reach)))
    }

    /// The current value.
    #[must_use]
    pub fn now(&self) -> Reach {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Replaces the value. Who holds a lock stays known if the lock stays the same.
    pub fn change(&self, mut reach: Reach) {
        let mut now = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        reach.leader = reach.leader.map(|leader| leader.or_before(now.leader.as_ref()));
        *now = reach;
    }
}

impl Reach {
    /// The target with the current password. The password is read for each connection, so that a change is noticed: otherwise a reload
    /// after a refused login would try the old one again and bring the account nearer to its lock.
    ///
    /// # Errors
    /// When the password can no longer be read.
    pub(crate) fn target_now(&self) -> Result<Target, Error> {
        let mut target = self.target.clone();
        if let (Login::Password { password, .. }, Some(source)) = (&mut target.login, &self.password) {
            let unread = |error: SecretError| {
                Error::new(
                    Class::Config,
                    format!("connect to {}", self.target.name),
                    error.to_string(),
                )
            };
            *password = Secret::new(source.read().map_err(unread)?.reveal());
        }
        Ok(target)
    }

    /// Connects to read.
    ///
    /// # Errors
    /// The driver's error; [`Class::Auth`] without an attempt if this password was refused before.
    pub(crate) fn connect(&self, slot: &ConnectSlot) -> Result<Box<dyn Connection>, Error> {
        self.attempt(&self.target_now()?, |target| match &self.connector {
            Some(connector) => connector.connect(target),
            None => slot.connect(target, self.connect_limit),
        })
    }

    /// Connects to act, to the named instance if one is given.
    ///
    /// # Errors
    /// The driver's error; [`Class::Auth`] without an attempt if this password was refused before.
    pub(crate) fn connect_to_act(
        &self,
        slot: &ConnectSlot,
        instance: Option<&str>,
    ) -> Result<Box<dyn ActingConnection>, Error> {
        let target = self.target_on(instance)?;
        self.attempt(&target, |target| match &self.connector {
            Some(connector) => connector.connect_to_act(target),
            None => slot.connect_to_act(target, self.connect_limit),
        })
    }

    /// Connects to be acted on, to the named instance if one is given.
    ///
    /// # Errors
    /// The driver's error; [`Class::Auth`] without an attempt if this password was refused before.
    pub(crate) fn connect_decoy(
        &self,
        slot: &ConnectSlot,
        instance: Option<&str>,
    ) -> Result<Box<dyn DecoyConnection>, Error> {
        let target = self.target_on(instance)?;
        self.attempt(&target, |target| slot.connect_decoy(target, self.connect_limit))
    }

    fn target_on(&self, instance: Option<&str>) -> Result<Target, Error> {
        let target = self.target_now()?;
        Ok(match instance {
            // If no instance can be named, the listener chooses; a DISCONNECT is then not sent to a wrong one.
            Some(instance) => target.on_instance(instance).unwrap_or(target),
            None => target,
        })
    }

    fn attempt<C>(&self, target: &Target, connect: impl FnOnce(&Target) -> Result<C, Error>) -> Result<C, Error> {
        let attempt = self.accounts.attempt(&self.target_of(target), self.connect_limit)?;
        let mut answer = connect(target);
        if let Some(attempt) = attempt {
            attempt.ended(&answer);
        }
        if let (Err(error), Some(source)) = (&mut answer, &self.password)
            && error.is_wrong_password()
        {
            error.why = format!("{}; {}", error.why, source.remedy(self.accounts.are_kept()));
        }
        answer
    }

    /// The target at the configured address, for the memory of accounts, whichever instance was requested.
    fn target_of(&self, target: &Target) -> Target {
        Target {
            connect: self.target.connect.clone(),
            ..target.clone()
        }
    }
}
