//! What to tell of an event. Pure: events in, notices out, and a little memory of what was told before.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::config::{Labels, NoticeKind, NoticeSeverity};
use crate::decide::in_force::RunMode;
use crate::decide::outcome::Outcome;
use crate::decide::refill::{ClientGroup, Return};
use crate::decide::verify::{Proof, Verification};
use crate::event::{Event, ExemptionEnd, Intent, JournalGap, LoadedDatabase, Outcomed, PolicyLoad};
use crate::notify::notice::{ActionFacts, CollectedCount, ExemptionFacts, Notice, NoticePhase, SessionFacts, bounded};

/// The sessions that were acted on and are remembered, so that what became of them is told with their names.
const MOST_ACTED: usize = 1_000;

/// Makes notices of events.
#[derive(Debug)]
pub(crate) struct Noticer {
    host: Arc<str>,
    dry_run: bool,
    databases: Vec<LoadedDatabase>,
    acted: VecDeque<(u64, SessionFacts)>,
    /// The databases that were told to be down.
    down: BTreeSet<Arc<str>>,
    /// The databases whose connections for actions were complete once, and whether they are.
    acting: BTreeMap<Arc<str>, bool>,
    is_paused: bool,
    load_failed: bool,
}

/// An urgency and a phase.
type Urgency = (NoticeSeverity, NoticePhase);

const INFO: Urgency = (NoticeSeverity::Info, NoticePhase::Once);
const WARNING: Urgency = (NoticeSeverity::Warning, NoticePhase::Once);

/// A state that begins, or ends.
fn state(severity: NoticeSeverity, begins: bool) -> Urgency {
    let phase = if begins { NoticePhase::Begins } else { NoticePhase::Ends };
    (severity, phase)
}

impl Noticer {
    /// For a daemon on this host; `dry_run` if it acts on nobody.
    pub(crate) fn new(host: Arc<str>, dry_run: bool) -> Noticer {
        Noticer {
            host,
            dry_run,
            databases: Vec::new(),
            acted: VecDeque::new(),
            down: BTreeSet::new(),
            acting: BTreeMap::new(),
            is_paused: false,
            load_failed: false,
        }
    }

    /// The labels of a database.
    pub(crate) fn labels(&self, database: Option<&str>) -> Labels {
        let known = self.databases.iter().find(|known| Some(&*known.database) == database);
        known.map(|known| known.labels.clone()).unwrap_or_default()
    }

    /// What to tell of an event.
    pub(crate) fn notice(&mut self, event: &Event, at: DateTime<Utc>) -> Option<Notice> {
        match event {
            Event::Started { version, .. } => {
                Some(self.plain(at, NoticeKind::Daemon, INFO, format!("orareaper {version} started")))
            }
            Event::Stopping { reason } => {
                let notice = self.plain(at, NoticeKind::Daemon, INFO, "orareaper is stopping".to_owned());
                Some(notice.with_detail(reason))
            }
            Event::Policies(load) => self.load(load, at),
            Event::DatabaseUp { database, .. } => self.up(database, at),
            Event::DatabaseDown { database, error } => Some(self.down(database, error, at)),
            Event::Acting {
                database, connections, ..
            } => self.acting(database, connections, at),
            Event::Intent(intent) => Some(self.intent(intent, at)),
            Event::Outcome(outcomed) | Event::Dropped(outcomed) => Some(self.outcome(outcomed, at)),
            Event::Verification { database, verification } => Some(self.verification(database, verification, at)),
            Event::BreakerOpened {
                database,
                policy,
                mode,
                reason,
            } => {
                let title = format!("{database}: the breaker of policy {policy} is open; the policy takes no action");
                Some(
                    self.breaker(at, (database, policy, *mode), true, title)
                        .with_detail(reason),
                )
            }
            Event::BreakerClosed { database, policy, mode } => {
                let title = format!("{database}: the breaker of policy {policy} is closed again");
                Some(self.breaker(at, (database, policy, *mode), false, title))
            }
            Event::CameBack { database, back } => Some(self.came_back(database, back, at)),
            Event::GroupSuspended {
                database,
                policy,
                who,
                reason,
            } => {
                let title = format!("{database}: policy {policy} leaves a group alone, because it refills");
                let detail = format!("{who}: {reason}");
                Some(
                    self.suspension(at, (database, policy), true, title)
                        .with_detail(&detail),
                )
            }
            Event::GroupReleased { database, policy, who } => {
                let title = format!("{database}: policy {policy} acts on a suspended group again");
                Some(self.released(at, (database, policy), who, title))
            }
            Event::Paused { by, reason, trouble } => Some(self.paused(at, by, reason, *trouble)),
            Event::Resumed { by } => self.resumed(at, by),
            Event::JournalFails { error } => {
                let title = "the journal cannot be written, so no session is acted on".to_owned();
                let urgency = state(NoticeSeverity::Critical, true);
                Some(self.plain(at, NoticeKind::Journal, urgency, title).with_detail(error))
            }
            Event::JournalAgain(gap) => Some(self.journal_again(gap, at)),
            Event::ExemptionEnds(end) => Some(self.exemption(end, at)),
            Event::WebConfig { .. }
            | Event::DriverError { .. }
            | Event::Rehearsed { .. }
            | Event::Cycle(_)
            | Event::Retention(_) => None,
        }
    }

    /// The message about those that were too many.
    pub(crate) fn collected(
        (host, dry_run): (&Arc<str>, bool),
        at: DateTime<Utc>,
        collected: Vec<CollectedCount>,
    ) -> Notice {
        let count: u64 = collected.iter().map(|one| one.count).sum();
        let worst = collected.iter().map(|one| one.severity).max();
        let title = format!("{count} notifications were combined into this one: too many within a minute");
        let urgency = (worst.unwrap_or(NoticeSeverity::Info), NoticePhase::Once);
        let noticer = Noticer::new(Arc::clone(host), dry_run);
        Notice {
            collected,
            ..noticer.plain(at, NoticeKind::Collected, urgency, title)
        }
    }

    /// A test message.
    pub(crate) fn test(host: Arc<str>, at: DateTime<Utc>) -> Notice {
        let title = "TEST: this message was ordered by `orareaper notify`, and nothing has happened".to_owned();
        Noticer::new(host, false).plain(at, NoticeKind::Test, INFO, title)
    }

    fn plain(&self, at: DateTime<Utc>, kind: NoticeKind, (severity, phase): Urgency, title: String) -> Notice {
        Notice {
            kind,
            severity,
            phase,
            at,
            host: Arc::clone(&self.host),
            dry_run: self.dry_run,
            title,
            database: None,
            policy: None,
            mode: None,
            action: None,
            session: None,
            detail: None,
            exemption: None,
            collected: Vec::new(),
        }
    }

    fn load(&mut self, load: &PolicyLoad, at: DateTime<Utc>) -> Option<Notice> {
        let failed = match load {
            PolicyLoad::Loaded(loaded) => {
                self.databases.clone_from(&loaded.databases);
                let known = |name: &Arc<str>| loaded.databases.iter().any(|known| known.database == *name);
                self.down.retain(known);
                self.acting.retain(|name, _| known(name));
                None
            }
            PolicyLoad::Failed { error } => Some(error),
        };
        let before = std::mem::replace(&mut self.load_failed, failed.is_some());
        let urgency = state(NoticeSeverity::Warning, failed.is_some());
        match failed {
            Some(error) => {
                let title = "a reload failed; what was in force stays in force".to_owned();
                Some(self.plain(at, NoticeKind::Reload, urgency, title).with_detail(error))
            }
            None if before => {
                let title = "a reload succeeded".to_owned();
                Some(self.plain(at, NoticeKind::Reload, urgency, title))
            }
            None => None,
        }
    }

    fn down(&mut self, database: &Arc<str>, error: &str, at: DateTime<Utc>) -> Notice {
        self.down.insert(Arc::clone(database));
        let urgency = state(NoticeSeverity::Critical, true);
        let notice = self.plain(
            at,
            NoticeKind::Database,
            urgency,
            format!("{database}: the database is down"),
        );
        notice.of(database).with_detail(error)
    }

    /// That a database is up is news only if it was said to be down.
    fn up(&mut self, database: &Arc<str>, at: DateTime<Utc>) -> Option<Notice> {
        if !self.down.remove(database) {
            return None;
        }
        let urgency = state(NoticeSeverity::Critical, false);
        let notice = self.plain(
            at,
            NoticeKind::Database,
            urgency,
            format!("{database}: the database is up again"),
        );
        Some(notice.of(database))
    }

    /// Connections that are not open yet are no news; those that are lost are.
    fn acting(
        &mut self,
        database: &Arc<str>,
        connections: &[(Option<u32>, bool)],
        at: DateTime<Utc>,
    ) -> Option<Notice> {
        let complete = connections.iter().all(|(_, open)| *open);
        let before = self.acting.get(database).copied();
        if connections.is_empty() {
            self.acting.remove(database);
        } else if complete || before.is_some() {
            self.acting.insert(Arc::clone(database), complete);
        }
        let is_lost = !complete;
        if before != Some(is_lost) {
            return None;
        }
        let title = match is_lost {
            true => format!("{database}: a connection that actions need is lost"),
            false => format!("{database}: all connections that actions need are open again"),
        };
        let urgency = state(NoticeSeverity::Warning, is_lost);
        Some(self.plain(at, NoticeKind::Acting, urgency, title).of(database))
    }

    fn of_action(
        &self,
        intent: &Intent,
        at: DateTime<Utc>,
        kind: NoticeKind,
        urgency: Urgency,
        title: String,
    ) -> Notice {
        Notice {
            session: Some(SessionFacts::of(intent)),
            action: Some(ActionFacts::of(intent)),
            ..self
                .plain(at, kind, urgency, title)
                .of(&intent.database)
                .by(&intent.policy, intent.mode)
        }
    }

    fn intent(&self, intent: &Intent, at: DateTime<Utc>) -> Notice {
        let Intent {
            database, key, action, ..
        } = intent;
        let title = format!("{database}: about to act on session {key} ({})", action.name());
        self.of_action(intent, at, NoticeKind::Intent, INFO, title)
    }

    fn outcome(&mut self, outcomed: &Outcomed, at: DateTime<Utc>) -> Notice {
        let (intent, outcome) = (&outcomed.intent, outcomed.outcome);
        if outcome.is_followed() {
            self.acted.push_back((intent.id, SessionFacts::of(intent)));
            let surplus = self.acted.len().saturating_sub(MOST_ACTED);
            self.acted.drain(..surplus);
        }
        let urgency = match outcome {
            Outcome::Unchecked | Outcome::Refused | Outcome::Unsupported | Outcome::Failed | Outcome::Unknown => {
                WARNING
            }
            Outcome::Done
            | Outcome::Marked
            | Outcome::AlreadyGone
            | Outcome::NoLongerMatches
            | Outcome::Protected
            | Outcome::Expired
            | Outcome::Revoked
            | Outcome::Assumed
            | Outcome::Reported => INFO,
        };
        let Intent {
            database, key, action, ..
        } = &**intent;
        let title = format!("{database}: {} of session {key}: {}", action.name(), outcome.name());
        Notice {
            action: Some(ActionFacts::ended(outcomed)),
            ..self.of_action(intent, at, NoticeKind::Outcome, urgency, title)
        }
    }

    fn verification(&self, database: &Arc<str>, verification: &Verification, at: DateTime<Utc>) -> Notice {
        let Verification { key, followed, proof } = verification;
        let (urgency, what) = match proof {
            Proof::Gone => (INFO, "is gone"),
            Proof::ResourcesFreed => (INFO, "is killed, and its resources are free"),
            Proof::Cancelled => (INFO, "no longer runs its statement"),
            Proof::Lingers => (WARNING, "lingers: it is still there a minute after the action"),
            Proof::DeadlinePassed => (WARNING, "was still there at the deadline, and is followed no longer"),
            Proof::NotSent => (WARNING, "shows that nothing was sent"),
        };
        let remembered = self
            .acted
            .iter()
            .rev()
            .find(|(id, facts)| *id == followed.action_id && facts.key == *key);
        let session = remembered.map_or_else(|| SessionFacts::only(*key), |(_, facts)| facts.clone());
        Notice {
            session: Some(session),
            action: Some(ActionFacts {
                id: followed.action_id,
                action: followed.action,
                statement: None,
                reason: None,
                operator: None,
                outcome: None,
                code: None,
                message: None,
                proof: Some(*proof),
            }),
            ..self
                .plain(
                    at,
                    NoticeKind::Verification,
                    urgency,
                    format!("{database}: session {key} {what}"),
                )
                .of(database)
                .by(&followed.policy, followed.mode)
        }
    }

    fn breaker(
        &self,
        at: DateTime<Utc>,
        (database, policy, mode): (&Arc<str>, &Arc<str>, RunMode),
        opens: bool,
        title: String,
    ) -> Notice {
        let urgency = state(NoticeSeverity::Warning, opens);
        let notice = self.plain(at, NoticeKind::Breaker, urgency, title);
        notice.of(database).by(policy, mode)
    }

    fn came_back(&self, database: &Arc<str>, back: &Return, at: DateTime<Utc>) -> Notice {
        let ended = &back.ended;
        let title = format!(
            "{database}: session {} came back after policy {} had ended one of its group",
            back.key, ended.policy
        );
        let text = |text: &Option<Arc<str>>| text.as_deref().map(bounded);
        Notice {
            session: Some(SessionFacts {
                key: back.key,
                username: text(&ended.who.username),
                program: text(&ended.who.program),
                machine: text(&ended.who.machine),
            }),
            ..self
                .plain(at, NoticeKind::Refill, INFO, title)
                .of(database)
                .by(&ended.policy, ended.mode)
        }
    }

    /// The event does not say how the policy runs; what is in force does.
    fn suspension(
        &self,
        at: DateTime<Utc>,
        (database, policy): (&Arc<str>, &Arc<str>),
        begins: bool,
        title: String,
    ) -> Notice {
        let known = self.databases.iter().find(|known| known.database == *database);
        let policies = known.into_iter().flat_map(|known| &known.policies);
        let mode = policies
            .into_iter()
            .find(|known| known.policy == *policy)
            .map(|known| known.mode);
        let urgency = state(NoticeSeverity::Warning, begins);
        let notice = self.plain(at, NoticeKind::Suspension, urgency, title).of(database);
        match mode {
            Some(mode) => notice.by(policy, mode),
            None => Notice {
                policy: Some(Arc::clone(policy)),
                ..notice
            },
        }
    }

    fn released(&self, at: DateTime<Utc>, of: (&Arc<str>, &Arc<str>), who: &ClientGroup, title: String) -> Notice {
        self.suspension(at, of, false, title).with_detail(&who.to_string())
    }

    /// A pause that changes is told anew.
    fn paused(&mut self, at: DateTime<Utc>, by: &str, reason: &str, trouble: bool) -> Notice {
        self.is_paused = true;
        let title = match trouble {
            true => "the kill switch cannot be read, which counts as a pause: no session is acted on",
            false => "paused: no session is acted on",
        };
        let notice = self.plain(
            at,
            NoticeKind::Pause,
            state(NoticeSeverity::Warning, true),
            title.to_owned(),
        );
        let why = if reason.is_empty() { "" } else { ": " };
        notice.with_detail(&format!("{by}{why}{reason}"))
    }

    fn resumed(&mut self, at: DateTime<Utc>, by: &str) -> Option<Notice> {
        if !std::mem::take(&mut self.is_paused) {
            return None;
        }
        let urgency = state(NoticeSeverity::Warning, false);
        let notice = self.plain(at, NoticeKind::Pause, urgency, "the pause is over".to_owned());
        Some(notice.with_detail(by))
    }

    fn journal_again(&self, gap: &JournalGap, at: DateTime<Utc>) -> Notice {
        let title = "the journal can be written again".to_owned();
        let notice = self.plain(at, NoticeKind::Journal, state(NoticeSeverity::Critical, false), title);
        let (refused, lost) = (gap.refused, gap.lost);
        notice.with_detail(&format!(
            "refused intents: {refused}; lost records: {lost}; it failed with: {}",
            gap.error
        ))
    }

    fn exemption(&self, end: &ExemptionEnd, at: DateTime<Utc>) -> Notice {
        let title = format!("an exemption ends after {}", end.last_day);
        Notice {
            exemption: Some(ExemptionFacts {
                owner: bounded(&end.owner),
                reason: bounded(&end.reason),
                last_day: end.last_day,
                origin: bounded(&end.origin),
            }),
            ..self.plain(at, NoticeKind::Exemption, WARNING, title)
        }
    }
}

impl Notice {
    fn of(self, database: &Arc<str>) -> Notice {
        Notice {
            database: Some(Arc::clone(database)),
            ..self
        }
    }

    fn by(self, policy: &Arc<str>, mode: RunMode) -> Notice {
        Notice {
            dry_run: self.dry_run || mode == RunMode::DryRun,
            policy: Some(Arc::clone(policy)),
            mode: Some(mode),
            ..self
        }
    }

    fn with_detail(self, detail: &str) -> Notice {
        Notice {
            detail: (!detail.is_empty()).then(|| bounded(detail)),
            ..self
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
