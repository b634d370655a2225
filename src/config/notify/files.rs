//! What the file system says of the receivers: programs, certificates, and secrets that can be read.

use std::fs;
use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use super::{DeliveryWay, Notify, Receiver, ReceiverUrl, host_of};
use crate::config::Labels;
use crate::yaml::diagnostics::{Diagnostic, Severity, did_you_mean};
use crate::yaml::files::{open_regular, writable_by_all};

/// The largest file of certificates that is read, in bytes; the whole store of a distribution has a quarter of it.
pub(crate) const LARGEST_CA_FILE: u64 = 1 << 20;

const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----";

/// What is wrong with the programs and the files of certificates, as errors.
pub(crate) fn troubles_of_files(config: &str, notify: &Notify) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for receiver in &notify.receivers {
        let name = &receiver.name;
        match &receiver.way {
            DeliveryWay::Program(command) => {
                if let Some((why, hint)) = trouble_of_program(Path::new(&command[0])) {
                    let message = format!("the receiver `{name}` cannot run {}: {why}", command[0]);
                    found.push(Diagnostic::of_file(config, "bad-command", message).hint(hint));
                }
            }
            DeliveryWay::Web(web) => {
                if let Some(file) = &web.ca_file
                    && let Some(why) = trouble_of_certificates(file)
                {
                    let message = format!(
                        "`ca_file` of the receiver `{name}` cannot be used: {}: {why}",
                        file.display()
                    );
                    let hint = "it holds the certificates of the authorities to trust, in PEM";
                    found.push(Diagnostic::of_file(config, "bad-ca-file", message).hint(hint));
                }
            }
        }
    }
    found
}

/// Whoever can change the program acts as the daemon's user, so this is refused and not only told.
fn trouble_of_program(program: &Path) -> Option<(String, String)> {
    const ANYBODY_RUNS: u32 = 0o111;
    let metadata = match fs::metadata(program) {
        Ok(metadata) => metadata,
        Err(error) => {
            let hint =
                "write the path of a program that the daemon's user can run; the unit hides /home, /root and /tmp";
            return Some((error.to_string(), hint.to_owned()));
        }
    };
    if !metadata.is_file() {
        return Some((
            "it is not a file".to_owned(),
            "write the path of the program itself".to_owned(),
        ));
    }
    if metadata.permissions().mode() & ANYBODY_RUNS == 0 {
        let hint = format!("run `chmod 755 {}`", program.display());
        return Some(("nobody may execute it".to_owned(), hint));
    }
    let open = writable_by_all(program)?;
    let hint = open.hint.unwrap_or_default();
    Some(("every user of this host can change it".to_owned(), hint))
}

fn trouble_of_certificates(file: &Path) -> Option<String> {
    match certificates(file) {
        Ok(text) if text.contains(CERTIFICATE) => None,
        Ok(_) => Some("it has no certificate".to_owned()),
        Err(error) => Some(error.to_string()),
    }
}

/// The text of a file of certificates.
pub(crate) fn certificates(file: &Path) -> io::Result<String> {
    let mut text = String::new();
    open_regular(file)?
        .take(LARGEST_CA_FILE + 1)
        .read_to_string(&mut text)?;
    if text.len() as u64 > LARGEST_CA_FILE {
        let message = format!("it is larger than {LARGEST_CA_FILE} bytes");
        return Err(io::Error::new(io::ErrorKind::InvalidData, message));
    }
    Ok(text)
}

/// The secrets of receivers that cannot be read or used, and warnings of those that everybody can read. A secret that perhaps only
/// the unit can read gives a note in the second list.
pub(crate) fn unreadable_secrets(config: &str, notify: &Notify) -> (Vec<Diagnostic>, Vec<String>) {
    let (mut problems, mut notes) = (Vec::new(), Vec::new());
    for receiver in &notify.receivers {
        for (source, what) in receiver.secrets() {
            let name = &receiver.name;
            match source.read() {
                Ok(secret) => {
                    if let Some(why) = unusable_address(receiver, what, secret.reveal()) {
                        let message = format!("{what} of the receiver `{name}` cannot be used: {source}: {why}");
                        problems.push(Diagnostic::of_file(config, "bad-url", message));
                    }
                }
                Err(error) if error.may_be_of_the_unit() => {
                    notes.push(format!("{what} of the receiver {name} was not checked: {error}"));
                }
                Err(error) => {
                    let message = format!("{what} of the receiver `{name}` cannot be used: {error}");
                    problems.push(Diagnostic::of_file(config, "unreadable-secret", message));
                }
            }
        }
    }
    (problems, notes)
}

fn unusable_address(receiver: &Receiver, what: &str, secret: &str) -> Option<String> {
    let DeliveryWay::Web(web) = &receiver.way else {
        return None;
    };
    let is_address = matches!(web.url, ReceiverUrl::Stored(_)) && what == "the address";
    let fault = host_of(secret, web.plain_http).err().filter(|_| is_address)?;
    Some(fault.to_string())
}

/// Warnings of filters that nothing can pass: patterns that match none of these policies, or no database.
pub(crate) fn unmatched_filters(
    config: &str,
    notify: &Notify,
    policies: &[&str],
    databases: &[(Arc<str>, Labels)],
) -> Vec<Diagnostic> {
    let warn = |message: String, hint: Option<String>| {
        let mut warning = Diagnostic::of_file(config, "filter-without-match", message);
        warning.severity = Severity::Warning;
        warning.maybe_hint(hint)
    };
    let mut found = Vec::new();
    for Receiver { name, filter, .. } in &notify.receivers {
        for pattern in &filter.policies {
            if !policies.iter().any(|policy| pattern.matches(policy)) {
                let message =
                    format!("the receiver `{name}` is for the policy `{pattern}`, but there is no such policy");
                let hint = did_you_mean(pattern.as_str(), policies.iter().copied());
                found.push(warn(message, hint));
            }
        }
        for selector in &filter.databases {
            if !databases.iter().any(|(name, labels)| selector.selects(name, labels)) {
                let message =
                    format!("the receiver `{name}` is for the database `{selector}`, but there is no such database");
                let hint = did_you_mean(&selector.to_string(), databases.iter().map(|(name, _)| &**name));
                found.push(warn(message, hint));
            }
        }
    }
    found
}
