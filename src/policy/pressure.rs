//! The resources of an instance, and the conditions on them (`while`, `until`).

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
        /// Allocated PGA; its limit is PGA_AGGREGATE_LIMIT.
        Pga = "pga",
        /// Space in temporary tablespaces.
        Temp = "temp",
        /// Space in the undo tablespace.
        Undo = "undo",
        /// CPU utilization of the host.
        HostCpu = "host_cpu",
        /// Sessions in a call.
        ActiveSessions = "active_sessions",
    }
}

impl Resource {
    /// The resources in GV$RESOURCE_LIMIT, which have the same names there.
    pub(crate) const INSTANCE_LIMITS: [Resource; 3] = [Resource::Sessions, Resource::Processes, Resource::Transactions];
}

/// A condition on an instance's resources. A value that could not be read is UNKNOWN, which closes the gate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PressureCondition {
    /// All of these.
    And(Vec<PressureCondition>),
    /// Any of these.
    Or(Vec<PressureCondition>),
    /// The negation.
    Not(Box<PressureCondition>),
    /// `resource op threshold`.
    Compare {
        /// The resource.
        resource: Resource,
        /// The operator.
        op: Comparison,
        /// The threshold to compare it with.
        threshold: Threshold,
    },
}

impl PressureCondition {
    /// All comparisons in the condition.
    #[must_use]
    pub(crate) fn comparisons(&self) -> Vec<(Resource, Comparison, Threshold)> {
        match self {
            PressureCondition::And(terms) | PressureCondition::Or(terms) => {
                terms.iter().flat_map(PressureCondition::comparisons).collect()
            }
            PressureCondition::Not(inner) => inner.comparisons(),
            PressureCondition::Compare {
                resource,
                op,
                threshold,
            } => vec![(*resource, *op, *threshold)],
        }
    }
}

/// What a resource is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Threshold {
    /// A share of the resource's limit, in percent.
    Percent(u32),
    /// An amount: a number, or bytes.
    Amount(i64),
}
