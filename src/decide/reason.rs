//! Why a session whose condition holds is taken or spared, as values, and their text.
//!
//! Code that counts, groups or colours decisions uses the values. Only this file makes text of them, when it is shown, with the
//! session's values.

use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::decide::evaluate::reason::{reason, reason_beside_status, unknown};
use crate::decide::floor::Floor;
use crate::decide::ledger::UnknownUse;
use crate::decide::outcome::{Earlier, Outcome};
use crate::decide::protect::why_protected;
use crate::decide::refill::{CAME_BACK_WITHIN, ClientGroup, Suspension};
use crate::decide::shared_process::SharedProcess;
use crate::decide::standstill::Standstill;
use crate::policy::model::{Action, Exemption, PolicySet, Protection};
use crate::policy::timetable::OutsideDates;
use crate::quantity::Span;
use crate::session::snapshot::Snapshot;
use crate::session::time::iso;

/// The six possible decisions about a session whose condition holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Verdict {
    /// A warrant was given.
    Act,
    /// `for:` is not served.
    Pending,
    /// A budget is used up, a group is at its floor, or an earlier action on the session is still followed.
    Deferred,
    /// The breaker is open, or the policy is suspended for the session's group.
    Refused,
    /// A protection spares it.
    Protected(Protection),
    /// An exemption spares it.
    Exempt,
}

impl Verdict {
    /// As reports and metrics have it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Verdict::Act => "act",
            Verdict::Pending => "pending",
            Verdict::Deferred => "deferred",
            Verdict::Refused => "refused",
            Verdict::Protected(_) => "protected",
            Verdict::Exempt => "exempt",
        }
    }
}

/// The number of decisions of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DecisionCounts {
    /// A warrant: to act now.
    pub act: usize,
    /// The condition has not held for as long as `for:` asks.
    pub(crate) pending: usize,
    /// A budget or a floor leaves no room.
    pub(crate) deferred: usize,
    /// The breaker is open, or the group is suspended.
    pub(crate) refused: usize,
    /// A protection applies.
    pub protected: usize,
    /// An exemption applies.
    pub(crate) exempt: usize,
}

impl DecisionCounts {
    /// The names and counts in display order.
    #[must_use]
    pub(crate) const fn counts(&self) -> [(&'static str, usize); 6] {
        [
            ("act", self.act),
            ("pending", self.pending),
            ("deferred", self.deferred),
            ("refused", self.refused),
            ("protected", self.protected),
            ("exempt", self.exempt),
        ]
    }

    /// Counts a decision.
    pub(crate) fn count(&mut self, verdict: Verdict) {
        let of_kind = match verdict {
            Verdict::Act => &mut self.act,
            Verdict::Pending => &mut self.pending,
            Verdict::Deferred => &mut self.deferred,
            Verdict::Refused => &mut self.refused,
            Verdict::Protected(_) => &mut self.protected,
            Verdict::Exempt => &mut self.exempt,
        };
        *of_kind += 1;
    }

    /// Raises each count to that of `other` if that is higher.
    pub(crate) fn raise_to(&mut self, other: &DecisionCounts) {
        *self = DecisionCounts {
            act: self.act.max(other.act),
            pending: self.pending.max(other.pending),
            deferred: self.deferred.max(other.deferred),
            refused: self.refused.max(other.refused),
            protected: self.protected.max(other.protected),
            exempt: self.exempt.max(other.exempt),
        };
    }

    /// `3 act, 1 deferred`; kinds with a count of 0 are left out.
    #[must_use]
    pub(crate) fn words(&self) -> String {
        let some: Vec<String> = self
            .counts()
            .into_iter()
            .filter(|(_, count)| *count > 0)
            .map(|(name, count)| format!("{count} {name}"))
            .collect();
        if some.is_empty() {
            "nobody".into()
        } else {
            some.join(", ")
        }
    }
}

/// What prevents an action on a matched session, before any limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nothing but the limits.
    Ready,
    /// `for:` is not served.
    Pending {
        /// How many seconds the condition has held; 0 if only one snapshot is known.
        held: i64,
    },
    /// A protection.
    Protected(Protection),
    /// It would end together with a session that must stay.
    SharedProcess(SharedProcess),
    /// An exemption, by its place in the set.
    Exempt(usize),
    /// An earlier action on it is followed.
    Followed(Earlier),
    /// The policy's own action has not ended it, and the next rung is due; or the same, because nobody knows whether it was taken.
    Escalating {
        /// The last action.
        last: Action,
        /// The action that is due: the same where nobody knows.
        next: Action,
    },
}

/// Why a limit refuses a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The policy's whole plan is refused.
    Breaker(OpenBreaker),
    /// The session's group is left alone.
    Suspended(Suspended),
}

/// An open breaker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenBreaker {
    /// The policy's place in the set.
    pub(crate) policy: usize,
    /// The instance that opened it.
    pub(crate) inst_id: u32,
    /// Candidates there.
    pub(crate) candidates: usize,
    /// User sessions there.
    pub(crate) user_sessions: usize,
    /// The share in percent that was exceeded.
    pub(crate) share: u32,
}

/// A group that a policy leaves alone because it refills.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suspended {
    /// The policy's place in the set.
    pub(crate) policy: usize,
    /// The group.
    pub(crate) who: ClientGroup,
    /// How often the group refilled, and until when it is left alone.
    pub(crate) suspension: Suspension,
}

/// Why a session is deferred.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// No session is acted on in this cycle.
    Standstill(Standstill),
    /// Another policy acts on it in this cycle.
    Taken(Arc<str>),
    /// There is nothing to cancel.
    NoSqlId,
    /// A budget is used up.
    Budget {
        /// Its owner.
        whose: Whose,
        /// The key of the policy language.
        key: &'static str,
        /// How large it is.
        limit: u32,
        /// Why it counts as used up, where less is known to be done.
        unknown: Option<UnknownUse>,
    },
    /// Earlier attempts have not ended it.
    NotAgain {
        /// What came of the last one.
        outcome: Outcome,
        /// When it was.
        at: DateTime<Utc>,
        /// How many there were.
        times: u32,
        /// When it is tried again; never if `None`.
        until: Option<DateTime<Utc>>,
    },
    /// Its group is at its floor.
    Floor(Floor),
    /// The pressure does not ask for it.
    Relieved(Relief),
}

/// Why a policy with `until` takes no further session of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relief {
    /// Enough were taken, by estimate.
    ByEstimate,
    /// `until` is true although none was taken.
    Already {
        /// The instance.
        inst_id: u32,
    },
    /// A value that `until` needs cannot be read.
    Unknown {
        /// The instance.
        inst_id: u32,
    },
}

/// The owner of a budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// All policies' together.
    Database,
    /// The policy's own.
    Policy,
}

/// Why a permission ended between its snapshot and its statement, besides identity, condition, protections and exemptions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Lapse {
    /// Its group has reached its floor.
    Floor(Floor),
    /// Its instance is no longer known to be short.
    Gate {
        /// INST_ID.
        inst_id: u32,
    },
    /// The policy's schedule, by its text.
    Schedule(String),
    /// The policy's days.
    Dates(OutsideDates),
    /// Whether it was used since the snapshot is unknown.
    UseUnknown,
    /// It was used since the snapshot, so `for:` begins anew.
    Used,
}

/// Why the re-check spares a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Spared {
    /// It is gone.
    Gone,
    /// A protection applies now, and why.
    Protected(Protection, String),
    /// An exemption applies now.
    Exempt,
    /// The condition is no longer TRUE.
    ConditionNoLongerHolds,
}

/// Why a session is taken or spared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// The plan decides; no limit applies.
    Standing(Standing),
    /// A limit refuses it.
    Refused(Refusal),
    /// Something defers it.
    Deferred(Obstacle),
}

impl Standing {
    /// What is decided where no limit is in the way.
    #[must_use]
    pub(crate) const fn verdict(&self) -> Verdict {
        match self {
            Standing::Ready | Standing::Escalating { .. } => Verdict::Act,
            Standing::Pending { .. } => Verdict::Pending,
            Standing::Protected(protection) => Verdict::Protected(*protection),
            Standing::SharedProcess(_) => Verdict::Protected(Protection::SharedProcess),
            Standing::Exempt(_) => Verdict::Exempt,
            Standing::Followed(_) => Verdict::Deferred,
        }
    }

    /// Whether the next rung of a ladder is due. Its last action was taken for certain, or has left the session KILLED.
    #[must_use]
    pub(crate) fn is_next_rung(&self) -> bool {
        matches!(self, Standing::Escalating { last, next } if last != next)
    }
}

impl Why {
    /// What was decided.
    #[must_use]
    pub(crate) const fn verdict(&self) -> Verdict {
        match self {
            Why::Standing(standing) => standing.verdict(),
            Why::Refused(_) => Verdict::Refused,
            Why::Deferred(_) => Verdict::Deferred,
        }
    }
}

/// The session that a reason is about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct About<'a> {
    /// The policies.
    pub(crate) set: &'a PolicySet,
    /// The index of the policy that decided.
    pub(crate) policy: usize,
    /// The sessions.
    pub(crate) snapshot: &'a Snapshot,
    /// The row of this one.
    pub(crate) row: usize,
}

impl About<'_> {
    /// Why, in words with the session's own values.
    #[must_use]
    pub(crate) fn words(&self, why: &Why) -> String {
        match why {
            Why::Standing(Standing::Protected(protection)) => {
                format!("protected by {protection}: {}", self.brief(why))
            }
            Why::Standing(Standing::SharedProcess(_)) => {
                format!("protected by {}: {}", Protection::SharedProcess, self.brief(why))
            }
            Why::Standing(Standing::Exempt(_)) => format!("exempt: {}", self.brief(why)),
            Why::Standing(_) | Why::Refused(_) | Why::Deferred(_) => self.brief(why),
        }
    }

    /// The reason without the name of the protection or of the verdict, for use beside it.
    #[must_use]
    pub(crate) fn brief(&self, why: &Why) -> String {
        self.said(why, reason)
    }

    /// The reason for use beside STATUS and its duration; sessions that differ only in these have the same text.
    #[must_use]
    pub(crate) fn beside_status(&self, why: &Why) -> String {
        match why {
            Why::Standing(Standing::Ready | Standing::Pending { .. }) => self.said(why, reason_beside_status),
            Why::Standing(_) | Why::Refused(_) | Why::Deferred(_) => self.words(why),
        }
    }

    fn said(&self, why: &Why, held: Held) -> String {
        let policy = &self.set.policies[self.policy];
        let standing = match why {
            Why::Refused(refusal) => return refusal.to_string(),
            Why::Deferred(obstacle) => return obstacle.to_string(),
            Why::Standing(standing) => standing,
        };
        match standing {
            Standing::Ready => held(&policy.when, self.snapshot, self.row),
            Standing::Pending { held: seconds } => {
                let wanted = Span(i64::try_from(policy.hold).unwrap_or(i64::MAX));
                let when = held(&policy.when, self.snapshot, self.row);
                format!("{when}, held for {} of {wanted}", Span(*seconds))
            }
            Standing::Protected(protection) => why_protected(*protection, self.snapshot, self.row),
            Standing::SharedProcess(shared) => shared.words(self.snapshot),
            Standing::Exempt(at) => exempted(&self.set.exemptions[*at], self.snapshot, self.row),
            Standing::Followed(earlier) => earlier.to_string(),
            Standing::Escalating { last, next } if last == next => {
                format!("it is unknown whether {last} was done, so it is done again")
            }
            Standing::Escalating { last, next } => format!("{last} has not ended it, escalating to {next}"),
        }
    }
}

/// Why an exemption spares the session in a row. It also does where its condition is UNKNOWN, which is said then.
#[must_use]
pub(crate) fn exempted(exemption: &Exemption, snapshot: &Snapshot, row: usize) -> String {
    let whose = format!("{} ({})", exemption.reason, exemption.owner);
    match unknown(&exemption.when, snapshot, row) {
        Some(why) => format!("{whose}; whether it is meant cannot be told, which spares: {why}"),
        None => whose,
    }
}

/// Why a condition holds for a row, in words.
type Held = fn(&crate::policy::condition::Condition, &Snapshot, usize) -> String;

impl fmt::Display for OpenBreaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} candidates of {} user sessions on instance {}, more than {}%",
            self.candidates, self.user_sessions, self.inst_id, self.share
        )
    }
}

impl fmt::Display for Suspended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Suspension { times, until } = self.suspension;
        let within = Span(CAME_BACK_WITHIN.num_seconds());
        write!(
            f,
            "suspended: sessions of {} came back within {within} of being ended, in {times} cycles of a day; left alone \
             until {}",
            self.who,
            iso(until)
        )
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Breaker(breaker) => write!(f, "breaker open: {breaker}"),
            Refusal::Suspended(suspended) => suspended.fmt(f),
        }
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Obstacle::Standstill(standstill) => standstill.fmt(f),
            Obstacle::Taken(policy) => write!(f, "policy {policy} acts on it in this cycle"),
            Obstacle::NoSqlId => {
                f.write_str("it runs no SQL that has an SQL_ID, without which nothing can be cancelled")
            }
            Obstacle::Budget {
                whose,
                key,
                limit,
                unknown,
            } => {
                let whose = match whose {
                    Whose::Database => "the database's",
                    Whose::Policy => "the policy's",
                };
                let Some(UnknownUse { why, until }) = unknown else {
                    return write!(f, "budget: {whose} {key} {limit} is used up");
                };
                write!(f, "budget: {whose} {key} {limit} counts as used up")?;
                if let Some(until) = until {
                    write!(f, " until {}", iso(*until))?;
                }
                write!(
                    f,
                    ", because the journal is damaged or was changed ({why}) and actions may be missing in it: find out with \
                     `orareaper history --verify`; it is free again by itself"
                )
            }
            Obstacle::NotAgain {
                outcome,
                at,
                times,
                until,
            } => {
                let at = iso(*at);
                let attempts = match times {
                    1 => "the attempt".to_owned(),
                    several => format!("the last of {several} attempts"),
                };
                write!(
                    f,
                    "{attempts} at {at} came to {outcome} and it is still there: not tried again "
                )?;
                match until {
                    Some(until) => write!(f, "before {}", iso(*until)),
                    None => f.write_str("while it lives"),
                }
            }
            Obstacle::Floor(floor) => floor.fmt(f),
            Obstacle::Relieved(relief) => relief.fmt(f),
        }
    }
}

impl fmt::Display for Relief {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Relief::ByEstimate => f.write_str("enough were taken to relieve the pressure, by estimate"),
            Relief::Already { inst_id } => write!(
                f,
                "`until` is already true on instance {inst_id}: the pressure needs no relief"
            ),
            Relief::Unknown { inst_id } => write!(
                f,
                "a value of `until` cannot be read on instance {inst_id}, so it is unknown whether the pressure needs relief"
            ),
        }
    }
}

impl fmt::Display for Lapse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Lapse::Floor(floor) => floor.fmt(f),
            Lapse::Gate { inst_id } => write!(f, "instance {inst_id} is no longer short, or cannot be read"),
            Lapse::Schedule(text) => write!(f, "its schedule `{text}` ended before its turn came"),
            Lapse::Dates(outside) => write!(f, "dates: {outside}"),
            Lapse::UseUnknown => f.write_str("for: whether it was used since the snapshot is unknown"),
            Lapse::Used => f.write_str("for: it was used since the snapshot, so its time begins anew"),
        }
    }
}

impl fmt::Display for Spared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Spared::Gone => f.write_str("already_gone"),
            Spared::Protected(protection, because) => write!(f, "{protection}: {because}"),
            Spared::Exempt => f.write_str("an exemption holds now, or cannot be told"),
            Spared::ConditionNoLongerHolds => f.write_str("its condition no longer holds"),
        }
    }
}
