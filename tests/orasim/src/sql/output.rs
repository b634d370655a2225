//! What a query block hands out: how its columns are called, and how many rows ROWNUM leaves of it.

use sqlparser::ast::{Expr, GroupByExpr, OrderBy, Select, SelectItem};

use super::expr::{has_aggregate, has_window, name_of};

/// Whether the rows that WHERE lets through are the rows of the result, one for one and in that order.
pub(super) fn may_be_limited(select: &Select, order: Option<&OrderBy>) -> bool {
    let grouped = matches!(&select.group_by, GroupByExpr::Expressions(by, _) if !by.is_empty());
    let windowed = |item: &SelectItem| match item {
        SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => {
            has_aggregate(expr) || has_window(expr)
        }
        SelectItem::ExprWithAliases { .. } | SelectItem::QualifiedWildcard(..) | SelectItem::Wildcard(_) => false,
    };
    order.is_none()
        && !grouped
        && select.having.is_none()
        && select.distinct.is_none()
        && select.connect_by.is_empty()
        && !select.projection.iter().any(windowed)
}

/// The least of the limits, of which -1 is none.
pub(super) fn limited_by(sql: String, limits: &[String]) -> String {
    limits
        .iter()
        .fold(sql, |sql, limit| format!("SELECT * FROM ({sql} LIMIT {limit})"))
}

/// A result column without an alias is called as it was written, in capitals and without space.
pub(super) fn output_name(expr: &Expr, text: &str, start: usize) -> String {
    match expr {
        Expr::Identifier(ident) => name_of(ident),
        Expr::CompoundIdentifier(parts) => parts.last().map(name_of).unwrap_or_default(),
        _ => {
            let end = end_of_item(text, start);
            let mut inside = false;
            let written = text.get(start..end).unwrap_or_default().chars();
            let name = written.filter_map(|c| {
                inside ^= c == '\'';
                if inside || c == '\'' {
                    Some(c)
                } else {
                    (!c.is_whitespace()).then_some(c.to_ascii_uppercase())
                }
            });
            name.take(128).collect()
        }
    }
}

/// Where a select list item that starts here ends: at a comma or FROM outside parentheses and quotes.
fn end_of_item(text: &str, start: usize) -> usize {
    let (mut depth, mut inside) = (0_i32, false);
    let item = text.get(start..).unwrap_or_default();
    for (at, c) in item.char_indices().map(|(at, c)| (start + at, c)) {
        match c {
            '\'' => inside = !inside,
            _ if inside => {}
            '(' => depth += 1,
            ')' if depth == 0 => return at,
            ')' => depth -= 1,
            ',' if depth == 0 => return at,
            c if c.is_whitespace() && depth == 0 => {
                let rest = text[at..].trim_start();
                if rest.get(..4).is_some_and(|word| word.eq_ignore_ascii_case("FROM")) {
                    return at;
                }
            }
            _ => {}
        }
    }
    text.len()
}
