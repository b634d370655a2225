//! Recognizes the text that SQL*Plus and similar tools write around rows: prompts, headings on each page, underlines, a count.
//!
//! A line is skipped only if it is recognized. An unknown line may be a part of a session, and a report on half of the
//! sessions would look like a report on all of them.

use csv::StringRecord;

use crate::export::assemble::session_column;
use crate::session::column::Column;

/// The most lines before the heading, for a banner and the echo of a long query.
const DEEPEST_HEADING: usize = 1_000;

/// The longest prompt.
const LONGEST_PROMPT: usize = 64;

/// The word for "selected" after the row count in the languages of SQL*Plus: English, German, French, Spanish, Italian,
/// Portuguese, Dutch, Swedish, Danish and Norwegian, Polish, Czech, Turkish, Russian, Japanese, Chinese (twice), Korean.
const SELECTED: [&str; 17] = [
    "selected",
    "ausgewählt",
    "sélectionn",
    "seleccionad",
    "selezionat",
    "selecionad",
    "geselecteerd",
    "vald",
    "valgt",
    "wybran",
    "vybrán",
    "seçil",
    "выбран",
    "選択",
    "选择",
    "選取",
    "선택",
];

/// The position of the heading, and its separator.
pub(super) struct Heading {
    /// The byte at which the line of the heading begins.
    pub(super) start: usize,
    pub(super) separator: u8,
    /// The fields are padded with blanks, as with `set colsep`, and not quoted.
    pub(super) padded: bool,
    /// The length of each underline in the next line; empty if there are none.
    underlines: Vec<usize>,
}

/// Why there is no heading.
pub(super) enum NoHeading {
    /// No line has a column SID.
    NoSid { line: u64 },
    /// The columns are separated only by blanks.
    FixedWidth { line: u64 },
}

impl Heading {
    /// Finds the line with the names of the columns, below the beginning of a spool.
    pub(super) fn find(text: &str) -> Result<Heading, NoHeading> {
        let mut first = None;
        let mut fixed = None;
        let mut start = 0;
        for (index, whole) in text.split_inclusive('\n').take(DEEPEST_HEADING).enumerate() {
            let line = whole.trim_end_matches(['\n', '\r']);
            let number = index as u64 + 1;
            if !line.trim().is_empty() {
                first = first.or(Some(number));
                let separator = separator(line);
                let fields = split(line, separator);
                if is_heading(line, &fields, separator) {
                    return Ok(Heading::at(text, start, line.len(), separator));
                }
                if fixed.is_none() && is_fixed_width(line) {
                    fixed = Some(number);
                }
            }
            start += whole.len();
        }
        match (fixed, first) {
            (Some(line), _) => Err(NoHeading::FixedWidth { line }),
            (None, first) => Err(NoHeading::NoSid {
                line: first.unwrap_or(1),
            }),
        }
    }

    fn at(text: &str, start: usize, length: usize, separator: u8) -> Heading {
        let line = &text[start..start + length];
        let next = text[start + length..].lines().find(|line| !line.trim().is_empty());
        let underlines: Vec<usize> = next
            .map(|next| next.split(char::from(separator)).collect::<Vec<_>>())
            .filter(|fields| fields.len() == line.split(char::from(separator)).count())
            .filter(|fields| is_underline(fields.iter().copied()))
            .map(|fields| fields.iter().map(|field| field.trim().chars().count()).collect())
            .unwrap_or_default();
        let blanks = line.split(char::from(separator)).any(|field| field != field.trim());
        Heading {
            start,
            separator,
            padded: !line.contains('"') && (blanks || !underlines.is_empty()),
            underlines,
        }
    }

    /// The column of a heading. SQL*Plus cuts off a heading at the width of its column (`LOGON_TIM` above `22-NOV-26`). If a
    /// heading fills the width, it is the only column whose name begins with it.
    pub(super) fn column(&self, place: usize, name: &str) -> Option<Column> {
        session_column(name).or_else(|| {
            let name = name.trim();
            let cut = name.len() >= 5 && self.underlines.get(place) == Some(&name.chars().count());
            let mut begun = Column::ALL.iter().filter(|column| {
                let begins = column.name().get(..name.len());
                cut && begins.is_some_and(|begins| begins.eq_ignore_ascii_case(name))
            });
            let only = begun.next().filter(|_| begun.next().is_none())?;
            session_column(only.name())
        })
    }
}

fn split(line: &str, separator: u8) -> StringRecord {
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(separator)
        .from_reader(line.as_bytes());
    let mut record = StringRecord::new();
    // A line that cannot be split has no names.
    match reader.read_record(&mut record) {
        Ok(_) => record,
        Err(_) => StringRecord::new(),
    }
}

/// Whether a line has the names of columns, SID among them, and is not a part of the query.
fn is_heading(line: &str, fields: &StringRecord, separator: u8) -> bool {
    let of_a_query = |field: &str| {
        let field = field.trim().to_ascii_lowercase();
        field.starts_with("select ")
            || field.contains(" from ")
            || field.ends_with(';') && separator != b';'
            || field.split_once(' ').is_some_and(|(number, _)| is_digits(number))
    };
    fields.iter().any(|field| field.trim().eq_ignore_ascii_case("SID"))
        && !is_prompt(line)
        && !fields.iter().any(of_a_query)
}

/// Whether a line is a heading in columns of fixed width: `  INST_ID        SID    SERIAL# USERNAME`.
fn is_fixed_width(line: &str) -> bool {
    let mut words = line.split_whitespace();
    let named = words.clone().filter(|word| session_column(word).is_some()).count();
    words.any(|word| word.eq_ignore_ascii_case("SID"))
        && named > 1
        && !line.contains([',', ';', '|'])
        && !is_prompt(line)
}

/// The most frequent separator in the heading outside quotes; a comma if there is none.
fn separator(heading: &str) -> u8 {
    let mut counts = [(b',', 0), (b';', 0), (b'\t', 0), (b'|', 0)];
    let mut quoted = false;
    for byte in heading.bytes() {
        quoted ^= byte == b'"';
        if let Some((_, count)) = counts.iter_mut().find(|(known, _)| *known == byte && !quoted) {
            *count += 1;
        }
    }
    let most = counts.iter().map(|(_, count)| *count).max().unwrap_or(0);
    counts
        .iter()
        .find(|(_, count)| *count == most)
        .map_or(b',', |(byte, _)| *byte)
}

/// Whether each field is a run of hyphens, or of the character of `set underline`.
pub(super) fn is_underline<'a>(fields: impl Iterator<Item = &'a str>) -> bool {
    let mut seen = false;
    for field in fields {
        let mut characters = field.trim().chars();
        let Some(first) = characters.next() else {
            return false;
        };
        if !matches!(first, '-' | '=' | '_' | '~' | '*' | '.') || characters.any(|character| character != first) {
            return false;
        }
        seen = true;
    }
    seen
}

/// Whether a line begins with a prompt: `SQL> spool off`, `scott@PROD> `.
pub(super) fn is_prompt(line: &str) -> bool {
    let Some((name, rest)) = line.trim_start().split_once('>') else {
        return false;
    };
    (1..=LONGEST_PROMPT).contains(&name.len())
        && name.chars().all(|c| c.is_alphanumeric() || "_$#@.:-/".contains(c))
        && (rest.is_empty() || rest.starts_with(' '))
}

/// The row count in a line: `412 rows selected.`, `412 Zeilen ausgewählt.`, `Selezionate 412 righe.`
pub(super) fn feedback(line: &str) -> Option<u64> {
    let lower = line.trim().to_lowercase();
    if lower.len() > 100 || !SELECTED.iter().any(|word| lower.contains(word)) {
        return None;
    }
    let mut numbers = lower.split(|c: char| !c.is_ascii_digit()).filter(|run| !run.is_empty());
    let count = numbers.next()?.parse().ok()?;
    let plain = |c: char| c.is_alphanumeric() || c.is_whitespace() || matches!(c, '.' | '。' | '(' | ')');
    (numbers.next().is_none() && lower.chars().all(plain)).then_some(count)
}

/// The line that says that the query found nothing: `no rows selected`, `Es wurden keine Zeilen ausgewählt`.
pub(super) fn nothing_found(text: &str) -> Option<u64> {
    let says_so = |line: &str| {
        let lower = line.trim().to_lowercase();
        let plain = |c: char| c.is_alphabetic() || c.is_whitespace() || matches!(c, '.' | '。');
        lower.len() <= 100 && SELECTED.iter().any(|word| lower.contains(word)) && lower.chars().all(plain)
    };
    let mut lines = (1..).zip(text.lines());
    lines.find_map(|(number, line)| says_so(line).then_some(number))
}

/// Whether a line is from `set timing on`, such as `Elapsed: 00:00:00.05` or `Ecoulé : 00 :00 :00.05`, in any language.
pub(super) fn is_timing(line: &str) -> bool {
    let Some((word, clock)) = line.trim().split_once(':') else {
        return false;
    };
    let mut parts = clock.split(':').map(str::trim);
    let (Some(hours), Some(minutes), Some(seconds), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return false;
    };
    word.trim().chars().all(char::is_alphabetic)
        && is_digits(hours)
        && is_digits(minutes)
        && seconds.split(['.', ',']).all(is_digits)
}

/// Whether a line is what SQL*Plus says when it has carried out something else or ends: `Session altered.`, and in each of its languages
/// `Disconnected from Oracle Database 19c Enterprise Edition Release 19.0.0.0.0 - Production`.
pub(super) fn is_farewell(line: &str) -> bool {
    const DONE: [&str; 3] = [
        "Session altered.",
        "PL/SQL procedure successfully completed.",
        "Commit complete.",
    ];
    let line = line.trim();
    let release = line
        .split_once("Oracle Database ")
        .and_then(|(_, product)| product.split_once(" Release "));
    DONE.contains(&line) || release.is_some_and(|(_, number)| number.starts_with(|first: char| first.is_ascii_digit()))
}

/// The message that a text begins with, below `ERROR at line 1:` and the part of the query that it is about.
pub(super) fn message_near(text: &str) -> Option<(u64, &str)> {
    let mut lines = (1..).zip(text.lines().take(5));
    lines.find_map(|(number, line)| message(line).map(|message| (number, message)))
}

/// The message of the database or of SQL*Plus in a line: `ORA-00942: table or view does not exist`, `SP2-0640: Not connected`.
fn message(line: &str) -> Option<&str> {
    let line = line.trim();
    let (code, _) = line.split_once(':')?;
    let (product, number) = code.split_once('-')?;
    let known = ["ORA", "SP2", "TNS", "PLS", "CPY", "DPI", "DPY"].contains(&product);
    (known && is_digits(number) && number.len() <= 5).then_some(line)
}

/// The message that says why a text has no rows, with its line: the first of the last few that stand together, because a warning
/// about a password may come before them and the place in a program after it. SQL*Plus' own count only where there is no other.
pub(super) fn first_message(text: &str) -> Option<(u64, &str)> {
    let (mut of_the_database, mut of_sqlplus, mut before) = (None, None, 0);
    for (number, line) in (1..).zip(text.lines()) {
        let Some(message) = message(line) else { continue };
        if message.starts_with("SP2-") {
            of_sqlplus = of_sqlplus.or(Some((number, message)));
            continue;
        }
        if of_the_database.is_none() || number != before + 1 {
            of_the_database = Some((number, message));
        }
        before = number;
    }
    of_the_database.or(of_sqlplus)
}

/// The JSON in a text, without the text that a spool has around it, and the number of lines before it. `None` if the text is
/// a table.
pub(super) fn json_part(text: &str) -> Option<(&str, u64)> {
    let is_json = |line: &str| line.trim_start().starts_with(['[', '{']);
    let (mut start, mut lines) = (0, 0);
    if !is_json(text) {
        if Heading::find(text).is_ok() {
            return None;
        }
        let before = text.split_inclusive('\n').take_while(|line| !is_json(line));
        (start, lines) = before.fold((0, 0), |(start, lines), line| (start + line.len(), lines + 1));
    }
    let mut part = text.get(start..).filter(|part| !part.is_empty())?;
    loop {
        let last = part.trim_end().rfind('\n').map_or(0, |at| at + 1);
        let line = &part[last..];
        if last == 0 || !(is_prompt(line) || is_timing(line) || feedback(line).is_some()) {
            return Some((part, lines));
        }
        part = &part[..last];
    }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_row_count_is_read_in_every_language_of_sqlplus() {
        for line in [
            "412 rows selected.",
            "412 Zeilen ausgewählt.",
            "412 lignes sélectionnées.",
            "412 filas seleccionadas.",
            "Selezionate 412 righe.",
            "412 linhas selecionadas.",
            "412 rijen zijn geselecteerd.",
            "412 строк выбрано.",
            "412行が選択されました。",
            "已选择412行。",
            "412 개의 행이 선택되었습니다.",
        ] {
            assert_eq!(feedback(line), Some(412), "{line}");
        }
        for line in [
            "no rows selected",
            "412",
            "selected",
            "4 of 12 rows selected",
            "JDBC selected 7,1",
        ] {
            assert_eq!(feedback(line), None, "{line}");
        }
    }

    #[test]
    fn a_query_that_found_nothing_is_recognized() {
        for line in [
            "no rows selected",
            "Es wurden keine Zeilen ausgewählt",
            "aucune ligne sélectionnée",
            "ninguna fila seleccionada",
            "строки не выбраны",
            "レコードが選択されませんでした。",
        ] {
            assert_eq!(nothing_found(&format!("SQL> @sessions\n\n{line}\n")), Some(3), "{line}");
        }
        for text in [
            "412 rows selected.",
            "SELECTED;1",
            "no rows",
            "select 'selected' from dual;",
        ] {
            assert_eq!(nothing_found(text), None, "{text}");
        }
    }

    #[test]
    fn a_message_of_the_database_is_recognized() {
        for line in [
            "ORA-00942: table or view does not exist",
            "  SP2-0640: Not connected",
            "TNS-12541: TNS:no listener",
            "ORA-01017: \u{627}\u{633}\u{645}",
        ] {
            assert_eq!(message(line), Some(line.trim()), "{line}");
        }
        for line in [
            "ORA-APP: x",
            "1,ORA-00942: x",
            "ORA-00942",
            "ERROR at line 1:",
            "a: ORA-1: x",
        ] {
            assert_eq!(message(line), None, "{line}");
        }
        let spool = "ERROR:\nORA-28002: soon\n\nSQL> select * from v$session;\nORA-20000: no\nORA-06512: at line 1\nSP2-0640: x\n";
        assert_eq!(first_message(spool), Some((5, "ORA-20000: no")));
    }

    #[test]
    fn prompts_and_underlines_are_not_taken_for_sessions() {
        for line in ["SQL> spool off", "SQL>", "scott@PROD> exit", "SYS@db01:1521/shop> "] {
            assert!(is_prompt(line), "{line}");
        }
        for line in ["a->b", "1,2,a> b", "<null>", "> x", "it is > 5"] {
            assert!(!is_prompt(line), "{line}");
        }
        assert!(is_underline(["---", " ------- "].into_iter()) && is_underline(["===="].into_iter()));
        assert!(!is_underline(["---", ""].into_iter()) && !is_underline(["-1"].into_iter()));
        for line in [
            "Elapsed: 00:00:00.05",
            "Abgelaufen: 00:00:01.17",
            "Ecoulé : 00 :00 :00.05",
            "Transcurrido: 00:00:00,05",
        ] {
            assert!(is_timing(line), "{line}");
        }
        for line in ["a: b", "pool: 12345678", "at: 10:00", "a b: 00:00:00.05:1"] {
            assert!(!is_timing(line), "{line}");
        }
        for line in [
            "Disconnected from Oracle Database 19c Enterprise Edition Release 19.0.0.0.0 - Production",
            "Déconnecté de Oracle Database 11g Express Edition Release 11.2.0.2.0 - 64bit Production",
            "Disconnected from Oracle Database 23ai Free Release 23.0.0.0.0 - Develop",
            "Session altered.",
        ] {
            assert!(is_farewell(line), "{line}");
        }
        for line in [
            "Oracle Database",
            "app for Oracle Database 19c",
            "Session altered. Or not",
            "x Release 1",
        ] {
            assert!(!is_farewell(line), "{line}");
        }
    }
}
