//! What goes wrong in the simulated Oracle and on the wire, while the daemon's threads run against it.

use orasim::scenario::Length;
use orasim::{Fault, Strike, World};

use super::chance::Chance;

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
    absent: Vec<u32>,
}

impl Trouble {
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
        }
        if chance.one_in(3) {
            self.rejoin(world, instances);
        }
    }

    fn calm(&self, world: &World) {
        world.disarm();
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
