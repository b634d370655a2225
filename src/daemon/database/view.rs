//! A cycle as reports, metrics and the status page see it.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::checks::Check;
use crate::daemon::messages::Polled;
use crate::decide::cycle::{Cycle, Memory};
use crate::decide::in_force::{DatabaseRules, InForce};
use crate::decide::standstill::Standstill;
use crate::event::READ_TOO_SLOWLY;
use crate::gaps;
use crate::journal::trust::missing_actions;

/// A cycle with everything that is shown of it.
#[derive(Debug)]
pub struct CycleView<'a> {
    /// The database.
    pub(crate) database: &'a str,
    /// The snapshot and what was read with it.
    pub polled: &'a Polled,
    /// The decisions.
    pub cycle: &'a Cycle,
    /// The rules behind the decisions.
    pub(crate) rules: &'a DatabaseRules,
    /// The policies in force, and how they run.
    pub(crate) in_force: &'a [InForce],
    /// The memory after the cycle.
    pub memory: &'a Memory,
    /// The snapshot's time in UTC.
    pub(crate) now: DateTime<Utc>,
    /// How long deciding took.
    pub(crate) deciding_took: Duration,
    /// Why nothing was permitted, if so.
    pub standstill: Option<&'a Standstill>,
    /// What the last statement was refused with, as every other one would be.
    pub(crate) refused: Option<&'a Check>,
    /// The current blackout, if there is one.
    pub(crate) blackout: Option<Standstill>,
    /// Other entries for the same database.
    pub(crate) siblings: &'a [Arc<str>],
    /// Whether this daemon leads, where one of several is to and this database is armed.
    pub leads: Option<bool>,
}

impl CycleView<'_> {
    /// Whether the snapshot was too old to act on when it was complete.
    #[must_use]
    pub(crate) fn is_stale(&self) -> bool {
        self.standstill == Some(&Standstill::OldSnapshot)
    }

    /// The notes of a report: on the database, and on its policies.
    #[must_use]
    pub(crate) fn notes(&self) -> Vec<String> {
        let polled = self.polled;
        let mut notes = polled.notes();
        let of_policies = gaps::notes(&polled.snapshot, &polled.readings, self.rules.set(), self.in_force);
        notes.extend(of_policies);
        notes.extend(
            self.blackout
                .iter()
                .map(|blackout| format!("{blackout}: no session is acted on")),
        );
        if let Some(standstill @ (Standstill::StandsBy(_) | Standstill::CannotLead(_))) = self.standstill {
            notes.push(format!("{standstill}; nobody is acted on"));
        }
        if let Some(refused) = self.refused {
            notes.push(Standstill::Refused(refused.to_string()).to_string());
        }
        let unknown = self.memory.ledger.unknown();
        if let Some((why, last)) = unknown.and_then(|unknown| Some((&unknown.why, unknown.last()?))) {
            notes.push(missing_actions(why, last).to_string());
        }
        if self.is_stale() {
            notes.push(READ_TOO_SLOWLY.to_owned());
        }
        if !self.siblings.is_empty() {
            notes.push(format!(
                "shows sessions that {} shows too: they share one budget, for which the smallest `per_hour` and `per_day` of them \
                 hold, and one acts at a time; one entry for each database is enough, and an entry for CDB$ROOT shows the sessions of all PDBs",
                self.siblings.join(", ")
            ));
        }
        notes
    }
}
