//! The groups of a summary's second table, for CSV: all of them, by the names that JSON has.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::decide::used_again::PolicyRehearsal;
use crate::report::csv::{inert, written};
use crate::report::rehearsal::{COLUMNS, figures};

/// A second CSV behind an empty line; nothing where nobody would have been ended.
pub(super) fn second_csv(by_policy: &BTreeMap<(Arc<str>, Arc<str>), PolicyRehearsal>) -> String {
    let words = ["database", "policy", "username", "program", "machine"].into_iter();
    let head: Vec<String> = words.chain(COLUMNS).map(str::to_owned).collect();
    let mut rows = vec![head];
    for ((database, policy), rehearsal) in by_policy {
        for (who, tally) in &rehearsal.groups {
            let text = |text: &Option<Arc<str>>| inert(text.as_deref().unwrap_or(""));
            let words = [
                inert(database),
                inert(policy),
                text(&who.username),
                text(&who.program),
                text(&who.machine),
            ];
            rows.push(words.into_iter().chain(figures(tally)).collect());
        }
    }
    if rows.len() == 1 {
        return String::new();
    }
    format!("\n{}", written(&rows))
}
