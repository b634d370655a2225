//! What became of the sessions that dry runs would have ended.

use maud::{Markup, display, html};

use crate::decide::refill::ClientGroup;
use crate::decide::used_again::RehearsalTally;
use crate::http::page::parts::table;
use crate::quantity::counted;
use crate::report::rehearsal;
use crate::status::PolicyStatus;

/// This many groups of a policy are shown.
const GROUPS_SHOWN: usize = 5;

/// By policy and group; nothing where nobody would have been ended.
pub(super) fn rehearsals(policies: &[PolicyStatus]) -> Markup {
    let rehearsed = || {
        policies
            .iter()
            .filter(|policy| policy.rehearsal.all.would_have_ended() > 0)
    };
    if rehearsed().next().is_none() {
        return Markup::default();
    }
    let row = |policy: &str, who: Option<&ClientGroup>, tally: &RehearsalTally| {
        html! {
            tr {
                td.k { (policy) }
                td.t { @match who { Some(who) => (display(who)), None => "all" } }
                @for (at, cell) in rehearsal::cells(tally).iter().enumerate() {
                    td.n.warn[at == 1 && tally.used_again() > 0] { (cell) }
                }
            }
        }
    };
    let names = rehearsal::HEAD.into_iter().map(|name| (name, true));
    let head: Vec<(&str, bool)> = [("Dry run of", false), ("Who", false)]
        .into_iter()
        .chain(names)
        .collect();
    let rows = html! {
        @for policy in rehearsed() {
            (row(&policy.name, None, &policy.rehearsal.all))
            @for (who, tally) in policy.rehearsal.groups.iter().take(GROUPS_SHOWN) { (row("", Some(who), tally)) }
            @if let more @ 1.. = policy.rehearsal.groups.len().saturating_sub(GROUPS_SHOWN) {
                tr { td.k {} td.t { (counted(more, "more group")) @if more == 1 { " is" } @else { " are" } " not shown" } }
            }
        }
    };
    html! {
        h3 { "Would have been ended, and used again" }
        (table(&head, &rows))
        p.dim { (rehearsal::KEY) }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{GROUPS_SHOWN, rehearsals};
    use crate::decide::in_force::RunMode;
    use crate::decide::refill::ClientGroup;
    use crate::decide::used_again::{PolicyRehearsal, RehearsalTally};
    use crate::status::PolicyStatus;

    fn page(groups: usize) -> String {
        let group = |number: usize| {
            let who = ClientGroup {
                username: Some(format!("USER{number}").into()),
                ..ClientGroup::default()
            };
            let tally = RehearsalTally {
                watched: 1,
                ..RehearsalTally::default()
            };
            (who, tally)
        };
        let policy = PolicyStatus {
            name: "idle".into(),
            mode: RunMode::DryRun,
            matched: 0,
            warrants: 0,
            spared: BTreeMap::new(),
            acted: 0,
            breaker: None,
            suspended: Vec::new(),
            rehearsal: PolicyRehearsal::of((0..groups).map(group)),
            pending: Vec::new(),
        };
        rehearsals(&[policy]).into_string()
    }

    #[test]
    fn groups_that_are_not_shown_are_counted() {
        assert!(!page(GROUPS_SHOWN).contains("not shown"));
        assert!(page(GROUPS_SHOWN + 1).contains("1 more group is not shown"));
        assert!(page(GROUPS_SHOWN + 7).contains("7 more groups are not shown"));
    }
}
