//! Why a session stands where it stands, in words with its own values.

use chrono::{DateTime, Utc};

use crate::decide::evaluate::reason::reason;
use crate::decide::plan::{Entry, Standing};
use crate::decide::protect::because;
use crate::policy::model::{Policy, PolicySet};
use crate::quantity::Span;
use crate::session::snapshot::Snapshot;

/// Why an entry stands where it does, in words with the session's own values.
#[must_use]
pub fn why(entry: &Entry, policy: &Policy, set: &PolicySet, snapshot: &Snapshot, now: DateTime<Utc>) -> String {
    let held = || reason(&policy.when, snapshot, entry.row);
    match &entry.standing {
        Standing::Ready => held(),
        Standing::Pending { since } => {
            let served = since.map_or(0, |since| (now - since).num_seconds().max(0));
            let wanted = Span(i64::try_from(policy.hold).unwrap_or(i64::MAX));
            format!("{}, held for {} of {wanted}", held(), Span(served))
        }
        Standing::Protected(protection) => {
            format!(
                "protected by {protection}: {}",
                because(*protection, snapshot, entry.row)
            )
        }
        Standing::Exempt(at) => {
            let exemption = &set.exemptions[*at];
            format!("exempt: {} ({})", exemption.reason, exemption.owner)
        }
        Standing::Followed => "acted on already; waiting for it to end".into(),
        Standing::Escalating { last, next } if last == next => {
            format!("nobody knows whether {last} was done, so it is done again")
        }
        Standing::Escalating { last, next } => format!("{last} has not ended it, escalating to {next}"),
    }
}
