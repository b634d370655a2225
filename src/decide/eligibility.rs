//! Whether anything about a session itself stands in the way of an action.
//!
//! The plan asks it of every session of a snapshot, and the re-check asks it again of one session right before its statement.
//! It is one function with one list, so the plan and the re-check cannot differ: protections first, then exemptions, then the condition.
//! Holds, limits and pressure are no part of it: they look at more than the session.

use std::collections::HashMap;

use chrono::NaiveDate;

use crate::decide::evaluate::evaluate;
use crate::decide::evaluate::truth::Truth;
use crate::decide::in_force::EffectiveLimits;
use crate::decide::protect::{ProtectionFacts, Under, by_transaction, for_want_of_a_reading, protections};
use crate::policy::model::{Action, Exemption, Policy, Protection};
use crate::session::snapshot::Snapshot;

/// The sessions of a snapshot, with what can stand in the way of an action on each.
#[derive(Debug)]
pub(crate) struct Eligibility<'a> {
    snapshot: &'a Snapshot,
    limits: &'a EffectiveLimits,
    under: Vec<Under>,
    exempt: HashMap<usize, usize>,
}

/// How the session came to be in its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StateFrom {
    /// By itself, as far as is known.
    Itself,
    /// By an action of the same policy, which may have left it KILLED.
    OwnAction,
}

/// What stands in the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Objection {
    /// A protection.
    Protected(Protection),
    /// An exemption, by its place in the set.
    Exempt(usize),
    /// The condition does not hold, or is unknown.
    NoMatch,
}

impl<'a> Eligibility<'a> {
    /// Of a snapshot.
    #[must_use]
    pub(crate) fn of(
        snapshot: &'a Snapshot,
        facts: &ProtectionFacts,
        limits: &'a EffectiveLimits,
        exemptions: &[Exemption],
        today: NaiveDate,
    ) -> Eligibility<'a> {
        Eligibility {
            snapshot,
            limits,
            under: protections(snapshot, facts),
            exempt: exempt_rows(exemptions, snapshot, today),
        }
    }

    /// The first objection to an action of the policy on the session. `matches` says whether its condition holds for the session.
    #[must_use]
    pub(crate) fn objection(
        &self,
        policy: &Policy,
        row: usize,
        matches: bool,
        state_from: StateFrom,
    ) -> Option<Objection> {
        if let Some(protection) = self.protection(policy, row, state_from) {
            return Some(Objection::Protected(protection));
        }
        if let Some(exemption) = self.exempt.get(&row) {
            return Some(Objection::Exempt(*exemption));
        }
        if self.snapshot.key(row).is_none() {
            return Some(Objection::Protected(Protection::Unidentified));
        }
        (!self.is_selected(row, matches, state_from)).then_some(Objection::NoMatch)
    }

    /// Whether the policy selects the session. One that its own action has left KILLED may match no more, and is selected
    /// nevertheless.
    #[must_use]
    pub(crate) fn is_selected(&self, row: usize, matches: bool, state_from: StateFrom) -> bool {
        matches || (state_from == StateFrom::OwnAction && self.is_killed(row))
    }

    /// Whether the protection is the only thing that spares the session, and spares it only because a part of its transaction was not
    /// read. Read completely, it may well be one that is taken.
    #[must_use]
    pub(crate) fn may_be_a_candidate(&self, row: usize, protection: Protection) -> bool {
        for_want_of_a_reading(protection, self.snapshot, row)
            && !self.under[row].contains(protection)
            && !self.exempt.contains_key(&row)
    }

    fn is_killed(&self, row: usize) -> bool {
        self.snapshot.is_killed(row)
    }

    /// The first protection that applies to the session in spite of the policy.
    fn protection(&self, policy: &Policy, row: usize, state_from: StateFrom) -> Option<Protection> {
        self.protections(row, self.limits.undo_records_of(policy))
            .find(|protection| !self.is_lifted(*protection, policy, row, state_from))
    }

    /// The protections that apply to the session, the first that is checked first; `undo` applies above this many records.
    pub(crate) fn protections(&self, row: usize, undo_records: u64) -> impl Iterator<Item = Protection> {
        self.under[row]
            .each()
            .chain(by_transaction(self.snapshot, row, undo_records))
    }

    /// Whether a protection that applies does not spare the session from this policy. Besides what the policy lifts, that is `dying`
    /// where an action of the same policy left the session KILLED, or where the policy only reports it. A STATUS that is not known
    /// is not KILLED, so `dying` spares from both.
    #[must_use]
    pub(crate) fn is_lifted(&self, protection: Protection, policy: &Policy, row: usize, state_from: StateFrom) -> bool {
        let lifts = !protection.is_never_lifted() && policy.allow.contains(&protection);
        let may_be_killed = state_from == StateFrom::OwnAction || policy.action == Action::Report;
        lifts || protection == Protection::Dying && may_be_killed && self.is_killed(row)
    }
}

/// Whether an exemption spares a session for which its condition has this truth value. UNKNOWN exempts: what is not known protects.
#[must_use]
pub(crate) fn exempts(exemption: &Exemption, truth: Truth, today: NaiveDate) -> bool {
    exemption.expired(today).is_none() && truth != Truth::False
}

/// The rows that are exempt, each with the place of the first exemption that spares it.
fn exempt_rows(exemptions: &[Exemption], snapshot: &Snapshot, today: NaiveDate) -> HashMap<usize, usize> {
    let mut exempt = HashMap::new();
    for (at, exemption) in exemptions.iter().enumerate() {
        if exemption.expired(today).is_some() {
            continue;
        }
        let truths = evaluate(&exemption.when, snapshot);
        for row in (0..snapshot.rows()).filter(|row| exempts(exemption, truths.get(*row), today)) {
            exempt.entry(row).or_insert(at);
        }
    }
    exempt
}
