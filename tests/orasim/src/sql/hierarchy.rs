//! Hierarchical queries: START WITH, CONNECT BY with or without NOCYCLE, PRIOR, LEVEL.
//!
//! The rows of the one table are walked by a recursive query over their numbers; each step carries the path that led to it,
//! which tells a loop, and goes down before it goes on. As in Oracle, WHERE looks at the rows that the walk came by and prunes nothing of it.

use sqlparser::ast::{ConnectByKind, Expr};

use super::query::{Item, Scope, Translator};
use crate::backend::OraError;
use crate::error::{known, not_simulated};

type Result<T> = std::result::Result<T, OraError>;

/// Where a walk that nothing ends is broken off.
const DEEPEST: u32 = 100_000;

/// The clauses, in whichever order they came.
struct Clauses<'e> {
    start: Option<&'e Expr>,
    relationships: &'e [Expr],
    nocycle: bool,
}

fn clauses(kinds: &[ConnectByKind]) -> Result<Clauses<'_>> {
    let mut found = Clauses {
        start: None,
        relationships: &[],
        nocycle: false,
    };
    for kind in kinds {
        match kind {
            ConnectByKind::StartWith { condition, .. } => found.start = Some(condition),
            ConnectByKind::ConnectBy {
                nocycle, relationships, ..
            } => (found.nocycle, found.relationships) = (*nocycle, relationships),
        }
    }
    // START WITH alone means nothing.
    if found.relationships.is_empty() {
        return Err(known(933));
    }
    Ok(found)
}

impl Translator<'_> {
    /// The FROM of a hierarchical query: the table's rows in the order of the walk, each as often as it was come by.
    pub(super) fn hierarchy(&mut self, kinds: &[ConnectByKind], from: &str, scope: &mut Scope<'_>) -> Result<String> {
        let clauses = clauses(kinds)?;
        let (alias, prior) = match scope.items.as_slice() {
            [only] if only.load.is_some() => (only.alias.clone(), format!("{}p", only.alias)),
            _ => {
                return Err(not_simulated("CONNECT BY over anything but one table"));
            }
        };
        let walk = format!("{alias}h");
        scope.prior = Some(Item {
            alias: prior.clone(),
            ..scope.items[0].clone()
        });
        scope.level = Some(format!("{walk}.level"));
        let start = match clauses.start {
            Some(start) => format!(" WHERE {}", self.condition(start, scope)?),
            None => String::new(),
        };
        // In CONNECT BY itself LEVEL is that of the row that may join.
        scope.level = Some(format!("({walk}.level + 1)"));
        self.priors = 0;
        let mut on = Vec::new();
        for relationship in clauses.relationships {
            on.push(self.condition(relationship, scope)?);
        }
        scope.level = Some(format!("{walk}.level"));
        scope.prior = None;
        let on = on.join(" AND ");
        let table = from.strip_suffix(&format!(" AS {alias}")).unwrap_or(from);
        let come_by = format!("instr({walk}.path, ',' || {alias}.rowid || ',')");
        // Without PRIOR a row may follow itself: CONNECT BY LEVEL <= 5 makes five of one.
        let looped = if self.priors == 0 {
            format!("CASE WHEN {walk}.level >= {DEEPEST} THEN ora_raise(30009) ELSE 1 END")
        } else if clauses.nocycle {
            format!("{come_by} = 0")
        } else {
            format!("CASE WHEN {come_by} THEN ora_raise(1436) ELSE 1 END")
        };
        Ok(format!(
            "(WITH RECURSIVE {walk}(id, path, level) AS (SELECT {alias}.rowid, ',' || {alias}.rowid || ',', 1 FROM \
             {table} AS {alias}{start} UNION ALL SELECT {alias}.rowid, {walk}.path || {alias}.rowid || ',', \
             {walk}.level + 1 FROM {walk} CROSS JOIN {table} AS {prior} ON {prior}.rowid = {walk}.id CROSS JOIN {table} \
             AS {alias} ON {on} WHERE CASE WHEN {on} THEN {looped} ELSE 0 END ORDER BY 3 DESC) SELECT id, level FROM {walk}) AS {walk} CROSS JOIN {table} AS {alias} ON \
             {alias}.rowid = {walk}.id"
        ))
    }
}
