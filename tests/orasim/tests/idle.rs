//! The limits on idle sessions, and what their clients are told.

use std::sync::Arc;
use std::time::Duration;

use orasim::backend::{ConnectTo, OraError, Then};
use orasim::local::{Local, shown};
use orasim::{Scenario, World};

/// LIMITS is replaced by what a test is about.
const WORLD: &str = "
release: 19.22.0.0.0
starts: 2026-11-23T14:00:00
speed: 0
database: {name: TEST, pdbs: [SHOP]}
instances:
  - {number: 1, name: test1, host: node1}
accounts:
  WATCH: {password: w}
  CLERK: {password: c}
  LIMITED: {password: l, idle_time: 15}
  SYS: {password: s}
services:
  - {name: shop, container: SHOP}
sessions:
  - {name: forgotten, user: SHOP, program: app, idle: 14m}
LIMITS
";

fn world(limits: &str) -> Arc<World> {
    World::new(Scenario::parse(&WORLD.replace("LIMITS", limits)).expect("the test's own scenario"))
}

fn log_in(world: &Arc<World>, user: &str) -> Local {
    let mut client = Local::connect(world, user, &ConnectTo::default()).expect("log in");
    assert_eq!(asks(&mut client), (0, Then::Continue));
    client
}

/// A call of the client's: the number of the error, 0 for none, and what becomes of the connection.
fn asks(client: &mut Local) -> (u32, Then) {
    let answer = client.run("SELECT 1 FROM dual");
    answer.map_or_else(|OraError { code, then, .. }| (code, then), |_| (0, Then::Continue))
}

fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(60 * minutes)
}

fn status(world: &World, client: &Local) -> Option<&'static str> {
    world.session(1, client.sid).map(|session| session.status)
}

fn sessions_of(world: &World, user: &str) -> usize {
    let sessions = world.sessions();
    sessions
        .iter()
        .filter(|session| session.username.as_deref() == Some(user))
        .count()
}

#[test]
fn a_profile_snipes_who_is_idle_and_tells_it_at_its_next_call() {
    let world = world("");
    let (mut limited, mut busy, mut clerk) = (
        log_in(&world, "LIMITED"),
        log_in(&world, "LIMITED"),
        log_in(&world, "CLERK"),
    );
    let profile = "SELECT p.limit FROM dba_profiles p, dba_users u WHERE u.username = 'LIMITED' AND p.profile = u.profile AND \
                   p.resource_name = 'IDLE_TIME'";
    assert_eq!(shown(&clerk.run(profile).expect("a row").rows[0][0]), "15");
    world.advance(minutes(10));
    assert_eq!(asks(&mut busy), (0, Then::Continue));
    world.advance(minutes(6));
    assert_eq!(status(&world, &limited), Some("SNIPED"));
    assert_eq!(status(&world, &busy), Some("INACTIVE"));
    assert_eq!(sessions_of(&world, "LIMITED"), 2, "it keeps its place");
    assert_eq!(asks(&mut limited), (2396, Then::SessionGone));
    assert_eq!(sessions_of(&world, "LIMITED"), 1);
    assert_eq!(asks(&mut busy), (0, Then::Continue));
    world.advance(minutes(600));
    assert_eq!(asks(&mut clerk), (0, Then::Continue), "no profile limits it");
}

#[test]
fn an_instance_ends_who_is_idle_for_longer_than_max_idle_time() {
    let world = world("parameters: {max_idle_time: 15}");
    let (mut idle, mut busy) = (log_in(&world, "CLERK"), log_in(&world, "WATCH"));
    assert_eq!(sessions_of(&world, "SHOP"), 1);
    for _ in 0..4 {
        world.advance(minutes(4));
        assert_eq!(asks(&mut busy), (0, Then::Continue));
    }
    assert_eq!(status(&world, &idle), None);
    assert_eq!(sessions_of(&world, "SHOP"), 0, "scripted sessions too");
    assert_eq!(asks(&mut idle), (3113, Then::Cut));
}

#[test]
fn a_pdb_has_a_limit_of_its_own() {
    let world = world("pdb_parameters: {SHOP: {max_idle_time: 15}}");
    let to = ConnectTo {
        service_name: Some("shop".into()),
        ..ConnectTo::default()
    };
    let mut there = Local::connect(&world, "CLERK", &to).expect("log in");
    let mut elsewhere = log_in(&world, "CLERK");
    world.advance(minutes(16));
    assert_eq!(asks(&mut there).0, 3113);
    assert_eq!(asks(&mut elsewhere).0, 0);
}

#[test]
fn max_idle_blocker_time_ends_who_holds_others_up_or_takes_the_last_place() {
    let waiter = "  - {name: waiter, user: SHOP, program: app, active: 10m, blocked_by: holder}
parameters: {max_idle_blocker_time: 5}";
    let holder = "  - {name: holder, user: HOLDER, program: app, idle: 1m, transaction: {age: 1h, undo_records: 1}}\n";
    let world_with = |waiter: &str| world(&format!("{holder}{waiter}"));
    let blocking = world_with(waiter);
    let mut clerk = log_in(&blocking, "CLERK");
    blocking.advance(minutes(5));
    assert_eq!(sessions_of(&blocking, "HOLDER"), 0, "it was idle for 6 minutes");
    blocking.advance(minutes(60));
    assert_eq!(asks(&mut clerk).0, 0, "it holds nobody up");

    // As many sessions as there may be.
    let roomy = world_with("parameters: {max_idle_blocker_time: 5}");
    let most = roomy.sessions().len() + 2;
    let full = world_with(&format!("parameters: {{max_idle_blocker_time: 5, sessions: {most}}}"));
    let mut idle = log_in(&full, "CLERK");
    full.advance(minutes(6));
    assert_eq!(status(&full, &idle), Some("INACTIVE"), "there is room for one more");
    let mut last = log_in(&full, "WATCH");
    assert_eq!(asks(&mut idle).0, 3113);
    assert_eq!(asks(&mut last).0, 0, "it is not idle");
}
