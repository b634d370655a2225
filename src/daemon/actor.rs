//! The thread that acts: connections of its own, one warrant after the other.
//!
//! Reading and acting are kept on separate connections, because an action may wait for a minute and may cost the
//! connection it runs on. DISCONNECT SESSION reaches only the instance that it is sent to, so there is a connection for
//! each instance that needs one. Warrants that have grown too old are not carried out: the next snapshot decides anew.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender};
use std::thread;
use std::time::Duration;

use chrono::NaiveDate;

use crate::actuator::carry_out::{Answered, Hands, Witness, carry_out};
use crate::clock::{Clock, Monotonic};
use crate::cycle::Done;
use crate::daemon::database::Input;
use crate::daemon::poller::{Reach, SharedReach};
use crate::guard::Warrant;
use crate::oracle::capabilities::Capabilities;
use crate::oracle::probe::probe;
use crate::oracle::{ConnectSlot, Connection, Error, Purpose};
use crate::outcome::Outcome;
use crate::plan::EffectiveLimits;
use crate::policy::model::Action;
use crate::session::SessionKey;
use crate::session::snapshot::Snapshot;

/// For a plain KILL, which lets its caller wait up to 60 seconds (Oracle Database Administrator's Guide, "Terminating
/// Sessions"), with a margin.
pub const KILL_LIMIT: Duration = Duration::from_secs(75);

/// The warrants of one cycle.
#[derive(Debug)]
pub struct Batch {
    /// In the order in which they are carried out, each with its session as the snapshot had it, alone.
    pub warrants: Vec<(Warrant, Snapshot)>,
    /// When the snapshot was begun that they come from.
    pub began: Monotonic,
    /// They are good for so long after that.
    pub good_for: Duration,
    /// The configuration's limits.
    pub limits: EffectiveLimits,
    /// The day.
    pub today: NaiveDate,
    /// The daemon's own sessions besides the actor's.
    pub own: Vec<SessionKey>,
    /// Names of the instances, to reach one by.
    pub instances: HashMap<u32, String>,
    /// Set when what is left of it must not be carried out: the rules that it comes from are in force no longer.
    pub revoked: Arc<AtomicBool>,
}

/// What the actor tells.
#[derive(Debug)]
pub enum Acted {
    /// It has a connection, and so a session of its own, that must not be taken for anybody else's.
    Connected(SessionKey),
    /// A warrant was used up.
    Done(Box<Done>),
    /// An action could not be written down, so nothing was done about it or the rest of the batch.
    JournalFailed(String),
    /// It could not connect, so nothing was done about the rest of the batch.
    Unreachable(Box<Error>),
    /// The batch is through; another may come.
    Through,
}

/// One connection with what it found.
struct Link {
    connection: Box<dyn Connection>,
    capabilities: Capabilities,
}

/// Acts on what it is given, over connections of its own, which it makes as it needs them.
pub struct Actor {
    reach: Reach,
    clock: Arc<dyn Clock>,
    slot: ConnectSlot,
    /// By the instance that each is to.
    links: HashMap<u32, Link>,
    inputs: Sender<Input>,
}

impl Actor {
    /// One without a connection yet, which tells what comes of its batches to `inputs`.
    #[must_use]
    pub fn new(reach: Reach, clock: Arc<dyn Clock>, inputs: Sender<Input>) -> Actor {
        Actor {
            reach,
            clock,
            slot: ConnectSlot::new(),
            links: HashMap::new(),
            inputs,
        }
    }

    /// Runs until the batches' sender is gone or nobody listens any more.
    pub fn run(mut self, reach: &SharedReach, witness: &mut dyn Witness, batches: &Receiver<Batch>) {
        for batch in batches {
            self.reach = reach.now();
            self.carry_out_all(batch, witness);
            if self.inputs.send(Input::Acted(Acted::Through)).is_err() {
                break;
            }
        }
        for (_, link) in self.links {
            link.connection.close(Duration::from_secs(1));
        }
    }

    /// Its sessions.
    #[must_use]
    pub fn own(&self) -> Vec<SessionKey> {
        self.links.values().map(|link| link.capabilities.own).collect()
    }

    /// How long each step may take, from now on.
    pub fn reach_mut(&mut self) -> &mut Reach {
        &mut self.reach
    }

    /// Nobody listens any more only while the daemon stops.
    fn tell(&self, acted: Acted) {
        let _ = self.inputs.send(Input::Acted(acted));
    }

    /// Uses every warrant of the batch up, or drops what is left of it after a failure that would meet each of them.
    pub fn carry_out_all(&mut self, mut batch: Batch, witness: &mut dyn Witness) {
        for (warrant, seen) in std::mem::take(&mut batch.warrants) {
            let expired = if batch.revoked.load(Ordering::SeqCst) {
                Some("policies or settings were changed, or a pause began, before its turn came")
            } else if self.clock.now().since(batch.began) > batch.good_for {
                Some("the snapshot was too old when its turn came")
            } else {
                None
            };
            if let Some(why) = expired {
                let done = expire(&warrant, why, witness);
                self.tell(Acted::Done(Box::new(done)));
                continue;
            }
            match self.carry_out_one(warrant, &seen, &batch, witness) {
                Ok(()) => {}
                Err(stop) => {
                    self.tell(stop);
                    return;
                }
            }
        }
    }

    fn carry_out_one(
        &mut self,
        warrant: Warrant,
        seen: &Snapshot,
        batch: &Batch,
        witness: &mut dyn Witness,
    ) -> Result<(), Acted> {
        // KILL and CANCEL name the instance themselves and may be sent anywhere.
        let wanted = match warrant.action() {
            Action::Disconnect { .. } => Some(warrant.key().inst_id),
            Action::Kill { .. } | Action::CancelSql | Action::Report => None,
        };
        let place = self
            .connect(wanted, batch)
            .map_err(|error| Acted::Unreachable(Box::new(error)))?;
        let clock = Arc::clone(&self.clock);
        let began = clock.now();
        let own: Vec<SessionKey> = batch
            .own
            .iter()
            .copied()
            .chain(self.links.values().map(|link| link.capabilities.own))
            .collect();
        let link = self.links.get_mut(&place).expect("it was just connected");
        let facts = link.capabilities.facts(&own);
        let mut hands = Hands {
            connection: &mut *link.connection,
            capabilities: &link.capabilities,
            facts: &facts,
            limits: &batch.limits,
            today: batch.today,
            limit: self.reach.call_limit,
            kill_limit: self.reach.kill_limit,
            elapsed: &|| clock.now().since(began),
        };
        let done = carry_out(warrant, seen, &mut hands, witness);
        let broken = link.connection.ping(self.reach.call_limit).is_err();
        if broken {
            self.links.remove(&place);
        }
        match done {
            Ok(done) => {
                self.tell(Acted::Done(Box::new(done)));
                Ok(())
            }
            Err(error) => Err(Acted::JournalFailed(error.to_string())),
        }
    }

    /// A connection to the instance, or to any; tells the instance that it is to. The listener may give another instance
    /// than the one asked for, which the statement then refuses to be sent to.
    fn connect(&mut self, wanted: Option<u32>, batch: &Batch) -> Result<u32, Error> {
        let there = match wanted {
            Some(inst_id) => self.links.get(&inst_id).map(|_| inst_id),
            None => self.links.keys().next().copied(),
        };
        if let Some(inst_id) = there {
            return Ok(inst_id);
        }
        let target = match wanted.and_then(|inst_id| batch.instances.get(&inst_id)) {
            Some(name) => self.reach.target_now()?.on_instance(name),
            None => self.reach.target_now()?,
        };
        let mut connection = self.slot.connect(&target, Purpose::Act, self.reach.connect_limit)?;
        let capabilities = probe(&mut *connection, self.reach.call_limit)?;
        self.tell(Acted::Connected(capabilities.own));
        let inst_id = capabilities.own.inst_id;
        self.links.insert(
            inst_id,
            Link {
                connection,
                capabilities,
            },
        );
        Ok(inst_id)
    }
}

/// The warrant is used up without having been tried.
fn expire(warrant: &Warrant, why: &str, witness: &mut dyn Witness) -> Done {
    let action_id = witness.next_id();
    witness.answered(&Answered {
        action_id,
        warrant,
        statement: None,
        outcome: Outcome::Expired,
        code: None,
        message: Some(why.to_owned()),
        session: None,
        took: Duration::ZERO,
    });
    Done::of(warrant, action_id, Outcome::Expired, None)
}

/// Starts the thread.
///
/// # Errors
/// When the system has no thread to give.
pub fn start(
    reach: SharedReach,
    clock: Arc<dyn Clock>,
    mut witness: Box<dyn Witness + Send>,
    batches: Receiver<Batch>,
    inputs: Sender<Input>,
) -> std::io::Result<thread::JoinHandle<()>> {
    thread::Builder::new()
        .name(format!("act-{}", reach.now().target.name))
        .spawn(move || Actor::new(reach.now(), clock, inputs).run(&reach, &mut *witness, &batches))
}
