//! Prints conditions in the policy language, so that reading the result gives the same condition.

use std::fmt;

use super::condition::{Condition, Constant, Operand, Phrase};
use crate::quantity::{Bytes, Span};

/// How tightly the operator around a condition binds. A condition that binds less tightly needs parentheses.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
enum Binding {
    Or,
    And,
    Not,
    Term,
}

/// Canonical form: keywords in lower case, texts quoted, numbers in the largest exact unit, the fewest parentheses.
impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write(self, Binding::Or, f)
    }
}

fn binding(condition: &Condition) -> Binding {
    match condition {
        Condition::And(parts) | Condition::Or(parts) if parts.len() == 1 => binding(&parts[0]),
        Condition::And(_) => Binding::And,
        Condition::Or(_) => Binding::Or,
        // `x not in (...)` is one term.
        Condition::Not(inner) if negatable(inner) => Binding::Term,
        Condition::Not(_) => Binding::Not,
        Condition::Compare { .. }
        | Condition::In { .. }
        | Condition::Between { .. }
        | Condition::Like { .. }
        | Condition::Matches { .. }
        | Condition::IsNull(_)
        | Condition::Phrase(_)
        | Condition::Named(..) => Binding::Term,
    }
}

/// Whether the syntax of the term has a place for NOT.
fn negatable(condition: &Condition) -> bool {
    matches!(
        condition,
        Condition::In { .. }
            | Condition::Between { .. }
            | Condition::Like { .. }
            | Condition::Matches { .. }
            | Condition::IsNull(_)
    )
}

fn write(condition: &Condition, place: Binding, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    if binding(condition) < place {
        f.write_str("(")?;
        write(condition, Binding::Or, f)?;
        return f.write_str(")");
    }
    match condition {
        Condition::And(parts) => join(parts, " and ", Binding::Not, f),
        Condition::Or(parts) => join(parts, " or ", Binding::And, f),
        Condition::Not(inner) if negatable(inner) => term(inner, "not ", f),
        Condition::Not(inner) => {
            f.write_str("not ")?;
            // Parentheses separate a second NOT, even one that is inside a term.
            if matches!(**inner, Condition::Not(_)) {
                f.write_str("(")?;
                write(inner, Binding::Or, f)?;
                return f.write_str(")");
            }
            write(inner, Binding::Term, f)
        }
        Condition::Compare { .. }
        | Condition::In { .. }
        | Condition::Between { .. }
        | Condition::Like { .. }
        | Condition::Matches { .. }
        | Condition::IsNull(_)
        | Condition::Phrase(_)
        | Condition::Named(..) => term(condition, "", f),
    }
}

fn join(parts: &[Condition], word: &str, place: Binding, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (at, part) in parts.iter().enumerate() {
        if at > 0 {
            f.write_str(word)?;
        }
        write(part, if parts.len() == 1 { Binding::Or } else { place }, f)?;
    }
    Ok(())
}

/// Writes a term; `not` goes where the term's syntax has it.
fn term(condition: &Condition, not: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match condition {
        Condition::Compare { left, op, right } => write!(f, "{left} {} {right}", op.sql()),
        Condition::In {
            operand,
            list: Some(list),
            ..
        } => write!(f, "{operand} {not}in @{list}"),
        Condition::In {
            operand,
            values,
            list: None,
        } => {
            write!(f, "{operand} {not}in (")?;
            for (at, value) in values.iter().enumerate() {
                if at > 0 {
                    f.write_str(", ")?;
                }
                write!(f, "{value}")?;
            }
            f.write_str(")")
        }
        Condition::Between { operand, low, high } => write!(f, "{operand} {not}between {low} and {high}"),
        Condition::Like { operand, pattern } => {
            write!(f, "{operand} {not}like {}", Quoted(&pattern.text))?;
            match pattern.escape {
                Some(escape) => write!(f, " escape {}", Quoted(escape.encode_utf8(&mut [0; 4]))),
                None => Ok(()),
            }
        }
        Condition::Matches { operand, pattern } => write!(f, "{operand} {not}matches {}", Quoted(pattern.as_str())),
        Condition::IsNull(operand) => write!(f, "{operand} is {not}null"),
        Condition::Phrase(phrase) => write!(f, "{phrase}"),
        Condition::Named(name, _) => write!(f, "@{name}"),
        Condition::And(_) | Condition::Or(_) | Condition::Not(_) => write(condition, Binding::Term, f),
    }
}

impl fmt::Display for Operand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Operand::Column(column) => f.write_str(column.name()),
            Operand::Literal(value) => write!(f, "{value}"),
        }
    }
}

impl fmt::Display for Constant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Constant::Text(text) => write!(f, "{}", Quoted(text)),
            Constant::Number(number) => write!(f, "{number}"),
            Constant::Duration(seconds) => write!(f, "{}", Span(*seconds).in_full()),
            Constant::Size(bytes) => write!(f, "{}", Bytes(*bytes).in_full()),
        }
    }
}

impl fmt::Display for Phrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let longer_than = match self {
            Phrase::Status { status, longer_than } => {
                f.write_str(status.name())?;
                *longer_than
            }
            Phrase::Connected { longer_than } => {
                f.write_str("connected")?;
                Some(*longer_than)
            }
            Phrase::InTransaction { longer_than } => {
                f.write_str("in transaction")?;
                *longer_than
            }
            Phrase::Blocking { sessions, longer_than } => {
                f.write_str("blocking")?;
                match sessions {
                    Some(1) => f.write_str(" 1 session")?,
                    Some(sessions) => write!(f, " {sessions} sessions")?,
                    None => {}
                }
                *longer_than
            }
            Phrase::Blocked { longer_than } => {
                f.write_str("blocked")?;
                *longer_than
            }
            Phrase::Background => {
                f.write_str("background")?;
                None
            }
            Phrase::Server(server) => {
                f.write_str(&server.name().to_ascii_lowercase())?;
                None
            }
        };
        match longer_than {
            Some(seconds) => write!(f, " longer than {}", Span(seconds).in_full()),
            None => Ok(()),
        }
    }
}

/// A text in single quotes, with each quote inside it doubled.
pub(crate) struct Quoted<'a>(pub(crate) &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{}'", self.0.replace('\'', "''"))
    }
}
