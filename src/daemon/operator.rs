//! A kill by hand: the operator's requests to a database's loop, and the loop's answers.
//!
//! `orareaper kill` asks twice: to be shown a session with everything that stands in the way, and then, with the key that it was
//! shown, to have it ended. The loop answers with its next snapshot, which it takes at once. It judges the order as it judges a
//! policy ([`crate::decide::order`]), so the warrant, the re-check, the door and the journal are those of every action. The operator
//! gets each step as a message, until the session is gone or the operator stops listening.
//!
//! An operator who stops listening before the order's turn comes has withdrawn it.

use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};

use serde::{Deserialize, Serialize};

use crate::actuator::carry_out::{Answered, Intending, StepRecorder};
use crate::columns_needed::of_action;
use crate::decide::cycle::Done;
use crate::decide::order::OperatorOrder;
use crate::decide::outcome::Outcome;
use crate::decide::verify::Proof;
use crate::policy::model::Action;
use crate::session::SessionKey;
use crate::session::column::Columns;
use crate::session::time::DbTime;
use crate::terminal::visible::visible;

/// The name of a session as an operator gives it, in full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Named {
    /// SID.
    pub(crate) sid: u32,
    /// SERIAL#.
    pub(crate) serial: u32,
    /// INST_ID.
    pub(crate) inst_id: u32,
}

/// A session's whole key between two processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WholeKey {
    inst_id: u32,
    sid: u32,
    serial: u32,
    logon_time: i64,
}

impl From<SessionKey> for WholeKey {
    fn from(key: SessionKey) -> WholeKey {
        WholeKey {
            inst_id: key.inst_id,
            sid: key.sid,
            serial: key.serial,
            logon_time: key.logon_time.0,
        }
    }
}

impl From<WholeKey> for SessionKey {
    fn from(key: WholeKey) -> SessionKey {
        SessionKey {
            inst_id: key.inst_id,
            sid: key.sid,
            serial: key.serial,
            logon_time: DbTime(key.logon_time),
        }
    }
}

/// What `orareaper kill` asks of a database's loop.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "order", rename_all = "snake_case")]
pub(crate) enum KillRequest {
    /// Show a session, and whether an order would be carried out.
    Show {
        /// Which.
        session: Named,
        /// The action's word.
        action: String,
        /// The width of the terminal.
        width: usize,
        /// Whether it has colours.
        colour: bool,
    },
    /// End it.
    End {
        /// As it was shown.
        key: WholeKey,
        /// The action's word.
        action: String,
        /// Who orders it.
        by: String,
        /// Why.
        reason: String,
    },
}

/// One step of the answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", content = "of", rename_all = "snake_case")]
pub(crate) enum OrderStep {
    /// The session, with each reason why an order for it would be refused.
    Shown {
        /// The database.
        database: String,
        /// Its key.
        key: WholeKey,
        /// It and its protections, for a terminal.
        text: String,
        /// Why it would not be ended.
        refusals: Vec<String>,
    },
    /// It has to wait, and for what.
    Waits(String),
    /// Its turn has come.
    Begins,
    /// The statement was answered, or not sent, and why.
    Ended {
        /// The number of the action in the journal.
        action_id: u64,
        /// The statement.
        statement: Option<String>,
        /// The outcome's word.
        outcome: String,
        /// The message of Oracle, the driver or the daemon.
        message: Option<String>,
    },
    /// What a snapshot shows of the session afterwards: the proof's word, or that it is still there.
    Seen {
        /// The proof's word; none while it is still there.
        proof: Option<String>,
        /// STATUS of the session while it is there.
        status: Option<String>,
    },
    /// Nothing was done: each reason.
    Refused(Vec<String>),
    /// The session was gone before anything was done.
    Gone,
    /// It cannot be done, and why.
    Failed(String),
    /// Nothing new.
    Beat,
}

impl OrderStep {
    /// Whether nothing follows.
    #[must_use]
    pub(crate) fn is_last(&self) -> bool {
        match self {
            OrderStep::Shown { .. } | OrderStep::Refused(_) | OrderStep::Gone | OrderStep::Failed(_) => true,
            OrderStep::Ended { outcome, .. } => !Outcome::named(outcome).is_some_and(Outcome::is_followed),
            OrderStep::Seen { proof, .. } => proof.as_deref().and_then(Proof::named).is_some_and(Proof::ends),
            OrderStep::Waits(_) | OrderStep::Begins | OrderStep::Beat => false,
        }
    }
}

/// An operator's request, with the channel for the answers.
#[derive(Debug)]
pub struct OperatorRequest {
    /// The request.
    pub(crate) request: KillRequest,
    /// Takes the answers.
    pub(crate) told: Sender<OrderStep>,
}

impl OperatorRequest {
    /// The request of a text, as `orareaper kill` sends it, and its answers. For those who run a database's loop without the socket.
    ///
    /// # Errors
    /// When it is no request.
    pub fn read(text: &str) -> serde_json::Result<(OperatorRequest, OperatorAnswers)> {
        let request = serde_json::from_str(text)?;
        let (told, answers) = channel();
        Ok((OperatorRequest { request, told }, OperatorAnswers(answers)))
    }
}

/// The answers to a request. Who drops them has stopped listening.
#[derive(Debug)]
pub struct OperatorAnswers(Receiver<OrderStep>);

impl OperatorAnswers {
    /// The steps that have arrived since the last time, as `orareaper kill` receives them.
    pub fn texts(&self) -> impl Iterator<Item = serde_json::Result<String>> {
        self.0.try_iter().map(|step| serde_json::to_string(&step))
    }
}

/// A recorder that also tells the operator.
pub(crate) struct TellsOperator<'a> {
    pub(crate) inner: &'a mut dyn StepRecorder,
    pub(crate) told: &'a Sender<OrderStep>,
}

impl TellsOperator<'_> {
    fn tell(&self, action_id: u64, statement: Option<&str>, outcome: Outcome, message: Option<&str>) {
        // An operator who has stopped listening gets no answer.
        let _ = self.told.send(OrderStep::Ended {
            action_id,
            statement: statement.map(str::to_owned),
            outcome: outcome.name().to_owned(),
            message: message.map(str::to_owned),
        });
    }
}

impl StepRecorder for TellsOperator<'_> {
    fn next_id(&mut self) -> u64 {
        self.inner.next_id()
    }

    fn intend(&mut self, intending: &Intending<'_>) -> io::Result<()> {
        self.inner.intend(intending)
    }

    fn answered(&mut self, answered: &Answered<'_>) {
        self.inner.answered(answered);
        let message = answered.message.as_deref();
        self.tell(answered.action_id, answered.statement, answered.outcome, message);
    }

    fn abandon(&mut self, why: &str) -> Vec<Done> {
        let done = self.inner.abandon(why);
        for done in &done {
            self.tell(done.action_id, None, done.outcome, Some(why));
        }
        done
    }

    fn unused(&mut self, unused: &Intending<'_>, outcome: Outcome, why: &str) {
        self.inner.unused(unused, outcome, why);
        self.tell(unused.action_id, None, outcome, Some(why));
    }
}

/// The longest reason that is kept, in bytes; also the longest name of an operator.
pub(crate) const LONGEST_REASON: usize = 1_000;

/// An operator's text as it is kept: trimmed, and with control characters escaped.
///
/// # Errors
/// When it is too long.
pub(crate) fn kept(what: &str, text: &str) -> Result<String, String> {
    let kept = visible(text.trim()).into_owned();
    if kept.len() > LONGEST_REASON {
        return Err(format!(
            "{what} is too long: {} bytes with control characters escaped; the limit is {LONGEST_REASON}",
            kept.len()
        ));
    }
    Ok(kept)
}

impl KillRequest {
    /// The columns that its action needs, whatever the loaded policies need.
    pub(crate) fn columns(&self) -> Columns {
        let (KillRequest::Show { action, .. } | KillRequest::End { action, .. }) = self;
        action_of(action).map_or(Columns::NONE, of_action)
    }

    /// The order, if the request is one.
    pub(crate) fn order(&self) -> Option<Result<OperatorOrder, String>> {
        match self {
            KillRequest::Show { .. } => None,
            KillRequest::End {
                key,
                action,
                by,
                reason,
            } => Some(action_of(action).and_then(|action| {
                Ok(OperatorOrder {
                    key: (*key).into(),
                    action,
                    by: kept("the name of who orders it", by)?,
                    reason: kept("the reason", reason)?,
                })
            })),
        }
    }
}

/// The action of a word.
///
/// # Errors
/// When there is no such action, or it does nothing.
pub(crate) fn action_of(word: &str) -> Result<Action, String> {
    let ending = Action::ALL.into_iter().filter(|action| *action != Action::Report);
    let known = Action::named(word).filter(|action| *action != Action::Report);
    known.ok_or_else(|| {
        let words: Vec<&str> = ending.map(Action::name).collect();
        format!(
            "{word:?} is not an action that can be ordered; expected one of: {}",
            words.join(", ")
        )
    })
}
