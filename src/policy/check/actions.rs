//! Checks a policy's action, its escalations, and the protections that it lifts.

use crate::policy::model::{Action, Escalation, Protection};
use crate::yaml::diagnostics::{did_you_mean, one_of, quoted};
use crate::yaml::fields::{Fields, Inspection};
use crate::yaml::node::{Node, Value};

pub(super) const LONGEST_HOLD: i64 = 30 * 86_400;

const MOST_RUNGS: usize = 5;

pub(super) fn action(inspection: &mut Inspection, node: &Node) -> Option<Action> {
    let text = inspection.text(node, "action")?;
    let words = text
        .split_whitespace()
        .map(str::to_ascii_lowercase)
        .collect::<Vec<_>>()
        .join(" ");
    let found = Action::named(&words);
    if found.is_some() {
        return found;
    }
    let hint = match words.as_str() {
        "kill immediate noreplay" | "kill noreplay immediate" | "kill force noreplay" => {
            Some("KILL SESSION takes one clause: `kill immediate` or `kill noreplay`".to_owned())
        }
        "disconnect" => Some(
            "`disconnect post_transaction` waits for the end of the transaction, `disconnect immediate` does not"
                .to_owned(),
        ),
        "disconnect immediate noreplay" => {
            Some("DISCONNECT SESSION takes `immediate` or `noreplay`, not both".to_owned())
        }
        "kill post_transaction" => Some("did you mean `disconnect post_transaction`?".to_owned()),
        "cancel" => Some("did you mean `cancel sql`?".to_owned()),
        "alert" | "log" | "none" | "notify" => Some("did you mean `report`?".to_owned()),
        _ => did_you_mean(&words, Action::ALL.map(Action::name)),
    };
    let problem = inspection.error(&node.at, "unknown-action", format!("unknown action {}", quoted(text)));
    problem.expected = Some(format!("expected {}", one_of(Action::ALL.map(Action::name))));
    problem.hint = hint;
    None
}

pub(super) fn escalations(
    inspection: &mut Inspection,
    fields: &Fields<'_>,
    first: Option<Action>,
) -> Option<Vec<Escalation>> {
    let Some(node) = fields.get("escalate") else {
        return Some(Vec::new());
    };
    let items = inspection.list(node, "escalate");
    if items.len() > MOST_RUNGS {
        inspection.error(
            &Inspection::place(node),
            "bad-escalation",
            format!("more than {MOST_RUNGS} escalations, which is the limit"),
        );
    }
    if first == Some(Action::Report) && !items.is_empty() {
        inspection
            .error(
                &fields.key_at("escalate"),
                "bad-escalation",
                "the action `report` cannot be escalated",
            )
            .hint = Some("give the policy another action, or leave `escalate` out".to_owned());
    }
    let mut before = first;
    let mut rungs = Vec::with_capacity(items.len());
    for item in items {
        let rung = inspection.fields(item, "an escalation", &["after", "action"]);
        let Some(rung) = rung else { continue };
        let after = inspection
            .required(&rung, "an escalation", "after")
            .and_then(|node| inspection.duration(node, "after", 1, LONGEST_HOLD));
        let next_node = inspection.required(&rung, "an escalation", "action");
        let next = next_node.and_then(|node| action(inspection, node));
        if let (Some(before), Some(next), Some(node)) = (before, next, next_node)
            && next.strength() <= before.strength()
        {
            inspection
                .error(&node.at, "bad-escalation", format!("`{next}` is not stronger than the action before it, `{before}`"))
                .hint = Some("the actions from weak to strong: `cancel sql`, `disconnect post_transaction`, `kill`, `kill immediate`, `kill force`".to_owned());
        }
        before = next.or(before);
        rungs.push(after.zip(next).map(|(after, action)| Escalation {
            after: after.unsigned_abs(),
            action,
        }));
    }
    (rungs.len() == items.len()).then_some(())?;
    rungs.into_iter().collect()
}

pub(super) fn allowances(inspection: &mut Inspection, fields: &Fields<'_>) -> (Option<Vec<Protection>>, String) {
    let reason = fields
        .get("reason")
        .and_then(|node| inspection.text(node, "reason"))
        .unwrap_or_default()
        .to_owned();
    let Some(node) = fields.get("allow") else {
        return (Some(Vec::new()), reason);
    };
    let liftable = || {
        Protection::ALL
            .into_iter()
            .filter(|one| !one.is_never_lifted())
            .map(Protection::name)
    };
    let items = inspection.list(node, "allow");
    let mut allow = Vec::new();
    let mut good = matches!(node.value, Value::Sequence(_));
    for item in items {
        let Some(name) = inspection.text(item, "allow") else {
            good = false;
            continue;
        };
        match Protection::named(name) {
            Some(protection) if protection.is_never_lifted() => {
                good = false;
                let message = format!("the protection `{protection}` cannot be lifted");
                inspection.error(&item.at, "never-lifted", message).expected =
                    Some(format!("expected {}", one_of(liftable())));
            }
            Some(protection) if allow.contains(&protection) => {
                good = false;
                inspection.error(&item.at, "duplicate-value", format!("`{protection}` is named twice"));
            }
            Some(protection) => allow.push(protection),
            None => {
                good = false;
                let problem = inspection.error(
                    &item.at,
                    "unknown-protection",
                    format!("unknown protection {}", quoted(name)),
                );
                problem.expected = Some(format!("expected {}", one_of(liftable())));
                problem.hint = did_you_mean(name, liftable());
            }
        }
    }
    if !items.is_empty() && reason.is_empty() {
        inspection
            .error(
                &fields.key_at("allow"),
                "missing-reason",
                "a policy that lifts a protection needs a `reason`",
            )
            .hint = Some("add `reason:` and say why the policy may act on these sessions".to_owned());
        good = false;
    }
    (good.then_some(allow), reason)
}
