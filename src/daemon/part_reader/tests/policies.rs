//! Random policies, as a person writes them. Some make no sense, and do not check.

use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

/// What a condition is made of.
pub(super) const TERMS: [&str; 34] = [
    "INACTIVE longer than 10m",
    "INACTIVE",
    "idle > 20m",
    "idle between 10m and 40m",
    "last_call_et > 600",
    "username = APP",
    "username in (APP, SHOP)",
    "username not in (APP, SYS)",
    "username like 'S%'",
    "machine = 'web01'",
    "machine like '%b02'",
    "program like 'app%'",
    "program is null",
    "BLOCKING",
    "BLOCKING 2 sessions longer than 1m",
    "blocking = 0",
    "blocking between 0 and 1",
    "blocking is not null",
    "blocking_for > 1m",
    "BLOCKED longer than 1m",
    "IN TRANSACTION longer than 10m",
    "taddr is null",
    "transaction_status is not null",
    "undo_records > 10",
    "RUNNING longer than 10m",
    "connected > 1h",
    "connected < 1h",
    "pga > 1MB",
    "sid in (1, 2, 3)",
    "status = SNIPED",
    "status not in (ACTIVE, KILLED)",
    "module is null",
    "px_servers > 0",
    "waited > 1m",
];

const ACTIONS: [&str; 8] = [
    "kill",
    "kill",
    "kill, escalate: [{after: 1m, action: kill immediate}]",
    "disconnect immediate",
    "disconnect post_transaction, escalate: [{after: 2m, action: kill}, {after: 1m, action: kill immediate}]",
    "cancel sql, escalate: [{after: 1m, action: kill}]",
    "report",
    "disconnect post_transaction",
];

fn term() -> impl Strategy<Value = String> {
    (select(TERMS.to_vec()), prop::bool::weighted(0.15)).prop_map(|(term, not)| match not {
        true => format!("not ({term})"),
        false => term.to_owned(),
    })
}

fn when() -> impl Strategy<Value = String> {
    let more = option::weighted(0.6, (prop::bool::weighted(0.75), term()));
    (term(), more).prop_map(|(first, more)| match more {
        Some((true, second)) => format!("when: \"({first}) and ({second})\""),
        Some((false, second)) => format!("when: \"({first}) or ({second})\""),
        None => format!("when: \"{first}\""),
    })
}

/// `keep`, with the order that it may need.
fn keep() -> impl Strategy<Value = String> {
    let per = subsequence(vec!["username", "machine", "program", "con_id"], 1..3);
    (1_u32..4, per, any::<bool>()).prop_map(|(at_least, per, matching)| {
        let per = per.join(", ");
        match matching {
            true => format!("keep: {{at_least: {at_least}, per: [{per}], of: matching}}, order: idle desc"),
            false => format!("keep: {{at_least: {at_least}, per: [{per}]}}"),
        }
    })
}

/// In each place often nothing.
fn others() -> impl Strategy<Value = Vec<Option<String>>> {
    let unless = option::weighted(0.3, term().prop_map(|term| format!("unless: \"{term}\"")));
    let hold = option::weighted(0.3, select(vec!["for: 1m".to_owned(), "for: 4m".to_owned()]));
    let gates = [
        "while: active_sessions above 2",
        "while: sessions above 10%, until: sessions below 5",
        "while: active_sessions above 3, until: active_sessions below 2",
        "while: pga above 1MB",
    ];
    let gate = option::weighted(0.2, select(gates.map(str::to_owned).to_vec()));
    let orders = [
        "idle desc",
        "blocking desc",
        "undo_records",
        "pga desc",
        "connected desc",
    ];
    let orders = orders.map(|column| format!("order: {column}"));
    let order = prop_oneof![1 => option::weighted(0.4, select(orders.to_vec())), 1 => option::weighted(0.7, keep())];
    (unless, hold, gate, order).prop_map(|(unless, hold, gate, order)| vec![unless, hold, gate, order])
}

fn limits() -> impl Strategy<Value = String> {
    let limits = (
        option::weighted(0.2, (1_u32..4).prop_map(|limit| format!("per_cycle: {limit}"))),
        prop_oneof![2 => Just(100_u32), 1 => select(vec![5_u32, 30, 60])],
        option::weighted(0.3, (1_u32..3).prop_map(|limit| format!("respawns: {limit}"))),
        option::weighted(
            0.3,
            select(vec!["undo_records: 0".to_owned(), "undo_records: 10".to_owned()]),
        ),
    );
    limits.prop_map(|(per_cycle, share, respawns, undo)| {
        let limits = [per_cycle, Some(format!("share: {share}%")), respawns, undo];
        format!(
            "limits: {{{}}}",
            limits.into_iter().flatten().collect::<Vec<_>>().join(", ")
        )
    })
}

/// Its keys but for its name, in one line.
pub(super) fn policy() -> impl Strategy<Value = String> {
    let mode = prop_oneof![3 => Just("mode: enforce"), 2 => Just("mode: dry-run")];
    let parts = (mode, when(), others(), limits(), select(ACTIONS.to_vec()));
    parts.prop_map(|(mode, when, others, limits, action)| {
        let limits = (action != "report").then_some(limits);
        let parts = [mode.to_owned(), when].into_iter().chain(others.into_iter().flatten());
        let parts = parts.chain(limits).chain([format!("action: {action}")]);
        parts.collect::<Vec<_>>().join(", ")
    })
}
