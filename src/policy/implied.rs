//! What a condition implies about GV$SESSION alone, as a WHERE clause: whoever the condition holds for satisfies the clause, and the
//! database need not send the others.
//!
//! The clause may be weaker than the condition and is never stronger. The evaluator still judges every session that is sent, so a
//! clause that is too weak costs rows, and one that is too strong would lose sessions. Hence:
//!
//! - A term that cannot be said exactly is left out. What a client sets (PROGRAM, MODULE, MACHINE) is said by its beginning and only
//!   where it is asked for, never where it is excluded: old clients send such a text with a NUL at its end, which is no part of it here.
//! - TextMatch are compared by their bytes, with RAWTOHEX on both sides. A text function raises ORA-29275 for a text that was cut within
//!   a character, and one client could so end the reading of all sessions; a comparison of texts goes by NLS_COMP.
//! - SYSDATE in the clause is a moment later than the snapshot's clock, so only "older than" can be said of dates, with a minute to spare.
//! - Who blocks others is not in a session's own row. Such a term selects nobody by itself and sets [`Implied::blockers`]: those who
//!   wait and those they wait for are then read besides.

use std::fmt::Write as _;

use crate::policy::condition::{Comparison, Condition, Constant, LikePart, LikePattern, Operand};
use crate::policy::display::Quoted;
use crate::session::column::{Column, Columns, Kind, Source};

/// Dates may differ by this much from what the snapshot's clock shows, in seconds.
const SPARE: i64 = 60;

/// Oracle accepts at most 1000 expressions in a list (ORA-01795). A longer list is left out: parsing it would cost more than it saves.
const LONGEST_LIST: usize = 1_000;

/// Which sessions a condition can hold for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RowClause {
    /// Any.
    Everybody,
    /// None but those that [`Implied::blockers`] stands for.
    Nobody,
    /// Those that satisfy this SQL condition over `gv$session s`.
    Those(String),
}

impl RowClause {
    fn and(self, other: RowClause) -> RowClause {
        match (self, other) {
            (RowClause::Nobody, _) | (_, RowClause::Nobody) => RowClause::Nobody,
            (RowClause::Everybody, clause) | (clause, RowClause::Everybody) => clause,
            (RowClause::Those(one), RowClause::Those(two)) => RowClause::Those(format!("({one} AND {two})")),
        }
    }

    /// Any of both.
    #[must_use]
    pub(crate) fn or(self, other: RowClause) -> RowClause {
        match (self, other) {
            (RowClause::Everybody, _) | (_, RowClause::Everybody) => RowClause::Everybody,
            (RowClause::Nobody, clause) | (clause, RowClause::Nobody) => clause,
            (RowClause::Those(one), RowClause::Those(two)) if one == two => RowClause::Those(one),
            (RowClause::Those(one), RowClause::Those(two)) => RowClause::Those(format!("({one} OR {two})")),
        }
    }
}

/// What a condition implies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Implied {
    /// Which sessions it can hold for.
    pub clause: RowClause,
    /// Besides these, sessions that block others.
    pub blockers: bool,
}

/// What holds for every session for which `when` is TRUE and `unless` FALSE. `available` are the columns that the release has.
#[must_use]
pub fn implied(when: &Condition, unless: Option<&Condition>, available: Columns) -> Implied {
    let mut reader = Reader {
        available,
        blockers: false,
    };
    let mut clause = reader.clause(when, true);
    if let Some(unless) = unless {
        clause = clause.and(reader.clause(unless, false));
    }
    Implied {
        clause,
        blockers: reader.blockers,
    }
}

struct Reader {
    available: Columns,
    blockers: bool,
}

impl Reader {
    /// A clause that every session satisfies for which the condition is TRUE, or with `truth` false: for which it is FALSE.
    fn clause(&mut self, condition: &Condition, truth: bool) -> RowClause {
        match condition {
            Condition::And(parts) | Condition::Or(parts) => {
                let all = matches!(condition, Condition::And(_)) == truth;
                let clauses: Vec<RowClause> = parts.iter().map(|part| self.clause(part, truth)).collect();
                let join = if all { RowClause::and } else { RowClause::or };
                clauses.into_iter().reduce(join).unwrap_or(RowClause::Everybody)
            }
            Condition::Not(inner) => self.clause(inner, !truth),
            Condition::Phrase(phrase) => self.clause(&phrase.meaning(), truth),
            Condition::Named(_, inner) => self.clause(inner, truth),
            Condition::Compare { left, op, right } => match (left, right) {
                (Operand::Column(column), Operand::Literal(value)) => self.compare(*column, *op, value, truth),
                (Operand::Literal(value), Operand::Column(column)) => {
                    self.compare(*column, op.mirrored(), value, truth)
                }
                (Operand::Column(_), Operand::Column(_)) | (Operand::Literal(_), Operand::Literal(_)) => {
                    RowClause::Everybody
                }
            },
            Condition::Between { operand, low, high } => {
                let compare = |op, bound: &Operand| Condition::Compare {
                    left: operand.clone(),
                    op,
                    right: bound.clone(),
                };
                let both = vec![
                    compare(Comparison::GreaterOrEqual, low),
                    compare(Comparison::LessOrEqual, high),
                ];
                self.clause(&Condition::And(both), truth)
            }
            Condition::In {
                operand: Operand::Column(column),
                values,
                ..
            } => self.within(*column, values, truth),
            Condition::Like {
                operand: Operand::Column(column),
                pattern,
            } => self.like(*column, pattern, truth),
            Condition::IsNull(Operand::Column(column)) => self.is_null(*column, truth),
            Condition::In { .. } | Condition::Like { .. } | Condition::IsNull(_) | Condition::Matches { .. } => {
                RowClause::Everybody
            }
        }
    }

    fn compare(&mut self, column: Column, op: Comparison, value: &Constant, truth: bool) -> RowClause {
        let op = if truth { op } else { op.opposite() };
        match value {
            Constant::Text(text) => self.compare_text(column, op, text),
            Constant::Number(number) | Constant::Size(number) => self.compare_number(column, op, *number, 1),
            Constant::Duration(seconds) => self.compare_number(column, op, *seconds, column.per_second()),
        }
    }

    fn compare_number(&mut self, column: Column, op: Comparison, number: i64, per_second: i64) -> RowClause {
        let Some(value) = number.checked_mul(per_second) else {
            return RowClause::Everybody;
        };
        let with =
            |condition: &str, what: &str| RowClause::Those(format!("({condition} AND {what} {} {value})", op.sql()));
        if matches!(column, Column::Blocking | Column::BlockingFor) {
            // Without waiters the number is 0 and their wait is NULL.
            if column == Column::Blocking && op.holds(0.cmp(&value)) {
                return RowClause::Everybody;
            }
            self.blockers = true;
            return RowClause::Nobody;
        }
        if column == Column::Idle {
            with("s.status IN ('INACTIVE', 'SNIPED')", "s.last_call_et")
        } else if column == Column::Running {
            with("s.status = 'ACTIVE'", "s.last_call_et")
        } else if column == Column::Waited && self.has(Column::State) && self.has(Column::WaitTimeMicro) {
            with("s.state = 'WAITING'", "s.wait_time_micro")
        } else if column == Column::Connected {
            before("s.logon_time", op, number)
        } else if column == Column::StatementAge && self.has(Column::SqlExecStart) {
            RowClause::Those("s.status = 'ACTIVE'".into()).and(before("s.sql_exec_start", op, number))
        } else if column.source() == Source::Session && column.kind() != Kind::Time && self.has(column) {
            RowClause::Those(format!("s.{} {} {value}", column.name(), op.sql()))
        } else {
            RowClause::Everybody
        }
    }

    fn compare_text(&self, column: Column, op: Comparison, text: &str) -> RowClause {
        match (op, TextMatch::of(column, self.available)) {
            (Comparison::Equal, Some(texts)) => texts.is(column, &[text]),
            (Comparison::NotEqual, Some(texts)) => texts.is_none_of(column, &[text]),
            _ => RowClause::Everybody,
        }
    }

    fn within(&mut self, column: Column, values: &[Constant], truth: bool) -> RowClause {
        let texts: Option<Vec<&str>> = values.iter().map(Constant::as_text).collect();
        if let Some(texts) = texts {
            return match TextMatch::of(column, self.available) {
                Some(kind) if truth => kind.is(column, &texts),
                Some(kind) => kind.is_none_of(column, &texts),
                None => RowClause::Everybody,
            };
        }
        let op = Comparison::Equal;
        let each = values.iter().map(|value| self.compare(column, op, value, truth));
        let join = if truth { RowClause::or } else { RowClause::and };
        each.reduce(join).unwrap_or(RowClause::Everybody)
    }

    fn like(&self, column: Column, pattern: &LikePattern, truth: bool) -> RowClause {
        let Some(texts) = TextMatch::of(column, self.available) else {
            return RowClause::Everybody;
        };
        match (&*pattern.parts, truth) {
            ([LikePart::Text(begins), LikePart::Any], false) if begins.is_ascii() && texts.are_exact() => {
                RowClause::Those(format!("NOT {}", hex_like(column, begins, "")))
            }
            (_, false) => RowClause::Everybody,
            ([LikePart::Text(begins), ..], true) if begins.is_ascii() => RowClause::Those(hex_like(column, begins, "")),
            (parts, true) => {
                let known = parts.iter().filter_map(|part| match part {
                    LikePart::Text(text) if text.is_ascii() => Some(text),
                    LikePart::Text(_) | LikePart::One | LikePart::Any => None,
                });
                let longest = known.max_by_key(|text| text.len());
                longest.map_or(RowClause::Everybody, |text| {
                    RowClause::Those(hex_like(column, text, "'%' || "))
                })
            }
        }
    }

    fn is_null(&self, column: Column, truth: bool) -> RowClause {
        let is_exact = match column.kind() {
            Kind::Text => column.is_raw() || TextMatch::of(column, self.available).is_some_and(TextMatch::are_exact),
            Kind::Number | Kind::Duration | Kind::Size | Kind::Time => true,
        };
        let is_own = column.source() == Source::Session && self.has(column) && !column.is_never_null();
        if !(is_exact || column == Column::Taddr) || !is_own {
            return RowClause::Everybody;
        }
        let not = if truth { "" } else { "NOT " };
        RowClause::Those(format!("s.{} IS {not}NULL", column.name()))
    }

    fn has(&self, column: Column) -> bool {
        self.available.contains(column)
    }
}

/// That a DATE is longer ago than this many seconds; nothing else can be said of it.
fn before(date: &str, op: Comparison, seconds: i64) -> RowClause {
    match op {
        Comparison::Greater | Comparison::GreaterOrEqual => {
            let seconds = seconds.saturating_sub(SPARE);
            RowClause::Those(format!("{date} <= SYSDATE - {seconds} / 86400"))
        }
        Comparison::Equal | Comparison::NotEqual | Comparison::Less | Comparison::LessOrEqual => RowClause::Everybody,
    }
}

/// How the texts of a column can be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TextMatch {
    /// Words of a closed list.
    Listed,
    /// Names that the database itself gives.
    Named,
    /// What a client sets: its beginning only.
    Begins,
}

impl TextMatch {
    /// `None` if nothing is said about the column.
    fn of(column: Column, available: Columns) -> Option<TextMatch> {
        let is_own = column.source() == Source::Session && column.kind() == Kind::Text;
        if !is_own || column.is_raw() || !available.contains(column) {
            None
        } else if column.closed_list().is_some() {
            Some(TextMatch::Listed)
        } else if matches!(column, Column::Username | Column::Schemaname | Column::ServiceName) {
            Some(TextMatch::Named)
        } else if column.width().is_some() || matches!(column, Column::Osuser | Column::Terminal) {
            Some(TextMatch::Begins)
        } else {
            None
        }
    }

    const fn are_exact(self) -> bool {
        match self {
            TextMatch::Listed | TextMatch::Named => true,
            TextMatch::Begins => false,
        }
    }

    fn is(self, column: Column, texts: &[&str]) -> RowClause {
        match self {
            TextMatch::Listed | TextMatch::Named => self.lists(column, texts, true),
            TextMatch::Begins if texts.iter().all(|text| text.is_ascii()) => {
                let each = texts.iter().map(|text| RowClause::Those(hex_like(column, text, "")));
                each.reduce(RowClause::or).unwrap_or(RowClause::Everybody)
            }
            TextMatch::Begins => RowClause::Everybody,
        }
    }

    fn is_none_of(self, column: Column, texts: &[&str]) -> RowClause {
        match self {
            TextMatch::Listed | TextMatch::Named => self.lists(column, texts, false),
            TextMatch::Begins => RowClause::Everybody,
        }
    }

    fn lists(self, column: Column, texts: &[&str], is: bool) -> RowClause {
        // A text of another alphabet may have other bytes in the database's character set than in a literal that went there and back.
        if texts.len() > LONGEST_LIST || !texts.iter().all(|text| text.is_ascii()) {
            return RowClause::Everybody;
        }
        let (value, literal): (String, fn(&str) -> String) = match self {
            TextMatch::Listed => (format!("s.{}", column.name()), |text| Quoted(text).to_string()),
            TextMatch::Named | TextMatch::Begins => (format!("RAWTOHEX(s.{})", column.name()), hex),
        };
        RowClause::Those(match texts {
            [only] if is => format!("{value} = {}", literal(only)),
            [only] => format!("{value} != {}", literal(only)),
            several => {
                let list: Vec<String> = several.iter().map(|text| literal(text)).collect();
                format!("{value} {}IN ({})", if is { "" } else { "NOT " }, list.join(", "))
            }
        })
    }
}

/// A text as RAWTOHEX shows it, whatever the database's character set.
#[must_use]
pub(crate) fn hex(text: &str) -> String {
    format!("RAWTOHEX({})", Quoted(text))
}

fn hex_like(column: Column, text: &str, before: &str) -> String {
    let mut clause = String::new();
    write!(
        clause,
        "RAWTOHEX(s.{}) LIKE {before}{} || '%'",
        column.name(),
        hex(text)
    )
    .expect("a String takes any text");
    clause
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::check_condition;

    fn clause(when: &str, unless: &str) -> String {
        let condition = |text| check_condition(text).expect(text);
        let unless = (!unless.is_empty()).then(|| condition(unless));
        let all = Column::ALL.iter().copied().collect();
        let implied = implied(&condition(when), unless.as_ref(), all);
        let blockers = if implied.blockers { " and blockers" } else { "" };
        match implied.clause {
            RowClause::Everybody => format!("everybody{blockers}"),
            RowClause::Nobody => format!("nobody{blockers}"),
            RowClause::Those(clause) => clause + blockers,
        }
    }

    /// `when`, `unless`, and what they imply.
    const CASES: &[(&str, &str, &str)] = &[
        (
            "INACTIVE longer than 4h and not background",
            "",
            "((s.status = 'INACTIVE' AND s.last_call_et > 14400) AND s.type != 'BACKGROUND')",
        ),
        (
            "idle > 4h",
            "",
            "(s.status IN ('INACTIVE', 'SNIPED') AND s.last_call_et > 14400)",
        ),
        (
            "waited > 5s",
            "",
            "(s.state = 'WAITING' AND s.wait_time_micro > 5000000)",
        ),
        ("sid in (7, 8)", "", "(s.sid = 7 OR s.sid = 8)"),
        ("sid not in (7, 8)", "", "(s.sid != 7 AND s.sid != 8)"),
        ("sid between 7 and 9", "", "(s.sid >= 7 AND s.sid <= 9)"),
        ("status in (INACTIVE, SNIPED)", "", "s.status IN ('INACTIVE', 'SNIPED')"),
        ("IN TRANSACTION longer than 1h", "", "s.taddr IS NOT NULL"),
        // Names are compared by their bytes.
        ("username = APP", "", "RAWTOHEX(s.username) = RAWTOHEX('APP')"),
        (
            "INACTIVE",
            "username in (SYS, 'O''Neil')",
            "(s.status = 'INACTIVE' AND RAWTOHEX(s.username) NOT IN (RAWTOHEX('SYS'), RAWTOHEX('O''Neil')))",
        ),
        (
            "INACTIVE",
            "username like 'APP%'",
            "(s.status = 'INACTIVE' AND NOT RAWTOHEX(s.username) LIKE RAWTOHEX('APP') || '%')",
        ),
        // What a client sets, by its beginning, and only where it is asked for.
        (
            "program = 'w3wp.exe'",
            "",
            "RAWTOHEX(s.program) LIKE RAWTOHEX('w3wp.exe') || '%'",
        ),
        (
            "machine like 'web%'",
            "",
            "RAWTOHEX(s.machine) LIKE RAWTOHEX('web') || '%'",
        ),
        (
            "machine like '%.test_%'",
            "",
            "RAWTOHEX(s.machine) LIKE '%' || RAWTOHEX('.test') || '%'",
        ),
        ("INACTIVE", "program = 'w3wp.exe'", "s.status = 'INACTIVE'"),
        ("program != 'w3wp.exe'", "", "everybody"),
        ("program is null", "", "everybody"),
        ("program = 'caf\u{e9}'", "", "everybody"),
        ("program matches '^w3wp'", "", "everybody"),
        // Dates with a minute to spare, and never "younger than".
        ("connected > 1h", "", "s.logon_time <= SYSDATE - 3540 / 86400"),
        ("connected < 1h", "", "everybody"),
        (
            "INACTIVE",
            "connected < 1h",
            "(s.status = 'INACTIVE' AND s.logon_time <= SYSDATE - 3540 / 86400)",
        ),
        (
            "statement_age > 1h",
            "",
            "(s.status = 'ACTIVE' AND s.sql_exec_start <= SYSDATE - 3540 / 86400)",
        ),
        // Joined columns say nothing; beside another term they take nothing from it.
        ("pga > 1GB", "", "everybody"),
        ("ACTIVE and pga > 1GB", "", "s.status = 'ACTIVE'"),
        ("ACTIVE or pga > 1GB", "", "everybody"),
        // Whoever blocks is read for that.
        ("BLOCKING 3 sessions longer than 5m", "", "nobody and blockers"),
        ("BLOCKING and INACTIVE", "", "nobody and blockers"),
        (
            "BLOCKING or INACTIVE longer than 4h",
            "",
            "(s.status = 'INACTIVE' AND s.last_call_et > 14400) and blockers",
        ),
        ("blocking = 0", "", "everybody"),
        ("INACTIVE", "blocking > 0", "s.status = 'INACTIVE'"),
        (
            "not (INACTIVE or sid = 7)",
            "",
            "(s.status != 'INACTIVE' AND s.sid != 7)",
        ),
        ("not (INACTIVE and pga > 1GB)", "", "everybody"),
    ];

    #[test]
    fn a_clause_says_what_gv_session_shows() {
        for (when, unless, expected) in CASES {
            assert_eq!(clause(when, unless), *expected, "{when} unless {unless}");
        }
    }

    #[test]
    fn a_column_that_the_release_lacks_is_not_in_the_clause() {
        let condition = check_condition("INACTIVE and failed_over = YES").expect("a condition");
        let implied = implied(&condition, None, [Column::Status].into_iter().collect());
        assert_eq!(implied.clause, RowClause::Those("s.status = 'INACTIVE'".into()));
    }

    #[test]
    fn a_list_that_oracle_would_not_take_is_left_out() {
        let names: Vec<String> = (0..=LONGEST_LIST).map(|number| number.to_string()).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let reader = TextMatch::of(Column::Username, [Column::Username].into_iter().collect()).expect("a name");
        assert_eq!(reader.is(Column::Username, &names), RowClause::Everybody);
        assert!(matches!(reader.is(Column::Username, &names[1..]), RowClause::Those(_)));
    }
}
