//! Pressure: a policy can act only while an instance is short of a resource, and until it has recovered.
//!
//! A gate per policy and instance. It opens when `while` is TRUE and, if there is an `until`, stays open until that is TRUE
//! (hysteresis); without one it closes as soon as `while` is not TRUE. A value that cannot be read makes its comparison
//! UNKNOWN, and UNKNOWN closes the gate. Under an `until` the guard also estimates, session by session, what a kill frees,
//! and stops taking sessions once the estimate satisfies `until`; the next snapshot has the real values.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use crate::decide::evaluate::truth::Truth;
use crate::decide::in_force::InForce;
use crate::policy::model::{PolicySet, Pressure};
use crate::policy::pressure::{PressureCondition, Resource, Threshold};
use crate::session::column::Column;
use crate::session::snapshot::Snapshot;

/// How much of a resource an instance uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The use: sessions, processes, transactions, bytes or percent of the CPU, depending on the resource.
    pub used: i64,
    /// The limit in the same unit; `None` if there is none or it cannot be read.
    pub limit: Option<i64>,
}

/// One of the two figures of a share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Figure {
    /// The use.
    Use,
    /// The limit.
    Limit,
}

/// The readings by instance, and why a figure could not be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Readings {
    known: HashMap<(u32, Resource), Reading>,
    unknown: BTreeMap<(Resource, Figure), String>,
}

impl Readings {
    /// Sets a reading.
    pub fn set(&mut self, inst_id: u32, resource: Resource, reading: Reading) {
        self.known.insert((inst_id, resource), reading);
    }

    /// The reading of a resource on an instance.
    #[must_use]
    pub fn get(&self, inst_id: u32, resource: Resource) -> Option<Reading> {
        self.known.get(&(inst_id, resource)).copied()
    }

    /// All readings, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, Resource, Reading)> + '_ {
        self.known
            .iter()
            .map(|((inst_id, resource), reading)| (*inst_id, *resource, *reading))
    }

    /// Records why a figure is unknown on at least one instance. The first reason is kept.
    pub(crate) fn explain(&mut self, resource: Resource, figure: Figure, why: impl Into<String>) {
        self.unknown.entry((resource, figure)).or_insert_with(|| why.into());
    }

    /// Why a comparison of the resource with the threshold is unknown on at least one instance; `None` if it is known.
    #[must_use]
    pub fn why_unknown(&self, resource: Resource, threshold: Threshold) -> Option<&str> {
        let of_use = self.unknown.get(&(resource, Figure::Use));
        let why = match threshold {
            Threshold::Amount(_) => of_use,
            Threshold::Percent(_) => of_use.or_else(|| self.unknown.get(&(resource, Figure::Limit))),
        };
        why.map(String::as_str)
    }

    /// Subtracts what this session uses, as far as its columns show it.
    pub(crate) fn take_away(&mut self, snapshot: &Snapshot, row: usize) {
        let Some(inst_id) = snapshot.id(row, Column::InstId) else {
            return;
        };
        for resource in Resource::ALL {
            let freed = match resource {
                Resource::Sessions => 1,
                Resource::Processes => i64::from(snapshot.text(row, Column::Server) == Some("DEDICATED")),
                Resource::Transactions => i64::from(snapshot.text(row, Column::Taddr).is_some()),
                Resource::ActiveSessions => i64::from(snapshot.text(row, Column::Status) == Some("ACTIVE")),
                Resource::Pga => snapshot.number(row, Column::Pga).unwrap_or(0),
                Resource::Temp => snapshot.number(row, Column::Temp).unwrap_or(0),
                Resource::Undo => snapshot.number(row, Column::Undo).unwrap_or(0),
                // A snapshot does not show how much of the host's CPU a session uses.
                Resource::HostCpu => 0,
            };
            if let Some(reading) = self.known.get_mut(&(inst_id, resource)) {
                reading.used = reading.used.saturating_sub(freed);
            }
        }
    }
}

/// The truth of a pressure condition on one instance.
#[must_use]
pub(crate) fn judge(condition: &PressureCondition, readings: &Readings, inst_id: u32) -> Truth {
    match condition {
        PressureCondition::And(terms) => {
            let truths: Vec<Truth> = terms.iter().map(|term| judge(term, readings, inst_id)).collect();
            if truths.contains(&Truth::False) {
                Truth::False
            } else if truths.contains(&Truth::Unknown) {
                Truth::Unknown
            } else {
                Truth::True
            }
        }
        PressureCondition::Or(terms) => {
            let truths: Vec<Truth> = terms.iter().map(|term| judge(term, readings, inst_id)).collect();
            if truths.contains(&Truth::True) {
                Truth::True
            } else if truths.contains(&Truth::Unknown) {
                Truth::Unknown
            } else {
                Truth::False
            }
        }
        PressureCondition::Not(inner) => match judge(inner, readings, inst_id) {
            Truth::True => Truth::False,
            Truth::False => Truth::True,
            Truth::Unknown => Truth::Unknown,
        },
        PressureCondition::Compare {
            resource,
            op,
            threshold,
        } => {
            let Some(reading) = readings.get(inst_id, *resource) else {
                return Truth::Unknown;
            };
            match (threshold, reading.limit) {
                (Threshold::Amount(amount), _) => Truth::known(op.holds(reading.used.cmp(amount))),
                (Threshold::Percent(percent), Some(limit)) if limit > 0 => {
                    let used = i128::from(reading.used) * 100;
                    Truth::known(op.holds(used.cmp(&(i128::from(*percent) * i128::from(limit)))))
                }
                (Threshold::Percent(_), _) => Truth::Unknown,
            }
        }
    }
}

/// Whether a policy's gate is open on an instance, where it had or had not begun before.
#[must_use]
pub(crate) fn is_open(pressure: &Pressure, begun: bool, readings: &Readings, inst_id: u32) -> bool {
    match (&pressure.end, begun) {
        (Some(end), true) => judge(end, readings, inst_id) == Truth::False,
        (Some(_) | None, false) | (None, true) => judge(&pressure.begin, readings, inst_id) == Truth::True,
    }
}

/// The gates: where policies may act now, and where they had begun before.
#[derive(Clone, Debug, Default)]
pub struct Gates {
    /// The open gates by policy and instance, with the gate's text: a gate that a reload has changed starts closed.
    begun: HashMap<(Arc<str>, u32), String>,
    gated: HashSet<usize>,
    open: HashSet<(usize, u32)>,
    readings: Readings,
}

impl Gates {
    /// Updates the gates with the readings of a snapshot.
    pub(crate) fn update(&mut self, set: &PolicySet, in_force: &[InForce], snapshot: &Snapshot, readings: Readings) {
        self.gated.clear();
        self.open.clear();
        let mut begun = HashMap::new();
        for index in in_force.iter().map(|in_force| in_force.index()) {
            let policy = &set.policies[index];
            let Some(pressure) = &policy.pressure else { continue };
            self.gated.insert(index);
            let text = format!("{pressure:?}");
            for inst_id in snapshot.instances().iter().map(|instance| instance.inst_id) {
                let place = (Arc::clone(&policy.name), inst_id);
                if is_open(pressure, self.begun.get(&place) == Some(&text), &readings, inst_id) {
                    self.open.insert((index, inst_id));
                    begun.insert(place, text.clone());
                }
            }
        }
        self.begun = begun;
        self.readings = readings;
    }

    /// Whether the policy may take sessions of the instance now.
    #[must_use]
    pub(crate) fn is_open(&self, policy: usize, inst_id: Option<u32>) -> bool {
        !self.gated.contains(&policy) || inst_id.is_some_and(|inst_id| self.open.contains(&(policy, inst_id)))
    }

    /// Whether a policy with a gate may act anywhere.
    #[must_use]
    pub(crate) fn any_is_open(&self) -> bool {
        !self.open.is_empty()
    }

    /// The readings behind the gates.
    #[must_use]
    pub(crate) fn readings(&self) -> &Readings {
        &self.readings
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::condition::Comparison;

    fn above(percent: u32) -> PressureCondition {
        PressureCondition::Compare {
            resource: Resource::Sessions,
            op: Comparison::Greater,
            threshold: Threshold::Percent(percent),
        }
    }

    fn readings(used: i64, limit: Option<i64>) -> Readings {
        let mut readings = Readings::default();
        readings.set(1, Resource::Sessions, Reading { used, limit });
        readings
    }

    #[test]
    fn a_share_is_of_the_limit_and_strict() {
        assert_eq!(judge(&above(85), &readings(85, Some(100)), 1), Truth::False);
        assert_eq!(judge(&above(85), &readings(86, Some(100)), 1), Truth::True);
    }

    #[test]
    fn what_cannot_be_read_is_unknown() {
        assert_eq!(judge(&above(85), &readings(99, None), 1), Truth::Unknown);
        assert_eq!(judge(&above(85), &readings(99, Some(100)), 2), Truth::Unknown);
        let not = PressureCondition::Not(Box::new(above(85)));
        assert_eq!(judge(&not, &readings(99, None), 1), Truth::Unknown);
    }
}
