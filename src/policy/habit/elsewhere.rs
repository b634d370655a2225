//! Other views, functions and query clauses that scripts use, and what to write in a policy instead.

use std::ops::Range;

use super::{Predicate, Sql, SqlKind};
use crate::policy::ast::TermKind;
use crate::policy::condition::Comparison;
use crate::policy::lex::Mistake;
use crate::policy::pressure::Resource;
use crate::session::column::{Column, Kind};
use crate::yaml::diagnostics::{did_you_mean, quoted};

const OWN: &str = "leave it out: orareaper never acts on its own sessions (protection `self`)";
const AGES: &str = "compare an age: `connected > 1d`, `statement_age > 30m`, `transaction_age > 1h`";
pub(crate) const GROUPS: &str = "a condition judges one session at a time: `keep: {at_least: 2, per: [username, machine, program]}` keeps \
                      some of each group, `while: sessions above 85%` waits until there are many";
pub(crate) const ROWS: &str = "the key `limits` of the policy sets how many sessions are taken: `limits: {per_cycle: 10}`; the key `order` sets \
                    which go first: `order: [idle desc]`";
const RESOURCES: &str = "compare the resource itself, in `while` or `until`: `sessions above 85%`, `temp above 20GB`";
const TEXT_OF_SQL: &str = "compare `sql_id`: the text of a statement is not available";

/// Names that scripts use, and what to write instead.
const OTHER_NAMES: [(&str, &str); 61] = [
    (
        "active",
        "write `ACTIVE` or `ACTIVE longer than 4h`; the column for the age is `running`",
    ),
    (
        "addr",
        "conditions do not support joins: `spid` and `pga` are columns of the session",
    ),
    ("blocked", "write `blocked longer than 5m`"),
    ("block", "write `blocking` or `blocking 5 sessions`"),
    ("blocker", "did you mean `blocking_session`?"),
    (
        "blocks",
        "write `temp > 10GB`: the size of the session's temporary segments",
    ),
    ("cached", "write `CACHED longer than 4h`"),
    ("con_name", "did you mean `container`?"),
    ("ctime", "write `blocking longer than 5m` or `blocked longer than 5m`"),
    ("current_date", AGES),
    ("current_timestamp", AGES),
    (
        "db_name",
        "the key `databases: [...]` of the policy selects the databases",
    ),
    (
        "elapsed_time",
        "write `statement_age`: how long the statement has been running",
    ),
    ("host", "did you mean `machine`?"),
    ("host_name", "did you mean `machine`?"),
    ("hostname", "did you mean `machine`?"),
    ("idle_time", "did you mean `idle`?"),
    (
        "inactive",
        "write `INACTIVE longer than 4h`; the column for the age is `idle`",
    ),
    ("inactive_time", "did you mean `idle`?"),
    ("instance_name", "write `inst_id`: the number of the instance"),
    ("killed", "write `KILLED longer than 4h`"),
    ("last_active", "did you mean `idle`?"),
    ("last_active_time", "did you mean `idle`?"),
    ("localtimestamp", AGES),
    (
        "locked_mode",
        "write `blocking`, `blocked` or `in transaction`: locks themselves are not available",
    ),
    (
        "lmode",
        "write `blocking`, `blocked` or `in transaction`: locks themselves are not available",
    ),
    ("logon", "did you mean `connected`?"),
    ("logon_date", "did you mean `connected`?"),
    (
        "object_id",
        "write `blocking` or `blocked`: locks themselves are not available",
    ),
    (
        "object_name",
        "write `blocking` or `blocked`: locks themselves are not available",
    ),
    ("os_user", "did you mean `osuser`?"),
    ("pdb", "did you mean `container`?"),
    ("pdb_name", "did you mean `container`?"),
    ("pga_alloc_mem", "did you mean `pga`?"),
    ("pga_max_mem", "did you mean `pga`?"),
    ("pga_used_mem", "did you mean `pga`?"),
    (
        "qcsid",
        "leave it out: parallel servers are always spared (protection `parallel-server`); `px_servers` is how many a session holds",
    ),
    ("request", "write `blocked` or `blocked longer than 5m`"),
    ("rownum", ROWS),
    ("schema", "did you mean `schemaname`?"),
    ("schema_name", "did you mean `schemaname`?"),
    ("serial", "did you mean `serial#`?"),
    ("service", "did you mean `service_name`?"),
    (
        "ses_addr",
        "conditions do not support joins: write `in transaction`, `transaction_age > 1h` or `undo_records > 1000`",
    ),
    ("session_id", "did you mean `sid`?"),
    ("sniped", "write `SNIPED longer than 4h`"),
    (
        "sofar",
        "write `statement_age`: how long the statement has been running",
    ),
    ("sql_fulltext", TEXT_OF_SQL),
    ("sql_text", TEXT_OF_SQL),
    ("start_date", "did you mean `transaction_age`?"),
    ("start_time", "did you mean `transaction_age`?"),
    ("sysdate", AGES),
    ("systimestamp", AGES),
    ("used_ublk", "did you mean `undo`, in bytes?"),
    ("used_urec", "did you mean `undo_records`?"),
    ("user", "did you mean `username`?"),
    ("user_name", "did you mean `username`?"),
    ("wait", "did you mean `waited`?"),
    ("wait_event", "did you mean `event`?"),
    ("wait_time_ms", "did you mean `waited`?"),
    ("xidusn", "write `in transaction`"),
];

/// What to write for a name that is not a column here.
pub(crate) fn instead_of_column(word: &str) -> Option<&'static str> {
    let lower = word.to_ascii_lowercase();
    OTHER_NAMES
        .iter()
        .find(|(name, _)| *name == lower)
        .map(|(_, hint)| *hint)
}

/// Views, and what to write instead of a query of them. The first one in this order that the query contains decides.
const VIEWS: [(&str, &str); 24] = [
    ("mystat", OWN),
    ("sys_context", OWN),
    ("userenv", OWN),
    (
        "dba_users",
        "accounts that Oracle maintains are always spared (protection `sys`); put others into a list: `username in @team`",
    ),
    (
        "all_users",
        "accounts that Oracle maintains are always spared (protection `sys`); put others into a list: `username in @team`",
    ),
    (
        "dba_jobs",
        "leave it out: job slaves are always spared (protection `jobs`)",
    ),
    (
        "scheduler_running",
        "leave it out: job slaves are always spared (protection `jobs`)",
    ),
    (
        "datapump",
        "leave it out: Data Pump is always spared (protection `data-pump`)",
    ),
    (
        "px_session",
        "write `px_servers > 8`, the parallel servers that a session holds; they themselves are always spared",
    ),
    (
        "v$bgprocess",
        "leave it out: background processes are always spared (protection `background`)",
    ),
    (
        "v$transaction",
        "write `in transaction`, `in transaction longer than 1h` or `undo_records > 1000`",
    ),
    (
        "v$lock",
        "write `blocking`, `blocking longer than 5m` or `blocked longer than 5m`",
    ),
    ("dba_blockers", "write `blocking` or `blocking longer than 5m`"),
    ("dba_waiters", "write `blocked` or `blocked longer than 5m`"),
    ("blocking_session", "write `blocking` or `blocking longer than 5m`"),
    (
        "v$process",
        "`spid` and `pga` are columns of the session: `spid = '1234'`, `pga > 2GB`",
    ),
    ("sort_usage", "write `temp > 10GB`"),
    ("tempseg_usage", "write `temp > 10GB`"),
    (
        "sess_io",
        "`cpu`, `logical_reads`, `physical_reads`, `redo` and `waited` are columns of the session",
    ),
    (
        "session_wait",
        "`event`, `wait_class`, `state` and `waited` are columns of the session",
    ),
    (
        "sesstat",
        "`cpu`, `logical_reads`, `physical_reads`, `redo` and `waited` are columns of the session",
    ),
    ("v$sql", TEXT_OF_SQL),
    (
        "longops",
        "write `statement_age`: how long the statement has been running",
    ),
    ("count(", GROUPS),
];

/// The mistake for a subquery, if there is one.
pub(super) fn query(all: &[&Sql]) -> Option<Mistake> {
    let (text, at) = all.iter().find_map(|one| match &one.kind {
        SqlKind::Query(text) => Some((text, one.at.clone())),
        _ => None,
    })?;
    Some(subquery(text, at))
}

/// The mistake for a subquery, whose text is in lower case.
pub(crate) fn subquery(text: &str, at: Range<usize>) -> Mistake {
    let known = VIEWS.iter().find(|(view, _)| text.contains(view));
    let hint = known.map_or(
        "write the values themselves, `username in (SHOP, CRM)`, or a list from `lists:`, `username in @name`",
        |(_, hint)| hint,
    );
    Mistake::new(at, "no-subqueries", "conditions do not support subqueries").hint(hint)
}

/// The mistake for a comparison with the session that runs the query, such as `audsid != userenv('sessionid')`.
pub(super) fn own_session(all: &[&Sql], at: &Range<usize>) -> Option<Mistake> {
    let own = all.iter().any(|one| match &one.kind {
        SqlKind::Call { name, .. } => matches!(name.as_str(), "userenv" | "sys_context"),
        _ => false,
    });
    own.then(|| Mistake::new(at.clone(), "no-functions", "conditions do not support functions").hint(OWN))
}

/// The mistake for a misspelt column: only once it is correct can the hint show the whole comparison.
pub(super) fn misspelt(all: &[&Sql]) -> Option<Mistake> {
    all.iter().find_map(|one| {
        let SqlKind::Plain(TermKind::Word(word)) = &one.kind else {
            return None;
        };
        if Column::named(word).is_some() || instead_of_column(word).is_some() {
            return None;
        }
        let hint = did_you_mean(word, Column::ALL.iter().map(|column| column.name()))?;
        let message = format!("unknown column {}", quoted(word));
        Some(Mistake::new(one.at.clone(), "unknown-column", message).hint(hint))
    })
}

/// What to write for a part of a comparison, if the comparison as a whole has no counterpart.
pub(super) fn instead_of(sql: &Sql, form: Predicate<'_>) -> Option<String> {
    match &sql.kind {
        SqlKind::Call { name, arguments } => Some(function(name, arguments)),
        SqlKind::Case => Some("write each case out: `(a and b) or (c and d)`".to_owned()),
        SqlKind::Variable => {
            Some("write the value itself; put values that change into a list under `lists:`".to_owned())
        }
        SqlKind::Interval(_) => Some(AGES.to_owned()),
        SqlKind::Plain(TermKind::Word(word)) if is_resource(word) => Some(RESOURCES.to_owned()),
        _ if is_the_clock(sql) => Some(AGES.to_owned()),
        SqlKind::Group(members) if members.len() > 1 => Some(match form {
            Predicate::In(_) => "compare each column separately: `sid = 12 and serial# = 345`".to_owned(),
            Predicate::Compare(Comparison::NotEqual, _) => {
                "for several values, write `not in`: `username not in (SHOP, CRM)`".to_owned()
            }
            _ => "for several values, write `in`: `username in (SHOP, CRM)`".to_owned(),
        }),
        SqlKind::Group(_) => Some("leave the parentheses out".to_owned()),
        SqlKind::Fraction(_) => Some("use a smaller unit: `90m` for an hour and a half, `1536MB`".to_owned()),
        SqlKind::Arithmetic { operator: '|', .. } => Some(
            "compare each column separately, `sid = 12 and serial# = 345`; between conditions, write `or`".to_owned(),
        ),
        _ => None,
    }
}

/// Whether a word names a resource of an instance and not a column of a session.
fn is_resource(word: &str) -> bool {
    Column::named(word).is_none() && Resource::named(&word.to_ascii_lowercase()).is_some()
}

/// Whether the operand is SYSDATE or another function that returns the time.
fn is_the_clock(sql: &Sql) -> bool {
    let SqlKind::Plain(TermKind::Word(word)) = &sql.kind else {
        return false;
    };
    [
        "sysdate",
        "systimestamp",
        "current_date",
        "current_timestamp",
        "localtimestamp",
    ]
    .iter()
    .any(|now| now.eq_ignore_ascii_case(word))
}

/// Whether the operand is an amount, or the difference of two dates, and not a date.
fn is_an_age(sql: &Sql) -> bool {
    match &sql.kind {
        SqlKind::Arithmetic { left, operator, right } => {
            *operator == '-' && left.all().into_iter().any(is_a_date) && right.all().into_iter().any(is_a_date)
        }
        SqlKind::Plain(TermKind::Word(word)) => Column::named(word)
            .is_some_and(|column| matches!(column.kind(), Kind::Duration | Kind::Size | Kind::Number)),
        _ => false,
    }
}

fn is_a_date(sql: &Sql) -> bool {
    let named = match &sql.kind {
        SqlKind::Plain(TermKind::Word(word)) => Column::named(word),
        _ => None,
    };
    is_the_clock(sql) || named.is_some_and(|column| column.kind() == Kind::Time)
}

fn function(name: &str, arguments: &[Sql]) -> String {
    match name {
        "count" | "sum" | "max" | "min" | "avg" => GROUPS.to_owned(),
        "to_char" if column_in(arguments).is_some_and(|column| !matches!(column.kind(), Kind::Time)) => {
            own_column(arguments)
        }
        "to_char" | "extract" if !arguments.iter().flat_map(|argument| argument.all()).any(is_the_clock) => {
            AGES.to_owned()
        }
        "to_char" | "extract" => {
            "the key `schedule` of the policy sets when it acts: `schedule: '* 19-23 * * MON-FRI'`".to_owned()
        }
        "trunc" if !arguments.iter().flat_map(|argument| argument.all()).any(is_an_age) => {
            format!("TRUNC of a date counts calendar days, which conditions do not; {AGES}")
        }
        "round" | "trunc" | "floor" | "ceil" => {
            "compare the column itself: `last_call_et >= 5h` is what `floor(last_call_et/3600) > 4` selects".to_owned()
        }
        "regexp_like" => {
            "write `program matches '...'`, which has no back-references, no look-around and only the flags i, c, n, m and x"
                .to_owned()
        }
        "to_date" | "to_timestamp" | "cast" | "numtodsinterval" | "add_months" | "months_between" => {
            AGES.to_owned()
        }
        "upper" | "lower" | "initcap" | "nls_upper" | "nls_lower" => {
            "comparisons are case-sensitive; `program matches '(?i)toad'` ignores case".to_owned()
        }
        "nvl" | "nvl2" | "coalesce" => {
            let name = column_in(arguments).map_or("module", Column::name);
            format!("compare the column itself, and test for NULL beside it: `{name} is null`, `{name} is not null`")
        }
        "decode" => "write each case out: `(a and b) or (c and d)`".to_owned(),
        "exists" => "write the values themselves: `username in (SHOP, CRM)`".to_owned(),
        "instr" | "substr" | "regexp_substr" | "regexp_instr" | "regexp_replace" | "replace" | "translate" => {
            "to look for a part of a text, write `like '%TOAD%'` or `matches '(?i)toad'`".to_owned()
        }
        _ => own_column(arguments),
    }
}

fn own_column(arguments: &[Sql]) -> String {
    match column_in(arguments) {
        Some(column) => format!("compare the column itself: `{}`", column.name()),
        None => "compare a column with a value".to_owned(),
    }
}

/// The first column in the arguments of a function.
fn column_in(arguments: &[Sql]) -> Option<Column> {
    arguments
        .iter()
        .flat_map(|argument| argument.all())
        .find_map(|one| match &one.kind {
            SqlKind::Plain(TermKind::Word(word)) => Column::named(word),
            _ => None,
        })
}
