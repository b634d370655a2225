//! LEAST and GREATEST: `least(last_call_et, seconds_in_wait) > 600` asks both, `greatest(...) > 600` asks either.
//!
//! Both functions return NULL if one argument is NULL, which an OR of comparisons does not.

use super::{Aim, Predicate, Sql, SqlKind, linear};
use crate::policy::ast::TermKind;
use crate::policy::condition::Comparison;
use crate::session::column::Column;

/// The same comparison in the policy language.
pub(super) fn counterpart(left: &Sql, form: Predicate<'_>, aim: Aim) -> Option<String> {
    let Predicate::Compare(operator, right) = form else {
        return None;
    };
    let SqlKind::Call { name, arguments } = &left.kind else {
        return match &right.kind {
            SqlKind::Call { .. } => counterpart(right, Predicate::Compare(operator.mirrored(), left), aim),
            _ => None,
        };
    };
    let above = match operator {
        Comparison::Greater | Comparison::GreaterOrEqual => true,
        Comparison::Less | Comparison::LessOrEqual => false,
        Comparison::Equal | Comparison::NotEqual => return None,
    };
    let all = match name.as_str() {
        "least" => above,
        "greatest" => !above,
        _ => return None,
    };
    let columns: Option<Vec<Column>> = arguments
        .iter()
        .map(|one| match &one.kind {
            SqlKind::Plain(TermKind::Word(word)) => Column::named(word).filter(|column| !column.is_never_null()),
            _ => None,
        })
        .collect();
    let columns = columns.filter(|columns| columns.len() > 1)?;
    let each: Option<Vec<String>> = arguments
        .iter()
        .map(|one| linear::counterpart(one, form, false))
        .collect();
    let null = |is: &str, word: &str| {
        let tests: Vec<String> = columns.iter().map(|column| format!("{} {is}", column.name())).collect();
        tests.join(word)
    };
    let each = each?.join(if all { " and " } else { " or " });
    match (all, aim) {
        (true, Aim::Acts) => Some(format!("({each})")),
        (true, Aim::Spares) => Some(format!("({} or ({each}))", null("is null", " or "))),
        (false, Aim::Acts) => Some(format!("(({each}) and {})", null("is not null", " and "))),
        (false, Aim::Spares) => Some(format!("({} or {each})", null("is null", " or "))),
        (_, Aim::Either) => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::decide::evaluate::evaluate;
    use crate::decide::evaluate::truth::Truth;
    use crate::policy::check_condition;
    use crate::policy::habit::Aim;
    use crate::policy::habit::tests::as_advised;
    use crate::session::column::Column;
    use crate::session::snapshot::{Cell, Snapshot, SnapshotSource};

    const VALUES: [Option<i64>; 4] = [None, Some(1), Some(600), Some(601)];

    fn pairs() -> Vec<(Option<i64>, Option<i64>)> {
        VALUES
            .iter()
            .flat_map(|one| VALUES.iter().map(|other| (*one, *other)))
            .collect()
    }

    fn sessions() -> Snapshot {
        let columns = [Column::LastCallEt, Column::SecondsInWait];
        let mut builder = Snapshot::builder(SnapshotSource::Saved, &columns);
        let cell = |value: Option<i64>| value.map_or(Cell::Null, Cell::Number);
        for (one, other) in pairs() {
            builder.push_row(&[cell(one), cell(other)]).expect("few rows");
        }
        builder.finish(None, Vec::new()).finish(columns.into_iter().collect())
    }

    #[test]
    fn what_replaces_least_and_greatest_selects_what_they_mean_also_with_null_and_under_not() {
        let sessions = sessions();
        let mut followed = 0;
        for (name, least) in [("least", true), ("greatest", false)] {
            for (operator, holds) in [
                (">", i64::gt as fn(&i64, &i64) -> bool),
                (">=", i64::ge),
                ("<", i64::lt),
                ("<=", i64::le),
            ] {
                for (not, aim) in [
                    ("", Aim::Acts),
                    ("not ", Aim::Acts),
                    ("", Aim::Spares),
                    ("not ", Aim::Spares),
                ] {
                    let clause = format!("{not}{name}(last_call_et, seconds_in_wait) {operator} 600");
                    let better = as_advised(&clause, aim);
                    let truths = evaluate(&check_condition(&better).expect(&better), &sessions);
                    for (row, (one, other)) in pairs().into_iter().enumerate() {
                        let value = one
                            .zip(other)
                            .map(|(one, other)| if least { one.min(other) } else { one.max(other) });
                        let meant = value.map(|value| holds(&value, &600) == not.is_empty());
                        let same = match aim {
                            Aim::Acts => (meant == Some(true)) == (truths.get(row) == Truth::True),
                            Aim::Spares | Aim::Either => (meant == Some(false)) == (truths.get(row) == Truth::False),
                        };
                        assert!(same, "{aim:?} {one:?} {other:?}\n{clause}\n{better}");
                        followed += 1;
                    }
                }
            }
        }
        assert_eq!(followed, 2 * 4 * 4 * 16);
    }
}
