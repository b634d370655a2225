//! `explain`: why one session is acted on or spared, and each policy's condition as SQL.

use std::path::Path;

use crate::cli::{ExitStatus, ExplainArgs};
use crate::clock::SystemClock;
use crate::columns_needed;
use crate::commands::look::{DatabaseSessions, Rules};
use crate::commands::{fail, print, tell_what_only_the_daemon_knows, terminal_style, warn};
use crate::decide::cycle::Memory;
use crate::explain::{ExplainedSession, Explanation, SessionName};
use crate::policy::model::{Policy, PolicySet};
use crate::policy::to_query;
use crate::session::column::{Column, Columns};
use crate::yaml::diagnostics::did_you_mean;

/// Runs the command.
pub(crate) fn run(arguments: &ExplainArgs, config: &Path, clock: SystemClock) -> ExitStatus {
    match explain(arguments, config, clock) {
        Ok(text) => print(text.as_bytes()),
        Err(status) => status,
    }
}

fn explain(arguments: &ExplainArgs, config: &Path, clock: SystemClock) -> Result<String, ExitStatus> {
    let session = arguments.session.as_deref().map(str::parse::<SessionName>).transpose();
    let session = session.map_err(|problem| fail(&format!("{problem}, or a part of it that is unambiguous")))?;
    let rules = if session.is_none() {
        Rules::of_policies_alone(&arguments.source.policies, config, clock)?
    } else {
        Rules::load(&arguments.source, config, clock)?
    };
    let only = arguments
        .policy
        .as_deref()
        .map(|name| named(name, &rules.set))
        .transpose()?;
    let Some(session) = session else {
        return Ok(queries(&rules.set, only, |_| String::new()));
    };
    if let (None, None, Some(config)) = (&arguments.source.snapshot, &arguments.source.database, &rules.config)
        && config.databases.len() > 1
    {
        let names: Vec<&str> = config.databases.iter().map(|database| &*database.name).collect();
        return Err(fail(&format!(
            "several databases are configured; choose one with --database: {}",
            names.join(", ")
        )));
    }
    let more: Columns = [Column::Sid, Column::Serial].into_iter().collect();
    let look = match rules.look(&arguments.source, more)?.into_iter().next() {
        Some(Ok(look)) => look,
        // `look` has reported it.
        Some(Err(_)) => return Err(ExitStatus::Failed),
        None => return Err(fail("no database is configured")),
    };
    let row = session
        .find(&look.snapshot)
        .map_err(|problem| fail(&format!("{}: {problem}", look.database)))?;
    let explanation = explanation(&look, row, only);
    for note in &look.notes {
        warn(&format!("note: {}", crate::terminal::visible::visible(note)));
    }
    if arguments.sql {
        let verdict = |index: usize| {
            let name = &rules.set.policies[index].name;
            let part = explanation.policies.iter().find(|part| part.name == *name);
            part.map_or_else(String::new, |part| {
                format!(": {} for {}", part.selects.name(), explanation.who.session())
            })
        };
        return Ok(queries(&rules.set, only, verdict));
    }
    if arguments.source.snapshot.is_none() {
        tell_what_only_the_daemon_knows();
    }
    Ok(explanation.to_text(terminal_style()))
}

fn explanation(look: &DatabaseSessions, row: usize, only: Option<usize>) -> Explanation {
    let mut memory = Memory::default();
    let cycle = look.decide(&mut memory, false);
    let inst_id = look.snapshot.id(row, Column::InstId);
    let gates: Vec<bool> = (0..look.here.each().len())
        .map(|index| memory.gates.is_open(index, inst_id))
        .collect();
    Explanation::new(&ExplainedSession {
        database: &look.database,
        snapshot: &look.snapshot,
        row,
        rules: &look.rules,
        here: &look.here,
        facts: &look.facts,
        now: look.now,
        cycle: &cycle,
        gates: &gates,
        only,
    })
}

fn named(name: &str, set: &PolicySet) -> Result<usize, ExitStatus> {
    let at = set.policies.iter().position(|policy| &*policy.name == name);
    at.ok_or_else(|| {
        let hint = did_you_mean(name, set.policies.iter().map(|policy| &*policy.name));
        let hint = hint.map_or_else(String::new, |hint| format!("; {hint}"));
        fail(&format!("no policy is named {name}{hint}"))
    })
}

/// A comment for each column that no view has.
fn unknown_rates(policy: &Policy) -> String {
    let used = columns_needed::of_policy(policy);
    let rates = [Column::CpuRate, Column::ReadsRate, Column::RedoRate].into_iter();
    let comment = |column: Column| {
        format!(
            "-- {} is what a session used between two snapshots, which no view has: it is NULL here, so the query may select other sessions\n",
            column.name()
        )
    };
    rates.filter(|column| used.contains(*column)).map(comment).collect()
}

/// A query for each policy. SET DEFINE OFF, because SQL*Plus would otherwise ask for the value of each `&name`, even in a
/// literal.
fn queries(set: &PolicySet, only: Option<usize>, verdict: impl Fn(usize) -> String) -> String {
    let wanted = (0..set.policies.len()).filter(|index| only.is_none_or(|only| only == *index));
    let queries: Vec<String> = wanted
        .map(|index| {
            let policy = &set.policies[index];
            let query = to_query(&policy.when, policy.unless.as_ref());
            let unknown = unknown_rates(policy);
            format!("-- policy {}{}\n{unknown}{query};\n", policy.name, verdict(index))
        })
        .collect();
    let define = if queries.iter().any(|query| query.contains('&')) {
        "SET DEFINE OFF\n"
    } else {
        ""
    };
    format!(
        "-- The sessions that each policy's condition selects, before protections, exemptions and limits.\n{define}{}",
        queries.join("\n")
    )
}

#[cfg(test)]
mod tests {
    use chrono::NaiveDate;

    use super::queries;
    use crate::policy::check_files;

    #[test]
    fn a_query_says_which_columns_no_view_has() {
        let file = "policies:\n  - {name: busy, when: cpu_rate > 50 and redo_rate > 1MB, action: kill}\n  - {name: idle, when: idle > 1h, action: kill}\n";
        let today = NaiveDate::from_ymd_opt(2026, 11, 18).expect("a date");
        let loaded = check_files(&[("p.yaml".into(), file.as_bytes().to_vec())], today, chrono_tz::UTC);
        let set = loaded.set.unwrap_or_else(|| panic!("{:?}", loaded.diagnostics));
        let sql = queries(&set, None, |_| String::new());
        let comments: Vec<&str> = sql.lines().filter(|line| line.contains("which no view has")).collect();
        assert_eq!(comments.len(), 2, "{sql}");
        assert!(
            comments[0].starts_with("-- cpu_rate is ") && comments[1].starts_with("-- redo_rate is "),
            "{sql}"
        );
        let of_idle = &sql[sql.find("-- policy idle").expect("it is there")..];
        assert!(!of_idle.contains("no view"), "{sql}");
    }
}
