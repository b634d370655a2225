//! The statements that give a user a profile with a limit of idle time.

use std::collections::BTreeSet;

use super::native::{NativeLimit, UserSurvey};
use super::rounding::minutes;
use crate::decide::evaluate::is_whole;
use crate::quantity::counted;
use crate::terminal::visible::{acts, visible};

/// A name had at most this many bytes before 12.2 (Oracle Database SQL Language Reference, "Database Object Naming Rules").
const LONGEST_NAME: usize = 30;

/// What gives a user a profile of its own.
pub(super) struct ProfileStatements {
    /// The user, in quotes.
    user: String,
    /// The profile, in quotes where it needs them.
    profile: String,
    /// A common user has a common profile, in every container.
    is_common: bool,
}

impl ProfileStatements {
    /// # Errors
    /// When no statement in one line can name the user; the error says why.
    pub(super) fn of(user: &str, names: &mut BTreeSet<String>) -> Result<ProfileStatements, String> {
        if !is_whole(user) {
            return Err("its name has bytes that are no valid text".to_owned());
        }
        if user.is_empty() || user.chars().any(acts) {
            return Err("its name has characters that a line cannot hold".to_owned());
        }
        if user.contains('"') {
            return Err("a name in a statement cannot contain a double quote".to_owned());
        }
        let common = user.get(..3).filter(|start| start.eq_ignore_ascii_case("C##"));
        let whole = match common {
            Some(prefix) => format!("{prefix}IDLE_{}", &user[3..]),
            None => format!("IDLE_{user}"),
        };
        let fitting = |end: &str| {
            let mut name = whole.clone();
            while name.len() + end.len() > LONGEST_NAME {
                name.pop();
            }
            name + end
        };
        let numbered = (2..).map(|number| fitting(&format!("_{number}")));
        let name = std::iter::once(fitting(""))
            .chain(numbered)
            .find(|name| !names.contains(name));
        let name = name.expect("there are more numbers than users");
        names.insert(name.clone());
        Ok(ProfileStatements {
            user: format!("\"{user}\""),
            profile: if is_plain(&name) { name } else { format!("\"{name}\"") },
            is_common: common.is_some(),
        })
    }

    /// Both statements in a line, with what they would have done.
    pub(super) fn line(&self, survey: &UserSurvey, limit: &NativeLimit) -> String {
        let ProfileStatements {
            user,
            profile,
            is_common,
        } = self;
        let present = match survey.profiles.len() {
            0 => "the present profile, which was not recorded".to_owned(),
            _ => Vec::from_iter(survey.profiles.iter().map(|profile| visible(profile))).join(", "),
        };
        let (everywhere, root) = if *is_common {
            (" CONTAINER = ALL", "in CDB$ROOT; ")
        } else {
            ("", "")
        };
        format!(
            "CREATE PROFILE {profile} LIMIT IDLE_TIME {}{everywhere}; ALTER USER {user} PROFILE {profile}{everywhere};  -- {root}{}; \
             replaces {present}",
            minutes(limit.seconds),
            ended(limit)
        )
    }
}

/// Whether a name needs no quotes in a statement.
fn is_plain(name: &str) -> bool {
    name.starts_with(|letter: char| letter.is_ascii_uppercase())
        && name
            .bytes()
            .all(|letter| letter.is_ascii_uppercase() || letter.is_ascii_digit() || matches!(letter, b'_' | b'#'))
}

/// How many sessions a limit would have ended: `3 sessions, 1 of them protected`.
pub(super) fn ended(limit: &NativeLimit) -> String {
    let all = counted(limit.ends, "session");
    match limit.ends_protected {
        0 => all,
        protected => format!("{all}, {protected} of them protected"),
    }
}
