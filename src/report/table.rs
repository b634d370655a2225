//! A table whose columns are only known at run time, laid out for a terminal, for Markdown and for a page.

use std::fmt::Write as _;

use maud::{Markup, html};

use super::markdown;
use crate::terminal::visible::visible;
use crate::terminal::{self, TextStyle, push};

/// A column of words is not made narrower than this.
const NARROWEST: usize = 6;

/// A table, its first column texts, whose cells are plain.
pub(super) struct ReportTable {
    pub(super) title: &'static str,
    pub(super) head: Vec<&'static str>,
    pub(super) rows: Vec<Vec<String>>,
    /// The number of columns from the left that contain words; the others contain numbers.
    pub(super) words: usize,
    pub(super) left_out: usize,
}

impl ReportTable {
    fn more(&self) -> Option<String> {
        (self.left_out > 0).then(|| format!("{} more are not shown.", self.left_out))
    }

    pub(super) fn text(&self, out: &mut String, style: TextStyle) {
        let shown: Vec<Vec<String>> = self
            .rows
            .iter()
            .map(|row| row.iter().map(|cell| visible(cell).into_owned()).collect())
            .collect();
        let weight: Vec<usize> = (0..self.head.len()).map(|at| usize::from(at < self.words)).collect();
        let table = terminal::Table {
            header: &self.head,
            least: &vec![NARROWEST; self.head.len()],
            weight: &weight,
            dispensable: &[],
            numbers_from: self.words,
        };
        let mut widths = table.natural(&shown);
        table.fit(&mut widths, "  ", style);
        table.head(out, &widths, "  ", style);
        for row in &shown {
            push(out, &table.line(row, &widths, "  "));
        }
        if let Some(more) = self.more() {
            push(out, &format!("  {more}"));
        }
    }

    pub(super) fn html(&self) -> Markup {
        self.html_with("")
    }

    /// With what its columns mean below it.
    pub(super) fn html_with(&self, key: &str) -> Markup {
        let class = |at: usize| (at >= self.words).then_some("number");
        html! {
            section {
                h2 { (self.title) }
                div.wide {
                    table.totals {
                        thead { tr { @for (at, head) in self.head.iter().enumerate() { th class=[class(at)] { (head) } } } }
                        tbody {
                            @for row in &self.rows {
                                tr { @for (at, cell) in row.iter().enumerate() { td class=[class(at)] { (cell) } } }
                            }
                        }
                    }
                }
                @if let Some(more) = self.more() { p.soft { (more) } }
                @if !key.is_empty() { p.key { (key) } }
            }
        }
    }

    pub(super) fn markdown(&self, out: &mut String) {
        let _ = writeln!(out, "## {}\n\n| {} |", self.title, self.head.join(" | "));
        let rule = |at| if at < self.words { "---" } else { "---:" };
        let rules: Vec<&str> = (0..self.head.len()).map(rule).collect();
        let _ = writeln!(out, "| {} |", rules.join(" | "));
        for row in &self.rows {
            let cells: Vec<String> = row.iter().map(|cell| markdown::escaped(cell)).collect();
            let _ = writeln!(out, "| {} |", cells.join(" | "));
        }
        if let Some(more) = self.more() {
            let _ = writeln!(out, "\n{more}");
        }
        out.push('\n');
    }
}
