//! What all parts of the status page have in common.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use maud::{Markup, Render, display, html};

use crate::clock::Monotonic;
use crate::decide::in_force::RunMode;
use crate::quantity::Span;
use crate::session::time::in_zone;
use crate::status::{DatabaseStatus, Reachability};

/// When and where a page is made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment<'a> {
    /// The name of the host.
    pub(crate) host: &'a str,
    /// The host's time.
    pub(crate) at: DateTime<Utc>,
    /// The same by the host's monotonic clock.
    pub(crate) now: Monotonic,
    /// The configured time zone.
    pub(crate) zone: Tz,
}

impl Moment<'_> {
    pub(super) fn local(&self, at: DateTime<Utc>) -> impl fmt::Display {
        in_zone(at, self.zone)
    }

    pub(super) fn time(&self, at: DateTime<Utc>) -> impl Render {
        display(self.local(at))
    }
}

/// Whether a person should look at the database now.
pub(super) fn in_trouble(database: &DatabaseStatus, moment: Moment<'_>) -> bool {
    database.trouble(moment.now).is_some() || !hindrances(database).is_empty()
}

/// Why a database is not ready, with its time in the configured zone.
pub(super) fn trouble(database: &DatabaseStatus, moment: Moment<'_>) -> Option<String> {
    match &database.link {
        Reachability::Down { since, error } => Some(format!("down since {}: {error}", moment.local(*since))),
        Reachability::Connecting | Reachability::Up { .. } => database.trouble(moment.now),
    }
}

/// Why a database that answers is not acted on as it should be.
pub(super) fn hindrances(database: &DatabaseStatus) -> Vec<String> {
    let missing = database.acting.iter().filter(|(_, open)| !open).count();
    let mut found = Vec::new();
    if missing > 0 {
        found.push(format!("connections for actions that are missing: {missing}"));
    }
    if database.acting_hangs > 0 {
        found.push(format!(
            "connections for actions that hang in a call of the driver: {}",
            database.acting_hangs
        ));
    }
    for policy in &database.policies {
        if let Some(reason) = &policy.breaker {
            found.push(format!("the breaker of {} is open: {reason}", policy.name));
        }
        found.extend(
            policy
                .suspended
                .iter()
                .map(|reason| format!("{} is {reason}", policy.name)),
        );
    }
    if !database.lingering.is_empty() {
        found.push(format!("killed sessions that linger: {}", database.lingering.len()));
    }
    found
}

/// A table as wide as the page; numbers are right-aligned.
pub(super) fn table(head: &[(&str, bool)], rows: &Markup) -> Markup {
    html! {
        div.wide {
            table {
                thead { tr { @for (head, number) in head { th class=[number.then_some("n")] { (head) } } } }
                tbody { (rows) }
            }
        }
    }
}

pub(super) fn mode(mode: RunMode) -> Markup {
    html! {
        @match mode {
            RunMode::DryRun => span.dim { "dry run" },
            RunMode::Enforce => span.armed { "enforce" },
        }
    }
}

pub(super) fn span(of: Duration) -> Span {
    Span(i64::try_from(of.as_secs()).unwrap_or(i64::MAX))
}

/// How long ago a database was last read.
pub(super) fn age(database: &DatabaseStatus, moment: Moment<'_>) -> Option<Duration> {
    Some(moment.now.since(database.seen?))
}

/// What is left of `remaining` seconds at the last snapshot.
pub(super) fn countdown(remaining: u64, database: &DatabaseStatus, moment: Moment<'_>) -> Span {
    let passed = age(database, moment).map_or(0, |age| age.as_secs());
    Span(i64::try_from(remaining.saturating_sub(passed)).unwrap_or(i64::MAX))
}
