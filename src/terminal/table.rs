//! Tables: columns are as wide as their content, and shrink if the terminal is narrower.

use unicode_width::UnicodeWidthStr as _;

use crate::terminal::{Colour, TextStyle, clip, paint, push};

/// The names of the columns and how they shrink.
pub(crate) struct Table<'a> {
    /// The name of each column.
    pub(crate) header: &'a [&'a str],
    /// The width that a column keeps while others are still wider than theirs.
    pub(crate) least: &'a [usize],
    /// How readily a column shrinks; 0 means never.
    pub(crate) weight: &'a [usize],
    /// Columns that are left out, in this order, if even the least widths are too wide.
    pub(crate) dispensable: &'a [usize],
    /// The columns from this one on contain numbers, which are right-aligned.
    pub(crate) numbers_from: usize,
}

/// The gap between two columns.
const GAP: usize = 2;

impl Table<'_> {
    /// The widths at which nothing is clipped.
    pub(crate) fn natural(&self, rows: &[impl AsRef<[String]>]) -> Vec<usize> {
        let mut widths: Vec<usize> = self.header.iter().map(|header| header.len()).collect();
        for row in rows {
            for (width, cell) in widths.iter_mut().zip(row.as_ref()) {
                *width = (*width).max(cell.width());
            }
        }
        widths
    }

    /// Shrinks the widest columns that may shrink until all fit beside the indent, then leaves out the dispensable ones. A column
    /// of width 0 is left out with its gap.
    pub(crate) fn fit(&self, widths: &mut [usize], indent: &str, style: TextStyle) {
        let gaps = widths.iter().filter(|width| **width > 0).count().saturating_sub(1);
        let room = style.width.saturating_sub(indent.len() + GAP * gaps);
        while widths.iter().sum::<usize>() > room {
            let widest = (0..widths.len())
                .filter(|at| widths[*at] > self.least[*at] && self.weight[*at] > 0)
                .max_by_key(|at| (widths[*at] - self.least[*at]) * self.weight[*at]);
            match widest {
                Some(at) => widths[at] -= 1,
                None => break,
            }
        }
        for at in self.dispensable {
            if widths.iter().sum::<usize>() > room {
                widths[*at] = 0;
            }
        }
    }

    /// The header line.
    pub(crate) fn head(&self, out: &mut String, widths: &[usize], indent: &str, style: TextStyle) {
        push(out, &paint(&self.line(self.header, widths, indent), Colour::Dim, style));
    }

    /// The cells of one line.
    pub(crate) fn line(&self, cells: &[impl AsRef<str>], widths: &[usize], indent: &str) -> String {
        let mut text = String::from(indent);
        for (at, (cell, width)) in cells
            .iter()
            .zip(widths)
            .enumerate()
            .filter(|(_, (_, width))| **width > 0)
        {
            let cell = clip(cell.as_ref(), *width);
            let blanks = " ".repeat(width - cell.width());
            if at < self.numbers_from {
                text.extend([&*cell, &blanks]);
            } else {
                text.extend([&*blanks, &cell]);
            }
            text.push_str(&" ".repeat(GAP));
        }
        text.trim_end().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: Table<'static> = Table {
        header: &["WHO", "WHY", "COUNT"],
        least: &[3, 4, 5],
        weight: &[0, 1, 0],
        dispensable: &[1],
        numbers_from: 2,
    };

    fn check(width: usize, expected: [&str; 2]) {
        let rows = [["SCOTT", "idle for long", "12"].map(str::to_owned)];
        let style = TextStyle {
            width,
            ..TextStyle::default()
        };
        let mut widths = TABLE.natural(&rows);
        TABLE.fit(&mut widths, "  ", style);
        let mut shown = String::new();
        TABLE.head(&mut shown, &widths, "  ", style);
        push(&mut shown, &TABLE.line(&rows[0], &widths, "  "));
        assert_eq!(shown.lines().collect::<Vec<_>>(), expected, "{width} columns");
    }

    #[test]
    fn columns_shrink_before_they_are_left_out_and_numbers_are_right_aligned() {
        check(29, ["  WHO    WHY            COUNT", "  SCOTT  idle for long     12"]);
        check(24, ["  WHO    WHY       COUNT", "  SCOTT  idle fo…     12"]);
        check(19, ["  WHO    COUNT", "  SCOTT     12"]);
    }
}
