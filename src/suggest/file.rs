//! The policy file: a policy for each group that has something to end, in a dry run, with the evidence as comments.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;

use super::limits::{SuggestedLimit, length, of_group};
use super::native::{NativeLimit, SHORTEST_FOR_BLOCKERS};
use super::profile::{ProfileStatements, ended};
use super::rounding::{SHORTEST, minutes};
use super::survey::{GroupSurvey, RecordingSurvey};
use crate::actuator::PRIVILEGE;
use crate::decide::evaluate::is_whole;
use crate::decide::refill::ClientGroup;
use crate::decide::used_again::{AfterTimes, STEPS};
use crate::policy::condition_and_problems;
use crate::quantity::{Bytes, Span, counted, policies};
use crate::session::column::Column;
use crate::session::time::iso;
use crate::terminal::visible::{acts, visible};

/// Comments are broken into lines of this length.
const WIDTH: usize = 110;

/// The most policies in the file, those that end most first.
const MOST_POLICIES: usize = 50;

/// This many groups are named for each kind of what they hold.
const HOLDERS: usize = 3;

/// A day, a week and a month: what a shorter recording says nothing of.
const PERIODS: [(i64, &str); 3] = [
    (86_400, "who comes back at another time of the day"),
    (7 * 86_400, "who comes back once a week"),
    (31 * 86_400, "who comes back at the end of a month"),
];

/// A group with its limit and the terms that select it.
struct Chosen<'s> {
    group: &'s GroupSurvey,
    limit: SuggestedLimit,
    terms: String,
}

impl RecordingSurvey {
    /// The policy file of a whole recording of this database.
    #[must_use]
    pub(crate) fn into_policies(self, database: &str) -> String {
        let survey = self.finished();
        let (chosen, passed_over) = survey.chosen();
        let mut out = String::new();
        survey.head(database, &mut out);
        survey.holders(&mut out);
        survey.natives(&mut out);
        survey.passed_over(&passed_over, &mut out);
        if chosen.is_empty() {
            comment(
                &mut out,
                HEAD,
                "No group had a session that was idle for longer than its limit, so there is no policy.",
            );
            let _ = writeln!(out, "policies: []");
            return out;
        }
        let _ = writeln!(out, "policies:");
        let mut names = BTreeSet::new();
        for one in chosen.iter().take(MOST_POLICIES) {
            out.push('\n');
            survey.policy(one, &mut names, &mut out);
        }
        if chosen.len() > MOST_POLICIES {
            out.push('\n');
            let more = policies(chosen.len() - MOST_POLICIES);
            comment(
                &mut out,
                ABOVE,
                &format!("{more} more would end fewer sessions each and are left out."),
            );
        }
        out
    }

    /// The groups with a policy, those that it would end most of first, and the others with why they have none.
    fn chosen(&self) -> (Vec<Chosen<'_>>, Vec<(&GroupSurvey, String)>) {
        let mut chosen = Vec::new();
        let mut passed_over = Vec::new();
        for group in &self.groups {
            let limit = of_group(group, self);
            if self.missing.contains(&Column::LastCallEt) || self.missing.contains(&Column::Status) {
                passed_over.push((group, "LAST_CALL_ET or STATUS was not recorded".to_owned()));
            } else if limit.ends == 0 {
                let latest = limit.latest.map_or_else(
                    || "nobody came back".to_owned(),
                    |latest| format!("the latest came back after {}", Span(latest)),
                );
                let why = format!("{latest}, and nobody was idle for longer than {}", Span(limit.seconds));
                passed_over.push((group, why));
            } else {
                match terms(group) {
                    Ok(terms) => chosen.push(Chosen { group, limit, terms }),
                    Err(why) => passed_over.push((group, why)),
                }
            }
        }
        chosen.sort_by_key(|one| std::cmp::Reverse(one.limit.ends));
        (chosen, passed_over)
    }

    /// Of what recording, and what it is too short to tell.
    fn head(&self, database: &str, out: &mut String) {
        let what = match self.span {
            Some((first, last)) => format!(
                "Suggested by orareaper from a recording of {}: {} to {} ({}), {}, one every {}.",
                visible(database),
                iso(first),
                iso(last),
                Span(length(self)),
                counted(self.snapshots, "snapshot"),
                Span(self.every())
            ),
            None => format!("The recording of {} has no snapshot with a clock.", visible(database)),
        };
        comment(out, HEAD, &what);
        comment(
            out,
            HEAD,
            "Every limit is the shortest round one beyond which nobody of the group came back: with it, no session that was called again \
             would have been ended. Try the file with `orareaper replay`, then as a dry run, before anything is armed.",
        );
        let untold: Vec<&str> = PERIODS
            .iter()
            .filter(|(least, _)| length(self) < *least)
            .map(|(_, what)| *what)
            .collect();
        let _ = writeln!(out, "#");
        if !untold.is_empty() {
            comment(out, HEAD, &format!("Too short to tell: {}.", untold.join("; ")));
        }
        let interval = format!(
            "Not seen: a session that comes and goes between two snapshots, and an idle time shorter than {}.",
            Span(self.every())
        );
        comment(out, HEAD, &interval);
        for (count, what) in [
            (self.gaps, "pauses in which sessions may have come back unseen"),
            (self.clockless, "snapshots without a clock, which were passed over"),
            (self.protected, "sessions that are protected, which no policy takes"),
            (self.unread, "sessions of further groups, which were not looked at"),
        ] {
            if count > 0 {
                comment(out, HEAD, &format!("Left out: {count} {what}."));
            }
        }
        for (column, what) in [
            (Column::PrevSqlId, "whether a call was a pool's validation"),
            (Column::Pga, "the PGA that idle sessions held"),
            (Column::Undo, "the undo that idle sessions held"),
            (Column::Blocking, "whom others waited for"),
        ] {
            if self.missing.contains(&column) {
                comment(out, HEAD, &format!("Not recorded: {what} ({}).", column.name()));
            }
        }
    }

    /// Which groups hold most while they are idle.
    fn holders(&self, out: &mut String) {
        let _ = writeln!(out, "#");
        comment(out, HEAD, "Held most by idle sessions, at once:");
        type Measure = fn(&GroupSurvey) -> i64;
        type Shown = fn(i64) -> String;
        let measures: [(&str, Measure, Shown); 4] = [
            (
                "sessions",
                |group| i64::try_from(group.held.sessions).unwrap_or(i64::MAX),
                |count| count.to_string(),
            ),
            ("PGA", |group| group.held.pga, |bytes| Bytes(bytes).to_string()),
            ("undo", |group| group.held.undo, |bytes| Bytes(bytes).to_string()),
            (
                "sessions that waited for them",
                |group| group.held.blocked,
                |count| count.to_string(),
            ),
        ];
        for (what, measure, shown) in measures {
            let mut groups: Vec<&GroupSurvey> = self.groups.iter().filter(|group| measure(group) > 0).collect();
            groups.sort_by_key(|group| std::cmp::Reverse(measure(group)));
            let named: Vec<String> = groups
                .into_iter()
                .take(HOLDERS)
                .map(|group| format!("{} {}", group.who, shown(measure(group))))
                .collect();
            let named = if named.is_empty() {
                "none".to_owned()
            } else {
                named.join("; ")
            };
            comment(out, BELOW, &format!("{what}: {named}"));
        }
    }

    /// What Oracle's own parameters would do as well, each with its statement.
    fn natives(&self, out: &mut String) {
        let _ = writeln!(out, "#");
        comment(
            out,
            HEAD,
            "What Oracle's own limits would do, in whole minutes and without floors, protections or a record of the reason. They know no \
             protected sessions, so all sessions count here:",
        );
        let for_all = self.users.max_idle_time();
        match &for_all {
            Some(limit) => {
                let all: usize = self.groups.iter().map(|group| of_group(group, self).ends).sum();
                let text = format!(
                    "MAX_IDLE_TIME (12.2 and later) has one value for all sessions of a PDB or instance, also for those in a transaction. The \
                     shortest of at least {} that would have hit nobody who came back (the latest was {}) would have ended {}; the \
                     limits of all groups together, {all}:",
                    Span(SHORTEST),
                    latest(limit),
                    ended(limit)
                );
                comment(out, BELOW, &text);
                let _ = writeln!(out, "#     {PRIVILEGE} SET MAX_IDLE_TIME = {};", minutes(limit.seconds));
            }
            None => comment(
                out,
                BELOW,
                "MAX_IDLE_TIME (12.2 and later): no session was seen to come back from being idle, so the recording tells no value.",
            ),
        }
        self.profiles(out);
        self.blocker_time(for_all.map(|limit| limit.seconds), out);
        comment(
            out,
            BELOW,
            "Both MAX_IDLE_ parameters end idle sessions of orareaper, too; it connects again.",
        );
    }

    /// What MAX_IDLE_BLOCKER_TIME would do. `for_all` is the value of MAX_IDLE_TIME, in seconds.
    fn blocker_time(&self, for_all: Option<i64>, out: &mut String) {
        match self.users.max_idle_blocker_time() {
            Some(seconds) => {
                let vain = for_all.is_some_and(|for_all| for_all <= seconds);
                let text = format!(
                    "MAX_IDLE_BLOCKER_TIME (19c and later) ends idle sessions that others wait for, except those of SYS; all that are idle count \
                     as such where a PDB or instance is about to reach its SESSIONS or PROCESSES.{} The shortest of at least {} that would have \
                     hit no session that others waited for and that was called again:",
                    if vain {
                        " It has an effect only below MAX_IDLE_TIME."
                    } else {
                        ""
                    },
                    Span(SHORTEST_FOR_BLOCKERS)
                );
                comment(out, BELOW, &text);
                let _ = writeln!(
                    out,
                    "#     {PRIVILEGE} SET MAX_IDLE_BLOCKER_TIME = {};",
                    minutes(seconds)
                );
            }
            None if self.missing.contains(&Column::Blocking) => {}
            None if self.users.blocked() => comment(
                out,
                BELOW,
                "MAX_IDLE_BLOCKER_TIME (19c and later): others waited for idle sessions, and none of these was called again, so the recording \
                 tells no value.",
            ),
            None => comment(out, BELOW, "MAX_IDLE_BLOCKER_TIME: nobody waited for an idle session."),
        }
    }

    /// What a profile of each user would do as well.
    fn profiles(&self, out: &mut String) {
        let profiles = self.users.profiles();
        if profiles.is_empty() {
            return;
        }
        comment(
            out,
            BELOW,
            "A profile's IDLE_TIME is for all sessions of a user, whatever their program, and needs RESOURCE_LIMIT = TRUE. The session becomes \
             SNIPED; its row stays until its client calls. ALTER USER replaces the user's present profile, and all other limits become \
             those of the profile DEFAULT, also those of passwords; where the user has a profile of its own, alter that:",
        );
        let mut names = BTreeSet::new();
        for (user, (survey, limit)) in profiles {
            match ProfileStatements::of(user, &mut names) {
                Ok(statements) => {
                    let _ = writeln!(out, "#     {}", statements.line(survey, &limit));
                }
                Err(why) => comment(out, "#    ", &format!("no statement for {user}: {why}")),
            }
        }
    }

    fn passed_over(&self, groups: &[(&GroupSurvey, String)], out: &mut String) {
        let _ = writeln!(out, "#");
        if groups.is_empty() {
            return;
        }
        comment(out, HEAD, "Groups without a policy:");
        for (group, why) in groups.iter().take(MOST_POLICIES) {
            comment(out, BELOW, &format!("{}: {why}", group.who));
        }
        if groups.len() > MOST_POLICIES {
            comment(out, BELOW, &format!("and {} more", groups.len() - MOST_POLICIES));
        }
        let _ = writeln!(out, "#");
    }

    fn policy(&self, one: &Chosen<'_>, names: &mut BTreeSet<String>, out: &mut String) {
        let Chosen { group, limit, terms } = one;
        let machines = match group.machines {
            1 => "1 machine".to_owned(),
            machines => format!("{machines} machines"),
        };
        let text = format!(
            "{}: {} in all, up to {} at once, on {machines}.",
            group.who,
            counted(group.sessions, "session"),
            group.most
        );
        comment(out, ABOVE, &text);
        comment(out, ABOVE, &format!("Idle before a call: {}.", times(&group.came_back)));
        if group.validated.count > 0 {
            let text = format!(
                "Idle before a call that looks like a pool's validation: {}.",
                times(&group.validated)
            );
            comment(out, ABOVE, &text);
        }
        let text = match limit.latest {
            Some(latest) => format!(
                "The latest came back after {}. {} had been idle for longer than {} when seen last.",
                Span(latest),
                counted(limit.ends, "session"),
                Span(limit.seconds)
            ),
            None => format!(
                "No session was seen to come back from being idle, so the recording is too short to tell a limit: it is of {}, and {} is \
                 the next round limit. {} had been idle for longer than that when seen last.",
                Span(length(self)),
                Span(limit.seconds),
                counted(limit.ends, "session")
            ),
        };
        comment(out, ABOVE, &text);
        let floor = match group.in_use {
            0 => "None was in use.".to_owned(),
            in_use => format!(
                "Up to {in_use} of one machine were in use within {}, which is the floor.",
                Span(self.every())
            ),
        };
        comment(out, ABOVE, &floor);
        let _ = writeln!(out, "  - name: {}", name(group, names));
        let _ = writeln!(out, "    mode: dry-run");
        let _ = writeln!(out, "    when: |-");
        let _ = writeln!(
            out,
            "      INACTIVE longer than {} and {terms}",
            Span(limit.seconds).in_full()
        );
        let _ = writeln!(out, "    unless: in transaction");
        if group.in_use > 0 {
            let _ = writeln!(
                out,
                "    keep: {{at_least: {}, per: [username, machine, program]}}",
                group.in_use
            );
        }
        let _ = writeln!(out, "    action: kill");
    }
}

/// Who came back latest, and when: `DBSNMP after 5h 10m, protected`.
fn latest(limit: &NativeLimit) -> String {
    format!(
        "{} after {}{}",
        ClientGroup::shown(&limit.user),
        Span(limit.latest.idle),
        if limit.latest.is_protected { ", protected" } else { "" }
    )
}

/// How often, and how many of them after no more than each step.
fn times(times: &AfterTimes) -> String {
    if times.count == 0 {
        return "never".to_owned();
    }
    let within: Vec<String> = STEPS
        .iter()
        .zip(times.within)
        .map(|(step, within)| format!("{} {within}", Span(*step)))
        .collect();
    format!(
        "{}, {}; of these up to {}",
        counted(times.count, "time"),
        times.words(),
        within.join(", ")
    )
}

/// The terms that select a group.
///
/// # Errors
/// When a name cannot be written in one line, or when no condition can be TRUE of it; the error says why.
fn terms(group: &GroupSurvey) -> Result<String, String> {
    let ClientGroup { username, program, .. } = &group.who;
    let equal = |column: Column, text: &Option<Arc<str>>| -> Result<String, String> {
        match text {
            Some(text) => {
                writable(column, text)?;
                Ok(equals(column, text))
            }
            None => Ok(format!("{} is null", column.name())),
        }
    };
    let machine = match &group.machine {
        Some(machine) if machine.contains(|letter: char| letter.is_ascii_digit()) => {
            writable(Column::Machine, machine)?;
            format!("machine matches '{}'", pattern(machine).replace('\'', "''"))
        }
        machine => equal(Column::Machine, machine)?,
    };
    Ok([
        equal(Column::Username, username)?,
        equal(Column::Program, program)?,
        machine,
    ]
    .join(" and "))
}

/// The term for a text as it was recorded. One that looks like a mistake (`'web%'`, `'a, b'`) is written as a regular expression, so
/// that `check` does not warn of it.
fn equals(column: Column, text: &str) -> String {
    let name = column.name();
    let doubled = |text: &str| text.replace('\'', "''");
    let plain = format!("{name} = '{}'", doubled(text));
    let exact = format!("{name} matches '^{}$'", doubled(&regex::escape(text)));
    let is_clean = |term: &str| condition_and_problems(term).1.is_empty();
    if is_clean(&plain) || !is_clean(&exact) {
        plain
    } else {
        exact
    }
}

/// A regular expression for all machines whose names differ from this one only in their digits.
fn pattern(machine: &str) -> String {
    let mut pattern = String::from("^");
    let mut rest = machine;
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(rest.len());
        if digits > 0 {
            pattern.push_str("[0-9]+");
            rest = &rest[digits..];
        }
        let others = rest.find(|letter: char| letter.is_ascii_digit()).unwrap_or(rest.len());
        pattern.push_str(&regex::escape(&rest[..others]));
        rest = &rest[others..];
    }
    pattern.push('$');
    pattern
}

/// Whether a text can stand in a line of a policy as it is, and a condition can be TRUE of it.
fn writable(column: Column, text: &str) -> Result<(), String> {
    if !is_whole(text) {
        return Err(format!(
            "its {} has bytes that are no valid text, so every condition on it is UNKNOWN",
            column.name()
        ));
    }
    if text.is_empty() || text.chars().any(acts) {
        return Err(format!(
            "its {} has characters that a policy file cannot hold",
            column.name()
        ));
    }
    Ok(())
}

/// A name for the policy of a group, which no other has.
fn name(group: &GroupSurvey, names: &mut BTreeSet<String>) -> String {
    let mut name = String::from("idle");
    for text in [&group.who.username, &group.who.program].into_iter().flatten() {
        name.push('-');
        for letter in text.chars().take(24) {
            if letter.is_ascii_alphanumeric() {
                name.push(letter.to_ascii_lowercase());
            } else if !name.ends_with('-') {
                name.push('-');
            }
        }
    }
    let name = name.trim_end_matches('-').to_owned();
    let numbered = (2..).map(|number| format!("{name}-{number}"));
    let free = std::iter::once(name.clone())
        .chain(numbered)
        .find(|name| !names.contains(name));
    let free = free.unwrap_or(name);
    names.insert(free.clone());
    free
}

/// A comment, in as many lines as it needs.
fn comment(out: &mut String, sign: &str, text: &str) {
    let mut line = sign.to_owned();
    for word in visible(text).split(' ') {
        if line.len() + word.len() >= WIDTH && line.len() > sign.len() {
            let _ = writeln!(out, "{line}");
            line = sign.to_owned();
        }
        line.push(' ');
        line.push_str(word);
    }
    let _ = writeln!(out, "{line}");
}

/// How comments begin: at the head of the file, below a line there, and above a policy.
const HEAD: &str = "#";
const BELOW: &str = "#  ";
const ABOVE: &str = "  #";
