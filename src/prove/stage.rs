//! The connections of a proof: one that acts, as the daemon's, and the decoys' own.

use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::actuator::decoy::{DecoyAttempt, attempt};
use crate::actuator::door::{Door, DoorAnswer, Permission};
use crate::actuator::way;
use crate::clock::Clock;
use crate::columns_needed::ALWAYS;
use crate::daemon::pause::Switch;
use crate::daemon::reach::Reach;
use crate::decide::guard::{Again, Decoy};
use crate::decide::outcome::Outcome;
use crate::decide::shared_process::has_a_process;
use crate::oracle::capabilities::{Capabilities, Way};
use crate::oracle::decoy::told;
use crate::oracle::read::{read_same_process, read_server, read_snapshot};
use crate::oracle::sql::Scope;
use crate::oracle::{ActingConnection, BlockAnswer, Class, ConnectSlot, DecoyConnection, Error, TextForm};
use crate::policy::model::{Action, KillClause};
use crate::prove::Halt;
use crate::quantity::Elapsed;
use crate::session::SessionKey;
use crate::session::column::Column;
use crate::session::snapshot::Snapshot;

/// How long a decoy's query may run. A plain KILL of it may wait for a minute.
const BUSY_LIMIT: Duration = Duration::from_secs(90);

/// How long a log-off may take.
const GRACE: Duration = Duration::from_secs(5);

/// The pause between the first two readings; each further pause is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(10);

/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_millis(250);

/// What ends a decoy that does not end by itself.
const LAST_RESORT: Action = Action::Kill {
    clause: KillClause::Immediate,
};

/// What a proof goes by.
pub(super) struct Stage<'a> {
    pub(super) reach: &'a Reach,
    pub(super) clock: &'a dyn Clock,
    /// How long something is waited for.
    pub(super) wait: Duration,
    switch: &'a Switch,
    stop: &'a dyn Fn() -> bool,
    waits: &'a dyn Fn(&str),
    slot: ConnectSlot,
    acting: Option<Hand>,
    texts: TextForm,
}

/// The connection that acts.
struct Hand {
    connection: Box<dyn ActingConnection>,
    capabilities: Capabilities,
}

/// A decoy with its client.
pub(super) struct Player {
    pub(super) decoy: Decoy,
    client: DecoyClient,
}

type OwnConnection = Box<dyn DecoyConnection>;

enum DecoyClient {
    /// Between two calls.
    Waits(OwnConnection),
    /// In a call, on a thread of its own.
    Busy(Receiver<(OwnConnection, Result<(), Error>)>),
    /// Logged off, or lost.
    Left,
}

/// What was read of a decoy's SID.
pub(super) struct DecoyReading {
    pub(super) read: Snapshot,
    pub(super) row: Option<usize>,
    now: DateTime<Utc>,
}

impl DecoyReading {
    fn text(&self, column: Column) -> Option<&str> {
        self.read.text(self.row?, column)
    }

    pub(super) fn is(&self, status: &str) -> bool {
        self.text(Column::Status) == Some(status)
    }

    pub(super) fn sql_id(&self) -> Option<String> {
        self.text(Column::SqlId).map(str::to_owned)
    }

    pub(super) fn in_transaction(&self) -> bool {
        self.text(Column::Taddr).is_some()
    }

    /// LAST_CALL_ET.
    pub(super) fn age(&self) -> Option<i64> {
        self.read.number(self.row?, Column::LastCallEt)
    }

    /// The database's clock, in seconds.
    pub(super) fn seconds(&self) -> i64 {
        self.now.timestamp()
    }
}

/// A statement that was sent, and what came of it.
pub(super) struct Sent {
    pub(super) text: String,
    pub(super) answer: Result<BlockAnswer, Error>,
    pub(super) waited: Duration,
}

/// Checks the kill switch, and whether the command was interrupted.
struct Permit<'a> {
    switch: &'a Switch,
}

impl Permission for Permit<'_> {
    fn begin(&self, _: &str, _: DateTime<Utc>) -> Result<(), (Outcome, String)> {
        match self.switch.look() {
            None => Ok(()),
            Some(pause) => Err((Outcome::Revoked, pause.to_string())),
        }
    }

    fn end(&self) {}
}

/// Who hears what is waited for.
type Announce<'a> = &'a dyn Fn(&str);

impl<'a> Stage<'a> {
    pub(super) fn new(
        (reach, switch): (&'a Reach, &'a Switch),
        clock: &'a dyn Clock,
        (stop, waits): (&'a dyn Fn() -> bool, Announce<'a>),
        wait: Duration,
        texts: TextForm,
    ) -> Stage<'a> {
        Stage {
            reach,
            clock,
            wait,
            switch,
            stop,
            waits,
            slot: ConnectSlot::new(),
            acting: None,
            texts,
        }
    }

    /// An error where the proof has to end.
    pub(super) fn goes_on(&self) -> Result<(), Halt> {
        if (self.stop)() {
            return Err(Halt::Interrupted);
        }
        match self.switch.look() {
            None => Ok(()),
            Some(pause) => Err(Halt::Paused(pause.to_string())),
        }
    }

    /// Reads again and again until the condition holds or the time is over.
    pub(super) fn until<T>(&mut self, so: impl FnMut(&mut Self) -> Result<Option<T>, Halt>) -> Result<Option<T>, Halt> {
        self.within(self.wait, so)
    }

    /// The same for as long as this.
    pub(super) fn within<T>(
        &mut self,
        limit: Duration,
        mut so: impl FnMut(&mut Self) -> Result<Option<T>, Halt>,
    ) -> Result<Option<T>, Halt> {
        let began = self.clock.now();
        let mut pause = FIRST_PAUSE;
        loop {
            if (self.stop)() {
                return Err(Halt::Interrupted);
            }
            if let Some(found) = so(self)? {
                return Ok(Some(found));
            }
            if self.clock.now().since(began) >= limit {
                return Ok(None);
            }
            thread::sleep(pause);
            pause = LONGEST_PAUSE.min(pause * 2);
        }
    }

    fn acting(&mut self) -> Result<&mut Hand, Error> {
        if self.acting.as_ref().is_none_or(|acting| acting.connection.is_lost()) {
            self.acting = None;
            let mut connection = self.reach.connect_to_act(&self.slot, None)?;
            let mut capabilities = way::probe(&mut *connection, self.reach.via, self.reach.call_limit)?;
            capabilities.texts = self.texts;
            self.acting = Some(Hand {
                connection,
                capabilities,
            });
        }
        let missing = || Error::new(Class::Bug, "act", "there is no connection");
        self.acting.as_mut().ok_or_else(missing)
    }

    /// The instance of the connection that acts.
    pub(super) fn connected(&mut self) -> Result<u32, Error> {
        Ok(self.acting()?.capabilities.own.inst_id)
    }

    /// The way in which the daemon would end sessions here.
    pub(super) fn way(&mut self) -> Result<Way, Error> {
        Ok(self.acting()?.capabilities.way())
    }

    /// Reads a decoy's SID over the connection that acts, as the daemon does right before a statement.
    pub(super) fn look(&mut self, key: SessionKey) -> Result<DecoyReading, Error> {
        let limit = self.reach.call_limit;
        let acting = self.acting()?;
        let wanted = ALWAYS.into_iter().collect();
        let SessionKey { inst_id, sid, .. } = key;
        let scope = Scope::One { inst_id, sid };
        let taken = read_snapshot(&mut *acting.connection, wanted, &acting.capabilities, scope, limit)?;
        let read = taken.snapshot;
        match read.utc() {
            Some(now) if read.is_complete(inst_id) => Ok(DecoyReading {
                row: read.find(key),
                now,
                read,
            }),
            Some(_) | None => {
                let tried = format!("read {key} on {}", self.reach.target.name);
                Err(Error::new(Class::Partial, tried, "the answer is not complete"))
            }
        }
    }

    /// Whether a decoy's server process serves no other session: DISCONNECT SESSION ends the process.
    pub(super) fn is_alone(&mut self, key: SessionKey) -> Result<bool, Error> {
        let limit = self.reach.call_limit;
        let hand = self.acting()?;
        let Some(served) = read_server(&mut *hand.connection, key, limit)? else {
            return Ok(true);
        };
        if !has_a_process(served.server.as_deref()) {
            return Ok(true);
        }
        match served.paddr {
            None => Ok(false),
            Some(paddr) => Ok(read_same_process(&mut *hand.connection, key, &paddr, limit)?.is_empty()),
        }
    }

    /// Opens a decoy on the named instance, if one is named.
    pub(super) fn open(&mut self, instance: Option<&str>) -> Result<Player, Error> {
        let mut connection = self.reach.connect_decoy(&self.slot, instance)?;
        match connection.report(self.reach.call_limit) {
            Ok(decoy) => Ok(Player {
                decoy,
                client: DecoyClient::Waits(connection),
            }),
            Err(error) => {
                connection.close(GRACE);
                Err(error)
            }
        }
    }

    /// Sends a statement to a decoy that was just seen. `None` if it was not.
    pub(super) fn send(
        &mut self,
        again: Option<Again>,
        what: DecoyAttempt<'_>,
        look: &DecoyReading,
    ) -> Result<Option<Sent>, Halt> {
        let Some(again) = again else { return Ok(None) };
        let limit = match what {
            DecoyAttempt::Action(Action::CancelSql | Action::Report, _) => self.reach.call_limit,
            DecoyAttempt::Action(Action::Kill { .. } | Action::Disconnect { .. }, _)
            | DecoyAttempt::DisconnectWithInstance => self.reach.kill_limit,
        };
        let (clock, switch) = (self.clock, self.switch);
        let acting = self.acting()?;
        let by = (acting.capabilities.way(), acting.capabilities.own.inst_id);
        let permit = Permit { switch };
        let mut door = Door::new(&mut *acting.connection, &permit, None);
        let began = clock.now();
        let answer = attempt(again, what, by, (&mut door, look.now), limit);
        let waited = clock.now().since(began);
        match answer {
            Err(why) => Err(Halt::Failed(Error::new(Class::Bug, "act on a decoy", why.to_string()))),
            Ok(DoorAnswer::Sent(text, answer)) => Ok(Some(Sent { text, answer, waited })),
            Ok(DoorAnswer::Stopped(_, why)) => Err(Halt::Paused(why)),
            Ok(DoorAnswer::Reported | DoorAnswer::Assumed(_)) => Ok(None),
        }
    }

    /// Waits until a decoy's client has its answer, and returns that.
    pub(super) fn hears(&mut self, player: &mut Player) -> Result<u32, Halt> {
        let limit = self.reach.call_limit;
        if let DecoyClient::Waits(connection) = &mut player.client {
            return Ok(told(&connection.ping(limit)));
        }
        let key = player.decoy.key();
        // Its SID is read meanwhile, as the daemon does that follows a session.
        let heard = self.until(|stage| {
            stage.look(key)?;
            Ok(player.returned())
        })?;
        Ok(heard.unwrap_or(crate::oracle::decoy::NOTHING))
    }

    /// Logs a decoy off. One that is still in a call is ended first; with the switch set, its call is waited for.
    pub(super) fn dismiss(&mut self, mut player: Player) {
        if player.returned().is_none() && player.is_busy() {
            if let Err(Halt::Paused(why)) = self.end(&player) {
                (self.waits)(&format!(
                    "orareaper is {why}: nothing more is sent, also not to the decoy that is in a call; that ends by itself, for which \
                     this command waits, for {} at most",
                    Elapsed(BUSY_LIMIT)
                ));
            }
            let began = self.clock.now();
            // Its SID is read meanwhile, as in every other wait.
            while player.waits(LONGEST_PAUSE).is_none()
                && player.is_busy()
                && self.clock.now().since(began) < BUSY_LIMIT
            {
                let _ = self.look(player.decoy.key());
            }
        }
        if let DecoyClient::Waits(connection) = player.client {
            connection.close(GRACE);
        }
    }

    /// Ends a decoy that is in a call. A failure does not matter: its call ends by itself.
    fn end(&mut self, player: &Player) -> Result<(), Halt> {
        let look = self.look(player.decoy.key())?;
        let again = player.decoy.again(&look.read).filter(|_| !look.is("KILLED"));
        self.send(again, DecoyAttempt::Action(LAST_RESORT, None), &look)
            .map(drop)
    }

    /// Logs off.
    pub(super) fn close(self) {
        if let Some(acting) = self.acting {
            acting.connection.close(GRACE);
        }
    }
}

impl Player {
    /// Opens a transaction; an error is the database's.
    pub(super) fn open_transaction(&mut self, limit: Duration) -> Result<(), String> {
        match &mut self.client {
            DecoyClient::Waits(connection) => as_answered(connection.open_transaction(limit)),
            DecoyClient::Busy(_) | DecoyClient::Left => Err("its client is in a call".to_owned()),
        }
    }

    /// Ends the transaction. The next step shows whether that failed.
    pub(super) fn commit(&mut self, limit: Duration) {
        if let DecoyClient::Waits(connection) = &mut self.client {
            let _ = connection.commit(limit);
        }
    }

    /// Whether its connection still reports the same session.
    pub(super) fn reports_itself(&mut self, limit: Duration) -> bool {
        match &mut self.client {
            DecoyClient::Waits(connection) => connection.report(limit).is_ok_and(|it| it.key() == self.decoy.key()),
            DecoyClient::Busy(_) => true,
            DecoyClient::Left => false,
        }
    }

    /// Begins a call that takes long.
    pub(super) fn work(&mut self) -> Result<(), String> {
        let DecoyClient::Waits(mut connection) = std::mem::replace(&mut self.client, DecoyClient::Left) else {
            return Err("its client is in a call".to_owned());
        };
        let (done, called) = sync_channel(1);
        let spawned = thread::Builder::new().name("decoy".to_owned()).spawn(move || {
            let answer = connection.work(BUSY_LIMIT);
            // Nobody takes it only when the program ends.
            let _ = done.send((connection, answer));
        });
        spawned.map_err(|error| format!("could not start a thread for its call: {error}"))?;
        self.client = DecoyClient::Busy(called);
        Ok(())
    }

    fn is_busy(&self) -> bool {
        matches!(self.client, DecoyClient::Busy(_))
    }

    /// What its client was told at the end of its call; `None` while it is in it.
    fn returned(&mut self) -> Option<u32> {
        self.waits(Duration::ZERO)
    }

    fn waits(&mut self, limit: Duration) -> Option<u32> {
        let DecoyClient::Busy(called) = &self.client else {
            return None;
        };
        match called.recv_timeout(limit) {
            Ok((connection, answer)) => {
                self.client = DecoyClient::Waits(connection);
                Some(told(&answer))
            }
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => {
                self.client = DecoyClient::Left;
                Some(crate::oracle::decoy::CUT)
            }
        }
    }

    /// Logs off, so that the decoy is gone.
    pub(super) fn leave(&mut self) {
        if let DecoyClient::Waits(connection) = std::mem::replace(&mut self.client, DecoyClient::Left) {
            connection.close(GRACE);
        }
    }
}

fn as_answered(answer: Result<BlockAnswer, Error>) -> Result<(), String> {
    match answer {
        Ok(BlockAnswer { code: 0, .. }) => Ok(()),
        Ok(answer) => Err(answer.message),
        Err(error) => Err(error.to_string()),
    }
}
