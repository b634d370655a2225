//! Stand-ins for the names in a recording, so that it can be given away.
//!
//! Each word of a text of a client becomes another word: the same one wherever and whenever it stands, in the same letter case, with the
//! digits, points and slashes around it as they were. So groups of clients, machines that differ by a number, and everything that is
//! counted stay what they are. Words that name products (`JDBC`, `sqlplus`, `rman`) stay, and so do Oracle's own accounts: conditions
//! and protections ask for them. A session whose protections a stand-in would change keeps the words that make them; numbers, times,
//! states and statements' identifiers stay as they are.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::decide::protect::{Accounts, ProtectionFacts, SYS_ACCOUNTS, is_of_agents, protections};
use crate::recording::RecordedSnapshot;
use crate::session::column::Column;

/// The columns whose texts come from people: they get stand-ins. All other texts are Oracle's own.
const NAMES: [Column; 17] = [
    Column::Username,
    Column::Schemaname,
    Column::Osuser,
    Column::Process,
    Column::Machine,
    Column::Terminal,
    Column::Program,
    Column::Module,
    Column::Action,
    Column::ClientInfo,
    Column::ClientIdentifier,
    Column::ServiceName,
    Column::ResourceConsumerGroup,
    Column::Ecid,
    Column::ExternalName,
    Column::Container,
    Column::Profile,
];

/// The columns by whose words a protection knows a session.
const TELLING: [Column; 4] = [Column::Program, Column::Module, Column::Action, Column::ClientInfo];

/// Words of products, and of Oracle's own texts, in lower case.
const KNOWN: [&str; 66] = [
    "jdbc",
    "thin",
    "client",
    "oci",
    "odbc",
    "net",
    "sqlplus",
    "sql",
    "plus",
    "sqlcl",
    "developer",
    "rman",
    "oracle",
    "tns",
    "python",
    "java",
    "javaw",
    "exe",
    "perl",
    "php",
    "node",
    "ruby",
    "dotnet",
    "toad",
    "plsqldev",
    "dbeaver",
    "excel",
    "msaccess",
    "w3wp",
    "httpd",
    "tomcat",
    "weblogic",
    "dbms",
    "scheduler",
    "job",
    "data",
    "pump",
    "worker",
    "master",
    "expdp",
    "impdp",
    "golden",
    "gate",
    "ogg",
    "goldengate",
    "backup",
    "restore",
    "archivelog",
    "full",
    "datafile",
    "agent",
    "emagent",
    "exporter",
    "monitor",
    "orareaper",
    "cdb",
    "root",
    "sys",
    "background",
    "users",
    "default",
    "group",
    "low",
    "high",
    "medium",
    "unknown",
];

/// Lengths at which Oracle cuts texts: one that has this length may go on, and its stand-in must look so too.
const CUT: usize = 48;

/// The stand-ins that were given so far. The same for all snapshots of a recording.
#[derive(Debug, Default)]
pub(crate) struct Anonymiser {
    words: HashMap<String, String>,
    numbers: HashMap<String, String>,
    /// The last facts, and the same with stand-ins: they seldom change, and are written only when they do.
    facts: Option<(Arc<ProtectionFacts>, Arc<ProtectionFacts>)>,
}

impl Anonymiser {
    /// The snapshot with stand-ins.
    pub(crate) fn anonymise(&mut self, recorded: RecordedSnapshot) -> RecordedSnapshot {
        let before = recorded.snapshot;
        let facts = match &self.facts {
            Some((known, facts)) if Arc::ptr_eq(known, &recorded.facts) => Arc::clone(facts),
            Some(_) | None => {
                let facts = Arc::new(self.facts(&recorded.facts));
                self.facts = Some((Arc::clone(&recorded.facts), Arc::clone(&facts)));
                facts
            }
        };
        let mut after = before.clone();
        let under = protections(&before, &recorded.facts);
        let mut kept = BTreeSet::new();
        // Twice at most: first without exceptions, then with those that the first shows.
        for _ in 0..2 {
            for column in NAMES {
                let stand_in = |row: usize, text: &str| self.text(column, text, &recorded.facts, kept.contains(&row));
                after.replace_texts(&before, column, stand_in);
            }
            let now = protections(&after, &facts);
            let changed = (0..before.rows()).filter(|row| now[*row] != under[*row]);
            let changed: Vec<usize> = changed.collect();
            if changed.is_empty() {
                break;
            }
            kept.extend(changed);
        }
        after.rename_instances(|name| self.words_of(name));
        RecordedSnapshot {
            snapshot: after,
            readings: recorded.readings,
            facts,
        }
    }

    /// The stand-in for the name of a database.
    pub(crate) fn database(&mut self, name: &str) -> String {
        self.words_of(name)
    }

    /// Oracle's own accounts keep their names.
    fn facts(&mut self, facts: &ProtectionFacts) -> ProtectionFacts {
        let mut replication = Accounts::default();
        for name in facts.replication.everywhere() {
            replication.insert(None, self.account(name, facts));
        }
        for (con_id, names) in facts.replication.local() {
            for name in names {
                replication.insert(Some(con_id), self.account(name, facts));
            }
        }
        ProtectionFacts {
            own_username: self.account(&facts.own_username, facts),
            own_sessions: facts.own_sessions.clone(),
            oracle_maintained: facts.oracle_maintained.clone(),
            replication,
        }
    }

    fn account(&mut self, name: &str, facts: &ProtectionFacts) -> String {
        let is_oracles =
            SYS_ACCOUNTS.contains(&name) || facts.oracle_maintained.are_somewhere(name) || is_of_agents(name);
        if is_oracles {
            name.to_owned()
        } else {
            self.words_of(name)
        }
    }

    /// The stand-in of a text. `keep`: its words may decide over a protection, so only what stands after an `@` gets another.
    fn text(&mut self, column: Column, text: &str, facts: &ProtectionFacts, keep: bool) -> String {
        if matches!(column, Column::Username | Column::Schemaname) {
            return self.account(text, facts);
        }
        if keep && TELLING.contains(&column) {
            // `oracle@HOST (J001)`: only the host is anybody's.
            let Some((name, rest)) = text.split_once('@') else {
                return text.to_owned();
            };
            let (host, process) = rest
                .split_once(" (")
                .map_or((rest, ""), |(host, process)| (host, process));
            let mut stand_in = self.words_of(host);
            if text.len() >= CUT {
                // The whole stays as long as it was, and its end stays its end.
                stand_in = of_length(stand_in, host.len());
            }
            let end = if process.is_empty() {
                String::new()
            } else {
                format!(" ({process}")
            };
            return fitted(format!("{name}@{stand_in}{end}"), text);
        }
        fitted(self.words_of(text), text)
    }

    /// Every word and every long number becomes its stand-in.
    fn words_of(&mut self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let (mut rest, mut before) = (text, None);
        while let Some(first) = rest.chars().next() {
            let same = |c: char| {
                if first.is_alphabetic() {
                    c.is_alphabetic()
                } else {
                    first.is_ascii_digit() && c.is_ascii_digit()
                }
            };
            let end = rest
                .char_indices()
                .find(|(_, c)| !same(*c))
                .map_or(rest.len(), |(at, _)| at);
            let end = end.max(first.len_utf8());
            let (token, after) = rest.split_at(end);
            rest = after;
            if is_of_a_version(before, token, after) {
                out.push_str(token);
            } else if first.is_alphabetic() {
                out.push_str(&self.word(token));
            } else if token.len() > 2 && first.is_ascii_digit() {
                out.push_str(&self.number(token));
            } else {
                out.push_str(token);
            }
            before = token.chars().next_back();
        }
        out
    }

    fn word(&mut self, word: &str) -> String {
        let lower = word.to_lowercase();
        if KNOWN.contains(&&*lower) {
            return word.to_owned();
        }
        let next = self.words.len();
        let stand_in = self.words.entry(lower).or_insert_with(|| syllables(next)).clone();
        if word.chars().all(char::is_uppercase) {
            stand_in.to_uppercase()
        } else if word.chars().next().is_some_and(char::is_uppercase) {
            let (first, rest) = stand_in.split_at(1);
            first.to_uppercase() + rest
        } else {
            stand_in
        }
    }

    fn number(&mut self, number: &str) -> String {
        let next = self.numbers.len() + 1;
        let long = number.len();
        self.numbers
            .entry(number.to_owned())
            .or_insert_with(|| format!("{next:0long$}"))
            .clone()
    }
}

/// Whether a letter belongs to the number beside it (`V1-V3`, `J001`, `19c`), or is the one that common accounts begin with (`C##`). Any
/// other letter that stands alone may be somebody's name, and gets a stand-in as long as any other.
fn is_of_a_version(before: Option<char>, letter: &str, after: &str) -> bool {
    let is_digit = |beside: Option<char>| beside.is_some_and(|c| c.is_ascii_digit());
    let is_one = letter.chars().count() == 1 && letter.chars().all(char::is_alphabetic);
    is_one && (is_digit(before) || is_digit(after.chars().next()) || letter == "C" && after.starts_with("##"))
}

/// A word for a number, of syllables: `baba`, `beba`, `biba`.
fn syllables(mut number: usize) -> String {
    const CONSONANTS: &[u8] = b"bdfgklmnprstvz";
    const VOWELS: &[u8] = b"aeiou";
    let mut word = String::new();
    for place in 0.. {
        let syllable = number % (CONSONANTS.len() * VOWELS.len());
        number /= CONSONANTS.len() * VOWELS.len();
        word.push(char::from(CONSONANTS[syllable / VOWELS.len()]));
        word.push(char::from(VOWELS[syllable % VOWELS.len()]));
        if place > 0 && number == 0 {
            break;
        }
    }
    word
}

/// A text that may have been cut is as long as it was.
fn fitted(mut stand_in: String, text: &str) -> String {
    if text.len() < CUT {
        // One that was whole must not look cut.
        while stand_in.len() >= CUT {
            stand_in.pop();
        }
        return stand_in;
    }
    of_length(stand_in, text.len())
}

fn of_length(mut text: String, length: usize) -> String {
    while text.len() > length {
        text.pop();
    }
    while text.len() < length {
        text.push('x');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::pressure::Readings;
    use crate::session::snapshot::Cell;
    use crate::session::snapshot::{Instance, Snapshot, SnapshotSource};

    #[test]
    fn words_become_other_words_and_everything_else_stays() {
        let mut anonymiser = Anonymiser::default();
        assert_eq!(anonymiser.words_of("shopweb07.Corp.EXAMPLE"), "baba07.Beba.BIBA");
        assert_eq!(anonymiser.words_of("shopweb12.corp.other"), "baba12.beba.boba");
        assert_eq!(anonymiser.words_of("JDBC Thin Client"), "JDBC Thin Client");
        assert_eq!(
            anonymiser.words_of("sqlplus@SHOPWEB07 (TNS V1-V3)"),
            "sqlplus@BABA07 (TNS V1-V3)"
        );
        assert_eq!(anonymiser.words_of("Müller, 4711"), "Buba, 0001");
        assert_eq!(anonymiser.words_of("4711 and 08154711"), "0001 daba 00000002");
        let of_versions = Anonymiser::default().words_of("oracle 19c (J01) on x64");
        assert_eq!(of_versions, "oracle 19c (J01) baba x64");
        let all: BTreeSet<String> = (0..20_000).map(syllables).collect();
        assert_eq!(all.len(), 20_000, "each number has a word of its own");
    }

    /// A name of one letter is a name: its stand-in is as long as that of any other name.
    #[test]
    fn a_name_of_one_letter_gets_a_stand_in_like_any_other() {
        let mut anonymiser = Anonymiser::default();
        let facts = ProtectionFacts::default();
        let account = |anonymiser: &mut Anonymiser, name: &str| anonymiser.account(name, &facts);
        let names = [
            "X",
            "A",
            "SHOPPER",
            "X",
            "PAYROLL_BATCH_OWNER",
            "C##X",
            "C##REAPERACCT",
            "Ö",
        ];
        let shown: Vec<String> = names.iter().map(|name| account(&mut anonymiser, name)).collect();
        assert_eq!(shown[..4], ["BABA", "BEBA", "BIBA", "BABA"]);
        assert_eq!(shown[5], "C##BABA", "the same word for the same word");
        assert_eq!(shown[5].len(), shown[6].len());
        assert_eq!(shown[7].len(), 4);
        let machine = anonymiser.words_of("x.example.com/m");
        assert!(!machine.starts_with("x.") && !machine.ends_with("/m"), "{machine}");
        // Oracle's own keep theirs, for conditions and protections ask for them.
        for own in ["SYS", "SYSTEM", "DBSNMP"] {
            assert_eq!(account(&mut anonymiser, own), own);
        }
    }

    /// INST_ID, SID, SERIAL#, TYPE, USERNAME, PROGRAM, MODULE, MACHINE.
    const READ: [Column; 8] = [
        Column::InstId,
        Column::Sid,
        Column::Serial,
        Column::Type,
        Column::Username,
        Column::Program,
        Column::Module,
        Column::Machine,
    ];

    fn recorded(facts: &Arc<ProtectionFacts>, sessions: &[[&str; 4]]) -> RecordedSnapshot {
        let mut builder = Snapshot::builder(SnapshotSource::Live, &READ);
        for (sid, [user, program, module, machine]) in (1..).zip(sessions) {
            let numbers = [1, sid, 1].map(Cell::Number).into_iter();
            let texts = ["USER", user, program, module, machine].map(Cell::Text);
            let cells: Vec<Cell<'_>> = numbers.chain(texts).collect();
            builder.push_row(&cells).expect("few rows");
        }
        let instance = Instance {
            inst_id: 1,
            name: "PRODFRA1".into(),
            complete: true,
        };
        RecordedSnapshot {
            snapshot: builder.finish(None, vec![instance]).finish(READ.into_iter().collect()),
            readings: Readings::default(),
            facts: Arc::clone(facts),
        }
    }

    #[test]
    fn nobody_is_named_and_every_protection_stays() {
        let facts = Arc::new(ProtectionFacts {
            own_username: "REAPERACCT".into(),
            own_sessions: Vec::new(),
            oracle_maintained: ["SYS", "XDB"].map(String::from).into(),
            replication: ["CDCUSER"].map(String::from).into(),
        });
        let host = "dbprod-node1.internal.acme.example";
        let slave = format!("oracle@{host} (J001)");
        let cut = format!("oracle@{host}.more.acme.example")[..48].to_owned();
        let sessions = [
            ["SHOPPER", "JDBC Thin Client", "checkout.acme", "acmeweb07.acme.example"],
            ["SHOPPER", "JDBC Thin Client", "checkout.acme", "acmeweb12.acme.example"],
            ["SYS", "rman@acmedb1 (TNS V1-V3)", "backup full datafile", host],
            ["SHOPPER", &slave, "DBMS_SCHEDULER", host],
            ["SHOPPER", &cut, "", host],
            ["CDCUSER", "debezium", "acmecdc", "acmecdc1"],
            ["REAPERACCT", "orareaper", "orareaper", "acmemon"],
            ["DBSNMP", "emagent@acmemon (TNS V1-V3)", "Data Pump Worker", "acmemon"],
            ["MÜLLER", "acme_exporter", "Acme.Erp/4711223", "ACME\\PC0815"],
        ];
        let before = recorded(&facts, &sessions);
        let under = protections(&before.snapshot, &facts);
        let mut anonymiser = Anonymiser::default();
        let after = anonymiser.anonymise(before.clone());
        assert_eq!(protections(&after.snapshot, &after.facts), under);
        let shown: Vec<String> = (0..sessions.len())
            .map(|row| {
                READ.map(|column| after.snapshot.text(row, column).unwrap_or("").to_owned())
                    .join("|")
            })
            .collect();
        let all = format!("{shown:?} {:?} {:?}", after.snapshot.instances(), after.facts).to_lowercase();
        for name in [
            "acme",
            "shopper",
            "prodfra",
            "müller",
            "reaperacct",
            "cdcuser",
            "4711223",
            "0815",
            "checkout",
            "dbprod",
        ] {
            assert!(!all.contains(name), "{name}: {all}");
        }
        let machine = |row| {
            after
                .snapshot
                .text(row, Column::Machine)
                .expect("a machine")
                .replace(|c: char| c.is_ascii_digit(), "#")
        };
        assert_eq!(machine(0), machine(1), "machines that differ by a number still do");
        assert_eq!(
            after.snapshot.text(4, Column::Program).map(str::len),
            Some(48),
            "a text that may be cut stays so"
        );
        // The same names in a later snapshot have the same stand-ins.
        let again = anonymiser.anonymise(before);
        for row in 0..sessions.len() {
            for column in READ {
                assert_eq!(again.snapshot.text(row, column), after.snapshot.text(row, column));
            }
        }
        assert!(
            Arc::ptr_eq(&again.facts, &after.facts),
            "facts that stay are written once"
        );
    }

    #[test]
    fn every_text_is_a_persons_or_oracles_own() {
        let oracles = [
            Column::Saddr,
            Column::Paddr,
            Column::Taddr,
            Column::Lockwait,
            Column::Status,
            Column::Server,
            Column::Type,
            Column::SqlAddress,
            Column::SqlId,
            Column::PrevSqlAddr,
            Column::PrevSqlId,
            Column::PdmlEnabled,
            Column::FailoverType,
            Column::FailoverMethod,
            Column::FailedOver,
            Column::PdmlStatus,
            Column::PddlStatus,
            Column::PqStatus,
            Column::BlockingSessionStatus,
            Column::FinalBlockingSessionStatus,
            Column::Event,
            Column::P1Text,
            Column::P1Raw,
            Column::P2Text,
            Column::P2Raw,
            Column::P3Text,
            Column::P3Raw,
            Column::WaitClass,
            Column::State,
            Column::SqlTrace,
            Column::SqlTraceWaits,
            Column::SqlTraceBinds,
            Column::SqlTracePlanStats,
            Column::CreatorAddr,
            Column::ShardDdlStatus,
            Column::PlsqlDebuggerConnected,
            Column::DrainStatus,
            Column::DrainOrigin,
            Column::TransactionStatus,
            Column::Spid,
            Column::Pname,
            Column::AccountStatus,
            Column::OracleMaintained,
        ];
        for column in Column::ALL {
            if column.kind() == crate::session::column::Kind::Text {
                let known = usize::from(NAMES.contains(column)) + usize::from(oracles.contains(column));
                assert_eq!(known, 1, "{}", column.name());
            }
        }
    }
}
