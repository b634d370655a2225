//! Shows an explanation on a terminal.

use crate::decide::evaluate::truth::Truth;
use crate::decide::in_force::RunMode;
use crate::decide::reason::Verdict;
use crate::explain::{ColumnValue, Decided, ExemptionPart, ExplainedPolicy, ExplainedTerm, Explanation, Join};
use crate::quantity::Span;
use crate::report::colour_of;
use crate::terminal::visible::visible;
use crate::terminal::{Colour, Detail, TextStyle, bold, clip, push, wrapped};

/// The width of the longest name of a truth value.
const TRUTH_WIDTH: usize = 7;

impl Explanation {
    /// The explanation as text for a terminal. Less is without what does not apply, and without the terms of conditions.
    #[must_use]
    pub(crate) fn to_text(&self, style: TextStyle) -> String {
        let style = style.readable();
        let mut out = String::new();
        let known = |text: &Option<String>| {
            text.as_deref()
                .map_or_else(|| "?".into(), |text| visible(text).into_owned())
        };
        let idle = self
            .who
            .last_call_et
            .map_or(String::new(), |seconds| format!(" for {}", Span(seconds)));
        let title = format!("session {} on {}", self.who.session(), visible(&self.database));
        push(&mut out, &bold(&clip(&title, style.width), style));
        let words = format!(
            "{}, {} at {}, {}{idle}",
            known(&self.who.username),
            known(&self.who.program),
            known(&self.who.machine),
            known(&self.who.status),
        );
        wrapped(&mut out, "  ", &words, style, Colour::None);
        out.push('\n');
        push(
            &mut out,
            &bold("protections, in the order in which they are checked", style),
        );
        for (protection, why) in &self.protections {
            match why {
                Some(why) => {
                    let words = format!("{:<16}applies: {}", protection.name(), visible(why));
                    wrapped(&mut out, "  ", &words, style, Colour::Green);
                }
                None if style.detail == Detail::Less => {}
                None => push(&mut out, &format!("  {:<16}does not apply", protection.name())),
            }
        }
        out.push('\n');
        push(&mut out, &bold("exemptions", style));
        if self.exemptions.is_empty() {
            push(&mut out, "  none");
        }
        let shown = |part: &&ExemptionPart| style.detail > Detail::Less || part.applies;
        for exemption in self.exemptions.iter().filter(shown) {
            self::exemption(&mut out, exemption, style);
        }
        for policy in &self.policies {
            out.push('\n');
            self::policy(&mut out, policy, style);
        }
        out
    }
}

fn exemption(out: &mut String, part: &ExemptionPart, style: TextStyle) {
    let verdict = match (part.expired, part.when.truth) {
        (Some(until), _) => format!("expired after {until}, no longer applies"),
        (None, Truth::True) => "applies".into(),
        (None, Truth::Unknown) => "applies: its condition is UNKNOWN, which spares the session".into(),
        (None, Truth::False) => "does not apply".into(),
    };
    let words = format!("{} ({}): {verdict}", visible(&part.reason), visible(&part.owner));
    let colour = if part.applies { Colour::Green } else { Colour::None };
    wrapped(out, "  ", &words, style, colour);
    term(out, &part.when, 4, style);
}

fn policy(out: &mut String, part: &ExplainedPolicy, style: TextStyle) {
    let mode = match &part.here {
        Ok(RunMode::DryRun) => "dry run",
        Ok(RunMode::Enforce) => "enforce",
        Err(_) => "does not run here",
    };
    let head = format!("policy {} ({mode}, {})", part.name, part.action);
    push(out, &bold(&clip(&head, style.width), style));
    if style.detail == Detail::Less {
        decided(out, part, style);
        return;
    }
    push(out, "  when");
    term(out, &part.when, 4, style);
    if let Some(unless) = &part.unless {
        push(out, "  unless");
        term(out, unless, 4, style);
        push(out, &format!("  `when` and not `unless`: {}", part.selects.name()));
    }
    let each: Vec<String> = part
        .protections
        .iter()
        .map(|(protection, lifted)| match lifted {
            true if protection.is_never_lifted() => format!("{protection} does not prevent a report"),
            true => format!("{protection} lifted ({})", visible(&part.lifted_because)),
            false => format!("{protection} applies"),
        })
        .collect();
    let protections = if each.is_empty() {
        "none applies".into()
    } else {
        each.join(", ")
    };
    wrapped(out, "  ", &format!("protections: {protections}"), style, Colour::None);
    if part.scheduled {
        push(out, "  schedule: assumed to be due now");
    }
    if let Some(open) = part.gate {
        let open = if open {
            "true for this instance"
        } else {
            "not known to be true for this instance"
        };
        push(out, &format!("  while: {open}"));
    }
    let hold = match part.hold {
        0 => "none; it acts at once".to_owned(),
        seconds => format!(
            "{}; the daemon counts it over several snapshots, so one snapshot cannot fulfil it",
            Span(i64::try_from(seconds).unwrap_or(i64::MAX))
        ),
    };
    wrapped(out, "  ", &format!("for: {hold}"), style, Colour::None);
    wrapped(out, "  ", &format!("limits: {}", part.limits), style, Colour::None);
    decided(out, part, style);
}

fn decided(out: &mut String, part: &ExplainedPolicy, style: TextStyle) {
    match &part.decision {
        Ok(decided) => {
            let words = format!("decision: {}", decision(decided));
            wrapped(out, "  ", &words, style, colour_of(decided.verdict));
        }
        Err(why) => wrapped(
            out,
            "  ",
            &format!("decision: none: {}", visible(why)),
            style,
            Colour::None,
        ),
    }
}

fn decision(decided: &Decided) -> String {
    let reason = visible(&decided.reason);
    match decided.verdict {
        Verdict::Act => format!("act, {}: {reason}", decided.action),
        Verdict::Pending | Verdict::Deferred | Verdict::Refused | Verdict::Protected(_) | Verdict::Exempt => {
            format!("{}: {reason}", decided.verdict.name())
        }
    }
}

/// Writes a term with its truth value, and its parts below it.
fn term(out: &mut String, part: &ExplainedTerm, indent: usize, style: TextStyle) {
    let bullet = format!("{:indent$}{:TRUTH_WIDTH$}  ", "", part.truth.name());
    let mut words = visible(&part.text).into_owned();
    if part.join == Join::None && !part.values.is_empty() {
        let values: Vec<String> = part.values.iter().map(value).collect();
        words.push_str(&format!("  [{}]", values.join(", ")));
    }
    let colour = match part.truth {
        Truth::True => Colour::Green,
        Truth::False => Colour::None,
        Truth::Unknown => Colour::Yellow,
    };
    // A term that is nested so deeply that little width would be left is not indented.
    let bullet = if bullet.len() + 20 > style.width {
        format!("{:TRUTH_WIDTH$}  ", part.truth.name())
    } else {
        bullet
    };
    wrapped(out, &bullet, &words, style, colour);
    for part in &part.parts {
        term(out, part, indent + 2, style);
    }
}

fn value(held: &ColumnValue) -> String {
    match held {
        ColumnValue::Missing(column) => format!("{} was not read", column.name()),
        ColumnValue::Null(column) if column.is_never_null() => format!("{} is unknown", column.name()),
        ColumnValue::Null(column) => format!("{} is NULL", column.name()),
        ColumnValue::Value(column, shown) => format!("{} is {}", column.name(), visible(shown)),
    }
}
