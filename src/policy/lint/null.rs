//! Warns of what NULL does to a comparison, and says what to write instead.
//!
//! The advice replaces exactly the marked text. It decides otherwise only for sessions in which one of its columns is NULL: no
//! NOT and no other part of the marked text is lost, also where the text is the name of a condition.

use std::collections::BTreeSet;

use super::findings::Findings;
use crate::policy::condition::{Comparison, Condition, Operand};
use crate::policy::lex::Mistake;
use crate::policy::resolve::Spans;
use crate::session::column::Column;
use crate::terminal::visible::visible;
use crate::yaml::diagnostics::Severity;

/// Advice that is longer than this is put in words: nobody copies it from a terminal.
const LONGEST_ADVICE: usize = 600;

/// What UNKNOWN does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UnknownEffect {
    /// In `when`, it does not match.
    PassesOver,
    /// In `unless` and in exemptions, it spares.
    Spares,
}

/// Warns of comparisons that are UNKNOWN for many sessions, where that is likely to surprise. The columns of `tested` are those
/// of which the author thought.
pub(super) fn surprises(
    condition: &Condition,
    spans: &Spans,
    effect: UnknownEffect,
    tested: &BTreeSet<Column>,
    found: &mut Findings,
) {
    NullReader { effect, tested }.walk(condition, spans, found);
}

struct NullReader<'a> {
    effect: UnknownEffect,
    tested: &'a BTreeSet<Column>,
}

/// A part of a condition, rewritten so that NULL does what the author probably meant.
struct Rewritten {
    condition: Condition,
    /// The columns whose NULL makes a difference.
    columns: BTreeSet<Column>,
    /// Whether NULL in one of the columns alone decides that the part is not TRUE.
    alone: bool,
}

impl NullReader<'_> {
    /// Looks for the smallest parts to mark. What is under a NOT is marked with it: advice for a part of it would be the opposite
    /// of what it says.
    fn walk(&self, condition: &Condition, spans: &Spans, found: &mut Findings) {
        match condition {
            Condition::And(parts) | Condition::Or(parts) if self.decides_alone(condition, true) => {
                for (part, spans) in parts.iter().zip(&spans.children) {
                    self.walk(part, spans, found);
                }
            }
            Condition::And(_)
            | Condition::Or(_)
            | Condition::Not(_)
            | Condition::Named(..)
            | Condition::Compare { .. }
            | Condition::In { .. }
            | Condition::Between { .. }
            | Condition::Like { .. }
            | Condition::Matches { .. }
            | Condition::IsNull(_)
            | Condition::Phrase(_) => self.report(&self.rewrite(condition, true), spans, found),
        }
    }

    /// Whether each part is worth a look of its own. Where `unless` needs all parts of an AND to spare, another part is usually
    /// FALSE for the sessions without a value.
    fn decides_alone(&self, condition: &Condition, positive: bool) -> bool {
        self.effect == UnknownEffect::PassesOver || matches!(condition, Condition::Or(_)) == positive
    }

    fn rewrite(&self, condition: &Condition, positive: bool) -> Rewritten {
        match condition {
            Condition::And(_) | Condition::Or(_) if !self.decides_alone(condition, positive) => {
                self.all_of_one_column(condition, positive)
            }
            Condition::And(parts) => self.rewrite_parts(parts, Condition::And, positive, positive),
            Condition::Or(parts) => self.rewrite_parts(parts, Condition::Or, positive, !positive),
            Condition::Named(_, inner) => {
                let inner = self.rewrite(inner, positive);
                let condition = if inner.columns.is_empty() {
                    condition.clone()
                } else {
                    inner.condition
                };
                Rewritten { condition, ..inner }
            }
            Condition::Not(inner) if is_term(inner) => {
                self.guarded(condition, self.touched(inner, !positive), positive)
            }
            Condition::Not(inner) if is_joined(inner) && !self.decides_alone(inner, !positive) => {
                let columns = self.all_of_one_column(inner, !positive).columns;
                self.guarded(condition, columns, positive)
            }
            Condition::Not(inner) => {
                let inner = self.rewrite(inner, !positive);
                Rewritten {
                    condition: Condition::Not(Box::new(inner.condition)),
                    ..inner
                }
            }
            Condition::Compare { .. }
            | Condition::In { .. }
            | Condition::Between { .. }
            | Condition::Like { .. }
            | Condition::Matches { .. }
            | Condition::IsNull(_)
            | Condition::Phrase(_) => self.guarded(condition, self.touched(condition, positive), positive),
        }
    }

    /// Rewrites each part. `all` says whether all parts are needed to match.
    fn rewrite_parts(
        &self,
        parts: &[Condition],
        join: fn(Vec<Condition>) -> Condition,
        positive: bool,
        all: bool,
    ) -> Rewritten {
        let parts: Vec<Rewritten> = parts.iter().map(|part| self.rewrite(part, positive)).collect();
        Rewritten {
            columns: parts.iter().flat_map(|part| part.columns.iter().copied()).collect(),
            alone: (all || parts.len() == 1) && parts.iter().all(|part| part.alone || part.columns.is_empty()),
            condition: join(parts.into_iter().map(|part| part.condition).collect()),
        }
    }

    /// Guards parts that spare only together, if one column's NULL makes all of them UNKNOWN.
    fn all_of_one_column(&self, condition: &Condition, positive: bool) -> Rewritten {
        let (Condition::And(parts) | Condition::Or(parts)) = condition else {
            return self.rewrite(condition, positive);
        };
        let each = parts.iter().map(|part| self.of_term(part, positive));
        let columns = each.reduce(|one, other| one.intersection(&other).copied().collect());
        self.guarded(condition, columns.unwrap_or_default(), positive)
    }

    /// The columns that make a term UNKNOWN, behind NOT and names.
    fn of_term(&self, condition: &Condition, positive: bool) -> BTreeSet<Column> {
        match condition {
            Condition::Not(inner) => self.of_term(inner, !positive),
            Condition::Named(_, inner) => self.of_term(inner, positive),
            Condition::And(_)
            | Condition::Or(_)
            | Condition::Compare { .. }
            | Condition::In { .. }
            | Condition::Between { .. }
            | Condition::Like { .. }
            | Condition::Matches { .. }
            | Condition::IsNull(_)
            | Condition::Phrase(_) => self.touched(condition, positive),
        }
    }

    /// The columns of a term that are often NULL, where that is likely to surprise: in `when` only if the term is negated.
    fn touched(&self, term: &Condition, positive: bool) -> BTreeSet<Column> {
        let negated = match term {
            Condition::Compare { op, .. } => (*op == Comparison::NotEqual) == positive,
            Condition::And(_)
            | Condition::Or(_)
            | Condition::Not(_)
            | Condition::In { .. }
            | Condition::Between { .. }
            | Condition::Like { .. }
            | Condition::Matches { .. }
            | Condition::IsNull(_)
            | Condition::Phrase(_)
            | Condition::Named(..) => !positive,
        };
        if self.effect == UnknownEffect::PassesOver && !negated {
            return BTreeSet::new();
        }
        let columns = columns(term).into_iter();
        columns
            .filter(|column| often_null(*column) && !self.tested.contains(column))
            .collect()
    }

    /// Joins the condition with tests of the columns, so that NULL matches in `when` and does not spare in `unless`. Under a NOT,
    /// the tests are the opposite.
    fn guarded(&self, condition: &Condition, columns: BTreeSet<Column>, positive: bool) -> Rewritten {
        let alone = true;
        if columns.is_empty() {
            let condition = condition.clone();
            return Rewritten {
                condition,
                columns,
                alone,
            };
        }
        let null = |column: &Column| Condition::IsNull(Operand::Column(*column));
        let condition = if (self.effect == UnknownEffect::PassesOver) == positive {
            let own = if let Condition::Or(parts) = condition {
                parts.clone()
            } else {
                vec![condition.clone()]
            };
            Condition::Or(columns.iter().map(null).chain(own).collect())
        } else {
            let own = if let Condition::And(parts) = condition {
                parts.clone()
            } else {
                vec![condition.clone()]
            };
            let tests = columns.iter().map(|column| Condition::Not(Box::new(null(column))));
            Condition::And(tests.chain(own).collect())
        };
        Rewritten {
            condition,
            columns,
            alone,
        }
    }

    fn report(&self, rewritten: &Rewritten, spans: &Spans, found: &mut Findings) {
        let columns = &rewritten.columns;
        if columns.is_empty() {
            return;
        }
        let mut whom: Vec<String> = columns.iter().map(|column| without(*column)).collect();
        whom.dedup();
        let whom = whom.join(" and ");
        let (code, message, purpose) = match self.effect {
            UnknownEffect::PassesOver if rewritten.alone => (
                "null-passed-over",
                format!("this never matches {whom}: a comparison with NULL is UNKNOWN"),
                "to match them too",
            ),
            UnknownEffect::PassesOver => (
                "null-passed-over",
                format!(
                    "for {whom}, a part of this is UNKNOWN, also under `not`: they match only if another part decides so"
                ),
                "to match them too",
            ),
            UnknownEffect::Spares => (
                "null-spared",
                format!("this also spares {whom}: for them the comparison is UNKNOWN, which spares"),
                "to spare only sessions with a value",
            ),
        };
        let text = format!("({})", shown(&rewritten.condition));
        let hint = if text.len() <= LONGEST_ADVICE {
            format!("{purpose}, write `{}`", visible(&text))
        } else {
            let names: Vec<String> = columns.iter().map(|column| format!("`{}`", column.name())).collect();
            format!(
                "{purpose}, also test {} with `is null` or `is not null`",
                names.join(" and ")
            )
        };
        let mistake = Mistake::new(spans.at.clone(), code, message).hint(hint);
        found.push((Severity::Warning, mistake));
    }
}

/// The condition with parentheses wherever AND and OR meet, so that the advice itself gets no warning.
fn shown(condition: &Condition) -> String {
    let joined = |parts: &[Condition], word: &str| {
        let parts = parts.iter().map(|part| match part {
            Condition::And(_) | Condition::Or(_) => format!("({})", shown(part)),
            Condition::Not(_)
            | Condition::Compare { .. }
            | Condition::In { .. }
            | Condition::Between { .. }
            | Condition::Like { .. }
            | Condition::Matches { .. }
            | Condition::IsNull(_)
            | Condition::Phrase(_)
            | Condition::Named(..) => shown(part),
        });
        parts.collect::<Vec<String>>().join(word)
    };
    match condition {
        Condition::And(parts) => joined(parts, " and "),
        Condition::Or(parts) => joined(parts, " or "),
        Condition::Not(inner) if is_joined(inner) => {
            format!("not ({})", shown(inner))
        }
        Condition::Not(_)
        | Condition::Compare { .. }
        | Condition::In { .. }
        | Condition::Between { .. }
        | Condition::Like { .. }
        | Condition::Matches { .. }
        | Condition::IsNull(_)
        | Condition::Phrase(_)
        | Condition::Named(..) => condition.to_string(),
    }
}

const fn is_joined(condition: &Condition) -> bool {
    matches!(condition, Condition::And(_) | Condition::Or(_))
}

const fn is_term(condition: &Condition) -> bool {
    !matches!(
        condition,
        Condition::And(_) | Condition::Or(_) | Condition::Not(_) | Condition::Named(..)
    )
}

/// Whether the column is NULL in many sessions.
const fn often_null(column: Column) -> bool {
    matches!(
        column,
        Column::Module
            | Column::Action
            | Column::ClientInfo
            | Column::ClientIdentifier
            | Column::Terminal
            | Column::SqlId
            | Column::PrevSqlId
            | Column::SqlExecStart
            | Column::SqlExecId
            | Column::Taddr
            | Column::Lockwait
            | Column::BlockingSession
            | Column::BlockingInstance
            | Column::FinalBlockingSession
            | Column::FinalBlockingInstance
            | Column::PlsqlEntryObjectId
            | Column::PlsqlEntrySubprogramId
            | Column::PlsqlObjectId
            | Column::PlsqlSubprogramId
            | Column::ResourceConsumerGroup
            | Column::Ecid
            | Column::ExternalName
            | Column::Idle
            | Column::Running
            | Column::StatementAge
            | Column::TransactionAge
            | Column::TransactionStatus
            | Column::UndoRecords
            | Column::Undo
            | Column::Waited
            | Column::BlockingFor
    )
}

/// The sessions in which the column is NULL, in words.
fn without(column: Column) -> String {
    if matches!(
        column,
        Column::TransactionAge | Column::TransactionStatus | Column::UndoRecords | Column::Undo
    ) {
        "sessions without a transaction".to_owned()
    } else if column == Column::Idle {
        "sessions in a call".to_owned()
    } else if column == Column::Running || column == Column::StatementAge {
        "sessions that are not running a statement".to_owned()
    } else {
        format!("sessions without a value in {}", column.name().to_uppercase())
    }
}

/// The columns that alone make a term UNKNOWN. Where a bound of BETWEEN is NULL, the other bound may decide.
fn columns(term: &Condition) -> Vec<Column> {
    let column = |operand: &Operand| match operand {
        Operand::Column(column) => Some(*column),
        Operand::Literal(_) => None,
    };
    match term {
        Condition::Compare { left, right, .. } => [left, right].into_iter().filter_map(column).collect(),
        Condition::Between { operand, .. }
        | Condition::In { operand, .. }
        | Condition::Like { operand, .. }
        | Condition::Matches { operand, .. } => column(operand).into_iter().collect(),
        // IS NULL is never UNKNOWN; the effect of a phrase is clear from its words.
        Condition::IsNull(_)
        | Condition::Phrase(_)
        | Condition::And(_)
        | Condition::Or(_)
        | Condition::Not(_)
        | Condition::Named(..) => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, LazyLock};

    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::often_null;
    use crate::decide::evaluate::truth::Truth;
    use crate::decide::evaluate::{columns_of, evaluate};
    use crate::policy::condition::Condition;
    use crate::policy::lint::{Clause, judge};
    use crate::policy::parse::parse;
    use crate::policy::resolve::{Definitions, Spans, resolve};
    use crate::session::column::Column;
    use crate::session::snapshot::{Cell, Snapshot, SnapshotSource};

    const COLUMNS: [Column; 5] = [
        Column::Status,
        Column::Module,
        Column::Action,
        Column::SqlExecId,
        Column::LastCallEt,
    ];

    /// All combinations of a few values, NULL among them. The derived columns are NULL for some.
    static GRID: LazyLock<Snapshot> = LazyLock::new(|| {
        let texts = |values: &[&'static str]| values.iter().map(|value| Cell::Text(value)).collect::<Vec<_>>();
        let numbers = |values: &[i64]| values.iter().map(|value| Cell::Number(*value)).collect::<Vec<_>>();
        let or_null = |mut cells: Vec<Cell<'static>>| {
            cells.push(Cell::Null);
            cells
        };
        let axes = [
            texts(&["ACTIVE", "INACTIVE"]),
            or_null(texts(&["A", "B", "BATCH_1", "BATCHES"])),
            or_null(texts(&["A", "B", "C"])),
            or_null(numbers(&[1, 5, 100])),
            numbers(&[0, 20_000]),
        ];
        let mut builder = Snapshot::builder(SnapshotSource::Saved, &COLUMNS);
        for mut row in 0..axes.iter().map(Vec::len).product() {
            let cells: Vec<Cell<'_>> = axes
                .iter()
                .map(|axis| {
                    let cell = axis[row % axis.len()];
                    row /= axis.len();
                    cell
                })
                .collect();
            builder.push_row(&cells).expect("few rows");
        }
        let derived = COLUMNS.into_iter().chain([Column::Idle, Column::Running]);
        builder.finish(None, Vec::new()).finish(derived.collect())
    });

    fn read(text: &str, definitions: &Definitions) -> (Condition, Spans) {
        let parsed = parse(text);
        let mut mistakes = parsed.mistakes;
        let resolved = resolve(&parsed.expr, definitions, &mut mistakes);
        assert!(mistakes.is_empty(), "{text}: {mistakes:?}");
        resolved.expect("no mistake, so a condition")
    }

    fn named(texts: &[(&str, &str)]) -> Definitions {
        let mut definitions = Definitions::default();
        for (name, text) in texts {
            let (condition, _) = read(text, &definitions);
            definitions.conditions.insert((*name).into(), Some(Arc::new(condition)));
        }
        definitions
    }

    /// The code of each warning about NULL, and the condition as it is once its advice is in the marked place.
    fn followed(text: &str, definitions: &Definitions, clause: Clause) -> Vec<(&'static str, String)> {
        let (condition, spans) = read(text, definitions);
        let found = judge(&condition, &spans, clause)
            .into_iter()
            .map(|(_, mistake)| mistake);
        let of_null = found.filter(|mistake| mistake.code.starts_with("null-"));
        of_null
            .map(|mistake| {
                let hint = mistake.hint.expect("each has advice");
                let advice = hint.split_once("write `").and_then(|(_, rest)| rest.strip_suffix('`'));
                let mut better = text.to_owned();
                better.replace_range(mistake.at, advice.expect("it says what to write"));
                (mistake.code, better)
            })
            .collect()
    }

    fn text() -> impl Strategy<Value = String> {
        let term = select(vec![
            "module = 'A'",
            "module != 'A'",
            "module in ('A', 'B')",
            "module not in ('A', 'B')",
            "module like 'BATCH%'",
            "module not like 'BATCH!_%' escape '!'",
            "module not matches '^B'",
            "action = 'B'",
            "action != 'B'",
            "action not in ('C')",
            "module != action",
            "module not between 'A' and 'B'",
            "action between 'A' and module",
            "sql_exec_id < 50",
            "sql_exec_id not between 2 and 50",
            "idle > 4h",
            "running > 1h",
            "INACTIVE longer than 4h",
            "ACTIVE",
            "@not_batch",
            "@either",
            "@both",
            "@deep",
        ]);
        term.prop_map(str::to_owned).prop_recursive(4, 12, 3, |inner| {
            prop_oneof![
                vec(inner.clone(), 2..4).prop_map(|parts| format!("({})", parts.join(" and "))),
                vec(inner.clone(), 2..4).prop_map(|parts| format!("({})", parts.join(" or "))),
                inner.clone().prop_map(|part| format!("(not ({part}))")),
                inner
                    .prop_filter("one NOT", |part| !part.starts_with("not "))
                    .prop_map(|part| format!("not {part}")),
            ]
        })
    }

    fn definitions() -> Definitions {
        named(&[
            ("not_batch", "module not like 'BATCH%'"),
            ("either", "module like 'BATCH%' or action != 'B'"),
            (
                "both",
                "INACTIVE and module != 'A' and not (module = 'B' and action = 'C')",
            ),
            ("deep", "not @either and (sql_exec_id < 50 or not @not_batch)"),
        ])
    }

    fn acts(clause: Clause, truth: Truth) -> bool {
        match clause {
            Clause::When | Clause::WhenReporting | Clause::Definition => truth == Truth::True,
            Clause::Unless | Clause::Exemption => truth == Truth::False,
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

        /// Followed advice changes nothing for a session in which none of the columns is NULL. For the others, it does what it
        /// says: it matches some more in `when`, and spares some fewer in `unless`.
        #[test]
        fn advice_changes_only_what_happens_for_null(text in text()) {
            let definitions = definitions();
            for clause in [Clause::When, Clause::Unless, Clause::Exemption] {
                let (condition, _) = read(&text, &definitions);
                let before = evaluate(&condition, &GRID);
                for (_, better) in followed(&text, &definitions, clause) {
                    let after = evaluate(&read(&better, &definitions).0, &GRID);
                    for row in 0..GRID.rows() {
                        let used = columns_of(&condition).iter();
                        let null = used.filter(|column| often_null(*column)).any(|column| {
                            GRID.text(row, column).is_none() && GRID.number(row, column).is_none()
                        });
                        let (old, new) = (acts(clause, before.get(row)), acts(clause, after.get(row)));
                        prop_assert!(null || old == new, "{:?}\n{}\n{}", clause, text, better);
                        prop_assert!(!old || new, "{:?}\n{}\n{}", clause, text, better);
                    }
                }
            }
        }

        /// A message that says "this never matches" is true.
        #[test]
        fn what_is_said_never_to_match_does_not(text in text()) {
            let definitions = definitions();
            let (condition, spans) = read(&text, &definitions);
            let truths = evaluate(&condition, &GRID);
            for (_, mistake) in judge(&condition, &spans, Clause::When) {
                let whole = mistake.at == (0..text.len());
                if mistake.code != "null-passed-over" || !whole || !mistake.message.starts_with("this never") {
                    continue;
                }
                for row in truths.true_rows() {
                    let known = |column: Column| GRID.text(row, column).is_some() || GRID.number(row, column).is_some();
                    let all = [Column::Module, Column::Action, Column::SqlExecId];
                    let named = all.iter().filter(|column| mistake.message.contains(&column.name().to_uppercase()));
                    prop_assert!(named.copied().all(known), "{}", text);
                }
            }
        }
    }

    #[test]
    fn advice_keeps_every_not_and_every_part() {
        let definitions = definitions();
        for (clause, text, better) in [
            (
                Clause::Unless,
                "not module like 'BATCH%'",
                "(module is not null and module not like 'BATCH%')",
            ),
            (
                Clause::Unless,
                "not module = 'X'",
                "(module is not null and not module = 'X')",
            ),
            (
                Clause::Unless,
                "@not_batch",
                "(module is not null and module not like 'BATCH%')",
            ),
            (
                Clause::Unless,
                "not @not_batch",
                "(not (module is null or module not like 'BATCH%'))",
            ),
            (
                Clause::Unless,
                "module not like 'A!_%' escape '!'",
                "(module is not null and module not like 'A!_%' escape '!')",
            ),
            (
                Clause::Unless,
                "not undo_records < 100",
                "(undo_records is not null and not undo_records < 100)",
            ),
            (
                Clause::Unless,
                "module != 'X'",
                "(module is not null and module != 'X')",
            ),
            (
                Clause::Exemption,
                "module not in ('WEB')",
                "(module is not null and module not in ('WEB'))",
            ),
            (
                Clause::Unless,
                "@either",
                "((module is not null and module like 'BATCH%') or (action is not null and action != 'B'))",
            ),
            (
                Clause::Unless,
                "not (module = 'A' or module = 'B')",
                "(module is not null and not (module = 'A' or module = 'B'))",
            ),
            (
                Clause::Unless,
                "username = 'X' or module != 'A' and module != 'B'",
                "username = 'X' or (module is not null and module != 'A' and module != 'B')",
            ),
            (Clause::When, "not @not_batch and ACTIVE", ""),
            (
                Clause::When,
                "@both",
                "(INACTIVE and (module is null or module != 'A') and not ((module is not null and module = 'B') and (action is \
                 not null and action = 'C')))",
            ),
        ] {
            let all = followed(text, &definitions, clause);
            let all: Vec<&str> = all.iter().map(|(_, better)| better.as_str()).collect();
            let wanted: Vec<&str> = [better].into_iter().filter(|better| !better.is_empty()).collect();
            assert_eq!(all, wanted, "{text}");
        }
    }

    #[test]
    fn a_part_under_not_is_not_said_never_to_match() {
        let text = "INACTIVE longer than 4h and not (module = 'A' and action = 'B')";
        let definitions = Definitions::default();
        let (condition, spans) = read(text, &definitions);
        for (_, mistake) in judge(&condition, &spans, Clause::When) {
            assert!(!mistake.message.contains("never"), "{}", mistake.message);
        }
        let better: Vec<String> = followed(text, &definitions, Clause::When)
            .into_iter()
            .map(|(_, better)| better)
            .collect();
        let wanted = "INACTIVE longer than 4h and (not ((module is not null and module = 'A') and (action is not null and action = 'B')))";
        assert_eq!(better, [wanted]);
    }
}
