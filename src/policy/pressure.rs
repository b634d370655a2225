//! What an instance can be short of, and the conditions over it (`while`, `until`).

use crate::policy::condition::Comparison;
use crate::words::words;

words! {
    /// A resource of an instance.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
    pub enum Resource {
        /// GV$RESOURCE_LIMIT `sessions`.
        Sessions = "sessions",
        /// GV$RESOURCE_LIMIT `processes`.
        Processes = "processes",
        /// GV$RESOURCE_LIMIT `transactions`.
        Transactions = "transactions",
        /// PGA allocated, of PGA_AGGREGATE_LIMIT.
        Pga = "pga",
        /// Temporary tablespace.
        Temp = "temp",
        /// Undo tablespace.
        Undo = "undo",
        /// Host CPU utilization.
        HostCpu = "host_cpu",
        /// Sessions in a call.
        ActiveSessions = "active_sessions",
    }
}

impl Resource {
    /// Those that GV$RESOURCE_LIMIT tells of, by its own names.
    pub const INSTANCE_LIMITS: [Resource; 3] = [Resource::Sessions, Resource::Processes, Resource::Transactions];
}

/// A condition over an instance's resources; an unreadable value is UNKNOWN and closes the gate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PressureCondition {
    /// All of them.
    And(Vec<PressureCondition>),
    /// Any of them.
    Or(Vec<PressureCondition>),
    /// Not.
    Not(Box<PressureCondition>),
    /// `resource op mark`.
    Compare {
        /// What is measured.
        resource: Resource,
        /// How.
        op: Comparison,
        /// Against what.
        mark: Mark,
    },
}

impl PressureCondition {
    /// Every comparison in it.
    #[must_use]
    pub fn comparisons(&self) -> Vec<(Resource, Comparison, Mark)> {
        match self {
            PressureCondition::And(terms) | PressureCondition::Or(terms) => {
                terms.iter().flat_map(PressureCondition::comparisons).collect()
            }
            PressureCondition::Not(inner) => inner.comparisons(),
            PressureCondition::Compare { resource, op, mark } => vec![(*resource, *op, *mark)],
        }
    }
}

/// What a resource is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// Its share of the limit, in percent.
    Percent(u32),
    /// The amount itself: a number, or bytes.
    Amount(i64),
}
