//! One database of the configuration: its name, how it is reached, and as whom.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chrono_tz::Tz;

use super::{Database, Driver, Login, SecretSource};
use crate::policy::diagnostics::{Diagnostic, did_you_mean, quoted};
use crate::policy::fields::{Fields, Inspection};
use crate::policy::model::Limits;
use crate::policy::raw::{Node, Value};

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

const LONGEST_NAME: usize = 63;
const LONGEST_CONNECT: usize = 4_000;
const HOUR: i64 = 3_600;

/// The names so far, and the lines that they stand in.
pub(super) type Names = Vec<(Arc<str>, usize)>;

/// Reads one entry of `databases`.
pub(super) fn database(inspection: &mut Inspection, item: &Node, base: &Path, names: &mut Names) -> Option<Database> {
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
        limits: Limits::default(),
        blackouts: Vec::new(),
        timezone: Tz::UTC,
    })
}

fn database_name(inspection: &mut Inspection, fields: &Fields<'_>, names: &mut Names) -> Option<Arc<str>> {
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
        return super::read::path(inspection, node, "file").map(|text| SecretSource::File(base.join(text)));
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
