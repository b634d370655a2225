//! The report for programs: one object on one line, so that many of them make JSON lines; or an object for each row, where a program
//! reads on and handles one at a time.
//!
//! Values are exact. Characters that would act on a terminal are written as JSON escapes, which every parser decodes.

use std::borrow::Cow;

use serde::Serialize;

use crate::report::Report;
use crate::report::rehearsal::RehearsalDocument;
use crate::session::time::iso;
use crate::terminal::visible::json_escaped;

#[derive(Serialize)]
struct ReportDocument<'a> {
    database: &'a str,
    taken_at: Option<String>,
    mode: &'a str,
    sessions: usize,
    decisions: Vec<DecisionDocument<'a>>,
    summary: SummaryDocument,
    /// Why the database could not be read, if so; everything else is then empty.
    error: Option<&'a str>,
    notes: &'a [String],
    /// Open breakers and suspended groups.
    refusals: Vec<String>,
    /// What became of the sessions that dry runs would have ended.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    rehearsals: Vec<RehearsalDocument<'a>>,
}

/// A row by itself: a decision, or a note, a refusal, a policy that decides about nobody, or why the database could not be read, with that
/// word as its decision and its text as the reason, as in CSV.
#[derive(Serialize)]
struct RowDocument<'a> {
    database: &'a str,
    taken_at: Option<&'a str>,
    mode: &'a str,
    #[serde(flatten)]
    row: DecisionDocument<'a>,
}

#[derive(Default, Serialize)]
struct DecisionDocument<'a> {
    policy: Option<&'a str>,
    inst_id: Option<u32>,
    sid: Option<u32>,
    serial: Option<u32>,
    logon_time: Option<String>,
    username: Option<&'a str>,
    program: Option<&'a str>,
    machine: Option<&'a str>,
    decision: &'a str,
    reason: Cow<'a, str>,
    action: Option<&'a str>,
    statement: Option<&'a str>,
}

#[derive(Serialize)]
struct SummaryDocument {
    act: usize,
    pending: usize,
    deferred: usize,
    refused: usize,
    protected: usize,
    exempt: usize,
}

impl Report {
    /// The object on one line that ends in a line feed.
    #[must_use]
    pub fn to_json(&self) -> String {
        let document = ReportDocument {
            database: &self.database,
            taken_at: self.taken_at.map(iso),
            mode: self.mode.name(),
            sessions: self.sessions,
            decisions: self.decisions().collect(),
            summary: SummaryDocument {
                act: self.summary.act,
                pending: self.summary.pending,
                deferred: self.summary.deferred,
                refused: self.summary.refused,
                protected: self.summary.protected,
                exempt: self.summary.exempt,
            },
            error: self.unread.as_deref(),
            notes: &self.notes,
            refusals: self.refusals.iter().map(ToString::to_string).collect(),
            rehearsals: self
                .rehearsals()
                .filter_map(|(policy, rehearsal)| RehearsalDocument::of(policy, rehearsal))
                .collect(),
        };
        line(&document)
    }

    /// An object for each row, each on a line that ends in a line feed.
    #[must_use]
    pub(crate) fn to_json_lines(&self) -> String {
        let taken_at = self.taken_at.map(iso);
        let asides = self.asides().into_iter().map(|aside| DecisionDocument {
            policy: aside.policy,
            decision: aside.kind,
            reason: aside.words,
            ..DecisionDocument::default()
        });
        let rows = asides.chain(self.decisions()).map(|row| {
            line(&RowDocument {
                database: &self.database,
                taken_at: taken_at.as_deref(),
                mode: self.mode.name(),
                row,
            })
        });
        rows.collect()
    }

    fn decisions(&self) -> impl Iterator<Item = DecisionDocument<'_>> {
        self.policies.iter().flat_map(|part| {
            part.decisions.iter().map(|line| DecisionDocument {
                policy: Some(&part.name),
                inst_id: line.inst_id,
                sid: line.sid,
                serial: line.serial,
                logon_time: line.logon_time.map(iso),
                username: line.username.as_deref(),
                program: line.program.as_deref(),
                machine: line.machine.as_deref(),
                decision: line.verdict.name(),
                reason: Cow::Borrowed(&line.reason),
                action: line.action.map(|action| action.name()),
                statement: line.statement.as_deref(),
            })
        })
    }
}

/// A document on a line of its own.
pub(super) fn line(document: &impl Serialize) -> String {
    let json = serde_json::to_string(document).expect("texts and numbers are always JSON");
    let mut json = json_escaped(&json).into_owned();
    json.push('\n');
    json
}
