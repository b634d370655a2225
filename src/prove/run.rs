//! The steps of a proof, in order.

use std::sync::Arc;
use std::time::Duration;

use crate::actuator::decoy::DecoyAttempt;
use crate::actuator::way;
use crate::clock::Clock;
use crate::daemon::messages::Needs;
use crate::daemon::pause::Switch;
use crate::daemon::poller::Poller;
use crate::daemon::reach::Reach;
use crate::decide::outcome::Outcome;
use crate::oracle::capabilities::{Capabilities, Container, Way};
use crate::oracle::{collect, decoy};
use crate::policy::model::{Action, KillClause};
use crate::prove::stage::{DecoyReading, Player, Sent, Stage};
use crate::prove::trial::{SHARED, trial};
use crate::prove::{Behaviour, Doing, Finding, Halt, ProofReport, SentStatement, TrialVerdict};
use crate::quantity::{Elapsed, Span};
use crate::session::snapshot::Cell;

/// How many seconds, by the database's clock, the ages of two decoys are watched: LAST_CALL_ET is updated every few seconds.
const WATCHED: i64 = 6;

/// How long that may take.
const WATCHED_WITHIN: Duration = Duration::from_secs(20);

/// What the daemon assumes of PROGRAM.
const PROGRAM_BYTES: u32 = 48;

const PLAIN_KILL: Action = Action::Kill {
    clause: KillClause::Plain,
};

/// What a proof goes by.
pub(crate) struct Terms<'a> {
    pub(crate) reach: &'a Reach,
    pub(crate) switch: &'a Switch,
    pub(crate) clock: &'a Arc<dyn Clock>,
    /// Whether the command was interrupted.
    pub(crate) stop: &'a dyn Fn() -> bool,
    /// How often the daemon polls this database.
    pub(crate) poll: Duration,
    /// How long a decoy's row and client are followed.
    pub(crate) wait: Duration,
    /// Is told each line as it comes.
    pub(crate) tell: &'a dyn Fn(&Finding),
    /// Is told what the command waits for.
    pub(crate) waits: &'a dyn Fn(&str),
}

/// Tries everything. However it ends, no decoy is left.
///
/// # Errors
/// Why it ended before its end.
pub(crate) fn prove(terms: &Terms<'_>) -> Result<ProofReport, Halt> {
    let mut poller = Poller::new(terms.reach.clone(), Arc::clone(terms.clock));
    let polled = poller.poll(&Needs::default());
    let proved = polled.map_err(Halt::Failed).and_then(|polled| {
        let capabilities = Arc::clone(&polled.capabilities);
        let acting = (terms.reach, terms.switch);
        let told = (terms.stop, terms.waits);
        let stage = Stage::new(acting, &**terms.clock, told, terms.wait, capabilities.texts);
        let mut proving = Proving {
            terms,
            stage,
            poller: &mut poller,
            instance: None,
            capabilities,
            findings: Vec::new(),
            behaviour: Behaviour::default(),
            may_not: None,
        };
        let proved = proving.all();
        let Proving {
            stage,
            capabilities,
            findings,
            behaviour,
            ..
        } = proving;
        stage.close();
        proved.map(|()| proof(terms, &capabilities, findings, behaviour))
    });
    poller.close();
    proved
}

fn proof(terms: &Terms<'_>, capabilities: &Capabilities, findings: Vec<Finding>, behaviour: Behaviour) -> ProofReport {
    ProofReport {
        database: terms.reach.target.name.to_string(),
        release: capabilities.version.clone(),
        driver: terms.reach.target.driver.name(),
        container: match capabilities.container() {
            Container::NonCdb => "no containers",
            Container::Root => "CDB$ROOT",
            Container::Pdb => "PDB",
        },
        via: capabilities.way().via().name(),
        instances: capabilities.instances.len(),
        role: format!("{}, {}", capabilities.role, capabilities.open_mode),
        taken_at: terms.clock.utc(),
        findings,
        behaviour,
    }
}

struct Proving<'a> {
    terms: &'a Terms<'a>,
    stage: Stage<'a>,
    poller: &'a mut Poller,
    capabilities: Arc<Capabilities>,
    /// The name of the instance where decoys are opened; `None` where there is one only.
    instance: Option<String>,
    findings: Vec<Finding>,
    behaviour: Behaviour,
    /// The account may not act, with the database's message: then no decoy is made busy, because nothing could end it.
    may_not: Option<String>,
}

/// The words for a yes or a no.
fn verdict(is_so: bool) -> TrialVerdict {
    if is_so {
        TrialVerdict::AsAssumed
    } else {
        TrialVerdict::Differs
    }
}

fn line(what: &str, doing: Option<Doing>, assumed: &str) -> Finding {
    Finding {
        what: what.to_owned(),
        doing,
        verdict: TrialVerdict::Untried,
        assumed: assumed.to_owned(),
        found: String::new(),
        sent: None,
    }
}

fn words(code: u32, message: &str) -> String {
    if code == 0 {
        "success".to_owned()
    } else {
        message.to_owned()
    }
}

impl Proving<'_> {
    fn add(&mut self, finding: Finding) {
        (self.terms.tell)(&finding);
        self.findings.push(finding);
    }

    fn all(&mut self) -> Result<(), Halt> {
        self.stage.goes_on()?;
        let connected = self.stage.connected()?;
        self.instance = self.name_of(connected);
        if !self.with_decoy(|proving, player| proving.seen(player))? {
            self.nothing_else("decoys are not seen in time");
            return Ok(());
        }
        self.program()?;
        self.missing_session()?;
        self.disconnect_with_instance()?;
        if self.may_not.is_none() {
            self.with_decoy(|proving, idle| proving.with_decoy(|proving, busy| proving.ages(idle, busy)))?;
        }
        self.actions()?;
        if self.may_not.is_some() {
            return Ok(());
        }
        self.other_instances(connected)
    }

    /// The name of an instance of several.
    fn name_of(&self, inst_id: u32) -> Option<String> {
        let instances = &self.capabilities.instances;
        let named = instances.iter().find(|instance| instance.inst_id == inst_id);
        named
            .filter(|_| instances.len() > 1)
            .map(|instance| instance.name.clone())
    }

    /// Runs a step on a new decoy, which is gone afterwards.
    fn with_decoy<T>(&mut self, step: impl FnOnce(&mut Self, &mut Player) -> Result<T, Halt>) -> Result<T, Halt> {
        self.stage.goes_on()?;
        let mut player = self.stage.open(self.instance.as_deref())?;
        let done = step(self, &mut player);
        self.stage.dismiss(player);
        done
    }

    fn seen(&mut self, player: &Player) -> Result<bool, Halt> {
        let key = player.decoy.key();
        let began = self.terms.clock.now();
        let poller = &mut *self.poller;
        let seen = self.stage.within(self.terms.poll, |_| {
            let polled = poller.poll(&Needs::default())?;
            Ok(polled.snapshot.find(key).map(|_| ()))
        })?;
        let is_seen = seen.is_some();
        let took = self.terms.clock.now().since(began);
        self.behaviour.seen_at_once = Some(is_seen);
        self.add(Finding {
            verdict: verdict(is_seen),
            found: if is_seen {
                format!("seen after {}", Elapsed(took))
            } else {
                format!("not seen after {}", Elapsed(took))
            },
            ..line("seen", None, "a new session is in GV$SESSION within one poll")
        });
        Ok(is_seen)
    }

    fn ages(&mut self, idle: &Player, busy: &mut Player) -> Result<(), Halt> {
        let assumed = "LAST_CALL_ET grows as the database's clock does";
        let both = [Doing::Idle, Doing::Busy];
        let (a, b) = (idle.decoy.key(), busy.decoy.key());
        if let Err(why) = busy.work() {
            self.untried_ages(&both, assumed, &why);
            return Ok(());
        }
        let started = self.stage.until(|stage| {
            let looks = [stage.look(a)?, stage.look(b)?];
            let is_so = looks[0].is("INACTIVE") && looks[1].is("ACTIVE");
            Ok(is_so.then_some(looks))
        })?;
        let Some(before) = started else {
            self.untried_ages(&both, assumed, "the decoys are not shown as INACTIVE and ACTIVE");
            return Ok(());
        };
        let after = self.stage.within(WATCHED_WITHIN.max(self.terms.wait), |stage| {
            let looks = [stage.look(a)?, stage.look(b)?];
            let passed = |at: usize| looks[at].seconds() - before[at].seconds() >= WATCHED;
            Ok((passed(0) && passed(1)).then_some(looks))
        })?;
        let Some(after) = after else {
            self.untried_ages(&both, assumed, "the database's clock stands still");
            return Ok(());
        };
        for ((doing, before), after) in both.into_iter().zip(&before).zip(&after) {
            self.age(doing, assumed, before, after);
        }
        Ok(())
    }

    fn untried_ages(&mut self, both: &[Doing], assumed: &str, why: &str) {
        for doing in both {
            self.add(Finding {
                found: why.to_owned(),
                ..line("age", Some(*doing), assumed)
            });
        }
    }

    fn age(&mut self, doing: Doing, assumed: &str, before: &DecoyReading, after: &DecoyReading) {
        let passed = after.seconds() - before.seconds();
        let blank = line("age", Some(doing), assumed);
        let (status, behaviour) = match doing {
            Doing::Busy => ("ACTIVE", &mut self.behaviour.active_age_grows),
            Doing::Idle | Doing::Transaction => ("INACTIVE", &mut self.behaviour.idle_age_grows),
        };
        let finding = match (before.age(), after.age()) {
            (Some(from), Some(to)) if after.is(status) => {
                let grew = to - from;
                let grows = grew >= passed / 2;
                *behaviour = Some(grows);
                Finding {
                    verdict: verdict(grows),
                    found: format!("it grew by {grew} in {}", Span(passed)),
                    ..blank
                }
            }
            (_, _) => Finding {
                found: "the decoy did not stay as it was, or has no LAST_CALL_ET".to_owned(),
                ..blank
            },
        };
        self.add(finding);
    }

    fn program(&mut self) -> Result<(), Halt> {
        let blank = line("program", None, "PROGRAM holds 48 bytes, and a longer one is cut");
        let limit = self.terms.reach.call_limit;
        let found = match self.poller.connection() {
            None => Ok(Vec::new()),
            Some((connection, _)) => collect(connection, &decoy::program_width(), limit, 1, |row| match row.first() {
                Some(Cell::Number(bytes)) => u32::try_from(*bytes).ok(),
                Some(Cell::Text(_) | Cell::Time(_) | Cell::Null) | None => None,
            }),
        };
        let finding = match found {
            Err(error) => Finding {
                found: error.to_string(),
                ..blank
            },
            Ok(rows) => match rows.first() {
                None => Finding {
                    found: "ALL_TAB_COLUMNS does not show GV_$SESSION to this account".to_owned(),
                    ..blank
                },
                Some(bytes) => {
                    self.behaviour.program_bytes = Some(*bytes);
                    Finding {
                        verdict: verdict(*bytes == PROGRAM_BYTES),
                        found: format!("it holds {bytes} bytes"),
                        ..blank
                    }
                }
            },
        };
        self.add(finding);
        Ok(())
    }

    /// A KILL of a decoy that has logged off: no session has its key any more.
    fn missing_session(&mut self) -> Result<(), Halt> {
        let blank = line(
            "kill of a session that is gone",
            None,
            "the answer is that there is no such session",
        );
        let finding = self.with_decoy(|proving, player| {
            player.leave();
            let key = player.decoy.key();
            let gone = proving.stage.until(|stage| {
                let look = stage.look(key)?;
                Ok(look.row.is_none().then_some(look))
            })?;
            let Some(look) = gone else {
                return Ok(Finding {
                    found: "the decoy was still there after it logged off".to_owned(),
                    ..blank
                });
            };
            let departed = player.decoy.departed(&look.read);
            let sent = proving
                .stage
                .send(departed, DecoyAttempt::Action(PLAIN_KILL, None), &look)?;
            let way = proving.stage.way()?;
            let (finding, outcome) = answered(blank, sent, way, Outcome::AlreadyGone);
            // A package's own number says nothing about the statement.
            proving.behaviour.missing_session = finding.said_by(outcome).filter(|_| way == Way::AlterSystem);
            if outcome == Some(Outcome::Failed) {
                proving.may_not = Some(finding.found.clone());
            }
            Ok(finding)
        })?;
        self.add(finding);
        Ok(())
    }

    fn disconnect_with_instance(&mut self) -> Result<(), Halt> {
        let blank = line(
            "disconnect that names an instance",
            None,
            "it is refused: DISCONNECT SESSION takes no instance",
        );
        let finding = self.with_decoy(|proving, player| {
            let way = proving.stage.way()?;
            let is_alone = proving.stage.is_alone(player.decoy.key())?;
            if let Some(found) = match (way, is_alone) {
                (Way::AlterSystem, true) => None,
                (Way::AlterSystem, false) => Some(SHARED),
                (Way::Package { .. } | Way::RdsAdmin, _) => {
                    Some("sessions are ended by a package here, which has no such call")
                }
            } {
                return Ok(Finding {
                    found: found.to_owned(),
                    ..blank
                });
            }
            let look = proving.stage.look(player.decoy.key())?;
            let again = player.decoy.again(&look.read);
            let sent = proving.stage.send(again, DecoyAttempt::DisconnectWithInstance, &look)?;
            let (finding, outcome) = answered(blank, sent, way, Outcome::Unsupported);
            proving.behaviour.disconnect_with_instance = finding.said_by(outcome);
            Ok(finding)
        })?;
        self.add(finding);
        Ok(())
    }

    fn actions(&mut self) -> Result<(), Halt> {
        for action in Action::ALL.into_iter().filter(|action| *action != Action::Report) {
            let supported = self.capabilities.supports(action);
            if let Some(why) = self
                .may_not
                .clone()
                .or_else(|| supported.err().map(|why| why.to_string()))
            {
                self.add(untried_action(action, &why));
                continue;
            }
            for doing in Doing::ALL {
                let instance = self.instance.clone();
                let Some(tried) = trial(&mut self.stage, action, doing, instance.as_deref())? else {
                    continue;
                };
                if let Some(behaved) = tried.behaved {
                    let of_action = self.behaviour.actions.entry(action.name()).or_default();
                    of_action.insert(doing.name(), behaved);
                }
                self.add(tried.finding);
                if tried.may_not.is_some() {
                    self.may_not = tried.may_not;
                    break;
                }
            }
        }
        Ok(())
    }

    /// A KILL that names another instance than that of the connection it is sent over.
    fn other_instances(&mut self, connected: u32) -> Result<(), Halt> {
        let others: Vec<(u32, String)> = self
            .capabilities
            .instances
            .iter()
            .filter(|instance| instance.inst_id != connected)
            .map(|instance| (instance.inst_id, instance.name.clone()))
            .collect();
        for (inst_id, name) in others {
            let Some(tried) = trial(&mut self.stage, PLAIN_KILL, Doing::Idle, Some(&name))? else {
                continue;
            };
            let mut finding = tried.finding;
            finding.what = format!("kill on instance {inst_id}");
            if tried.inst_id.is_some_and(|of_decoy| of_decoy != inst_id) {
                finding.verdict = TrialVerdict::Untried;
                finding.found = format!("no decoy can be opened on instance {inst_id}: the listener chose another");
            }
            self.add(finding);
        }
        Ok(())
    }

    fn nothing_else(&mut self, why: &str) {
        for action in Action::ALL.into_iter().filter(|action| *action != Action::Report) {
            self.add(untried_action(action, why));
        }
    }
}

fn untried_action(action: Action, why: &str) -> Finding {
    Finding {
        found: why.to_owned(),
        ..line(action.name(), None, "the action is carried out")
    }
}

impl Finding {
    /// The number in the answer, if it says something about the database: one that came of a missing right does not.
    fn said_by(&self, outcome: Option<Outcome>) -> Option<u32> {
        let answer = self.sent.as_ref()?.answer;
        answer.filter(|_| outcome.is_some_and(|outcome| outcome != Outcome::Failed))
    }
}

/// The line of a statement of which only the answer counts, and what that answer means, if there is one.
fn answered(blank: Finding, sent: Option<Sent>, way: Way, assumed: Outcome) -> (Finding, Option<Outcome>) {
    let Some(sent) = sent else {
        let found = "the decoy was gone before the statement".to_owned();
        return (Finding { found, ..blank }, None);
    };
    let answer = match &sent.answer {
        Ok(answer) => answer,
        Err(error) => {
            let found = format!("no answer: {error}");
            return (Finding { found, ..blank }, None);
        }
    };
    let outcome = way::outcome(way, answer.code);
    let finding = Finding {
        verdict: if outcome == Outcome::Failed {
            TrialVerdict::Untried
        } else {
            verdict(outcome == assumed)
        },
        found: words(answer.code, &answer.message),
        sent: Some(SentStatement {
            text: sent.text,
            answer: Some(answer.code),
            waited: sent.waited,
            shown_for: None,
        }),
        ..blank
    };
    (finding, Some(outcome))
}
