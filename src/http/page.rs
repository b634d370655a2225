//! The status page: one HTML document without scripts and without external resources.

use std::time::Duration;

use chrono::{DateTime, Utc};
use maud::{Markup, Render, display, html};

use crate::clock::Monotonic;
use crate::decide::in_force::RunMode;
use crate::decide::outcome::Outcome;
use crate::decide::verify::Proof;
use crate::event::InstanceReport;
use crate::html::{STATUS, document};
use crate::quantity::{Span, policies as policies_in_all};
use crate::status::{DaemonStatus, DatabaseStatus, PolicyStatus, Reachability, Recent};

/// Renders the page. `at` and `now` are the host's time.
pub(super) fn render(status: &DaemonStatus, at: DateTime<Utc>, now: Monotonic) -> String {
    let body = html! {
        h1 { "orareaper " (env!("CARGO_PKG_VERSION")) }
        (heading(status, at))
        (warnings(status))
        @if status.databases.is_empty() { p { "No database is watched yet." } }
        @for (name, database) in &status.databases { (of_database(name, database, now)) }
        (last_actions(status))
    };
    document("orareaper", STATUS, ["refresh", "15"], &body)
}

fn heading(status: &DaemonStatus, at: DateTime<Utc>) -> Markup {
    html! {
        p.dim {
            (time(at))
            @if let Some(started) = status.started { " · running for " (display(Span((at - started).num_seconds()))) }
            @if let Some(digest) = &status.digest {
                " · " (policies_in_all(status.policies)) ", digest " (digest.chars().take(12).collect::<String>())
            }
            @if let Some((head, at)) = &status.journal_head {
                " · journal " code { (head) } " since " (time(*at))
            }
        }
    }
}

fn warnings(status: &DaemonStatus) -> Markup {
    html! {
        @if status.dry_run { p.warn { "Started with --dry-run: nothing is sent to any database." } }
        @if let Some(by) = &status.paused { p.warn { "Paused by " (by) ": no session is acted on." } }
        @if let Some(error) = &status.journal_error {
            p.bad { "The journal cannot be written, so no session is acted on: " (error) }
        }
        @if let Some(error) = &status.load_error {
            p.bad { "The last load of the configuration and the policies failed; the previous ones are in force:" }
            pre { (error) }
        }
    }
}

fn of_database(name: &str, database: &DatabaseStatus, now: Monotonic) -> Markup {
    let arming = if database.armed { "armed" } else { "not armed" };
    html! {
        section {
            h2 { (name) }
            p {
                "driver " (database.driver) ", " (arming) ", polled every " (display(span(database.poll))) ". "
                @match &database.link {
                    Reachability::Connecting => "Connecting. ",
                    Reachability::Up { release } => { span.good { "Up" } ", release " (release) ". " }
                    Reachability::Down { .. } => { span.bad { "Down" } ". " }
                }
                @match database.trouble(now) {
                    Some(trouble) => span.bad { "Not ready: " (trouble) },
                    None => span.good { "Ready" },
                }
                @match database.leads {
                    Some(true) => { ". " span.good { "Leads" } }
                    Some(false) => { ". " span.warn { "Standby: this daemon does not lead" } }
                    None => "",
                }
                @if let Some(taken_at) = database.taken_at {
                    " "
                    span.dim { "Latest snapshot " (time(taken_at)) ", " (database.sessions) " sessions." }
                }
            }
            (acting(&database.acting))
            @if database.acting_hangs > 0 {
                p.bad { "Connections for actions that hang in a call of the driver: " (database.acting_hangs) "." }
            }
            @for note in &database.notes { p.warn { (note) } }
            @if !database.instances.is_empty() { (instances(&database.instances)) }
            (policies(&database.policies))
        }
    }
}

/// Writes nothing if no policy enforces.
fn acting(connections: &[(Option<u32>, bool)]) -> Markup {
    html! {
        @if !connections.is_empty() {
            p {
                "Connections for actions: "
                @for (at, (inst_id, stands)) in connections.iter().enumerate() {
                    @if at > 0 { ", " }
                    @match inst_id {
                        Some(inst_id) => { "instance " (inst_id) " " }
                        None => "any instance ",
                    }
                    @if *stands { span.good { "open" } } @else { span.bad { "missing" } }
                }
                "."
            }
        }
    }
}

/// A table as wide as the page; numbers are right-aligned.
fn table(head: &[(&str, bool)], rows: &Markup) -> Markup {
    html! {
        div.wide {
            table {
                thead { tr { @for (head, number) in head { th class=[number.then_some("n")] { (head) } } } }
                tbody { (rows) }
            }
        }
    }
}

fn instances(instances: &[InstanceReport]) -> Markup {
    let head = [
        ("Instance", false),
        ("Read", false),
        ("Lingering", true),
        ("Use of resources", false),
    ];
    let rows = html! {
        @for instance in instances {
            tr {
                td { (instance.inst_id) " " (instance.name) }
                td {
                    @if instance.complete {
                        span.good { "complete" }
                    } @else {
                        span.bad { "incomplete: its sessions are spared" }
                    }
                }
                td.n.warn[instance.lingering > 0] { (instance.lingering) }
                td {
                    @for (at, (resource, ratio)) in instance.pressure.iter().enumerate() {
                        @if at > 0 { ", " }
                        (resource.name()) " " (format_args!("{:.0}%", ratio * 100.0))
                    }
                }
            }
        }
    };
    table(&head, &rows)
}

fn policies(policies: &[PolicyStatus]) -> Markup {
    if policies.is_empty() {
        return html! { p.dim { "No policy is in force here." } };
    }
    let head = [
        ("Policy", false),
        ("Mode", false),
        ("Matches", true),
        ("To act on", true),
        ("Spared", false),
        ("Acted since start", true),
        ("Breaker", false),
    ];
    let rows = html! {
        @for policy in policies {
            tr {
                td.k { (policy.name) }
                td.k { (mode(policy.mode)) }
                td.n { (policy.matched) }
                td.n { (policy.warrants) }
                td {
                    @for (at, (reason, count)) in policy.spared.iter().enumerate() {
                        @if at > 0 { ", " }
                        (count) " " (reason.name())
                    }
                }
                td.n { (policy.acted) }
                @match &policy.breaker {
                    Some(reason) => td.bad { "open: " (reason) },
                    None => td { "closed" },
                }
            }
        }
    };
    html! {
        (table(&head, &rows))
        @for policy in policies {
            @for reason in &policy.suspended { p.bad { (policy.name) " is " (reason) } }
        }
    }
}

fn last_actions(status: &DaemonStatus) -> Markup {
    let head = [
        "When",
        "Database",
        "Session",
        "User, program, machine",
        "Policy",
        "Action",
        "Outcome",
        "Verified",
        "Reason",
    ];
    html! {
        section {
            h2 { "Latest actions" }
            @if status.recent.is_empty() {
                p.dim { "None since the daemon started." }
            } @else {
                (table(&head.map(|head| (head, false)), &html! { @for recent in &status.recent { (action(recent)) } }))
            }
        }
    }
}

fn action(recent: &Recent) -> Markup {
    let outcomed = &recent.outcomed;
    let intent = &outcomed.intent;
    let who: Vec<&str> = [&intent.username, &intent.program, &intent.machine]
        .into_iter()
        .filter_map(|text| text.as_deref())
        .collect();
    let proof = match recent.proof {
        None => "",
        Some(Proof::Gone) => "gone",
        Some(Proof::ResourcesFreed) => "resources freed",
        Some(Proof::Cancelled) => "cancelled",
        Some(Proof::Lingers) => "lingers",
        Some(Proof::DeadlinePassed) => "still there",
        Some(Proof::NotSent) => "not sent",
    };
    html! {
        tr {
            td.k { (display(recent.at.format("%Y-%m-%d"))) br; (display(recent.at.format("%H:%M:%S UTC"))) }
            td { (intent.database) }
            td.k { (display(intent.key)) }
            td.t { (who.join(", ")) }
            td.k { (intent.policy) br; (mode(intent.mode)) }
            td.w { (display(intent.action)) }
            td class=(class_of(outcomed.outcome)) {
                (outcomed.outcome.name().replace('_', " "))
                @if let Some(message) = &outcomed.message { br; span.dim { (message) } }
            }
            td { (proof) }
            td.t { (intent.reason) }
        }
    }
}

fn mode(mode: RunMode) -> Markup {
    html! {
        @match mode {
            RunMode::DryRun => span.dim { "dry run" },
            RunMode::Enforce => "enforce",
        }
    }
}

const fn class_of(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Done | Outcome::Marked => "good",
        Outcome::AlreadyGone
        | Outcome::NoLongerMatches
        | Outcome::Protected
        | Outcome::Expired
        | Outcome::Revoked
        | Outcome::Assumed
        | Outcome::Reported => "dim",
        Outcome::Unchecked | Outcome::Unknown => "warn",
        Outcome::Refused | Outcome::Unsupported | Outcome::Failed => "bad",
    }
}

fn time(at: DateTime<Utc>) -> impl Render {
    display(at.format("%Y-%m-%d %H:%M:%S UTC"))
}

fn span(of: Duration) -> Span {
    Span(i64::try_from(of.as_secs()).unwrap_or(i64::MAX))
}
