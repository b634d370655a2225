//! SQL as clients type it: parsed by an Oracle dialect, translated, and answered by SQLite over the world's views.
//!
//! A statement's way: tokens ([`lex`]); a tree (sqlparser); SQLite's SQL with resolved names and known types ([`query`],
//! [`expr`], [`call`]); the views and tables it mentions, copied as they are at this moment ([`engine`]); rows. ALTER and
//! PL/SQL go their own ways ([`alter`], [`plsql`]), and come back here for the SQL inside.

#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "sqlparser has hundreds of kinds of nodes, of which few are Oracle's"
)]

pub(crate) mod alter;
mod arithmetic;
mod call;
pub(crate) mod change;
mod clause;
mod condition;
mod dates;
pub(crate) mod ddl;
pub(crate) mod engine;
mod exact;
mod expr;
mod from;
mod functions;
mod hierarchy;
pub(crate) mod lex;
mod output;
pub(crate) mod plsql;
mod query;
pub(crate) mod types;

pub(crate) use query::{Catalog, Clocks, Source};
pub(crate) use types::result_column;
