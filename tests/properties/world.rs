//! Random databases over time and random policies, as plain data that both the daemon and the reference understand.

use std::cell::RefCell;
use std::collections::HashSet;
use std::fmt::Write as _;
use std::sync::Arc;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use orareaper::columns_needed;
use orareaper::decide::cycle::CycleInput;
use orareaper::decide::in_force::{self, Arming, Due, EffectiveLimits, Here};
use orareaper::decide::protect::ProtectionFacts;
use orareaper::policy::check_files;
use orareaper::policy::model::PolicySet;
use orareaper::session::column::Column;
use orareaper::session::snapshot::{Cell, Instance, Snapshot, SnapshotClock, SnapshotSource, TransactionRow};
use orareaper::session::time::DbTime;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

/// The first snapshot's time.
pub(crate) const START: i64 = 1_800_000_000;
/// Snapshots further apart break holds.
pub(crate) const LONGEST_GAP: i64 = 300;
pub(crate) const MOST_SNAPSHOTS: usize = 9;

/// Who a session is, which never changes. No LOGON_TIME: it could not be read.
#[derive(Clone, Debug)]
pub(crate) struct Person {
    pub(crate) inst_id: i64,
    pub(crate) sid: i64,
    pub(crate) serial: i64,
    pub(crate) logon: Option<i64>,
    pub(crate) kind: Option<&'static str>,
    pub(crate) username: Option<&'static str>,
    pub(crate) program: &'static str,
    pub(crate) module: Option<&'static str>,
    pub(crate) machine: Option<&'static str>,
    /// The first snapshot that shows it and the first that does not any more.
    pub(crate) lives: (usize, usize),
    pub(crate) states: Vec<State>,
}

/// What changes from snapshot to snapshot.
#[derive(Clone, Debug)]
pub(crate) struct State {
    pub(crate) status: Option<&'static str>,
    pub(crate) last_call: Option<i64>,
    /// Its transaction, and that one's size if known.
    pub(crate) undo: Option<Option<i64>>,
    /// STATUS of that transaction.
    pub(crate) transaction_status: Option<&'static str>,
}

#[derive(Clone, Debug)]
pub(crate) struct Moment {
    /// Seconds since the one before.
    pub(crate) step: i64,
    pub(crate) partial: Option<i64>,
    pub(crate) missing: Option<Column>,
}

#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) people: Vec<Person>,
    pub(crate) moments: Vec<Moment>,
}

/// A policy as data; `text` writes it down.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    pub(crate) mode: &'static str,
    /// `INACTIVE longer than`, else any status.
    pub(crate) inactive: bool,
    pub(crate) longer_than: i64,
    /// `username in` these, or not in them.
    pub(crate) users: Option<(bool, Vec<&'static str>)>,
    /// `unless: module like`.
    pub(crate) unless_module: bool,
    /// Before and after the reload.
    pub(crate) hold: [i64; 2],
    pub(crate) per_cycle: Option<u32>,
    pub(crate) per_hour: Option<u32>,
    pub(crate) per_day: Option<u32>,
    pub(crate) share: Option<u32>,
    pub(crate) undo_records: Option<i64>,
    pub(crate) respawns: Option<u32>,
    /// At least how many, per what, and whether only those that match count.
    pub(crate) keep: Option<(u32, Vec<&'static str>, bool)>,
    pub(crate) allow: Vec<&'static str>,
}

#[derive(Clone, Debug)]
pub(crate) struct Rules {
    pub(crate) rules: Vec<Rule>,
    /// Whether a user is exempt.
    pub(crate) exemption: bool,
    /// The snapshot from which on the second `for:` is in force.
    pub(crate) reload_at: usize,
    pub(crate) limits: EffectiveLimits,
}

impl Rules {
    fn text(&self, phase: usize) -> String {
        let mut text = String::new();
        if self.exemption {
            text.push_str("exemptions: [{when: username = CRM and not INACTIVE, reason: month end, owner: dwh}]\n");
        }
        text.push_str("policies:\n");
        for (number, rule) in self.rules.iter().enumerate() {
            rule.write(number, phase, &mut text);
        }
        text
    }

    /// The set in force at a snapshot, through the daemon's own reader. It is read once: reading takes longer than deciding.
    pub(crate) fn set(&self, at: usize) -> Arc<PolicySet> {
        thread_local! {
            static READ: RefCell<Vec<(String, Arc<PolicySet>)>> = const { RefCell::new(Vec::new()) };
        }
        let text = self.text(usize::from(at >= self.reload_at));
        READ.with_borrow_mut(|read| {
            if let Some((_, set)) = read.iter().find(|(of, _)| *of == text) {
                return Arc::clone(set);
            }
            let set = checked(&text);
            // The two of the rules before these are not asked for again.
            read.truncate(1);
            read.insert(0, (text, Arc::clone(&set)));
            set
        })
    }
}

fn checked(text: &str) -> Arc<PolicySet> {
    let today = NaiveDate::from_ymd_opt(2027, 1, 15).expect("a day");
    let file = ("rules.yaml".to_owned(), text.to_owned().into_bytes());
    let loaded = check_files(&[file], today, chrono_tz::UTC);
    let problems: String = loaded.diagnostics.iter().map(|problem| problem.render(false)).collect();
    Arc::new(loaded.set.unwrap_or_else(|| panic!("{text}\n{problems}")))
}

impl Rules {
    /// Few limits but that on refills, so that many are taken.
    pub(crate) fn take_freely(&mut self) {
        (self.limits.per_hour, self.limits.per_day, self.limits.share) = (50, None, 100);
        for rule in &mut self.rules {
            (rule.hold, rule.users, rule.unless_module) = ([0, 0], None, false);
            (rule.per_hour, rule.per_day, rule.share) = (None, None, None);
        }
    }
}

impl Rule {
    fn write(&self, number: usize, phase: usize, text: &mut String) {
        let quantity = if self.inactive {
            "INACTIVE longer than"
        } else {
            "last_call_et >"
        };
        write!(text, "  - name: p{number}\n    mode: {}\n    action: kill\n", self.mode).expect("text");
        write!(text, "    when: {quantity} {}s", self.longer_than).expect("text");
        if let Some((within, users)) = &self.users {
            let not = if *within { "" } else { "not " };
            write!(text, " and username {not}in ({})", users.join(", ")).expect("text");
        }
        if self.unless_module {
            text.push_str("\n    unless: module like 'BATCH%'");
        }
        if self.hold[phase] > 0 {
            write!(text, "\n    for: {}s", self.hold[phase]).expect("text");
        }
        let limits = [
            self.per_cycle.map(|limit| format!("per_cycle: {limit}")),
            self.per_hour.map(|limit| format!("per_hour: {limit}")),
            self.per_day.map(|limit| format!("per_day: {limit}")),
            self.share.map(|limit| format!("share: {limit}%")),
            self.undo_records.map(|limit| format!("undo_records: {limit}")),
            self.respawns.map(|limit| format!("respawns: {limit}")),
        ];
        let limits: Vec<String> = limits.into_iter().flatten().collect();
        if !limits.is_empty() {
            write!(text, "\n    limits: {{{}}}", limits.join(", ")).expect("text");
        }
        if let Some((at_least, per, matching)) = &self.keep {
            let of = if *matching { ", of: matching" } else { "" };
            write!(
                text,
                "\n    keep: {{at_least: {at_least}, per: [{}]{of}}}",
                per.join(", ")
            )
            .expect("text");
        }
        if !self.allow.is_empty() {
            write!(text, "\n    allow: [{}]\n    reason: for a test", self.allow.join(", ")).expect("text");
        }
        text.push('\n');
    }
}

impl World {
    pub(crate) fn time(&self, at: usize) -> i64 {
        START + self.moments[..=at].iter().map(|moment| moment.step).sum::<i64>()
    }

    pub(crate) fn now(&self, at: usize) -> DateTime<Utc> {
        DateTime::from_timestamp(self.time(at), 0).expect("in range")
    }

    /// Who is shown, one for each seat.
    pub(crate) fn shown(&self, at: usize) -> Vec<usize> {
        let mut seats = Vec::new();
        let mut shown = Vec::new();
        for (number, person) in self.people.iter().enumerate() {
            let seat = (person.inst_id, person.sid);
            if person.lives.0 <= at && at < person.lives.1 && !seats.contains(&seat) {
                seats.push(seat);
                shown.push(number);
            }
        }
        shown
    }

    pub(crate) fn is_complete(&self, at: usize, inst_id: i64) -> bool {
        self.moments[at].partial != Some(inst_id)
    }

    pub(crate) fn has(&self, at: usize, column: Column) -> bool {
        self.moments[at].missing != Some(column)
    }

    /// A snapshot of these people, in this order.
    pub(crate) fn snapshot(&self, at: usize, people: &[usize], set: &PolicySet) -> Snapshot {
        let read: Vec<Column> = COLUMNS.into_iter().filter(|column| self.has(at, *column)).collect();
        let mut builder = Snapshot::builder(SnapshotSource::Live, &read);
        let mut transactions = Vec::new();
        for number in people {
            let person = &self.people[*number];
            let state = &person.states[at];
            let addr = format!("{:04X}", person.sid);
            if let Some(undo_records) = state.undo {
                let inst_id = u32::try_from(person.inst_id).expect("small");
                let addr = addr.clone();
                transactions.push(TransactionRow {
                    inst_id,
                    addr,
                    started: None,
                    undo_records,
                    status: state.transaction_status.map(str::to_owned),
                    ..TransactionRow::default()
                });
            }
            let text = |text: Option<&'static str>| text.map_or(Cell::Null, Cell::Text);
            let cells: Vec<Cell<'_>> = read
                .iter()
                .map(|column| {
                    let at = COLUMNS.iter().position(|known| known == column).expect("of the list");
                    [
                        Cell::Number(person.inst_id),
                        Cell::Number(person.sid),
                        Cell::Number(person.serial),
                        person.logon.map_or(Cell::Null, |logon| Cell::Time(DbTime(logon))),
                        text(person.kind),
                        text(person.username),
                        Cell::Text(person.program),
                        text(person.module),
                        text(person.machine),
                        text(state.status),
                        state.last_call.map_or(Cell::Null, Cell::Number),
                        if state.undo.is_some() {
                            Cell::Text(&addr)
                        } else {
                            Cell::Null
                        },
                        Cell::Text("DEDICATED"),
                    ][at]
                })
                .collect();
            builder.push_row(&cells).expect("few rows");
        }
        let instances = [1, 2].map(|inst_id| Instance {
            inst_id,
            name: format!("inst{inst_id}"),
            complete: self.is_complete(at, i64::from(inst_id)),
        });
        let clock = SnapshotClock {
            now: DbTime(self.time(at)),
            utc_offset: 0,
        };
        let mut joining = builder.finish(Some(clock), instances.to_vec());
        joining.join_transactions(&transactions);
        joining.finish(columns_needed::columns(set))
    }

    pub(crate) fn terms<'a>(
        &self,
        at: usize,
        (rules, here): &'a (in_force::DatabaseRules, Here),
        facts: &'a ProtectionFacts,
    ) -> CycleInput<'a> {
        CycleInput {
            rules,
            here,
            facts,
            now: self.now(at),
            unbroken: self.is_unbroken(at),
            read_in: TimeDelta::zero(),
            standstill: None,
            assume_held: false,
        }
    }

    pub(crate) fn is_unbroken(&self, at: usize) -> bool {
        at > 0 && self.moments[at].step <= LONGEST_GAP
    }
}

const COLUMNS: [Column; 13] = [
    Column::InstId,
    Column::Sid,
    Column::Serial,
    Column::LogonTime,
    Column::Type,
    Column::Username,
    Column::Program,
    Column::Module,
    Column::Machine,
    Column::Status,
    Column::LastCallEt,
    Column::Taddr,
    Column::Server,
];

pub(crate) fn facts() -> ProtectionFacts {
    ProtectionFacts {
        own_username: "REAPER".into(),
        ..ProtectionFacts::default()
    }
}

pub(crate) fn in_force(
    set: &Arc<PolicySet>,
    limits: EffectiveLimits,
    armed: bool,
    dry_run: bool,
) -> (in_force::DatabaseRules, Here) {
    let arming = Arming::of(armed, dry_run);
    let rules = in_force::DatabaseRules::of_policy_test("prod", arming, limits, chrono_tz::UTC, Arc::clone(set));
    let here = rules.configured(Due::Always);
    (rules, here)
}

fn state() -> impl Strategy<Value = State> {
    let status = prop_oneof![
        12 => Just(Some("INACTIVE")),
        2 => Just(Some("ACTIVE")),
        1 => Just(Some("SNIPED")),
        1 => Just(Some("KILLED")),
        1 => Just(None),
    ];
    let last_call = option::weighted(0.95, (0_i64..6, 0_i64..2).prop_map(|(steps, more)| steps * 600 + more));
    let undo = option::weighted(0.15, option::weighted(0.8, select(vec![0, 10, 11, 1000, 1001])));
    let transaction_status = prop_oneof![8 => Just(Some("ACTIVE")), 1 => Just(Some("PREPARED")), 1 => Just(None)];
    (status, last_call, undo, transaction_status).prop_map(|(status, last_call, undo, transaction_status)| State {
        status,
        last_call,
        undo,
        transaction_status,
    })
}

fn person() -> impl Strategy<Value = Person> {
    // Long ago, or while the snapshots are taken.
    let logon = prop_oneof![1 => 0_i64..2, 1 => (0_i64..40).prop_map(|halves| START + halves * 30)];
    let identity = (1_i64..3, 1_i64..9, 1_i64..3, option::weighted(0.97, logon));
    let kind = prop_oneof![15 => Just(Some("USER")), 1 => Just(Some("BACKGROUND")), 1 => Just(None)];
    let username = prop_oneof![
        8 => Just(Some("APP")), 3 => Just(Some("SHOP")), 3 => Just(Some("CRM")),
        1 => Just(Some("SYS")), 1 => Just(Some("REAPER")), 1 => Just(None),
    ];
    let program = prop_oneof![
        12 => Just("app@web01"), 1 => Just("rman@bkp01"), 1 => Just("oracle@db1 (PMON)"), 1 => Just("oracle@db1 (J001)"),
    ];
    let module = prop_oneof![3 => Just(None), 2 => Just(Some("BATCH7")), 5 => Just(Some("WEB"))];
    let machine = select(vec![None, Some("web01"), Some("web02")]);
    let lives = prop_oneof![
        3 => Just((0, MOST_SNAPSHOTS)),
        1 => (0..MOST_SNAPSHOTS, 1..=MOST_SNAPSHOTS),
    ];
    // Mostly the same from snapshot to snapshot, or nothing would ever hold for long.
    let states = (state(), vec(option::weighted(0.2, state()), MOST_SNAPSHOTS)).prop_map(|(usual, others)| {
        others
            .into_iter()
            .map(|other| other.unwrap_or_else(|| usual.clone()))
            .collect::<Vec<_>>()
    });
    (identity, kind, username, program, (module, machine), lives, states).prop_map(
        |((inst_id, sid, serial, logon), kind, username, program, (module, machine), lives, states)| Person {
            inst_id,
            sid,
            serial,
            logon,
            kind,
            username,
            program,
            module,
            machine,
            lives,
            states,
        },
    )
}

fn moment() -> impl Strategy<Value = Moment> {
    let step =
        prop_oneof![6 => select(vec![20_i64, 60, 120, 240]), 1 => select(vec![300_i64, 301, 1500, 3600, 86_400])];
    let missing = select(vec![
        Column::Module,
        Column::Machine,
        Column::Status,
        Column::Taddr,
        Column::Type,
    ]);
    (step, option::weighted(0.1, 1_i64..3), option::weighted(0.08, missing))
        .prop_map(|(step, partial, missing)| Moment { step, partial, missing })
}

pub(crate) fn world() -> impl Strategy<Value = World> {
    (vec(person(), 1..26), vec(moment(), 2..MOST_SNAPSHOTS)).prop_map(|(mut people, moments)| {
        // Nobody is there twice.
        let mut known = HashSet::new();
        people.retain(|person| known.insert((person.inst_id, person.sid, person.serial, person.logon)));
        World { people, moments }
    })
}

/// One where nearly everybody is alike, has a seat of their own, is idle for long, and logged in shortly before they are
/// first seen.
pub(crate) fn refilling() -> impl Strategy<Value = World> {
    let logins = vec((0_i64..400, 0_u8..8), 26);
    (world(), logins).prop_map(|(mut world, logins)| {
        for (number, (person, (ago, odd))) in world.people.iter_mut().zip(logins).enumerate() {
            let first = START
                + world
                    .moments
                    .iter()
                    .take(person.lives.0 + 1)
                    .map(|it| it.step)
                    .sum::<i64>();
            person.sid = number as i64 + 1;
            person.kind = Some("USER");
            person.program = "app@web01";
            person.username = Some(if odd == 0 { "SHOP" } else { "APP" });
            person.machine = if odd == 1 { None } else { Some("web01") };
            person.logon = Some(first - ago);
            for state in person.states.iter_mut().filter(|_| odd != 2) {
                (state.status, state.last_call) = (Some("INACTIVE"), Some(4000));
            }
        }
        world
    })
}

fn rule(modes: Vec<&'static str>) -> impl Strategy<Value = Rule> {
    let users = option::weighted(
        0.5,
        (any::<bool>(), subsequence(vec!["APP", "SHOP", "CRM", "SYS"], 1..3)),
    );
    let condition = (
        any::<bool>(),
        (0_i64..4).prop_map(|steps| steps * 600),
        users,
        any::<bool>(),
    );
    let seconds = || prop_oneof![2 => Just(0_i64), 3 => select(vec![60_i64, 120, 240])];
    let hold = prop_oneof![2 => seconds().prop_map(|hold| [hold, hold]), 1 => (seconds(), seconds()).prop_map(|(one, two)| [one, two])];
    let budget = || option::weighted(0.3, 1_u32..4);
    let bounds = (
        option::weighted(0.5, select(vec![1_u32, 20, 50, 100])),
        option::weighted(0.3, select(vec![0_i64, 10, 1000])),
    );
    let respawns = option::weighted(0.3, 1_u32..3);
    let keep = option::weighted(
        0.3,
        (1_u32..4, subsequence(vec!["username", "machine"], 1..3), any::<bool>()),
    );
    let allow = prop_oneof![3 => Just(vec![]), 1 => subsequence(vec!["backup", "sys", "undo", "jobs", "xa"], 1..5)];
    let limits = (budget(), budget(), budget(), bounds, respawns);
    (select(modes), condition, hold, limits, keep, allow).prop_map(
        |(mode, (inactive, longer_than, users, unless_module), hold, limits, keep, allow)| {
            let (per_cycle, per_hour, per_day, (share, undo_records), respawns) = limits;
            Rule {
                mode,
                inactive,
                longer_than,
                users,
                unless_module,
                hold,
                per_cycle,
                per_hour,
                per_day,
                share,
                undo_records,
                respawns,
                keep,
                allow,
            }
        },
    )
}

pub(crate) fn rules(modes: Vec<&'static str>) -> impl Strategy<Value = Rules> {
    let limits = (
        1_u32..7,
        1_u32..9,
        option::weighted(0.3, 1_u32..9),
        select(vec![1_u32, 20, 50, 100]),
        select(vec![10_u64, 100_000]),
        1_u32..4,
    );
    let limits = limits.prop_map(
        |(per_cycle, per_hour, per_day, share, undo_records, respawns)| EffectiveLimits {
            per_cycle,
            per_hour,
            per_day,
            share,
            undo_records,
            respawns,
            parallel: 2,
        },
    );
    (vec(rule(modes), 1..4), any::<bool>(), 0..MOST_SNAPSHOTS, limits).prop_map(
        |(rules, exemption, reload_at, limits)| Rules {
            rules,
            exemption,
            reload_at,
            limits,
        },
    )
}
