//! SQLite at work: one database in memory for each session, with nothing in it between statements.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rusqlite::types::Value as Lite;
use rusqlite::{Connection, params_from_iter};
use sqlparser::ast::{Query, Statement};
use sqlparser::dialect::OracleDialect;
use sqlparser::parser::{Parser, ParserError};

use super::clause::quoted;
use super::functions;
use super::lex::{Tokens, offset, soften};
use super::query::{Catalog, Load, Only, Source, Translated, Translator};
use super::types::{Texts, Ty, bind_types, lite, value};
use crate::backend::{Bind, OraError, Value};
use crate::error::{known, ora, ora_at};
use crate::scenario::BrokenText;
use crate::views::{self, Snap, Viewer};
use crate::world::{Shared, State};

/// Rows and their types.
pub(crate) struct Answer {
    pub(crate) columns: Vec<(String, Ty)>,
    /// `None` where it was only described.
    pub(crate) rows: Option<Vec<Vec<Value>>>,
}

/// A session's SQLite.
pub(crate) struct Engine {
    lite: Connection,
    shared: Arc<functions::Shared>,
    /// A query runs, which may be interrupted: no lock is held meanwhile.
    works: Arc<AtomicBool>,
}

/// How many of its operations SQLite carries out between two questions whether to go on.
const BETWEEN: i32 = 10_000;

/// After so many questions a query counts as one that takes long, and leaves the processor to others for a while after each.
const LONG: u32 = 1_000;

/// Parses the statement.
pub(crate) fn parse(tokens: &Tokens<'_>) -> Result<Statement, OraError> {
    let mut list = tokens.tokens.clone();
    soften(&mut list);
    let mut parser = Parser::new(&OracleDialect).with_tokens_with_locations(list);
    let statement = parser
        .parse_statement()
        .map_err(|error| parser_error(tokens.text, &error))?;
    let next = parser.peek_token();
    let at = offset(tokens.text, next.span.start);
    if next.token == sqlparser::tokenizer::Token::EOF {
        Ok(statement)
    } else if let Some(from) = selects_nothing(tokens.text) {
        Err(ora_at(936, "missing expression", from))
    } else if lacks_from(tokens.text, at) {
        Err(ora_at(923, "FROM keyword not found where expected", at))
    } else {
        Err(ora_at(933, "SQL command not properly ended", at))
    }
}

/// Which of Oracle's errors the parser's complaint amounts to.
pub(crate) fn parser_error(text: &str, error: &ParserError) -> OraError {
    let message = match error {
        ParserError::TokenizerError(message) | ParserError::ParserError(message) => message.as_str(),
        ParserError::RecursionLimitExceeded => return ora(913, "too many values"),
    };
    let place = message.rsplit_once("Line: ").and_then(|(_, place)| {
        let (line, column) = place.split_once(", Column: ")?;
        Some(sqlparser::tokenizer::Location {
            line: line.parse().ok()?,
            column: column.trim().parse().ok()?,
        })
    });
    let at = place.map_or(text.len(), |place| offset(text, place));
    let expected = |what: &str| message.contains(&format!("Expected: {what}"));
    if let Some(from) = selects_nothing(text) {
        return ora_at(936, "missing expression", from);
    }
    if expected("end of statement") && lacks_from(text, at) {
        return ora_at(923, "FROM keyword not found where expected", at);
    }
    if expected("an expression") || expected("end of statement") && message.contains("found: FROM") {
        ora_at(936, "missing expression", at)
    } else if expected("identifier") {
        ora_at(903, "invalid table name", at)
    } else if expected(")") {
        ora_at(907, "missing right parenthesis", at)
    } else {
        ora_at(933, "SQL command not properly ended", at)
    }
}

/// Whether a query has no FROM up to here: `SELECT * FORM dual`.
fn lacks_from(text: &str, at: usize) -> bool {
    let before = text.get(..at).unwrap_or(text).to_ascii_uppercase();
    before.trim_start().starts_with("SELECT") && !before.contains("FROM") && !text[at..].trim_start().starts_with(';')
}

/// Where FROM stands in `SELECT FROM ...`.
fn selects_nothing(text: &str) -> Option<usize> {
    let rest = text.trim_start();
    let list = rest
        .get(6..)
        .filter(|_| rest[..6].eq_ignore_ascii_case("SELECT"))?
        .trim_start();
    let from = list.split(char::is_whitespace).next()?;
    from.eq_ignore_ascii_case("FROM").then_some(text.len() - list.len())
}

/// An error of SQLite's: one of Oracle's, raised by a function, or its own.
fn lite_error(error: &rusqlite::Error) -> OraError {
    let text = error.to_string();
    let raised = text.find("ORA-").and_then(|at| {
        let code = text.get(at + 4..at + 9)?.parse().ok()?;
        Some((code, text[at + 9..].trim_start_matches(": ").to_owned()))
    });
    match raised {
        Some((code, message)) => ora(code, message),
        None => ora(600, format!("internal error code, arguments: [orasim], [{text}]")),
    }
}

impl Engine {
    /// `stop` says whether the running query is to be interrupted.
    pub(crate) fn new(stop: impl Fn() -> bool + Send + 'static) -> Result<Self, OraError> {
        let mut lite = Connection::open_in_memory().map_err(|error| lite_error(&error))?;
        // 2: what a query sorts or puts together stays in memory too.
        lite.pragma_update(None, "temp_store", 2)
            .map_err(|error| lite_error(&error))?;
        let shared = Arc::new(functions::Shared::default());
        functions::register(&lite, &shared).map_err(|error| lite_error(&error))?;
        let works = Arc::new(AtomicBool::new(false));
        let its_works = Arc::clone(&works);
        let mut asked = 0_u32;
        let ask = move || {
            if !its_works.load(Ordering::Relaxed) {
                asked = 0;
                return false;
            }
            asked = asked.saturating_add(1);
            if asked > LONG {
                std::thread::sleep(Duration::from_millis(10));
            }
            stop()
        };
        lite.progress_handler(BETWEEN, Some(ask))
            .map_err(|error| lite_error(&error))?;
        Ok(Self { lite, shared, works })
    }

    /// Answers a query.
    pub(crate) fn query(
        &self,
        world: &Shared,
        viewer: &Viewer,
        catalog: &dyn Catalog,
        (tokens, query): (&Tokens<'_>, &Query),
        binds: &[Bind],
        describe_only: bool,
    ) -> Result<Answer, OraError> {
        let types = bind_types(binds);
        let mut translator = Translator::new(tokens.text, catalog, &types);
        let translated = translator.query(query)?;
        let loads = translator.loads;
        self.answer(world, viewer, catalog, (translated, loads), binds, describe_only)
    }

    /// Runs a translated query over freshly loaded tables.
    pub(crate) fn answer(
        &self,
        world: &Shared,
        viewer: &Viewer,
        catalog: &dyn Catalog,
        (translated, loads): (Translated, Vec<Load>),
        binds: &[Bind],
        describe_only: bool,
    ) -> Result<Answer, OraError> {
        if describe_only {
            return Ok(Answer {
                columns: translated.columns,
                rows: None,
            });
        }
        let clocks = catalog.clocks();
        self.shared.now.store(clocks.sysdate, Ordering::Relaxed);
        self.shared.zone.store(clocks.zone, Ordering::Relaxed);
        for counter in &self.shared.rownum {
            counter.store(0, Ordering::Relaxed);
        }
        self.fill(world, viewer, &loads, binds)?;
        let refused = world.scenario.database.broken_text == BrokenText::Refused;
        self.works.store(true, Ordering::Relaxed);
        let rows = self.rows(&translated, binds, refused);
        self.works.store(false, Ordering::Relaxed);
        self.clear(loads.len())?;
        Ok(Answer {
            columns: translated.columns,
            rows: Some(rows?),
        })
    }

    fn rows(&self, translated: &Translated, binds: &[Bind], refused: bool) -> Result<Vec<Vec<Value>>, OraError> {
        let wrong = |error: rusqlite::Error| lite_error(&error);
        let mut statement = self.lite.prepare(&translated.sql).map_err(wrong)?;
        let wanted = statement.parameter_count();
        if wanted > binds.len() {
            return Err(known(1008));
        }
        let mut found = statement
            .query(params_from_iter(binds[..wanted].iter().map(|bind| lite(&bind.value))))
            .map_err(wrong)?;
        let mut texts = Texts::default();
        let mut rows = Vec::new();
        while let Some(row) = found.next().map_err(wrong)? {
            let mut values = Vec::with_capacity(translated.columns.len());
            for (at, (_, ty)) in translated.columns.iter().enumerate() {
                values.push(value(row.get_ref(at).map_err(wrong)?, *ty, &mut texts));
            }
            if refused && values.iter().any(|value| matches!(value, Value::Bytes(_))) {
                return Err(known(29_275));
            }
            rows.push(values);
        }
        Ok(rows)
    }

    /// Copies what the statement reads, all of it at one moment.
    fn fill(&self, world: &Shared, viewer: &Viewer, loads: &[Load], binds: &[Bind]) -> Result<(), OraError> {
        let wrong = |error: rusqlite::Error| lite_error(&error);
        self.lite.execute_batch("BEGIN").map_err(wrong)?;
        let state = world.look();
        for (number, load) in loads.iter().enumerate() {
            self.load(&state, world, viewer, (number, load), binds).map_err(wrong)?;
        }
        drop(state);
        self.lite.execute_batch("COMMIT").map_err(wrong)
    }

    fn load(
        &self,
        state: &State,
        world: &Shared,
        viewer: &Viewer,
        (number, load): (usize, &Load),
        binds: &[Bind],
    ) -> Result<(), rusqlite::Error> {
        match &load.source {
            Source::View { view, global } => {
                let view = &views::all()[*view];
                let columns = view.columns(&world.scenario, *global);
                // A column that only narrows the load must be computed as well; it always is, being mentioned.
                let picked: Vec<usize> = (0..columns.len()).filter(|at| load.wanted[*at]).collect();
                let names: Vec<_> = picked.iter().map(|at| quoted(&columns[*at].0)).collect();
                let mut insert = self.table(number, &names)?;
                let only = only(load, &picked, binds);
                let snap = Snap {
                    state,
                    scenario: &world.scenario,
                    viewer,
                    global: *global,
                };
                view.fill(&snap, &load.wanted, &mut |cells| {
                    if only.iter().all(|(at, wanted)| cells[*at].is(*wanted)) {
                        insert.execute(params_from_iter(cells))?;
                    }
                    Ok(())
                })
            }
            Source::Table { owner, name } => {
                let Some(table) = state.tables.get(owner, name) else {
                    return Ok(());
                };
                let names: Vec<_> = table.columns.iter().map(|(name, _)| quoted(name)).collect();
                let listed = names.join(", ");
                drop(self.table(number, &names)?);
                let places = vec!["?"; names.len() + 1].join(", ");
                let mut insert = self
                    .lite
                    .prepare(&format!("INSERT INTO l{number} (rowid, {listed}) VALUES ({places})"))?;
                for (id, row) in table.rows(viewer.holder) {
                    insert.execute(params_from_iter(std::iter::once(&Lite::Integer(id)).chain(row)))?;
                }
                Ok(())
            }
        }
    }

    fn table(&self, number: usize, names: &[String]) -> Result<rusqlite::Statement<'_>, rusqlite::Error> {
        let columns = if names.is_empty() {
            "\"-\"".to_owned()
        } else {
            names.join(", ")
        };
        self.lite.execute_batch(&format!(
            "DROP TABLE IF EXISTS l{number}; CREATE TABLE l{number} ({columns})"
        ))?;
        let places = if names.is_empty() {
            "DEFAULT VALUES".to_owned()
        } else {
            format!("VALUES ({})", vec!["?"; names.len()].join(", "))
        };
        self.lite.prepare(&format!("INSERT INTO l{number} {places}"))
    }

    fn clear(&self, loads: usize) -> Result<(), OraError> {
        let drops: String = (0..loads)
            .map(|number| format!("DROP TABLE IF EXISTS l{number};"))
            .collect();
        self.lite.execute_batch(&drops).map_err(|error| lite_error(&error))
    }
}

/// The conditions that a row must meet to be loaded: its place among the loaded columns, and the number.
fn only(load: &Load, picked: &[usize], binds: &[Bind]) -> Vec<(usize, f64)> {
    let known = load.only.iter().filter_map(|(column, wanted)| {
        let number = match wanted {
            Only::Number(number) => *number,
            Only::Bind(at) => match binds.get(*at)?.value {
                Value::Int(number) => number as f64,
                Value::Float(number) => number,
                Value::Null | Value::Text(_) | Value::Bytes(_) | Value::Decimal(_) | Value::Date(_) | Value::Raw(_) => {
                    return None;
                }
            },
        };
        Some((picked.iter().position(|at| at == column)?, number))
    });
    known.collect()
}
