//! What a receiver is told: one event as a value, before it gets the form of a receiver.
//!
//! Titles are made of configured names, numbers and the program's own words. What a client can set (user, program, machine, a reason
//! that quotes them) is in facts alone, which each form escapes as it has to; every text has a bound.

use std::sync::Arc;

use chrono::{DateTime, NaiveDate, Utc};

use crate::config::notify::NoticeFilter;
use crate::config::{Labels, NoticeKind, NoticeSeverity};
use crate::decide::in_force::RunMode;
use crate::decide::outcome::Outcome;
use crate::decide::verify::Proof;
use crate::event::{Intent, Outcomed};
use crate::policy::model::Action;
use crate::session::SessionKey;
use crate::terminal::visible::visible;

/// The most characters of one text in the generic form.
const LONGEST_TEXT: usize = 1_000;

/// The most characters of one text in a message for people.
const LONGEST_SHOWN: usize = 300;

/// Whether a notification is of a state that begins or ends, or of something that happens once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoticePhase {
    /// It happened.
    Once,
    /// It is so from now on.
    Begins,
    /// It is so no longer.
    Ends,
}

impl NoticePhase {
    /// Its word.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            NoticePhase::Once => "once",
            NoticePhase::Begins => "begins",
            NoticePhase::Ends => "ends",
        }
    }
}

/// A notification.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Notice {
    pub(crate) kind: NoticeKind,
    /// An end is as urgent as its beginning was, so that whoever was told of the one is told of the other.
    pub(crate) severity: NoticeSeverity,
    pub(crate) phase: NoticePhase,
    /// By the host's clock.
    pub(crate) at: DateTime<Utc>,
    /// The daemon's host.
    pub(crate) host: Arc<str>,
    /// Whether nothing is sent to a database: the daemon or the policy runs as a dry run.
    pub(crate) dry_run: bool,
    /// One line, without a text of a session.
    pub(crate) title: String,
    pub(crate) database: Option<Arc<str>>,
    pub(crate) policy: Option<Arc<str>>,
    pub(crate) mode: Option<RunMode>,
    pub(crate) action: Option<ActionFacts>,
    pub(crate) session: Option<SessionFacts>,
    /// An error, or why it is so.
    pub(crate) detail: Option<String>,
    pub(crate) exemption: Option<ExemptionFacts>,
    /// The counts of what was combined into this one.
    pub(crate) collected: Vec<CollectedCount>,
}

/// An action, as far as it has come.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ActionFacts {
    /// The journal's number.
    pub(crate) id: u64,
    pub(crate) action: Action,
    pub(crate) statement: Option<String>,
    pub(crate) reason: Option<String>,
    /// Who ordered it by hand.
    pub(crate) operator: Option<String>,
    pub(crate) outcome: Option<Outcome>,
    /// The number of Oracle's answer.
    pub(crate) code: Option<u32>,
    pub(crate) message: Option<String>,
    /// What later snapshots have shown.
    pub(crate) proof: Option<Proof>,
}

/// A session.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SessionFacts {
    pub(crate) key: SessionKey,
    pub(crate) username: Option<String>,
    pub(crate) program: Option<String>,
    pub(crate) machine: Option<String>,
}

/// An exemption.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ExemptionFacts {
    /// Who is responsible for it; may be empty.
    pub(crate) owner: String,
    pub(crate) reason: String,
    /// The last day on which it applies.
    pub(crate) last_day: NaiveDate,
    /// File and line.
    pub(crate) origin: String,
}

/// How many of one kind were combined into one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CollectedCount {
    pub(crate) kind: NoticeKind,
    pub(crate) severity: NoticeSeverity,
    pub(crate) count: u64,
}

/// A label and a value, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NoticeFact {
    pub(crate) label: &'static str,
    pub(crate) value: String,
}

/// The text with its bound.
pub(crate) fn bounded(text: &str) -> String {
    cut(text, LONGEST_TEXT)
}

fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

impl SessionFacts {
    pub(crate) fn of(intent: &Intent) -> SessionFacts {
        let text = |text: &Option<String>| text.as_deref().map(bounded);
        SessionFacts {
            key: intent.key,
            username: text(&intent.username),
            program: text(&intent.program),
            machine: text(&intent.machine),
        }
    }

    /// One of which only the key is known.
    pub(crate) fn only(key: SessionKey) -> SessionFacts {
        SessionFacts {
            key,
            username: None,
            program: None,
            machine: None,
        }
    }
}

impl ActionFacts {
    pub(crate) fn of(intent: &Intent) -> ActionFacts {
        ActionFacts {
            id: intent.id,
            action: intent.action,
            statement: intent.statement.as_deref().map(bounded),
            reason: Some(bounded(&intent.reason)),
            operator: intent.operator.as_deref().map(bounded),
            outcome: None,
            code: None,
            message: None,
            proof: None,
        }
    }

    pub(crate) fn ended(outcomed: &Outcomed) -> ActionFacts {
        let before = ActionFacts::of(&outcomed.intent);
        ActionFacts {
            statement: outcomed.statement.as_deref().map(bounded).or(before.statement),
            outcome: Some(outcomed.outcome),
            code: outcomed.code,
            message: outcomed.message.as_deref().map(bounded),
            ..before
        }
    }
}

impl Notice {
    /// The title; a dry run says that it is one.
    pub(crate) fn headline(&self) -> String {
        let dry_run = if self.dry_run { "[dry run] " } else { "" };
        format!("{dry_run}{}", visible(&cut(&self.title, LONGEST_SHOWN)))
    }

    /// What there is to say, in order, with control and invisible characters escaped.
    pub(crate) fn facts(&self) -> Vec<NoticeFact> {
        let mut facts = Vec::new();
        let mut say = |label: &'static str, value: Option<&str>| {
            let value = value.filter(|value| !value.is_empty());
            facts.extend(value.map(|value| NoticeFact {
                label,
                value: cut(&visible(&cut(value, LONGEST_SHOWN)), LONGEST_SHOWN),
            }));
        };
        say("Severity", Some(self.severity.name()));
        say("Database", self.database.as_deref());
        say("Policy", self.policy.as_deref());
        say("Mode", self.mode.map(RunMode::name));
        if let Some(session) = &self.session {
            say("Session", Some(&session.key.to_string()));
            say("User", session.username.as_deref());
            say("Program", session.program.as_deref());
            say("Machine", session.machine.as_deref());
        }
        if let Some(action) = &self.action {
            say("Action", Some(action.action.name()));
            say("Reason", action.reason.as_deref());
            say("Ordered by", action.operator.as_deref());
            say("Statement", action.statement.as_deref());
            say("Outcome", action.outcome.map(Outcome::name));
            say("Answer", action.message.as_deref());
            say("Afterwards", action.proof.map(Proof::name));
        }
        if let Some(exemption) = &self.exemption {
            say("Owner", Some(&exemption.owner));
            say("Exempt because", Some(&exemption.reason));
            say("Last day", Some(&exemption.last_day.to_string()));
            say("Written in", Some(&exemption.origin));
        }
        say("Detail", self.detail.as_deref());
        for counted in &self.collected {
            let CollectedCount { kind, severity, count } = counted;
            say(
                "Not sent",
                Some(&format!("{count} x {} ({})", kind.name(), severity.name())),
            );
        }
        say("Host", Some(&self.host));
        facts
    }

    /// Whether a receiver with this filter is told; `labels` are those of the notice's database.
    pub(crate) fn passes(&self, filter: &NoticeFilter, labels: &Labels) -> bool {
        if !self.kind.is_selectable() {
            return true;
        }
        let of_database = self.database.as_deref().is_none_or(|name| {
            filter.databases.is_empty() || filter.databases.iter().any(|one| one.selects(name, labels))
        });
        let of_policy = self
            .policy
            .as_deref()
            .is_none_or(|name| filter.policies.is_empty() || filter.policies.iter().any(|one| one.matches(name)));
        let of_owner = self.exemption.as_ref().is_none_or(|exemption| {
            filter.owners.is_empty() || filter.owners.iter().any(|one| one.matches(&exemption.owner))
        });
        filter.events.contains(&self.kind) && self.severity >= filter.severity && of_database && of_policy && of_owner
    }
}
