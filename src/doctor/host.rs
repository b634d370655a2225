//! What `doctor` looks at on this host: files, the state folder, Oracle Client.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use chrono::{DateTime, Utc};
use rustix::fs::Access;

use crate::checks::{Check, Id, State};
use crate::config::web;
use crate::config::{Config, Driver, Retention};
use crate::oracle;
use crate::quantity::Bytes;
use crate::yaml::diagnostics::Diagnostic;

/// What the mode of a file or folder permits others.
const OTHERS_WRITE: u32 = 0o002;
const OTHERS_READ: u32 = 0o004;
const OTHERS_ENTER: u32 = 0o001;

/// The problems of some files as checks; fine if there are none. What others could change or read is said of its file whichever
/// part it belongs to.
#[must_use]
pub(crate) fn files(id: Id, fine: &str, problems: &[Diagnostic]) -> Vec<Check> {
    let mut checks: Vec<Check> = problems.iter().map(|problem| of_problem(id, problem)).collect();
    if !checks
        .iter()
        .any(|check| check.id == id && check.state == State::Missing)
    {
        checks.insert(0, Check::new(id, "", State::Fine, fine));
    }
    checks
}

fn of_problem(id: Id, problem: &Diagnostic) -> Check {
    let place = if problem.line > 0 {
        format!("{}:{}:{}", problem.file, problem.line, problem.column)
    } else {
        problem.file.to_string()
    };
    let (id, state) = match problem.code {
        "writable-by-all" | "secret-readable-by-all" => (Id::Exposure, State::Missing),
        _ if problem.is_error() => (id, State::Missing),
        _ => (id, State::Note),
    };
    let check = Check::new(id, &*place, state, format!("{place}: {}", problem.message));
    match (&problem.hint, state) {
        (Some(hint), _) => check.with(hint),
        (None, State::Missing) => check.with("`orareaper check` shows the place"),
        (None, State::Fine | State::Note | State::Untried) => check,
    }
}

/// What protects the pages.
#[must_use]
pub(crate) fn pages(config: &Config) -> Vec<Check> {
    let loaded = web::of(config);
    let web = loaded.web.clone();
    let (problems, notes) = loaded.problems_and_notes();
    let mut checks: Vec<Check> = problems.iter().map(|problem| of_problem(Id::Pages, problem)).collect();
    let untried = |note: &String| {
        Check::new(Id::Pages, "", State::Untried, note)
            .with("run `orareaper doctor` as root or as the daemon's own user")
    };
    checks.extend(notes.iter().map(untried));
    if let Some(web) = web {
        let (scheme, address) = (web.tls.as_ref().map_or("http", |_| "https"), config.listen);
        let found = format!("the pages are at {scheme}://{address}/, protected by {web}");
        let found = match (address.ip().is_loopback(), config.web_config.is_some()) {
            (true, false) => format!("the pages are at {scheme}://{address}/, which only this host reaches"),
            (false, false) => format!(
                "the pages are at {scheme}://{address}/ without TLS and users, as `listen_unprotected` says: something else has to \
                 keep others away"
            ),
            (_, true) => found,
        };
        let open = !address.ip().is_loopback() && config.web_config.is_none();
        let state = if open { State::Note } else { State::Fine };
        checks.insert(0, Check::new(Id::Pages, "", state, found));
    }
    checks
}

/// The state folder, and who uses it. `owner` is the process that has locked it, if any.
#[must_use]
pub(crate) fn state_folder(config: &Config, owner: Option<&str>) -> Vec<Check> {
    let folder = config.state.as_path();
    let shown = folder.display().to_string();
    let check = |state, found: String| Check::new(Id::StateFolder, &*shown, state, found);
    let metadata = match fs::metadata(folder) {
        Ok(metadata) if metadata.is_dir() => metadata,
        Ok(_) => {
            return vec![check(State::Missing, format!("{shown} is not a folder")).with("name a folder with `state`")];
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return vec![check(
                State::Note,
                format!("{shown} does not exist; the daemon makes it when it starts"),
            )];
        }
        Err(error) => {
            return vec![
                check(State::Untried, format!("look at {shown}: {error}"))
                    .with("run `orareaper doctor` as root or as the daemon's own user"),
            ];
        }
    };
    let mut checks = vec![usable(&shown, folder, owner, &metadata)];
    checks.extend(space(&shown, folder, &config.journal));
    if metadata.mode() & OTHERS_WRITE != 0 {
        let found =
            format!("every user of this host can write to {shown}, and so pause the daemon or replace its journal");
        let check = Check::new(Id::Exposure, &*shown, State::Missing, found);
        checks.push(check.with(format!("run `chmod o-w {shown}`")));
    }
    // Whoever may not enter the folder reaches no file in it.
    if metadata.mode() & OTHERS_ENTER != 0 {
        let kept = [folder.to_path_buf(), folder.join("reports")];
        let readable = kept.iter().flat_map(|place| readable_by_others(place));
        let names: Vec<String> = readable.collect();
        if let Some(first) = names.first() {
            let found = format!(
                "every user of this host can read {first}{}, and so who is logged in and what was done to whom",
                if names.len() > 1 {
                    " and others in the state folder"
                } else {
                    ""
                }
            );
            let check = Check::new(Id::Exposure, &*shown, State::Missing, found);
            checks.push(check.with(format!("run `chmod -R o= {shown}`")));
        }
    }
    checks
}

/// Whether the journal shows every action of the last day.
#[must_use]
pub(crate) fn journal(config: &Config, now: DateTime<Utc>) -> Option<Check> {
    match crate::journal::read::read(&config.state, now) {
        Ok(history) => history.missing.map(|missing| missing.check()),
        Err(error) => {
            let check = Check::new(Id::Journal, "", State::Untried, error.to_string());
            Some(check.with("run `orareaper doctor` as a member of the daemon's group, or as root"))
        }
    }
}

/// The journal's files and the reports directly in a folder which others may read.
fn readable_by_others(folder: &Path) -> Vec<String> {
    let is_open = fs::metadata(folder).is_ok_and(|metadata| metadata.mode() & OTHERS_ENTER != 0);
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut found: Vec<String> = entries
        .filter(|entry| {
            let path = entry.path();
            let is_kept = path
                .extension()
                .is_some_and(|ending| ["jsonl", "html", "json"].iter().any(|known| ending == *known));
            is_open
                && is_kept
                && entry
                    .metadata()
                    .is_ok_and(|metadata| metadata.is_file() && metadata.mode() & OTHERS_READ != 0)
        })
        .map(|entry| entry.path().display().to_string())
        .collect();
    found.sort();
    found
}

fn usable(shown: &str, folder: &Path, owner: Option<&str>, metadata: &Metadata) -> Check {
    let check = |state, found: String| Check::new(Id::StateFolder, shown, state, found);
    let of = format!(
        "belongs to user {}, mode {:04o}",
        metadata.uid(),
        metadata.mode() & 0o7777
    );
    if let Some(owner) = owner {
        return check(
            State::Fine,
            format!("{shown} {of}; a running daemon uses it (process {owner})"),
        );
    }
    match rustix::fs::access(folder, Access::WRITE_OK | Access::EXEC_OK) {
        Ok(()) => check(
            State::Fine,
            format!("{shown} {of}, can be written to, and no daemon uses it"),
        ),
        Err(error) => check(
            State::Missing,
            format!("{shown} {of}, and cannot be written to by the user of this command: {error}"),
        )
        .with("give the folder to the user that the daemon runs as, or run `orareaper doctor` as that user"),
    }
}

/// Whether there is room for all that the configuration keeps of the journal.
fn space(shown: &str, folder: &Path, kept: &Retention) -> Option<Check> {
    let whole = kept.size;
    let there = rustix::fs::statvfs(folder).ok()?;
    let free = there.f_bavail.saturating_mul(there.f_frsize);
    let size = |bytes: u64| Bytes(i64::try_from(bytes).unwrap_or(i64::MAX));
    let check = |state| {
        let found = format!(
            "{} are free where {shown} is, and a full journal takes {}",
            size(free),
            size(whole)
        );
        Check::new(Id::StateFolder, shown, state, found)
    };
    if free < kept.file_bytes() {
        Some(check(State::Missing).with("free some space: no action is taken that cannot be written to the journal"))
    } else if free < whole {
        Some(check(State::Note))
    } else {
        None
    }
}

/// Oracle Client, where a database is reached by it.
#[must_use]
pub(crate) fn client(config: &Config) -> Option<Check> {
    let mut through = config
        .databases
        .iter()
        .filter(|database| database.driver == Driver::Oci);
    let first = through.next()?;
    let check = |state, found: String| Check::new(Id::ClientLibrary, "", state, found);
    Some(match oracle::client_version(first.tns_admin.as_deref()) {
        Err(error) => check(State::Missing, error.to_string())
            .with("install Oracle Instant Client 19 or later where the loader finds it, or set `driver: thin`"),
        Ok(client) if !client.bounds_calls => check(
            State::Missing,
            format!("Oracle Client {} has no call timeout", client.version),
        )
        .with("install Oracle Client 19 or later"),
        Ok(client) if !client.knows_easy_connect_plus => check(
            State::Note,
            format!(
                "Oracle Client {} cannot bound the connecting, which version 19 can",
                client.version
            ),
        ),
        Ok(client) => check(State::Fine, format!("Oracle Client {}", client.version)),
    })
}

/// Fine if nothing in `checks` is exposed.
#[must_use]
pub(crate) fn nothing_exposed(checks: &[Check]) -> Option<Check> {
    let exposed = checks.iter().any(|check| check.id == Id::Exposure);
    (!exposed).then(|| {
        Check::new(
            Id::Exposure,
            "",
            State::Fine,
            "no other user of this host can change what decides, or read a password",
        )
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_journal_or_a_report_that_others_may_read_is_named() {
        let place = tempfile::tempdir().expect("a folder");
        let set = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("set");
        let [journal, report, switch] = ["journal.jsonl", "prod.html", "pause"].map(|name| place.path().join(name));
        for file in [&journal, &report, &switch] {
            fs::write(file, "").expect("written");
            set(file, 0o640);
        }
        let found = || readable_by_others(place.path());
        set(place.path(), 0o755);
        assert_eq!(found(), [""; 0]);
        set(&report, 0o644);
        // Everybody may know that it is paused.
        set(&switch, 0o644);
        assert_eq!(found(), [report.display().to_string()]);
        set(place.path(), 0o750);
        assert_eq!(found(), [""; 0], "nobody else gets into the folder");
    }
}
