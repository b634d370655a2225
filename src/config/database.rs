//! Reads an entry of `databases`: the name, the address and the login.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chrono_tz::Tz;

use super::{Blackout, DatabaseConfig, Driver, Labels, LoginConfig, SecretSource, Via, connect};
use crate::policy::model::Limits;
use crate::yaml::diagnostics::{Diagnostic, Severity, did_you_mean, quoted};
use crate::yaml::fields::{Fields, Inspection};
use crate::yaml::node::{Node, Value};

/// The keys that are allowed in `defaults` and in an entry of `databases`.
pub(super) const SHARED_KEYS: [&str; 14] = [
    "driver",
    "user",
    "password",
    "external",
    "poll",
    "connect_timeout",
    "call_timeout",
    "limits",
    "blackouts",
    "timezone",
    "tns_admin",
    "labels",
    "via",
    "leader",
];

/// The keys that are allowed only in an entry. A database can only be armed in its own entry.
pub(super) const OWN_KEYS: [&str; 3] = ["name", "connect", "armed"];

pub(super) const DATABASE_KEYS: [&str; 17] = {
    let mut keys = [""; 17];
    let mut at = 0;
    while at < keys.len() {
        keys[at] = if at < 3 { OWN_KEYS[at] } else { SHARED_KEYS[at - 3] };
        at += 1;
    }
    keys
};

const LONGEST_NAME: usize = 63;
const LONGEST_CONNECT: usize = 4_000;
const HOUR: i64 = 3_600;
const MOST_LABELS: usize = 20;

/// The names so far, each with its file and line.
pub(super) type Names = Vec<(Arc<str>, (Arc<str>, usize))>;

/// The values that are set in `defaults` or in an entry.
#[derive(Clone, Debug, Default)]
pub(super) struct Given {
    driver: Option<Driver>,
    user: Option<String>,
    password: Option<SecretSource>,
    external: Option<bool>,
    poll: Option<Pace>,
    connect_timeout: Option<Duration>,
    call_timeout: Option<Duration>,
    limits: Limits,
    blackouts: Vec<Blackout>,
    timezone: Option<Tz>,
    tns_admin: Option<PathBuf>,
    labels: Labels,
    via: Option<Via>,
    leader: Option<u32>,
}

/// How often sessions are read.
#[derive(Clone, Copy, Debug)]
struct Pace {
    every: Duration,
    /// While a policy's gate is open.
    pressed: Option<Duration>,
}

/// The values for databases that do not set their own.
#[derive(Clone, Debug)]
pub(super) struct Common {
    /// The values of `defaults` that have no mistake.
    pub(super) defaults: Given,
    /// Whether `defaults` has a mistake, so that some of its values are not known.
    pub(super) broken: bool,
    /// The `limits` of the configuration.
    pub(super) limits: Limits,
    /// The `blackouts` of the configuration.
    pub(super) blackouts: Vec<Blackout>,
    /// The `timezone` of the configuration.
    pub(super) timezone: Tz,
}

/// Reads `defaults`, which cannot arm databases: only the entry of a database can.
pub(super) fn defaults(inspection: &mut Inspection, node: &Node, base: &Path) -> Option<Given> {
    let mut keys = SHARED_KEYS.to_vec();
    keys.push("armed");
    let fields = inspection.fields(node, "`defaults`", &keys)?;
    if fields.get("armed").is_some() {
        let at = fields.key_at("armed");
        inspection
            .error(&at, "armed-by-default", "`defaults` cannot arm databases")
            .hint = Some("write `armed: true` in the entry of each database that may be acted on".to_owned());
    }
    let given = given(inspection, &fields, base)?;
    if let (Some(true), Some(Driver::Thin)) = (given.external, given.driver) {
        no_external(inspection, &fields);
        return None;
    }
    Some(given)
}

/// Reads an entry of `databases`.
pub(super) fn database(
    inspection: &mut Inspection,
    item: &Node,
    base: &Path,
    names: &mut Names,
    common: &Common,
) -> Option<DatabaseConfig> {
    let fields = inspection.fields(item, "a database", &DATABASE_KEYS)?;
    let name = database_name(inspection, &fields, names);
    let example = Some("write `connect: //db1.example.com:1521/PROD`, a TNS alias or a descriptor");
    let connect = inspection
        .required_as(&fields, "a database", "connect", example)
        .and_then(|node| connect_string(inspection, node));
    let armed = match fields.get("armed") {
        Some(node) => inspection.truth(node, "armed"),
        None => Some(false),
    };
    let given = given(inspection, &fields, base);
    // The intended value of a part with a mistake is not known, so nothing is reported that depends on it.
    let own = given.clone().unwrap_or_default();
    let Common { defaults, .. } = common;
    let driver = own.driver.or(defaults.driver).unwrap_or(Driver::Oci);
    if let Some(text) = &connect {
        refuse_without_service(inspection, &fields, driver, text);
    }
    let login = match &given {
        Some(own) => login(inspection, &fields, own, common, driver),
        None => None,
    };
    let timezone = own.timezone.or(defaults.timezone).unwrap_or(common.timezone);
    let in_zone = |blackout: &Blackout| blackout.in_zone(timezone);
    let of_its_own = own.blackouts.iter().chain(&defaults.blackouts).map(in_zone);
    let limits = super::read::completed(super::read::completed(own.limits, defaults.limits), common.limits);
    let mut labels = defaults.labels.clone();
    labels.extend(own.labels);
    let seconds = |given: Option<Duration>, default: Option<Duration>, otherwise| {
        given.or(default).unwrap_or(Duration::from_secs(otherwise))
    };
    given?;
    let usual = Pace {
        every: Duration::from_secs(15),
        pressed: None,
    };
    let pace = own.poll.or(defaults.poll).unwrap_or(usual);
    Some(DatabaseConfig {
        name: name?,
        driver,
        connect: connect?,
        login: login?,
        armed: armed?,
        poll: pace.every,
        pressed: pace.pressed,
        connect_timeout: seconds(own.connect_timeout, defaults.connect_timeout, 10),
        call_timeout: seconds(own.call_timeout, defaults.call_timeout, 15),
        limits,
        blackouts: common.blackouts.iter().cloned().chain(of_its_own).collect(),
        timezone,
        tns_admin: own.tns_admin.or_else(|| defaults.tns_admin.clone()),
        labels,
        via: own.via.or(defaults.via),
        leader: own.leader.or(defaults.leader),
    })
}

/// Reads the keys that are allowed in `defaults` and in an entry; `None` if one of them has a mistake.
fn given(inspection: &mut Inspection, fields: &Fields<'_>, base: &Path) -> Option<Given> {
    let driver = with(fields, "driver", |node| {
        inspection.choice(node, "driver", &Driver::ALL, Driver::name)
    });
    let external = with(fields, "external", |node| inspection.truth(node, "external"));
    // With external authentication, neither key is allowed. The error is reported at the keys, so their values are not read.
    let (user, password) = if external == Some(Some(true)) {
        (Some(None), Some(None))
    } else {
        (
            with(fields, "user", |node| user(inspection, node)),
            with(fields, "password", |node| secret_source(inspection, node, base)),
        )
    };
    let poll = with(fields, "poll", |node| pace(inspection, node));
    let connect_timeout = with(fields, "connect_timeout", |node| {
        seconds(inspection, node, "connect_timeout", 300)
    });
    let call_timeout = with(fields, "call_timeout", |node| {
        seconds(inspection, node, "call_timeout", 300)
    });
    let limits = with(fields, "limits", |node| {
        crate::policy::limits_of_database(inspection, node)
    });
    let timezone = with(fields, "timezone", |node| inspection.timezone(node));
    let blackouts = super::read::blackouts(inspection, fields, Tz::UTC);
    let tns_admin = with(fields, "tns_admin", |node| {
        super::read::path(inspection, node, "tns_admin").map(|text| base.join(text))
    });
    let labels = with(fields, "labels", |node| labels(inspection, node));
    let via = with(fields, "via", |node| {
        inspection.choice(node, "via", &Via::ALL, Via::name)
    });
    let leader = with(fields, "leader", |node| leader(inspection, node));
    Some(Given {
        driver: driver?,
        user: user?,
        password: password?,
        external: external?,
        poll: poll?,
        connect_timeout: connect_timeout?,
        call_timeout: call_timeout?,
        limits: limits?.unwrap_or_default(),
        blackouts: blackouts?,
        timezone: timezone?,
        tns_admin: tns_admin?,
        labels: labels?.unwrap_or_default(),
        via: via?,
        leader: leader?,
    })
}

/// The value of a key; `Some(None)` if there is no such key, `None` if its value has a mistake.
fn with<'a, T>(fields: &Fields<'a>, key: &str, read: impl FnOnce(&'a Node) -> Option<T>) -> Option<Option<T>> {
    match fields.get(key) {
        Some(node) => read(node).map(Some),
        None => Some(None),
    }
}

fn seconds(inspection: &mut Inspection, node: &Node, key: &'static str, longest: i64) -> Option<Duration> {
    let seconds = inspection.duration(node, key, 1, longest)?;
    Some(Duration::from_secs(seconds.unsigned_abs()))
}

/// Reads `poll`: a duration, or `{every: 15s, pressed: 2s}`.
fn pace(inspection: &mut Inspection, node: &Node) -> Option<Pace> {
    const HINT: &str =
        "write `poll: 15s`, or `poll: {every: 15s, pressed: 2s}` to read sooner while a policy's `while:` is true";
    if !matches!(node.value, Value::Mapping(_)) {
        let every = seconds(inspection, node, "poll", HOUR)?;
        return Some(Pace { every, pressed: None });
    }
    let fields = inspection.fields(node, "`poll`", &["every", "pressed"])?;
    let every = inspection.required_as(&fields, "`poll`", "every", Some(HINT))?;
    let every = seconds(inspection, every, "every", HOUR)?;
    let pressed = with(&fields, "pressed", |node| seconds(inspection, node, "pressed", HOUR))?;
    if pressed.is_some_and(|pressed| pressed >= every) {
        let message = "`pressed` is not shorter than `every`";
        inspection
            .error(&fields.key_at("pressed"), "out-of-range", message)
            .hint = Some(HINT.to_owned());
        return None;
    }
    Some(Pace { every, pressed })
}

/// Reads the lock by which one of several daemons leads: a number that DBMS_LOCK leaves to its users (PL/SQL Packages and Types
/// Reference, DBMS_LOCK.REQUEST).
fn leader(inspection: &mut Inspection, node: &Node) -> Option<u32> {
    const LAST: u64 = 1_073_741_823;
    const HINT: &str = "write `leader: {lock: 77350117}`: any number, the same for each daemon of this database, that no application uses";
    if !matches!(node.value, Value::Mapping(_)) {
        let message = "`leader` does not say which lock";
        let at = Inspection::place(node);
        inspection.error(&at, "missing-key", message).hint = Some(HINT.to_owned());
        return None;
    }
    let fields = inspection.fields(node, "`leader`", &["lock"])?;
    let lock = inspection.required_as(&fields, "`leader`", "lock", Some(HINT))?;
    let number = inspection.number(lock, "lock", 0, LAST)?;
    u32::try_from(number).ok()
}

/// Reads the labels of a database, which become labels of the metrics.
fn labels(inspection: &mut Inspection, node: &Node) -> Option<Labels> {
    let before = inspection.found.len();
    let names = inspection.names(node, "labels");
    if names.len() > MOST_LABELS {
        let message = format!("{} labels; the limit is {MOST_LABELS}", names.len());
        inspection.error(&Inspection::place(node), "too-many-names", message);
        return None;
    }
    let mut labels = Labels::new();
    for (name, key, value) in names {
        let good_name = name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        if !good_name || ["database", "instance", "job", "driver", "inst_id"].contains(&name) {
            let message = format!("{} is not a valid name for a label", quoted(name));
            inspection.error(&key.at, "bad-name", message).hint = Some(
                "a label's name has lower-case letters, digits and `_`, and is not database, driver, inst_id, instance or job"
                    .to_owned(),
            );
            continue;
        }
        let Some(text) = inspection.text(value, name) else {
            continue;
        };
        let good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
        if text.is_empty() || text.len() > LONGEST_NAME || !text.bytes().all(good) {
            let message = format!("{} is not a valid value for a label", quoted(text));
            inspection.error(&value.at, "bad-name", message).expected = Some(format!(
                "expected letters, digits, `_`, `.` and `-`, at most {LONGEST_NAME}"
            ));
            continue;
        }
        labels.insert(name.into(), text.into());
    }
    (inspection.found.len() == before).then_some(labels)
}

fn database_name(inspection: &mut Inspection, fields: &Fields<'_>, names: &mut Names) -> Option<Arc<str>> {
    let hint = Some("write `name: prod`, the name in policies, reports and metrics");
    let node = inspection.required_as(fields, "a database", "name", hint)?;
    let name = inspection.text(node, "name")?;
    if !is_database_name(name) {
        let problem = inspection.error(
            &node.at,
            "bad-name",
            format!("{} is not a valid name for a database", quoted(name)),
        );
        problem.expected = Some(format!(
            "expected lower-case letters, digits, `_`, `.` and `-`, at most {LONGEST_NAME}"
        ));
        let better = name.to_ascii_lowercase().replace(' ', "-");
        problem.hint = is_database_name(&better).then(|| format!("write `{better}`"));
        return None;
    }
    if let Some((_, (file, line))) = names.iter().find(|(known, _)| &**known == name) {
        let of_file = if *file == inspection.source.name {
            String::new()
        } else {
            format!(" of {file}")
        };
        let message = format!("the database `{name}` is already defined in line {line}{of_file}");
        inspection.error(&node.at, "duplicate-name", message);
        return None;
    }
    let name: Arc<str> = name.into();
    let (line, _) = inspection.source.position(node.at.start);
    names.push((name.clone(), (inspection.source.name.clone(), line)));
    Some(name)
}

/// Whether it is a good name for a database, or for a receiver.
pub(super) fn is_database_name(name: &str) -> bool {
    let good = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'.' | b'-');
    !name.is_empty() && name.len() <= LONGEST_NAME && name.bytes().all(good)
}

fn connect_string(inspection: &mut Inspection, node: &Node) -> Option<String> {
    let text = inspection.text(node, "connect")?;
    // A descriptor may stand in several lines, as in tnsnames.ora.
    let blank = |c: char| text.starts_with('(') && matches!(c, '\n' | '\r' | '\t');
    if text.is_empty() || text.len() > LONGEST_CONNECT || text.contains(|c: char| c.is_control() && !blank(c)) {
        let message = "`connect` must be an Easy Connect string, a descriptor or a TNS alias";
        inspection.error(&node.at, "bad-connect", message).hint =
            Some("for example `//db1.example.com:1521/PROD`".to_owned());
        return None;
    }
    if text.starts_with("jdbc:") {
        let after = text.rsplit_once('@').map_or("", |(_, after)| after);
        let hint = connect::of_old_jdbc_form(after)
            .unwrap_or_else(|| "write the part after the `@`, as in `//db1.example.com:1521/PROD`".to_owned());
        inspection
            .error(&node.at, "bad-connect", "`connect` cannot be a JDBC URL")
            .hint = Some(hint);
        return None;
    }
    let mut packed = text.to_ascii_uppercase();
    packed.retain(|c| !c.is_whitespace());
    let hint = if text.contains('@') {
        "leave out everything up to the `@`, and the `@`; write the account under `user`, and where its password is stored under `password`"
    } else if packed.contains("PASSWORD=") {
        "leave the password out; an auto-login wallet (cwallet.sso) needs none"
    } else {
        return in_a_known_form(inspection, node, text);
    };
    refuse_secret(inspection, node, "`connect` contains credentials").hint = Some(hint.to_owned());
    None
}

fn in_a_known_form(inspection: &mut Inspection, node: &Node, text: &str) -> Option<String> {
    let Some(mut mistake) = connect::mistake_in(text) else {
        return Some(text.lines().map(str::trim).collect());
    };
    let scalar = inspection.scalar(node, "connect")?;
    let before = scalar.text.len() - scalar.text.trim_start().len();
    mistake.at = mistake.at.start + before..mistake.at.end + before;
    let offsets = inspection.offsets(node, scalar);
    inspection.mistake(Severity::Error, &offsets, mistake);
    None
}

/// Refuses Easy Connect without a service for the thin driver, which would take it for an alias.
fn refuse_without_service(inspection: &mut Inspection, fields: &Fields<'_>, driver: Driver, text: &str) {
    if driver != Driver::Thin || !connect::has_no_service(text) {
        return;
    }
    if let Some(node) = fields.get("connect") {
        let message = "the thin driver needs the name of the service";
        inspection.error(&node.at, "bad-connect", message).hint = Some("write `//host:port/service`".to_owned());
    }
}

fn refuse_secret<'a>(inspection: &'a mut Inspection, node: &Node, message: &str) -> &'a mut Diagnostic {
    let at = Inspection::place(node);
    inspection.error(&at, "plain-secret", message)
}

/// The login from the entry, or else from `defaults`.
fn login(
    inspection: &mut Inspection,
    fields: &Fields<'_>,
    own: &Given,
    common: &Common,
    driver: Driver,
) -> Option<LoginConfig> {
    let defaults = &common.defaults;
    let names_somebody = own.user.is_some() || own.password.is_some();
    let external = own
        .external
        .unwrap_or(!names_somebody && defaults.external == Some(true));
    if external {
        for key in ["user", "password"] {
            if fields.get(key).is_some() {
                let message = format!("`{key}` is not allowed together with `external: true`");
                inspection.error(&fields.key_at(key), "conflicting-keys", message).hint = Some(
                    "with `external: true`, the wallet, Kerberos or the operating system authenticates; leave out one of the two"
                        .to_owned(),
                );
            }
        }
        if driver == Driver::Thin {
            no_external(inspection, fields);
        }
        return Some(LoginConfig::External);
    }
    let user = own.user.clone().or_else(|| defaults.user.clone());
    let password = own.password.clone().or_else(|| defaults.password.clone());
    if user.is_none() && !common.broken {
        let hint = Some("write `user: ` and the name of the account, or `external: true`");
        inspection.required_as(fields, "a database", "user", hint);
    }
    if password.is_none() && !common.broken {
        let hint = Some("write where it is stored: `password: {credential: prod}`, `{file: /path}` or `{env: NAME}`");
        inspection.required_as(fields, "a database", "password", hint);
    }
    Some(LoginConfig::Password {
        user: user?,
        password: password?,
    })
}

fn no_external(inspection: &mut Inspection, fields: &Fields<'_>) {
    let message = "the thin driver does not support external authentication";
    inspection
        .error(&fields.key_at("external"), "conflicting-keys", message)
        .hint = Some("use `driver: oci`, or `user` and `password`".to_owned());
}

fn user(inspection: &mut Inspection, node: &Node) -> Option<String> {
    let text = inspection.text(node, "user")?;
    if text.contains('/') {
        refuse_secret(inspection, node, "`user` contains more than the name of the account").hint =
            Some("write only the name; `password` says where the password is stored".to_owned());
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
            .error(
                &node.at,
                "bad-user",
                "`user` must be the name of an account, without a role",
            )
            .hint = Some("leave the role out: an ordinary account with its own grants is enough".to_owned());
        return None;
    }
    Some(text.to_owned())
}

/// The keys of `password`. Any other text there may be a secret, and messages do not show it.
pub(super) const SECRET_KEYS: [&str; 3] = ["credential", "file", "env"];

fn secret_source(inspection: &mut Inspection, node: &Node, base: &Path) -> Option<SecretSource> {
    stored_secret(inspection, node, base, ("password", "a password"))
}

/// Reads where the secret of this key is stored, such as `bearer`; with what it is in words: `a token`.
pub(super) fn stored_secret(
    inspection: &mut Inspection,
    node: &Node,
    base: &Path,
    (key, what): (&str, &str),
) -> Option<SecretSource> {
    const WHERE: &str = "write where it is stored: `{credential: prod}`, `{file: /path}` or `{env: NAME}`";
    let Value::Mapping(entries) = &node.value else {
        refuse_secret(inspection, node, &format!("{what} does not belong in this file")).hint = Some(WHERE.to_owned());
        return None;
    };
    let known = |key: &Node| matches!(&key.value, Value::Scalar(scalar) if SECRET_KEYS.contains(&scalar.text.as_str()));
    if let Some((unknown, _)) = entries.iter().find(|(key, _)| !known(key)) {
        let meant = match &unknown.value {
            Value::Scalar(scalar) => did_you_mean(&scalar.text, SECRET_KEYS),
            Value::Null | Value::Sequence(_) | Value::Mapping(_) => None,
        };
        let at = Inspection::place(unknown);
        inspection
            .error(&at, "unknown-key", format!("`{key}` has no such key"))
            .hint = Some(meant.unwrap_or_else(|| format!("{what} does not belong in this file; {WHERE}")));
        return None;
    }
    let fields = inspection.fields(node, &format!("`{key}`"), &SECRET_KEYS)?;
    let given: Vec<&str> = SECRET_KEYS
        .into_iter()
        .filter(|key| fields.get(key).is_some())
        .collect();
    match given.as_slice() {
        [] if entries.is_empty() => {
            let message = format!(
                "`{key}` does not say where {} is stored",
                what.replacen("a ", "the ", 1)
            );
            inspection.error(&fields.at, "missing-key", message).hint = Some(WHERE.to_owned());
            None
        }
        // A key without a value is already reported.
        [] => None,
        [source] => fields
            .get(source)
            .and_then(|node| place(inspection, node, source, base)),
        [first, second, ..] => {
            let message = format!("`{first}` and `{second}` are not allowed together: {what} is stored in one place");
            inspection.error(&fields.key_at(second), "conflicting-keys", message);
            None
        }
    }
}

/// Reads where a password is stored.
fn place(inspection: &mut Inspection, node: &Node, key: &str, base: &Path) -> Option<SecretSource> {
    if key == "file" {
        return super::read::path(inspection, node, "file").map(|text| SecretSource::File(base.join(text)));
    }
    let value = inspection.text(node, key)?;
    let printable = |b: u8| b.is_ascii_graphic() || b == b' ';
    let (good, hint) = if key == "credential" {
        // The names that systemd accepts; none of them leads out of its folder.
        let good = value.bytes().all(|b| printable(b) && !matches!(b, b'/' | b':')) && !value.starts_with('.');
        let hint = if value.contains('/') {
            "for a path, write `{file: /path}`; a credential has the name that `LoadCredential=` gives it"
        } else {
            "a credential has the name that systemd's `LoadCredential=` gives it"
        };
        (good, hint)
    } else {
        let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        let good = value.bytes().all(word) && !value.starts_with(|c: char| c.is_ascii_digit());
        (
            good,
            "the name of a variable has letters, digits and `_`, without a `$` before it",
        )
    };
    if value.is_empty() || !good {
        let what = if key == "credential" {
            "a credential"
        } else {
            "an environment variable"
        };
        inspection
            .error(&node.at, "bad-name", format!("this is not a valid name for {what}"))
            .hint = Some(hint.to_owned());
        return None;
    }
    Some(if key == "credential" {
        SecretSource::Credential(value.to_owned(), base.join("credentials").join(value))
    } else {
        SecretSource::Env(value.to_owned())
    })
}
