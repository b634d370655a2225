//! What is known about the texts in a column: its closed list of values, or its width in bytes.
//!
//! The lists are from V$SESSION in the Oracle Database Reference, the wait classes from V$EVENT_NAME. Only columns whose list
//! is documented completely are here. Comparisons use Oracle's own spelling: `Idle`, never `IDLE`.

use crate::session::column::Column;

impl Column {
    /// All values that the column can have, in Oracle's spelling, if the documentation lists them.
    #[must_use]
    pub(crate) fn closed_list(self) -> Option<&'static [&'static str]> {
        const LISTS: &[(&[Column], &[&str])] = &[
            (&[Column::Status], &["ACTIVE", "INACTIVE", "KILLED", "SNIPED", "CACHED"]),
            (&[Column::Type], &["USER", "BACKGROUND", "RECURSIVE"]),
            (&[Column::Server], &["DEDICATED", "SHARED", "PSEUDO", "POOLED", "NONE"]),
            (
                &[Column::State],
                &[
                    "WAITING",
                    "WAITED UNKNOWN TIME",
                    "WAITED SHORT TIME",
                    "WAITED KNOWN TIME",
                ],
            ),
            (
                &[Column::WaitClass],
                &[
                    "Administrative",
                    "Application",
                    "Cluster",
                    "Commit",
                    "Concurrency",
                    "Configuration",
                    "Idle",
                    "Network",
                    "Other",
                    "Queueing",
                    "Scheduler",
                    "System I/O",
                    "User I/O",
                ],
            ),
            (
                &[Column::BlockingSessionStatus, Column::FinalBlockingSessionStatus],
                &[
                    "VALID",
                    "NO HOLDER",
                    "NOT IN WAIT",
                    "UNKNOWN",
                    "GLOBAL",
                    "UNIMPLEMENTED",
                ],
            ),
            (&[Column::PdmlEnabled, Column::FailedOver], &["YES", "NO"]),
            (
                &[Column::PdmlStatus, Column::PddlStatus, Column::PqStatus],
                &["ENABLED", "DISABLED", "FORCED"],
            ),
            (&[Column::FailoverMethod], &["NONE", "BASIC", "PRECONNECT"]),
            (&[Column::SqlTrace], &["ENABLED", "DISABLED"]),
            (&[Column::OracleMaintained], &["Y", "N"]),
            (&[Column::SqlTraceWaits, Column::SqlTraceBinds], &["TRUE", "FALSE"]),
        ];
        let list = LISTS.iter().find(|(columns, _)| columns.contains(&self))?;
        Some(list.1)
    }

    /// The value in its closed list that equals a text apart from letter case.
    #[must_use]
    pub(crate) fn listed(self, written: &str) -> Option<&'static str> {
        let values = self.closed_list()?;
        values.iter().copied().find(|value| value.eq_ignore_ascii_case(written))
    }

    /// The width in bytes of a column that the client sets, in the releases with the greatest width. A longer text is cut off.
    #[must_use]
    pub(crate) const fn width(self) -> Option<usize> {
        if matches!(self, Column::Program) {
            Some(48)
        } else if matches!(
            self,
            Column::Module | Column::Action | Column::ClientInfo | Column::ClientIdentifier | Column::Machine
        ) {
            Some(64)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::column::Kind;

    #[test]
    fn values_are_found_in_any_letter_case_and_only_text_columns_have_lists() {
        for column in Column::ALL {
            for value in column.closed_list().unwrap_or_default() {
                assert_eq!(column.kind(), Kind::Text);
                assert_eq!(column.listed(&value.to_lowercase()), Some(*value));
                assert_eq!(column.listed(&value.to_uppercase()), Some(*value));
            }
        }
        assert_eq!(Column::WaitClass.listed("USER I/O"), Some("User I/O"));
        assert_eq!(
            (Column::WaitClass.listed("x"), Column::Program.listed("x")),
            (None, None)
        );
    }
}
