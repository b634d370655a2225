//! Sessions with each policy's decision about them, for people and programs.
//!
//! Which columns are shown and in which order the sessions come can be asked for, by the names of the policy language. Without that a
//! person sees who a session is, what it does, and what its condition looked at.
//!
//! Like a report it is made once and then rendered: rendering reads nothing and decides nothing. The JSON form is a contract
//! with scripts: keys are added, never renamed. Text from sessions is made harmless in every format, as in a report.

mod columns;

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::Serialize;
use unicode_width::UnicodeWidthStr as _;

pub(crate) use columns::{ListColumn, SortKey};

use super::ShownSession;
use super::csv::{inert, written};
use super::json;
use super::text::{shown, status_words};
use crate::decide::evaluate::columns_of;
use crate::decide::evaluate::reason::shown as shown_value;
use crate::decide::evaluate::{evaluate, truth::Truth};
use crate::decide::guard::Ruling;
use crate::decide::reason::Verdict;
use crate::policy::condition::Condition;
use crate::policy::model::PolicySet;
use crate::report::colour_of;
use crate::session::column::{Column, Columns, Kind};
use crate::session::snapshot::{Field, Snapshot};
use crate::session::time::DbTime;
use crate::session::time::iso;
use crate::terminal::visible::visible;
use crate::terminal::{Colour, Detail, Table, TextStyle, bold, clip, paint, push, wrapped};

/// What one policy decided about a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Opinion {
    /// The policy.
    pub(crate) policy: Arc<str>,
    /// What it decided.
    pub(crate) verdict: Verdict,
    /// Why.
    pub(crate) reason: String,
}

/// One session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    /// Who it is.
    pub(crate) who: ShownSession,
    /// The columns that were asked for, else the further columns of the condition: the value for people, and the exact value.
    pub(crate) values: Vec<(Column, String, serde_json::Value)>,
    /// The decisions of the policies whose condition holds for it, in file and list order.
    pub(crate) opinions: Vec<Opinion>,
}

/// What a list is made from.
pub(crate) struct ListingSubject<'a> {
    /// The database.
    pub(crate) database: &'a str,
    /// When the snapshot was taken.
    pub(crate) taken_at: Option<DateTime<Utc>>,
    /// The sessions.
    pub(crate) snapshot: &'a Snapshot,
    /// Only those that this is TRUE for.
    pub(crate) condition: Option<&'a Condition>,
    /// Background sessions too.
    pub(crate) background_too: bool,
    /// The policies.
    pub(crate) set: &'a PolicySet,
    /// What they decide.
    pub(crate) ruling: &'a Ruling,
    /// The columns; none for the usual ones.
    pub(crate) columns: &'a [ListColumn],
    /// The order; by instance and SID where it leaves two alike.
    pub(crate) sort: &'a [SortKey],
}

/// Sessions of one snapshot of a database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listing {
    /// The database.
    pub(crate) database: String,
    /// When the snapshot was taken.
    pub(crate) taken_at: Option<DateTime<Utc>>,
    /// Number of sessions of every type in the snapshot.
    pub(crate) all: usize,
    /// Number of background sessions that are not shown.
    pub(crate) hidden: usize,
    /// Notes that come first.
    pub(crate) notes: Vec<String>,
    /// The columns that were asked for.
    pub(crate) columns: Vec<ListColumn>,
    /// The sessions in their order.
    pub(crate) sessions: Vec<Listed>,
}

/// Columns that a listing always shows.
const SHOWN: [Column; 8] = [
    Column::InstId,
    Column::Sid,
    Column::Serial,
    Column::LogonTime,
    Column::Username,
    Column::Program,
    Column::Machine,
    Column::Status,
];

/// Whether a condition selects background sessions, which are then shown.
fn asks_for_background(condition: Option<&Condition>) -> bool {
    condition.is_some_and(|condition| columns_of(condition).contains(Column::Type))
}

impl Listing {
    /// Picks the sessions that the condition is TRUE for; without one, all.
    #[must_use]
    pub(crate) fn new(subject: &ListingSubject<'_>) -> Listing {
        let ListingSubject {
            snapshot, condition, ..
        } = *subject;
        let mut opinions = opinions(subject);
        let more: Vec<Column> = if subject.columns.is_empty() {
            let asked = condition.map_or(Columns::NONE, columns_of);
            asked.iter().filter(|column| !SHOWN.contains(column)).collect()
        } else {
            subject.columns.iter().filter_map(|column| column.column()).collect()
        };
        let truths = condition.map(|condition| evaluate(condition, snapshot));
        let mut rows: Vec<usize> = (0..snapshot.rows())
            .filter(|row| truths.as_ref().is_none_or(|truths| truths.get(*row) == Truth::True))
            .collect();
        let before = rows.len();
        rows.retain(|row| {
            subject.background_too
                || asks_for_background(condition)
                || snapshot.text(*row, Column::Type) != Some("BACKGROUND")
        });
        let hidden = before - rows.len();
        let by_name = |row: &usize| (snapshot.id(*row, Column::InstId), snapshot.id(*row, Column::Sid));
        rows.sort_by(|one, other| {
            let keys = subject.sort.iter();
            let first = keys.map(|key| key.compare(snapshot, (*one, *other), &opinions));
            first
                .fold(Ordering::Equal, Ordering::then)
                .then_with(|| by_name(one).cmp(&by_name(other)))
        });
        let listed = |row: usize| Listed {
            who: ShownSession::of(snapshot, row),
            values: more
                .iter()
                .map(|column| {
                    let field = snapshot.field(row, *column);
                    (*column, shown_value(*column, field), exact(*column, field))
                })
                .collect(),
            opinions: opinions.remove(&row).unwrap_or_default(),
        };
        Listing {
            database: subject.database.to_owned(),
            taken_at: subject.taken_at,
            all: snapshot.rows(),
            hidden,
            notes: Vec::new(),
            columns: subject.columns.to_vec(),
            sessions: rows.into_iter().map(listed).collect(),
        }
    }

    /// For a terminal.
    #[must_use]
    pub(crate) fn to_text(&self, style: TextStyle) -> String {
        let style = style.readable();
        let mut out = String::new();
        let at = self.taken_at.map_or_else(|| "time unknown".into(), iso);
        let hidden = match self.hidden {
            0 => String::new(),
            hidden => format!("; {hidden} background not shown (--all shows them)"),
        };
        let title = format!(
            "{}, {at}: {} of {} sessions{hidden}",
            visible(&self.database),
            self.sessions.len(),
            self.all
        );
        push(&mut out, &bold(&clip(&title, style.width), style));
        for note in &self.notes {
            wrapped(&mut out, "! ", &visible(note), style, Colour::Yellow);
        }
        if self.sessions.is_empty() {
            return out;
        }
        if !self.columns.is_empty() {
            self.chosen_text(&mut out, style);
            return out;
        }
        // The age of the last call is already beside the status.
        let rows: Vec<[String; 7]> = self
            .sessions
            .iter()
            .map(|session| cells(session, |column| column != Column::LastCallEt))
            .collect();
        let mut widths = TABLE.natural(&rows);
        if rows.iter().all(|row| row[VALUES].is_empty()) {
            widths[VALUES] = 0;
        }
        TABLE.fit(&mut widths, "", style);
        TABLE.head(&mut out, &widths, "", style);
        for (session, cells) in self.sessions.iter().zip(&rows) {
            let text = TABLE.line(cells, &widths, "");
            session.line(&mut out, &text, style);
        }
        out
    }

    /// The table of the columns that were asked for. Texts shrink if the terminal is narrow, the longest first.
    fn chosen_text(&self, out: &mut String, style: TextStyle) {
        let rows: Vec<Vec<String>> = self
            .sessions
            .iter()
            .map(|session| session.chosen(&self.columns))
            .collect();
        let names: Vec<String> = self.columns.iter().map(|column| column.name().to_uppercase()).collect();
        let widest = |at: usize| {
            let cells = rows.iter().map(|row| row[at].width());
            cells.chain([names[at].width()]).max().unwrap_or_default()
        };
        let aligned = |at: usize, text: &str| match self.columns[at].is_number() {
            true => format!("{}{text}", " ".repeat(widest(at) - text.width())),
            false => text.to_owned(),
        };
        let line = |cells: &[String]| -> Vec<String> {
            cells.iter().enumerate().map(|(at, cell)| aligned(at, cell)).collect()
        };
        let head = line(&names);
        let header: Vec<&str> = head.iter().map(String::as_str).collect();
        let can_shrink = |column: &ListColumn| usize::from(*column != ListColumn::Session && !column.is_number());
        let table = Table {
            header: &header,
            least: &names.iter().map(|name| name.width().min(8)).collect::<Vec<_>>(),
            weight: &self.columns.iter().map(can_shrink).collect::<Vec<_>>(),
            dispensable: &[],
            numbers_from: self.columns.len(),
        };
        let rows: Vec<Vec<String>> = rows.iter().map(|row| line(row)).collect();
        let mut widths = table.natural(&rows);
        table.fit(&mut widths, "", style);
        push(
            out,
            &paint(
                &clip(&table.line(&header, &widths, ""), style.width),
                Colour::Dim,
                style,
            ),
        );
        for (session, cells) in self.sessions.iter().zip(&rows) {
            session.line(out, &clip(&table.line(cells, &widths, ""), style.width), style);
        }
    }

    /// Comma-separated, a row for each session.
    #[must_use]
    pub(crate) fn to_csv(&self, with_header: bool) -> String {
        if !self.columns.is_empty() {
            return self.chosen_csv(with_header);
        }
        let header = || CSV_HEADER.map(str::to_owned);
        let mut rows: Vec<_> = with_header.then(header).into_iter().collect();
        let number = |number: Option<u32>| number.map(|number| number.to_string()).unwrap_or_default();
        let words = |words: &Option<String>| words.as_deref().map(inert).unwrap_or_default();
        for session in &self.sessions {
            let who = &session.who;
            let [.., values, policies] = cells(session, |_| true);
            rows.push([
                inert(&self.database),
                self.taken_at.map(iso).unwrap_or_default(),
                number(who.inst_id),
                number(who.sid),
                number(who.serial),
                who.logon_time.map(iso).unwrap_or_default(),
                words(&who.username),
                words(&who.program),
                words(&who.machine),
                words(&who.status),
                who.last_call_et.map(|seconds| seconds.to_string()).unwrap_or_default(),
                inert(&values),
                if session.opinions.is_empty() {
                    String::new()
                } else {
                    inert(&policies)
                },
            ]);
        }
        written(&rows)
    }

    /// The columns that were asked for, with exact values, behind those that say which snapshot they are of.
    fn chosen_csv(&self, with_header: bool) -> String {
        let header = || {
            let names = self.columns.iter().map(|column| column.name());
            ["database", "taken_at"]
                .into_iter()
                .chain(names)
                .map(str::to_owned)
                .collect()
        };
        let mut rows: Vec<Vec<String>> = with_header.then(header).into_iter().collect();
        for session in &self.sessions {
            let mut row = vec![inert(&self.database), self.taken_at.map(iso).unwrap_or_default()];
            let mut values = session.values.iter().map(|(_, _, exact)| match exact.as_str() {
                Some(text) => inert(text),
                None if exact.is_null() => String::new(),
                None => exact.to_string(),
            });
            row.extend(self.columns.iter().map(|column| match column {
                ListColumn::Session => session.who.session(),
                ListColumn::Policies if session.opinions.is_empty() => String::new(),
                ListColumn::Policies => inert(&session.policies()),
                ListColumn::Of(_) => values.next().unwrap_or_default(),
            }));
            rows.push(row);
        }
        written(&rows)
    }

    /// An object for each session, each on a line of its own.
    #[must_use]
    pub(crate) fn to_json_lines(&self) -> String {
        let taken_at = self.taken_at.map(iso);
        let rows = self.sessions.iter().map(|session| {
            json::line(&LoneRow {
                database: &self.database,
                taken_at: taken_at.as_deref(),
                session: ListingRow::of(session),
            })
        });
        rows.collect()
    }

    /// The database's name.
    #[must_use]
    pub(crate) fn database(&self) -> &str {
        &self.database
    }

    /// The object of a database that could not be read.
    #[must_use]
    pub(crate) fn unread_json(database: &str, why: &str) -> String {
        json::line(&ListingDocument {
            database,
            taken_at: None,
            all: 0,
            hidden_background: 0,
            error: Some(why),
            notes: &[],
            sessions: Vec::new(),
        })
    }

    /// One object on one line.
    #[must_use]
    pub(crate) fn to_json(&self) -> String {
        let document = ListingDocument {
            database: &self.database,
            taken_at: self.taken_at.map(iso),
            all: self.all,
            hidden_background: self.hidden,
            error: None,
            notes: &self.notes,
            sessions: self.sessions.iter().map(ListingRow::of).collect(),
        };
        json::line(&document)
    }
}

/// What the policies decided about each row that one of them selects.
fn opinions(subject: &ListingSubject<'_>) -> BTreeMap<usize, Vec<Opinion>> {
    let mut opinions: BTreeMap<usize, Vec<Opinion>> = BTreeMap::new();
    for decision in &subject.ruling.decisions {
        opinions.entry(decision.row).or_default().push(Opinion {
            policy: Arc::clone(&subject.set.policies[decision.policy].name),
            verdict: decision.verdict(),
            reason: decision.reason(subject.set, subject.snapshot),
        });
    }
    opinions
}

impl Listed {
    /// The line of a session in the colour of the gravest decision, with the reasons below it if more is wanted.
    fn line(&self, out: &mut String, text: &str, style: TextStyle) {
        let gravest = self.opinions.iter().map(|opinion| opinion.verdict).min();
        push(out, &paint(text, gravest.map_or(Colour::None, colour_of), style));
        if style.detail == Detail::More {
            for opinion in &self.opinions {
                let words = format!("{}: {}", opinion.policy, visible(&opinion.reason));
                wrapped(out, "    ", &words, style, Colour::Dim);
            }
        }
    }

    /// The decisions in words; the decision comes first, so that it remains when the cell is clipped.
    fn policies(&self) -> String {
        let each = self.opinions.iter().map(|opinion| match opinion.verdict {
            Verdict::Protected(protection) => format!("protected ({protection}): {}", opinion.policy),
            verdict @ (Verdict::Act | Verdict::Pending | Verdict::Deferred | Verdict::Refused | Verdict::Exempt) => {
                format!("{}: {}", verdict.name(), opinion.policy)
            }
        });
        let each: Vec<String> = each.collect();
        if each.is_empty() { "-".into() } else { each.join(", ") }
    }

    /// The cells of the columns that were asked for.
    fn chosen(&self, columns: &[ListColumn]) -> Vec<String> {
        let mut values = self.values.iter().map(|(_, shown, exact)| {
            if exact.is_null() && shown == "null" {
                "-".to_owned()
            } else {
                visible(shown).into_owned()
            }
        });
        let cells = columns.iter().map(|column| match column {
            ListColumn::Session => self.who.session(),
            ListColumn::Policies => self.policies(),
            ListColumn::Of(_) => values.next().unwrap_or_default(),
        });
        cells.collect()
    }
}

/// A value for programs: durations in seconds, points in time by the database's clock; NULL and missing values are null.
fn exact(column: Column, field: Field<'_>) -> serde_json::Value {
    match field {
        Field::Missing | Field::Null => serde_json::Value::Null,
        Field::Text(text) => text.into(),
        Field::Number(number) => match column.kind() {
            Kind::Duration if column.per_second() != 1 => (number as f64 / column.per_second() as f64).into(),
            Kind::Time => DbTime(number).to_string().into(),
            Kind::Text | Kind::Number | Kind::Duration | Kind::Size => number.into(),
        },
    }
}

const TABLE: Table<'static> = Table {
    header: &["SESSION", "USER", "PROGRAM", "MACHINE", "STATUS", "VALUES", "POLICIES"],
    least: &[9, 6, 8, 8, 4, 8, 16],
    weight: &[0, 1, 3, 3, 0, 1, 2],
    dispensable: &[3, 2, 5, 4, 1],
    numbers_from: 7,
};
const VALUES: usize = 5;

const CSV_HEADER: [&str; 13] = [
    "database",
    "taken_at",
    "inst_id",
    "sid",
    "serial",
    "logon_time",
    "username",
    "program",
    "machine",
    "status",
    "last_call_et",
    "values",
    "policies",
];

fn cells(session: &Listed, wanted: impl Fn(Column) -> bool) -> [String; 7] {
    let who = &session.who;
    let values: Vec<String> = session
        .values
        .iter()
        .filter(|(column, ..)| wanted(*column))
        .map(|(column, shown, _)| format!("{} {}", column.name(), visible(shown)))
        .collect();
    [
        who.session(),
        shown(who.username.as_deref()),
        shown(who.program.as_deref()),
        shown(who.machine.as_deref()),
        status_words(who.status.as_deref(), who.last_call_et),
        values.join(", "),
        session.policies(),
    ]
}

#[derive(Serialize)]
struct ListingDocument<'a> {
    database: &'a str,
    taken_at: Option<String>,
    all: usize,
    hidden_background: usize,
    /// Why the sessions could not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    notes: &'a [String],
    sessions: Vec<ListingRow<'a>>,
}

/// A session by itself.
#[derive(Serialize)]
struct LoneRow<'a> {
    database: &'a str,
    taken_at: Option<&'a str>,
    #[serde(flatten)]
    session: ListingRow<'a>,
}

#[derive(Serialize)]
struct ListingRow<'a> {
    inst_id: Option<u32>,
    sid: Option<u32>,
    serial: Option<u32>,
    logon_time: Option<String>,
    username: Option<&'a str>,
    program: Option<&'a str>,
    machine: Option<&'a str>,
    status: Option<&'a str>,
    last_call_et: Option<i64>,
    values: BTreeMap<&'static str, &'a serde_json::Value>,
    policies: Vec<Thought<'a>>,
}

#[derive(Serialize)]
struct Thought<'a> {
    policy: &'a str,
    decision: &'a str,
    reason: &'a str,
}

impl ListingRow<'_> {
    fn of(session: &Listed) -> ListingRow<'_> {
        let who = &session.who;
        ListingRow {
            inst_id: who.inst_id,
            sid: who.sid,
            serial: who.serial,
            logon_time: who.logon_time.map(iso),
            username: who.username.as_deref(),
            program: who.program.as_deref(),
            machine: who.machine.as_deref(),
            status: who.status.as_deref(),
            last_call_et: who.last_call_et,
            values: session
                .values
                .iter()
                .map(|(column, _, exact)| (column.name(), exact))
                .collect(),
            policies: session
                .opinions
                .iter()
                .map(|opinion| Thought {
                    policy: &opinion.policy,
                    decision: opinion.verdict.name(),
                    reason: &opinion.reason,
                })
                .collect(),
        }
    }
}
