//! From Oracle's query to SQLite's: names are resolved, types worked out, and what must be loaded is noted.
//!
//! Every view or table that a FROM clause names becomes a table of its own in SQLite, filled for this statement alone and
//! only with the columns that the statement mentions ([`Load`]). SQLite's own virtual tables would do without the copy,
//! but cannot be had without unsafe code, and the copy lets its planner build the indexes that joins need.

use sqlparser::ast::{
    Expr, Fetch, GroupByExpr, Ident, LimitClause, OrderBy, Query, Select, SelectItem, SelectItemQualifiedWildcardKind,
    SetExpr, SetOperator, SetQuantifier, Spanned, Value as Literal,
};

use super::clause::{direction, is_pseudo, last_name, order_terms, quoted, split_and};
use super::expr::{Sql, has_aggregate, is_aggregate, name_of, sort_key};
use super::lex::offset;
use super::output::{limited_by, may_be_limited, output_name};
use super::types::Ty;
use crate::backend::{ColumnType, OraError};
use crate::error::{known, ora_at};

/// Where the rows of a FROM item come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// A dictionary or dynamic performance view, by its place among them; `global` for the GV$ form.
    View { view: usize, global: bool },
    /// A user's table.
    Table { owner: String, name: String },
}

/// A table to fill before the statement runs.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    pub(crate) source: Source,
    /// Its columns by the source's order: whether the statement mentions them.
    pub(crate) wanted: Vec<bool>,
    /// Only rows whose column of this number equals this literal or bind are needed.
    pub(crate) only: Vec<(usize, Only)>,
}

/// What a column is compared with.
#[derive(Clone, Debug)]
pub(crate) enum Only {
    Number(f64),
    Bind(usize),
}

/// The clocks of a session, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clocks {
    /// The host's, which V$ views go by.
    pub(crate) host: i64,
    pub(crate) sysdate: i64,
    pub(crate) systimestamp: i64,
    /// What SYSTIMESTAMP is ahead of UTC, in minutes.
    pub(crate) zone: i64,
}

/// What the translator must know of the world.
pub(crate) trait Catalog {
    /// A view or table by its owner (if one is named) and its name, with its columns.
    fn find(&self, owner: Option<&str>, name: &str) -> Option<(Source, Vec<(String, ColumnType)>)>;
    /// SYS_CONTEXT('USERENV', attribute).
    fn userenv(&self, attribute: &str) -> Result<Option<String>>;
    /// What the time is.
    fn clocks(&self) -> Clocks;
    /// The user.
    fn user(&self) -> String;
    /// NLS_DATE_FORMAT and NLS_TIMESTAMP_FORMAT.
    fn date_models(&self) -> (String, String);
    /// A SELECT may do without FROM.
    fn may_omit_from(&self) -> bool;
}

/// A column that can be named.
#[derive(Clone, Debug)]
pub(super) struct Named {
    pub(super) name: String,
    pub(super) ty: Ty,
}

/// A FROM item that columns can be named of.
#[derive(Clone)]
pub(super) struct Item {
    pub(super) name: String,
    pub(super) alias: String,
    pub(super) columns: Vec<Named>,
    pub(super) load: Option<usize>,
}

/// What can be named at a place, and around it.
#[derive(Default)]
pub(super) struct Scope<'p> {
    pub(super) items: Vec<Item>,
    parent: Option<&'p Scope<'p>>,
    /// Columns that USING or NATURAL made one.
    pub(super) shared: Vec<String>,
    /// What PRIOR looks at, while CONNECT BY is read.
    pub(super) prior: Option<Item>,
    /// LEVEL of a hierarchical query.
    pub(super) level: Option<String>,
}

impl Scope<'_> {
    /// Of one item and nothing around it.
    pub(super) fn of(item: Item) -> Self {
        Scope {
            items: vec![item],
            ..Scope::default()
        }
    }
}

/// A query that WITH named.
pub(super) struct Common {
    pub(super) name: String,
    pub(super) columns: Vec<Named>,
}

/// The translation of one statement.
pub(crate) struct Translator<'a> {
    pub(super) text: &'a str,
    pub(super) catalog: &'a dyn Catalog,
    pub(super) binds: &'a [Ty],
    pub(crate) loads: Vec<Load>,
    /// How many query blocks count rows so far.
    pub(super) rownums: usize,
    /// The count that ROWNUM means at this place.
    pub(super) rownum: Option<usize>,
    pub(super) common: Vec<Common>,
    /// How often PRIOR was read.
    pub(super) priors: usize,
    pub(super) aliases: usize,
}

/// A translated query.
pub(crate) struct Translated {
    pub(crate) sql: String,
    pub(crate) columns: Vec<(String, Ty)>,
}

pub(super) type Result<T> = std::result::Result<T, OraError>;

impl<'a> Translator<'a> {
    pub(crate) fn new(text: &'a str, catalog: &'a dyn Catalog, binds: &'a [Ty]) -> Self {
        Self {
            text,
            catalog,
            binds,
            loads: Vec::new(),
            rownums: 0,
            rownum: None,
            common: Vec::new(),
            priors: 0,
            aliases: 0,
        }
    }

    pub(super) fn at(&self, code: u32, text: &str, place: &impl Spanned) -> OraError {
        ora_at(code, text, offset(self.text, place.span().start))
    }

    /// Translates a whole query.
    pub(crate) fn query(&mut self, query: &Query) -> Result<Translated> {
        let outermost = Scope::default();
        self.subquery(query, &outermost)
    }

    pub(super) fn subquery(&mut self, query: &Query, outer: &Scope<'_>) -> Result<Translated> {
        let known_before = self.common.len();
        let counting = self.rownum.take();
        let mut with = Vec::new();
        for cte in query.with.iter().flat_map(|with| &with.cte_tables) {
            let inner = self.subquery(&cte.query, outer)?;
            let name = format!("w{}", self.common.len());
            let mut columns: Vec<Named> = inner.columns.into_iter().map(|(name, ty)| Named { name, ty }).collect();
            for (column, alias) in columns.iter_mut().zip(&cte.alias.columns) {
                column.name = name_of(&alias.name);
            }
            let listed: Vec<_> = columns.iter().map(|column| quoted(&column.name)).collect();
            with.push(format!("{name}({}) AS MATERIALIZED ({})", listed.join(", "), inner.sql));
            self.common.push(Common {
                name: name_of(&cte.alias.name),
                columns,
            });
        }
        let mut result = self.body(&query.body, query.order_by.as_ref(), outer)?;
        if !with.is_empty() {
            result.sql = format!("WITH {} {}", with.join(", "), result.sql);
        }
        result.sql += &self.limit(query.limit_clause.as_ref(), query.fetch.as_ref(), outer)?;
        self.common.truncate(known_before);
        self.rownum = counting;
        Ok(result)
    }

    fn limit(&mut self, limit: Option<&LimitClause>, fetch: Option<&Fetch>, outer: &Scope<'_>) -> Result<String> {
        let skip = match limit {
            Some(LimitClause::LimitOffset {
                limit: None, offset, ..
            }) => offset.as_ref().map(|offset| &offset.value),
            Some(_) => return Err(known(933)),
            None => None,
        };
        let skip = skip.map(|skip| self.expr(skip, outer)).transpose()?;
        let count = match fetch {
            Some(fetch) => Some(match &fetch.quantity {
                Some(count) => self.expr(count, outer)?.text,
                None => "1".into(),
            }),
            None => None,
        };
        Ok(match (count, skip) {
            (None, None) => String::new(),
            (count, skip) => {
                let skip = skip.map_or_else(String::new, |skip| format!(" OFFSET {}", skip.text));
                format!(" LIMIT {}{skip}", count.unwrap_or_else(|| "-1".into()))
            }
        })
    }

    fn body(&mut self, body: &SetExpr, order: Option<&OrderBy>, outer: &Scope<'_>) -> Result<Translated> {
        match body {
            SetExpr::Select(select) => self.select(select, order, outer),
            SetExpr::Query(query) => {
                let inner = self.subquery(query, outer)?;
                let sql = format!("SELECT * FROM ({})", inner.sql);
                let order = self.order_by_output(order, &inner.columns)?;
                Ok(Translated {
                    sql: sql + &order,
                    columns: inner.columns,
                })
            }
            SetExpr::SetOperation {
                left,
                op,
                set_quantifier,
                right,
            } => {
                let left = self.body(left, None, outer)?;
                let right = self.body(right, None, outer)?;
                if left.columns.len() != right.columns.len() {
                    return Err(known(1789));
                }
                let mut pairs = left.columns.iter().zip(&right.columns);
                if pairs.any(|((_, a), (_, b))| unlike(*a, *b)) {
                    return Err(known(1790));
                }
                let all = matches!(set_quantifier, SetQuantifier::All);
                let word = match op {
                    SetOperator::Union if all => "UNION ALL",
                    SetOperator::Union => "UNION",
                    SetOperator::Except | SetOperator::Minus => "EXCEPT",
                    SetOperator::Intersect => "INTERSECT",
                };
                let columns: Vec<_> = left
                    .columns
                    .into_iter()
                    .zip(right.columns)
                    .map(|((name, a), (_, b))| (name, a.with(b)))
                    .collect();
                let order = self.order_by_output(order, &columns)?;
                let sql = format!(
                    "SELECT * FROM ({}) {word} SELECT * FROM ({}){order}",
                    left.sql, right.sql
                );
                Ok(Translated { sql, columns })
            }
            SetExpr::Values(_)
            | SetExpr::Insert(_)
            | SetExpr::Update(_)
            | SetExpr::Delete(_)
            | SetExpr::Merge(_)
            | SetExpr::Table(_) => Err(known(900)),
        }
    }

    /// ORDER BY after a set operation: by number or by name of a result column.
    fn order_by_output(&mut self, order: Option<&OrderBy>, columns: &[(String, Ty)]) -> Result<String> {
        let mut terms = Vec::new();
        for by in order_terms(order)? {
            let number = match &by.expr {
                Expr::Value(value) => match &value.value {
                    Literal::Number(number, _) => number.parse::<usize>().ok(),
                    _ => None,
                },
                Expr::Identifier(ident) => {
                    let name = name_of(ident);
                    columns.iter().position(|(column, _)| *column == name).map(|at| at + 1)
                }
                _ => None,
            };
            match number.filter(|number| (1..=columns.len()).contains(number)) {
                Some(number) => terms.push(format!("{number}{}", direction(by))),
                None => return Err(self.at(1785, "ORDER BY item must be the number of a SELECT-list expression", by)),
            }
        }
        Ok(if terms.is_empty() {
            String::new()
        } else {
            format!(" ORDER BY {}", terms.join(", "))
        })
    }

    fn select(&mut self, select: &Select, order: Option<&OrderBy>, outer: &Scope<'_>) -> Result<Translated> {
        if select.from.is_empty() && !self.catalog.may_omit_from() {
            return Err(ora_at(923, "FROM keyword not found where expected", self.text.len()));
        }
        let mut scope = Scope {
            parent: Some(outer),
            ..Scope::default()
        };
        let mut conjuncts = self.conjuncts(select)?;
        let mut from = self.from(&select.from, &mut scope, outer, &mut conjuncts)?;
        if !select.connect_by.is_empty() {
            from = self.hierarchy(&select.connect_by, &from, &mut scope)?;
        }
        let mut limits = Vec::new();
        let limited = may_be_limited(select, order).then_some(&mut limits);
        let filter = self.filter(&conjuncts, &scope, limited)?;
        let mut columns = Vec::new();
        let mut selected = Vec::new();
        for item in &select.projection {
            self.select_item(item, &scope, &mut columns, &mut selected)?;
        }
        self.check_grouping(select)?;
        let list: Vec<_> = selected
            .iter()
            .zip(&columns)
            .map(|(sql, (name, _))| format!("{sql} AS {}", quoted(name)))
            .collect();
        let distinct = if select.distinct.is_some() { "DISTINCT " } else { "" };
        let mut sql = format!("SELECT {distinct}{}", list.join(", "));
        if !from.is_empty() {
            sql += &format!(" FROM {from}");
        }
        if let Some(filter) = filter {
            sql += &format!(" WHERE {filter}");
        }
        if let GroupByExpr::Expressions(by, _) = &select.group_by
            && !by.is_empty()
        {
            let by: Vec<_> = by
                .iter()
                .map(|by| Ok(self.expr(by, &scope)?.text))
                .collect::<Result<_>>()?;
            sql += &format!(" GROUP BY {}", by.join(", "));
        }
        if let Some(having) = &select.having {
            sql += &format!(" HAVING {}", self.condition(having, &scope)?);
        }
        sql += &self.order_by(order, (&columns, &selected), &scope)?;
        Ok(Translated {
            sql: limited_by(sql, &limits),
            columns,
        })
    }

    /// What WHERE asks, and what Oracle refuses of a query block before it looks at its names.
    fn conjuncts<'e>(&self, select: &'e Select) -> Result<Vec<&'e Expr>> {
        if select.top.is_some() {
            let at = self.text.to_ascii_uppercase().find("TOP").unwrap_or_default();
            return Err(ora_at(923, "FROM keyword not found where expected", at));
        }
        let mut conjuncts = Vec::new();
        if let Some(condition) = &select.selection {
            split_and(condition, &mut conjuncts);
        }
        match conjuncts.iter().find(|conjunct| has_aggregate(conjunct)) {
            Some(conjunct) => Err(self.at(934, "group function is not allowed here", *conjunct)),
            None => Ok(conjuncts),
        }
    }

    /// ORDER BY of a query block: by name of a result column, or by an expression.
    fn order_by(
        &mut self,
        order: Option<&OrderBy>,
        (columns, selected): (&[(String, Ty)], &[String]),
        scope: &Scope<'_>,
    ) -> Result<String> {
        let mut terms = Vec::new();
        for by in order_terms(order)? {
            let alias = match &by.expr {
                Expr::Identifier(ident) => {
                    let name = name_of(ident);
                    columns.iter().position(|(column, _)| *column == name)
                }
                _ => None,
            };
            let term = match alias {
                Some(at) if columns[at].1 == Ty::Long => format!("ora_key({})", selected[at]),
                Some(at) => (at + 1).to_string(),
                None => match self.expr(&by.expr, scope)? {
                    // ORDER BY 2 is a place.
                    it if matches!(by.expr, Expr::Value(_)) => {
                        if it
                            .text
                            .parse::<usize>()
                            .is_ok_and(|place| place == 0 || place > columns.len())
                        {
                            return Err(self.at(
                                1785,
                                "ORDER BY item must be the number of a SELECT-list expression",
                                by,
                            ));
                        }
                        place_key(it.text, columns, selected)
                    }
                    it => sort_key(it),
                },
            };
            terms.push(term + direction(by));
        }
        Ok(if terms.is_empty() {
            String::new()
        } else {
            format!(" ORDER BY {}", terms.join(", "))
        })
    }

    fn check_grouping(&self, select: &Select) -> Result<()> {
        let grouped = match &select.group_by {
            GroupByExpr::Expressions(by, _) => by.as_slice(),
            GroupByExpr::All(_) => return Err(known(936)),
        };
        let expressions = select.projection.iter().filter_map(|item| match item {
            SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => Some(expr),
            SelectItem::ExprWithAliases { .. } | SelectItem::QualifiedWildcard(..) | SelectItem::Wildcard(_) => None,
        });
        let (with, without): (Vec<_>, Vec<_>) = expressions.partition(|expr| has_aggregate(expr));
        let bare = |expr: &&&Expr| matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_));
        if grouped.is_empty() {
            if let Some(nested) = with.iter().find(|expr| nests_aggregates(expr)) {
                return Err(self.at(978, "nested group function without GROUP BY", *nested));
            }
            if select.having.is_some()
                && let Some(column) = without.iter().find(bare)
            {
                return Err(self.at(979, "not a GROUP BY expression", *column));
            }
            return match without.iter().find(bare) {
                Some(column) if !with.is_empty() && !is_pseudo(column) => {
                    Err(self.at(937, "not a single-group group function", *column))
                }
                Some(_) | None => Ok(()),
            };
        }
        let last = |expr: &Expr| match expr {
            Expr::Identifier(ident) => Some(name_of(ident)),
            Expr::CompoundIdentifier(parts) => parts.last().map(name_of),
            _ => None,
        };
        let known: Vec<_> = grouped.iter().filter_map(last).collect();
        match without
            .iter()
            .filter(bare)
            .find(|expr| last(expr).is_some_and(|name| !known.contains(&name)))
        {
            Some(column) if !is_pseudo(column) => Err(self.at(979, "not a GROUP BY expression", *column)),
            Some(_) | None => Ok(()),
        }
    }

    fn select_item(
        &mut self,
        item: &SelectItem,
        scope: &Scope<'_>,
        columns: &mut Vec<(String, Ty)>,
        selected: &mut Vec<String>,
    ) -> Result<()> {
        let mut add = |name: String, sql: Sql| {
            columns.push((name, sql.ty));
            selected.push(sql.text);
        };
        match item {
            SelectItem::UnnamedExpr(expr) => {
                let sql = self.value(expr, scope)?;
                let start = offset(self.text, expr.span().start);
                add(output_name(expr, self.text, start), sql);
            }
            SelectItem::ExprWithAlias { expr, alias } => {
                let sql = self.value(expr, scope)?;
                add(name_of(alias), sql);
            }
            SelectItem::Wildcard(_) => {
                if scope.items.is_empty() {
                    return Err(known(936));
                }
                for item in 0..scope.items.len() {
                    for column in 0..scope.items[item].columns.len() {
                        let sql = self.column(scope, item, column);
                        add(scope.items[item].columns[column].name.clone(), sql);
                    }
                }
            }
            SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), _) => {
                let wanted = last_name(name);
                let Some(item) = scope.items.iter().position(|item| item.name == wanted) else {
                    return Err(self.at(904, &format!("\"{wanted}\": invalid identifier"), name));
                };
                for column in 0..scope.items[item].columns.len() {
                    let sql = self.column(scope, item, column);
                    add(scope.items[item].columns[column].name.clone(), sql);
                }
            }
            SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::Expr(_), _)
            | SelectItem::ExprWithAliases { .. } => return Err(known(923)),
        }
        Ok(())
    }

    /// A column as SQLite names it; it is loaded from then on.
    pub(super) fn column(&mut self, scope: &Scope<'_>, item: usize, column: usize) -> Sql {
        let item = &scope.items[item];
        let named = &item.columns[column];
        if let Some(load) = item.load {
            self.loads[load].wanted[column] = true;
        }
        Sql {
            text: format!("{}.{}", item.alias, quoted(&named.name)),
            ty: named.ty,
        }
    }

    /// Resolves a name, from the inside out.
    pub(super) fn resolve(&mut self, scope: &Scope<'_>, table: Option<&str>, name: &Ident) -> Result<Option<Sql>> {
        let wanted = name_of(name);
        let mut at = Some(scope);
        while let Some(scope) = at {
            let mut found = None;
            for (item, of) in scope.items.iter().enumerate() {
                if table.is_some_and(|table| of.name != table) {
                    continue;
                }
                if let Some(column) = of.columns.iter().position(|column| column.name == wanted) {
                    if found.is_some() && !scope.shared.contains(&wanted) {
                        return Err(ora_at(
                            918,
                            "column ambiguously defined",
                            offset(self.text, name.span.start),
                        ));
                    }
                    found = found.or(Some((item, column)));
                }
            }
            if let Some((item, column)) = found {
                return Ok(Some(self.column(scope, item, column)));
            }
            at = scope.parent;
        }
        Ok(None)
    }

    /// Notes `column = value` for the load of the column's table.
    pub(super) fn only(&mut self, scope: &Scope<'_>, table: Option<&str>, name: &Ident, value: Only) {
        if scope.level.is_some() {
            // The walk goes through rows that WHERE turns away.
            return;
        }
        let wanted = name_of(name);
        let mut matching = scope
            .items
            .iter()
            .filter(|item| table.is_none_or(|table| item.name == table))
            .filter_map(|item| {
                let column = item.columns.iter().position(|column| column.name == wanted)?;
                Some((item.load?, column, item.columns[column].ty))
            });
        if let (Some((load, column, Ty::Number)), None) = (matching.next(), matching.next()) {
            self.loads[load].only.push((column, value));
        }
    }
}

/// Whether values of the two types cannot stand in one column.
fn unlike(a: Ty, b: Ty) -> bool {
    let kind = |ty: Ty| (ty.is_number(), ty.is_text(), ty.is_time());
    a != Ty::Unknown && b != Ty::Unknown && kind(a) != kind(b)
}

/// Whether a group function is applied to another's result.
fn nests_aggregates(expr: &Expr) -> bool {
    let Expr::Function(function) = expr else { return false };
    let mut arguments = super::call::arguments(function).into_iter();
    if is_aggregate(function) {
        arguments.any(has_aggregate)
    } else {
        arguments.any(nests_aggregates)
    }
}

/// The place of a result column as ORDER BY names it, or what it is sorted by.
fn place_key(place: String, columns: &[(String, Ty)], selected: &[String]) -> String {
    let at = place.parse::<usize>().ok().and_then(|place| place.checked_sub(1));
    match at.and_then(|at| Some((columns.get(at)?, selected.get(at)?))) {
        Some(((_, Ty::Long), sql)) => format!("ora_key({sql})"),
        Some(_) | None => place,
    }
}
