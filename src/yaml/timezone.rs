//! Reads a time zone, with a hint where a city or a similar name was written.

use std::str::FromStr as _;

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
