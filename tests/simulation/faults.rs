//! What goes wrong in a database and on the way to it, call by call.

use super::chance::Chance;

/// What a query may fail with.
const ERRORS: &[u32] = &[600, 1013, 28, 3113, 4031, 1555, 12801, 604, 1031];

/// What a statement may be answered with without having done anything.
const ANSWERS: &[u32] = &[600, 1013, 28, 4031, 1031, 31, 30, 4242];

/// What happens to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Strike {
    /// It fails, and nothing was done.
    Error(u32),
    /// A statement is answered so, and nothing was done.
    Answer(u32),
    /// The connection breaks before.
    Cut,
    /// It breaks after, so that nobody learns what came of it.
    CutAfter,
    /// There is no answer within the limit.
    Hang,
    /// It takes so many seconds.
    Slow(u64),
    /// An instance's rows are left out.
    Hide(u32),
    /// An instance leaves before.
    Leave(u32),
    /// The victim is gone before.
    EndTarget,
    /// Another session has its seat.
    ReplaceTarget,
    /// The victim takes so much longer to go.
    Linger(i64),
}

/// A strike that waits for its call.
#[derive(Clone, Copy, Debug)]
struct Armed {
    what: &'static str,
    /// So many calls go by before.
    skips: u64,
    times: u64,
    strike: Strike,
}

/// All that wait in one database.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    armed: Vec<Armed>,
    /// An instance whose rows GV$ views leave out, until all faults end.
    pub(crate) hidden: Option<u32>,
}

impl Faults {
    /// What happens to this call, if anything does.
    pub(crate) fn meet(&mut self, what: &str) -> Option<Strike> {
        let at = self.armed.iter().position(|armed| armed.what == what)?;
        let armed = &mut self.armed[at];
        if armed.skips > 0 {
            armed.skips -= 1;
            return None;
        }
        let strike = armed.strike;
        armed.times -= 1;
        let is_over = armed.times == 0;
        if is_over {
            self.armed.swap_remove(at);
        }
        if let Strike::Hide(inst) = strike {
            self.hidden = Some(inst);
        }
        Some(strike)
    }

    pub(crate) fn end(&mut self) {
        *self = Faults::default();
    }

    /// Arms one for the questions about the lock by which one of several daemons leads.
    pub(crate) fn arm_lock(&mut self, chance: &mut Chance) {
        let strike = match chance.between(0, 6) {
            0 => Strike::Cut,
            1 | 2 => Strike::CutAfter,
            3 => Strike::Hang,
            4 => Strike::Slow(chance.between(1, 400)),
            5 => Strike::Error(*chance.pick(ERRORS)),
            _ => Strike::Answer(6550),
        };
        self.armed.push(Armed {
            what: "DBMS_LOCK",
            skips: chance.between(0, 4),
            times: chance.between(1, 3),
            strike,
        });
    }

    /// Arms one more.
    pub(crate) fn arm(&mut self, chance: &mut Chance, instances: u32) {
        let inst = u32::try_from(chance.between(1, u64::from(instances))).expect("small");
        let error = Strike::Error(*chance.pick(ERRORS));
        let views = ["GV$SESSION", "GV$INSTANCE", "GV$TRANSACTION", "GV$RESOURCE_LIMIT"];
        let view = *chance.pick(&views);
        let (what, strike) = match chance.between(0, 15) {
            0 | 1 => ("GV$SESSION", error),
            2 => (view, error),
            3 => (view, Strike::Cut),
            4 | 5 => ("GV$SESSION", Strike::Hide(inst)),
            6 => (view, Strike::Slow(chance.between(1, 400))),
            7 => ("ALTER SYSTEM", Strike::Answer(*chance.pick(ANSWERS))),
            8 => ("ALTER SYSTEM", Strike::ReplaceTarget),
            9 => ("ALTER SYSTEM", Strike::EndTarget),
            10 => ("ALTER SYSTEM", Strike::Linger(chance.some(1, 400))),
            11 => (
                "ALTER SYSTEM",
                *chance.pick(&[Strike::CutAfter, Strike::CutAfter, Strike::Cut]),
            ),
            12 => (
                *chance.pick(&["GV$SESSION", "ALTER SYSTEM", "GV$INSTANCE"]),
                Strike::Hang,
            ),
            13 => ("GV$SESSION", Strike::Leave(inst)),
            14 => ("CONNECT", Strike::Error(*chance.pick(&[12541, 18, 1033]))),
            _ => ("GV$RESOURCE_LIMIT", Strike::Error(1031)),
        };
        self.armed.push(Armed {
            what,
            skips: chance.between(0, 4),
            times: chance.between(1, 3),
            strike,
        });
    }
}
