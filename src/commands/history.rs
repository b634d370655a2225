//! `history`: shows the journal, with filters, or follows its chain, even while the daemon runs.
//!
//! It needs no database and no valid policies, and only the state folder and the time zone of the configuration, so an auditor who
//! may read the folder can run it. It locks nothing and writes nothing.

use std::path::{Path, PathBuf};

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;

use crate::cli::{CONFIG, ExitStatus, HistoryArgs};
use crate::clock::{Clock, SystemClock};
use crate::commands::pause::state_folder;
use crate::commands::{deliver, fail, style_for, warn};
use crate::decide::outcome::Outcome;
use crate::decide::verify::Proof;
use crate::explain::SessionName;
use crate::journal::entries::{SessionParts, Wanted, entries};
use crate::journal::verify::verify;
use crate::quantity::Span;
use crate::report::{ChainReport, HistoryReport, ReportFormat};
use crate::yaml::diagnostics::{did_you_mean, one_of};

/// Runs the command.
pub(crate) fn run(arguments: &HistoryArgs, config: &Path, clock: SystemClock) -> ExitStatus {
    match history(arguments, config, clock) {
        Ok(status) | Err(status) => status,
    }
}

fn history(arguments: &HistoryArgs, config: &Path, clock: SystemClock) -> Result<ExitStatus, ExitStatus> {
    let zone = zone(config);
    if arguments.verify {
        return verified(arguments, config, zone);
    }
    let wanted = wanted(arguments, zone, clock.utc()).map_err(|problem| fail(&problem))?;
    let state = folder(arguments, config).map_err(|problem| fail(&problem))?;
    let read = entries(&state, &wanted).map_err(|error| fail(&format!("read the journal: {error}")))?;
    let asked = asked(arguments);
    let report = HistoryReport {
        state: &state.display().to_string(),
        asked: &asked,
        zone,
        read: &read,
        summary: arguments.summary,
    };
    let output = arguments.output.as_deref();
    deliver(output, &report.render(arguments.format, style_for(output)))?;
    if read.damaged_lines == 0 {
        return Ok(ExitStatus::Fine);
    }
    // Formats for programs have no place for it.
    if matches!(
        arguments.format,
        ReportFormat::Json | ReportFormat::JsonLines | ReportFormat::Csv
    ) {
        for damage in &read.damage {
            warn(&format!(
                "warning: {} line {} cannot be read and was skipped: {}",
                damage.file.display(),
                damage.line,
                damage.problem
            ));
        }
    }
    Ok(ExitStatus::Findings)
}

/// Verifies the chain of hashes.
fn verified(arguments: &HistoryArgs, config: &Path, zone: Tz) -> Result<ExitStatus, ExitStatus> {
    let format = arguments.format;
    let json = match format {
        ReportFormat::Text => false,
        ReportFormat::Json | ReportFormat::JsonLines => true,
        ReportFormat::Csv | ReportFormat::Markdown | ReportFormat::Html => {
            let name = format.name();
            return Err(fail(&format!(
                "--verify does not support the format {name}; use text or json"
            )));
        }
    };
    let state = folder(arguments, config).map_err(|problem| fail(&problem))?;
    let followed = verify(&state, arguments.head).map_err(|error| fail(&format!("verify the journal: {error}")))?;
    let report = ChainReport {
        state: &state.display().to_string(),
        zone,
        followed: &followed,
    };
    let text = if json { report.json() } else { report.text() };
    deliver(arguments.output.as_deref(), &text)?;
    match followed.fault {
        None => Ok(ExitStatus::Fine),
        Some(_) => Ok(ExitStatus::Findings),
    }
}

/// The configured zone; UTC where the configuration cannot be read.
fn zone(config: &Path) -> Tz {
    let loaded = config.exists().then(|| crate::config::load(config));
    loaded
        .and_then(|loaded| loaded.config)
        .map_or(Tz::UTC, |config| config.timezone)
}

fn folder(arguments: &HistoryArgs, config: &Path) -> Result<PathBuf, String> {
    if arguments.state.is_none() && !config.exists() && config != Path::new(CONFIG) {
        return Err(format!(
            "read the configuration {}: there is no such file",
            config.display()
        ));
    }
    let folder = state_folder(config, arguments.state.as_deref())?;
    if folder.is_dir() {
        return Ok(folder);
    }
    Err(format!(
        "read the journal: there is no state folder {}, or this user may not enter it; name the folder with --state",
        folder.display()
    ))
}

fn wanted(arguments: &HistoryArgs, zone: Tz, now: DateTime<Utc>) -> Result<Wanted, String> {
    let time = |text: &Option<String>| text.as_deref().map(|text| time(text, zone, now)).transpose();
    let (since, until) = (time(&arguments.since)?, time(&arguments.until)?);
    if let (Some(since), Some(until)) = (since, until)
        && since >= until
    {
        return Err("--since is not before --until, so no action lies between them".to_owned());
    }
    let session = arguments.session.as_deref().map(session).transpose()?;
    Ok(Wanted {
        since,
        until,
        database: arguments.database.clone(),
        policy: arguments.policy.clone(),
        user: arguments.user.clone(),
        result: arguments.outcome.as_deref().map(result).transpose()?,
        session: session.unwrap_or_default(),
        rows: matches!(arguments.format, ReportFormat::Json | ReportFormat::JsonLines) && !arguments.summary,
    })
}

/// SID, SERIAL# and INST_ID of `287,62507,@1`, of a part of it, or of an instance alone: `@1`.
fn session(text: &str) -> Result<SessionParts, String> {
    let instance = text.trim().trim_matches('\'').strip_prefix('@');
    if let Some(inst_id) = instance.and_then(|inst_id| inst_id.parse().ok()) {
        return Ok((None, None, Some(inst_id)));
    }
    let name = text.parse::<SessionName>();
    let name = name.map_err(|why| format!("{why}; '@INST_ID' means all sessions of an instance"))?;
    Ok((Some(name.sid), name.serial, name.inst_id))
}

/// A span before now (`7d`), a day (`2026-11-20`), or a moment (`2026-11-20T10:00:00`, in the configured zone unless it has
/// an offset).
fn time(text: &str, zone: Tz, now: DateTime<Utc>) -> Result<DateTime<Utc>, String> {
    let local = |at: NaiveDateTime| zone.from_local_datetime(&at).earliest().map(|at| at.to_utc());
    if !text.is_empty() && text.bytes().all(|digit| digit.is_ascii_digit()) {
        return Err(format!(
            "{text:?} has no unit; write {text}d, {text}h or {text}m for a span before now"
        ));
    }
    if let Ok(Span(seconds)) = text.parse::<Span>() {
        return TimeDelta::try_seconds(seconds)
            .and_then(|span| now.checked_sub_signed(span))
            .ok_or_else(|| format!("{text:?} is too long"));
    }
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Ok(at.to_utc());
    }
    let day = text.parse::<NaiveDate>().map(|day| day.and_time(NaiveTime::MIN));
    let found = day.or_else(|_| text.replace(' ', "T").parse::<NaiveDateTime>());
    found.ok().and_then(local).ok_or_else(|| {
        format!("{text:?} is not a time; expected a span before now such as 7d, a day such as 2026-11-20, or 2026-11-20T10:00:00")
    })
}

/// An outcome, or what the snapshots showed afterwards.
fn result(word: &str) -> Result<Result<Outcome, Proof>, String> {
    let named = word.to_lowercase().replace([' ', '-'], "_");
    if let Some(outcome) = Outcome::named(&named) {
        return Ok(Ok(outcome));
    }
    if let Some(proof) = Proof::ALL.into_iter().find(|proof| proof.name() == named) {
        return Ok(Err(proof));
    }
    let words: Vec<&str> = Outcome::ALL
        .into_iter()
        .map(Outcome::name)
        .chain(Proof::ALL.into_iter().map(Proof::name))
        .collect();
    let hint = did_you_mean(&named, words.iter().copied())
        .unwrap_or_else(|| format!("expected {}", one_of(words.iter().copied())));
    Err(format!("no action has the outcome {word:?}; {hint}"))
}

/// The filters in words, for the head of the report.
fn asked(arguments: &HistoryArgs) -> String {
    let parts = [
        ("since", &arguments.since),
        ("until", &arguments.until),
        ("database", &arguments.database),
        ("policy", &arguments.policy),
        ("user", &arguments.user),
        ("outcome", &arguments.outcome),
        ("session", &arguments.session),
    ];
    let given: Vec<String> = parts
        .into_iter()
        .filter_map(|(name, value)| value.as_ref().map(|value| format!("{name} {value}")))
        .collect();
    given.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_spans_days_and_moments() {
        let now: DateTime<Utc> = "2026-11-22T10:00:00Z".parse().expect("a time");
        let berlin = Tz::Europe__Berlin;
        let cases = [
            ("7d", Some("2026-11-15T10:00:00Z")),
            ("90m", Some("2026-11-22T08:30:00Z")),
            // Berlin is an hour ahead of UTC in November.
            ("2026-11-20", Some("2026-11-19T23:00:00Z")),
            ("2026-11-20 10:00:00", Some("2026-11-20T09:00:00Z")),
            ("2026-11-20T10:00:00Z", Some("2026-11-20T10:00:00Z")),
            // In summer two hours.
            ("2026-07-01", Some("2026-06-30T22:00:00Z")),
            ("yesterday", None),
            ("", None),
        ];
        for (text, expected) in cases {
            let expected = expected.map(|at| at.parse::<DateTime<Utc>>().expect("a time"));
            assert_eq!(time(text, berlin, now).ok(), expected, "{text}");
        }
    }

    #[test]
    fn a_span_needs_a_unit() {
        assert_eq!(
            time("7", Tz::UTC, DateTime::UNIX_EPOCH),
            Err("\"7\" has no unit; write 7d, 7h or 7m for a span before now".to_owned())
        );
    }

    #[test]
    fn sessions_are_selected_by_a_whole_or_partial_name_or_an_instance() {
        assert_eq!(session("287,62507,@1"), Ok((Some(287), Some(62_507), Some(1))));
        assert_eq!(session("287"), Ok((Some(287), None, None)));
        assert_eq!(session("@2"), Ok((None, None, Some(2))));
        for wrong in ["@", "@x", "SHOP", ""] {
            let refused = session(wrong).expect_err("it is none");
            assert!(
                refused.contains("'@INST_ID' means all sessions of an instance"),
                "{refused}"
            );
        }
    }

    #[test]
    fn outcomes_and_verifications_are_selected_by_name() {
        assert_eq!(result("done"), Ok(Ok(Outcome::Done)));
        assert_eq!(result("no longer matches"), Ok(Ok(Outcome::NoLongerMatches)));
        assert_eq!(result("gone"), Ok(Err(Proof::Gone)));
        assert_eq!(
            result("lingrs"),
            Err("no action has the outcome \"lingrs\"; did you mean `lingers`?".to_owned())
        );
    }
}
