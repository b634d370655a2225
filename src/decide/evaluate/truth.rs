//! SQL's three truth values, one for each session of a snapshot.
//!
//! They are stored in two bit maps: TRUE where `yes` is set, FALSE where `no` is set, UNKNOWN where neither is. So AND, OR and
//! NOT are a few machine instructions for 64 sessions, and they follow Kleene's logic by construction: AND is TRUE where both
//! sides are TRUE, and FALSE where one side is FALSE.

use std::borrow::Borrow;

use crate::words::word_table;

/// TRUE, FALSE or UNKNOWN.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Truth {
    /// The condition holds.
    True = YES,
    /// The condition does not hold.
    False = NO,
    /// A value that the condition needs is not known.
    Unknown = 0,
}

/// The bit of a truth value for the map `yes`.
const YES: u8 = 1;

/// The bit of a truth value for the map `no`.
const NO: u8 = 2;

word_table! { pub Truth:
    [Truth::True] = "TRUE",
    [Truth::False] = "FALSE",
    [Truth::Unknown] = "UNKNOWN",
}

impl Truth {
    /// The truth of a term whose values are all known.
    #[must_use]
    pub const fn known(holds: bool) -> Truth {
        if holds { Truth::True } else { Truth::False }
    }
}

/// The truth values of a number of rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Truths {
    rows: usize,
    yes: Vec<u64>,
    no: Vec<u64>,
}

impl Truths {
    /// The same truth value for all rows.
    #[must_use]
    pub(crate) fn all(rows: usize, truth: Truth) -> Truths {
        let count = rows.div_ceil(64);
        let set = |set: bool| {
            let mut words = vec![if set { u64::MAX } else { 0 }; count];
            // Bits beyond the last row stay 0.
            if let Some(last) = words.last_mut() {
                *last >>= count * 64 - rows;
            }
            words
        };
        Truths {
            rows,
            yes: set(truth == Truth::True),
            no: set(truth == Truth::False),
        }
    }

    /// The truth values for the values of the rows.
    #[must_use]
    pub(crate) fn of<T: Copy>(values: &[T], truth: impl Fn(T) -> Truth) -> Truths {
        let words = values.len().div_ceil(64);
        let (mut yes, mut no) = (Vec::with_capacity(words), Vec::with_capacity(words));
        for values in values.chunks(64) {
            let mut truths = [Truth::Unknown as u8; 64];
            for (place, value) in truths.iter_mut().zip(values) {
                *place = truth(*value) as u8;
            }
            yes.push(gathered(&truths, YES));
            no.push(gathered(&truths, NO));
        }
        Truths {
            rows: values.len(),
            yes,
            no,
        }
    }

    /// The truth values for the values of the rows, all of them known. One map is computed and the other is its complement, which
    /// takes half of the time.
    #[must_use]
    pub(crate) fn of_known<T: Copy>(values: &[T], holds: impl Fn(T) -> bool) -> Truths {
        Truths::unless_any(values, |_| false, holds).expect("no value counts as NULL")
    }

    /// The same, if no value is NULL, which is found out on the way.
    pub(crate) fn without_null<T: Copy + PartialEq>(
        values: &[T],
        null: T,
        holds: impl Fn(T) -> bool,
    ) -> Option<Truths> {
        Truths::unless_any(values, |value| value == null, holds)
    }

    fn unless_any<T: Copy>(values: &[T], is_null: impl Fn(T) -> bool, holds: impl Fn(T) -> bool) -> Option<Truths> {
        let (mut yes, mut no) = Truths::maps(values.len());
        for values in values.chunks(64) {
            let (mut truths, mut has_null) = ([0; 64], false);
            for (place, value) in truths.iter_mut().zip(values) {
                *place = u8::from(holds(*value));
                has_null |= is_null(*value);
            }
            if has_null {
                return None;
            }
            let word = gathered(&truths, YES);
            yes.push(word);
            no.push(!word & u64::MAX >> (64 - values.len()));
        }
        Some(Truths {
            rows: values.len(),
            yes,
            no,
        })
    }

    /// Room for the maps of so many rows.
    fn maps(rows: usize) -> (Vec<u64>, Vec<u64>) {
        let words = rows.div_ceil(64);
        (Vec::with_capacity(words), Vec::with_capacity(words))
    }

    /// AND of several: all maps are read once, and two are written.
    #[must_use]
    pub(crate) fn all_of(rows: usize, several: &[impl Borrow<Truths>]) -> Truths {
        let mut all = Truths::all(rows, Truth::True);
        for word in 0..all.yes.len() {
            let of_word = |truths: &Truths| (truths.yes[word], truths.no[word]);
            let parts = several.iter().map(|truths| of_word(truths.borrow()));
            let start = (all.yes[word], 0);
            (all.yes[word], all.no[word]) =
                parts.fold(start, |(yes, no), (its_yes, its_no)| (yes & its_yes, no | its_no));
        }
        all
    }

    /// OR of several.
    #[must_use]
    pub(crate) fn any_of(rows: usize, several: &[impl Borrow<Truths>]) -> Truths {
        let mut any = Truths::all(rows, Truth::False);
        for word in 0..any.yes.len() {
            let of_word = |truths: &Truths| (truths.yes[word], truths.no[word]);
            let parts = several.iter().map(|truths| of_word(truths.borrow()));
            let start = (0, any.no[word]);
            (any.yes[word], any.no[word]) =
                parts.fold(start, |(yes, no), (its_yes, its_no)| (yes | its_yes, no & its_no));
        }
        any
    }

    /// The truth values for the row numbers.
    #[must_use]
    pub(crate) fn from_fn(rows: usize, truth: impl Fn(usize) -> Truth) -> Truths {
        let words = rows.div_ceil(64);
        let (mut yes, mut no) = (Vec::with_capacity(words), Vec::with_capacity(words));
        for word in 0..words {
            let (mut yes_word, mut no_word) = (0_u64, 0_u64);
            let first = word * 64;
            for row in first..rows.min(first + 64) {
                let bit = row - first;
                let truth = truth(row);
                yes_word |= u64::from(truth == Truth::True) << bit;
                no_word |= u64::from(truth == Truth::False) << bit;
            }
            yes.push(yes_word);
            no.push(no_word);
        }
        Truths { rows, yes, no }
    }

    /// The truth value of a row.
    ///
    /// # Panics
    /// If there is no such row.
    #[must_use]
    pub fn get(&self, row: usize) -> Truth {
        assert!(row < self.rows, "row {row} of {}", self.rows);
        let (word, bit) = (row / 64, row % 64);
        if self.yes[word] >> bit & 1 == 1 {
            Truth::True
        } else if self.no[word] >> bit & 1 == 1 {
            Truth::False
        } else {
            Truth::Unknown
        }
    }

    /// AND.
    #[must_use]
    pub(crate) fn and(mut self, other: &Truths) -> Truths {
        assert_eq!(self.rows, other.rows, "truths of the same snapshot");
        for (mine, theirs) in self.yes.iter_mut().zip(&other.yes) {
            *mine &= theirs;
        }
        for (mine, theirs) in self.no.iter_mut().zip(&other.no) {
            *mine |= theirs;
        }
        self
    }

    /// OR.
    #[must_use]
    pub(crate) fn or(mut self, other: &Truths) -> Truths {
        assert_eq!(self.rows, other.rows, "truths of the same snapshot");
        for (mine, theirs) in self.yes.iter_mut().zip(&other.yes) {
            *mine |= theirs;
        }
        for (mine, theirs) in self.no.iter_mut().zip(&other.no) {
            *mine &= theirs;
        }
        self
    }

    /// The rows with TRUE, in order.
    pub fn true_rows(&self) -> impl Iterator<Item = usize> + '_ {
        self.yes.iter().enumerate().flat_map(|(word, bits)| {
            let mut bits = *bits;
            std::iter::from_fn(move || {
                if bits == 0 {
                    return None;
                }
                let bit = bits.trailing_zeros() as usize;
                bits &= bits - 1;
                Some(word * 64 + bit)
            })
        })
    }
}

/// Collects one bit of each of 64 bytes. For each 8 bytes, the product moves the lowest bit of byte `n` to bit `n` of its highest byte.
fn gathered(truths: &[u8; 64], bit: u8) -> u64 {
    let (eights, _) = truths.as_chunks::<8>();
    eights.iter().rev().fold(0, |so_far, eight| {
        let lowest = (u64::from_le_bytes(*eight) >> bit.trailing_zeros()) & 0x0101_0101_0101_0101;
        so_far << 8 | lowest.wrapping_mul(0x0102_0408_1020_4080) >> 56
    })
}

impl std::ops::Not for Truths {
    type Output = Truths;

    fn not(self) -> Truths {
        Truths {
            rows: self.rows,
            yes: self.no,
            no: self.yes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Truth::{False, True, Unknown};

    #[test]
    fn and_or_and_not_follow_sql() {
        let values = [True, False, Unknown];
        let left = Truths::from_fn(9, |row| values[row / 3]);
        let right = Truths::from_fn(9, |row| values[row % 3]);
        let all = |truths: &Truths| (0..9).map(|row| truths.get(row)).collect::<Vec<_>>();
        let and = left.clone().and(&right);
        assert_eq!(
            all(&and),
            [True, False, Unknown, False, False, False, Unknown, False, Unknown]
        );
        assert_eq!(Truths::all_of(9, &[&left, &right]), and);
        let or = left.clone().or(&right);
        assert_eq!(Truths::any_of(9, &[&left, &right]), or);
        assert_eq!(Truths::all_of(9, &[&left, &right, &or]), and.clone().and(&or));
        assert_eq!(Truths::all_of(70, &[] as &[Truths]), Truths::all(70, True));
        assert_eq!(Truths::any_of(70, &[] as &[Truths]), Truths::all(70, False));
        assert_eq!(
            all(&or),
            [True, True, True, True, False, Unknown, True, Unknown, Unknown]
        );
        assert_eq!(
            all(&!left),
            [False, False, False, True, True, True, Unknown, Unknown, Unknown]
        );
    }

    #[test]
    fn true_rows_are_found_across_words() {
        let truths = Truths::from_fn(200, |row| Truth::known(row % 63 == 0));
        assert_eq!(truths.true_rows().collect::<Vec<_>>(), [0, 63, 126, 189]);
        assert_eq!(Truths::all(70, Unknown).true_rows().next(), None);
    }

    #[test]
    fn all_constructors_give_the_same_truths() {
        for rows in [0, 1, 63, 64, 65, 128, 200] {
            for truth in [True, False, Unknown] {
                assert_eq!(Truths::all(rows, truth), Truths::from_fn(rows, |_| truth));
            }
            let values: Vec<Truth> = (0..rows).map(|row| [True, False, Unknown][row % 3]).collect();
            assert_eq!(
                Truths::of(&values, |truth| truth),
                Truths::from_fn(rows, |row| values[row])
            );
            let numbers: Vec<usize> = (0..rows).collect();
            assert_eq!(
                Truths::without_null(&numbers, usize::MAX, |number| number % 3 == 0),
                Some(Truths::from_fn(rows, |row| Truth::known(row % 3 == 0)))
            );
            let last = rows.checked_sub(1);
            assert_eq!(
                Truths::without_null(&numbers, last.unwrap_or(1), |_| true).is_none(),
                last.is_some()
            );
            let known: Vec<bool> = (0..rows).map(|row| row % 3 == 0).collect();
            assert_eq!(
                Truths::of_known(&known, |holds| holds),
                Truths::from_fn(rows, |row| Truth::known(known[row]))
            );
        }
    }
}
