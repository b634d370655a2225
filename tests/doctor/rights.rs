//! Each right that is revoked is named, with the statement that grants it, and no other.

use super::*;

/// Takes each right away in turn that `setup-sql` gives, and that `is_tried`.
fn each_right_is_named(kind: Kind, driver: Driver, is_tried: fn(&str) -> bool) -> usize {
    let desk = Desk::new(kind, driver);
    let statements = desk.set_up();
    assert_eq!(desk.findings(), Vec::<Check>::new(), "{kind:?}");
    let mut taken = 0;
    for granted in &statements {
        let Some(revoke) = taken_away(granted).filter(|_| is_tried(granted)) else {
            continue;
        };
        desk.sys()
            .run(&revoke)
            .unwrap_or_else(|error| panic!("{revoke}: {}", error.message));
        let findings = desk.findings();
        let named: Vec<Option<&Remedy>> = findings.iter().map(|check| check.remedy.as_ref()).collect();
        assert_eq!(
            named,
            [Some(&Remedy::Statement(granted.clone()))],
            "{kind:?}, after {revoke}: {findings:#?}"
        );
        desk.sys()
            .run(granted)
            .unwrap_or_else(|error| panic!("{granted}: {}", error.message));
        taken += 1;
    }
    assert_eq!(desk.findings(), Vec::<Check>::new(), "{kind:?}");
    taken
}

#[test]
fn each_right_that_is_taken_away_is_named_and_no_other() {
    assert!(each_right_is_named(ALONE, Driver::Thin, |_| true) >= 25);
}

#[test]
fn each_missing_right_is_named_in_the_root() {
    assert!(each_right_is_named(ROOT, Driver::Thin, |_| true) >= 25);
}

#[test]
fn each_missing_right_is_named_in_a_pdb() {
    assert!(each_right_is_named(PDB, Driver::Thin, |_| true) >= 25);
}

/// The drivers tell errors in their own ways: a log-in that is refused, a view that the probe cannot do without, and one that it can.
/// `grants` takes each view away with both.
#[test]
fn each_kind_of_missing_right_is_named_with_either_driver() {
    on_both_drivers(|driver| {
        let is_tried = |granted: &str| {
            let some = [
                "CREATE SESSION",
                "sys.v_$instance",
                "sys.gv_$session",
                "sys.dba_users",
                "ALTER SYSTEM",
            ];
            some.iter().any(|right| granted.contains(&format!("{right} TO")))
        };
        assert_eq!(each_right_is_named(ALONE, driver, is_tried), 5);
    });
}

/// An account that may only log in is told all that it lacks at once.
#[test]
fn all_that_is_missing_is_named_at_once() {
    let desk = Desk::new(PDB, Driver::Thin);
    let statements = desk.set_up();
    let granted: BTreeSet<String> = statements
        .into_iter()
        .filter(|statement| statement.starts_with("GRANT ") && !statement.contains("CREATE SESSION"))
        .collect();
    for grant in &granted {
        let revoke = taken_away(grant).expect("a grant");
        desk.sys()
            .run(&revoke)
            .unwrap_or_else(|error| panic!("{revoke}: {}", error.message));
    }
    let named: BTreeSet<String> = desk
        .findings()
        .into_iter()
        .filter_map(|check| check.remedy.map(|remedy| remedy.to_string()))
        .collect();
    // Whether it is a RAC database cannot be seen without any view, so what only one needs is named in the next run.
    let mut expected = granted;
    assert!(expected.remove("GRANT SELECT ON sys.gv_$pdbs TO REAPER"));
    assert_eq!(named, expected);
}
