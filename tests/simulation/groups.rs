//! The kinds of sessions that a simulated database has.

use super::base::REAPER;

/// What sessions of a group do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Habit {
    /// Works for some seconds, then is idle for some minutes, again and again.
    Pool,
    /// Is idle; is used again one day.
    Idle,
    /// Is idle in a transaction with so many undo records.
    Transaction(i64),
    /// Runs a statement.
    Runs,
    /// Runs a statement that waits for one of the group `walked-away`.
    Waits,
    /// Is idle and CACHED, as a session of an XA transaction manager.
    Cached,
    /// Is idle in a transaction that is PREPARED.
    Prepared,
    /// Is idle, and its EVENT shows that it listens to a pipe.
    Listens,
}

/// Sessions that are alike.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) name: &'static str,
    pub(crate) user: &'static str,
    pub(crate) program: &'static str,
    pub(crate) machine: &'static str,
    pub(crate) habit: Habit,
    /// Nobody may ever touch its sessions.
    pub(crate) safe: bool,
}

const fn group(name: &'static str, user: &'static str, program: &'static str, habit: Habit) -> Group {
    Group {
        name,
        user,
        program,
        machine: "web01",
        habit,
        safe: false,
    }
}

const fn safe(name: &'static str, user: &'static str, program: &'static str, habit: Habit) -> Group {
    let safe = true;
    let machine = "db01";
    Group {
        safe,
        machine,
        ..group(name, user, program, habit)
    }
}

/// Every group there may be.
pub(crate) const GROUPS: &[Group] = &[
    group("pool", "APP", "JDBC Thin Client", Habit::Pool),
    group("idle", "APP", "JDBC Thin Client", Habit::Idle),
    group("tools", "CRM", "SQL Developer", Habit::Idle),
    group("walked-away", "CRM", "Toad.exe", Habit::Transaction(700)),
    group("waiting", "CRM", "JDBC Thin Client", Habit::Waits),
    group("reports", "REPORTS", "python3", Habit::Runs),
    group("batch", "REPORTS", "sqlplus", Habit::Transaction(90_000)),
    safe("background", "", "oracle@db01 (SMON)", Habit::Runs),
    safe("exempt", "VIP", "SQL Developer", Habit::Idle),
    safe("sys", "SYS", "sqlplus", Habit::Idle),
    safe("monitor", "DBSNMP", "emagent", Habit::Idle),
    safe("maintained", "ORDS_METADATA", "JDBC Thin Client", Habit::Idle),
    safe("backup", "APP", "rman@db01 (TNS V1-V3)", Habit::Idle),
    safe("job", "APP", "oracle@db01 (J001)", Habit::Runs),
    safe("parallel-server", "REPORTS", "oracle@db01 (P001)", Habit::Runs),
    safe("capture", "APP", "extract@db01 (TNS V1-V3)", Habit::Idle),
    safe("listener", "APP", "JDBC Thin Client", Habit::Listens),
    safe("xa", "APP", "JDBC Thin Client", Habit::Cached),
    safe("prepared", "APP", "JDBC Thin Client", Habit::Prepared),
    safe("large-undo", "APP", "JDBC Thin Client", Habit::Transaction(200_000)),
    safe("another-reaper", REAPER, "orareaper", Habit::Idle),
];

/// The place of the group of this name.
pub(crate) fn group_named(name: &str) -> usize {
    GROUPS.iter().position(|group| group.name == name).expect("a group")
}
