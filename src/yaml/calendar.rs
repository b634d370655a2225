//! Reads days, and time zones with a hint where a city or a similar name was written.

use std::str::FromStr as _;

use chrono::NaiveDate;
use chrono_tz::{TZ_VARIANTS, Tz};

use crate::yaml::diagnostics::{did_you_mean, quoted};
use crate::yaml::fields::Inspection;
use crate::yaml::node::Node;

impl Inspection {
    /// A time zone by its name.
    pub(crate) fn timezone(&mut self, node: &Node) -> Option<Tz> {
        let text = self.text(node, "timezone")?;
        let zone = Tz::from_str(text).ok();
        if zone.is_none() {
            let hint = city(text)
                .map(|zone| format!("did you mean `{zone}`?"))
                .or_else(|| did_you_mean(text, TZ_VARIANTS.iter().map(|zone| zone.name())))
                .unwrap_or_else(|| "write a time zone such as `Europe/Berlin` or `UTC`".to_owned());
            self.error(
                &node.at,
                "unknown-timezone",
                format!("unknown time zone {}", quoted(text)),
            )
            .hint = Some(hint);
        }
        zone
    }

    /// A calendar's day.
    pub(crate) fn date(&mut self, node: &Node, key: &str) -> Option<NaiveDate> {
        let text = self.text(node, key)?;
        let date = as_date(text);
        if date.is_none() {
            self.error(&node.at, "bad-date", format!("{} is not a date", quoted(text)))
                .expected = Some("expected a date such as 2026-12-31".to_owned());
        }
        date
    }
}

/// A text as a calendar's day, if it is one.
pub(crate) fn as_date(text: &str) -> Option<NaiveDate> {
    NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()
}

/// The time zone of a city that was written without its region.
fn city(text: &str) -> Option<&'static str> {
    let word = text.replace(' ', "_");
    let mut names = TZ_VARIANTS.iter().map(|zone| zone.name());
    names.find(|name| {
        name.rsplit_once('/')
            .is_some_and(|(_, city)| city.eq_ignore_ascii_case(&word))
    })
}
