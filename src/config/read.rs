//! From the configuration's bytes to a [`Config`], or to everything that is wrong with it.

use std::net::SocketAddr;
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
    let policies = inspection
        .required(&fields, "the configuration", "policies")
        .and_then(|node| paths(inspection, node, base));
    let listen = match fields.get("listen") {
        Some(node) => listen(inspection, node),
        None => Some(SocketAddr::from(([127, 0, 0, 1], 9763))),
    };
    let state = match fields.get("state") {
        Some(node) => inspection.text(node, "state").map(|text| base.join(text)),
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
        let hint = did_you_mean(text, TZ_VARIANTS.iter().map(|zone| zone.name()))
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
        problem.hint = Some("for example `127.0.0.1:9763`, `0.0.0.0:9763` or `[::1]:9763`".to_owned());
    }
    address
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
    let mut paths = Vec::with_capacity(items.len());
    for item in items {
        let text = inspection.text(item, "policies")?;
        if let Err(error) = glob::Pattern::new(text) {
            inspection.error(
                &item.at,
                "bad-glob",
                format!("{} is no pattern: {}", quoted(text), error.msg),
            );
        }
        paths.push(base.join(text));
    }
    Some(paths)
}

fn databases(inspection: &mut Inspection, fields: &Fields<'_>, base: &Path) -> Option<Vec<Database>> {
    let node = inspection.required(fields, "the configuration", "databases")?;
    let items = inspection.list(node, "databases");
    if items.is_empty() || items.len() > MOST_DATABASES {
        if matches!(node.value, Value::Sequence(_)) {
            let at = Inspection::place(node);
            let message = format!(
                "between 1 and {MOST_DATABASES} databases are served, these are {}",
                items.len()
            );
            inspection.error(&at, "bad-list", message);
        }
        return None;
    }
    let mut names: Vec<Arc<str>> = Vec::new();
    let databases: Vec<Option<Database>> = items
        .iter()
        .map(|item| database(inspection, item, base, &mut names))
        .collect();
    databases.into_iter().collect()
}

fn database(inspection: &mut Inspection, item: &Node, base: &Path, names: &mut Vec<Arc<str>>) -> Option<Database> {
    let fields = inspection.fields(item, "a database", &DATABASE_KEYS)?;
    let name = database_name(inspection, &fields, names);
    let driver_choices = [("oci", Driver::Oci), ("thin", Driver::Thin)];
    let driver = match fields.get("driver") {
        Some(node) => inspection.choice(node, "driver", &driver_choices),
        None => Some(Driver::Oci),
    };
    let connect = inspection
        .required(&fields, "a database", "connect")
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

fn database_name(inspection: &mut Inspection, fields: &Fields<'_>, names: &mut Vec<Arc<str>>) -> Option<Arc<str>> {
    let node = inspection.required(fields, "a database", "name")?;
    let name = inspection.text(node, "name")?;
    let good = !name.is_empty()
        && name.len() <= LONGEST_NAME
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'.' | b'-'));
    if !good {
        let problem = inspection.error(&node.at, "bad-name", format!("{} is no database name", quoted(name)));
        problem.expected = Some(format!(
            "small letters, digits, `_`, `.` and `-`, at most {LONGEST_NAME}"
        ));
        return None;
    }
    if names.iter().any(|known| &**known == name) {
        inspection.error(
            &node.at,
            "duplicate-name",
            format!("the database `{name}` is already given above"),
        );
        return None;
    }
    let name: Arc<str> = name.into();
    names.push(name.clone());
    Some(name)
}

fn connect(inspection: &mut Inspection, node: &Node) -> Option<String> {
    let text = inspection.text(node, "connect")?;
    if text.is_empty() || text.len() > LONGEST_CONNECT || text.contains(char::is_control) {
        let message = "`connect` is an Easy Connect string, a descriptor or a TNS alias";
        inspection.error(&node.at, "bad-connect", message).hint =
            Some("for example `//db1.example.com:1521/PROD`".to_owned());
        return None;
    }
    let upper = text.to_ascii_uppercase();
    if text.contains('@') || upper.contains("PASSWORD=") {
        refuse_secret(inspection, node, "`connect` holds credentials").hint = Some(
            "leave out everything up to and including the `@`; `user` and `password` have keys of their own".to_owned(),
        );
        return None;
    }
    Some(text.to_owned())
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
                inspection.error(&fields.key_at(key), "conflicting-keys", message);
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
    let user = inspection.required(fields, "a database", "user").and_then(|node| {
        let text = inspection.text(node, "user")?;
        if text.contains('/') {
            refuse_secret(inspection, node, "`user` holds more than the user's name");
            return None;
        }
        if text.is_empty() {
            inspection.error(&node.at, "missing-value", "`user` is empty");
            return None;
        }
        Some(text.to_owned())
    });
    let password = inspection
        .required(fields, "a database", "password")
        .and_then(|node| secret_source(inspection, node, base));
    Some(Login::Password {
        user: user?,
        password: password?,
    })
}

fn secret_source(inspection: &mut Inspection, node: &Node, base: &Path) -> Option<SecretSource> {
    let keys = ["credential", "file", "env"];
    let Value::Mapping(entries) = &node.value else {
        refuse_secret(inspection, node, "a password does not belong in this file").hint =
            Some("say where it is kept: `{credential: prod}`, `{file: /path}` or `{env: NAME}`".to_owned());
        return None;
    };
    // An unknown key is not repeated: it may be the password itself.
    let known = |key: &Node| matches!(&key.value, Value::Scalar(name) if keys.contains(&name.text.as_str()));
    if let Some((key, _)) = entries.iter().find(|(key, _)| !known(key)) {
        let at = Inspection::place(key);
        inspection.error(&at, "unknown-key", "`password` has no such key").hint =
            Some("keys are `credential`, `file` or `env`".to_owned());
        return None;
    }
    let fields = inspection.fields(node, "`password`", &keys)?;
    let given: Vec<&str> = keys.into_iter().filter(|key| fields.get(key).is_some()).collect();
    let [key] = given.as_slice() else {
        inspection.error(
            &fields.at,
            "missing-key",
            "`password` has one of `credential`, `file` and `env`",
        );
        return None;
    };
    let value_node = fields.get(key)?;
    let value = inspection.text(value_node, key)?;
    let bad = match *key {
        "credential" => value.is_empty() || value.contains('/') || value.starts_with('.'),
        "env" => value.is_empty() || value.contains(['=', '\0', ' ']),
        _ => value.is_empty(),
    };
    if bad {
        inspection.error(&value_node.at, "bad-name", format!("this names no {key}"));
        return None;
    }
    Some(match *key {
        "credential" => SecretSource::Credential(value.to_owned()),
        "env" => SecretSource::Env(value.to_owned()),
        _ => SecretSource::File(base.join(value)),
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
    let schedule = inspection.required(&fields, "a blackout", "cron").and_then(|node| {
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
        .required(&fields, "a blackout", "for")
        .and_then(|node| inspection.duration(node, "for", 1, LONGEST_BLACKOUT));
    let reason = inspection
        .required(&fields, "a blackout", "reason")
        .and_then(|node| inspection.text(node, "reason"));
    Some(Blackout {
        schedule: schedule?,
        lasts: Duration::from_secs(lasts?.unsigned_abs()),
        reason: reason?.to_owned(),
    })
}
