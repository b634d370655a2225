//! A run: what happens in it, and in what order.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use orareaper::decide::cycle::Memory;
use orareaper::decide::in_force::RunMode;

use super::base::{Base, Key};
use super::chance::Chance;
use super::groups::GROUPS;
use super::hosts::World;
use super::judge::Entry;
use super::operators::BY_HAND;
use super::setting::Setting;
use super::stage::Stage;
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
    /// Terms of several daemons' leads, and statements that were not carried out because their session did not hold the lock.
    pub(crate) terms: usize,
    pub(crate) fenced_off: usize,
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
        self.terms += other.terms;
        self.fenced_off += other.fenced_off;
        self.trace ^= other.trace;
    }

    /// What the daemon of one host came to.
    fn take(&mut self, stage: &Stage) {
        let judge = stage.judge();
        self.statements += judge.sent.len();
        self.refused += stage.accounts().refusals();
        self.orders += judge.orders.len();
        self.by_hand += judge.orders.iter().filter(|order| order.sent).count();
        for (at, sent) in judge.sent.iter().enumerate() {
            let earlier = &judge.sent[..at];
            let again = earlier
                .iter()
                .any(|other| other.entry == sent.entry && other.key == sent.key);
            self.escalations += usize::from(again);
            let beside = earlier
                .iter()
                .any(|other| other.at < sent.at && sent.at < other.ended && other.base == sent.base);
            self.side_by_side += usize::from(beside);
            for part in [sent.at, sent.read, i64::from(sent.key.sid), i64::from(sent.key.serial)] {
                self.trace = self.trace.rotate_left(5) ^ part.unsigned_abs().wrapping_mul(0x9e37_79b9_7f4a_7c15);
            }
        }
    }
}

/// One run.
pub(crate) struct Run {
    world: Arc<World>,
    hosts: Vec<Arc<Stage>>,
    summary: Summary,
}

impl Run {
    pub(crate) fn new(seed: u64) -> Run {
        let setting = Setting::of(seed);
        let world = Arc::new(World::new(&setting, Chance::of(seed)));
        let hosts: Vec<Arc<Stage>> = (0..setting.hosts)
            .map(|host| Arc::new(Stage::new(host, &setting, &world)))
            .collect();
        world.knows(&hosts);
        let entries: Vec<Option<Entry>> = setting
            .entries
            .iter()
            .map(|entry| Some(entry.says[0].clone()))
            .collect();
        for stage in &hosts {
            stage.write_passwords();
            if stage.host == 0 {
                stage.start(&entries);
            } else {
                stage.judge().entries.clone_from(&entries);
                let seconds = stage.chance().some(0, 5 * setting.entries[0].says[0].poll);
                stage.is_away(seconds);
            }
        }
        let summary = Summary::default();
        Run { world, hosts, summary }
    }

    /// Everything that goes wrong, for so many turns; then nothing more, until whoever has to go is gone.
    pub(crate) fn play(mut self, turns: usize) -> Summary {
        // A daemon that takes over needs some turns to get to work.
        let turns = if self.hosts.len() > 1 { turns * 3 / 2 } else { turns };
        for _ in 0..turns {
            self.turn();
        }
        let stage = Arc::clone(&self.hosts[0]);
        let rests = if stage.setting.accounts.is_some() { 3 } else { 8 };
        if stage.one_in(rests) {
            self.come_to_rest();
        }
        let mut summary = self.summary;
        for stage in &self.hosts {
            stage.end();
            summary.take(stage);
        }
        let count = |count: &AtomicUsize| count.load(Ordering::Relaxed);
        summary.crashes = count(&self.world.crashes);
        summary.fenced_off = count(&self.world.fenced_off);
        summary.terms = stage.bases().iter().map(Base::terms).sum();
        summary
    }

    /// The host whose turn it is, of several.
    fn host(&self) -> Arc<Stage> {
        let at = match self.hosts.len() {
            1 => 0,
            most => usize::try_from(self.hosts[0].chance().between(0, most as u64 - 1)).expect("few"),
        };
        Arc::clone(&self.hosts[at])
    }

    /// Some time, some trouble, and a turn of everybody.
    fn turn(&mut self) {
        let stage = Arc::clone(&self.hosts[0]);
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
        let first = self.host().host;
        for at in 0..self.hosts.len() {
            let stage = Arc::clone(&self.hosts[(first + at) % self.hosts.len()]);
            if stage.comes_to() {
                Run::turn_of(&stage);
            }
        }
    }

    fn turn_of(stage: &Arc<Stage>) {
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
        match left {
            Some(left) if stage.setting.has_leader() => stage.falls(left),
            Some(left) => {
                stage.dies(left);
                stage.comes_back();
            }
            None if stage.one_in(6) => compare_with_journal(stage),
            None => {}
        }
    }

    fn disturb(&self) {
        let stage = &self.hosts[0];
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
        let stage = &self.host();
        if stage.one_in(40) {
            stage.set_a_clock();
        }
        if stage.setting.has_leader() {
            stage.trouble_leaders();
        }
        if stage.runs() {
            disturb(stage);
        }
    }
}

/// What happens to a daemon that runs.
fn disturb(stage: &Arc<Stage>) {
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
        restart(stage);
    }
    add_what_is_gone(stage);
}

/// An entry that was removed comes back, with what the journal knows of it.
fn add_what_is_gone(stage: &Arc<Stage>) {
    let gone: Vec<usize> = (0..stage.setting.entries.len())
        .filter(|at| stage.judge().entries[*at].is_none())
        .collect();
    for at in gone {
        if stage.is_calm() || stage.one_in(3) {
            let history = stage.history();
            let says = stage.chance().pick(&stage.setting.entries[at].says).clone();
            stage.judge().memory[at].restarts();
            let mut entries = stage.judge().entries.clone();
            entries[at] = Some(says.clone());
            stage.learn(&entries, &history);
            stage.add(at, &says, &history);
        }
    }
}

/// Ends the daemon in good order and starts it again: what the journal remembers is what the daemon did.
fn restart(stage: &Arc<Stage>) {
    let entries = stage.judge().entries.clone();
    compare_with_journal(stage);
    stage.end();
    stage.start(&entries);
}

/// What the journal remembers is what the daemon remembers. What it has seen another daemon do is not in its journal.
fn compare_with_journal(stage: &Stage) {
    if stage.world.clocks_were_set.load(Ordering::Relaxed) {
        return;
    }
    let now = stage.clock().utc();
    let history = stage.history();
    let leads: BTreeSet<usize> = stage.judge().base_of.iter().copied().collect();
    if leads.len() < stage.setting.entries.len() {
        // Entries of one database reckon with each other's actions, which the journal does not do for them.
        return;
    }
    for part in stage.all_parts() {
        let live = remembered(part.database().memory(), now);
        let from_journal = remembered(&history.memory(&part.name, &part.place), now);
        assert_eq!(live, from_journal, "the journal remembers otherwise");
    }
}

impl Run {
    /// Nothing goes wrong any more: whoever is wanted and not protected goes, within the budgets.
    fn come_to_rest(&self) {
        let stage = &self.hosts[0];
        self.world.calm.store(true, Ordering::Relaxed);
        stage.faults().iter_mut().for_each(super::faults::Faults::end);
        stage.join_all();
        let mut refused = None;
        for stage in &self.hosts {
            stage.recovers();
            stage.pause(false);
            refused = stage.settle_accounts();
            add_what_is_gone(stage);
            for part in stage.all_parts() {
                let mut entry = stage.judge().entries[part.at].clone().expect("it is configured");
                (entry.armed, entry.blackout) = (true, None);
                entry.leader = stage.setting.entries[part.at].says[0].leader;
                stage.reload(part.at, &entry);
            }
        }
        for _ in 0..12 {
            stage.pass(Duration::from_secs(60));
            if let Some(but) = refused {
                stage.all_others_log_off(but);
            }
            self.everybody_s_turn_is_over();
        }
        if stage.setting.has_leader() {
            self.take_over_in_turn();
        }
        for at in 0..stage.setting.entries.len() {
            // An account that stays refused concerns nobody else.
            let base = stage.judge().base_of[at];
            if refused != Some(base)
                && let Some(leads) = self.who_leads(at)
            {
                self.rest_at(&leads, at);
            }
        }
    }

    /// Everybody has had a turn and has nothing more to do.
    pub(crate) fn everybody_s_turn_is_over(&self) {
        for stage in &self.hosts {
            if stage.comes_to() {
                while stage.everybody_s_turn_is_over() {}
            }
        }
    }

    /// The host whose daemon acts for an entry.
    fn who_leads(&self, at: usize) -> Option<Arc<Stage>> {
        let leads = |stage: &&Arc<Stage>| {
            let judge = stage.judge();
            judge.entries[at].is_some() && (self.hosts.len() == 1 || judge.ranks[at].leads == Some(true))
        };
        self.hosts.iter().find(leads).cloned()
    }

    /// Each leader in turn is gone from one moment to the next, and another daemon acts two polls later at the latest.
    fn take_over_in_turn(&self) {
        for round in 0..3 {
            for at in 0..self.hosts[0].setting.entries.len() {
                let leader = self
                    .who_leads(at)
                    .unwrap_or_else(|| panic!("nobody leads for entry {at} in round {round}"));
                self.is_alone(&leader, at);
                let poll = Duration::from_secs(self.hosts[0].setting.entries[at].says[0].poll.unsigned_abs());
                // It stands firm for as long as it lives.
                leader.pass(poll);
                self.everybody_s_turn_is_over();
                self.is_alone(&leader, at);
                leader.goes_for_good();
                for _ in 0..2 {
                    leader.pass(poll);
                    self.everybody_s_turn_is_over();
                }
                let next = self.who_leads_but(at, &leader);
                let next = next.unwrap_or_else(|| panic!("nobody has taken entry {at} over in round {round}"));
                let rank = next.judge().ranks[at].clone();
                assert!(rank.standstill.is_none(), "it leads and does not act: {rank:?}");
                self.is_alone(&next, at);
                leader.is_back();
                // At the first poll it finds its connections gone.
                for _ in 0..2 {
                    leader.pass(poll);
                    self.everybody_s_turn_is_over();
                }
            }
        }
    }

    fn who_leads_but(&self, at: usize, but: &Arc<Stage>) -> Option<Arc<Stage>> {
        let others = self.hosts.iter().filter(|stage| !Arc::ptr_eq(stage, but));
        let mut leads = others.filter(|stage| stage.judge().ranks[at].leads == Some(true));
        leads.next().cloned()
    }

    /// Nobody else leads, by the word of each and by the lock.
    fn is_alone(&self, leader: &Arc<Stage>, at: usize) {
        for stage in self.hosts.iter().filter(|stage| !Arc::ptr_eq(stage, leader)) {
            let leads = stage.judge().ranks[at].leads;
            assert!(!stage.runs() || leads != Some(true), "two lead for entry {at}");
        }
        let base = leader.judge().base_of[at];
        let lock = leader.setting.entries[at].says[0].leader.expect("one leads");
        let bases = leader.bases();
        let others = bases[base]
            .holders(lock)
            .map(|holder| bases[base].daemon_of(holder.session));
        for other in others {
            assert_eq!(
                other,
                Some(leader.daemon()),
                "another daemon holds the lock of entry {at}"
            );
        }
    }

    /// Waits until those are gone whom one entry alone can be expected to end.
    fn rest_at(&self, stage: &Arc<Stage>, at: usize) {
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
        if self.world.clocks_were_set.load(Ordering::Relaxed)
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
                self.everybody_s_turn_is_over();
                wanted.retain(wants);
            }
        }
        let history = stage.history();
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
    pub(crate) fn everybody_s_turn_is_over(&self) -> bool {
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
        self.world.clocks_were_set.store(true, Ordering::Relaxed);
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
        says.leader = self.leader_after_reload(at);
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
                let count = memory.ledger.count(now, TimeDelta::hours(hours), |entry| {
                    entry.action_id.is_some() && is(&entry.policy, entry.mode)
                });
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
