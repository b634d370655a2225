//! What limit a group would have borne, and what Oracle's own parameters would do.

use super::survey::{GroupSurvey, RecordingSurvey};

/// No limit is suggested that is shorter.
const SHORTEST: i64 = 1_800;

/// LAST_CALL_ET is exact to this many seconds.
const INEXACT: i64 = 3;

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

/// The limit of a group: the shortest round one beyond which nobody came back. Where nobody came back at all, it is the length of the
/// recording, because nobody was watched for longer.
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

/// The next round time: to 5m up to an hour, to 15m up to 4h, to an hour up to a day, and to a day beyond.
#[must_use]
pub(super) fn rounded(seconds: i64) -> i64 {
    let step = match seconds {
        ..=3_600 => 300,
        3_601..=14_400 => 900,
        14_401..=86_400 => 3_600,
        _ => 86_400,
    };
    seconds.saturating_add(step - 1) / step * step
}

/// Seconds in whole minutes, as Oracle's parameters count; never fewer.
#[must_use]
pub(super) const fn minutes(seconds: i64) -> i64 {
    seconds.saturating_add(59) / 60
}

/// A limit for all sessions of a database or of a user together.
#[must_use]
pub(super) fn of_all<'g>(groups: impl Iterator<Item = &'g GroupSurvey> + Clone) -> Option<(i64, usize)> {
    let latest = groups
        .clone()
        .filter_map(|group| group.came_back.latest.max(group.validated.latest))
        .max()?;
    let seconds = rounded((latest + INEXACT).max(SHORTEST));
    let ends = groups
        .flat_map(|group| &group.last_idle)
        .filter(|idle| **idle > seconds);
    Some((seconds, ends.count()))
}

/// The same for idle sessions that others wait for: by those that were called again.
#[must_use]
pub(super) fn of_blockers(survey: &RecordingSurvey) -> Option<i64> {
    let latest = survey.groups.iter().filter_map(|group| group.blockers_back.latest);
    Some(rounded((latest.max()? + INEXACT).max(300)))
}
