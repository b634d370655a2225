//! Entries of the configuration that lead to one database.

use super::*;
use crate::daemon::siblings::Siblings;
use crate::oracle::capabilities::{Capabilities, InstanceFacts};

/// A database by which its entries of the configuration know each other.
fn on_one_host() -> Capabilities {
    let instance = InstanceFacts {
        inst_id: 1,
        name: "prod1".to_owned(),
        host: "db1".to_owned(),
        status: "OPEN".to_owned(),
    };
    Capabilities {
        instances: vec![instance],
        ..capabilities(19, 3)
    }
}

/// It is one budget: the smaller one of two spares.
#[test]
fn of_entries_for_one_database_the_smallest_limits_hold() {
    let siblings = Arc::<Siblings>::default();
    let limits = |per_hour, per_day| Limits {
        per_cycle: Some(9),
        per_hour: Some(per_hour),
        per_day,
        ..Limits::default()
    };
    let site = |name: &str, limits: &Limits| {
        let settings = Settings {
            name: name.into(),
            siblings: Arc::clone(&siblings),
            ..settings()
        };
        Site::of(settings, IDLE, limits)
    };
    let mut one = site("one", &limits(6, None));
    let mut other = site("other", &limits(2, Some(9)));
    let see = |site: &mut Site, sids: &[i64]| {
        let Input::Polled(Ok(mut polled)) = polled(&site.clock, sids) else {
            unreachable!("it is a snapshot")
        };
        polled.capabilities = Arc::new(on_one_host());
        site.apply(Input::Polled(Ok(polled)));
    };
    // The first is given to who stands by, and goes on from then on.
    let permitted = |site: &mut Site| {
        see(site, &[1, 2, 3, 4, 5, 6, 7, 8]);
        1 + site.database.waiting.len()
    };
    let mut both = |other: &mut Site| {
        see(other, &[]);
        permitted(&mut one)
    };
    assert_eq!(both(&mut other), 2);
    for (per_hour, per_day, least) in [(4, None, 4), (7, None, 6), (7, Some(3), 3)] {
        let rules = rules(IDLE, &limits(per_hour, per_day));
        let settings = other.database.settings.clone();
        other.apply(Input::Reload(rules, settings));
        assert_eq!(both(&mut other), least, "{per_hour} an hour, {per_day:?} a day");
    }
    drop(other);
    assert_eq!(permitted(&mut one), 6, "by itself");
}
