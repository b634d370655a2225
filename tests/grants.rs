//! Every view that is needed, taken away in turn, over the wire with both drivers: what was not read is said, with its grant,
//! and nothing else is said to be missing.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::drivers::both::{on_both_drivers, target};
use orareaper::clock::SystemClock;
use orareaper::daemon::messages::{Needs, Polled};
use orareaper::daemon::poller::Poller;
use orareaper::daemon::reach::Reach;
use orareaper::oracle::access::{PolicyNeeds, VIEWS, needed};
use orareaper::oracle::{Driver, Error, Target};
use orareaper::policy::pressure::Resource;
use orareaper::session::column::{Column, Columns};
use orasim::{Scenario, Server, World};

const LIMIT: Duration = Duration::from_secs(20);

/// A cluster with containers, in which some session appears in each view.
const DATABASE: &str = "
release: 19.22.0.0.0
starts: 2026-11-23T14:00:00
speed: 0
database: {name: CDB, pdbs: [SHOP, DWH], open_on: {shop: [1]}}
instances:
  - {number: 1, name: cdb1, host: node1}
  - {number: 2, name: cdb2, host: node2}
accounts: {REAPER: {password: r}}
services: [{name: shop, container: SHOP}]
sessions:
  - {name: pool, user: SHOP, count: 3, container: SHOP, program: JDBC Thin Client, idle: 5h, temp: 2MB,
     transaction: {age: 5h, undo_records: 3}}
  - {name: load, user: DWH, container: DWH, program: load, active: 5h, px_servers: 1}
";

/// Neither containers nor another instance.
const ONE: &str = "
release: 19.22.0.0.0
starts: 2026-11-23T14:00:00
speed: 0
database: {name: PROD}
instances: [{number: 1, name: prod1, host: db1}]
accounts: {REAPER: {password: r}}
sessions:
  - {name: pool, user: SHOP, count: 3, program: JDBC Thin Client, idle: 5h, temp: 2MB, transaction: {age: 5h, undo_records: 3}}
";

/// All that policies can ask for.
fn everything() -> Columns {
    [
        Column::Pga,
        Column::Temp,
        Column::Cpu,
        Column::Container,
        Column::Undo,
        Column::TransactionStatus,
        Column::Blocking,
        Column::AccountStatus,
        Column::PxServers,
    ]
    .into_iter()
    .collect()
}

fn reach(target: Target) -> Reach {
    Reach {
        target,
        password: None,
        accounts: Arc::default(),
        via: None,
        leader: None,
        connector: None,
        connect_limit: LIMIT,
        call_limit: LIMIT,
        kill_limit: LIMIT,
    }
}

fn polled(driver: Driver, scenario: &str, service: &str) -> Result<Polled, Error> {
    let world = World::new(Scenario::parse(scenario).expect("the test's own scenario"));
    let server = Server::start(world, SocketAddr::from(([127, 0, 0, 1], 0))).expect("a free port");
    let reach = reach(target(driver, server.addr().port(), service, "reaper", "r"));
    let mut poller = Poller::new(reach, Arc::new(SystemClock::default()));
    let needs = Needs::all_sessions(everything(), Resource::ALL.to_vec());
    let polled = poller.poll(&needs).map(|polled| *polled);
    poller.close();
    polled
}

/// The scenario with every view but one granted.
fn without(scenario: &str, taken: &str) -> String {
    let left = VIEWS.iter().map(|view| view.name).filter(|name| *name != taken);
    let left: Vec<&str> = left.collect();
    let granted = format!("{{password: r, views: [{}]}}", left.join(", "));
    scenario.replacen("{password: r}", &granted, 1)
}

type Place = (&'static str, &'static str, &'static str);

const PLACES: [Place; 3] = [
    ("alone", ONE, "PROD"),
    ("root", DATABASE, "CDB"),
    ("PDB", DATABASE, "shop"),
];

/// The views that are needed there. While all of them can be read, there is no note.
fn needed_in(driver: Driver, (place, scenario, service): Place) -> Vec<&'static str> {
    let whole = polled(driver, scenario, service).unwrap_or_else(|error| panic!("{place}: {error}"));
    assert_eq!(whole.notes(), Vec::<String>::new(), "{place}");
    let asked = PolicyNeeds {
        columns: everything().union(orareaper::columns_needed::ALWAYS.into_iter().collect()),
        resources: &Resource::ALL,
        shape: whole.capabilities.shape(),
    };
    needed(&asked).iter().map(|view| view.name).collect()
}

/// The object that a right on the view is granted on.
fn object(view: &str) -> String {
    let dynamic = view.replacen("V$", "V_$", 1);
    dynamic.to_lowercase()
}

/// Takes each of the needed views away in turn: what is said names that one with its grant, and no other.
fn each_is_named(driver: Driver, place: Place) {
    let (_, scenario, service) = place;
    for view in needed_in(driver, place) {
        let grant = format!("GRANT SELECT ON sys.{} TO REAPER", object(view));
        let said = match polled(driver, &without(scenario, view), service) {
            // Without these there is nothing to look at.
            Err(error) if ["V$INSTANCE", "GV$INSTANCE", "GV$SESSION"].contains(&view) => vec![error.to_string()],
            Err(error) => panic!("{}, {view}: {error}", place.0),
            Ok(polled) => {
                let notes = polled.notes().into_iter();
                notes.filter(|note| note.contains("GRANT SELECT")).collect()
            }
        };
        assert!(
            said.len() == 1 && said[0].contains(&format!("read {view} from")) && said[0].contains(&grant),
            "{}, {view}: {said:#?}",
            place.0
        );
    }
}

#[test]
fn each_view_that_is_taken_away_is_named_with_its_grant_and_no_other() {
    on_both_drivers(|driver| each_is_named(driver, PLACES[0]));
}

#[test]
fn each_missing_view_is_named_in_the_root() {
    on_both_drivers(|driver| each_is_named(driver, PLACES[1]));
}

#[test]
fn each_missing_view_is_named_in_a_pdb() {
    on_both_drivers(|driver| each_is_named(driver, PLACES[2]));
}

#[test]
fn every_view_is_needed_somewhere() {
    let needed: Vec<&str> = PLACES
        .into_iter()
        .flat_map(|place| needed_in(Driver::Thin, place))
        .collect();
    for view in VIEWS {
        assert!(
            needed.contains(&view.name),
            "{} is taken away in no test here",
            view.name
        );
    }
}

/// While a view is missing without which a database cannot be read, each poll asks again over the same connection: a log-in for each
/// would fill the listener's log and the audit trail.
#[test]
fn a_missing_view_causes_no_login_at_each_poll() {
    on_both_drivers(|driver| {
        let scenario = without(ONE, "V$INSTANCE");
        let world = World::new(Scenario::parse(&scenario).expect("the test's own scenario"));
        let server = Server::start(world, SocketAddr::from(([127, 0, 0, 1], 0))).expect("a free port");
        let reach = reach(target(driver, server.addr().port(), "PROD", "reaper", "r"));
        let mut poller = Poller::new(reach, Arc::new(SystemClock::default()));
        let needs = Needs::default();
        for _ in 0..3 {
            let error = poller.poll(&needs).expect_err("a view is missing");
            assert!(error.to_string().contains("GRANT SELECT ON sys.v_$instance"), "{error}");
        }
        assert_eq!(server.stats().connections, 1);
        poller.close();
    });
}
