//! A family of a metric that knows its label sets, so that series can be removed by some of their labels.
//!
//! The client library can remove a series only by all of its labels, and cannot list the series. The set of labels kept here is
//! as large as the family; it is searched only when databases, instances or policies change, or at the end of a cycle.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use prometheus::core::{MetricVec, MetricVecBuilder};

use crate::decide::outcome::Outcome;
use crate::policy::model::Action;

/// The limit of series in one family: every permitted pair of policy and database, on sixteen instances, with every action and
/// outcome. More series are a fault of the program, not a large site.
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
    /// A family for a vector with `N` labels.
    pub(super) fn new(vec: MetricVec<B>) -> Family<MetricVec<B>, N> {
        Family {
            vec,
            known: Mutex::new(BTreeSet::new()),
        }
    }

    /// The series with these labels. A new series starts at zero.
    pub(super) fn with(&self, labels: [&str; N]) -> B::M {
        let owned = labels.map(str::to_owned);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if !known.contains(&owned) {
            assert!(known.len() < MOST_SERIES, "labels come from closed sets");
            known.insert(owned);
        }
        self.vec.with_label_values(&labels)
    }

    /// Removes every series for which `keep` returns false.
    pub(super) fn retain(&self, keep: impl Fn([&str; N]) -> bool) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|labels| {
            let keeps = keep(labels.each_ref().map(String::as_str));
            if !keeps {
                // An error means that the series does not exist, which is the goal.
                let _ = self.vec.remove_label_values(labels);
            }
            keeps
        });
    }

    /// Calls `set` on every series for which `which` returns true.
    pub(super) fn zero(&self, which: impl Fn([&str; N]) -> bool, set: impl Fn(&B::M)) {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        for labels in known.iter().map(|labels| labels.each_ref().map(String::as_str)) {
            if which(labels) {
                set(&self.vec.with_label_values(&labels));
            }
        }
    }
}
