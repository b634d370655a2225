//! The plan: every policy's matched sessions, each with what prevents an action on it.
//!
//! The plan ranks and explains; it permits nothing. Limits are applied by `guard`, the only maker of warrants.
//!
//! For one session and one policy the checks run in this order, and the first that fails decides: the condition holds; no
//! protection applies; no exemption applies; no earlier action on the session is followed; the condition has held for long
//! enough. A session that passes all of them is ready.

mod processes;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::decide::eligibility::{Eligibility, Objection, StateFrom};
use crate::decide::going::is_assumed_gone;
use crate::decide::hold::{Hold, Holds};
use crate::decide::in_force::{DatabaseRules, EffectiveLimits, Here, InForce, RunMode};
use crate::decide::ledger::Reported;
use crate::decide::matches::Matches;
use crate::decide::outcome::Earlier;
use crate::decide::plan::processes::Processes;
use crate::decide::pressure::Gates;
use crate::decide::protect::ProtectionFacts;
use crate::decide::reason::Standing;
use crate::decide::refill::Refills;
use crate::decide::under_way::UnderWay;
use crate::decide::verify::{Followed, Following};
use crate::policy::model::{Action, OrderKey, Policy, PolicySet};
use crate::session::SessionKey;
use crate::session::census::{SessionKind, kinds};
use crate::session::column::Column;
use crate::session::snapshot::Snapshot;

/// What a plan is made from besides the snapshot.
#[derive(Clone, Copy, Debug)]
pub struct Situation<'a> {
    /// The policies as they were loaded, and what else is in force.
    pub rules: &'a DatabaseRules,
    /// The policies that this database runs in this cycle.
    pub here: &'a Here,
    /// What the protections need to know.
    pub facts: &'a ProtectionFacts,
    /// Whom the conditions hold for.
    pub matches: &'a Matches,
    /// How long they have held.
    pub holds: &'a Holds,
    /// The followed sessions.
    pub following: &'a Following,
    /// Actions that have no outcome yet.
    pub under_way: &'a UnderWay,
    /// Sessions that a `report` policy has reported.
    pub reported: &'a Reported,
    /// The gates of `while` and `until`.
    pub gates: &'a Gates,
    /// The sessions that came back.
    pub refills: &'a Refills,
    /// The time of the snapshot in UTC; any time if the snapshot has no clock.
    pub now: DateTime<Utc>,
    /// Treat every hold as served: `plan --assume-held`.
    pub assume_held: bool,
}

impl<'a> Situation<'a> {
    /// The policies.
    #[must_use]
    pub(crate) fn set(&self) -> &'a Arc<PolicySet> {
        self.rules.set()
    }

    /// What bounds all policies of the database together.
    #[must_use]
    pub(crate) fn limits(&self) -> &'a EffectiveLimits {
        self.rules.limits()
    }

    /// The earlier action on the session, if it counts for this policy.
    #[must_use]
    pub(crate) fn followed(&self, in_force: InForce, key: SessionKey) -> Option<&'a Followed> {
        let followed = self.following.get(key)?;
        in_force
            .reckons_with(self.set(), followed.mode, &followed.policy)
            .then_some(followed)
    }

    /// All earlier actions that count for this policy, by session.
    pub(crate) fn all_followed(&self, in_force: InForce) -> impl Iterator<Item = (&'a SessionKey, &'a Followed)> {
        let set = self.set();
        let all = self.following.iter();
        all.filter(move |(_, followed)| in_force.reckons_with(set, followed.mode, &followed.policy))
    }

    /// Whether an action on the session is under way that counts for this policy.
    #[must_use]
    pub(crate) fn is_under_way(&self, in_force: InForce, key: SessionKey) -> bool {
        let mut counted = self.under_way.counted(in_force, self.set());
        counted.any(|begun| begun.key == key)
    }

    /// The next step of this policy's ladder on a session that its own earlier action has not ended, if it is due.
    ///
    /// The ladder's actions grow strictly stronger, so the last action shows the rung. If it is unknown whether that action
    /// happened, and the session does not show it, the same rung is taken again, so that no softer one is skipped: from itself, or
    /// from the rung below where that one has left the session KILLED. A dry run assumes that its action ended the session, so it has
    /// nothing to escalate.
    fn next_rung(&self, in_force: InForce, key: SessionKey, killed: bool) -> Option<LadderStep> {
        let policy = &self.set().policies[in_force.index()];
        let followed = self.following.get(key)?;
        let own = followed.policy == policy.name && followed.mode == RunMode::Enforce;
        if !own || in_force.mode() != RunMode::Enforce {
            return None;
        }
        let last = followed.action;
        let rung = policy.actions().position(|action| action == last)?;
        let next = *policy.escalate.get(rung)?;
        let waited = (self.now - followed.since).num_seconds();
        if !u64::try_from(waited).is_ok_and(|waited| waited >= next.after) {
            return None;
        }
        let below = || policy.actions().nth(rung.checked_sub(1)?);
        let next = next.action;
        Some(match followed.certain || killed && !followed.was_killed {
            true => LadderStep { last, next },
            false if killed => LadderStep {
                last: below()?,
                next: last,
            },
            false => LadderStep { last, next: last },
        })
    }

    /// The number of existing user sessions, by instance, that a dry run assumes to be gone.
    fn assumed_gone(&self, in_force: InForce) -> BTreeMap<u32, usize> {
        let mut gone = BTreeMap::new();
        for (key, _) in self
            .all_followed(in_force)
            .filter(|(_, followed)| is_assumed_gone(followed))
        {
            *gone.entry(key.inst_id).or_insert(0) += 1;
        }
        gone
    }
}

/// A step of a ladder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct LadderStep {
    /// The rung that has not ended the session; the next one itself, where nobody knows whether it was taken.
    last: Action,
    /// The rung that is due.
    next: Action,
}

/// One policy's part of a plan.
#[derive(Clone, Debug)]
pub(crate) struct PolicyPlan {
    /// The policy.
    pub(crate) in_force: InForce,
    /// Candidates by instance: matched, neither protected nor exempt. The breaker counts these, and with them whoever is protected
    /// only because a part of its transaction was not read: a view that fails must not close a breaker.
    pub(crate) candidates: BTreeMap<u32, usize>,
    /// User sessions by instance, of which the breaker takes its share. Neither number has sessions that a dry run assumes to be gone.
    pub(crate) user_sessions: BTreeMap<u32, usize>,
    /// Matched sessions, worst first.
    pub(crate) entries: Vec<PlanEntry>,
}

/// A session that a policy's condition holds for.
#[derive(Clone, Debug)]
pub(crate) struct PlanEntry {
    /// Its row.
    pub(crate) row: usize,
    /// Its key; `None` only if it is protected as unidentified.
    pub(crate) key: Option<SessionKey>,
    /// What prevents an action.
    pub(crate) standing: Standing,
}

/// All policies' plans, in file and list order.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// The plans of the policies that are due.
    pub(crate) policies: Vec<PolicyPlan>,
    /// For every policy in force, due or not: its index and the number of sessions for which its condition is TRUE.
    pub(crate) matches: Vec<(usize, usize)>,
}

/// Makes the plan.
#[must_use]
pub fn plan(snapshot: &Snapshot, situation: &Situation<'_>) -> Plan {
    let today = situation.rules.today(situation.now);
    let exemptions = &situation.set().exemptions;
    let sessions = Eligibility::of(snapshot, situation.facts, situation.limits(), exemptions, today);
    let mut plan = Plan::default();
    let users = user_sessions(snapshot);
    let processes = Processes::of(snapshot, situation, &sessions);
    for in_force in situation.here.running() {
        let policy = &situation.set().policies[in_force.index()];
        let matched = situation.matches.rows(in_force.index());
        plan.matches.push((in_force.index(), matched.len()));
        let mut entries = escalations(matched, *in_force, snapshot, situation, &sessions);
        if !in_force.is_due() && entries.is_empty() {
            continue;
        }
        let mut rows = matched.to_vec();
        rows.retain(|row| {
            in_force.is_due()
                && situation
                    .gates
                    .is_open(in_force.index(), snapshot.id(*row, Column::InstId))
        });
        sort_worst_first(&mut rows, policy, snapshot);
        let last_spared = |row: &usize| {
            let key = snapshot.key(*row)?;
            let following = situation.following;
            following.last_spared(&policy.name, in_force.mode(), key, situation.now)
        };
        // A session that was spared at the re-check may be spared every time, and would take the turn of the others.
        rows.sort_by_cached_key(last_spared);
        let escalating: HashSet<usize> = entries.iter().map(|entry| entry.row).collect();
        entries.extend(
            rows.into_iter()
                .filter(|row| snapshot.is_read_completely(*row) && !escalating.contains(row))
                .map(|row| entry(row, *in_force, snapshot, situation, &sessions)),
        );
        processes.spare(&mut entries, *in_force, matched);
        let mut user_sessions = users.clone();
        for (inst_id, gone) in situation.assumed_gone(*in_force) {
            user_sessions
                .entry(inst_id)
                .and_modify(|users| *users = users.saturating_sub(gone));
        }
        plan.policies.push(PolicyPlan {
            in_force: *in_force,
            candidates: count_candidates(&entries, *in_force, situation, &sessions),
            user_sessions,
            entries,
        });
    }
    plan
}

/// Sessions that the policy's own action has not ended and whose next rung is due; they come first. A schedule does not apply to
/// them, because an escalation completes an earlier action, and a schedule may be a moment. Nor does pressure apply to one that is KILLED.
/// One that was only asked to go lives on, and is left alone once there is room. Both apply to a rung that is taken again because nobody
/// knows whether it was taken: there may be nothing to complete.
///
/// A session that is KILLED no longer matches and has the protection `dying`, because of that action; all its other protections
/// apply. One that is not KILLED (it was asked to go after its transaction) must still match.
fn escalations(
    matched: &[usize],
    in_force: InForce,
    snapshot: &Snapshot,
    situation: &Situation<'_>,
    sessions: &Eligibility<'_>,
) -> Vec<PlanEntry> {
    let policy = &situation.set().policies[in_force.index()];
    if policy.escalate.is_empty() {
        return Vec::new();
    }
    let due = |row: usize| {
        let key = snapshot.key(row)?;
        if situation.is_under_way(in_force, key) {
            return None;
        }
        let LadderStep { last, next } = situation.next_rung(in_force, key, snapshot.is_killed(row))?;
        let gates = &situation.gates;
        let may_stay = !snapshot.is_killed(row) && !gates.is_open(in_force.index(), Some(key.inst_id));
        if next == last || may_stay {
            return None;
        }
        let matches = matched.contains(&row);
        if !snapshot.is_read_completely(row) || !sessions.is_selected(row, matches, StateFrom::OwnAction) {
            return None;
        }
        let standing = match sessions.objection(policy, row, matches, StateFrom::OwnAction) {
            Some(Objection::Protected(protection)) => Standing::Protected(protection),
            Some(Objection::Exempt(exemption)) => Standing::Exempt(exemption),
            Some(Objection::NoMatch) => return None,
            None => Standing::Escalating { last, next },
        };
        Some(PlanEntry {
            row,
            key: Some(key),
            standing,
        })
    };
    // By key: rows come in any order, and who is first takes the budget.
    let followed = situation.following.iter();
    let rows = followed.flat_map(|(key, _)| snapshot.rows_of(*key));
    rows.filter_map(due).collect()
}

fn entry(
    row: usize,
    in_force: InForce,
    snapshot: &Snapshot,
    situation: &Situation<'_>,
    sessions: &Eligibility<'_>,
) -> PlanEntry {
    let policy = &situation.set().policies[in_force.index()];
    let key = snapshot.key(row);
    let standing = match (sessions.objection(policy, row, true, StateFrom::Itself), key) {
        (Some(Objection::Protected(protection)), _) => Standing::Protected(protection),
        (Some(Objection::Exempt(exemption)), _) => Standing::Exempt(exemption),
        (Some(Objection::NoMatch), _) => unreachable!("the entries of a plan are those that match"),
        (None, None) => unreachable!("a session without a key is protected as unidentified"),
        (None, Some(key)) => match earlier(policy, in_force, snapshot, situation, row, key) {
            Some(earlier) => match again(in_force, situation, key) {
                Some(action) => match held(policy, snapshot, situation, key) {
                    Standing::Ready => Standing::Escalating {
                        last: action,
                        next: action,
                    },
                    pending @ (Standing::Pending { .. }
                    | Standing::Protected(_)
                    | Standing::SharedProcess(_)
                    | Standing::Exempt(_)
                    | Standing::Followed(_)
                    | Standing::Escalating { .. }) => pending,
                },
                None => Standing::Followed(earlier),
            },
            None => held(policy, snapshot, situation, key),
        },
    };
    PlanEntry { row, key, standing }
}

/// The rung that is due again because nobody knows whether it was taken.
fn again(in_force: InForce, situation: &Situation<'_>, key: SessionKey) -> Option<Action> {
    let LadderStep { last, next } = situation.next_rung(in_force, key, false)?;
    (next == last && !situation.is_under_way(in_force, key)).then_some(next)
}

/// The earlier action that stands in the way, under way or followed. An earlier action does not defer a report, which does nothing to the session; only an earlier report of it does.
fn earlier(
    policy: &Policy,
    in_force: InForce,
    snapshot: &Snapshot,
    situation: &Situation<'_>,
    row: usize,
    key: SessionKey,
) -> Option<Earlier> {
    match policy.action {
        Action::Report if situation.under_way.reports(&policy.name, key) => Some(Earlier::UnderWay),
        Action::Report => situation
            .reported
            .contains(&policy.name, key)
            .then_some(Earlier::Reported),
        Action::Kill { .. } | Action::Disconnect { .. } | Action::CancelSql => {
            // An assumption of a dry run never replaces a real request.
            let rehearses = in_force.mode() == RunMode::DryRun;
            let in_transaction = !snapshot.has(Column::Taddr) || snapshot.text(row, Column::Taddr).is_some();
            if situation.is_under_way(in_force, key) {
                return Some(Earlier::UnderWay);
            }
            situation
                .followed(in_force, key)
                .filter(|followed| rehearses || followed.holds_off(policy.action, in_transaction))
                .map(Followed::as_earlier)
        }
    }
}

fn held(policy: &Policy, snapshot: &Snapshot, situation: &Situation<'_>, key: SessionKey) -> Standing {
    if policy.hold == 0 || situation.assume_held {
        return Standing::Ready;
    }
    if snapshot.clock().is_none() {
        return Standing::Pending { held: 0 };
    }
    match situation.holds.of(policy, key, situation.now) {
        Hold::Served => Standing::Ready,
        Hold::Pending { since } => Standing::Pending {
            held: (situation.now - since).num_seconds().max(0),
        },
    }
}

fn user_sessions(snapshot: &Snapshot) -> BTreeMap<u32, usize> {
    let mut count = BTreeMap::new();
    if snapshot.counted().is_some() {
        for users in kinds(snapshot).filter(SessionKind::are_users) {
            enter(&mut count, users.inst_id, users.sessions);
        }
        return count;
    }
    let Some(types) = snapshot.texts(Column::Type) else {
        return count;
    };
    let is_user = types.judged(|text| text == Some("USER"));
    // Rows of an instance are mostly adjacent, so a run of them is entered at once.
    let (mut instance, mut run) = (None, 0);
    for row in (0..snapshot.rows()).filter(|row| is_user[types.code(*row) as usize]) {
        let inst_id = snapshot.id(row, Column::InstId);
        if inst_id != instance {
            enter(&mut count, instance, run);
            (instance, run) = (inst_id, 0);
        }
        run += 1;
    }
    enter(&mut count, instance, run);
    count
}

fn enter(count: &mut BTreeMap<u32, usize>, inst_id: Option<u32>, sessions: usize) {
    if let (Some(inst_id), true) = (inst_id, sessions > 0) {
        *count.entry(inst_id).or_insert(0) += sessions;
    }
}

fn count_candidates(
    entries: &[PlanEntry],
    in_force: InForce,
    situation: &Situation<'_>,
    sessions: &Eligibility<'_>,
) -> BTreeMap<u32, usize> {
    let mut count = BTreeMap::new();
    for entry in entries {
        let is_counted = match &entry.standing {
            Standing::Ready | Standing::Pending { .. } | Standing::Followed(_) | Standing::Escalating { .. } => true,
            Standing::Protected(protection) => sessions.may_be_a_candidate(entry.row, *protection),
            Standing::SharedProcess(_) | Standing::Exempt(_) => false,
        };
        let key = entry.key.filter(|_| is_counted);
        let is_gone = |key: &SessionKey| situation.followed(in_force, *key).is_some_and(is_assumed_gone);
        if let Some(key) = key.filter(|key| !is_gone(key)) {
            *count.entry(key.inst_id).or_insert(0) += 1;
        }
    }
    count
}

/// Sorts by the policy's `order`, then by key so that the order is always the same. Rows without a value come last.
pub(crate) fn sort_worst_first(rows: &mut [usize], policy: &Policy, snapshot: &Snapshot) {
    rows.sort_by(|one, two| {
        let by_order = |order: &OrderKey| {
            let number = |row: usize| snapshot.number(row, order.column);
            let text = |row: usize| snapshot.text(row, order.column);
            let ordering = match (
                number(*one).is_some() || text(*one).is_some(),
                number(*two).is_some() || text(*two).is_some(),
            ) {
                (true, false) => return std::cmp::Ordering::Less,
                (false, true) => return std::cmp::Ordering::Greater,
                (true, true) | (false, false) => number(*one).cmp(&number(*two)).then(text(*one).cmp(&text(*two))),
            };
            if order.descending { ordering.reverse() } else { ordering }
        };
        let orders = policy.order.iter().map(by_order);
        let worst = orders.fold(std::cmp::Ordering::Equal, std::cmp::Ordering::then);
        worst
            .then_with(|| snapshot.key(*one).cmp(&snapshot.key(*two)))
            .then(one.cmp(two))
    });
}
