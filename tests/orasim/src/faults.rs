//! Faults on demand: a fault waits for a statement (or, at the listener, for a connection) and then strikes.
//!
//! Faults are set in the scenario or while the world runs, through [`World::arm`](crate::World::arm). They strike by
//! count, never at random, so that a failing test fails again.

use serde::Deserialize;

use crate::scenario::Length;

/// A fault that waits for its statement.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// Strikes statements that contain this text, in any letter case; any statement without it.
    pub statement: Option<String>,
    /// Strikes this user alone.
    pub user: Option<String>,
    /// The first statement to strike, counted from 1 among those that fit.
    #[serde(default = "once")]
    pub call: u32,
    /// How many to strike from there on.
    #[serde(default = "once")]
    pub times: u32,
    /// What happens.
    pub what: Strike,
}

fn once() -> u32 {
    1
}

/// What a fault does.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Strike {
    /// The statement fails.
    Error {
        /// The number.
        code: u32,
        /// The text after `ORA-nnnnn: `; further lines make a stack.
        message: String,
    },
    /// The connection is cut.
    Cut,
    /// The statement is carried out, and the connection is cut before its answer.
    CutAfter,
    /// The answer to a statement comes with some of its bytes changed, which ones depends on the number and on how often
    /// the fault has struck.
    Garble(u64),
    /// No answer, ever.
    Hang,
    /// The answer comes late, by so much simulated time.
    Delay(Length),
    /// So much simulated time passes at once, right before the statement is carried out.
    Advance(Length),
    /// The session that an ALTER SYSTEM names is replaced, just before, by another with the same SID and a new SERIAL#.
    ReplaceTarget,
    /// The session that an ALTER SYSTEM names is gone just before.
    EndTarget,
    /// The session that an ALTER SYSTEM names lingers, KILLED, for so long.
    LingerTarget(Length),
    /// From here on the sessions of this instance are missing from every GV$ view but GV$INSTANCE.
    HideInstance(u32),
    /// This instance leaves.
    Leave(u32),
}

/// The faults of a world, with what they have seen.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    armed: Vec<Armed>,
}

#[derive(Debug)]
struct Armed {
    fault: Fault,
    seen: u32,
}

impl Faults {
    pub(crate) fn arm(&mut self, fault: Fault) {
        self.armed.push(Armed { fault, seen: 0 });
    }

    pub(crate) fn clear(&mut self) {
        self.armed.clear();
    }

    /// What strikes this statement, in the order in which the faults were armed.
    pub(crate) fn strike(&mut self, user: &str, statement: &str) -> Vec<Strike> {
        if self.armed.is_empty() {
            return Vec::new();
        }
        let statement = statement.to_ascii_uppercase();
        let mut strikes = Vec::new();
        for armed in &mut self.armed {
            let fault = &armed.fault;
            let fits = fault.user.as_ref().is_none_or(|only| only.eq_ignore_ascii_case(user))
                && fault
                    .statement
                    .as_ref()
                    .is_none_or(|text| statement.contains(&text.to_ascii_uppercase()));
            if !fits {
                continue;
            }
            armed.seen = armed.seen.saturating_add(1);
            let first = fault.call.max(1);
            if armed.seen >= first && armed.seen - first < fault.times {
                let strike = if let Strike::Garble(seed) = fault.what {
                    Strike::Garble(seed.wrapping_add(u64::from(armed.seen - first)))
                } else {
                    fault.what.clone()
                };
                strikes.push(strike);
            }
        }
        strikes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_strikes_the_calls_it_was_told_to() {
        let mut faults = Faults::default();
        faults.arm(Fault {
            statement: Some("gv$session".into()),
            user: Some("reaper".into()),
            call: 2,
            times: 2,
            what: Strike::Cut,
        });
        let struck: Vec<_> = (0..5)
            .map(|_| faults.strike("REAPER", "SELECT 1 FROM GV$SESSION").len())
            .collect();
        assert_eq!(struck, [0, 1, 1, 0, 0]);
        assert!(faults.strike("SCOTT", "SELECT 1 FROM GV$SESSION").is_empty());
    }
}
