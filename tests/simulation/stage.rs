//! The stage: one thread, one time that only the run moves, and the order in which everything gets its turn, all drawn from the seed.
//!
//! The daemon's own parts are at work: its poller and its actors over connections to simulated databases, each database's loop one
//! input at a time, its sink, its journal and its switch on a folder of its own. While one of them waits for an answer, others may
//! get their turn within that wait, as threads would.

use std::any::Any;
use std::panic;
use std::path::Path;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use orareaper::clock::{Clock, Monotonic};
use orareaper::daemon::pause::{Pause, clear, set};
use orareaper::journal;

use super::accounts::Accounts;
use super::base::Base;
use super::chance::Chance;
use super::faults::{Faults, Strike};
use super::hosts::{Condition, World};
use super::judge::Judge;
use super::operators::Operator;
use super::part::{Part, Shared};
use super::setting::Setting;
use super::statements::Asked;

/// Within how many waits others may get their turn.
const DEEPEST: usize = 3;

/// Who is at work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    Poller(usize),
    Actor(usize, usize),
}

impl Who {
    pub(crate) fn entry(self) -> usize {
        match self {
            Who::Poller(entry) | Who::Actor(entry, _) => entry,
        }
    }
}

/// True time and the host's clocks.
#[derive(Debug)]
pub(crate) struct Time {
    now: Arc<AtomicI64>,
    began: i64,
    host_offset: AtomicI64,
}

impl Clock for Time {
    fn now(&self) -> Monotonic {
        let passed = self.now.load(Ordering::Relaxed) - self.began;
        Monotonic::at(Duration::from_secs(passed.unsigned_abs()))
    }

    fn utc(&self) -> DateTime<Utc> {
        let at = self.now.load(Ordering::Relaxed) + self.host_offset.load(Ordering::Relaxed);
        DateTime::from_timestamp(at, 0).expect("in range")
    }
}

/// What a simulated crash unwinds with.
struct Crash;

/// What a crash leaves of the journal.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Left {
    pub(crate) bytes: u64,
    /// A record was being written.
    pub(crate) torn: bool,
}

/// A host with its daemon.
pub(crate) struct Stage {
    pub(crate) setting: Arc<Setting>,
    /// What it shares with the other hosts, and its number among them.
    pub(crate) world: Arc<World>,
    pub(crate) host: usize,
    pub(crate) condition: Mutex<Condition>,
    pub(crate) time: Arc<Time>,
    pub(crate) state: tempfile::TempDir,
    judge: Mutex<Judge>,
    pub(crate) parts: Mutex<Vec<Option<Arc<Part>>>>,
    pub(crate) shared: Mutex<Option<Shared>>,
    stack: Mutex<Vec<Who>>,
    operators: Mutex<Vec<Operator>>,
    accounts: Mutex<Accounts>,
    /// So many more steps until the daemon crashes, if it is to.
    crashes_in: AtomicU64,
    crashed: Mutex<Option<Left>>,
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Stage {
    pub(crate) fn new(host: usize, setting: &Arc<Setting>, world: &Arc<World>) -> Stage {
        let now = Arc::clone(&world.now);
        let time = Time {
            began: now.load(Ordering::Relaxed),
            now,
            host_offset: AtomicI64::new(0),
        };
        let shm = Path::new("/dev/shm");
        let mut folder = tempfile::Builder::new();
        folder.prefix("orareaper-simulation");
        let state = if shm.is_dir() {
            folder.tempdir_in(shm)
        } else {
            folder.tempdir()
        };
        let judge = Judge {
            memory: setting.entries.iter().map(|_| Default::default()).collect(),
            entries: setting.entries.iter().map(|_| None).collect(),
            all_rules: setting
                .entries
                .iter()
                .map(super::setting::EntrySpec::all_rules)
                .collect(),
            base_of: setting.entries.iter().map(|entry| entry.says[0].base).collect(),
            saw_pause: setting.entries.iter().map(|_| 0).collect(),
            denied: setting.entries.iter().map(|_| None).collect(),
            ranks: setting.entries.iter().map(|_| Default::default()).collect(),
            ..Judge::default()
        };
        Stage {
            world: Arc::clone(world),
            host,
            condition: Mutex::default(),
            time: Arc::new(time),
            state: state.expect("a folder"),
            judge: Mutex::new(judge),
            parts: Mutex::new(setting.entries.iter().map(|_| None).collect()),
            setting: Arc::clone(setting),
            shared: Mutex::default(),
            stack: Mutex::default(),
            operators: Mutex::default(),
            accounts: Mutex::default(),
            crashes_in: AtomicU64::new(u64::MAX),
            crashed: Mutex::default(),
        }
    }

    pub(crate) fn chance(&self) -> MutexGuard<'_, Chance> {
        lock(&self.world.chance)
    }

    /// Whether it comes about, once in so many times.
    pub(crate) fn one_in(&self, times: u64) -> bool {
        self.chance().one_in(times)
    }

    pub(crate) fn bases(&self) -> MutexGuard<'_, Vec<Base>> {
        lock(&self.world.bases)
    }

    pub(crate) fn judge(&self) -> MutexGuard<'_, Judge> {
        lock(&self.judge)
    }

    pub(crate) fn faults(&self) -> MutexGuard<'_, Vec<Faults>> {
        lock(&self.world.faults)
    }

    /// The operators who wait for an answer.
    pub(crate) fn operators(&self) -> MutexGuard<'_, Vec<Operator>> {
        lock(&self.operators)
    }

    pub(crate) fn accounts(&self) -> MutexGuard<'_, Accounts> {
        lock(&self.accounts)
    }

    pub(crate) fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.time) as Arc<dyn Clock>
    }

    pub(crate) fn is_calm(&self) -> bool {
        self.world.calm.load(Ordering::Relaxed)
    }

    /// The configured parts that there are.
    pub(crate) fn all_parts(&self) -> Vec<Arc<Part>> {
        lock(&self.parts).iter().flatten().cloned().collect()
    }

    /// Which database a connect string leads to, and to which instance of it.
    pub(crate) fn place(&self, connect: &str) -> (usize, Option<u32>) {
        let names: Vec<&str> = connect.trim_start_matches('/').split('/').collect();
        let bases = self.bases();
        // A database may have several services, each with its name.
        let name = names[1].split('_').next();
        let base = bases
            .iter()
            .position(|base| Some(base.name) == name)
            .expect("a database");
        let named = |name: &&str| bases[base].instances.iter().find(|instance| instance.name == *name);
        (base, names.get(2).and_then(named).map(|instance| instance.number))
    }

    /// The limit of an instance's sessions.
    pub(crate) fn at_most(&self, base: usize) -> i64 {
        self.setting.bases[base].at_most
    }

    /// What a call of this database meets.
    pub(crate) fn strike(&self, base: usize, what: &str) -> Option<Strike> {
        self.faults()[base].meet(what)
    }

    /// True time.
    pub(crate) fn now(&self) -> i64 {
        self.time.now.load(Ordering::Relaxed)
    }

    /// Lets time pass.
    pub(crate) fn pass(&self, span: Duration) {
        let seconds = i64::try_from(span.as_secs()).expect("in range");
        let now = self.time.now.fetch_add(seconds, Ordering::Relaxed) + seconds;
        for base in self.bases().iter_mut() {
            base.advance(now);
        }
        self.deliver();
    }

    /// The host's clock is set.
    pub(crate) fn set_host_clock(&self, by: i64) {
        self.time.host_offset.fetch_add(by, Ordering::Relaxed);
        self.judge().host_offset += by;
    }

    /// Sets or ends a pause, by its file.
    pub(crate) fn pause(&self, pause: bool) {
        let mut judge = self.judge();
        if std::mem::replace(&mut judge.paused, pause) == pause {
            return;
        }
        if pause {
            let (by, reason) = ("a test".to_owned(), String::new());
            let since = None;
            set(self.state.path(), &Pause { by, reason, since }).expect("written");
        } else {
            assert!(clear(self.state.path()).expect("removed"));
        }
    }

    /// Who acts for this entry, now.
    pub(crate) fn acting(&self, entry: usize) -> Who {
        let stack = lock(&self.stack);
        let who = stack.last().copied().unwrap_or(Who::Poller(entry));
        assert_eq!(who.entry(), entry, "{stack:?}");
        who
    }

    /// With `ORAREAPER_TRACE` set, what happens is printed.
    pub(crate) fn trace(&self, what: impl FnOnce() -> String) {
        if std::env::var_os("ORAREAPER_TRACE").is_some() {
            let host = if self.setting.has_leader() {
                format!("host {}, ", self.host)
            } else {
                String::new()
            };
            eprintln!("{host}{}: {}", self.now(), what());
        }
    }

    /// A statement is sent.
    pub(crate) fn sends(&self, who: Who, base: usize, asked: &Asked, limit: Duration) {
        self.trace(|| format!("{who:?} sends {asked:?} to base {base}"));
        let bases = self.bases();
        self.judge().sends(who, &bases[base], asked, limit);
    }

    pub(crate) fn is_at_work(&self, who: Who) -> bool {
        lock(&self.stack).contains(&who)
    }

    pub(crate) fn depth(&self) -> usize {
        lock(&self.stack).len()
    }

    /// Gives one its turn; a crash in it unwinds from here on.
    pub(crate) fn turn_of<T>(&self, who: Who, turn: impl FnOnce() -> T) -> T {
        lock(&self.stack).push(who);
        let turned = panic::catch_unwind(panic::AssertUnwindSafe(turn));
        assert_eq!(lock(&self.stack).pop(), Some(who));
        match turned {
            Ok(answer) => {
                self.unwind_if_crashed();
                answer
            }
            Err(panicked) => {
                // Not every part lets a panic through.
                self.world.failed.fetch_or(!is_crash(&*panicked), Ordering::Relaxed);
                panic::resume_unwind(panicked)
            }
        }
    }

    /// While a call waits for its answer, anything may happen.
    pub(crate) fn meanwhile(&self) {
        self.unwind_if_crashed();
        self.others_go_on();
        if self.is_calm() || !(1..=DEEPEST).contains(&self.depth()) || !self.one_in(self.setting.restless) {
            return;
        }
        self.something_happens();
    }

    /// While a statement waits for its victim, everything goes on.
    pub(crate) fn meanwhile_at_length(&self) {
        self.unwind_if_crashed();
        if self.depth() <= DEEPEST {
            if !self.is_calm() && self.one_in(6) {
                self.something_happens();
            }
            self.others_go_on();
            self.everybody_s_turn();
        }
    }

    /// A step at which the daemon may crash.
    pub(crate) fn may_crash(&self, steps: u64) {
        let left = self.crashes_in.load(Ordering::Relaxed);
        if left == u64::MAX {
            return;
        }
        self.crashes_in.store(left.saturating_sub(steps), Ordering::Relaxed);
        if left <= steps {
            let torn = self.one_in(4);
            self.crash(torn);
        }
    }

    pub(crate) fn will_crash(&self, steps: Option<u64>) {
        self.crashes_in.store(steps.unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// The daemon is gone from one moment to the next.
    pub(crate) fn crash(&self, torn: bool) -> ! {
        self.trace(|| format!("crash, torn: {torn}"));
        self.will_crash(None);
        *lock(&self.crashed) = Some(self.left(torn));
        panic::resume_unwind(Box::new(Crash))
    }

    /// What a crash would leave of the journal now.
    pub(crate) fn left(&self, torn: bool) -> Left {
        let written = std::fs::metadata(journal::file(self.state.path(), 0)).expect("a journal");
        let bytes = written.len();
        Left { bytes, torn }
    }

    /// Somebody is found out in a call of which the daemon catches panics.
    pub(crate) fn fails(&self, why: &str) -> ! {
        self.world.failed.store(true, Ordering::Relaxed);
        panic!("{why}")
    }

    /// What was caught on the way does not stop a crash.
    fn unwind_if_crashed(&self) {
        assert!(!self.world.failed.load(Ordering::Relaxed), "it has failed before");
        if lock(&self.crashed).is_some() {
            panic::resume_unwind(Box::new(Crash));
        }
    }

    /// Runs this until its end or a crash; what a crash left.
    pub(crate) fn until_a_crash(&self, turn: impl FnOnce()) -> Option<Left> {
        match panic::catch_unwind(panic::AssertUnwindSafe(turn)) {
            Ok(()) => None,
            Err(panicked) if is_crash(&*panicked) => {
                lock(&self.stack).clear();
                lock(&self.crashed).take()
            }
            Err(panicked) => panic::resume_unwind(panicked),
        }
    }
}

fn is_crash(panicked: &(dyn Any + Send)) -> bool {
    panicked.is::<Crash>()
}
