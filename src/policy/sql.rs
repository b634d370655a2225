//! A condition as the WHERE clause that selects the same sessions in SQL*Plus.
//!
//! The clause is for `gv$session s`. Columns of GV$SESSION keep their names; what the daemon joins (processes, transactions,
//! statistics, waiters) becomes a scalar subquery on the row `s`. These subqueries are slower than the daemon's joins: they
//! are for a person who wants to see which sessions match, not for polling. The result can differ from the daemon's in four
//! ways: SYSDATE advances while the query runs, GV$ views are not read consistently, REGEXP_LIKE has another syntax than
//! MATCHES, and a value that is unknown to the daemon because an instance did not answer is NULL or missing in SQL.
//!
//! Views and columns are those of the Oracle Database Reference; the names of the statistics are those of its appendix
//! "Statistics Descriptions".

use std::fmt::Write as _;

use super::condition::{Condition, Constant, Operand};
use super::display::Quoted;
use crate::session::column::{Column, Kind};

/// A condition as a WHERE clause for `gv$session s`, without the word WHERE.
#[must_use]
pub fn to_sql(condition: &Condition) -> String {
    broken_into_lines(&on_one_line(condition))
}

fn on_one_line(condition: &Condition) -> String {
    let mut sql = String::new();
    write(condition, &mut sql);
    sql
}

/// The whole query for a policy's candidates, before protections, exemptions and limits.
#[must_use]
pub(crate) fn to_query(when: &Condition, unless: Option<&Condition>) -> String {
    let mut query = format!(
        "SELECT s.inst_id, s.sid, s.serial#, s.username, s.status, s.last_call_et, s.program, s.machine\n  \
         FROM gv$session s\n WHERE ({})",
        to_sql(when)
    );
    if let Some(unless) = unless {
        write!(query, "\n   AND NOT ({})", to_sql(unless)).expect("a String takes any text");
    }
    query
}

fn write(condition: &Condition, sql: &mut String) {
    match condition {
        Condition::And(parts) => join(parts, " AND ", sql),
        Condition::Or(parts) => join(parts, " OR ", sql),
        Condition::Not(inner) => {
            if let Some(negated) = negated(inner) {
                sql.push_str(&negated);
            } else {
                sql.push_str("NOT ");
                // Not every SQL parser accepts NOT NOT.
                if matches!(**inner, Condition::Not(_)) {
                    sql.push('(');
                    write(inner, sql);
                    sql.push(')');
                } else {
                    group(inner, sql);
                }
            }
        }
        Condition::Phrase(phrase) => write(&phrase.meaning(), sql),
        Condition::Named(_, inner) => write(inner, sql),
        Condition::Compare { .. }
        | Condition::In { .. }
        | Condition::Between { .. }
        | Condition::Like { .. }
        | Condition::Matches { .. }
        | Condition::IsNull(_) => sql.push_str(&term(condition, "")),
    }
}

fn join(parts: &[Condition], word: &str, sql: &mut String) {
    for (at, part) in parts.iter().enumerate() {
        if at > 0 {
            sql.push_str(word);
        }
        group(part, sql);
    }
}

/// Writes a condition, in parentheses unless it is one term.
fn group(condition: &Condition, sql: &mut String) {
    let compound = match condition {
        Condition::And(_) | Condition::Or(_) => true,
        Condition::Phrase(phrase) => matches!(phrase.meaning(), Condition::And(_)),
        Condition::Named(_, inner) => return group(inner, sql),
        Condition::Not(_)
        | Condition::Compare { .. }
        | Condition::In { .. }
        | Condition::Between { .. }
        | Condition::Like { .. }
        | Condition::Matches { .. }
        | Condition::IsNull(_) => false,
    };
    if compound {
        sql.push('(');
        write(condition, sql);
        sql.push(')');
    } else {
        write(condition, sql);
    }
}

/// The negation of a term whose syntax has a NOT inside (`NOT IN`, `IS NOT NULL`).
fn negated(condition: &Condition) -> Option<String> {
    match condition {
        Condition::In { .. } | Condition::Between { .. } | Condition::Like { .. } | Condition::IsNull(_) => {
            Some(term(condition, "NOT "))
        }
        Condition::And(_)
        | Condition::Or(_)
        | Condition::Not(_)
        | Condition::Compare { .. }
        | Condition::Matches { .. }
        | Condition::Phrase(_)
        | Condition::Named(..) => None,
    }
}

fn term(condition: &Condition, not: &str) -> String {
    match condition {
        Condition::Compare { left, op, right } => {
            format!("{} {} {}", operand(left), op.sql(), operand(right))
        }
        Condition::In {
            operand: subject,
            values,
            ..
        } => within(subject, values, not),
        Condition::Between {
            operand: subject,
            low,
            high,
        } => {
            format!(
                "{} {not}BETWEEN {} AND {}",
                operand(subject),
                operand(low),
                operand(high)
            )
        }
        Condition::Like {
            operand: subject,
            pattern,
        } => {
            let escape = match pattern.escape {
                Some(escape) => format!(" ESCAPE {}", text_literal(escape.encode_utf8(&mut [0; 4]))),
                None => String::new(),
            };
            format!("{} {not}LIKE {}{escape}", operand(subject), text_literal(&pattern.text))
        }
        Condition::Matches {
            operand: subject,
            pattern,
        } => {
            format!("REGEXP_LIKE({}, {})", operand(subject), text_literal(pattern.as_str()))
        }
        // Where the value is not known, both must be neither true nor false.
        Condition::IsNull(Operand::Column(column)) if column.is_never_null() => {
            let (value, op) = (expression(*column), if not.is_empty() { "!=" } else { "=" });
            format!("{value} {op} {value}")
        }
        Condition::IsNull(subject) => format!("{} IS {not}NULL", operand(subject)),
        Condition::And(_) | Condition::Or(_) | Condition::Not(_) | Condition::Phrase(_) | Condition::Named(..) => {
            on_one_line(condition)
        }
    }
}

/// Oracle accepts at most 1000 expressions in a list (ORA-01795), so a longer list is split.
fn within(subject: &Operand, values: &[Constant], not: &str) -> String {
    const LONGEST: usize = 1_000;
    let word = if not.is_empty() { " OR " } else { " AND " };
    let lists: Vec<String> = values
        .chunks(LONGEST)
        .map(|chunk| {
            let values: Vec<String> = chunk.iter().map(literal).collect();
            format!("{} {not}IN ({})", operand(subject), values.join(", "))
        })
        .collect();
    match lists.as_slice() {
        [only] => only.clone(),
        several => format!("({})", several.join(word)),
    }
}

fn operand(operand: &Operand) -> String {
    match operand {
        Operand::Column(column) => expression(*column),
        Operand::Literal(value) => literal(value),
    }
}

fn literal(value: &Constant) -> String {
    match value {
        Constant::Text(text) => text_literal(text),
        Constant::Number(number) | Constant::Duration(number) | Constant::Size(number) => number.to_string(),
    }
}

/// A text literal that SQL*Plus passes on unchanged. A line end inside a literal may end the statement there, so control
/// characters become CHR calls, and a text that is longer than a line is a concatenation of shorter literals.
fn text_literal(text: &str) -> String {
    const PIECE: usize = 250;
    let mut pieces: Vec<String> = Vec::new();
    let mut piece = String::new();
    let end = |piece: &mut String, pieces: &mut Vec<String>| {
        if !piece.is_empty() {
            pieces.push(Quoted(&std::mem::take(piece)).to_string());
        }
    };
    for character in text.chars() {
        if character.is_ascii_control() {
            end(&mut piece, &mut pieces);
            pieces.push(format!("CHR({})", u32::from(character)));
        } else {
            piece.push(character);
            if piece.len() >= PIECE {
                end(&mut piece, &mut pieces);
            }
        }
    }
    end(&mut piece, &mut pieces);
    match pieces.as_slice() {
        [] => "''".to_owned(),
        [only] => only.clone(),
        several => format!("({})", several.join(" || ")),
    }
}

/// The same SQL in readable lines, all far shorter than SQL*Plus's limit. A line break comes before a word or a literal, never
/// inside one: to SQL*Plus, a `-` at the end of a line means that it continues, and a line with only `/` runs the statement.
fn broken_into_lines(sql: &str) -> String {
    const WIDTH: usize = 120;
    const INDENT: &str = "\n       ";
    let mut lines = String::with_capacity(sql.len() + sql.len() / 16);
    let (mut width, mut last_break, mut inside) = (0, None, false);
    let mut before = ' ';
    for character in sql.chars() {
        inside ^= character == '\'';
        let word = !inside && character.is_ascii_alphabetic();
        let text = inside && character == '\'';
        if before == ' ' && (word || text) && width > 0 {
            last_break = Some(lines.len());
        }
        lines.push(character);
        width += 1;
        if width > WIDTH
            && let Some(at) = last_break.take()
        {
            // The blank before the word becomes the line end.
            lines.replace_range(at - 1..at, INDENT);
            width = lines[at..].chars().count();
        }
        before = character;
    }
    lines
}

/// The value of a statistic since the session logged on, by its name in V$STATNAME.
fn statistic(name: &str) -> String {
    format!(
        "(SELECT st.value FROM gv$sesstat st JOIN gv$statname n ON n.inst_id = st.inst_id AND n.statistic# = \
         st.statistic# WHERE st.inst_id = s.inst_id AND st.sid = s.sid AND n.name = '{name}')"
    )
}

/// An aggregate over all transactions of the session and its parallel servers.
fn transactions(expression: &str) -> String {
    let own = |it: &str| format!("{it}.inst_id = s.inst_id AND ({it}.addr = s.taddr OR {it}.ses_addr = s.saddr)");
    format!(
        "(SELECT {expression} FROM gv$transaction t WHERE {} OR (t.ptx_xidusn, t.ptx_xidslt, t.ptx_xidsqn) IN (SELECT o.xidusn, \
         o.xidslot, o.xidsqn FROM gv$transaction o WHERE {}))",
        own("t"),
        own("o")
    )
}

/// An aggregate over all sessions that wait for this one, directly or through others. If the waiters form a cycle, the query
/// reaches the session itself; WHERE leaves it out, because it does not block itself.
fn waiters(expression: &str) -> String {
    let blocked_by = |inst_id: &str, sid: &str| {
        format!(
            "w.blocking_session_status = 'VALID' AND w.blocking_instance = {inst_id} AND w.blocking_session = {sid}"
        )
    };
    format!(
        "(SELECT {expression} FROM gv$session w WHERE NOT (w.inst_id = s.inst_id AND w.sid = s.sid) START WITH {} \
         CONNECT BY NOCYCLE {})",
        blocked_by("s.inst_id", "s.sid"),
        blocked_by("PRIOR w.inst_id", "PRIOR w.sid")
    )
}

/// A number that is not known.
const NO_NUMBER: &str = "CAST(NULL AS NUMBER)";

const BLOCK_SIZE: &str = "(SELECT TO_NUMBER(value) FROM v$parameter WHERE name = 'db_block_size')";

/// A column as an expression; durations in seconds, sizes in bytes.
fn expression(column: Column) -> String {
    match derived(column) {
        Some(expression) => expression,
        None if column.is_raw() => format!("RAWTOHEX(s.{})", column.name()),
        None if column.kind() == Kind::Duration && column.per_second() != 1 => {
            format!("s.{} / {}", column.name(), column.per_second())
        }
        None => format!("s.{}", column.name()),
    }
}

/// Makes the expression of a column.
type ColumnSql = fn() -> String;

/// The columns that the daemon computes or joins, each with its expression. All others are GV$SESSION's own.
const DERIVED: &[(Column, ColumnSql)] = &[
    (Column::Idle, || {
        "CASE WHEN s.status IN ('INACTIVE', 'SNIPED') THEN s.last_call_et END".to_owned()
    }),
    (Column::Running, || {
        "CASE WHEN s.status = 'ACTIVE' THEN s.last_call_et END".to_owned()
    }),
    (Column::StatementAge, || {
        format!(
            "CASE WHEN s.status = 'ACTIVE' THEN {} END",
            seconds_since("s.sql_exec_start")
        )
    }),
    (Column::Connected, || seconds_since("s.logon_time")),
    (Column::Waited, || {
        "CASE WHEN s.state = 'WAITING' THEN s.wait_time_micro / 1000000 END".to_owned()
    }),
    (Column::TransactionAge, || {
        transactions(&format!("MAX({})", seconds_since("t.start_date")))
    }),
    (Column::UndoRecords, || transactions("SUM(t.used_urec)")),
    (Column::TransactionStatus, || {
        transactions("NVL(MAX(NULLIF(NVL(t.status, 'UNKNOWN'), 'ACTIVE')), MAX(t.status))")
    }),
    (Column::Undo, || {
        format!("{} * {BLOCK_SIZE}", transactions("SUM(t.used_ublk)"))
    }),
    (Column::Blocking, || {
        waiters("COUNT(DISTINCT w.inst_id || ',' || w.sid)")
    }),
    (Column::BlockingFor, || {
        waiters("MAX(CASE WHEN w.state = 'WAITING' THEN w.wait_time_micro END) / 1000000")
    }),
    (Column::Pga, || process("pga_alloc_mem")),
    (Column::Spid, || process("spid")),
    (Column::Pname, || process("pname")),
    // No row means no temporary segment. Temporary segments always have blocks of the standard size.
    (Column::Temp, || {
        format!(
            "NVL((SELECT SUM(u.blocks) FROM gv$sort_usage u WHERE u.inst_id = s.inst_id AND u.session_addr = s.saddr), \
             0) * {BLOCK_SIZE}"
        )
    }),
    (Column::Cpu, || {
        format!("{} / 100", statistic("CPU used by this session"))
    }),
    (Column::LogicalReads, || statistic("session logical reads")),
    (Column::PhysicalReads, || statistic("physical reads")),
    (Column::Redo, || statistic("redo size")),
    // The coordinator's own row names itself by QCSID, without a QCSERIAL#.
    (Column::PxServers, || {
        "(SELECT COUNT(*) FROM gv$px_session p WHERE NVL(p.qcinst_id, p.inst_id) = s.inst_id AND p.qcsid = s.sid AND \
         p.qcserial# = s.serial#)"
            .to_owned()
    }),
    // A query sees one moment, and a rate is over two.
    (Column::CpuRate, || NO_NUMBER.to_owned()),
    (Column::ReadsRate, || NO_NUMBER.to_owned()),
    (Column::RedoRate, || NO_NUMBER.to_owned()),
    (Column::AccountStatus, || account("account_status")),
    (Column::Profile, || account("profile")),
    (Column::OracleMaintained, || account("oracle_maintained")),
    (Column::Container, || {
        "(SELECT c.name FROM v$containers c WHERE c.con_id = s.con_id)".to_owned()
    }),
];

fn derived(column: Column) -> Option<String> {
    let (_, expression) = DERIVED.iter().find(|(derived, _)| *derived == column)?;
    Some(expression())
}

/// The age of a DATE in seconds.
fn seconds_since(time: &str) -> String {
    format!("ROUND((SYSDATE - {time}) * 86400)")
}

/// A column of the session's account. In the root, CDB_USERS has the accounts of all containers, with a CON_ID, by which to choose.
fn account(name: &str) -> String {
    format!("(SELECT a.{name} FROM dba_users a WHERE a.username = s.username)")
}

/// A column of the session's process.
fn process(name: &str) -> String {
    format!("(SELECT p.{name} FROM gv$process p WHERE p.inst_id = s.inst_id AND p.addr = s.paddr)")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::check_condition;
    use crate::session::column::Source;

    fn sql(condition: &str) -> String {
        match check_condition(condition) {
            Ok(condition) => to_sql(&condition),
            Err(problems) => panic!("{condition}: {problems:?}"),
        }
    }

    #[test]
    fn a_condition_becomes_the_equivalent_where_clause() {
        let cases = [
            (
                "INACTIVE longer than 4h",
                "s.status = 'INACTIVE' AND s.last_call_et > 14400",
            ),
            (
                "idle longer than 4h and not background",
                "(s.status = 'INACTIVE' AND s.last_call_et > 14400) AND NOT s.type = 'BACKGROUND'",
            ),
            (
                "username = apexdev or program not like 'JDBC!_%' escape '!'",
                "s.username = 'APEXDEV' OR s.program NOT LIKE 'JDBC!_%' ESCAPE '!'",
            ),
            (
                "not (module is null or module in ('it''s', b))",
                "NOT (s.module IS NULL OR s.module IN ('it''s', 'B'))",
            ),
            ("not in transaction", "NOT s.taddr IS NOT NULL"),
            ("machine matches '^web[0-9]+'", "REGEXP_LIKE(s.machine, '^web[0-9]+')"),
            ("paddr = '00FF'", "RAWTOHEX(s.paddr) = '00FF'"),
            ("sid between 1 and 5", "s.sid BETWEEN 1 AND 5"),
            (
                "waited > 5m",
                "CASE WHEN s.state = 'WAITING' THEN s.wait_time_micro / 1000000 END > 300",
            ),
            // A line end in a text might end the statement.
            (
                "module = 'a;\nb' or module like '%\t'",
                "s.module = ('a;' || CHR(10) || 'b') OR s.module LIKE ('%' || CHR(9))",
            ),
            (
                "pga > 1GB",
                "(SELECT p.pga_alloc_mem FROM gv$process p WHERE p.inst_id = s.inst_id AND p.addr = s.paddr) > 1073741824",
            ),
        ];
        for (condition, expected) in cases {
            assert_eq!(sql(condition), expected, "{condition}");
        }
    }

    #[test]
    fn every_column_outside_gv_session_has_an_expression() {
        for column in Column::ALL {
            assert_eq!(
                derived(*column).is_none(),
                column.source() == Source::Session,
                "{}",
                column.name()
            );
        }
    }

    #[test]
    fn no_line_of_a_long_list_is_too_long_for_sqlplus() {
        let names: Vec<String> = (0..2_500).map(|at| format!("{at:0100}")).collect();
        let clause = to_sql(&Condition::In {
            operand: Operand::Column(Column::Username),
            values: names.iter().map(|name| Constant::Text(name.as_str().into())).collect(),
            list: None,
        });
        let words: Vec<&str> = clause.lines().map(str::trim).collect();
        assert!(words.len() > 2_000 && words.iter().all(|line| (1..140).contains(&line.len())));
        let one_line = words.join(" ");
        assert_eq!(one_line.matches("s.username IN (").count(), 3, "of at most 1000 each");
        assert!(names.iter().all(|name| clause.contains(&format!("'{name}'"))));
    }

    #[test]
    fn lines_are_broken_only_outside_literals() {
        let quotes = "x ''y ' z ".repeat(60);
        let long = format!("module = '{}' or username = 'a'", quotes.replace('\'', "''"));
        let clause = sql(&long);
        assert!(
            clause.lines().count() == 4 && clause.lines().all(|line| line.len() < 400),
            "{clause}"
        );
        // On every line the quotes are in pairs, and together the pieces are the text.
        assert!(
            clause.lines().all(|line| line.matches('\'').count() % 2 == 0),
            "{clause}"
        );
        let texts: Vec<&str> = clause
            .split(" OR ")
            .next()
            .expect("one")
            .split('(')
            .nth(1)
            .expect("pieces")
            .split("||")
            .collect();
        let text: String = texts
            .iter()
            .map(|piece| {
                piece
                    .trim()
                    .trim_end_matches(')')
                    .trim()
                    .strip_prefix('\'')
                    .and_then(|t| t.strip_suffix('\''))
            })
            .map(|piece| piece.expect("a literal").replace("''", "'"))
            .collect();
        assert_eq!(text, quotes);
    }

    #[test]
    fn a_query_has_when_and_unless() {
        let condition = |text| check_condition(text).expect(text);
        let query = to_query(&condition("ACTIVE"), Some(&condition("sid = 1")));
        assert!(
            query.ends_with("WHERE (s.status = 'ACTIVE')\n   AND NOT (s.sid = 1)"),
            "{query}"
        );
    }
}
