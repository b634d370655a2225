//! The judge: holds every statement, as it is sent, against the state of the simulated database at that moment.
//!
//! It knows nothing of the daemon's snapshots, plans and memory. What it needs to know of the past (how long a condition has held,
//! what was sent before) it takes down itself, from the database, when the daemon reads it.

use std::collections::BTreeMap;
use std::time::Duration;

use orareaper::decide::outcome::Outcome;

use super::base::{Base, Clause, Key};
use super::groups::GROUPS;
use super::leads::Claim;
use super::memory::{Begun, EntryMemory, LostIntent, OtherBudget, Sent, Told, clients};
use super::operators::Ordered;
use super::rules::Rule;
use super::stage::Who;
use super::statements::{Asked, is_safe};
use super::views::{Asking, is_within};

/// What an entry of the configuration says now.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// Which of its two versions it is.
    pub(crate) version: usize,
    pub(crate) base: usize,
    pub(crate) armed: bool,
    pub(crate) rules: Vec<Rule>,
    pub(crate) limits: Limits,
    /// Hours of the day: from, and how many.
    pub(crate) blackout: Option<(i64, i64)>,
    pub(crate) poll: i64,
    pub(crate) package: bool,
    /// The lock by which one of several daemons leads.
    pub(crate) leader: Option<u32>,
}

/// The limits of all policies of an entry together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) per_cycle: usize,
    pub(crate) per_hour: usize,
    pub(crate) per_day: Option<usize>,
    pub(crate) share: usize,
    pub(crate) respawns: usize,
    pub(crate) parallel: usize,
}

/// What a connection reads.
#[derive(Clone, Copy)]
pub(crate) enum Read<'a> {
    /// A snapshot begins; it was asked for at this time.
    Begins(&'a Base, i64),
    /// All sessions, or those on one seat.
    Sessions(&'a Asking<'a>, Option<(u32, u32)>),
    /// How much the instances use.
    Limits(&'a Asking<'a>),
}

/// What is known of a run from outside the daemon.
#[derive(Debug, Default)]
pub(crate) struct Judge {
    /// What each entry is configured to do; none where it is not configured any more.
    pub(crate) entries: Vec<Option<Entry>>,
    pub(crate) memory: Vec<EntryMemory>,
    pub(crate) paused: bool,
    /// In which cycle a loop last saw a pause, by entry.
    pub(crate) saw_pause: Vec<usize>,
    /// The host's time of day minus true time.
    pub(crate) host_offset: i64,
    pub(crate) sent: Vec<Sent>,
    /// Every policy of each entry, loaded or not.
    pub(crate) all_rules: Vec<Vec<Rule>>,
    /// The database of each entry.
    pub(crate) base_of: Vec<usize>,
    /// By entry: in which cycle its loop learned that no statement would get through, and when.
    pub(crate) denied: Vec<Option<(usize, i64)>>,
    /// Intents that a crash kept from their statements.
    pub(crate) lost: Vec<LostIntent>,
    /// Actions that ended without a statement. What the journal does not say of them, a crash makes unknown.
    pub(crate) unsent: Vec<LostIntent>,
    /// Every order that was given by hand.
    pub(crate) orders: Vec<Ordered>,
    /// Whether each entry leads, as far as its daemon knew in its newest cycle.
    pub(crate) ranks: Vec<Rank>,
}

/// Whether a daemon leads, by its own word.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rank {
    pub(crate) leads: Option<bool>,
    /// Why nothing was permitted, if so.
    pub(crate) standstill: Option<String>,
}

/// A database at which no statement gets through is left alone for so long.
const DENIED_FOR: i64 = 300;

/// A plain KILL waits for so long, and whoever sends it has to wait for longer.
const KILL_WAITS: u64 = 60;

pub(crate) const MINUTE: i64 = 60;
pub(crate) const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;

macro_rules! must {
    ($so:expr, $($why:tt)*) => {
        if !$so {
            return Err(format!($($why)*));
        }
    };
}

impl Judge {
    /// Takes note of what the daemon reads of a database.
    pub(crate) fn reads(&mut self, who: Who, read: Read<'_>) {
        let Some(Some(entry)) = self.entries.get(who.entry()) else {
            return;
        };
        let memory = &mut self.memory[who.entry()];
        match (who, read) {
            (Who::Poller(_), Read::Begins(base, asked)) => memory.begins(asked, base.now, base.clock()),
            (Who::Poller(_), Read::Sessions(asking, None)) => memory.looks(&self.all_rules[who.entry()], asking),
            (Who::Poller(_), Read::Sessions(_, Some(_))) => {}
            (Who::Poller(_), Read::Limits(asking)) => memory.gauges(asking),
            (Who::Actor(_, number), Read::Sessions(asking, seat)) => {
                if let Some(begun) = memory.begun.get_mut(&number) {
                    begun.looks(&entry.rules, asking, seat);
                }
            }
            (Who::Actor(_, number), Read::Limits(asking)) => {
                if let Some(begun) = memory.begun.get_mut(&number) {
                    begun.gauged = super::memory::used(asking);
                }
            }
            (Who::Actor(..), Read::Begins(..)) => {}
        }
    }

    /// An intent is on the disk.
    pub(crate) fn begin(&mut self, who: Who, begun: Begun) {
        let Who::Actor(entry, number) = who else {
            panic!("{who:?} acts")
        };
        self.memory[entry].begun.insert(number, begun);
    }

    /// A statement is sent: whether it may be, by what the database itself shows.
    pub(crate) fn sends(&mut self, who: Who, base: &Base, asked: &Asked, limit: Duration) {
        let Who::Actor(entry, number) = who else {
            panic!("{who:?} sends {asked:?}")
        };
        let begun = self.memory[entry].begun.get(&number).cloned();
        let begun = begun.unwrap_or_else(|| panic!("sent without an intent: {asked:?}"));
        if let Err(why) = self.check(entry, base, &begun, asked, limit) {
            let its_base = self.entries[entry].as_ref().map(|entry| entry.base);
            let earlier: Vec<&Sent> = self
                .sent
                .iter()
                .rev()
                .filter(|sent| Some(sent.base) == its_base)
                .take(8)
                .collect();
            panic!(
                "{why}: {asked:?} by {begun:?} of {:?} on {:?} after {earlier:?}",
                self.entries[entry],
                base.find(begun.key)
            );
        }
        let hit = base.on_seat(asked.seat.0, asked.seat.1, asked.seat.2);
        self.sent.push(Sent {
            entry,
            base: self.entries[entry].as_ref().expect("it was checked").base,
            number,
            policy: begun.policy.clone(),
            key: begun.key,
            clause: asked.clause,
            id: begun.id,
            cycle: begun.cycle,
            read: begun.read,
            at: base.now,
            told: Told::Nothing,
            under_way: true,
            ended: base.now,
            clients: hit.and_then(|hit| hit.group).map(clients),
            lay: hit.is_some_and(|hit| hit.mark.is_some()),
        });
        self.memory[entry].begun.get_mut(&number).expect("it is begun").sent = true;
        if let Some(order) = begun.order {
            self.orders[order].sent = true;
        }
    }

    /// What the daemon is told of it.
    pub(crate) fn told(&mut self, who: Who, code: Option<u32>) {
        let Who::Actor(entry, number) = who else {
            panic!("{who:?} is told")
        };
        let mut newest = self.sent.iter_mut().rev();
        let sent = newest
            .find(|sent| (sent.entry, sent.number) == (entry, number))
            .expect("it was sent");
        sent.told = code.map_or(Told::Nothing, Told::of);
    }

    /// The database did not carry it out, because its session does not hold the lock: it counts as if it was never sent.
    pub(crate) fn was_fenced_off(&mut self, who: Who) {
        let Who::Actor(entry, number) = who else {
            panic!("{who:?} sends")
        };
        let of_it = |sent: &Sent| (sent.entry, sent.number) == (entry, number);
        let at = self.sent.iter().rposition(of_it).expect("it was sent");
        self.sent.remove(at);
        let begun = self.memory[entry].begun.get_mut(&number).expect("it is begun");
        begun.sent = false;
        if let Some(order) = begun.order {
            self.orders[order].sent = false;
        }
    }

    /// What a statement of this action is held against when the database carries it out: no lock where there is no leader.
    pub(crate) fn claim(&self, who: Who, session: Key, asked: &Asked) -> Option<Claim> {
        let lock = asked.fence?;
        let Who::Actor(at, number) = who else {
            panic!("{who:?} sends")
        };
        let begun = &self.memory[at].begun[&number];
        let rules = self.entries[at].iter().flat_map(|entry| &entry.rules);
        // An order asks for no hold, and nor does the next rung for one of its own.
        let first = !self
            .sent
            .iter()
            .any(|sent| (sent.entry, sent.key) == (at, begun.key) && (sent.number, sent.id) != (number, begun.id));
        let held = rules.filter(|rule| first && begun.order.is_none() && rule.name == begun.policy);
        Some(Claim {
            session,
            lock,
            asked: begun.asked,
            read: begun.read,
            hold: held.map(|rule| rule.hold).max().unwrap_or(0),
        })
    }

    /// What the daemon makes of an action.
    pub(crate) fn answered(&self, who: Who, bases: &[Base], outcome: Outcome, code: Option<u32>, stated: bool) {
        let Who::Actor(at, number) = who else {
            panic!("{who:?} acts")
        };
        let begun = &self.memory[at].begun[&number];
        let of_it = |sent: &&Sent| (sent.entry, sent.number, sent.id) == (at, number, begun.id);
        let sent = self.sent.iter().rev().find(of_it).filter(|_| begun.sent);
        assert!(stated || !begun.sent, "it was sent, and is said not to be: {begun:?}");
        assert!(begun.enforces || !begun.sent, "a rehearsal sent something: {begun:?}");
        match (sent, outcome) {
            (None, Outcome::AlreadyGone) => {
                let base = self.base_of.get(at).copied().unwrap_or(0);
                assert!(
                    bases[base].find(begun.key).is_none(),
                    "it is said to be gone: {begun:?}"
                );
            }
            (Some(sent), _) => assert_eq!(
                sent.told.is_followed(),
                outcome.is_followed(),
                "{sent:?} was answered {code:?}, and that counts as {outcome}"
            ),
            (None, _) => assert!(
                !outcome.is_followed() || outcome == Outcome::Assumed,
                "{outcome} of nothing"
            ),
        }
    }

    /// An action has ended.
    pub(crate) fn ended(&mut self, entry: usize, number: usize, now: i64) {
        let begun = self.memory[entry].begun.remove(&number);
        self.unsent
            .extend(begun.and_then(|begun| LostIntent::of(entry, &begun)));
        let of_it = |sent: &&mut Sent| sent.under_way && (sent.entry, sent.number) == (entry, number);
        for sent in self.sent.iter_mut().filter(of_it) {
            (sent.under_way, sent.ended) = (false, now);
            let cycle = self.memory[entry].cycles();
            self.denied[entry] = (sent.told == Told::Denied).then_some((cycle, now));
        }
    }

    fn check(&self, at: usize, base: &Base, begun: &Begun, asked: &Asked, limit: Duration) -> Result<(), String> {
        let entry = self.entries[at].as_ref().ok_or("of an entry that is gone")?;
        let rule = match begun.order {
            Some(order) => self.orders[order].permits(begun)?,
            None => entry
                .rules
                .iter()
                .find(|rule| rule.name == begun.policy)
                .ok_or("nobody's policy")?,
        };
        must!(!begun.sent, "a second statement for one warrant");
        must!(
            asked.seat == (begun.key.inst, begun.key.sid, begun.key.serial),
            "it names another session than its intent"
        );
        must!(
            asked.by_package.is_some() == entry.package,
            "not in the way that is configured"
        );
        must!(
            asked.by_package.is_none_or(|logon| logon == begun.key.logon),
            "the package is told another LOGON_TIME"
        );
        must!(begun.enforces && rule.enforces, "a policy that rehearses");
        must!(
            asked.fence == entry.leader,
            "fenced by lock {:?}, and configured is {:?}",
            asked.fence,
            entry.leader
        );
        must!(entry.armed, "the database is not armed");
        must!(!self.paused, "it is paused");
        must!(
            self.saw_pause[at] <= begun.cycle,
            "its loop has seen a pause since its snapshot"
        );
        let clocks = [base.clock(), base.now + self.host_offset];
        let dark = |(from, hours)| clocks.iter().any(|clock| is_within(*clock, from, hours));
        must!(!entry.blackout.is_some_and(dark), "in a blackout");
        let age = base.now - begun.asked;
        must!(age <= 2 * entry.poll, "{age} s after its snapshot");
        // An operator may try whether it is so still.
        let denied = self.denied[at].filter(|(cycle, _)| begun.order.is_none() && begun.cycle >= *cycle);
        if let Some((cycle, since)) = denied {
            let apart = base.now - since;
            must!(
                apart >= DENIED_FOR,
                "{apart} s after no statement got through, which was known in cycle {cycle}"
            );
        }
        let waits = asked.clause != Clause::CancelSql;
        must!(
            !waits || limit.as_secs() > KILL_WAITS,
            "it would not wait for its victim"
        );
        let escalates = self.rung(at, begun, rule, asked.clause)?;
        if !escalates {
            self.check_schedule(at, base, begun, rule)?;
            self.check_others(at, base, begun, rule)?;
        }
        self.check_session(begun, rule, asked, escalates)?;
        self.check_budgets(at, entry, rule, begun)?;
        if escalates {
            // It completes an earlier action, so a group that refills does not stop it.
            return Ok(());
        }
        let clients = base.find(begun.key).and_then(|hit| hit.group).map(clients);
        self.memory[at].is_left_alone(rule, entry.limits.respawns, begun, clients, &self.sent)
    }

    /// Whether the session itself deserves it now.
    fn check_session(&self, begun: &Begun, rule: &Rule, asked: &Asked, escalates: bool) -> Result<(), String> {
        let seen = begun.seen.as_ref().ok_or("it was not read again, or was gone then")?;
        // What changes between the reading and the statement is a window of some round trips.
        let hit = &seen.session;
        must!(!is_safe(hit), "a protected session: {hit:?}");
        must!(hit.mark.is_none() || escalates, "it is dying already: {hit:?}");
        must!(
            seen.wanted || hit.mark.is_some(),
            "the policy does not want it: {hit:?}"
        );
        let used = seen.at - hit.since;
        if !escalates && rule.is_about_work() {
            let busy_pool = GROUPS[hit.group.expect("nobody's own")].name == "pool";
            // `for:` is served by snapshots, and who works between two of them is not seen at it.
            must!(
                busy_pool || used >= rule.hold,
                "it was used {used} s ago and has to be still for {}",
                rule.hold
            );
        }
        if asked.clause == Clause::CancelSql {
            let sql_id = asked.sql_id.as_deref();
            must!(hit.sql_id() == sql_id || sql_id.is_some(), "no statement is named");
        }
        Ok(())
    }

    /// Whether it is the next rung of the ladder, on a session that this policy has acted on. Nothing else may act on one a second
    /// time, unless the action before came to nothing. A rung that may not have been taken is no rung to go on from: what is asked of
    /// a first action is asked again. Whether the session is dying goes by the second look: nobody knows what happens after that.
    fn rung(&self, at: usize, begun: &Begun, rule: &Rule, clause: Clause) -> Result<bool, String> {
        let before: Vec<&Sent> = self
            .sent
            .iter()
            .filter(|sent| sent.entry == at && sent.key == begun.key)
            .collect();
        must!(
            before.iter().all(|sent| !sent.under_way),
            "another action on it is under way: {before:?}"
        );
        must!(
            before.iter().all(|sent| sent.cycle < begun.cycle),
            "twice in one cycle: {before:?}"
        );
        let lies = begun.seen.as_ref().is_some_and(|seen| seen.session.mark.is_some());
        if lies && self.goes_on_from_lost(at, &before, begun, rule, clause) {
            return Ok(true);
        }
        let Some(last) = before.last() else {
            must!(clause == rule.action, "its policy begins with {:?}", rule.action);
            return Ok(false);
        };
        let apart = |then: &Sent| begun.read - then.read;
        must!(
            !last.told.is_turned_down() || apart(last) >= MINUTE,
            "again {} s after it failed: {last:?}",
            apart(last)
        );
        let Some(on) = before.iter().rfind(|sent| sent.told.is_followed()) else {
            must!(clause == rule.action, "its policy begins with {:?}", rule.action);
            return Ok(false);
        };
        let certain = on.told == Told::Accepted || lies && !on.lay;
        let mut again = false;
        if on.policy == rule.name {
            let place = rule.actions().position(|clause| clause == on.clause);
            let due = place.and_then(|place| rule.escalate.get(place));
            if let Some((after, next)) = due.filter(|(after, _)| apart(on) >= *after) {
                if certain && clause == *next {
                    // One that failed is not tried at every poll.
                    let failed = before
                        .iter()
                        .filter(|sent| sent.told.is_turned_down() && sent.clause == clause);
                    let soon = failed.map(|sent| apart(sent)).find(|apart| *apart < HOUR);
                    must!(
                        soon.is_none(),
                        "again {soon:?} s after its rung failed, {after} s after {on:?}"
                    );
                    return Ok(true);
                }
                again = !certain && clause == on.clause;
                if again && on.lay && lies {
                    // Whatever became of this rung, the one below it has marked the session: it is gone on from.
                    return Ok(true);
                }
            }
        }
        // A snapshot a minute later shows whether a kill was carried out.
        let shows = !certain && on.clause.kills() && apart(on) >= MINUTE;
        if shows && goes_on_below(&before, on, begun, rule, clause) {
            return Ok(true);
        }
        // After an intent without a statement nobody knows either; when the session shows that it was not killed, its policy begins anew.
        let lost = self.lost.iter().any(|lost| lost.shows_since(on, begun));
        must!(
            on.clause == Clause::CancelSql || apart(on) >= HOUR || shows || again || lost && !lies,
            "again, {} s after {on:?}",
            apart(on)
        );
        must!(
            clause == rule.action || again,
            "its policy begins with {:?}, and {on:?} was no rung",
            rule.action
        );
        Ok(false)
    }

    /// Whether it goes on from an intent of which the daemon cannot know whether its statement was sent, on a session that is KILLED,
    /// which is taken for the proof that it was (guarantee 5: a kill shows at once). Somebody else may have killed it; it is dying.
    fn goes_on_from_lost(&self, at: usize, before: &[&Sent], begun: &Begun, rule: &Rule, clause: Clause) -> bool {
        let of_it = |lost: &&LostIntent| {
            (lost.entry, lost.key, &lost.policy) == (at, begun.key, &rule.name)
                && before.iter().all(|sent| sent.read < lost.read)
        };
        self.lost.iter().filter(of_it).any(|lost| {
            let due = |(after, next): &(i64, Clause)| *next == clause && begun.read - lost.read >= *after;
            rule.escalate.iter().any(due)
        })
    }

    fn check_schedule(&self, at: usize, base: &Base, begun: &Begun, rule: &Rule) -> Result<(), String> {
        let Some((from, hours)) = rule.hours else { return Ok(()) };
        let ticks = |since: i64, until: i64| {
            let first = (since + 1).div_euclid(60) * 60 + if (since + 1).rem_euclid(60) > 0 { 60 } else { 0 };
            (first..=until).step_by(60).any(|tick| is_within(tick, from, hours))
        };
        let poll = self.entries[at].as_ref().map_or(0, |entry| entry.poll);
        let issued = begun.issued;
        must!(ticks(issued - 4 * poll.max(60), issued), "its snapshot is off schedule");
        let stretch = ticks(issued - 60, issued) && ticks(issued - 120, issued - 60);
        must!(
            !stretch || ticks(base.clock() - 60, base.clock()),
            "its schedule is over"
        );
        Ok(())
    }

    /// Floors and gates, by what the connection that acts has read for this action.
    fn check_others(&self, at: usize, base: &Base, begun: &Begun, rule: &Rule) -> Result<(), String> {
        let decided = self.memory[at].decided();
        let going = |key: &Key| {
            let of_it = |sent: &&Sent| sent.entry == at && sent.key == *key && *key != begun.key;
            let mut of_it = self.sent.iter().filter(of_it);
            let lies = base.find(*key).is_some_and(|session| session.mark.is_some());
            of_it.any(|sent| {
                let since = base.now - sent.at;
                // A minute later a snapshot shows that a kill was not carried out, where nobody knew.
                let shows = sent.told != Told::Accepted && sent.clause.kills() && !lies && since >= MINUTE;
                // It is followed for an hour from its snapshot on (guarantee 6).
                let followed = decided.is_none_or(|decided| decided - sent.read < HOUR);
                let goes = sent.told.is_followed() && sent.clause != Clause::CancelSql && followed;
                sent.under_way || goes && !shows
            })
        };
        if let (Some(least), Some(hit)) = (rule.keeps, base.find(begun.key)) {
            let there = begun.there.as_ref().ok_or("the floor was not looked at")?;
            let like = there.iter().filter(|(_, user)| *user == hit.user());
            let left = like.filter(|(key, _)| *key != begun.key && !going(key)).count();
            must!(left >= least, "only {left} of {} are left", hit.user());
        }
        if let Some(gate) = rule.gate {
            let used = begun.gauged.as_ref().ok_or("the gate was not looked at")?;
            let (used, limit) = *used.get(&begun.key.inst).ok_or("its instance was not measured")?;
            let there = begun.there.iter().flatten();
            let going = there
                .filter(|(key, _)| key.inst == begun.key.inst && going(key))
                .count();
            let estimate = used - i64::try_from(going).expect("few");
            must!(
                gate.is_open(true, estimate, used, limit),
                "its gate is closed: {used} less {going} of {limit:?}"
            );
        }
        Ok(())
    }

    /// The smallest budget of other entries for the same database. Until it has its first snapshot, nobody knows where an entry leads.
    pub(crate) fn budget_beside(&self, at: usize) -> Option<OtherBudget> {
        let others = self.entries.iter().zip(&self.memory).enumerate();
        let others = others.filter(|(other, (_, memory))| {
            *other != at && self.base_of[*other] == self.base_of[at] && memory.newest_cycle().is_some()
        });
        let budgets = others.filter_map(|(_, (entry, _))| {
            let Limits { per_hour, per_day, .. } = entry.as_ref()?.limits;
            Some(OtherBudget { per_hour, per_day })
        });
        budgets.reduce(OtherBudget::smaller)
    }

    /// Every budget that it takes from. One that met nobody took nothing.
    fn check_budgets(&self, at: usize, entry: &Entry, rule: &Rule, begun: &Begun) -> Result<(), String> {
        let counted = |period: i64, policy: Option<&str>| {
            let of_it = |sent: &&Sent| {
                sent.base == entry.base
                    && sent.told.takes_budget()
                    && policy.is_none_or(|policy| sent.policy == policy)
                    && (0..period).contains(&(begun.read - sent.read))
            };
            let by_others = self.memory[at].done_by_others(begun.read, period, policy);
            self.sent.iter().filter(of_it).count() + by_others + 1
        };
        let in_cycle = |policy: Option<&str>| {
            let of_it = |sent: &&Sent| {
                sent.entry == at && sent.cycle == begun.cycle && policy.is_none_or(|policy| sent.policy == policy)
            };
            self.sent.iter().filter(of_it).count() + 1
        };
        let name = Some(rule.name.as_str());
        let all = &entry.limits;
        // It is one budget for all entries of a database: the smallest limits hold.
        let beside = self.memory[at].budget_beside(begun.cycle);
        for (what, limit, count) in [
            ("per_cycle", Some(all.per_cycle), in_cycle(None)),
            ("per_hour", Some(all.per_hour), counted(HOUR, None)),
            ("per_day", all.per_day, counted(DAY, None)),
            (
                "per_hour beside",
                beside.map(|other| other.per_hour),
                counted(HOUR, None),
            ),
            (
                "per_day beside",
                beside.and_then(|other| other.per_day),
                counted(DAY, None),
            ),
            ("per_cycle of its policy", rule.per_cycle, in_cycle(name)),
            ("per_hour of its policy", rule.per_hour, counted(HOUR, name)),
            ("per_day of its policy", rule.per_day, counted(DAY, name)),
        ] {
            must!(
                limit.is_none_or(|limit| count <= limit),
                "the {count}th of {limit:?} {what}"
            );
        }
        Ok(())
    }
}

/// Whether it goes on from what was accepted before a kill that was not sent: that is still in force.
fn goes_on_below(before: &[&Sent], on: &Sent, begun: &Begun, rule: &Rule, clause: Clause) -> bool {
    let mut earlier = before.iter().filter(|sent| sent.id < on.id && sent.policy == rule.name);
    earlier.rfind(|sent| sent.told == Told::Accepted).is_some_and(|below| {
        let place = rule.actions().position(|clause| clause == below.clause);
        let next = place.and_then(|place| rule.escalate.get(place));
        next.is_some_and(|(after, next)| *next == clause && begun.read - below.read >= *after)
    })
}

/// Sessions of each account that a floor counts.
pub(crate) fn live(asking: &Asking<'_>) -> Vec<(Key, &'static str)> {
    let sessions = asking
        .base
        .sessions
        .iter()
        .filter(|session| asking.is_seen(session.key.inst));
    let lives = sessions.filter(|session| !session.is_background() && session.mark.is_none());
    lives.map(|session| (session.key, session.user())).collect()
}

/// How many user sessions each instance shows.
pub(crate) fn users(asking: &Asking<'_>) -> BTreeMap<u32, usize> {
    let mut users = BTreeMap::new();
    let sessions = asking
        .base
        .sessions
        .iter()
        .filter(|session| asking.is_seen(session.key.inst));
    for session in sessions.filter(|session| !session.is_background()) {
        *users.entry(session.key.inst).or_default() += 1;
    }
    users
}
