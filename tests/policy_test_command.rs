//! `orareaper test` as a DBA and a build server see it: what it prints, its JUnit XML, its exit status.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

const POLICY: &str = "policies:\n  - {name: idle, when: INACTIVE longer than 4h, action: kill}\n";
const TIMELINE: &str = "snapshots:\n  - at: 2026-11-23T10:00:00Z\n    sessions: [{sid: 287, serial#: 62507, last_call_et: 5h, \
                        program: 'a<b&\"c\"'}]\n";
const RIGHT: &str = "- act: [{session: \"287,62507,@1\", statement: \"ALTER SYSTEM KILL SESSION '287,62507,@1'\"}]\n";
const WRONG: &str = "- act: [{session: \"288,1,@1\", reason: \"<idle>\"}]\n";

/// A folder with tests in folders of their own: name, policy, timeline, expectation.
fn site(tests: &[(&str, &str, &str, &str)]) -> TempDir {
    let site = tempfile::tempdir().expect("a folder");
    for (name, policy, timeline, expect) in tests {
        let folder = site.path().join(name);
        std::fs::create_dir_all(&folder).expect("created");
        for (file, text) in [
            ("policy.yaml", policy),
            ("timeline.yaml", timeline),
            ("expect.yaml", expect),
        ] {
            if !text.is_empty() {
                std::fs::write(folder.join(file), text).expect("written");
            }
        }
    }
    site
}

fn run(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_orareaper"))
        .current_dir(folder)
        .args(arguments)
        .output()
        .expect("the program runs")
}

fn status(output: &Output) -> i32 {
    output.status.code().expect("it ended by itself")
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("UTF-8")
}

fn project() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// A timeline, an expectation, and what is said of the one that is wrong.
const MISTAKES: [(&str, &str, &str); 16] = [
    (
        TIMELINE,
        "act: []\n",
        "\nexpect.yaml:1:1: expected a list, such as `[...]`\n",
    ),
    (
        TIMELINE,
        "- act: {session: \"1,1,@1\"}\n",
        "\nexpect.yaml:1:8: expected a list, ",
    ),
    (
        TIMELINE,
        "- act: [287]\n",
        "\nexpect.yaml:1:9: expected keys with values, such as `session: ",
    ),
    (TIMELINE, "- 5\n", "\nexpect.yaml:1:3: expected keys with values, "),
    (TIMELINE, "# nothing\n", "\nexpect.yaml: the file is empty\n"),
    (
        TIMELINE,
        "- act: [{session: [1]}]\n",
        "\nexpect.yaml:1:19: expected a text\n",
    ),
    (
        TIMELINE,
        "- act: [{session: }]\n",
        "\nexpect.yaml:1:17: there is no value\n",
    ),
    (
        TIMELINE,
        "- akt: []\n",
        "\nexpect.yaml:1:3: unknown key `akt`, expected one of act, pending, ",
    ),
    (
        TIMELINE,
        "- act: [{}]\n",
        "\nexpect.yaml:1:9: there is no key `session`\n",
    ),
    (
        TIMELINE,
        "- act: []\n  act: []\n",
        "\nexpect.yaml:2:3: this key is there twice: act\n",
    ),
    (TIMELINE, "- act: [\n", "\nexpect.yaml:1:8: unclosed bracket '['\n"),
    ("5\n", RIGHT, "\ntimeline.yaml:1:1: expected keys with values, "),
    (
        "snapshots: [{at: 1, sessions: x}]\n",
        RIGHT,
        "\ntimeline.yaml:1:31: expected a list, ",
    ),
    (
        "snapshots:\n  - {at: x, sessions: [{sid: [1]}]}\n",
        RIGHT,
        "\ntimeline.yaml:2:24: expected a text, a whole number or null\n",
    ),
    (
        "limits: {per_hour: many}\nsnapshots: []\n",
        RIGHT,
        "\ntimeline.yaml:1:20: expected a whole number\n",
    ),
    (
        "armed: perhaps\nsnapshots: []\n",
        RIGHT,
        "\ntimeline.yaml:1:8: expected true or false\n",
    ),
];

#[test]
fn a_wrong_file_is_told_in_a_dba_s_words_with_its_place() {
    for (timeline, expect, said) in MISTAKES {
        let site = site(&[("one", POLICY, timeline, expect)]);
        let told = run(site.path(), &["test", "."]);
        let text = format!("{}{}", out(&told), err(&told));
        assert_ne!(status(&told), 0, "{text}");
        assert!(text.contains(said), "{said}: {text}");
        for word in [
            "serial", "mapping", "sequence", "scalar", "untagged", "u32", "Option", "<input>",
        ] {
            assert!(!text.contains(word), "{word}: {text}");
        }
    }
}

#[test]
fn the_shipped_policies_pass_their_tests_and_check() {
    let tested = run(&project(), &["test", "policies/"]);
    assert_eq!(status(&tested), 0, "{}{}", out(&tested), err(&tested));
    assert!(out(&tested).contains("ok      policies/tests/idle-application-sessions\n"));
    let folders = std::fs::read_dir(project().join("policies/tests"))
        .expect("it is there")
        .count();
    assert_eq!(err(&tested), format!("{folders} passed, 0 failed\n"));
    // The tests beside them are no policies.
    let checked = run(&project(), &["check", "policies/"]);
    assert_eq!(
        (status(&checked), err(&checked).as_str()),
        (0, "5 files, 7 policies, 0 exemptions, 0 errors, 0 warnings\n"),
        "{}",
        out(&checked)
    );
}

#[test]
fn a_difference_is_shown_with_what_was_expected_and_what_was_decided() {
    let site = site(&[
        ("deep/er/good", POLICY, TIMELINE, RIGHT),
        ("bad", POLICY, TIMELINE, WRONG),
    ]);
    let tested = run(site.path(), &["test", "."]);
    assert_eq!(status(&tested), 1);
    assert_eq!(
        out(&tested),
        "FAILED  ./bad\n\
         snapshot 1 at 2026-11-23T10:00:00Z:\n  \
           - expected act 288,1,@1, because \"<idle>\"\n  \
           + act 287,62507,@1 by idle (dry-run): INACTIVE for 5h, longer than 4h; statement: ALTER SYSTEM KILL SESSION \
         '287,62507,@1'\n\
         ok      ./deep/er/good\n"
    );
    assert_eq!(err(&tested), "1 passed, 1 failed\n");
}

#[test]
fn the_junit_file_tells_the_same() {
    let broken = "snapshots:\n  - {at: yesterday & before, sessions: []}\n";
    let site = site(&[
        ("good", POLICY, TIMELINE, RIGHT),
        ("bad", POLICY, TIMELINE, WRONG),
        ("broken", POLICY, broken, RIGHT),
    ]);
    let tested = run(site.path(), &["test", ".", "--junit", "result.xml"]);
    assert_eq!(status(&tested), 1);
    let xml = std::fs::read_to_string(site.path().join("result.xml")).expect("written");
    for part in [
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n",
        "<testsuites name=\"orareaper test\" tests=\"3\" failures=\"1\" errors=\"1\">",
        "<testcase classname=\".\" name=\"good\"></testcase>",
        "<testcase classname=\".\" name=\"bad\"><failure message=\"decided otherwise than expected\">",
        "- expected act 288,1,@1, because &quot;&lt;idle&gt;&quot;\n",
        "+ act 287,62507,@1 by idle (dry-run)",
        "<testcase classname=\".\" name=\"broken\"><error message=\"the test cannot be run\">&quot;yesterday &amp; before&quot;",
        "</testsuites>\n",
    ] {
        assert!(xml.contains(part), "{part}\nis not in\n{xml}");
    }
}

#[test]
fn a_test_that_cannot_be_run_fails_and_says_why() {
    let wrong_policy = "policies:\n  - {name: idle, when: INACTIV longer than 4h, action: kill}\n";
    let elsewhere = format!("policies: [../nowhere.yaml]\n{TIMELINE}");
    let column = "snapshots:\n  - {at: 2026-11-23T10:00:00Z, sessions: [{sid: 1, idle: 5h}]}\n";
    let size = "snapshots:\n  - {at: 2026-11-23T10:00:00Z, sessions: [{sid: 1, pga: 5 gigs}]}\n";
    let containers = "snapshots:\n  - at: 2026-11-23T10:00:00Z\n    sessions: [{sid: 1, con_id: 3, container: A}, \
                      {sid: 2, con_id: 3, container: B}]\n";
    for (name, policy, timeline, expect, why) in [
        ("policy", wrong_policy, TIMELINE, RIGHT, "policy.yaml:2:"),
        ("elsewhere", "", elsewhere.as_str(), RIGHT, "nowhere.yaml: No such file"),
        ("no-policy", "", TIMELINE, RIGHT, "policy.yaml: No such file"),
        ("no-expectation", POLICY, TIMELINE, "", "expect.yaml: No such file"),
        ("no-timeline", POLICY, "", RIGHT, "timeline.yaml: No such file"),
        ("typing", POLICY, TIMELINE, "- atc: []\n", "unknown key `atc`"),
        ("column", POLICY, column, RIGHT, "a session has no column \"idle\""),
        ("size", POLICY, size, RIGHT, "\"5 gigs\" is not a size"),
        (
            "containers",
            POLICY,
            containers,
            RIGHT,
            "con_id 3 is both \"A\" and \"B\"",
        ),
        (
            "length",
            POLICY,
            TIMELINE,
            "- {}\n- {}\n",
            "the timeline has 1 snapshot, but the expectation has 2",
        ),
    ] {
        let site = site(&[(name, policy, timeline, expect)]);
        let tested = run(site.path(), &["test", name]);
        assert_eq!(status(&tested), 1, "{name}: {}", err(&tested));
        assert!(
            out(&tested).starts_with(&format!("FAILED  {name}\n")),
            "{}",
            out(&tested)
        );
        assert!(out(&tested).contains(why), "{name}: {}", out(&tested));
        assert_eq!(err(&tested), "0 passed, 1 failed\n");
    }
}

#[test]
fn a_failure_has_its_own_exit_status() {
    let site = site(&[("good", POLICY, TIMELINE, RIGHT)]);
    std::fs::create_dir(site.path().join("empty")).expect("created");
    for (arguments, why) in [
        (&["test", "nowhere"][..], "look for tests in nowhere"),
        (&["test", "good", "empty"], "no test found in empty"),
        (
            &["test", "good", "--junit", "nowhere/result.xml"],
            "write the report to nowhere/result.xml",
        ),
        (&["test", "--colour"], "--colour"),
        (&["--config", "nowhere.yaml", "test"], "nowhere.yaml"),
    ] {
        let tested = run(site.path(), arguments);
        assert_eq!(status(&tested), 2, "{arguments:?}: {}", err(&tested));
        assert!(err(&tested).contains(why), "{arguments:?}: {}", err(&tested));
    }
}

#[test]
fn without_a_path_the_tests_beside_the_configured_policies_are_run() {
    let site = site(&[(
        "policies/tests/good",
        "",
        &format!("policies: [../../idle.yaml]\n{TIMELINE}"),
        RIGHT,
    )]);
    std::fs::write(site.path().join("policies/idle.yaml"), POLICY).expect("written");
    let configuration = "databases:\n  - {name: prod, connect: //db/pdb, user: reaper, password: {env: X}}\n\
                         policies: [policies/*.yaml]\nstate: state\n";
    std::fs::write(site.path().join("orareaper.yaml"), configuration).expect("written");
    let tested = run(site.path(), &["--config", "orareaper.yaml", "test"]);
    assert_eq!(status(&tested), 0, "{}{}", out(&tested), err(&tested));
    assert!(err(&tested).ends_with("1 passed, 0 failed\n"), "{}", err(&tested));
}
