//! Operators' requests to a database's loop: to show a session, and to end it.
//!
//! The loop requests a snapshot at once and answers a request from it. It judges an order under [`DatabaseRules::for_order`] with its
//! own memory, so budgets count the order, and an earlier action on the session defers it. The order gets one warrant, and the
//! policies get none in that cycle.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::actuator::way::wording;
use crate::daemon::database::DatabaseLoop;
use crate::daemon::database::orders::Polling;
use crate::daemon::messages::Polled;
use crate::daemon::operator::{KillRequest, Named, OperatorRequest, OrderStep, action_of};
use crate::decide::cycle::{Cycle, CycleInput, judge};
use crate::decide::in_force::{DatabaseRules, Due, Here, RunMode};
use crate::decide::order::OperatorOrder;
use crate::decide::protect::ProtectionFacts;
use crate::decide::reason::{Verdict, exempted};
use crate::decide::standstill::Standstill;
use crate::event::Evidence;
use crate::explain::{ExplainedSession, Explanation, SessionName};
use crate::journal::cells;
use crate::session::SessionKey;
use crate::session::column::Column;
use crate::session::snapshot::Snapshot;
use crate::terminal::visible::visible;
use crate::terminal::{Colour, TextStyle, bold, push, wrapped};

/// While an operator waits, a snapshot is taken at least this often.
const WATCHED: Duration = Duration::from_secs(1);

/// An order judged on a snapshot: the rules, and their decision.
struct Judged {
    rules: DatabaseRules,
    here: Here,
    cycle: Cycle,
    row: usize,
}

impl DatabaseLoop {
    /// Takes an operator's request.
    pub(super) fn asked(&mut self, asked: OperatorRequest) {
        if self.gave_up || self.requests.is_full() {
            let why = if self.gave_up {
                "the account was refused, and is not tried again before a reload"
            } else {
                "too many orders wait for this database"
            };
            // An operator who is gone gets no answer.
            let _ = asked.told.send(OrderStep::Failed(why.to_owned()));
            return;
        }
        self.requests.wait(asked);
        if self.polling == Polling::Idle {
            self.next_poll = self.next_poll.min(self.clock.now());
        }
    }

    /// Answers from this snapshot every operator who can be answered. Who asks while it is taken may need columns or sessions that it
    /// does not have, and is answered from the next one.
    pub(super) fn answer_operators(
        &mut self,
        polled: &Polled,
        facts: &ProtectionFacts,
        now: DateTime<Utc>,
        standstill: Option<&Standstill>,
    ) {
        for asked in self.requests.take_waiting() {
            let is_part = polled.snapshot.counted().is_some();
            if is_part || !self.requests.has_columns_of(&asked.request) {
                self.requests.wait(asked);
                continue;
            }
            let told = match &asked.request {
                KillRequest::Show { .. } => Some(self.show(&asked.request, polled, facts, now, standstill)),
                KillRequest::End { .. } => self.carry_out_order(&asked, polled, facts, now, standstill),
            };
            let waits = matches!(told, Some(OrderStep::Waits(_)));
            let listens = told.is_none_or(|told| asked.told.send(told).is_ok());
            if waits && listens {
                self.requests.wait(asked);
            }
        }
        if !self.requests.is_empty() {
            let soon = self.clock.now().plus(self.settings.poll.min(WATCHED));
            self.next_poll = self.next_poll.min(soon);
        }
    }

    fn judged(
        &self,
        order: OperatorOrder,
        row: usize,
        polled: &Polled,
        facts: &ProtectionFacts,
        now: DateTime<Utc>,
        standstill: Option<&Standstill>,
    ) -> Judged {
        let rules = self.rules.for_order(Arc::new(order));
        let here = rules.here(|action| polled.capabilities.supports(action), Due::Always);
        let input = CycleInput {
            rules: &rules,
            here: &here,
            facts,
            now,
            unbroken: true,
            read_in: chrono::TimeDelta::zero(),
            standstill,
            assume_held: false,
        };
        let cycle = judge(&self.memory, &polled.snapshot, &input);
        Judged {
            rules,
            here,
            cycle,
            row,
        }
    }

    /// Shows a session with everything that stands in the way.
    fn show(
        &self,
        request: &KillRequest,
        polled: &Polled,
        facts: &ProtectionFacts,
        now: DateTime<Utc>,
        standstill: Option<&Standstill>,
    ) -> OrderStep {
        let KillRequest::Show {
            session,
            action,
            width,
            colour,
        } = request
        else {
            unreachable!("only a session that is to be shown is")
        };
        let Named { sid, serial, inst_id } = *session;
        let name = SessionName {
            sid,
            serial: Some(serial),
            inst_id: Some(inst_id),
        };
        // No similar sessions are proposed to an operator who is about to end one.
        let none = |_| format!("there is no session {name}; `orareaper sessions` shows those that there are");
        let found = name.find(&polled.snapshot).map_err(none);
        let (row, action) = match (found, action_of(action)) {
            (Ok(row), Ok(action)) => (row, action),
            (Err(why), _) => return OrderStep::Refused(vec![why]),
            (_, Err(why)) => return OrderStep::Failed(why),
        };
        let Some(key) = polled.snapshot.key(row) else {
            let why = "its INST_ID, SID, SERIAL# or LOGON_TIME is unknown, so it cannot be told from others";
            return OrderStep::Refused(vec![why.to_owned()]);
        };
        let order = OperatorOrder {
            key,
            action,
            by: String::new(),
            reason: String::new(),
        };
        // A standstill that ends before the order's turn is no obstacle.
        let standstill = standstill.filter(|standstill| !matches!(held_up(standstill), OrderStep::Waits(_)));
        let judged = self.judged(order, row, polled, facts, now, standstill);
        let style = TextStyle {
            width: *width,
            colour: *colour,
            ..TextStyle::default()
        };
        let explanation = judged.explanation(&self.settings.name, polled, facts, now);
        let mut text = explanation.to_text(style);
        evidence(&mut text, &polled.snapshot, row, style);
        let sql_id = polled.snapshot.text(row, Column::SqlId);
        match wording(polled.capabilities.way(), action, key, sql_id, key.inst_id) {
            Ok(wording) => push(&mut text, &format!("\nstatement: {}", wording.text())),
            Err(none) => push(&mut text, &format!("\nno statement: {none}")),
        }
        OrderStep::Shown {
            database: self.settings.name.to_string(),
            key: key.into(),
            text,
            refusals: judged.refusals(&explanation, &polled.snapshot, standstill),
        }
    }

    /// Gives the order to an acting thread if it is permitted; otherwise returns what to tell the operator.
    fn carry_out_order(
        &mut self,
        asked: &OperatorRequest,
        polled: &Polled,
        facts: &ProtectionFacts,
        now: DateTime<Utc>,
        standstill: Option<&Standstill>,
    ) -> Option<OrderStep> {
        let order = match asked.request.order()? {
            Ok(order) => order,
            Err(why) => return Some(OrderStep::Failed(why)),
        };
        if let Some(standstill) = standstill {
            return Some(held_up(standstill));
        }
        if self.requests.is_carrying_out() || !self.is_free_for(order.key.inst_id) {
            return Some(OrderStep::Waits(Standstill::UnderWay.to_string()));
        }
        let snapshot = &polled.snapshot;
        let Some(row) = snapshot.find(order.key) else {
            return Some(not_there(order.key, snapshot));
        };
        let key = order.key;
        let mut judged = self.judged(order, row, polled, facts, now, standstill);
        let explanation = judged.explanation(&self.settings.name, polled, facts, now);
        let refusals = judged.refusals(&explanation, snapshot, standstill);
        let warrant = judged.cycle.ruling.warrants.pop();
        let Some(warrant) = warrant.filter(|_| refusals.is_empty()) else {
            return Some(OrderStep::Refused(refusals));
        };
        // An operator who no longer listens has withdrawn the order.
        if asked.told.send(OrderStep::Begins).is_err() {
            return None;
        }
        tracing::info!(database = &*self.settings.name, session = %key, "an operator's order begins");
        let task = (warrant, snapshot.only(row));
        let told = asked.told.clone();
        if !self.order(task, polled, Arc::new(judged.rules), now, told.clone()) {
            return Some(OrderStep::Failed("the thread that acts is gone".to_owned()));
        }
        self.requests.carry_out(told);
        None
    }
}

/// The answer to an order while no session at all may be ended.
fn held_up(standstill: &Standstill) -> OrderStep {
    let words = standstill.to_string();
    match standstill {
        Standstill::Paused(_) | Standstill::Blackout(_) | Standstill::StandsBy(_) | Standstill::Told(_) => {
            OrderStep::Refused(vec![words])
        }
        Standstill::Hangs
        | Standstill::RefusedUntilReload(_)
        | Standstill::Unreachable(_)
        | Standstill::Refused(_)
        | Standstill::CannotLead(_) => OrderStep::Failed(words),
        Standstill::UnderWay
        | Standstill::OldSnapshot
        | Standstill::ClockStepped(_)
        | Standstill::Sibling(_)
        | Standstill::TakesOver
        | Standstill::Ordered(_) => OrderStep::Waits(words),
    }
}

/// The session that was shown is not in the snapshot.
fn not_there(key: SessionKey, snapshot: &Snapshot) -> OrderStep {
    if !snapshot.is_complete(key.inst_id) {
        return OrderStep::Failed(format!("instance {} could not be read", key.inst_id));
    }
    let name = SessionName {
        sid: key.sid,
        serial: None,
        inst_id: Some(key.inst_id),
    };
    match name.find(snapshot).ok().and_then(|row| snapshot.key(row)) {
        Some(other) => OrderStep::Refused(vec![format!(
            "session {key} that was shown is gone, and its SID is now that of session {other}, which was not shown"
        )]),
        None => OrderStep::Gone,
    }
}

impl Judged {
    fn explanation(&self, database: &str, polled: &Polled, facts: &ProtectionFacts, now: DateTime<Utc>) -> Explanation {
        let mut explanation = Explanation::new(&ExplainedSession {
            database,
            snapshot: &polled.snapshot,
            row: self.row,
            rules: &self.rules,
            here: &self.here,
            facts,
            now,
            cycle: &self.cycle,
            gates: &[true],
            only: None,
        });
        // The order's own condition is the session's name.
        explanation.policies.clear();
        explanation
    }

    /// Each reason why the order is refused.
    fn refusals(&self, explanation: &Explanation, snapshot: &Snapshot, standstill: Option<&Standstill>) -> Vec<String> {
        let mut refusals = Vec::new();
        match &self.here.each()[0] {
            Ok(in_force) if in_force.mode() == RunMode::Enforce => {}
            Ok(_) => refusals.push(
                "no statement is sent to this database: it is not `armed: true`, or the daemon runs with --dry-run"
                    .to_owned(),
            ),
            Err(why) => refusals.push(why.to_string()),
        }
        let protections = explanation.protections.iter();
        refusals.extend(
            protections.filter_map(|(protection, why)| Some(format!("protection {protection}: {}", why.as_ref()?))),
        );
        let exemptions = self.rules.set().exemptions.iter().zip(&explanation.exemptions);
        for (exemption, _) in exemptions.filter(|(_, explained)| explained.applies) {
            refusals.push(format!("exempt: {}", exempted(exemption, snapshot, self.row)));
        }
        refusals.extend(standstill.map(ToString::to_string));
        let mut decisions = self
            .cycle
            .ruling
            .decisions
            .iter()
            .filter(|decision| decision.row == self.row);
        match decisions.next() {
            Some(decision) if decision.verdict() == Verdict::Act => {}
            Some(decision) if refusals.is_empty() => refusals.push(decision.reason(self.rules.set(), snapshot)),
            None if refusals.is_empty() => refusals.push("its instance was not read completely".to_owned()),
            Some(_) | None => {}
        }
        refusals
    }
}

/// The columns that were read of the session, NULL left out.
fn evidence(out: &mut String, snapshot: &Snapshot, row: usize, style: TextStyle) {
    push(out, &format!("\n{}", bold("what it is and does", style)));
    let cells = cells(&Evidence::of(snapshot, row));
    let shown = cells.iter().filter(|(_, value)| !value.is_null()).map(|(name, value)| {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        format!("{name} {}", visible(&value))
    });
    wrapped(out, "  ", &shown.collect::<Vec<_>>().join(", "), style, Colour::None);
}
