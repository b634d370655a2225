//! The policy language: from a file's bytes to a checked [`model::PolicySet`], or to every problem at its line and column.
//!
//! `crate::yaml` reads files into trees that know their places, `lex` and `parse` read conditions, `resolve` gives them their
//! meaning, `lint` sees what cannot be meant, `check` puts it together, and `load` does all of that for the paths of a configuration.

pub(crate) mod ast;
mod check;
pub mod condition;
mod display;
mod habit;
pub(crate) mod lex;
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

pub(crate) use check::{LIMIT_KEYS, limits};
pub use check::{Loaded, check_condition, check_files, unmatched_databases};
pub use load::load;
pub use schema::schema;
pub use sql::{to_query, to_sql};
