//! Which sessions count as no longer there, although a snapshot shows them.
//!
//! - **Going**: an action of the policy, or of another one that it counts, is ending the session. Floors, gates and the estimate of
//!   the pressure leave it out, in a plan and right before a statement. A session that was only asked to end after its transaction, and
//!   is still there an hour later, is expected to stay.
//! - **Dying**: its STATUS is KILLED, whoever did it. Floors leave it out as well.
//! - **Assumed gone**: a dry run would have ended it. The breaker and the candidates of dry runs leave it out. A session that is
//!   really being ended they count: too many of these open a breaker too.

use std::sync::Arc;

use crate::decide::in_force::RunMode;
use crate::decide::verify::{FollowState, Followed, Following};
use crate::session::SessionKey;
use crate::session::column::Column;
use crate::session::snapshot::{KILLED, Snapshot};

/// A session that an action is ending.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Going {
    /// The session.
    pub(crate) key: SessionKey,
    /// The mode in which the policy ran.
    pub(crate) mode: RunMode,
    /// The policy of the action.
    pub(crate) policy: Arc<str>,
}

/// Whether a session that was acted on is going.
#[must_use]
pub(crate) fn is_going(followed: &Followed) -> bool {
    followed.state != FollowState::Asked
}

/// The sessions that earlier actions are ending.
#[must_use]
pub(crate) fn going(following: &Following) -> Vec<Going> {
    let going = following.iter().filter(|(_, followed)| is_going(followed));
    going
        .map(|(key, followed)| Going {
            key: *key,
            mode: followed.mode,
            policy: Arc::clone(&followed.policy),
        })
        .collect()
}

/// For each row, whether it is one of these sessions, which are going.
#[must_use]
pub(crate) fn rows_going(snapshot: &Snapshot, going: impl Iterator<Item = SessionKey>) -> Vec<bool> {
    let mut rows = vec![false; snapshot.rows()];
    for key in going {
        snapshot.rows_of(key).for_each(|row| rows[row] = true);
    }
    rows
}

/// Whether a dry run assumes that the session ended.
#[must_use]
pub(crate) fn is_assumed_gone(followed: &Followed) -> bool {
    followed.mode == RunMode::DryRun && followed.action.ends_session()
}

/// For each row, whether a floor counts it: a user session that is neither dying nor going, of an instance that was read completely.
#[must_use]
pub(crate) fn live(snapshot: &Snapshot, going: &[bool]) -> Vec<bool> {
    let Some(types) = snapshot.texts(Column::Type) else {
        return vec![false; snapshot.rows()];
    };
    let is_user = types.judged(|text| text == Some("USER"));
    let status = snapshot.texts(Column::Status);
    let is_dying = status.map(|texts| texts.judged(|text| text == Some(KILLED)));
    let counts = |(row, going): (usize, &bool)| {
        let dying = match (status, &is_dying) {
            (Some(texts), Some(is_dying)) => is_dying[texts.code(row) as usize],
            (None, _) | (_, None) => false,
        };
        is_user[types.code(row) as usize] && !dying && !going && snapshot.is_read_completely(row)
    };
    going.iter().enumerate().map(counts).collect()
}
