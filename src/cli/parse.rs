//! Reads values of the command line.

use std::time::Duration;

use crate::oracle::capabilities::Release;
use crate::policy::model::Action;
use crate::quantity::Span;
use crate::report::{ListColumn, ReportFormat, SortKey};
use crate::yaml::diagnostics::did_you_mean;

/// Parses an action that can be ordered; the error lists them.
pub(super) fn ordered_action() -> impl clap::builder::TypedValueParser<Value = Action> {
    use clap::builder::{PossibleValuesParser, TypedValueParser};
    let words = Action::ALL
        .into_iter()
        .filter(|action| *action != Action::Report)
        .map(Action::name);
    PossibleValuesParser::new(words).map(|word| Action::named(&word).expect("the parser takes these words only"))
}

/// Parses a span of time from a second to a year.
pub(super) fn span(text: &str) -> Result<Duration, String> {
    match text.parse().map(|Span(seconds)| u64::try_from(seconds)) {
        Ok(Ok(seconds @ 1..=31_536_000)) => Ok(Duration::from_secs(seconds)),
        Ok(Ok(_) | Err(_)) => Err("expected a span from 1s to 365d".into()),
        Err(error) => Err(format!("{error}")),
    }
}

/// Parses the time between two readings, from a second to a day.
pub(super) fn interval(text: &str) -> Result<Duration, String> {
    match text.parse().map(|Span(seconds)| u64::try_from(seconds)) {
        Ok(Ok(seconds @ 1..=86_400)) => Ok(Duration::from_secs(seconds)),
        Ok(Ok(_) | Err(_)) => Err("expected an interval from 1s to 1d".into()),
        Err(error) => Err(format!(
            "{error}; a condition after it needs the interval: --watch=5s CONDITION"
        )),
    }
}

/// Parses the name of a column of a list.
pub(super) fn list_column(text: &str) -> Result<ListColumn, String> {
    let name = text.trim();
    ListColumn::named(name).ok_or_else(|| {
        let hint = did_you_mean(name, ListColumn::names());
        let hint = hint.unwrap_or_else(|| {
            "the columns are those of GV$SESSION and of docs/policy-language.md, such as idle".into()
        });
        format!("there is no column {name}; {hint}")
    })
}

/// Parses what to sort by: `idle`, `-idle`, `idle desc`, `idle asc`.
pub(super) fn sort_key(text: &str) -> Result<SortKey, String> {
    let text = text.trim();
    let (name, descending) = match text.split_once(char::is_whitespace) {
        Some((name, direction)) => match direction.trim() {
            word if word.eq_ignore_ascii_case("desc") => (name, true),
            word if word.eq_ignore_ascii_case("asc") => (name, false),
            word => {
                return Err(format!(
                    "{word:?} is no direction; write `{name} desc` (largest first) or `{name} asc`"
                ));
            }
        },
        None => text.strip_prefix('-').map_or((text, false), |name| (name, true)),
    };
    let column = list_column(name)?;
    Ok(SortKey { column, descending })
}

/// Parses a release of Oracle Database: a number, or a product name such as 19c or 26ai. A name that stands for two releases means
/// the first one that is supported: 11g is 11.2, 12c is 12.1.
pub(super) fn release(text: &str) -> Result<Release, String> {
    let number = match text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic()) {
        "11" => "11.2",
        "12" => "12.1",
        number => number,
    };
    match Release::parse(number) {
        Some(release) if release.at_least(11, 2) && release.major < 100 => Ok(release),
        Some(_) | None => Err("expected a release from 11.2 on, such as 12.1 or 19c".into()),
    }
}

/// Parses a format by name; the error lists the valid names.
pub(super) fn report_formats() -> impl clap::builder::TypedValueParser<Value = ReportFormat> {
    use clap::builder::{PossibleValuesParser, TypedValueParser};
    PossibleValuesParser::new(ReportFormat::ALL.map(ReportFormat::name))
        .map(|name| ReportFormat::named(&name).expect("the parser takes these names only"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::column::Column;

    #[test]
    fn a_sort_key_has_its_direction_before_or_behind_it() {
        let cases = [
            ("idle", Some((Column::Idle, false))),
            ("-idle", Some((Column::Idle, true))),
            ("IDLE desc", Some((Column::Idle, true))),
            (" pga ASC", Some((Column::Pga, false))),
            ("idle down", None),
            ("-idle desc", None),
            ("-", None),
        ];
        for (text, expected) in cases {
            let read = sort_key(text).ok().map(|key| (key.column, key.descending));
            let expected = expected.map(|(column, descending)| (ListColumn::Of(column), descending));
            assert_eq!(read, expected, "{text:?}");
        }
    }

    #[test]
    fn a_wrong_column_is_told_the_nearest() {
        let told = list_column("usernmae").expect_err("there is none");
        assert_eq!(told, "there is no column usernmae; did you mean `username`?");
        assert!(
            list_column("zzzzzz")
                .expect_err("there is none")
                .contains("docs/policy-language.md")
        );
        assert_eq!(list_column("Serial#"), Ok(ListColumn::Of(Column::Serial)));
        assert_eq!(list_column("session"), Ok(ListColumn::Session));
    }

    #[test]
    fn an_interval_is_a_span_or_a_number_of_seconds() {
        assert_eq!(interval("5"), Ok(Duration::from_secs(5)));
        assert_eq!(interval("1m30s"), Ok(Duration::from_secs(90)));
        for wrong in ["0", "2d", "INACTIVE"] {
            assert!(interval(wrong).is_err(), "{wrong}");
        }
        assert!(
            interval("INACTIVE")
                .expect_err("a condition")
                .contains("--watch=5s CONDITION")
        );
    }

    #[test]
    fn a_product_s_name_means_the_first_release_of_that_name_that_is_supported() {
        for (text, meant) in [
            ("11g", Some((11, 2))),
            ("12", Some((12, 1))),
            ("12c", Some((12, 1))),
            ("12.2", Some((12, 2))),
            ("19c", Some((19, 0))),
            ("26ai", Some((26, 0))),
            ("11.1", None),
            ("c", None),
        ] {
            let found = release(text).ok().map(|release| (release.major, release.minor));
            assert_eq!(found, meant, "{text}");
        }
    }
}
