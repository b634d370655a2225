//! Anonymous PL/SQL blocks: enough of the language for what monitoring clients send.
//!
//! Declarations, assignments, IF, loops, SELECT INTO, EXECUTE IMMEDIATE with INTO and USING, exceptions with SQLCODE and
//! SQLERRM, RAISE, and the supplied packages that clients call. Expressions are SQL's own: they go through the same
//! translation and the same SQLite as a query's.

mod block;
mod run;

pub(crate) use run::run;
