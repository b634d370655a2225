//! What the judge remembers of an entry: whom conditions held for at each snapshot, which gates had begun, and who came back.

use std::collections::{BTreeMap, BTreeSet};

use orareaper::session::SessionKey;

use super::base::{Clause, Key, Session};
use super::groups::GROUPS;
use super::judge::{HOUR, MINUTE, live, users};
use super::rules::{Gate, Rule};
use super::statements::is_safe;
use super::views::Asking;

/// What the daemon was told of a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// It was carried out, or will be.
    Accepted,
    /// A number that says neither.
    Unknown,
    /// Nothing: there was no answer.
    Nothing,
    /// There is no such session.
    Gone,
    /// It was not carried out, for a reason that will stay.
    Failed,
    /// It was not carried out, for a reason of the moment.
    Spared,
    /// It was refused before anything was done: by the guard package, for this session.
    Refused,
    /// Likewise, as every other one would be.
    Denied,
}

impl Told {
    pub(crate) fn of(code: u32) -> Told {
        match code {
            0 | 31 => Told::Accepted,
            30 | 20_002 | 20_003 => Told::Gone,
            26 | 29 => Told::Failed,
            20_001 | 20_004..=20_010 => Told::Refused,
            1031 | 20_012 | 20_013 => Told::Denied,
            20_011 => Told::Spared,
            _ => Told::Unknown,
        }
    }

    /// Whether the session may be on its way.
    pub(crate) fn is_followed(self) -> bool {
        matches!(self, Told::Accepted | Told::Unknown | Told::Nothing)
    }

    /// Whether the database, or the package, would not have it on this session.
    pub(crate) fn is_turned_down(self) -> bool {
        matches!(self, Told::Failed | Told::Refused)
    }

    pub(crate) fn takes_budget(self) -> bool {
        !matches!(self, Told::Gone | Told::Spared | Told::Refused | Told::Denied)
    }
}

/// A statement that was sent.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) entry: usize,
    pub(crate) base: usize,
    pub(crate) number: usize,
    pub(crate) policy: String,
    pub(crate) key: Key,
    pub(crate) clause: Clause,
    /// The number of its intent in the journal.
    pub(crate) id: u64,
    /// Its cycle, and when the snapshot of that was read, in true time.
    pub(crate) cycle: usize,
    pub(crate) read: i64,
    pub(crate) at: i64,
    pub(crate) told: Told,
    pub(crate) under_way: bool,
    /// When its action had ended.
    pub(crate) ended: i64,
    /// The clients that it was one of.
    pub(crate) clients: Option<usize>,
    /// Whether it was dying before: then that it is shows nothing of this statement.
    pub(crate) lay: bool,
}

/// An intent that a crash kept from its statement. The daemon knows the intent alone.
#[derive(Clone, Debug)]
pub(crate) struct LostIntent {
    pub(crate) id: u64,
    pub(crate) entry: usize,
    pub(crate) policy: String,
    pub(crate) key: Key,
    /// When its snapshot was read.
    pub(crate) read: i64,
}

/// An action whose intent is on the disk.
#[derive(Clone, Debug)]
pub(crate) struct Begun {
    pub(crate) id: u64,
    pub(crate) key: Key,
    pub(crate) policy: String,
    /// The order that it carries out, if it is no policy's.
    pub(crate) order: Option<usize>,
    pub(crate) enforces: bool,
    /// Its snapshot by the database's clock; when that was asked for, and when the clock was read, in true time; and its cycle.
    pub(crate) issued: i64,
    pub(crate) asked: i64,
    pub(crate) read: i64,
    pub(crate) cycle: usize,
    pub(crate) sent: bool,
    /// The session as whoever acts has last seen it.
    pub(crate) seen: Option<Seen>,
    /// The sessions that whoever acts has seen for it, with their accounts.
    pub(crate) there: Option<Vec<(Key, &'static str)>>,
    /// Use and limit of each instance, likewise.
    pub(crate) gauged: Option<BTreeMap<u32, (i64, Option<i64>)>>,
}

impl LostIntent {
    /// Of an action that has sent nothing; none if it is a rehearsal.
    pub(crate) fn of(entry: usize, begun: &Begun) -> Option<LostIntent> {
        (begun.enforces && !begun.sent).then(|| LostIntent {
            id: begun.id,
            entry,
            policy: begun.policy.clone(),
            key: begun.key,
            read: begun.read,
        })
    }
}

impl LostIntent {
    /// Whether it is newer than a statement on the same session, and old enough for a snapshot to have shown what became of it.
    pub(crate) fn shows_since(&self, on: &Sent, begun: &Begun) -> bool {
        let of_it = (self.entry, self.key) == (on.entry, on.key);
        of_it && self.read > on.read && begun.read - self.read >= MINUTE
    }
}

/// A session as it was read again.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) session: Session,
    /// Whether the policy wanted it then.
    pub(crate) wanted: bool,
    pub(crate) at: i64,
}

impl Begun {
    /// All sessions are read, or those on one seat.
    pub(crate) fn looks(&mut self, rules: &[Rule], asking: &Asking<'_>, seat: Option<(u32, u32)>) {
        let base = asking.base;
        if seat.is_none() {
            // The first look is for the floor; later ones may be for the session itself.
            self.there.get_or_insert_with(|| live(asking));
        }
        if seat.is_none_or(|seat| seat == (self.key.inst, self.key.sid)) {
            let rule = rules.iter().find(|rule| rule.name == self.policy);
            let session = base.find(self.key).filter(|_| asking.is_seen(self.key.inst));
            self.seen = session.map(|session| Seen {
                session: session.clone(),
                wanted: self.order.is_some() || rule.is_some_and(|rule| rule.wants(session, base)),
                at: base.now,
            });
        }
    }
}

/// What a snapshot showed, until it is known that there was one.
#[derive(Debug, Default)]
struct Look {
    at: i64,
    /// By rule: whom its condition held for.
    matching: Vec<(String, Vec<Key>)>,
    /// By rule and instance: who may be taken.
    candidates: BTreeMap<(String, u32), usize>,
    users: BTreeMap<u32, usize>,
    hidden: Option<u32>,
    /// Who is there: the key, the clients that it is one of, and when it logged in.
    there: Vec<(Key, usize, i64)>,
    gauged: Option<BTreeMap<u32, (i64, Option<i64>)>>,
}

/// Somebody who came back.
#[derive(Clone, Debug)]
struct Return {
    policy: String,
    clients: usize,
    /// The number and the cycle of the statement.
    id: u64,
    cycle: i64,
    login: i64,
    /// The snapshot that showed it.
    seen: i64,
}

/// When a snapshot began.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Beginning {
    pub(crate) asked: i64,
    pub(crate) read: i64,
    clock: i64,
}

/// What other entries for a database permit in an hour and in a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OtherBudget {
    pub(crate) per_hour: usize,
    pub(crate) per_day: Option<usize>,
}

impl OtherBudget {
    /// What both permit.
    pub(crate) fn smaller(self, other: OtherBudget) -> OtherBudget {
        OtherBudget {
            per_hour: self.per_hour.min(other.per_hour),
            per_day: self.per_day.into_iter().chain(other.per_day).min(),
        }
    }
}

/// What is remembered of an entry.
#[derive(Debug, Default)]
pub(crate) struct EntryMemory {
    /// When the newest snapshot was asked for, and when its clock was read: in true time, and by the database's clock.
    began: Option<Beginning>,
    pub(crate) begun: BTreeMap<usize, Begun>,
    look: Look,
    /// The smallest budgets of other entries for the database, by cycle as the snapshots.
    beside: Vec<Option<OtherBudget>>,
    /// Snapshots, newest last, and how many there were before a restart.
    snapshots: Vec<Beginning>,
    /// Warrants that nobody has begun with, and their cycles.
    given: Vec<(String, Key, usize)>,
    before: usize,
    holds: BTreeMap<(String, Key), i64>,
    gates: BTreeSet<(String, u32)>,
    returns: Vec<Return>,
    counted: BTreeSet<Key>,
    /// Whom it would have ended, had it led, at its newest snapshot; and by policy whom it has seen gone since, when.
    would: Vec<(String, SessionKey)>,
    by_others: Vec<(String, i64)>,
}

/// Use and limit of each instance.
pub(crate) fn used(asking: &Asking<'_>) -> Option<BTreeMap<u32, (i64, Option<i64>)>> {
    let up = asking
        .base
        .instances
        .iter()
        .filter(|instance| instance.up && asking.is_seen(instance.number));
    let limit = (asking.at_most != i64::MAX).then_some(asking.at_most);
    Some(
        up.map(|instance| (instance.number, (asking.base.used(instance.number), limit)))
            .collect(),
    )
}

impl Gate {
    /// Whether it is open where it had or had not begun before; what cannot be compared closes it.
    pub(crate) fn is_open(self, begun: bool, estimate: i64, used: i64, limit: Option<i64>) -> bool {
        let share = |used: i64, mark: i64| match (self.percent, limit) {
            (false, _) => Some(used.cmp(&mark)),
            (true, Some(limit)) => Some((used * 100).cmp(&(mark * limit))),
            (true, None) => None,
        };
        match self.below {
            Some(below) if begun => share(estimate, below).is_some_and(std::cmp::Ordering::is_ge),
            _ => share(used, self.above).is_some_and(std::cmp::Ordering::is_gt),
        }
    }
}

impl EntryMemory {
    /// The daemon was ended, and began anew: what is kept in memory alone is gone.
    pub(crate) fn restarts(&mut self) {
        (self.began, self.look) = (None, Look::default());
        self.before += self.snapshots.len();
        self.snapshots.clear();
        self.beside.clear();
        self.given.clear();
        self.holds.clear();
        self.gates.clear();
        self.begun.clear();
        self.would.clear();
        self.by_others.clear();
    }

    /// Whether the newest snapshot is the first that was asked for after this time.
    pub(crate) fn is_first_of(&self, term: i64) -> bool {
        let before = self.snapshots.last();
        self.began.is_some_and(|newest| newest.asked > term) && before.is_none_or(|before| before.asked <= term)
    }

    /// A term of its lead has begun: conditions have held, and gates been open, for no longer than that.
    pub(crate) fn leads_anew(&mut self) {
        self.holds.clear();
        self.gates.clear();
    }

    /// A snapshot of a daemon that stands by, or did: who is gone that it would have ended takes from its budgets. `is_gone` says
    /// whether the snapshot shows that, and `would` whom it would end now.
    pub(crate) fn stands_by(&mut self, is_gone: impl Fn(SessionKey) -> bool, would: Vec<(String, SessionKey)>) {
        let read = self.decided().expect("a snapshot");
        for (policy, key) in std::mem::replace(&mut self.would, would) {
            if is_gone(key) {
                self.sees_done_by_another(&policy, read);
            }
        }
    }

    pub(crate) fn sees_done_by_another(&mut self, policy: &str, read: i64) {
        self.by_others.push((policy.to_owned(), read));
    }

    /// How many it has seen another daemon end, in so long before a snapshot.
    pub(crate) fn done_by_others(&self, read: i64, period: i64, policy: Option<&str>) -> usize {
        let done = self.by_others.iter();
        let counts =
            |(by, at): &&(String, i64)| policy.is_none_or(|policy| policy == by) && (0..period).contains(&(read - at));
        done.filter(counts).count()
    }

    /// What is not in the journal is forgotten.
    pub(crate) fn crashes(&mut self) {
        self.returns.clear();
    }

    /// A snapshot is asked for.
    pub(crate) fn polls(&mut self) {
        self.began = None;
    }

    /// Its reading begins. In a cluster GV$INSTANCE is read a second time at its end.
    pub(crate) fn begins(&mut self, asked: i64, read: i64, clock: i64) {
        self.began.get_or_insert(Beginning { asked, read, clock });
    }

    /// All sessions are read for a snapshot.
    pub(crate) fn looks(&mut self, rules: &[Rule], asking: &Asking<'_>) {
        let base = asking.base;
        let mut look = Look {
            at: base.now,
            users: users(asking),
            hidden: asking.hidden.filter(|inst| !asking.is_seen(*inst)),
            ..Look::default()
        };
        let clock = self.began.map_or(base.clock(), |began| began.clock);
        let seen = || base.sessions.iter().filter(|session| asking.is_seen(session.key.inst));
        for rule in rules {
            let matching = seen().filter(|session| rule.wants_by(clock, session, base));
            if rule.hold > 0 {
                let keys = matching.clone().map(|session| session.key).collect();
                look.matching.push((rule.name.clone(), keys));
            }
            for session in matching.filter(|session| session.mark.is_none() && !is_safe(session)) {
                *look
                    .candidates
                    .entry((rule.name.clone(), session.key.inst))
                    .or_default() += 1;
            }
        }
        look.there = seen()
            .filter_map(|session| Some((session.key, clients(session.group?), session.came)))
            .collect();
        self.look = look;
    }

    pub(crate) fn gauges(&mut self, asking: &Asking<'_>) {
        self.look.gauged = used(asking);
    }

    /// Somebody begins with a warrant of this time by the database's clock: its cycle, and when the snapshot of that began.
    pub(crate) fn takes(&mut self, policy: &str, key: Key, issued: i64) -> Option<(usize, Beginning)> {
        let of = |cycle: usize| self.snapshots[cycle - self.before];
        let is_it = |(by, on, cycle): &(String, Key, usize)| by == policy && *on == key && of(*cycle).clock == issued;
        let at = self.given.iter().rposition(is_it)?;
        let (_, _, cycle) = self.given.remove(at);
        Some((cycle, self.snapshots[cycle - self.before]))
    }

    /// The newest cycle has given these.
    pub(crate) fn gives(&mut self, warrants: impl Iterator<Item = (String, Key)>) {
        let cycle = self.cycles() - 1;
        self.given.extend(warrants.map(|(policy, key)| (policy, key, cycle)));
    }

    /// The newest cycle, and when its snapshot began.
    pub(crate) fn newest_cycle(&self) -> Option<(usize, Beginning)> {
        Some((self.cycles().checked_sub(1)?, *self.snapshots.last()?))
    }

    /// When the newest snapshot that was decided on was read.
    pub(crate) fn decided(&self) -> Option<i64> {
        self.snapshots.last().map(|newest| newest.read)
    }

    /// When the newest snapshot began.
    pub(crate) fn newest(&self) -> Option<Beginning> {
        self.began
    }

    /// What the newest snapshot showed.
    pub(crate) fn look(&self) -> &impl std::fmt::Debug {
        &self.look
    }

    /// The newest cycle was decided beside other entries with these budgets.
    pub(crate) fn shares(&mut self, others: Option<OtherBudget>) {
        self.beside.push(others);
    }

    /// The smallest budget of the other entries that were known in this cycle.
    pub(crate) fn budget_beside(&self, cycle: usize) -> Option<OtherBudget> {
        *self.beside.get(cycle.checked_sub(self.before)?)?
    }

    /// How many cycles there were.
    pub(crate) fn cycles(&self) -> usize {
        self.before + self.snapshots.len()
    }

    /// The daemon has a snapshot.
    pub(crate) fn cycle(&mut self, at: usize, rules: &[Rule], poll: i64, sent: &[Sent]) {
        let Some(began) = self.began else {
            panic!("a cycle without a snapshot")
        };
        let before = self.snapshots.last().copied();
        self.snapshots.push(began);
        // A gap that is too long, and a clock that was set: what was not seen may have changed.
        let near = |then: Beginning| {
            let steps = (began.clock - began.read) - (then.clock - then.read);
            began.asked - then.asked <= 4 * poll && steps == 0
        };
        let goes_on = before.is_some_and(near);
        let look = std::mem::take(&mut self.look);
        let mut holds = BTreeMap::new();
        let loaded = |name: &String| rules.iter().any(|rule| rule.name == *name);
        for (rule, keys) in look.matching.iter().filter(|(name, _)| loaded(name)) {
            for key in keys {
                let place = (rule.clone(), *key);
                let since = self.holds.get(&place).copied().filter(|_| goes_on).unwrap_or(look.at);
                holds.insert(place, since);
            }
        }
        self.holds = holds;
        let mut gates = BTreeSet::new();
        for (rule, gate) in rules.iter().filter_map(|rule| Some((rule, rule.gate?))) {
            for (inst, (used, limit)) in look.gauged.iter().flatten() {
                let place = (rule.name.clone(), *inst);
                if gate.is_open(self.gates.contains(&place), *used, *used, *limit) {
                    gates.insert(place);
                }
            }
        }
        self.gates = gates;
        self.welcome(at, &look, began.read, sent);
        self.look = look;
    }

    /// Whether the warrants of this cycle are for those whom conditions have held for. `taken` are rule, session and whether it is a
    /// first action.
    pub(crate) fn check_warrants(
        &self,
        rules: &[Rule],
        share: usize,
        taken: &[(String, Key, bool)],
    ) -> Result<(), String> {
        let (look, Beginning { read, .. }) = (&self.look, self.began.ok_or("warrants without a snapshot")?);
        for (name, key, first) in taken.iter().filter(|(.., first)| *first) {
            let Some(rule) = rules.iter().find(|rule| rule.name == *name) else {
                continue;
            };
            if look.hidden == Some(key.inst) {
                return Err(format!("{key:?} was not shown"));
            }
            let place = (name.clone(), *key);
            let since = self.holds.get(&place);
            if rule.hold > 0 && since.is_none_or(|since| read - since < rule.hold) {
                return Err(format!(
                    "{name} has held for {key:?} since {since:?}, and it is {read}: {first}"
                ));
            }
            if let Some(gate) = rule.gate {
                let place = (name.clone(), key.inst);
                if !self.gates.contains(&place) {
                    return Err(format!("the gate of {name} was closed on instance {}", key.inst));
                }
                let of_it = taken
                    .iter()
                    .filter(|(by, key, first)| by == name && *first && key.inst == place.1);
                let (used, limit) = look
                    .gauged
                    .as_ref()
                    .and_then(|all| all.get(&key.inst))
                    .ok_or("not measured")?;
                let others = i64::try_from(of_it.count()).expect("few") - 1;
                if gate.below.is_some() && !gate.is_open(true, used - others, *used, *limit) {
                    return Err(format!(
                        "{name} takes {} where fewer relieve {used} of {limit:?}",
                        others + 1
                    ));
                }
            }
            for (inst, users) in &look.users {
                let candidates = look.candidates.get(&(name.clone(), *inst)).copied().unwrap_or(0);
                if candidates > 5 && candidates * 100 > share * users && rule.enforces && rule.gate.is_none() {
                    return Err(format!(
                        "{candidates} of {users} open the breaker of {name} on instance {inst}"
                    ));
                }
            }
        }
        Ok(())
    }

    /// Counts who logged in soon after one of the same clients was ended by a policy of this entry: those of another entry are other
    /// policies, of whatever name.
    fn welcome(&mut self, at: usize, look: &Look, read: i64, sent: &[Sent]) {
        for (key, clients, login) in &look.there {
            if read - login > HOUR || !self.counted.insert(*key) {
                continue;
            }
            let mut policies = BTreeSet::new();
            for ended in sent
                .iter()
                .filter(|ended| ended.entry == at && ended.clients == Some(*clients) && ended.key != *key)
            {
                // Later than that, who is gone is not waited for any more.
                let soon =
                    (0..=300).contains(&(login - ended.read)) && read - ended.read <= 600 && ended.told.is_followed();
                let known = |back: &Return| back.policy == ended.policy && back.cycle == ended.read;
                if soon
                    && ended.clause != Clause::CancelSql
                    && !policies.contains(&ended.policy)
                    && !self.returns.iter().any(known)
                {
                    policies.insert(ended.policy.clone());
                    self.returns.push(Return {
                        policy: ended.policy.clone(),
                        clients: *clients,
                        id: ended.id,
                        cycle: ended.read,
                        login: *login,
                        seen: read,
                    });
                }
            }
        }
    }

    /// Whether the policy may still act on these clients, or they came back too often. Of those who came back for a kill that had no
    /// answer when the snapshot was decided on, nothing was known yet.
    pub(crate) fn is_left_alone(
        &self,
        rule: &Rule,
        respawns: usize,
        begun: &Begun,
        clients: Option<usize>,
        sent: &[Sent],
    ) -> Result<(), String> {
        let had_no_answer = |id: u64| {
            let mut of_it = sent.iter().filter(|sent| sent.id == id);
            of_it.any(|sent| sent.under_way || sent.ended >= begun.read)
        };
        let of_it = |back: &&Return| {
            back.policy == rule.name
                && !had_no_answer(back.id)
                && Some(back.clients) == clients
                && back.seen <= begun.read
                && begun.read - back.login < 24 * HOUR
        };
        let returns: Vec<&Return> = self.returns.iter().filter(of_it).collect();
        let cycles: BTreeSet<i64> = returns.iter().map(|back| back.cycle).collect();
        let newest = returns.iter().map(|back| back.login).max();
        // Who came back by more than one way is counted by the first of them, which need not be the daemon's.
        let suspended = cycles.len() > rule.respawns.unwrap_or(respawns) + 1;
        if suspended && newest.is_some_and(|newest| begun.read - newest < HOUR) {
            return Err(format!(
                "they came back after {} cycles, lately at {newest:?}: {returns:?}",
                cycles.len()
            ));
        }
        Ok(())
    }
}

/// The first group whose sessions are of the same account, program and machine.
pub(crate) fn clients(group: usize) -> usize {
    let of = |group: usize| (GROUPS[group].user, GROUPS[group].program, GROUPS[group].machine);
    (0..GROUPS.len())
        .find(|other| of(*other) == of(group))
        .expect("itself at least")
}
