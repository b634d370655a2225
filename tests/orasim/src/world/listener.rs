//! The listener and the login: who may log in, to which instance, and as which session.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use super::client::{ClientSession, Setting};
use super::session::{Activity, Kind, Link, Who};
use super::{State, World};
use crate::backend::{Client, ConnectTo, Database, Hangup, Logon, OnAccept, OraError, Proof, Then};
use crate::error::{fatal, known, ora};
use crate::scenario::{Account, AccountStatus, Pinned, ProcessesFull, Scenario};
use crate::views::Viewer;
use crate::views::instance::{banner, parameters_in, parameters_of, unique_name, used_on};

impl Database for World {
    fn route(&self, to: &ConnectTo) -> Result<u32, OraError> {
        let state = self.shared.look();
        let scenario = &self.shared.scenario;
        let mut offered: Vec<u32> = state
            .instances
            .iter()
            .filter(|instance| instance.up)
            .map(|instance| instance.spec.number)
            .collect();
        if offered.is_empty() {
            return Err(known(12_514));
        }
        if let Some(name) = &to.service_name {
            let on = service_instances(scenario, name).ok_or_else(|| known(12_514))?;
            let place = service_place(scenario, name).and_then(|place| scenario.services.get(place as usize - 1));
            let con_id = place.and_then(|service| scenario.con_id(service.container.as_deref()));
            offered.retain(|number| on.as_ref().is_none_or(|on| on.contains(number)));
            offered.retain(|number| scenario.database.is_open(con_id.unwrap_or(0), *number));
            if offered.is_empty() {
                return Err(known(12_514));
            }
        }
        let named = |name: &String| {
            let instance = state
                .instances
                .iter()
                .find(|instance| instance.spec.name.eq_ignore_ascii_case(name));
            instance.map(|instance| instance.spec.number)
        };
        for name in [&to.instance_name, &to.sid].into_iter().flatten() {
            match named(name) {
                Some(number) if offered.contains(&number) => offered = vec![number],
                Some(_) => return Err(known(12_505)),
                // A single instance answers to the database's name as well.
                None if name.eq_ignore_ascii_case(&scenario.database.name) => {}
                None => return Err(known(12_505)),
            }
        }
        let service = to
            .service_name
            .as_deref()
            .and_then(|name| service_place(scenario, name))
            .unwrap_or(0);
        let load = |number: &u32| {
            state
                .sessions
                .range((*number, 0)..(number + 1, 0))
                .filter(|(_, sess)| sess.link.is_some())
                .count()
        };
        let least = offered
            .into_iter()
            .min_by_key(|number| (load(number), *number))
            .ok_or_else(|| known(12_514))?;
        // A listener that has been told that there is no room for another process refuses by itself.
        if scenario.database.processes_full == ProcessesFull::Listener && is_full(&state, scenario, least) {
            return Err(known(12_516));
        }
        Ok(least | service << 16)
    }

    fn password(&self, user: &str) -> Option<String> {
        let state = self.shared.look();
        state
            .accounts
            .get(&folded(user))
            .and_then(|known| known.account.password.clone())
    }

    fn logon(&self, route: u32, user: &str, proof: Proof, client: Client, hangup: Hangup) -> Result<Logon, OraError> {
        let scenario = &self.shared.scenario;
        let (instance, place) = (route & 0xffff, route >> 16);
        let chosen = place.checked_sub(1).and_then(|at| scenario.services.get(at as usize));
        let service = chosen.map_or_else(|| scenario.database.name.to_lowercase(), |service| service.name.clone());
        let container = scenario
            .con_id(chosen.and_then(|service| service.container.as_deref()))
            .unwrap_or(0);
        let mut state = self.shared.look();
        // An account of another container is not known here.
        let is_here = |state: &State, user: &str| {
            let known = state.accounts.get(user);
            known.is_some_and(|known| known.place.holds(container))
        };
        let name = folded(user);
        if !is_here(&state, &name) {
            return Err(fatal(1017));
        }
        let known_account = state.accounts.get(&name).ok_or_else(|| fatal(1017))?;
        let account = known_account.account.clone();
        let may_log_in = state.accounts.holds(&name, container, "CREATE SESSION");
        let warning = admit(&name, &account, proof, &client, may_log_in)?;
        let name = match &client.proxy_for {
            // Whoever logs in AS SYSDBA is SYS from then on (Administrator's Guide, Administrative Privileges).
            _ if client.sysdba => "SYS".to_owned(),
            None => name,
            Some(other) => through(&state, &name, folded(other), is_here)?,
        };
        let name = name.as_str();
        if state.instance(instance).is_none() {
            return Err(fatal(1033));
        }
        room(&state, scenario, (instance, container), name, &account)?;
        let (seat, serial) = state.log_in(scenario, (instance, container), name, &client, hangup, &service);
        let con_id = state.sessions.get(&seat).map_or(0, |sess| sess.con_id);
        let instance_name = state
            .instance(instance)
            .map(|it| it.spec.name.clone())
            .unwrap_or_default();
        drop(state);
        let setting = Setting {
            viewer: Viewer {
                seat,
                holder: seat,
                con_id,
                user: name.into(),
            },
            invoker: None,
            schema: name.to_owned(),
            date_model: "DD-MON-RR".into(),
            time_model: "DD-MON-RR HH.MI.SSXFF AM".into(),
            sysdba: client.sysdba,
            sysdate_shift: chosen
                .and_then(|service| service.sysdate_shift)
                .unwrap_or(scenario.database.sysdate_shift)
                .0,
        };
        let session = ClientSession::new(Arc::clone(&self.shared), seat, serial, setting);
        Ok(Logon {
            session: Box::new(session),
            sid: seat.1,
            serial,
            instance_name,
            db_name: scenario.database.name.clone(),
            db_unique_name: unique_name(scenario).to_owned(),
            service_name: service,
            version: scenario.release.0,
            banner: banner(scenario.release),
            warning,
        })
    }

    fn on_accept(&self, _peer: SocketAddr) -> OnAccept {
        self.shared.look().listener
    }
}

/// A name as the database spells it.
fn folded(user: &str) -> String {
    let quoted = user.strip_prefix('"').and_then(|user| user.strip_suffix('"'));
    quoted.map_or_else(|| user.to_uppercase(), str::to_owned)
}

/// The instances of a service: `None` for all of them.
fn service_instances(scenario: &Scenario, name: &str) -> Option<Option<Vec<u32>>> {
    // A service is known with and without the domain that the client appends.
    let bare = name.split('.').next().unwrap_or(name);
    let is = |known: &str| known.eq_ignore_ascii_case(name) || known.eq_ignore_ascii_case(bare);
    if is(&scenario.database.name) || is(unique_name(scenario)) {
        return Some(None);
    }
    scenario
        .services
        .iter()
        .find(|service| is(&service.name))
        .map(|service| service.instances.clone())
}

/// The place of a service in the scenario, counted from 1; the database's own has none.
fn service_place(scenario: &Scenario, name: &str) -> Option<u32> {
    let bare = name.split('.').next().unwrap_or(name);
    let place = scenario
        .services
        .iter()
        .position(|service| service.name.eq_ignore_ascii_case(name) || service.name.eq_ignore_ascii_case(bare))?;
    u32::try_from(place + 1).ok()
}

/// The account that a proxy becomes, if that account permits it.
fn through(
    state: &State,
    proxy: &str,
    target: String,
    is_here: impl Fn(&State, &str) -> bool,
) -> Result<String, OraError> {
    let known = state.accounts.get(&target).filter(|_| is_here(state, &target));
    let permits = |known: &super::accounts::Known| known.account.connect_through.contains(proxy);
    match known {
        None => Err(fatal(1017)),
        Some(known) if !permits(known) => Err(fatal(28150)),
        Some(_) => Ok(target),
    }
}

fn admit(
    name: &str,
    account: &Account,
    proof: Proof,
    client: &Client,
    may_log_in: bool,
) -> Result<Option<OraError>, OraError> {
    match (proof, account.status) {
        (_, AccountStatus::Locked) => return Err(fatal(28_000)),
        (Proof::Wrong, _) => return Err(fatal(1017)),
        (Proof::Right, AccountStatus::Expired) => return Err(fatal(28_001)),
        (Proof::Right, AccountStatus::Open | AccountStatus::Grace) => {}
    }
    if name == "SYS" && !client.sysdba {
        return Err(fatal(28_009));
    }
    // The password file does not know the others (Administrator's Guide, Using Password File Authentication).
    if client.sysdba && name != "SYS" && !account.sysdba {
        return Err(fatal(1017));
    }
    if !may_log_in {
        let error = ora(
            1045,
            format!("user {name} lacks CREATE SESSION privilege; logon denied"),
        );
        return Err(OraError {
            then: Then::SessionGone,
            ..error
        });
    }
    Ok((account.status == AccountStatus::Grace).then(|| known(28_002)))
}

/// A parameter as a number.
fn limit(parameters: &BTreeMap<String, String>, name: &str) -> i64 {
    parameters.get(name).and_then(|it| it.parse().ok()).unwrap_or(i64::MAX)
}

/// Whether an instance has as many processes as it may have.
fn is_full(state: &State, scenario: &Scenario, instance: u32) -> bool {
    used_on(state, instance, "processes") >= limit(&parameters_of(scenario), "processes")
}

/// Whether there is room for another session.
fn room(
    state: &State,
    scenario: &Scenario,
    (instance, container): (u32, u32),
    name: &str,
    account: &Account,
) -> Result<(), OraError> {
    if is_full(state, scenario, instance) {
        let processes = limit(&parameters_of(scenario), "processes");
        let text = format!("maximum number of processes ({processes}) exceeded");
        return Err(OraError {
            then: Then::SessionGone,
            ..ora(20, text)
        });
    }
    let on = |sess: &&super::Sess| sess.who.username.as_deref() == Some(name);
    let own = state.sessions.values().filter(on).count();
    if account.sessions_per_user.is_some_and(|most| own >= most) {
        return Err(fatal(2391));
    }
    if used_on(state, instance, "sessions") >= limit(&parameters_of(scenario), "sessions") {
        return Err(fatal(18));
    }
    let there = state
        .sessions
        .range((instance, 0)..(instance + 1, 0))
        .filter(|(_, sess)| sess.con_id == container)
        .count();
    if container > 2 && there as i64 >= limit(&parameters_in(scenario, container), "sessions") {
        return Err(fatal(18));
    }
    Ok(())
}

impl State {
    fn log_in(
        &mut self,
        scenario: &Scenario,
        (instance, container): (u32, u32),
        name: &str,
        client: &Client,
        hangup: Hangup,
        service: &str,
    ) -> ((u32, u32), u32) {
        let used = self.logins.entry(name.to_owned()).or_default();
        let pin = scenario
            .clients
            .iter()
            .filter(|pin| pin.user.eq_ignore_ascii_case(name))
            .nth(*used);
        *used += 1;
        let pinned = pin
            .filter(|pin| !self.sessions.contains_key(&(instance, pin.sid)))
            .map(|pin| Pinned {
                sid: pin.sid,
                serial: pin.serial,
            });
        let now = self.now;
        let some = |text: &str| (!text.is_empty()).then(|| Arc::<str>::from(text));
        let who = Who {
            username: Some(name.into()),
            schema: name.into(),
            osuser: some(&client.osuser),
            machine: some(&client.machine),
            terminal: some(&client.terminal),
            program: some(&client.program),
            process: some(&client.process),
            // Until the client says otherwise the module is the program.
            module: some(&client.program),
            service: service.into(),
            port: client.port,
            tls: client.tls,
            ..Who::default()
        };
        self.audsid += 1;
        let audsid = if name == "SYS" { u32::MAX } else { self.audsid };
        let link = Link {
            hangup,
            broken: false,
            deaf: false,
            post_transaction: false,
            doomed: false,
        };
        let sess = super::Sess {
            kind: Kind::User,
            audsid,
            user_number: super::user_number(name),
            con_id: container,
            activity: Activity::Idle { since: now },
            link: Some(link),
            ..self.blank(instance, who, now)
        };
        let seat = self.seat(scenario, instance, pinned, sess);
        let serial = self.sessions.get(&seat).map_or(0, |sess| sess.serial);
        (seat, serial)
    }
}
