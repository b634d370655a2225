//! Functions on texts: `upper(program) like '%TOAD%'` is `program matches '(?i)TOAD'`, `nvl(module, ' ') != 'x'` includes NULL.

use super::{Predicate, Sql, SqlKind};
use crate::policy::ast::TermKind;
use crate::policy::condition::Comparison;
use crate::session::column::{Column, Kind};

/// A column and the functions around it.
#[derive(Clone, Debug)]
struct TextOperand {
    column: Column,
    /// UPPER or LOWER is applied, so letter case does not matter.
    folded: bool,
    /// The replacement for NULL, of NVL or COALESCE.
    null: Option<String>,
    part: Part,
}

/// The part of the text that is compared.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Part {
    Whole,
    Beginning,
    End,
}

/// What a text is compared with.
enum Compared {
    /// Equal to any of these.
    Texts(Vec<String>),
    /// LIKE this pattern.
    Pattern(String),
}

impl TextOperand {
    fn of(sql: &Sql) -> Option<TextOperand> {
        match &sql.kind {
            SqlKind::Plain(TermKind::Word(word)) => Some(TextOperand {
                column: Column::named(word)?,
                folded: false,
                null: None,
                part: Part::Whole,
            }),
            SqlKind::Group(members) if members.len() == 1 => TextOperand::of(&members[0]),
            SqlKind::Call { name, arguments } => {
                let subject = TextOperand::of(arguments.first()?)?;
                subject.inside(name, &arguments[1..])
            }
            _ => None,
        }
    }

    fn inside(self, function: &str, more: &[Sql]) -> Option<TextOperand> {
        match (function, more) {
            ("upper" | "lower", []) => Some(TextOperand { folded: true, ..self }),
            ("trim" | "rtrim" | "ltrim" | "to_char", []) => Some(self),
            ("nvl" | "coalesce", [null]) => Some(TextOperand {
                null: Some(literal(null)?),
                ..self
            }),
            ("substr", [from, ..]) => {
                let part = match (&from.kind, more.len()) {
                    (SqlKind::Plain(TermKind::Number(0 | 1)), 2) => Part::Beginning,
                    (SqlKind::Plain(TermKind::Number(back)), 1) if *back < 0 => Part::End,
                    _ => return None,
                };
                Some(TextOperand { part, ..self })
            }
            _ => None,
        }
    }

    /// Whether the column's values may be taken to be in upper case. The name of an account that was created in double quotes
    /// may be in lower case. A condition that excludes accounts (`negated`) must not miss such a name.
    fn is_upper(&self, negated: bool) -> bool {
        matches!(self.column, Column::Username | Column::Schemaname) && !negated
            || self
                .column
                .closed_list()
                .is_some_and(|list| list.iter().all(|value| !value.contains(char::is_lowercase)))
    }

    fn condition(&self, wanted: &Compared, negated: bool) -> String {
        let name = self.column.name();
        let folded = self.folded && !self.is_upper(negated);
        let text = |text: &str| {
            let text = if self.folded && !folded {
                text.to_uppercase()
            } else {
                text.to_owned()
            };
            quoted(&text)
        };
        let not = if negated { "not " } else { "" };
        if folded {
            return format!("{name} {not}matches {}", quoted(&format!("(?i){}", self.regex(wanted))));
        }
        match (wanted, self.part) {
            (Compared::Texts(texts), Part::Whole) => match texts.as_slice() {
                [only] => format!("{name} {} {}", if negated { "!=" } else { "=" }, text(only)),
                several => {
                    let several: Vec<String> = several.iter().map(|one| text(one)).collect();
                    format!("{name} {not}in ({})", several.join(", "))
                }
            },
            (Compared::Pattern(pattern), _) => format!("{name} {not}like {}", text(pattern)),
            (Compared::Texts(texts), part) => match (texts.as_slice(), part) {
                ([only], Part::Beginning) if is_plain(only) => {
                    format!("{name} {not}like {}", text(&format!("{only}%")))
                }
                ([only], Part::End) if is_plain(only) => format!("{name} {not}like {}", text(&format!("%{only}"))),
                _ => format!("{name} {not}matches {}", quoted(&self.regex(wanted))),
            },
        }
    }

    fn regex(&self, wanted: &Compared) -> String {
        match wanted {
            Compared::Pattern(pattern) => regex_of_like(pattern),
            Compared::Texts(texts) => {
                let escaped: Vec<String> = texts.iter().map(|text| regex::escape(text)).collect();
                let any = match escaped.as_slice() {
                    [only] => only.clone(),
                    several => format!("({})", several.join("|")),
                };
                match self.part {
                    Part::Whole => format!("^{any}$"),
                    Part::Beginning => format!("^{any}"),
                    Part::End => format!("{any}$"),
                }
            }
        }
    }

    /// Whether the replacement for NULL satisfies the comparison.
    fn wants_null(&self, wanted: &Compared, negated: bool) -> bool {
        let Some(null) = &self.null else {
            return false;
        };
        let matcher = regex::RegexBuilder::new(&self.regex(wanted))
            .case_insensitive(self.folded)
            .build();
        matcher.is_ok_and(|matcher| matcher.is_match(null) != negated)
    }
}

/// The same comparison in the policy language.
pub(super) fn counterpart(left: &Sql, form: Predicate<'_>, negated: bool) -> Option<String> {
    if let Some(exact) = by_function(left, form) {
        return Some(exact);
    }
    let subject = TextOperand::of(left)?;
    if subject.column.kind() != Kind::Text {
        return number(&subject, form);
    }
    let (wanted, negated) = match form {
        Predicate::Compare(Comparison::Equal, right) => (Compared::Texts(vec![literal(right)?]), negated),
        Predicate::Compare(Comparison::NotEqual, right) => (Compared::Texts(vec![literal(right)?]), !negated),
        Predicate::In(values) => (
            Compared::Texts(values.iter().map(literal).collect::<Option<Vec<_>>>()?),
            negated,
        ),
        Predicate::Like(pattern) => (Compared::Pattern(literal(pattern)?), negated),
        Predicate::Compare(..)
        | Predicate::Between(..)
        | Predicate::Matches(_)
        | Predicate::Null
        | Predicate::Alone => return None,
    };
    let condition = subject.condition(&wanted, negated);
    Some(if subject.wants_null(&wanted, negated) {
        format!("({} is null or {condition})", subject.column.name())
    } else {
        condition
    })
}

/// The counterpart of INSTR or REGEXP_LIKE.
fn by_function(left: &Sql, form: Predicate<'_>) -> Option<String> {
    let SqlKind::Call { name, arguments } = &left.kind else {
        return None;
    };
    let subject = TextOperand::of(arguments.first()?)?;
    let text = literal(arguments.get(1)?)?;
    match (name.as_str(), form) {
        ("instr", Predicate::Compare(operator, bound)) => {
            let SqlKind::Plain(TermKind::Number(bound)) = bound.kind else {
                return None;
            };
            let negated = match (operator, bound) {
                (Comparison::Greater | Comparison::NotEqual, 0) | (Comparison::GreaterOrEqual, 1) => false,
                (Comparison::Equal, 0) | (Comparison::Less, 1) => true,
                _ => return None,
            };
            let pattern = Compared::Pattern(format!("%{text}%"));
            is_plain(&text).then(|| subject.condition(&pattern, negated))
        }
        ("regexp_like", Predicate::Alone) => {
            let flags = match arguments.get(2) {
                Some(flags) => literal(flags)?,
                None => String::new(),
            };
            let pattern = format!("{}{text}", inline_flags(&flags, subject.folded)?);
            regex::Regex::new(&pattern).ok()?;
            Some(format!("{} matches {}", subject.column.name(), quoted(&pattern)))
        }
        _ => None,
    }
}

/// REGEXP_LIKE's flags at the beginning of a pattern. Of `i` and `c` the last one counts; `n` lets a period match a line end.
fn inline_flags(flags: &str, folded: bool) -> Option<String> {
    let known = |flag: char| "icnmx".contains(flag);
    if !flags.chars().all(known) {
        return None;
    }
    let ignores_case = match flags.rfind(['i', 'c']) {
        Some(at) => flags[at..].starts_with('i'),
        None => false,
    };
    let mut inline = String::new();
    for (set, flag) in [
        (ignores_case || folded, 'i'),
        (flags.contains('m'), 'm'),
        (flags.contains('n'), 's'),
        (flags.contains('x'), 'x'),
    ] {
        if set {
            inline.push(flag);
        }
    }
    Some(if inline.is_empty() {
        inline
    } else {
        format!("(?{inline})")
    })
}

/// The counterpart of `nvl(blocking_session, 0) = 0`.
fn number(subject: &TextOperand, form: Predicate<'_>) -> Option<String> {
    let Predicate::Compare(operator, right) = form else {
        return None;
    };
    let null: i64 = subject.null.as_ref()?.parse().ok()?;
    let bound: i64 = literal(right)?.parse().ok()?;
    let name = subject.column.name();
    let plain = format!("{name} {} {bound}", operator.sql());
    Some(if operator.holds(null.cmp(&bound)) {
        format!("({name} is null or {plain})")
    } else {
        plain
    })
}

/// A constant as a text. As everywhere, a word without quotes is in upper case.
fn literal(sql: &Sql) -> Option<String> {
    match &sql.kind {
        SqlKind::Plain(TermKind::Text(text)) => Some(text.clone()),
        SqlKind::Plain(TermKind::Word(word)) if Column::named(word).is_none() => Some(word.to_uppercase()),
        SqlKind::Plain(TermKind::Number(number)) => Some(number.to_string()),
        SqlKind::Group(members) if members.len() == 1 => literal(&members[0]),
        SqlKind::Call { name, arguments } if matches!(name.as_str(), "upper" | "lower" | "trim") => {
            literal(arguments.first()?)
        }
        _ => None,
    }
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Whether a text has no wildcard of LIKE.
fn is_plain(text: &str) -> bool {
    !text.contains(['%', '_'])
}

/// The regular expression that matches the same texts as a LIKE pattern.
fn regex_of_like(pattern: &str) -> String {
    let inner = pattern.trim_start_matches('%').trim_end_matches('%');
    let mut regex = String::new();
    if !pattern.starts_with('%') {
        regex.push('^');
    }
    for character in inner.chars() {
        match character {
            '%' => regex.push_str(".*"),
            '_' => regex.push('.'),
            other => regex.push_str(&regex::escape(&other.to_string())),
        }
    }
    if !pattern.ends_with('%') {
        regex.push('$');
    }
    regex
}
