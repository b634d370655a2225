//! Colours, and how much is said: the same rule for results, messages and help.

use super::*;
use crate::site::Terminal;

const ESCAPE: char = '\x1b';

/// What a command shows on a terminal that calls itself `term`.
fn on_a_terminal(site: &Site, variables: &[(&str, &str)], arguments: &[&str]) -> String {
    let mut command = site.command(&thin());
    command.args(arguments).env("TERM", "xterm");
    command.envs(variables.iter().copied());
    Terminal::of(&command).ends().1
}

#[test]
fn colours_are_for_a_terminal_unless_somebody_says_otherwise() {
    let site = desk();
    site.write("broken.yaml", "policies: [{name: x, when: stats = 1, action: kill}]\n");
    let plan = PLAN.as_slice();
    for command in [
        plan,
        &["--help"],
        &["check", "broken.yaml"],
        &["plann"],
        &["plan", "--help"],
    ] {
        let terminal =
            |variables, more: &[&str]| on_a_terminal(&site, variables, &[command, more].concat()).contains(ESCAPE);
        assert!(terminal(&[], &[]), "{command:?}");
        assert!(terminal(&[("NO_COLOR", "")], &[]), "{command:?}: it is empty");
        assert!(!terminal(&[("NO_COLOR", "1")], &[]), "{command:?}");
        assert!(!terminal(&[("TERM", "dumb")], &[]), "{command:?}");
        assert!(
            !terminal(&[("CLICOLOR_FORCE", "1")], &["--color", "never"]),
            "{command:?}"
        );
        assert!(terminal(&[("NO_COLOR", "1")], &["--color=always"]), "{command:?}");
        let piped = |variables: &[(&str, &str)], more: &[&str]| {
            let mut piped = site.command(&thin());
            let ran = ran(piped.args(command).args(more).envs(variables.iter().copied()));
            (ran.out + &ran.err).contains(ESCAPE)
        };
        assert!(!piped(&[("TERM", "xterm")], &[]), "{command:?}");
        assert!(piped(&[("CLICOLOR_FORCE", "1")], &[]), "{command:?}");
        assert!(piped(&[], &["--color", "always"]), "{command:?}");
        assert!(
            !piped(&[("NO_COLOR", "1"), ("CLICOLOR_FORCE", "1")], &[]),
            "{command:?}"
        );
    }
    let mut colourless = on_a_terminal(&site, &[], plan);
    for code in [
        "\x1b[0m", "\x1b[1m", "\x1b[2m", "\x1b[31m", "\x1b[32m", "\x1b[33m", "\x1b[35m", "\r",
    ] {
        colourless = colourless.replace(code, "");
    }
    assert_eq!(
        colourless,
        on_a_terminal(&site, &[("NO_COLOR", "1")], plan).replace('\r', ""),
        "colours change nothing but colours"
    );
}

#[test]
fn less_or_more_is_said_and_the_exit_status_stays() {
    let site = desk();
    let said = |more: &[&str]| {
        let ran = plan(&site, &[&["--taken-at", "2026-11-22T10:00:00Z"], more].concat());
        assert_eq!(ran.code, Some(0), "{}", ran.err);
        ran.out
    };
    let (less, usual) = (said(&["--quiet"]), said(&[]));
    assert!(
        less.contains("287,62507,@1") && usual.contains("287,62507,@1"),
        "{less}"
    );
    for left_out in ["> ALTER SYSTEM KILL SESSION", "spared 1 by sys"] {
        assert!(usual.contains(left_out) && !less.contains(left_out), "{usual}{less}");
    }
    let checked = |more: &[&str]| site.orareaper(&[&["check", "policies"], more].concat());
    assert!(
        checked(&[]).err.contains("1 policy, 0 exemptions, 0 errors"),
        "{}",
        checked(&[]).err
    );
    assert_eq!(checked(&["-q"]).err, "");
    let told = checked(&["-v"]).err;
    assert!(
        told.contains("policies/policies.yaml:1: policy idle (dry-run, kill)"),
        "{told}"
    );
    site.write("broken.yaml", "policies: [{name: x, when: stats = 1, action: kill}]\n");
    let broken = site.orareaper(&["check", "-q", "broken.yaml"]);
    assert!(
        broken.code == Some(1) && broken.err.contains("unknown-column"),
        "{}",
        broken.err
    );
    let case = project("tests/cases/idle-longer-than");
    let passed = site.orareaper(&["test", "--quiet", &case]);
    assert_eq!((passed.code, &*passed.out, &*passed.err), (Some(0), "", ""));
    let both = site.orareaper(&["check", "-q", "-v", "policies"]);
    assert!(
        both.code == Some(2) && both.err.contains("cannot be used with"),
        "{}",
        both.err
    );
}

#[test]
fn sessions_show_the_columns_that_are_asked_for_in_the_order_that_is_asked_for() {
    let site = desk();
    let list = |more: &[&str]| {
        let ran = site.orareaper(
            &[
                &["sessions", "--snapshot", "sessions.csv", "--policies", "policies"],
                more,
            ]
            .concat(),
        );
        assert_eq!(ran.code, Some(0), "{}", ran.err);
        ran.out
    };
    let text = list(&["--columns", "session,IDLE,module,policies", "--sort", "idle desc"]);
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('!')).skip(1).collect();
    assert_eq!(
        lines,
        [
            "SESSION         IDLE  MODULE  POLICIES",
            "40,9,@1       5h 33m  -       protected (sys): idle",
            "287,62507,@1  5h 12m  -       act: idle",
            "32,36107,@1       4h  -       -",
        ]
    );
    let csv = list(&["--columns", "sid,idle,program", "--sort", "-idle", "--format", "csv"]);
    // Seconds; there is no time in the file.
    assert_eq!(
        csv,
        "database,taken_at,sid,idle,program\r\nsnapshot,,40,20000,sqlplus@db1\r\nsnapshot,,287,18720,sqlplus@web01\r\n\
         snapshot,,32,14400,\"JDBC Thin Client, \"\"A\"\"\"\r\n"
    );
    let lines = list(&["--columns", "idle", "--sort", "username", "--format", "jsonl"]);
    let sessions: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let seen: Vec<_> = sessions
        .iter()
        .map(|session| (session["sid"].clone(), session["values"].clone()))
        .collect();
    assert_eq!(
        seen,
        [
            (json!(287), json!({"idle": 18720})),
            (json!(32), json!({"idle": 14400})),
            (json!(40), json!({"idle": 20000})),
        ]
    );
    // PMON has no user, and comes last either way.
    for key in ["username", "-username"] {
        let all = list(&["--all", "--columns", "sid,username", "--sort", key, "--format", "csv"]);
        assert_eq!(all.lines().last(), Some("snapshot,,2,"), "{key}: {all}");
    }
    let unknown = site.orareaper(&["sessions", "--columns", "usernmae"]);
    assert!(
        unknown.code == Some(2)
            && unknown
                .err
                .contains("there is no column usernmae; did you mean `username`?"),
        "{}",
        unknown.err
    );
}

#[test]
fn a_row_for_a_program_that_reads_on_has_all_that_is_known_of_it() {
    let site = desk();
    let parsed = |text: &str| -> Vec<Value> {
        let lines = text.lines();
        lines.map(|line| serde_json::from_str(line).expect("JSON")).collect()
    };
    let rows = parsed(&plan(&site, &["--format", "jsonl"]).out);
    let decided: Vec<_> = rows.iter().filter(|row| row["sid"] == 287).collect();
    assert_eq!(decided.len(), 1, "{rows:?}");
    assert_eq!(
        (
            &decided[0]["database"],
            &decided[0]["policy"],
            &decided[0]["decision"],
            &decided[0]["mode"]
        ),
        (&json!("snapshot"), &json!("idle"), &json!("act"), &json!("dry-run"))
    );
    assert!(
        rows.iter().any(|row| row["decision"] == "note" && row["sid"].is_null()),
        "{rows:?}"
    );
    // A policy that decides about nobody is not left out, as in CSV.
    site.policies("policies: [{name: nobody, when: username = NOBODY, action: kill}]\n");
    let rows = parsed(&plan(&site, &["--format", "jsonl"]).out);
    let silent = rows.last().expect("rows");
    assert_eq!(
        (&silent["policy"], &silent["decision"], &silent["reason"]),
        (&json!("nobody"), &json!("policy"), &json!("nobody"))
    );
    let csv = plan(&site, &["--format", "csv"]).out;
    assert!(
        csv.lines()
            .last()
            .is_some_and(|row| row.contains(",nobody,") && row.contains(",policy,nobody,")),
        "{csv}"
    );
    site.write(
        "broken.yaml",
        "policies: [{name: x, when: stats = 1, action: kill}, {name: x}]\n",
    );
    let told = site.orareaper(&["check", "broken.yaml", "--format", "jsonl"]);
    let problems = parsed(&told.out);
    assert!(told.code == Some(1) && problems.len() >= 2, "{}", told.out);
    assert_eq!(problems[0]["code"], "unknown-column");
}

#[test]
fn a_hyphen_is_standard_input_or_output_or_refused_with_the_reason() {
    let site = desk();
    let fed = |input: &str, arguments: &[&str]| {
        site.write("input", input);
        let input = File::open(site.path("input")).expect("it was written");
        ran(site.command(&thin()).args(arguments).stdin(input))
    };
    let usual = plan(&site, &[]).out;
    let from_stdin = fed(IDLE, &["plan", "--snapshot", "sessions.csv", "--policies", "-"]);
    assert_eq!(from_stdin.out, usual, "{}", from_stdin.err);
    assert_eq!(plan(&site, &["-o", "-"]).out, usual);
    assert!(!site.path("-").exists());
    let wrong = fed(
        "policies: [{name: x, when: stats = 1, action: kill}]\n",
        &["check", "-"],
    );
    assert_eq!(wrong.code, Some(1));
    assert!(wrong.err.contains("--> standard input:1:"), "{}", wrong.err);
    let refused: [(&[&str], &str); 6] = [
        (
            &["plan", "--snapshot", "-", "--policies", "-"],
            "standard input can be read only once",
        ),
        (
            &["--config", "-", "check"],
            "read the configuration from standard input: that is not possible, because",
        ),
        (&["--config", "-", "plan"], "save it, and name the file with --config"),
        (&["test", "-"], "a test is a folder"),
        (&["man", "--folder", "-"], "there is one a command"),
        (
            &["replay", "-", "--policies", "policies"],
            "read the recording standard input: it is not a recording",
        ),
    ];
    for (arguments, why) in refused {
        let told = fed("x", arguments);
        assert_eq!(told.code, Some(2), "{arguments:?}: {}", told.err);
        assert!(told.err.contains(why), "{arguments:?}: {}", told.err);
    }
    let case = project("tests/cases/idle-longer-than");
    let xml = site.orareaper(&["test", &case, "--junit", "-"]);
    assert!(
        xml.out.starts_with("<?xml") && xml.err.contains("ok      "),
        "{}{}",
        xml.out,
        xml.err
    );
}

/// The reader closes the pipe before the program writes: what cannot be written is no error, and nothing panics.
#[test]
fn a_closed_pipe_ends_a_command_quietly() {
    let site = desk();
    let case = project("tests/cases/idle-longer-than");
    let commands: [&[&str]; 11] = [
        &["--help"],
        &["--version"],
        &["man"],
        &["completions", "bash"],
        &["check", "--print-schema"],
        &["test", &case],
        &PLAN,
        &[
            "plan",
            "--snapshot",
            "sessions.csv",
            "--policies",
            "policies",
            "--format",
            "jsonl",
        ],
        &["sessions", "--snapshot", "sessions.csv", "--policies", "policies"],
        &["explain", "287", "--snapshot", "sessions.csv", "--policies", "policies"],
        &["setup-sql", "--for", "19c", "--pdb", "--config", "orareaper.yaml"],
    ];
    site.configure_with(&[entry("prod", &thin(), "//127.0.0.1:1/X", false)], "");
    for arguments in commands {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let ended = ran(site.command(&thin()).args(arguments).stdout(writer));
        assert_eq!(ended.code, Some(0), "{arguments:?}: {}", ended.err);
        assert!(!ended.err.contains("error"), "{arguments:?}: {}", ended.err);
    }
}
