//! Sizes in blocks: `used_ublk * 8192 > 1073741824` is `undo > 1GB` where blocks have 8192 bytes.
//!
//! A policy knows these sizes in bytes. Whether the factor is the database's size of a block is not known here, so what is
//! proposed has this reservation.

use super::{Predicate, Sql, SqlKind, linear};
use crate::policy::ast::TermKind;

/// The column in bytes for one in blocks.
fn in_bytes(sql: &Sql) -> Option<&'static str> {
    match &sql.kind {
        SqlKind::Plain(TermKind::Word(word)) => match word.to_ascii_lowercase().as_str() {
            "used_ublk" => Some("undo"),
            "blocks" => Some("temp"),
            _ => None,
        },
        _ => None,
    }
}

/// The operand with such a column times its factor replaced by the column in bytes, and the factor.
fn replaced(sql: &Sql) -> Option<(Sql, i64)> {
    let SqlKind::Arithmetic { left, operator, right } = &sql.kind else {
        return None;
    };
    let of = |kind| Sql {
        at: sql.at.clone(),
        kind,
    };
    if *operator == '*' {
        let factor = |sql: &Sql| match sql.kind {
            SqlKind::Plain(TermKind::Number(number)) => Some(number),
            _ => None,
        };
        let both = in_bytes(left).zip(factor(right));
        if let Some((name, factor)) = both.or_else(|| in_bytes(right).zip(factor(left))) {
            return Some((of(SqlKind::Plain(TermKind::Word(name.to_owned()))), factor));
        }
    }
    let (left, factor) = replaced(left)?;
    let kind = SqlKind::Arithmetic {
        left: Box::new(left),
        operator: *operator,
        right: right.clone(),
    };
    Some((of(kind), factor))
}

/// What the comparison is with blocks of that size.
pub(super) fn counterpart(left: &Sql, form: Predicate<'_>, negated: bool) -> Option<String> {
    let (left, factor) = replaced(left)?;
    let same = linear::counterpart(&left, form, negated)?;
    Some(format!("with blocks of {factor} bytes, this is `{same}`"))
}
