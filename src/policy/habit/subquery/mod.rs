//! Subqueries: `sid in (select blocking_session from v$session)` is `blocking`.
//!
//! What the rows of a view say about a session has a phrase or a column in a policy. The subquery is read, and what the comparison
//! asks of it: rows, or none. The words for it are proposed in place of the comparison only where they select no more sessions than
//! the clause, at the place where it stands: where they are true of more sessions, that is under a NOT or in `unless`. Otherwise the
//! hint names them, and says what is different.

mod asked;
mod facts;
mod read;

use super::texts::quoted;
use super::{Aim, GROUPS, Place, Predicate, Sql, SqlKind};
use crate::policy::ast::TermKind;
use crate::policy::condition::Comparison;
use crate::policy::lex::Mistake;
use crate::quantity::Bytes;
use crate::session::column::{Column, Kind};
use asked::{Asked, RowQuestion, question};
use facts::{OF_PDBS, OWN_SESSIONS, PROTECTED, ViewFact, instead_of_view, known, looked_up, nulls};
use read::{NamedColumn, Restriction, Selected, Subquery, ValueTest};

/// The mistake for a comparison with a subquery, if it is one.
pub(super) fn answer(left: &Sql, form: Predicate<'_>, negated: bool, place: &Place) -> Option<Mistake> {
    let operands = std::iter::once(left).chain(form.operands());
    let (text, at) = operands.flat_map(Sql::all).find_map(|one| match &one.kind {
        SqlKind::Query(text) => Some((text, one.at.clone())),
        _ => None,
    })?;
    let mistake = |at| Mistake::new(at, "no-subqueries", "conditions do not support subqueries");
    let (place, outer) = place.with_its_not();
    let negated = negated != outer;
    let query = Subquery::read(text);
    let question = question(left, form, negated, place.aim, query.as_ref());
    let lower = text.to_lowercase();
    let own = lower.contains("userenv") && (lower.contains("'sid'") || lower.contains("'sessionid'"));
    let own = own.then_some(("", OWN_SESSIONS, "self"));
    if let Some((_, who, protection)) = own.or_else(|| PROTECTED.into_iter().find(|(view, ..)| lower.contains(view))) {
        let asked = question.map(|question| question.asked);
        let hint = protected(who, protection, asked, place.aim);
        return Some(mistake(place.at).hint(hint));
    }
    let told = query.as_ref().and_then(|query| {
        let looked = look_up(query, question.as_ref(), left, form, negated);
        match looked {
            Some(written) => Some(SubqueryAdvice::Same(written)),
            None => told(query, question.as_ref()?, place.aim),
        }
    });
    Some(match told {
        Some(SubqueryAdvice::Same(written)) => mistake(place.at).hint(format!("write `{written}`")),
        Some(SubqueryAdvice::Meant(hint)) => mistake(place.at).hint(hint),
        Some(SubqueryAdvice::Nearest(hint)) => mistake(at).hint(hint),
        None => mistake(at).hint(generic(&lower, query.as_ref(), question.as_ref())),
    })
}

/// What to say of a comparison that is understood.
enum SubqueryAdvice {
    /// To write in its place.
    Same(String),
    /// What is meant, and why it is something else than what is written.
    Meant(String),
    Nearest(String),
}

/// The hint about sessions that are always spared.
fn protected(who: &str, protection: &str, asked: Option<Asked>, aim: Aim) -> String {
    let spared = format!("are always spared (protection `{protection}`)");
    let unless = match protection {
        "jobs" | "data-pump" => format!(", unless the policy has `allow: [{protection}]`"),
        _ => String::new(),
    };
    match (asked.map(Asked::is_positive), aim) {
        (Some(false), Aim::Acts) | (Some(true), Aim::Spares) => format!("leave it out{unless}: {who} {spared}"),
        (Some(true), Aim::Acts) => format!("this is true of {who} alone, which {spared}{unless}"),
        (Some(false), Aim::Spares) => format!("this is true of all sessions but {who}, which {spared}{unless}"),
        (None, _) | (_, Aim::Either) => format!("{who} {spared}{unless}"),
    }
}

/// The two columns by which a row is that of the session, in this order: the view's, the session's.
fn keys<'a>(query: &'a Subquery, question: Option<&'a RowQuestion>) -> Vec<(&'a str, &'a str)> {
    let mut keys = Vec::new();
    if let (Some(members), Selected::Columns(selected)) =
        (question.and_then(|one| one.members.as_ref()), &query.selected)
        && members.len() == selected.len()
    {
        keys.extend(
            selected
                .iter()
                .map(String::as_str)
                .zip(members.iter().map(String::as_str)),
        );
    }
    let pair = |one: &'a NamedColumn, other: &'a NamedColumn| match (query.is_own(one), query.is_own(other)) {
        (Some(true), Some(false) | None) | (None, Some(false)) => Some((one.name.as_str(), other.name.as_str())),
        (Some(false), Some(true) | None) | (None, Some(true)) => Some((other.name.as_str(), one.name.as_str())),
        // The columns of another view have names that the session's have not.
        (None, None) if query.view != "v$session" => {
            let (one, other) = (one.name.as_str(), other.name.as_str());
            Some(if Column::named(one).is_some() {
                (other, one)
            } else {
                (one, other)
            })
        }
        _ => None,
    };
    for restriction in &query.restrictions {
        if let Restriction::Pair(one, other) = restriction {
            keys.extend(pair(one, other));
        }
    }
    keys
}

/// Pairs of columns that say more precisely which session it is.
const ALSO: [(&str, &str); 10] = [
    ("inst_id", "inst_id"),
    ("con_id", "con_id"),
    ("serial#", "serial#"),
    ("session_num", "serial#"),
    ("blocking_instance", "inst_id"),
    ("final_blocking_instance", "inst_id"),
    ("inst_id", "blocking_instance"),
    ("blocker_instance_id", "inst_id"),
    ("qcserial#", "serial#"),
    ("qcinst_id", "inst_id"),
];

/// The fact that the subquery asks for, and whether it has conditions of its own beside.
fn fact(query: &Subquery, question: &RowQuestion) -> Option<(ViewFact, bool)> {
    let keys = keys(query, Some(question));
    let of_locks = query.view == "v$lock" && keys.contains(&("sid", "sid"));
    let positive = |name: &str| {
        query.restrictions.iter().any(|one| match one {
            Restriction::Value(column, test) => {
                column == name && ["> 0", ">= 1", "!= 0", "= 1"].contains(&test.written("", false).trim())
            }
            _ => false,
        })
    };
    let fact = if of_locks {
        match (positive("block"), positive("request")) {
            (true, false) => known("v$lock", "block", "sid"),
            (false, true) => known("v$lock", "request", "sid"),
            _ => None,
        }
    } else {
        keys.iter().find_map(|(own, other)| known(&query.view, own, other))
    }?;
    let trivial = |one: &Restriction| match one {
        Restriction::Pair(..) => true,
        Restriction::NotNull(name) => name == fact.own || name == "blocking_instance",
        Restriction::Value(name, test) => {
            of_locks && name == fact.own
                || name == "blocking_session_status"
                    && test.written("", false).trim() == "= 'VALID'"
                    && fact.yes == "blocking"
        }
        Restriction::Other => false,
    };
    let is_key = |(own, other): &&(&str, &str)| {
        of_locks && (*own, *other) == ("sid", "sid") || *own == fact.own && *other == fact.of_the_session
    };
    let unknown = keys.iter().filter(|key| !is_key(key)).any(|key| !ALSO.contains(key));
    let pairs = query
        .restrictions
        .iter()
        .filter(|one| matches!(one, Restriction::Pair(..)))
        .count();
    let members = question.members.as_ref().map_or(0, Vec::len);
    let restricted = unknown || keys.len() != pairs + members || !query.restrictions.iter().all(trivial);
    Some((fact, restricted))
}

fn told(query: &Subquery, question: &RowQuestion, aim: Aim) -> Option<SubqueryAdvice> {
    let (fact, restricted) = fact(query, question)?;
    let (words, counts) = match question.asked {
        Asked::Some => (fact.yes.to_owned(), false),
        Asked::None => (fact.no.to_owned(), false),
        Asked::AtLeast(rows) if fact.yes == "blocking" => (format!("blocking {rows} sessions"), true),
        Asked::FewerThan(rows) if fact.yes == "blocking" => (format!("not blocking {rows} sessions"), true),
        Asked::AtLeast(_) | Asked::FewerThan(_) => return None,
    };
    let positive = question.asked.is_positive();
    let narrows = match aim {
        Aim::Acts => !positive,
        Aim::Spares => positive,
        Aim::Either => false,
    };
    let wider = match (restricted, fact.wider, counts) {
        (true, ..) => Some(format!("the subquery has conditions of its own; {}", fact.more)),
        (false, Some(why), _) => Some(why.to_owned()),
        (false, None, true) => Some("it also counts the sessions that wait through others".to_owned()),
        (false, None, false) => None,
    };
    if let Some(why) = wider.filter(|_| !narrows) {
        let than = match (aim, positive) {
            (Aim::Either, _) => "other sessions",
            (_, true) => "more sessions",
            (_, false) => "fewer sessions",
        };
        return Some(SubqueryAdvice::Nearest(format!(
            "the nearest is `{words}`, but it is true of {than}: {why}"
        )));
    }
    let without_null = query.restrictions.iter().any(|one| match one {
        Restriction::NotNull(name) => name == fact.own,
        Restriction::Value(name, _) => name == "blocking_session_status" || name == fact.own,
        Restriction::Pair(..) | Restriction::Other => false,
    });
    let null = question.members.as_ref().and_then(|_| nulls(&fact, without_null));
    // UNKNOWN is not TRUE where that decides, as FALSE is not; and the other way round.
    let differs = match aim {
        Aim::Acts => !positive,
        Aim::Spares => positive,
        Aim::Either => true,
    };
    Some(match null.filter(|_| differs) {
        Some(null) => {
            let never = if positive { "false" } else { "true" };
            SubqueryAdvice::Meant(format!(
                "`{words}` is meant; as it is written, this is never {never}, because {null}"
            ))
        }
        None => SubqueryAdvice::Same(words),
    })
}

/// The comparison of the session's own column with the constant, where the subquery looks for a row of the session with it.
fn look_up(
    query: &Subquery,
    question: Option<&RowQuestion>,
    left: &Sql,
    form: Predicate<'_>,
    negated: bool,
) -> Option<String> {
    let keys = keys(query, question);
    let (own, other) = keys
        .iter()
        .find(|key| !ALSO.contains(key) || key.0 == "con_id")
        .copied()?;
    let mut values = query.restrictions.iter().filter_map(|one| match one {
        Restriction::Value(name, test) => Some((name, test)),
        _ => None,
    });
    let beside = query.restrictions.iter().any(|one| matches!(one, Restriction::Other));
    if beside || keys.iter().any(|key| *key != (own, other) && !ALSO.contains(key)) {
        return None;
    }
    match (values.next(), values.next(), question) {
        // `paddr in (select addr from v$process where spid = '12')`
        (Some((name, test)), None, Some(RowQuestion { asked, .. })) => {
            let column = looked_up(&query.view, own, other, name)?;
            let test = in_quotes(test, column);
            match asked {
                Asked::Some => Some(test.written(column, false)),
                Asked::None => Some(test.written(column, true)),
                Asked::AtLeast(_) | Asked::FewerThan(_) => None,
            }
        }
        // `(select spid from v$process p where p.addr = s.paddr) = '12'`
        (None, _, None) => {
            let (SqlKind::Query(_), Selected::Columns(selected)) = (&left.kind, &query.selected) else {
                return None;
            };
            let [name] = selected.as_slice() else { return None };
            let column = looked_up(&query.view, own, other, name)?;
            let test = constants(form)?;
            Some(in_quotes(&test, column).written(column, negated))
        }
        _ => None,
    }
}

/// The test, with its constants as literals of the column's kind.
fn in_quotes(test: &ValueTest, column: &str) -> ValueTest {
    let kind = Column::named(column).map(Column::kind);
    let literal = |value: &String| match (kind, value.parse::<i64>()) {
        (Some(Kind::Text), Ok(_)) => quoted(value),
        (Some(Kind::Size), Ok(bytes)) => Bytes(bytes).in_full().to_string(),
        _ => value.clone(),
    };
    match test {
        ValueTest::Compare(operator, value) => ValueTest::Compare(*operator, literal(value)),
        ValueTest::In(values) => ValueTest::In(values.iter().map(literal).collect()),
        ValueTest::Like(pattern) => ValueTest::Like(pattern.clone()),
    }
}

/// What follows the left operand, if all of it is constants.
fn constants(form: Predicate<'_>) -> Option<ValueTest> {
    let constant = |sql: &Sql| match &sql.kind {
        SqlKind::Plain(TermKind::Text(text)) if !text.is_empty() => Some(quoted(text)),
        SqlKind::Plain(TermKind::Number(number)) => Some(number.to_string()),
        _ => None,
    };
    match form {
        Predicate::Compare(operator, right) => Some(ValueTest::Compare(operator, constant(right)?)),
        Predicate::In(values) if !values.is_empty() => {
            Some(ValueTest::In(values.iter().map(constant).collect::<Option<_>>()?))
        }
        Predicate::Like(pattern, None) => Some(ValueTest::Like(constant(pattern)?)),
        _ => None,
    }
}

/// What a policy has instead of a query, without a word on what the comparison asks of it.
fn generic(lower: &str, query: Option<&Subquery>, question: Option<&RowQuestion>) -> String {
    let of_itself = query.is_some_and(|query| {
        query.view == "v$session"
            && keys(query, question)
                .iter()
                .any(|(own, other)| *own == "sid" && *other == "sid")
    });
    if of_itself {
        let positive = question.is_none_or(|question| question.asked.is_positive());
        let not = if positive { "" } else { " after `not`" };
        return format!("a condition is asked of each session: write what follows WHERE, in parentheses{not}");
    }
    if let Some(hint) = instead_of_view(lower) {
        return hint.to_owned();
    }
    if lower.contains("count(") {
        return GROUPS.to_owned();
    }
    let members = question.and_then(|question| question.members.as_ref());
    if let Some((query, true)) = query.zip(members.map(|members| members.iter().any(|member| member == "sid"))) {
        return format!(
            "{} is not read: compare columns of the session",
            query.view.to_uppercase()
        );
    }
    "write the values themselves, `username in (SHOP, CRM)`, or a list from `lists:`, `username in @name`".to_owned()
}

/// The hint for a comparison with the session that runs the query, such as `audsid != userenv('sessionid')`, or with another
/// value of SYS_CONTEXT.
pub(super) fn of_the_context(left: &Sql, form: Predicate<'_>, negated: bool, place: &Place) -> Option<Mistake> {
    let operands = std::iter::once(left).chain(form.operands());
    let arguments = operands.flat_map(Sql::all).find_map(|one| match &one.kind {
        SqlKind::Call { name, arguments } if matches!(name.as_str(), "userenv" | "sys_context") => Some(arguments),
        _ => None,
    })?;
    let named = arguments.last().and_then(|last| match &last.kind {
        SqlKind::Plain(TermKind::Text(text)) => Some(text.to_lowercase()),
        _ => None,
    });
    let mistake = |at| Mistake::new(at, "no-functions", "conditions do not support functions");
    let hint = match named.as_deref() {
        Some("sid" | "sessionid" | "bg_job_id" | "fg_job_id") | None => {
            let (place, outer) = place.with_its_not();
            let asked = match form {
                Predicate::Compare(Comparison::Equal, _) | Predicate::In(_) => Some(Asked::Some),
                Predicate::Compare(Comparison::NotEqual, _) => Some(Asked::None),
                _ => None,
            };
            let asked = asked.map(|asked| if negated != outer { asked.opposite() } else { asked });
            return Some(mistake(place.at).hint(protected(OWN_SESSIONS, "self", asked, place.aim)));
        }
        Some("con_name" | "con_id") => OF_PDBS,
        Some("instance" | "instance_name") => "compare `inst_id` with the number of the instance itself",
        Some("db_name" | "db_unique_name" | "db_domain" | "server_host" | "database_role" | "service_name") => {
            "the key `databases: [...]` of the policy selects the databases"
        }
        Some(_) => "write the value itself: the function would tell of orareaper's own session",
    };
    Some(mistake(place.at.clone()).hint(hint))
}

#[cfg(test)]
mod tests;
