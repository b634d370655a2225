//! A notification in the form of each kind of receiver. Pure.

mod alertmanager;
mod json;
mod slack;
mod teams;

use crate::config::ReceiverKind;
use crate::notify::notice::Notice;
use crate::terminal::visible::json_escaped;

/// The body for a kind of receiver, as UTF-8.
pub(crate) fn body(kind: ReceiverKind, notice: &Notice) -> Vec<u8> {
    let body = match kind {
        // A program gets what a web server gets.
        ReceiverKind::Json | ReceiverKind::Program => json::body(notice),
        ReceiverKind::Slack => slack::body(notice),
        ReceiverKind::Teams => teams::body(notice),
        ReceiverKind::Alertmanager => alertmanager::body(notice),
    };
    json_escaped(&body).into_owned().into_bytes()
}

#[cfg(test)]
mod tests;
