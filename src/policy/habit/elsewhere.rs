//! Other views, functions and query clauses that scripts use, and what to write in a policy instead.

use super::{Predicate, Sql, SqlKind};
use crate::policy::ast::TermKind;
use crate::policy::condition::Comparison;
use crate::policy::lex::Mistake;
use crate::policy::pressure::Resource;
use crate::session::column::{Column, Kind};
use crate::yaml::diagnostics::{did_you_mean, quoted};

const AGES: &str = "compare an age: `connected > 1d`, `statement_age > 30m`, `transaction_age > 1h`";
pub(crate) const GROUPS: &str = "a condition judges one session at a time: `keep: {at_least: 2, per: [username, machine, program]}` keeps \
                      some of each group, `while: sessions above 85%` waits until there are many";
pub(crate) const ROWS: &str = "the key `limits` of the policy sets how many sessions are taken: `limits: {per_cycle: 10}`; the key `order` sets \
                    which go first: `order: [idle desc]`";
const BLOCKING: &str = "`blocking` and `not blocking` say whether others wait for the session";
const BLOCKED: &str = "`blocked` and `not blocked` say whether the session waits for another one";
const LOCKS: &str = "locks themselves are not available: `blocking` says whether others wait for the session, `blocked` whether it waits for \
                     another one, `in transaction` whether it has a transaction";
const IN_TRANSACTION: &str = "`in transaction` and `not in transaction` say whether the session has a transaction; `transaction_age` and \
                              `undo_records` are columns";
const STATEMENT_AGE: &str = "`statement_age` is a column: how long the statement has been running";
const SEPARATELY: &str =
    "compare each column separately, `(sid = 12 and serial# = 345)`, with `not` before it for `<>` and NOT IN";
const UNDO: &str = "`undo` is a column: the size in bytes, and not in blocks";
const RESOURCES: &str = "compare the resource itself, in `while` or `until`: `sessions above 85%`, `temp above 20GB`";
const TEXT_OF_SQL: &str = "compare `sql_id`: the text of a statement is not available";

/// Names that scripts use, and what to write instead.
const OTHER_NAMES: [(&str, &str); 69] = [
    (
        "active",
        "the phrases `ACTIVE` and `ACTIVE longer than 4h` have no operator; the column for the age is `running`",
    ),
    (
        "addr",
        "conditions do not support joins: `spid` and `pga` are columns of the session",
    ),
    (
        "blocked",
        "the phrases `blocked` and `blocked longer than 5m` have no operator",
    ),
    ("block", BLOCKING),
    ("blocker", "did you mean `blocking_session`?"),
    (
        "blocks",
        "`temp` is a column: the size of the session's temporary segments in bytes, and not in blocks",
    ),
    (
        "cached",
        "the phrases `CACHED` and `CACHED longer than 4h` have no operator",
    ),
    ("con_name", "did you mean `container`?"),
    (
        "ctime",
        "`blocking longer than 5m` and `blocked longer than 5m` are what a condition knows of the age of locks",
    ),
    ("current_date", AGES),
    ("current_timestamp", AGES),
    (
        "db_name",
        "the key `databases: [...]` of the policy selects the databases",
    ),
    ("elapsed_time", STATEMENT_AGE),
    ("host", "did you mean `machine`?"),
    ("host_name", "did you mean `machine`?"),
    ("hostname", "did you mean `machine`?"),
    ("idle_time", "did you mean `idle`?"),
    (
        "inactive",
        "the phrase `INACTIVE longer than 4h` has no operator; the column for the age is `idle`",
    ),
    ("inactive_time", "did you mean `idle`?"),
    ("instance_name", "`inst_id` is a column: the number of the instance"),
    (
        "killed",
        "the phrases `KILLED` and `KILLED longer than 4h` have no operator",
    ),
    ("kaddr", LOCKS),
    ("last_active", "did you mean `idle`?"),
    ("last_active_time", "did you mean `idle`?"),
    ("localtimestamp", AGES),
    ("locked_mode", LOCKS),
    ("lmode", LOCKS),
    ("logon", "did you mean `connected`?"),
    ("logon_date", "did you mean `connected`?"),
    (
        "name",
        "the name of the PDB is `container`, that of a server process `pname`, that of the account `username`",
    ),
    ("name#", "the name of the account is `username`"),
    ("object_id", LOCKS),
    ("object_name", LOCKS),
    ("os_user", "did you mean `osuser`?"),
    ("pdb", "did you mean `container`?"),
    ("pdb_name", "did you mean `container`?"),
    ("pid", "`spid` is a column: the number of the process on the host"),
    (
        "session_addr",
        "`temp` is a column: the size of the session's temporary segments",
    ),
    ("pga_alloc_mem", "did you mean `pga`?"),
    ("pga_max_mem", "`pga` is a column: PGA_ALLOC_MEM, what is allocated now"),
    (
        "pga_used_mem",
        "`pga` is a column: PGA_ALLOC_MEM, what is allocated and not only what is used",
    ),
    (
        "qcsid",
        "leave it out: parallel servers are always spared (protection `parallel-server`); `px_servers` is how many a session holds",
    ),
    ("request", BLOCKED),
    ("rownum", ROWS),
    ("schema", "did you mean `schemaname`?"),
    ("schema_name", "did you mean `schemaname`?"),
    ("serial", "did you mean `serial#`?"),
    ("service", "did you mean `service_name`?"),
    ("ses_addr", IN_TRANSACTION),
    ("session_id", "did you mean `sid`?"),
    (
        "sniped",
        "the phrases `SNIPED` and `SNIPED longer than 4h` have no operator",
    ),
    ("sofar", STATEMENT_AGE),
    ("sql_fulltext", TEXT_OF_SQL),
    ("time_remaining", STATEMENT_AGE),
    ("totalwork", STATEMENT_AGE),
    ("elapsed_seconds", STATEMENT_AGE),
    ("sql_text", TEXT_OF_SQL),
    ("start_date", "did you mean `transaction_age`?"),
    ("start_time", "did you mean `transaction_age`?"),
    ("sysdate", AGES),
    ("systimestamp", AGES),
    ("used_ublk", UNDO),
    ("used_urec", "did you mean `undo_records`?"),
    ("user", "did you mean `username`?"),
    ("user_name", "did you mean `username`?"),
    ("wait", "did you mean `waited`?"),
    ("wait_event", "did you mean `event`?"),
    ("wait_time_ms", "did you mean `waited`?"),
    ("xidusn", IN_TRANSACTION),
];

/// What to write for a name that is not a column here.
pub(crate) fn instead_of_column(word: &str) -> Option<&'static str> {
    let lower = word.to_ascii_lowercase();
    OTHER_NAMES
        .iter()
        .find(|(name, _)| *name == lower)
        .map(|(_, hint)| *hint)
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
        SqlKind::Plain(TermKind::Word(word)) if Column::named(word).is_none() => {
            instead_of_column(word).map(str::to_owned)
        }
        SqlKind::Group(members) if members.len() > 1 => Some(match form {
            Predicate::In(_) => SEPARATELY.to_owned(),
            _ if members
                .iter()
                .any(|member| column_in(std::slice::from_ref(member)).is_some()) =>
            {
                SEPARATELY.to_owned()
            }
            Predicate::Compare(Comparison::NotEqual, _) => {
                "for several values, write `not in`: `username not in (SHOP, CRM)`".to_owned()
            }
            _ => "for several values, write `in`: `username in (SHOP, CRM)`".to_owned(),
        }),
        SqlKind::Group(_) => Some("leave the parentheses out".to_owned()),
        SqlKind::Fraction(_) => Some("use a smaller unit: `90m` for an hour and a half, `1536MB`".to_owned()),
        SqlKind::Arithmetic { operator: '|', .. } => Some(format!("{SEPARATELY}; between conditions, write `or`")),
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
        "extract" if arguments.is_empty() => {
            format!("the key `schedule` of the policy sets when it acts: `schedule: '* 19-23 * * MON-FRI'`; or {AGES}")
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
        "numtodsinterval" if column_in(arguments).is_some() => own_column(arguments),
        "to_date" | "to_timestamp" | "cast" | "numtodsinterval" | "add_months" | "months_between" => {
            AGES.to_owned()
        }
        "upper" | "lower" | "initcap" | "nls_upper" | "nls_lower" => {
            "comparisons are case-sensitive; `program matches '(?i)toad'` ignores case".to_owned()
        }
        "nvl" | "nvl2" | "coalesce" => {
            if let Some(other) = other_column_in(arguments) {
                return other.to_owned();
            }
            let name = column_in(arguments).map_or("module", Column::name);
            format!("compare the column itself, and test for NULL beside it: `{name} is null`, `{name} is not null`")
        }
        "decode" => "write each case out: `(a and b) or (c and d)`".to_owned(),
        "exists" => "write the values themselves: `username in (SHOP, CRM)`".to_owned(),
        "instr" | "substr" | "regexp_substr" | "regexp_instr" | "regexp_replace" | "replace" | "translate" => {
            "to look for a part of a text, write `like '%TOAD%'` or `matches '(?i)toad'`".to_owned()
        }
        "least" | "greatest" => {
            "compare each column separately, and join them: with `and` if all must be above, with `or` if one is enough".to_owned()
        }
        "length" | "lengthb" | "vsize" => {
            "conditions do not count characters, but patterns do: `like '____%'` is a text of four or more".to_owned()
        }
        "rawtohex" | "hextoraw" | "to_number" | "to_nchar" | "abs"
            if arguments.first().is_some_and(|first| matches!(first.kind, SqlKind::Plain(_))) =>
        {
            own_column(arguments)
        }
        _ => format!(
            "{} has no counterpart: a condition compares a column itself with a value",
            name.to_uppercase()
        ),
    }
}

fn own_column(arguments: &[Sql]) -> String {
    match column_in(arguments) {
        Some(column) => format!("compare the column itself: `{}`", column.name()),
        None => "compare a column with a value".to_owned(),
    }
}

/// What to write instead of a column of another view, if that is the argument of a function.
fn other_column_in(arguments: &[Sql]) -> Option<&'static str> {
    match &arguments.first()?.kind {
        SqlKind::Plain(TermKind::Word(word)) if Column::named(word).is_none() => instead_of_column(word),
        _ => None,
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
