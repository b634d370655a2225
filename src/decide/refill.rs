//! Whether ending sessions helps: a pool that refills is not fixed by killing.
//!
//! A connection pool replaces what it loses, a job scheduler starts again what failed. Ending such sessions over and over
//! relieves nothing: it only adds logins, and hides what a person has to look at. So a session that
//! logs in within minutes after one of the same USERNAME, MACHINE and PROGRAM was ended **came back**. A policy whose sessions
//! of such a group came back in several cycles of a day is suspended for that group, which is logged.
//!
//! The group is left alone for an hour after the last session that came back. Then the policy may try once more: if sessions come
//! back again, the next hour begins.
//!
//! What surprises:
//! - The client of an idle session learns of the kill only at its next call, perhaps an hour later, and only then logs in again.
//!   So the minutes are counted from the kill, and again from when the session was seen to be gone.
//! - A plain KILL may hold its caller for a minute, while its victim's client is told at once: a login may be seen before it is known
//!   that the session was ended. So logins that were seen before are looked at again for those whose end has become known since.
//!   Until the kill has its answer, who came back for it does not count.
//! - A login does not show its cause. One that would have happened anyway counts as one that came back: a policy may be suspended
//!   although a kill did help, which spares.
//! - USERNAME, MACHINE or PROGRAM that are NULL or were not read count as equal, which makes groups larger, and spares.
//! - A dry run ends no session, so none comes back to replace it; it counts the logins that happen anyway.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use crate::decide::in_force::RunMode;
use crate::decide::ledger::later;
use crate::session::SessionKey;
use crate::session::column::Column;
use crate::session::snapshot::Snapshot;
use crate::session::time::DbTime;

/// A session that logs in within this time after one of its group was ended, or was seen to be gone, came back.
pub(crate) const CAME_BACK_WITHIN: TimeDelta = TimeDelta::minutes(5);

/// The period over which cycles are counted whose sessions came back.
pub(crate) const REMEMBERED: TimeDelta = TimeDelta::hours(24);

/// How long a group that refills is left alone after the last session that came back.
pub(crate) const PAUSE: TimeDelta = TimeDelta::hours(1);

/// How long a killed session may take to disappear and still have a session come back for it.
const AWAITED: TimeDelta = TimeDelta::hours(1);

/// The greatest number of ended sessions that are remembered; the newest are kept.
const MOST_ENDED: usize = 10_000;

/// The greatest number of sessions that came back and are remembered; the newest are kept.
const MOST_RETURNS: usize = 10_000;

/// The greatest number of logins that are remembered as seen. Beyond it, one that is seen again may count twice.
const MOST_LOGINS: usize = 100_000;

/// A group of sessions. `None` is NULL or was not read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientGroup {
    /// USERNAME.
    pub username: Option<Arc<str>>,
    /// PROGRAM.
    pub program: Option<Arc<str>>,
    /// MACHINE.
    pub machine: Option<Arc<str>>,
}

impl ClientGroup {
    /// The group of a row.
    #[must_use]
    pub(crate) fn of(snapshot: &Snapshot, row: usize) -> ClientGroup {
        let text = |column| snapshot.text(row, column).map(Arc::from);
        ClientGroup {
            username: text(Column::Username),
            program: text(Column::Program),
            machine: text(Column::Machine),
        }
    }

    /// The group with all machines whose names differ only in their digits: `web01` and `web02` are `web#`, as [`machine_class`] writes it.
    #[must_use]
    pub(crate) fn class(&self) -> ClientGroup {
        ClientGroup {
            machine: self.machine.as_deref().map(|machine| Arc::from(machine_class(machine))),
            ..self.clone()
        }
    }

    /// Stands for all groups beyond a bound.
    #[must_use]
    pub(crate) fn others() -> ClientGroup {
        let others: Option<Arc<str>> = Some("(others)".into());
        ClientGroup {
            username: others.clone(),
            program: others.clone(),
            machine: others,
        }
    }

    /// A text of the group for people; `(unknown)` for `None`.
    #[must_use]
    pub(crate) fn shown(text: &Option<Arc<str>>) -> &str {
        text.as_deref().unwrap_or("(unknown)")
    }

    /// Whether a row is of this group.
    #[must_use]
    pub(crate) fn includes(&self, snapshot: &Snapshot, row: usize) -> bool {
        self.username.as_deref() == snapshot.text(row, Column::Username)
            && self.program.as_deref() == snapshot.text(row, Column::Program)
            && self.machine.as_deref() == snapshot.text(row, Column::Machine)
    }
}

/// A machine's name with each run of digits as one `#`. A `#` of the name itself is `\#`, and a backslash before any of the two or before
/// another one is doubled: otherwise a client could call its machine `web#` and be counted with `web01`, which other conditions select.
pub(crate) fn machine_class(machine: &str) -> String {
    let mut class = String::with_capacity(machine.len());
    let mut letters = machine.chars().peekable();
    let mut in_digits = false;
    while let Some(letter) = letters.next() {
        let next = letters.peek();
        match letter {
            '0'..='9' if in_digits => {}
            '0'..='9' => class.push('#'),
            '#' => class.push_str("\\#"),
            '\\' if next.is_some_and(|next| next.is_ascii_digit() || matches!(next, '#' | '\\')) => {
                class.push_str("\\\\")
            }
            other => class.push(other),
        }
        in_digits = letter.is_ascii_digit();
    }
    class
}

impl fmt::Display for ClientGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [username, machine, program] = [&self.username, &self.machine, &self.program].map(ClientGroup::shown);
        write!(f, "{username} from {machine} with {program}")
    }
}

/// A session that was ended, or that a dry run assumes to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// The journal's number of the action.
    pub action_id: u64,
    /// The policy.
    pub policy: Arc<str>,
    /// The mode in which the policy ran.
    pub mode: RunMode,
    /// The session.
    pub key: SessionKey,
    /// Its group.
    pub who: ClientGroup,
    /// The snapshot's time by the database's clock, in UTC, which is the same for a whole cycle.
    pub at: DateTime<Utc>,
}

/// A session that was ended, for which another may come back.
#[derive(Clone, Debug)]
struct Awaited {
    ended: Ended,
    gone: Option<Gone>,
    /// Whether its end has become known after the last snapshot.
    is_news: bool,
    /// By how much the clock was set forward and back since. A login before the step has the time of the old clock.
    forward: TimeDelta,
    back: TimeDelta,
}

/// A login that was seen.
#[derive(Clone, Debug)]
struct SeenLogin {
    /// The time of the first snapshot that showed it; of the login itself, where only the journal tells of it.
    at: DateTime<Utc>,
    /// The policies for which it has counted.
    counted: Vec<(Arc<str>, RunMode)>,
}

/// When a session disappeared: after one snapshot and before the other.
#[derive(Clone, Copy, Debug)]
struct Gone {
    after: DateTime<Utc>,
    before: DateTime<Utc>,
}

impl Awaited {
    /// Whether a login at this time counts as coming back for this session.
    fn may_return(&self, login: DateTime<Utc>) -> bool {
        let within = |from: DateTime<Utc>, to: DateTime<Utc>| {
            later(from, -self.forward) <= login && login <= later(to + CAME_BACK_WITHIN, self.back)
        };
        within(self.ended.at, self.ended.at) || self.gone.is_some_and(|gone| within(gone.after, gone.before))
    }

    /// Whether no login can count for this session any more. A login is seen up to a poll late, so the wait is twice the time limit.
    fn is_over(&self, now: DateTime<Utc>) -> bool {
        match self.gone {
            Some(gone) => now - gone.before > CAME_BACK_WITHIN * 2,
            None => now - self.ended.at > AWAITED,
        }
    }
}

/// A session that was ended, and the session of its group that logged in soon after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Return {
    /// The session that was ended.
    pub ended: Ended,
    /// The session that logged in.
    pub key: SessionKey,
    /// When it logged in, in UTC.
    pub at: DateTime<Utc>,
}

/// How long a policy leaves a group alone, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Suspension {
    /// The number of cycles of a day in which the group's sessions were ended and came back.
    pub(crate) times: usize,
    /// Until when the group is left alone.
    pub(crate) until: DateTime<Utc>,
}

/// One database's memory of sessions that were ended and of those that came back.
#[derive(Clone, Debug, Default)]
pub struct Refills {
    awaited: VecDeque<Awaited>,
    returns: VecDeque<Return>,
    /// Logins that were seen before.
    logins: HashMap<SessionKey, SeenLogin>,
    /// The time of the previous snapshot.
    last: Option<DateTime<Utc>>,
}

impl Refills {
    /// Remembers a session that was ended just now.
    pub(crate) fn ended(&mut self, ended: Ended) {
        self.awaited.push_back(Awaited {
            ended,
            gone: None,
            is_news: true,
            forward: TimeDelta::zero(),
            back: TimeDelta::zero(),
        });
        while self.awaited.len() > MOST_ENDED {
            self.awaited.pop_front();
        }
    }

    /// Forgets an action that turned out not to have been carried out.
    pub(crate) fn forget(&mut self, action_id: u64) {
        self.awaited.retain(|awaited| awaited.ended.action_id != action_id);
    }

    /// Restores from the journal a session that came back for the action with this number.
    pub(crate) fn restore(&mut self, action_id: u64, key: SessionKey, at: DateTime<Utc>) {
        let is = |awaited: &Awaited| awaited.ended.action_id == action_id;
        if let Some(place) = self.awaited.iter().position(is) {
            self.came_back(place, key, at);
        }
    }

    /// Dates everything anew after a step of the database's clock.
    pub fn shift(&mut self, step: TimeDelta) {
        for awaited in &mut self.awaited {
            awaited.ended.at = later(awaited.ended.at, step);
            if let Some(gone) = &mut awaited.gone {
                (gone.after, gone.before) = (later(gone.after, step), later(gone.before, step));
            }
            let (forward, back) = (step.max(TimeDelta::zero()), (-step).max(TimeDelta::zero()));
            awaited.forward = awaited.forward.checked_add(&forward).unwrap_or(awaited.forward);
            awaited.back = awaited.back.checked_add(&back).unwrap_or(awaited.back);
        }
        for back in &mut self.returns {
            (back.ended.at, back.at) = (later(back.ended.at, step), later(back.at, step));
        }
        for login in self.logins.values_mut() {
            login.at = later(login.at, step);
        }
        self.last = self.last.map(|last| later(last, step));
    }

    /// The sessions that the next snapshot has to show, if they are there.
    pub(crate) fn watched(&self) -> impl Iterator<Item = SessionKey> + '_ {
        let open = self.awaited.iter().filter(|awaited| awaited.gone.is_none());
        open.map(|awaited| awaited.ended.key)
    }

    /// Since when the next snapshot has to show all logins, if it has to.
    #[must_use]
    pub(crate) fn logins_since(&self) -> Option<DateTime<Utc>> {
        let since = |awaited: &Awaited| later(awaited.ended.at, -awaited.forward);
        self.awaited.iter().map(since).min()
    }

    /// The time of the last snapshot.
    #[must_use]
    pub(crate) fn last_snapshot(&self) -> Option<DateTime<Utc>> {
        self.last
    }

    /// Finds sessions that came back among the logins of a snapshot. A login counts once, for each policy and mode for the session
    /// of its group that was ended first.
    pub(crate) fn observe(&mut self, snapshot: &Snapshot, now: DateTime<Utc>) -> Vec<Return> {
        self.awaited.retain(|awaited| !awaited.is_over(now));
        self.returns.retain(|back| now - back.at < REMEMBERED);
        self.see_who_is_gone(snapshot, now);
        let since = self.logins_since().map_or(now, |since| since.min(now));
        let offset = snapshot.clock().map_or(0, |clock| clock.utc_offset);
        let earliest = since.timestamp().saturating_add(i64::from(offset));
        self.logins.retain(|key, _| key.logon_time.0 >= earliest);
        if self.logins.len() > MOST_LOGINS {
            self.logins.clear();
        }
        let mut came_back = Vec::new();
        for row in 0..snapshot.rows() {
            let logon = snapshot.number(row, Column::LogonTime);
            let Some(logon) = logon.filter(|logon| *logon >= earliest) else {
                continue;
            };
            let (Some(key), Some(login)) = (snapshot.key(row), DbTime(logon).to_utc(offset)) else {
                continue;
            };
            came_back.extend(self.welcome((snapshot, row), key, login, now));
        }
        self.awaited.iter_mut().for_each(|awaited| awaited.is_news = false);
        self.last = Some(now);
        came_back
    }

    fn welcome(
        &mut self,
        (snapshot, row): (&Snapshot, usize),
        key: SessionKey,
        login: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Vec<Return> {
        // One that was seen before was held against all others then; news are the last.
        let before = self.logins.get(&key).map(|seen| seen.at);
        self.login(key, now);
        let news = || self.awaited.iter().rev().take_while(|awaited| awaited.is_news).count();
        let mut place = before.map_or(0, |_| self.awaited.len() - news());
        let mut came_back: Vec<Return> = Vec::new();
        while let Some(awaited) = self.awaited.get(place) {
            let ended = &awaited.ended;
            let is_for = |(policy, mode): &(Arc<str>, RunMode)| *policy == ended.policy && *mode == ended.mode;
            let is_like = ended.key != key
                && before.is_none_or(|before| ended.at < before)
                && awaited.may_return(login)
                && ended.who.includes(snapshot, row)
                && !self
                    .logins
                    .get(&key)
                    .is_some_and(|seen| seen.counted.iter().any(is_for));
            if is_like {
                came_back.extend(self.came_back(place, key, login));
            } else {
                place += 1;
            }
        }
        came_back
    }

    /// What is remembered of a login, which begins now if nothing is.
    fn login(&mut self, key: SessionKey, now: DateTime<Utc>) -> &mut SeenLogin {
        let counted = Vec::new();
        self.logins.entry(key).or_insert(SeenLogin { at: now, counted })
    }

    fn came_back(&mut self, place: usize, key: SessionKey, at: DateTime<Utc>) -> Option<Return> {
        let Awaited { ended, .. } = self.awaited.remove(place)?;
        let counts_for = (Arc::clone(&ended.policy), ended.mode);
        self.login(key, at).counted.push(counts_for);
        let back = Return { ended, key, at };
        self.returns.push_back(back.clone());
        while self.returns.len() > MOST_RETURNS {
            self.returns.pop_front();
        }
        Some(back)
    }

    /// Records which ended sessions are gone. An instance that was not read proves nothing. A session of a dry run is assumed to be
    /// gone.
    fn see_who_is_gone(&mut self, snapshot: &Snapshot, now: DateTime<Utc>) {
        let waits = |awaited: &&mut Awaited| awaited.gone.is_none();
        let mut waiting: Vec<&mut Awaited> = self.awaited.iter_mut().filter(waits).collect();
        if waiting.is_empty() {
            return;
        }
        let seats: HashSet<i64> = waiting.iter().map(|awaited| i64::from(awaited.ended.key.sid)).collect();
        let there: HashSet<SessionKey> = (0..snapshot.rows())
            .filter(|row| {
                snapshot
                    .number(*row, Column::Sid)
                    .is_some_and(|sid| seats.contains(&sid))
            })
            .filter_map(|row| snapshot.key(row))
            .collect();
        for awaited in &mut waiting {
            let key = awaited.ended.key;
            let assumed = awaited.ended.mode == RunMode::DryRun;
            let is_known = if assumed {
                snapshot.is_complete(key.inst_id)
            } else {
                snapshot.shows(key)
            };
            let is_gone = assumed || !there.contains(&key);
            if is_known && is_gone {
                let after = self.last.unwrap_or(awaited.ended.at).max(awaited.ended.at);
                awaited.gone = Some(Gone { after, before: now });
            }
        }
    }

    /// The groups that are left alone now: those that refilled in `times` cycles of a day. `counts` selects the ended sessions that
    /// count.
    #[must_use]
    pub(crate) fn suspended(
        &self,
        times: u32,
        now: DateTime<Utc>,
        counts: impl Fn(&Ended) -> bool,
    ) -> BTreeMap<ClientGroup, Suspension> {
        let mut groups: BTreeMap<&ClientGroup, (BTreeSet<DateTime<Utc>>, DateTime<Utc>)> = BTreeMap::new();
        for back in self.returns.iter().filter(|back| counts(&back.ended)) {
            let group = groups.entry(&back.ended.who).or_insert((BTreeSet::new(), back.at));
            group.0.insert(back.ended.at);
            group.1 = group.1.max(back.at);
        }
        let suspension = |(who, (cycles, newest)): (&ClientGroup, (BTreeSet<DateTime<Utc>>, DateTime<Utc>))| {
            let (times_back, until) = (cycles.len(), newest + PAUSE);
            let is_suspended = u32::try_from(times_back).is_ok_and(|back| back >= times) && now < until;
            is_suspended.then(|| {
                let suspension = Suspension {
                    times: times_back,
                    until,
                };
                (who.clone(), suspension)
            })
        };
        groups.into_iter().filter_map(suspension).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::snapshot::{Cell, Instance, SnapshotClock, SnapshotSource};

    const TEN: i64 = 1_795_424_400;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(TEN + seconds, 0).expect("in range")
    }

    fn key(sid: u32, login: i64) -> SessionKey {
        SessionKey {
            inst_id: 1,
            sid,
            serial: 1,
            logon_time: DbTime(TEN + login),
        }
    }

    /// Sessions, each with its SID, USERNAME and the second of its login.
    fn snapshot(of: &[(u32, &str, i64)], seconds: i64) -> Snapshot {
        let columns = [
            Column::InstId,
            Column::Sid,
            Column::Serial,
            Column::LogonTime,
            Column::Username,
        ];
        let mut builder = Snapshot::builder(SnapshotSource::Live, &columns);
        for (sid, username, login) in of {
            let row = [
                Cell::Number(1),
                Cell::Number(i64::from(*sid)),
                Cell::Number(1),
                Cell::Time(DbTime(TEN + login)),
                Cell::Text(username),
            ];
            builder.push_row(&row).expect("few rows");
        }
        let instance = Instance {
            inst_id: 1,
            name: "prod1".into(),
            complete: true,
        };
        let clock = SnapshotClock {
            now: DbTime(TEN + seconds),
            utc_offset: 0,
        };
        let joining = builder.finish(Some(clock), vec![instance]);
        joining.finish(columns.into_iter().collect())
    }

    /// A session of APP, logged in long before ten, that was ended on the snapshot of this second.
    fn ended(action_id: u64, policy: &str, seconds: i64) -> Ended {
        Ended {
            action_id,
            policy: policy.into(),
            mode: RunMode::Enforce,
            key: key(u32::try_from(action_id).expect("small"), -36_000),
            who: ClientGroup {
                username: Some("APP".into()),
                ..ClientGroup::default()
            },
            at: at(seconds),
        }
    }

    fn of_another_group(action_id: u64, seconds: i64) -> Ended {
        Ended {
            who: ClientGroup::default(),
            ..ended(action_id, "other", seconds)
        }
    }

    fn came_back(refills: &mut Refills, of: &[(u32, &str, i64)], seconds: i64) -> Vec<(u64, u32)> {
        let back = refills.observe(&snapshot(of, seconds), at(seconds));
        back.iter().map(|back| (back.ended.action_id, back.key.sid)).collect()
    }

    #[test]
    fn machines_are_of_one_class_only_if_they_differ_in_their_digits_alone() {
        assert_eq!(machine_class("web01-7.corp"), "web#-#.corp");
        assert_eq!(machine_class("web#"), "web\\#");
        assert_eq!(machine_class("CORP\\PC0815"), "CORP\\PC#");
        let letters = ['w', '0', '7', '#', '\\'];
        let names = (0..5_usize.pow(6)).map(|number| {
            let letter = |place: u32| letters[number / 5_usize.pow(place) % 5];
            (0..6).map(letter).collect::<String>()
        });
        // What all names of a class are like, written in another way: each run of digits as one `0`.
        let mut likes: HashMap<String, String> = HashMap::new();
        for name in names {
            let mut like = name.replace('7', "0");
            while like.contains("00") {
                like = like.replace("00", "0");
            }
            let known = likes.entry(machine_class(&name)).or_insert_with(|| like.clone());
            assert_eq!(*known, like, "{name}");
        }
    }

    #[test]
    fn a_login_that_is_seen_before_its_kill_has_an_answer_came_back() {
        let mut refills = Refills::default();
        // Somebody is awaited already, so that logins are looked at.
        refills.ended(of_another_group(1, 0));
        assert_eq!(came_back(&mut refills, &[(50, "APP", 5)], 15), []);
        // The kill of the snapshot at 0 held its caller until now, while the client was told at once.
        refills.ended(ended(2, "idle", 0));
        assert_eq!(came_back(&mut refills, &[(50, "APP", 5)], 30), [(2, 50)]);
        // For each policy once.
        refills.ended(ended(3, "idle", 0));
        refills.ended(ended(4, "harder", 0));
        assert_eq!(came_back(&mut refills, &[(50, "APP", 5)], 45), [(4, 50)]);
        assert_eq!(came_back(&mut refills, &[(50, "APP", 5)], 60), []);
    }

    #[test]
    fn a_session_that_was_there_before_did_not_come_back() {
        let mut refills = Refills::default();
        refills.ended(of_another_group(1, 0));
        assert_eq!(came_back(&mut refills, &[(50, "APP", 15)], 15), []);
        refills.ended(ended(2, "idle", 15));
        assert_eq!(
            came_back(&mut refills, &[(50, "APP", 15)], 30),
            [],
            "it was in the snapshot behind the kill"
        );
        assert_eq!(
            came_back(&mut refills, &[(50, "APP", 15), (51, "APP", 16)], 45),
            [(2, 51)]
        );
    }
}
