//! Reads and writes durations and sizes.
//!
//! Policies, configurations, policy tests and the command line read them here, so that `1h30m` and `512MB` mean the same
//! everywhere. They are written in two forms: exact, as in a file, so that they can be read back (`1d2h3m4s`, `1536MB`), and
//! short, for people (`1d 2h`, `1.5 GB`). What a call or a wait took is shorter than a session's age, and is shown to the tenth of a second
//! or the millisecond. No other file makes texts of durations or sizes.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// The units of durations with their seconds, the largest first.
const SPANS: [(char, i64); 4] = [('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)];

/// The units of sizes with their bytes, powers of 1024, the largest first.
const SIZES: [(&str, i64); 5] = [
    ("TB", 1 << 40),
    ("GB", 1 << 30),
    ("MB", 1 << 20),
    ("KB", 1 << 10),
    ("B", 1),
];

/// The seconds in a unit, which may be in upper or lower case.
pub(crate) fn seconds_in(unit: char) -> Option<i64> {
    let found = SPANS.iter().find(|(letter, _)| letter.eq_ignore_ascii_case(&unit));
    found.map(|(_, seconds)| *seconds)
}

/// The bytes in a unit, which may be in upper or lower case.
pub(crate) fn bytes_in(unit: &str) -> Option<i64> {
    let found = SIZES.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit));
    found.map(|(_, bytes)| *bytes)
}

/// A count with its noun: `1 session`, `2 sessions`.
pub(crate) fn counted(count: usize, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{plural}")
}

/// A number of policies: `1 policy`, `2 policies`.
pub(crate) fn policies(count: usize) -> String {
    match count {
        1 => "1 policy".to_owned(),
        count => format!("{count} policies"),
    }
}

/// The first of these, at most `most`, and how many more there are.
pub(crate) fn shortened(all: &[String], most: usize) -> String {
    let mut shown = all[..all.len().min(most)].join("; ");
    if all.len() > most {
        shown += &format!("; and {} more", all.len() - most);
    }
    shown
}

/// A duration in whole seconds, shown with at most two units, the larger one first: `5h 12m`, `1m 30s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span(pub(crate) i64);

/// The text is not a duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a span such as 90s, 30m, 4h, 1d or 1h30m")]
pub(crate) struct NoSpan;

impl Span {
    /// The exact form, as in a file: `1d2h3m4s`.
    pub(crate) fn in_full(self) -> impl fmt::Display {
        InFull(self)
    }

    /// Reads `1d` or `1h30m`: units from large to small, each at most once.
    pub(crate) fn with_units(written: &str) -> Option<Span> {
        let mut seconds: i64 = 0;
        let mut smallest = i64::MAX;
        let mut rest = written;
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit())?;
            let number: i64 = rest[..digits].parse().ok()?;
            let each = seconds_in(rest[digits..].chars().next()?)?;
            if each >= smallest {
                return None;
            }
            smallest = each;
            seconds = seconds.checked_add(number.checked_mul(each)?)?;
            rest = &rest[digits + 1..];
        }
        (smallest < i64::MAX).then_some(Span(seconds))
    }

    /// The number of each unit, the largest unit first.
    fn counts(self) -> [(u64, char); 4] {
        let mut left = self.0.unsigned_abs();
        SPANS.map(|(letter, each)| {
            let count = left / each.unsigned_abs();
            left %= each.unsigned_abs();
            (count, letter)
        })
    }
}

impl FromStr for Span {
    type Err = NoSpan;

    /// Reads a duration with units, or a number of seconds. `30M` is refused because it could be megabytes.
    fn from_str(text: &str) -> Result<Span, NoSpan> {
        if let Ok(seconds) = text.parse() {
            return Ok(Span(seconds));
        }
        if text.trim_start_matches(|c: char| c.is_ascii_digit()) == "M" {
            return Err(NoSpan);
        }
        Span::with_units(text).ok_or(NoSpan)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = self.counts();
        let Some(first) = counts.iter().position(|(count, _)| *count > 0) else {
            return f.write_str("0s");
        };
        let sign = if self.0 < 0 { "-" } else { "" };
        write!(f, "{sign}{}{}", counts[first].0, counts[first].1)?;
        match counts.get(first + 1) {
            Some((count, unit)) if *count > 0 => write!(f, " {count}{unit}"),
            Some(_) | None => Ok(()),
        }
    }
}

/// How long a call or a wait took, or may take: `340ms`, `2.5s`, and from ten seconds on as a [`Span`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Elapsed(pub(crate) Duration);

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis();
        match millis {
            0..1_000 if millis > 0 => write!(f, "{millis}ms"),
            1_000..10_000 => match millis / 100 % 10 {
                0 => write!(f, "{}s", millis / 1_000),
                tenths => write!(f, "{}.{tenths}s", millis / 1_000),
            },
            _ => Span(i64::try_from(self.0.as_secs()).unwrap_or(i64::MAX)).fmt(f),
        }
    }
}

/// A size in bytes, shown in powers of 1024 with at most one decimal: `2 GB`, `1.5 MB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bytes(pub(crate) i64);

/// The text is not a size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a size such as 512KB, 20MB, 2GB or 1TB")]
pub(crate) struct NoSize;

impl Bytes {
    /// The exact form, as in a file, in the largest unit that is exact: `1536MB`.
    pub(crate) fn in_full(self) -> impl fmt::Display {
        InFull(self)
    }
}

impl FromStr for Bytes {
    type Err = NoSize;

    /// Reads a number with a unit, or a number of bytes.
    fn from_str(text: &str) -> Result<Bytes, NoSize> {
        let (count, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
        let each = if unit.is_empty() {
            1
        } else {
            bytes_in(unit).ok_or(NoSize)?
        };
        let count: i64 = count.parse().map_err(|_| NoSize)?;
        count.checked_mul(each).map(Bytes).ok_or(NoSize)
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let size = self.0.unsigned_abs();
        let fits = |(_, each): &&(&str, i64)| each.unsigned_abs() <= size;
        let (unit, each) = SIZES.iter().find(fits).unwrap_or(&("B", 1));
        let decimals = usize::from(self.0 % each != 0);
        write!(f, "{:.decimals$} {unit}", self.0 as f64 / *each as f64)
    }
}

/// The exact form of a duration or a size.
struct InFull<T>(T);

impl fmt::Display for InFull<Span> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Span(seconds) = self.0;
        match seconds {
            0 => return f.write_str("0s"),
            ..0 => f.write_str("-")?,
            1.. => {}
        }
        for (count, unit) in self.0.counts() {
            if count > 0 {
                write!(f, "{count}{unit}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for InFull<Bytes> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Bytes(bytes) = self.0;
        let exact = |(_, each): &&(&str, i64)| bytes != 0 && bytes % each == 0;
        let (unit, each) = SIZES.iter().find(exact).unwrap_or(&("B", 1));
        write!(f, "{}{unit}", bytes / each)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn spans_are_shown_with_at_most_two_units() {
        let cases = [
            (0, "0s"),
            (59, "59s"),
            (90, "1m 30s"),
            (3600, "1h"),
            (18_720, "5h 12m"),
            (86_400, "1d"),
            (90_061, "1d 1h"),
            (86_460, "1d"),
            (-90, "-1m 30s"),
        ];
        for (seconds, text) in cases {
            assert_eq!(Span(seconds).to_string(), text);
        }
    }

    #[test]
    fn short_times_are_shown_to_the_millisecond_or_the_tenth_of_a_second() {
        let cases = [
            (0, "0s"),
            (1, "1ms"),
            (999, "999ms"),
            (1_000, "1s"),
            (1_099, "1s"),
            (2_580, "2.5s"),
            (9_999, "9.9s"),
            (10_500, "10s"),
            (90_000, "1m 30s"),
        ];
        for (millis, text) in cases {
            assert_eq!(Elapsed(Duration::from_millis(millis)).to_string(), text, "{millis}");
        }
    }

    #[test]
    fn spans_are_read_with_units_from_large_to_small() {
        let cases = [
            ("90s", 90),
            ("1h30m", 5_400),
            ("1H30M", 5_400),
            ("1d", 86_400),
            ("15", 15),
            ("-15", -15),
        ];
        for (text, seconds) in cases {
            assert_eq!(text.parse(), Ok(Span(seconds)), "{text}");
        }
        for text in [
            "5h 12m",
            "",
            "h",
            "1w",
            "30M",
            "30m1h",
            "1h1h",
            "1é",
            "9223372036854775807d",
        ] {
            assert_eq!(text.parse::<Span>(), Err(NoSpan), "{text}");
        }
    }

    #[test]
    fn sizes_are_shown_with_at_most_one_decimal() {
        let cases = [
            (0, "0 B"),
            (512, "512 B"),
            (1_023, "1023 B"),
            (2 << 30, "2 GB"),
            (1_572_864, "1.5 MB"),
            (-2_048, "-2 KB"),
            (3 << 50, "3072 TB"),
        ];
        for (bytes, text) in cases {
            assert_eq!(Bytes(bytes).to_string(), text);
        }
    }

    #[test]
    fn sizes_are_read_in_powers_of_1024() {
        let cases = [
            ("512KB", 524_288),
            ("2gb", 2 << 30),
            ("7B", 7),
            ("1TB", 1 << 40),
            ("15", 15),
        ];
        for (text, bytes) in cases {
            assert_eq!(text.parse(), Ok(Bytes(bytes)), "{text}");
        }
        for text in ["", "KB", "2G", "2 GB", "-1KB", "9223372036854775807KB", "1h"] {
            assert_eq!(text.parse::<Bytes>(), Err(NoSize), "{text}");
        }
    }

    proptest! {
        #[test]
        fn the_exact_form_is_read_back(amount in 0_i64..) {
            prop_assert_eq!(Span(amount).in_full().to_string().parse(), Ok(Span(amount)));
            prop_assert_eq!(Bytes(amount).in_full().to_string().parse(), Ok(Bytes(amount)));
        }

        #[test]
        fn any_text_is_read_without_a_panic(text in ".{0,12}|[0-9]{0,3}[dhmsDHMSkKbB]{0,3}[0-9]{0,2}[dhms]?") {
            let _: (Result<Span, _>, Result<Bytes, _>) = (text.parse(), text.parse());
        }
    }
}
