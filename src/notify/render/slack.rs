//! An incoming webhook of Slack: one text in mrkdwn.
//!
//! `&`, `<` and `>` are the characters by which a text could become a link or a mention (`<!channel>`); Slack's documentation has them
//! escaped. A value stands in a code span, in which nothing else is markup, and loses its backquotes, which would end it.

use serde_json::json;

use crate::notify::notice::Notice;

pub(super) fn body(notice: &Notice) -> String {
    let mut text = format!("*{}*", escaped(&notice.headline()).replace('*', "∗"));
    for fact in notice.facts() {
        let value = escaped(&fact.value).replace('`', "'");
        text.push_str(&format!("\n{}: `{value}`", fact.label));
    }
    json!({ "text": text }).to_string()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
