//! How a person names a session, and which one is meant.
//!
//! The whole name is that of Oracle's statements: `287,62507,@1`. Less of it will do where it is unambiguous; where it is not,
//! those that it could mean are listed, because a SID is a seat on each instance and says nothing of who sits there.

use std::fmt;
use std::str::FromStr;

use crate::report::Who;
use crate::session::column::Column;
use crate::session::snapshot::Snapshot;
use crate::visible::visible;
use crate::yaml::diagnostics::did_you_mean;

/// So many sessions are listed where a name could mean several.
const LISTED: usize = 5;

/// A session's name, or as much of it as was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionName {
    /// SID.
    pub sid: u32,
    /// SERIAL#.
    pub serial: Option<u32>,
    /// INST_ID.
    pub inst_id: Option<u32>,
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
                "no session is called {:?}; expected 'SID,SERIAL#,@INST_ID' such as '287,62507,@1', or as much of it as is \
                 unambiguous",
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
    /// The row of the session that is meant.
    ///
    /// # Errors
    /// When it is nobody, or could be several; the error says who there is instead.
    pub fn find(&self, snapshot: &Snapshot) -> Result<usize, String> {
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
            [] => Err(format!("there is no session {self}; {}", self.instead(snapshot))),
            several => Err(format!(
                "session {self} could be any of {}; name its SERIAL# and instance too",
                listed(snapshot, several)
            )),
        }
    }

    /// Who there is instead: whoever has the same SID, else whose name is nearest.
    fn instead(&self, snapshot: &Snapshot) -> String {
        let seats: Vec<usize> = (0..snapshot.rows())
            .filter(|row| snapshot.id(*row, Column::Sid) == Some(self.sid))
            .collect();
        if !seats.is_empty() {
            return format!("its SID has {}", listed(snapshot, &seats));
        }
        let names: Vec<String> = (0..snapshot.rows())
            .map(|row| Who::of(snapshot, row).session())
            .collect();
        let sids: Vec<String> = (0..snapshot.rows())
            .filter_map(|row| snapshot.id(row, Column::Sid))
            .map(|sid| sid.to_string())
            .collect();
        did_you_mean(&self.to_string(), names.iter().map(String::as_str))
            .or_else(|| did_you_mean(&self.sid.to_string(), sids.iter().map(String::as_str)))
            .unwrap_or_else(|| "`orareaper sessions` shows who there is".into())
    }
}

/// Some sessions with their users.
fn listed(snapshot: &Snapshot, rows: &[usize]) -> String {
    let mut names: Vec<String> = rows
        .iter()
        .take(LISTED)
        .map(|row| {
            let who = Who::of(snapshot, *row);
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
    fn a_name_is_read_as_far_as_it_is_given() {
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
