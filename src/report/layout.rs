//! Text on a terminal: as wide as it is told, no wider.
//!
//! What every command that writes for a person is laid out with: lines that are clipped, paragraphs that are wrapped, tables
//! whose widest columns give way first. Text from sessions is made [`visible`](crate::visible) before it comes here.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::decide::guard::Verdict;

/// How text is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TextStyle {
    /// Columns of the terminal. Below 40 it is laid out as for 40.
    pub width: usize,
    /// Whether the terminal shows ANSI colours.
    pub colour: bool,
}

impl Default for TextStyle {
    fn default() -> TextStyle {
        TextStyle {
            width: 100,
            colour: false,
        }
    }
}

impl TextStyle {
    /// Nothing is cut or wrapped, for a pipe or a file. (Wider than any line, and far from where adding to it overflows.)
    pub const WHOLE: TextStyle = TextStyle {
        width: 1 << 24,
        colour: false,
    };

    /// At least as wide as anything can be laid out in.
    #[must_use]
    pub(crate) fn readable(self) -> TextStyle {
        TextStyle {
            width: self.width.max(40),
            ..self
        }
    }
}

/// A table: what its columns are called and how they give way.
pub(crate) struct Table<const N: usize> {
    /// Above each column.
    pub(crate) header: [&'static str; N],
    /// What a column keeps when others are still wider than theirs.
    pub(crate) least: [usize; N],
    /// How readily a column gives way; 0 never.
    pub(crate) weight: [usize; N],
    /// Columns that are left out, in this order, where even the least widths are too wide.
    pub(crate) dispensable: &'static [usize],
}

impl<const N: usize> Table<N> {
    /// Widths that nothing is clipped in.
    pub(crate) fn natural(&self, rows: &[[String; N]]) -> [usize; N] {
        let mut widths = self.header.map(str::len);
        for row in rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.width());
            }
        }
        widths
    }

    /// Shrinks the widest column that may, until all fit; where that is not enough, the dispensable ones go.
    pub(crate) fn fit(&self, widths: &mut [usize; N], room: usize) {
        while widths.iter().sum::<usize>() > room {
            let widest = (0..N)
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
}

/// The cells of one line of a table; a column of no width is left out.
pub(crate) fn row<const N: usize>(cells: &[&str; N], widths: &[usize; N], indent: &str) -> String {
    let mut text = String::from(indent);
    for (cell, width) in cells.iter().zip(widths).filter(|(_, width)| **width > 0) {
        let cell = clip(cell, *width);
        text.push_str(&cell);
        text.push_str(&" ".repeat(width - cell.width() + 2));
    }
    text.trim_end().to_owned()
}

/// At most `width` columns, `…` at the end if something was cut.
pub(crate) fn clip(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut clipped = String::new();
    let mut used = 0;
    for character in text.chars() {
        let wide = character.width().unwrap_or(0);
        if used + wide + 1 > width {
            break;
        }
        used += wide;
        clipped.push(character);
    }
    clipped.push('…');
    clipped
}

/// A paragraph whose lines begin below its text.
pub(crate) fn wrapped(out: &mut String, bullet: &str, text: &str, style: TextStyle, colour: Colour) {
    let room = style.width.saturating_sub(bullet.len()).max(20);
    let mut line = String::new();
    let mut lines = Vec::new();
    for word in text.split(' ') {
        if !line.is_empty() && line.width() + 1 + word.width() > room {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(&clip(word, room));
    }
    lines.push(line);
    for (at, line) in lines.iter().enumerate() {
        let indent = if at == 0 {
            bullet.to_owned()
        } else {
            " ".repeat(bullet.len())
        };
        push(out, &paint(&format!("{indent}{line}"), colour, style));
    }
}

pub(crate) fn push(out: &mut String, line: &str) {
    out.push_str(line.trim_end());
    out.push('\n');
}

/// What stands out, and how.
#[derive(Clone, Copy)]
pub(crate) enum Colour {
    None,
    Bold,
    Dim,
    Red,
    Yellow,
    Magenta,
    Green,
}

pub(crate) const fn colour_of(verdict: Verdict) -> Colour {
    match verdict {
        Verdict::Act => Colour::Red,
        Verdict::Pending | Verdict::Deferred => Colour::Yellow,
        Verdict::Refused => Colour::Magenta,
        Verdict::Protected(_) | Verdict::Exempt => Colour::Green,
    }
}

pub(crate) fn bold(text: &str, style: TextStyle) -> String {
    paint(text, Colour::Bold, style)
}

pub(crate) fn paint(text: &str, colour: Colour, style: TextStyle) -> String {
    let code = match colour {
        Colour::None => return text.to_owned(),
        Colour::Bold => "1",
        Colour::Dim => "2",
        Colour::Red => "31",
        Colour::Yellow => "33",
        Colour::Magenta => "35",
        Colour::Green => "32",
    };
    if style.colour {
        format!("\x1b[{code}m{text}\x1b[0m")
    } else {
        text.to_owned()
    }
}
