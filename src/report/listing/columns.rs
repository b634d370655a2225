//! The columns of a list, and the order of its sessions.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::Opinion;
use crate::session::column::{Column, Kind};
use crate::session::snapshot::Snapshot;

/// What a column of a list shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ListColumn {
    /// SID, SERIAL# and instance, as in Oracle's statements.
    Session,
    /// The decisions of the policies.
    Policies,
    /// A column of the policy language.
    Of(Column),
}

impl ListColumn {
    const SESSION: &'static str = "session";
    const POLICIES: &'static str = "policies";

    /// The name on the command line, in CSV and in JSON.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            ListColumn::Session => ListColumn::SESSION,
            ListColumn::Policies => ListColumn::POLICIES,
            ListColumn::Of(column) => column.name(),
        }
    }

    /// The names of all columns.
    pub(crate) fn names() -> impl Iterator<Item = &'static str> {
        let columns = Column::ALL.iter().map(|column| column.name());
        [ListColumn::SESSION, ListColumn::POLICIES].into_iter().chain(columns)
    }

    /// The column with a name, in any letter case.
    pub(crate) fn named(name: &str) -> Option<ListColumn> {
        let own = [ListColumn::Session, ListColumn::Policies];
        own.into_iter()
            .find(|column| column.name().eq_ignore_ascii_case(name))
            .or_else(|| Column::named(name).map(ListColumn::Of))
    }

    /// What has to be read for it.
    pub(crate) const fn column(self) -> Option<Column> {
        match self {
            ListColumn::Session | ListColumn::Policies => None,
            ListColumn::Of(column) => Some(column),
        }
    }

    /// Whether its values are right-aligned.
    pub(super) const fn is_number(self) -> bool {
        match self {
            ListColumn::Session | ListColumn::Policies => false,
            ListColumn::Of(column) => !matches!(column.kind(), Kind::Text | Kind::Time),
        }
    }
}

/// What sessions are ordered by. Those without a value come last, in either direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SortKey {
    /// The column.
    pub(crate) column: ListColumn,
    /// Whether the largest come first.
    pub(crate) descending: bool,
}

impl SortKey {
    /// The order of two rows by this key.
    pub(super) fn compare(
        self,
        snapshot: &Snapshot,
        (one, other): (usize, usize),
        opinions: &BTreeMap<usize, Vec<Opinion>>,
    ) -> Ordering {
        let directed = |ordering: Ordering| if self.descending { ordering.reverse() } else { ordering };
        match self.column {
            ListColumn::Session => {
                let name = |row| {
                    let part = |column| snapshot.id(row, column);
                    (part(Column::InstId), part(Column::Sid), part(Column::Serial))
                };
                directed(name(one).cmp(&name(other)))
            }
            ListColumn::Policies => {
                let gravest = |row| opinions.get(&row)?.iter().map(|opinion| opinion.verdict).min();
                known(gravest(one), gravest(other), directed)
            }
            ListColumn::Of(column) if column.kind() == Kind::Text => {
                known(snapshot.text(one, column), snapshot.text(other, column), directed)
            }
            ListColumn::Of(column) => known(snapshot.number(one, column), snapshot.number(other, column), directed),
        }
    }
}

/// Whoever has a value comes before who has none.
fn known<T: Ord>(one: Option<T>, other: Option<T>, directed: impl Fn(Ordering) -> Ordering) -> Ordering {
    match (one, other) {
        (Some(one), Some(other)) => directed(one.cmp(&other)),
        (one, other) => other.is_some().cmp(&one.is_some()),
    }
}
