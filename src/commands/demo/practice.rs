//! `demo --from FILE`: the user's own policies, each that is not `off` in mode `enforce`, against a simulated database that begins with the user's own sessions.
//!
//! The sessions come from an export or from the last snapshot of a recording. The daemon reaches them as it reaches any database: through
//! the real driver, with `mode: enforce` for every policy that is not off. What a file cannot tell is assumed, and said: three or more sessions of the
//! same user, machine and program are a pool, whose killed sessions come back; nobody goes to work or logs in otherwise.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use orasim::{KillRecord, Scenario};
use serde_json::{Map, Value, json};

use crate::commands::demo::left_out::TakenOver;
use crate::commands::demo::narrator::{Ink, Seen, tell};
use crate::commands::recorded::RecordingInput;
use crate::commands::stream::source_name;
use crate::config::DatabaseConfig;
use crate::decide::in_force::{Absent, DatabaseRules, Due};
use crate::decide::pressure::Readings;
use crate::decide::protect::ProtectionFacts;
use crate::decide::refill::ClientGroup;
use crate::decide::verify::Proof;
use crate::export;
use crate::oracle::calendar;
use crate::policy::model::PolicySet;
use crate::policy::pressure::Resource;
use crate::session::column::Column;
use crate::session::snapshot::Snapshot;
use crate::session::time::DbTime;
use crate::terminal::visible::visible;

/// The name of the simulated database.
pub(super) const DATABASE: &str = "PRACTICE";

/// A pool has at least this many sessions of the same user, machine and program.
const POOL: usize = 3;

/// The most sessions that are taken over.
const MOST: usize = 20_000;

/// The sessions of a file, and what is known with them.
pub(super) struct SavedWorld {
    /// The name of the database, if the file has one.
    pub(super) database: Option<String>,
    snapshot: Snapshot,
    readings: Readings,
    facts: ProtectionFacts,
    /// What could not be read of an export.
    pub(super) notes: Vec<String>,
}

/// Reads an export, or the last snapshot of a recording.
///
/// # Errors
/// When the file cannot be read, or a recording has no snapshot.
pub(super) fn read(path: &Path) -> Result<SavedWorld, String> {
    let name = source_name(path);
    let wrong = |error: &dyn std::fmt::Display| format!("read {name}: {error}");
    let input = RecordingInput::open(path).map_err(|error| wrong(&error))?;
    let input = match input.other() {
        Ok(bytes) => return exported(bytes, &name),
        Err(recording) => recording,
    };
    let wanted = Column::ALL.iter().copied().collect();
    let mut recording = input.recording(wanted).map_err(|error| wrong(&error))?;
    let mut last = None;
    let read = recording.each(true, |recorded| {
        last = Some(recorded);
        Ok(None)
    });
    read.map_err(|error| error.to_string())?;
    let last = last.ok_or_else(|| wrong(&"it has no snapshot"))?;
    Ok(SavedWorld {
        database: Some(recording.header().database.clone()),
        snapshot: last.snapshot,
        readings: last.readings,
        facts: (*last.facts).clone(),
        notes: Vec::new(),
    })
}

fn exported(bytes: impl Read, name: &str) -> Result<SavedWorld, String> {
    let saved = export::read_all(bytes, name, None).map_err(|error| error.to_string())?;
    Ok(SavedWorld {
        database: saved.database,
        snapshot: saved.snapshot,
        readings: Readings::default(),
        facts: ProtectionFacts::default(),
        notes: saved.notes,
    })
}

impl SavedWorld {
    /// When its sessions were read, if the file tells it.
    pub(super) fn read_at(&self) -> Option<DateTime<Utc>> {
        self.snapshot.utc()
    }

    /// The sessions that the simulated database takes over, and why it does not take the others.
    pub(super) fn taken_over(&self) -> TakenOver {
        TakenOver::of(&self.snapshot, &self.facts)
    }

    /// The simulated database with these sessions.
    ///
    /// # Errors
    /// When nobody is left to act on, or there are too many.
    pub(super) fn scenario(&self, taken: &TakenOver, user: &str, password: &str) -> Result<Scenario, String> {
        let rows = &taken.rows;
        match rows.len() {
            0 => {
                let none = "the file has no session of a user's client that could be practised on".to_owned();
                let why: Vec<String> = std::iter::once(none).chain(taken.told()).collect();
                return Err(why.join("; "));
            }
            count if count > MOST => {
                return Err(format!(
                    "the file has {count} sessions of clients; the simulated database takes {MOST}"
                ));
            }
            _ => {}
        }
        let now = self
            .snapshot
            .clock()
            .map(|clock| clock.now)
            .or_else(|| self.latest_logon());
        let pools = self.pools(rows);
        let mut groups: Vec<Value> = Vec::new();
        // Whoever holds up others comes before them.
        let mut order = rows.clone();
        let waits = |row: &usize| self.blocker(*row, rows).is_some();
        order.sort_by_key(waits);
        let mut named = BTreeSet::new();
        for row in order {
            let pool = pools.contains(&ClientGroup::of(&self.snapshot, row));
            let blocker = self.blocker(row, rows).filter(|blocker| named.contains(blocker));
            let group = self.group(row, now, pool, blocker);
            named.insert(row);
            groups.push(group);
        }
        let text = json!({
            "description": "sessions of a file",
            "release": "19.22.0.0.0",
            "starts": now.and_then(calendar).map(|at| at.format("%Y-%m-%dT%H:%M:%S").to_string()),
            "database": {"name": DATABASE, "pdbs": self.containers(rows)},
            "instances": self.instances(rows),
            "accounts": self.accounts(rows, user, password),
            "parameters": self.parameters(rows.len()),
            "sessions": groups,
        });
        Scenario::parse(&text.to_string()).map_err(|error| format!("simulate the sessions: {error}"))
    }

    fn text(&self, row: usize, column: Column) -> Option<String> {
        // The simulator puts other texts in the place of braces.
        self.snapshot
            .text(row, column)
            .map(|text| text.replace('{', "(").replace('}', ")"))
    }

    fn latest_logon(&self) -> Option<DbTime> {
        let logons = (0..self.snapshot.rows()).filter_map(|row| self.snapshot.number(row, Column::LogonTime));
        logons.max().map(DbTime)
    }

    fn pools(&self, rows: &[usize]) -> BTreeSet<ClientGroup> {
        let mut sizes: BTreeMap<ClientGroup, usize> = BTreeMap::new();
        for row in rows {
            *sizes.entry(ClientGroup::of(&self.snapshot, *row)).or_insert(0) += 1;
        }
        sizes
            .into_iter()
            .filter(|(_, size)| *size >= POOL)
            .map(|(who, _)| who)
            .collect()
    }

    /// The row of the session that it waits for, if that is among those that are taken over.
    fn blocker(&self, row: usize, rows: &[usize]) -> Option<usize> {
        let sid = self.snapshot.id(row, Column::BlockingSession)?;
        let inst_id = self.snapshot.id(row, Column::BlockingInstance).or(self.inst_id(row))?;
        let is_it = |other: &usize| {
            *other != row && self.snapshot.id(*other, Column::Sid) == Some(sid) && self.inst_id(*other) == Some(inst_id)
        };
        rows.iter().copied().find(is_it)
    }

    fn inst_id(&self, row: usize) -> Option<u32> {
        self.snapshot.id(row, Column::InstId)
    }

    /// One session as a group of its own: who it is, what it does, and what becomes of it.
    fn group(&self, row: usize, now: Option<DbTime>, pool: bool, blocker: Option<usize>) -> Value {
        let number = |column| self.snapshot.id(row, column);
        let pinned = number(Column::Sid).zip(number(Column::Serial));
        let fields = [
            ("name", Some(format!("row {row}").into())),
            ("instances", self.inst_id(row).map(|inst_id| json!([inst_id]))),
            ("blocked_by", blocker.map(|blocker| format!("row {blocker}").into())),
            (
                "pinned",
                pinned.map(|(sid, serial)| json!({"sid": sid, "serial": serial})),
            ),
            ("when_killed", pool.then(|| json!({"reconnects": "1s..10s"}))),
        ];
        let fields = fields.into_iter().chain(self.client(row)).chain(self.doing(row, now));
        let known = fields.filter_map(|(key, value)| Some((key.to_owned(), value?)));
        Value::Object(known.collect::<Map<_, _>>())
    }

    /// Who it is.
    fn client(&self, row: usize) -> Vec<(&'static str, Option<Value>)> {
        let program = self.text(row, Column::Program);
        let mut fields = vec![
            ("program", Some(program.unwrap_or_else(|| "unknown".into()).into())),
            (
                "machines",
                self.text(row, Column::Machine).map(|machine| json!([machine])),
            ),
        ];
        let texts = [
            ("user", Column::Username),
            ("container", Column::Container),
            ("service", Column::ServiceName),
            ("osuser", Column::Osuser),
            ("terminal", Column::Terminal),
            ("module", Column::Module),
            ("action", Column::Action),
            ("client_info", Column::ClientInfo),
            ("client_identifier", Column::ClientIdentifier),
            ("sql_id", Column::SqlId),
        ];
        fields.extend(texts.map(|(key, column)| (key, self.text(row, column).map(Value::from))));
        let server = self.text(row, Column::Server).map(|server| server.to_lowercase());
        let server = server.filter(|server| ["dedicated", "shared", "pooled", "none"].contains(&&**server));
        fields.push(("server", server.map(Value::from)));
        fields
    }

    /// What it does, since when, and what it holds.
    fn doing(&self, row: usize, now: Option<DbTime>) -> Vec<(&'static str, Option<Value>)> {
        let snapshot = &self.snapshot;
        let seconds = |column| {
            snapshot
                .number(row, column)
                .map(|seconds| format!("{}s", seconds.max(0)))
        };
        let bytes = |column| snapshot.number(row, column).filter(|bytes| *bytes > 0).map(Value::from);
        let logon = now.zip(snapshot.number(row, Column::LogonTime));
        let since_logon = logon.map(|(now, logon)| now.0.saturating_sub(logon).max(1));
        let ago = Some(Value::from(seconds(Column::LastCallEt).unwrap_or_else(|| "0s".into())));
        let mut fields = vec![
            ("logged_on", since_logon.map(|seconds| format!("{seconds}s").into())),
            ("pga", bytes(Column::Pga)),
            ("temp", bytes(Column::Temp)),
        ];
        if snapshot.text(row, Column::Taddr).is_some() {
            let age = seconds(Column::TransactionAge).unwrap_or_else(|| "1m".into());
            // One whose size is not known is left out, unless the file has no TADDR either, as `plan` has it.
            let records = snapshot.number(row, Column::UndoRecords).unwrap_or(0).max(0);
            fields.push(("transaction", Some(json!({"age": age, "undo_records": records}))));
        }
        let status = snapshot.text(row, Column::Status);
        if status == Some("ACTIVE") {
            let waits = self.text(row, Column::Event).zip(self.text(row, Column::WaitClass));
            fields.push((
                "wait",
                waits.map(|(event, class)| json!({"event": event, "class": class})),
            ));
            fields.push(("active", ago));
        } else {
            let parked = status.filter(|status| ["SNIPED", "CACHED"].contains(status));
            fields.push(("parked", parked.map(|status| status.to_lowercase().into())));
            fields.push(("idle", ago));
        }
        fields
    }

    fn containers(&self, rows: &[usize]) -> Vec<String> {
        let named = rows.iter().filter_map(|row| self.text(*row, Column::Container));
        let pdbs: BTreeSet<String> = named.filter(|name| name != "CDB$ROOT").collect();
        pdbs.into_iter().collect()
    }

    fn instances(&self, rows: &[usize]) -> Vec<Value> {
        let mut names: BTreeMap<u32, String> = BTreeMap::new();
        for inst_id in rows.iter().filter_map(|row| self.inst_id(*row)) {
            names.entry(inst_id).or_insert_with(|| format!("practice{inst_id}"));
        }
        for instance in self.snapshot.instances() {
            names.insert(instance.inst_id, instance.name.clone());
        }
        let instance =
            |(number, name): (u32, String)| json!({"number": number, "name": name, "host": name, "up": "400d"});
        names.into_iter().map(instance).collect()
    }

    fn accounts(&self, rows: &[usize], user: &str, password: &str) -> Value {
        let mut accounts = Map::new();
        for name in rows.iter().filter_map(|row| self.text(*row, Column::Username)) {
            let maintained = self.facts.oracle_maintained.are_everywhere(&name);
            accounts.insert(name, json!({"alter_system": false, "oracle_maintained": maintained}));
        }
        accounts.insert(user.to_uppercase(), json!({"password": password}));
        Value::Object(accounts)
    }

    /// The limits of the instances: those that were recorded, or else room for all.
    fn parameters(&self, count: usize) -> HashMap<&'static str, String> {
        let limit = |resource| {
            self.readings
                .iter()
                .filter(|(_, of, _)| *of == resource)
                .filter_map(|(.., reading)| reading.limit)
                .max()
        };
        let room = i64::try_from(count * 2 + 400).unwrap_or(i64::MAX);
        [("sessions", Resource::Sessions), ("processes", Resource::Processes)]
            .map(|(name, resource)| (name, limit(resource).unwrap_or(room).max(room / 2).to_string()))
            .into()
    }
}

/// Names the policies that do not run on this database, with why. `now` is the time at which its sessions were read, if it is known.
pub(super) fn tell_left_out(database: &DatabaseConfig, set: &Arc<PolicySet>, now: Option<DateTime<Utc>>) {
    for line in left_out(database, set, now) {
        tell(&format!("  {line}"));
    }
}

fn left_out(database: &DatabaseConfig, set: &Arc<PolicySet>, now: Option<DateTime<Utc>>) -> Vec<String> {
    let due = now.map_or(Due::Always, Due::OnDay);
    let here = DatabaseRules::of(database, false, Arc::clone(set)).configured(due);
    let absent = set.policies.iter().zip(here.each());
    absent
        .filter_map(|(policy, run)| {
            let why = match run {
                Ok(_) => return None,
                Err(Absent::Elsewhere) => {
                    let named: Vec<String> = policy.databases.iter().map(ToString::to_string).collect();
                    format!(
                        "it is for other databases (`databases: [{}]`), and this one is called {} and has no labels; \
                         `--database NAME` gives it another name",
                        named.join(", "),
                        visible(&database.name)
                    )
                }
                Err(absent @ (Absent::Off | Absent::Unsupported(_) | Absent::OutsideDates(_))) => absent.to_string(),
            };
            Some(format!("policy {} is left out: {why}", policy.name))
        })
        .collect()
}

/// Prints what the policies did.
pub(super) fn conclude(ink: Ink, seen: &Seen, kills: &[KillRecord], folder: &Path) {
    tell("");
    tell(&ink.bold("What your policies did"));
    for (policy, count) in &seen.acted_by {
        tell(&format!("  {policy}: {count} actions"));
    }
    if seen.acted_by.is_empty() {
        tell("  They acted on nobody.");
    }
    for policy in &seen.breakers {
        tell(&format!("  {policy}: the breaker refused its whole plan at least once"));
    }
    if seen.deferred > 0 {
        tell(&format!(
            "  budgets and floors deferred a session {} times",
            seen.deferred
        ));
    }
    let protections: Vec<&str> = seen.protections.iter().map(|protection| protection.name()).collect();
    if !protections.is_empty() {
        tell(&format!(
            "  protections that spared a session that matched: {}",
            protections.join(", ")
        ));
    }
    let count = |proof| seen.proofs.get(&proof).copied().unwrap_or(0);
    tell(&format!(
        "  the database got {} statements; {} sessions were gone or held nothing any more, {} lingered",
        kills.len(),
        count(Proof::Gone) + count(Proof::ResourcesFreed),
        count(Proof::Lingers)
    ));
    for trouble in &seen.troubles {
        tell(&format!("  {}  {trouble}", ink.red("trouble")));
    }
    tell("");
    tell(&format!(
        "The first plan is {}; `orareaper history --state {}` shows each action.",
        folder.join("report.html").display(),
        folder.display()
    ));
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXPORT: &str = "\
INST_ID,SID,SERIAL#,TYPE,USERNAME,STATUS,LAST_CALL_ET,LOGON_TIME,PROGRAM,MACHINE,SERVER,BLOCKING_SESSION,BLOCKING_INSTANCE,TADDR,EVENT,WAIT_CLASS,SYSDATE
1,10,100,USER,SHOP,INACTIVE,18000,2026-11-27 01:00:00,JDBC Thin Client,web01,DEDICATED,,,,,,2026-11-27 10:00:00
1,11,101,USER,SHOP,INACTIVE,60,2026-11-27 01:00:00,JDBC Thin Client,web01,DEDICATED,,,,,,2026-11-27 10:00:00
2,11,102,USER,SHOP,SNIPED,90,2026-11-27 01:00:00,JDBC Thin Client,web01,NONE,,,,,,2026-11-27 10:00:00
1,12,103,USER,SCOTT,ACTIVE,40,2026-11-27 09:00:00,sqlplus@pc{1},pc1,DEDICATED,13,1,,enq: TX - row lock contention,Application,2026-11-27 10:00:00
1,13,104,USER,SCOTT,INACTIVE,7200,2026-11-27 07:00:00,sqlplus@pc2,pc2,DEDICATED,,,,,,2026-11-27 10:00:00
1,15,106,USER,SCOTT,INACTIVE,7200,2026-11-27 07:00:00,sqlplus@pc2,pc2,DEDICATED,,,00000000A1,,,2026-11-27 10:00:00
1,16,107,USER,SHOP,KILLED,7200,2026-11-27 07:00:00,JDBC Thin Client,web01,DEDICATED,,,,,,2026-11-27 10:00:00
1,17,108,USER,SHOP,KILLED,7200,2026-11-27 07:00:00,JDBC Thin Client,web01,DEDICATED,,,,,,2026-11-27 10:00:00
1,18,109,USER,,INACTIVE,7200,2026-11-27 07:00:00,JDBC Thin Client,web01,DEDICATED,,,,,,2026-11-27 10:00:00
1,19,110,USER,SHOP,INACTIVE,,2026-11-27 07:00:00,JDBC Thin Client,web01,DEDICATED,,,,,,2026-11-27 10:00:00
1,20,111,USER,SHOP,INACTIVE,7200,,JDBC Thin Client,web01,DEDICATED,,,,,,2026-11-27 10:00:00
1,21,112,USER,SHOP,,7200,2026-11-27 07:00:00,JDBC Thin Client,web01,DEDICATED,,,,,,2026-11-27 10:00:00
1,22,113,USER,SHOP,INACTIVE,7200,2026-11-27 07:00:00,JDBC Thin Client,web01,DEDICATED,,,,Streams AQ: waiting for messages in the queue,Idle,2026-11-27 10:00:00
1,23,114,USER,SHOP,INACTIVE,7200,2026-11-27 07:00:00,rman@db1 (TNS V1-V3),db1,DEDICATED,,,,,,2026-11-27 10:00:00
1,14,105,USER,SHOP,ACTIVE,5,2026-11-27 09:00:00,oracle@db1 (J001),db1,DEDICATED,,,,,,2026-11-27 10:00:00
1,1,1,BACKGROUND,,ACTIVE,900000,2026-11-01 09:00:00,oracle@db1 (PMON),db1,DEDICATED,,,,,,2026-11-27 10:00:00
";

    fn saved(text: &str) -> SavedWorld {
        let saved = export::parse(text.as_bytes(), "sessions.csv", None).expect("an export");
        SavedWorld {
            database: saved.database,
            snapshot: saved.snapshot,
            readings: Readings::default(),
            facts: ProtectionFacts::default(),
            notes: saved.notes,
        }
    }

    #[test]
    fn the_simulated_database_begins_with_the_clients_of_the_file() {
        let saved = saved(EXPORT);
        let taken = saved.taken_over();
        let scenario = saved.scenario(&taken, "reaper", "reaper").expect("a scenario");
        // Neither the background process nor the job slave: the simulated instances bring their own.
        let told: Vec<String> = taken.told().collect();
        assert_eq!(
            told,
            [
                "1 session left out: LAST_CALL_ET is NULL or was not read",
                "2 sessions left out: Oracle's own processes, of which each simulated instance has its own",
                "2 sessions left out: STATUS is KILLED",
                "1 session left out: STATUS is null",
                "1 session left out: USERNAME is NULL or was not read, so it is nobody's client",
                "1 session left out: a part of its identity (INST_ID, SID, SERIAL#, LOGON_TIME) is unknown",
                "1 session left out: its open transaction's size is unknown",
                "1 session left out: protected (queues) by what a simulated session does not show",
            ]
        );
        assert_eq!(
            (taken.rows.len(), scenario.sessions.len(), scenario.instances.len()),
            (6, 6, 2)
        );
        let of = |sid, serial| {
            let is = |group: &&orasim::scenario::Group| {
                group
                    .pinned
                    .is_some_and(|pinned| (pinned.sid, pinned.serial) == (sid, serial))
            };
            scenario.sessions.iter().find(is).expect("it is there")
        };
        let leaked = of(10, 100);
        assert_eq!(
            (leaked.user.as_str(), leaked.machines.as_slice()),
            ("SHOP", ["web01".to_owned()].as_slice())
        );
        assert_eq!(leaked.idle.map(|idle| idle.low), Some(18_000_000));
        assert_eq!(leaked.logged_on.low, 9 * 3_600_000);
        assert!(leaked.when_killed.reconnects.is_some(), "three of them are a pool");
        assert!(of(11, 102).parked.is_some() && of(11, 102).instances == Some(vec![2]));
        let (waiting, blocker) = (of(12, 103), of(13, 104));
        assert_eq!(waiting.blocked_by.as_deref(), Some(&*blocker.name));
        assert_eq!(waiting.active.map(|active| active.low), Some(40_000));
        assert_eq!(waiting.program, "sqlplus@pc(1)");
        assert!(blocker.transaction.is_none() && blocker.when_killed.reconnects.is_none());
        // What a simulated session shows protects it there as well, so it is taken over.
        assert_eq!(of(23, 114).program, "rman@db1 (TNS V1-V3)");
    }

    #[test]
    fn a_file_without_clients_is_refused() {
        let background = EXPORT
            .lines()
            .filter(|line| !line.contains(",USER,"))
            .collect::<Vec<_>>()
            .join("\n");
        let saved = saved(&background);
        let refused = saved
            .scenario(&saved.taken_over(), "reaper", "reaper")
            .expect_err("nobody is there");
        assert_eq!(
            refused,
            "the file has no session of a user's client that could be practised on; 1 session left out: Oracle's own processes, of which \
             each simulated instance has its own"
        );
    }
}
