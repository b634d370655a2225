//! Why no session may be acted on in a cycle, whatever the policies say.

use std::fmt;
use std::sync::Arc;

use crate::decide::clocks::ClockStep;

/// What holds up a whole database, or only an operator's order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standstill {
    /// The kill switch: who paused, when and why.
    Paused(String),
    /// A blackout, by its reason.
    Blackout(String),
    /// Actions of an earlier cycle have not come to an end. Holds up only an operator's order.
    UnderWay,
    /// The thread that acts does not return from a call of the driver.
    Hangs,
    /// The account was refused: no connection to act on before a reload.
    RefusedUntilReload(String),
    /// There is no connection to act on.
    Unreachable(String),
    /// The last statement was refused for a reason that holds for every session.
    Refused(String),
    /// The snapshot is older than two poll intervals.
    OldSnapshot,
    /// The database's clock stepped since the previous snapshot.
    ClockStepped(ClockStep),
    /// Another entry of the configuration that leads to the same database acts.
    Sibling(Arc<str>),
    /// Another daemon leads here, as far as it is known.
    StandsBy(String),
    /// This daemon cannot ask whether it may lead, and why.
    CannotLead(String),
    /// This daemon has asked to act here, or has only just begun to: everything is read anew first.
    TakesOver,
    /// An operator's order comes first.
    Ordered(String),
    /// In the words of a policy test.
    Told(String),
}

impl fmt::Display for Standstill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Standstill::Paused(pause) => write!(f, "orareaper is {pause}"),
            Standstill::Blackout(reason) => write!(f, "blackout: {reason}"),
            Standstill::UnderWay => f.write_str("the daemon still carries out the actions of an earlier snapshot"),
            Standstill::Hangs => f.write_str("the thread that acts does not come back from a call of the driver"),
            Standstill::RefusedUntilReload(why) => write!(
                f,
                "no connection to act on until somebody has acted and reloaded: {why}"
            ),
            Standstill::Unreachable(why) => write!(f, "no connection to act on: {why}"),
            Standstill::Refused(why) => write!(f, "no session can be ended here, as the last attempt showed: {why}"),
            Standstill::OldSnapshot => f.write_str("the snapshot is older than two poll intervals"),
            Standstill::ClockStepped(step) => write!(
                f,
                "the database's clock was set {step} since the previous snapshot, going by the host's clock: no time counts as passed, \
                 and all holds begin anew"
            ),
            Standstill::Sibling(entry) => write!(
                f,
                "the daemon still carries out actions through the entry {entry}, which leads to the same database"
            ),
            Standstill::StandsBy(why) => write!(f, "this daemon stands by: {why}"),
            Standstill::CannotLead(why) => write!(f, "this daemon cannot lead: {why}"),
            Standstill::TakesOver => f.write_str(
                "this daemon has not led for as long as a snapshot takes: the next one is the first that it acts on",
            ),
            Standstill::Ordered(by) => write!(f, "an order by {by} comes first"),
            Standstill::Told(words) => f.write_str(words),
        }
    }
}
