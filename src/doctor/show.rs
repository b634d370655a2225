//! What was examined, as text and as JSON.

use serde::Serialize;

use crate::checks::{Check, Remedy, State};
use crate::doctor::Examined;
use crate::terminal::visible::json_escaped;
use crate::terminal::{Colour, Detail, TextStyle, bold, paint, push, wrapped};

/// For people: what is fine in a line for each kind, everything else in its own words. Less is without what is fine; more has a line for
/// each check.
#[must_use]
pub(crate) fn text(examined: &[Examined], style: TextStyle) -> String {
    let style = style.readable();
    let mut out = String::new();
    for (at, one) in examined.iter().enumerate() {
        if at > 0 {
            out.push('\n');
        }
        let title = one.database.as_deref().unwrap_or("this host");
        push(&mut out, &bold(title, style));
        let mut rest = one.checks.as_slice();
        while let Some(first) = rest.first() {
            let alike = rest
                .iter()
                .take_while(|check| is_fine(check) && check.id == first.id && is_fine(first));
            let count = match style.detail {
                Detail::Less | Detail::Usual => alike.count().max(1),
                Detail::More => 1,
            };
            let (group, after) = rest.split_at(count);
            if style.detail > Detail::Less || !is_fine(first) {
                line(&mut out, group, style);
            }
            rest = after;
        }
    }
    out.push('\n');
    push(&mut out, &bold(&summary(examined), style));
    out
}

fn is_fine(check: &Check) -> bool {
    check.state == State::Fine
}

/// One check, or several of a kind that are fine.
fn line(out: &mut String, group: &[Check], style: TextStyle) {
    let [first, others @ ..] = group else { return };
    let colour = match first.state {
        State::Fine => Colour::Dim,
        State::Note => Colour::Yellow,
        State::Missing | State::Untried => Colour::Red,
    };
    let found = if others.is_empty() {
        first.found.clone()
    } else {
        let found: Vec<&str> = group.iter().map(shortest).collect();
        found.join(", ")
    };
    let bullet = format!("  {:<8} {:<18} ", first.state.name(), first.id.name());
    wrapped(out, &bullet, &found, style, colour);
    if let (Some(remedy), State::Note | State::Missing | State::Untried) = (&first.remedy, first.state) {
        let indent = " ".repeat(bullet.len());
        match remedy {
            Remedy::Text(text) => wrapped(out, &format!("{indent}-> "), text, style, Colour::None),
            // A statement is copied: it is never wrapped.
            Remedy::Statement(statement) => push(out, &paint(&format!("{indent}-> {statement};"), Colour::None, style)),
        }
    }
}

/// What names a check among others of its kind that are fine.
fn shortest(check: &Check) -> &str {
    let is_view = check.found.ends_with("can be read");
    if is_view && !check.about.is_empty() {
        &check.about
    } else {
        &check.found
    }
}

fn summary(examined: &[Examined]) -> String {
    let all = || examined.iter().flat_map(|one| &one.checks);
    let count = |state: State| all().filter(|check| check.state == state).count();
    format!(
        "{} missing, {} untried, {} to note, {} fine",
        count(State::Missing),
        count(State::Untried),
        count(State::Note),
        count(State::Fine)
    )
}

/// One check for programs. Keys are added, never renamed.
#[derive(Serialize)]
struct CheckLine<'a> {
    database: Option<&'a str>,
    id: &'static str,
    about: &'a str,
    state: &'static str,
    found: &'a str,
    remedy: Option<&'a str>,
    statement: Option<&'a str>,
}

#[derive(Serialize)]
struct DoctorJson<'a> {
    checks: Vec<CheckLine<'a>>,
}

/// For programs: one object.
#[must_use]
pub(crate) fn json(examined: &[Examined]) -> String {
    line_of(&DoctorJson {
        checks: lines(examined).collect(),
    })
}

/// For programs that read on: an object for each check, one a line.
#[must_use]
pub(crate) fn json_lines(examined: &[Examined]) -> String {
    lines(examined).map(|line| line_of(&line)).collect()
}

fn line_of(document: &impl Serialize) -> String {
    let json = serde_json::to_string(document).unwrap_or_default();
    format!("{}\n", json_escaped(&json))
}

fn lines(examined: &[Examined]) -> impl Iterator<Item = CheckLine<'_>> {
    examined.iter().flat_map(|one| {
        one.checks.iter().map(|check| {
            let (remedy, statement) = match &check.remedy {
                None => (None, None),
                Some(Remedy::Text(text)) => (Some(text.as_str()), None),
                Some(Remedy::Statement(statement)) => (None, Some(statement.as_str())),
            };
            CheckLine {
                database: one.database.as_deref(),
                id: check.id.name(),
                about: &check.about,
                state: check.state.name(),
                found: &check.found,
                remedy,
                statement,
            }
        })
    })
}
