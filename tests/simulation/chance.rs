//! Reproducible random numbers: everything that a run draws comes from its seed, by the same arithmetic on every machine.

/// A stream of numbers (splitmix64, by Steele, Lea and Flood).
#[derive(Clone, Debug)]
pub(crate) struct Chance(u64);

impl Chance {
    /// The stream of a seed.
    pub(crate) fn of(seed: u64) -> Chance {
        Chance(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x6f72_6172_6561_7065)
    }

    /// Another stream, which drawing from this one does not change any more.
    pub(crate) fn fork(&mut self) -> Chance {
        Chance(self.next())
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From `low` to `high`, both included.
    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.next() % (high - low + 1)
    }

    /// The same of what may be negative.
    pub(crate) fn some(&mut self, low: i64, high: i64) -> i64 {
        low + i64::try_from(self.between(0, (high - low).unsigned_abs())).expect("small")
    }

    /// True once in so many times.
    pub(crate) fn one_in(&mut self, times: u64) -> bool {
        self.next().is_multiple_of(times)
    }

    /// One of these.
    pub(crate) fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        let at = self.between(0, of.len() as u64 - 1);
        &of[usize::try_from(at).expect("an index")]
    }
}
