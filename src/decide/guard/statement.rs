//! The last step of a warrant: the only place where a dry run differs from a real action.
//!
//! A [`Statement`] is what a connection to act on takes, and nothing else makes one than a warrant whose policy enforces. So
//! code without a warrant has nothing to send, and neither has a dry run: it cannot send by mistake. The one other maker is
//! narrow: that a decoy of a proof was seen again ([`Again`]) permits one statement that names this decoy.

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
    /// Uses the permission up.
    ///
    /// # Panics
    /// When the wording names another session than the decoy.
    pub(crate) fn statement(self, wording: Wording) -> Statement {
        assert!(
            names(&wording, self.key),
            "a statement for decoy {} names another session",
            self.key
        );
        Statement { wording }
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

/// Whether a wording names this session and no other: a call by its first arguments, a statement by its one quoted text.
fn names(wording: &Wording, key: SessionKey) -> bool {
    let SessionKey {
        inst_id, sid, serial, ..
    } = key;
    match wording {
        Wording::Call(call) => is_called_with(call, &[inst_id, sid, serial].map(|number| number.to_string())),
        Wording::Statement(block) if block.starts_with("BEGIN ") => {
            is_called_with(block, &[format!("sid => {sid}"), format!("serial => {serial}")])
        }
        Wording::Statement(statement) => quotes(statement, key),
    }
}

/// Whether the arguments of a block's one call begin with these.
fn is_called_with(block: &str, first: &[String]) -> bool {
    let arguments = block.split_once('(').map_or("", |(_, arguments)| arguments);
    let mut arguments = arguments.split([',', ')']).map(str::trim);
    block.matches("BEGIN ").count() == 1 && first.iter().all(|it| arguments.next() == Some(it))
}

/// Whether the one quoted text of a statement names this session, and the instance, if it names one, is its own.
fn quotes(text: &str, key: SessionKey) -> bool {
    let mut quoted = text.split('\'');
    let (Some(_), Some(named), Some(_), None) = (quoted.next(), quoted.next(), quoted.next(), quoted.next()) else {
        return false;
    };
    let mut parts = named.split(',').map(str::trim);
    let is = |part: Option<&str>, number: u32| part == Some(number.to_string().as_str());
    is(parts.next(), key.sid)
        && is(parts.next(), key.serial)
        && parts.all(|part| part.strip_prefix('@').is_none_or(|inst| is(Some(inst), key.inst_id)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::time::DbTime;

    fn key(serial: u32) -> SessionKey {
        SessionKey {
            inst_id: 1,
            sid: 12,
            serial,
            logon_time: DbTime(100),
        }
    }

    #[test]
    fn a_statement_that_names_another_session_is_told() {
        for (text, is) in [
            ("KILL '12,7,@1' IMMEDIATE", true),
            ("CANCEL '12, 7, @1, 8yds4k9tqmh3u'", true),
            ("KILL '12,7'", true),
            ("KILL '12,7,@2'", false),
            ("KILL '12,70'", false),
            ("KILL '112,7'", false),
            ("KILL '12,7' '13,7'", false),
            ("KILL 12,7", false),
        ] {
            assert_eq!(names(&Wording::Statement(text.to_owned()), key(7)), is, "{text}");
        }
    }

    #[test]
    fn so_is_a_call_that_names_another_session() {
        for (call, is) in [
            (
                "BEGIN o.guard.act(1, 12, 7, TO_DATE('x'), 'KILL', NULL, :code, :text); END;",
                true,
            ),
            (
                "BEGIN o.guard.act(2, 12, 7, TO_DATE('x'), 'KILL', NULL, :code, :text); END;",
                false,
            ),
            (
                "BEGIN o.guard.act(1, 12, 70, TO_DATE('x'), 'KILL', NULL, :code, :text); END;",
                false,
            ),
            ("BEGIN o.guard.act; END;", false),
        ] {
            assert_eq!(names(&Wording::Call(call.to_owned()), key(7)), is, "{call}");
        }
        for (block, is) in [
            ("BEGIN rdsadmin.rdsadmin_util.kill(sid => 12, serial => 7); END;", true),
            (
                "BEGIN rdsadmin.rdsadmin_util.kill(sid => 12, serial => 71); END;",
                false,
            ),
            (
                "BEGIN rdsadmin.rdsadmin_util.kill(sid => 13, serial => 7, method => 'IMMEDIATE'); END;",
                false,
            ),
            (
                "BEGIN a.kill(sid => 12, serial => 7); END; BEGIN a.kill(sid => 1, serial => 1); END;",
                false,
            ),
        ] {
            assert_eq!(names(&Wording::Statement(block.to_owned()), key(7)), is, "{block}");
        }
    }
}
