//! The status page: one HTML document that loads nothing from elsewhere. Trouble comes first, then one line for each database, then
//! the databases one by one, then the latest actions.
//!
//! Without scripts the browser loads it again every 15 seconds. With scripts, `live.js` replaces its content whenever the daemon's
//! state has changed ([`crate::http`]), and says so when the daemon no longer answers: an old page must not look like a new one.

mod actions;
mod chart;
mod database;
mod overview;
mod parts;
mod rehearsals;

use maud::{Markup, display, html};

use crate::html::{STATUS, document};
pub(super) use crate::http::page::parts::Moment;
use crate::http::page::parts::{hindrances, trouble};
use crate::quantity::{Span, counted, policies as policies_in_all, shortened};
use crate::status::{DaemonStatus, DatabaseStatus, Reachability};

/// Up to this many databases are shown in full at once; of more, each is one line until somebody opens it.
const SHOWN_IN_FULL: usize = 3;

/// This many troubles of databases are listed on top. Of more than [`SHOWN_IN_FULL`], each takes one line there.
const TROUBLES: usize = 10;

/// Renders the page.
pub(super) fn render(status: &DaemonStatus, moment: Moment<'_>) -> String {
    let head = html! {
        noscript { meta http-equiv="refresh" content="15"; }
        script src="/live.js" defer {}
    };
    let body = html! {
        p #lost { "No answer from the daemon: this page is old." }
        main { (content(status, moment)) }
    };
    document(&format!("orareaper on {}", moment.host), STATUS, &head, &body)
}

/// What the page shows: everything that changes.
pub(super) fn content(status: &DaemonStatus, moment: Moment<'_>) -> Markup {
    let mut databases: Vec<(&str, &DatabaseStatus)> = status
        .databases
        .iter()
        .map(|(name, database)| (&**name, database))
        .collect();
    // Those that are not read, then those that are not acted on as they should be, then all others.
    databases.sort_by_key(|(_, database)| (trouble(database, moment).is_none(), hindrances(database).is_empty()));
    let all_in_full = databases.len() <= SHOWN_IN_FULL;
    html! {
        header {
            h1 { "orareaper on " (moment.host) }
            p { (state(status)) }
        }
        (troubles(status, &databases, moment))
        @if databases.is_empty() {
            p { "No database is watched yet." }
        } @else {
            (overview::table(&databases, moment))
        }
        @for (name, database) in &databases {
            (database::details(name, database, all_in_full, moment))
        }
        (actions::latest(status, moment))
        (footer(status, moment))
    }
}

/// What no reader may overlook: paused, dry run, what is armed, who leads.
fn state(status: &DaemonStatus) -> Markup {
    let count =
        |is: &dyn Fn(&DatabaseStatus) -> bool| status.databases.values().filter(|database| is(database)).count();
    let all = status.databases.len();
    let (armed, down) = (
        count(&|database| database.armed),
        count(&|database| matches!(database.link, Reachability::Down { .. })),
    );
    let (leads, stands_by) = (
        count(&|database| database.leads == Some(true)),
        count(&|database| database.leads == Some(false)),
    );
    html! {
        @if status.paused.is_some() { span.chip.bad { "PAUSED" } }
        @if status.dry_run { span.chip.warn { "DRY RUN" } }
        @if down > 0 { span.chip.bad { (down) " of " (all) " down" } }
        @if armed == 0 { span.chip.dim { "nothing armed" } } @else { span.chip.armed { (armed) " of " (all) " armed" } }
        @if leads > 0 { span.chip.good { "leads on " (leads) } }
        @if stands_by > 0 { span.chip.warn { "stands by on " (stands_by) } }
    }
}

/// Everything that is wrong, first of all on the page.
fn troubles(status: &DaemonStatus, databases: &[(&str, &DatabaseStatus)], moment: Moment<'_>) -> Markup {
    let of_databases: Vec<(&str, String)> = databases
        .iter()
        .flat_map(|(name, database)| {
            let trouble = trouble(database, moment).into_iter();
            trouble.chain(hindrances(database)).map(|trouble| (*name, trouble))
        })
        .collect();
    let many = of_databases.len() > SHOWN_IN_FULL;
    let errors = [&status.journal_error, &status.load_error, &status.web_error];
    let of_daemon = status.paused.is_some()
        || errors.into_iter().any(Option::is_some)
        || !status.untold.is_empty()
        || !status.lost.is_empty();
    html! {
        @if of_daemon || !of_databases.is_empty() {
            ul.trouble {
                @if let Some(by) = &status.paused {
                    li.bad {
                        "Paused by " (by) ": no session is acted on. "
                        code { "orareaper resume" } " ends the pause."
                    }
                }
                @if let Some(error) = &status.journal_error {
                    li.bad { "The journal cannot be written, so no session is acted on: " (error) }
                }
                @if let Some(error) = &status.load_error {
                    li.bad {
                        "The last load of the configuration and the policies failed; the previous ones are in force:"
                        pre { (error) }
                    }
                }
                @for (receiver, trouble) in &status.untold {
                    li.bad.short { "Notifications to " (receiver) " fail " (trouble) }
                }
                @if let Some(error) = &status.web_error {
                    li.bad {
                        "The web configuration cannot be used; what protected these pages before is in force:"
                        pre { (error) }
                    }
                }
                @if !status.lost.is_empty() {
                    li.bad {
                        "No longer in force, because the files do not have them any more: " (shortened(&status.lost, TROUBLES))
                    }
                }
                @for (name, trouble) in of_databases.iter().take(TROUBLES) {
                    li.bad.short[many] { a href=(format!("#db-{name}")) { (name) } ": " (trouble) }
                }
                @if of_databases.len() > TROUBLES {
                    li.bad { "and " (of_databases.len() - TROUBLES) " more, each at its database below" }
                }
            }
        }
        @if status.dry_run { p.warn { "Started with --dry-run: nothing is sent to any database." } }
    }
}

fn footer(status: &DaemonStatus, moment: Moment<'_>) -> Markup {
    html! {
        footer.dim {
            p {
                (moment.time(moment.at)) " · orareaper " (env!("CARGO_PKG_VERSION"))
                @if let Some(started) = status.started {
                    " · running for " (display(Span((moment.at - started).num_seconds())))
                }
                @if let Some(digest) = &status.digest {
                    " · " (policies_in_all(status.policies))
                    ", " (counted(status.exemptions, "exemption")) ", digest " (digest.chars().take(12).collect::<String>())
                }
                @if let Some((head, at)) = &status.journal_head {
                    " · journal " code { (head) } " since " (moment.time(*at))
                }
            }
            p {
                a href="/metrics" { "metrics" } " · " a href="/readyz" { "readiness" }
                " · " code { "orareaper history --since 1d" } " shows what was done"
                " · " code { "orareaper pause" } " stops all actions"
                " · each alert has its entry in docs/runbook.md"
            }
        }
    }
}
