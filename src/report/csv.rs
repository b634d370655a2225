//! The report for spreadsheets: a header and a row for each decision.
//!
//! What is not a decision has a row of its own above them ([`Aside`]), with its kind in the column of the decision and its text as the
//! reason: a table without rows would read as "nothing to do".
//!
//! A spreadsheet treats a cell that begins with `=`, `+`, `-` or `@` as a formula, and a client chooses PROGRAM freely. Such a
//! text gets an apostrophe in front, which marks it as text in spreadsheets. Numbers come from this program and stay as they
//! are. The JSON has the exact texts.
//!
//! Where the decimal sign is a comma, spreadsheets take `;` as the separator, also in the middle of a cell that stands between other
//! cells' commas. So each cell with a `;` is quoted, and what follows a `;` and looks like a formula gets an apostrophe too.

use std::borrow::Cow;

use crate::report::Report;
use crate::session::time::iso;
use crate::terminal::visible::visible;

const HEADER: [&str; 14] = [
    "database",
    "taken_at",
    "policy",
    "inst_id",
    "sid",
    "serial",
    "logon_time",
    "username",
    "program",
    "machine",
    "decision",
    "reason",
    "action",
    "statement",
];

const DATABASE: usize = 0;
const TAKEN_AT: usize = 1;
const POLICY: usize = 2;
const DECISION: usize = 10;
const REASON: usize = 11;

impl Report {
    /// Comma-separated, quoted where needed, lines end in CRLF as RFC 4180 has it.
    #[must_use]
    pub fn to_csv(&self) -> String {
        let mut rows = vec![HEADER.map(str::to_owned)];
        let number = |number: Option<u32>| number.map(|number| number.to_string()).unwrap_or_default();
        let words = |words: Option<&str>| words.map(inert).unwrap_or_default();
        rows.extend(self.asides().into_iter().map(|aside| {
            let mut row = HEADER.map(|_| String::new());
            row[DATABASE] = inert(&self.database);
            row[TAKEN_AT] = self.taken_at.map(iso).unwrap_or_default();
            row[POLICY] = words(aside.policy);
            row[DECISION] = aside.kind.to_owned();
            row[REASON] = inert(&aside.words);
            row
        }));
        for part in &self.policies {
            for line in &part.decisions {
                rows.push([
                    inert(&self.database),
                    self.taken_at.map(iso).unwrap_or_default(),
                    inert(&part.name),
                    number(line.inst_id),
                    number(line.sid),
                    number(line.serial),
                    line.logon_time.map(iso).unwrap_or_default(),
                    words(line.username.as_deref()),
                    words(line.program.as_deref()),
                    words(line.machine.as_deref()),
                    line.verdict.name().to_owned(),
                    inert(&line.reason),
                    words(line.action.map(|action| action.name())),
                    words(line.statement.as_deref()),
                ]);
            }
        }
        written(&rows)
    }
}

/// A row that is not a decision about a session.
pub(super) struct Aside<'a> {
    /// The policy that it is about.
    pub(super) policy: Option<&'a str>,
    /// `unread`, `note`, `refusal`, `rehearsal`: what became of sessions that a dry run would have ended; `policy`: one that decides about
    /// no session.
    pub(super) kind: &'static str,
    /// What is to be said.
    pub(super) words: Cow<'a, str>,
}

impl Report {
    /// The rows above the decisions.
    pub(super) fn asides(&self) -> Vec<Aside<'_>> {
        let of_all = |kind, words: &'_ String| Aside {
            policy: None,
            kind,
            words: Cow::Owned(words.clone()),
        };
        let unread = self.unread.iter().map(|why| of_all("unread", why));
        let notes = self.notes.iter().map(|note| of_all("note", note));
        let refusals = self.refusals.iter().map(|refusal| Aside {
            policy: Some(&refusal.policy),
            kind: "refusal",
            words: refusal.to_string().into(),
        });
        let rehearsals = self
            .rehearsals()
            .filter(|(_, rehearsal)| rehearsal.all.would_have_ended() > 0)
            .map(|(policy, rehearsal)| Aside {
                policy: Some(policy),
                kind: "rehearsal",
                words: rehearsal.all.words().into(),
            });
        let silent = self
            .policies
            .iter()
            .filter(|part| part.decisions.is_empty())
            .map(|part| Aside {
                policy: Some(&*part.name),
                kind: "policy",
                words: part.words().into(),
            });
        unread
            .chain(notes)
            .chain(refusals)
            .chain(rehearsals)
            .chain(silent)
            .collect()
    }
}

/// Rows as RFC 4180 has them; cells with a `;` are quoted too.
pub(super) fn written<R: AsRef<[String]>>(rows: &[R]) -> String {
    let mut text = String::new();
    for row in rows {
        for (at, cell) in row.as_ref().iter().enumerate() {
            if at > 0 {
                text.push(',');
            }
            if cell.contains([',', ';', '"', '\r', '\n']) {
                text.push('"');
                text.push_str(&cell.replace('"', "\"\""));
                text.push('"');
            } else {
                text.push_str(cell);
            }
        }
        text.push_str("\r\n");
    }
    text
}

/// The text, made visible and never a formula. Leading blanks do not matter: spreadsheets skip them.
pub(super) fn inert(text: &str) -> String {
    let shown = visible(text);
    let mut parts = shown.split(';');
    let mut inert = String::with_capacity(shown.len());
    let is_formula = |text: &str| text.starts_with(['=', '+', '-', '@']);
    if let Some(first) = parts.next() {
        if is_formula(first.trim_start()) {
            inert.push('\'');
        }
        inert.push_str(first);
    }
    for part in parts {
        inert.push(';');
        if is_formula(part.trim_start_matches([' ', '"', '\''])) {
            inert.push('\'');
        }
        inert.push_str(part);
    }
    inert
}
