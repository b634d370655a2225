//! Drawings of the status page: SVG, drawn by the style sheet's colours.

use std::fmt::Write as _;

use maud::{Markup, html};

use crate::event::InstanceReport;
use crate::http::page::parts::Moment;
use crate::status::{DatabaseStatus, MINUTES};

/// The height of a drawing in its own units; a minute is two units wide.
const HEIGHT: usize = 24;
const WIDTH: usize = MINUTES * 2;

/// The user sessions of all instances over the last hour, a bar a minute: active at the bottom, idle above, killed on top.
pub(super) fn sessions(database: &DatabaseStatus, moment: Moment<'_>) -> Markup {
    html! {
        @for instance in &database.instances { (of_instance(database, instance, moment)) }
    }
}

/// The user sessions of one instance over the last hour.
pub(super) fn of_instance(database: &DatabaseStatus, instance: &InstanceReport, moment: Moment<'_>) -> Markup {
    let now = moment.at.timestamp().div_euclid(60);
    let most = database.history.of(instance.inst_id).map(|minute| minute.all()).max();
    let (Some(most), Some(last)) = (
        most.filter(|most| *most > 0),
        database.history.of(instance.inst_id).last(),
    ) else {
        return Markup::default();
    };
    let [mut active, mut idle, mut killed] = [const { String::new() }; 3];
    for minute in database.history.of(instance.inst_id) {
        let ago = usize::try_from(now - minute.minute).unwrap_or(0);
        if ago >= MINUTES {
            continue;
        }
        let left = WIDTH - 2 * (ago + 1);
        let mut base = HEIGHT;
        for (path, count) in [
            (&mut active, minute.active),
            (&mut idle, minute.idle),
            (&mut killed, minute.killed),
        ] {
            // A bar is at least one unit high, so that one session among thousands is seen.
            let high = (count * HEIGHT).div_ceil(most).min(base);
            base -= high;
            if high > 0 {
                write!(path, "M{left} {base}h2v{high}h-2z").expect("writing to a String does not fail");
            }
        }
    }
    let said = format!(
        "instance {}: {} user sessions, {} active, {} idle, {} killed; at most {most} in the last hour",
        instance.inst_id,
        last.all(),
        last.active,
        last.idle,
        last.killed
    );
    html! {
        svg.spark viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) width=(WIDTH) height=(HEIGHT) role="img" aria-label=(said) {
            title { (said) }
            path.idle d=(idle) {}
            path.active d=(active) {}
            path.killed d=(killed) {}
        }
        span.n { (last.all()) }
        " "
    }
}

/// The use of a resource as a bar, with a tick at each share at which a policy begins or stops.
pub(super) fn pressure(ratio: f64, marks: &[f64]) -> Markup {
    const LONG: f64 = 100.0;
    let place = |share: f64| format!("{:.1}", (share * LONG).clamp(0.0, LONG));
    let over = marks.iter().any(|mark| ratio > *mark);
    html! {
        svg.gauge viewBox="0 0 100 10" width="100" height="10" aria-hidden="true" {
            rect.track x="0" y="2" width="100" height="6" {}
            rect.over[over] x="0" y="2" width=(place(ratio)) height="6" {}
            @for mark in marks { rect.mark x=(place(*mark)) y="0" width="1" height="10" {} }
        }
    }
}
