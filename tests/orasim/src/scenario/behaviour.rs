//! How a database differs from what is documented, as far as a kill depends on it.
//!
//! A scenario has it under the key `behaviour`, or it is taken from a file that was written about a real database (its key of the
//! same name). What is left out is as documented. Numbers are those of Oracle's errors, 0 for success.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use super::ScenarioError;

/// What differs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Behaviour {
    /// A new session is in GV$SESSION at once; else others see it ten minutes after its login.
    pub seen_at_once: Option<bool>,
    /// LAST_CALL_ET of an idle session grows.
    pub idle_age_grows: Option<bool>,
    /// The same of a session in a call.
    pub active_age_grows: Option<bool>,
    /// How many bytes PROGRAM holds.
    pub program_bytes: Option<u32>,
    /// The answer to a KILL of a session that does not exist.
    pub missing_session: Option<u32>,
    /// The answer to a DISCONNECT that names an instance.
    pub disconnect_with_instance: Option<u32>,
    /// What comes of an action, by its name (`kill immediate`), on the session of a real client, by what that does.
    pub actions: BTreeMap<String, BTreeMap<Doing, Answer>>,
}

/// What a session does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Doing {
    /// Nothing.
    Idle,
    /// A call.
    Busy,
    /// Nothing, in an open transaction.
    Transaction,
}

/// What comes of an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// The answer to the statement.
    pub answer: u32,
    /// What becomes of the session's row with the answer.
    pub row: Option<RowAfter>,
    /// When a row that is KILLED goes, or whether the statement of a cancelled call ends.
    pub ends: Option<Ends>,
    /// What the session's own client is told: 28, 45, 3113 for a cut connection, 0 for nothing.
    pub told: Option<u32>,
}

/// A session's row, right after the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RowAfter {
    /// It is gone.
    Gone,
    /// Its STATUS is KILLED.
    Killed,
    /// It is as before.
    Kept,
}

/// When what was ended is seen to have ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ends {
    /// With the client's call.
    Call,
    /// Not for the next ten minutes.
    Stays,
}

/// The file of a proof, of which nothing else is looked at.
#[derive(Deserialize)]
struct Proof {
    behaviour: Behaviour,
}

impl Behaviour {
    /// From the key `behaviour` of a JSON or YAML file.
    pub fn load(path: &Path) -> Result<Self, ScenarioError> {
        let origin = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|source| ScenarioError::Unreadable {
            path: origin.clone(),
            source,
        })?;
        let proof: Proof = serde_yaml::from_str(&text).map_err(|error| ScenarioError::Malformed {
            origin,
            message: error.to_string(),
        })?;
        Ok(proof.behaviour)
    }

    /// What comes of this action on a session that does this, if that is not as documented.
    pub(crate) fn of(&self, action: &str, doing: Doing) -> Option<Answer> {
        self.actions.get(action)?.get(&doing).copied()
    }
}
