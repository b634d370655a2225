//! Names, orders and conditions as they stand in a statement.

use sqlparser::ast::{Expr, ObjectName, OrderBy, OrderByExpr, OrderByKind};

use super::expr::name_of;
use super::query::Result;
use crate::error::known;

pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

pub(super) fn last_name(name: &ObjectName) -> String {
    name.0
        .last()
        .and_then(|part| part.as_ident())
        .map(name_of)
        .unwrap_or_default()
}

pub(super) fn order_terms(order: Option<&OrderBy>) -> Result<&[OrderByExpr]> {
    match order.map(|order| &order.kind) {
        None => Ok(&[]),
        Some(OrderByKind::Expressions(terms)) => Ok(terms),
        Some(OrderByKind::All(_)) => Err(known(936)),
    }
}

/// Oracle sorts NULL last, and first when descending.
pub(super) fn direction(by: &OrderByExpr) -> &'static str {
    let descending = matches!(by.options.sort, Some(sqlparser::ast::OrderBySort::Desc));
    match (descending, by.options.nulls_first.unwrap_or(descending)) {
        (false, false) => " ASC NULLS LAST",
        (false, true) => " ASC NULLS FIRST",
        (true, false) => " DESC NULLS LAST",
        (true, true) => " DESC NULLS FIRST",
    }
}

/// The conditions that an AND joins.
pub(super) fn split_and<'e>(expr: &'e Expr, into: &mut Vec<&'e Expr>) {
    match expr {
        Expr::BinaryOp {
            left,
            op: sqlparser::ast::BinaryOperator::And,
            right,
        } => {
            split_and(left, into);
            split_and(right, into);
        }
        Expr::Nested(inner) => split_and(inner, into),
        other => into.push(other),
    }
}

pub(super) fn is_pseudo(expr: &Expr) -> bool {
    matches!(expr, Expr::Identifier(ident)
        if ["SYSDATE", "SYSTIMESTAMP", "USER", "UID", "CURRENT_DATE", "ROWNUM"].contains(&name_of(ident).as_str()))
}
