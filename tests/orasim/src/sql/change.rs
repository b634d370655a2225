//! INSERT, UPDATE, DELETE and DDL on the users' own tables: each change is a query for the new rows, and then the change.

use rusqlite::types::Value as Lite;
use sqlparser::ast::{
    AssignmentTarget, CreateTable, Delete, Expr, FromTable, Insert, ObjectName, Query, SetExpr, Statement, TableFactor,
    TableObject, TableWithJoins, Update,
};

use super::clause::split_and;
use super::dates;
use super::engine::Engine;
use super::exact;
use super::expr::name_of;
use super::lex::Tokens;
use super::query::{Catalog, Scope, Source, Translated, Translator};
use super::types::{Ty, bind_types, lite, seconds};
use crate::backend::{Bind, ColumnType, OraError, StatementKind, Value};
use crate::clock::{calendar, moment};
use crate::error::{known, ora};
use crate::views::Viewer;
use crate::world::Shared;
use crate::world::tables::{Change, UserTable};

/// Changes to the rows of a table, worked out but not yet made.
pub(crate) struct Changes {
    pub(crate) kind: StatementKind,
    pub(crate) owner: String,
    pub(crate) name: String,
    pub(crate) changes: Vec<Change>,
}

type Result<T> = std::result::Result<T, OraError>;

fn owner_and_name(name: &ObjectName, schema: &str) -> (String, String) {
    let parts: Vec<String> = name.0.iter().filter_map(|part| part.as_ident()).map(name_of).collect();
    match parts.as_slice() {
        [owner, name] => (owner.clone(), name.clone()),
        [name] => (schema.to_owned(), name.clone()),
        _ => (schema.to_owned(), String::new()),
    }
}

/// A value as its column keeps it: converted, or refused.
fn fitted(
    value: Lite,
    (column, kind): &(String, ColumnType),
    (owner, table): (&str, &str),
    catalog: &dyn Catalog,
) -> Result<Lite> {
    match (value, kind) {
        (Lite::Text(text), ColumnType::Number) => {
            let number = exact::parsed(&text).ok_or_else(|| known(1722))?;
            Ok(exact::kept(&number))
        }
        (Lite::Text(text), ColumnType::Date | ColumnType::Timestamp(_)) => {
            let (date, time) = catalog.date_models();
            let model = if *kind == ColumnType::Date { date } else { time };
            let at = dates::parse(&text, &model, calendar(catalog.clocks().sysdate))?;
            Ok(seconds(moment(at)))
        }
        (Lite::Text(text), ColumnType::Varchar2(most)) if text.len() > *most as usize => {
            let actual = text.len();
            Err(ora(
                12_899,
                format!(
                    "value too large for column \"{owner}\".\"{table}\".\"{column}\" (actual: {actual}, maximum: {most})"
                ),
            ))
        }
        (value, _) => Ok(value),
    }
}

/// The rows of a table that a condition names, each with its image as it is: its owner, its name, its rows.
pub(crate) fn named_rows(
    engine: &Engine,
    (world, viewer): (&Shared, &Viewer),
    catalog: &dyn Catalog,
    (tokens, table, condition): (&Tokens<'_>, &TableWithJoins, Option<&Expr>),
    binds: &[Bind],
) -> Result<(String, String, Vec<Change>)> {
    let types = bind_types(binds);
    let mut translator = Translator::new(tokens.text, catalog, &types);
    let TableFactor::Table { name, .. } = &table.relation else {
        return Err(known(2014));
    };
    let (owner, plain) = parts(name);
    let (owner, name) = match catalog.find(owner.as_deref(), &plain) {
        Some((Source::Table { owner, name }, _)) => (owner, name),
        Some((Source::View { .. }, _)) => return Err(known(2030)),
        None => return Err(translator.at(942, "table or view does not exist", name)),
    };
    let query = row_query(&mut translator, table, condition, &[])?;
    let loads = translator.loads;
    let answer = engine.answer(world, viewer, catalog, (query, loads), binds, false)?;
    let ids: Vec<i64> = answer
        .rows
        .unwrap_or_default()
        .iter()
        .filter_map(|row| match row.first() {
            Some(Value::Int(id)) => Some(*id),
            Some(_) | None => None,
        })
        .collect();
    let state = world.look();
    let table = state.tables.get(&owner, &name).ok_or_else(|| known(942))?;
    let rows = table
        .rows(viewer.holder)
        .filter(|(id, _)| ids.contains(id))
        .map(|(id, image)| (id, Some(image.clone())))
        .collect();
    drop(state);
    Ok((owner, name, rows))
}

/// An owner, if one is named, and a name.
fn parts(name: &ObjectName) -> (Option<String>, String) {
    let mut parts: Vec<String> = name.0.iter().filter_map(|part| part.as_ident()).map(name_of).collect();
    let last = parts.pop().unwrap_or_default();
    (parts.pop(), last)
}

/// Works the changes of a statement out.
pub(crate) fn plan(
    engine: &Engine,
    (world, viewer): (&Shared, &Viewer),
    catalog: &dyn Catalog,
    (tokens, statement): (&Tokens<'_>, &Statement),
    schema: &str,
    binds: &[Bind],
) -> Result<Changes> {
    let types = bind_types(binds);
    let mut translator = Translator::new(tokens.text, catalog, &types);
    let planned = match statement {
        Statement::Insert(insert) => insertion(&mut translator, insert, schema)?,
        Statement::Update(update) => update_of(&mut translator, update, schema)?,
        Statement::Delete(delete) => deletion(&mut translator, delete, schema)?,
        _ => return Err(known(900)),
    };
    let Planned {
        kind,
        owner,
        name,
        query,
        columns,
    } = planned;
    let loads = translator.loads;
    let answer = engine.answer(world, viewer, catalog, (query, loads), binds, false)?;
    let rows = answer.rows.unwrap_or_default();
    let state = world.look();
    let Some(table) = state.tables.get(&owner, &name) else {
        return Err(known(942));
    };
    let mut next = table.next();
    let mut changes = Vec::new();
    for row in rows {
        let mut values = row.iter().map(lite);
        match kind {
            StatementKind::Insert => {
                let mut image = vec![Lite::Null; table.columns.len()];
                for (at, value) in columns.iter().zip(values) {
                    image[*at] = fitted(value, &table.columns[*at], (&owner, &name), catalog)?;
                }
                changes.push((next, Some(image)));
                next += 1;
            }
            _ => {
                let Some(Lite::Integer(id)) = values.next() else {
                    continue;
                };
                if kind != StatementKind::Update {
                    changes.push((id, None));
                    continue;
                }
                let before = table
                    .rows(viewer.holder)
                    .find(|(other, _)| *other == id)
                    .map(|(_, image)| image.clone());
                let mut image = before.unwrap_or_else(|| vec![Lite::Null; table.columns.len()]);
                for (at, value) in columns.iter().zip(values) {
                    image[*at] = fitted(value, &table.columns[*at], (&owner, &name), catalog)?;
                }
                changes.push((id, Some(image)));
            }
        }
    }
    Ok(Changes {
        kind,
        owner,
        name,
        changes,
    })
}

struct Planned {
    kind: StatementKind,
    owner: String,
    name: String,
    query: Translated,
    columns: Vec<usize>,
}

/// The columns of a table by their places; views cannot be changed.
fn target(catalog: &dyn Catalog, name: &ObjectName, schema: &str) -> Result<(String, String, Vec<String>)> {
    let (owner, table) = owner_and_name(name, schema);
    match catalog
        .find(Some(&owner), &table)
        .or_else(|| catalog.find(None, &table))
    {
        Some((Source::Table { owner, name }, columns)) => {
            Ok((owner, name, columns.into_iter().map(|(name, _)| name).collect()))
        }
        Some((Source::View { .. }, _)) => Err(known(1031)),
        None => Err(known(942)),
    }
}

fn place(columns: &[String], wanted: &str) -> Result<usize> {
    let found = columns.iter().position(|column| column == wanted);
    found.ok_or_else(|| ora(904, format!("\"{wanted}\": invalid identifier")))
}

fn insertion(translator: &mut Translator<'_>, insert: &Insert, schema: &str) -> Result<Planned> {
    let TableObject::TableName(table) = &insert.table else {
        return Err(known(903));
    };
    let (owner, name, columns) = target(translator.catalog, table, schema)?;
    let places = if insert.columns.is_empty() {
        (0..columns.len()).collect()
    } else {
        let names = insert
            .columns
            .iter()
            .map(|name| name.0.last().and_then(|part| part.as_ident()).map(name_of));
        names
            .map(|wanted| place(&columns, &wanted.unwrap_or_default()))
            .collect::<Result<Vec<_>>>()?
    };
    let Some(source) = &insert.source else {
        return Err(known(926));
    };
    let query = match source.body.as_ref() {
        SetExpr::Values(values) => {
            let scope = Scope::default();
            let mut rows = Vec::new();
            for row in &values.rows {
                let mut list = Vec::new();
                for expr in row.iter() {
                    list.push(translator.value(expr, &scope)?);
                }
                rows.push(list);
            }
            let types = rows
                .first()
                .map(|row| row.iter().map(|it| (String::new(), it.ty)).collect())
                .unwrap_or_default();
            let rows: Vec<_> = rows
                .iter()
                .map(|row| {
                    format!(
                        "SELECT {}",
                        row.iter().map(|it| it.text.as_str()).collect::<Vec<_>>().join(", ")
                    )
                })
                .collect();
            Translated {
                sql: rows.join(" UNION ALL "),
                columns: types,
            }
        }
        _ => translator.query(source)?,
    };
    match query.columns.len().cmp(&places.len()) {
        std::cmp::Ordering::Less => Err(ora(947, "not enough values")),
        std::cmp::Ordering::Greater => Err(ora(913, "too many values")),
        std::cmp::Ordering::Equal => Ok(Planned {
            kind: StatementKind::Insert,
            owner,
            name,
            query,
            columns: places,
        }),
    }
}

fn row_query(
    translator: &mut Translator<'_>,
    table: &TableWithJoins,
    condition: Option<&Expr>,
    values: &[&Expr],
) -> Result<Translated> {
    let mut scope = Scope::default();
    let (from, row_id) = translator.single(&table.relation, &mut scope)?;
    let mut list = vec![row_id];
    let mut columns = vec![("ROWID".to_owned(), Ty::Number)];
    for value in values {
        let it = translator.value(value, &scope)?;
        list.push(it.text);
        columns.push((String::new(), it.ty));
    }
    let mut conjuncts = Vec::new();
    if let Some(condition) = condition {
        split_and(condition, &mut conjuncts);
    }
    let filter = translator.filter(&conjuncts, &scope, None)?;
    let filter = filter.map_or_else(String::new, |filter| format!(" WHERE {filter}"));
    Ok(Translated {
        sql: format!("SELECT {} FROM {from}{filter}", list.join(", ")),
        columns,
    })
}

fn table_name(table: &TableWithJoins) -> Result<&ObjectName> {
    match &table.relation {
        TableFactor::Table { name, .. } => Ok(name),
        _ => Err(known(903)),
    }
}

fn update_of(translator: &mut Translator<'_>, update: &Update, schema: &str) -> Result<Planned> {
    let (owner, name, columns) = target(translator.catalog, table_name(&update.table)?, schema)?;
    let mut places = Vec::new();
    let mut values = Vec::new();
    for assignment in &update.assignments {
        let AssignmentTarget::ColumnName(column) = &assignment.target else {
            return Err(known(933));
        };
        let wanted = column
            .0
            .last()
            .and_then(|part| part.as_ident())
            .map(name_of)
            .unwrap_or_default();
        places.push(place(&columns, &wanted)?);
        values.push(&assignment.value);
    }
    let query = row_query(translator, &update.table, update.selection.as_ref(), &values)?;
    Ok(Planned {
        kind: StatementKind::Update,
        owner,
        name,
        query,
        columns: places,
    })
}

fn deletion(translator: &mut Translator<'_>, delete: &Delete, schema: &str) -> Result<Planned> {
    let (FromTable::WithFromKeyword(tables) | FromTable::WithoutKeyword(tables)) = &delete.from;
    let [table] = tables.as_slice() else {
        return Err(known(903));
    };
    let (owner, name, _) = target(translator.catalog, table_name(table)?, schema)?;
    let query = row_query(translator, table, delete.selection.as_ref(), &[])?;
    Ok(Planned {
        kind: StatementKind::Delete,
        owner,
        name,
        query,
        columns: Vec::new(),
    })
}

/// CREATE TABLE: its owner, its name, and what it is to be filled with.
pub(crate) fn created(create: &CreateTable, schema: &str) -> Result<(String, String, UserTable, Option<Box<Query>>)> {
    let (owner, name) = owner_and_name(&create.name, schema);
    let mut columns = Vec::new();
    for column in &create.columns {
        let declared = column.data_type.to_string().to_uppercase();
        let base = declared.split(['(', ' ']).next().unwrap_or_default();
        let size = declared
            .split_once('(')
            .and_then(|(_, rest)| rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok())
            .unwrap_or(4000);
        let kind = match base {
            "VARCHAR2" | "VARCHAR" | "CHAR" | "NVARCHAR2" => ColumnType::Varchar2(size),
            "NUMBER" | "INTEGER" | "INT" | "NUMERIC" | "DECIMAL" | "FLOAT" => ColumnType::Number,
            "DATE" => ColumnType::Date,
            "TIMESTAMP" => ColumnType::Timestamp(6),
            "CLOB" => ColumnType::Clob,
            "RAW" => ColumnType::Raw(size),
            _ => return Err(ora(902, "invalid datatype")),
        };
        columns.push((name_of(&column.name), kind));
    }
    if columns.is_empty() && create.query.is_none() {
        return Err(known(906));
    }
    Ok((owner, name, UserTable::new(columns), create.query.clone()))
}

/// The owner and name of a table that is dropped or truncated.
pub(crate) fn named(name: &ObjectName, schema: &str) -> (String, String) {
    owner_and_name(name, schema)
}
