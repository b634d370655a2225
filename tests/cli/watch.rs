//! `--watch`: its screen on a terminal, and table after table in a pipe.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use super::*;
use crate::site::{Terminal, prod};

const ENTER: &str = "\x1b[?1049h\x1b[?25l\x1b[?7l";
const LEAVE: &str = "\x1b[?7h\x1b[?25h\x1b[?1049l";

const CROWD: &str = prod!(
    running,
    "
  - {name: crowd, user: SHOP, program: JDBC Thin Client, machines: [web1], count: 60, idle: 5h, logged_on: 6h}
  - {name: busy, user: BUSY, program: loop, machines: [pc1], active: 5h, logged_on: 6h, pinned: {sid: 287, serial: 62507}}
"
);

fn crowd() -> (Db, Site) {
    let db = Db::parse(CROWD);
    let site = Site::new();
    let mut silent = entry("down", &thin(), "//127.0.0.1:1/X", false);
    silent.push('\n');
    site.policies("policies:\n  - {name: burns, when: cpu_rate >= 0 and username = BUSY, action: kill}\n  - {name: held, when: username = SHOP, for: 5s, action: kill, limits: {share: 100%, per_cycle: 1}}\n");
    site.configure_with(&[entry("prod", &thin(), &db.connect_string(), false), silent], "");
    (db, site)
}

fn watching(site: &Site, arguments: &[&str]) -> Command {
    let mut command = site.command(&thin());
    command.args(["--config", "orareaper.yaml"]).args(arguments);
    command.env("TERM", "xterm").env("NO_COLOR", "1");
    command
}

/// The last whole frame on a terminal, its lines without what draws them.
fn last_frame(screen: &str) -> Vec<String> {
    // The line discipline adds a carriage return.
    let screen = screen.replace("\r\r\n", "\r\n");
    let frame = screen.split("\x1b[H").filter(|frame| frame.contains("\x1b[J")).last();
    let frame = frame.expect("a frame").split("\x1b[J").next().unwrap_or_default();
    frame
        .split("\x1b[K\r\n")
        .map(|line| line.replace("\x1b[K", ""))
        .collect()
}

#[test]
fn a_screen_keeps_its_head_counts_the_rest_and_is_put_away_by_any_signal() {
    let (_db, site) = crowd();
    for end in ["\x03", "TERM", "HUP"] {
        let mut terminal = Terminal::of(&watching(
            &site,
            &["sessions", "--watch", "1", "--columns", "session,username"],
        ));
        terminal.has_size(24, 60);
        terminal.until_shown("a frame of that size", |screen| {
            screen.contains("\x1b[J") && last_frame(screen).len() == 24
        });
        let first = last_frame(&terminal.screen());
        assert!(first[0].contains(", every 1s; Ctrl-C ends"), "{first:?}");
        assert!(
            first[1].starts_with("prod, ") && first.iter().any(|line| line == "SESSION       USERNAME"),
            "{first:?}"
        );
        assert!(
            first
                .iter()
                .any(|line| line.starts_with("… and ") && line.ends_with(" more lines")),
            "{first:?}"
        );
        // What could not be read has its place on the screen, and standard error does not write into it.
        assert!(
            first.iter().any(|line| line.starts_with("! down could not be read: ")),
            "{first:?}"
        );
        assert!(!terminal.screen().contains("error: "), "{}", terminal.screen());
        terminal.has_size(18, 50);
        terminal.until_shown("the smaller size", |screen| last_frame(screen).len() == 18);
        if end == "\x03" {
            terminal.interrupts();
        } else {
            terminal.gets(end);
        }
        let (signal, screen) = terminal.dies();
        let expected = match end {
            "TERM" => 15,
            "HUP" => 1,
            _ => 2,
        };
        assert_eq!(signal, expected, "{screen:?}");
        assert!(screen.starts_with(ENTER), "{screen:?}");
        assert_eq!(screen.matches(LEAVE).count(), 1, "{screen:?}");
        let after = screen.split(LEAVE).nth(1).expect("it is put away");
        assert!(!after.contains("\x1b["), "{after:?}");
    }
}

#[test]
fn a_pipe_gets_whole_tables_below_the_times_of_their_readings() {
    let (_db, site) = crowd();
    let mut command = watching(
        &site,
        &["sessions", "username = SHOP", "--watch", "1", "--database", "prod"],
    );
    let mut child = command.stdout(Stdio::piped()).spawn().expect("it starts");
    let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let is_stamp = |line: &String| line.len() == 20 && line.ends_with('Z');
    // Each: a time, a title, notes, the names of the columns, sixty sessions, a blank line.
    let mut tables: Vec<Vec<String>> = vec![Vec::new()];
    for line in lines.map(|line| line.expect("text")) {
        if line.is_empty() {
            if tables.len() == 2 {
                break;
            }
            tables.push(Vec::new());
        } else {
            tables.last_mut().expect("one").push(line);
        }
    }
    for table in &tables {
        assert!(is_stamp(&table[0]), "{table:?}");
        assert_eq!(
            table.iter().filter(|line| line.contains("JDBC Thin Client")).count(),
            60,
            "{table:?}"
        );
        assert!(!table.iter().any(|line| line.contains('\x1b')), "{table:?}");
    }
    // The reader has seen enough.
    assert!(child.wait().expect("it ends").success());
}

#[test]
fn a_watched_plan_knows_rates_from_the_second_snapshot_on() {
    let (_db, site) = crowd();
    let mut command = watching(
        &site,
        &["plan", "--watch", "10", "--database", "prod", "--format", "jsonl"],
    );
    let mut child = command.stdout(Stdio::piped()).spawn().expect("it starts");
    let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let mut rows: Vec<Value> = Vec::new();
    let mut times = BTreeSet::new();
    for line in lines {
        let row: Value = serde_json::from_str(&line.expect("text")).expect("JSON");
        let is_decided = row["policy"] == "held" && row["decision"] == "act";
        rows.push(row);
        times.insert(rows.last().map(|row| row["taken_at"].to_string()));
        if is_decided || times.len() > 2 {
            break;
        }
    }
    assert_eq!(times.len(), 2, "{rows:?}");
    let unknown = rows[0]["reason"].as_str().unwrap_or_default();
    assert!(
        unknown.contains("cpu_rate is missing") && unknown.contains("`--watch` takes them"),
        "{rows:?}"
    );
    let first = |row: &&Value| row["taken_at"] == rows[0]["taken_at"];
    let of = |policy: &str, is_first: bool| {
        let decided = rows
            .iter()
            .filter(|row| row["policy"] == policy && first(row) == is_first);
        decided.map(|row| row["decision"].clone()).collect::<Vec<Value>>()
    };
    assert_eq!(of("burns", true), [json!("policy")], "nobody is known to");
    assert!(
        of("burns", false).iter().all(|decision| decision != "policy"),
        "{rows:?}"
    );
    let held = of("held", true);
    assert!(
        held.len() == 60 && held.iter().all(|decision| decision == "pending"),
        "{held:?}"
    );
    child.kill().and_then(|()| child.wait()).expect("it runs until then");
    let page = site.orareaper(&["--config", "orareaper.yaml", "plan", "--watch", "--format", "html"]);
    assert!(
        page.code == Some(2) && page.err.contains("use text, csv, json or jsonl"),
        "{}",
        page.err
    );
}
