//! `doctor`: looks at everything that the daemon depends on, and says what is missing, with its remedy.
//!
//! It looks as the daemon does: by the daemon's own reading connection, probe and first snapshot, and by one connection to act,
//! over which nothing is sent that acts. So what it finds missing is what the daemon would miss, in the same words. What is looked
//! at besides is what ends or weakens the daemon later: limits of its account, clocks, files that others can change.

pub(crate) mod builtin;
pub mod database;
pub(crate) mod host;
pub(crate) mod limits;
mod network;
mod right;
pub(crate) mod show;

use crate::checks::{Check, State};

/// What was found on this host or on one database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Examined {
    /// The database; `None` for this host.
    pub database: Option<String>,
    /// Everything that was looked at, in order.
    pub checks: Vec<Check>,
    /// Whether it could be looked at at all: a database that cannot be connected to, or a configuration that cannot be read,
    /// cannot.
    pub reached: bool,
}

impl Examined {
    /// Whether somebody has to act, or something could not be looked at.
    #[must_use]
    pub(crate) fn has_findings(&self) -> bool {
        let is_finding = |check: &Check| match check.state {
            State::Missing | State::Untried => true,
            State::Fine | State::Note => false,
        };
        self.checks.iter().any(is_finding)
    }
}
