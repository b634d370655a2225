//! What became of sessions that dry runs would have ended, counted and in words.

use crate::decide::refill::ClientGroup;
use crate::quantity::Span;
use crate::words::words;

/// The steps by which times are counted, in seconds: 30m, 1h, 2h, 4h, 8h, 1d.
pub(crate) const STEPS: [i64; 6] = [1_800, 3_600, 7_200, 14_400, 28_800, 86_400];

words! {
    /// What became of a session that a dry run would have ended.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
    pub enum Afterwards {
        /// It made a call.
        UsedAgain = "used_again",
        /// It made a call that looks like a pool's validation, and none that does not. It is watched on.
        Validated = "validated",
        /// It ended, and made no call before.
        Ended = "ended",
        /// It cannot be watched any longer.
        Lost = "lost",
    }
}

/// Times in seconds, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AfterTimes {
    /// How many.
    pub count: usize,
    /// The shortest.
    pub(crate) soonest: Option<i64>,
    /// The longest.
    pub(crate) latest: Option<i64>,
    /// How many are no longer than each of [`STEPS`].
    pub within: [usize; STEPS.len()],
}

impl AfterTimes {
    pub(crate) fn add(&mut self, seconds: i64) {
        self.count += 1;
        self.soonest = Some(self.soonest.map_or(seconds, |soonest| soonest.min(seconds)));
        self.latest = Some(self.latest.map_or(seconds, |latest| latest.max(seconds)));
        for (within, step) in self.within.iter_mut().zip(STEPS) {
            *within += usize::from(seconds <= step);
        }
    }

    pub(crate) fn join(&mut self, other: &AfterTimes) {
        self.count += other.count;
        self.soonest = self.soonest.into_iter().chain(other.soonest).min();
        self.latest = self.latest.max(other.latest);
        for (within, more) in self.within.iter_mut().zip(other.within) {
            *within += more;
        }
    }

    /// `after 5h 10m`, or `after 10m to 3d`; nothing for no time.
    #[must_use]
    pub(crate) fn words(&self) -> String {
        match (self.soonest, self.latest) {
            (Some(soonest), Some(latest)) if soonest == latest => format!("after {}", Span(soonest)),
            (Some(soonest), Some(latest)) => format!("after {} to {}", Span(soonest), Span(latest)),
            (None, _) | (_, None) => String::new(),
        }
    }
}

/// What became of some sessions that a dry run would have ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RehearsalTally {
    /// Used again, by a call that does not look like a validation.
    pub used: AfterTimes,
    /// Used again, only by calls that look like a pool's validation.
    pub(crate) validated: AfterTimes,
    /// Never used again: they ended by themselves.
    pub ended: AfterTimes,
    /// Still watched, and not used again so far.
    pub watched: usize,
    /// Those that could not be watched to the end.
    pub lost: usize,
}

impl RehearsalTally {
    /// All of them.
    #[must_use]
    pub const fn would_have_ended(&self) -> usize {
        self.used.count + self.validated.count + self.ended.count + self.watched + self.lost
    }

    /// Those that were used again, in whichever way.
    #[must_use]
    pub const fn used_again(&self) -> usize {
        self.used.count + self.validated.count
    }

    pub(crate) fn add(&mut self, afterwards: Afterwards, seconds: i64) {
        match afterwards {
            Afterwards::UsedAgain => self.used.add(seconds),
            Afterwards::Validated => self.validated.add(seconds),
            Afterwards::Ended => self.ended.add(seconds),
            Afterwards::Lost => self.lost += 1,
        }
    }

    pub(crate) fn join(&mut self, other: &RehearsalTally) {
        self.used.join(&other.used);
        self.validated.join(&other.validated);
        self.ended.join(&other.ended);
        self.watched += other.watched;
        self.lost += other.lost;
    }

    /// In a sentence without its full stop; empty if there is none.
    #[must_use]
    pub(crate) fn words(&self) -> String {
        let all = self.would_have_ended();
        if all == 0 {
            return String::new();
        }
        let plural = |count: usize, one: &str, more: &str| format!("{count} {}", if count == 1 { one } else { more });
        let mut parts = Vec::new();
        let mut times = self.used;
        times.join(&self.validated);
        let was = plural(times.count, "was", "were");
        parts.push(match (times.count, self.validated.count) {
            (0, _) => "none was used again".to_owned(),
            (_, 0) => format!("{was} used again, {}", times.words()),
            (used, validated) if used == validated => {
                format!(
                    "{was} used again, {}, only by calls that look like a pool's validation",
                    times.words()
                )
            }
            (_, validated) => format!(
                "{was} used again, {}, of which {validated} only by calls that look like a pool's validation",
                times.words()
            ),
        });
        if self.ended.count > 0 {
            let ended = plural(self.ended.count, "ended by itself", "ended by themselves");
            parts.push(format!("{ended} without being used again, {}", self.ended.words()));
        }
        if self.watched > 0 {
            parts.push(format!("{} still watched", plural(self.watched, "is", "are")));
        }
        if self.lost > 0 {
            parts.push(format!("{} could not be watched to the end", self.lost));
        }
        let sessions = plural(all, "session", "sessions");
        format!("{sessions} would have been ended: {}", parts.join("; "))
    }
}

/// What became of the sessions of one policy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PolicyRehearsal {
    /// All of them.
    pub all: RehearsalTally,
    /// By group, those with the most that were used again first.
    pub groups: Vec<(ClientGroup, RehearsalTally)>,
}

impl PolicyRehearsal {
    /// Adds the groups up.
    #[must_use]
    pub(crate) fn of(groups: impl IntoIterator<Item = (ClientGroup, RehearsalTally)>) -> PolicyRehearsal {
        let mut groups: Vec<(ClientGroup, RehearsalTally)> = groups.into_iter().collect();
        groups.sort_by_key(|(_, tally)| std::cmp::Reverse((tally.used_again(), tally.would_have_ended())));
        let mut all = RehearsalTally::default();
        for (_, tally) in &groups {
            all.join(tally);
        }
        PolicyRehearsal { all, groups }
    }
}
