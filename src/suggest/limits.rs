//! What limit a group would have borne.

use super::rounding::{INEXACT, SHORTEST, rounded};
use super::survey::{GroupSurvey, RecordingSurvey};

/// A limit for a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SuggestedLimit {
    /// In seconds.
    pub(super) seconds: i64,
    /// How long the session had been idle that came back latest; `None` if none came back.
    pub(super) latest: Option<i64>,
    /// How many sessions the limit would have ended: they were idle for longer when they were seen last.
    pub(super) ends: usize,
}

/// The limit of a group: the shortest round one beyond which nobody came back. Where nobody came back at all, it is the first round
/// one that is not shorter than the recording, because nobody was watched for longer.
#[must_use]
pub(super) fn of_group(group: &GroupSurvey, survey: &RecordingSurvey) -> SuggestedLimit {
    let latest = group.came_back.latest.max(group.validated.latest);
    // A session is taken in a snapshot, so it may be idle for an interval more than the limit when it is.
    let least = latest.map_or(length(survey), |latest| latest + INEXACT);
    let seconds = rounded(least.max(SHORTEST));
    SuggestedLimit {
        seconds,
        latest,
        ends: group.last_idle.iter().filter(|idle| **idle > seconds).count(),
    }
}

/// How long the recording is, in seconds.
#[must_use]
pub(super) fn length(survey: &RecordingSurvey) -> i64 {
    survey.span.map_or(0, |(first, last)| (last - first).num_seconds())
}
