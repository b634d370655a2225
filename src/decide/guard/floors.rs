//! The floors of `keep`: who must stay, so that a group of sessions is never emptied.
//!
//! The guard asks it for a whole cycle, and the re-check asks it again of all sessions right before a statement. There are two
//! kinds. One counts all live sessions of a group. The other counts those that match, and keeps the last ones in the policy's
//! order: whoever is not followed by enough others in that order stays, so that "all but the oldest" never takes the oldest,
//! whatever else spares one in between.

use std::collections::HashMap;

use crate::decide::floor::Floor;
use crate::decide::going::live;
use crate::decide::plan::sort_worst_first;
use crate::policy::model::{Keep, KeepOf, Policy};
use crate::session::census::counted_group;
use crate::session::groups::Groups;
use crate::session::snapshot::Snapshot;

/// The floors of one policy in one snapshot.
pub(super) struct Floors<'a> {
    keep: &'a Keep,
    policy: &'a Policy,
    groups: Groups,
    counts: Counts,
}

enum Counts {
    /// The live sessions of each group.
    Left(Vec<u32>),
    /// For each row that matches and has a place in the order: how many live sessions of its group that match come after it.
    After(HashMap<usize, u32>),
}

impl<'a> Floors<'a> {
    /// The floors of a policy, if it has any. `matched` are the rows that its condition holds for, and `going` says of each row whether
    /// it is going.
    pub(super) fn of(policy: &'a Policy, snapshot: &Snapshot, matched: &[usize], going: &[bool]) -> Option<Floors<'a>> {
        let keep = policy.keep.as_ref()?;
        let groups = Groups::by(snapshot, &keep.per);
        let live = live(snapshot, going);
        let counts = match keep.of {
            KeepOf::All if snapshot.counted().is_some() => {
                Counts::Left(left_of_counted(snapshot, keep, going, &groups))
            }
            KeepOf::All => Counts::Left(group_sizes(&live, &groups)),
            KeepOf::Matching => Counts::After(followers(policy, snapshot, matched, &live, &groups)),
        };
        Some(Floors {
            keep,
            policy,
            groups,
            counts,
        })
    }

    /// Why the session may not be taken, if so. `itself` is 1 where it is there although it counts as going.
    pub(super) fn reached(&self, snapshot: &Snapshot, row: usize, itself: u32) -> Option<Floor> {
        let order = self.policy.order.iter().map(|key| &key.column);
        let ranks = order.filter(|_| self.keep.of == KeepOf::Matching);
        if let Some(missing) = self.keep.per.iter().chain(ranks).find(|column| !snapshot.has(**column)) {
            return Some(Floor::Unknown(*missing));
        }
        match &self.counts {
            Counts::Left(left) => {
                let left = left[self.groups.of(row)].saturating_add(itself);
                (left <= self.keep.at_least).then(|| Floor::Reached {
                    left,
                    per: self.keep.per.clone(),
                })
            }
            Counts::After(after) => {
                let after = after.get(&row).copied().unwrap_or(0);
                (after < self.keep.at_least).then(|| Floor::Last {
                    at_least: self.keep.at_least,
                    per: self.keep.per.clone(),
                    order: self.policy.order.clone(),
                })
            }
        }
    }

    /// The session has a warrant, so it no longer counts. Of those that match, only who is kept was counted by others, and who is
    /// kept gets no warrant.
    pub(super) fn take(&mut self, row: usize) {
        if let Counts::Left(left) = &mut self.counts {
            let left = &mut left[self.groups.of(row)];
            *left = left.saturating_sub(1);
        }
    }
}

/// The number of live sessions of each group.
fn group_sizes(live: &[bool], groups: &Groups) -> Vec<u32> {
    let mut sizes = vec![0; groups.bound()];
    for (row, _) in live.iter().enumerate().filter(|(_, live)| **live) {
        sizes[groups.of(row)] += 1;
    }
    sizes
}

/// The number of live sessions of each group that has a row, where the database counted all that are neither KILLED nor background:
/// less those that are going, which are among the rows. A group that was not counted has none left.
fn left_of_counted(snapshot: &Snapshot, keep: &Keep, going: &[bool], groups: &Groups) -> Vec<u32> {
    let mut left = vec![0; groups.bound()];
    let Some(counted) = snapshot.counted_groups(&keep.per) else {
        return left;
    };
    let mut known = vec![false; groups.bound()];
    let alive = live(snapshot, &vec![false; snapshot.rows()]);
    for row in 0..snapshot.rows() {
        let group = groups.of(row);
        if !std::mem::replace(&mut known[group], true) {
            left[group] = counted_group(snapshot, counted, row);
        }
    }
    for row in (0..snapshot.rows()).filter(|row| going[*row] && alive[*row]) {
        let left = &mut left[groups.of(row)];
        *left = left.saturating_sub(1);
    }
    left
}

/// For each row that matches, the number of live ones of its group that match and come after it. A session without a value in any
/// column of the order has no place in it: it may be the first or the last, so it neither counts nor may be taken.
fn followers(
    policy: &Policy,
    snapshot: &Snapshot,
    matched: &[usize],
    live: &[bool],
    groups: &Groups,
) -> HashMap<usize, u32> {
    let has_a_place = |row: &usize| {
        let known = |column| snapshot.number(*row, column).is_some() || snapshot.text(*row, column).is_some();
        snapshot.key(*row).is_some() && policy.order.iter().any(|key| known(key.column))
    };
    let mut rows: Vec<usize> = matched.iter().copied().filter(has_a_place).collect();
    sort_worst_first(&mut rows, policy, snapshot);
    let mut so_far = vec![0_u32; groups.bound()];
    let mut after = HashMap::with_capacity(rows.len());
    for row in rows.into_iter().rev() {
        let behind = &mut so_far[groups.of(row)];
        after.insert(row, *behind);
        *behind += u32::from(live[row]);
    }
    after
}
