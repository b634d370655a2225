//! Tells of exemptions before they end, once for each of the times that `notify: {exemptions: ...}` names.
//!
//! What was told is in `told-exemptions.json` of the state folder, so that a restart does not tell it again. A thread of its own looks
//! once a minute: it writes that file, and nothing else waits for a disk that does not answer.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use chrono::{DateTime, NaiveTime, TimeDelta, TimeZone as _, Utc};
use chrono_tz::Tz;
use sha2::{Digest as _, Sha256};

use crate::clock::{Clock, Monotonic};
use crate::config::Config;
use crate::event::{Event, ExemptionEnd};
use crate::event_sink::EventSink;
use crate::policy::model::{Exemption, PolicySet};
use crate::policy::to_sql;

/// How often the exemptions are looked at. A change by a reload is seen within a second.
const LOOKS: Duration = Duration::from_secs(60);
const SLEEPS: Duration = Duration::from_secs(1);

/// At most this many bytes of the file are read: some ten thousand exemptions.
const LARGEST: u64 = 1 << 20;

/// What is in force.
#[derive(Debug, Default)]
struct WatchedExemptions {
    set: Option<Arc<PolicySet>>,
    zone: Tz,
    before: Vec<TimeDelta>,
    /// Whether it was changed since the last look.
    is_new: bool,
}

/// Watches the exemptions in force, while it is there.
#[derive(Debug)]
pub(crate) struct ExemptionWatch(Arc<Mutex<WatchedExemptions>>);

impl ExemptionWatch {
    /// Starts the thread. It ends when this or the sink is gone.
    ///
    /// # Errors
    /// When the system has no thread to give.
    pub(crate) fn start(sink: &Arc<EventSink>, clock: &Arc<dyn Clock>, state: &Path) -> io::Result<ExemptionWatch> {
        let watched = Arc::<Mutex<WatchedExemptions>>::default();
        let (its, sink, clock) = (Arc::downgrade(&watched), Arc::downgrade(sink), Arc::clone(clock));
        let file = state.join("told-exemptions.json");
        thread::Builder::new()
            .name("exemptions".to_owned())
            .spawn(move || run(&its, &sink, &*clock, &ToldExemptions::of(file)))?;
        Ok(ExemptionWatch(watched))
    }

    /// Puts exemptions in force, and when to tell of them.
    pub(crate) fn set(&self, config: &Config, set: &Arc<PolicySet>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = WatchedExemptions {
            set: Some(Arc::clone(set)),
            zone: config.timezone,
            before: config
                .notify
                .as_ref()
                .map_or_else(Vec::new, |notify| notify.before.clone()),
            is_new: true,
        };
    }
}

fn run(watched: &Weak<Mutex<WatchedExemptions>>, sink: &Weak<EventSink>, clock: &dyn Clock, file: &ToldExemptions) {
    let mut told = file.read();
    let mut looked: Option<Monotonic> = None;
    while let (Some(watched), Some(sink)) = (watched.upgrade(), sink.upgrade()) {
        let mut watched = watched.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = looked.is_none_or(|looked| clock.now().since(looked) >= LOOKS);
        let is_new = std::mem::take(&mut watched.is_new);
        let in_force = watched
            .set
            .clone()
            .map(|set| (set, watched.zone, watched.before.clone()));
        drop(watched);
        if let Some((set, zone, before)) = in_force
            && (is_due || is_new)
            && !before.is_empty()
        {
            looked = Some(clock.now());
            let ends = due(&set.exemptions, &before, zone, clock.utc(), &mut told);
            for end in &ends {
                sink.record(&Event::ExemptionEnds(end.clone()));
            }
            if !ends.is_empty() {
                file.write(&told);
            }
        }
        drop(sink);
        thread::sleep(SLEEPS);
    }
}

/// For each exemption the shortest time before its end for which it was told, in seconds.
type ToldBefore = BTreeMap<String, i64>;

/// The exemptions to tell of now. They count as told from then on; those that are not in force are forgotten.
fn due(
    exemptions: &[Exemption],
    before: &[TimeDelta],
    zone: Tz,
    now: DateTime<Utc>,
    told: &mut ToldBefore,
) -> Vec<ExemptionEnd> {
    let (mut ends, mut known) = (Vec::new(), ToldBefore::new());
    for exemption in exemptions {
        let Some((last_day, over)) = exemption.until.and_then(|day| Some((day, end_of(day, zone)?))) else {
            continue;
        };
        let key = key(exemption);
        let already = told.get(&key).copied();
        known.extend(already.map(|seconds| (key.clone(), seconds)));
        let reached = before.iter().filter(|span| over - **span <= now && now < over).min();
        let Some(shortest) = reached.map(TimeDelta::num_seconds) else {
            continue;
        };
        if already.is_none_or(|told| shortest < told) {
            known.insert(key, shortest);
            ends.push(ExemptionEnd {
                owner: exemption.owner.clone(),
                reason: exemption.reason.clone(),
                last_day,
                origin: format!("{}:{}", exemption.origin.file, exemption.origin.line),
            });
        }
    }
    *told = known;
    ends
}

/// When a day is over in a time zone.
fn end_of(day: chrono::NaiveDate, zone: Tz) -> Option<DateTime<Utc>> {
    let midnight = day.succ_opt()?.and_time(NaiveTime::MIN);
    // Where summer time begins at midnight there is none, and an hour later is good enough.
    let local = zone.from_local_datetime(&midnight).earliest();
    let local = local.or_else(|| zone.from_local_datetime(&(midnight + TimeDelta::hours(1))).earliest())?;
    Some(local.with_timezone(&Utc))
}

/// What identifies an exemption. Its place in the file does not: that changes with every line above it.
fn key(exemption: &Exemption) -> String {
    let mut hash = Sha256::new();
    let until = exemption.until.map(|until| until.to_string()).unwrap_or_default();
    for part in [&exemption.owner, &exemption.reason, &until, &to_sql(&exemption.when)] {
        hash.update(part.len().to_be_bytes());
        hash.update(part);
    }
    hash.finalize()
        .iter()
        .take(16)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// The file of what was told. Where it cannot be read or written, exemptions are told again after a restart, and the log says so.
#[derive(Debug)]
struct ToldExemptions(PathBuf);

impl ToldExemptions {
    fn of(file: PathBuf) -> ToldExemptions {
        ToldExemptions(file)
    }

    fn read(&self) -> ToldBefore {
        match self.try_read() {
            Ok(told) => told,
            Err(error) => {
                let file = self.0.display().to_string();
                let message = "cannot read which exemptions were told: they are told again";
                tracing::warn!(file, error = error.to_string(), "{message}");
                ToldBefore::new()
            }
        }
    }

    fn try_read(&self) -> io::Result<ToldBefore> {
        let mut text = String::new();
        match crate::yaml::files::open_regular(&self.0) {
            Ok(open) => open.take(LARGEST).read_to_string(&mut text)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(ToldBefore::new()),
            Err(error) => return Err(error),
        };
        serde_json::from_str(&text).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))
    }

    fn write(&self, told: &ToldBefore) {
        if let Err(error) = self.try_write(told) {
            let file = self.0.display().to_string();
            let message = "cannot write which exemptions were told: a restart tells them again";
            tracing::warn!(file, error = error.to_string(), "{message}");
        }
    }

    fn try_write(&self, told: &ToldBefore) -> io::Result<()> {
        let half = self.0.with_extension("new");
        let mut open = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o640)
            .custom_flags(libc::O_NONBLOCK | libc::O_NOFOLLOW)
            .open(&half)?;
        crate::folder::give(&open, self.0.parent().unwrap_or(Path::new(".")))?;
        open.write_all(&serde_json::to_vec_pretty(told)?)?;
        open.sync_all()?;
        fs::rename(half, &self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::check_files;

    const DAY: TimeDelta = TimeDelta::days(1);

    fn exemptions(text: &str) -> Vec<Exemption> {
        let today = "2026-11-01".parse().expect("a date");
        let text = format!("exemptions:\n{text}");
        let loaded = check_files(&[("policies/p.yaml".into(), text.into_bytes())], today, Tz::UTC);
        let found: Vec<String> = loaded.diagnostics.iter().map(ToString::to_string).collect();
        loaded.set.unwrap_or_else(|| panic!("{found:?}")).exemptions
    }

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().expect("a time")
    }

    #[test]
    fn each_time_before_the_end_is_told_once_also_after_a_restart() {
        let all = exemptions(
            "  - {when: USERNAME = 'BATCH', reason: month end, owner: maria, until: 2026-11-30}\n  - {when: USERNAME = 'ETL', reason: for good, owner: tom}\n",
        );
        let before = [DAY, DAY * 7];
        let zone = Tz::Europe__Berlin;
        let folder = tempfile::tempdir().expect("a folder");
        let file = ToldExemptions::of(folder.path().join("told-exemptions.json"));
        // The day is over at 23:00 UTC.
        let mut told = file.read();
        for (time, is_told) in [
            ("2026-11-23T22:59:59Z", false),
            ("2026-11-23T23:00:00Z", true),
            ("2026-11-23T23:01:00Z", false),
            ("2026-11-29T22:59:59Z", false),
            ("2026-11-29T23:00:00Z", true),
            ("2026-11-30T22:00:00Z", false),
            ("2026-11-30T23:00:00Z", false),
        ] {
            let ends = due(&all, &before, zone, at(time), &mut told);
            assert_eq!(ends.len(), usize::from(is_told), "{time}");
            for end in ends {
                let last_day = "2026-11-30".parse().expect("a date");
                assert_eq!((end.owner.as_str(), end.last_day), ("maria", last_day));
                assert_eq!(end.origin, "policies/p.yaml:2");
            }
            file.write(&told);
            told = ToldExemptions::of(folder.path().join("told-exemptions.json")).read();
        }
    }

    #[test]
    fn a_daemon_that_was_away_tells_the_nearest_time_alone() {
        let all = exemptions("  - {when: USERNAME = 'BATCH', reason: month end, owner: maria, until: 2026-11-30}\n");
        let mut told = ToldBefore::new();
        let now = at("2026-11-30T12:00:00Z");
        assert_eq!(due(&all, &[DAY, DAY * 7], Tz::UTC, now, &mut told).len(), 1);
        assert_eq!(due(&all, &[DAY, DAY * 7], Tz::UTC, now, &mut told).len(), 0);
        // Another end is another exemption, and what is not in force is forgotten.
        let later = exemptions("  - {when: USERNAME = 'BATCH', reason: month end, owner: maria, until: 2026-12-01}\n");
        assert_eq!(due(&later, &[DAY * 7], Tz::UTC, now, &mut told).len(), 1);
        assert_eq!(told.len(), 1);
    }

    #[test]
    fn a_file_that_cannot_be_read_counts_as_nothing_told() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("told-exemptions.json");
        fs::write(&path, "{").expect("written");
        assert_eq!(ToldExemptions::of(path).read(), ToldBefore::new());
    }
}
