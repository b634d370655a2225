//! Checks all policy files together, reports every problem, and makes a [`PolicySet`] only if there is no error.
//!
//! A name may be defined in one file and used in another. So all files are parsed first, then all names are defined, then all
//! policies are checked. Nothing here reads a file or a clock: the bytes and today's date are arguments.

mod actions;
mod gate;
mod gate_pair;
mod names;
mod other_mark;
mod policy;
mod timetable;

#[cfg(test)]
pub(crate) use policy::DATABASE_LIMIT_KEYS;
#[cfg(test)]
pub(crate) use policy::LIMIT_KEYS;
#[cfg(test)]
pub(crate) use policy::POLICY_KEYS;
pub(crate) use policy::limits_of_database;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::ops::Range;
use std::sync::Arc;

use chrono::NaiveDate;
use chrono_tz::Tz;
use sha2::{Digest as _, Sha256};

use super::ast::Expr;
use super::condition::Condition;
use super::habit::Aim;
use super::lex::Mistake;
use super::lint::{self, Clause};
use super::model::{Exemption, Labels, Origin, PolicySet, Selector};
use super::parse::{Parsed, parse, parse_for};
use super::resolve::{Definitions, Spans, resolve, right_parts};
use crate::yaml::diagnostics::{Diagnostic, Severity, SourceFile, arrange, quoted};
use crate::yaml::fields::{Fields, Inspection};
use crate::yaml::node::{self, Node};
use crate::yaml::offsets::Offsets;

/// The sections of a policy file.
pub(crate) const FILE_KEYS: [&str; 4] = ["lists", "conditions", "exemptions", "policies"];

/// The keys of an exemption.
pub(crate) const EXEMPTION_KEYS: [&str; 4] = ["when", "reason", "owner", "until"];

/// The most policies in a set: each one is a label value in the metrics and a pass over every snapshot.
const MOST_POLICIES: usize = 500;

/// The result of reading policy files.
#[derive(Debug)]
pub struct LoadedPolicies {
    /// The policies, if there is no error.
    pub set: Option<PolicySet>,
    /// All errors and warnings, in the order of the files.
    pub diagnostics: Vec<Diagnostic>,
    /// How many files were read.
    pub(crate) files: usize,
}

/// A file whose YAML could be parsed.
struct File {
    inspection: Inspection,
    root: Node,
}

/// Checks policy files, each with its name and bytes. `today` decides which exemptions have expired; `zone` is for schedules.
#[must_use]
pub fn check_files(files: &[(String, Vec<u8>)], today: NaiveDate, zone: Tz) -> LoadedPolicies {
    let mut diagnostics = Vec::new();
    let mut read = Vec::new();
    for (name, bytes) in files {
        match node::read(name, bytes, str::to_owned) {
            Ok((source, text, root)) => read.push(File {
                inspection: Inspection::new(source, text),
                root,
            }),
            Err(problem) => diagnostics.push(*problem),
        }
    }
    let roots: Vec<Node> = read.iter().map(|file| file.root.clone()).collect();
    let mut check = PolicyChecker {
        inspections: read.into_iter().map(|file| file.inspection).collect(),
        definitions: Definitions::default(),
        named_at: BTreeMap::new(),
        today,
        zone,
    };
    let mut set = check.set(&roots);
    let mut hash = Sha256::new();
    for (_, bytes) in files {
        hash.update(bytes);
    }
    set.digest = hash.finalize().iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a String takes any text");
        text
    });
    diagnostics.extend(check.inspections.into_iter().flat_map(|inspection| inspection.found));
    let names: Vec<Arc<str>> = files.iter().map(|(name, _)| name.as_str().into()).collect();
    let diagnostics = arrange(diagnostics, &names);
    let set = (!diagnostics.iter().any(Diagnostic::is_error)).then_some(set);
    LoadedPolicies {
        set,
        diagnostics,
        files: files.len(),
    }
}

/// Reads a condition that is not in a file, as in `orareaper sessions "INACTIVE longer than 1h"`. The second part has all errors and
/// warnings that the same text would get as a policy's `when`, in a file named `condition`; with an error there is no condition.
#[must_use]
pub(crate) fn condition_and_problems(text: &str) -> (Option<Condition>, Vec<Diagnostic>) {
    let source = SourceFile::new("condition", text);
    let Parsed { expr, mut mistakes, .. } = parse(text);
    let definitions = Definitions::default();
    let resolved = resolve(&expr, &definitions, &mut mistakes);
    let (mut found, condition) = judged((text, &expr), resolved, &mistakes, &definitions, Clause::When);
    found.extend(mistakes.into_iter().map(|mistake| (Severity::Error, mistake)));
    found.sort_by_key(|(_, mistake)| (mistake.at.start, mistake.at.end));
    let diagnostics: Vec<Diagnostic> = found
        .into_iter()
        .map(|(severity, mistake)| diagnosed(&source, severity, mistake))
        .collect();
    let refused = diagnostics.iter().any(Diagnostic::is_error);
    (condition.filter(|_| !refused), diagnostics)
}

/// What the lints find in a condition, and the condition if it has no mistakes.
fn judged(
    (text, expr): (&str, &Expr),
    resolved: Option<(Condition, Spans)>,
    mistakes: &[Mistake],
    definitions: &Definitions,
    place: Clause,
) -> (Vec<(Severity, Mistake)>, Option<Condition>) {
    let (mut found, condition) = match resolved.filter(|_| mistakes.is_empty()) {
        Some((condition, spans)) => (lint::judge(&condition, &spans, place), Some(condition)),
        None => (judge_rest(expr, mistakes, definitions, place), None),
    };
    let mut written = lint::judge_text(text, expr, definitions, place).found;
    if !mistakes.is_empty() {
        // First things first: how a wrong condition would be read helps nobody.
        written.retain(|(_, mistake)| mistake.code != lint::AND_OR_MIXED);
    }
    found.extend(written);
    (found, condition)
}

/// Runs the lints on the correct parts of a condition that has mistakes.
fn judge_rest(expr: &Expr, mistakes: &[Mistake], definitions: &Definitions, place: Clause) -> Vec<(Severity, Mistake)> {
    let wrong: Vec<_> = mistakes.iter().map(|mistake| mistake.at.clone()).collect();
    lint::judge_parts(&right_parts(expr, definitions), place, &wrong)
}

/// Reads a condition that is not in a file. Only its mistakes count, and no lint.
///
/// # Errors
/// All mistakes of the condition, in a file named `condition`.
pub fn check_condition(text: &str) -> Result<Condition, Vec<Diagnostic>> {
    let source = SourceFile::new("condition", text);
    let Parsed { expr, mut mistakes, .. } = parse(text);
    let resolved = resolve(&expr, &Definitions::default(), &mut mistakes);
    mistakes.sort_by_key(|mistake| (mistake.at.start, mistake.at.end));
    match resolved {
        Some((condition, _)) if mistakes.is_empty() => Ok(condition),
        _ => Err(mistakes
            .into_iter()
            .map(|mistake| diagnosed(&source, Severity::Error, mistake))
            .collect()),
    }
}

fn diagnosed(source: &Arc<SourceFile>, severity: Severity, mistake: Mistake) -> Diagnostic {
    let mut diagnostic = Diagnostic::at(severity, source, mistake.at, mistake.code, mistake.message);
    diagnostic.expected = mistake.expected;
    diagnostic.hint = mistake.hint;
    diagnostic
}

/// Warns of every entry of `databases` that selects none of the configured databases.
#[must_use]
pub(crate) fn unmatched_databases(set: &PolicySet, databases: &[(Arc<str>, Labels)]) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for policy in &set.policies {
        for selector in &policy.databases {
            if databases.iter().any(|(name, labels)| selector.selects(name, labels)) {
                continue;
            }
            let text = selector.to_string();
            let what = match selector {
                Selector::Name(_) => "but no configured database has such a name",
                Selector::Label(..) => "but no configured database has such a label",
            };
            let message = format!("the policy `{}` is for {}, {what}", policy.name, quoted(&text));
            let mut warning = Diagnostic::of_file(&policy.origin.file, "no-such-database", message);
            warning.severity = Severity::Warning;
            (warning.line, warning.column) = (policy.origin.line, 1);
            let words: BTreeSet<String> = match selector {
                Selector::Name(_) => databases.iter().map(|(name, _)| name.to_string()).collect(),
                Selector::Label(..) => {
                    let all = databases.iter().flat_map(|(_, labels)| labels);
                    all.map(|(label, value)| format!("{label}={value}")).collect()
                }
            };
            let hint = crate::yaml::diagnostics::did_you_mean(&text, words.iter().map(String::as_str));
            found.push(warning.maybe_hint(hint));
        }
    }
    found
}

/// All files under inspection.
pub(super) struct PolicyChecker {
    inspections: Vec<Inspection>,
    definitions: Definitions,
    /// Where the names of lists, conditions and policies are first defined: the file and the position.
    named_at: BTreeMap<(&'static str, String), (usize, Range<usize>)>,
    today: NaiveDate,
    zone: Tz,
}

impl PolicyChecker {
    fn set(&mut self, roots: &[Node]) -> PolicySet {
        let tops: Vec<Option<Fields<'_>>> = roots
            .iter()
            .enumerate()
            .map(|(file, root)| self.inspections[file].fields(root, "a policy file", &FILE_KEYS))
            .collect();
        let section = |key: &str| -> Vec<(usize, &Node)> {
            let found = tops.iter().enumerate();
            found
                .filter_map(|(file, top)| top.as_ref()?.get(key).map(|node| (file, node)))
                .collect()
        };
        self.define_lists(&section("lists"));
        self.define_conditions(&section("conditions"));
        let mut set = PolicySet::default();
        for (file, node) in section("exemptions") {
            for item in self.inspections[file].list(node, "exemptions") {
                set.exemptions.extend(self.exemption(file, item));
            }
        }
        for (file, node) in section("policies") {
            for item in self.inspections[file].list(node, "policies") {
                set.policies.extend(self.policy(file, item));
                if set.policies.len() == MOST_POLICIES + 1 {
                    let place = Inspection::place(item);
                    let message = format!("more than {MOST_POLICIES} policies, which is the limit");
                    self.inspections[file].error(&place, "too-many-policies", message);
                }
            }
        }
        set
    }

    fn origin(&self, file: usize, node: &Node) -> Origin {
        let source = &self.inspections[file].source;
        Origin {
            file: source.name.clone(),
            line: source.position(Inspection::place(node).start).0,
        }
    }

    /// Records a name, or reports that it is already defined.
    fn claim(&mut self, what: &'static str, name: &str, file: usize, at: &Range<usize>) -> bool {
        if let Some((first_file, first)) = self.named_at.get(&(what, name.to_owned())) {
            let source = &self.inspections[*first_file].source;
            let (line, column) = source.position(first.start);
            let message = format!(
                "the {what} {} is already defined at {}:{line}:{column}",
                quoted(name),
                source.name
            );
            self.inspections[file].error(at, "duplicate-name", message).hint =
                Some("names must be unique over all files".to_owned());
            return false;
        }
        self.named_at.insert((what, name.to_owned()), (file, at.clone()));
        true
    }

    /// Parses the condition of a key. An empty one is reported here, all other mistakes by the caller.
    fn expression(&mut self, file: usize, node: &Node, what: &str, aim: Aim) -> Option<(Parsed, Offsets)> {
        let inspection = &mut self.inspections[file];
        let scalar = inspection.scalar(node, what)?;
        let offsets = inspection.offsets(node, scalar);
        let parsed = parse_for(&scalar.text, aim);
        if parsed.mistakes.iter().any(|mistake| mistake.code == "empty-condition") {
            let at = node.at.clone();
            inspection.error(&at, "empty-condition", format!("`{what}` is empty"));
            return None;
        }
        Some((parsed, offsets))
    }

    /// Parses and resolves the condition of a key, runs the lints on it, and reports what they find.
    fn condition(&mut self, file: usize, node: &Node, what: &str, place: Clause) -> Option<Condition> {
        let aim = match place {
            Clause::When | Clause::WhenReporting => Aim::Acts,
            Clause::Unless | Clause::Exemption => Aim::Spares,
            Clause::Definition => Aim::Either,
        };
        let (
            Parsed {
                text,
                expr,
                mut mistakes,
            },
            offsets,
        ) = self.expression(file, node, what, aim)?;
        let resolved = resolve(&expr, &self.definitions, &mut mistakes);
        let (found, condition) = judged((&text, &expr), resolved, &mistakes, &self.definitions, place);
        let inspection = &mut self.inspections[file];
        for mistake in mistakes {
            inspection.mistake(Severity::Error, &offsets, mistake);
        }
        for (severity, mistake) in found {
            inspection.mistake(severity, &offsets, mistake);
        }
        condition
    }

    fn exemption(&mut self, file: usize, item: &Node) -> Option<Exemption> {
        let fields = self.inspections[file].fields(item, "an exemption", &EXEMPTION_KEYS)?;
        let origin = self.origin(file, item);
        let when = self.inspections[file].required(&fields, "an exemption", "when");
        let when = when.and_then(|node| self.condition(file, node, "when", Clause::Exemption));
        let inspection = &mut self.inspections[file];
        let reason = inspection.required(&fields, "an exemption", "reason");
        let reason = reason.and_then(|node| {
            let text = inspection.text(node, "reason")?;
            if text.is_empty() {
                inspection.error(&node.at, "missing-value", "an exemption needs a reason");
            }
            Some(text.to_owned())
        });
        let owner = fields.get("owner");
        let owner_at = owner.map_or_else(|| fields.at.clone(), |node| node.at.clone());
        let owner = owner.map(|node| inspection.text(node, "owner"));
        if matches!(owner, None | Some(Some(""))) {
            inspection
                .warning(&owner_at, "exemption-without-owner", "this exemption has no owner")
                .hint = Some("add `owner:`, so that it is clear whom to ask when the exemption expires".to_owned());
        }
        let owner = owner.flatten().unwrap_or_default().to_owned();
        let until = fields.get("until").and_then(|node| {
            let date = inspection.date(node, "until")?;
            if date < self.today {
                inspection
                    .warning(
                        &node.at,
                        "expired-exemption",
                        "this exemption has expired and protects no session",
                    )
                    .hint = Some("ask its owner, then extend it or remove it".to_owned());
            }
            Some(date)
        });
        Some(Exemption {
            when: when?,
            reason: reason?,
            owner,
            until,
            origin,
        })
    }
}

/// The index of the file of a named condition, the parsed condition, and its positions in the file.
pub(super) type Definition = (usize, Parsed, Offsets);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selector_that_matches_no_database_gives_a_warning() {
        let text = "policies:\n  - name: p\n    databases: [prod-*, crmm, 'dev?', env=p*, env=prd]\n    when: SNIPED\n    action: kill\n";
        let loaded = check_files(&[("f.yaml".into(), text.into())], NaiveDate::MIN, Tz::UTC);
        let set = loaded.set.expect("right");
        let labels: Labels = [("env".into(), "prod".into())].into_iter().collect();
        let names = ["prod-1", "crm", "dev"].map(|name| (Arc::from(name), labels.clone()));
        let told: Vec<String> = unmatched_databases(&set, &names)
            .iter()
            .map(|one| one.render(false))
            .collect();
        let crmm = "f.yaml:2:1: warning[no-such-database]: the policy `p` is for `crmm`, but no configured database has such a name\n  \
                    = help: did you mean `crm`?";
        let dev = "f.yaml:2:1: warning[no-such-database]: the policy `p` is for `dev?`, but no configured database has such a name\n  \
                   = help: did you mean `dev`?";
        let prd = "f.yaml:2:1: warning[no-such-database]: the policy `p` is for `env=prd`, but no configured database has such a \
                   label\n  = help: did you mean `env=prod`?";
        assert_eq!(told, [crmm, dev, prd]);
    }
}
