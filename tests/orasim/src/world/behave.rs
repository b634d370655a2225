//! The effect of ALTER SYSTEM on a real client's session where the scenario's behaviour says what comes of it.

use super::kill::{PATIENCE, Verdict};
use super::pass::Due;
use super::session::{Mark, Seat, Told};
use super::{Clause, Order, Shared, State};
use crate::backend::OraError;
use crate::clock::Moment;
use crate::error::known;
use crate::scenario::{Answer, Doing, Ends, RowAfter};

/// How long a busy session does not notice a kill whose caller did not wait for it.
const UNNOTICED: i64 = 5_000;

/// How long a row stays that is to stay.
const STAYS: i64 = 600_000;

/// What a client is told in these words: by the number of an error.
fn told_by(number: u32) -> Told {
    match number {
        28 => Told::Killed,
        45 => Told::NoReplay,
        3113 | 3114 | 3135 => Told::Cut,
        other => Told::Number(other),
    }
}

impl State {
    /// What comes of an order on the session of a real client, if the scenario says so.
    pub(super) fn behave(&mut self, shared: &Shared, seat: Seat, order: &Order) -> Option<Result<Verdict, OraError>> {
        let now = self.now;
        let sess = self.sessions.get(&seat).filter(|sess| sess.link.is_some())?;
        let doing = match (sess.phase(now).busy, sess.txn.is_some()) {
            (true, _) => Doing::Busy,
            (false, true) => Doing::Transaction,
            (false, false) => Doing::Idle,
        };
        let said = shared.scenario.behaviour.of(&order.action(), doing)?;
        Some(self.end_as_said(shared, seat, order, doing, said))
    }

    fn end_as_said(
        &mut self,
        shared: &Shared,
        seat: Seat,
        order: &Order,
        doing: Doing,
        said: Answer,
    ) -> Result<Verdict, OraError> {
        if !matches!(said.answer, 0 | 31) {
            return Err(known(said.answer));
        }
        let answered = match said.answer {
            0 => Ok(Verdict::Done),
            marked => Err(known(marked)),
        };
        if order.clause == Clause::CancelSql {
            if said.ends != Some(Ends::Stays) {
                self.cancel(shared, seat, order);
            }
            return answered;
        }
        match said.row {
            Some(RowAfter::Kept) => {
                let waits = order.clause == Clause::DisconnectPostTransaction && said.ends != Some(Ends::Stays);
                if let Some(link) = self.sessions.get_mut(&seat).and_then(|sess| sess.link.as_mut()) {
                    link.post_transaction |= waits;
                }
                answered
            }
            Some(RowAfter::Gone) => self.gone_as_said(seat, doing, told_by(said.told.unwrap_or(3113)), answered),
            Some(RowAfter::Killed) | None => {
                self.killed_as_said(seat, doing, said);
                answered
            }
        }
    }

    /// The row is gone with the answer: at once, or because the caller waits until the client has been told.
    fn gone_as_said(
        &mut self,
        seat: Seat,
        doing: Doing,
        told: Told,
        answered: Result<Verdict, OraError>,
    ) -> Result<Verdict, OraError> {
        let now = self.now;
        let Some(sess) = self.sessions.get_mut(&seat) else {
            return answered;
        };
        if told == Told::Cut {
            self.remove(seat);
            return answered;
        }
        let serial = sess.serial;
        if doing == Doing::Busy {
            sess.mark = Some(Mark {
                released: Moment::MAX,
                detached: false,
                ..Mark::new(now, told)
            });
            let deadline = now + 2 * PATIENCE;
            return answered.map(|_| Verdict::Wait { seat, serial, deadline });
        }
        // The client, whose connection lives, hears of it at its next call.
        sess.link = None;
        self.farewells.insert((seat, serial), told);
        self.remove(seat);
        answered
    }

    fn killed_as_said(&mut self, seat: Seat, doing: Doing, said: Answer) {
        let now = self.now;
        let Some(sess) = self.sessions.get_mut(&seat) else {
            return;
        };
        let (busy, serial) = (doing == Doing::Busy, sess.serial);
        let stays = said.ends == Some(Ends::Stays);
        sess.mark = Some(Mark {
            released: if busy { Moment::MAX } else { now },
            detached: !busy,
            noticed: if busy && said.answer == 0 { now + UNNOTICED } else { now },
            stays,
            ..Mark::new(now, told_by(said.told.unwrap_or(28)))
        });
        if !busy {
            self.release(seat);
        }
        if stays {
            self.later(STAYS, Due::Gone(seat, serial, None));
        }
    }
}
