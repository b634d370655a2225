//! PL/SQL: enough of the language for the anonymous blocks that monitoring clients send, and for small packages.
//!
//! Declarations, assignments, IF, loops, SELECT INTO, EXECUTE IMMEDIATE with INTO and USING, exceptions with SQLCODE and
//! SQLERRM, RAISE, and the supplied packages that clients call. Expressions are SQL's own: they go through the same
//! translation and the same SQLite as a query's. A package ([`mod@unit`]) is kept as its text; a call ([`invoke`]) reads it and runs it as
//! its owner, each unit as a block with parameters.

mod block;
mod invoke;
mod locking;
mod run;
mod supplied;
pub(crate) mod unit;

pub(crate) use invoke::with_values;
pub(crate) use run::run;
