//! What counts as an action, and from when what became of a session is measured.

use std::sync::Arc;

use super::*;
use crate::decide::used_again::Afterwards;
use crate::event::{Event, Outcomed};
use crate::journal::tests::{at, intent, outcome};

fn entry(id: u64, came_of_it: Outcome) -> Entry {
    let intent = intent(id, 287, RunMode::Enforce);
    let Event::Outcome(outcomed) = outcome(&intent, came_of_it) else {
        panic!("it is an outcome")
    };
    let outcomed: Outcomed = outcomed;
    Entry {
        at: at(0),
        intent: Arc::clone(&intent),
        outcome: Some(outcomed),
        answered: Some(at(40)),
        proofs: vec![(at(45), Proof::Gone)],
        came_back: None,
        afterwards: None,
    }
}

fn report_on(read: &Entries, summary: bool) -> HistoryReport<'_> {
    HistoryReport {
        state: "state",
        asked: "",
        zone: Tz::UTC,
        read,
        summary,
    }
}

/// The first day of a summary in CSV, by the names of its columns.
fn first_day(csv: &str) -> BTreeMap<&str, &str> {
    let mut lines = csv.lines();
    let (head, line) = (lines.next().expect("a head"), lines.next().expect("a day"));
    head.split(',').zip(line.split(',')).collect()
}

#[test]
fn a_warrant_that_was_not_used_is_no_action() {
    let unused = |id, outcome| Entry {
        proofs: Vec::new(),
        ..entry(id, outcome)
    };
    let read = Entries {
        entries: vec![
            entry(1, Outcome::Marked),
            unused(2, Outcome::Expired),
            unused(3, Outcome::Revoked),
        ],
        ..Entries::default()
    };
    let report = |summary| report_on(&read, summary);
    let csv = report(true).render(ReportFormat::Csv, TextStyle::WHOLE);
    let cells = first_day(&csv);
    assert_eq!(
        ["actions", "done", "spared", "unused", "gone"].map(|name| cells[name]),
        ["1", "1", "0", "2", "1"],
        "{csv}"
    );
    let text = report(false).render(ReportFormat::Text, TextStyle::WHOLE);
    assert!(text.contains("1 action and 2 unused warrants in state"), "{text}");
}

#[test]
fn a_dry_run_counts_whoever_ended_by_himself_as_gone() {
    let mut assumed = entry(1, Outcome::Assumed);
    assumed.intent = intent(1, 287, RunMode::DryRun);
    let read = Entries {
        entries: vec![assumed],
        ..Entries::default()
    };
    let csv = report_on(&read, true).render(ReportFormat::Csv, TextStyle::WHOLE);
    let cells = first_day(&csv);
    assert_eq!(
        ["done", "gone", "lingering"].map(|name| cells[name]),
        ["1", "1", "0"],
        "{csv}"
    );
}

#[test]
fn what_became_of_a_session_is_measured_from_the_answer() {
    assert_eq!(fate_words(&entry(1, Outcome::Marked)), "gone after 5s");
    let unanswered = Entry {
        answered: None,
        ..entry(1, Outcome::Marked)
    };
    assert_eq!(fate_words(&unanswered), "gone after 45s");
}

/// An action of a dry run, and what became of its session after so many seconds.
fn rehearsed(id: u64, sid: u32, afterwards: Option<(Afterwards, i64)>) -> Entry {
    let intent = intent(id, sid, RunMode::DryRun);
    let Event::Outcome(outcomed) = outcome(&intent, Outcome::Assumed) else {
        panic!("it is an outcome")
    };
    Entry {
        intent,
        outcome: Some(outcomed),
        proofs: Vec::new(),
        afterwards: afterwards.map(|(afterwards, seconds)| (afterwards, chrono::TimeDelta::seconds(seconds))),
        ..entry(id, Outcome::Marked)
    }
}

#[test]
fn a_summary_says_what_became_of_the_sessions_of_dry_runs() {
    let read = Entries {
        entries: vec![
            rehearsed(1, 287, Some((Afterwards::UsedAgain, 18_600))),
            rehearsed(2, 288, Some((Afterwards::Validated, 60))),
            rehearsed(3, 289, Some((Afterwards::Ended, 90))),
            rehearsed(4, 290, None),
            rehearsed(7, 291, Some((Afterwards::Lost, 90))),
            // The same session once more while it is watched.
            rehearsed(5, 290, None),
            entry(6, Outcome::Marked),
        ],
        ..Entries::default()
    };
    let report = |summary| report_on(&read, summary);
    let csv = report(true).render(ReportFormat::Csv, TextStyle::WHOLE);
    let cells = first_day(&csv);
    assert_eq!(
        ["mode", "actions", "used", "validated", "ended", "watched", "lost"].map(|name| cells[name]),
        ["dry run", "6", "2", "1", "1", "1", "1"],
        "{csv}"
    );
    let (_, groups) = csv
        .split_once("\n\n")
        .or_else(|| csv.split_once("\r\n\r\n"))
        .expect("a second CSV");
    let of_group = first_day(groups);
    let names = [
        "policy",
        "username",
        "would_have_ended",
        "used_again",
        "validated",
        "ended",
        "watched",
        "lost",
    ];
    assert_eq!(
        names.map(|name| of_group[name]),
        ["idle", "APEXDEV", "5", "2", "1", "1", "1", "1"],
        "{csv}"
    );
    let json = report(true).render(ReportFormat::Json, TextStyle::WHOLE);
    let last: serde_json::Value = serde_json::from_str(json.lines().last().expect("lines")).expect("JSON");
    let rehearsal = &last["rehearsal"];
    assert_eq!(rehearsal["policy"], "idle", "{json}");
    assert_eq!(
        (&rehearsal["would_have_ended"], &rehearsal["used_again_soonest_s"]),
        (&json!(5), &json!(60))
    );
    assert_eq!(rehearsal["groups"][0]["username"], "APEXDEV");
    for format in [ReportFormat::Text, ReportFormat::Markdown, ReportFormat::Html] {
        let text = report(true).render(format, TextStyle::WHOLE);
        assert!(text.contains("Would have been ended, and used again"), "{text}");
        // One word has one meaning in both tables, and each table says it.
        for said in [
            "Would end",
            "Unused: warrants that expired",
            "Ended: they ended by themselves",
        ] {
            let words: Vec<&str> = text.split_whitespace().collect();
            assert!(words.join(" ").contains(said), "{said}: {text}");
        }
    }
    let text = report(false).render(ReportFormat::Text, TextStyle::WHOLE);
    assert!(
        text.contains("used again after 5h 10m") && text.contains("ended by itself after 1m 30s"),
        "{text}"
    );
}
