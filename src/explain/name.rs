//! Reads the name of a session on the command line, and finds the session.
//!
//! The whole name is that of Oracle's statements: `287,62507,@1`. A part of it is enough if it is unambiguous. Otherwise the
//! sessions that it could mean are listed, because every instance has the same SIDs and reuses them.

use std::fmt;
use std::str::FromStr;

use crate::report::ShownSession;
use crate::session::column::Column;
use crate::session::snapshot::Snapshot;
use crate::terminal::visible::visible;
use crate::yaml::diagnostics::did_you_mean;

/// The most sessions that are listed for an ambiguous name.
const LISTED: usize = 5;

/// The name of a session, or a part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SessionName {
    /// SID.
    pub(crate) sid: u32,
    /// SERIAL#.
    pub(crate) serial: Option<u32>,
    /// INST_ID.
    pub(crate) inst_id: Option<u32>,
}

impl fmt::Display for SessionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.sid)?;
        if let Some(serial) = self.serial {
            write!(f, ",{serial}")?;
        }
        match self.inst_id {
            Some(inst_id) => write!(f, ",@{inst_id}"),
            None => Ok(()),
        }
    }
}

impl FromStr for SessionName {
    type Err = String;

    fn from_str(text: &str) -> Result<SessionName, String> {
        let refused = || {
            format!(
                "{:?} is not the name of a session; expected 'SID,SERIAL#,@INST_ID' such as '287,62507,@1'",
                visible(text)
            )
        };
        let number = |part: &str| part.parse::<u32>().map_err(|_| refused());
        let mut parts: Vec<&str> = text.trim().trim_matches('\'').split(',').map(str::trim).collect();
        let inst_id = match parts.last().and_then(|last| last.strip_prefix('@')) {
            Some(inst_id) => {
                parts.pop();
                Some(number(inst_id)?)
            }
            None => None,
        };
        match parts.as_slice() {
            [sid] => Ok(SessionName {
                sid: number(sid)?,
                serial: None,
                inst_id,
            }),
            [sid, serial] => Ok(SessionName {
                sid: number(sid)?,
                serial: Some(number(serial)?),
                inst_id,
            }),
            _ => Err(refused()),
        }
    }
}

impl SessionName {
    /// The row of the session.
    ///
    /// # Errors
    /// If there is no such session, or more than one; the error lists similar ones.
    pub(crate) fn find(&self, snapshot: &Snapshot) -> Result<usize, String> {
        let same = |wanted: Option<u32>, row: usize, column| wanted.is_none() || snapshot.id(row, column) == wanted;
        let meant: Vec<usize> = (0..snapshot.rows())
            .filter(|row| {
                snapshot.id(*row, Column::Sid) == Some(self.sid)
                    && same(self.serial, *row, Column::Serial)
                    && same(self.inst_id, *row, Column::InstId)
            })
            .collect();
        match meant.as_slice() {
            [row] => Ok(*row),
            [] => Err(format!("there is no session {self}; {}", self.hint(snapshot))),
            several => Err(format!(
                "session {self} is ambiguous: it could be {}; add the SERIAL# and the instance",
                listed(snapshot, several)
            )),
        }
    }

    /// A hint for a session that does not exist: the sessions with the same SID, otherwise one with the same SERIAL# and a
    /// similar SID, or without a SERIAL# one with a similar SID. Similarities between other numbers mean nothing.
    fn hint(&self, snapshot: &Snapshot) -> String {
        let same_sid: Vec<usize> = (0..snapshot.rows())
            .filter(|row| snapshot.id(*row, Column::Sid) == Some(self.sid))
            .collect();
        if !same_sid.is_empty() {
            return format!("with the same SID there is {}", listed(snapshot, &same_sid));
        }
        let like: Vec<(String, String)> = (0..snapshot.rows())
            .filter(|row| self.serial.is_none() || snapshot.id(*row, Column::Serial) == self.serial)
            .filter_map(|row| {
                let sid = snapshot.id(row, Column::Sid)?.to_string();
                let whole = ShownSession::of(snapshot, row).session();
                Some((sid.clone(), if self.serial.is_some() { whole } else { sid }))
            })
            .collect();
        // The SIDs are compared, and the whole name is shown.
        let meant = did_you_mean(&self.sid.to_string(), like.iter().map(|(sid, _)| sid.as_str()));
        let shown = like
            .iter()
            .find(|(sid, _)| meant.as_ref().is_some_and(|meant| meant.contains(&format!("`{sid}`"))));
        shown.map_or_else(
            || {
                format!(
                    "no session has the SID {}; `orareaper sessions` shows all sessions",
                    self.sid
                )
            },
            |(_, name)| format!("did you mean `{name}`?"),
        )
    }
}

/// Lists sessions with their users.
fn listed(snapshot: &Snapshot, rows: &[usize]) -> String {
    let mut names: Vec<String> = rows
        .iter()
        .take(LISTED)
        .map(|row| {
            let who = ShownSession::of(snapshot, *row);
            let user = who.username.as_deref().map_or_else(|| "no user".into(), visible);
            format!("{} ({user})", who.session())
        })
        .collect();
    if rows.len() > LISTED {
        names.push(format!("{} more", rows.len() - LISTED));
    }
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_or_partial_name_is_read() {
        let name = |sid, serial, inst_id| Ok(SessionName { sid, serial, inst_id });
        assert_eq!("287,62507,@1".parse(), name(287, Some(62_507), Some(1)));
        assert_eq!("'287, 62507, @1'".parse(), name(287, Some(62_507), Some(1)));
        assert_eq!("287,62507".parse(), name(287, Some(62_507), None));
        assert_eq!("287,@2".parse(), name(287, None, Some(2)));
        assert_eq!("287".parse(), name(287, None, None));
        for wrong in [
            "",
            "SHOP",
            "287,",
            "287,62507,1",
            "287,62507,@1,@1",
            "@1",
            "-1",
            "287 62507",
            "99999999999",
        ] {
            let refused = wrong.parse::<SessionName>();
            assert!(
                refused.is_err_and(|why| why.contains("expected 'SID,SERIAL#,@INST_ID'")),
                "{wrong}"
            );
        }
    }
}
