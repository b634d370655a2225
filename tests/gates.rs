//! What the daemon reads from a container database over the real wire protocol: each resource with its own limit, and no age from
//! dates of different clocks.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::drivers::both::{on_both_drivers, target};
use orareaper::clock::SystemClock;
use orareaper::daemon::messages::{Needs, Polled};
use orareaper::daemon::poller::Poller;
use orareaper::daemon::reach::Reach;
use orareaper::oracle::Driver;
use orareaper::policy::pressure::{Resource, Threshold};
use orareaper::session::column::Column;
use orasim::{Scenario, Server, World};

const LIMIT: Duration = Duration::from_secs(20);

const CONTAINERS: &str = "
release: 19.22.0.0.0
starts: 2026-11-23T14:00:00
speed: 0
database: {name: CDB, pdbs: [SHOP, DWH], open_on: {shop: [1]}}
instances:
  - {number: 1, name: cdb1, host: node1}
  - {number: 2, name: cdb2, host: node2}
accounts: {REAPER: {password: r}, C##REAPER: {password: r}}
services:
  - {name: shop, container: SHOP}
  - {name: elsewhere, container: DWH, sysdate_shift: 5h30m}
parameters: {processes: '200', sessions: '320'}
pdb_parameters: {SHOP: {sessions: '40'}}
tablespaces:
  - {name: TEMP, contents: temporary, container: SHOP, size: 4GB, grows_to: 40GB}
sessions:
  - {name: pool, user: SHOP, count: 5, container: SHOP, program: JDBC Thin Client, idle: 5h, temp: 2GB}
";

fn polled(driver: Driver, scenario: &str, user: &str, service: &str) -> Polled {
    let world = World::new(Scenario::parse(scenario).expect("the test's own scenario"));
    let free = SocketAddr::from(([127, 0, 0, 1], 0));
    let server = Server::start(world, free).expect("a free port");
    let reach = Reach {
        target: target(driver, server.addr().port(), service, user, "r"),
        password: None,
        accounts: Arc::default(),
        via: None,
        leader: None,
        connector: None,
        connect_limit: LIMIT,
        call_limit: LIMIT,
        kill_limit: LIMIT,
    };
    let mut poller = Poller::new(reach, Arc::new(SystemClock::default()));
    let needs = Needs::all_sessions(
        [Column::Connected, Column::Idle, Column::Temp].into_iter().collect(),
        Resource::ALL.to_vec(),
    );
    let polled = poller.poll(&needs).unwrap_or_else(|error| panic!("{error}"));
    poller.close();
    *polled
}

#[test]
fn a_pdb_is_measured_by_what_is_its_own() {
    on_both_drivers(|driver| {
        let polled = polled(driver, CONTAINERS, "reaper", "shop");
        let instances: Vec<u32> = polled.snapshot.instances().iter().map(|one| one.inst_id).collect();
        assert_eq!(instances, [1], "the PDB is closed on the other instance");
        let of = |resource| polled.readings.get(1, resource).expect("is read");
        // Five of the pool and the reaper; none of the CDB's background processes, which are seen too.
        let own = of(Resource::Sessions);
        assert!((6..=7).contains(&own.used) && own.limit == Some(40), "{own:?}");
        assert!(polled.snapshot.rows() > 12, "background processes are seen");
        // 10 GB of 40 that the files may grow to, not of 4.
        assert_eq!(of(Resource::Temp).limit, Some(40 << 30));
        assert_eq!(of(Resource::Temp).used, 10 << 30);
        let why = |resource| polled.readings.why_unknown(resource, Threshold::Percent(80)).is_some();
        assert!(why(Resource::Processes) && why(Resource::Transactions) && why(Resource::HostCpu));
        assert_eq!(polled.notes(), Vec::<String>::new(), "every view can be read");
    });
}

#[test]
fn ages_are_unknown_where_sysdate_is_of_another_clock() {
    on_both_drivers(|driver| {
        let usual = polled(driver, CONTAINERS, "reaper", "shop");
        assert!(usual.snapshot.has(Column::Connected));
        let behind = CONTAINERS.replace("open_on:", "sysdate_shift: -9h, open_on:");
        let fixed = CONTAINERS.replace("open_on:", "fixed_date: '2026-11-23T14:00:00', open_on:");
        let places = [
            (CONTAINERS, "elsewhere", "ahead"),
            (&behind, "shop", "behind"),
            (&fixed, "shop", "FIXED_DATE"),
        ];
        for (scenario, service, why) in places {
            let polled = polled(driver, scenario, "reaper", service);
            assert!(!polled.snapshot.has(Column::Connected), "{why}");
            assert!(
                polled.snapshot.has(Column::Idle),
                "{why}: LAST_CALL_ET is counted in seconds"
            );
            assert!(polled.notes()[0].contains(why), "{:?}", polled.notes());
        }
    });
}
