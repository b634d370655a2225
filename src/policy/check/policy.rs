//! Checks one policy: each of its keys, and combinations of keys.

use std::sync::Arc;

use chrono::NaiveDate;

use super::PolicyChecker;
use super::actions::{LONGEST_HOLD, action, allowances, escalations};
use super::gate::resolve_gate;
use super::gate_pair::gate_pair;
use super::other_mark::{higher, lower};
use crate::policy::condition::Condition;
use crate::policy::habit::Aim;
use crate::policy::lint::{self, Clause};
use crate::policy::model::{Action, Keep, KeepOf, Limits, Mode, OrderKey, Policy, Pressure, Selector};
use crate::policy::parse::Parsed;
use crate::policy::pressure::PressureCondition;
use crate::session::column::{Column, Kind};
use crate::yaml::calendar::as_date;
use crate::yaml::diagnostics::{Diagnostic, Severity, did_you_mean, quoted};
use crate::yaml::fields::{Fields, Inspection};
use crate::yaml::node::{Node, Value};

/// The keys of a policy.
pub(crate) const POLICY_KEYS: [&str; 19] = [
    "name",
    "description",
    "mode",
    "databases",
    "schedule",
    "dates",
    "timezone",
    "while",
    "until",
    "when",
    "unless",
    "for",
    "order",
    "keep",
    "limits",
    "action",
    "escalate",
    "allow",
    "reason",
];

const LONGEST_NAME: usize = 63;

/// The keys of limits that policies and the configuration share.
pub(crate) const LIMIT_KEYS: [&str; 6] = ["per_cycle", "per_hour", "per_day", "share", "undo_records", "respawns"];

/// Those of the configuration.
pub(crate) const DATABASE_LIMIT_KEYS: [&str; 7] = [
    "per_cycle",
    "per_hour",
    "per_day",
    "share",
    "undo_records",
    "respawns",
    "parallel",
];

/// The keys of `keep`.
const KEEP_KEYS: [&str; 3] = ["at_least", "per", "of"];

/// The most actions at the same time. Each takes a connection, and a thread of the daemon.
const MOST_PARALLEL: u64 = 16;

impl PolicyChecker {
    pub(super) fn policy(&mut self, file: usize, item: &Node) -> Option<Policy> {
        let fields = self.inspections[file].fields(item, "a policy", &POLICY_KEYS)?;
        let name = self.policy_name(file, &fields);
        let what = name
            .as_ref()
            .map_or("a policy".to_owned(), |name| format!("the policy `{name}`"));
        let when_node = self.inspections[file].required(&fields, &what, "when");
        let place = if reports(&fields) {
            Clause::WhenReporting
        } else {
            Clause::When
        };
        let when = when_node.and_then(|node| self.condition(file, node, "when", place));
        let unless_node = fields.get("unless");
        let unless = unless_node.map(|node| self.condition(file, node, "unless", Clause::Unless));
        let pressure = self.pressure(file, &fields);
        let timetable = self.timetable(file, &fields);
        let inspection = &mut self.inspections[file];
        let action_node = inspection.required(&fields, &what, "action");
        let action = action_node.and_then(|node| action(inspection, node));
        let escalate = escalations(inspection, &fields, action);
        let hold = match fields.get("for") {
            Some(node) => inspection.duration(node, "for", 0, LONGEST_HOLD),
            None => Some(0),
        };
        let description = fields
            .get("description")
            .and_then(|node| inspection.text(node, "description"));
        let mode = match fields.get("mode") {
            Some(node) => inspection.choice(node, "mode", &Mode::ALL, Mode::name),
            None => Some(Mode::DryRun),
        };
        let databases = databases(inspection, &fields);
        let order = order(inspection, &fields);
        let keep = fields.get("keep").map(|node| keep(inspection, node));
        let limits = fields
            .get("limits")
            .map_or(Some(Limits::default()), |node| limits(inspection, node));
        let (allow, reason) = allowances(inspection, &fields);
        if let (Some(when), Some(Action::CancelSql), Some(node)) = (&when, action, action_node)
            && !lint::may_be_active(when)
        {
            let message =
                "`cancel sql` stops a running statement, but no session that `when` matches can be running one";
            inspection.error(&node.at, "unreachable-action", message);
        }
        if let (Some(when), Some(Some(unless)), Some(node)) = (&when, &unless, unless_node) {
            spares_everybody(inspection, node, (when, unless), reports(&fields));
        }
        Some(Policy {
            name: name?,
            description: description.unwrap_or_default().to_owned(),
            origin: self.origin(file, item),
            mode: mode?,
            databases: databases?,
            timetable: timetable?,
            pressure: pressure?,
            when: when?,
            unless: transposed(unless)?,
            hold: hold?.unsigned_abs(),
            order: order?,
            keep: transposed(keep)?,
            limits: limits?,
            action: action?,
            escalate: escalate?,
            allow: allow?,
            reason,
        })
    }

    fn policy_name(&mut self, file: usize, fields: &Fields<'_>) -> Option<Arc<str>> {
        let inspection = &mut self.inspections[file];
        let node = inspection.required(fields, "a policy", "name")?;
        let name = inspection.text(node, "name")?;
        let good = !name.is_empty()
            && name.len() <= LONGEST_NAME
            && name
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if !good {
            let hint = name
                .to_lowercase()
                .replace(|c: char| !(c.is_ascii_lowercase() || c.is_ascii_digit()), "-");
            let problem = inspection.error(
                &node.at,
                "bad-name",
                format!("{} is not a valid policy name", quoted(name)),
            );
            problem.expected = Some(format!(
                "expected lower-case letters, digits and `-`, at most {LONGEST_NAME}"
            ));
            if !hint.is_empty() && hint.len() <= LONGEST_NAME {
                problem.hint = Some(format!("write `{hint}`"));
            }
            return None;
        }
        let name: Arc<str> = name.into();
        let at = node.at.clone();
        // A duplicate name is reported; the rest of the policy is still checked.
        self.claim("policy", &name, file, &at);
        Some(name)
    }

    /// `Some(None)` if there is no `while`.
    fn pressure(&mut self, file: usize, fields: &Fields<'_>) -> Option<Option<Pressure>> {
        if let Some(date) = fields.get("until").and_then(a_date) {
            let message = "`until` says when the pressure of `while` is relieved, but this is a date";
            self.inspections[file]
                .error(&fields.key_at("until"), "bad-until", message)
                .hint = Some(format!("write `dates: {{until: {date}}}`"));
            return None;
        }
        let begin_node = fields.get("while");
        let begin = begin_node.map(|node| self.gate(file, node, "while"));
        let end = fields.get("until").map(|node| self.gate(file, node, "until"));
        let inspection = &mut self.inspections[file];
        match (begin, end) {
            (None, None) => Some(None),
            (None, Some(end)) => {
                inspection
                    .error(
                        &fields.key_at("until"),
                        "until-without-while",
                        "`until` needs a `while`, and there is none",
                    )
                    .hint = Some(match end.as_ref().and_then(higher) {
                    Some(begin) => format!("add `while: {begin}`"),
                    None => "add `while` with a higher threshold of the same resource".to_owned(),
                });
                None
            }
            (Some(begin), None) => {
                inspection
                    .warning(
                        &fields.key_at("while"),
                        "no-hysteresis",
                        "without `until`, the gate opens and closes at the same threshold",
                    )
                    .hint = Some(match begin.as_ref().and_then(lower) {
                    Some(until) => format!("add a lower threshold, such as `until: {until}`"),
                    None => "add `until` with a lower threshold of the same resource".to_owned(),
                });
                Some(Some(Pressure {
                    begin: begin?,
                    end: None,
                }))
            }
            (Some(begin), Some(end)) => {
                let (begin, end) = (begin?, end?);
                gate_pair(inspection, &fields.key_at("until"), &begin, &end);
                Some(Some(Pressure { begin, end: Some(end) }))
            }
        }
    }

    fn gate(&mut self, file: usize, node: &Node, what: &str) -> Option<PressureCondition> {
        let (Parsed { expr, mut mistakes, .. }, offsets) = self.expression(file, node, what, Aim::Acts)?;
        let gate = resolve_gate(&expr, &mut mistakes).filter(|_| mistakes.is_empty());
        for mistake in mistakes {
            self.inspections[file].mistake(Severity::Error, &offsets, mistake);
        }
        gate
    }
}

/// Warns of an `unless` that spares every session that `when` selects.
fn spares_everybody(inspection: &mut Inspection, node: &Node, (when, unless): (&Condition, &Condition), reports: bool) {
    // What a mistake makes of it is not what was meant, and `always-true` says more.
    let is_told = |problem: &Diagnostic| {
        node.at.contains(&problem.span.start) && (problem.is_error() || problem.code == lint::ALWAYS_TRUE)
    };
    if inspection.found.iter().any(is_told) {
        return;
    }
    let of_every_session = lint::of_every_session(reports);
    if !lint::never_together(&[(&of_every_session, true), (when, true), (unless, false)]) {
        return;
    }
    let whom = if lint::never_together(&[(&of_every_session, true), (unless, false)]) {
        "every user session"
    } else {
        "every session that `when` selects"
    };
    let never = if reports { "reports a session" } else { "acts" };
    let message = format!("`unless` spares {whom}, so the policy never {never}");
    inspection.warning(&node.at, "spares-everybody", message).hint = Some(
        "`unless` names the exceptions from `when`: write a condition there that only some of them meet, or remove it"
            .to_owned(),
    );
}

/// The date, if that is what was written.
fn a_date(node: &Node) -> Option<NaiveDate> {
    match &node.value {
        Value::Scalar(scalar) => as_date(scalar.text.trim()),
        Value::Sequence(_) | Value::Mapping(_) | Value::Null => None,
    }
}

/// Whether the policy's action is `report`, before anything is said about the action.
fn reports(fields: &Fields<'_>) -> bool {
    fields.get("action").is_some_and(|node| match &node.value {
        Value::Scalar(scalar) => scalar.text.trim().eq_ignore_ascii_case(Action::Report.name()),
        Value::Sequence(_) | Value::Mapping(_) | Value::Null => false,
    })
}

/// Turns `None` (no such key) into `Some(None)`, and `Some(None)` (a key with a mistake) into `None`.
fn transposed<T>(value: Option<Option<T>>) -> Option<Option<T>> {
    match value {
        None => Some(None),
        Some(None) => None,
        Some(value) => Some(value),
    }
}

fn databases(inspection: &mut Inspection, fields: &Fields<'_>) -> Option<Vec<Selector>> {
    let Some(node) = fields.get("databases") else {
        return Some(Vec::new());
    };
    if matches!(&node.value, Value::Sequence(items) if items.is_empty()) {
        inspection
            .error(&node.at, "empty-list", "this policy would apply to no database")
            .hint = Some("leave `databases` out to select all of them, or write `mode: off`".to_owned());
        return None;
    }
    let items = inspection.list(node, "databases");
    let selectors: Vec<Option<Selector>> = items.iter().map(|item| selector(inspection, item)).collect();
    if items.is_empty() {
        return None;
    }
    selectors.into_iter().collect()
}

/// A glob over names, or a label with a glob over its value. The name of a database never contains `=`.
fn selector(inspection: &mut Inspection, item: &Node) -> Option<Selector> {
    let text = inspection.text(item, "databases")?;
    let (label, glob) = match text.split_once('=') {
        Some((label, glob)) => (Some(label.trim()), glob.trim()),
        None => (None, text),
    };
    if glob.is_empty() || label == Some("") {
        let message = match label {
            None => "an empty name matches no database".to_owned(),
            Some(_) => format!("{} is not a label and a value", quoted(text)),
        };
        let problem = inspection.error(&item.at, "bad-glob", message);
        problem.hint =
            label.map(|_| "write the name of a database, or a label and a value as in `env=prod`".to_owned());
        return None;
    }
    match glob::Pattern::new(glob) {
        Ok(glob) => Some(match label {
            None => Selector::Name(glob),
            Some(label) => Selector::Label(label.into(), glob),
        }),
        Err(error) => {
            let message = format!("{} is not a valid pattern: {}", quoted(glob), error.msg);
            inspection.error(&item.at, "bad-glob", message);
            None
        }
    }
}

fn order(inspection: &mut Inspection, fields: &Fields<'_>) -> Option<Vec<OrderKey>> {
    let Some(node) = fields.get("order") else {
        return Some(vec![
            OrderKey {
                column: Column::Idle,
                descending: true,
            },
            OrderKey {
                column: Column::Running,
                descending: true,
            },
        ]);
    };
    let items = match &node.value {
        Value::Scalar(_) => std::slice::from_ref(node),
        Value::Sequence(_) | Value::Mapping(_) | Value::Null => inspection.list(node, "order"),
    };
    let keys: Vec<Option<OrderKey>> = items.iter().map(|item| order_key(inspection, item)).collect();
    if items.is_empty() {
        return None;
    }
    keys.into_iter().collect()
}

fn order_key(inspection: &mut Inspection, item: &Node) -> Option<OrderKey> {
    let text = inspection.text(item, "order")?;
    let mut words = text.split_whitespace();
    let column = column(inspection, item, words.next().unwrap_or_default())?;
    let descending = match words.next().map(str::to_ascii_lowercase).as_deref() {
        Some("desc") => Some(true),
        Some("asc") => Some(false),
        Some(_) | None => None,
    };
    match (descending, words.next()) {
        (Some(descending), None) => Some(OrderKey { column, descending }),
        _ => {
            inspection
                .error(
                    &item.at,
                    "bad-order",
                    format!("{} does not say in which direction to order", quoted(text)),
                )
                .hint = Some(format!("write `{0} desc` (largest first) or `{0} asc`", column.name()));
            None
        }
    }
}

fn column(inspection: &mut Inspection, item: &Node, name: &str) -> Option<Column> {
    let column = Column::named(name);
    if column.is_none() {
        let hint = did_you_mean(name, Column::ALL.iter().map(|column| column.name()));
        inspection
            .error(&item.at, "unknown-column", format!("unknown column {}", quoted(name)))
            .hint = hint;
    }
    column
}

fn keep(inspection: &mut Inspection, node: &Node) -> Option<Keep> {
    let fields = inspection.fields(node, "`keep`", &KEEP_KEYS)?;
    let at_least = inspection
        .required(&fields, "`keep`", "at_least")
        .and_then(|node| inspection.number(node, "at_least", 1, 1_000_000));
    let of = match fields.get("of") {
        Some(node) => inspection.choice(node, "of", &KeepOf::ALL, KeepOf::name),
        None => Some(KeepOf::All),
    };
    // The last few of all sessions would be anybody's; those of the sessions that match are what somebody means.
    let per = match (fields.get("per"), of) {
        (None, Some(KeepOf::Matching)) => Some(Vec::new()),
        (None, None) => None,
        (Some(_), _) | (None, Some(KeepOf::All)) => {
            let node = inspection.required(&fields, "`keep`", "per")?;
            per(inspection, node)
        }
    };
    Some(Keep {
        at_least: u32::try_from(at_least?).ok()?,
        per: per?,
        of: of?,
    })
}

/// The columns that make a group.
fn per(inspection: &mut Inspection, per_node: &Node) -> Option<Vec<Column>> {
    let items = inspection.list(per_node, "per");
    if items.is_empty() {
        if matches!(per_node.value, Value::Sequence(_)) {
            inspection
                .error(&per_node.at, "empty-list", "`per` needs at least one column")
                .hint = Some("write `per: [username, machine, program]`".to_owned());
        }
        return None;
    }
    let mut per = Vec::with_capacity(items.len());
    for item in items {
        let name = inspection.text(item, "per")?;
        let column = column(inspection, item, name)?;
        if per.contains(&column) {
            inspection.error(
                &item.at,
                "duplicate-value",
                format!("`{}` is named twice", column.name()),
            );
        }
        if !matches!(column.kind(), Kind::Text | Kind::Number) {
            inspection
                .error(
                    &item.at,
                    "mixed-kinds",
                    format!(
                        "`{}` cannot form groups: almost every session has a different value",
                        column.name()
                    ),
                )
                .expected = Some("expected a text or number column".to_owned());
        }
        group_of_one(inspection, item, column);
        per.push(column);
    }
    Some(per)
}

/// Reports a column of which each session, or nearly each, has a value of its own: a floor for each group then spares all.
fn group_of_one(inspection: &mut Inspection, item: &Node, column: Column) {
    let every_session = matches!(
        column,
        Column::Sid | Column::Serial | Column::Saddr | Column::Audsid | Column::Port
    );
    let every_server = matches!(column, Column::Paddr | Column::Spid);
    let name = column.name();
    let problem = if every_session {
        let message =
            format!("`{name}` cannot form groups: every session has its own, so `keep` would spare all of them");
        inspection.error(&item.at, "group-per-session", message)
    } else if every_server {
        let message =
            format!("`{name}` is of one server process, so `keep` spares every session that has a dedicated one");
        inspection.warning(&item.at, "group-per-session", message)
    } else {
        return;
    };
    problem.hint = Some("name what sessions have in common: `per: [username, machine, program]`".to_owned());
}

/// Reads the `limits` of the configuration.
pub(crate) fn limits_of_database(inspection: &mut Inspection, node: &Node) -> Option<Limits> {
    let fields = inspection.fields(node, "`limits`", &DATABASE_LIMIT_KEYS)?;
    let parallel = match fields.get("parallel") {
        None => Some(None),
        Some(node) => inspection
            .number(node, "parallel", 1, MOST_PARALLEL)
            .map(|number| u32::try_from(number).ok()),
    };
    let limits = limits_among(inspection, &fields);
    Some(Limits {
        parallel: parallel?,
        ..limits?
    })
}

/// Reads the `limits` of a policy.
fn limits(inspection: &mut Inspection, node: &Node) -> Option<Limits> {
    let fields = inspection.fields(node, "`limits`", &LIMIT_KEYS)?;
    limits_among(inspection, &fields)
}

/// The limits that policies and the configuration share.
fn limits_among(inspection: &mut Inspection, fields: &Fields<'_>) -> Option<Limits> {
    let mut budget = |key: &'static str| match fields.get(key) {
        None => Some(None),
        Some(node) => inspection
            .number(node, key, 1, 1_000_000)
            .map(|number| u32::try_from(number).ok()),
    };
    let (per_cycle, per_hour, per_day) = (budget("per_cycle"), budget("per_hour"), budget("per_day"));
    let respawns = budget("respawns");
    let share = match fields.get("share") {
        None => Some(None),
        Some(node) => inspection.percent(node, "share").map(Some),
    };
    let undo_records = match fields.get("undo_records") {
        None => Some(None),
        Some(node) => inspection.number(node, "undo_records", 0, 1_000_000_000_000).map(Some),
    };
    let limits = Limits {
        per_cycle: per_cycle?,
        per_hour: per_hour?,
        per_day: per_day?,
        share: share?,
        undo_records: undo_records?,
        respawns: respawns?,
        parallel: None,
    };
    for (small, large, names) in [
        (limits.per_hour, limits.per_day, ("per_hour", "per_day")),
        (limits.per_cycle, limits.per_hour, ("per_cycle", "per_hour")),
        (limits.per_cycle, limits.per_day, ("per_cycle", "per_day")),
    ] {
        if let (Some(small), Some(large)) = (small, large)
            && small > large
        {
            let message = format!(
                "`{}: {small}` can never be reached under `{}: {large}`",
                names.0, names.1
            );
            inspection.warning(&fields.key_at(names.0), "limit-never-reached", message);
        }
    }
    Some(limits)
}
