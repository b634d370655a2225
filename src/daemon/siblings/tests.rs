//! Who shares what was done with whom, and by which date it counts.

use std::collections::BTreeSet;

use super::*;
use crate::decide::in_force::RunMode;

fn identity(database: &str, hosts: &[&str]) -> DatabaseIdentity {
    DatabaseIdentity {
        database: database.into(),
        container: None,
        instances: hosts.iter().map(|host| ("prod1".into(), (*host).into())).collect(),
    }
}

impl Siblings {
    /// While nobody sets a clock.
    fn met(&self, name: &Arc<str>, identity: DatabaseIdentity, done: Vec<LedgerEntry>) -> Heard {
        self.meet(name, (identity, TimeDelta::zero()), done)
    }
}

/// Left behind by an entry, as the journal has it.
fn left(done: LedgerEntry) -> LeftAction {
    LeftAction {
        of: identity("PROD", &["a"]).into(),
        done,
        ahead: Some(TimeDelta::zero()),
    }
}

fn done() -> Vec<LedgerEntry> {
    vec![LedgerEntry {
        at: DateTime::UNIX_EPOCH,
        policy: "idle".into(),
        mode: RunMode::Enforce,
        action_id: Some(1),
    }]
}

#[test]
fn those_that_lead_to_one_database_share_what_was_done_and_take_turns() {
    let siblings = Siblings::default();
    let (one, other): (Arc<str>, Arc<str>) = ("one".into(), "other".into());
    let first = siblings.met(&one, identity("PROD", &["a", "b"]), done());
    assert!(first.names.is_empty() && first.acts.is_none());
    let second = siblings.met(&other, identity("PROD", &["b"]), Vec::new());
    assert_eq!(
        (second.names, second.done, second.acts),
        (vec![one.clone()], done(), Some(one.clone()))
    );
    siblings.rest(&one, done());
    assert_eq!(siblings.met(&other, identity("PROD", &["b"]), Vec::new()).acts, None);
    assert_eq!(
        siblings.met(&one, identity("PROD", &["a", "b"]), done()).acts,
        Some(other.clone())
    );
    siblings.leave(&other);
    assert!(
        siblings
            .met(&one, identity("PROD", &["a", "b"]), done())
            .names
            .is_empty()
    );
}

/// The root shows the sessions of every PDB, and a PDB its own.
#[test]
fn an_entry_for_the_root_shares_with_those_for_its_pdbs() {
    let of = |container| DatabaseIdentity {
        container,
        ..identity("CDB", &["a"])
    };
    let (root, shop, crm, plain) = (of(Some(1)), of(Some(3)), of(Some(4)), of(None));
    for (one, other, shared) in [
        (&root, &shop, true),
        (&shop, &root, true),
        (&shop, &crm, false),
        (&root, &root, true),
        (&root, &plain, false),
        (&shop, &plain, false),
    ] {
        let siblings = Siblings::default();
        siblings.met(&"one".into(), one.clone(), done());
        siblings.rest("one", done());
        let heard = siblings.met(&"other".into(), other.clone(), Vec::new());
        assert_eq!(heard.done.len(), usize::from(shared), "{one:?} {other:?}");
        // What a removed entry did counts, and is taken over by its own container alone.
        siblings.leave("one");
        let heard = siblings.met(&"other".into(), other.clone(), Vec::new());
        let is_heir = one.container == other.container;
        let counts = (usize::from(shared && !is_heir), usize::from(is_heir));
        assert_eq!((heard.done.len(), heard.left.len()), counts, "{one:?} {other:?}");
    }
}

#[test]
fn the_smallest_budget_is_of_those_that_share_it() {
    let of = |container| DatabaseIdentity {
        container: Some(container),
        ..identity("CDB", &["a"])
    };
    let budget = |per_hour, per_day| SharedBudget { per_hour, per_day };
    let siblings = Siblings::default();
    let (root, shop, crm) = (budget(9, None), budget(3, None), budget(5, Some(7)));
    let entries = [("root", of(1), root), ("shop", of(3), shop), ("crm", of(4), crm)];
    for (name, identity, budget) in &entries {
        assert_eq!(siblings.agree(name, *budget), None, "it has not connected");
        siblings.met(&(*name).into(), identity.clone(), Vec::new());
        siblings.agree(name, *budget);
    }
    let others = entries.map(|(name, _, budget)| siblings.agree(name, budget));
    assert_eq!(others, [Some(budget(3, Some(7))), Some(root), Some(root)]);
    // One that has not connected since the start, and one whose limits a reload has changed.
    siblings.leave("shop");
    siblings.seed(&"shop".into(), of(3), (Vec::new(), None));
    assert_eq!(siblings.agree("root", root), Some(crm));
    siblings.agree("shop", budget(1, None));
    assert_eq!(siblings.agree("root", root), Some(budget(1, Some(7))));
}

/// Of a cluster of which each saw another part at last.
#[test]
fn entries_that_see_different_instances_share_a_budget_where_one_has_seen_both() {
    let siblings = Siblings::default();
    let both = || {
        let mut both = identity("PROD", &["a"]);
        both.instances.insert(("prod2".into(), "b".into()));
        both
    };
    let second = || DatabaseIdentity {
        instances: BTreeSet::from([("prod2".into(), "b".into())]),
        ..identity("PROD", &[])
    };
    for sees_both in ["one", "other"] {
        siblings.met(&sees_both.into(), both(), Vec::new());
        siblings.met(&"one".into(), identity("PROD", &["a"]), done());
        assert_eq!(
            siblings.met(&"other".into(), second(), Vec::new()).done,
            done(),
            "{sees_both}"
        );
        siblings.leave("one");
        assert_eq!(siblings.met(&"other".into(), second(), Vec::new()).left, done());
        siblings.leave("other");
        siblings.known().left.clear();
    }
    siblings.met(&"third".into(), both(), Vec::new());
    siblings.met(&"one".into(), identity("PROD", &["a"]), done());
    assert_eq!(
        siblings.met(&"other".into(), second(), Vec::new()).done,
        done(),
        "by a third"
    );
}

/// What an entry took over may be dated by the journal, from before a step of the clock that the other entry has seen.
#[test]
fn an_action_that_is_known_twice_is_told_by_the_later_date() {
    let at = |seconds| LedgerEntry {
        at: DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds),
        ..done().remove(0)
    };
    let siblings = Siblings::default();
    let (one, other): (Arc<str>, Arc<str>) = ("one".into(), "other".into());
    let of = || identity("PROD", &["a"]);
    siblings.met(&one, of(), vec![at(4_000)]);
    assert_eq!(siblings.met(&other, of(), vec![at(0)]).done, [at(4_000)]);
    assert_eq!(siblings.met(&one, of(), vec![at(4_000)]).done, []);
    siblings.leave(&one);
    let heir = siblings.met(&other, of(), vec![at(0)]);
    assert_eq!(
        (heir.done, heir.left),
        (vec![at(4_000)], Vec::new()),
        "it has it already"
    );
}

#[test]
fn an_entry_that_is_down_forgets_nothing_when_the_database_s_clock_is_set() {
    let siblings = Siblings::default();
    let (one, other): (Arc<str>, Arc<str>) = ("one".into(), "other".into());
    siblings.met(&one, identity("PROD", &["a"]), done());
    siblings.met(&other, identity("PROD", &["a"]), Vec::new());
    siblings.met(&"else".into(), identity("TEST", &["a"]), done());
    siblings.step(&other, TimeDelta::hours(-2));
    siblings.step(&other, TimeDelta::hours(2));
    let heard = siblings.met(&other, identity("PROD", &["a"]), Vec::new());
    assert_eq!(heard.done[0].at, DateTime::UNIX_EPOCH + TimeDelta::hours(2));
    let apart = siblings.met(&"third".into(), identity("TEST", &["a"]), Vec::new());
    assert_eq!(apart.done, done(), "another database has another clock");
}

#[test]
fn an_entry_that_has_not_connected_since_the_start_is_known_by_its_last_action() {
    let siblings = Siblings::default();
    let (one, other): (Arc<str>, Arc<str>) = ("one".into(), "other".into());
    siblings.seed(&one, identity("PROD", &["a"]), (done(), None));
    let heard = siblings.met(&other, identity("PROD", &["a", "b"]), Vec::new());
    assert_eq!((heard.names, heard.done, heard.acts), (vec![one.clone()], done(), None));
    siblings.rest(&other, Vec::new());
    siblings.met(&one, identity("PROD", &["a"]), Vec::new());
    siblings.seed(&one, identity("PROD", &["a"]), (done(), None));
    let heard = siblings.met(&other, identity("PROD", &["a"]), Vec::new());
    assert!(heard.done.is_empty(), "what it says itself is newer");
}

#[test]
fn what_an_entry_did_outlives_it_and_counts_once() {
    let siblings = Siblings::default();
    let (one, other, third): (Arc<str>, Arc<str>, Arc<str>) = ("one".into(), "other".into(), "third".into());
    siblings.met(&one, identity("PROD", &["a"]), done());
    siblings.leave(&one);
    siblings.known().leave(vec![left(done().remove(0))]);
    let elsewhere = siblings.met(&third, identity("TEST", &["a"]), Vec::new());
    assert!(elsewhere.left.is_empty(), "another database has its own budget");
    let heir = siblings.met(&other, identity("PROD", &["a", "b"]), Vec::new());
    assert_eq!((heir.names.len(), heir.done, heir.left), (0, Vec::new(), done()));
    // Before the heir says again what it has: nobody misses it, and nobody takes it over a second time.
    let heard = siblings.met(&one, identity("PROD", &["a"]), Vec::new());
    assert_eq!((heard.done, heard.left), (done(), Vec::new()));
    let again = siblings.met(&one, identity("PROD", &["a"]), done());
    assert!(
        again.done.is_empty(),
        "the entry is there again, with its memory from the journal"
    );
    let moved = siblings.met(&other, identity("TEST", &["a"]), done());
    assert_eq!(moved.names, vec![third]);
    assert_eq!(
        siblings.met(&"new".into(), identity("PROD", &["a"]), Vec::new()).done,
        done()
    );
}

/// A reload reads the journal before the removed entry has ended. The journal dates its actions by the clock before a step.
#[test]
fn what_a_removed_entry_did_is_taken_over_by_the_later_date_whichever_is_heard_first() {
    let at = |seconds| LedgerEntry {
        at: DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds),
        ..done().remove(0)
    };
    let journal = || vec![left(at(0))];
    for journal_first in [true, false] {
        let siblings = Siblings::default();
        siblings.met(&"one".into(), identity("PROD", &["a"]), vec![at(4_000)]);
        if journal_first {
            siblings.known().leave(journal());
        }
        siblings.leave("one");
        if !journal_first {
            siblings.known().leave(journal());
        }
        let heir = siblings.met(&"other".into(), identity("PROD", &["a"]), Vec::new());
        assert_eq!((heir.done, heir.left), (Vec::new(), vec![at(4_000)]), "{journal_first}");
    }
}

/// The clock was set forward by two hours while the daemon was down. Who meets the database first has done nothing there, and would see
/// no step by itself.
#[test]
fn what_the_journal_knows_of_others_is_dated_by_the_clock_of_now() {
    let (hour, two_hours) = (TimeDelta::hours(1), TimeDelta::hours(2));
    let of = || identity("PROD", &["a"]);
    let at = |later| LedgerEntry {
        at: DateTime::UNIX_EPOCH + later,
        ..done().remove(0)
    };
    for (ahead_now, dated) in [
        (hour * 3, two_hours),
        (hour, TimeDelta::zero()),
        (-hour, TimeDelta::zero()),
    ] {
        let siblings = Siblings::default();
        siblings.seed(&"one".into(), of(), (done(), Some(hour)));
        let heard = siblings.meet(&"other".into(), (of(), ahead_now), Vec::new());
        assert_eq!(heard.done, [at(dated)], "an entry that has not connected");
        siblings.leave("one");
        let heard = siblings.meet(&"other".into(), (of(), ahead_now), Vec::new());
        assert_eq!(heard.left, [at(dated)], "an entry that is gone");
    }
    // A step that another entry has seen is counted once, also for what nobody has taken over.
    let siblings = Siblings::default();
    siblings.seed(&"one".into(), of(), (done(), Some(hour)));
    siblings.seed(&"other".into(), of(), (Vec::new(), None));
    siblings.step("other", two_hours);
    let heard = siblings.meet(&"other".into(), (of(), hour * 3), Vec::new());
    assert_eq!(heard.done, [at(two_hours)]);
    siblings.leave("one");
    siblings.step("other", hour);
    let heard = siblings.meet(&"other".into(), (of(), hour * 4), Vec::new());
    assert_eq!(heard.left, [at(two_hours + hour)]);
    // Nor is one lost on what an entry leaves that had connected.
    let siblings = Siblings::default();
    siblings.met(&"one".into(), of(), done());
    siblings.met(&"other".into(), of(), Vec::new());
    siblings.leave("one");
    siblings.step("other", hour);
    let heard = siblings.meet(&"other".into(), (of(), hour), Vec::new());
    assert_eq!(heard.left, [at(hour)]);
}

#[test]
fn what_has_an_outcome_is_not_taken_over_as_an_intent_that_a_reload_read() {
    let siblings = Siblings::default();
    let under_way = || vec![left(done().remove(0))];
    siblings.known().leave(under_way());
    siblings.done(2);
    siblings.done(1);
    let left = siblings.met(&"one".into(), identity("PROD", &["a"]), Vec::new()).left;
    assert_eq!(left, []);
    siblings.known().leave(under_way());
    let left = siblings.met(&"one".into(), identity("PROD", &["a"]), Vec::new()).left;
    assert_eq!(left, done(), "it has none");
}

#[test]
fn a_standby_and_another_database_of_the_host_are_others() {
    let siblings = Siblings::default();
    siblings.met(&"one".into(), identity("PROD", &["a"]), done());
    for other in [identity("PROD", &["standby"]), identity("TEST", &["a"])] {
        assert!(siblings.met(&"other".into(), other, Vec::new()).names.is_empty());
    }
}
