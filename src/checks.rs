//! What was looked at, and what came of it: one value for `doctor`, the notes of `plan`, the log and the status page.
//!
//! The code that finds a right, a view or a clause missing makes a [`Check`] with its remedy; the text is written once. So `doctor`
//! and the daemon use the same words, and one test that revokes a grant covers both.

use std::fmt;

use crate::words::words;

words! {
    /// What is looked at. docs/doctor.md describes each, under its word.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
    pub enum Id {
        /// The configuration and the files that it includes.
        Configuration = "configuration",
        /// The policy files.
        Policies = "policies",
        /// What another user of the host could change or read.
        Exposure = "exposure",
        /// What protects the metrics and the status page.
        Pages = "pages",
        /// The state folder.
        StateFolder = "state-folder",
        /// Whether the journal shows every action that budgets count.
        Journal = "journal",
        /// Oracle Client.
        ClientLibrary = "client-library",
        /// The connection that reads.
        Connection = "connection",
        /// What protects the connection on its way.
        Network = "network",
        /// The connection that acts.
        ActingConnection = "acting-connection",
        /// The account: its status, and when its password expires.
        Account = "account",
        /// The release.
        Release = "release",
        /// The instances, and how each is reached.
        Instances = "instances",
        /// The container.
        Container = "container",
        /// Whether the account sees all containers.
        ContainerData = "container-data",
        /// The role and the open mode.
        Role = "role",
        /// A view that the policies need.
        View = "view",
        /// A column that the policies need.
        Column = "column",
        /// Accounts of Oracle's own and of replication, by the data dictionary.
        Dictionary = "dictionary",
        /// What a gate measures.
        Gate = "gate",
        /// The privilege to act.
        RightToAct = "right-to-act",
        /// A policy's actions on this database.
        Action = "action",
        /// The account's profile.
        Profile = "profile",
        /// The instance's own limits on idle sessions.
        IdleLimits = "idle-limits",
        /// The database's clock.
        Clock = "clock",
        /// The character set.
        CharacterSet = "character-set",
        /// The lock by which one of several daemons leads.
        Leader = "leader",
        /// Another daemon on the same database.
        OtherDaemon = "other-daemon",
        /// What Oracle itself would do as well as a policy.
        BuiltIn = "built-in",
    }
}

words! {
    /// What came of a check. One that was made is fine, a note or missing; one that could not be made is untried, and says nothing of
    /// what it is about.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
    pub enum State {
        /// Nothing has to be done.
        Fine = "fine",
        /// Worth knowing; nothing has to be done.
        Note = "note",
        /// It was looked at, and something is missing or wrong: somebody has to act.
        Missing = "missing",
        /// It could not be looked at, so it may be fine or missing: somebody has to let it be looked at.
        Untried = "untried",
    }
}

/// What to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// In words.
    Text(String),
    /// A statement for an administrator of the database, without a semicolon.
    Statement(String),
}

impl fmt::Display for Remedy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Remedy::Text(text) | Remedy::Statement(text) => f.write_str(text),
        }
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What kind of thing.
    pub id: Id,
    /// Which one: `GV$TRANSACTION`, the name of a policy; empty if there is only one.
    pub about: String,
    /// What came of it.
    pub state: State,
    /// What was found, as a sentence without its full stop.
    pub found: String,
    /// What to do.
    pub remedy: Option<Remedy>,
}

impl Check {
    /// A check without a remedy.
    #[must_use]
    pub(crate) fn new(id: Id, about: impl Into<String>, state: State, found: impl Into<String>) -> Check {
        Check {
            id,
            about: about.into(),
            state,
            found: found.into(),
            remedy: None,
        }
    }

    /// The same with a remedy in words.
    #[must_use]
    pub(crate) fn with(mut self, remedy: impl Into<String>) -> Check {
        self.remedy = Some(Remedy::Text(remedy.into()));
        self
    }

    /// The same with a statement as its remedy.
    #[must_use]
    pub(crate) fn granted_by(mut self, statement: impl Into<String>) -> Check {
        self.remedy = Some(Remedy::Statement(statement.into()));
        self
    }

    /// A policy that does not run on a database, and why.
    #[must_use]
    pub(crate) fn does_not_run(policy: &str, why: &str) -> Check {
        Check::new(
            Id::Action,
            policy,
            State::Missing,
            format!("policy {policy} does not run here: {why}"),
        )
        .with("choose an action that this database has, or leave the database out of the policy's `databases`")
    }
}

/// As a note: `read V$PDBS from prod: ORA-00942: table or view does not exist; without it ...; remedy: GRANT ...`
impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.found)?;
        match &self.remedy {
            Some(remedy) => write!(f, "; remedy: {remedy}"),
            None => Ok(()),
        }
    }
}
