//! The latest actions: who was ended, why, and what became of it.

use maud::{Markup, display, html};

use crate::decide::outcome::Outcome;
use crate::decide::verify::Proof;
use crate::http::page::parts::{Moment, mode, table};
use crate::status::{DaemonStatus, Recent};

pub(super) fn latest(status: &DaemonStatus, moment: Moment<'_>) -> Markup {
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
    let rows = html! { @for recent in &status.recent { (action(recent, moment)) } };
    html! {
        section #actions {
            h2 { "Latest actions" }
            @if status.recent.is_empty() {
                p.dim { "None since the daemon started." }
            } @else {
                (table(&head.map(|head| (head, false)), &rows))
            }
        }
    }
}

fn action(recent: &Recent, moment: Moment<'_>) -> Markup {
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
    let local = recent.at.with_timezone(&moment.zone);
    html! {
        tr {
            td.k { (display(local.format("%Y-%m-%d"))) br; (display(local.format("%H:%M:%S %Z"))) }
            td { (intent.database) }
            td.k { (display(intent.key)) }
            td.t { (who.join(", ")) }
            td.k { (intent.policy) br; (mode(intent.mode)) }
            td.w { (display(intent.action)) }
            td class=(class_of(outcomed.outcome)) {
                (outcomed.outcome.name().replace('_', " "))
                @if let Some(message) = &outcomed.message { br; span.dim { (message) } }
            }
            td.warn[recent.proof == Some(Proof::Lingers)] { (proof) }
            td.t { (intent.reason) }
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
