//! What orareaper assumes of each action, and how the findings differ from it. Pure.

use crate::decide::outcome::Outcome;
use crate::policy::model::{Action, DisconnectClause, KillClause};
use crate::prove::{Behaved, Doing, RowAfter, SeenToEnd};

/// What an action on a decoy is assumed to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Assumed {
    /// The session ends, and the statement succeeds at once.
    Ends,
    /// The statement waits for the session to end; after a minute its answer is that the session is marked.
    Waits,
    /// The answer comes at once: the session is marked, and ends soon.
    Marks,
    /// The session ends with its transaction.
    AfterTransaction,
    /// The statement ends, and the session stays.
    Cancels,
}

/// What this action is assumed to do to a session that does this; `None` where there is nothing to act on.
pub(super) fn assumed(action: Action, doing: Doing) -> Option<Assumed> {
    let after_transaction = |clause| match clause {
        DisconnectClause::PostTransaction | DisconnectClause::PostTransactionNoReplay => true,
        DisconnectClause::Immediate | DisconnectClause::NoReplay => false,
    };
    Some(match (action, doing) {
        (Action::Report, _) | (Action::CancelSql, Doing::Idle | Doing::Transaction) => return None,
        (Action::CancelSql, Doing::Busy) => Assumed::Cancels,
        (Action::Kill { clause }, Doing::Busy) => match clause {
            KillClause::Plain | KillClause::NoReplay => Assumed::Waits,
            KillClause::Immediate => Assumed::Marks,
            KillClause::Force => Assumed::Ends,
        },
        (Action::Disconnect { clause }, Doing::Transaction) if after_transaction(clause) => Assumed::AfterTransaction,
        (Action::Disconnect { clause }, Doing::Busy) if after_transaction(clause) => Assumed::Waits,
        (Action::Disconnect { .. }, Doing::Idle | Doing::Busy | Doing::Transaction)
        | (Action::Kill { .. }, Doing::Idle | Doing::Transaction) => Assumed::Ends,
    })
}

impl Assumed {
    /// In words.
    pub(super) const fn words(self) -> &'static str {
        match self {
            Assumed::Ends => "success; the row is gone, or KILLED until the client calls again; the client is told",
            Assumed::Waits => {
                "success once the session is gone, or after a minute that it is marked for kill; the client is told"
            }
            Assumed::Marks => "marked for kill, without waiting; the session is soon gone; the client is told",
            Assumed::AfterTransaction => "success; the session stays until its transaction ends, and then goes",
            Assumed::Cancels => "success; the statement ends and the session stays",
        }
    }

    /// In what the database does otherwise.
    pub(super) fn differences(self, outcome: Outcome, behaved: &Behaved) -> Vec<&'static str> {
        let is_answered = match self {
            Assumed::Ends | Assumed::AfterTransaction | Assumed::Cancels => outcome == Outcome::Done,
            Assumed::Waits => matches!(outcome, Outcome::Done | Outcome::Marked),
            Assumed::Marks => outcome == Outcome::Marked,
        };
        let mut found = Vec::new();
        if !is_answered {
            found.push("the answer is another");
        }
        if !matches!(outcome, Outcome::Done | Outcome::Marked) {
            return found;
        }
        match self {
            Assumed::AfterTransaction if behaved.row != Some(RowAfter::Kept) => {
                found.push("it did not wait for the transaction");
            }
            Assumed::Cancels if behaved.ends == Some(SeenToEnd::Stays) => found.push("the statement ran on"),
            Assumed::Waits if outcome == Outcome::Done && behaved.row == Some(RowAfter::Killed) => {
                found.push("the caller was answered while the session was still there");
            }
            Assumed::Ends | Assumed::Waits | Assumed::Marks if behaved.row == Some(RowAfter::Kept) => {
                found.push("it had no effect");
            }
            Assumed::Ends | Assumed::Waits | Assumed::Marks | Assumed::AfterTransaction | Assumed::Cancels => {}
        }
        if self != Assumed::Cancels && behaved.ends == Some(SeenToEnd::Stays) {
            found.push("the row stayed");
        }
        let is_heard = self == Assumed::Cancels || behaved.told != Some(crate::oracle::decoy::NOTHING);
        if !is_heard && behaved.row != Some(RowAfter::Kept) {
            found.push("the client was told nothing");
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> impl Iterator<Item = (Action, Doing, Assumed)> {
        let pairs = Action::ALL
            .into_iter()
            .flat_map(|action| Doing::ALL.map(|doing| (action, doing)));
        pairs.filter_map(|(action, doing)| Some((action, doing, assumed(action, doing)?)))
    }

    #[test]
    fn every_action_is_tried_on_a_busy_decoy_and_all_but_a_cancel_on_an_idle_one() {
        for doing in Doing::ALL {
            let tried: Vec<&str> = all()
                .filter(|(_, of, _)| *of == doing)
                .map(|(action, _, _)| action.name())
                .collect();
            let expected: Vec<&str> = Action::ALL
                .into_iter()
                .filter(|action| *action != Action::Report && (doing == Doing::Busy || *action != Action::CancelSql))
                .map(Action::name)
                .collect();
            assert_eq!(tried, expected, "{doing:?}");
        }
    }

    #[test]
    fn what_is_documented_is_as_assumed() {
        for (action, doing, assumed) in all() {
            let (outcome, answer, row, ends) = match assumed {
                Assumed::Ends => (Outcome::Done, 0, Some(RowAfter::Killed), Some(SeenToEnd::Call)),
                Assumed::Waits => (Outcome::Done, 0, Some(RowAfter::Gone), None),
                Assumed::Marks => (Outcome::Marked, 31, None, Some(SeenToEnd::Call)),
                Assumed::AfterTransaction => (Outcome::Done, 0, Some(RowAfter::Kept), Some(SeenToEnd::Call)),
                Assumed::Cancels => (Outcome::Done, 0, None, Some(SeenToEnd::Call)),
            };
            let told = Some(28);
            let behaved = Behaved {
                answer,
                row,
                ends,
                told,
            };
            let differences = assumed.differences(outcome, &behaved);
            assert!(differences.is_empty(), "{action} {doing:?}: {differences:?}");
            let stays = Behaved {
                ends: Some(SeenToEnd::Stays),
                ..behaved
            };
            assert_eq!(assumed.differences(outcome, &stays).len(), 1, "{action} {doing:?}");
            let refused = assumed.differences(Outcome::Unsupported, &behaved);
            assert_eq!(refused, ["the answer is another"], "{action} {doing:?}");
        }
    }

    #[test]
    fn each_kind_of_difference_has_its_words() {
        let behaved = |row, told| Behaved {
            answer: 0,
            row: Some(row),
            ends: None,
            told: Some(told),
        };
        for (assumed, row, told, words) in [
            (
                Assumed::Waits,
                RowAfter::Killed,
                28,
                "the caller was answered while the session was still there",
            ),
            (Assumed::Ends, RowAfter::Kept, 0, "it had no effect"),
            (Assumed::Ends, RowAfter::Killed, 0, "the client was told nothing"),
            (
                Assumed::AfterTransaction,
                RowAfter::Killed,
                28,
                "it did not wait for the transaction",
            ),
            (Assumed::Marks, RowAfter::Gone, 28, "the answer is another"),
        ] {
            assert_eq!(assumed.differences(Outcome::Done, &behaved(row, told)), [words]);
        }
    }
}
