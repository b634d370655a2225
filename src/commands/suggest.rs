//! `suggest`: derives policies from a recording, one for each group of clients, with the evidence as comments. Never acts, and needs no
//! database and no configuration.

use chrono_tz::Tz;

use crate::cli::{ExitStatus, SuggestArgs};
use crate::clock::{Clock, SystemClock};
use crate::columns_needed;
use crate::commands::recorded::OpenRecording;
use crate::commands::stream::source_name;
use crate::commands::{deliver, deliverable, fail};
use crate::policy::check_files;
use crate::suggest::RecordingSurvey;

/// Runs the command.
pub(crate) fn run(arguments: &SuggestArgs, clock: SystemClock) -> ExitStatus {
    match suggest(arguments, clock) {
        Ok(status) | Err(status) => status,
    }
}

fn suggest(arguments: &SuggestArgs, clock: SystemClock) -> Result<ExitStatus, ExitStatus> {
    let mut recording = OpenRecording::open(&arguments.file, columns_needed::columns_of_survey())?;
    deliverable(arguments.output.as_deref())?;
    let header = recording.header();
    let database = header.database.clone();
    let every = i64::try_from(header.every.as_secs()).unwrap_or(i64::MAX);
    let mut survey = RecordingSurvey::new(every);
    let read = recording.each(false, |recorded| Ok(survey.look(&recorded)));
    let read = read.map_err(|error| error.told())?;
    read.has_something(&source_name(&arguments.file))?;
    read.tell_damage();
    let mut policies = survey.into_policies(&database);
    if let Some(damage) = read.damage() {
        policies.insert_str(0, &format!("# {damage}\n"));
    }
    let today = clock.utc().date_naive();
    let checked = check_files(
        &[("suggested.yaml".into(), policies.clone().into_bytes())],
        today,
        Tz::UTC,
    );
    if checked.set.is_none() {
        let problems: Vec<String> = checked.diagnostics.iter().map(ToString::to_string).collect();
        return Err(fail(&format!(
            "make a policy file of the recording {}: the file does not check, which is a fault of orareaper; please report it:\n{}",
            source_name(&arguments.file),
            problems.join("\n")
        )));
    }
    deliver(arguments.output.as_deref(), &policies)?;
    Ok(if read.damaged == 0 {
        ExitStatus::Fine
    } else {
        ExitStatus::Findings
    })
}
