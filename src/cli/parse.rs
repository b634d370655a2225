//! Reads values of the command line.

use std::time::Duration;

use crate::oracle::capabilities::Release;
use crate::policy::model::Action;
use crate::quantity::Span;
use crate::report::ReportFormat;

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

/// Parses a release of Oracle Database: a number, or a product name such as 19c or 26ai.
pub(super) fn release(text: &str) -> Result<Release, String> {
    match Release::parse(text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic())) {
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
