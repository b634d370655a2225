//! A webhook of Microsoft Teams' Workflows ("when a Teams webhook request is received"): a message with one Adaptive Card.
//!
//! A TextBlock and a Fact are read as Markdown, so that a text could become a link. A TextRun is not (Adaptive Cards, TextRun:
//! "Markdown is not supported"), so every text is in one.

use serde_json::{Value, json};

use crate::config::NoticeSeverity;
use crate::notify::notice::Notice;

pub(super) fn body(notice: &Notice) -> String {
    let colour = match notice.severity {
        NoticeSeverity::Info => "Default",
        NoticeSeverity::Warning => "Warning",
        NoticeSeverity::Critical => "Attention",
    };
    let title = json!({
        "type": "RichTextBlock",
        "inlines": [{"type": "TextRun", "text": notice.headline(), "weight": "Bolder", "size": "Medium", "color": colour}],
    });
    let facts = notice.facts().into_iter().map(|fact| {
        json!({
            "type": "RichTextBlock",
            "spacing": "None",
            "inlines": [
                {"type": "TextRun", "text": format!("{}: ", fact.label), "weight": "Bolder"},
                {"type": "TextRun", "text": fact.value},
            ],
        })
    });
    let body: Vec<Value> = std::iter::once(title).chain(facts).collect();
    let card = json!({
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": body,
    });
    let attachment = json!({
        "contentType": "application/vnd.microsoft.card.adaptive",
        "contentUrl": null,
        "content": card,
    });
    json!({"type": "message", "attachments": [attachment]}).to_string()
}
