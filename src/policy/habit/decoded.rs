//! Functions that choose among constants: `decode(status, 'INACTIVE', 1, 0) = 1` is `status = 'INACTIVE'`, `nvl2(taddr, 1, 0) = 0` is
//! `taddr is null`.
//!
//! The comparison is tried with each constant that may be chosen. DECODE finds NULL equal to NULL, and chooses its last constant for
//! a NULL that it was not told of, so unlike a comparison it is never UNKNOWN for one.

use super::texts::quoted;
use super::{Aim, Predicate, Sql, SqlKind};
use crate::policy::ast::TermKind;
use crate::policy::condition::Comparison;
use crate::session::column::{Column, Kind};

fn column(sql: &Sql) -> Option<Column> {
    match &sql.kind {
        SqlKind::Plain(TermKind::Word(word)) => Column::named(word).filter(|column| !column.is_never_null()),
        _ => None,
    }
}

/// A constant; `''` is NULL.
#[derive(Clone, Debug, PartialEq, PartialOrd)]
enum ChosenConstant {
    Null,
    Number(i64),
    Text(String),
}

fn chosen(sql: &Sql) -> Option<ChosenConstant> {
    match &sql.kind {
        SqlKind::Plain(TermKind::Text(text)) if text.is_empty() => Some(ChosenConstant::Null),
        SqlKind::Plain(TermKind::Text(text)) => Some(ChosenConstant::Text(text.clone())),
        SqlKind::Plain(TermKind::Number(number)) => Some(ChosenConstant::Number(*number)),
        _ => None,
    }
}

/// What the comparison says of a constant; `None` if it is not known, or UNKNOWN.
fn holds(value: &ChosenConstant, form: Predicate<'_>, negated: bool) -> Option<bool> {
    let equals = |other: &ChosenConstant| match (value, other) {
        (ChosenConstant::Number(one), ChosenConstant::Number(other)) => Some(one == other),
        (ChosenConstant::Text(one), ChosenConstant::Text(other)) => Some(one == other),
        _ => None,
    };
    let truth = match form {
        Predicate::Compare(Comparison::Equal, right) => equals(&chosen(right)?)?,
        Predicate::Compare(Comparison::NotEqual, right) => !equals(&chosen(right)?)?,
        Predicate::Compare(operator, right) => match (value, chosen(right)?) {
            (ChosenConstant::Number(one), ChosenConstant::Number(other)) => operator.holds(one.cmp(&other)),
            _ => return None,
        },
        Predicate::In(values) if !values.is_empty() => {
            let each: Option<Vec<bool>> = values.iter().map(|one| equals(&chosen(one)?)).collect();
            each?.contains(&true)
        }
        _ => return None,
    };
    Some(truth != negated)
}

/// A value of the column as a literal of its kind.
fn literal(column: Column, value: &ChosenConstant) -> Option<String> {
    match (column.kind(), value) {
        (Kind::Text, ChosenConstant::Text(text)) => Some(quoted(text)),
        (Kind::Number, ChosenConstant::Number(number)) => Some(number.to_string()),
        _ => None,
    }
}

/// The same comparison in the policy language.
pub(super) fn counterpart(left: &Sql, form: Predicate<'_>, negated: bool, aim: Aim) -> Option<String> {
    let SqlKind::Call { name, arguments } = &left.kind else {
        return None;
    };
    let truth = |sql: &Sql| holds(&chosen(sql)?, form, negated);
    match (name.as_str(), arguments.as_slice()) {
        ("nvl2", [subject, there, null]) => {
            let name = column(subject)?.name();
            match (truth(there)?, truth(null)?) {
                (true, false) => Some(format!("{name} is not null")),
                (false, true) => Some(format!("{name} is null")),
                _ => None,
            }
        }
        ("decode", [subject, cases @ .., default]) if !cases.is_empty() && cases.len() % 2 == 0 => {
            let column = column(subject)?;
            let default = truth(default)?;
            let (mut null, mut apart, mut seen) = (None, Vec::new(), Vec::new());
            for case in cases.chunks(2) {
                let (value, truth) = (chosen(&case[0])?, truth(&case[1])?);
                if seen.contains(&value) {
                    continue;
                }
                seen.push(value.clone());
                match value {
                    ChosenConstant::Null => null = Some(truth),
                    value if truth != default => apart.push(literal(column, &value)?),
                    value => drop(literal(column, &value)?),
                }
            }
            written(column, default, null.unwrap_or(default), &apart, aim)
        }
        _ => None,
    }
}

/// The condition that is true of the values `apart`, or of all others if `default` is true; and of NULL if `null` is.
fn written(column: Column, default: bool, null: bool, apart: &[String], aim: Aim) -> Option<String> {
    let name = column.name();
    let not = if default { "not " } else { "" };
    let term = match (apart, default) {
        ([], _) if default == null => return None,
        ([], true) => return Some(format!("{name} is not null")),
        ([], false) => return Some(format!("{name} is null")),
        ([only], false) => format!("{name} = {only}"),
        ([only], true) => format!("{name} != {only}"),
        (several, _) => format!("{name} {not}in ({})", several.join(", ")),
    };
    Some(match null {
        true => format!("({name} is null or {term})"),
        false if aim != Aim::Acts => format!("({name} is not null and {term})"),
        false => term,
    })
}

/// `= any (1, 2)` is `in (1, 2)`, and `<> all (1, 2)` is `not in (1, 2)`.
pub(super) fn quantified(left: &Sql, form: Predicate<'_>) -> Option<String> {
    let Predicate::Compare(operator, right) = form else {
        return None;
    };
    let SqlKind::Call { name, arguments } = &right.kind else {
        return None;
    };
    let not = match (operator, name.as_str()) {
        (Comparison::Equal, "any" | "some") => "",
        (Comparison::NotEqual, "all") => "not ",
        _ => return None,
    };
    let SqlKind::Plain(TermKind::Word(word)) = &left.kind else {
        return None;
    };
    let column = Column::named(word)?;
    let values: Option<Vec<String>> = arguments.iter().map(|one| literal(column, &chosen(one)?)).collect();
    let values = values.filter(|values| !values.is_empty())?;
    Some(format!("{} {not}in ({})", column.name(), values.join(", ")))
}

/// The operand with other functions that mean the same: `decode(x, null, 'a', x)` and `nvl2(x, x, 'a')` are `nvl(x, 'a')`.
pub(super) fn usual(sql: &Sql) -> Sql {
    let same = |one: &Sql, other: &Sql| column(one).is_some() && column(one) == column(other);
    let arguments = match &sql.kind {
        SqlKind::Call { name, arguments } => match (name.as_str(), arguments.as_slice()) {
            ("decode", [subject, null, default, other])
                if chosen(null) == Some(ChosenConstant::Null) && same(subject, other) =>
            {
                vec![subject.clone(), default.clone()]
            }
            ("nvl2", [subject, other, default]) if same(subject, other) => vec![subject.clone(), default.clone()],
            _ => return sql.clone(),
        },
        _ => return sql.clone(),
    };
    let name = "nvl".to_owned();
    Sql {
        at: sql.at.clone(),
        kind: SqlKind::Call { name, arguments },
    }
}

/// `initcap(username) = 'Shop'` is true where `lower(username) = 'shop'` is, if each word begins with a capital and has no other.
pub(super) fn without_initcap(left: &Sql, right: &Sql) -> Option<Result<(Sql, Sql), &'static str>> {
    let SqlKind::Call { name, arguments } = &left.kind else {
        return None;
    };
    let SqlKind::Plain(TermKind::Text(text)) = &right.kind else {
        return None;
    };
    if name != "initcap" {
        return None;
    }
    let mut begins = true;
    for character in text.chars() {
        if character.is_alphabetic() && character.is_uppercase() != begins {
            return Some(Err(
                "INITCAP begins each word with a capital and has no other, so as written the two are never equal",
            ));
        }
        begins = !character.is_alphanumeric();
    }
    let lower = SqlKind::Call {
        name: "lower".to_owned(),
        arguments: arguments.clone(),
    };
    let text = SqlKind::Plain(TermKind::Text(text.to_lowercase()));
    let of = |sql: &Sql, kind| Sql {
        at: sql.at.clone(),
        kind,
    };
    Some(Ok((of(left, lower), of(right, text))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::evaluate::evaluate;
    use crate::decide::evaluate::truth::Truth;
    use crate::policy::check_condition;
    use crate::policy::habit::tests::as_advised;
    use crate::policy::parse::parse_for;
    use crate::session::snapshot::{Cell, Snapshot, SnapshotSource};

    const VALUES: [Option<i64>; 5] = [None, Some(0), Some(1), Some(2), Some(7)];

    fn sessions() -> Snapshot {
        let mut builder = Snapshot::builder(SnapshotSource::Saved, &[Column::BlockingSession]);
        for value in VALUES {
            let cell = value.map_or(Cell::Null, Cell::Number);
            builder.push_row(&[cell]).expect("few rows");
        }
        let columns = [Column::BlockingSession].into_iter().collect();
        builder.finish(None, Vec::new()).finish(columns)
    }

    /// The first letter of each word as a capital and all others small, from Oracle's manual.
    fn initcap(text: &str) -> String {
        let mut begins = true;
        let capital = |character: char| {
            let written = if begins {
                character.to_ascii_uppercase()
            } else {
                character.to_ascii_lowercase()
            };
            begins = !character.is_alphanumeric();
            written
        };
        text.chars().map(capital).collect()
    }

    #[test]
    fn what_replaces_initcap_means_the_same_also_under_not() {
        let values = [
            None,
            Some("ab c"),
            Some("AB C"),
            Some("Ab C"),
            Some("Ab"),
            Some("abc"),
            Some("Ab-C"),
        ];
        let mut builder = Snapshot::builder(SnapshotSource::Saved, &[Column::Module]);
        for value in values {
            builder
                .push_row(&[value.map_or(Cell::Null, Cell::Text)])
                .expect("few rows");
        }
        let sessions = builder
            .finish(None, Vec::new())
            .finish([Column::Module].into_iter().collect());
        for (operator, equal) in [("=", true), ("<>", false)] {
            for not in ["", "not "] {
                for wanted in ["Ab C", "Ab", "Ab-C"] {
                    let clause = format!("{not}initcap(module) {operator} '{wanted}'");
                    let better = as_advised(&clause, Aim::Acts);
                    let truths = evaluate(&check_condition(&better).expect(&better), &sessions);
                    for (row, value) in values.iter().enumerate() {
                        let meant = value.is_some_and(|value| ((initcap(value) == wanted) == equal) == not.is_empty());
                        assert_eq!(meant, truths.get(row) == Truth::True, "{value:?}\n{clause}\n{better}");
                    }
                }
            }
        }
        let hint = parse_for("initcap(module) = 'AB'", Aim::Acts)
            .mistakes
            .remove(0)
            .hint
            .expect("a hint");
        assert!(hint.contains("never equal"), "{hint}");
    }

    /// What a function returns for a value, from Oracle's manual; `None` is NULL.
    type Function = fn(Option<i64>) -> Option<i64>;

    const FUNCTIONS: [(&str, Function); 6] = [
        ("decode(blocking_session, 2, 1, 0)", |x| Some(i64::from(x == Some(2)))),
        ("decode(blocking_session, null, 1, 0)", |x| Some(i64::from(x.is_none()))),
        ("decode(blocking_session, 1, 5, 2, 5, 2, 9, 3)", |x| {
            Some(if matches!(x, Some(1 | 2)) { 5 } else { 3 })
        }),
        ("decode(blocking_session, null, 5, 2, 3, 5)", |x| {
            Some(if x == Some(2) { 3 } else { 5 })
        }),
        ("nvl2(blocking_session, 1, 0)", |x| Some(i64::from(x.is_some()))),
        ("decode(blocking_session, null, 7, blocking_session)", |x| x.or(Some(7))),
    ];

    /// A comparison with what the function returns.
    type Test = fn(i64) -> bool;

    const TESTS: [(&str, Test); 8] = [
        ("= 1", |x| x == 1),
        ("= 0", |x| x == 0),
        ("!= 1", |x| x != 1),
        ("> 3", |x| x > 3),
        ("<= 3", |x| x <= 3),
        ("in (1, 5)", |x| matches!(x, 1 | 5)),
        ("not in (1, 5)", |x| !matches!(x, 1 | 5)),
        ("= 7", |x| x == 7),
    ];

    #[test]
    fn what_replaces_a_choice_among_constants_means_the_same_also_under_not() {
        let sessions = sessions();
        let mut followed = 0;
        for (function, value) in FUNCTIONS {
            for (test, holds) in TESTS {
                for (not, aim) in [
                    ("", Aim::Acts),
                    ("", Aim::Spares),
                    ("", Aim::Either),
                    ("not ", Aim::Acts),
                ] {
                    let clause = format!("{not}{function} {test}");
                    let problem = parse_for(&clause, aim).mistakes[0].clone();
                    let hint = problem.hint.unwrap_or_default();
                    let Some(advice) = hint.strip_prefix("write `").and_then(|hint| hint.strip_suffix('`')) else {
                        continue;
                    };
                    let mut better = clause.clone();
                    better.replace_range(problem.at, advice);
                    let truths = evaluate(&check_condition(&better).expect(&better), &sessions);
                    for (row, session) in VALUES.iter().enumerate() {
                        let meant = value(*session).is_some_and(holds) == not.is_empty();
                        let advised = truths.get(row);
                        let same = match aim {
                            Aim::Acts => meant == (advised == Truth::True),
                            Aim::Spares | Aim::Either => meant == (advised != Truth::False),
                        };
                        assert!(same, "{aim:?} {session:?}\n{clause}\n{better}");
                        followed += 1;
                    }
                }
            }
        }
        assert!(followed > 400, "{followed}");
    }
}
