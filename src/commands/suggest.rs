//! `suggest`: makes policies of a recording, one for each group of clients, with the evidence as comments. Never acts, and needs no
//! database and no configuration.

use std::fs::File;
use std::io::BufReader;

use chrono_tz::Tz;

use crate::cli::{ExitStatus, SuggestArgs};
use crate::clock::{Clock, SystemClock};
use crate::columns_needed;
use crate::commands::progress::ProgressBarLine;
use crate::commands::{deliver, deliverable, fail, say};
use crate::policy::check_files;
use crate::recording::{Next, RecordingReader};
use crate::suggest::RecordingSurvey;

/// Runs the command.
pub(crate) fn run(arguments: &SuggestArgs, clock: SystemClock) -> ExitStatus {
    match suggest(arguments, clock) {
        Ok(status) | Err(status) => status,
    }
}

fn suggest(arguments: &SuggestArgs, clock: SystemClock) -> Result<ExitStatus, ExitStatus> {
    let wrong =
        |error: &dyn std::fmt::Display| fail(&format!("read the recording {}: {error}", arguments.file.display()));
    let file = File::open(&arguments.file).map_err(|error| wrong(&error))?;
    let size = file.metadata().map_or(0, |metadata| metadata.len());
    let wanted = columns_needed::columns_of_survey();
    let mut reader =
        RecordingReader::open(BufReader::with_capacity(1 << 16, file), wanted).map_err(|error| wrong(&error))?;
    deliverable(arguments.output.as_deref())?;
    let database = reader.header().database.clone();
    let every = i64::try_from(reader.header().every.as_secs()).unwrap_or(i64::MAX);
    let mut survey = RecordingSurvey::new(every);
    let mut progress = ProgressBarLine::new(size, false);
    let mut broken = 0;
    loop {
        let next = reader.next().map_err(|error| {
            progress.clear();
            wrong(&error)
        });
        match next? {
            Next::RecordedSnapshot(recorded) => {
                let at = survey.look(&recorded);
                progress.advance(reader.offset(), at);
            }
            Next::Damage(damage) => {
                progress.aside(|| say(&format!("{}: {damage}", arguments.file.display())));
                broken += 1;
            }
            Next::End => break,
        }
    }
    progress.clear();
    let policies = survey.into_policies(&database);
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
            arguments.file.display(),
            problems.join("\n")
        )));
    }
    deliver(arguments.output.as_deref(), &policies)?;
    Ok(if broken == 0 {
        ExitStatus::Fine
    } else {
        ExitStatus::Findings
    })
}
