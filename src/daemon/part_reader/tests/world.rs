//! Random databases over several snapshots.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use rusqlite::types::Value;

use super::tables::{OFFSET, SESSION, Tables, hexadecimal, raw};
use crate::decide::outcome::Outcome;
use crate::oracle::capabilities::Capabilities;
use crate::oracle::capabilities::tests::capabilities;
use crate::session::SessionKey;
use crate::session::column::Column;

pub(super) const START: i64 = 1_800_000_000;
pub(super) const SNAPSHOTS: usize = 7;
/// The container of a PDB.
const PDB: i64 = 3;

/// What changes from snapshot to snapshot.
#[derive(Clone, Debug)]
pub(super) struct State {
    pub(super) status: Option<&'static str>,
    pub(super) last_call: Option<i64>,
    /// Its transaction's undo records; one that TADDR does not show has only the session's address.
    pub(super) transaction: Option<(i64, bool)>,
    pub(super) waits_for: Option<Blocker>,
    pub(super) waited: i64,
    pub(super) running: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Blocker {
    pub(super) person: Index,
    pub(super) with_instance: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Person {
    pub(super) inst_id: i64,
    pub(super) sid: i64,
    pub(super) serial: Option<i64>,
    pub(super) logon: Option<i64>,
    pub(super) kind: &'static str,
    pub(super) username: Option<&'static str>,
    pub(super) program: Option<&'static str>,
    pub(super) module: Option<&'static str>,
    pub(super) machine: Option<&'static str>,
    pub(super) server: &'static str,
    pub(super) process: i64,
    pub(super) pga: Option<i64>,
    pub(super) con_id: i64,
    /// Whose parallel server it is.
    pub(super) coordinator: Option<Index>,
    /// The first snapshot that shows it and the first that does not any more.
    pub(super) lives: (usize, usize),
    pub(super) states: Vec<State>,
}

/// What becomes of a session after a kill.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fate {
    Goes,
    Lingers,
    Detached,
    LivesOn,
}

#[derive(Clone, Debug)]
pub(super) struct World {
    pub(super) people: Vec<Person>,
    /// Seconds since the snapshot before, and the instance that does not answer.
    pub(super) moments: Vec<(i64, Option<i64>)>,
    pub(super) in_pdb: bool,
    pub(super) instances: i64,
    pub(super) outcomes: Vec<(Outcome, Fate)>,
}

/// What was done to somebody.
#[derive(Clone, Copy, Debug)]
pub(super) struct Struck {
    pub(super) person: usize,
    pub(super) at: usize,
    pub(super) fate: Fate,
}

impl Struck {
    fn is_gone(&self, at: usize) -> bool {
        match self.fate {
            Fate::Goes => self.at < at,
            // Its client learns of it at the next call.
            Fate::Detached => self.at + 2 < at,
            Fate::Lingers | Fate::LivesOn => false,
        }
    }
}

impl World {
    pub(super) fn time(&self, at: usize) -> i64 {
        START + self.moments[..=at].iter().map(|(step, _)| step).sum::<i64>()
    }

    pub(super) fn capabilities(&self) -> Capabilities {
        let mut known = capabilities(19, 0);
        known.columns = SESSION.into_iter().collect();
        known.cluster = self.instances > 1;
        (known.cdb, known.con_id) = (self.in_pdb, self.in_pdb.then_some(3));
        known
    }

    /// Who is there, one for each seat.
    pub(super) fn shown(&self, at: usize, struck: &[Struck]) -> Vec<usize> {
        let mut seats = Vec::new();
        let mut shown = Vec::new();
        for (number, person) in self.people.iter().enumerate() {
            let seat = (person.inst_id, person.sid);
            let gone = struck.iter().any(|one| one.person == number && one.is_gone(at));
            let lives = (person.lives.0..person.lives.1).contains(&at);
            if lives && !gone && person.inst_id <= self.instances && !seats.contains(&seat) {
                seats.push(seat);
                shown.push(number);
            }
        }
        shown
    }

    /// Who has a key.
    pub(super) fn person(&self, key: SessionKey, at: usize, struck: &[Struck]) -> usize {
        let seat = (i64::from(key.inst_id), i64::from(key.sid));
        let mut shown = self.shown(at, struck).into_iter();
        let is_there = |number: &usize| (self.people[*number].inst_id, self.people[*number].sid) == seat;
        shown.find(is_there).expect("a warrant is for somebody of the snapshot")
    }

    /// The whole database at one moment.
    pub(super) fn tables(&self, at: usize, struck: &[Struck]) -> Tables {
        let now = self.time(at) + OFFSET;
        let tables = Tables::new(now);
        for inst_id in 1..=self.instances {
            let text = |text: &str| Value::Text(text.to_owned());
            tables.add("gv$instance", &[inst_id.into(), text("name"), text("OPEN"), 5.into()]);
            tables.add("gv$parameter", &[inst_id.into(), text("sessions"), text("60")]);
            let mut pmon = Row::default();
            pmon.number(Column::InstId, inst_id)
                .number(Column::Sid, 900)
                .number(Column::Serial, 1);
            pmon.number(Column::LogonTime, START)
                .number(Column::LastCallEt, 100_000)
                .number(Column::ConId, 0);
            pmon.text(Column::Type, "BACKGROUND")
                .text(Column::Program, "oracle@node (PMON)");
            pmon.text(Column::Status, "ACTIVE").text(Column::Server, "DEDICATED");
            tables.add("gv$session", &pmon.values());
        }
        for number in self.shown(at, struck) {
            let fate = struck
                .iter()
                .rfind(|one| one.person == number && one.at < at)
                .map(|one| one.fate);
            tables.add("gv$session", &self.session(at, number, fate));
            self.add_others(&tables, (at, now), number, fate);
        }
        tables.silence(self.moments[at].1);
        tables
    }

    /// A row of GV$SESSION.
    fn session(&self, at: usize, number: usize, fate: Option<Fate>) -> Vec<Value> {
        let (person, state) = (&self.people[number], &self.people[number].states[at]);
        let killed = matches!(fate, Some(Fate::Lingers | Fate::Detached));
        let server = if matches!(fate, Some(Fate::Detached)) {
            "PSEUDO"
        } else {
            person.server
        };
        let mut row = Row::default();
        row.number(Column::InstId, person.inst_id)
            .number(Column::Sid, person.sid);
        row.number(Column::Serial, person.serial)
            .number(Column::LogonTime, person.logon.map(|logon| logon + OFFSET));
        row.text(Column::Username, person.username)
            .text(Column::Type, person.kind);
        row.text(Column::Status, if killed { Some("KILLED") } else { state.status })
            .text(Column::Server, server);
        row.text(Column::Program, person.program)
            .text(Column::Machine, person.machine);
        row.text(Column::Module, person.module)
            .number(Column::LastCallEt, state.last_call);
        row.number(Column::ConId, person.con_id)
            .number(Column::WaitTimeMicro, state.waited * 1_000_000);
        row.text(Column::State, "WAITING");
        if let Some((_, true)) = transaction(state, fate) {
            row.value(Column::Taddr, hexadecimal(address(number)));
        }
        row.value(Column::Saddr, raw(address(number) + 1000))
            .value(Column::Paddr, raw(person.process));
        if state.running {
            row.text(Column::SqlId, "sql1").number(Column::SqlExecId, 7);
        }
        if let Some(waits) = &state.waits_for {
            let other = waits.person.get(&self.people);
            row.text(Column::BlockingSessionStatus, "VALID")
                .number(Column::BlockingSession, other.sid);
            row.number(Column::BlockingInstance, waits.with_instance.then_some(other.inst_id));
        }
        row.values()
    }

    /// The rows of other views that are about somebody.
    fn add_others(&self, tables: &Tables, (at, now): (usize, i64), number: usize, fate: Option<Fate>) {
        let (person, state) = (&self.people[number], &self.people[number].states[at]);
        let (id, at) = (|| Value::Integer(person.inst_id), address(number));
        if let Some((records, _)) = transaction(state, fate) {
            let xid = [1, at, 1, 0, 0, 0].map(Value::Integer);
            let before = [
                id(),
                raw(at),
                (now - 3000).into(),
                records.into(),
                1.into(),
                raw(at + 1000),
            ];
            let status = Value::Text("ACTIVE".into());
            tables.add(
                "gv$transaction",
                &before.into_iter().chain(xid).chain([status]).collect::<Vec<_>>(),
            );
        }
        let pga = person.pga.map_or(Value::Null, Value::Integer);
        tables.add(
            "gv$process",
            &[id(), raw(person.process), Value::Null, pga, Value::Null],
        );
        if let (Some(of), Some(serial)) = (&person.coordinator, person.serial) {
            let of = of.get(&self.people);
            let other = [of.inst_id, of.sid, of.serial.unwrap_or(1)].map(Value::Integer);
            let own = [id(), person.sid.into(), serial.into()];
            tables.add("gv$px_session", &own.into_iter().chain(other).collect::<Vec<_>>());
        }
    }
}

fn address(number: usize) -> i64 {
    i64::try_from(number).expect("few people") + 1
}

/// A session's transaction, until it is detached.
fn transaction(state: &State, fate: Option<Fate>) -> Option<(i64, bool)> {
    state.transaction.filter(|_| !matches!(fate, Some(Fate::Detached)))
}

/// A row of GV$SESSION in the making: NULL where nothing is said.
struct Row([Value; SESSION.len()]);

impl Default for Row {
    fn default() -> Row {
        Row(SESSION.map(|_| Value::Null))
    }
}

impl Row {
    fn value(&mut self, column: Column, value: Value) -> &mut Row {
        let at = SESSION
            .iter()
            .position(|known| *known == column)
            .expect("a column of the view");
        self.0[at] = value;
        self
    }

    fn text(&mut self, column: Column, text: impl Into<Option<&'static str>>) -> &mut Row {
        let text = text.into();
        self.value(column, text.map_or(Value::Null, |text| Value::Text(text.to_owned())))
    }

    fn number(&mut self, column: Column, number: impl Into<Option<i64>>) -> &mut Row {
        let number = number.into();
        self.value(column, number.map_or(Value::Null, Value::Integer))
    }

    fn values(self) -> Vec<Value> {
        self.0.to_vec()
    }
}

fn state() -> impl Strategy<Value = State> {
    let status = prop_oneof![
        10 => Just(Some("INACTIVE")), 4 => Just(Some("ACTIVE")), 1 => Just(Some("SNIPED")), 1 => Just(Some("KILLED")), 1 => Just(None),
    ];
    let last_call = option::weighted(0.95, (0_i64..6, 0_i64..2).prop_map(|(steps, more)| steps * 600 + more));
    let transaction = option::weighted(0.2, (select(vec![0_i64, 10, 11, 1000]), prop::bool::weighted(0.7)));
    let blocker = (any::<Index>(), prop::bool::weighted(0.95));
    let blocker = blocker.prop_map(|(person, with_instance)| Blocker { person, with_instance });
    (
        status,
        last_call,
        transaction,
        option::weighted(0.15, blocker),
        0_i64..200,
        any::<bool>(),
    )
        .prop_map(|(status, last_call, transaction, waits_for, waited, running)| State {
            status,
            last_call,
            transaction,
            waits_for,
            waited,
            running,
        })
}

fn person() -> impl Strategy<Value = Person> {
    // Long ago, or while the snapshots are taken.
    let logon = prop_oneof![1 => (0_i64..2).prop_map(|at| START - 90_000 + at), 1 => (0_i64..40).prop_map(|at| START + at * 30)];
    let identity = (
        1_i64..3,
        1_i64..12,
        option::weighted(0.97, 1_i64..3),
        option::weighted(0.97, logon),
    );
    let username = prop_oneof![
        8 => Just(Some("APP")), 3 => Just(Some("SHOP")), 3 => Just(Some("CRM")), 1 => Just(Some("SYS")), 1 => Just(None),
    ];
    let program = prop_oneof![
        9 => Just(Some("app@web01")), 2 => Just(Some("tool")), 1 => Just(Some("rman@bkp01")), 1 => Just(Some("oracle@db1 (P000)")),
        1 => Just(None),
    ];
    let module = prop_oneof![3 => Just(None), 2 => Just(Some("BATCH7")), 5 => Just(Some("WEB"))];
    let machine = select(vec![None, Some("web01"), Some("web02"), Some("web01\0"), Some("\0")]);
    let texts = (username, program, module, machine);
    let kind = prop_oneof![15 => Just("USER"), 1 => Just("BACKGROUND")];
    let server = prop_oneof![8 => Just("DEDICATED"), 1 => Just("NONE"), 1 => Just("PSEUDO")];
    let process = (1_i64..30, option::weighted(0.9, (1_i64..4).prop_map(|size| size << 20)));
    let coordinator = option::weighted(0.05, any::<Index>());
    let lives = prop_oneof![3 => Just((0, SNAPSHOTS)), 2 => (0..SNAPSHOTS, 1..=SNAPSHOTS)];
    // Mostly the same from snapshot to snapshot, or nothing would ever hold for long.
    let states = (state(), vec(option::weighted(0.25, state()), SNAPSHOTS)).prop_map(|(usual, others)| {
        let others = others.into_iter().map(|other| other.unwrap_or_else(|| usual.clone()));
        others.collect::<Vec<_>>()
    });
    let con_id = prop_oneof![9 => Just(PDB), 1 => Just(0)];
    (
        identity,
        (kind, server, con_id),
        texts,
        process,
        coordinator,
        lives,
        states,
    )
        .prop_map(
            |(
                (inst_id, sid, serial, logon),
                (kind, server, con_id),
                texts,
                (process, pga),
                coordinator,
                lives,
                states,
            )| {
                let (username, program, module, machine) = texts;
                Person {
                    inst_id,
                    sid,
                    serial,
                    logon,
                    kind,
                    username,
                    program,
                    module,
                    machine,
                    server,
                    process,
                    pga,
                    con_id,
                    coordinator,
                    lives,
                    states,
                }
            },
        )
}

pub(super) fn world() -> impl Strategy<Value = World> {
    let step = prop_oneof![6 => select(vec![20_i64, 60, 120, 240]), 1 => select(vec![301_i64, 1500, 3600])];
    let moments = vec((step, option::weighted(0.08, 1_i64..3)), 2..=SNAPSHOTS);
    let outcome = prop_oneof![
        8 => Just(Outcome::Done), 3 => Just(Outcome::Marked), 1 => Just(Outcome::Unknown), 1 => Just(Outcome::AlreadyGone),
        1 => Just(Outcome::NoLongerMatches), 1 => Just(Outcome::Refused), 1 => Just(Outcome::Failed),
    ];
    let fate = select(vec![
        Fate::Goes,
        Fate::Goes,
        Fate::Lingers,
        Fate::Lingers,
        Fate::Detached,
        Fate::LivesOn,
    ]);
    let instances = prop_oneof![Just(1_i64), Just(2_i64)];
    let people = vec(person(), 1..28);
    let shape = (prop::bool::weighted(0.3), instances, prop::bool::weighted(0.4));
    (people, moments, shape, vec((outcome, fate), 12)).prop_map(
        |(mut people, moments, (in_pdb, instances, alike), outcomes)| {
            if alike {
                people.iter_mut().enumerate().for_each(make_alike);
            }
            World {
                people,
                moments,
                in_pdb,
                instances,
                outcomes,
            }
        },
    )
}

/// Most of a pool: idle, and mostly logged in when the first snapshots are taken.
fn make_alike((number, person): (usize, &mut Person)) {
    person.sid = address(number);
    (person.kind, person.serial, person.username) = ("USER", Some(1), Some("APP"));
    (person.program, person.machine, person.module) = (Some("app@web01"), Some("web01"), None);
    for state in person.states.iter_mut().skip(number % 5) {
        (state.status, state.last_call, state.waits_for) = (Some("INACTIVE"), Some(4_000), None);
    }
}
