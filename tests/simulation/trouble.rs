//! What goes wrong: in the database, on the wire, on the disk, and to the daemon itself.

use std::any::Any;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::panic;
use std::path::PathBuf;
use std::sync::Arc;

use orareaper::actuator::carry_out::{Answered, Intending, Witness};
use orareaper::daemon::watcher::Clerk;
use orareaper::decide::cycle::Done;
use orareaper::decide::outcome::Outcome;
use orareaper::event_sink::EventSink;
use orareaper::journal;
use orareaper::session::SessionKey;
use orasim::scenario::Length;
use orasim::{Fault, Strike, World};

use super::chance::Chance;
use super::steps::{NAME, PATIENT, Shared, lock};

/// What a query may fail with.
const ERRORS: &[(u32, &str)] = &[
    (600, "internal error code"),
    (1013, "user requested cancel of current operation"),
    (28, "your session has been killed"),
    (3113, "end-of-file on communication channel"),
    (4031, "unable to allocate bytes of shared memory"),
    (1555, "snapshot too old"),
    (
        12801,
        "error signaled in parallel query server P000\nORA-12805: parallel query server died unexpectedly",
    ),
    (
        604,
        "error occurred at recursive SQL level 1\nORA-04031: unable to allocate",
    ),
    (1031, "insufficient privileges"),
];

/// What a statement that ends a session may be answered with.
const ANSWERS: &[(u32, &str)] = &[
    (600, "internal error code"),
    (1013, "user requested cancel of current operation"),
    (28, "your session has been killed"),
    (4031, "unable to allocate bytes of shared memory"),
    (1031, "insufficient privileges"),
    (31, "session marked for kill"),
    (30, "User session ID does not exist."),
    (4242, "something new"),
];

/// What is under way.
#[derive(Debug, Default)]
pub(crate) struct Trouble {
    hangs: bool,
    costs_connections: bool,
    absent: Vec<u32>,
}

impl Trouble {
    /// Whether a call may get no answer.
    pub(crate) fn hangs(&self) -> bool {
        self.hangs
    }

    /// Whether something else than an answer may cost a connection.
    pub(crate) fn may_cost_connections(&self) -> bool {
        self.costs_connections
    }

    /// Begins and ends troubles.
    pub(crate) fn stir(&mut self, chance: &mut Chance, world: &World, instances: u32) {
        if chance.one_in(2) {
            self.calm(world);
        }
        if chance.one_in(2) {
            self.arm(chance, world, instances);
        }
        if chance.one_in(3) {
            self.touch_somebody(chance, world);
        }
        if chance.one_in(25) {
            let number = u32::try_from(chance.between(1, u64::from(instances))).expect("small");
            world.leave(number);
            self.absent.push(number);
            self.costs_connections = true;
        }
        if chance.one_in(3) {
            self.rejoin(world, instances);
        }
    }

    fn calm(&mut self, world: &World) {
        world.disarm();
        *self = Trouble {
            hangs: false,
            costs_connections: false,
            absent: std::mem::take(&mut self.absent),
        };
    }

    /// No trouble any more.
    pub(crate) fn end(&mut self, world: &World, instances: u32) {
        self.calm(world);
        self.rejoin(world, instances);
    }

    fn rejoin(&mut self, world: &World, instances: u32) {
        for number in 1..=instances {
            // Does nothing to one that is there.
            world.join(number);
        }
        self.absent.clear();
    }

    /// Something happens to one of the sessions, as it does at any time.
    pub(crate) fn touch_somebody(&mut self, chance: &mut Chance, world: &World) {
        let mut sessions = world.sessions();
        sessions.retain(|session| session.group.is_some());
        if sessions.is_empty() {
            return;
        }
        let session = chance.pick(&sessions);
        if chance.one_in(2) {
            world.log_off(session.instance, session.sid);
        } else {
            let _ = world.reuse_seat(session.instance, session.sid);
        }
    }

    fn arm(&mut self, chance: &mut Chance, world: &World, instances: u32) {
        let instance = u32::try_from(chance.between(1, u64::from(instances))).expect("small");
        let error = |(code, message): (u32, &str)| Strike::Error {
            code,
            message: format!("{message} (simulated)"),
        };
        let length = |chance: &mut Chance| {
            let seconds = i64::try_from(chance.between(1, 400)).expect("small");
            Length(seconds * 1000)
        };
        let (statement, what) = match chance.between(0, 12) {
            0 | 1 => ("GV$SESSION", error(*chance.pick(ERRORS))),
            2 => ("GV$INSTANCE", error(*chance.pick(ERRORS))),
            3 => (*chance.pick(&["GV$SESSION", "GV$INSTANCE"]), Strike::Cut),
            4 => ("GV$SESSION", Strike::HideInstance(instance)),
            5 => ("GV$SESSION", Strike::Delay(length(chance))),
            6 => ("ALTER SYSTEM", error(*chance.pick(ANSWERS))),
            7 => ("ALTER SYSTEM", Strike::ReplaceTarget),
            8 => ("ALTER SYSTEM", Strike::EndTarget),
            9 => ("ALTER SYSTEM", Strike::LingerTarget(length(chance))),
            10 => (
                "ALTER SYSTEM",
                chance.pick(&[Strike::CutAfter, Strike::CutAfter, Strike::Cut]).clone(),
            ),
            11 => ("EXECUTE IMMEDIATE", error(*chance.pick(ERRORS))),
            _ if chance.one_in(3) => (
                *chance.pick(&["GV$SESSION", "ALTER SYSTEM", "GV$INSTANCE"]),
                Strike::Hang,
            ),
            _ => ("GV$SESSION", Strike::Leave(instance)),
        };
        self.hangs |= what == Strike::Hang;
        self.costs_connections |= !matches!(
            what,
            Strike::ReplaceTarget
                | Strike::EndTarget
                | Strike::LingerTarget(_)
                | Strike::HideInstance(_)
                | Strike::Delay(_)
        );
        if let Strike::Leave(number) = what {
            self.absent.push(number);
        }
        world.arm(Fault {
            statement: Some(statement.to_owned()),
            user: Some("REAPER".to_owned()),
            call: u32::try_from(chance.between(1, 5)).expect("small"),
            times: u32::try_from(chance.between(1, 3)).expect("small"),
            what,
        });
    }
}

/// What goes wrong while a batch is carried out, counted in its actions from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mischief {
    /// Nothing.
    None,
    /// The disk does not take this intent.
    FullDisk(usize),
    /// The daemon ends while it writes this intent.
    CrashInIntent(usize),
    /// It ends when this intent is on the disk.
    CrashAfterIntent(usize),
    /// It ends when the database has answered, and that is not written yet.
    CrashBeforeOutcome(usize),
    /// It ends when that is written.
    CrashAfterOutcome(usize),
}

impl Mischief {
    pub(crate) fn draw(chance: &mut Chance) -> Mischief {
        let at = usize::try_from(chance.between(0, 2)).expect("small");
        match chance.between(0, 19) {
            0 => Mischief::FullDisk(at),
            1 => Mischief::CrashInIntent(at),
            2 => Mischief::CrashAfterIntent(at),
            3 => Mischief::CrashBeforeOutcome(at),
            4 => Mischief::CrashAfterOutcome(at),
            _ => Mischief::None,
        }
    }
}

/// What a simulated crash unwinds with.
struct Crash;

fn crash() -> ! {
    panic::resume_unwind(Box::new(Crash))
}

/// Whether it was the crash that was simulated, not a failure.
pub(crate) fn is_crash(panicked: &(dyn Any + Send)) -> bool {
    panicked.is::<Crash>()
}

/// Writes actions down as the daemon does, watched, and with mischief.
pub(crate) struct Desk {
    clerk: Clerk,
    sink: Arc<EventSink>,
    truth: Shared,
    state: PathBuf,
    mischief: Mischief,
    actions: usize,
    /// Whom intents on the disk are about.
    pub(crate) intended: Vec<SessionKey>,
    /// Whether the last answer was ORA-00031.
    pub(crate) marked: bool,
}

impl Desk {
    pub(crate) fn new(sink: &Arc<EventSink>, truth: Shared, state: PathBuf, mischief: Mischief) -> Desk {
        let name = Arc::from(NAME);
        Desk {
            clerk: Clerk::new((&name, &name), Arc::clone(sink)),
            sink: Arc::clone(sink),
            truth,
            state,
            mischief,
            actions: 0,
            intended: Vec::new(),
            marked: false,
        }
    }
}

impl Witness for Desk {
    fn abandon(&mut self, why: &str) -> Vec<Done> {
        self.clerk.abandon(why)
    }

    fn next_id(&mut self) -> u64 {
        self.clerk.next_id()
    }

    fn intend(&mut self, intending: &Intending<'_>) -> io::Result<()> {
        let at = self.actions;
        self.actions += 1;
        lock(&self.truth).nothing_else_was_sent();
        if self.mischief == Mischief::FullDisk(at) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        if self.mischief == Mischief::CrashInIntent(at) {
            // Whatever was handed in before is written before it.
            assert!(self.sink.flush(PATIENT), "the journal takes no records");
            let mut file = OpenOptions::new()
                .append(true)
                .open(journal::file(&self.state, 0))
                .expect("the journal");
            write!(file, r#"{{"v":1,"at":"2026-11-23T09:00:00Z","kind":"inte"#).expect("written");
            crash();
        }
        self.clerk.intend(intending)?;
        lock(&self.truth).begin(intending, &self.state);
        self.intended.push(intending.warrant.key());
        if self.mischief == Mischief::CrashAfterIntent(at) {
            crash();
        }
        Ok(())
    }

    fn answered(&mut self, answered: &Answered<'_>) {
        let at = self.actions.saturating_sub(1);
        let began = lock(&self.truth).current.is_some();
        if began && self.mischief == Mischief::CrashBeforeOutcome(at) {
            crash();
        }
        lock(&self.truth).end(answered);
        self.marked = answered.code == Some(31);
        self.clerk.answered(answered);
        if began && self.mischief == Mischief::CrashAfterOutcome(at) {
            crash();
        }
    }

    fn unused(&mut self, unused: &Intending<'_>, outcome: Outcome, why: &str) {
        lock(&self.truth).nothing_else_was_sent();
        self.clerk.unused(unused, outcome, why);
    }
}
