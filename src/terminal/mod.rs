//! Lays out text for a terminal of a given width.
//!
//! Every command that writes for a person uses it: lines are clipped, paragraphs are wrapped, and tables shrink their widest
//! columns first. Text from sessions is made [`visible`](visible::visible) before it comes here.

mod table;
pub(crate) mod visible;

pub(crate) use table::Table;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// How text is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TextStyle {
    /// Columns of the terminal, taken as at least 40.
    pub width: usize,
    /// Whether the terminal shows ANSI colours.
    pub colour: bool,
    /// How much is shown.
    pub detail: Detail,
}

/// How much of a result a person wants to see. Formats for programs always have all of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Detail {
    /// Only what asks for attention.
    Less,
    /// As a rule.
    #[default]
    Usual,
    /// In detail.
    More,
}

impl Default for TextStyle {
    fn default() -> TextStyle {
        TextStyle {
            width: 100,
            colour: false,
            detail: Detail::Usual,
        }
    }
}

impl TextStyle {
    /// Nothing is cut or wrapped, for a pipe or a file. (Wider than any line, and small enough that adding to it does not
    /// overflow.)
    pub const WHOLE: TextStyle = TextStyle {
        width: 1 << 24,
        colour: false,
        detail: Detail::Usual,
    };

    /// With at least the width that the layout needs.
    #[must_use]
    pub(crate) fn readable(self) -> TextStyle {
        TextStyle {
            width: self.width.max(40),
            ..self
        }
    }
}

/// The text in at most `width` columns, with `…` at the end if something was cut.
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

/// A paragraph; its further lines are indented to the first line's text.
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

/// The colours of a terminal.
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
