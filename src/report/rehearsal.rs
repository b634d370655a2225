//! What became of the sessions that dry runs would have ended, in every format of a report.

use serde::Serialize;
use serde_json::{Value, json};

use super::table::ReportTable;
use crate::decide::refill::ClientGroup;
use crate::decide::used_again::{AfterTimes, PolicyRehearsal, RehearsalTally};
use crate::quantity::Span;

/// This many groups of a policy are shown to people.
const GROUPS_SHOWN: usize = 10;

/// This many are in JSON.
const GROUPS_IN_JSON: usize = 100;

/// The names of [`cells`] for people.
pub(crate) const HEAD: [&str; 7] = ["Would end", "Used", "Soonest", "Valid.", "Ended", "Watched", "Lost"];

/// The names of [`figures`] for programs.
pub(super) const COLUMNS: [&str; 8] = [
    "would_have_ended",
    "used_again",
    "used_again_soonest_s",
    "used_again_latest_s",
    "validated",
    "ended",
    "watched",
    "lost",
];

/// What the head of the table means.
pub(crate) const KEY: &str = "Would end: sessions that would have been ended. Used: they then made a call, the soonest after this time; \
    Valid.: of these, those whose calls look like a pool's validation. Ended: they ended by themselves, without another call. \
    Watched: neither so far. Lost: they could not be watched to the end. Used, Ended, Watched and Lost add up to Would end.";

/// The times of both kinds of use.
fn times(tally: &RehearsalTally) -> AfterTimes {
    let mut times = tally.used;
    times.join(&tally.validated);
    times
}

/// The counts of [`HEAD`].
#[must_use]
pub(crate) fn cells(tally: &RehearsalTally) -> [String; 7] {
    let soonest = times(tally).soonest;
    [
        tally.would_have_ended().to_string(),
        tally.used_again().to_string(),
        soonest.map_or_else(|| "-".to_owned(), |seconds| Span(seconds).to_string()),
        tally.validated.count.to_string(),
        tally.ended.count.to_string(),
        tally.watched.to_string(),
        tally.lost.to_string(),
    ]
}

/// The counts of [`COLUMNS`]: times in seconds, empty if there is none.
pub(super) fn figures(tally: &RehearsalTally) -> [String; 8] {
    let times = times(tally);
    let span = |seconds: Option<i64>| seconds.map(|seconds| seconds.to_string()).unwrap_or_default();
    [
        tally.would_have_ended().to_string(),
        tally.used_again().to_string(),
        span(times.soonest),
        span(times.latest),
        tally.validated.count.to_string(),
        tally.ended.count.to_string(),
        tally.watched.to_string(),
        tally.lost.to_string(),
    ]
}

/// A table of all policies that would have ended somebody, each with its groups.
pub(super) fn table<'r>(policies: impl Iterator<Item = (&'r str, &'r PolicyRehearsal)>) -> Option<ReportTable> {
    let mut rows = Vec::new();
    let mut left_out = 0;
    for (name, rehearsal) in policies.filter(|(_, rehearsal)| rehearsal.all.would_have_ended() > 0) {
        let row = |words: [&str; 4], tally: &RehearsalTally| -> Vec<String> {
            words.map(str::to_owned).into_iter().chain(cells(tally)).collect()
        };
        rows.push(row([name, "(all)", "", ""], &rehearsal.all));
        let groups = rehearsal.groups.iter().take(GROUPS_SHOWN);
        rows.extend(groups.map(|(who, tally)| {
            let [user, program, machine] = [&who.username, &who.program, &who.machine].map(ClientGroup::shown);
            row([name, user, program, machine], tally)
        }));
        left_out += rehearsal.groups.len().saturating_sub(GROUPS_SHOWN);
    }
    let words = ["Policy", "User", "Program", "Machine"];
    (!rows.is_empty()).then(|| ReportTable {
        title: "Would have been ended, and used again",
        head: words.into_iter().chain(HEAD).collect(),
        rows,
        words: 4,
        left_out,
    })
}

/// What became of a policy's sessions, for JSON.
#[derive(Debug, Serialize)]
pub(super) struct RehearsalDocument<'a> {
    policy: &'a str,
    #[serde(flatten)]
    all: Value,
    groups: Vec<Value>,
}

impl<'a> RehearsalDocument<'a> {
    /// `None` for a policy that would have ended nobody.
    pub(super) fn of(policy: &'a str, rehearsal: &PolicyRehearsal) -> Option<RehearsalDocument<'a>> {
        (rehearsal.all.would_have_ended() > 0).then(|| RehearsalDocument {
            policy,
            all: tally_document(&rehearsal.all),
            groups: rehearsal
                .groups
                .iter()
                .take(GROUPS_IN_JSON)
                .map(|(who, tally)| group_document(who, tally))
                .collect(),
        })
    }
}

/// A group with what became of its sessions.
pub(super) fn group_document(who: &ClientGroup, tally: &RehearsalTally) -> Value {
    let mut document = tally_document(tally);
    document["username"] = json!(who.username.as_deref());
    document["program"] = json!(who.program.as_deref());
    document["machine"] = json!(who.machine.as_deref());
    document
}

/// The counts by the names of [`COLUMNS`]; times in seconds, null if there is none.
pub(super) fn tally_document(tally: &RehearsalTally) -> Value {
    let times = times(tally);
    json!({
        "would_have_ended": tally.would_have_ended(),
        "used_again": tally.used_again(),
        "used_again_soonest_s": times.soonest,
        "used_again_latest_s": times.latest,
        "validated": tally.validated.count,
        "ended": tally.ended.count,
        "watched": tally.watched,
        "lost": tally.lost,
    })
}
