//! What SQL*Plus and its like write around the rows of a query: prompts, headings on each page, underlines, a count.
//!
//! A line is passed over only if it is known for what it is. An unknown one may be half of a session, and a report over
//! half of the sessions looks like a report over all of them.

use csv::StringRecord;

use crate::saved::assemble::session_column;
use crate::session::column::Column;

/// How far down the heading may stand: below a banner and the echo of a long query.
const DEEPEST_HEADING: usize = 1_000;

/// A prompt is not longer.
const LONGEST_PROMPT: usize = 64;

/// How the count of rows is worded, in the languages of SQL*Plus's message files: English, German, French, Spanish, Italian,
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

/// Where the heading stands, and what separates its fields.
pub(super) struct Heading {
    /// The byte at which its line begins.
    pub(super) start: usize,
    pub(super) separator: u8,
    /// The fields are filled up with blanks, as `set colsep` writes them; nothing is quoted then.
    pub(super) padded: bool,
    /// How many characters each underline of the next line has; empty if there is none.
    underlines: Vec<usize>,
}

/// Why there is no heading.
pub(super) enum NoHeading {
    /// No line names SID.
    NoSid { line: u64 },
    /// Columns with nothing but blanks between them.
    FixedWidth { line: u64 },
}

impl Heading {
    /// Finds the line that names the columns, below whatever a spool begins with.
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

    /// The column that a heading names. SQL*Plus cuts a heading at its column's width (`LOGON_TIM` over `22-NOV-26`): one that
    /// fills the width is taken for the only column that begins like this.
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
    // A line of text is text; what cannot be split names nothing.
    match reader.read_record(&mut record) {
        Ok(_) => record,
        Err(_) => StringRecord::new(),
    }
}

/// Names of columns, SID among them, and no part of the query that asked for them.
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

/// `  INST_ID        SID    SERIAL# USERNAME`.
fn is_fixed_width(line: &str) -> bool {
    let mut words = line.split_whitespace();
    let named = words.clone().filter(|word| session_column(word).is_some()).count();
    words.any(|word| word.eq_ignore_ascii_case("SID"))
        && named > 1
        && !line.contains([',', ';', '|'])
        && !is_prompt(line)
}

/// The separator that the heading holds most of, outside quotes; a comma if it holds none.
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

/// Each field one run of hyphens, or of whatever `set underline` names.
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

/// `SQL> spool off`, `scott@PROD> `.
pub(super) fn is_prompt(line: &str) -> bool {
    let Some((name, rest)) = line.trim_start().split_once('>') else {
        return false;
    };
    (1..=LONGEST_PROMPT).contains(&name.len())
        && name.chars().all(|c| c.is_alphanumeric() || "_$#@.:-/".contains(c))
        && (rest.is_empty() || rest.starts_with(' '))
}

/// How many rows a line says that there were: `412 rows selected.`, `412 Zeilen ausgewählt.`, `Selezionate 412 righe.`
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

/// `Elapsed: 00:00:00.05` of `set timing on`, in any language.
pub(super) fn is_timing(line: &str) -> bool {
    let Some((word, clock)) = line.trim().split_once(':') else {
        return false;
    };
    let clock = clock.trim();
    word.trim().chars().all(char::is_alphabetic)
        && clock.len() >= 8
        && clock
            .chars()
            .all(|c| c.is_ascii_digit() || matches!(c, ':' | '.' | ','))
}

/// The part of a text that is JSON, without what a spool has around it, and how many lines stand before it. `None` if it is a
/// table.
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
    fn the_count_of_rows_is_read_in_every_language_of_the_tool() {
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
    fn prompts_and_underlines_are_told_from_sessions() {
        for line in ["SQL> spool off", "SQL>", "scott@PROD> exit", "SYS@db01:1521/shop> "] {
            assert!(is_prompt(line), "{line}");
        }
        for line in ["a->b", "1,2,a> b", "<null>", "> x", "it is > 5"] {
            assert!(!is_prompt(line), "{line}");
        }
        assert!(is_underline(["---", " ------- "].into_iter()) && is_underline(["===="].into_iter()));
        assert!(!is_underline(["---", ""].into_iter()) && !is_underline(["-1"].into_iter()));
        assert!(is_timing("Elapsed: 00:00:00.05") && is_timing("Abgelaufen: 00:00:01.17") && !is_timing("a: b"));
    }
}
