//! A column and the functions around it, and what they make of a value in Oracle.

use super::super::{Sql, SqlKind};
use super::literal;
use crate::policy::ast::TermKind;
use crate::session::column::Column;

/// A function around a column.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Step {
    Upper,
    Lower,
    /// TRIM, LTRIM and RTRIM: blanks alone, no tabs and no line ends.
    Trim {
        left: bool,
        right: bool,
    },
    /// NVL or COALESCE; `''` is NULL, which changes nothing.
    Null(Option<String>),
    /// A negative position counts from the end.
    Substr {
        from: i64,
        length: Option<i64>,
    },
    /// `substr(x, 1, instr(x, '@') - 1)`, the text before a delimiter. `with_it`: without the `- 1`.
    UpTo {
        delimiter: String,
        with_it: bool,
    },
}

impl Step {
    pub(super) const fn folds(&self) -> bool {
        matches!(self, Step::Upper | Step::Lower)
    }

    /// What Oracle's function returns. An empty text is NULL.
    pub(super) fn apply(&self, value: Option<String>) -> Option<String> {
        if let (Step::Null(default), None) = (self, &value) {
            return default.clone();
        }
        let text = value?;
        let result = match self {
            Step::Upper => text.to_uppercase(),
            Step::Lower => text.to_lowercase(),
            Step::Trim { left, right } => {
                let text = if *left { text.trim_start_matches(' ') } else { &text };
                (if *right { text.trim_end_matches(' ') } else { text }).to_owned()
            }
            Step::Null(_) => text,
            Step::Substr { from, length } => substr(&text, *from, *length),
            Step::UpTo { delimiter, with_it } => {
                let end = text.find(delimiter.as_str())?;
                let end = if *with_it { end + delimiter.len() } else { end };
                text[..end].to_owned()
            }
        };
        Some(result).filter(|result| !result.is_empty())
    }
}

fn substr(text: &str, from: i64, length: Option<i64>) -> String {
    let count = i64::try_from(text.chars().count()).unwrap_or(i64::MAX);
    let skipped = if from < 0 { count + from } else { (from - 1).max(0) };
    let Ok(skipped) = usize::try_from(skipped) else {
        return String::new();
    };
    let most = length.map_or(usize::MAX, |length| usize::try_from(length).unwrap_or(0));
    text.chars().skip(skipped).take(most).collect()
}

/// A column and the functions around it, the innermost first.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct TextOperand {
    pub(super) column: Column,
    pub(super) steps: Vec<Step>,
}

impl TextOperand {
    pub(super) fn of(sql: &Sql) -> Option<TextOperand> {
        match &sql.kind {
            SqlKind::Plain(TermKind::Word(word)) => Some(TextOperand {
                column: Column::named(word)?,
                steps: Vec::new(),
            }),
            SqlKind::Group(members) if members.len() == 1 => TextOperand::of(&members[0]),
            SqlKind::Call { name, arguments } => {
                let mut subject = TextOperand::of(arguments.first()?)?;
                let step = subject.step(name, &arguments[1..])?;
                subject.steps.extend(step);
                Some(subject)
            }
            _ => None,
        }
    }

    /// The step that a function around this operand is; `Some(None)` for one that changes no text.
    fn step(&self, function: &str, more: &[Sql]) -> Option<Option<Step>> {
        let step = match (function, more) {
            ("upper", []) => Step::Upper,
            ("lower", []) => Step::Lower,
            // The values of a closed list have no blanks.
            ("to_char", []) => return Some(None),
            ("trim" | "rtrim" | "ltrim", []) if self.column.closed_list().is_some() => return Some(None),
            ("trim" | "rtrim" | "ltrim", []) => Step::Trim {
                left: function != "rtrim",
                right: function != "ltrim",
            },
            ("nvl" | "coalesce", [null]) => Step::Null(Some(literal(null)?.text).filter(|text| !text.is_empty())),
            ("substr", [from]) => Step::Substr {
                from: number(from)?,
                length: None,
            },
            ("substr", [from, length]) => match number(length) {
                Some(length) => Step::Substr {
                    from: number(from)?,
                    length: Some(length),
                },
                None if matches!(number(from)?, 0 | 1) => self.up_to(length)?,
                None => return None,
            },
            _ => return None,
        };
        Some(Some(step))
    }

    /// The step for the length `instr(x, '@') - 1`, where `x` is this operand.
    fn up_to(&self, length: &Sql) -> Option<Step> {
        let (call, with_it) = match &length.kind {
            SqlKind::Arithmetic {
                left,
                operator: '-',
                right,
            } if number(right) == Some(1) => (&**left, false),
            _ => (length, true),
        };
        let SqlKind::Call { name, arguments } = &call.kind else {
            return None;
        };
        let [subject, delimiter, more @ ..] = arguments.as_slice() else {
            return None;
        };
        let delimiter = literal(delimiter)?.text;
        let subject = TextOperand::of(subject)?;
        // UPPER moves no delimiter that has no letter.
        let folds = |steps: &[Step]| steps.iter().all(Step::folds);
        let same = subject == *self
            || subject.column == self.column
                && folds(&subject.steps)
                && folds(&self.steps)
                && !delimiter.contains(char::is_alphabetic);
        (name == "instr" && same && !delimiter.is_empty() && are_ones(more))
            .then_some(Step::UpTo { delimiter, with_it })
    }

    /// What the functions make of a value, from a step on.
    pub(super) fn value(&self, from: usize, value: Option<String>) -> Option<String> {
        self.steps[from..].iter().fold(value, |value, step| step.apply(value))
    }

    /// Whether the text as a whole has lost its letter case.
    pub(super) fn last_fold(&self) -> Option<&Step> {
        self.steps.iter().rev().find(|step| step.folds())
    }
}

pub(super) fn number(sql: &Sql) -> Option<i64> {
    match &sql.kind {
        SqlKind::Plain(TermKind::Number(number)) => Some(*number),
        SqlKind::Group(members) if members.len() == 1 => number(&members[0]),
        _ => None,
    }
}

/// Whether INSTR's position and occurrence are left at their defaults.
pub(super) fn are_ones(more: &[Sql]) -> bool {
    more.len() <= 2 && more.iter().all(|one| number(one) == Some(1))
}
