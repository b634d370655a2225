//! Follows the advice for subqueries and evaluates it at each place: what replaces a clause selects no session that the clause, with
//! the meaning that Oracle's manual gives it, does not select; and spares each that the clause spares.

use crate::decide::evaluate::evaluate;
use crate::decide::evaluate::truth::Truth;
use crate::policy::check_condition;
use crate::policy::habit::Aim;
use crate::policy::parse::parse_for;
use crate::session::column::Column;
use crate::session::snapshot::{Cell, Snapshot, SnapshotSource};

/// How many rows of the other view are the session's.
const ROWS: [i64; 4] = [0, 1, 2, 6];

/// Sessions with so many rows. What is not read from V$SESSION is told by the SID, which is ten more.
fn sessions() -> Snapshot {
    let columns = [Column::Sid, Column::Taddr, Column::BlockingSessionStatus];
    let mut builder = Snapshot::builder(SnapshotSource::Saved, &columns);
    for rows in ROWS {
        let has = |yes: &'static str| if rows > 0 { Cell::Text(yes) } else { Cell::Null };
        let status = if rows > 0 { "VALID" } else { "NO HOLDER" };
        let row = [Cell::Number(rows + 10), has("00FF"), Cell::Text(status)];
        builder.push_row(&row).expect("few rows");
    }
    builder.finish(None, Vec::new()).finish(columns.into_iter().collect())
}

const VIEWS: [&str; 6] = [
    "v$transaction t where t.ses_addr = s.saddr",
    "gv$transaction t where t.addr = s.taddr and t.inst_id = s.inst_id",
    "v$session b where b.blocking_session = s.sid",
    "v$session b where s.blocking_session = b.sid",
    "v$tempseg_usage u where u.session_addr = s.saddr",
    "v$px_session p where p.qcsid = s.sid",
];

/// The condition with the columns of the model in place of those that are joined.
fn of_the_model(condition: &str) -> String {
    let counted = regex::Regex::new("blocking ([0-9]+) sessions").expect("a pattern");
    let counted = counted.replace_all(condition, |found: &regex::Captures<'_>| {
        let least: i64 = found[1].parse().expect("a number");
        format!("sid >= {}", least + 10)
    });
    let any = regex::Regex::new("blocking|(temp|px_servers) > 0").expect("a pattern");
    let none = regex::Regex::new("(temp|px_servers) = 0").expect("a pattern");
    none.replace_all(&any.replace_all(&counted, "sid > 10"), "sid = 10")
        .into_owned()
}

/// What a clause says of a session with so many rows.
type Clause = fn(i64) -> Truth;

const fn truth(holds: bool) -> Truth {
    if holds { Truth::True } else { Truth::False }
}

/// Clauses, with `{}` for the rest of the query, and their meaning.
const CLAUSES: [(&str, Clause); 16] = [
    ("exists (select 1 from {})", |rows| truth(rows > 0)),
    ("(select count(*) from {}) = 0", |rows| truth(rows == 0)),
    ("0 = (select count(*) from {})", |rows| truth(rows == 0)),
    ("(select count(*) from {}) > 0", |rows| truth(rows > 0)),
    ("(select count(*) from {}) >= 1", |rows| truth(rows >= 1)),
    ("(select count(*) from {}) < 1", |rows| truth(rows < 1)),
    ("(select count(*) from {}) <> 0", |rows| truth(rows != 0)),
    ("(select count(*) from {}) between 1 and 50", |rows| {
        truth((1..=50).contains(&rows))
    }),
    ("(select count(*) from {}) not in (0)", |rows| truth(rows != 0)),
    ("(select count(*) from {}) = 1", |rows| truth(rows == 1)),
    ("nvl((select 1 from {}), 0) = 0", |rows| truth(rows == 0)),
    ("nvl((select 1 from {}), 0) = 1", |rows| truth(rows > 0)),
    ("nvl((select 2 from {}), 0) < 1", |rows| truth(rows == 0)),
    ("(select 1 from {}) is null", |rows| truth(rows == 0)),
    ("(select 1 from {}) is not null", |rows| truth(rows > 0)),
    ("(select 1 from {}) = 1", |rows| {
        if rows > 0 { Truth::True } else { Truth::Unknown }
    }),
];

const fn not(truth: Truth) -> Truth {
    match truth {
        Truth::True => Truth::False,
        Truth::False => Truth::True,
        Truth::Unknown => Truth::Unknown,
    }
}

/// The clause with the advice followed, if the advice is to replace text.
fn followed(clause: &str, aim: Aim) -> Option<String> {
    let problem = parse_for(clause, aim).mistakes.first().cloned().expect(clause);
    assert_eq!(problem.code, "no-subqueries", "{clause}");
    let advice = problem.hint?;
    let advice = advice.strip_prefix("write `")?.strip_suffix('`')?.to_owned();
    let mut better = clause.to_owned();
    better.replace_range(problem.at, &advice);
    Some(better)
}

/// Whether what is advised may replace what is meant: where the clause acts, it is true of no other session; where it spares, it is
/// false of no other.
fn may_replace(aim: Aim, meant: Truth, advised: Truth) -> bool {
    match aim {
        Aim::Acts => advised != Truth::True || meant == Truth::True,
        Aim::Spares => advised != Truth::False || meant == Truth::False,
        Aim::Either => advised == meant,
    }
}

#[test]
fn what_replaces_a_subquery_never_turns_the_clause_round() {
    let sessions = sessions();
    let mut count = 0;
    for view in VIEWS {
        for (clause, meaning) in CLAUSES {
            let clause = clause.replace("{}", view);
            for (before, after, negated) in [
                ("", "", false),
                ("not ", "", true),
                ("not (", ")", true),
                ("sid = 0 or ", "", false),
            ] {
                for aim in [Aim::Acts, Aim::Spares, Aim::Either] {
                    let whole = format!("{before}{clause}{after}");
                    let Some(better) = followed(&whole, aim) else {
                        continue;
                    };
                    check_condition(&better).expect(&better);
                    let model = of_the_model(&better);
                    let truths = evaluate(&check_condition(&model).expect(&model), &sessions);
                    for (row, rows) in ROWS.into_iter().enumerate() {
                        let meant = meaning(rows);
                        let meant = if negated { not(meant) } else { meant };
                        let advised = truths.get(row);
                        assert!(may_replace(aim, meant, advised), "{aim:?} {rows}\n{whole}\n{better}");
                        count += 1;
                    }
                }
            }
        }
    }
    assert!(count > 3_000, "{count}");
}

#[test]
fn each_way_to_look_for_the_session_among_rows_gets_words_of_its_own_sense() {
    for (clause, wanted) in [
        ("sid in (select blocking_session from v$session)", "blocking"),
        ("sid = any (select blocking_session from gv$session)", "blocking"),
        (
            "(sid, inst_id) in (select blocking_session, blocking_instance from gv$session)",
            "blocking",
        ),
        (
            "sid not in (select blocking_session from v$session where blocking_session is not null)",
            "not blocking",
        ),
        (
            "not sid in (select blocking_session from v$session where blocking_session_status = 'VALID')",
            "not blocking",
        ),
        ("sid not in (select holding_session from dba_blockers)", "not blocking"),
        ("sid <> all (select holding_session from dba_blockers)", "not blocking"),
        ("not sid in (select holding_session from dba_waiters)", "not blocking"),
        ("sid not in (select waiting_session from dba_waiters)", "not blocked"),
        ("sid not in (select sid from v$lock where block = 1)", "not blocking"),
        ("sid not in (select sid from gv$lock where request > 0)", "not blocked"),
        ("taddr in (select addr from v$transaction)", "in transaction"),
        (
            "saddr not in (select ses_addr from v$transaction)",
            "not in transaction",
        ),
        (
            "saddr not in (select ses_addr from v$transaction where used_urec > 1000)",
            "not in transaction",
        ),
        (
            "con_id = (select con_id from v$pdbs where name = 'SHOP')",
            "container = 'SHOP'",
        ),
        (
            "not con_id in (select con_id from v$containers where name in ('A', 'B'))",
            "container not in ('A', 'B')",
        ),
        (
            "paddr != (select addr from v$process where spid = 1234)",
            "spid != '1234'",
        ),
        (
            "username in (select username from dba_users where profile like 'APP%')",
            "profile like 'APP%'",
        ),
    ] {
        let problem = parse_for(clause, Aim::Acts).mistakes.remove(0);
        assert_eq!(problem.hint, Some(format!("write `{wanted}`")), "{clause}");
        assert_eq!(
            problem.at,
            0..clause.len(),
            "the advice is for the whole clause: {clause}"
        );
        let better = check_condition(wanted);
        assert!(better.is_ok(), "{wanted}");
    }
}

#[test]
fn where_the_words_are_true_of_more_sessions_the_hint_only_names_them() {
    for (clause, aim, why) in [
        (
            "sid in (select holding_session from dba_blockers)",
            Aim::Acts,
            "but it is true of more sessions",
        ),
        (
            "sid not in (select holding_session from dba_blockers)",
            Aim::Spares,
            "but it is true of fewer sessions",
        ),
        (
            "sid in (select blocking_session from v$session where seconds_in_wait > 600)",
            Aim::Acts,
            "conditions of its own",
        ),
        (
            "exists (select 1 from v$transaction t where t.addr = s.taddr and t.used_ublk > 10)",
            Aim::Acts,
            "conditions of its own",
        ),
        (
            "exists (select 1 from v$transaction)",
            Aim::Acts,
            "`in transaction` and `not in transaction`",
        ),
        (
            "(select count(*) from v$session b where b.blocking_session = s.sid) > 5",
            Aim::Acts,
            "the nearest is `blocking 6 sessions`",
        ),
        (
            "taddr not in (select addr from v$transaction)",
            Aim::Acts,
            "never true, because TADDR is NULL",
        ),
        (
            "sid not in (select blocking_session from v$session)",
            Aim::Acts,
            "never true, because BLOCKING_SESSION is NULL",
        ),
        (
            "sid in (select blocking_session from v$session)",
            Aim::Spares,
            "never false, because BLOCKING_SESSION is NULL",
        ),
        (
            "sid in (select session_id from v$locked_object)",
            Aim::Acts,
            "locks themselves are not available",
        ),
    ] {
        let hint = parse_for(clause, aim).mistakes.remove(0).hint.expect("a hint");
        assert!(hint.contains(why) && !hint.starts_with("write"), "{clause}: {hint}");
    }
}

#[test]
fn names_in_a_query_need_no_quotes_and_other_mistakes_in_it_are_reported() {
    let codes = |clause: &str| {
        let mistakes = parse_for(clause, Aim::Acts).mistakes;
        mistakes.iter().map(|mistake| mistake.code).collect::<Vec<_>>()
    };
    let clause = "exists (select 1 from v$session_longops o where o.sofar < o2.totalwork and o.x = zzzz.y)";
    assert_eq!(codes(clause), ["no-subqueries"]);
    for clause in ["'x' between (select 30M", "sid in (select 30M", "sid = (select 'a"] {
        assert!(!codes(clause).is_empty(), "{clause}");
    }
}

#[test]
fn a_clause_about_sessions_that_are_spared_is_left_out_only_where_that_takes_no_more() {
    for (clause, aim, begins) in [
        (
            "sid != (select sid from v$mystat where rownum = 1)",
            Aim::Acts,
            "leave it out: ",
        ),
        (
            "not sid = (select sid from v$mystat where rownum = 1)",
            Aim::Acts,
            "leave it out: ",
        ),
        (
            "sid = (select sid from v$mystat where rownum = 1)",
            Aim::Acts,
            "this is true of orareaper's own sessions alone",
        ),
        (
            "audsid = userenv('sessionid')",
            Aim::Acts,
            "this is true of orareaper's own sessions alone",
        ),
        ("audsid = userenv('sessionid')", Aim::Spares, "leave it out: "),
        (
            "audsid <> userenv('sessionid')",
            Aim::Spares,
            "this is true of all sessions but",
        ),
        (
            "audsid <> userenv('sessionid')",
            Aim::Either,
            "orareaper's own sessions are",
        ),
        (
            "sid not in (select sid from dba_jobs_running)",
            Aim::Acts,
            "leave it out, unless the policy has `allow: [jobs]`",
        ),
        (
            "sid in (select sid from dba_jobs_running)",
            Aim::Acts,
            "this is true of job slaves alone",
        ),
        (
            "sys_context('userenv', 'con_name') = 'SHOP'",
            Aim::Acts,
            "`container` is a column",
        ),
    ] {
        let hint = parse_for(clause, aim).mistakes.remove(0).hint.expect("a hint");
        assert!(hint.starts_with(begins), "{clause}: {hint}");
    }
}
