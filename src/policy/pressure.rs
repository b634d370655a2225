//! What an instance can be short of, and the conditions over it (`while`, `until`).

use crate::policy::condition::Comparison;

/// A resource of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Resource {
    /// GV$RESOURCE_LIMIT `sessions`.
    Sessions,
    /// GV$RESOURCE_LIMIT `processes`.
    Processes,
    /// GV$RESOURCE_LIMIT `transactions`.
    Transactions,
    /// PGA allocated, of PGA_AGGREGATE_LIMIT.
    Pga,
    /// Temporary tablespace.
    Temp,
    /// Undo tablespace.
    Undo,
    /// Host CPU utilization.
    HostCpu,
    /// Sessions in a call.
    ActiveSessions,
}

impl Resource {
    /// All, in the order of the documentation.
    pub const ALL: [Resource; 8] = [
        Resource::Sessions,
        Resource::Processes,
        Resource::Transactions,
        Resource::Pga,
        Resource::Temp,
        Resource::Undo,
        Resource::HostCpu,
        Resource::ActiveSessions,
    ];

    /// Those that GV$RESOURCE_LIMIT tells of, by its own names.
    pub const INSTANCE_LIMITS: [Resource; 3] = [Resource::Sessions, Resource::Processes, Resource::Transactions];

    /// As policies and metrics write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Resource::Sessions => "sessions",
            Resource::Processes => "processes",
            Resource::Transactions => "transactions",
            Resource::Pga => "pga",
            Resource::Temp => "temp",
            Resource::Undo => "undo",
            Resource::HostCpu => "host_cpu",
            Resource::ActiveSessions => "active_sessions",
        }
    }
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
