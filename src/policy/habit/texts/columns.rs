//! NVL of several columns: `nvl(module, program) = 'x'` compares PROGRAM where there is no MODULE.

use super::super::{Predicate, Sql, SqlKind};
use super::{Counterpart, literal, written};
use crate::policy::ast::TermKind;
use crate::policy::condition::Comparison;
use crate::session::column::{Column, Kind};

/// The comparison of each column in turn.
pub(super) fn counterpart(left: &Sql, form: Predicate<'_>, negated: bool) -> Option<Counterpart> {
    let SqlKind::Call { name, arguments } = &left.kind else {
        return None;
    };
    if !matches!(name.as_str(), "nvl" | "coalesce") {
        return None;
    }
    let named = |sql: &Sql| match &sql.kind {
        SqlKind::Plain(TermKind::Word(word)) => Column::named(word).filter(|column| column.kind() == Kind::Text),
        _ => None,
    };
    let columns: Vec<Column> = arguments.iter().map_while(named).collect();
    let rest = &arguments[columns.len()..];
    if columns.len() < 2 || rest.len() > 1 {
        return None;
    }
    let default = match rest.first() {
        Some(default) => Some(literal(default)?.text),
        None => None,
    };
    let (texts, negated) = match form {
        Predicate::Compare(Comparison::Equal, right) => (vec![literal(right)?.text], negated),
        Predicate::Compare(Comparison::NotEqual, right) => (vec![literal(right)?.text], !negated),
        Predicate::In(values) if !values.is_empty() => {
            let texts: Option<Vec<String>> = values.iter().map(|value| literal(value).map(|one| one.text)).collect();
            (texts?, negated)
        }
        _ => return None,
    };
    if texts.iter().any(String::is_empty) {
        return Some(Counterpart::Reason(super::EMPTY.to_owned()));
    }
    let null: Vec<String> = columns
        .iter()
        .map(|column| format!("{} is null", column.name()))
        .collect();
    let shapes: Vec<_> = texts
        .iter()
        .map(|text| vec![super::Piece::Text(text.clone())])
        .collect();
    let mut cases: Vec<String> = Vec::new();
    for (at, column) in columns.iter().enumerate() {
        let term = written::term(column.name(), negated, &shapes, false);
        cases.push(match at {
            0 => term,
            _ => format!("({} and {term})", null[..at].join(" and ")),
        });
    }
    if default.is_some_and(|default| !default.is_empty() && texts.contains(&default) != negated) {
        cases.push(format!("({})", null.join(" and ")));
    }
    Some(Counterpart::Exact(format!("({})", cases.join(" or "))))
}
