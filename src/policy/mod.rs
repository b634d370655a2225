//! The policy language: from a file's bytes to a checked [`model::PolicySet`], or to every problem at its line and column.
//!
//! `raw` reads YAML into a tree that knows its places, `lex` and `parse` read conditions, `resolve` gives them their
//! meaning, `lint` sees what cannot be meant, `check` puts it together, and `load` is the only one to touch a disk.

pub(crate) mod ast;
mod check;
pub mod condition;
pub mod diagnostics;
mod display;
pub(crate) mod fields;
mod habit;
pub(crate) mod lex;
mod lint;
mod load;
pub mod model;
mod offsets;
pub(crate) mod parse;
pub mod pressure;
#[cfg(test)]
mod proptests;
pub(crate) mod raw;
pub(crate) mod resolve;
pub mod schedule;
mod schema;
mod sql;

pub(crate) use check::{LIMIT_KEYS, limits};
pub use check::{Loaded, check_condition, check_files, unmatched_databases};
pub use display::{Duration, Size};
pub(crate) use load::expand;
pub use load::load;
pub(crate) use load::{read as read_file, writable_by_all};
pub use schema::schema;
pub use sql::{to_query, to_sql};
