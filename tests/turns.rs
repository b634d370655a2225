//! Two policies that enforce, under budgets, over the wire: no session keeps others waiting without end.

use std::collections::BTreeSet;

use orasim::Clause;

use crate::site::{Db, Site, drivers, entry, prod, until};

/// One statement a cycle, for both policies together.
const ONE_A_CYCLE: &str = "limits: {share: 100%, per_cycle: 1, per_hour: HOUR}\n";

const OFFICE: &str = prod!("");

/// Oracle refuses to end three sessions (ORA-00029). Each costs its budget one statement, and no more: the rest is for the others.
#[test]
fn a_session_that_oracle_refuses_to_end_uses_up_no_budget() {
    for driver in drivers() {
        let db = Db::parse(&format!(
            "{OFFICE}  - {{name: stubborn, user: STUBBORN, count: 3, program: sqlplus, machines: [pc1], idle: 9h, logged_on: 10h, \
             when_killed: {{refused: true}}}}\n  - {{name: idle, user: IDLE, count: 3, program: sqlplus, machines: [pc1], idle: 5h, logged_on: \
             6h}}\n  - {{name: later, user: LATER, count: 3, program: report, machines: [pc2], idle: 5h, logged_on: 6h}}\n"
        ));
        let site = Site::new();
        // Those that cannot be ended come first in their policy, and their policy first.
        site.policies(
            "policies:\n  - {name: first, mode: enforce, when: \"program = 'sqlplus' and INACTIVE longer than 4h\", action: kill, order: [idle \
             desc]}\n  - {name: second, mode: enforce, when: \"program = 'report' and INACTIVE longer than 4h\", action: kill}\n",
        );
        // Nine statements for nine sessions.
        site.configure_with(
            &[entry("orcl", &driver, &db.connect_string(), true)],
            &ONE_A_CYCLE.replace("HOUR", "9"),
        );
        let daemon = site.run(&driver);
        until("all others to be ended", || {
            db.seats_of("IDLE").is_empty() && db.seats_of("LATER").is_empty()
        });
        daemon.looks("orcl", 3);
        let kills = db.kills();
        let refused: Vec<_> = kills.iter().filter(|(_, answer)| *answer == Some(29)).collect();
        let whom: BTreeSet<_> = refused.iter().map(|(whom, _)| whom).collect();
        assert_eq!((refused.len(), whom.len(), kills.len()), (3, 3, 9), "{kills:?}");
        assert_eq!(db.seats_of("STUBBORN").len(), 3);
        let told = site.journals_all("outcome", 9);
        assert_eq!(
            told.iter().filter(|record| record["outcome"] == "refused").count(),
            3,
            "{told:?}"
        );
    }
}

/// A session that should end after its commit never commits. The other sessions and the stronger policy still get their turn.
#[test]
fn a_polite_policy_does_not_keep_a_harder_one_from_acting() {
    for driver in drivers() {
        let db = Db::parse(&format!(
            "{OFFICE}  - {{name: writer, user: WRITER, count: 2, program: load, machines: [app1], idle: 150m, logged_on: 6h, transaction: \
             {{age: 150m, undo_records: 3}}}}\n  - {{name: idle, user: IDLE, count: 3, program: sqlplus, machines: [pc1], idle: 5h, logged_on: 6h}}\n"
        ));
        let site = Site::new();
        site.policies(
            "policies:\n  - {name: polite, mode: enforce, when: username = 'WRITER' and INACTIVE longer than 2h, action: disconnect \
             post_transaction}\n  - {name: harder, mode: enforce, when: INACTIVE longer than 3h, action: kill immediate}\n",
        );
        site.configure_with(
            &[entry("orcl", &driver, &db.connect_string(), true)],
            &ONE_A_CYCLE.replace("HOUR", "100"),
        );
        let daemon = site.run(&driver);
        until("the others to be ended", || db.seats_of("IDLE").is_empty());
        until("both to be asked", || site.journalled("outcome").len() == 5);
        let asked = |clause: Clause| {
            let kills = db.world.kills();
            let of = kills
                .iter()
                .filter(|kill| kill.username.as_deref() == Some("WRITER") && kill.clause == clause);
            of.map(|kill| kill.target).collect::<Vec<_>>()
        };
        let politely = asked(Clause::DisconnectPostTransaction);
        assert_eq!((politely.len(), asked(Clause::KillImmediate).len()), (2, 0));
        assert_eq!(db.seats_of("WRITER").len(), 2, "they have not committed");
        // For an hour it is waited for their commit, then for nothing any more.
        db.let_pass(&daemon, "orcl", 70);
        until("the harder policy to act", || db.seats_of("WRITER").is_empty());
        daemon.looks("orcl", 2);
        let mut hard = asked(Clause::KillImmediate);
        hard.sort_unstable();
        let mut soft = politely;
        soft.sort_unstable();
        assert_eq!(
            (hard, asked(Clause::DisconnectPostTransaction).len()),
            (soft, 2),
            "each once"
        );
    }
}
