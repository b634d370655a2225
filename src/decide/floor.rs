//! Why `keep` keeps a session, as a value, and its words.

use std::fmt;

use crate::policy::model::OrderKey;
use crate::session::column::Column;

/// Why no session of a group may be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Floor {
    /// A column that makes the groups is unknown.
    Unknown(Column),
    /// Only as many sessions are left as must be kept.
    Reached {
        /// How many.
        left: u32,
        /// What makes a group.
        per: Vec<Column>,
    },
    /// It is one of the last in the policy's order, of those that match.
    Last {
        /// How many are kept.
        at_least: u32,
        /// What makes a group.
        per: Vec<Column>,
        /// The order.
        order: Vec<OrderKey>,
    },
}

impl fmt::Display for Floor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Floor::Unknown(column) => write!(f, "keep: {} is unknown, and so is who must stay", column.name()),
            Floor::Reached { left, per } => {
                let per: Vec<&str> = per.iter().map(|column| column.name()).collect();
                write!(f, "keep: only {left} left of its {}", per.join(", "))
            }
            Floor::Last { at_least, per, order } => {
                let order: Vec<String> = order.iter().map(ToString::to_string).collect();
                let per: Vec<&str> = per.iter().map(|column| column.name()).collect();
                let of_whom = if per.is_empty() {
                    String::new()
                } else {
                    format!(" of its {}", per.join(", "))
                };
                write!(
                    f,
                    "keep: one of the last {at_least} by `{}` of those{of_whom} that match",
                    order.join(", ")
                )
            }
        }
    }
}
