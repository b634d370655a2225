//! Completion in a shell, also of the names that only the configuration knows.
//!
//! A shell's script calls the program with the words typed so far and [`VARIABLE`] set. The program then answers from its own command line,
//! and reads the configuration and the policies for the names of databases and policies. It connects to nothing, asks for no password, and
//! writes no error: a shell would write that into the line that is being typed.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};

use chrono::NaiveDate;
use clap::{Arg, Command, CommandFactory};
use clap_complete::engine::{ArgValueCandidates, CompletionCandidate};
use clap_complete::env::{CompleteEnv, Shells};

use crate::cli::{CONFIG, Cli, ExitStatus};
use crate::config::PolicySources;
use crate::decide::outcome::Outcome;
use crate::decide::verify::Proof;
use crate::report::ListColumn;

/// Set by a shell's script to the name of the shell.
const VARIABLE: &str = "ORAREAPER_COMPLETE";

/// What the program is called in a shell.
const PROGRAM: &str = "orareaper";

/// Answers a shell that completes a line; `None` if none asks.
pub(crate) fn answered() -> Option<ExitStatus> {
    std::env::var_os(VARIABLE).filter(|shell| !shell.is_empty())?;
    // A panic would write into the line that is being typed.
    std::panic::set_hook(Box::new(|_| {}));
    let engine = CompleteEnv::with_factory(command).var(VARIABLE).bin(PROGRAM);
    let folder = std::env::current_dir().ok();
    match engine.try_complete(std::env::args_os(), folder.as_deref()) {
        Ok(true) => Some(ExitStatus::Fine),
        Ok(false) => None,
        Err(_) => Some(ExitStatus::Failed),
    }
}

/// Writes the script that makes a shell ask.
pub(crate) fn script(shell: clap_complete::Shell, out: &mut dyn io::Write) -> io::Result<()> {
    let shells = Shells::builtins();
    let name = shell.to_string();
    let shell = shells
        .completer(&name)
        .ok_or_else(|| io::Error::other(format!("there is no completion for the shell {name}")))?;
    shell.write_registration(VARIABLE, PROGRAM, PROGRAM, PROGRAM, out)?;
    if shell.name() == "zsh" {
        // In a folder of $fpath the whole file is the function, which zsh calls when it has loaded it.
        let function = format!("_clap_dynamic_completer_{PROGRAM}");
        writeln!(
            out,
            "if [ \"$funcstack[1]\" = \"_{PROGRAM}\" ]; then {function} \"$@\"; fi"
        )?;
    }
    Ok(())
}

/// The command line with what is known of its values.
fn command() -> Command {
    Cli::command().mut_subcommands(|sub| {
        let is_demo = sub.get_name() == "demo";
        sub.mut_args(|arg| with_values(arg, is_demo))
    })
}

fn with_values(arg: Arg, is_demo: bool) -> Arg {
    match arg.get_id().as_str() {
        // Those of the demo are in the file that it reads.
        "database" | "databases" if !is_demo => arg.add(ArgValueCandidates::new(databases)),
        "policy" | "curve" => arg.add(ArgValueCandidates::new(policies)),
        "outcome" => arg.add(ArgValueCandidates::new(|| {
            let outcomes = Outcome::ALL.into_iter().map(Outcome::name);
            named(outcomes.chain(Proof::ALL.into_iter().map(Proof::name)))
        })),
        "columns" | "sort" => arg.add(ArgValueCandidates::new(|| named(ListColumn::names()))),
        _ => arg,
    }
}

fn named<T: Into<OsString>>(names: impl IntoIterator<Item = T>) -> Vec<CompletionCandidate> {
    names.into_iter().map(CompletionCandidate::new).collect()
}

fn databases() -> Vec<CompletionCandidate> {
    let known = sources(&typed())
        .and_then(|sources| sources.databases)
        .unwrap_or_default();
    named(known.iter().map(|(name, _)| name.to_string()))
}

fn policies() -> Vec<CompletionCandidate> {
    let words = typed();
    let configured = || sources(&words).map(|sources| sources.policies).unwrap_or_default();
    let paths = Some(values_of(&words, "--policies", None))
        .filter(|paths| !paths.is_empty())
        .unwrap_or_else(configured);
    // No exemption is asked whether it has expired.
    let loaded = crate::policy::load(&paths, NaiveDate::MIN, chrono_tz::UTC);
    let known = loaded.set.map(|set| set.policies).unwrap_or_default();
    let candidates = known.iter().map(|policy| {
        let help = (!policy.description.is_empty()).then(|| policy.description.clone().into());
        CompletionCandidate::new(policy.name.to_string()).help(help)
    });
    candidates.collect()
}

/// What the configuration says that is named on the line, else the usual one.
fn sources(words: &[OsString]) -> Option<PolicySources> {
    let named = values_of(words, "--config", Some("-c")).into_iter().next_back();
    let path = named.unwrap_or_else(|| PathBuf::from(CONFIG));
    path.exists()
        .then(|| crate::config::load(&path))
        .and_then(|loaded| loaded.rules)
}

/// The words of the line that is being typed: those after the `--` with which the script hands them over.
fn typed() -> Vec<OsString> {
    std::env::args_os().skip_while(|word| word != "--").skip(1).collect()
}

/// The values of an option: joined to it, or the words after it up to the next option.
fn values_of(words: &[OsString], long: &str, short: Option<&str>) -> Vec<PathBuf> {
    let mut values = Vec::new();
    let mut is_value = false;
    for word in words {
        let text = word.to_string_lossy();
        let joined = text.strip_prefix(long).and_then(|rest| rest.strip_prefix('='));
        if let Some(value) = joined {
            values.push(at_home(OsStr::new(value)));
            is_value = false;
        } else if text.starts_with('-') {
            is_value = text == long || short.is_some_and(|short| text == short);
        } else if is_value {
            values.push(at_home(word));
            is_value = long == "--policies";
        }
    }
    values
}

/// The shell hands over what was typed, so `~/` is still to be replaced.
fn at_home(word: &OsStr) -> PathBuf {
    let path = Path::new(word);
    match (path.strip_prefix("~"), std::env::var_os("HOME")) {
        (Ok(rest), Some(home)) => Path::new(&home).join(rest),
        _ => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(line: &str, long: &str, short: Option<&str>) -> Vec<String> {
        let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        let found = values_of(&words, long, short);
        found.iter().map(|path| path.display().to_string()).collect()
    }

    #[test]
    fn the_values_of_an_option_are_found_on_an_unfinished_line() {
        let config = |line| values(line, "--config", Some("-c"));
        assert_eq!(config("orareaper --config a.yaml plan --database "), ["a.yaml"]);
        assert_eq!(config("orareaper plan --config=a.yaml --database x"), ["a.yaml"]);
        assert_eq!(config("orareaper -c a.yaml kill --database"), ["a.yaml"]);
        assert_eq!(config("orareaper plan --database"), [""; 0]);
        let policies = |line| values(line, "--policies", None);
        assert_eq!(
            policies("orareaper explain 1 --policies a b --policies=c --policy "),
            ["a", "b", "c"]
        );
    }

    #[test]
    fn the_scripts_call_the_program() {
        for shell in [
            clap_complete::Shell::Bash,
            clap_complete::Shell::Zsh,
            clap_complete::Shell::Fish,
        ] {
            let mut out = Vec::new();
            script(shell, &mut out).expect("memory takes it");
            let script = String::from_utf8(out).expect("text");
            assert!(
                script.contains(&format!("{VARIABLE}=\"{shell}\"")) || script.contains(&format!("{VARIABLE}={shell}")),
                "{script}"
            );
        }
    }
}
