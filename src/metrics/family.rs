//! A metric's family with the memory of its label sets, so that series can be removed by what they are about.
//!
//! The client library can remove a series whose labels are known in full; it cannot tell which there are. The set here is as
//! large as the family and is only walked when databases, instances or policies change, or at the end of a cycle.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use prometheus::core::{MetricVec, MetricVecBuilder};

use crate::decide::outcome::Outcome;
use crate::policy::model::Action;

/// More series than this in one family are a fault in the program, not a large site: every pair of policy and database that is
/// served, on sixteen instances, with every action and outcome.
const MOST_SERIES: usize = crate::decide::in_force::MOST_PAIRS * 16 * Action::ALL.len() * Outcome::ALL.len();

/// A family whose series have `N` labels.
pub(super) struct Family<V, const N: usize> {
    vec: V,
    known: Mutex<BTreeSet<[String; N]>>,
}

impl<V, const N: usize> fmt::Debug for Family<V, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Family").finish_non_exhaustive()
    }
}

impl<B: MetricVecBuilder, const N: usize> Family<MetricVec<B>, N> {
    /// Of a vector that has `N` labels.
    pub(super) fn new(vec: MetricVec<B>) -> Family<MetricVec<B>, N> {
        Family {
            vec,
            known: Mutex::new(BTreeSet::new()),
        }
    }

    /// The series with these labels; a new one starts at zero.
    pub(super) fn with(&self, labels: [&str; N]) -> B::M {
        let owned = labels.map(str::to_owned);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if !known.contains(&owned) {
            assert!(known.len() < MOST_SERIES, "labels come from closed sets");
            known.insert(owned);
        }
        self.vec.with_label_values(&labels)
    }

    /// Removes every series that `keep` does not want.
    pub(super) fn retain(&self, keep: impl Fn([&str; N]) -> bool) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|labels| {
            let keeps = keep(labels.each_ref().map(String::as_str));
            if !keeps {
                // It fails only for a series that is not there, which is what is wanted.
                let _ = self.vec.remove_label_values(labels);
            }
            keeps
        });
    }

    /// Calls `set` on every series that `which` names.
    pub(super) fn zero(&self, which: impl Fn([&str; N]) -> bool, set: impl Fn(&B::M)) {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        for labels in known.iter().map(|labels| labels.each_ref().map(String::as_str)) {
            if which(labels) {
                set(&self.vec.with_label_values(&labels));
            }
        }
    }
}
