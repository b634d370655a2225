//! The policy language: from the bytes of the files to a checked [`model::PolicySet`], or to every problem with its line and
//! column.
//!
//! `crate::yaml` reads files into trees of nodes that carry their positions. `lex` and `parse` read conditions, `resolve`
//! replaces their names by columns and values, and `lint` finds conditions that are valid but cannot be intended. `check`
//! checks whole files with all of these, and `load` finds the files that a configuration names.

pub(crate) mod ast;
mod check;
pub mod condition;
mod display;
mod habit;
pub mod implied;
pub(crate) mod lex;
pub(crate) mod limit;
mod lint;
mod load;
pub mod model;
pub(crate) mod parse;
pub mod pressure;
#[cfg(test)]
mod proptests;
pub(crate) mod resolve;
pub mod schedule;
mod schema;
mod sql;
pub mod timetable;

#[cfg(test)]
pub(crate) use check::DATABASE_LIMIT_KEYS;
pub(crate) use check::limits_of_database;
pub use check::{LoadedPolicies, check_condition, check_files};
pub(crate) use check::{condition_and_problems, unmatched_databases};
pub(crate) use load::{load, load_with};
pub use schema::schema;
pub(crate) use sql::to_query;
pub use sql::to_sql;
