//! The users of the pages, with the bcrypt hashes of their passwords.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr as _;
use std::sync::Arc;

use crate::yaml::diagnostics::quoted;
use crate::yaml::fields::Inspection;
use crate::yaml::node::{Node, Value};

/// A higher cost takes longer to compare than a connection may last.
const HIGHEST_COST: u32 = 15;

/// The lowest cost of bcrypt.
const LOWEST_COST: u32 = 4;

/// The most users; each can be found out by nobody who lacks the password.
const MOST_USERS: usize = 1_000;

/// A longer name is in no request's head.
const LONGEST_NAME: usize = 255;

/// The hash of a password.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct PasswordHash {
    text: Arc<str>,
    cost: u32,
}

/// Shows the cost alone.
impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PasswordHash(cost {})", self.cost)
    }
}

impl PasswordHash {
    /// Reads a hash of bcrypt (`$2y$10$...`).
    ///
    /// # Errors
    /// What it is instead, without repeating it.
    pub(crate) fn parse(text: &str) -> Result<PasswordHash, String> {
        let parts = bcrypt::HashParts::from_str(text).map_err(|_| "this is no bcrypt hash".to_owned())?;
        let cost = parts.get_cost();
        if !(LOWEST_COST..=HIGHEST_COST).contains(&cost) {
            return Err(format!(
                "the cost of this hash is {cost}, and must be from {LOWEST_COST} to {HIGHEST_COST}: comparing must end before the \
                 connection does, after 10 seconds"
            ));
        }
        Ok(PasswordHash {
            text: text.into(),
            cost,
        })
    }

    /// The hash itself.
    #[must_use]
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The cost: comparing takes 2^cost rounds.
    #[must_use]
    pub(crate) fn cost(&self) -> u32 {
        self.cost
    }
}

/// Who may ask.
#[derive(Clone, Debug, Default)]
pub(crate) struct Users {
    hashes: BTreeMap<String, PasswordHash>,
}

impl Users {
    /// Whether nobody has to log in.
    #[must_use]
    pub(crate) fn is_empty(&self) -> bool {
        self.hashes.is_empty()
    }

    /// How many there are.
    #[must_use]
    pub(crate) fn len(&self) -> usize {
        self.hashes.len()
    }

    /// The hash of a user.
    #[must_use]
    pub(crate) fn hash(&self, name: &str) -> Option<&PasswordHash> {
        self.hashes.get(name)
    }

    /// The highest cost of all hashes; what every attempt to log in costs.
    #[must_use]
    pub(crate) fn highest_cost(&self) -> u32 {
        let costs = self.hashes.values().map(PasswordHash::cost);
        costs.max().unwrap_or(LOWEST_COST)
    }
}

pub(super) fn users(inspection: &mut Inspection, node: &Node) -> Option<Users> {
    const HINT: &str = "write each as `name: HASH`; `htpasswd -nBC 10 NAME` prints the hash";
    let Value::Mapping(entries) = &node.value else {
        let at = Inspection::place(node);
        let message = "`basic_auth_users` must be a mapping of names to bcrypt hashes";
        inspection.error(&at, "wrong-type", message).hint = Some(HINT.to_owned());
        return None;
    };
    if entries.len() > MOST_USERS {
        let message = format!("{} users; the limit is {MOST_USERS}", entries.len());
        inspection.error(&Inspection::place(node), "too-many-names", message);
        return None;
    }
    let mut users = Users::default();
    let mut whole = true;
    for (key, value) in entries {
        let name = inspection.scalar(key, "a user's name")?.text.clone();
        // The name ends at the first colon of what a client sends.
        if name.is_empty() || name.len() > LONGEST_NAME || name.contains(':') || name.contains(char::is_control) {
            // It is not shown: a password may have come with it.
            let message =
                format!("a user's name has 1 to {LONGEST_NAME} bytes, and neither a colon nor control characters");
            inspection.error(&key.at, "bad-user", message);
            whole = false;
            continue;
        }
        let Value::Scalar(hash) = &value.value else {
            let message = format!("the user {} has no hash of a password", quoted(&name));
            inspection.error(&key.at, "bad-hash", message).hint = Some(HINT.to_owned());
            whole = false;
            continue;
        };
        match PasswordHash::parse(&hash.text) {
            Ok(hash) if users.hashes.insert(name.clone(), hash.clone()).is_some() => {
                let message = format!("the user {} is already defined above", quoted(&name));
                inspection.error(&key.at, "duplicate-key", message);
                whole = false;
            }
            Ok(_) => {}
            Err(why) => {
                let message = format!("the user {}: {why}", quoted(&name));
                inspection.error(&key.at, "bad-hash", message).hint = Some(HINT.to_owned());
                whole = false;
            }
        }
    }
    whole.then_some(users)
}
