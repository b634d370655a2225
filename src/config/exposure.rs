//! Files beside the configuration that every user of the host can read or change although they decide who is connected to, and as whom.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::config::secret::SecretSource;
use crate::yaml::diagnostics::{Diagnostic, Severity};
use crate::yaml::files::open_to_all;

/// What the configuration names on the host.
#[derive(Debug, Default)]
pub(super) struct NamedFiles<'c> {
    /// The passwords of databases, each with the database's name.
    pub(super) passwords: Vec<(&'c SecretSource, &'c str)>,
    /// The secrets of receivers, each with the receiver's name.
    pub(super) secrets: Vec<(&'c SecretSource, &'c str)>,
    /// The folders of Oracle's own files.
    pub(super) folders: Vec<&'c Path>,
}

/// Oracle's own files, in the folder of `tns_admin` or TNS_ADMIN: they say which address a name stands for, and how the server is
/// known to be the right one.
const OF_ORACLE: [&str; 2] = ["tnsnames.ora", "sqlnet.ora"];

/// A warning of each such file, once even if several databases or receivers use it.
pub(super) fn of(config: &str, named: &NamedFiles<'_>) -> Vec<Diagnostic> {
    let mut warnings = readable(config, named);
    warnings.extend(writable(config, named));
    warnings
}

fn warning(config: &str, code: &'static str, message: String, remedy: String) -> Diagnostic {
    let mut warning = Diagnostic::of_file(config, code, message);
    warning.severity = Severity::Warning;
    warning.hint(remedy)
}

fn readable(config: &str, named: &NamedFiles<'_>) -> Vec<Diagnostic> {
    let mut by_file: BTreeMap<&Path, Vec<&str>> = BTreeMap::new();
    for (secret, of_whom) in named.passwords.iter().chain(&named.secrets) {
        if let Some(file) = secret.readable_by_all() {
            by_file.entry(file).or_default().push(of_whom);
        }
    }
    let told = |(file, databases): (&Path, Vec<&str>)| {
        let (file, databases) = (file.display(), databases.join(", "));
        let message = format!("every user of this host can read the password of {databases}: {file}");
        warning(
            config,
            "secret-readable-by-all",
            message,
            format!("run `chmod 600 {file}`"),
        )
    };
    by_file.into_iter().map(told).collect()
}

fn writable(config: &str, named: &NamedFiles<'_>) -> Vec<Diagnostic> {
    const ACCOUNT: &str = "say by which password the database is reached";
    const ADDRESS: &str = "say which server the password is sent to";
    let passwords = named.passwords.iter().filter_map(|(secret, _)| secret.kept_in());
    let passwords = passwords.map(|file| (file.to_owned(), ACCOUNT));
    let folders = named.folders.iter().filter(|folder| folder.is_dir());
    let of_oracle = folders.flat_map(|folder| OF_ORACLE.map(|name| (folder.join(name), ADDRESS)));
    let files: BTreeSet<(PathBuf, &str)> = passwords.chain(of_oracle).collect();
    let mut told = BTreeSet::new();
    let found = files.into_iter().filter_map(|(file, so)| {
        let (what, at) = open_to_all(&file)?;
        told.insert(at.clone()).then(|| {
            let (file, at) = (file.display(), at.display());
            let message = format!("every user of this host can change {what}, and so {so}: {file}");
            warning(config, "writable-by-all", message, format!("run `chmod o-w {at}`"))
        })
    });
    found.collect()
}
