//! Reads the bytes of a configuration into a [`Config`], or reports all problems.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chrono_tz::Tz;

use super::database::{Common, Given, Names, database};
use super::listen::served;
use super::mask::mask;
use super::retention::{Retention, retention};
use super::{Blackout, Config, DatabaseConfig, Driver, Labels};
use crate::policy::lex::Mistake;
use crate::policy::model::Limits;
use crate::policy::schedule::Schedule;
use crate::quantity::Span;
use crate::yaml::diagnostics::{Diagnostic, Severity, arrange, quoted};
use crate::yaml::fields::{Fields, Inspection};
use crate::yaml::node::{self, Node, Value};

pub(super) const KEYS: [&str; 13] = [
    "defaults",
    "databases",
    "include",
    "policies",
    "listen",
    "web_config",
    "listen_unprotected",
    "state",
    "journal",
    "timezone",
    "limits",
    "blackouts",
    "notify",
];

/// The keys of an included file.
pub(super) const INCLUDED_KEYS: [&str; 1] = ["databases"];

/// The keys of a blackout.
pub(super) const BLACKOUT_KEYS: [&str; 3] = ["cron", "for", "reason"];

/// The most included files.
const MOST_INCLUDED: usize = 200;

/// The most databases; each one has its own threads and connections.
const MOST_DATABASES: usize = 1_000;
const LONGEST_BLACKOUT: i64 = 7 * 86_400;

/// The result of reading a configuration.
#[derive(Debug)]
pub struct LoadedConfig {
    /// The configuration, if there is no error.
    pub config: Option<Config>,
    /// All errors and warnings, in the order of the files.
    pub diagnostics: Vec<Diagnostic>,
    /// What is needed to check the policies in the same run, if it could be read in spite of errors elsewhere.
    pub(crate) rules: Option<PolicySources>,
    /// How many files were read.
    pub(crate) files: usize,
}

/// Where the policies are, and what is needed to check them.
#[derive(Clone, Debug)]
pub struct PolicySources {
    /// See [`Config::policies`].
    pub(crate) policies: Vec<PathBuf>,
    /// See [`Config::timezone`].
    pub(crate) timezone: Tz,
    /// The names and labels of the databases, if there is no error in them.
    pub(crate) databases: Option<Vec<(Arc<str>, Labels)>>,
}

/// Reads the files that a pattern of `include` matches: their names and contents. Files that cannot be read are added to the
/// problems.
pub(super) type Include<'a> = &'a dyn Fn(&Path, &mut Vec<Diagnostic>) -> Vec<(String, Vec<u8>)>;

/// Checks a configuration without the files that it includes. Relative paths in it are relative to `base`.
#[must_use]
pub fn check(name: &str, bytes: &[u8], base: &Path) -> LoadedConfig {
    check_with(name, bytes, base, &|_, _| Vec::new())
}

/// Checks a configuration with the files that it includes.
pub(super) fn check_with(name: &str, bytes: &[u8], base: &Path, include: Include<'_>) -> LoadedConfig {
    let (source, text, root) = match node::read(name, bytes, mask) {
        Ok(read) => read,
        Err(problem) => {
            return LoadedConfig {
                config: None,
                diagnostics: vec![*problem],
                rules: None,
                files: 1,
            };
        }
    };
    let mut inspection = Inspection::new(source, text);
    let mut included_files = IncludedFiles {
        include,
        files: vec![inspection.source.name.clone()],
        found: Vec::new(),
    };
    let (config, rules) = config(&mut inspection, &root, base, &mut included_files);
    included_files.found.extend(redacted(inspection));
    let diagnostics = arrange(included_files.found, &included_files.files);
    let refused = diagnostics.iter().any(Diagnostic::is_error);
    LoadedConfig {
        config: config.filter(|_| !refused),
        diagnostics,
        rules,
        files: included_files.files.len(),
    }
}

/// The problems of a file, without the text that is masked in it.
pub(super) fn redacted(mut inspection: Inspection) -> Vec<Diagnostic> {
    for problem in &mut inspection.found {
        if !inspection.source.shows_all_of(&inspection.text, &problem.span) {
            redact(problem);
        }
    }
    inspection.found
}

/// The included files.
struct IncludedFiles<'a> {
    include: Include<'a>,
    files: Vec<Arc<str>>,
    found: Vec<Diagnostic>,
}

impl IncludedFiles<'_> {
    /// Reads the databases in the included files.
    fn databases(
        &mut self,
        patterns: &[PathBuf],
        base: &Path,
        names: &mut Names,
        common: &Common,
    ) -> Option<Vec<DatabaseConfig>> {
        let before = self.found.len();
        let files: Vec<(String, Vec<u8>)> = patterns
            .iter()
            .flat_map(|pattern| (self.include)(pattern, &mut self.found))
            .collect();
        if files.len() > MOST_INCLUDED {
            let message = format!("{} files are included; the limit is {MOST_INCLUDED}", files.len());
            let first = Arc::clone(&self.files[0]);
            self.found.push(Diagnostic::of_file(&first, "too-many-files", message));
            return None;
        }
        let mut databases = Some(Vec::new());
        for (name, bytes) in files {
            self.files.push(name.as_str().into());
            let read = match node::read(&name, &bytes, mask) {
                Ok((source, text, root)) => {
                    let mut inspection = Inspection::new(source, text);
                    let read = inspection
                        .fields(&root, "an included file", &INCLUDED_KEYS)
                        .and_then(|fields| entries(&mut inspection, &fields, base, names, common));
                    self.found.extend(redacted(inspection));
                    read
                }
                Err(problem) => {
                    self.found.push(*problem);
                    None
                }
            };
            databases = databases.zip(read).map(|(mut all, read)| {
                all.extend(read);
                all
            });
        }
        let whole = self.found[before..].iter().all(|problem| !problem.is_error());
        databases.filter(|_| whole)
    }
}

/// Replaces a message that may contain a part of the masked text by a general one.
fn redact(problem: &mut Diagnostic) {
    // The messages with these codes contain only names of keys.
    let harmless = [
        "plain-secret",
        "missing-key",
        "missing-value",
        "conflicting-keys",
        "duplicate-key",
        "bad-connect",
        "bad-hash",
        "bad-user",
        "bad-list",
        "empty-list",
        "out-of-range",
        "bad-url",
        "plain-http",
    ];
    if harmless.contains(&problem.code) {
        return;
    }
    problem.message = match problem.code {
        "unknown-key" => "there is no such key here".to_owned(),
        "wrong-type" => "the value has the wrong type".to_owned(),
        _ => "this value is not valid here".to_owned(),
    };
    if problem.code != "unknown-key" {
        problem.hint = Some("it is not shown, because it may contain a password".to_owned());
    }
}

fn config(
    inspection: &mut Inspection,
    root: &Node,
    base: &Path,
    included_files: &mut IncludedFiles<'_>,
) -> (Option<Config>, Option<PolicySources>) {
    let Some(fields) = inspection.fields(root, "the configuration", &KEYS) else {
        return (None, None);
    };
    let zone = match fields.get("timezone") {
        Some(node) => inspection.timezone(node),
        None => Some(Tz::UTC),
    };
    let limits = match fields.get("limits") {
        Some(node) => crate::policy::limits_of_database(inspection, node),
        None => Some(Limits::default()),
    };
    let blackouts = blackouts(inspection, &fields, zone.unwrap_or(Tz::UTC));
    let defaults = match fields.get("defaults") {
        Some(node) => super::database::defaults(inspection, node, base),
        None => Some(Given::default()),
    };
    // If one of these is wrong, nothing is loaded, but the rest is still checked.
    let common = Common {
        limits: limits.unwrap_or_default(),
        blackouts: blackouts.clone().unwrap_or_default(),
        timezone: zone.unwrap_or(Tz::UTC),
        broken: defaults.is_none(),
        defaults: defaults.clone().unwrap_or_default(),
    };
    let databases = databases(inspection, &fields, base, &common, included_files);
    let example = Some("write `policies: [policies/*.yaml]`");
    let policies = inspection
        .required_as(&fields, "the configuration", "policies", example)
        .and_then(|node| paths(inspection, node, base));
    let served = served(inspection, &fields, base);
    let state = match fields.get("state") {
        Some(node) => path(inspection, node, "state").map(|text| base.join(text)),
        None => Some(PathBuf::from("/var/lib/orareaper")),
    };
    let journal = match fields.get("journal") {
        Some(node) => retention(inspection, node),
        None => Some(Retention::default()),
    };
    let told = match fields.get("notify") {
        Some(node) => super::notify::notify(inspection, node, base).map(Some),
        None => Some(None),
    };
    let selectable = |database: &DatabaseConfig| (Arc::clone(&database.name), database.labels.clone());
    let rules = policies.clone().map(|policies| PolicySources {
        policies,
        timezone: common.timezone,
        databases: databases
            .as_ref()
            .map(|databases| databases.iter().map(selectable).collect()),
    });
    let whole = || {
        defaults?;
        limits?;
        let served = served?;
        Some(Config {
            databases: databases?,
            policies: policies?,
            listen: served.listen,
            web_config: served.web_config,
            listen_unprotected: served.listen_unprotected,
            state: state?,
            journal: journal?,
            timezone: zone?,
            limits: common.limits,
            blackouts: blackouts?,
            notify: told?,
        })
    };
    (whole(), rules)
}

/// The limits that were given; a limit that was not given comes from `rest`.
pub(super) fn completed(given: Limits, rest: Limits) -> Limits {
    Limits {
        per_cycle: given.per_cycle.or(rest.per_cycle),
        per_hour: given.per_hour.or(rest.per_hour),
        per_day: given.per_day.or(rest.per_day),
        share: given.share.or(rest.share),
        undo_records: given.undo_records.or(rest.undo_records),
        respawns: given.respawns.or(rest.respawns),
        parallel: given.parallel.or(rest.parallel),
    }
}

/// Reads a path, which must not be empty or need a shell to expand it.
pub(super) fn path<'a>(inspection: &mut Inspection, node: &'a Node, what: &str) -> Option<&'a str> {
    let text = inspection.text(node, what)?;
    if text.is_empty() {
        inspection.error(&node.at, "missing-value", format!("`{what}` is empty"));
        return None;
    }
    if text.starts_with('~') || text.contains('$') {
        let message = format!("`~` and `$` are not expanded in a path here: {}", quoted(text));
        inspection.error(&node.at, "bad-path", message).hint =
            Some("write the whole path; a relative path begins at the folder of the configuration".to_owned());
        return None;
    }
    Some(text)
}

fn paths(inspection: &mut Inspection, node: &Node, base: &Path) -> Option<Vec<PathBuf>> {
    let items = inspection.list(node, "policies");
    if items.is_empty() {
        if matches!(node.value, Value::Sequence(_)) {
            let at = Inspection::place(node);
            inspection.error(&at, "empty-list", "there are no policy files");
        }
        return None;
    }
    if items.iter().any(|item| matches!(item.value, Value::Mapping(_))) {
        let at = Inspection::place(&items[0]);
        let message = "`policies` lists policy files here, but this is a policy";
        inspection.error(&at, "wrong-type", message).hint =
            Some("move it to a separate file and write its path: `policies: [policies/*.yaml]`".to_owned());
        return None;
    }
    paths_of(inspection, node, "policies", base)
}

/// Reads a list of paths and patterns.
fn paths_of(inspection: &mut Inspection, node: &Node, what: &str, base: &Path) -> Option<Vec<PathBuf>> {
    if !matches!(node.value, Value::Sequence(_)) {
        inspection.list(node, what);
        return None;
    }
    let items = inspection.list(node, what);
    let paths: Vec<Option<PathBuf>> = items
        .iter()
        .map(|item| one_path(inspection, item, what, base))
        .collect();
    paths.into_iter().collect()
}

fn one_path(inspection: &mut Inspection, item: &Node, what: &str, base: &Path) -> Option<PathBuf> {
    let text = path(inspection, item, what)?;
    if let Err(error) = glob::Pattern::new(text) {
        let message = format!("{} is not a valid pattern: {}", quoted(text), error.msg);
        inspection.error(&item.at, "bad-glob", message).hint =
            Some("`*`, `?` and `[...]` are wildcards; write a literal `[` as `[[]`".to_owned());
    }
    Some(base.join(text))
}

fn databases(
    inspection: &mut Inspection,
    fields: &Fields<'_>,
    base: &Path,
    common: &Common,
    included_files: &mut IncludedFiles<'_>,
) -> Option<Vec<DatabaseConfig>> {
    let mut names = Names::new();
    let patterns = match fields.get("include") {
        Some(node) => paths_of(inspection, node, "include", base),
        None => Some(Vec::new()),
    };
    let own = if fields.get("databases").is_none() && fields.get("include").is_some() {
        Some(Vec::new())
    } else {
        entries(inspection, fields, base, &mut names, common)
    };
    let included = included_files.databases(&patterns?, base, &mut names, common);
    let mut databases = own?;
    databases.extend(included?);
    let at = fields.key_at("databases");
    if databases.is_empty() {
        inspection.error(&at, "bad-list", "there are no databases to watch");
        return None;
    }
    if databases.len() > MOST_DATABASES {
        let count = databases.len();
        let message = format!("{count} databases; the limit is {MOST_DATABASES}");
        inspection.error(&at, "bad-list", message);
        return None;
    }
    // Oracle Client reads these files only once in a process.
    let of_client = databases.iter().filter(|database| database.driver == Driver::Oci);
    let mut folders: Vec<&PathBuf> = of_client.filter_map(|database| database.tns_admin.as_ref()).collect();
    folders.sort();
    folders.dedup();
    if let [first, second, ..] = folders.as_slice() {
        let message = format!(
            "Oracle Client has one `tns_admin` for the whole process, but here there are {} and {}",
            first.display(),
            second.display()
        );
        inspection.error(&at, "conflicting-keys", message).hint =
            Some("use `driver: thin` for one of them, or write its `connect` as a descriptor".to_owned());
        return None;
    }
    if let [folder] = folders.as_slice() {
        let folder = PathBuf::clone(folder);
        for database in databases.iter_mut().filter(|database| database.driver == Driver::Oci) {
            database.tns_admin = Some(folder.clone());
        }
    }
    Some(databases)
}

/// The databases of one file.
fn entries(
    inspection: &mut Inspection,
    fields: &Fields<'_>,
    base: &Path,
    names: &mut Names,
    common: &Common,
) -> Option<Vec<DatabaseConfig>> {
    let node = inspection.required_as(
        fields,
        "the configuration",
        "databases",
        Some("write `databases:`, and below it an entry for each database: `- name: prod`"),
    )?;
    if let Value::Mapping(entries) = &node.value {
        let at = entries.first().map_or(node.at.clone(), |(name, _)| name.at.clone());
        let message = "`databases` must be a list, but this is a mapping";
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
                count => format!("{count} databases; the limit is {MOST_DATABASES}"),
            };
            inspection.error(&at, "bad-list", message);
        }
        return None;
    }
    let databases: Vec<Option<DatabaseConfig>> = items
        .iter()
        .map(|item| database(inspection, item, base, names, common))
        .collect();
    databases.into_iter().collect()
}

pub(super) fn blackouts(inspection: &mut Inspection, fields: &Fields<'_>, zone: Tz) -> Option<Vec<Blackout>> {
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
    let fields = inspection.fields(item, "a blackout", &BLACKOUT_KEYS)?;
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
            Some("write why: `reason: weekly full backup`; reports show the reason"),
        )
        .and_then(|node| {
            let text = inspection.text(node, "reason")?;
            if text.is_empty() {
                inspection
                    .error(&node.at, "missing-value", "the reason of this blackout is empty")
                    .hint = Some("write why: `reason: weekly full backup`; reports show the reason".to_owned());
            }
            Some(text)
        });
    let blackout = Blackout {
        schedule: schedule?,
        lasts: Duration::from_secs(lasts?.unsigned_abs()),
        reason: reason?.to_owned(),
    };
    if let Some(gap) = blackout.is_always_on() {
        let message = format!(
            "this blackout never ends: it begins again every {} at the latest, and lasts {}",
            Span(gap.cast_signed()).in_full(),
            Span(lasts?).in_full()
        );
        let hint = "with it, no session is ever acted on: write a shorter `for`, or when it begins, such as `cron: \"0 20 * * FRI\"`; \
                    to act on nothing at all, write `armed: false`";
        inspection.warning(&fields.key_at("for"), "always-on", message).hint = Some(hint.to_owned());
    }
    Some(blackout)
}
