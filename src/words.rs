//! Enums whose variants have words: labels of metrics, words of policies, of the command line and of the journal.
//!
//! A variant and its word are on one line, from which `ALL`, `name` and `named` are generated, so that no variant can be
//! missing in any of them. [`word_table`] is for a type whose variants have data.

/// Generates `ALL`, `name` and `named` of a type from all its values with their words. A missing value does not compile.
macro_rules! word_table {
    ($vis:vis $type:ident: $([$($value:tt)+] = $word:literal,)+) => {
        impl $type {
            /// Every one, in the order in which they are listed.
            $vis const ALL: [$type; [$($word),+].len()] = [$($($value)+),+];

            /// Its word.
            #[must_use]
            $vis const fn name(self) -> &'static str {
                match self { $($($value)+ => $word,)+ }
            }

            /// The one with this word.
            #[must_use]
            #[allow(dead_code, reason = "some are only written")]
            $vis fn named(word: &str) -> Option<$type> {
                Self::ALL.into_iter().find(|one| one.name() == word)
            }
        }
    };
}

/// Defines an enum, each variant with its word, and its [`word_table`].
macro_rules! words {
    ($(#[$meta:meta])* $vis:vis enum $type:ident { $($(#[$doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$meta])*
        $vis enum $type { $($(#[$doc])* $variant,)+ }

        $crate::words::word_table! { $vis $type: $([$type::$variant] = $word,)+ }
    };
}

pub(crate) use {word_table, words};

#[cfg(test)]
mod tests {
    use crate::config::Driver;
    use crate::decide::evaluate::truth::Truth;
    use crate::decide::in_force::RunMode;
    use crate::decide::outcome::Outcome;
    use crate::decide::used_again::Afterwards;
    use crate::decide::verify::Proof;
    use crate::event::{CycleStep, StatusLabel, TypeLabel};
    use crate::oracle::Purpose;
    use crate::oracle::error::Class;
    use crate::policy::condition::{ServerKind, SessionStatus};
    use crate::policy::model::{Action, KeepOf, Mode, Protection};
    use crate::policy::pressure::Resource;
    use crate::prove::{Doing, TrialVerdict};
    use crate::report::ReportFormat;
    use crate::yaml::diagnostics::Severity;

    macro_rules! listed {
        ($($type:ident)+) => { [$(format!("{}: {}\n", stringify!($type), $type::ALL.map($type::name).join(", "))),+].concat() };
    }

    /// Metrics, files and scripts depend on these words, so none may change unnoticed.
    #[test]
    fn every_word_is_the_one_that_dashboards_files_and_scripts_know() {
        let listed = listed!(CycleStep TypeLabel StatusLabel Class Outcome SessionStatus ServerKind Protection Mode Resource ReportFormat Driver RunMode Purpose Severity Proof Afterwards Action Truth KeepOf Doing TrialVerdict);
        let expected = "\
            CycleStep: read, decide, whole\n\
            TypeLabel: user, background, recursive, other\n\
            StatusLabel: active, inactive, killed, cached, sniped, other\n\
            Class: auth, config, backoff, reconnect, cancelled, partial, unsupported, bug\n\
            Outcome: done, marked, already_gone, no_longer_matches, protected, unchecked, refused, unsupported, failed, unknown, expired, revoked, assumed, reported\n\
            SessionStatus: ACTIVE, INACTIVE, KILLED, SNIPED, CACHED\n\
            ServerKind: DEDICATED, SHARED, POOLED\n\
            Protection: unidentified, background, self, dying, sys, backup, replication, data-pump, jobs, queues, parallel-server, agents, xa, undo, shared-process\n\
            Mode: dry-run, enforce, off\n\
            Resource: sessions, processes, transactions, pga, temp, undo, host_cpu, active_sessions\n\
            ReportFormat: text, json, jsonl, csv, markdown, html\n\
            Driver: oci, thin\n\
            RunMode: dry-run, enforce\n\
            Purpose: poll, act, decoy\n\
            Severity: error, warning\n\
            Proof: gone, resources_freed, cancelled, lingers, deadline_passed, not_sent\n\
            Afterwards: used_again, validated, ended, lost\n\
            Action: kill, kill immediate, kill noreplay, kill force, disconnect post_transaction, disconnect immediate, disconnect post_transaction noreplay, disconnect noreplay, cancel sql, report\n\
            Truth: TRUE, FALSE, UNKNOWN\n\
            KeepOf: all, matching\n\
            Doing: idle, busy, transaction\n\
            TrialVerdict: as assumed, differs, could not be tried\n\
        ";
        assert_eq!(listed, expected);
    }
}
