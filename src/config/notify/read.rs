//! Reads `notify:`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use glob::Pattern;

use super::{
    DeliveryWay, NoticeFilter, NoticeKind, NoticeSeverity, Notify, Receiver, ReceiverKind, ReceiverUrl, UrlFault,
    WebLogin, WebReceiver, host_of,
};
use crate::config::database::{is_database_name, stored_secret};
use crate::policy::model::Selector;
use crate::yaml::diagnostics::quoted;
use crate::yaml::fields::{Fields, Inspection};
use crate::yaml::node::{Node, Value};

pub(in crate::config) const NOTIFY_KEYS: [&str; 2] = ["receivers", "exemptions"];

pub(in crate::config) const RECEIVER_KEYS: [&str; 17] = [
    "name",
    "kind",
    "url",
    "bearer",
    "basic",
    "ca_file",
    "plain_http",
    "command",
    "events",
    "severity",
    "databases",
    "policies",
    "owners",
    "rate",
    "queue",
    "timeout",
    "give_up",
];

/// The keys of a receiver that only a web server has.
const WEB_KEYS: [&str; 5] = ["url", "bearer", "basic", "ca_file", "plain_http"];

/// The most receivers; each one has its own thread.
const MOST_RECEIVERS: usize = 20;
/// The most entries of a list of a receiver.
const MOST_ENTRIES: usize = 50;
/// The most times at which the owner of one exemption is told.
const MOST_TIMES: usize = 5;
const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;

/// Reads `notify:`.
pub(in crate::config) fn notify(inspection: &mut Inspection, node: &Node, base: &Path) -> Option<Notify> {
    let fields = inspection.fields(node, "`notify`", &NOTIFY_KEYS)?;
    let example =
        Some("write `receivers:`, and below it an entry for each: `- {name: dba, kind: json, url: https://...}`");
    let list = inspection.required_as(&fields, "`notify`", "receivers", example)?;
    let items = inspection.list(list, "receivers");
    if items.is_empty() || items.len() > MOST_RECEIVERS {
        if matches!(list.value, Value::Sequence(_)) {
            let message = match items.len() {
                0 => "there are no receivers".to_owned(),
                count => format!("{count} receivers; the limit is {MOST_RECEIVERS}"),
            };
            inspection.error(&Inspection::place(list), "bad-list", message);
        }
        return None;
    }
    let mut names: Vec<(String, usize)> = Vec::new();
    let receivers: Vec<Option<Receiver>> = items
        .iter()
        .map(|item| receiver(inspection, item, base, &mut names))
        .collect();
    let before = match fields.get("exemptions") {
        Some(node) => times(inspection, node),
        None => Some(vec![TimeDelta::days(1), TimeDelta::days(7)]),
    };
    Some(Notify {
        receivers: receivers.into_iter().collect::<Option<Vec<Receiver>>>()?,
        before: before?,
    })
}

fn times(inspection: &mut Inspection, node: &Node) -> Option<Vec<TimeDelta>> {
    let items = inspection.list(node, "exemptions");
    if items.len() > MOST_TIMES {
        let message = format!("{} times; the limit is {MOST_TIMES}", items.len());
        inspection.error(&Inspection::place(node), "bad-list", message);
        return None;
    }
    let times: Vec<Option<TimeDelta>> = items
        .iter()
        .map(|item| {
            let seconds = inspection.duration(item, "exemptions", HOUR, 90 * DAY)?;
            Some(TimeDelta::seconds(seconds))
        })
        .collect();
    let mut times = times.into_iter().collect::<Option<Vec<TimeDelta>>>()?;
    times.sort();
    times.dedup();
    matches!(node.value, Value::Sequence(_)).then_some(times)
}

fn receiver(
    inspection: &mut Inspection,
    item: &Node,
    base: &Path,
    names: &mut Vec<(String, usize)>,
) -> Option<Receiver> {
    let fields = inspection.fields(item, "a receiver", &RECEIVER_KEYS)?;
    let name = receiver_name(inspection, &fields, names);
    let example = Some("write `kind: json`, `slack`, `teams`, `alertmanager` or `program`");
    let kind = inspection
        .required_as(&fields, "a receiver", "kind", example)
        .and_then(|node| inspection.choice(node, "kind", &ReceiverKind::ALL, ReceiverKind::name));
    let way = kind.and_then(|kind| way(inspection, &fields, kind, base));
    let filter = filter(inspection, &fields);
    let number = |inspection: &mut Inspection, key: &'static str, high: u64, otherwise: u64| match fields.get(key) {
        Some(node) => inspection.number(node, key, 1, high),
        None => Some(otherwise),
    };
    let rate = number(inspection, "rate", 600, 30);
    let queue = number(inspection, "queue", 10_000, 200);
    let seconds = |inspection: &mut Inspection, key: &'static str, high: i64, otherwise: i64| {
        let seconds = match fields.get(key) {
            Some(node) => inspection.duration(node, key, 1, high),
            None => Some(otherwise),
        };
        seconds.map(|seconds| Duration::from_secs(seconds.unsigned_abs()))
    };
    let timeout = seconds(inspection, "timeout", 60, 10);
    let give_up = seconds(inspection, "give_up", HOUR, 300);
    if let (Some(timeout), Some(give_up)) = (timeout, give_up)
        && give_up < timeout
    {
        let at = fields.key_at("give_up");
        let message = "`give_up` is shorter than `timeout`: it is the limit of all attempts together";
        inspection.error(&at, "out-of-range", message);
        return None;
    }
    Some(Receiver {
        name: name?,
        kind: kind?,
        way: way?,
        filter: filter?,
        rate: u32::try_from(rate?).ok()?,
        queue: usize::try_from(queue?).ok()?,
        timeout: timeout?,
        give_up: give_up?,
    })
}

fn receiver_name(
    inspection: &mut Inspection,
    fields: &Fields<'_>,
    names: &mut Vec<(String, usize)>,
) -> Option<Arc<str>> {
    let hint = Some("write `name: dba-chat`, the name in messages and metrics");
    let node = inspection.required_as(fields, "a receiver", "name", hint)?;
    let name = inspection.text(node, "name")?;
    if !is_database_name(name) {
        let message = format!("{} is not a valid name for a receiver", quoted(name));
        inspection.error(&node.at, "bad-name", message).expected =
            Some("expected lower-case letters, digits, `_`, `.` and `-`, at most 63".to_owned());
        return None;
    }
    if let Some((_, line)) = names.iter().find(|(known, _)| known == name) {
        let message = format!("the receiver `{name}` is already defined in line {line}");
        inspection.error(&node.at, "duplicate-name", message);
        return None;
    }
    let (line, _) = inspection.source.position(node.at.start);
    names.push((name.to_owned(), line));
    Some(name.into())
}

fn way(inspection: &mut Inspection, fields: &Fields<'_>, kind: ReceiverKind, base: &Path) -> Option<DeliveryWay> {
    if kind == ReceiverKind::Program {
        if let Some(key) = WEB_KEYS.into_iter().find(|key| fields.get(key).is_some()) {
            let message = format!("`{key}` is for a web server, but this receiver is a program");
            inspection.error(&fields.key_at(key), "conflicting-keys", message);
            return None;
        }
        return command(inspection, fields).map(DeliveryWay::Program);
    }
    if fields.get("command").is_some() {
        let message = format!(
            "`command` is for `kind: program`, but this receiver is `kind: {}`",
            kind.name()
        );
        inspection.error(&fields.key_at("command"), "conflicting-keys", message);
        return None;
    }
    let plain_http = match fields.get("plain_http") {
        Some(node) => inspection.truth(node, "plain_http"),
        None => Some(false),
    };
    let example = Some("write `url: https://host/path`, or where it is stored: `url: {credential: dba-chat}`");
    let url = inspection
        .required_as(fields, "a receiver", "url", example)
        .and_then(|node| url(inspection, node, kind, base, plain_http.unwrap_or(true)));
    let login = login(inspection, fields, base);
    let ca_file = match fields.get("ca_file") {
        Some(node) => crate::config::read::path(inspection, node, "ca_file").map(|text| Some(base.join(text))),
        None => Some(None::<PathBuf>),
    };
    Some(DeliveryWay::Web(WebReceiver {
        url: url?,
        login: login?,
        ca_file: ca_file?,
        plain_http: plain_http?,
    }))
}

fn url(
    inspection: &mut Inspection,
    node: &Node,
    kind: ReceiverKind,
    base: &Path,
    plain_http: bool,
) -> Option<ReceiverUrl> {
    const WHERE: &str = "write where it is stored: `{credential: dba-chat}`, `{file: /path}` or `{env: NAME}`";
    let Value::Scalar(_) = &node.value else {
        return stored_secret(inspection, node, base, ("url", "an address that is a secret")).map(ReceiverUrl::Stored);
    };
    if matches!(kind, ReceiverKind::Slack | ReceiverKind::Teams) {
        let message = format!(
            "the address of a webhook of `kind: {}` is a secret: whoever knows it can post",
            kind.name()
        );
        inspection.error(&Inspection::place(node), "plain-secret", message).hint = Some(WHERE.to_owned());
        return None;
    }
    let text = inspection.text(node, "url")?;
    let rest = text.split_once("://").map_or("", |(_, rest)| rest);
    let authority = rest.split('/').next().unwrap_or_default();
    let fault = if rest.contains(['?', '#']) || authority.contains('@') {
        Some(UrlFault::MayHoldASecret)
    } else {
        host_of(text, plain_http).err()
    };
    let Some(fault) = fault else {
        return Some(ReceiverUrl::Written(text.to_owned()));
    };
    let (code, hint) = match fault {
        UrlFault::NotHttp => ("bad-url", "for example `https://hooks.example.com/orareaper`"),
        UrlFault::MayHoldASecret => ("plain-secret", WHERE),
        UrlFault::PlainHttp => ("plain-http", "write `https://`, or permit it: `plain_http: true`"),
    };
    inspection
        .error(&node.at, code, format!("`url` cannot be used: {fault}"))
        .hint = Some(hint.to_owned());
    None
}

fn login(inspection: &mut Inspection, fields: &Fields<'_>, base: &Path) -> Option<WebLogin> {
    match (fields.get("bearer"), fields.get("basic")) {
        (Some(_), Some(_)) => {
            let message = "`bearer` and `basic` are not allowed together: a request has one of them";
            inspection.error(&fields.key_at("basic"), "conflicting-keys", message);
            None
        }
        (Some(node), None) => stored_secret(inspection, node, base, ("bearer", "a token")).map(WebLogin::Bearer),
        (None, Some(node)) => {
            let fields = inspection.fields(node, "`basic`", &["user", "password"])?;
            let example = Some("write `basic: {user: orareaper, password: {file: /path}}`");
            let user = inspection
                .required_as(&fields, "`basic`", "user", example)
                .and_then(|node| inspection.text(node, "user").map(|text| (text, node)));
            let password = inspection
                .required_as(&fields, "`basic`", "password", example)
                .and_then(|node| stored_secret(inspection, node, base, ("password", "a password")));
            let (user, at) = user?;
            if user.is_empty() || user.contains(|c: char| c == ':' || c.is_control()) {
                let message = "`user` is empty, or has a colon or a control character";
                inspection.error(&at.at, "bad-user", message);
                return None;
            }
            Some(WebLogin::Basic(user.to_owned(), password?))
        }
        (None, None) => Some(WebLogin::Nothing),
    }
}

/// Reads the program and its arguments. What the file system says of it is checked by [`super::files`].
fn command(inspection: &mut Inspection, fields: &Fields<'_>) -> Option<Vec<String>> {
    const EXAMPLE: &str = "write the program and its arguments: `command: [/usr/local/bin/tell-dba, --team, dba]`";
    let node = inspection.required_as(fields, "a receiver", "command", Some(EXAMPLE))?;
    let items = entries(inspection, node, "command")?;
    let words: Vec<Option<String>> = items
        .iter()
        .map(|item| {
            let text = inspection.scalar(item, "command")?.text.clone();
            if text.contains('\0') {
                inspection.error(&item.at, "bad-command", "an argument has a NUL character");
                return None;
            }
            Some(text)
        })
        .collect();
    let words = words.into_iter().collect::<Option<Vec<String>>>()?;
    let Some(program) = words.first() else {
        inspection
            .error(&Inspection::place(node), "empty-list", "`command` names no program")
            .hint = Some(EXAMPLE.to_owned());
        return None;
    };
    if !Path::new(program).is_absolute() {
        let message = format!("{} is not the absolute path of a program", quoted(program));
        inspection.error(&items[0].at, "bad-command", message).hint = Some(
            "no shell runs it and no PATH is searched: write `[/usr/local/bin/tell-dba, ARGUMENT]`, one entry for each argument".to_owned(),
        );
        return None;
    }
    Some(words)
}

fn entries<'a>(inspection: &mut Inspection, node: &'a Node, what: &str) -> Option<&'a [Node]> {
    let items = inspection.list(node, what);
    if items.len() > MOST_ENTRIES {
        let message = format!("`{what}` has {} entries; the limit is {MOST_ENTRIES}", items.len());
        inspection.error(&Inspection::place(node), "bad-list", message);
        return None;
    }
    matches!(node.value, Value::Sequence(_)).then_some(items)
}

fn filter(inspection: &mut Inspection, fields: &Fields<'_>) -> Option<NoticeFilter> {
    let selectable: Vec<NoticeKind> = NoticeKind::ALL
        .into_iter()
        .filter(|kind| kind.is_selectable())
        .collect();
    let events = match fields.get("events") {
        Some(node) => {
            let items = entries(inspection, node, "events");
            let chosen = |item| inspection.choice(item, "event", &selectable, NoticeKind::name);
            let chosen: Option<Vec<Option<NoticeKind>>> = items.map(|items| items.iter().map(chosen).collect());
            chosen.and_then(|chosen| chosen.into_iter().collect::<Option<Vec<NoticeKind>>>())
        }
        None => Some(
            selectable
                .iter()
                .copied()
                .filter(|kind| *kind != NoticeKind::Intent)
                .collect(),
        ),
    };
    let severity = match fields.get("severity") {
        Some(node) => inspection.choice(node, "severity", &NoticeSeverity::ALL, NoticeSeverity::name),
        None => Some(NoticeSeverity::Info),
    };
    let databases = match fields.get("databases") {
        Some(node) => patterns(inspection, node, "databases", |text| {
            let (label, glob) = match text.split_once('=') {
                Some((label, glob)) => (Some(label.trim()), glob.trim()),
                None => (None, text),
            };
            let glob = Pattern::new(glob).map_err(|error| error.msg)?;
            Ok(match label {
                Some(label) => Selector::Label(label.into(), glob),
                None => Selector::Name(glob),
            })
        }),
        None => Some(Vec::new()),
    };
    let glob = |text: &str| Pattern::new(text).map_err(|error| error.msg);
    let policies = match fields.get("policies") {
        Some(node) => patterns(inspection, node, "policies", glob),
        None => Some(Vec::new()),
    };
    let owners = match fields.get("owners") {
        Some(node) => patterns(inspection, node, "owners", glob),
        None => Some(Vec::new()),
    };
    Some(NoticeFilter {
        events: events?,
        severity: severity?,
        databases: databases?,
        policies: policies?,
        owners: owners?,
    })
}

fn patterns<T>(
    inspection: &mut Inspection,
    node: &Node,
    what: &str,
    pattern: impl Fn(&str) -> Result<T, &'static str>,
) -> Option<Vec<T>> {
    let items = entries(inspection, node, what)?;
    let read: Vec<Option<T>> = items
        .iter()
        .map(|item| {
            let text = inspection.text(item, what)?;
            if text.is_empty() {
                inspection.error(&item.at, "missing-value", format!("an entry of `{what}` is empty"));
                return None;
            }
            let read = pattern(text);
            if let Err(error) = &read {
                let message = format!("{} is not a valid pattern: {error}", quoted(text));
                inspection.error(&item.at, "bad-glob", message);
            }
            read.ok()
        })
        .collect();
    read.into_iter().collect()
}
