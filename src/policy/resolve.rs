//! Gives a parsed condition its meaning: names become columns, literals become values of the column's kind.
//!
//! Kinds are never converted into each other. Oracle would convert `sql_id = 5` by TO_NUMBER at run time and fail on the
//! first row that is no number; here it is a mistake with its place. The one convenience is a bare number beside a duration
//! (seconds) or a size (bytes), because that is what the views themselves hold.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use super::ast::{Expr, ExprKind, Term, TermKind, Values};
use super::condition::{Comparison, Condition, LikePart, LikePattern, Operand, Phrase, Value};
use super::diagnostics::{did_you_mean, quoted};
use super::lex::Mistake;
use crate::session::column::{Column, Kind};

/// The longest duration, a hundred years: above it is a typing error, and sums of it cannot overflow.
pub(crate) const LONGEST_DURATION: i64 = 100 * 366 * 86_400;

const LONGEST_REGEX: usize = 1_000;
const REGEX_MEMORY: usize = 1 << 20;

/// What `@name` can stand for. A name that is defined but broken is there as `None`, so that it is reported once.
#[derive(Debug, Default)]
pub(crate) struct Definitions {
    pub(crate) lists: BTreeMap<Arc<str>, Option<Vec<TermKind>>>,
    pub(crate) conditions: BTreeMap<Arc<str>, Option<Arc<Condition>>>,
}

/// The places of a condition's parts; the same tree as the condition.
#[derive(Clone, Debug)]
pub(crate) struct Spans {
    pub(crate) at: Range<usize>,
    pub(crate) children: Vec<Spans>,
}

/// Resolves a condition, or says everything that is wrong with it. `None` without a mistake: a broken name is used.
pub(crate) fn resolve(
    expr: &Expr,
    definitions: &Definitions,
    mistakes: &mut Vec<Mistake>,
) -> Option<(Condition, Spans)> {
    let mut resolver = Resolver { definitions, mistakes };
    resolver.expr(expr)
}

struct Resolver<'a> {
    definitions: &'a Definitions,
    mistakes: &'a mut Vec<Mistake>,
}

impl Resolver<'_> {
    fn expr(&mut self, expr: &Expr) -> Option<(Condition, Spans)> {
        let leaf = |condition| {
            let children = Vec::new();
            Some((
                condition,
                Spans {
                    at: expr.at.clone(),
                    children,
                },
            ))
        };
        match &expr.kind {
            ExprKind::And(parts) => self.all(parts, &expr.at, Condition::And),
            ExprKind::Or(parts) => self.all(parts, &expr.at, Condition::Or),
            ExprKind::Not(inner) => {
                let (condition, spans) = self.expr(inner)?;
                let at = expr.at.clone();
                let children = vec![spans];
                Some((Condition::Not(Box::new(condition)), Spans { at, children }))
            }
            ExprKind::Named(name) => {
                let condition = self.named(name, &expr.at)?;
                leaf(condition)
            }
            ExprKind::Phrase(phrase) => {
                if longest(phrase).is_some_and(|seconds| seconds > LONGEST_DURATION) {
                    self.mistakes.push(too_long(&expr.at));
                    return None;
                }
                leaf(Condition::Phrase(phrase.clone()))
            }
            ExprKind::Compare { .. }
            | ExprKind::In { .. }
            | ExprKind::Between { .. }
            | ExprKind::Like { .. }
            | ExprKind::Matches { .. }
            | ExprKind::IsNull(_) => match self.comparison(&expr.kind, &expr.at) {
                Ok(condition) => leaf(condition?),
                Err(mistake) => {
                    self.mistakes.push(mistake);
                    None
                }
            },
        }
    }

    fn all(
        &mut self,
        parts: &[Expr],
        at: &Range<usize>,
        join: fn(Vec<Condition>) -> Condition,
    ) -> Option<(Condition, Spans)> {
        // Every part is resolved even if one fails, so that every mistake is reported.
        let resolved: Vec<_> = parts.iter().map(|part| self.expr(part)).collect();
        let (conditions, children) = resolved.into_iter().collect::<Option<Vec<_>>>()?.into_iter().unzip();
        let at = at.clone();
        Some((join(conditions), Spans { at, children }))
    }

    fn named(&mut self, name: &str, at: &Range<usize>) -> Option<Condition> {
        if let Some(condition) = self.definitions.conditions.get(name) {
            return condition
                .clone()
                .map(|condition| Condition::Named(name.into(), condition));
        }
        let mistake = Mistake::new(
            at.clone(),
            "unknown-name",
            format!("there is no condition {}", quoted(name)),
        );
        let names = self.definitions.conditions.keys().map(|name| &**name);
        self.mistakes.push(if self.definitions.lists.contains_key(name) {
            mistake.hint(format!("`{name}` is a list: write `username in @{name}`"))
        } else {
            let define = || format!("define it under `conditions:`, as `{name}: ...`");
            mistake.hint(did_you_mean(name, names).unwrap_or_else(define))
        });
        None
    }

    fn comparison(&mut self, kind: &ExprKind, at: &Range<usize>) -> Result<Option<Condition>, Mistake> {
        match kind {
            ExprKind::Compare { left, op, right } => compare(left, *op, right, at).map(Some),
            ExprKind::In { operand, values } => self.within(operand, values),
            ExprKind::Between { operand, low, high } => between(operand, low, high).map(Some),
            ExprKind::Like {
                operand,
                pattern,
                escape,
            } => like(operand, pattern, escape.as_ref()).map(Some),
            ExprKind::Matches { operand, pattern } => matches(operand, pattern).map(Some),
            ExprKind::IsNull(operand) => Ok(Some(Condition::IsNull(Operand::Column(column(operand)?)))),
            ExprKind::And(_) | ExprKind::Or(_) | ExprKind::Not(_) | ExprKind::Phrase(_) | ExprKind::Named(_) => {
                Ok(None)
            }
        }
    }

    fn within(&mut self, operand: &Term, values: &Values) -> Result<Option<Condition>, Mistake> {
        let column = column(operand)?;
        if column.kind() == Kind::Time {
            return Err(time_literal(column, &operand.at));
        }
        let condition = |values: Vec<Value>, list| Condition::In {
            operand: Operand::Column(column),
            values: values.into(),
            list,
        };
        match values {
            Values::These(terms) => {
                let values: Vec<Result<Value, Mistake>> =
                    terms.iter().map(|term| literal(column, &term.kind, &term.at)).collect();
                let mut good = Vec::with_capacity(values.len());
                let mut bad = 0;
                for value in values {
                    match value {
                        Ok(value) => good.push(value),
                        Err(mistake) => {
                            bad += 1;
                            self.mistakes.push(mistake);
                        }
                    }
                }
                Ok((bad == 0).then(|| condition(good, None)))
            }
            Values::List { name, at } => {
                let Some(list) = self.definitions.lists.get(name.as_str()) else {
                    return Err(self.no_list(name, at));
                };
                let Some(list) = list else {
                    return Ok(None);
                };
                let values = list
                    .iter()
                    .map(|value| literal(column, value, at))
                    .collect::<Result<Vec<Value>, Mistake>>()
                    .map_err(|mistake| {
                        let message = format!("in the list `@{name}`: {}", mistake.message);
                        Mistake { message, ..mistake }
                    })?;
                Ok(Some(condition(values, Some(name.as_str().into()))))
            }
        }
    }

    fn no_list(&self, name: &str, at: &Range<usize>) -> Mistake {
        let mistake = Mistake::new(at.clone(), "unknown-name", format!("there is no list {}", quoted(name)));
        if self.definitions.conditions.contains_key(name) {
            return mistake.hint(format!("`{name}` is a condition: it stands alone, `... and @{name}`"));
        }
        let define = || format!("define it under `lists:`, as `{name}: [...]`");
        let names = self.definitions.lists.keys().map(|name| &**name);
        mistake.hint(did_you_mean(name, names).unwrap_or_else(define))
    }
}

fn longest(phrase: &Phrase) -> Option<i64> {
    match phrase {
        Phrase::Status { longer_than, .. }
        | Phrase::InTransaction { longer_than }
        | Phrase::Blocking { longer_than, .. }
        | Phrase::Blocked { longer_than } => *longer_than,
        Phrase::Connected { longer_than } => Some(*longer_than),
        Phrase::Background | Phrase::Server(_) => None,
    }
}

fn too_long(at: &Range<usize>) -> Mistake {
    Mistake::new(
        at.clone(),
        "number-too-large",
        "a duration above a hundred years is a typing error",
    )
}

/// The column that a term must be.
fn column(term: &Term) -> Result<Column, Mistake> {
    match &term.kind {
        TermKind::Word(word) => Column::named(word).ok_or_else(|| unknown_column(word, &term.at)),
        TermKind::Text(text) => Err(
            Mistake::new(term.at.clone(), "not-a-column", "a column stands here, not a text")
                .maybe_hint(Column::named(text).map(|column| format!("write `{}` without quotes", column.name()))),
        ),
        TermKind::Number(_) | TermKind::Duration(_) | TermKind::Size(_) | TermKind::Percent(_) => Err(Mistake::new(
            term.at.clone(),
            "not-a-column",
            "a column stands here, not a value",
        )),
    }
}

fn unknown_column(word: &str, at: &Range<usize>) -> Mistake {
    let hint = match word.to_ascii_lowercase().as_str() {
        "serial" => Some("did you mean `serial#`?".to_owned()),
        "user" => Some("did you mean `username`?".to_owned()),
        "wait" | "wait_time_ms" => Some("did you mean `waited`?".to_owned()),
        "idle_time" | "inactive_time" => Some("did you mean `idle`?".to_owned()),
        "host" | "hostname" => Some("did you mean `machine`?".to_owned()),
        "service" => Some("did you mean `service_name`?".to_owned()),
        "pdb" | "con_name" | "pdb_name" => Some("did you mean `container`?".to_owned()),
        "sysdate" | "systimestamp" | "current_date" => {
            Some("ages have columns of their own: `connected`, `statement_age`, `transaction_age`".to_owned())
        }
        _ => did_you_mean(word, Column::ALL.iter().map(|column| column.name())),
    };
    Mistake::new(at.clone(), "unknown-column", format!("unknown column {}", quoted(word))).maybe_hint(hint)
}

/// The column that a term is, if it is one.
fn as_column(term: &Term) -> Option<Column> {
    match &term.kind {
        TermKind::Word(word) => Column::named(word),
        TermKind::Text(_) | TermKind::Number(_) | TermKind::Duration(_) | TermKind::Size(_) | TermKind::Percent(_) => {
            None
        }
    }
}

fn compare(left: &Term, op: Comparison, right: &Term, at: &Range<usize>) -> Result<Condition, Mistake> {
    let (left, right) = match (as_column(left), as_column(right)) {
        (Some(one), Some(other)) => {
            same_kind(one, other, &right.at)?;
            (Operand::Column(one), Operand::Column(other))
        }
        (Some(column), None) => (
            Operand::Column(column),
            Operand::Literal(literal(column, &right.kind, &right.at)?),
        ),
        (None, Some(column)) => (
            Operand::Literal(literal(column, &left.kind, &left.at)?),
            Operand::Column(column),
        ),
        (None, None) => {
            if let TermKind::Word(word) = &left.kind {
                return Err(unknown_column(word, &left.at));
            }
            if let TermKind::Word(word) = &right.kind {
                return Err(unknown_column(word, &right.at));
            }
            return Err(
                Mistake::new(at.clone(), "constant-condition", "this compares two constants")
                    .hint("one side of a comparison is a column of the session"),
            );
        }
    };
    Ok(Condition::Compare { left, op, right })
}

fn same_kind(one: Column, other: Column, at: &Range<usize>) -> Result<(), Mistake> {
    if one.kind() != other.kind() {
        let mistake = Mistake::new(
            at.clone(),
            "mixed-kinds",
            format!(
                "`{}` is {}, `{}` is {}",
                one.name(),
                kind_name(one.kind()),
                other.name(),
                kind_name(other.kind())
            ),
        );
        if one.kind() == Kind::Text {
            let hint = format!(
                "`{}` is a column; as a text, write '{}'",
                other.name(),
                other.name().to_uppercase()
            );
            return Err(mistake.hint(hint));
        }
        return Err(mistake);
    }
    if one.kind() == Kind::Duration && one.per_second() != other.per_second() {
        return Err(Mistake::new(
            at.clone(),
            "mixed-units",
            format!(
                "`{}` and `{}` are measured in different units and cannot be compared with each other",
                one.name(),
                other.name()
            ),
        )
        .hint("compare each with a duration"));
    }
    Ok(())
}

fn between(operand: &Term, low: &Term, high: &Term) -> Result<Condition, Mistake> {
    let subject = column(operand)?;
    let bound = |term: &Term| match as_column(term) {
        Some(other) => same_kind(subject, other, &term.at).map(|()| Operand::Column(other)),
        None => literal(subject, &term.kind, &term.at).map(Operand::Literal),
    };
    let (lower, upper) = (bound(low)?, bound(high)?);
    if let (Operand::Literal(lower), Operand::Literal(upper)) = (&lower, &upper)
        && in_order(lower, upper) == Some(false)
    {
        return Err(Mistake::new(
            low.at.start..high.at.end,
            "empty-range",
            "no value is between these: the first is above the second",
        )
        .hint("the smaller bound comes first"));
    }
    Ok(Condition::Between {
        operand: Operand::Column(subject),
        low: lower,
        high: upper,
    })
}

fn in_order(low: &Value, high: &Value) -> Option<bool> {
    match (low, high) {
        (Value::Number(low), Value::Number(high))
        | (Value::Duration(low), Value::Duration(high))
        | (Value::Size(low), Value::Size(high)) => Some(low <= high),
        (Value::Text(low), Value::Text(high)) => Some(low <= high),
        _ => None,
    }
}

fn text_column(term: &Term, operator: &str) -> Result<Column, Mistake> {
    let column = column(term)?;
    if column.kind() == Kind::Text {
        return Ok(column);
    }
    Err(Mistake::new(
        term.at.clone(),
        "mixed-kinds",
        format!(
            "`{operator}` compares texts, `{}` is {}",
            column.name(),
            kind_name(column.kind())
        ),
    ))
}

/// A pattern's text: quoted, or a bare word folded to upper case.
fn pattern_text(pattern: &Term, operator: &str) -> Result<Arc<str>, Mistake> {
    match &pattern.kind {
        TermKind::Text(text) if text.is_empty() => Err(empty_text(&pattern.at)),
        TermKind::Text(text) => Ok(text.as_str().into()),
        TermKind::Word(word) => Ok(word.to_uppercase().into()),
        TermKind::Number(_) | TermKind::Duration(_) | TermKind::Size(_) | TermKind::Percent(_) => Err(Mistake::new(
            pattern.at.clone(),
            "needs-quotes",
            format!("the pattern of `{operator}` must be quoted"),
        )),
    }
}

fn like(operand: &Term, pattern: &Term, escape: Option<&Term>) -> Result<Condition, Mistake> {
    let column = text_column(operand, "like")?;
    let text = pattern_text(pattern, "like")?;
    let escape = match escape {
        None => None,
        Some(term) => {
            let mut characters = match &term.kind {
                TermKind::Text(text) => text.chars(),
                TermKind::Word(_)
                | TermKind::Number(_)
                | TermKind::Duration(_)
                | TermKind::Size(_)
                | TermKind::Percent(_) => "".chars(),
            };
            match (characters.next(), characters.next()) {
                (Some(only), None) => Some(only),
                _ => {
                    return Err(
                        Mistake::new(term.at.clone(), "bad-escape", "the escape is one quoted character")
                            .hint("for example `like 'A!_B%' escape '!'`"),
                    );
                }
            }
        }
    };
    let parts = like_parts(&text, escape)
        .ok_or_else(|| {
            Mistake::new(
                pattern.at.clone(),
                "bad-escape",
                "the escape character stands before something other than `%`, `_` or itself",
            )
        })?
        .into();
    Ok(Condition::Like {
        operand: Operand::Column(column),
        pattern: LikePattern { text, escape, parts },
    })
}

/// What a pattern matches, in order; `None` where Oracle would raise ORA-01424.
fn like_parts(text: &str, escape: Option<char>) -> Option<Vec<LikePart>> {
    let mut parts = Vec::new();
    let mut literal = String::new();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        let special = if Some(character) == escape {
            let escaped = characters.next()?;
            if escaped != '%' && escaped != '_' && Some(escaped) != escape {
                return None;
            }
            literal.push(escaped);
            continue;
        } else {
            match character {
                '%' => LikePart::Any,
                '_' => LikePart::One,
                other => {
                    literal.push(other);
                    continue;
                }
            }
        };
        if !literal.is_empty() {
            parts.push(LikePart::Text(std::mem::take(&mut literal).into()));
        }
        // `%%` matches what `%` matches.
        if special != LikePart::Any || parts.last() != Some(&LikePart::Any) {
            parts.push(special);
        }
    }
    if !literal.is_empty() {
        parts.push(LikePart::Text(literal.into()));
    }
    Some(parts)
}

fn matches(operand: &Term, pattern: &Term) -> Result<Condition, Mistake> {
    let column = text_column(operand, "matches")?;
    let text = pattern_text(pattern, "matches")?;
    let wrong = |message: String| Mistake::new(pattern.at.clone(), "bad-regex", message);
    if text.len() > LONGEST_REGEX {
        return Err(wrong(format!(
            "the regular expression is longer than {LONGEST_REGEX} bytes"
        )));
    }
    let pattern = regex::RegexBuilder::new(&text)
        .size_limit(REGEX_MEMORY)
        .build()
        .map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => wrong("the regular expression needs too much memory".to_owned()),
            other => {
                let full = other.to_string();
                let reason = full
                    .lines()
                    .last()
                    .unwrap_or_default()
                    .trim_start_matches("error: ")
                    .to_owned();
                wrong(format!("this is no regular expression: {reason}"))
                    .hint("the dialect is that of the Rust `regex` crate: no look-around, no back-references")
            }
        })?;
    Ok(Condition::Matches {
        operand: Operand::Column(column),
        pattern,
    })
}

fn empty_text(at: &Range<usize>) -> Mistake {
    Mistake::new(
        at.clone(),
        "empty-text",
        "in Oracle '' is NULL, so a comparison with it is never true",
    )
    .hint("write `is null` or `is not null`")
}

fn time_literal(column: Column, at: &Range<usize>) -> Mistake {
    let age = match column {
        Column::LogonTime => "connected > 4h",
        Column::SqlExecStart | Column::PrevExecStart => "statement_age > 30m",
        _ => "connected > 4h",
    };
    Mistake::new(
        at.clone(),
        "mixed-kinds",
        format!("`{}` is a point in time and compares only with another", column.name()),
    )
    .hint(format!("compare an age instead: `{age}`"))
}

/// With its article.
pub(crate) const fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Text => "a text",
        Kind::Number => "a number",
        Kind::Duration => "a duration",
        Kind::Size => "a size",
        Kind::Time => "a point in time",
    }
}

/// A literal as a value of the column's kind.
fn literal(column: Column, kind: &TermKind, at: &Range<usize>) -> Result<Value, Mistake> {
    if column.kind() == Kind::Time {
        return Err(time_literal(column, at));
    }
    match (column.kind(), kind) {
        (Kind::Text, TermKind::Text(text)) if text.is_empty() => Err(empty_text(at)),
        (Kind::Text, TermKind::Text(text)) => Ok(Value::Text(text.as_str().into())),
        (Kind::Text, TermKind::Word(word)) => Ok(Value::Text(word.to_uppercase().into())),
        (Kind::Number, TermKind::Number(number)) => Ok(Value::Number(*number)),
        (Kind::Duration, TermKind::Number(number) | TermKind::Duration(number)) => {
            if *number > LONGEST_DURATION {
                return Err(too_long(at));
            }
            not_negative(*number, column, at).map(Value::Duration)
        }
        (Kind::Size, TermKind::Number(number) | TermKind::Size(number)) => {
            not_negative(*number, column, at).map(Value::Size)
        }
        (_, TermKind::Text(text)) if text.is_empty() => Err(empty_text(at)),
        (wanted, found) => Err(mixed(column, wanted, found, at)),
    }
}

fn not_negative(number: i64, column: Column, at: &Range<usize>) -> Result<i64, Mistake> {
    if number < 0 {
        let message = format!("`{}` is {} and never negative", column.name(), kind_name(column.kind()));
        return Err(Mistake::new(at.clone(), "negative-amount", message));
    }
    Ok(number)
}

fn mixed(column: Column, wanted: Kind, found: &TermKind, at: &Range<usize>) -> Mistake {
    let found_name = match found {
        TermKind::Word(_) | TermKind::Text(_) => "a text",
        TermKind::Number(_) => "a number",
        TermKind::Duration(_) => "a duration",
        TermKind::Size(_) => "a size",
        TermKind::Percent(_) => "a percentage",
    };
    let hint = match (wanted, found) {
        (_, TermKind::Percent(_)) => Some("percentages stand only in `while` and `until`".to_owned()),
        (Kind::Text, TermKind::Number(number)) => Some(format!("write '{number}'")),
        (Kind::Text, _) => Some("a text is quoted".to_owned()),
        (Kind::Number, TermKind::Text(text)) if text.parse::<i64>().is_ok() => {
            Some(format!("write {text} without quotes"))
        }
        (Kind::Number, TermKind::Duration(_)) if column.name().ends_with("_micro") => {
            Some("this column counts microseconds; `waited` is the duration".to_owned())
        }
        (Kind::Number | Kind::Duration | Kind::Size, TermKind::Word(word)) => {
            did_you_mean(word, Column::ALL.iter().map(|column| column.name()))
        }
        (Kind::Duration, _) => {
            Some("durations look like `90s`, `30m`, `4h`, `1d`; a bare number means seconds".to_owned())
        }
        (Kind::Size, _) => Some("sizes look like `512KB`, `2GB`; a bare number means bytes".to_owned()),
        (Kind::Number | Kind::Time, _) => None,
    };
    Mistake::new(
        at.clone(),
        "mixed-kinds",
        format!("`{}` is {}, this is {found_name}", column.name(), kind_name(wanted)),
    )
    .expected(format!("expected {}", kind_name(wanted)))
    .maybe_hint(hint)
}
