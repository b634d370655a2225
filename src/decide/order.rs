//! An operator's order to act on one session, as a policy of its own.
//!
//! A kill by hand is judged by what judges every policy: the order becomes a policy that selects this one session, and stands
//! alone in a set that has the exemptions of the loaded one. So protections, exemptions, arming, blackouts, budgets and the
//! re-check are the same code, and the warrant comes from the guard as any other.

use chrono::NaiveDate;

use crate::policy::model::{Action, PolicySet};
use crate::session::SessionKey;

/// The policy of every order, in the journal and in metrics. No file can have a policy of this name, which has a blank in it.
pub(crate) const BY_HAND: &str = "by hand";

/// An order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OperatorOrder {
    /// The session that the operator was shown. Another one with its SID is not meant.
    pub(crate) key: SessionKey,
    /// What is to be done.
    pub(crate) action: Action,
    /// Who orders it.
    pub(crate) by: String,
    /// Why.
    pub(crate) reason: String,
}

impl OperatorOrder {
    /// The set under which it is judged.
    ///
    /// # Panics
    /// When the action is `report`, which no order has.
    #[must_use]
    pub(crate) fn set(&self, loaded: &PolicySet) -> PolicySet {
        assert!(self.action != Action::Report, "an order acts");
        let SessionKey {
            inst_id, sid, serial, ..
        } = self.key;
        let text = format!(
            "policies: [{{name: by-hand, mode: enforce, when: \"inst_id = {inst_id} and sid = {sid} and serial# = {serial}\", \
             action: {}}}]",
            self.action
        );
        let checked = crate::policy::check_files(
            &[("order".to_owned(), text.into_bytes())],
            NaiveDate::MIN,
            chrono_tz::UTC,
        );
        let mut set = checked.set.expect("a policy of numbers and a known action checks");
        for policy in &mut set.policies {
            policy.name = BY_HAND.into();
        }
        PolicySet {
            exemptions: loaded.exemptions.clone(),
            digest: loaded.digest.clone(),
            ..set
        }
    }

    /// Why, in the words of the journal.
    #[must_use]
    pub(crate) fn words(&self) -> String {
        format!("ordered by {}: {}", self.by, self.reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::time::DbTime;

    #[test]
    fn every_action_can_be_ordered_of_every_session() {
        let actions = Action::ALL.into_iter().filter(|action| *action != Action::Report);
        for (action, number) in actions.flat_map(|action| [(action, 0), (action, u32::MAX)]) {
            let order = OperatorOrder {
                key: SessionKey {
                    inst_id: number,
                    sid: number,
                    serial: number,
                    logon_time: DbTime(0),
                },
                action,
                by: "maria".into(),
                reason: String::new(),
            };
            let set = order.set(&PolicySet::default());
            let policy = &set.policies[0];
            assert_eq!((set.policies.len(), &*policy.name, policy.action), (1, BY_HAND, action));
            assert_eq!((policy.hold, policy.allow.len(), policy.escalate.len()), (0, 0, 0));
        }
    }
}
