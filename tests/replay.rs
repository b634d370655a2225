//! `record` and `replay` as typed: a recording of the simulated database, made through the real driver, and policies over it.

use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Output};

use crate::site::{Db, Site, Terminal, thin};
use serde_json::Value;

const POLICY: &str = "policies:\n  - name: idle\n    mode: enforce\n    when: INACTIVE longer than 1m\n    limits: {share: 100%}\n    action: kill\n";

fn output(command: &mut Command, code: i32) -> (String, String) {
    let Output { status, stdout, stderr } = command.output().expect("the program starts");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    let (out, err) = (text(stdout), text(stderr));
    assert_eq!(status.code(), Some(code), "{out}\n{err}");
    (out, err)
}

/// Runs the program, and returns its two outputs; it has to end with this status.
type Run<'a> = &'a dyn Fn(&[&str], i32) -> (String, String);

/// `replay --curve` and `suggest` over the recording `week.rec`.
fn other_limits_and_suggestions(run: Run<'_>) {
    let (out, _) = run(&["replay", "week.rec", "--curve", "idle"], 0);
    assert!(
        out.contains("idle with other limits than 1m of `INACTIVE longer than 1m`"),
        "{out}"
    );
    let (out, _) = run(&["replay", "week.rec", "--curve", "idle", "--format", "json"], 0);
    let last: Value = serde_json::from_str(out.lines().last().expect("lines")).expect("JSON");
    let points = last["curve"]["points"].as_array().expect("points");
    let of = |key: &str| -> Vec<u64> {
        points
            .iter()
            .map(|point| point[key].as_u64().expect("a number"))
            .collect()
    };
    assert_eq!(of("limit_s"), [60, 1_800, 3_600, 7_200, 14_400, 28_800, 86_400]);
    let ended = of("would_have_ended");
    assert!(
        ended[0] > 0 && ended.windows(2).all(|two| two[0] >= two[1]),
        "{ended:?}"
    );
    let (_, err) = run(&["replay", "week.rec", "--curve", "other"], 2);
    assert!(err.contains("--curve: no policy is called \"other\""), "{err}");

    let (out, err) = run(&["suggest", "week.rec"], 0);
    assert!(err.is_empty(), "{err}");
    assert!(
        out.contains("    mode: dry-run\n") && !out.contains("mode: enforce"),
        "{out}"
    );
    run(&["suggest", "week.rec", "-o", "suggested.yaml"], 0);
    run(&["check", "suggested.yaml"], 0);
    let (_, err) = run(&["suggest", "orareaper.yaml"], 2);
    assert!(
        err.contains("read the recording orareaper.yaml: it is not a recording"),
        "{err}"
    );
}

#[test]
fn what_is_recorded_is_replayed_and_a_cut_file_is_read_up_to_the_cut() {
    let db = Db::builtin("rac3");
    let site = Site::new();
    site.policies(POLICY);
    site.configure(&thin(), &db);
    let run = |arguments: &[&str], code| {
        let mut command = site.command(&thin());
        output(command.args(["--config", "orareaper.yaml"]).args(arguments), code)
    };
    let (out, err) = run(&["record", "-o", "week.rec", "--every", "1s", "--snapshots", "3"], 0);
    assert!(
        out.is_empty() && err.contains("3 snapshots of orcl to week.rec"),
        "{err}"
    );
    let mode = std::fs::metadata(site.path("week.rec"))
        .expect("a file")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600, "others can read the recording");
    let (_, err) = run(&["record", "-o", "week.rec", "--snapshots", "1"], 2);
    assert!(err.contains("create the recording week.rec"), "{err}");

    let (out, _) = run(&["replay", "week.rec", "--format", "json"], 0);
    let plans: Vec<Value> = out
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(plans.len(), 3);
    let acts: Vec<u64> = plans
        .iter()
        .map(|plan| plan["summary"]["act"].as_u64().expect("a count"))
        .collect();
    assert!(acts[0] > 0, "somebody has been idle for a minute: {out}");
    for plan in &plans {
        assert_eq!((&plan["database"], &plan["mode"]), (&"orcl".into(), &"dry-run".into()));
    }
    assert!(db.kills().is_empty(), "nothing is ever done");

    let (out, err) = run(&["replay", "week.rec"], 0);
    assert!(err.is_empty(), "progress is for a terminal: {err}");
    progress_is_shown_and_taken_away(&site, &out);
    let all: u64 = acts.iter().sum();
    assert!(
        out.contains(&format!("Summary: {all} actions would have been taken")),
        "{out}"
    );
    let (_, err) = run(&["replay", "week.rec", "-o", "no-such-folder/week.txt"], 2);
    assert!(err.contains("write the report to no-such-folder/week.txt: "), "{err}");
    // A report that is there is replaced as a whole.
    site.write("week.html", "x".repeat(1 << 20));
    run(&["replay", "week.rec", "--format", "html", "-o", "week.html"], 0);
    let html = std::fs::read_to_string(site.path("week.html")).expect("a page");
    assert!(html.contains("Pressure over time") && html.ends_with("</html>\n"));

    other_limits_and_suggestions(&run);
    damaged_recordings(&site, &run);
}

/// What is there of a recording that was cut is used, and it is said that this is not all of it.
fn damaged_recordings(site: &Site, run: Run<'_>) {
    let whole = std::fs::read(site.path("week.rec")).expect("a file");
    site.write("cut.rec", &whole[..whole.len() - 5]);
    let (out, err) = run(&["replay", "cut.rec", "--format", "json"], 1);
    assert_eq!(out.lines().count(), 2);
    assert!(
        err.contains("cut.rec: the block at byte ") && err.contains("is cut off"),
        "{err}"
    );
    let lacks = "the recording has 1 damaged place: the result is of the rest alone; copy the file anew";
    assert!(err.contains(lacks), "{err}");
    let (out, err) = run(&["suggest", "cut.rec"], 1);
    assert!(err.contains("is cut off") && err.contains(lacks), "{err}");
    assert!(out.starts_with(&format!("# {lacks}")), "{out}");
    run(&["suggest", "cut.rec", "-o", "of-a-part.yaml"], 1);
    run(&["check", "of-a-part.yaml"], 0);
    site.write("begun.rec", &whole[..20]);
    for command in ["replay", "suggest"] {
        let (_, err) = run(&[command, "begun.rec"], 2);
        let remedy =
            "the header of the recording is cut off: copy the file anew from where it was made, or record again";
        assert!(err.contains(remedy), "{err}");
    }
    let (_, err) = run(&["replay", "orareaper.yaml"], 2);
    assert!(err.contains("it is not a recording"), "{err}");
}

/// Policies come from `--policies` or from a configuration; where there is neither, both ways are named.
#[test]
fn without_policies_it_says_how_to_name_them() {
    let site = Site::new();
    site.write("sessions.csv", "SID,SERIAL#,STATUS\n1,2,INACTIVE\n");
    for arguments in [
        &["plan", "--snapshot", "sessions.csv"][..],
        &["explain", "--snapshot", "sessions.csv", "1,2"],
        &["explain", "--sql"],
        &["replay", "week.rec"],
    ] {
        let mut command = site.command(&thin());
        let (_, err) = output(command.args(["--config", "none.yaml"]).args(arguments), 2);
        let how = "no policies are named, and there is no configuration none.yaml that names any: name files or folders with --policies";
        assert!(err.contains(how), "{arguments:?}: {err}");
    }
}

/// On a terminal: a bar that is drawn over, then the very report that a pipe gets.
fn progress_is_shown_and_taken_away(site: &Site, report: &str) {
    let mut command = site.command(&thin());
    command.args(["--config", "orareaper.yaml", "replay", "week.rec"]);
    let (status, shown) = Terminal::of(command.env("TERM", "xterm").env("NO_COLOR", "1")).ends();
    assert_eq!(status, 0, "{shown}");
    let lines: Vec<&str> = shown.split("\r\x1b[2K").collect();
    let [bars @ .., last] = &*lines else {
        panic!("nothing is shown")
    };
    // How often it is drawn is limited; a few times always are, and its last state is drawn whatever the limit.
    assert!(bars.len() >= 3, "nothing is drawn over: {shown:?}");
    let end = bars.last().expect("there are some");
    assert!(end.contains("] 100 %  3 snapshots"), "{end:?}");
    for bar in bars {
        assert!(
            bar.starts_with('[') && bar.contains(" %  ") && bar.len() <= 80,
            "{bar:?}"
        );
    }
    // Prose is wrapped to the terminal.
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(words(last), words(report));
    let longest = last.lines().map(|line| line.trim_end().chars().count()).max();
    assert!(longest.is_some_and(|longest| longest <= 100), "{longest:?}");
}
