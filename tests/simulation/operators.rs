//! Operators, who order by hand that a session is ended (`orareaper kill`), and what the judge knows of their orders.
//!
//! They name anybody: sessions that are protected, dying, gone, somebody else's by now, or met by a policy at the same moment. They
//! ask to be shown a session or order at once, wait, and stop listening at any time, which withdraws an order that has not begun.

use std::sync::Arc;

use orareaper::daemon::messages::Input;
use orareaper::daemon::operator::{OperatorAnswers, OperatorRequest};
use serde_json::{Value, json};

use super::base::{Base, Clause, Key};
use super::chance::Chance;
use super::judge::Judge;
use super::memory::{Beginning, Begun};
use super::part::Part;
use super::rules::{Rule, Wanted, written};
use super::stage::Stage;
use super::statements::is_safe;

/// The policy of every order, as the journal has it.
pub(crate) const BY_HAND: &str = "by hand";

/// So many operators may be at work.
const MOST: usize = 12;

/// An order, as the judge knows it.
#[derive(Debug)]
pub(crate) struct Ordered {
    entry: usize,
    /// The session that was meant.
    key: Key,
    /// What is asked of every action, as a policy that wants this session alone.
    rule: Rule,
    /// The cycle that it was permitted in, and when the snapshot of that began.
    began: Option<(usize, Beginning)>,
    /// Whether its intent was written.
    intended: bool,
    /// Whether its statement was sent.
    pub(crate) sent: bool,
    /// Nothing may come of it any more: it was refused, withdrawn, or has ended.
    over: bool,
}

/// Somebody who waits for an answer.
#[derive(Debug)]
pub(crate) struct Operator {
    entry: usize,
    clause: Clause,
    answers: OperatorAnswers,
    waits_for: Awaited,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Awaited {
    /// To be shown this session.
    Sight(Key),
    /// Nobody: it has been shown, and may order its end.
    Itself(Key),
    /// The outcome of an order, and afterwards that its session is gone.
    Order(usize),
}

/// The order that an intent's record names, which has it as the operator's name.
pub(crate) fn ordered_by(record: &str) -> usize {
    let record: Value = serde_json::from_str(record).expect("a record");
    let operator = record["operator"].as_str().expect("who ordered it");
    operator.parse().expect("the number of an order")
}

fn key_in(value: &Value) -> Key {
    let number = |name: &str| value[name].as_i64().unwrap_or_else(|| panic!("no {name}: {value}"));
    let id = |name| u32::try_from(number(name)).expect("an id");
    Key {
        inst: id("inst_id"),
        sid: id("sid"),
        serial: id("serial"),
        logon: number("logon_time"),
    }
}

impl Ordered {
    pub(crate) fn new(entry: usize, key: Key, action: Clause) -> Ordered {
        Ordered {
            entry,
            key,
            rule: Rule {
                name: BY_HAND.into(),
                wanted: Wanted::Everybody,
                longer_than: 0,
                hold: 0,
                enforces: true,
                action,
                escalate: Vec::new(),
                per_cycle: None,
                per_hour: None,
                per_day: None,
                respawns: None,
                keeps: None,
                gate: None,
                hours: None,
            },
            began: None,
            intended: false,
            sent: false,
            over: false,
        }
    }

    /// Its policy, if a statement may be sent for it at all.
    pub(crate) fn permits(&self, begun: &Begun) -> Result<&Rule, String> {
        if begun.key != self.key {
            return Err(format!("the operator meant {:?}", self.key));
        }
        if self.sent || self.over {
            return Err(format!("an order that is over: {self:?}"));
        }
        Ok(&self.rule)
    }
}

impl Judge {
    /// An intent is on the disk that carries this order out: its cycle, and when the snapshot of that began.
    pub(crate) fn takes_order(&mut self, number: usize, entry: usize, key: Key) -> Option<(usize, Beginning)> {
        let order = self.orders.get_mut(number)?;
        assert_eq!(
            (order.entry, order.key),
            (entry, key),
            "another session than was ordered"
        );
        assert!(
            !std::mem::replace(&mut order.intended, true),
            "a second intent for {order:?}"
        );
        order.began
    }

    /// An operator is told a step of an order; whether nothing follows.
    pub(crate) fn told_of_order(&mut self, number: usize, step: &str, of: &Value, base: &Base) -> bool {
        let newest = self.memory[self.orders[number].entry].newest_cycle();
        let paused = self.paused;
        let order = &mut self.orders[number];
        match step {
            "waits" | "beat" => return false,
            "begins" => {
                assert!(order.began.is_none() && !order.over, "it begins twice: {order:?}");
                assert!(!paused, "it is paused, and begins: {order:?}");
                order.began = newest;
                return false;
            }
            "ended" => {
                let is_told = !of["statement"].is_null();
                assert_eq!(order.sent, is_told, "its operator was told {of}: {order:?}");
                order.over = true;
                return false;
            }
            "seen" => {
                assert!(order.sent, "what became of nothing: {order:?}");
                let is_gone = of["proof"] == "gone";
                assert!(
                    !is_gone || base.find(order.key).is_none(),
                    "it is said to be gone: {order:?}"
                );
                return is_gone;
            }
            "gone" => assert!(base.find(order.key).is_none(), "it is said to be gone: {order:?}"),
            "refused" | "failed" => {}
            other => panic!("an order is answered {other}: {of}"),
        }
        assert!(!order.sent, "its operator was told {step}: {of}: {order:?}");
        order.over = true;
        true
    }
}

impl Stage {
    /// Somebody asks for a session, or orders its end at once.
    pub(crate) fn somebody_orders(&self) {
        let parts = self.all_parts();
        if parts.is_empty() || self.operators().len() >= MOST {
            return;
        }
        let part = Arc::clone(self.chance().pick(&parts));
        let Some(key) = self.somebody_to_end(part.at) else {
            return;
        };
        let clause = *self.chance().pick(&[
            Clause::Kill,
            Clause::KillImmediate,
            Clause::KillImmediate,
            Clause::KillForce,
            Clause::DisconnectPostTransaction,
            Clause::DisconnectImmediate,
            Clause::CancelSql,
        ]);
        if self.one_in(3) {
            let session = json!({"sid": key.sid, "serial": key.serial, "inst_id": key.inst});
            let request =
                json!({"order": "show", "session": session, "action": written(clause), "width": 100, "colour": false});
            self.ask(&part, clause, Awaited::Sight(key), &request);
        } else {
            self.give_order(&part, key, clause);
        }
    }

    fn give_order(&self, part: &Part, key: Key, clause: Clause) {
        let number = {
            let mut judge = self.judge();
            judge.orders.push(Ordered::new(part.at, key, clause));
            judge.orders.len() - 1
        };
        self.trace(|| format!("order {number}: {clause:?} of {key:?} by entry {}", part.at));
        let whole = json!({"inst_id": key.inst, "sid": key.sid, "serial": key.serial, "logon_time": key.logon});
        let request = json!({"order": "end", "key": whole, "action": written(clause), "by": number.to_string(), "reason": "drawn"});
        self.ask(part, clause, Awaited::Order(number), &request);
    }

    fn ask(&self, part: &Part, clause: Clause, waits_for: Awaited, request: &Value) {
        let (asked, answers) = OperatorRequest::read(&request.to_string()).expect("a request");
        self.operators().push(Operator {
            entry: part.at,
            clause,
            answers,
            waits_for,
        });
        part.apply(Input::Asked(Box::new(asked)));
        self.operators_hear(part.at);
    }

    /// Whom an operator means: anybody, or somebody of whom something stands in the way.
    fn somebody_to_end(&self, entry: usize) -> Option<Key> {
        let judge = self.judge();
        let (bases, mut chance) = (self.bases(), self.chance());
        let at = judge.base_of[entry];
        let of = |chance: &mut Chance, is: &dyn Fn(&super::base::Session) -> bool| {
            let all = bases[at].sessions.iter().filter(|session| is(session));
            let keys: Vec<Key> = all.map(|session| session.key).collect();
            (!keys.is_empty()).then(|| *chance.pick(&keys))
        };
        match chance.between(0, 9) {
            0..=3 => of(&mut chance, &|session| !is_safe(session) && session.mark.is_none()),
            4 => of(&mut chance, &|_| true),
            5 => of(&mut chance, &is_safe),
            6 => of(&mut chance, &|session| session.mark.is_some()),
            // The newest statements' sessions: under way, followed, or gone.
            7 | 8 => {
                let newest: Vec<Key> = judge
                    .sent
                    .iter()
                    .rev()
                    .filter(|sent| sent.base == at)
                    .map(|sent| sent.key)
                    .collect();
                (!newest.is_empty()).then(|| *chance.pick(&newest[..newest.len().min(4)]))
            }
            _ => of(&mut chance, &|session| !is_safe(session)).map(|key| match chance.one_in(2) {
                // Who was shown is gone, and another session has the SID, or even SID and SERIAL#.
                true => Key {
                    serial: key.serial - 1,
                    ..key
                },
                false => Key {
                    logon: key.logon - 7,
                    ..key
                },
            }),
        }
    }

    /// Whoever has been shown a session orders its end or not, and who waits may withdraw.
    pub(crate) fn operators_go_on(&self) {
        for part in self.all_parts() {
            self.operators_hear(part.at);
            let mut confirmed = Vec::new();
            let (mut judge, mut chance) = (self.judge(), self.chance());
            self.operators().retain(|operator| match operator.waits_for {
                _ if operator.entry != part.at => true,
                Awaited::Sight(_) => !chance.one_in(12),
                Awaited::Itself(key) => {
                    let decides = chance.one_in(2);
                    if decides && !chance.one_in(6) {
                        confirmed.push((key, operator.clause));
                    }
                    !decides
                }
                Awaited::Order(number) => {
                    let goes = chance.one_in(12);
                    let order = &mut judge.orders[number];
                    order.over |= goes && order.began.is_none();
                    !goes
                }
            });
            drop((judge, chance));
            for (key, clause) in confirmed {
                self.give_order(&part, key, clause);
            }
        }
    }

    /// The operators of an entry take what they were told.
    pub(crate) fn operators_hear(&self, entry: usize) {
        let mut judge = self.judge();
        let bases = self.bases();
        let base = &bases[judge.base_of[entry]];
        self.operators().retain_mut(|operator| {
            if operator.entry != entry {
                return true;
            }
            let told: Vec<Value> = operator
                .answers
                .texts()
                .map(|text| serde_json::from_str(&text.expect("a text")).expect("a step"))
                .collect();
            told.iter().all(|told| {
                let (step, of) = (told["step"].as_str().expect("a step"), &told["of"]);
                self.trace(|| format!("{:?} is told {step}", operator.waits_for));
                match operator.waits_for {
                    Awaited::Order(number) => !judge.told_of_order(number, step, of, base),
                    Awaited::Sight(asked) if step == "shown" => {
                        let shown = key_in(&of["key"]);
                        let seat = |key: Key| (key.inst, key.sid, key.serial);
                        assert_eq!(seat(shown), seat(asked), "another session is shown");
                        operator.waits_for = Awaited::Itself(shown);
                        true
                    }
                    Awaited::Sight(_) | Awaited::Itself(_) => false,
                }
            })
        });
    }

    /// An entry is gone, or the daemon: so is what its operators wait for.
    pub(crate) fn operators_lose(&self, entry: usize) {
        let mut judge = self.judge();
        self.operators().retain(|operator| {
            if let Awaited::Order(number) = operator.waits_for {
                judge.orders[number].over |= operator.entry == entry;
            }
            operator.entry != entry
        });
    }
}
