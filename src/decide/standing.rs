//! Whether anything about a session itself stands in the way of an action.
//!
//! The plan asks it of every session of a snapshot, and the re-check asks it again of one session right before its statement.
//! It is one function with one list, so the two cannot come apart: protections first, then exemptions, then the condition.
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
pub(crate) struct AskedSessions<'a> {
    snapshot: &'a Snapshot,
    limits: &'a EffectiveLimits,
    under: Vec<Under>,
    exempt: HashMap<usize, usize>,
}

/// How the session came to be in its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Because {
    /// By itself, as far as is known.
    Itself,
    /// By an action of the same policy, which may have left it KILLED.
    OwnAction,
}

/// What stands in the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InTheWay {
    /// A protection.
    Protected(Protection),
    /// An exemption, by its place in the set.
    Exempt(usize),
    /// The condition does not hold, or is unknown.
    NoMatch,
}

impl<'a> AskedSessions<'a> {
    /// Of a snapshot.
    #[must_use]
    pub(crate) fn of(
        snapshot: &'a Snapshot,
        facts: &ProtectionFacts,
        limits: &'a EffectiveLimits,
        exemptions: &[Exemption],
        today: NaiveDate,
    ) -> AskedSessions<'a> {
        AskedSessions {
            snapshot,
            limits,
            under: protections(snapshot, facts),
            exempt: exempt_rows(exemptions, snapshot, today),
        }
    }

    /// What stands in the way of the policy, the first of it. `matches` says whether its condition holds for the session.
    #[must_use]
    pub(crate) fn in_the_way(&self, policy: &Policy, row: usize, matches: bool, because: Because) -> Option<InTheWay> {
        if let Some(protection) = self.protection(policy, row, because) {
            return Some(InTheWay::Protected(protection));
        }
        if let Some(exemption) = self.exempt.get(&row) {
            return Some(InTheWay::Exempt(*exemption));
        }
        if self.snapshot.key(row).is_none() {
            return Some(InTheWay::Protected(Protection::Unidentified));
        }
        (!self.is_wanted(row, matches, because)).then_some(InTheWay::NoMatch)
    }

    /// Whether the policy wants the session at all. One that its own action has marked is KILLED and matches no more; it is
    /// the same session all the same.
    #[must_use]
    pub(crate) fn is_wanted(&self, row: usize, matches: bool, because: Because) -> bool {
        matches || (because == Because::OwnAction && self.is_killed(row))
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

    /// The first protection that holds for the session and that the policy does not lift: all of them, but for `dying` where an
    /// action of the same policy is what made it so, and where the policy only tells of the session. A STATUS that is not known
    /// is no KILLED, and protects from both.
    fn protection(&self, policy: &Policy, row: usize, because: Because) -> Option<Protection> {
        let tells = policy.action == Action::Report;
        let under = match because {
            Because::OwnAction if self.is_killed(row) => self.under[row].without(Protection::Dying),
            Because::Itself if tells && self.is_killed(row) => self.under[row].without(Protection::Dying),
            Because::OwnAction | Because::Itself => self.under[row],
        };
        under.first_not_lifted(&policy.allow).or_else(|| {
            by_transaction(self.snapshot, row, self.limits.undo_records_of(policy))
                .find(|protection| !policy.allow.contains(protection))
        })
    }
}

/// Rows under an exemption that has not expired, with its place in the set. UNKNOWN exempts: what cannot be told protects.
fn exempt_rows(exemptions: &[Exemption], snapshot: &Snapshot, today: NaiveDate) -> HashMap<usize, usize> {
    let mut exempt = HashMap::new();
    for (at, exemption) in exemptions.iter().enumerate() {
        if exemption.until.is_some_and(|until| today > until) {
            continue;
        }
        let truths = evaluate(&exemption.when, snapshot);
        for row in (0..snapshot.rows()).filter(|row| truths.get(*row) != Truth::False) {
            exempt.entry(row).or_insert(at);
        }
    }
    exempt
}
