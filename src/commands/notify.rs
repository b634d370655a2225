//! `notify`: sends one test message through each receiver, as the daemon would, and reports what came of it.

use std::path::Path;
use std::thread;

use serde_json::json;

use crate::cli::{ExitStatus, NotifyArgs, NotifyFormat};
use crate::clock::SystemClock;
use crate::commands::{fail, load_config, no_config, print};
use crate::config::Receiver;
use crate::yaml::diagnostics::did_you_mean;

/// What came of the message to one receiver: what it answered, or why it was not told.
type Tested = (Receiver, Result<String, String>);

/// Runs the command.
pub(crate) fn run(arguments: &NotifyArgs, config: &Path, clock: SystemClock) -> ExitStatus {
    if !config.exists() {
        return no_config(config);
    }
    let loaded = match load_config(config) {
        Ok(loaded) => loaded,
        Err(status) => return status,
    };
    let Some(notify) = loaded.notify else {
        return fail(&format!(
            "{} has no receivers of notifications: write some below `notify:`",
            config.display()
        ));
    };
    let receivers = match chosen(notify.receivers, &arguments.receivers) {
        Ok(receivers) => receivers,
        Err(problem) => return fail(&problem),
    };
    let tested = test(receivers, clock);
    let shown = match arguments.format {
        NotifyFormat::Text => text(&tested),
        NotifyFormat::Json => json(&tested),
    };
    if print(shown.as_bytes()) == ExitStatus::Failed {
        ExitStatus::Failed
    } else if tested.iter().any(|(_, result)| result.is_err()) {
        ExitStatus::Findings
    } else {
        ExitStatus::Fine
    }
}

fn chosen(receivers: Vec<Receiver>, names: &[String]) -> Result<Vec<Receiver>, String> {
    let is_known = |name: &&String| receivers.iter().any(|receiver| *receiver.name == ***name);
    if let Some(unknown) = names.iter().find(|name| !is_known(name)) {
        let known: Vec<&str> = receivers.iter().map(|receiver| &*receiver.name).collect();
        let meant = did_you_mean(unknown, known.iter().copied());
        let hint = meant.unwrap_or_else(|| format!("there are {}", known.join(", ")));
        return Err(format!("there is no receiver `{unknown}` in the configuration: {hint}"));
    }
    let is_wanted = |receiver: &Receiver| names.is_empty() || names.iter().any(|name| **name == *receiver.name);
    Ok(receivers.into_iter().filter(is_wanted).collect())
}

/// All at the same time: the slowest says how long it takes.
fn test(receivers: Vec<Receiver>, clock: SystemClock) -> Vec<Tested> {
    let results: Vec<Result<String, String>> = thread::scope(|scope| {
        let threads: Vec<_> = receivers
            .iter()
            .map(|receiver| scope.spawn(move || crate::notify::test(receiver, &clock)))
            .collect();
        let result = |thread: thread::ScopedJoinHandle<'_, Result<String, String>>| {
            let ended = thread.join();
            ended.unwrap_or_else(|_| Err("a fault in orareaper itself; its message is above".to_owned()))
        };
        threads.into_iter().map(result).collect()
    });
    receivers.into_iter().zip(results).collect()
}

fn text(tested: &[Tested]) -> String {
    let width = tested
        .iter()
        .map(|(receiver, _)| receiver.name.len())
        .max()
        .unwrap_or(0);
    let line = |(receiver, result): &Tested| {
        let (word, what) = match result {
            Ok(answer) => ("sent", answer),
            Err(why) => ("NOT SENT", why),
        };
        let (name, kind) = (&receiver.name, receiver.kind.name());
        format!("{name:width$}  {kind:12}  {word}: {what}\n")
    };
    tested.iter().map(line).collect()
}

fn json(tested: &[Tested]) -> String {
    let one = |(receiver, result): &Tested| {
        let answer = match result {
            Ok(answer) | Err(answer) => answer,
        };
        json!({
            "receiver": &*receiver.name,
            "kind": receiver.kind.name(),
            "sent": result.is_ok(),
            "answer": answer,
        })
    };
    let all: Vec<serde_json::Value> = tested.iter().map(one).collect();
    let all = serde_json::Value::Array(all);
    format!("{all:#}\n")
}
