//! Who ends together with a session.
//!
//! DISCONNECT SESSION ends the server process, and with it every session that the process serves. Through a shared server it ends
//! a virtual circuit instead, and a session that is detached from its process (SERVER is PSEUDO) has none to end (Oracle Database
//! SQL Language Reference, ALTER SYSTEM).
//!
//! The plan asks for all sessions of a snapshot ([`crate::decide::plan`]), so that it shows the result and gives no
//! warrant that would be refused at every poll. The re-check asks the database again right before the statement
//! ([`crate::actuator::carry_out`]). Both judge another session by [`means_for`].

use std::fmt;

use crate::decide::eligibility::{Eligibility, Objection, StateFrom};
use crate::decide::protect::why_protected;
use crate::policy::model::{Action, Policy, Protection};
use crate::session::snapshot::Snapshot;

/// At most this many other sessions of the same server process are checked one by one.
const MOST_OTHERS: usize = 50;

/// Whether the action ends the server process.
#[must_use]
pub(crate) fn ends_the_process(action: Action) -> bool {
    match action {
        Action::Disconnect { .. } => true,
        Action::Kill { .. } | Action::CancelSql | Action::Report => false,
    }
}

/// Whether a session with this SERVER has a server process that a DISCONNECT would end.
#[must_use]
pub(crate) fn has_a_process(server: Option<&str>) -> bool {
    !matches!(server, Some("SHARED" | "NONE" | "PSEUDO"))
}

/// Why the other sessions of a server process cannot be checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotChecked {
    /// PADDR is not known.
    Unknown,
    /// There are too many: this many.
    TooMany(usize),
}

impl NotChecked {
    /// Whether there are too many others.
    #[must_use]
    pub(crate) fn if_too_many(others: usize) -> Option<NotChecked> {
        (others > MOST_OTHERS).then_some(NotChecked::TooMany(others))
    }
}

impl fmt::Display for NotChecked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotChecked::Unknown => {
                f.write_str("PADDR is unknown, and so is who else would end with its server process")
            }
            NotChecked::TooMany(others) => write!(
                f,
                "its server process serves {others} other sessions, too many to check (at most {MOST_OTHERS})"
            ),
        }
    }
}

/// What the end of a server process means for another session that it serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProcessSharer {
    /// It must stay.
    MustStay(Objection),
    /// The policy selects it too. It would end without a record of its own, outside budgets and floors.
    EndsUnrecorded,
    /// It is KILLED, so it ends anyway.
    EndsAnyway,
}

/// What the end of its server process means for a session that the action is not for. `matches` says whether the policy's condition
/// holds for it. All its protections apply, except that it is KILLED.
#[must_use]
pub(crate) fn means_for(sessions: &Eligibility<'_>, row: usize, policy: &Policy, matches: bool) -> ProcessSharer {
    match sessions.objection(policy, row, matches, StateFrom::OwnAction) {
        Some(objection) => ProcessSharer::MustStay(objection),
        None if matches => ProcessSharer::EndsUnrecorded,
        None => ProcessSharer::EndsAnyway,
    }
}

/// In words that another session must stay, and why.
#[must_use]
pub(crate) fn must_stay(who: &str, why: &str) -> String {
    format!("its server process also serves {who}, which would end with it and is spared: {why}")
}

/// In words that another session would end unrecorded.
#[must_use]
pub(crate) fn ends_unrecorded(who: &str) -> String {
    format!(
        "its server process also serves {who}, which would end with it without a record of its own, and outside budgets and \
         floors"
    )
}

/// Why a session is not disconnected although nothing spares the session itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SharedProcess {
    /// The others of its server process cannot be checked.
    NotChecked(NotChecked),
    /// Another session, by its row, must stay.
    Stays(usize, Stays),
}

/// Why another session must stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stays {
    /// A protection that the policy does not lift.
    Protected(Protection),
    /// An exemption.
    Exempt,
    /// The condition does not hold for it.
    DoesNotMatch,
    /// The condition has not held for long enough.
    NotHeld,
    /// The policy selects it too: it would end unrecorded.
    Selected,
}

impl SharedProcess {
    /// In words.
    #[must_use]
    pub(crate) fn words(&self, snapshot: &Snapshot) -> String {
        let (row, stays) = match self {
            SharedProcess::NotChecked(why) => return why.to_string(),
            SharedProcess::Stays(row, stays) => (*row, stays),
        };
        let who = snapshot
            .key(row)
            .map_or_else(|| "a session that is not known".into(), |key| key.to_string());
        let why = match stays {
            Stays::Protected(protection) => format!("{protection}: {}", why_protected(*protection, snapshot, row)),
            Stays::Exempt => "an exemption holds".into(),
            Stays::DoesNotMatch => "the policy's condition does not hold for it".into(),
            Stays::NotHeld => "the policy's condition has not held for long enough".into(),
            Stays::Selected => return ends_unrecorded(&who),
        };
        must_stay(&who, &why)
    }
}
