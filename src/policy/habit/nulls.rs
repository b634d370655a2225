//! NVL around an amount or a date: `nvl(idle, 0) > 4h` is `idle > 4h`, and `nvl(idle, 999999) > 4h` includes NULL.
//!
//! The comparison is read twice: without the NVL, and with the replacement in place of the column.

use super::linear::{Sum, holds, one_column};
use super::{Aim, Predicate, Sql, SqlKind, linear, rounding};
use crate::policy::ast::TermKind;
use crate::policy::condition::Comparison;
use crate::session::column::{Column, Kind};

/// What stands in the place of an NVL.
#[derive(Clone, Copy)]
enum Instead {
    Column,
    Default,
}

/// The operand with its NVL replaced, and how many it had.
fn without(sql: &Sql, instead: Instead) -> (Sql, usize) {
    let at = sql.at.clone();
    let (kind, count) = match &sql.kind {
        SqlKind::Call { name, arguments } if matches!(name.as_str(), "nvl" | "coalesce") && arguments.len() == 2 => {
            let one = match instead {
                Instead::Column => &arguments[0],
                Instead::Default => &arguments[1],
            };
            return (one.clone(), 1);
        }
        SqlKind::Call { name, arguments } => {
            let (arguments, counts): (Vec<Sql>, Vec<usize>) =
                arguments.iter().map(|argument| without(argument, instead)).unzip();
            let name = name.clone();
            (SqlKind::Call { name, arguments }, counts.iter().sum())
        }
        SqlKind::Group(members) => {
            let (members, counts): (Vec<Sql>, Vec<usize>) = members.iter().map(|one| without(one, instead)).unzip();
            (SqlKind::Group(members), counts.iter().sum())
        }
        SqlKind::Arithmetic { left, operator, right } => {
            let ((left, of_left), (right, of_right)) = (without(left, instead), without(right, instead));
            let kind = SqlKind::Arithmetic {
                left: Box::new(left),
                operator: *operator,
                right: Box::new(right),
            };
            (kind, of_left + of_right)
        }
        other => (other.clone(), 0),
    };
    (Sql { at, kind }, count)
}

/// The same comparison in the policy language.
pub(super) fn counterpart(left: &Sql, form: Predicate<'_>, negated: bool, aim: Aim) -> Option<String> {
    let (subject, count) = without(left, Instead::Column);
    if count != 1 {
        return None;
    }
    let (default, _) = without(left, Instead::Default);
    let compared = |operator: Comparison, right: &Sql| {
        let (column, factor) = one_column(&Sum::of(&subject)?.add(&Sum::of(right)?, -1.0))?;
        holds(
            &Sum::of(&default)?.add(&Sum::of(right)?, -1.0),
            operator,
            column,
            factor,
        )
    };
    let (plain, null) = match form {
        Predicate::Compare(operator, right) => (
            linear::counterpart(&subject, form, negated).or_else(|| rounding::counterpart(&subject, form, negated))?,
            compared(operator, right)?,
        ),
        Predicate::Between(low, high) => (
            linear::counterpart(&subject, form, negated)?,
            compared(Comparison::GreaterOrEqual, low)? && compared(Comparison::LessOrEqual, high)?,
        ),
        Predicate::In(values) if !values.is_empty() => {
            let equal: Option<Vec<bool>> = values.iter().map(|one| compared(Comparison::Equal, one)).collect();
            (list(&subject, values, negated)?, equal?.contains(&true))
        }
        Predicate::In(_) | Predicate::Like(..) | Predicate::Matches(_) | Predicate::Null | Predicate::Alone => {
            return None;
        }
    };
    let name = plain
        .split(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '#')))
        .find_map(Column::named)?
        .name();
    Some(match null != negated {
        true => format!("({name} is null or {plain})"),
        false if aim != Aim::Acts => format!("({name} is not null and {plain})"),
        false => plain,
    })
}

fn list(subject: &Sql, values: &[Sql], negated: bool) -> Option<String> {
    let SqlKind::Plain(TermKind::Word(word)) = &subject.kind else {
        return None;
    };
    let column = Column::named(word).filter(|column| column.kind() == Kind::Number)?;
    let numbers: Option<Vec<String>> = values
        .iter()
        .map(|value| match &value.kind {
            SqlKind::Plain(TermKind::Number(number)) => Some(number.to_string()),
            _ => None,
        })
        .collect();
    let not = if negated { "not " } else { "" };
    Some(format!("{} {not}in ({})", column.name(), numbers?.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::evaluate::evaluate;
    use crate::decide::evaluate::truth::Truth;
    use crate::policy::check_condition;
    use crate::policy::parse::parse_for;
    use crate::session::snapshot::{Cell, Snapshot, SnapshotSource};

    const VALUES: [Option<i64>; 6] = [None, Some(0), Some(1), Some(2), Some(3), Some(7)];

    /// What a clause says of a number.
    type Meaning = fn(i64) -> bool;

    fn sessions() -> Snapshot {
        let mut builder = Snapshot::builder(SnapshotSource::Saved, &[Column::BlockingSession]);
        for value in VALUES {
            builder
                .push_row(&[value.map_or(Cell::Null, Cell::Number)])
                .expect("few rows");
        }
        builder
            .finish(None, Vec::new())
            .finish([Column::BlockingSession].into_iter().collect())
    }

    /// The advice with the same effect at each place, evaluated for each value and for NULL.
    #[test]
    fn advice_for_nvl_of_a_number_selects_what_the_clause_means() {
        let sessions = sessions();
        let mut followed = 0;
        for default in 0..4_i64 {
            let cases: [(&str, Meaning); 9] = [
                ("= 2", |value| value == 2),
                ("!= 2", |value| value != 2),
                ("> 1", |value| value > 1),
                ("<= 1", |value| value <= 1),
                ("* 2 > 3", |value| value * 2 > 3),
                ("in (1, 2)", |value| [1, 2].contains(&value)),
                ("not in (1, 2)", |value| ![1, 2].contains(&value)),
                ("between 1 and 2", |value| (1..=2).contains(&value)),
                ("not between 1 and 2", |value| !(1..=2).contains(&value)),
            ];
            for (test, holds) in cases {
                let clause = format!("nvl(blocking_session, {default}) {test}");
                for aim in [Aim::Acts, Aim::Spares, Aim::Either] {
                    let hint = parse_for(&clause, aim).mistakes[0].hint.clone().unwrap_or_default();
                    let advice = hint.strip_prefix("write `").and_then(|hint| hint.strip_suffix('`'));
                    let advice = advice.unwrap_or_else(|| panic!("{clause}: {hint}"));
                    let truths = evaluate(&check_condition(advice).expect(advice), &sessions);
                    for (row, value) in VALUES.iter().enumerate() {
                        let (meant, advised) = (holds(value.unwrap_or(default)), truths.get(row));
                        let same = match aim {
                            Aim::Acts => meant == (advised == Truth::True),
                            Aim::Spares | Aim::Either => meant == (advised != Truth::False),
                        };
                        assert!(same, "{aim:?} {value:?}\n{clause}\n{advice}");
                        followed += 1;
                    }
                }
            }
        }
        assert_eq!(followed, 4 * 9 * 3 * 6);
    }
}
