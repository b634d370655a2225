//! One database in full.

use maud::{Markup, display, html};

use crate::event::InstanceReport;
use crate::http::page::chart;
use crate::http::page::parts::{Moment, age, countdown, mode, span, table, trouble};
use crate::http::page::rehearsals::rehearsals;
use crate::status::{DatabaseStatus, PolicyStatus, Reachability};

pub(super) fn details(name: &str, database: &DatabaseStatus, open: bool, moment: Moment<'_>) -> Markup {
    let down = matches!(database.link, Reachability::Down { .. });
    html! {
        details id=(format!("db-{name}")) open[open] {
            summary { h2 { (name) } }
            (condition(database, moment))
            @for note in &database.notes { p.warn { (note) } }
            div.old[down] {
                @if !database.instances.is_empty() { (instances(database, moment)) }
                (policies(database, moment))
                (lingering(database, moment))
            }
            p.dim {
                "The newest report: " a href=(format!("/reports/{name}")) { "who, when and why" } ". "
                code { "orareaper history --since 1d --database " (name) } " shows what was done here."
            }
        }
    }
}

/// Whether it answers and is ready, who acts there, and how old the picture is.
fn condition(database: &DatabaseStatus, moment: Moment<'_>) -> Markup {
    let arming = if database.armed { "armed" } else { "not armed" };
    html! {
        p {
            "driver " (database.driver) ", " (arming) ", polled every " (display(span(database.poll))) ". "
            @match &database.link {
                Reachability::Connecting => "Connecting. ",
                Reachability::Up { release } => { span.good { "Up" } ", release " (release) ". " }
                Reachability::Down { .. } => { span.bad { "Down" } ". " }
            }
            @match trouble(database, moment) {
                Some(trouble) => span.bad { "Not ready: " (trouble) },
                None => span.good { "Ready" },
            }
            @match database.leads {
                Some(true) => { ". " span.good { "Leads" } }
                Some(false) => { ". " span.warn { "Standby: this daemon does not lead" } }
                None => "",
            }
            @if let Some(taken_at) = database.taken_at {
                ". " span.dim {
                    "Latest snapshot " (moment.time(taken_at))
                    @if let Some(age) = age(database, moment) { ", read " (display(span(age))) " ago" }
                    ", " (database.sessions) " sessions."
                }
            }
        }
        @if !database.acting.is_empty() {
            p {
                "Connections for actions: "
                @for (at, (inst_id, stands)) in database.acting.iter().enumerate() {
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
        @if !database.budgets.is_empty() {
            p {
                "Budgets used: "
                @for (at, budget) in database.budgets.iter().enumerate() {
                    @if at > 0 { ", " }
                    span.warn[budget.used >= budget.limit] {
                        @if let Some(policy) = &budget.policy { (policy) " " }
                        code { (budget.key) } " " (budget.used) " of " (budget.limit)
                    }
                }
                "."
            }
        }
    }
}

fn instances(database: &DatabaseStatus, moment: Moment<'_>) -> Markup {
    let head = [
        ("Instance", false),
        ("Read", false),
        ("User sessions, last hour", false),
        ("Lingering", true),
        ("Use of resources, with the marks of the policies", false),
    ];
    let rows = html! {
        @for instance in &database.instances {
            tr {
                td.k { (instance.inst_id) " " (instance.name) }
                td.k {
                    @if instance.complete {
                        span.good { "complete" }
                    } @else {
                        span.bad { "incomplete: its sessions are spared" }
                    }
                }
                td.k { (chart::of_instance(database, instance, moment)) }
                td.n.warn[instance.lingering > 0] { (instance.lingering) }
                td { (resources(instance)) }
            }
        }
    };
    html! {
        (table(&head, &rows))
        p.dim.key { i.active {} "active " i.idle {} "idle " i.killed {} "killed" }
    }
}

fn resources(instance: &InstanceReport) -> Markup {
    html! {
        @for (resource, ratio) in &instance.pressure {
            @let marks: Vec<f64> = instance.marks.iter().filter(|(of, _)| of == resource).map(|(_, mark)| *mark).collect();
            div.k {
                (chart::pressure(*ratio, &marks)) " "
                (resource.name()) " " (format_args!("{:.0}%", ratio * 100.0))
                @if !marks.is_empty() {
                    span.dim {
                        ", marks at "
                        @for (at, mark) in marks.iter().enumerate() {
                            @if at > 0 { ", " }
                            (format_args!("{:.0}%", mark * 100.0))
                        }
                    }
                }
            }
        }
    }
}

fn policies(database: &DatabaseStatus, moment: Moment<'_>) -> Markup {
    if database.policies.is_empty() {
        return html! { p.dim { "No policy is in force here." } };
    }
    let head = [
        ("Policy", false),
        ("Mode", false),
        ("Matches", true),
        ("To act on", true),
        ("Pending, soonest first", false),
        ("Spared", false),
        ("Acted since start", true),
        ("Breaker", false),
    ];
    let rows = html! {
        @for policy in &database.policies {
            tr {
                td.k { (policy.name) }
                td.k { (mode(policy.mode)) }
                td.n { (policy.matched) }
                td.n { (policy.warrants) }
                td.t { (pending(policy, database, moment)) }
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
        (rehearsals(&database.policies))
    }
}

/// Whom a policy holds as pending, with the time until the hold is served.
fn pending(policy: &PolicyStatus, database: &DatabaseStatus, moment: Moment<'_>) -> Markup {
    html! {
        @for pending in &policy.pending {
            div {
                b { "in " (display(countdown(pending.remaining, database, moment))) } " "
                span.k { (display(pending.key)) } " "
                span.dim { (display(&pending.who)) }
            }
        }
    }
}

fn lingering(database: &DatabaseStatus, moment: Moment<'_>) -> Markup {
    if database.lingering.is_empty() {
        return Markup::default();
    }
    let rows = html! {
        @for lingering in &database.lingering {
            tr {
                td.k { (display(lingering.key)) }
                td.k { (lingering.policy) }
                td.k { (moment.time(lingering.since)) }
            }
        }
    };
    html! {
        h3 { "Killed, but still there" }
        (table(&[("Session", false), ("Policy", false), ("Killed", false)], &rows))
    }
}
