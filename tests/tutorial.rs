//! The classic exercise; everything but the database is real: APEXDEV logs in with python-oracledb, goes idle, and the daemon
//! kills the session, with both drivers.
//!
//! APEXDEV and a DBA at another client see what Oracle's tutorial on killing sessions shows: the session in V$SESSION, its end,
//! and ORA-00028 at the next call. The tests let hours pass by moving the simulated clock.

use std::path::Path;
use std::time::Duration;

use crate::site::client::{Client, python};
use crate::site::{Daemon, Db, Driver, FIVE_HOURS, PASSWORD, Site, drivers, until};
use orasim::scenario::BackgroundKill;
use orasim::{Clause, Scenario};

/// What the exercise looks at.
const SESSIONS: &str = "SELECT sid, serial#, schemaname, program FROM V$SESSION WHERE schemaname != 'SYS'";

/// A background process matches as well: ending it would bring the instance down.
fn policy(action: &str) -> String {
    format!(
        "policies:\n  - name: idle\n    mode: enforce\n    when: INACTIVE longer than 4h or program like '%(PMON)'\n    \
         action: {action}\n"
    )
}

/// The database, where a kill of a background process is fatal.
fn database() -> Db {
    let mut scenario = Scenario::builtin("tutorial").unwrap_or_else(|error| panic!("{error}"));
    scenario.database.background_kill = BackgroundKill::Fatal;
    Db::serve(scenario)
}

struct Stage {
    db: Db,
    site: Site,
    daemon: Daemon,
    dba: Client,
}

fn stage(driver: &Driver, python: &Path, action: &str) -> Stage {
    let db = database();
    let site = Site::new();
    site.policies(&policy(action));
    site.configure(driver, &db);
    let dba = Client::log_in(python, &db, "reaper", PASSWORD);
    let daemon = site.run(driver);
    daemon.looks("orcl", 1);
    Stage { db, site, daemon, dba }
}

impl Stage {
    fn log_in(&self, python: &Path) -> Client {
        Client::log_in(python, &self.db, "apexdev", "apexdev")
    }

    /// Whether V$SESSION shows this session of APEXDEV.
    fn shows(&mut self, (sid, serial): (u32, u32)) -> bool {
        let rows = self.dba.execute(SESSIONS);
        assert!(rows.contains("|APEX_PUBLIC_USER|"), "the pool is always there: {rows}");
        rows.split(';')
            .any(|row| row.starts_with(&format!("{sid}|{serial}|APEXDEV|")) && row.contains("python"))
    }

    fn status(&mut self, (sid, serial): (u32, u32)) -> String {
        let query = format!("SELECT status FROM v$session WHERE sid = {sid} AND serial# = {serial}");
        self.dba.execute(&query)
    }

    /// PMON matched all along, was spared for what it is, and lives.
    fn pmon_was_spared(&mut self) {
        let pmon = "SELECT sid, serial#, type FROM v$session WHERE program LIKE '%(PMON)'";
        let pmon = self.dba.execute(pmon);
        let parts: Vec<&str> = pmon.split('|').collect();
        assert_eq!(parts.get(2), Some(&"BACKGROUND"), "{pmon}");
        let report = std::fs::read_to_string(self.site.path("state/reports/orcl.json")).expect("a report");
        let report: serde_json::Value = serde_json::from_str(&report).expect("JSON");
        let decisions = report["decisions"].as_array().expect("decisions").clone();
        let spared = decisions
            .iter()
            .find(|decision| decision["program"].as_str().is_some_and(|it| it.ends_with("(PMON)")))
            .expect("PMON is in the report");
        assert_eq!(spared["decision"], "protected", "{spared}");
        assert_eq!(spared["sid"].to_string(), parts[0], "{spared}");
        let touched = self.db.world.kills().into_iter().any(|kill| kill.background);
        assert!(!touched, "{:?}", self.db.world.kills());
    }
}

#[test]
fn an_idle_session_is_marked_for_kill_and_its_user_is_told() {
    let Some(python) = python() else { return };
    for driver in drivers() {
        let mut stage = stage(&driver, &python, "kill");
        let mut apexdev = stage.log_in(&python);
        assert_eq!(apexdev.seat, (287, 62_507));
        assert_eq!(apexdev.execute("SELECT user FROM dual"), "APEXDEV");
        assert!(stage.shows(apexdev.seat));
        // Checked while it is fresh: no policy selects it.
        stage.daemon.looks("orcl", 2);
        assert_eq!(stage.db.kills(), []);

        stage.db.world.advance(FIVE_HOURS);
        until("the session to be marked", || stage.status((287, 62_507)) == "KILLED");
        let kills = stage.db.world.kills();
        assert_eq!(kills.len(), 1, "{kills:?}");
        assert_eq!(kills[0].statement, "ALTER SYSTEM KILL SESSION '287,62507,@1'");
        assert_eq!((kills[0].clause, kills[0].by.as_str()), (Clause::Kill, "REAPER"));
        // An idle session is rid of everything at once, though its row stays until its client calls.
        let proof = stage.site.journals("verification", |_| true);
        assert_eq!(proof["proof"], "resources_freed", "{proof}");
        let outcome = stage.site.journals("outcome", |_| true);
        assert_eq!(
            (outcome["outcome"].as_str(), outcome["code"].as_u64()),
            (Some("done"), Some(0))
        );

        let told = apexdev.execute("SELECT user FROM dual");
        assert!(told.contains("ORA-00028"), "{told}");
        assert!(!stage.shows((287, 62_507)), "its row is gone");
        stage.daemon.looks("orcl", 2);
        assert_eq!(stage.db.kills().len(), 1, "once is enough");
        stage.pmon_was_spared();
    }
}

#[test]
fn a_session_that_is_disconnected_is_cut_off_at_once() {
    let Some(python) = python() else { return };
    for driver in drivers() {
        let mut stage = stage(&driver, &python, "disconnect immediate");
        // The first login of the exercise is 287; the second one is disconnected.
        drop(stage.log_in(&python));
        let mut apexdev = stage.log_in(&python);
        assert_eq!(apexdev.seat, (32, 36_107));
        assert!(stage.shows(apexdev.seat));

        stage.db.world.advance(FIVE_HOURS);
        until("the session to be gone", || !stage.shows((32, 36_107)));
        let kills = stage.db.world.kills();
        assert_eq!(kills.len(), 1, "{kills:?}");
        assert_eq!(
            kills[0].statement,
            "ALTER SYSTEM DISCONNECT SESSION '32,36107' IMMEDIATE"
        );
        let told = apexdev.execute("SELECT user FROM dual");
        assert!(told.contains("ORA-03113") || told.contains("DPY-4011"), "{told}");
        assert!(!told.contains("ORA-00028"), "{told}");
        let proof = stage.site.journals("verification", |_| true);
        assert_eq!(proof["proof"], "gone", "{proof}");
        stage.pmon_was_spared();
    }
}

#[test]
fn a_session_in_a_transaction_may_finish_it_first() {
    let Some(python) = python() else { return };
    for driver in drivers() {
        let mut stage = stage(&driver, &python, "disconnect post_transaction");
        let mut apexdev = stage.log_in(&python);
        let seat = apexdev.seat;
        assert_eq!(apexdev.execute("CREATE TABLE work (n NUMBER)"), "ok");
        assert_eq!(apexdev.execute("INSERT INTO work VALUES (42)"), "ok");

        stage.db.world.advance(FIVE_HOURS);
        let outcome = stage.site.journals("outcome", |_| true);
        assert_eq!(
            (outcome["outcome"].as_str(), outcome["code"].as_u64()),
            (Some("done"), Some(0))
        );
        let kills = stage.db.world.kills();
        assert_eq!(
            kills[0].statement,
            format!(
                "ALTER SYSTEM DISCONNECT SESSION '{},{}' POST_TRANSACTION",
                seat.0, seat.1
            )
        );
        // Nothing happens: it works on, for as long as it likes.
        stage.daemon.looks("orcl", 2);
        assert_eq!(apexdev.execute("SELECT n FROM work"), "42");
        stage.db.world.advance(Duration::from_secs(600));
        stage.daemon.looks("orcl", 2);
        assert_eq!(stage.status(seat), "INACTIVE");
        assert_eq!(
            stage
                .daemon
                .metric("orareaper_lingering_sessions{database=\"orcl\",inst_id=\"1\"}"),
            Some(0.0)
        );
        assert_eq!(stage.db.kills().len(), 1, "it was asked once");

        assert_eq!(apexdev.execute("commit"), "ok");
        until("the session to be gone", || !stage.shows(seat));
        let told = apexdev.execute("SELECT n FROM work");
        assert!(told.contains("ORA-03113") || told.contains("DPY-4011"), "{told}");
        let proof = stage.site.journals("verification", |_| true);
        assert_eq!(proof["proof"], "gone", "{proof}");
        assert_eq!(
            stage.dba.execute("SELECT n FROM apexdev.work"),
            "42",
            "what it committed is kept"
        );
        stage.pmon_was_spared();
    }
}
