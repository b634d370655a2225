//! Checks `lists` and `conditions` of all files: what each `@name` stands for.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use super::{Definition, PolicyChecker};
use crate::policy::ast::{Expr, ExprKind, TermKind};
use crate::policy::habit::Aim;
use crate::policy::lex::{Lexed, Mistake, Token, lex};
use crate::policy::lint::{self, Clause};
use crate::policy::resolve::resolve;
use crate::yaml::diagnostics::{Severity, quoted};
use crate::yaml::fields::Inspection;
use crate::yaml::node::{Node, Scalar, Style, Value};

/// The most values in a list.
const LONGEST_LIST: usize = 10_000;

/// The most terms in a condition after every name in it is expanded.
const MOST_TERMS: usize = 5_000;

impl PolicyChecker {
    pub(super) fn define_lists(&mut self, sections: &[(usize, &Node)]) {
        for (file, node) in sections {
            for (name, key, value) in self.inspections[*file].names(node, "lists") {
                if !self.claim("list", name, *file, &key.at) {
                    continue;
                }
                let values = self.list_values(*file, name, value);
                self.definitions.lists.insert(name.into(), values);
            }
        }
    }

    fn list_values(&mut self, file: usize, name: &str, node: &Node) -> Option<Vec<TermKind>> {
        let inspection = &mut self.inspections[file];
        let Value::Sequence(items) = &node.value else {
            inspection.list(node, name);
            return None;
        };
        if items.is_empty() || items.len() > LONGEST_LIST {
            let message = match items.len() {
                0 => format!("the list {} is empty", quoted(name)),
                length => format!(
                    "the list {} has {length} values; the limit is {LONGEST_LIST}",
                    quoted(name)
                ),
            };
            inspection.error(&Inspection::place(node), "bad-list", message);
            return None;
        }
        let values: Vec<Option<TermKind>> = items.iter().map(|item| list_value(inspection, item)).collect();
        values.into_iter().collect()
    }

    pub(super) fn define_conditions(&mut self, sections: &[(usize, &Node)]) {
        let mut parsed: BTreeMap<Arc<str>, Definition> = BTreeMap::new();
        for (file, node) in sections {
            for (name, key, value) in self.inspections[*file].names(node, "conditions") {
                if !self.claim("condition", name, *file, &key.at) {
                    continue;
                }
                // `None` until it is resolved, so that a mistake in it is not reported again wherever it is used.
                self.definitions.conditions.insert(name.into(), None);
                if let Some((read, offsets)) = self.expression(*file, value, name, Aim::Either) {
                    parsed.insert(name.into(), (*file, read, offsets));
                }
            }
        }
        let mut sizes = BTreeMap::new();
        for name in in_order(&parsed, |name, cycle| self.report_cycle(name, cycle, &parsed)) {
            let (file, read, offsets) = &parsed[&name];
            let expr = &read.expr;
            let mut mistakes = read.mistakes.clone();
            let resolved = resolve(expr, &self.definitions, &mut mistakes);
            let size = terms(expr, &sizes);
            sizes.insert(name.clone(), size);
            if size > MOST_TERMS {
                let message = format!(
                    "the condition {} has more than {MOST_TERMS} terms after its names are expanded",
                    quoted(&name)
                );
                mistakes.push(Mistake::new(expr.at.clone(), "condition-too-long", message));
            }
            let mut found = match &resolved {
                Some((condition, spans)) if mistakes.is_empty() => lint::judge(condition, spans, Clause::Definition),
                Some(_) | None => super::judge_rest(expr, &mistakes, &self.definitions, Clause::Definition),
            };
            let written = lint::judge_text(&read.text, expr, &self.definitions, Clause::Definition);
            found.extend(written.found);
            if let Some(word) = written.folded {
                self.definitions.folded.insert(name.clone(), word);
            }
            let right = resolved.filter(|_| mistakes.is_empty());
            let inspection = &mut self.inspections[*file];
            for mistake in mistakes {
                inspection.mistake(Severity::Error, offsets, mistake);
            }
            for (severity, mistake) in found {
                inspection.mistake(severity, offsets, mistake);
            }
            if let Some((condition, _)) = right {
                self.definitions.conditions.insert(name, Some(Arc::new(condition)));
            }
        }
    }

    fn report_cycle(&mut self, name: &str, cycle: &[Arc<str>], parsed: &BTreeMap<Arc<str>, Definition>) {
        let Some((file, read, offsets)) = parsed.get(name) else {
            return;
        };
        let next = cycle.get(1).map_or(name, |next| next);
        let at = mentions(&read.expr)
            .into_iter()
            .find(|(mentioned, _)| mentioned == next)
            .map_or(read.expr.at.clone(), |(_, at)| at);
        let path: Vec<String> = cycle.iter().map(|name| format!("`@{name}`")).collect();
        let mistake = Mistake::new(
            at,
            "condition-cycle",
            format!("the condition `{name}` uses itself: {}", path.join(" → ")),
        );
        self.inspections[*file].mistake(Severity::Error, offsets, mistake);
    }
}

/// A value of a list. As in a condition, a word without quotes is in upper case, a quoted text is as written.
fn list_value(inspection: &mut Inspection, item: &Node) -> Option<TermKind> {
    let scalar = inspection.scalar(item, "a list's value")?;
    if scalar.style != Style::Plain {
        if scalar.text.is_empty() {
            inspection.error(
                &item.at,
                "empty-text",
                "in Oracle, '' is NULL, which never matches a list",
            );
            return None;
        }
        return Some(TermKind::Text(scalar.text.clone()));
    }
    match plain_value(scalar) {
        Ok(value) => Some(value),
        Err(mistake) => {
            let offsets = inspection.offsets(item, scalar);
            inspection.mistake(Severity::Error, &offsets, mistake);
            None
        }
    }
}

fn plain_value(scalar: &Scalar) -> Result<TermKind, Mistake> {
    let Lexed { tokens, mistakes } = lex(&scalar.text);
    if let Some(first) = mistakes.into_iter().next() {
        return Err(first);
    }
    match tokens.as_slice() {
        [(Token::Arithmetic('-'), _), (Token::Number(number), _), _] => Ok(TermKind::Number(-number)),
        [(Token::Word(word), _), _] => Ok(TermKind::Word(word.clone())),
        [(Token::Number(number), _), _] => Ok(TermKind::Number(*number)),
        [(Token::Duration(seconds), _), _] => Ok(TermKind::Duration(*seconds)),
        [(Token::Size(bytes), _), _] => Ok(TermKind::Size(*bytes)),
        _ => Err(Mistake::new(
            0..scalar.text.len(),
            "needs-quotes",
            format!("{} must be quoted", quoted(&scalar.text)),
        )
        .hint(format!("write '{}'", scalar.text.replace('\'', "''")))),
    }
}

/// The names that a condition uses, with their positions.
fn mentions(expr: &Expr) -> Vec<(String, Range<usize>)> {
    match &expr.kind {
        ExprKind::And(parts) | ExprKind::Or(parts) => parts.iter().flat_map(mentions).collect(),
        ExprKind::Not(inner) => mentions(inner),
        ExprKind::Named(name) => vec![(name.clone(), expr.at.clone())],
        ExprKind::Compare { .. }
        | ExprKind::In { .. }
        | ExprKind::Between { .. }
        | ExprKind::Like { .. }
        | ExprKind::Matches { .. }
        | ExprKind::IsNull(_)
        | ExprKind::Phrase(_)
        | ExprKind::Broken => Vec::new(),
    }
}

fn terms(expr: &Expr, sizes: &BTreeMap<Arc<str>, usize>) -> usize {
    match &expr.kind {
        ExprKind::And(parts) | ExprKind::Or(parts) => {
            parts.iter().fold(0, |sum, part| terms(part, sizes).saturating_add(sum))
        }
        ExprKind::Not(inner) => terms(inner, sizes),
        ExprKind::Named(name) => sizes.get(name.as_str()).copied().unwrap_or(1),
        ExprKind::Compare { .. }
        | ExprKind::In { .. }
        | ExprKind::Between { .. }
        | ExprKind::Like { .. }
        | ExprKind::Matches { .. }
        | ExprKind::IsNull(_)
        | ExprKind::Phrase(_)
        | ExprKind::Broken => 1,
    }
}

/// The names in an order in which each comes after those that it uses. Names in a cycle are reported. They are left out, and
/// so are names that use them: these stay `None`.
fn in_order(parsed: &BTreeMap<Arc<str>, Definition>, mut report: impl FnMut(&str, &[Arc<str>])) -> Vec<Arc<str>> {
    let uses: BTreeMap<&Arc<str>, Vec<String>> = parsed
        .iter()
        .map(|(name, (_, read, _))| (name, mentions(&read.expr).into_iter().map(|(name, _)| name).collect()))
        .collect();
    let mut ordered = Vec::new();
    let mut done = BTreeSet::new();
    // Takes names whose uses are all in the result until there are none. The rest is in a cycle or uses a name in one.
    loop {
        let before = ordered.len();
        for (name, used) in &uses {
            let ready = used
                .iter()
                .all(|used| done.contains(used.as_str()) || !uses.contains_key(&Arc::from(used.as_str())));
            if ready && done.insert(&***name) {
                ordered.push((*name).clone());
            }
        }
        if ordered.len() == before {
            break;
        }
    }
    let mut reported = BTreeSet::new();
    for name in uses.keys().filter(|name| !done.contains(&****name)) {
        if let Some(cycle) = cycle_from(name, &uses)
            && reported.is_disjoint(&cycle.iter().cloned().collect())
        {
            report(name, &cycle);
            reported.extend(cycle);
        }
    }
    ordered
}

/// The shortest cycle from a name back to itself.
fn cycle_from(start: &Arc<str>, uses: &BTreeMap<&Arc<str>, Vec<String>>) -> Option<Vec<Arc<str>>> {
    let mut seen = BTreeSet::new();
    let mut paths = std::collections::VecDeque::from([vec![start.clone()]]);
    while let Some(path) = paths.pop_front() {
        let last = path.last()?;
        for used in uses.get(last).into_iter().flatten() {
            let used: Arc<str> = used.as_str().into();
            let mut longer = path.clone();
            longer.push(used.clone());
            if &used == start {
                return Some(longer);
            }
            if seen.insert(used) {
                paths.push_back(longer);
            }
        }
    }
    None
}
