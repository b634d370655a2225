//! Why an attempt to tell a receiver failed, and whether another may succeed.

use std::fmt;
use std::time::Duration;

/// The most characters of a receiver's answer in a message.
const LONGEST_ANSWER: usize = 120;

/// Why an attempt failed. It holds no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NoticeFailure {
    /// What is wrong, in words that do not change from one attempt to the next.
    pub(crate) why: String,
    /// What the receiver said of it, which may change.
    pub(crate) answer: String,
    /// Whether another attempt may succeed.
    pub(crate) may_pass: bool,
    /// How long the receiver asks to wait.
    pub(crate) again_in: Option<Duration>,
}

impl NoticeFailure {
    /// Another attempt may succeed.
    pub(super) fn passing(why: impl Into<String>) -> NoticeFailure {
        NoticeFailure {
            why: why.into(),
            answer: String::new(),
            may_pass: true,
            again_in: None,
        }
    }

    /// Somebody has to do something first.
    pub(super) fn lasting(why: impl Into<String>) -> NoticeFailure {
        NoticeFailure {
            may_pass: false,
            ..NoticeFailure::passing(why)
        }
    }
}

impl fmt::Display for NoticeFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let colon = if self.answer.is_empty() { "" } else { ": " };
        write!(f, "{}{colon}{}", self.why, self.answer)
    }
}

/// An answer of a server, made safe to show, without any of these secrets.
pub(super) fn shown(answer: &str, secrets: &[&str]) -> String {
    let mut shown = answer.to_owned();
    for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
        shown = shown.replace(*secret, "…");
    }
    let line: String = shown.split_whitespace().collect::<Vec<_>>().join(" ");
    let cut: String = line.chars().take(LONGEST_ANSWER).collect();
    crate::terminal::visible::visible(&cut).into_owned()
}
