//! The protections that follow from PROGRAM, MODULE, CLIENT_INFO, EVENT and PNAME.
//!
//! V$SESSION holds PROGRAM in 48 bytes, MODULE in 48 (11.2) or 64, and cuts a longer text, perhaps inside a character. A server
//! process on a host with a long name loses its `(J000)` that way. So a rule about the end of a text first checks whether the
//! end may be missing, and then assumes the worst. The server sets EVENT and PNAME: no client can, and no name in them is long
//! enough to be cut.
//!
//! Widths of the columns: Oracle Database Reference, V$SESSION. Names of server processes: the same, "Background Processes".
//! Names of wait events: the same, "Oracle Wait Events".

use crate::decide::protect::Under;
use crate::policy::model::Protection;

/// VARCHAR2(48) on every release.
const PROGRAM_BYTES: &[usize] = &[48];
/// VARCHAR2(48) in 11.2, VARCHAR2(64) later.
const MODULE_BYTES: &[usize] = &[48, 64];

/// At least this many characters must remain to count as the beginning of a name.
const BEGINNING: usize = 3;

/// Whether the end of a text may be missing in a column of one of these widths in bytes.
///
/// The length in the database is known only as a range: a character outside ASCII takes one to four bytes, depending on the
/// character set. Of a character that was cut, up to three bytes may be missing.
fn may_be_cut(text: &str, widths: &[usize]) -> bool {
    const LONGEST_CHARACTER: usize = 4;
    let at_least = text.chars().count();
    let at_most: usize = text
        .chars()
        .map(|character| if character.is_ascii() { 1 } else { LONGEST_CHARACTER })
        .sum();
    widths
        .iter()
        .any(|width| at_least <= *width && *width < at_most + LONGEST_CHARACTER)
}

/// A name in lower case, whose end may be missing.
struct Name<'a> {
    text: &'a str,
    cut: bool,
}

impl Name<'_> {
    fn is(&self, name: &str) -> bool {
        self.text == name || self.is_beginning_of(name)
    }

    fn is_any(&self, names: &[&str]) -> bool {
        names.iter().any(|name| self.is(name))
    }

    fn begins(&self, beginnings: &[&str]) -> bool {
        beginnings
            .iter()
            .any(|beginning| self.text.starts_with(beginning) || self.is_beginning_of(beginning))
    }

    /// Whether it contains any of the words, or may have: a cut name ends in the beginning of one.
    fn holds(&self, words: &[&str]) -> bool {
        words.iter().any(|word| {
            let ends_in = |length: &usize| word.get(..*length).is_some_and(|part| self.text.ends_with(part));
            self.text.contains(word) || self.cut && (BEGINNING..word.len()).any(|length| ends_in(&length))
        })
    }

    fn is_beginning_of(&self, name: &str) -> bool {
        self.cut && self.text.len() >= BEGINNING && name.starts_with(self.text)
    }
}

/// A server process, as PROGRAM shows it.
#[derive(Debug, PartialEq, Eq)]
enum ServerProcess {
    /// Its name in upper case, such as `J001`: three to five letters and digits that Oracle put there, of which older
    /// releases write some in lower case.
    Named(String),
    /// Its name is not visible.
    Unnamed,
}

/// Reads `oracle@host (J001)`, or `ORACLE.EXE (J001)`. A session over a database link shows `oracle@host (TNS
/// V1-V3)` or, from Windows, `ORACLE.EXE`, and counts as a client, but only if the remaining text is unambiguous.
fn server_process(program: &str) -> Option<ServerProcess> {
    const OVER_A_LINK: &str = "(TNS V1-V3)";
    /// The name of a process contains no blank.
    const CANNOT_BE_A_NAME: usize = "(TNS ".len();
    let begins = |with: &str| {
        program
            .get(..with.len())
            .is_some_and(|it| it.eq_ignore_ascii_case(with))
    };
    if !begins("oracle@") && !begins("oracle.") {
        return None;
    }
    let tail = program.rfind('(').map(|at| &program[at..]);
    if let Some(inside) = tail.and_then(|tail| tail.strip_prefix('(')?.trim_end().strip_suffix(')'))
        && (3..=5).contains(&inside.len())
        && inside.starts_with(|first: char| first.is_ascii_alphabetic())
        && inside.bytes().all(|byte| byte.is_ascii_alphanumeric())
    {
        return Some(ServerProcess::Named(inside.to_ascii_uppercase()));
    }
    match tail {
        Some(tail) if tail.len() >= CANNOT_BE_A_NAME && OVER_A_LINK.starts_with(tail.trim_end()) => None,
        Some(_) if begins("oracle@") || begins("oracle.exe") => Some(ServerProcess::Unnamed),
        None if begins("oracle@") => Some(ServerProcess::Unnamed),
        // `ORACLE.EXE`, and names that only begin like it.
        Some(_) | None => None,
    }
}

/// Whether PROGRAM is that of a server process without its name, which GV$PROCESS.PNAME and GV$PX_SESSION show.
#[must_use]
pub(crate) fn is_unnamed_server_process(program: &str) -> bool {
    server_process(program) == Some(ServerProcess::Unnamed)
}

/// Whether PROGRAM is that of a server process, with or without its name.
#[cfg(feature = "demo")]
#[must_use]
pub(crate) fn is_server_process(program: &str) -> bool {
    server_process(program).is_some()
}

pub(super) fn by_program(program: &str) -> Under {
    match server_process(program) {
        Some(ServerProcess::Named(name)) => return Under::of(by_server_process(&name)),
        // PNAME is checked too.
        Some(ServerProcess::Unnamed) => return Under::default(),
        None => {}
    }
    let lower = program.to_ascii_lowercase();
    let executable = lower.split('@').next().unwrap_or(&lower).trim();
    let executable = executable.rsplit(['/', '\\']).next().unwrap_or(executable);
    // A text that was cut after `@` has its whole name.
    let cut = may_be_cut(program, PROGRAM_BYTES) && !program.contains('@');
    by_executable(&Name {
        text: without_exe(executable, cut),
        cut,
    })
}

/// The name without `.exe`, or without the part of it that remains.
fn without_exe(executable: &str, cut: bool) -> &str {
    let endings: &[&str] = if cut { &[".exe", ".ex", ".e", "."] } else { &[".exe"] };
    let shorter = endings.iter().find_map(|ending| executable.strip_suffix(ending));
    shorter.unwrap_or(executable)
}

/// Programs that Oracle and others ship. SharePlex's processes are sp_cop, sp_ocap, sp_ordr, sp_opst_mt and so on; HVR's
/// begin with hvr, Dbvisit's with dbv. `agent` is Datadog's, `dpa` SolarWinds', `fglam` Foglight's; check_oracle_health is
/// a Perl program, and most often shows the interpreter alone.
fn by_executable(name: &Name<'_>) -> Under {
    let mut under = Under::default();
    if name.is_any(&["rman", "sbttest", "oracle-rman"]) {
        under.insert(Protection::Backup);
    }
    if name.is_any(&["expdp", "impdp", "exp", "imp", "ude", "udi"]) {
        under.insert(Protection::DataPump);
    }
    if name.is_any(&[
        "extract",
        "replicat",
        "ggsci",
        "adminclient",
        "mgr",
        "repctl",
        "xstream",
    ]) || name.begins(&["sp_", "hvr", "dbv"])
        || name.holds(&["debezium", "oracdc", "goldengate", "logminer", "striim", "shareplex"])
    {
        under.insert(Protection::Replication);
    }
    if name.is_any(&[
        "emagent",
        "emagent_perl",
        "oms",
        "exporter",
        "oracle_exporter",
        "agent",
        "dpa",
        "fglam",
        "perl",
    ]) || name.begins(&["zabbix_", "telegraf"])
        || name.holds(MONITORING)
    {
        under.insert(Protection::Agents);
    }
    under
}

/// Words in the names of monitoring programs, in PROGRAM or MODULE.
const MONITORING: &[&str] = &[
    "_exporter",
    "datadog",
    "foglight",
    "dynatrace",
    "oneagent",
    "otelcol",
    "logstash",
    "orahawk",
    "check_oracle_health",
];

fn numbered(name: &str, letters: &str) -> bool {
    name.strip_prefix(letters)
        .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

/// The protection of an Oracle server process; one with another name is part of the instance.
fn by_server_process(name: &str) -> Protection {
    let digits_after = |letters: &str| {
        name.strip_prefix(letters)
            .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit()))
    };
    if matches!(name, "TMON" | "DMON" | "INSV" | "LNS" | "RFS") {
        Protection::Replication
    } else if numbered(name, "DM") || numbered(name, "DW") {
        Protection::DataPump
    } else if digits_after("J") {
        Protection::Jobs
    } else if digits_after("Q") || name == "QMNC" || name == "AQPC" || digits_after("E") || name == "EMNC" {
        Protection::Queues
    } else if numbered(name, "PZ")
        || name
            .strip_prefix('P')
            .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    {
        Protection::ParallelServer
    } else if [
        "TT", "NSS", "NSA", "NSV", "ARC", "MRP", "RFS", "FAL", "CP", "AP", "AS", "MS", "LSP", "PR", "RSM", "CX",
    ]
    .iter()
    .any(|letters| numbered(name, letters))
    {
        Protection::Replication
    } else {
        Protection::Background
    }
}

/// By GV$PROCESS.PNAME, which a client's dedicated server does not have. That of a shared server, a dispatcher or a pooled server
/// does not describe the session that it serves.
pub(super) fn by_process_name(name: &str) -> Under {
    let name = name.to_ascii_uppercase();
    let serves_clients = ["S", "D", "L", "N"].iter().any(|letter| {
        let rest = name.strip_prefix(letter);
        rest.is_some_and(|rest| rest.len() == 3 && rest.starts_with(|first: char| first.is_ascii_digit()))
    });
    if serves_clients {
        return Under::default();
    }
    Under::of(by_server_process(&name))
}

/// Whether MODULE is that of an orareaper, with any account: two of them never end each other.
pub(crate) fn is_orareaper(module: &str) -> bool {
    module.to_ascii_lowercase().starts_with("orareaper")
}

pub(super) fn by_module(module: &str) -> Under {
    let mut under = Under::default();
    let lower = module.to_ascii_lowercase();
    let name = Name {
        text: &lower,
        cut: may_be_cut(module, MODULE_BYTES),
    };
    if is_orareaper(module) {
        under.insert(Protection::Own);
    }
    if name.begins(&["rman", "backup ", "backup:", "restore ", "recover "]) {
        under.insert(Protection::Backup);
    }
    if name.begins(&["data pump"]) {
        under.insert(Protection::DataPump);
    }
    if module == "DBMS_SCHEDULER" {
        under.insert(Protection::Jobs);
    }
    if name.begins(&[
        "streams", "ogg-", "ogg$", "replicat", "extract", "sp_", "hvr", "dbvisit",
    ]) || name.holds(&[
        "goldengate",
        "xstream",
        "logminer",
        "debezium",
        "oracdc",
        "striim",
        "shareplex",
    ]) {
        under.insert(Protection::Replication);
    }
    if name.begins(&["oracle enterprise manager", "oem."]) || name.holds(&["emagent"]) || name.holds(MONITORING) {
        under.insert(Protection::Agents);
    }
    under
}

pub(super) fn by_client_info(info: &str) -> Under {
    let mut under = Under::default();
    if info.to_ascii_lowercase().starts_with("rman channel=") || info.starts_with("id=rman") {
        under.insert(Protection::Backup);
    }
    under
}

/// By what a session waits for, or last waited for: one that listens to a queue or a pipe, or sleeps between two polls, is ACTIVE
/// for days and does its job. If it has used the CPU since, only its last wait shows that.
pub(super) fn by_event(event: &str) -> Under {
    let mut under = Under::default();
    let lower = event.to_ascii_lowercase();
    let begins = |beginnings: &[&str]| beginnings.iter().any(|beginning| lower.starts_with(beginning));
    if begins(&["streams aq:", "pipe get", "pl/sql lock timer"]) {
        under.insert(Protection::Queues);
    }
    // Of the global transaction table, and of a branch that another session has: Oracle Database Reference, "Oracle Wait Events".
    if begins(&[
        "free global transaction table entry",
        "inactive transaction branch",
        "enq: dx ",
    ]) {
        under.insert(Protection::Xa);
    }
    if begins(&["jobq slave"]) {
        under.insert(Protection::Jobs);
    }
    if begins(&[
        "logminer",
        "logical standby",
        "streams capture",
        "streams apply",
        "xstream",
        "goldengate",
    ]) {
        under.insert(Protection::Replication);
    }
    under
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A PROGRAM as V$SESSION has it.
    fn cut(program: &str) -> &str {
        &program[..program.floor_char_boundary(48)]
    }

    #[test]
    fn a_server_process_is_protected_however_much_of_its_name_was_cut() {
        for name in ["J000", "P001", "TT00", "TMON", "TNS"] {
            for length in 1..60 {
                let whole = format!("oracle@{} ({name})", "h".repeat(length));
                let known = by_program(cut(&whole)) != Under::default();
                assert!(known || is_unnamed_server_process(cut(&whole)), "{}", cut(&whole));
            }
        }
        assert!(is_unnamed_server_process(
            "oracle@dbprod-node1.internal.corp.example1.com ("
        ));
    }

    #[test]
    fn a_session_over_a_link_is_a_clients_as_long_as_it_cannot_be_anything_else() {
        for length in 1..60 {
            let whole = format!("oracle@{} (TNS V1-V3)", "h".repeat(length));
            let shown = cut(&whole);
            // `(T` may be the beginning of `(TT00)`.
            assert_eq!(is_unnamed_server_process(shown), !shown.contains("(TNS "), "{shown}");
            assert_eq!(by_program(shown), Under::default(), "{shown}");
        }
        for clients in ["ORACLE.EXE", "oracle.jdbc.Driver"] {
            assert_eq!(by_program(clients), Under::default());
            assert!(!is_unnamed_server_process(clients));
        }
        assert_eq!(by_program("ORACLE.EXE (J001)"), Under::of(Protection::Jobs));
        assert!(is_unnamed_server_process("ORACLE.EXE (J0"));
    }

    #[test]
    fn a_text_may_be_cut_by_bytes_and_inside_a_character() {
        let cases = [
            (44, false),
            (45, true),
            (48, true),
            (49, false),
            (60, false),
            (61, true),
            (64, true),
            (65, false),
        ];
        for (length, cut) in cases {
            assert_eq!(may_be_cut(&"m".repeat(length), MODULE_BYTES), cut, "{length}");
        }
        // Twelve characters of four bytes, and twenty-four of two.
        assert!(may_be_cut(&"\u{1f600}".repeat(12), PROGRAM_BYTES));
        assert!(may_be_cut(&"\u{e4}".repeat(24), PROGRAM_BYTES));
        assert!(!may_be_cut(&"\u{e4}".repeat(11), PROGRAM_BYTES));
    }

    #[test]
    fn what_is_left_of_a_cut_name_is_taken_for_that_name() {
        let directory = "/opt/oracle/product/19.0.0/dbhome_1/instance/b/";
        assert_eq!(directory.len(), 47);
        let ending = |name: &str, at: usize| {
            let path = format!("{}{name}", "d".repeat(47 - at) + "/");
            let shown = cut(&path).to_owned();
            assert_eq!(shown.len(), 48);
            by_program(&shown)
        };
        assert_eq!(ending("rman.exe", 3), Under::of(Protection::Backup));
        assert_eq!(ending("rman.exe", 6), Under::of(Protection::Backup));
        assert_eq!(ending("extract", 4), Under::of(Protection::Replication));
        assert_eq!(ending("connector-debezium", 14), Under::of(Protection::Replication));
        assert_eq!(ending("application", 5), Under::default());
        // The machine shows that the name is whole.
        let beside = format!("ext@{}", "m".repeat(44));
        assert_eq!(by_program(&beside), Under::default());
        let module = format!("{}goldeng", "m".repeat(57));
        assert_eq!(by_module(&module), Under::of(Protection::Replication));
        assert_eq!(by_module(&module[1..56]), Under::default());
    }

    #[test]
    fn waits_of_a_distributed_transaction_are_known() {
        for event in [
            "inactive transaction branch",
            "free global transaction table entry",
            "enq: DX - contention",
        ] {
            assert_eq!(by_event(event), Under::of(Protection::Xa), "{event}");
        }
        for event in [
            "enq: TX - row lock contention",
            "SQL*Net message from dblink",
            "transaction",
        ] {
            assert_eq!(by_event(event), Under::default(), "{event}");
        }
    }

    #[test]
    fn a_shared_server_s_name_says_nothing_of_the_session() {
        for name in ["S000", "D001", "L002", "N000"] {
            assert_eq!(by_process_name(name), Under::default(), "{name}");
        }
        let cases = [
            ("J000", Protection::Jobs),
            ("P00A", Protection::ParallelServer),
            ("DBW0", Protection::Background),
            ("LGWR", Protection::Background),
            ("NSS2", Protection::Replication),
            ("SMON", Protection::Background),
        ];
        for (name, protection) in cases {
            assert_eq!(by_process_name(name), Under::of(protection), "{name}");
        }
    }

    #[test]
    fn programs_that_others_ship_are_known_by_name() {
        let cases = [
            ("sp_ocap@db1 (TNS V1-V3)", Protection::Replication),
            ("sp_opst_mt@db1", Protection::Replication),
            ("hvr@hub01 (TNS V1-V3)", Protection::Replication),
            ("dbvrep@db1", Protection::Replication),
            ("agent", Protection::Agents),
            ("DPA", Protection::Agents),
            ("otelcol-contrib@mon01", Protection::Agents),
            ("Foglight for Oracle", Protection::Agents),
            ("dynatrace-oneagent", Protection::Agents),
            ("logstash@mon01", Protection::Agents),
            ("perl@nagios01 (TNS V1-V3)", Protection::Agents),
            ("C:\\oracle\\bin\\RMAN.EXE", Protection::Backup),
        ];
        for (program, protection) in cases {
            assert_eq!(by_program(program), Under::of(protection), "{program}");
        }
        for program in [
            "sqlplus@web01 (TNS V1-V3)",
            "JDBC Thin Client",
            "reagent",
            "perla@web01",
        ] {
            assert_eq!(by_program(program), Under::default(), "{program}");
        }
    }
}
