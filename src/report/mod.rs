//! What one cycle decided, for people and programs.
//!
//! A [`Report`] is made once from a cycle's results and then rendered. Rendering reads nothing and knows no clock, and every
//! format shows the same decisions in the same order. Clients choose the texts of their sessions, so each such text goes
//! through `visible` (or JSON's escapes) and then through the format's own escaping: no control character reaches a terminal,
//! no tag a browser.
//!
//! The JSON form is a contract with scripts: keys are added, never renamed. `action` and `statement` are set if a decision is
//! `act`, the statement only if the action has one (`report` has none); otherwise both are null. So a filter on `statement`
//! gives exactly what would be executed.

mod chain;
mod csv;
mod curve;
mod figures;
mod history;
mod html;
mod json;
pub(crate) mod listing;
mod markdown;
pub(crate) mod rehearsal;
mod table;
mod text;
mod totals;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::actuator::way::wording;
use crate::decide::guard::Ruling;
use crate::decide::in_force::RunMode;
use crate::decide::plan::Plan;
pub(crate) use crate::decide::reason::DecisionCounts;
use crate::decide::reason::Verdict;
use crate::decide::used_again::{PolicyRehearsal, Rehearsals};
use crate::oracle::capabilities::Way;
use crate::policy::model::{Action, PolicySet};
use crate::session::column::Column;
use crate::session::snapshot::Snapshot;
use crate::terminal::{Colour, TextStyle};
use crate::words::words;

pub(crate) use chain::ChainReport;
pub(crate) use figures::Figures;
pub(crate) use history::HistoryReport;
pub(crate) use listing::{ListColumn, Listing, ListingSubject, SortKey};

/// What a report is made from.
#[derive(Clone, Copy)]
pub struct ReportSubject<'a> {
    /// The database's configured name, or the name in a file.
    pub database: &'a str,
    /// The snapshot's time in UTC; `None` if it has no clock.
    pub taken_at: Option<DateTime<Utc>>,
    /// How the cycle ran.
    pub mode: RunMode,
    /// The sessions.
    pub snapshot: &'a Snapshot,
    /// The policies.
    pub set: &'a PolicySet,
    /// The policies' plans.
    pub plan: &'a Plan,
    /// What was decided.
    pub ruling: &'a Ruling,
    /// Notes that come first.
    pub notes: &'a [String],
    /// How sessions are ended on that database, which words the statements.
    pub way: Way,
    /// What became of the sessions that dry runs would have ended, where they are watched.
    pub rehearsals: Option<&'a Rehearsals>,
}

/// One cycle's decisions with everything that a report shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The database.
    pub database: String,
    /// When the snapshot was taken.
    pub taken_at: Option<DateTime<Utc>>,
    /// How the cycle ran.
    pub mode: RunMode,
    /// Sessions in the snapshot, of every type.
    pub sessions: usize,
    /// Why the database could not be read, if so; everything else is then empty.
    pub unread: Option<String>,
    /// Notes that come first.
    pub notes: Vec<String>,
    /// One for each policy in force, in file and list order.
    pub policies: Vec<PolicyPart>,
    /// The open breakers and the suspended groups.
    pub refusals: Vec<PolicyRefusal>,
    /// The numbers of all decisions.
    pub summary: DecisionCounts,
    /// What the charts show.
    pub figures: Figures,
}

/// One policy's decisions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyPart {
    /// Its name.
    pub(crate) name: Arc<str>,
    /// What it is for.
    pub(crate) description: String,
    /// Its own mode in this cycle.
    pub(crate) mode: RunMode,
    /// Its action.
    pub(crate) action: Action,
    /// Sessions that its condition held for.
    pub(crate) matched: usize,
    /// Whether its schedule permits it to act in this cycle.
    pub(crate) due: bool,
    /// Whether its breaker is open.
    pub(crate) refused: bool,
    /// Its decisions, worst first.
    pub decisions: Vec<ReportLine>,
    /// The numbers of its decisions.
    pub(crate) summary: DecisionCounts,
    /// What became of the sessions that it would have ended in a dry run.
    pub(crate) rehearsal: PolicyRehearsal,
}

impl PolicyPart {
    /// The decision in words: an open breaker takes no session, including those whose hold is not served.
    #[must_use]
    pub(crate) fn words(&self) -> String {
        if !self.due {
            return format!("not due by its schedule; its condition holds for {}", self.matched);
        }
        let decided = self.summary.words();
        if self.refused {
            format!("breaker open, no session is acted on: {decided}")
        } else {
            decided
        }
    }
}

/// One decision about one session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportLine {
    /// INST_ID.
    pub(crate) inst_id: Option<u32>,
    /// SID.
    pub(crate) sid: Option<u32>,
    /// SERIAL#.
    pub(crate) serial: Option<u32>,
    /// LOGON_TIME in UTC.
    pub(crate) logon_time: Option<DateTime<Utc>>,
    /// USERNAME.
    pub(crate) username: Option<String>,
    /// PROGRAM, as its client calls itself.
    pub program: Option<String>,
    /// MACHINE, likewise.
    pub(crate) machine: Option<String>,
    /// STATUS.
    pub(crate) status: Option<String>,
    /// LAST_CALL_ET in seconds.
    pub(crate) last_call_et: Option<i64>,
    /// The verdict.
    pub(crate) verdict: Verdict,
    /// Why.
    pub(crate) reason: String,
    /// The reason beside the name of the protection that spares the session.
    pub(crate) brief: String,
    /// The reason beside the session's STATUS with its duration.
    pub(crate) beside_status: String,
    /// The action, if the verdict is to act.
    pub(crate) action: Option<Action>,
    /// Its statement.
    pub(crate) statement: Option<String>,
}

words! {
    /// How a report is written.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum ReportFormat {
        /// For a terminal.
        Text = "text",
        /// For programs; stable: an object for each database and snapshot, one a line.
        Json = "json",
        /// For programs that read on: an object for each row, one a line.
        JsonLines = "jsonl",
        /// For spreadsheets.
        Csv = "csv",
        /// For tickets and wikis.
        Markdown = "markdown",
        /// For a browser or a printer; one file.
        Html = "html",
    }
}

impl ReportLine {
    /// `sid,serial#,@inst_id`, as in Oracle's statements; `?` for an unknown part.
    #[must_use]
    pub(crate) fn session(&self) -> String {
        session_name(self.sid, self.serial, self.inst_id)
    }

    /// Whether a protection or an exemption spares the session.
    #[must_use]
    pub const fn is_spared(&self) -> bool {
        matches!(self.verdict, Verdict::Protected(_) | Verdict::Exempt)
    }
}

/// Renders the reports of several databases as one: one page, one table under one header, or one object a line.
#[must_use]
pub fn together(reports: &[Report], format: ReportFormat, style: TextStyle) -> String {
    let each = |render: &dyn Fn(&Report) -> String| -> Vec<String> { reports.iter().map(render).collect() };
    match format {
        ReportFormat::Text => each(&|report| report.to_text(style)).join("\n"),
        ReportFormat::Json | ReportFormat::JsonLines => each(&|report| report.render(format)).concat(),
        ReportFormat::Markdown => each(&|report| report.render(format)).join("\n"),
        ReportFormat::Csv => {
            let tables = each(&|report| report.render(format));
            let rows = |table: &str| {
                table
                    .split_once('\n')
                    .map_or(String::new(), |(_, rows)| rows.to_owned())
            };
            let mut tables = tables.iter();
            let first = tables.next().cloned().unwrap_or_default();
            first + &tables.map(|table| rows(table)).collect::<String>()
        }
        ReportFormat::Html => html::page(reports),
    }
}

impl Report {
    /// Makes the report of a cycle.
    #[must_use]
    pub fn new(subject: &ReportSubject<'_>) -> Report {
        let mut report = Report {
            database: subject.database.to_owned(),
            taken_at: subject.taken_at,
            mode: subject.mode,
            sessions: subject.snapshot.sessions(),
            unread: None,
            notes: subject.notes.to_vec(),
            policies: policies(subject),
            refusals: refusals(subject),
            summary: DecisionCounts::default(),
            figures: figures::figures(subject),
        };
        for decision in &subject.ruling.decisions {
            let Some(part) = report
                .policies
                .iter_mut()
                .find(|part| part.name == subject.set.policies[decision.policy].name)
            else {
                unreachable!("every decision is of a policy in force");
            };
            part.decisions.push(line(subject, decision));
            part.summary.count(decision.verdict());
            report.summary.count(decision.verdict());
        }
        report
    }

    /// The report of a database that could not be read, because its absence would read as "nothing to do".
    #[must_use]
    pub fn unread(database: &str, why: &str, mode: RunMode) -> Report {
        Report {
            database: database.to_owned(),
            taken_at: None,
            mode,
            sessions: 0,
            unread: Some(why.to_owned()),
            notes: Vec::new(),
            policies: Vec::new(),
            refusals: Vec::new(),
            summary: DecisionCounts::default(),
            figures: Figures::default(),
        }
    }

    /// The report in a format; text has 100 columns and no colour.
    #[must_use]
    pub fn render(&self, format: ReportFormat) -> String {
        match format {
            ReportFormat::Text => self.to_text(TextStyle::default()),
            ReportFormat::Json => self.to_json(),
            ReportFormat::JsonLines => self.to_json_lines(),
            ReportFormat::Csv => self.to_csv(),
            ReportFormat::Markdown => self.to_markdown(),
            ReportFormat::Html => self.to_html(),
        }
    }

    const fn mode_words(&self) -> &'static str {
        mode_words(self.mode)
    }

    /// What became of the sessions that each policy would have ended.
    fn rehearsals(&self) -> impl Iterator<Item = (&str, &PolicyRehearsal)> {
        self.policies.iter().map(|part| (&*part.name, &part.rehearsal))
    }

    fn taken_at_words(&self) -> String {
        self.taken_at.map_or_else(
            || "time unknown".into(),
            |at| at.format("%Y-%m-%d %H:%M:%S UTC").to_string(),
        )
    }
}

pub(crate) const fn colour_of(verdict: Verdict) -> Colour {
    match verdict {
        Verdict::Act => Colour::Red,
        Verdict::Pending | Verdict::Deferred => Colour::Yellow,
        Verdict::Refused => Colour::Magenta,
        Verdict::Protected(_) | Verdict::Exempt => Colour::Green,
    }
}

/// The mode in words.
const fn mode_words(mode: RunMode) -> &'static str {
    match mode {
        RunMode::DryRun => "dry run",
        RunMode::Enforce => "enforce",
    }
}

fn policies(subject: &ReportSubject<'_>) -> Vec<PolicyPart> {
    let parts = subject.plan.matches.iter().map(|(index, matched)| {
        let policy = &subject.set.policies[*index];
        let due = subject.plan.policies.iter().find(|due| due.in_force.index() == *index);
        PolicyPart {
            name: Arc::clone(&policy.name),
            description: policy.description.clone(),
            mode: due.map_or(subject.mode, |due| due.in_force.mode()),
            action: policy.action,
            matched: *matched,
            due: due.is_some(),
            refused: subject
                .ruling
                .open_breakers
                .iter()
                .any(|breaker| breaker.policy == *index),
            decisions: Vec::new(),
            summary: DecisionCounts::default(),
            rehearsal: subject
                .rehearsals
                .map(|rehearsals| rehearsals.of(&policy.name))
                .unwrap_or_default(),
        }
    });
    parts.collect()
}

/// Why a policy does not act on anybody, or not on a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyRefusal {
    /// The policy.
    pub policy: String,
    /// Why, as a clause.
    pub why: String,
}

impl fmt::Display for PolicyRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.policy, self.why)
    }
}

impl Report {
    /// The sentences above all decisions.
    fn notes_and_refusals(&self) -> impl Iterator<Item = Cow<'_, str>> {
        let notes = self.notes.iter().map(|note| Cow::Borrowed(note.as_str()));
        notes.chain(self.refusals.iter().map(|refusal| refusal.to_string().into()))
    }
}

fn refusals(subject: &ReportSubject<'_>) -> Vec<PolicyRefusal> {
    let refused = |policy: usize, why: String| PolicyRefusal {
        policy: subject.set.policies[policy].name.to_string(),
        why,
    };
    let breakers = subject.ruling.open_breakers.iter().map(|breaker| {
        let why = format!("breaker open: {breaker}; its whole plan is refused");
        refused(breaker.policy, why)
    });
    let groups = subject.ruling.suspended.iter();
    let groups = groups.map(|group| refused(group.policy, group.to_string()));
    breakers.chain(groups).collect()
}

/// A session as far as it is known, `?` for an unknown part.
fn session_name(sid: Option<u32>, serial: Option<u32>, inst_id: Option<u32>) -> String {
    let part = |part: Option<u32>| part.map_or_else(|| "?".into(), |part| part.to_string());
    format!("{},{},@{}", part(sid), part(serial), part(inst_id))
}

/// What every report shows of a session itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ShownSession {
    /// INST_ID.
    pub(crate) inst_id: Option<u32>,
    /// SID.
    pub(crate) sid: Option<u32>,
    /// SERIAL#.
    pub(crate) serial: Option<u32>,
    /// LOGON_TIME in UTC.
    pub(crate) logon_time: Option<DateTime<Utc>>,
    /// USERNAME.
    pub(crate) username: Option<String>,
    /// PROGRAM, as its client calls itself.
    pub(crate) program: Option<String>,
    /// MACHINE, likewise.
    pub(crate) machine: Option<String>,
    /// STATUS.
    pub(crate) status: Option<String>,
    /// LAST_CALL_ET in seconds.
    pub(crate) last_call_et: Option<i64>,
}

impl ShownSession {
    /// The session of a row.
    #[must_use]
    pub(crate) fn of(snapshot: &Snapshot, row: usize) -> ShownSession {
        let text = |column| snapshot.text(row, column).map(str::to_owned);
        let utc_offset = snapshot.clock().map_or(0, |clock| clock.utc_offset);
        let logon_time = snapshot.number(row, Column::LogonTime);
        ShownSession {
            inst_id: snapshot.id(row, Column::InstId),
            sid: snapshot.id(row, Column::Sid),
            serial: snapshot.id(row, Column::Serial),
            logon_time: logon_time.and_then(|at| crate::session::time::DbTime(at).to_utc(utc_offset)),
            username: text(Column::Username),
            program: text(Column::Program),
            machine: text(Column::Machine),
            status: text(Column::Status),
            last_call_et: snapshot.number(row, Column::LastCallEt),
        }
    }

    /// `sid,serial#,@inst_id`; `?` for an unknown part.
    #[must_use]
    pub(crate) fn session(&self) -> String {
        session_name(self.sid, self.serial, self.inst_id)
    }
}

fn line(subject: &ReportSubject<'_>, decision: &crate::decide::guard::Decision) -> ReportLine {
    let (snapshot, row) = (subject.snapshot, decision.row);
    let about = decision.about(subject.set, snapshot);
    let action = (decision.verdict() == Verdict::Act).then_some(decision.action);
    // As it would be sent on the session's own instance.
    let statement = action.zip(snapshot.key(row)).and_then(|(action, key)| {
        let sql_id = snapshot.text(row, Column::SqlId);
        let wording = wording(subject.way, action, key, sql_id, key.inst_id).ok()?;
        Some(wording.text().to_owned())
    });
    let ShownSession {
        inst_id,
        sid,
        serial,
        logon_time,
        username,
        program,
        machine,
        status,
        last_call_et,
    } = ShownSession::of(snapshot, row);
    ReportLine {
        inst_id,
        sid,
        serial,
        logon_time,
        username,
        program,
        machine,
        status,
        last_call_et,
        verdict: decision.verdict(),
        reason: about.words(&decision.why),
        brief: about.brief(&decision.why),
        beside_status: about.beside_status(&decision.why),
        action,
        statement,
    }
}
