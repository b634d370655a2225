//! The report for a terminal: as wide as it is told, no wider.
//!
//! Columns that hold a session's own words give way first when the width is short; who, what and why stay as long as they
//! can. A cell that does not fit ends in `…`; the other formats hold it whole.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::guard::Verdict;
use crate::report::visible::visible;
use crate::report::{Line, PolicyPart, Report};
use crate::session::time::{Bytes, Span};

/// How text is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TextStyle {
    /// Columns of the terminal. Below 40 it is laid out as for 40.
    pub width: usize,
    /// Whether the terminal shows ANSI colours.
    pub colour: bool,
}

impl Default for TextStyle {
    fn default() -> TextStyle {
        TextStyle {
            width: 100,
            colour: false,
        }
    }
}

/// A protection is shown with so many of the sessions that it spared; the rest are counted.
const SPARED_SHOWN: usize = 3;

impl Report {
    /// For a terminal.
    #[must_use]
    pub fn to_text(&self, style: TextStyle) -> String {
        let style = TextStyle {
            width: style.width.max(40),
            ..style
        };
        let mut out = String::new();
        let title = format!(
            "orareaper {}: {}, {}",
            self.mode_words(),
            visible(&self.database),
            self.taken_at_words()
        );
        push(&mut out, &bold(&clip(&title, style.width), style));
        let sessions = format!(
            "{} sessions, {} of them user sessions{}",
            self.sessions,
            self.figures.user_sessions,
            self.statuses()
        );
        push(&mut out, &clip(&sessions, style.width));
        for note in self.notes.iter().chain(&self.breakers) {
            wrapped(&mut out, "! ", &visible(note), style, Colour::Yellow);
        }
        for part in &self.policies {
            out.push('\n');
            policy(&mut out, part, style);
        }
        out.push('\n');
        let mut total = format!("Summary: {}", self.summary.words());
        if self.figures.freed_sessions > 0 {
            let _ = write!(total, "; {} would end", counted(self.figures.freed_sessions));
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

fn counted(sessions: usize) -> String {
    if sessions == 1 {
        "1 session".into()
    } else {
        format!("{sessions} sessions")
    }
}

fn policy(out: &mut String, part: &PolicyPart, style: TextStyle) {
    let head = format!(
        "{} ({}, {}): {}",
        part.name,
        part.mode.name(),
        part.action,
        if part.due {
            part.summary.words()
        } else {
            format!("not due by its schedule; its condition holds for {}", part.matched)
        }
    );
    push(out, &bold(&clip(&head, style.width), style));
    if !part.description.is_empty() {
        wrapped(out, "  ", &visible(&part.description), style, Colour::None);
    }
    let wanted: Vec<&Line> = part.decisions.iter().filter(|line| !line.is_spared()).collect();
    if !wanted.is_empty() {
        table(out, &wanted, style);
    }
    for line in &wanted {
        if let Some(statement) = &line.statement {
            wrapped(out, "  > ", &visible(statement), style, Colour::None);
        }
    }
    spared(out, part, style);
}

/// Who was spared, by what spared them.
fn spared(out: &mut String, part: &PolicyPart, style: TextStyle) {
    let mut by_name: BTreeMap<&str, Vec<&Line>> = BTreeMap::new();
    for line in part.decisions.iter().filter(|line| line.is_spared()) {
        let name = match line.verdict {
            Verdict::Protected(protection) => protection.name(),
            Verdict::Exempt | Verdict::Act | Verdict::Pending | Verdict::Deferred | Verdict::Refused => "exemption",
        };
        by_name.entry(name).or_default().push(line);
    }
    for (name, lines) in by_name {
        let each: Vec<String> = lines
            .iter()
            .take(SPARED_SHOWN)
            .map(|line| {
                let reason = visible(&line.reason);
                let why = reason.split_once(": ").map_or(&*reason, |(_, why)| why);
                format!("{} ({why})", line.session())
            })
            .collect();
        let more = match lines.len().saturating_sub(SPARED_SHOWN) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let words = format!("spared {} by {name}: {}{more}", lines.len(), each.join(", "));
        wrapped(out, "  ", &words, style, Colour::Green);
    }
}

const HEADER: [&str; 7] = ["SESSION", "USER", "PROGRAM", "MACHINE", "STATUS", "DECISION", "WHY"];
/// What a column keeps when others are still wider than theirs.
const LEAST: [usize; 7] = [9, 6, 8, 8, 4, 8, 12];
const WHY: usize = 6;
const DECISION: usize = 5;

/// One line a session if the reasons fit whole; else sessions under their common decision and reason, which are never cut.
fn table(out: &mut String, lines: &[&Line], style: TextStyle) {
    let rows: Vec<[String; 7]> = lines.iter().map(|line| cells(line)).collect();
    let mut natural = HEADER.map(str::len);
    for row in &rows {
        for (width, cell) in natural.iter_mut().zip(row) {
            *width = (*width).max(cell.width());
        }
    }
    let mut widths = natural;
    fit(&mut widths, style.width.saturating_sub(2 + 2 * (HEADER.len() - 1)));
    if widths[WHY] == natural[WHY] {
        push(out, &paint(&row(&HEADER, &widths, "  "), Colour::Dim, style));
        for (line, cells) in lines.iter().zip(&rows) {
            let text = row(&cells.each_ref().map(String::as_str), &widths, "  ");
            push(out, &paint(&text, colour_of(line.verdict), style));
        }
        return;
    }
    widths = natural;
    (widths[DECISION], widths[WHY]) = (0, 0);
    fit(&mut widths, style.width.saturating_sub(4 + 2 * (HEADER.len() - 3)));
    let mut said: Option<(Verdict, &str)> = None;
    for (line, cells) in lines.iter().zip(&rows) {
        if said != Some((line.verdict, &line.reason)) {
            let words = format!("{}: {}", line.verdict.name(), visible(&line.reason));
            wrapped(out, "  ", &words, style, colour_of(line.verdict));
            said = Some((line.verdict, &line.reason));
        }
        push(out, &row(&cells.each_ref().map(String::as_str), &widths, "    "));
    }
}

/// The cells of one line; a column of no width is left out.
fn row(cells: &[&str; 7], widths: &[usize; 7], indent: &str) -> String {
    let mut text = String::from(indent);
    for (cell, width) in cells.iter().zip(widths).filter(|(_, width)| **width > 0) {
        let cell = clip(cell, *width);
        text.push_str(&cell);
        text.push_str(&" ".repeat(width - cell.width() + 2));
    }
    text.trim_end().to_owned()
}

fn cells(line: &Line) -> [String; 7] {
    let shown = |text: &Option<String>| {
        text.as_deref()
            .map_or_else(|| "-".into(), |text| visible(text).into_owned())
    };
    let status = match (&line.status, line.last_call_et) {
        (Some(status), Some(seconds)) => format!("{} {}", visible(status), Span(seconds)),
        (Some(status), None) => visible(status).into_owned(),
        (None, _) => "-".into(),
    };
    [
        line.session(),
        shown(&line.username),
        shown(&line.program),
        shown(&line.machine),
        status,
        line.verdict.name().into(),
        visible(&line.reason).into_owned(),
    ]
}

/// Shrinks the widest column that may, until all fit; where that is not enough, status and client columns go.
fn fit(widths: &mut [usize; 7], room: usize) {
    while widths.iter().sum::<usize>() > room {
        // Client-set columns give way first: they weigh more than the reason, which weighs more than the rest.
        let weight = [0, 2, 3, 3, 2, 0, 1];
        let widest = (0..widths.len())
            .filter(|at| widths[*at] > LEAST[*at] && weight[*at] > 0)
            .max_by_key(|at| (widths[*at] - LEAST[*at]) * weight[*at]);
        match widest {
            Some(at) => widths[at] -= 1,
            None => break,
        }
    }
    for at in [4, 3, 2, 1] {
        if widths.iter().sum::<usize>() > room {
            widths[at] = 0;
        }
    }
}

/// At most `width` columns, `…` at the end if something was cut.
fn clip(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut clipped = String::new();
    let mut used = 0;
    for character in text.chars() {
        let wide = character.width().unwrap_or(0);
        if used + wide + 1 > width {
            break;
        }
        used += wide;
        clipped.push(character);
    }
    clipped.push('…');
    clipped
}

/// A paragraph whose lines begin below its text.
fn wrapped(out: &mut String, bullet: &str, text: &str, style: TextStyle, colour: Colour) {
    let room = style.width.saturating_sub(bullet.len()).max(20);
    let mut line = String::new();
    let mut lines = Vec::new();
    for word in text.split(' ') {
        if !line.is_empty() && line.width() + 1 + word.width() > room {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(&clip(word, room));
    }
    lines.push(line);
    for (at, line) in lines.iter().enumerate() {
        let indent = if at == 0 {
            bullet.to_owned()
        } else {
            " ".repeat(bullet.len())
        };
        push(out, &paint(&format!("{indent}{line}"), colour, style));
    }
}

fn push(out: &mut String, line: &str) {
    out.push_str(line.trim_end());
    out.push('\n');
}

#[derive(Clone, Copy)]
enum Colour {
    None,
    Bold,
    Dim,
    Red,
    Yellow,
    Magenta,
    Green,
}

const fn colour_of(verdict: Verdict) -> Colour {
    match verdict {
        Verdict::Act => Colour::Red,
        Verdict::Pending | Verdict::Deferred => Colour::Yellow,
        Verdict::Refused => Colour::Magenta,
        Verdict::Protected(_) | Verdict::Exempt => Colour::Green,
    }
}

fn bold(text: &str, style: TextStyle) -> String {
    paint(text, Colour::Bold, style)
}

fn paint(text: &str, colour: Colour, style: TextStyle) -> String {
    let code = match colour {
        Colour::None => return text.to_owned(),
        Colour::Bold => "1",
        Colour::Dim => "2",
        Colour::Red => "31",
        Colour::Yellow => "33",
        Colour::Magenta => "35",
        Colour::Green => "32",
    };
    if style.colour {
        format!("\x1b[{code}m{text}\x1b[0m")
    } else {
        text.to_owned()
    }
}
