//! Every command in a document is one that there is: those of orareaper are parsed by its own command line, others name tools
//! that are known and files of the project that exist. The pages that lead somebody through a task are walked through.

use std::collections::BTreeSet;
use std::path::Path;

use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser as _};
use orareaper::cli::Cli;

use crate::documentation::{blocks, read};
use crate::site::{Db, Site, entry, prod, thin, told, until};

/// Programs of the host that documents name. Another one may be added; a misspelt one may not.
const TOOLS: &[&str] = &[
    "apt",
    "apt-get",
    "chmod",
    "chown",
    "cp",
    "curl",
    "cut",
    "df",
    "dnf",
    "docker",
    "dpkg",
    "echo",
    "printf",
    "shred",
    "systemd-run",
    "git",
    "grep",
    "install",
    "jq",
    "kubectl",
    "ldconfig",
    "ls",
    "mdbook",
    "mkdir",
    "openssl",
    "podman",
    "rm",
    "rpm",
    "sed",
    "sha256sum",
    "sqlplus",
    "systemctl",
    "systemd-creds",
    "systemd-sysusers",
    "tar",
    "tr",
    "usermod",
];

/// Those of which the arguments matter: the log's reader is asked for the daemon's unit.
const JOURNALCTL: &str = "journalctl";

/// One command of a document.
pub(crate) struct Line {
    /// The line of the document where its block begins.
    pub(crate) number: usize,
    pub(crate) words: Vec<String>,
}

/// The documents that have commands in them.
fn documents() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let pages = std::fs::read_dir(folder)
        .expect("docs")
        .map(|entry| entry.expect("readable"));
    let pages = pages.map(|entry| format!("docs/{}", entry.file_name().to_string_lossy()));
    let mut pages: Vec<String> = pages.filter(|path| path.ends_with(".md")).collect();
    pages.extend(["README.md", "CONTRIBUTING.md", "SECURITY.md", "tests/README.md"].map(str::to_owned));
    pages.sort();
    pages
}

/// The commands in the shell blocks of a document: pipelines and lists are taken apart, redirections left out.
pub(crate) fn lines(page: &str) -> Vec<Line> {
    let mut found = Vec::new();
    for (kind, number, text) in blocks(&read(page)) {
        if kind != "sh" {
            assert!(
                !["bash", "shell", "console"].contains(&kind.as_str()),
                "{page} line {number}: call it `sh`"
            );
            continue;
        }
        for line in text.replace("\\\n", " ").lines() {
            let words =
                shlex::split(line).unwrap_or_else(|| panic!("{page} line {number}: a quote is not closed: {line}"));
            let commands = words.split(|word| ["|", "&&", "||", ";"].contains(&word.as_str()));
            found.extend(commands.filter(|words| !words.is_empty()).map(|words| {
                let end = words.iter().position(|word| word == ">" || word == "<");
                let words = &words[..end.unwrap_or(words.len())];
                // Variables that are set for this command alone.
                let begin = words.iter().position(|word| !is_assignment(word)).unwrap_or(0);
                let words = words[begin..].to_vec();
                Line { number, words }
            }));
        }
    }
    found
}

fn is_assignment(word: &str) -> bool {
    let name = word.split_once('=').map_or("", |(name, _)| name);
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_')
}

/// The arguments of orareaper, if this command runs it: itself, as another user, or by way of cargo.
fn arguments(words: &[String]) -> Option<&[String]> {
    let words = match words.first().map(String::as_str) {
        Some("sudo") if words.get(1).is_some_and(|word| word == "-u") => words.get(3..)?,
        Some("sudo") => &words[1..],
        _ => words,
    };
    match words.first()?.as_str() {
        "orareaper" => Some(&words[1..]),
        "cargo" if words.get(1).is_some_and(|word| word == "run") => {
            let dashes = words.iter().position(|word| word == "--")?;
            Some(&words[dashes + 1..])
        }
        _ => None,
    }
}

/// What the program's own command line says of these arguments; nothing if it takes them.
fn refusal(arguments: &[String]) -> Option<clap::Error> {
    let program = std::iter::once("orareaper").chain(arguments.iter().map(String::as_str));
    let refused = Cli::try_parse_from(program).err()?;
    let asks_for_help = matches!(refused.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    (!asks_for_help).then_some(refused)
}

/// Why a command that is not orareaper's cannot be what was meant.
fn stranger(words: &[String]) -> Option<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let tool = words[0].as_str();
    let of_project = ["docs/", "monitoring/", "packaging/", "policies/", "systemd/", "tests/"];
    let missing = words.iter().find(|word| {
        let named = of_project.iter().any(|folder| word.starts_with(folder));
        let pattern = root.join(word);
        named && glob::glob(&pattern.to_string_lossy()).map_or(true, |mut found| found.next().is_none())
    });
    if let Some(missing) = missing {
        return Some(format!("there is no {missing}"));
    }
    if tool == JOURNALCTL {
        let of_unit =
            words.get(1).is_some_and(|word| word == "-u") && words.get(2).is_some_and(|word| word == "orareaper");
        return (!of_unit).then(|| "the log of another unit".to_owned());
    }
    let is_of_project = tool.contains('/') && root.join(tool).is_file();
    (!is_of_project && tool != "cargo" && !TOOLS.contains(&tool)).then(|| format!("no test knows the tool {tool}"))
}

#[test]
fn every_command_in_every_document_is_one_that_there_is() {
    let (mut own, mut others, mut wrong) = (0, 0, Vec::new());
    for page in documents() {
        for line in lines(&page) {
            let place = format!("{page} line {}: {}", line.number, line.words.join(" "));
            if let Some(arguments) = arguments(&line.words) {
                own += 1;
                wrong.extend(refusal(arguments).map(|why| format!("{place}: {why}")));
            } else {
                others += 1;
                wrong.extend(stranger(&line.words).map(|why| format!("{place}: {why}")));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(
        own > 60 && others > 30,
        "{own} {others}: this test looks at the wrong thing"
    );
}

/// What stands between backticks in a text and begins with the program's name.
fn mentioned(text: &str) -> Vec<Vec<String>> {
    let quoted = text.split('`').skip(1).step_by(2);
    let own = quoted.filter(|words| words.starts_with("orareaper "));
    own.map(|words| shlex::split(words).unwrap_or_else(|| panic!("a quote is not closed: {words}")))
        .collect()
}

/// A text about the program may leave out what a command needs (`orareaper prove`), or name it in capitals; everything else has to be
/// as the command line takes it.
fn is_taken(words: &[String]) -> Result<(), String> {
    let is_placeholder = |word: &String| word.starts_with('[') || word.contains("SID") || word == "HASH";
    let words: Vec<String> = words[1..]
        .iter()
        .filter(|word| !is_placeholder(word))
        .cloned()
        .collect();
    match refusal(&words) {
        Some(why) if why.kind() != ErrorKind::MissingRequiredArgument => Err(why.to_string()),
        Some(_) | None => Ok(()),
    }
}

#[test]
fn every_command_that_a_text_mentions_is_one_that_there_is() {
    let (mut count, mut wrong) = (0, Vec::new());
    for page in documents() {
        let text = read(&page);
        // Blocks have a test of their own.
        let outside: String = text.split("```").step_by(2).collect();
        for words in mentioned(&outside) {
            count += 1;
            wrong.extend(
                is_taken(&words)
                    .err()
                    .map(|why| format!("{page}: {}: {why}", words.join(" "))),
            );
        }
    }
    for words in mentioned(&without_templates(&read("monitoring/alerts.yml"))) {
        count += 1;
        wrong.extend(
            is_taken(&words)
                .err()
                .map(|why| format!("alerts.yml: {}: {why}", words.join(" "))),
        );
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count > 40, "{count}: this test looks at the wrong thing");
}

/// An annotation with `x` for each value that Prometheus puts in.
fn without_templates(text: &str) -> String {
    let mut parts = text.split("{{");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        plain.push('x');
        plain.push_str(part.split_once("}}").map_or("", |(_, after)| after));
    }
    plain
}

#[test]
fn a_command_that_there_is_not_is_refused() {
    let words = |line: &str| shlex::split(line).expect("whole");
    for line in [
        "orareaper histroy --since 15m",
        "sudo orareaper history --sinse 15m",
        "orareaper kill somebody",
        "cargo run --release -- demonstrate",
        "orareaper plan --format pdf",
    ] {
        let words = words(line);
        assert!(arguments(&words).and_then(refusal).is_some(), "{line} is taken");
    }
    for line in [
        "systemclt reload orareaper",
        "cp systemd/orareaper.yml /etc",
        "tests/ran",
        "journalctl -u oracle",
    ] {
        assert!(stranger(&words(line)).is_some(), "{line} is taken");
    }
    assert!(is_taken(&words("orareaper pauze")).is_err() && is_taken(&words("orareaper prove")).is_ok());
}

#[test]
fn the_page_on_commands_has_every_command() {
    let page = read("docs/commands.md");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
    let described: BTreeSet<&str> = rows
        .flat_map(|row| row.split(" | ").next().unwrap_or_default().split("`, `"))
        .map(|cell| {
            let cell = cell.split(['`', ' ']).next();
            cell.unwrap_or_default()
        })
        .collect();
    let program = Cli::command();
    let commands: BTreeSet<&str> = program.get_subcommands().map(clap::Command::get_name).collect();
    assert_eq!(described, commands);
}

/// One armed database called `prod`, where a session has been idle for five hours and another one works.
const OFFICE: &str = prod!(
    running,
    "
  - {name: forgotten, user: SCOTT, program: sqlplus, machines: [pc1], count: 4, idle: 5h, logged_on: 6h}
  - {name: busy, user: SHOP, program: JDBC Thin Client, machines: [web1], active: 1m, logged_on: 6h, pinned: {sid: 287, serial: 62507}}
"
);

fn office(armed: bool) -> (Db, Site) {
    let db = Db::parse(OFFICE);
    let site = Site::new();
    site.configure_with(&[entry("prod", &thin(), &db.connect_string(), armed)], "");
    (db, site)
}

/// Runs the commands of orareaper on a page, in their order. Each has to succeed.
fn walk(page: &str, site: &Site, left_out: &[&str]) -> usize {
    let mut walked = 0;
    for line in lines(page) {
        let Some(arguments) = arguments(&line.words) else {
            continue;
        };
        if left_out
            .iter()
            .any(|word| arguments.iter().any(|argument| argument == word))
        {
            continue;
        }
        let mut command = site.command(&thin());
        let (status, said) = told(command.args(["--config", "orareaper.yaml"]).args(arguments));
        // The clock of the simulated database is not the host's, which `doctor` names.
        let expected = if arguments[0] == "doctor" { 0..=1 } else { 0..=0 };
        assert!(
            expected.contains(&status),
            "{page}: orareaper {}: {said}",
            arguments.join(" ")
        );
        walked += 1;
    }
    walked
}

#[test]
fn the_commands_of_the_runbook_run_beside_a_daemon() {
    let (db, site) = office(true);
    // One command tests the receivers of notifications.
    site.configure_with(
        &[entry("prod", &thin(), &db.connect_string(), true)],
        "notify: {receivers: [{name: dba-chat, kind: program, command: [/bin/true]}]}\n",
    );
    site.policies(
        "policies:\n  - {name: idle-application-sessions, mode: enforce, when: INACTIVE longer than 4h, action: kill, limits: {share: 100%}}\n",
    );
    let daemon = site.run(&thin());
    site.journals("verification", |record| record["proof"] == "gone");
    let walked = walk("docs/runbook.md", &site, &[]);
    assert!(walked > 30, "{walked}");
    // The last of them ended the pause, and what the first alert's entry shows is who and why.
    until("the end of the pause", || {
        daemon.metric("orareaper_paused") == Some(0.0)
    });
    let first = lines("docs/runbook.md")
        .into_iter()
        .filter_map(|line| Some(arguments(&line.words)?.to_vec()));
    let first = first
        .into_iter()
        .find(|arguments| arguments[0] == "history")
        .expect("who was ended");
    let mut command = site.command(&thin());
    let (_, said) = told(command.args(["--config", "orareaper.yaml"]).args(&first));
    let shown = [
        "SCOTT",
        "idle-application-sessions",
        "INACTIVE for 5h",
        "longer than 4h",
        "gone after",
    ];
    assert!(shown.iter().all(|word| said.contains(word)), "{first:?}: {said}");
}

/// With the policy that the page begins with, and its test.
#[test]
fn the_first_week_can_be_walked_through() {
    let (db, site) = office(false);
    let name = "idle-application-sessions";
    site.write(&format!("policies/{name}.yaml"), read(&format!("policies/{name}.yaml")));
    for file in ["timeline.yaml", "expect.yaml"] {
        let path = format!("policies/tests/{name}/{file}");
        site.write(&path, read(&path));
    }
    // That one waits for two minutes, which no clock of a database shortens.
    site.write(
        "policies/at-once.yaml",
        "policies:\n  - {name: at-once, when: INACTIVE longer than 4h, action: kill}\n",
    );
    let _daemon = site.run(&thin());
    site.journals("outcome", |record| record["outcome"] == "assumed");
    // The daemon runs already, a recording takes its time, and a proof has tests of its own.
    let walked = walk("docs/first-week.md", &site, &["record", "replay", "suggest", "prove"]);
    assert!(walked > 20, "{walked}");
    assert_eq!(db.kills(), [], "a week of rehearsal ends no session");
}
