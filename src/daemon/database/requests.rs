//! The operators who wait for a database's loop, by stage: for a snapshot, for their order's outcome, for their session to be gone.

use std::collections::VecDeque;
use std::sync::mpsc::Sender;

use crate::columns_needed::of_action;
use crate::daemon::operator::{KillRequest, OperatorRequest, OrderStep};
use crate::decide::cycle::Done;
use crate::decide::order::BY_HAND;
use crate::decide::standstill::Standstill;
use crate::decide::verify::{Following, Verification};
use crate::session::SessionKey;
use crate::session::column::{Column, Columns};
use crate::session::snapshot::Snapshot;

/// The greatest number of requests that wait for a snapshot.
const MOST: usize = 8;

/// The operators' requests, by stage.
#[derive(Debug, Default)]
pub(super) struct OperatorRequests {
    waiting: VecDeque<OperatorRequest>,
    /// The columns that were asked for on their behalf with the last snapshot.
    asked_for: Columns,
    /// Whose order is being carried out.
    carried_out: Option<Sender<OrderStep>>,
    /// Who waits for a session to be gone.
    followed: Vec<Follower>,
}

#[derive(Debug)]
struct Follower {
    action_id: u64,
    key: SessionKey,
    told: Sender<OrderStep>,
}

impl OperatorRequests {
    /// Whether no other request may wait.
    pub(super) fn is_full(&self) -> bool {
        self.waiting.len() >= MOST
    }

    /// Lets a request wait for a snapshot.
    pub(super) fn wait(&mut self, asked: OperatorRequest) {
        self.waiting.push_back(asked);
    }

    /// The requests that wait, in their order.
    pub(super) fn take_waiting(&mut self) -> VecDeque<OperatorRequest> {
        std::mem::take(&mut self.waiting)
    }

    /// The columns that the next snapshot must have for operators: those of the actions that they ask for, and of those of theirs that
    /// are followed.
    pub(super) fn ask_for_columns(&mut self, following: &Following) -> Columns {
        let waiting = self.waiting.iter().map(|asked| asked.request.columns());
        let followed = following.iter().map(|(_, followed)| followed);
        let by_hand = followed.filter(|followed| &*followed.policy == BY_HAND);
        let columns = waiting.chain(by_hand.map(|followed| of_action(followed.action)));
        self.asked_for = columns.fold(Columns::NONE, Columns::union);
        self.asked_for
    }

    /// Whether the last snapshot has the columns that a request needs.
    pub(super) fn has_columns_of(&self, request: &KillRequest) -> bool {
        self.asked_for.union(request.columns()) == self.asked_for
    }

    /// Whether an order is being carried out.
    pub(super) fn is_carrying_out(&self) -> bool {
        self.carried_out.is_some()
    }

    /// An order is being carried out; `told` takes its outcome.
    pub(super) fn carry_out(&mut self, told: Sender<OrderStep>) {
        self.carried_out = Some(told);
    }

    /// Why the policies must wait: an operator's order goes first, and they decide again with the next snapshot.
    pub(super) fn first_order(&self) -> Option<Standstill> {
        self.waiting.iter().find_map(|asked| match &asked.request {
            KillRequest::End { by, .. } => Some(Standstill::Ordered(by.clone())),
            KillRequest::Show { .. } => None,
        })
    }

    /// Tells every waiting operator that there is no answer, and why.
    pub(super) fn fail(&mut self, why: &str) {
        for asked in self.waiting.drain(..) {
            // An operator who is gone gets no answer, here and below.
            let _ = asked.told.send(OrderStep::Failed(why.to_owned()));
        }
    }

    /// Tells the operator that the order was not carried out and has no outcome.
    pub(super) fn not_carried_out(&mut self, why: &str) {
        if let Some(told) = self.carried_out.take() {
            let _ = told.send(OrderStep::Failed(why.to_owned()));
        }
    }

    /// Takes the outcome of an action.
    pub(super) fn done(&mut self, done: &Done) {
        if &*done.policy != BY_HAND {
            return;
        }
        if let Some(told) = self.carried_out.take()
            && done.outcome.is_followed()
        {
            self.followed.push(Follower {
                action_id: done.action_id,
                key: done.key,
                told,
            });
        }
    }

    /// Tells waiting operators what a snapshot shows of their sessions.
    pub(super) fn follow_up(&mut self, verified: &[Verification], snapshot: &Snapshot) {
        self.followed.retain(|follower| {
            let mut of_it = verified
                .iter()
                .filter(|shown| shown.followed.action_id == follower.action_id);
            let seen = match of_it.next() {
                Some(shown) => OrderStep::Seen {
                    proof: Some(shown.proof.name().to_owned()),
                    status: None,
                },
                None => OrderStep::Seen {
                    proof: None,
                    status: snapshot
                        .find(follower.key)
                        .and_then(|row| snapshot.text(row, Column::Status))
                        .map(str::to_owned),
                },
            };
            let is_last = seen.is_last();
            follower.told.send(seen).is_ok() && !is_last
        });
    }

    /// Whether no operator waits for anything.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.carried_out.is_none() && self.followed.is_empty()
    }
}
