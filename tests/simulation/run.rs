//! A run: what happens in it, and in what order.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use orareaper::decide::cycle::Memory;
use orareaper::decide::in_force::RunMode;
use orareaper::journal::read::{History, read};

use super::base::Key;
use super::chance::Chance;
use super::groups::GROUPS;
use super::judge::Entry;
use super::memory::{LostIntent, Sent, Told};
use super::operators::BY_HAND;
use super::setting::Setting;
use super::stage::{Left, Stage};
use super::statements::is_safe;

/// What a run came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) statements: usize,
    pub(crate) crashes: usize,
    pub(crate) turns: usize,
    /// Statements that were a further rung of a ladder, and those of whom several were at work at once.
    pub(crate) escalations: usize,
    pub(crate) side_by_side: usize,
    /// Orders by hand, and those of them that came to a statement.
    pub(crate) orders: usize,
    pub(crate) by_hand: usize,
    /// Passwords that were refused.
    pub(crate) refused: usize,
    /// A number that another run of the same seed comes to as well.
    pub(crate) trace: u64,
}

impl Summary {
    pub(crate) fn add(&mut self, other: Summary) {
        self.statements += other.statements;
        self.crashes += other.crashes;
        self.turns += other.turns;
        self.escalations += other.escalations;
        self.side_by_side += other.side_by_side;
        self.orders += other.orders;
        self.by_hand += other.by_hand;
        self.refused += other.refused;
        self.trace ^= other.trace;
    }
}

/// One run.
pub(crate) struct Run {
    stage: Arc<Stage>,
    summary: Summary,
}

impl Run {
    pub(crate) fn new(seed: u64) -> Run {
        let stage = Arc::new(Stage::new(Setting::of(seed), Chance::of(seed)));
        let entries: Vec<Option<Entry>> = stage
            .setting
            .entries
            .iter()
            .map(|entry| Some(entry.says[0].clone()))
            .collect();
        stage.write_passwords();
        stage.start(&entries);
        Run {
            stage,
            summary: Summary::default(),
        }
    }

    /// Everything that goes wrong, for so many turns; then nothing more, until whoever has to go is gone.
    pub(crate) fn play(mut self, turns: usize) -> Summary {
        for _ in 0..turns {
            self.turn();
        }
        let rests = if self.stage.setting.accounts.is_some() { 3 } else { 8 };
        if self.stage.one_in(rests) {
            self.come_to_rest();
        }
        self.stage.end();
        let judge = self.stage.judge();
        let mut summary = self.summary;
        summary.statements = judge.sent.len();
        summary.refused = self.stage.accounts().refusals();
        summary.orders = judge.orders.len();
        summary.by_hand = judge.orders.iter().filter(|order| order.sent).count();
        for (at, sent) in judge.sent.iter().enumerate() {
            let earlier = &judge.sent[..at];
            let again = earlier
                .iter()
                .any(|other| other.entry == sent.entry && other.key == sent.key);
            summary.escalations += usize::from(again);
            let beside = earlier
                .iter()
                .any(|other| other.at < sent.at && sent.at < other.ended && other.base == sent.base);
            summary.side_by_side += usize::from(beside);
            for part in [sent.at, sent.read, i64::from(sent.key.sid), i64::from(sent.key.serial)] {
                summary.trace = summary.trace.rotate_left(5) ^ part.unsigned_abs().wrapping_mul(0x9e37_79b9_7f4a_7c15);
            }
        }
        summary
    }

    /// Some time, some trouble, and a turn of everybody.
    fn turn(&mut self) {
        let stage = Arc::clone(&self.stage);
        self.summary.turns += 1;
        let poll = stage.setting.entries[0].says[0].poll;
        let what = stage.chance().between(0, 9);
        let span = match what {
            0 => poll * 5,
            1 => poll / 3,
            2 => stage.chance().some(600, 4_000),
            _ => poll,
        };
        stage.pass(Duration::from_secs(span.unsigned_abs()));
        self.disturb();
        let crashes = stage.one_in(10).then(|| stage.chance().between(1, 12));
        stage.will_crash(crashes);
        let left = stage.until_a_crash(|| {
            for part in stage.all_parts() {
                part.database().tick();
                stage.poll(&part);
            }
            while stage.all_parts().iter().any(|part| stage.work(part)) {
                stage.may_crash(1);
            }
        });
        stage.will_crash(None);
        if let Some(left) = left {
            self.recover(left);
        } else if stage.one_in(6) {
            self.compare_with_journal();
        }
    }

    fn disturb(&mut self) {
        let stage = &self.stage;
        for at in 0..stage.setting.bases.len() {
            let mut faults = stage.faults();
            let mut chance = stage.chance();
            if chance.one_in(2) {
                faults[at].end();
            }
            if chance.one_in(2) {
                faults[at].arm(&mut chance, stage.setting.bases[at].instances);
            }
        }
        let changes = stage.chance().between(0, 2);
        for _ in 0..changes {
            stage.touch_somebody();
        }
        if stage.one_in(3) {
            stage.join_all();
        }
        if stage.one_in(40) {
            stage.set_a_clock();
        }
        if stage.one_in(12) {
            stage.reload_somewhere();
        }
        if stage.one_in(12) {
            let paused = stage.judge().paused;
            stage.pause(!paused);
        }
        if stage.one_in(8) {
            stage.somebody_orders();
        }
        stage.operators_go_on();
        stage.passwords_change();
        if stage.one_in(25) {
            self.restart();
        }
        self.add_what_is_gone();
    }

    /// An entry that was removed comes back, with what the journal knows of it.
    fn add_what_is_gone(&self) {
        let stage = &self.stage;
        let gone: Vec<usize> = (0..stage.setting.entries.len())
            .filter(|at| stage.judge().entries[*at].is_none())
            .collect();
        for at in gone {
            if stage.is_calm() || stage.one_in(3) {
                let history = self.history();
                let says = stage.chance().pick(&stage.setting.entries[at].says).clone();
                stage.judge().memory[at].restarts();
                let mut entries = self.entries();
                entries[at] = Some(says.clone());
                stage.learn(&entries, &history);
                stage.add(at, &says, &history);
            }
        }
    }

    /// What the journal says now.
    fn history(&self) -> History {
        self.stage.history()
    }

    fn entries(&self) -> Vec<Option<Entry>> {
        self.stage.judge().entries.clone()
    }

    /// Ends the daemon in good order and starts it again: what the journal remembers is what the daemon did.
    fn restart(&mut self) {
        let entries = self.entries();
        self.compare_with_journal();
        self.stage.end();
        self.stage.start(&entries);
    }

    /// What the journal remembers is what the daemon remembers.
    fn compare_with_journal(&self) {
        if self.stage.clocks_were_set.load(Ordering::Relaxed) {
            return;
        }
        let now = self.stage.clock().utc();
        let history = self.history();
        let leads: BTreeSet<usize> = self.stage.judge().base_of.iter().copied().collect();
        if leads.len() < self.stage.setting.entries.len() {
            // Entries of one database reckon with each other's actions, which the journal does not do for them.
            return;
        }
        for part in self.stage.all_parts() {
            let live = remembered(part.database().memory(), now);
            let from_journal = remembered(&history.memory(&part.name, &part.place), now);
            assert_eq!(live, from_journal, "the journal remembers otherwise");
        }
    }

    /// The daemon is gone, and comes back: whatever it may have done is remembered.
    fn recover(&mut self, left: Left) {
        let stage = &self.stage;
        self.summary.crashes += 1;
        let entries = self.entries();
        let known: Vec<(usize, BTreeSet<Key>)> = stage
            .all_parts()
            .iter()
            .map(|part| (part.at, part.followed().into_iter().collect()))
            .collect();
        stage.end_as_after(left);
        let history = read(stage.state.path(), stage.clock().utc()).expect("the journal");
        {
            let mut judge = stage.judge();
            let judge = &mut *judge;
            let memories = judge.memory.iter().enumerate();
            let under_way = memories
                .flat_map(|(at, memory)| memory.begun.values().filter_map(move |begun| LostIntent::of(at, begun)));
            let is_open = |lost: &LostIntent| history.actions.get(&lost.id).is_some_and(|past| past.outcome.is_none());
            judge
                .lost
                .extend(under_way.chain(judge.unsent.drain(..).filter(is_open)));
        }
        let is_written = |sent: &Sent| history.actions.get(&sent.id).is_some_and(|past| past.outcome.is_some());
        let mut in_flight = Vec::new();
        for sent in stage
            .judge()
            .sent
            .iter_mut()
            .filter(|sent| sent.under_way || !is_written(sent))
        {
            in_flight.extend(sent.under_way.then_some((sent.entry, sent.key)));
            // What came of it is not known any more.
            (sent.under_way, sent.told) = (false, Told::Nothing);
        }
        stage
            .judge()
            .memory
            .iter_mut()
            .for_each(super::memory::EntryMemory::crashes);
        stage.start(&entries);
        for (at, before) in known {
            let part = stage
                .all_parts()
                .into_iter()
                .find(|part| part.at == at)
                .expect("it is configured");
            let after: BTreeSet<Key> = part.followed().into_iter().collect();
            let in_flight = in_flight.iter().filter(|(entry, _)| *entry == at).map(|(_, key)| key);
            for key in before.iter().chain(in_flight) {
                assert!(after.contains(key), "{key:?} is forgotten after the crash");
            }
        }
    }

    /// Nothing goes wrong any more: whoever is wanted and not protected goes, within the budgets.
    fn come_to_rest(&mut self) {
        let stage = Arc::clone(&self.stage);
        stage.calm.store(true, Ordering::Relaxed);
        stage.faults().iter_mut().for_each(super::faults::Faults::end);
        stage.join_all();
        stage.pause(false);
        let refused = stage.settle_accounts();
        self.add_what_is_gone();
        for part in stage.all_parts() {
            let mut entry = stage.judge().entries[part.at].clone().expect("it is configured");
            (entry.armed, entry.blackout) = (true, None);
            stage.reload(part.at, &entry);
        }
        for _ in 0..12 {
            stage.pass(Duration::from_secs(60));
            if let Some(but) = refused {
                stage.all_others_log_off(but);
            }
            while stage.everybody_s_turn_is_over() {}
        }
        for part in stage.all_parts() {
            // An account that stays refused concerns nobody else.
            let base = stage.judge().base_of[part.at];
            if refused != Some(base) {
                self.rest_at(part.at);
            }
        }
    }

    /// Waits until those are gone whom one entry alone can be expected to end.
    fn rest_at(&self, at: usize) {
        let stage = &self.stage;
        let entry = stage.judge().entries[at].clone().expect("it is configured");
        let alone = stage
            .setting
            .entries
            .iter()
            .filter(|other| other.says[0].base == entry.base)
            .count()
            == 1;
        let spec = &stage.setting.bases[entry.base];
        // A clock that was set back while the daemon was down keeps what was refused and what was done for longer.
        if stage.clocks_were_set.load(Ordering::Relaxed)
            || !alone
            || spec.reconnects()
            || entry.limits.share < 100
            || entry.package
            || entry.limits.per_day.is_some()
        {
            return;
        }
        let wants = |key: &Key| {
            let bases = stage.bases();
            let base = &bases[entry.base];
            base.find(*key).is_some_and(|session| {
                let rules = entry
                    .rules
                    .iter()
                    .filter(|rule| rule.ends_all_it_wants() && rule.per_day.is_none());
                session.mark.is_none()
                    && !is_safe(session)
                    && GROUPS[session.group.expect("nobody's own")].name != "pool"
                    && rules.into_iter().any(|rule| rule.wants(session, base))
            })
        };
        let keys: Vec<Key> = stage.bases()[entry.base]
            .sessions
            .iter()
            .map(|session| session.key)
            .collect();
        let mut wanted: Vec<Key> = keys.into_iter().filter(wants).collect();
        let hours = 4 + 2 * wanted.len();
        for _ in 0..hours * 12 {
            if wanted.is_empty() {
                return;
            }
            for _ in 0..300 / entry.poll.min(100) / 3 {
                stage.pass(Duration::from_secs(entry.poll.unsigned_abs() * 3));
                while stage.everybody_s_turn_is_over() {}
                wanted.retain(wants);
            }
        }
        let history = self.history();
        let text = std::fs::read_to_string(orareaper::journal::file(stage.state.path(), 0)).unwrap_or_default();
        let last: Vec<&str> = text.lines().rev().take(4).collect();
        let first = stage.bases()[entry.base].find(wanted[0]).cloned();
        panic!(
            "{wanted:?} are still there after {hours} hours by {entry:?}: {first:?} {} actions, {last:#?}",
            history.actions.len()
        );
    }
}

impl Stage {
    /// A turn of everybody; whether anything was done.
    fn everybody_s_turn_is_over(&self) -> bool {
        let mut any = false;
        for part in self.all_parts() {
            part.database().tick();
            self.poll(&part);
            while self.work(&part) {
                any = true;
            }
        }
        any
    }

    /// Something happens to one of the sessions, as it does at any time.
    pub(crate) fn touch_somebody(&self) {
        let (mut bases, mut chance) = (self.bases(), self.chance());
        let at = usize::try_from(chance.between(0, bases.len() as u64 - 1)).expect("few");
        let base = &mut bases[at];
        let keys: Vec<Key> = base
            .sessions
            .iter()
            .filter(|session| session.group.is_some() && !session.is_background())
            .map(|session| session.key)
            .collect();
        if keys.is_empty() || chance.one_in(5) {
            let group = usize::try_from(chance.between(0, GROUPS.len() as u64 - 1)).expect("few");
            let inst = u32::try_from(chance.between(1, base.instances.len() as u64)).expect("few");
            base.log_in(inst, Some(group));
            return;
        }
        let key = *chance.pick(&keys);
        match chance.between(0, 9) {
            0 | 1 => base.log_off(key),
            2 => base.reuse_seat(key, false),
            // SERIAL# is used up after 65,536 sessions on a seat.
            3 => base.reuse_seat(key, true),
            4 | 5 => base.commit(key),
            6 => base.killed_by_somebody(key),
            _ => base.use_it(key),
        }
    }

    pub(crate) fn join_all(&self) {
        for base in self.bases().iter_mut() {
            for inst in 1..=u32::try_from(base.instances.len()).expect("few") {
                base.join(inst);
            }
        }
    }

    /// A database's clock or the host's is set: by so much that no two settings come to a step of less than ten minutes, which counts
    /// as time.
    fn set_a_clock(&self) {
        const STEP: i64 = 4_000;
        self.clocks_were_set.store(true, Ordering::Relaxed);
        let at = usize::try_from(self.chance().between(0, self.setting.bases.len() as u64)).expect("few");
        match self.bases().get_mut(at) {
            Some(base) => {
                base.offset = if base.offset == 0 {
                    *self.chance().pick(&[STEP, -STEP])
                } else {
                    0
                };
                self.trace(|| format!("the clock of base {at} is off by {}", base.offset));
            }
            // Forward together with a database's, while the daemon is down, nobody could tell it from time.
            None => {
                self.trace(|| "the host's clock is set back".to_owned());
                self.set_host_clock(-STEP);
            }
        }
    }

    /// An entry's policies and settings change.
    pub(crate) fn reload_somewhere(&self) {
        let parts = self.all_parts();
        if parts.is_empty() {
            return;
        }
        let at = self.chance().pick(&parts).at;
        let mut says = self.chance().pick(&self.setting.entries[at].says).clone();
        says.armed = !self.one_in(3);
        self.reload(at, &says);
    }

    /// Anything.
    pub(crate) fn something_happens(&self) {
        let poll = self.setting.entries[0].says[0].poll;
        let what = self.chance().between(0, 17);
        match what {
            0..=2 => {
                let seconds = self.chance().some(1, poll);
                self.pass(Duration::from_secs(seconds.unsigned_abs()));
            }
            3..=5 => self.touch_somebody(),
            6 => {
                let paused = self.judge().paused;
                self.pause(!paused);
            }
            7 => self.reload_somewhere(),
            8..=10 => {
                for part in self.all_parts() {
                    self.work(&part);
                }
            }
            11 | 12 => self.everybody_s_turn(),
            13 => self.join_all(),
            14 if self.one_in(4) => {
                let parts = self.all_parts();
                if let Some(part) = parts.first().filter(|_| parts.len() > 1) {
                    self.remove(part.at);
                }
            }
            15 if self.one_in(8) => self.crash(false),
            16 => self.somebody_orders(),
            17 => self.operators_go_on(),
            _ => {}
        }
    }
}

/// What a memory comes to, in words that can be compared: budgets used up, and who is followed because of what.
fn remembered(memory: &Memory, now: DateTime<Utc>) -> Vec<String> {
    let mut words = Vec::new();
    let of_policies = ["a", "b"]
        .iter()
        .flat_map(|prefix| (0..4).map(move |number| format!("{prefix}{number}")));
    for name in of_policies.chain([BY_HAND.to_owned()]) {
        for hours in [1, 24] {
            for mode in [RunMode::Enforce, RunMode::DryRun] {
                let is = |policy: &str, of: RunMode| of == mode && policy == name;
                let count = memory
                    .ledger
                    .count(now, TimeDelta::hours(hours), |entry| is(&entry.policy, entry.mode));
                words.push(format!("{name} {hours}h {}: {count}", mode.name()));
            }
        }
    }
    words.extend(memory.following.iter().map(|(key, followed)| {
        format!(
            "{key} logged on {}: {} {} by {} ({}) since {} {:?}",
            key.logon_time.0,
            followed.action_id,
            followed.action,
            followed.policy,
            followed.mode.name(),
            followed.since,
            followed.state
        )
    }));
    words
}
