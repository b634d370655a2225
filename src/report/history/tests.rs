//! What counts as an action, and from when what became of a session is measured.

use std::sync::Arc;

use super::*;
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
    }
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
    let report = |summary| HistoryReport {
        state: "state",
        asked: "",
        zone: Tz::UTC,
        read: &read,
        summary,
    };
    let csv = report(true).render(ReportFormat::Csv, TextStyle::WHOLE);
    let mut lines = csv.lines();
    let (head, line) = (lines.next().expect("a head"), lines.next().expect("a day"));
    let cells: BTreeMap<&str, &str> = head.split(',').zip(line.split(',')).collect();
    assert_eq!(
        ["actions", "done", "spared", "unused", "gone"].map(|name| cells[name]),
        ["1", "1", "0", "2", "1"],
        "{csv}"
    );
    let text = report(false).render(ReportFormat::Text, TextStyle::WHOLE);
    assert!(text.contains("1 action and 2 unused warrants in state"), "{text}");
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
