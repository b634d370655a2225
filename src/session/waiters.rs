//! Which sessions block which: the graph of waiting sessions, through chains, across instances and in cycles.
//!
//! Each session waits for at most one other (BLOCKING_INSTANCE, BLOCKING_SESSION). So the graph consists of trees whose edges
//! point to the root, and sometimes of cycles (deadlocks that Oracle has not resolved yet). Leaves are added to their blockers
//! and removed until only cycles are left. A member of a cycle blocks all other members and all sessions that wait for them.
//! The cost is linear in the number of sessions.

/// A waiting session.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wait {
    /// The row of the session.
    pub(crate) waiter: usize,
    /// The row of the session that it waits for.
    pub(crate) blocker: usize,
    /// How long it has been waiting, in microseconds, if that is known.
    pub(crate) waited: Option<i64>,
}

/// The sessions that a session blocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Blocked {
    /// The number of sessions that wait for it, directly or through others.
    pub(crate) sessions: i64,
    /// The longest of their waits, in microseconds; `None` if no wait is known.
    pub(crate) longest: Option<i64>,
}

impl Blocked {
    fn add(&mut self, waiter: Blocked, waited: Option<i64>) {
        self.sessions += waiter.sessions + 1;
        self.longest = self.longest.max(waiter.longest).max(waited);
    }
}

/// For each of `rows` sessions, the sessions that it blocks.
///
/// # Panics
/// If a wait has a row that is not below `rows`.
#[must_use]
pub(crate) fn blocked(rows: usize, waits: &[Wait]) -> Vec<Blocked> {
    let mut waits_for: Vec<Option<Wait>> = vec![None; rows];
    let mut waiters = vec![0_u32; rows];
    for wait in waits.iter().filter(|wait| wait.waiter != wait.blocker) {
        if waits_for[wait.waiter].replace(*wait).is_none() {
            waiters[wait.blocker] += 1;
        }
    }
    let mut held = vec![Blocked::default(); rows];
    let mut leaves: Vec<usize> = (0..rows)
        .filter(|row| waiters[*row] == 0 && waits_for[*row].is_some())
        .collect();
    while let Some(leaf) = leaves.pop() {
        let Some(wait) = waits_for[leaf].take() else { continue };
        let below = held[leaf];
        held[wait.blocker].add(below, wait.waited);
        waiters[wait.blocker] -= 1;
        if waiters[wait.blocker] == 0 && waits_for[wait.blocker].is_some() {
            leaves.push(wait.blocker);
        }
    }
    fold_cycles(&mut held, &mut waits_for);
    held
}

/// Handles the cycles, which are left after the trees are removed.
fn fold_cycles(held: &mut [Blocked], waits_for: &mut [Option<Wait>]) {
    for start in 0..waits_for.len() {
        let mut members: Vec<Wait> = Vec::new();
        let mut at = start;
        while let Some(wait) = waits_for[at].take() {
            members.push(wait);
            at = wait.blocker;
        }
        assert!(
            members.is_empty() || at == start,
            "without its trees, a graph with one edge from each node consists of cycles"
        );
        let trees: i64 = members.iter().map(|wait| held[wait.waiter].sessions).sum();
        let in_trees = members.iter().filter_map(|wait| held[wait.waiter].longest).max();
        // A member does not block itself: for the member with the longest wait, the second longest counts.
        let longest = (0..members.len()).max_by_key(|at| members[*at].waited);
        let but_longest = (0..members.len()).filter(|at| Some(*at) != longest);
        let second = but_longest.filter_map(|at| members[at].waited).max();
        let others = i64::try_from(members.len()).unwrap_or(i64::MAX) - 1;
        for (at, wait) in members.iter().enumerate() {
            let of_others = if Some(at) == longest {
                second
            } else {
                longest.and_then(|longest| members[longest].waited)
            };
            held[wait.waiter] = Blocked {
                sessions: trees + others,
                longest: in_trees.max(of_others),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(waiter: usize, blocker: usize, waited: i64) -> Wait {
        Wait {
            waiter,
            blocker,
            waited: Some(waited),
        }
    }

    fn counts(held: &[Blocked]) -> Vec<(i64, i64)> {
        held.iter()
            .map(|held| (held.sessions, held.longest.unwrap_or(-1)))
            .collect()
    }

    #[test]
    fn a_blocker_counts_all_waiters_of_its_chain_and_their_longest_wait() {
        // 3 waits for 2, 2 for 1, 1 for 0; 4 for 1.
        let held = blocked(5, &[wait(3, 2, 50), wait(2, 1, 10), wait(1, 0, 20), wait(4, 1, 5)]);
        assert_eq!(counts(&held), [(4, 50), (3, 50), (1, 50), (0, -1), (0, -1)]);
    }

    #[test]
    fn members_of_a_cycle_block_each_other_and_their_waiters() {
        // 0 -> 1 -> 2 -> 0, and 3 waits for 1.
        let held = blocked(4, &[wait(0, 1, 1), wait(1, 2, 2), wait(2, 0, 3), wait(3, 1, 9)]);
        assert_eq!(counts(&held), [(3, 9), (3, 9), (3, 9), (0, -1)]);
    }

    #[test]
    fn a_member_of_a_cycle_does_not_count_its_own_wait() {
        let held = blocked(3, &[wait(0, 1, 1), wait(1, 2, 2), wait(2, 0, 30)]);
        assert_eq!(counts(&held), [(2, 30), (2, 30), (2, 2)]);
    }

    #[test]
    fn a_session_that_waits_for_itself_blocks_nobody() {
        assert_eq!(counts(&blocked(1, &[wait(0, 0, 7)])), [(0, -1)]);
    }

    #[test]
    fn an_unknown_wait_is_counted_but_has_no_length() {
        let held = blocked(
            2,
            &[Wait {
                waiter: 1,
                blocker: 0,
                waited: None,
            }],
        );
        assert_eq!(
            held[0],
            Blocked {
                sessions: 1,
                longest: None
            }
        );
    }
}
