//! Warrants wait here, and are given to the acting threads, one at a time to each.
//!
//! Each cycle decides again about the warrants that wait: each is replaced by the newest one for its session, or dropped. A warrant
//! that a thread has is under way until it has an outcome.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::daemon::actor::drop_unused;
use crate::daemon::database::orders::Trouble;
use crate::daemon::database::workers::LOGS_OFF_AFTER;
use crate::daemon::database::{BatchState, DatabaseLoop, whole_seconds};
use crate::daemon::messages::{Acted, ActorOrder, Batch, Polled, Task};
use crate::daemon::operator::OrderStep;
use crate::daemon::standby::{ConnectionState, names};
use crate::decide::cycle::{Done, remember};
use crate::decide::going::going;
use crate::decide::guard::Warrant;
use crate::decide::in_force::DatabaseRules;
use crate::decide::ledger::later;
use crate::decide::outcome::Outcome;
use crate::oracle::{Class, Error};
use crate::session::snapshot::Snapshot;

impl DatabaseLoop {
    /// How many threads may act at the same time.
    pub(super) fn parallel(&self) -> usize {
        usize::try_from(self.rules.limits().parallel).unwrap_or(1)
    }

    /// Has the acting connections checked and, if `may_connect`, missing ones made.
    pub(super) fn stand_by(&mut self, may_connect: bool) {
        let now = self.clock.now();
        let may_connect = match &self.acting {
            BatchState::Free => may_connect,
            BatchState::Waiting { until, .. } => may_connect && now >= *until,
            BatchState::GaveUp { .. } => false,
        };
        if let Some(order) = self.standby.ask(now, may_connect) {
            // If the thread has ended, the daemon ends too.
            let _ = self.workers.order_main(ActorOrder::StandBy(order), now);
        }
        let idle = if self.standby.is_needed() {
            LOGS_OFF_AFTER
        } else {
            Duration::ZERO
        };
        self.workers.keep_up(idle, now);
    }

    /// If no connection stands by, nothing is permitted until one does; otherwise acting goes on.
    fn stood(&mut self, worker: usize, places: &[ConnectionState]) {
        let now = self.clock.now();
        if let Some(error) = self.workers.stood(worker, places, now, self.settings.poll) {
            self.watcher.helper_failed(&self.settings.name, &error);
        }
        if !self.workers.is_main(worker) {
            return;
        }
        self.standby.answered(places, now, self.settings.poll);
        self.watcher.standby(&self.settings.name, places);
        if self.workers.stands() {
            if self.trouble == Some(Trouble::Connection) {
                self.goes_on();
            }
            if matches!(self.acting, BatchState::Waiting { .. }) && places.iter().all(|place| place.stands) {
                self.acting = BatchState::Free;
                self.acting_backoff.reset();
            }
        } else if let Some(error) = places.iter().find_map(|place| place.error.as_ref())
            // A thread with a warrant finds out by itself.
            && self.memory.under_way.is_empty()
        {
            self.act_later(error);
        }
    }

    /// What the warrants of this snapshot have in common.
    fn batch(
        &self,
        polled: &Polled,
        rules: Arc<DatabaseRules>,
        now: DateTime<Utc>,
        told: Option<Sender<OrderStep>>,
    ) -> Arc<Batch> {
        Arc::new(Batch {
            began: polled.began,
            clock_came: polled.clock_came,
            read_in: whole_seconds(polled.took),
            good_for: self.settings.poll * 2,
            today: self.rules.today(now),
            rules,
            stepped: self.memory.clocks.stepped(),
            ending: Arc::clone(&self.ending),
            rates: Arc::clone(&self.memory.rates),
            own: self.own.clone(),
            instances: names(&polled.snapshot),
            texts: polled.capabilities.texts,
            revoked: Arc::clone(&self.revoked),
            term: self.lead.term(),
            told,
        })
    }

    /// Replaces the waiting warrants by those of this cycle, and gives them to free threads.
    pub(super) fn permit(
        &mut self,
        warrants: Vec<Warrant>,
        polled: &Polled,
        rules: Arc<DatabaseRules>,
        now: DateTime<Utc>,
    ) {
        let batch = self.batch(polled, rules, now, None);
        let seen = |warrant: &Warrant| Some(polled.snapshot.only(polled.snapshot.find(warrant.key())?));
        let tasks = warrants.into_iter().filter_map(|warrant| {
            let seen = seen(&warrant)?;
            let batch = Arc::clone(&batch);
            Some(Task { warrant, seen, batch })
        });
        let before = std::mem::replace(&mut self.waiting, tasks.collect());
        for old in before {
            let is_renewed = self.waiting.iter().any(|new| new.is_for_the_same(&old));
            if !is_renewed {
                let why = "a newer snapshot gave it no turn";
                self.drop_task(&old, Outcome::Revoked, why);
            }
        }
        self.share_out();
    }

    /// Gives an operator's order to a free thread; false if there is none.
    pub(super) fn order(
        &mut self,
        (warrant, seen): (Warrant, Snapshot),
        polled: &Polled,
        rules: Arc<DatabaseRules>,
        now: DateTime<Utc>,
        told: Sender<OrderStep>,
    ) -> bool {
        let place = self.standby.place_of(warrant.key().inst_id);
        let batch = self.batch(polled, rules, now, Some(told));
        match self.workers.free_for(place, self.parallel()) {
            Some(worker) => self.give(worker, Task { warrant, seen, batch }),
            None => false,
        }
    }

    /// Whether a thread could take an order for a session on this instance at once. If not, a helper is called if possible.
    pub(super) fn is_free_for(&mut self, inst_id: u32) -> bool {
        let place = self.standby.place_of(inst_id);
        let is_free = self.workers.free_for(place, self.parallel()).is_some();
        if !is_free {
            self.call((place, 1));
        }
        is_free
    }

    fn call(&mut self, waiting: (Option<u32>, usize)) {
        let (parallel, now) = (self.parallel(), self.clock.now());
        self.workers.call(waiting, self.standby.instances(), parallel, now);
    }

    fn give(&mut self, worker: usize, task: Task) -> bool {
        let place = self.standby.place_of(task.warrant.key().inst_id);
        let journal_fails = self.trouble == Some(Trouble::Journal);
        let given = self.workers.give(worker, task, place, journal_fails, self.clock.now());
        if let Some(task) = self.workers.task(worker).filter(|_| given) {
            self.memory.under_way.begin(task.begun.clone());
        }
        given
    }

    /// Gives waiting warrants to free threads, drops those that have waited too long, and calls helpers.
    pub(crate) fn share_out(&mut self) {
        for task in std::mem::take(&mut self.waiting) {
            if let Some((outcome, why)) = task.batch.lapsed(&*self.clock) {
                self.drop_task(&task, outcome, &why);
                continue;
            }
            let place = self.standby.place_of(task.warrant.key().inst_id);
            match self.workers.free_for(place, self.parallel()) {
                // If the thread has ended, the daemon ends too.
                Some(worker) => drop(self.give(worker, task)),
                None => self.waiting.push(task),
            }
        }
        let mut waiting = BTreeMap::new();
        for task in &self.waiting {
            let place = self.standby.place_of(task.warrant.key().inst_id);
            *waiting.entry(place).or_insert(0) += 1;
        }
        for of_place in waiting {
            self.call(of_place);
        }
    }

    /// Drops all waiting warrants.
    pub(super) fn drop_waiting(&mut self, outcome: Outcome, why: &str) {
        for task in std::mem::take(&mut self.waiting) {
            self.drop_task(&task, outcome, why);
        }
    }

    fn drop_task(&mut self, task: &Task, outcome: Outcome, why: &str) {
        let done = drop_unused(task, (outcome, why), &*self.clock, &mut *self.recorder);
        self.done(done, task.batch.stepped);
    }

    fn done(&mut self, mut done: Done, stepped: TimeDelta) {
        self.watcher.done(&self.settings.name, &done);
        self.requests.done(&done);
        let until = || {
            let pause = self.acting_backoff.after(Class::Config, self.settings.poll);
            self.clock.now().plus(pause.unwrap_or(self.settings.poll))
        };
        if let Some(standstill) = self.refused.learn_from(&done, until) {
            self.revoke(&standstill.to_string());
        }
        self.memory.under_way.end(&done.begun());
        done.at = later(done.at, self.memory.clocks.stepped() - stepped);
        self.kin.done(done.action_id);
        remember(&mut self.memory, done);
        // Before its action counts as ended.
        self.ending.follow(going(&self.memory.following));
    }

    pub(super) fn acted(&mut self, worker: usize, acted: Acted) {
        let answers = matches!(acted, Acted::Standby(_) | Acted::Finished(_));
        if self.workers.goes_on(worker, answers, self.clock.now()) {
            self.replace_main();
            self.watcher.hanging(&self.settings.name, self.workers.lost());
        }
        self.look_who_leads();
        match acted {
            Acted::Connected(own) => self.remember_own(own),
            Acted::Standby(places) => {
                self.stood(worker, &places);
                self.share_out();
            }
            Acted::Done(done, stepped) => self.done(*done, stepped),
            Acted::JournalFailed(why) => {
                self.trouble = Some(Trouble::Journal);
                self.watcher.acting_stopped(&self.settings.name, &why);
                // Nor can it be recorded that they are dropped.
                self.waiting.clear();
                self.not_carried_out(worker, &format!("write the intent to the journal: {why}"));
            }
            Acted::Unreachable(error) => {
                self.drop_waiting(Outcome::Revoked, &format!("there is no connection to act on: {error}"));
                self.not_carried_out(worker, &error.to_string());
                if self.workers.is_main(worker) && !self.workers.others_stand() {
                    self.act_later(&error);
                } else {
                    self.workers.failed(&error, self.clock.now(), self.settings.poll);
                    self.watcher.helper_failed(&self.settings.name, &error);
                }
            }
            Acted::Finished(stands) => self.finished(worker, stands),
        }
    }

    /// What waits is dropped by the caller: it would fail for the same reason.
    fn not_carried_out(&mut self, worker: usize, why: &str) {
        if let Some(task) = self.workers.task(worker) {
            task.failed = true;
            if task.by_hand {
                self.requests.not_carried_out(why);
            }
        }
    }

    fn finished(&mut self, worker: usize, stands: Vec<u32>) {
        if let Some(task) = self.workers.finished(worker, stands, self.clock.now()) {
            self.memory.under_way.end(&task.begun);
            self.ending.ended(&task.going);
            if task.by_hand {
                self.requests.not_carried_out("the daemon dropped it; its log says why");
            }
            if self.trouble == Some(Trouble::Journal) && task.shows_journal && !task.failed {
                self.goes_on();
            }
        }
        if matches!(self.acting, BatchState::Free) {
            self.acting_backoff.reset();
        }
        self.rest_if_idle();
        self.share_out();
    }

    /// Lets other entries of the same database act where nothing is under way here.
    pub(super) fn rest_if_idle(&mut self) {
        if self.memory.under_way.is_empty() && self.waiting.is_empty() {
            self.kin.rest(self.memory.ledger.own());
        }
    }

    /// Has another thread stand by in place of a main thread that hangs in a call, if there is one.
    pub(super) fn replace_main(&mut self) {
        if self.workers.replace_main(self.parallel(), self.clock.now()) {
            self.standby.passed_on();
        }
    }

    fn goes_on(&mut self) {
        self.trouble = None;
        self.watcher.acting_goes_on(&self.settings.name);
    }

    fn act_later(&mut self, error: &Error) {
        self.trouble = Some(Trouble::Connection);
        let why = error.to_string();
        self.watcher.acting_failed(&self.settings.name, error);
        self.acting = match self.acting_backoff.after(error.class, self.settings.poll) {
            Some(pause) => BatchState::Waiting {
                until: self.clock.now().plus(pause),
                why,
            },
            None => BatchState::GaveUp { why },
        };
    }
}

#[cfg(test)]
mod tests;
