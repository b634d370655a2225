//! Turns what happens to a database into events for the sink, which writes journal, log, metrics and status page from one
//! value.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::actuator::carry_out::{Answered, Intending, StepRecorder};
use crate::checks::Check;
use crate::clock::Clock;
use crate::daemon::database::{CycleView, Watcher};
use crate::daemon::pause::{Pause, Switch};
use crate::daemon::reports::Reports;
use crate::daemon::standby::ConnectionState;
use crate::decide::clocks::ClockStep;
use crate::decide::cycle::Done;
use crate::decide::outcome::Outcome;
use crate::event::{Breakers, CycleReport, CycleStep, Event, Evidence, Intent, Outcomed, Suspensions};
use crate::event_sink::EventSink;
use crate::journal::read::{done_of, unwritten};
use crate::oracle::error::AccountFault;
use crate::oracle::{Class, Error, Retry};
use crate::session::snapshot::Snapshot;
use crate::systemd::Pulse;

/// Watches one database.
pub struct EventWatcher {
    database: Arc<str>,
    sink: Arc<EventSink>,
    pulse: Pulse,
    breakers: Breakers,
    suspensions: Suspensions,
    switch: Arc<Switch>,
    /// Nobody writes reports, where there are none.
    reports: Option<Reports>,
    up: Option<bool>,
    /// Why the database is down, as it was last told.
    cause: Option<String>,
    connections: Vec<(Option<u32>, bool)>,
    /// Connections for actions that do not come back from a call.
    hanging: usize,
    said: Vec<String>,
    /// Why acting stopped, as it was last told.
    stopped: Option<String>,
    /// The notes of the previous cycle.
    noted: Vec<String>,
    /// The instances that were there since the start, by INST_ID.
    instances: BTreeMap<u32, String>,
}

/// What identifies the cause of an outage: that nobody answers, else the number of the error if it has one, else its text without
/// what differs from one attempt to the next (counts, and the identifier that newer clients give to each connection).
fn cause_of(error: &Error, next: &str) -> String {
    if error.timed_out {
        return format!("no answer {next}");
    }
    match error.code {
        Some(code) => format!("{} {code} {next}", error.class),
        None => {
            let why = error.why.split("CONNECTION_ID=").next().unwrap_or_default();
            let why: String = why.chars().filter(|c| !c.is_ascii_digit()).collect();
            format!("{} {why} {next}", error.class)
        }
    }
}

/// What happens next about an error, and what has to be done by whom. It says nothing that changes from one attempt to the next.
fn what_next(error: &Error, again_in: Option<Duration>) -> String {
    if again_in.is_some() {
        return match error.class {
            Class::Config => {
                "needs to be fixed by an operator; retried automatically every few minutes, and at once after a reload"
                    .to_owned()
            }
            Class::Auth
            | Class::Backoff
            | Class::Reconnect
            | Class::Cancelled
            | Class::Partial
            | Class::Unsupported
            | Class::Bug => "retried automatically".to_owned(),
        };
    }
    let fixed = match error.account_fault() {
        Some(AccountFault::WrongPassword) => "a reload alone does not try this password again",
        Some(AccountFault::Locked) => "unlock the account (ALTER USER ... ACCOUNT UNLOCK), then reload",
        Some(AccountFault::Expired) => {
            "give the account a new password, write that where `password:` of the configuration says, then reload"
        }
        None if error.lacks_create_session() => "grant CREATE SESSION to the account, then reload",
        None => "fix the cause, then reload",
    };
    format!("not retried automatically, so that the account is not locked; {fixed}")
}

impl EventWatcher {
    /// For one database; its reports go to the state folder.
    #[must_use]
    pub fn new(
        database: &Arc<str>,
        sink: Arc<EventSink>,
        pulse: Pulse,
        clock: Arc<dyn Clock>,
        switch: Arc<Switch>,
        state: &Path,
    ) -> EventWatcher {
        EventWatcher {
            database: Arc::clone(database),
            sink,
            pulse,
            breakers: Breakers::default(),
            suspensions: Suspensions::default(),
            switch,
            reports: Some(Reports::new(state, clock)),
            up: None,
            cause: None,
            connections: Vec::new(),
            hanging: 0,
            said: Vec::new(),
            stopped: None,
            noted: Vec::new(),
            instances: BTreeMap::new(),
        }
    }

    /// Notes on instances that were there and are not shown any more. GV$ views leave them out without a word.
    fn gone_instances(&mut self, snapshot: &Snapshot) -> Vec<String> {
        let there = snapshot.instances();
        for instance in there {
            self.instances.insert(instance.inst_id, instance.name.clone());
        }
        let is_gone = |inst_id: &u32| there.iter().all(|instance| instance.inst_id != *inst_id);
        let gone = self.instances.iter().filter(|(inst_id, _)| is_gone(inst_id));
        gone.map(|(inst_id, name)| {
            format!(
                "instance {inst_id} ({name}) was there and is not shown any more: its sessions are not seen, and nobody there is acted on; if it \
                 was removed for good, restart the daemon"
            )
        })
        .collect()
    }

    /// The same without the reports in the state folder, which a thread of their own writes.
    #[must_use]
    pub fn without_reports(self) -> EventWatcher {
        EventWatcher { reports: None, ..self }
    }

    fn record(&self, event: &Event) {
        self.sink.record(event);
    }

    fn say_up(&mut self, view: &CycleView<'_>) {
        self.cause = None;
        if self.up.replace(true) == Some(true) {
            return;
        }
        let capabilities = &view.polled.capabilities;
        let instances = view.polled.snapshot.instances();
        self.record(&Event::DatabaseUp {
            database: Arc::clone(&self.database),
            instances: instances
                .iter()
                .map(|instance| (instance.inst_id, instance.name.clone()))
                .collect(),
            release: capabilities.version.clone(),
        });
    }

    fn tell_acting(&self) {
        self.record(&Event::Acting {
            database: Arc::clone(&self.database),
            connections: self.connections.clone(),
            hanging: self.hanging,
        });
    }

    /// Counts an error of reading, and tells of it if the database was up, or is down now for another reason or with something else
    /// to be done about it. `next` does not change while the reason stays.
    fn is_down(&mut self, error: &Error, next: &str) {
        self.record(&Event::DriverError {
            database: Arc::clone(&self.database),
            class: error.class,
            error: error.to_string(),
        });
        self.up = Some(false);
        let cause = cause_of(error, next);
        if self.cause.as_ref() != Some(&cause) {
            self.cause = Some(cause);
            self.record(&Event::DatabaseDown {
                database: Arc::clone(&self.database),
                error: format!("{error}; {next}"),
            });
        }
    }

    /// Logs a note on a database when it begins and when it ends, not in every cycle.
    fn tell_notes(&mut self, notes: &[String]) {
        for note in notes.iter().filter(|note| !self.noted.contains(*note)) {
            tracing::warn!(database = &*self.database, note = note.as_str(), "note on the database");
        }
        for note in self.noted.iter().filter(|note| !notes.contains(*note)) {
            tracing::info!(
                database = &*self.database,
                note = note.as_str(),
                "note no longer applies"
            );
        }
        self.noted = notes.to_vec();
    }

    /// Logs notes that are new, not the same ones in every cycle.
    fn say_once(&mut self, notes: Vec<String>) {
        const REMEMBERED: usize = 100;
        for note in notes {
            if !self.said.contains(&note) {
                tracing::warn!(database = &*self.database, note = note.as_str(), "note on the database");
                self.said.push(note);
                let surplus = self.said.len().saturating_sub(REMEMBERED);
                self.said.drain(..surplus);
            }
        }
    }
}

impl Watcher for EventWatcher {
    fn cycle(&mut self, view: &CycleView<'_>) {
        self.say_up(view);
        let mut notes = view.notes();
        notes.extend(self.gone_instances(&view.polled.snapshot));
        self.tell_notes(&notes);
        for verification in &view.cycle.verified {
            let database = Arc::clone(&self.database);
            self.record(&Event::Verification {
                database,
                verification: verification.clone(),
            });
        }
        for back in &view.cycle.returns {
            self.record(&Event::CameBack {
                database: Arc::clone(&self.database),
                back: back.clone(),
            });
        }
        for aftermath in &view.cycle.aftermaths {
            self.record(&Event::Rehearsed {
                database: Arc::clone(&self.database),
                aftermath: aftermath.clone(),
            });
        }
        let mut report = CycleReport::of(
            &self.database,
            &view.polled.snapshot,
            &view.polled.readings,
            view.cycle,
            view.rules,
            view.in_force,
            view.memory,
        );
        report.steps = vec![
            (CycleStep::Read, view.polled.took),
            (CycleStep::Decide, view.deciding_took),
            (CycleStep::Whole, view.polled.took + view.deciding_took),
        ];
        report.round_trips = view.polled.round_trips;
        report.notes = notes;
        report.stale = view.is_stale();
        report.leads = view.leads;
        report.acting_beside = view.polled.acting_beside().len();
        let changes = self.breakers.changes(&report).into_iter();
        for event in changes.chain(self.suspensions.changes(&report)) {
            self.record(&event);
        }
        self.record(&Event::Cycle(Arc::new(report)));
        if let Some(Err(error)) = self.reports.as_mut().map(|reports| reports.write(view)) {
            self.say_once(vec![format!("no new report in the state folder: {error}")]);
        }
    }

    fn unreadable(&mut self, _: &str, error: &Error, again_in: Option<Duration>) {
        self.is_down(error, &what_next(error, again_in));
    }

    fn hangs(&mut self, _: &str, error: &Error) {
        self.is_down(error, "waiting for its connection to end");
    }

    fn unsupported(&mut self, _: &str, policy: &str, why: &str) {
        self.say_once(vec![Check::does_not_run(policy, why).to_string()]);
    }

    fn done(&mut self, _: &str, _: &Done) {}

    fn acting_stopped(&mut self, _: &str, why: &str) {
        if self.stopped.as_deref() != Some(why) {
            tracing::error!(
                database = &*self.database,
                error = why,
                "no actions on this database for now"
            );
            self.stopped = Some(why.to_owned());
        }
    }

    fn acting_goes_on(&mut self, _: &str) {
        if self.stopped.take().is_some() {
            tracing::info!(database = &*self.database, "actions resumed");
        }
    }

    fn acting_failed(&mut self, database: &str, error: &Error) {
        self.record(&Event::DriverError {
            database: Arc::clone(&self.database),
            class: error.class,
            error: error.to_string(),
        });
        let mut why = error.to_string();
        if error.class.retry() == Retry::Never {
            why = format!("{why}; {}", what_next(error, None));
        }
        self.acting_stopped(database, &why);
    }

    fn helper_failed(&mut self, _: &str, error: &Error) {
        self.record(&Event::DriverError {
            database: Arc::clone(&self.database),
            class: error.class,
            error: error.to_string(),
        });
    }

    fn hanging(&mut self, _: &str, connections: usize) {
        if self.hanging != connections {
            self.hanging = connections;
            self.tell_acting();
        }
    }

    fn stepped(&mut self, _: &str, step: ClockStep) {
        let step = step.to_string();
        let message = "the database's clock was set; no time counts as passed, and all holds begin anew";
        tracing::warn!(database = &*self.database, step, "{message}");
    }

    fn standby(&mut self, _: &str, places: &[ConnectionState]) {
        // If none is open, acting has failed, which is reported as such.
        let some_stand = places.iter().any(|place| place.stands);
        for error in places
            .iter()
            .filter(|_| some_stand)
            .filter_map(|place| place.error.as_ref())
        {
            self.record(&Event::DriverError {
                database: Arc::clone(&self.database),
                class: error.class,
                error: error.to_string(),
            });
        }
        let now: Vec<(Option<u32>, bool)> = places.iter().map(|place| (place.inst_id, place.stands)).collect();
        if self.connections != now {
            self.connections = now;
            self.tell_acting();
        }
    }

    fn alive(&mut self, _: &str) {
        self.pulse.touch();
    }

    fn paused(&mut self) -> Option<Pause> {
        self.switch.known()
    }
}

/// Records one database's actions.
pub struct Clerk {
    database: Arc<str>,
    place: Arc<str>,
    sink: Arc<EventSink>,
    intents: HashMap<u64, Arc<Intent>>,
}

impl Clerk {
    /// For one database: its name, and the digest of its address and account.
    #[must_use]
    pub fn new((database, place): (&Arc<str>, &Arc<str>), sink: Arc<EventSink>) -> Clerk {
        Clerk {
            database: Arc::clone(database),
            place: Arc::clone(place),
            sink,
            intents: HashMap::new(),
        }
    }

    fn intent(&self, intending: &Intending<'_>) -> Arc<Intent> {
        Arc::new(Intent::of(
            intending.action_id,
            (&self.database, &self.place),
            intending.warrant,
            Some(intending.seen),
            intending.statement,
            intending.identity,
            intending.waited,
        ))
    }
}

impl StepRecorder for Clerk {
    fn abandon(&mut self, why: &str) -> Vec<Done> {
        let mut open: Vec<Arc<Intent>> = self.intents.drain().map(|(_, intent)| intent).collect();
        open.sort_by_key(|intent| intent.id);
        let ended = open.into_iter().map(|intent| {
            let outcome = unwritten(&intent);
            self.sink
                .record(&Event::Outcome(Outcomed::untold(&intent, outcome, why)));
            done_of(&intent, outcome, None)
        });
        ended.collect()
    }

    fn next_id(&mut self) -> u64 {
        self.sink.next_id()
    }

    fn intend(&mut self, intending: &Intending<'_>) -> io::Result<()> {
        let intent = self.intent(intending);
        self.sink.record_intent(&intent)?;
        self.intents.insert(intent.id, intent);
        Ok(())
    }

    fn answered(&mut self, answered: &Answered<'_>) {
        let Some(intent) = self.intents.remove(&answered.action_id) else {
            return;
        };
        self.sink.record(&Event::Outcome(Outcomed {
            intent,
            outcome: answered.outcome,
            code: answered.code,
            message: answered.message.clone(),
            statement: answered.statement.map(str::to_owned),
            session: answered
                .session
                .map(|session| Evidence::of(session, 0))
                .unwrap_or_default(),
            took: answered.took,
        }));
    }

    fn unused(&mut self, unused: &Intending<'_>, outcome: Outcome, why: &str) {
        let dropped = Outcomed::untold(&self.intent(unused), outcome, why);
        self.sink.record(&Event::Dropped(dropped));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::oracle::Class;
    use crate::oracle::error::Phase;

    #[test]
    fn an_outage_has_one_cause_whichever_limit_ran_out_first() {
        let second = Duration::from_secs(1);
        let of_net = |message: &str| Error::from_database(Phase::Connect, "connect", None, message);
        let odpi = "DPI-1067: call timeout of 1000 ms exceeded with ORA-3156";
        let silent = [
            Error::no_answer(Class::Backoff, "connect", second),
            Error::no_answer(Class::Reconnect, "read", second),
            of_net("ORA-12170: TNS:Connect timeout occurred"),
            of_net("ORA-12535: TNS:operation timed out"),
            Error::from_odpi(Phase::Call, "read", 0, odpi, second),
        ];
        for error in &silent {
            assert_eq!(cause_of(error, ""), cause_of(&silent[0], ""), "{error}");
        }
        let refused = of_net("ORA-12541: TNS:no listener");
        assert_ne!(cause_of(&refused, ""), cause_of(&silent[0], ""));
        assert_ne!(cause_of(&refused, ""), cause_of(&of_net("ORA-12514: no service"), ""));
        let id = |id| Error::new(Class::Backoff, "connect", format!("unreachable (CONNECTION_ID={id})"));
        assert_eq!(cause_of(&id("aQ=="), ""), cause_of(&id("bW=="), ""));
    }
}
