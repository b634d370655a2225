//! The last step of a warrant: the only place where a dry run differs from a real action.
//!
//! A [`Statement`] is what a connection to act on takes, and nothing else makes one than a warrant whose policy enforces. So
//! code without a warrant has nothing to send, and neither has a dry run: it cannot send by mistake. The one other maker is
//! narrow: that a decoy of a proof was seen again ([`Again`]) permits one statement, which is made for this decoy's key.

use crate::decide::guard::{Again, Warrant};
use crate::decide::in_force::RunMode;
use crate::session::SessionKey;

/// What is left to be done about a warrant.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a warrant is used up by its last step"]
pub enum LastStep {
    /// Nothing: the action is to report.
    Report,
    /// A dry run: what would have been sent.
    Assume(String),
    /// The statement.
    Send(Statement),
}

/// An action in Oracle's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wording {
    /// A statement, or a block that answers by succeeding or failing.
    Statement(String),
    /// A block that returns a number and a text in its two placeholders.
    Call(String),
}

impl Wording {
    /// The words.
    #[must_use]
    pub(crate) fn text(&self) -> &str {
        match self {
            Wording::Statement(text) | Wording::Call(text) => text,
        }
    }
}

/// A statement that a warrant permits. It is sent once.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a statement is there to be sent"]
pub struct Statement {
    wording: Wording,
}

impl Statement {
    /// In Oracle's words.
    #[must_use]
    pub fn text(&self) -> &str {
        self.wording.text()
    }

    /// In Oracle's words, with how they answer.
    #[must_use]
    pub(crate) fn wording(&self) -> &Wording {
        &self.wording
    }
}

impl Again {
    /// Uses the permission up, for the statement that `word` makes for the decoy's key.
    ///
    /// # Errors
    /// That of `word`.
    pub(crate) fn statement<E>(self, word: impl FnOnce(SessionKey) -> Result<Wording, E>) -> Result<Statement, E> {
        word(self.key).map(|wording| Statement { wording })
    }
}

impl Warrant {
    /// Uses the permission up. `wording` is the action in Oracle's words; `None` for `report`.
    ///
    /// # Panics
    /// When it was used before: the same session would be acted on twice.
    pub fn last_step(&mut self, wording: Option<Wording>) -> LastStep {
        assert!(!self.used, "the warrant for session {} was used before", self.key());
        self.used = true;
        match (wording, self.mode()) {
            (None, _) => LastStep::Report,
            (Some(wording), RunMode::DryRun) => LastStep::Assume(wording.text().to_owned()),
            (Some(wording), RunMode::Enforce) => LastStep::Send(Statement { wording }),
        }
    }
}
