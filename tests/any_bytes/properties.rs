//! Properties over arbitrary bytes: the readers never panic, always report what is wrong and where, and what they accept means the
//! same when it is printed and read again.
//!
//! The tests beside this file check some thousands of inputs in every run; the fuzzer of `fuzz/` runs without end. A property panics
//! if it does not hold, as both of them expect.

use std::path::Path;

use chrono::NaiveDate;
use orareaper::policy::{check_condition, check_files, to_sql};
use orareaper::session::column::Column;
use orareaper::yaml::diagnostics::Diagnostic;

/// SQL*Plus reads no longer line (SP2-0027).
const LONGEST_LINE: usize = 2_499;

/// A secret that a configuration holds; part of no message.
const SECRET: &str = "hunter2-of-the-test";

/// A condition is read or answered. What is read means the same once it is printed, and has an SQL of its own.
pub(crate) fn condition(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let condition = match check_condition(&text) {
        Ok(condition) => condition,
        Err(problems) => return answered(&problems, text.len()),
    };
    let printed = condition.to_string();
    let again = check_condition(&printed).unwrap_or_else(|problems| panic!("{printed}: {problems:?}"));
    // A regular expression has no equality of its own; as Debug shows it, it is its pattern.
    assert_eq!(format!("{condition:?}"), format!("{again:?}"), "{printed}");
    assert_eq!(printed, again.to_string());
    let sql = to_sql(&condition);
    assert!(!sql.is_empty());
    for line in sql.lines() {
        assert!(line.len() <= LONGEST_LINE && !line.trim().is_empty(), "{line}");
    }
}

/// A policy file is accepted or answered: an error refuses it, and nothing else does.
pub(crate) fn policy_file(bytes: &[u8]) {
    let loaded = check_files(
        &[("f.yaml".to_owned(), bytes.to_vec())],
        NaiveDate::MIN,
        chrono_tz::Tz::UTC,
    );
    assert_eq!(
        loaded.set.is_none(),
        loaded.diagnostics.iter().any(Diagnostic::is_error)
    );
    if !loaded.diagnostics.is_empty() {
        answered(&loaded.diagnostics, bytes.len());
    }
}

/// The same of a configuration; and a password somewhere in it is never repeated.
pub(crate) fn configuration(bytes: &[u8]) {
    if bytes.windows(SECRET.len()).any(|part| part == SECRET.as_bytes()) {
        // The fuzzer knows the marker, and may write it in places where it is no marker.
        return;
    }
    let (before, after) = bytes.split_at(bytes.len() / 2);
    let secret = format!("\n    password: {SECRET}\n");
    for bytes in [bytes.to_vec(), [before, secret.as_bytes(), after].concat()] {
        let loaded = orareaper::config::check("c.yaml", &bytes, Path::new("/etc/orareaper"));
        assert_eq!(
            loaded.config.is_none(),
            loaded.diagnostics.iter().any(Diagnostic::is_error)
        );
        if !loaded.diagnostics.is_empty() {
            answered(&loaded.diagnostics, bytes.len());
        }
    }
}

/// A saved snapshot, CSV or JSON, is read or answered, and every field of what was read can be looked at.
pub(crate) fn saved_sessions(bytes: &[u8]) {
    match orareaper::export::parse(bytes, "sessions", None) {
        Err(error) => assert!(error.to_string().starts_with("read saved sessions from sessions")),
        Ok(saved) => {
            for row in 0..saved.snapshot.rows() {
                for column in Column::ALL {
                    let _ = saved.snapshot.field(row, *column);
                }
            }
        }
    }
}

/// Every problem has a place in the text and can be shown.
fn answered(problems: &[Diagnostic], length: usize) {
    assert!(!problems.is_empty(), "refused without a reason");
    for problem in problems {
        assert!(problem.span.start <= problem.span.end && problem.span.end <= length);
        let shown = format!("{problem}\n{}", problem.render(false));
        assert!(
            !problem.message.is_empty() && problem.to_string().len() < 2_000,
            "{problem}"
        );
        assert!(!shown.contains(SECRET), "a secret is shown: {shown}");
    }
}
