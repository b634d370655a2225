//! What the HTML reports and the status page have in common.
//!
//! `maud` writes the markup and escapes every text in it. [`document`] makes the finished content [`visible`]. So no page has
//! to do either: a program named `<script>` is shown as that word, and an escape sequence is shown escaped. The two styles
//! are the two style sheets beside this file. A report has no script and loads nothing.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::terminal::visible::visible;

/// The style of the reports.
pub(crate) const REPORT: &str = include_str!("report.css");
/// The style of the status page.
pub(crate) const STATUS: &str = include_str!("status.css");

/// What the head of a report has: it runs no script and loads nothing, wherever it is opened.
pub(crate) fn forbids_everything() -> Markup {
    html! { meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'"; }
}

/// A whole page; `head` is what its head has besides the title and the style.
pub(crate) fn document(title: &str, style: &'static str, head: &Markup, body: &Markup) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                (head)
                title { (visible(title)) }
                style { (PreEscaped(style)) }
            }
            body { (PreEscaped(shown(body))) }
        }
    };
    page.into_string() + "\n"
}

/// A part of a page, with everything in it made visible.
pub(crate) fn shown(part: &Markup) -> String {
    visible(&part.0).to_string()
}

/// A note with its words between backticks as code.
pub(crate) fn with_code(note: &str) -> Markup {
    let parts: Vec<&str> = note.split('`').collect();
    // With an odd number of backticks the last one is unpaired and stays as it is.
    let lone = parts.len().is_multiple_of(2);
    html! {
        @for (at, part) in parts.iter().enumerate() {
            @if lone && at + 1 == parts.len() {
                "`" (part)
            } @else if at % 2 == 1 {
                code { (part) }
            } @else {
                (part)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped_everywhere_on_a_page() {
        let evil = "<b title='x'>\"&\u{1b}[2J\u{202e}";
        let body = html! { p title=(evil) { (evil) } };
        let page = document(evil, "p{color:red}\n", &Markup::default(), &body);
        let shown = "&lt;b title='x'&gt;&quot;&amp;\\x1b[2J\\u{202e}";
        assert_eq!(page.matches(shown).count(), 3, "{page}");
        assert!(
            !page.contains("<b ") && !page.contains(['\u{1b}', '\u{202e}']),
            "{page}"
        );
        assert!(page.contains("<style>p{color:red}\n</style>"), "{page}");
    }

    #[test]
    fn text_between_two_backticks_is_code() {
        let shown = |note| with_code(note).into_string();
        assert_eq!(shown("a `b<` c `d` e"), "a <code>b&lt;</code> c <code>d</code> e");
        assert_eq!(shown("a `b` c ` d"), "a <code>b</code> c ` d");
        assert_eq!(shown("`"), "`");
        assert_eq!(shown("plain"), "plain");
    }
}
