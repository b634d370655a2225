//! The file with TLS and users for the pages, in the format of Prometheus' web configuration (the exporter-toolkit's
//! `web-config.yml`, <https://prometheus.io/docs/prometheus/latest/configuration/https/>), so that one file serves all exporters of a
//! host.
//!
//! What the format has and this server has not is refused with the name of the key: a setting that is read and not obeyed would
//! protect nothing. Relative paths begin at the folder of the file, as in Prometheus.
//!
//! No message shows a hash or a key: their lines are masked.

mod tls;
mod users;

use std::fmt;
use std::net::SocketAddr;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Config;
use super::listen::is_local;
use super::mask::cover;
use super::read::redacted;
use crate::yaml::diagnostics::{Diagnostic, Severity, arrange, quoted};
use crate::yaml::fields::{Fields, Inspection};
use crate::yaml::node::{self, Node, Value};

pub(crate) use users::{PasswordHash, Users};

const KEYS: [&str; 4] = [
    "tls_server_config",
    "http_server_config",
    "basic_auth_users",
    "rate_limit",
];

const HTTP_KEYS: [&str; 2] = ["http2", "headers"];

/// The headers that may be set, and their values where only some are valid.
const HEADERS: [(&str, &[&str]); 5] = [
    ("Content-Security-Policy", &[]),
    ("Strict-Transport-Security", &[]),
    ("X-Content-Type-Options", &["nosniff"]),
    ("X-Frame-Options", &["deny", "sameorigin"]),
    ("X-XSS-Protection", &[]),
];

/// A checked file. The default protects nothing.
#[derive(Clone, Default)]
pub(crate) struct WebConfig {
    /// TLS, if the pages are served with it.
    pub(crate) tls: Option<Arc<rustls::ServerConfig>>,
    /// Whether no client is served without a certificate.
    pub(crate) needs_certificate: bool,
    /// Who may ask; everybody if there are none.
    pub(crate) users: Users,
    /// Headers of each answer, in place of the server's own.
    pub(crate) headers: Vec<(&'static str, String)>,
}

/// Shows no hash and no key.
impl fmt::Debug for WebConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WebConfig({self})")
    }
}

/// What protects the pages, as a part of a sentence.
impl fmt::Display for WebConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let users = self.users.len();
        let users = match users {
            0 => None,
            1 => Some("1 user with a password".to_owned()),
            several => Some(format!("{several} users with passwords")),
        };
        let certificates = self.needs_certificate.then(|| "certificates of clients".to_owned());
        let tls = self.tls.as_ref().map(|_| "TLS".to_owned());
        let parts: Vec<String> = [tls, certificates, users].into_iter().flatten().collect();
        match parts.as_slice() {
            [] => f.write_str("neither TLS nor users"),
            parts => f.write_str(&parts.join(", ")),
        }
    }
}

/// What came of reading the file.
#[derive(Debug)]
pub(crate) struct LoadedWebConfig {
    /// The settings, if there is no error.
    pub(crate) web: Option<WebConfig>,
    /// All errors and warnings.
    pub(crate) diagnostics: Vec<Diagnostic>,
    /// The files that this user may not read, each with what was tried.
    pub(crate) denied: Vec<String>,
    /// The file itself, and those that it names.
    pub(crate) files: Vec<PathBuf>,
}

impl LoadedWebConfig {
    /// Without a file.
    pub(crate) fn unprotected() -> LoadedWebConfig {
        LoadedWebConfig {
            web: Some(WebConfig::default()),
            diagnostics: Vec::new(),
            denied: Vec::new(),
            files: Vec::new(),
        }
    }

    /// The problems, and apart from them notes on what only the daemon's user may read: that is no mistake of the files.
    #[must_use]
    pub(crate) fn problems_and_notes(self) -> (Vec<Diagnostic>, Vec<String>) {
        let is_denied = |problem: &Diagnostic| {
            problem.code == "unreadable-file" && self.denied.iter().any(|denied| denied.ends_with(reason(problem)))
        };
        let problems = self.diagnostics.iter().filter(|problem| !is_denied(problem)).cloned();
        let notes = self.denied.iter();
        (
            problems.collect(),
            notes
                .map(|denied| format!("what protects the pages was not checked: {denied}"))
                .collect(),
        )
    }

    /// The errors in one line.
    #[must_use]
    pub(crate) fn errors(&self) -> String {
        let errors = self.diagnostics.iter().filter(|problem| problem.is_error());
        errors.map(ToString::to_string).collect::<Vec<_>>().join("; ")
    }
}

/// The error of the system in a message that ends with it.
fn reason(problem: &Diagnostic) -> &str {
    problem.message.rsplit(": ").next().unwrap_or_default()
}

/// Reads what protects the pages of a configuration, and checks whether that is enough for its address.
#[must_use]
pub(crate) fn of(config: &Config) -> LoadedWebConfig {
    let Some(path) = &config.web_config else {
        return LoadedWebConfig::unprotected();
    };
    let mut loaded = load(path);
    let open = !is_local(config.listen) && !config.listen_unprotected;
    if let Some(web) = loaded.web.as_ref().filter(|_| open) {
        let weakness = weakness(path, config.listen, web);
        if weakness.as_ref().is_some_and(Diagnostic::is_error) {
            loaded.web = None;
        }
        loaded.diagnostics.extend(weakness);
    }
    loaded
}

/// What is lacking for an address that others can reach.
fn weakness(path: &Path, listen: SocketAddr, web: &WebConfig) -> Option<Diagnostic> {
    let warning = |message: String| {
        let mut warning = Diagnostic::of_file(&path.display().to_string(), "weakly-protected-address", message);
        warning.severity = Severity::Warning;
        warning
    };
    let asks = web.needs_certificate || !web.users.is_empty();
    match (&web.tls, asks) {
        (None, false) => Some(
            Diagnostic::of_file(
                &path.display().to_string(),
                "unprotected-address",
                format!("others can reach {listen}, and this file has neither `tls_server_config` nor `basic_auth_users`"),
            )
            .hint("add one of them, or write `listen_unprotected: true` in the configuration if something else keeps others away"),
        ),
        (None, true) => Some(
            warning(format!(
                "others can reach {listen}, and there is no `tls_server_config`: passwords cross the network in clear text"
            ))
            .hint("add `tls_server_config` with a certificate"),
        ),
        (Some(_), false) => Some(
            warning(format!(
                "whoever can reach {listen} can read users and programs of your databases: TLS alone asks nobody who they are"
            ))
            .hint("add `basic_auth_users`, or `client_auth_type: RequireAndVerifyClientCert` with `client_ca_file`"),
        ),
        (Some(_), true) => None,
    }
}

/// Reads and checks the file and those that it names.
#[must_use]
pub(crate) fn load(path: &Path) -> LoadedWebConfig {
    let name = path.display().to_string();
    let mut loaded = LoadedWebConfig {
        web: None,
        diagnostics: Vec::new(),
        denied: Vec::new(),
        files: vec![path.to_owned()],
    };
    let (source, text, root) = match crate::yaml::files::read(path) {
        Ok(bytes) => match node::read(&name, &bytes, mask) {
            Ok(read) => read,
            Err(problem) => {
                loaded.diagnostics.push(*problem);
                return loaded;
            }
        },
        Err(error) => {
            if error.kind() == std::io::ErrorKind::PermissionDenied {
                loaded.denied.push(format!("read {name}: {error}"));
            }
            let message = format!("cannot read the file: {error}");
            loaded
                .diagnostics
                .push(Diagnostic::of_file(&name, "unreadable-file", message));
            return loaded;
        }
    };
    let mut inspection = Inspection::new(source, text);
    let base = path.parent().unwrap_or(Path::new(""));
    loaded.web = web_config(&mut inspection, &root, base, &mut loaded.files, &mut loaded.denied);
    let files = [Arc::clone(&inspection.source.name)];
    loaded.diagnostics = arrange(redacted(inspection), &files);
    loaded.diagnostics.extend(crate::yaml::files::writable_by_all(path));
    loaded
        .diagnostics
        .extend(readable_by_all(&name, path, "the hashes of passwords"));
    if loaded.diagnostics.iter().any(Diagnostic::is_error) {
        loaded.web = None;
    }
    loaded
}

/// Warns of a file with secrets that every user of the host can read.
fn readable_by_all(name: &str, path: &Path, what: &str) -> Option<Diagnostic> {
    const OTHERS_READ: u32 = 0o004;
    let mode = std::fs::metadata(path).ok()?.permissions().mode();
    if mode & OTHERS_READ == 0 {
        return None;
    }
    let file = path.display();
    let message = format!("every user of this host can read {what}: {file}");
    let mut warning = Diagnostic::of_file(name, "secret-readable-by-all", message);
    warning.severity = Severity::Warning;
    Some(warning.hint(format!(
        "run `chmod 640 {file}`, and give it to the group that the daemon runs as"
    )))
}

/// The state of files on the disk: different after each change, also of where a link leads.
#[must_use]
pub(crate) fn stamp(files: &[PathBuf]) -> Vec<Option<[i64; 6]>> {
    let of = |path: &PathBuf| {
        let it = std::fs::metadata(path).ok()?;
        let place = [it.dev().cast_signed(), it.ino().cast_signed(), it.size().cast_signed()];
        let [device, inode, size] = place;
        Some([device, inode, size, it.mtime(), it.mtime_nsec(), it.ctime_nsec()])
    };
    files.iter().map(of).collect()
}

fn web_config(
    inspection: &mut Inspection,
    root: &Node,
    base: &Path,
    files: &mut Vec<PathBuf>,
    denied: &mut Vec<String>,
) -> Option<WebConfig> {
    let fields = inspection.fields(root, "a web configuration", &KEYS)?;
    if fields.get("rate_limit").is_some() {
        let why = "this server has bounds of its own: 64 connections, 10 seconds each, one password at a time";
        unsupported(inspection, &fields, "rate_limit", why);
    }
    let (tls, needs_certificate) = match fields.get("tls_server_config") {
        Some(node) => {
            let mut disk = tls::CertificateFiles { base, files, denied };
            tls::server_config(inspection, node, &mut disk).map(|(tls, needs)| (Some(tls), needs))
        }
        None => Some((None, false)),
    }?;
    let headers = match fields.get("http_server_config") {
        Some(node) => headers(inspection, node),
        None => Some(Vec::new()),
    };
    let users = match fields.get("basic_auth_users") {
        Some(node) => users::users(inspection, node),
        None => Some(Users::default()),
    };
    Some(WebConfig {
        tls,
        needs_certificate,
        users: users?,
        headers: headers?,
    })
}

/// Refuses a key that Prometheus has and this server has not.
fn unsupported(inspection: &mut Inspection, fields: &Fields<'_>, key: &str, why: &str) {
    let at = fields.key_at(key);
    inspection
        .error(
            &at,
            "unsupported-key",
            format!("orareaper does not have `{key}`: {why}"),
        )
        .hint = Some("leave it out".to_owned());
}

fn headers(inspection: &mut Inspection, node: &Node) -> Option<Vec<(&'static str, String)>> {
    let fields = inspection.fields(node, "`http_server_config`", &HTTP_KEYS)?;
    if let Some(node) = fields.get("http2")
        && inspection.truth(node, "http2")?
    {
        let why = "the pages are served by HTTP/1.1, which every client of HTTP/2 speaks too";
        unsupported(inspection, &fields, "http2", why);
    }
    let Some(node) = fields.get("headers") else {
        return Some(Vec::new());
    };
    let names: Vec<&'static str> = HEADERS.iter().map(|(name, _)| *name).collect();
    let fields = inspection.fields(node, "`headers`", &names)?;
    let mut headers = Vec::new();
    for (name, valid) in HEADERS {
        let Some(node) = fields.get(name) else { continue };
        let value = inspection.text(node, name)?;
        let printable = value.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        if !printable || !valid.is_empty() && !valid.contains(&value) {
            let message = format!("{} is not a value of the header `{name}`", quoted(value));
            let problem = inspection.error(&node.at, "bad-header", message);
            problem.expected = Some(match valid {
                [] => "expected printable ASCII".to_owned(),
                valid => format!("expected {}", crate::yaml::diagnostics::one_of(valid.iter().copied())),
            });
            continue;
        }
        // Blank is unset, as in Prometheus.
        if !value.is_empty() {
            headers.push((name, value.to_owned()));
        }
    }
    Some(headers)
}

/// The text with its secrets masked: everything of `basic_auth_users` but the names, and keys.
fn mask(text: &str) -> String {
    let secret = |word: &str| ["key", "basic_auth_users"].contains(&word);
    let mut masked: Vec<u8> = text.as_bytes().to_vec();
    let mut start = 0;
    // Lines that are indented more than the key of a secret belong to its value.
    let mut inside: Option<(usize, bool)> = None;
    for line in text.split_inclusive('\n') {
        let indent = line.len() - line.trim_start_matches([' ', '-']).len();
        if inside.is_some_and(|(key, _)| indent <= key && !line.trim().is_empty()) {
            inside = None;
        }
        let colons = line.match_indices(':').map(|(at, _)| at);
        let mut opened = colons.filter(|colon| {
            let before = line[..*colon].trim_end_matches(['"', '\'', ' ']);
            let word = before
                .rfind(|c: char| !(c.is_alphanumeric() || c == '_'))
                .map_or(0, |at| at + before[at..].chars().next().map_or(1, char::len_utf8));
            secret(&before[word..])
        });
        let from = match (inside, opened.next()) {
            (Some((_, has_names)), _) if has_names => Some(line.find(':').map_or(indent, |colon| colon + 1)),
            (Some(_), _) => Some(indent),
            (None, Some(colon)) => {
                inside = Some((indent, line.contains("basic_auth_users")));
                Some(colon + 1)
            }
            // A hash wherever it is, as in an anchor.
            (None, None) => line.find("$2"),
        };
        if let Some(from) = from.filter(|from| *from < line.len()) {
            cover(&mut masked, start + from, start + line.len());
        }
        start += line.len();
    }
    String::from_utf8(masked).unwrap_or_else(|_| text.replace(|c: char| !c.is_whitespace(), "*"))
}

/// The node as a list of words.
fn words_of<'n>(inspection: &mut Inspection, node: &'n Node, what: &str) -> Option<Vec<(&'n Node, &'n str)>> {
    if !matches!(node.value, Value::Sequence(_)) {
        inspection.list(node, what);
        return None;
    }
    let items = inspection.list(node, what).iter();
    items.map(|item| Some((item, inspection.text(item, what)?))).collect()
}

#[cfg(test)]
mod tests;
