//! FROM: tables, views, subqueries and their joins, the old outer join with `(+)` among them.

use sqlparser::ast::{Expr, Join, JoinConstraint, JoinOperator, ObjectName, TableFactor, TableWithJoins};

use super::clause::last_name;
use super::expr::name_of;
use super::query::{Item, Load, Named, Scope, Source, Translator};
use super::types::Ty;
use crate::backend::OraError;
use crate::error::{known, ora};

type Result<T> = std::result::Result<T, OraError>;

impl Translator<'_> {
    pub(super) fn from<'e>(
        &mut self,
        from: &'e [TableWithJoins],
        scope: &mut Scope<'_>,
        outer: &Scope<'_>,
        conjuncts: &mut Vec<&'e Expr>,
    ) -> Result<String> {
        let mut parts = Vec::new();
        for table in from {
            let mut sql = self.factor(&table.relation, scope, outer)?;
            for join in &table.joins {
                sql += &self.join(join, scope, outer)?;
            }
            parts.push(sql);
        }
        self.marked_outer(&parts, from, scope, conjuncts)
    }

    /// The old outer join: `a.x = b.y(+)` keeps rows of `a` without a match in `b`.
    fn marked_outer<'e>(
        &mut self,
        parts: &[String],
        from: &'e [TableWithJoins],
        scope: &Scope<'_>,
        conjuncts: &mut Vec<&'e Expr>,
    ) -> Result<String> {
        let (marked, kept): (Vec<&Expr>, Vec<&Expr>) =
            conjuncts.iter().copied().partition(|expr| marked_table(expr).is_some());
        if marked.is_empty() || from.iter().any(|table| !table.joins.is_empty()) {
            return Ok(parts.join(" CROSS JOIN "));
        }
        *conjuncts = kept;
        let mut sql = String::new();
        let optional = |name: &str| marked.iter().any(|expr| marked_table(expr).as_deref() == Some(name));
        let (inner, outer): (Vec<usize>, Vec<usize>) =
            (0..scope.items.len()).partition(|at| !optional(&scope.items[*at].name));
        for at in inner {
            sql += if sql.is_empty() { "" } else { " CROSS JOIN " };
            sql += &parts[at];
        }
        for at in outer {
            let mut on = Vec::new();
            for expr in marked
                .iter()
                .filter(|expr| marked_table(expr).as_deref() == Some(&scope.items[at].name))
            {
                on.push(self.condition(expr, scope)?);
            }
            sql += &format!(" LEFT JOIN {} ON {}", parts[at], on.join(" AND "));
        }
        Ok(sql)
    }

    fn join(&mut self, join: &Join, scope: &mut Scope<'_>, outer: &Scope<'_>) -> Result<String> {
        let left = scope.items.len();
        let factor = self.factor(&join.relation, scope, outer)?;
        let (word, constraint) = match &join.join_operator {
            JoinOperator::Join(on) | JoinOperator::Inner(on) => ("JOIN", on),
            JoinOperator::Left(on) | JoinOperator::LeftOuter(on) => ("LEFT JOIN", on),
            JoinOperator::Right(on) | JoinOperator::RightOuter(on) => ("RIGHT JOIN", on),
            JoinOperator::FullOuter(on) => ("FULL JOIN", on),
            JoinOperator::CrossJoin(on) => ("CROSS JOIN", on),
            _ => return Err(known(905)),
        };
        let on = match constraint {
            JoinConstraint::On(condition) => format!(" ON {}", self.condition(condition, scope)?),
            JoinConstraint::Using(names) => {
                let names: Vec<_> = names.iter().map(last_name).collect();
                format!(" ON {}", self.using(&names, scope, left)?)
            }
            JoinConstraint::Natural => {
                let right = &scope.items[left].columns;
                let both = right.iter().filter(|column| {
                    scope.items[..left]
                        .iter()
                        .any(|item| item.columns.iter().any(|it| it.name == column.name))
                });
                let names: Vec<_> = both.map(|column| column.name.clone()).collect();
                format!(" ON {}", self.using(&names, scope, left)?)
            }
            JoinConstraint::None => String::new(),
        };
        Ok(format!(" {word} {factor}{on}"))
    }

    fn using(&mut self, names: &[String], scope: &mut Scope<'_>, left: usize) -> Result<String> {
        let mut on = Vec::new();
        for name in names {
            let of = |item: &Item| item.columns.iter().position(|column| column.name == *name);
            let first = scope.items[..left]
                .iter()
                .enumerate()
                .find_map(|(at, item)| Some((at, of(item)?)));
            let (Some((item, column)), Some(other)) = (first, of(&scope.items[left])) else {
                return Err(ora(904, format!("\"{name}\": invalid identifier")));
            };
            let (a, b) = (self.column(scope, item, column), self.column(scope, left, other));
            on.push(format!("{} = {}", a.text, b.text));
            scope.shared.push(name.clone());
        }
        Ok(if on.is_empty() { "1".into() } else { on.join(" AND ") })
    }

    /// A table or view, or a query that WITH named.
    fn named_table(
        &mut self,
        name: &ObjectName,
        shown: String,
        alias: String,
        scope: &mut Scope<'_>,
    ) -> Result<String> {
        let parts: Vec<String> = name.0.iter().filter_map(|part| part.as_ident()).map(name_of).collect();
        if let [only] = parts.as_slice()
            && let Some(at) = self.common.iter().rposition(|common| common.name == *only)
        {
            let from = format!("w{at} AS {alias}");
            let columns = self.common[at].columns.clone();
            scope.items.push(Item {
                name: shown,
                alias,
                columns,
                load: None,
            });
            return Ok(from);
        }
        let (owner, table) = match parts.as_slice() {
            [table] => (None, table),
            [owner, table] => (Some(owner.as_str()), table),
            _ => return Err(self.at(903, "invalid table name", name)),
        };
        let Some((source, columns)) = self.catalog.find(owner, table) else {
            return Err(self.at(942, "table or view does not exist", name));
        };
        let load = self.loads.len();
        self.loads.push(Load {
            source,
            wanted: vec![false; columns.len()],
            only: Vec::new(),
        });
        let of_users = matches!(self.loads[load].source, Source::Table { .. });
        let ty = |kind| match Ty::of(kind) {
            // Views know no numbers that SQLite does not; what users keep may be any.
            Ty::Number if of_users => Ty::Long,
            other => other,
        };
        let columns = columns
            .into_iter()
            .map(|(name, kind)| Named { name, ty: ty(kind) })
            .collect();
        let from = format!("l{load} AS {alias}");
        scope.items.push(Item {
            name: shown,
            alias,
            columns,
            load: Some(load),
        });
        Ok(from)
    }

    fn factor(&mut self, factor: &TableFactor, scope: &mut Scope<'_>, outer: &Scope<'_>) -> Result<String> {
        let alias = format!("t{}", self.aliases);
        self.aliases += 1;
        match factor {
            TableFactor::Table {
                name,
                alias: given,
                args: None,
                ..
            } => {
                let shown = given
                    .as_ref()
                    .map_or_else(|| last_name(name), |given| name_of(&given.name));
                self.named_table(name, shown, alias, scope)
            }
            TableFactor::Derived {
                subquery, alias: given, ..
            } => {
                let mut inner = self.subquery(subquery, outer)?;
                if subquery.order_by.is_some() && subquery.fetch.is_none() && subquery.limit_clause.is_none() {
                    // SQLite drops the order of a subquery without a limit; ROWNUM outside depends on it.
                    inner.sql += " LIMIT -1";
                }
                let name = given.as_ref().map(|given| name_of(&given.name)).unwrap_or_default();
                let columns = inner.columns.into_iter().map(|(name, ty)| Named { name, ty }).collect();
                scope.items.push(Item {
                    name,
                    alias: alias.clone(),
                    columns,
                    load: None,
                });
                Ok(format!("({}) AS {alias}", inner.sql))
            }
            TableFactor::NestedJoin {
                table_with_joins,
                alias: None,
            } => {
                let mut sql = self.factor(&table_with_joins.relation, scope, outer)?;
                for join in &table_with_joins.joins {
                    sql += &self.join(join, scope, outer)?;
                }
                Ok(format!("({sql})"))
            }
            _ => Err(known(903)),
        }
    }

    /// A single table, every column of it loaded, and its rows' ids.
    pub(super) fn single(&mut self, factor: &TableFactor, scope: &mut Scope<'_>) -> Result<(String, String)> {
        let from = self.factor(factor, scope, &Scope::default())?;
        let row_id = scope
            .items
            .last()
            .map(|item| format!("{}.rowid", item.alias))
            .unwrap_or_default();
        Ok((from, row_id))
    }
}

/// The table whose columns are marked `(+)` in a condition.
fn marked_table(expr: &Expr) -> Option<String> {
    match expr {
        Expr::OuterJoin(inner) => match inner.as_ref() {
            Expr::CompoundIdentifier(parts) => parts.first().map(name_of),
            _ => None,
        },
        Expr::BinaryOp { left, right, .. } => marked_table(left).or_else(|| marked_table(right)),
        Expr::Nested(inner) | Expr::IsNull(inner) | Expr::IsNotNull(inner) => marked_table(inner),
        _ => None,
    }
}
