//! Stand-ins for the names in a recording, so that it can be given away.
//!
//! Each word of a text of a client becomes another word: the same one wherever and whenever it stands, in the same letter case, with the
//! points and slashes around it and a number of one or two digits beside it as they were. So groups of clients, machines that differ by a
//! number, and everything that is counted stay what they are. A word of one letter is a word like any other, also beside a digit (`U7`).
//! Longer numbers, addresses, and every number of a text without a letter become other numbers, because they name somebody by
//! themselves.
//!
//! What stays is Oracle's own: words that name products (`JDBC`, `sqlplus`, `rman`), Oracle's accounts, the `C##` of common accounts, the
//! `TNS V1-V3` of its client library, and the name of a server process in PROGRAM (`oracle@host (J001)`). Conditions and protections
//! ask for them, and they say nothing of whose database it is. A session whose protections a stand-in would change keeps the words
//! that make them; columns of numbers, times, states and statements' identifiers stay as they are.

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
const KNOWN: [&str; 67] = [
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
    "ora",
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

/// Behind the name of a program that uses Oracle's client library. Its letters are Oracle's and nobody's name.
const CLIENT_LIBRARY: &str = "TNS V1-V3";

/// So many numbers in a row, joined by one sign each, are an address or a part of one: `10.1.2.3`, `ip-10-1-2-3`.
const ADDRESS_PARTS: usize = 3;

/// The stand-ins that were given so far. The same for all snapshots of a recording.
#[derive(Debug, Default)]
pub(crate) struct Anonymiser {
    words: HashMap<String, String>,
    /// The number of the next word. Not the count of words: one that would stand for itself is passed over.
    next_word: usize,
    numbers: HashMap<String, String>,
    last_number: usize,
    addresses: HashMap<String, String>,
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
        if column == Column::Program
            && let Some((name, host, process)) = of_server_process(text)
        {
            // The end stays, however long the host's name becomes.
            let mut stand_in = self.words_of(host);
            let longest = (CUT - 1).saturating_sub(name.len() + process.len());
            if text.len() >= CUT {
                stand_in = of_length(stand_in, host.len());
            } else if stand_in.len() > longest {
                stand_in = of_length(stand_in, longest);
            }
            return format!("{name}{stand_in}{process}");
        }
        if keep && TELLING.contains(&column) {
            // Of `oracle@HOST (J001)` only the host is anybody's.
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
        let stand_in = self.words_of(text);
        if text.len() < CUT && stand_in.len() >= CUT {
            // Many short words: cut, two names could have become one.
            return self.word(text);
        }
        fitted(stand_in, text)
    }

    /// Every word, every address and every number that names somebody becomes its stand-in.
    fn words_of(&mut self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let only_numbers = !text.chars().any(is_of_a_word);
        let (mut rest, mut before) = (text, None);
        while let Some(first) = rest.chars().next() {
            let begins = !before.is_some_and(is_part_of_a_name);
            let address = if begins { address(rest) } else { None };
            let token = if rest.starts_with(CLIENT_LIBRARY) && begins {
                CLIENT_LIBRARY
            } else {
                address.unwrap_or_else(|| token(rest, first))
            };
            let after = &rest[token.len()..];
            if address.is_some() {
                out.push_str(&self.address(token));
            } else if token == CLIENT_LIBRARY || is_of_common_accounts(token, after) {
                out.push_str(token);
            } else if is_of_a_word(first) {
                out.push_str(&self.word(token));
            } else if first.is_ascii_digit() && (token.len() > 2 || only_numbers) {
                out.push_str(&self.number(token));
            } else {
                out.push_str(token);
            }
            before = token.chars().next_back();
            rest = after;
        }
        out
    }

    fn word(&mut self, word: &str) -> String {
        let lower = word.to_lowercase();
        if KNOWN.contains(&&*lower) {
            return word.to_owned();
        }
        let stand_in = if let Some(known) = self.words.get(&lower) {
            known.clone()
        } else {
            let mut stand_in = self.syllables();
            if stand_in == lower {
                stand_in = self.syllables();
            }
            self.words.insert(lower, stand_in.clone());
            stand_in
        };
        if word.chars().all(char::is_uppercase) {
            stand_in.to_uppercase()
        } else if word.chars().next().is_some_and(char::is_uppercase) {
            let (first, rest) = stand_in.split_at(1);
            first.to_uppercase() + rest
        } else {
            stand_in
        }
    }

    fn syllables(&mut self) -> String {
        let word = syllables(self.next_word);
        self.next_word += 1;
        word
    }

    /// As long as the number was, but of three digits at least: a stand-in of one digit could only be one of ten.
    fn number(&mut self, number: &str) -> String {
        if let Some(known) = self.numbers.get(number) {
            return known.clone();
        }
        let long = number.len().max(3);
        let mut next = || {
            self.last_number += 1;
            format!("{:0long$}", self.last_number)
        };
        let mut stand_in = next();
        if stand_in == number {
            stand_in = next();
        }
        self.numbers.insert(number.to_owned(), stand_in.clone());
        stand_in
    }

    /// Another address, of a net that no host has: `0.0.0.1`, with as many parts and the same signs between them; `100::1` for one of
    /// IPv6. The machines of a class stay in one.
    fn address(&mut self, address: &str) -> String {
        if let Some(known) = self.addresses.get(address) {
            return known.clone();
        }
        let number = self.addresses.len() + 1;
        let stand_in = if is_of_ipv6(address) {
            format!("100::{number}")
        } else {
            let mut places = address.bytes().filter(|byte| !byte.is_ascii_digit()).count();
            let mut stand_in = String::from("0");
            for sign in address.chars().filter(|c| !c.is_ascii_digit()) {
                places -= 1;
                let octet = u32::try_from(places)
                    .ok()
                    .and_then(|places| 256_usize.checked_pow(places))
                    .map_or(0, |unit| number / unit % 256);
                stand_in.push(sign);
                stand_in.push_str(&octet.to_string());
            }
            stand_in
        };
        self.addresses.insert(address.to_owned(), stand_in.clone());
        stand_in
    }
}

/// Whether a character is a letter of a word. What is neither ASCII nor a sign that everybody uses is somebody's choice.
const fn is_of_a_word(c: char) -> bool {
    c.is_ascii_alphabetic() || !c.is_ascii()
}

const fn is_part_of_a_name(c: char) -> bool {
    is_of_a_word(c) || c.is_ascii_digit()
}

/// The word, the number or the sign that a text begins with.
fn token(text: &str, first: char) -> &str {
    let is_same = |c: char| {
        if is_of_a_word(first) {
            is_of_a_word(c)
        } else {
            first.is_ascii_digit() && c.is_ascii_digit()
        }
    };
    let end = text.find(|c| !is_same(c)).unwrap_or(text.len());
    &text[..end.max(first.len_utf8())]
}

/// Whether a text has the form of an address of IPv6: groups of up to four hexadecimal digits, of which the last may be one of IPv4.
fn is_of_ipv6(text: &str) -> bool {
    let is_group =
        |group: &str| group.contains('.') || group.len() <= 4 && group.bytes().all(|byte| byte.is_ascii_hexdigit());
    text.matches(':').count() >= 2 && text.split(':').all(is_group)
}

/// The address that a text begins with: one of IPv6, or numbers joined by the same sign.
fn address(text: &str) -> Option<&str> {
    let end = |text: &str, is_in: fn(char) -> bool| text.find(|c| !is_in(c)).unwrap_or(text.len());
    let candidate = &text[..end(text, |c| c.is_ascii_hexdigit() || matches!(c, ':' | '.'))];
    let candidate = candidate.strip_suffix('.').unwrap_or(candidate);
    let is_whole = !text[candidate.len()..].starts_with(is_part_of_a_name);
    if is_whole && is_of_ipv6(candidate) {
        return Some(candidate);
    }
    let sign = text[end(text, |c| c.is_ascii_digit())..].chars().next()?;
    if !text.starts_with(|c: char| c.is_ascii_digit()) || !matches!(sign, '.' | '-' | '_' | ':') {
        return None;
    }
    let (mut length, mut parts) = (0, 0);
    for part in text.split(sign) {
        let digits = end(part, |c| c.is_ascii_digit());
        if digits == 0 || part[digits..].starts_with(is_of_a_word) {
            break;
        }
        length += digits + usize::from(parts > 0);
        parts += 1;
        if digits < part.len() {
            break;
        }
    }
    (parts >= ADDRESS_PARTS).then(|| &text[..length])
}

/// `oracle@`, the host, and ` (J001)`: PROGRAM as Oracle writes it for a process of its own, whose name has three to five letters and
/// digits. Only the host is anybody's.
fn of_server_process(program: &str) -> Option<(&str, &str, &str)> {
    let (name, rest) = program.split_at(program.find('@')? + 1);
    let (host, process) = rest.split_at(rest.find(" (")?);
    let inside = process.strip_prefix(" (")?.strip_suffix(')')?;
    let is_one = name.eq_ignore_ascii_case("oracle@")
        && (3..=5).contains(&inside.len())
        && inside.starts_with(|first: char| first.is_ascii_alphabetic())
        && inside.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_one.then_some((name, host, process))
}

/// Whether a letter is the one that common accounts begin with (`C##`). Any other letter that stands alone, also beside a digit, may be
/// somebody's name, and gets a stand-in as long as any other.
fn is_of_common_accounts(letter: &str, after: &str) -> bool {
    letter == "C" && after.starts_with("##")
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
    use crate::recording::{Header, RecordingWriter};
    use crate::session::column::Source;
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
        let beside_digits = Anonymiser::default().words_of("oracle 19c (J01) on x64");
        assert_eq!(beside_digits, "oracle 19baba (BEBA01) biba boba64");
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

    /// Numbers that name somebody by themselves: all of a text without a letter, and addresses, however short their parts are.
    #[test]
    fn addresses_and_names_of_digits_get_stand_ins() {
        let mut anonymiser = Anonymiser::default();
        let mut shown = |text: &str| anonymiser.words_of(text);
        assert_eq!(shown("10.1.2.3"), "0.0.0.1");
        assert_eq!(shown("10.12.13.14"), "0.0.0.2");
        assert_eq!(shown("10.1.2.3"), "0.0.0.1", "the same for the same");
        assert_eq!(shown("ip-10-1-2-3.ec2"), "baba-0-0-0-3.beba2");
        assert_eq!(shown("fe80::1"), "100::4");
        assert_eq!(shown("fe80::a%eth0"), "100::5%biba0");
        assert_eq!(shown("::ffff:10.1.2.3"), "100::6");
        assert_eq!(shown("1.2.3"), "0.0.7");
        assert_eq!(shown("42"), "001");
        assert_eq!(shown("001"), "002", "a number stands for no other, and not for itself");
        assert_eq!(shown("4:2"), "003:004");
        assert_eq!(shown("web01-2"), "boba01-2");
        assert_eq!(shown("rman@bóx (TNS V1-V3)"), "rman@buba (TNS V1-V3)");
        for number in 0..300 {
            anonymiser.words_of(&format!("192.168.{}.{}", number / 256, number % 256));
        }
        assert_eq!(anonymiser.words_of("10.9.8.7"), "0.0.1.52");
        // Words and numbers that happen to be the next stand-in.
        let mut anonymiser = Anonymiser::default();
        assert_eq!(anonymiser.words_of("baba beba 001 002"), "beba biba 002 003");
    }

    /// Names of every shape, between bars.
    const SHAPES: &str = "Q|x|U7|x1|m1|s1|z1|k9|o1|c3|M4|9Q|q7w8|x1y2z3|QX|qxw|Qxw77|qx-77|qx_77.why|web99.qxw.example|\
        10.1.2.3|10.12.13.14|77.88.99.66|ip-77-88-99-66|77_88_99_66|fe80::77|2001:db8::99|::1:77|\
        why@qxw.example|QXW\\hyx|QXW\\h9|MÜLLER|ü|Ü7|李|٣٤|55|5|777|98765|77-88|C##Q|C##Q7|C##QXW|qxw (J77)|\
        oracle@qxw (TNS V1-V3)|oracle@q9 (J001)|oracle@10.1.2.3 (LGWR)|\
        q.w.x.y.h.q.w.x.y.h.q.w.x.y.h.q.w.x.y.h|q.w.x.y.h.q.w.x.y.h.q.w.x.y.h.q.w.x.y.q";

    fn of_client(names_read: &[Column]) -> Vec<Column> {
        let key = [Column::InstId, Column::Sid, Column::Serial, Column::Type];
        key.into_iter().chain(names_read.iter().copied()).collect()
    }

    /// A session for each name, which has it in each of these columns. Columns of other views pass the same function.
    fn of_names(names: &[&str], names_read: &[Column]) -> RecordedSnapshot {
        let columns = of_client(names_read);
        let mut builder = Snapshot::builder(SnapshotSource::Live, &columns);
        for (sid, name) in (1..).zip(names) {
            let numbers = [1, sid, 1].map(Cell::Number).into_iter();
            let texts = [Cell::Text("USER")]
                .into_iter()
                .chain(names_read.iter().map(|_| Cell::Text(name)));
            builder
                .push_row(&numbers.chain(texts).collect::<Vec<_>>())
                .expect("few rows");
        }
        let instances = ["z9", "Q", "77", "PRODQ7"].into_iter().zip(1..);
        let instances = instances.map(|(name, inst_id)| Instance {
            inst_id,
            name: name.into(),
            complete: true,
        });
        let facts = ProtectionFacts {
            own_username: "X7".into(),
            own_sessions: Vec::new(),
            oracle_maintained: ["SYS"].map(String::from).into(),
            replication: ["Y7", "Q"].map(String::from).into(),
        };
        RecordedSnapshot {
            snapshot: builder
                .finish(None, instances.collect())
                .finish(columns.iter().copied().collect()),
            readings: Readings::default(),
            facts: Arc::new(facts),
        }
    }

    /// The bytes of the whole file, for names of every shape in every column of a client. Each has a letter (q, x, w, y, h) or a number that
    /// no stand-in has.
    #[test]
    fn nothing_of_a_clients_own_names_is_in_the_file() {
        let names: Vec<&str> = SHAPES.split('|').collect();
        let names_read: Vec<Column> = NAMES
            .into_iter()
            .filter(|column| column.source() == Source::Session)
            .collect();
        let recorded = of_names(&names, &names_read);
        let columns = of_client(&names_read);
        let mut anonymiser = Anonymiser::default();
        let header = Header {
            database: anonymiser.database("q7"),
            every: std::time::Duration::from_secs(60),
        };
        let mut writer = RecordingWriter::begin(Vec::new(), &header).expect("memory");
        let after = anonymiser.anonymise(recorded.clone());
        writer.add(after.clone()).expect("memory");
        let file = String::from_utf8_lossy(&writer.finish()).to_lowercase();
        // The names of columns are Oracle's, and have letters of the names.
        let file = columns
            .iter()
            .fold(file, |file, column| file.replace(column.name(), ""));
        for name in &names {
            let own = name
                .trim_start_matches("C##")
                .trim_start_matches("oracle@")
                .to_lowercase();
            let own = own.split(" (").next().unwrap_or(&own);
            let alone = |at: usize| {
                let is_edge = |c: Option<char>| !c.is_some_and(char::is_alphanumeric);
                is_edge(file[..at].chars().next_back()) && is_edge(file[at + own.len()..].chars().next())
            };
            // The lengths and counts between the texts may be any single character.
            let left = file.match_indices(own).find(|(at, _)| own.len() > 1 && alone(*at));
            assert_eq!(left, None, "{name}");
            for row in 0..names.len() {
                for column in names_read.iter().copied() {
                    let shown = after.snapshot.text(row, column).expect("a text");
                    assert_ne!(shown.to_lowercase(), name.to_lowercase());
                    assert!(
                        !shown.to_lowercase().contains(|c| "qxwhyü李٣٤".contains(c)) || shown.starts_with("oracle@"),
                        "{shown}"
                    );
                }
            }
        }
        for row in 0..names.len() {
            let shown = |row| after.snapshot.text(row, Column::Machine);
            let same = (0..names.len()).filter(|other| shown(*other) == shown(row)).count();
            assert_eq!(same, 1, "{} has a stand-in of its own", names[row]);
        }
        let shown = |row| after.snapshot.text(row, Column::Program).expect("a program");
        let of = |name| {
            names
                .iter()
                .position(|one| *one == name)
                .map(shown)
                .expect("it is there")
        };
        assert!(
            of("oracle@q9 (J001)").ends_with(" (J001)"),
            "{}",
            of("oracle@q9 (J001)")
        );
        assert!(of("oracle@10.1.2.3 (LGWR)").starts_with("oracle@0.0.0."));
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
