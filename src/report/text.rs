//! The report for a terminal of a given width.
//!
//! If the width is short, columns with texts that clients choose shrink first; session, decision and reason keep their width
//! for longest. A cell that does not fit ends in `…`; the other formats have the whole text.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::decide::reason::Verdict;
use crate::quantity::{Bytes, Span, counted};
use crate::report::{PolicyPart, Report, ReportLine};
use crate::report::{colour_of, rehearsal};
use crate::terminal::visible::visible;
use crate::terminal::{Colour, Detail, Table, TextStyle, bold, clip, paint, push, wrapped};

/// A protection is shown with this many of the sessions that it spares; the others are counted.
const SPARED_SHOWN: usize = 3;

impl Report {
    /// For a terminal.
    #[must_use]
    pub fn to_text(&self, style: TextStyle) -> String {
        let style = style.readable();
        let mut out = String::new();
        if let Some(why) = &self.unread {
            let title = format!(
                "orareaper {}: {}, could not be read",
                self.mode_words(),
                visible(&self.database)
            );
            push(&mut out, &bold(&clip(&title, style.width), style));
            wrapped(&mut out, "! ", &visible(why), style, Colour::Red);
            return out;
        }
        let title = format!(
            "orareaper {}: {}, {}",
            self.mode_words(),
            visible(&self.database),
            self.taken_at_words()
        );
        push(&mut out, &bold(&clip(&title, style.width), style));
        let sessions = format!(
            "{}, {} of them user sessions{}",
            counted(self.sessions, "session"),
            self.figures.user_sessions,
            self.statuses()
        );
        push(&mut out, &clip(&sessions, style.width));
        for note in self.notes_and_refusals() {
            wrapped(&mut out, "! ", &visible(&note), style, Colour::Yellow);
        }
        let acts = |part: &&PolicyPart| part.decisions.iter().any(|line| !line.is_spared());
        for part in self
            .policies
            .iter()
            .filter(|part| style.detail > Detail::Less || acts(part))
        {
            out.push('\n');
            policy(&mut out, part, style);
        }
        if let Some(table) = rehearsal::table(self.rehearsals()) {
            out.push('\n');
            push(&mut out, &bold(table.title, style));
            table.text(&mut out, style);
            wrapped(&mut out, "  ", rehearsal::KEY, style, Colour::Dim);
        }
        out.push('\n');
        let mut total = format!("Summary: {}", self.summary.words());
        if self.figures.freed_sessions > 0 {
            let _ = write!(total, "; {} would end", counted(self.figures.freed_sessions, "session"));
            if let Some(pga) = self.figures.freed_pga {
                let _ = write!(total, " and free {} of PGA", Bytes(pga));
            }
        }
        push(&mut out, &bold(&clip(&total, style.width), style));
        out
    }

    fn statuses(&self) -> String {
        let each: Vec<String> = self
            .figures
            .by_status
            .iter()
            .map(|(status, count)| format!("{count} {}", visible(status)))
            .collect();
        if each.is_empty() {
            String::new()
        } else {
            format!(" ({})", each.join(", "))
        }
    }
}

fn policy(out: &mut String, part: &PolicyPart, style: TextStyle) {
    let head = format!(
        "{} ({}, {}): {}",
        part.name,
        part.mode.name(),
        part.action,
        part.words()
    );
    push(out, &bold(&clip(&head, style.width), style));
    if !part.description.is_empty() && style.detail > Detail::Less {
        wrapped(out, "  ", &visible(&part.description), style, Colour::None);
    }
    let wanted: Vec<&ReportLine> = part.decisions.iter().filter(|line| !line.is_spared()).collect();
    if !wanted.is_empty() {
        table(out, &wanted, style);
    }
    if style.detail == Detail::Less {
        return;
    }
    for line in &wanted {
        if let Some(statement) = &line.statement {
            wrapped(out, "  > ", &visible(statement), style, Colour::None);
        }
    }
    spared(out, part, style);
}

/// The spared sessions, by what spares them; some of each, or all if more is wanted.
fn spared(out: &mut String, part: &PolicyPart, style: TextStyle) {
    let mut by_name: BTreeMap<&str, Vec<&ReportLine>> = BTreeMap::new();
    for line in part.decisions.iter().filter(|line| line.is_spared()) {
        let name = match line.verdict {
            Verdict::Protected(protection) => protection.name(),
            Verdict::Exempt | Verdict::Act | Verdict::Pending | Verdict::Deferred | Verdict::Refused => "exemption",
        };
        by_name.entry(name).or_default().push(line);
    }
    let most = match style.detail {
        Detail::Less | Detail::Usual => SPARED_SHOWN,
        Detail::More => usize::MAX,
    };
    for (name, lines) in by_name {
        let each: Vec<String> = lines
            .iter()
            .take(most)
            .map(|line| format!("{} ({})", line.session(), visible(&line.brief)))
            .collect();
        let more = match lines.len().saturating_sub(most) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let words = format!("spared {} by {name}: {}{more}", lines.len(), each.join(", "));
        wrapped(out, "  ", &words, style, Colour::Green);
    }
}

const TABLE: Table<'static> = Table {
    header: &["SESSION", "USER", "PROGRAM", "MACHINE", "STATUS", "DECISION", "WHY"],
    least: &[9, 6, 8, 8, 4, 8, 12],
    // Columns that clients set shrink first: they weigh more than the reason, which weighs more than the rest.
    weight: &[0, 2, 3, 3, 2, 0, 1],
    dispensable: &[4, 3, 2, 1],
    numbers_from: 7,
};
const WHY: usize = 6;
const STATUS: usize = 4;
const DECISION: usize = 5;

/// One line a session if the whole reasons fit; else sessions below their common decision and reason, which are never cut.
fn table(out: &mut String, lines: &[&ReportLine], style: TextStyle) {
    let rows: Vec<[String; 7]> = lines.iter().map(|line| cells(line)).collect();
    let natural = TABLE.natural(&rows);
    let mut widths = natural.clone();
    TABLE.fit(&mut widths, "  ", style);
    if widths[WHY] == natural[WHY] {
        TABLE.head(out, &widths, "  ", style);
        for (line, cells) in lines.iter().zip(&rows) {
            let text = TABLE.line(cells, &widths, "  ");
            push(out, &paint(&text, colour_of(line.verdict), style));
        }
        return;
    }
    widths.clone_from(&natural);
    (widths[DECISION], widths[WHY]) = (0, 0);
    TABLE.fit(&mut widths, "    ", style);
    let whole_status = widths[STATUS] == natural[STATUS];
    let mut said: Option<(Verdict, String)> = None;
    for (line, cells) in lines.iter().zip(&rows) {
        let why = if whole_status {
            line.beside_status.clone()
        } else {
            line.reason.clone()
        };
        let saying = Some((line.verdict, why));
        if said != saying {
            let why = saying.as_ref().map_or("", |(_, why)| why);
            let words = format!("{}: {}", line.verdict.name(), visible(why));
            wrapped(out, "  ", &words, style, colour_of(line.verdict));
            said = saying;
        }
        push(out, &TABLE.line(cells, &widths, "    "));
    }
}

fn cells(line: &ReportLine) -> [String; 7] {
    [
        line.session(),
        shown(line.username.as_deref()),
        shown(line.program.as_deref()),
        shown(line.machine.as_deref()),
        status_words(line.status.as_deref(), line.last_call_et),
        line.verdict.name().into(),
        visible(&line.reason).into_owned(),
    ]
}

/// A text of a session; `-` if it has none.
pub(super) fn shown(text: Option<&str>) -> String {
    text.map_or_else(|| "-".into(), |text| visible(text).into_owned())
}

/// `INACTIVE 5h 12m`
pub(super) fn status_words(status: Option<&str>, last_call_et: Option<i64>) -> String {
    match (status, last_call_et) {
        (Some(status), Some(seconds)) => format!("{} {}", visible(status), Span(seconds)),
        (Some(status), None) => visible(status).into_owned(),
        (None, _) => "-".into(),
    }
}
