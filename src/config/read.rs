//! From the configuration's bytes to a [`Config`], or to everything that is wrong with it.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;

use chrono_tz::{TZ_VARIANTS, Tz};

use super::mask::mask;
use super::{Blackout, Config, DEFAULT_LIMITS, Database, Driver, Login, SecretSource};
use crate::policy::diagnostics::{Diagnostic, Severity, arrange, did_you_mean, quoted};
use crate::policy::fields::{Fields, Inspection};
use crate::policy::lex::Mistake;
use crate::policy::model::Limits;
use crate::policy::raw::{self, Node, Value};
use crate::policy::schedule::Schedule;

const KEYS: [&str; 7] = [
    "databases",
    "policies",
    "listen",
    "state",
    "timezone",
    "limits",
    "blackouts",
];

const DATABASE_KEYS: [&str; 10] = [
    "name",
    "driver",
    "connect",
    "user",
    "password",
    "external",
    "armed",
    "poll",
    "connect_timeout",
    "call_timeout",
];

/// Each database has threads and connections of its own.
const MOST_DATABASES: usize = 200;
const LONGEST_NAME: usize = 63;
const LONGEST_CONNECT: usize = 4_000;
const LONGEST_BLACKOUT: i64 = 7 * 86_400;
const HOUR: i64 = 3_600;

/// What came of reading a configuration.
#[derive(Debug)]
pub struct Loaded {
    /// The configuration, if not one error was found.
    pub config: Option<Config>,
    /// Everything that was found, in the order of the file.
    pub diagnostics: Vec<Diagnostic>,
}

/// Checks a configuration; relative paths in it are relative to `base`.
#[must_use]
pub fn check(name: &str, bytes: &[u8], base: &Path) -> Loaded {
    let (source, text, root) = match raw::read(name, bytes, mask) {
        Ok(read) => read,
        Err(problem) => {
            return Loaded {
                config: None,
                diagnostics: vec![*problem],
            };
        }
    };
    let mut inspection = Inspection::new(source, text);
    let config = config(&mut inspection, &root, base);
    let file = inspection.source.name.clone();
    let diagnostics = arrange(inspection.found, &[file]);
    let refused = diagnostics.iter().any(Diagnostic::is_error);
    Loaded {
        config: config.filter(|_| !refused),
        diagnostics,
    }
}

fn config(inspection: &mut Inspection, root: &Node, base: &Path) -> Option<Config> {
    let fields = inspection.fields(root, "the configuration", &KEYS)?;
    let zone = match fields.get("timezone") {
        Some(node) => timezone(inspection, node),
        None => Some(Tz::UTC),
    };
    let databases = databases(inspection, &fields, base);
    let example = Some("write `policies: [policies/*.yaml]`");
    let policies = inspection
        .required_as(&fields, "the configuration", "policies", example)
        .and_then(|node| paths(inspection, node, base));
    let listen = match fields.get("listen") {
        Some(node) => listen(inspection, node),
        None => Some(SocketAddr::from(([127, 0, 0, 1], 9763))),
    };
    let state = match fields.get("state") {
        Some(node) => path(inspection, node, "state").map(|text| base.join(text)),
        None => Some(PathBuf::from("/var/lib/orareaper")),
    };
    let limits = match fields.get("limits") {
        Some(node) => crate::policy::limits(inspection, node),
        None => Some(Limits::default()),
    };
    let blackouts = blackouts(inspection, &fields, zone.unwrap_or(Tz::UTC));
    let given = limits?;
    Some(Config {
        databases: databases?,
        policies: policies?,
        listen: listen?,
        state: state?,
        timezone: zone?,
        limits: Limits {
            per_cycle: given.per_cycle.or(DEFAULT_LIMITS.per_cycle),
            per_hour: given.per_hour.or(DEFAULT_LIMITS.per_hour),
            per_day: given.per_day.or(DEFAULT_LIMITS.per_day),
            share: given.share.or(DEFAULT_LIMITS.share),
            undo_records: given.undo_records.or(DEFAULT_LIMITS.undo_records),
            respawns: given.respawns.or(DEFAULT_LIMITS.respawns),
        },
        blackouts: blackouts?,
    })
}

fn timezone(inspection: &mut Inspection, node: &Node) -> Option<Tz> {
    let text = inspection.text(node, "timezone")?;
    let zone = Tz::from_str(text).ok();
    if zone.is_none() {
        let hint = city(text)
            .map(|zone| format!("did you mean `{zone}`?"))
            .or_else(|| did_you_mean(text, TZ_VARIANTS.iter().map(|zone| zone.name())))
            .unwrap_or_else(|| "zones are named as in `Europe/Berlin`; `UTC` is one".to_owned());
        inspection
            .error(
                &node.at,
                "unknown-timezone",
                format!("unknown time zone {}", quoted(text)),
            )
            .hint = Some(hint);
    }
    zone
}

/// The zone of a city that was named alone.
fn city(text: &str) -> Option<&'static str> {
    let word = text.replace(' ', "_");
    let mut names = TZ_VARIANTS.iter().map(|zone| zone.name());
    names.find(|name| {
        name.rsplit_once('/')
            .is_some_and(|(_, city)| city.eq_ignore_ascii_case(&word))
    })
}

/// A path as it stands: neither empty nor waiting for a shell.
fn path<'a>(inspection: &mut Inspection, node: &'a Node, what: &str) -> Option<&'a str> {
    let text = inspection.text(node, what)?;
    if text.is_empty() {
        inspection.error(&node.at, "missing-value", format!("`{what}` is empty"));
        return None;
    }
    if text.starts_with('~') || text.contains('$') {
        let message = format!("`~` and `$` have no meaning in a path here: {}", quoted(text));
        inspection.error(&node.at, "bad-path", message).hint =
            Some("write the whole path; a relative one begins at the configuration's folder".to_owned());
        return None;
    }
    Some(text)
}

fn listen(inspection: &mut Inspection, node: &Node) -> Option<SocketAddr> {
    let text = inspection.text(node, "listen")?;
    let address = text.parse().ok();
    if address.is_none() {
        let problem = inspection.error(
            &node.at,
            "bad-address",
            format!("{} is no address to listen on", quoted(text)),
        );
        problem.expected = Some("expected an IP address and a port".to_owned());
        problem.hint = Some(address_meant(text));
    }
    address
}

/// What to write instead of what is no address.
fn address_meant(text: &str) -> String {
    let (host, port) = text.rsplit_once(':').unwrap_or(("", text));
    if let Ok(port) = port.parse::<u16>() {
        match host {
            "" if !text.starts_with(':') => {
                return format!("write `127.0.0.1:{port}`, or `0.0.0.0:{port}` for everybody");
            }
            "localhost" => return format!("names are not looked up: write `127.0.0.1:{port}`"),
            "" | "*" => return format!("for all addresses of this host write `0.0.0.0:{port}`"),
            _ => {}
        }
    } else if !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) {
        return "a port lies between 1 and 65535".to_owned();
    } else if text.parse::<IpAddr>().is_ok() {
        return "add a port, such as 9763".to_owned();
    }
    "for example `127.0.0.1:9763`, `0.0.0.0:9763` or `[::1]:9763`; names are not looked up".to_owned()
}

fn paths(inspection: &mut Inspection, node: &Node, base: &Path) -> Option<Vec<PathBuf>> {
    let items = inspection.list(node, "policies");
    if items.is_empty() {
        if matches!(node.value, Value::Sequence(_)) {
            let at = Inspection::place(node);
            inspection.error(&at, "empty-list", "there are no policies to follow");
        }
        return None;
    }
    if items.iter().any(|item| matches!(item.value, Value::Mapping(_))) {
        let at = Inspection::place(&items[0]);
        let message = "here `policies` lists the files that hold policies, this is a policy itself";
        inspection.error(&at, "wrong-type", message).hint =
            Some("move it to a file of its own and name that: `policies: [policies/*.yaml]`".to_owned());
        return None;
    }
    let paths: Vec<Option<PathBuf>> = items.iter().map(|item| policy_path(inspection, item, base)).collect();
    paths.into_iter().collect()
}

fn policy_path(inspection: &mut Inspection, item: &Node, base: &Path) -> Option<PathBuf> {
    let text = path(inspection, item, "policies")?;
    if let Err(error) = glob::Pattern::new(text) {
        let message = format!("{} is no pattern: {}", quoted(text), error.msg);
        inspection.error(&item.at, "bad-glob", message).hint =
            Some("`*`, `?` and `[...]` are wildcards; a `[` that is none is written `[[]`".to_owned());
    }
    Some(base.join(text))
}

fn databases(inspection: &mut Inspection, fields: &Fields<'_>, base: &Path) -> Option<Vec<Database>> {
    let node = inspection.required_as(
        fields,
        "the configuration",
        "databases",
        Some("write `databases:`, and below it an entry for each: `- name: prod`"),
    )?;
    if let Value::Mapping(entries) = &node.value {
        let at = entries.first().map_or(node.at.clone(), |(name, _)| name.at.clone());
        let message = "`databases` is a list, this is a mapping";
        inspection.error(&at, "wrong-type", message).hint =
            Some("begin each database with `- name: ` and its name, and put its other keys below the name".to_owned());
        return None;
    }
    let items = inspection.list(node, "databases");
    if items.is_empty() || items.len() > MOST_DATABASES {
        if matches!(node.value, Value::Sequence(_)) {
            let at = Inspection::place(node);
            let message = match items.len() {
                0 => "there are no databases to watch".to_owned(),
                count => format!("{count} databases, more than the {MOST_DATABASES} that are served"),
            };
            inspection.error(&at, "bad-list", message);
        }
        return None;
    }
    let mut names: Vec<(Arc<str>, usize)> = Vec::new();
    let databases: Vec<Option<Database>> = items
        .iter()
        .map(|item| database(inspection, item, base, &mut names))
        .collect();
    databases.into_iter().collect()
}

fn database(
    inspection: &mut Inspection,
    item: &Node,
    base: &Path,
    names: &mut Vec<(Arc<str>, usize)>,
) -> Option<Database> {
    let fields = inspection.fields(item, "a database", &DATABASE_KEYS)?;
    let name = database_name(inspection, &fields, names);
    let driver_choices = [("oci", Driver::Oci), ("thin", Driver::Thin)];
    let driver = match fields.get("driver") {
        Some(node) => inspection.choice(node, "driver", &driver_choices),
        None => Some(Driver::Oci),
    };
    let example = Some("write `connect: //db1.example.com:1521/PROD`, a TNS alias or a descriptor");
    let connect = inspection
        .required_as(&fields, "a database", "connect", example)
        .and_then(|node| connect(inspection, node));
    let login = login(inspection, &fields, driver, base);
    let armed = match fields.get("armed") {
        Some(node) => inspection.truth(node, "armed"),
        None => Some(false),
    };
    let mut seconds = |key: &'static str, low, high, default| match fields.get(key) {
        Some(node) => inspection.duration(node, key, low, high),
        None => Some(default),
    };
    let poll = seconds("poll", 1, HOUR, 15);
    let connect_timeout = seconds("connect_timeout", 1, 300, 10);
    let call_timeout = seconds("call_timeout", 1, 300, 15);
    let duration = |seconds: i64| Duration::from_secs(seconds.unsigned_abs());
    Some(Database {
        name: name?,
        driver: driver?,
        connect: connect?,
        login: login?,
        armed: armed?,
        poll: duration(poll?),
        connect_timeout: duration(connect_timeout?),
        call_timeout: duration(call_timeout?),
    })
}

fn database_name(
    inspection: &mut Inspection,
    fields: &Fields<'_>,
    names: &mut Vec<(Arc<str>, usize)>,
) -> Option<Arc<str>> {
    let hint = Some("write `name: prod`: what policies, reports and metrics call it");
    let node = inspection.required_as(fields, "a database", "name", hint)?;
    let name = inspection.text(node, "name")?;
    if !is_database_name(name) {
        let problem = inspection.error(&node.at, "bad-name", format!("{} is no database name", quoted(name)));
        problem.expected = Some(format!(
            "small letters, digits, `_`, `.` and `-`, at most {LONGEST_NAME}"
        ));
        let better = name.to_ascii_lowercase().replace(' ', "-");
        problem.hint = is_database_name(&better).then(|| format!("write `{better}`"));
        return None;
    }
    if let Some((_, line)) = names.iter().find(|(known, _)| &**known == name) {
        let message = format!("the database `{name}` is already given in line {line}");
        inspection.error(&node.at, "duplicate-name", message);
        return None;
    }
    let name: Arc<str> = name.into();
    let (line, _) = inspection.source.position(node.at.start);
    names.push((name.clone(), line));
    Some(name)
}

fn is_database_name(name: &str) -> bool {
    let good = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'.' | b'-');
    !name.is_empty() && name.len() <= LONGEST_NAME && name.bytes().all(good)
}

fn connect(inspection: &mut Inspection, node: &Node) -> Option<String> {
    let text = inspection.text(node, "connect")?;
    if text.is_empty() || text.len() > LONGEST_CONNECT || text.contains(char::is_control) {
        let message = "`connect` is an Easy Connect string, a descriptor or a TNS alias";
        inspection.error(&node.at, "bad-connect", message).hint =
            Some("for example `//db1.example.com:1521/PROD`".to_owned());
        return None;
    }
    if text.starts_with("jdbc:") {
        inspection
            .error(&node.at, "bad-connect", "`connect` is no JDBC URL")
            .hint = Some("write what follows the `@`, as in `//db1.example.com:1521/PROD`".to_owned());
        return None;
    }
    let mut packed = text.to_ascii_uppercase();
    packed.retain(|c| !c.is_whitespace());
    let hint = if text.contains('@') {
        "leave out everything up to and including the `@`; `user` and `password` have keys of their own"
    } else if packed.contains("PASSWORD=") {
        "leave the password out; a wallet that opens by itself (cwallet.sso) needs none"
    } else {
        return Some(text.to_owned());
    };
    refuse_secret(inspection, node, "`connect` holds credentials").hint = Some(hint.to_owned());
    None
}

fn refuse_secret<'a>(inspection: &'a mut Inspection, node: &Node, message: &str) -> &'a mut Diagnostic {
    let at = Inspection::place(node);
    inspection.error(&at, "plain-secret", message)
}

fn login(inspection: &mut Inspection, fields: &Fields<'_>, driver: Option<Driver>, base: &Path) -> Option<Login> {
    let external = match fields.get("external") {
        Some(node) => inspection.truth(node, "external")?,
        None => false,
    };
    if external {
        for key in ["user", "password"] {
            if fields.get(key).is_some() {
                let message = format!("`{key}` and `external: true` exclude each other");
                inspection.error(&fields.key_at(key), "conflicting-keys", message).hint = Some(
                    "externally, the wallet, Kerberos or the operating system say who it is; leave out one of the two"
                        .to_owned(),
                );
            }
        }
        if driver == Some(Driver::Thin) {
            inspection
                .error(
                    &fields.key_at("external"),
                    "conflicting-keys",
                    "the thin driver has no external authentication",
                )
                .hint = Some("use `driver: oci`, or `user` and `password`".to_owned());
        }
        return Some(Login::External);
    }
    let hint = Some("write `user: ` and the account's name, or `external: true`");
    let user = inspection
        .required_as(fields, "a database", "user", hint)
        .and_then(|node| user(inspection, node));
    let hint = Some("say where it is kept: `password: {credential: prod}`, `{file: /path}` or `{env: NAME}`");
    let password = inspection
        .required_as(fields, "a database", "password", hint)
        .and_then(|node| secret_source(inspection, node, base));
    Some(Login::Password {
        user: user?,
        password: password?,
    })
}

fn user(inspection: &mut Inspection, node: &Node) -> Option<String> {
    let text = inspection.text(node, "user")?;
    if text.contains('/') {
        refuse_secret(inspection, node, "`user` holds more than the user's name").hint =
            Some("write the name alone; `password` says where the password is kept".to_owned());
        return None;
    }
    if text.is_empty() {
        inspection.error(&node.at, "missing-value", "`user` is empty");
        return None;
    }
    let words: Vec<String> = text.split_whitespace().map(str::to_ascii_lowercase).collect();
    if let [_, r#as, role] = words.as_slice()
        && r#as == "as"
        && role.starts_with("sys")
    {
        inspection
            .error(&node.at, "bad-user", "`user` is the name of an account, without a role")
            .hint = Some("SYSDBA is never used: an ordinary account with grants of its own is enough".to_owned());
        return None;
    }
    Some(text.to_owned())
}

/// The keys of `password`. What else stands there may be a secret, and is not repeated.
const SECRET_KEYS: [&str; 3] = ["credential", "file", "env"];

fn secret_source(inspection: &mut Inspection, node: &Node, base: &Path) -> Option<SecretSource> {
    const WHERE: &str = "say where it is kept: `{credential: prod}`, `{file: /path}` or `{env: NAME}`";
    let Value::Mapping(entries) = &node.value else {
        refuse_secret(inspection, node, "a password does not belong in this file").hint = Some(WHERE.to_owned());
        return None;
    };
    let known = |key: &Node| matches!(&key.value, Value::Scalar(scalar) if SECRET_KEYS.contains(&scalar.text.as_str()));
    if let Some((key, _)) = entries.iter().find(|(key, _)| !known(key)) {
        let meant = match &key.value {
            Value::Scalar(scalar) => did_you_mean(&scalar.text, SECRET_KEYS),
            Value::Null | Value::Sequence(_) | Value::Mapping(_) => None,
        };
        let at = Inspection::place(key);
        inspection.error(&at, "unknown-key", "`password` has no such key").hint =
            Some(meant.unwrap_or_else(|| format!("a password does not belong in this file; {WHERE}")));
        return None;
    }
    let fields = inspection.fields(node, "`password`", &SECRET_KEYS)?;
    let given: Vec<&str> = SECRET_KEYS
        .into_iter()
        .filter(|key| fields.get(key).is_some())
        .collect();
    match given.as_slice() {
        [] if entries.is_empty() => {
            let message = "`password` does not say where it is kept";
            inspection.error(&fields.at, "missing-key", message).hint = Some(WHERE.to_owned());
            None
        }
        // A key without a value, reported already.
        [] => None,
        [key] => fields.get(key).and_then(|node| place(inspection, node, key, base)),
        [first, second, ..] => {
            let message = format!("`{first}` and `{second}` exclude each other: a password is kept in one place");
            inspection.error(&fields.key_at(second), "conflicting-keys", message);
            None
        }
    }
}

/// Where a password is kept.
fn place(inspection: &mut Inspection, node: &Node, key: &str, base: &Path) -> Option<SecretSource> {
    if key == "file" {
        return path(inspection, node, "file").map(|text| SecretSource::File(base.join(text)));
    }
    let value = inspection.text(node, key)?;
    let printable = |b: u8| b.is_ascii_graphic() || b == b' ';
    let (good, hint) = if key == "credential" {
        // What systemd takes, and no way out of its folder.
        let good = value.bytes().all(|b| printable(b) && !matches!(b, b'/' | b':')) && !value.starts_with('.');
        let hint = if value.contains('/') {
            "for a path write `{file: /path}`; a credential has the name that `LoadCredential=` gives it"
        } else {
            "a credential has the name that systemd's `LoadCredential=` gives it"
        };
        (good, hint)
    } else {
        let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        let good = value.bytes().all(word) && !value.starts_with(|c: char| c.is_ascii_digit());
        (
            good,
            "a variable's name has letters, digits and `_`, and no `$` before it",
        )
    };
    if value.is_empty() || !good {
        let what = if key == "credential" {
            "a credential"
        } else {
            "an environment variable"
        };
        inspection
            .error(&node.at, "bad-name", format!("this is no name of {what}"))
            .hint = Some(hint.to_owned());
        return None;
    }
    Some(if key == "credential" {
        SecretSource::Credential(value.to_owned())
    } else {
        SecretSource::Env(value.to_owned())
    })
}

fn blackouts(inspection: &mut Inspection, fields: &Fields<'_>, zone: Tz) -> Option<Vec<Blackout>> {
    let Some(node) = fields.get("blackouts") else {
        return Some(Vec::new());
    };
    let items = inspection.list(node, "blackouts");
    let blackouts: Vec<Option<Blackout>> = items.iter().map(|item| blackout(inspection, item, zone)).collect();
    if !matches!(node.value, Value::Sequence(_)) {
        return None;
    }
    blackouts.into_iter().collect()
}

fn blackout(inspection: &mut Inspection, item: &Node, zone: Tz) -> Option<Blackout> {
    let fields = inspection.fields(item, "a blackout", &["cron", "for", "reason"])?;
    let schedule = inspection
        .required_as(
            &fields,
            "a blackout",
            "cron",
            Some("write when it begins: `cron: \"0 20 * * FRI\"`"),
        )
        .and_then(|node| {
            let scalar = inspection.scalar(node, "cron")?;
            Schedule::parse(&scalar.text, zone)
                .map_err(|error| {
                    let offsets = inspection.offsets(node, scalar);
                    let mistake = Mistake::new(error.at, "bad-schedule", error.message).maybe_hint(error.hint);
                    inspection.mistake(Severity::Error, &offsets, mistake);
                })
                .ok()
        });
    let lasts = inspection
        .required_as(&fields, "a blackout", "for", Some("write how long it lasts: `for: 6h`"))
        .and_then(|node| inspection.duration(node, "for", 1, LONGEST_BLACKOUT));
    let reason = inspection
        .required_as(
            &fields,
            "a blackout",
            "reason",
            Some("write why: `reason: weekly full backup`; reports show it"),
        )
        .and_then(|node| inspection.text(node, "reason"));
    Some(Blackout {
        schedule: schedule?,
        lasts: Duration::from_secs(lasts?.unsigned_abs()),
        reason: reason?.to_owned(),
    })
}
