//! The journal as a table: one row for each action, with its statement, its reason, its outcome and what became of the session.
//!
//! Rendering reads nothing. JSON is one object a line and a contract with scripts: keys are added, never renamed. Text from
//! sessions is made harmless in every format, as in a report.

mod groups_csv;
mod head;
mod rehearsed;
mod tally;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use maud::html;
use serde_json::json;

use self::tally::DayTally;
use super::csv::{inert, written};
use super::html::report_page;
use super::rehearsal::{self, RehearsalDocument};
use super::table::ReportTable;
use super::text::shown;
use super::{ReportFormat, markdown, mode_words};
use crate::decide::in_force::RunMode;
use crate::decide::outcome::Outcome;
use crate::decide::used_again::PolicyRehearsal;
use crate::decide::verify::Proof;
use crate::html::with_code;
use crate::journal::cells;
use crate::journal::entries::{Entries, Entry};
use crate::quantity::Span;
use crate::session::time::{in_zone, iso};
use crate::terminal::visible::{json_escaped, visible};
use crate::terminal::{self, Colour, TextStyle, bold, clip, paint, push, wrapped};

/// The journal's entries, to be shown.
#[derive(Debug)]
pub(crate) struct HistoryReport<'a> {
    /// Where the journal is.
    pub(crate) state: &'a str,
    /// The filters in words; empty for everything.
    pub(crate) asked: &'a str,
    /// The zone that times are shown in.
    pub(crate) zone: Tz,
    /// What the journal has.
    pub(crate) read: &'a Entries,
    /// A line for each day and policy instead of one for each action.
    pub(crate) summary: bool,
}

impl HistoryReport<'_> {
    /// As the command line asks for it.
    #[must_use]
    pub(crate) fn render(&self, format: ReportFormat, style: TextStyle) -> String {
        match format {
            ReportFormat::Text => self.to_text(style),
            ReportFormat::Json | ReportFormat::JsonLines => self.to_json(),
            ReportFormat::Csv => self.to_csv(),
            ReportFormat::Markdown => self.to_markdown(),
            ReportFormat::Html => self.to_html(),
        }
    }

    fn title(&self) -> String {
        let asked = if self.asked.is_empty() {
            String::new()
        } else {
            format!(", {}", self.asked)
        };
        let unused = self.read.entries.iter().filter(|entry| is_unused(entry)).count();
        let count = self.read.entries.len() - unused;
        let actions = if count == 1 { "action" } else { "actions" };
        let unused = match unused {
            0 => String::new(),
            1 => " and 1 unused warrant".to_owned(),
            unused => format!(" and {unused} unused warrants"),
        };
        format!(
            "orareaper history: {count} {actions}{unused} in {}{asked}; times in {}",
            self.state, self.zone
        )
    }

    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        match self.read.oldest {
            Some(oldest) => notes.push(format!("the journal goes back to {}", self.local(oldest))),
            None => notes.push("the journal has no records: it is new, or another program emptied it".to_owned()),
        }
        notes.extend(self.read.unknown_names.iter().cloned());
        if self.read.left_out > 0 {
            notes.push(format!(
                "{} older actions are left out; --since and --until narrow the time",
                self.read.left_out
            ));
        }
        for damage in &self.read.damage {
            notes.push(format!(
                "{} line {} cannot be read and was skipped: {}",
                damage.file.display(),
                damage.line,
                damage.problem
            ));
        }
        let more = self.read.damaged_lines.saturating_sub(self.read.damage.len());
        if more > 0 {
            notes.push(format!("{more} more lines cannot be read"));
        }
        notes
    }

    fn local(&self, at: DateTime<Utc>) -> String {
        in_zone(at, self.zone)
    }

    fn table(&self) -> ReportTable {
        if self.summary {
            self.summary_table()
        } else {
            self.entry_table()
        }
    }

    fn entry_table(&self) -> ReportTable {
        let rows = self.read.entries.iter().map(|entry| {
            let intent = &entry.intent;
            vec![
                self.local(entry.at),
                intent.database.to_string(),
                intent.key.to_string(),
                intent.username.clone().unwrap_or_else(|| "-".into()),
                intent.policy.to_string(),
                action_words(entry),
                outcome_words(entry),
                fate_words(entry),
                intent.reason.clone(),
            ]
        });
        ReportTable {
            title: "Actions",
            head: vec![
                "Time", "Database", "Session", "User", "Policy", "Action", "Outcome", "Then", "Reason",
            ],
            rows: rows.collect(),
            words: 9,
            left_out: 0,
        }
    }

    fn summary_table(&self) -> ReportTable {
        let mut lines: BTreeMap<(String, String, String, &'static str), DayTally> = BTreeMap::new();
        let key = |entry: &Entry| {
            let day = entry.at.with_timezone(&self.zone).format("%Y-%m-%d").to_string();
            let intent = &entry.intent;
            let (database, policy) = (intent.database.to_string(), intent.policy.to_string());
            (day, database, policy, mode_words(intent.mode))
        };
        for entry in &self.read.entries {
            lines.entry(key(entry)).or_default().add(entry);
        }
        for entry in rehearsed::rehearsed(&self.read.entries) {
            lines.entry(key(entry)).or_default().rehearse(entry);
        }
        let rows = lines.into_iter().map(|((day, database, policy, mode), tally)| {
            let words = [day, database, policy, mode.to_owned(), tally.who(), tally.held()];
            words
                .into_iter()
                .chain(tally.counts().map(|count| count.to_string()))
                .collect()
        });
        ReportTable {
            title: "By day and policy",
            head: head::HEAD.to_vec(),
            rows: rows.collect(),
            words: 6,
            left_out: 0,
        }
    }

    /// What became of the sessions that dry runs would have ended, over all days.
    fn rehearsal_table(&self) -> Option<ReportTable> {
        let by_policy = rehearsed::by_policy(&self.read.entries);
        let one_database = by_policy
            .keys()
            .map(|(database, _)| database)
            .collect::<BTreeSet<_>>()
            .len()
            <= 1;
        let named: Vec<(String, &PolicyRehearsal)> = by_policy
            .iter()
            .map(|((database, policy), rehearsal)| {
                let name = if one_database {
                    policy.to_string()
                } else {
                    format!("{policy} on {database}")
                };
                (name, rehearsal)
            })
            .collect();
        rehearsal::table(named.iter().map(|(name, rehearsal)| (name.as_str(), *rehearsal)))
    }

    /// The tables for people.
    fn tables(&self) -> Vec<ReportTable> {
        let rehearsal = if self.summary { self.rehearsal_table() } else { None };
        std::iter::once(self.table()).chain(rehearsal).collect()
    }

    /// What the head of each of [`Self::tables`] means.
    fn keys(&self) -> [Option<&'static str>; 2] {
        if self.summary {
            [Some(head::KEY), Some(rehearsal::KEY)]
        } else {
            [None, None]
        }
    }

    fn to_text(&self, style: TextStyle) -> String {
        let style = style.readable();
        let mut out = String::new();
        push(&mut out, &bold(&clip(&visible(&self.title()), style.width), style));
        for note in self.notes() {
            wrapped(&mut out, "! ", &visible(&note), style, Colour::Yellow);
        }
        if self.read.entries.is_empty() {
            push(&mut out, &paint("nothing was done", Colour::Dim, style));
        } else {
            if self.summary {
                self.summary_table().text(&mut out, style);
                wrapped(&mut out, "  ", head::KEY, style, Colour::Dim);
                if let Some(table) = self.rehearsal_table() {
                    out.push('\n');
                    push(&mut out, &bold(table.title, style));
                    table.text(&mut out, style);
                    wrapped(&mut out, "  ", rehearsal::KEY, style, Colour::Dim);
                }
            } else {
                self.entries_text(&mut out, style);
            }
        }
        out
    }

    /// The columns that shrink last: time, user, outcome.
    fn entries_text(&self, out: &mut String, style: TextStyle) {
        let cells = |entry: &Entry| {
            let intent = &entry.intent;
            [
                entry
                    .at
                    .with_timezone(&self.zone)
                    .format("%Y-%m-%d %H:%M:%S")
                    .to_string(),
                visible(&intent.database).into_owned(),
                intent.key.to_string(),
                shown(intent.username.as_deref()),
                visible(&intent.policy).into_owned(),
                action_words(entry),
                outcome_words(entry),
                fate_words(entry),
                visible(&intent.reason).into_owned(),
            ]
        };
        let rows: Vec<[String; 9]> = self.read.entries.iter().map(cells).collect();
        let mut widths = TEXT.natural(&rows);
        if rows.windows(2).all(|pair| pair[0][DATABASE] == pair[1][DATABASE]) {
            widths[DATABASE] = 0;
        }
        TEXT.fit(&mut widths, "", style);
        TEXT.head(out, &widths, "", style);
        for (entry, cells) in self.read.entries.iter().zip(&rows) {
            push(out, &paint(&TEXT.line(cells, &widths, ""), colour(entry), style));
        }
    }

    fn to_markdown(&self) -> String {
        let mut out = String::new();
        let _ = writeln!(out, "# {}\n", markdown::escaped(&self.title()));
        for note in self.notes() {
            let _ = writeln!(out, "> **Note:** {}\n", markdown::escaped(&note));
        }
        for (table, key) in self.tables().into_iter().zip(self.keys()) {
            table.markdown(&mut out);
            if let Some(key) = key {
                let _ = writeln!(out, "{key}\n");
            }
        }
        out
    }

    fn to_html(&self) -> String {
        let content = html! {
            header { h1 { (self.title()) } }
            @for note in self.notes() { p.note { (with_code(&note)) } }
            @if self.read.entries.is_empty() { p { "Nothing was done." } } @else { @for (table, key) in self.tables().into_iter().zip(self.keys()) {
                @if let Some(key) = key { (table.html_with(key)) } @else { (table.html()) }
            } }
        };
        report_page(&self.title(), &content)
    }

    fn to_csv(&self) -> String {
        if self.summary {
            let table = self.summary_table();
            let head: [&str; 20] = table.head.try_into().expect("the table has these columns");
            let mut rows = vec![head.map(|head| head.to_lowercase())];
            for row in table.rows {
                let row: [String; 20] = row.try_into().expect("the table has these columns");
                rows.push(row.map(|cell| if cell == "-" { String::new() } else { inert(&cell) }));
            }
            return written(&rows) + &groups_csv::second_csv(&rehearsed::by_policy(&self.read.entries));
        }
        let mut rows = vec![CSV_HEADER.map(str::to_owned)];
        rows.extend(self.read.entries.iter().map(csv_row));
        written(&rows)
    }

    /// One object a line; for a summary one object a day and policy.
    fn to_json(&self) -> String {
        let mut out = String::new();
        let mut line = |value: serde_json::Value| {
            out.push_str(&json_escaped(&value.to_string()));
            out.push('\n');
        };
        if self.summary {
            let table = self.summary_table();
            for row in &table.rows {
                let cells = table.head.iter().zip(row).enumerate().map(|(at, (head, cell))| {
                    let value = if at < table.words {
                        json!(cell)
                    } else {
                        json!(cell.parse::<u64>().unwrap_or_default())
                    };
                    (head.to_lowercase(), value)
                });
                line(serde_json::Value::Object(cells.collect()));
            }
            for ((database, policy), rehearsal) in rehearsed::by_policy(&self.read.entries) {
                let document = RehearsalDocument::of(&policy, &rehearsal);
                line(json!({ "database": &*database, "rehearsal": document }));
            }
        } else {
            self.read.entries.iter().map(json_entry).for_each(line);
        }
        out
    }
}

const TEXT: terminal::Table<'static> = terminal::Table {
    header: &[
        "TIME", "DATABASE", "SESSION", "USER", "POLICY", "ACTION", "OUTCOME", "THEN", "REASON",
    ],
    least: &[19, 4, 11, 6, 8, 6, 8, 8, 12],
    weight: &[0, 1, 0, 1, 2, 1, 1, 1, 4],
    dispensable: &[REASON, ACTION, DATABASE],
    numbers_from: 9,
};
const DATABASE: usize = 1;
const ACTION: usize = 5;
const REASON: usize = 8;

/// What a person should look into stands out.
fn colour(entry: &Entry) -> Colour {
    if matches!(entry.intent.mode, RunMode::DryRun) {
        return Colour::Dim;
    }
    match &entry.outcome {
        None => Colour::Red,
        Some(outcomed) => match outcomed.outcome {
            Outcome::Refused | Outcome::Unsupported | Outcome::Failed | Outcome::Unknown => Colour::Red,
            Outcome::AlreadyGone
            | Outcome::NoLongerMatches
            | Outcome::Protected
            | Outcome::Unchecked
            | Outcome::Expired
            | Outcome::Revoked => Colour::Yellow,
            Outcome::Done | Outcome::Marked | Outcome::Assumed | Outcome::Reported => Colour::None,
        },
    }
}

fn action_words(entry: &Entry) -> String {
    match entry.intent.mode {
        RunMode::Enforce => entry.intent.action.name().to_owned(),
        RunMode::DryRun => format!("{} (dry run)", entry.intent.action.name()),
    }
}

fn outcome_words(entry: &Entry) -> String {
    match &entry.outcome {
        // It is under way, or its process ended before the outcome was written; the next daemon ends such an action as unknown.
        None => "no outcome yet".to_owned(),
        Some(outcomed) => {
            let name = outcomed.outcome.name().replace('_', " ");
            // Oracle's number says more than the word where it did not go as wanted.
            let failed = matches!(
                outcomed.outcome,
                Outcome::Refused | Outcome::Unsupported | Outcome::Failed | Outcome::Unknown
            );
            match outcomed.code.filter(|code| failed && *code != 0) {
                Some(code) => format!("{name} ({code:05})"),
                None => name,
            }
        }
    }
}

/// Whether it is a warrant that was dropped before anything was tried.
fn is_unused(entry: &Entry) -> bool {
    match entry.outcome.as_ref().map(|outcomed| outcomed.outcome) {
        Some(Outcome::Expired | Outcome::Revoked) => true,
        Some(
            Outcome::Done
            | Outcome::Marked
            | Outcome::AlreadyGone
            | Outcome::NoLongerMatches
            | Outcome::Protected
            | Outcome::Unchecked
            | Outcome::Refused
            | Outcome::Unsupported
            | Outcome::Failed
            | Outcome::Unknown
            | Outcome::Assumed
            | Outcome::Reported,
        )
        | None => false,
    }
}

/// What became of the session, and how long after the answer that was seen.
fn fate_words(entry: &Entry) -> String {
    let back = entry.came_back.map(|at| {
        let after = Span((at - entry.intent.taken_at).num_seconds().max(0));
        format!("came back after {after}")
    });
    let fate = entry.last_proof().map(|(at, proof)| {
        let after = Span((at - entry.answered.unwrap_or(entry.at)).num_seconds().max(0));
        match proof {
            Proof::Gone => format!("gone after {after}"),
            Proof::ResourcesFreed => format!("freed after {after}"),
            Proof::Cancelled => format!("cancelled after {after}"),
            Proof::Lingers => "lingers".to_owned(),
            Proof::DeadlinePassed => format!("still there after {after}"),
            Proof::NotSent => format!("not sent, as was seen after {after}"),
        }
    });
    // A dry run ends nobody, so what became of the session says more than that it is gone.
    let rehearsed = rehearsed::words(entry);
    let fate = if rehearsed.is_some() { None } else { fate };
    let parts: Vec<String> = fate.into_iter().chain(rehearsed).chain(back).collect();
    if parts.is_empty() {
        "-".to_owned()
    } else {
        parts.join(", ")
    }
}

const CSV_HEADER: [&str; 25] = [
    "id",
    "at",
    "database",
    "policy",
    "mode",
    "action",
    "inst_id",
    "sid",
    "serial",
    "logon_time",
    "username",
    "program",
    "machine",
    "reason",
    "statement",
    "outcome",
    "code",
    "message",
    "took_ms",
    "afterwards",
    "afterwards_at",
    "came_back",
    "operator",
    "rehearsed",
    "rehearsed_after_s",
];

fn csv_row(entry: &Entry) -> [String; 25] {
    let intent = &entry.intent;
    let words = |text: Option<&str>| text.map(inert).unwrap_or_default();
    let outcome = entry.outcome.as_ref();
    [
        intent.id.to_string(),
        iso(entry.at),
        inert(&intent.database),
        inert(&intent.policy),
        intent.mode.name().to_owned(),
        intent.action.name().to_owned(),
        intent.key.inst_id.to_string(),
        intent.key.sid.to_string(),
        intent.key.serial.to_string(),
        logon_time(entry),
        words(intent.username.as_deref()),
        words(intent.program.as_deref()),
        words(intent.machine.as_deref()),
        inert(&intent.reason),
        words(statement(entry)),
        outcome
            .map(|outcomed| outcomed.outcome.name().to_owned())
            .unwrap_or_default(),
        outcome
            .and_then(|outcomed| outcomed.code)
            .map(|code| code.to_string())
            .unwrap_or_default(),
        words(outcome.and_then(|outcomed| outcomed.message.as_deref())),
        outcome
            .map(|outcomed| outcomed.took.as_millis().to_string())
            .unwrap_or_default(),
        entry
            .last_proof()
            .map(|(_, proof)| proof.name().to_owned())
            .unwrap_or_default(),
        entry.last_proof().map(|(at, _)| iso(at)).unwrap_or_default(),
        entry.came_back.map(iso).unwrap_or_default(),
        words(intent.operator.as_deref()),
        entry
            .afterwards
            .map(|(afterwards, _)| afterwards.name().to_owned())
            .unwrap_or_default(),
        entry
            .afterwards
            .map(|(_, after)| after.num_seconds().to_string())
            .unwrap_or_default(),
    ]
}

/// LOGON_TIME by the database's clock, without a zone.
fn logon_time(entry: &Entry) -> String {
    entry.intent.key.logon_time.to_string().replace(' ', "T")
}

/// The statement as it was sent, or as it was meant.
fn statement(entry: &Entry) -> Option<&str> {
    let sent = entry
        .outcome
        .as_ref()
        .and_then(|outcomed| outcomed.statement.as_deref());
    sent.or(entry.intent.statement.as_deref())
}

fn json_entry(entry: &Entry) -> serde_json::Value {
    let intent = &entry.intent;
    let outcome = entry.outcome.as_ref();
    let proofs: Vec<_> = entry
        .proofs
        .iter()
        .map(|(at, proof)| json!({"at": iso(*at), "proof": proof.name()}))
        .collect();
    json!({
        "id": intent.id,
        "at": iso(entry.at),
        "database": &*intent.database,
        "policy": &*intent.policy,
        "policy_digest": intent.policy_digest,
        "mode": intent.mode.name(),
        "action": intent.action.name(),
        "inst_id": intent.key.inst_id,
        "sid": intent.key.sid,
        "serial": intent.key.serial,
        "logon_time": logon_time(entry),
        "username": intent.username,
        "program": intent.program,
        "machine": intent.machine,
        "operator": intent.operator,
        "reason": intent.reason,
        "statement": statement(entry),
        "sent": intent.mode == RunMode::Enforce && outcome.is_some_and(|outcomed| outcomed.statement.is_some()),
        "outcome": outcome.map(|outcomed| outcomed.outcome.name()),
        "code": outcome.and_then(|outcomed| outcomed.code),
        "message": outcome.and_then(|outcomed| outcomed.message.as_deref()),
        "took_ms": outcome.map(|outcomed| u64::try_from(outcomed.took.as_millis()).unwrap_or(u64::MAX)),
        "proofs": proofs,
        "came_back": entry.came_back.map(iso),
        "rehearsed": entry.afterwards.map(|(afterwards, after)| {
            json!({"afterwards": afterwards.name(), "after_s": after.num_seconds()})
        }),
        "session": cells(&intent.session),
        "read_again": outcome.map(|outcomed| cells(&outcomed.session)),
    })
}

#[cfg(test)]
mod tests;
