//! Creates sessions: from the scenario at its start, by its events later, and when a real client logs in.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rand::Rng;

use super::session::{Activity, Kind, Parallel, Seat, Sess, Txn, Who, mix, sql_id};
use super::{Instance, State, said};
use crate::clock::Moment;
use crate::scenario::{Background, Group, Pinned, Scenario, Server, TransactionSpec, TransactionStatus, Wait};

const BACKGROUND: [&str; 34] = [
    "PMON", "CLMN", "PSP0", "VKTM", "GEN0", "MMAN", "GEN1", "DIAG", "OFSD", "DBRM", "VKRM", "SVCB", "PMAN", "DIA0",
    "DBW0", "DBW1", "LGWR", "CKPT", "LG00", "SMON", "LG01", "SMCO", "RECO", "W000", "LREG", "MMON", "MMNL", "W001",
    "TMON", "TT00", "ARC0", "ARC1", "CJQ0", "QM02",
];
const CLUSTER: [&str; 12] = [
    "LMON", "LMD0", "LMS0", "LMS1", "LMHB", "LCK0", "LCK1", "RMS0", "ACMS", "ASMB", "RSMN", "PING",
];

/// How a session is made, once the group and the seat are known.
struct Place {
    instance: u32,
    /// What of its ages has passed before the present: all of it at the scenario's start, nothing for a newcomer.
    aged: bool,
}

impl State {
    pub(super) fn populate(&mut self, scenario: &Scenario) {
        for number in self
            .instances
            .iter()
            .map(|instance| instance.spec.number)
            .collect::<Vec<_>>()
        {
            self.start_background(scenario, number);
        }
        for group in 0..scenario.sessions.len() {
            if !scenario.sessions[group].later {
                self.spawn_group(scenario, group, true);
            }
        }
        for (index, event) in scenario.events.iter().enumerate() {
            self.later(event.at.0, super::Due::Event(index));
        }
    }

    pub(super) fn start_background(&mut self, scenario: &Scenario, number: u32) {
        let Some(instance) = self.instance(number) else { return };
        if instance.spec.background == Background::None {
            return;
        }
        let startup = instance.startup;
        let host = instance.spec.host.clone();
        let cluster = if scenario.instances.len() > 1 {
            CLUSTER.as_slice()
        } else {
            &[]
        };
        let rac_wait = Arc::new(Wait {
            event: "rdbms ipc message".into(),
            class: "Idle".into(),
        });
        for name in BACKGROUND.iter().chain(cluster) {
            let host: Arc<str> = host.as_str().into();
            let who = Who {
                schema: "SYS".into(),
                osuser: Some("oracle".into()),
                machine: Some(Arc::clone(&host)),
                terminal: Some("UNKNOWN".into()),
                program: Some(format!("oracle@{host} ({name})").into()),
                service: "SYS$BACKGROUND".into(),
                ..Who::default()
            };
            let sess = Sess {
                kind: Kind::Background,
                pname: Some((*name).into()),
                logon: startup + 4_000,
                activity: Activity::Busy { since: startup + 4_000 },
                wait: Some(Arc::clone(&rac_wait)),
                ..self.blank(number, who, startup)
            };
            self.seat(scenario, number, None, sess);
        }
    }

    /// A session without anything of its own yet.
    pub(super) fn blank(&mut self, number: u32, who: Who, logon: Moment) -> Sess {
        let (pid, spid) = self.process(number);
        Sess {
            serial: 0,
            audsid: 0,
            pid,
            spid,
            kind: Kind::User,
            pname: None,
            who,
            user_number: 0,
            con_id: 0,
            server: Server::Dedicated,
            logon,
            activity: Activity::Idle { since: logon },
            parked: None,
            sql: None,
            previous_sql: None,
            command: 0,
            wait: None,
            txn: None,
            suspended: None,
            blocked: None,
            parallel: None,
            pga: 3 << 20,
            temp: 0,
            mark: None,
            link: None,
            origin: None,
        }
    }

    fn process(&mut self, number: u32) -> (u32, u32) {
        let Some(instance) = self
            .instances
            .iter_mut()
            .find(|instance| instance.spec.number == number)
        else {
            return (0, 0);
        };
        instance.next_pid += 1;
        instance.next_spid += 3;
        (instance.next_pid, instance.next_spid)
    }

    pub(super) fn spawn_group(&mut self, scenario: &Scenario, group: usize, aged: bool) {
        for slot in 0..scenario.sessions[group].count {
            self.spawn(scenario, group, slot, aged);
        }
    }

    /// Makes one session of a group.
    pub(super) fn spawn(&mut self, scenario: &Scenario, index: usize, slot: u32, aged: bool) {
        let group = &scenario.sessions[index];
        let con_id = scenario.con_id(group.container.as_deref()).unwrap_or(0);
        let open = |number: &u32| scenario.database.is_open(con_id, *number);
        let mut numbers: Vec<u32> = match &group.instances {
            Some(numbers) => numbers.clone(),
            None => scenario.instances.iter().map(|instance| instance.number).collect(),
        };
        numbers.retain(open);
        if numbers.is_empty() {
            return;
        }
        let instance = numbers[slot as usize % numbers.len()];
        if self.instance(instance).is_none() {
            return;
        }
        let pinned = group.pinned.filter(|_| slot == 0 && aged);
        let place = Place { instance, aged };
        let mut sess = self.make(scenario, (index, slot), &place);
        if let Some((pid, spid)) = self.roomy_process(index, instance, group.sessions_per_process) {
            (sess.pid, sess.spid) = (pid, spid);
        }
        let seat = self.seat(scenario, instance, pinned, sess);
        for number in 1..=group.px_servers {
            self.spawn_parallel(scenario, seat, (number, group), aged);
        }
    }

    /// The server process of a session of the group that may serve one more.
    fn roomy_process(&self, group: usize, instance: u32, most: u32) -> Option<(u32, u32)> {
        if most < 2 {
            return None;
        }
        let mut served: BTreeMap<(u32, u32), u32> = BTreeMap::new();
        for (_, sess) in self.sessions.range((instance, 0)..(instance + 1, 0)) {
            if sess.origin.is_some_and(|(of, _)| of == group) {
                *served.entry((sess.pid, sess.spid)).or_default() += 1;
            }
        }
        served
            .into_iter()
            .find(|(_, count)| *count < most)
            .map(|(process, _)| process)
    }

    fn make(&mut self, scenario: &Scenario, (index, slot): (usize, u32), place: &Place) -> Sess {
        let group = &scenario.sessions[index];
        let now = self.now;
        let past = |drawn: i64| if place.aged { drawn } else { 0 };
        let activity = self.activity(group, place.aged);
        let oldest = match activity {
            Activity::Idle { since } | Activity::Busy { since } => now - since,
            Activity::Cycle { .. } => 0,
        };
        let logged_on = past(group.logged_on.draw(&mut self.rng)).max(oldest);
        let who = who(scenario, group, slot, place.instance);
        let txn = group.transaction.map(|spec| self.transaction(spec, place.aged));
        let suspended = group
            .suspended_transaction
            .map(|spec| self.transaction(spec, place.aged));
        let pga = group.pga.draw(&mut self.rng);
        let temp = group.temp.draw(&mut self.rng);
        let drawn = self.rng.random::<u64>();
        self.audsid += 1;
        let started = txn
            .iter()
            .chain(&suspended)
            .map(|txn| txn.start)
            .min()
            .unwrap_or(i64::MAX);
        let sql = group.sql_id.as_deref().map_or_else(|| sql_id(drawn), Arc::from);
        let blocked = group
            .blocked_by
            .as_deref()
            .and_then(|blocker| self.blocker(scenario, blocker));
        let since = activity.at(now).since;
        Sess {
            audsid: self.audsid,
            user_number: user_number(&group.user),
            con_id: scenario.con_id(group.container.as_deref()).unwrap_or(0),
            server: group.server,
            activity,
            parked: group.parked,
            sql: Some(Arc::clone(&sql)),
            previous_sql: Some(sql),
            command: 3,
            wait: group.wait.clone().map(Arc::new),
            txn,
            suspended,
            pname: pname_of(who.program.as_deref()),
            blocked: blocked.map(|blocker| (blocker, since)),
            pga,
            temp,
            origin: Some((index, slot)),
            ..self.blank(place.instance, who, (now - logged_on).min(started))
        }
    }

    fn activity(&mut self, group: &Group, aged: bool) -> Activity {
        let now = self.now;
        let past = |drawn: i64| if aged { drawn } else { 0 };
        if let Some(active) = group.active {
            return Activity::Busy {
                since: now - past(active.draw(&mut self.rng)),
            };
        }
        match group.cycle {
            Some(cycle) => {
                let period = (cycle.busy.draw(&mut self.rng) + cycle.idle.draw(&mut self.rng)).max(2);
                let salt = self.rng.random::<u64>();
                let phase = i64::try_from(mix(salt, 0) % period.unsigned_abs()).unwrap_or(0);
                Activity::Cycle {
                    anchor: now - phase,
                    period,
                    busy: (cycle.busy.low, cycle.busy.high),
                    salt,
                }
            }
            None => Activity::Idle {
                since: now - past(group.idle.map_or(0, |idle| idle.draw(&mut self.rng))),
            },
        }
    }

    fn transaction(&mut self, spec: TransactionSpec, aged: bool) -> Txn {
        let records = spec.undo_records.draw(&mut self.rng);
        let blocks = spec
            .undo_blocks
            .map_or(records / 40 + 1, |blocks| blocks.draw(&mut self.rng));
        let age = if aged { spec.age.draw(&mut self.rng) } else { 0 };
        let opened = self.open_transaction(self.now - age, records, blocks);
        Txn {
            status: spec.status,
            ..opened
        }
    }

    /// A new transaction, with an identity that no other has.
    pub(super) fn open_transaction(&mut self, start: Moment, undo_records: i64, undo_blocks: i64) -> Txn {
        self.transactions += 1;
        let n = self.transactions;
        Txn {
            start,
            undo_records,
            undo_blocks,
            usn: 1 + n % 10,
            slot: n % 48,
            sequence: 8_000 + n,
            parent: None,
            status: TransactionStatus::Active,
            rollback: None,
        }
    }

    fn blocker(&self, scenario: &Scenario, name: &str) -> Option<Seat> {
        let group = scenario.sessions.iter().position(|group| group.name == name)?;
        self.sessions
            .iter()
            .find(|(_, sess)| sess.origin.is_some_and(|(of, _)| of == group))
            .map(|(seat, _)| *seat)
    }

    fn spawn_parallel(&mut self, scenario: &Scenario, coordinator: Seat, (number, group): (u32, &Group), aged: bool) {
        let txn = group.px_transaction.map(|spec| self.transaction(spec, aged));
        let Some(host) = self.instance(coordinator.0).map(|instance| instance.spec.host.clone()) else {
            return;
        };
        let Some(master) = self.sessions.get_mut(&coordinator) else {
            return;
        };
        let part = |number| Parallel {
            coordinator,
            coordinator_serial: master.serial,
            number,
            degree: group.px_servers,
        };
        let parent = master.txn.as_ref().map(|txn| (txn.usn, txn.slot, txn.sequence));
        let txn = txn.map(|txn| Txn { parent, ..txn });
        let (own, served) = (part(0), part(number));
        master.parallel = Some(own);
        let who = Who {
            program: Some(format!("oracle@{host} (P{:03})", number - 1).into()),
            machine: Some(host.into()),
            osuser: Some("oracle".into()),
            process: None,
            ..master.who.clone()
        };
        let (audsid, user, con_id, activity) = (master.audsid, master.user_number, master.con_id, master.activity);
        let (sql, logon) = (master.sql.clone(), master.logon);
        let since = activity.at(self.now).since;
        let sess = Sess {
            audsid,
            user_number: user,
            con_id,
            activity,
            sql: sql.clone(),
            previous_sql: sql,
            command: 3,
            pname: Some(format!("P{:03}", number - 1).into()),
            parallel: Some(served),
            txn,
            wait: Some(Arc::new(Wait {
                event: "direct path read temp".into(),
                class: "User I/O".into(),
            })),
            ..self.blank(coordinator.0, who, since.max(logon))
        };
        self.seat(scenario, coordinator.0, None, sess);
    }

    /// Gives a session a seat and a SERIAL#.
    pub(super) fn seat(&mut self, scenario: &Scenario, number: u32, pinned: Option<Pinned>, mut sess: Sess) -> Seat {
        let taken: BTreeSet<u32> = scenario
            .clients
            .iter()
            .map(|pin| pin.sid)
            .chain(
                scenario
                    .sessions
                    .iter()
                    .filter_map(|group| group.pinned.map(|pinned| pinned.sid)),
            )
            .collect();
        let seed = scenario.seed;
        let Some(instance) = self
            .instances
            .iter_mut()
            .find(|instance| instance.spec.number == number)
        else {
            unreachable!("a session is only made on an instance that exists")
        };
        let sid = match pinned {
            Some(pinned) => pinned.sid,
            None => loop {
                let sid = instance.sid();
                if !taken.contains(&sid) && !self.sessions.contains_key(&(number, sid)) {
                    break sid;
                }
            },
        };
        sess.serial = match pinned {
            Some(pinned) => pinned.serial,
            None => instance.serial(sid, seed),
        };
        instance.serials.insert(sid, sess.serial);
        self.sessions.insert((number, sid), sess);
        (number, sid)
    }
}

impl Instance {
    fn sid(&mut self) -> u32 {
        self.free.pop().unwrap_or_else(|| {
            self.next_sid += 1;
            self.next_sid
        })
    }

    /// The next SERIAL# of a seat: a small counter that wraps, like Oracle's.
    pub(super) fn serial(&self, sid: u32, seed: u64) -> u32 {
        match self.serials.get(&sid) {
            Some(last) => (last + 2) % 65_536 + u32::from(*last >= 65_534),
            None => 1 + (mix(seed ^ u64::from(self.spec.number) << 32, u64::from(sid)) % 60_000) as u32,
        }
    }
}

/// PNAME of a server process, by the end of its PROGRAM: `oracle@host (J000)`.
fn pname_of(program: Option<&str>) -> Option<Arc<str>> {
    let (_, name) = program?.strip_prefix("oracle@")?.strip_suffix(')')?.rsplit_once(" (")?;
    let plain = (2..=5).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
    plain.then(|| name.into())
}

/// DBA_USERS.USER_ID, the same for a name each time.
pub(crate) fn user_number(name: &str) -> u32 {
    match name {
        "SYS" => 0,
        "PUBLIC" => 1,
        "SYSTEM" => 9,
        "DBSNMP" => 54,
        _ => {
            100 + name
                .bytes()
                .fold(7_u32, |hash, byte| (hash * 31 + u32::from(byte)) % 900)
        }
    }
}

fn who(scenario: &Scenario, group: &Group, slot: u32, number: u32) -> Who {
    let instance = scenario.instances.iter().find(|instance| instance.number == number);
    let host = instance.map_or("", |instance| instance.host.as_str());
    let machine = match group.machines.as_slice() {
        [] => host,
        machines => &machines[slot as usize % machines.len()],
    };
    let n = slot + 1;
    let fill = |text: &str| -> Arc<str> {
        if !text.contains('{') {
            return text.into();
        }
        said::with_bytes(text)
            .replace("{host}", host)
            .replace("{machine}", machine)
            .replace("{nnn}", &format!("{n:03}"))
            .replace("{nn}", &format!("{n:02}"))
            .replace("{n}", &n.to_string())
            .into()
    };
    let maybe = |text: &Option<String>| text.as_deref().map(fill);
    Who {
        username: Some(group.user.as_str().into()),
        schema: if group.user == "PUBLIC" {
            "SYS".into()
        } else {
            group.user.as_str().into()
        },
        osuser: Some(fill(&group.osuser)),
        machine: Some(fill(machine)),
        terminal: Some(maybe(&group.terminal).unwrap_or_else(|| "unknown".into())),
        program: Some(fill(&group.program)),
        process: Some(if group.program.starts_with("JDBC") {
            "1234".into()
        } else {
            (20_000 + slot * 7).to_string().into()
        }),
        module: maybe(&group.module).or_else(|| Some(fill(&group.program))),
        action: maybe(&group.action),
        client_info: maybe(&group.client_info),
        client_identifier: maybe(&group.client_identifier),
        service: group
            .service
            .as_deref()
            .map_or_else(|| scenario.database.name.to_lowercase().into(), Arc::from),
        port: 40_000 + (slot % 20_000) as u16,
        tls: false,
    }
}
