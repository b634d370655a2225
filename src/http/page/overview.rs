//! One line for each database, so that fifty fit on a screen.

use maud::{Markup, Render, display, html};

use crate::decide::in_force::RunMode;
use crate::event::InstanceReport;
use crate::http::page::chart::sessions;
use crate::http::page::parts::{Moment, age, countdown, in_trouble, span, table as framed};
use crate::status::{DatabaseStatus, Reachability};

pub(super) fn table(databases: &[(&str, &DatabaseStatus)], moment: Moment<'_>) -> Markup {
    let head = [
        ("Database", false),
        ("State", false),
        ("Acts", false),
        ("Sessions, last hour", false),
        ("Pressure", true),
        ("Pending", true),
        ("Next", true),
        ("Acted", true),
        ("Budget used", true),
        ("Lingering", true),
        ("Read", true),
    ];
    let rows = html! { @for (name, database) in databases { (line(name, database, moment)) } };
    html! { div.overview { (framed(&head, &rows)) } }
}

fn line(name: &str, database: &DatabaseStatus, moment: Moment<'_>) -> Markup {
    let down = matches!(database.link, Reachability::Down { .. });
    let trouble = in_trouble(database, moment);
    let fullest = fullest(&database.instances);
    let enforcing = database
        .policies
        .iter()
        .filter(|policy| policy.mode == RunMode::Enforce);
    let acted: u64 = enforcing.map(|policy| policy.acted).sum();
    html! {
        // What is known of a database that is down is old, and looks it.
        tr.old[down] {
            td.k { a href=(format!("#db-{name}")) { (name) } }
            td.k { (state(database, trouble)) }
            td.k { (acts(database)) }
            td.k { (sessions(database, moment)) }
            td.n.warn[fullest.is_some_and(|(ratio, _, over)| over || ratio >= 0.9)] {
                @if let Some((ratio, resource, _)) = fullest { (resource) " " (format_args!("{:.0}%", ratio * 100.0)) }
            }
            td.n { (pending(database)) }
            td.n { @if let Some(next) = next(database, moment) { (next) } }
            td.n { (acted) }
            td.n { (budget(database)) }
            td.n.warn[!database.lingering.is_empty()] { (database.lingering.len()) }
            td.n {
                @match age(database, moment) {
                    Some(age) => { (display(span(age))) " ago" }
                    None => "never",
                }
            }
        }
    }
}

fn state(database: &DatabaseStatus, trouble: bool) -> Markup {
    html! {
        @match &database.link {
            Reachability::Down { .. } => span.bad { "● down" },
            Reachability::Connecting => span.warn { "● connecting" },
            Reachability::Up { .. } if trouble => span.warn { "● up, see below" },
            Reachability::Up { .. } => span.good { "● up" },
        }
    }
}

/// Whether anything is sent there, and by whom.
fn acts(database: &DatabaseStatus) -> Markup {
    let enforces = database.policies.iter().any(|policy| policy.mode == RunMode::Enforce);
    html! {
        @match (database.armed, enforces, database.leads) {
            (_, _, Some(false)) => span.warn { "stands by" },
            (true, true, Some(true)) => span.armed { "armed, leads" },
            (true, true, None) => span.armed { "armed" },
            (true, false, _) => span.dim { "armed, dry run" },
            (false, ..) => span.dim { "dry run" },
        }
    }
}

/// The fullest resource of all instances, and whether it is beyond a mark of a policy.
fn fullest(instances: &[InstanceReport]) -> Option<(f64, &'static str, bool)> {
    let all = instances.iter().flat_map(|instance| {
        instance.pressure.iter().map(|(resource, ratio)| {
            let marks = instance.marks.iter().filter(|(marked, _)| marked == resource);
            let over = marks.map(|(_, mark)| *mark).any(|mark| *ratio > mark);
            (*ratio, resource.name(), over)
        })
    });
    all.max_by(|one, other| one.0.total_cmp(&other.0))
}

fn pending(database: &DatabaseStatus) -> usize {
    let pending = crate::event::SpareReason::Pending;
    let of_policies = database.policies.iter();
    of_policies
        .map(|policy| policy.spared.get(&pending).copied().unwrap_or(0))
        .sum()
}

/// How long until the next hold is served, if there is one.
fn next(database: &DatabaseStatus, moment: Moment<'_>) -> Option<impl Render> {
    let soonest = database.policies.iter().flat_map(|policy| &policy.pending);
    let remaining = soonest.map(|pending| pending.remaining).min()?;
    Some(display(countdown(remaining, database, moment)))
}

/// The budget of the database that is used most.
fn budget(database: &DatabaseStatus) -> Markup {
    let of_database = database.budgets.iter().filter(|budget| budget.policy.is_none());
    let used = |budget: &&crate::event::BudgetReport| u64::from(budget.used) * 1000 / u64::from(budget.limit.max(1));
    let Some(tightest) = of_database.max_by_key(used) else {
        return Markup::default();
    };
    let full = tightest.used >= tightest.limit;
    html! { span.warn[full] { (tightest.used) " of " (tightest.limit) } }
}
