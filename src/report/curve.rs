//! What a policy would do with other limits: a table, and a drawing for a browser.

use maud::{Markup, html};
use serde_json::{Value, json};

use super::rehearsal::{HEAD, cells, tally_document};
use super::table::ReportTable;
use crate::quantity::Span;
use crate::replay::{Curve, CurvePoint};
use crate::terminal::visible::json_escaped;

/// The drawing's width and height in its own units; a browser stretches it.
const WIDTH: f64 = 600.0;
const HEIGHT: f64 = 150.0;

impl Curve {
    /// What the curve is of, in a sentence.
    #[must_use]
    pub(super) fn title(&self) -> String {
        format!(
            "{} with other limits than {} of `{}`",
            self.policy,
            Span(self.own),
            self.words
        )
    }

    /// What the numbers are.
    pub(super) const KEY: &str = "The policy alone, with its hold, floor, schedule and gate, without budgets and breaker, and whatever its \
        `databases` and its `mode` say. A session that was \
        used again is a new one for a limit of idle time.";

    /// The table; its columns are those of rehearsals.
    pub(super) fn table(&self) -> ReportTable {
        let rows = self.points.iter().map(|point| {
            let own = if point.limit == self.own { " (own)" } else { "" };
            let limit = format!("{}{own}", Span(point.limit));
            std::iter::once(limit).chain(cells(&point.tally)).collect()
        });
        ReportTable {
            title: "Ended and used again with other limits",
            head: std::iter::once("Limit").chain(HEAD).collect(),
            rows: rows.collect(),
            words: 1,
            left_out: 0,
        }
    }

    /// As one object on a line.
    #[must_use]
    pub(crate) fn to_json(&self) -> String {
        let points = self.points.iter().map(|point| {
            let mut document = tally_document(&point.tally);
            document["limit_s"] = json!(point.limit);
            document
        });
        let points: Vec<Value> = points.collect();
        let document = json!({
            "curve": {"policy": &*self.policy, "term": self.words, "own_limit_s": self.own, "points": points},
        });
        let mut line = json_escaped(&document.to_string()).into_owned();
        line.push('\n');
        line
    }

    /// The drawing.
    pub(super) fn html(&self) -> Markup {
        let ended = |point: &CurvePoint| point.tally.would_have_ended();
        let felt = |point: &CurvePoint| point.tally.used_again();
        let most = self.points.iter().map(ended).max().unwrap_or(0).max(1) as f64;
        let each = WIDTH / self.points.len().max(1) as f64;
        let place = |at: usize, count: usize| {
            let from_left = each * (at as f64 + 0.5);
            let from_top = HEIGHT - count as f64 / most * HEIGHT;
            format!("{from_left:.1},{from_top:.1}")
        };
        let line = |count: &dyn Fn(&CurvePoint) -> usize| {
            let points = self.points.iter().enumerate();
            let points = points.map(|(at, point)| place(at, count(point)));
            points.collect::<Vec<String>>().join(" ")
        };
        let own = self.points.iter().position(|point| point.limit == self.own);
        html! {
            section {
                h2 { (crate::html::with_code(&self.title())) }
                div.limits {
                    svg viewBox="0 -3 600 156" width="100%" height="156" preserveAspectRatio="none" role="img"
                        aria-label="sessions that would have been ended, and those of them that were used again, by limit" {
                        line x1="0" x2="600" y1="150" y2="150" stroke="var(--line)" vector-effect="non-scaling-stroke" {}
                        @if let Some(own) = own {
                            @let at = format!("{:.1}", each * (own as f64 + 0.5));
                            line x1=(at) x2=(at) y1="0" y2="150" stroke="var(--line)" stroke-dasharray="4 4"
                                vector-effect="non-scaling-stroke" {}
                        }
                        @for (count, stroke) in [(line(&ended), "var(--soft)"), (line(&felt), "var(--act)")] {
                            polyline points=(count) fill="none" stroke=(stroke) stroke-width="2"
                                vector-effect="non-scaling-stroke" {}
                        }
                        @for (at, point) in self.points.iter().enumerate() {
                            @for (count, stroke) in [(ended(point), "var(--soft)"), (felt(point), "var(--act)")] {
                                polyline points={ (place(at, count)) " " (place(at, count)) } fill="none" stroke=(stroke)
                                    stroke-width="7" stroke-linecap="round" vector-effect="non-scaling-stroke" {}
                            }
                        }
                    }
                    div.steps style={ "grid-template-columns:repeat(" (self.points.len()) ",1fr)" } {
                        @for point in &self.points {
                            div.own[point.limit == self.own] {
                                b { (Span(point.limit).to_string()) }
                                span { (ended(point)) }
                                span.act { (felt(point)) }
                            }
                        }
                    }
                }
                p.key {
                    span { i style="background:var(--soft)" {} "would have been ended" }
                    " "
                    span { i style="background:var(--act)" {} "of these, used again" }
                }
                p.key { (Self::KEY) }
            }
        }
    }
}
