//! Groups of sessions with equal values in some columns.
//!
//! `keep` needs the groups of all sessions in every cycle, so a group is a number and not the texts that define it. The texts
//! of a column are already numbers, its codes; each further column splits the existing groups. A map from the texts
//! themselves was the rejected design: it took two thirds of a cycle.

use crate::session::column::Column;
use crate::session::snapshot::Snapshot;
use crate::session::store::{Codes, Numbers, Texts};

/// The group of each session of a snapshot. Two sessions are in the same group if they have equal values in all the columns.
/// Here NULL equals NULL, and a missing column is equal for all sessions.
#[derive(Clone, Debug)]
pub(crate) struct Groups {
    of: Vec<u32>,
    bound: usize,
}

impl Groups {
    /// Groups sessions by some columns. Without a column, all sessions are one group.
    #[must_use]
    pub(crate) fn by(snapshot: &Snapshot, columns: &[Column]) -> Groups {
        let mut groups = Groups {
            of: vec![0; snapshot.rows()],
            bound: 1,
        };
        for column in columns {
            match (snapshot.texts(*column), snapshot.numbers(*column)) {
                (Some(texts), _) => groups.split_by_text(texts),
                (None, Some(numbers)) => groups.split_by_number(numbers),
                (None, None) => {}
            }
        }
        groups
    }

    /// The group of a session.
    #[must_use]
    pub(crate) fn of(&self, row: usize) -> usize {
        self.of[row] as usize
    }

    /// The numbers of all groups are below this; some numbers below it may not be used.
    #[must_use]
    pub(crate) fn bound(&self) -> usize {
        self.bound
    }

    fn split_by_text(&mut self, texts: &Texts) {
        let bound = texts.code_count();
        match texts.codes() {
            Codes::Short(codes) => self.split(codes, bound),
            Codes::Long(codes) => self.split(codes, bound),
        }
    }

    fn split_by_number(&mut self, numbers: &Numbers) {
        let mut values: Vec<Option<i64>> = (0..numbers.rows()).map(|row| numbers.get(row)).collect();
        values.sort_unstable();
        values.dedup();
        let code = |row| {
            let at = values.partition_point(|value| *value < numbers.get(row));
            u32::try_from(at).expect("fewer values than rows")
        };
        let codes: Vec<u32> = (0..numbers.rows()).map(code).collect();
        self.split(&codes, values.len());
    }

    /// Splits every group by the codes of one more column, which are below `bound`.
    fn split<C: Copy + Into<u32>>(&mut self, codes: &[C], bound: usize) {
        assert_eq!(codes.len(), self.of.len(), "a column has a value for each row");
        // A number for every possible pair is fastest, as long as most of the pairs exist.
        let pairs = self.bound.saturating_mul(bound);
        if pairs <= 4 * self.of.len() {
            let stride = u32::try_from(bound).expect("codes are 32 bits wide");
            for (group, code) in self.of.iter_mut().zip(codes) {
                *group = *group * stride + (*code).into();
            }
            self.bound = pairs;
            return;
        }
        let mut seen: Vec<Option<(u32, u32)>> = vec![None; self.bound];
        let mut next = 0_u32;
        for row in by_code(codes, bound) {
            let code = codes[row].into();
            let group = &mut self.of[row];
            // The rows are in the order of their codes, so a pair is new unless it is the last one seen in its group.
            let number = match seen[*group as usize] {
                Some((last, number)) if last == code => number,
                Some(_) | None => {
                    next += 1;
                    next - 1
                }
            };
            seen[*group as usize] = Some((code, number));
            *group = number;
        }
        self.bound = next as usize;
    }
}

/// The rows in the order of their codes.
fn by_code<C: Copy + Into<u32>>(codes: &[C], bound: usize) -> Vec<usize> {
    let mut places = vec![0_usize; bound + 1];
    for code in codes {
        places[(*code).into() as usize + 1] += 1;
    }
    for code in 0..bound {
        places[code + 1] += places[code];
    }
    let mut rows = vec![0; codes.len()];
    for (row, code) in codes.iter().enumerate() {
        let place = &mut places[(*code).into() as usize];
        rows[*place] = row;
        *place += 1;
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::snapshot::{Cell, SnapshotSource};

    const READ: [Column; 4] = [Column::Username, Column::Machine, Column::ConId, Column::Sid];

    /// Sessions whose values repeat with different periods; some are NULL.
    fn snapshot(rows: i64, users: i64, machines: i64) -> Snapshot {
        let mut builder = Snapshot::builder(SnapshotSource::Live, &READ);
        for row in 0..rows {
            let (user, machine) = (format!("u{}", row % users), format!("m{}", row * 7 % machines));
            let or_null = |null: bool, cell| if null { Cell::Null } else { cell };
            let cells = [
                or_null(row % 11 == 0, Cell::Text(&user)),
                or_null(row % 13 == 0, Cell::Text(&machine)),
                or_null(row % 17 == 0, Cell::Number(row % 3 * 5_000_000_000)),
                Cell::Number(row),
            ];
            builder.push_row(&cells).expect("few rows");
        }
        builder.finish(None, Vec::new()).finish([].into_iter().collect())
    }

    /// Asserts that two sessions are in one group exactly if all their values are equal.
    fn check(snapshot: &Snapshot, columns: &[Column]) {
        let groups = Groups::by(snapshot, columns);
        for one in 0..snapshot.rows() {
            assert!(groups.of(one) < groups.bound());
            for two in 0..one {
                let alike = |column: &Column| snapshot.field(one, *column) == snapshot.field(two, *column);
                assert_eq!(
                    groups.of(one) == groups.of(two),
                    columns.iter().all(alike),
                    "rows {one} and {two} by {columns:?}"
                );
            }
        }
    }

    #[test]
    fn sessions_of_a_group_agree_in_every_column() {
        for (rows, users, machines) in [(0, 1, 1), (1, 1, 1), (150, 2, 3), (150, 20, 40), (150, 150, 150)] {
            let snapshot = snapshot(rows, users, machines);
            check(&snapshot, &[]);
            check(&snapshot, &[Column::ConId]);
            check(&snapshot, &[Column::Username, Column::Machine]);
            check(&snapshot, &[Column::Program, Column::Username]);
            check(
                &snapshot,
                &[Column::Sid, Column::Machine, Column::ConId, Column::Username],
            );
        }
    }

    #[test]
    fn group_numbers_are_not_much_larger_than_the_number_of_sessions() {
        let snapshot = snapshot(1_000, 1_000, 1_000);
        let groups = Groups::by(&snapshot, &READ);
        assert!(groups.bound() <= 4_000, "{}", groups.bound());
    }
}
