//! Reports of one cycle over a saved snapshot, in every format.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use orareaper::decide::guard::{Ruling, rule};
use orareaper::decide::hold::Holds;
use orareaper::decide::in_force::{Arming, DatabaseRules, Due, EffectiveLimits, RunMode};
use orareaper::decide::ledger::{Ledger, Reported};
use orareaper::decide::matches::Matches;
use orareaper::decide::plan::{Plan, Situation, plan};
use orareaper::decide::pressure::Gates;
use orareaper::decide::protect::ProtectionFacts;
use orareaper::decide::refill::Refills;
use orareaper::decide::under_way::UnderWay;
use orareaper::decide::verify::Following;
use orareaper::export::parse;
use orareaper::gaps::notes;
use orareaper::oracle::capabilities::Way;
use orareaper::policy::condition::{Comparison, Condition, Constant, Operand, Phrase, SessionStatus};
use orareaper::policy::model::{Action, KillClause, Limits, Mode, OrderKey, Origin, Policy, PolicySet};
use orareaper::policy::timetable::Timetable;
use orareaper::report::{PolicyRefusal, Report, ReportFormat, ReportSubject, together};
use orareaper::session::column::{Column, Columns};
use orareaper::session::snapshot::Snapshot;
use orareaper::terminal::TextStyle;

const SESSIONS: &str = "\
INST_ID,SID,SERIAL#,USERNAME,STATUS,TYPE,LOGON_TIME,LAST_CALL_ET,TADDR,MODULE,CLIENT_INFO,EVENT,MACHINE,SYSDATE,PROGRAM
1,287,62507,APEXDEV,INACTIVE,USER,2026-11-22T01:00:00,18720,,,,,web01,2026-11-22T10:00:00Z,sqlplus@web01
1,12,3,SYS,INACTIVE,USER,2026-11-21T10:00:00,20000,,,,,db1,2026-11-22T10:00:00Z,sqlplus@db1
2,40,9,EVIL,INACTIVE,USER,2026-11-22T05:00:00,14401,,,,,\x1b]0;pwned\x07,2026-11-22T10:00:00Z,=cmd|<script>alert(1)</script>
1,7,7,SHOP,ACTIVE,USER,2026-11-22T09:00:00,90000,,,,,app|01,2026-11-22T10:00:00Z,JDBC Thin Client
";

fn idle_policy() -> Policy {
    Policy {
        name: "idle-application-sessions".into(),
        description: "Nobody has used them since the morning.".into(),
        origin: Origin {
            file: "policies/idle.yaml".into(),
            line: 1,
        },
        mode: Mode::DryRun,
        databases: Vec::new(),
        timetable: Timetable::default(),
        pressure: None,
        when: Condition::Phrase(Phrase::Status {
            status: SessionStatus::Inactive,
            longer_than: Some(4 * 3_600),
        }),
        unless: None,
        hold: 0,
        order: vec![OrderKey {
            column: Column::Idle,
            descending: true,
        }],
        keep: None,
        limits: Limits {
            per_cycle: Some(1),
            ..Limits::default()
        },
        action: Action::Kill {
            clause: KillClause::Plain,
        },
        escalate: Vec::new(),
        allow: Vec::new(),
        reason: String::new(),
    }
}

struct Cycle {
    snapshot: Snapshot,
    set: Arc<PolicySet>,
    plan: Plan,
    ruling: Ruling,
    notes: Vec<String>,
}

fn cycle(csv: &str, policies: Vec<Policy>) -> Cycle {
    let saved = parse(csv.as_bytes(), "sessions.csv", None).expect("a snapshot");
    cycle_of(saved.snapshot, policies)
}

fn cycle_of(snapshot: Snapshot, policies: Vec<Policy>) -> Cycle {
    let set = Arc::new(PolicySet {
        policies,
        ..PolicySet::default()
    });
    let limits = EffectiveLimits::of(&Limits::default());
    let rules = DatabaseRules::of_policy_test("prod", Arming::Unarmed, limits, chrono_tz::UTC, Arc::clone(&set));
    let here = rules.configured(Due::Always);
    let (facts, holds, following, under_way, reported, gates, refills) = (
        ProtectionFacts::default(),
        Holds::default(),
        Following::default(),
        UnderWay::default(),
        Reported::default(),
        Gates::default(),
        Refills::default(),
    );
    let matches = Matches::of(&set, here.running(), &snapshot);
    let situation = Situation {
        rules: &rules,
        here: &here,
        facts: &facts,
        matches: &matches,
        holds: &holds,
        following: &following,
        under_way: &under_way,
        reported: &reported,
        gates: &gates,
        refills: &refills,
        now: DateTime::UNIX_EPOCH,
        assume_held: false,
    };
    let plan = plan(&snapshot, &situation);
    let ruling = rule(&plan, &snapshot, &situation, &Ledger::default(), None);
    let notes = notes(
        &snapshot,
        &orareaper::decide::pressure::Readings::default(),
        &set,
        here.running(),
    );
    Cycle {
        snapshot,
        set,
        plan,
        ruling,
        notes,
    }
}

#[test]
fn a_narrow_terminal_has_the_reasons_whole_above_their_sessions() {
    let text = report(SESSIONS, vec![idle_policy()]).to_text(TextStyle {
        width: 60,
        ..TextStyle::default()
    });
    let part = "\
  act: INACTIVE for 5h 12m, longer than 4h
    287,62507,@1  APEXDEV  ";
    assert!(text.contains(part), "{text}");
    assert!(
        text.contains("  deferred: budget: the policy's per_cycle 1 is used up\n    40,9,@2       EVIL     =cmd|"),
        "{text}"
    );
    assert!(
        text.contains("  > ALTER SYSTEM KILL SESSION '287,62507,@1'\n"),
        "{text}"
    );
}

fn report(csv: &str, policies: Vec<Policy>) -> Report {
    report_of(&cycle(csv, policies))
}

fn report_of(cycle: &Cycle) -> Report {
    let taken_at: Option<DateTime<Utc>> = cycle
        .snapshot
        .clock()
        .and_then(|clock| clock.now.to_utc(clock.utc_offset));
    Report::new(&ReportSubject {
        database: "prod",
        taken_at,
        mode: RunMode::DryRun,
        snapshot: &cycle.snapshot,
        set: &cycle.set,
        plan: &cycle.plan,
        ruling: &cycle.ruling,
        notes: &cycle.notes,
        way: Way::AlterSystem,
        rehearsals: None,
    })
}

#[test]
fn json_has_exactly_the_documented_form() {
    // Worst first: SYS is idle longest and protected, APEXDEV takes the one action of the budget, EVIL is deferred.
    let expected = concat!(
        r#"{"database":"prod","taken_at":"2026-11-22T10:00:00Z","mode":"dry-run","sessions":4,"decisions":["#,
        r#"{"policy":"idle-application-sessions","inst_id":1,"sid":12,"serial":3,"logon_time":"2026-11-21T10:00:00Z","#,
        r#""username":"SYS","program":"sqlplus@db1","machine":"db1","decision":"protected","#,
        r#""reason":"protected by sys: USERNAME is SYS","action":null,"statement":null},"#,
        r#"{"policy":"idle-application-sessions","inst_id":1,"sid":287,"serial":62507,"logon_time":"2026-11-22T01:00:00Z","#,
        r#""username":"APEXDEV","program":"sqlplus@web01","machine":"web01","decision":"act","#,
        r#""reason":"INACTIVE for 5h 12m, longer than 4h","#,
        r#""action":"kill","statement":"ALTER SYSTEM KILL SESSION '287,62507,@1'"},"#,
        r#"{"policy":"idle-application-sessions","inst_id":2,"sid":40,"serial":9,"logon_time":"2026-11-22T05:00:00Z","#,
        r#""username":"EVIL","program":"=cmd|<script>alert(1)</script>","machine":"\u001b]0;pwned\u0007","decision":"deferred","#,
        r#""reason":"budget: the policy's per_cycle 1 is used up","action":null,"statement":null}],"#,
        r#""summary":{"act":1,"pending":0,"deferred":1,"refused":0,"protected":1,"exempt":0},"#,
        r#""error":null,"notes":[],"refusals":[]}"#,
        "\n"
    );
    assert_eq!(report(SESSIONS, vec![idle_policy()]).to_json(), expected);
}

#[test]
fn json_has_null_where_nothing_is_known_and_no_raw_control_character() {
    let csv = "SID,SERIAL#,STATUS,LAST_CALL_ET,PROGRAM\n5,,INACTIVE,20000,a\u{9b}31m\u{202e}b\n";
    let json = report(csv, vec![idle_policy()]).to_json();
    assert!(
        json.starts_with(r#"{"database":"prod","taken_at":null,"mode":"dry-run","sessions":1,"#),
        "{json}"
    );
    let identity = r#""inst_id":1,"sid":5,"serial":null,"logon_time":null,"username":null,"#;
    assert!(json.contains(identity), "{json}");
    assert!(
        json.contains(r#""program":"a\u009b31m\u202eb","machine":null"#),
        "{json}"
    );
    let read: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(
        read["decisions"][0]["program"], "a\u{9b}31m\u{202e}b",
        "the value itself is exact"
    );
}

#[test]
fn csv_quotes_and_disarms_formulas() {
    let csv = report(SESSIONS, vec![idle_policy()]).to_csv();
    let lines: Vec<&str> = csv.split("\r\n").collect();
    assert_eq!(
        lines[0],
        "database,taken_at,policy,inst_id,sid,serial,logon_time,username,program,machine,decision,reason,action,statement"
    );
    assert_eq!(
        lines[2],
        "prod,2026-11-22T10:00:00Z,idle-application-sessions,1,287,62507,2026-11-22T01:00:00Z,APEXDEV,sqlplus@web01,web01,\
         act,\"INACTIVE for 5h 12m, longer than 4h\",kill,\"ALTER SYSTEM KILL SESSION '287,62507,@1'\""
    );
    assert_eq!(
        lines[3],
        "prod,2026-11-22T10:00:00Z,idle-application-sessions,2,40,9,2026-11-22T05:00:00Z,EVIL,\
         '=cmd|<script>alert(1)</script>,\"\\x1b]0;pwned\\x07\",deferred,budget: the policy's per_cycle 1 is used up,,"
    );
    assert_eq!((lines.len(), lines[4]), (5, ""));
}

/// Where `;` separates cells, it does so in the middle of a cell that commas stand around.
#[test]
fn a_cell_with_a_semicolon_is_quoted_and_holds_no_formula() {
    let saved = "SID,SERIAL#,STATUS,LAST_CALL_ET,PROGRAM,MACHINE\n\
                 5,,INACTIVE,20000,x;=cmd(),a;b\n6,,INACTIVE,20000,\"x; \"\"+1;-2\",;@x\n";
    let csv = report(saved, vec![idle_policy()]).to_csv();
    assert!(csv.contains(",\"x;'=cmd()\",\"a;b\","), "{csv}");
    assert!(csv.contains(",\"x;' \"\"+1;'-2\",\";'@x\","), "{csv}");
    let mut reader = csv::ReaderBuilder::new().from_reader(csv.as_bytes());
    let programs: Vec<String> = reader
        .records()
        .map(|row| row.expect("as RFC 4180 has it")[8].to_owned())
        .filter(|program| !program.is_empty())
        .collect();
    assert_eq!(programs, ["x;'=cmd()", "x;' \"+1;'-2"]);
}

#[test]
fn text_fits_the_terminal_and_holds_no_escape_of_a_session() {
    let report = report(SESSIONS, vec![idle_policy()]);
    let wide = report.to_text(TextStyle {
        width: 160,
        ..TextStyle::default()
    });
    let expected = "\
orareaper dry run: prod, 2026-11-22 10:00:00 UTC
4 sessions, 4 of them user sessions (1 ACTIVE, 3 INACTIVE)

idle-application-sessions (dry-run, kill): 1 act, 1 deferred, 1 protected
  Nobody has used them since the morning.
  SESSION       USER     PROGRAM                         MACHINE           STATUS           DECISION  WHY
  287,62507,@1  APEXDEV  sqlplus@web01                   web01             INACTIVE 5h 12m  act       INACTIVE for 5h 12m, longer than 4h
  40,9,@2       EVIL     =cmd|<script>alert(1)</script>  \\x1b]0;pwned\\x07  INACTIVE 4h      deferred  budget: the policy's per_cycle 1 is used up
  > ALTER SYSTEM KILL SESSION '287,62507,@1'
  spared 1 by sys: 12,3,@1 (USERNAME is SYS)

Summary: 1 act, 1 deferred, 1 protected; 1 session would end
";
    assert_eq!(wide, expected);
    for width in [1, 40, 60, 80, 100, 132] {
        let text = report.to_text(TextStyle {
            width,
            ..TextStyle::default()
        });
        for line in text.lines() {
            assert!(line.chars().count() <= width.max(40), "{width}: {line}");
        }
        assert!(!text.contains('\x1b'), "{text}");
        assert!(text.contains("287,62507,@1") && text.contains("deferred"), "{text}");
    }
    let coloured = report.to_text(TextStyle {
        width: 160,
        colour: true,
        ..TextStyle::default()
    });
    let plain = ["\x1b[0m", "\x1b[1m", "\x1b[2m", "\x1b[31m", "\x1b[32m", "\x1b[33m"]
        .iter()
        .fold(coloured.clone(), |text, code| text.replace(code, ""));
    assert_ne!(coloured, plain);
    assert_eq!(plain, expected, "colour changes nothing but colour");
}

#[test]
fn markdown_is_a_table_whose_cells_are_no_markup() {
    let markdown = report(SESSIONS, vec![idle_policy()]).to_markdown();
    assert!(markdown.starts_with(
        "# orareaper dry run: prod\n\n2026-11-22 10:00:00 UTC, 4 sessions: 1 act, 1 deferred, 1 protected.\n"
    ));
    let row = "| 40,9,@2 | EVIL | =cmd\\|&lt;script&gt;alert(1)&lt;/script&gt; | \\\\x1b\\]0;pwned\\\\x07 | deferred | \
               budget: the policy's per\\_cycle 1 is used up |  |\n";
    assert!(markdown.contains(row), "{markdown}");
}

#[test]
fn html_loads_nothing_and_escapes_the_name_of_a_program() {
    let html = report(SESSIONS, vec![idle_policy()]).to_html();
    assert!(!html.contains("<script"), "no script, the client's least of all");
    assert!(html.contains("=cmd|&lt;script&gt;alert(1)&lt;/script&gt;"));
    for outside in ["http://", "https://", "src=", "@import", "url(", "<link"] {
        assert!(!html.contains(outside), "{outside} reaches outside the file");
    }
    assert!(html.contains("ALTER SYSTEM KILL SESSION '287,62507,@1'"));
    assert!(html.contains("<td class=\"verdict protected\">sys</td><td>USERNAME is SYS</td>"));
    // Three of four user sessions are idle; 5h 12m, 5h 33m and 4h 0m 1s are all of 4 to 12 hours, two are candidates.
    assert!(html.contains("<dt title=\"4–12h\">4–12h</dt>"));
    assert!(html.contains("<dd class=\"count\">2 of 3</dd>"));
    assert!(html.contains("<td>Now, within all limits</td><td>1</td><td>25 %</td><td>not read</td><td>not read</td>"));
    assert!(html.contains(
        "<td>All candidates, if every one ended</td><td>2</td><td>50 %</td><td>not read</td><td>not read</td>"
    ));
    let cycle = report("SID,PROGRAM\n1,\"\"\"><img src=x onerror=alert(1)>\"\n", vec![]);
    assert!(!cycle.to_html().contains("<img"));
}

#[test]
fn processes_and_their_pga_are_added_up_where_they_were_read() {
    use orareaper::session::snapshot::{Cell, Instance, ProcessRow, SnapshotSource};
    use orareaper::session::time::DbTime;
    let columns = [
        Column::InstId,
        Column::Sid,
        Column::Serial,
        Column::Paddr,
        Column::Username,
        Column::Status,
        Column::Program,
        Column::Type,
        Column::LogonTime,
        Column::LastCallEt,
        Column::Taddr,
        Column::Server,
    ];
    let mut builder = Snapshot::builder(SnapshotSource::Live, &columns);
    // The second has no server while it is idle: it shares one with others.
    for (sid, paddr, idle, server) in [
        (1, "A1", 20_000, "DEDICATED"),
        (2, "A2", 15_000, "NONE"),
        (3, "A3", 10, "DEDICATED"),
    ] {
        let cells = [
            Cell::Number(1),
            Cell::Number(sid),
            Cell::Number(1),
            Cell::Text(paddr),
            Cell::Text("SHOP"),
            Cell::Text("INACTIVE"),
            Cell::Text("app"),
            Cell::Text("USER"),
            Cell::Time(DbTime(0)),
            Cell::Number(idle),
            Cell::Null,
            Cell::Text(server),
        ];
        builder.push_row(&cells).expect("few rows");
    }
    let instance = Instance {
        inst_id: 1,
        name: "ORCL1".into(),
        complete: true,
    };
    let mut joining = builder.finish(None, vec![instance]);
    let process = |addr: &str, pga| ProcessRow {
        inst_id: 1,
        addr: addr.into(),
        spid: None,
        name: None,
        pga: Some(pga),
    };
    joining.join_processes(&[process("A1", 3 << 20), process("A2", 5 << 20), process("A3", 7 << 20)]);
    let snapshot = joining.finish(Columns::NONE);
    let figures = report_of(&cycle_of(snapshot, vec![idle_policy()])).figures;
    // Session 1 takes the one action of the budget, 2 is deferred, 3 is not idle for long.
    assert_eq!((figures.freed_sessions, figures.freed_pga), (1, Some(3 << 20)));
    assert_eq!((figures.candidates, figures.candidates_pga), (2, Some(8 << 20)));
    assert_eq!(
        (figures.freed_processes, figures.candidates_processes),
        (Some(1), Some(1))
    );
    assert_eq!(figures.by_instance.into_iter().collect::<Vec<_>>(), [(1, (3, 1))]);
}

#[test]
fn gaps_are_reported_first_with_the_sessions_that_they_spare() {
    let csv =
        "SID,SERIAL#,LOGON_TIME,USERNAME,STATUS,LAST_CALL_ET,PROGRAM\n1,1,2026-11-22 00:00:00,A,INACTIVE,90000,p\n";
    let mut connected = idle_policy();
    connected.name = "old".into();
    connected.when = Condition::Phrase(Phrase::Connected { longer_than: 60 });
    connected.unless = Some(Condition::Compare {
        left: Operand::Column(Column::ServiceName),
        op: Comparison::Equal,
        right: Operand::Literal(Constant::Text("X".into())),
    });
    let report = report(csv, vec![idle_policy(), connected]);
    assert_eq!(
        report.notes,
        [
            "TYPE is missing: no session can be distinguished from a background process, so all are spared",
            "TADDR is missing: open transactions are unknown, so `undo` and `xa` may spare sessions on the live database that they do not spare here",
            "MODULE is missing: backups, jobs and replication that only this column shows are not recognized here",
            "CLIENT_INFO is missing: backups, jobs and replication that only this column shows are not recognized here",
            "EVENT is missing: sessions that listen to a queue or a pipe, and others that only this column shows are not recognized here",
            "policy old: connected needs the database's clock, which the file does not contain (SYSDATE, or --taken-at); its \
             condition is unknown for all sessions as far as it depends on the column",
            "policy old: column service_name is missing, its `unless` is unknown for all sessions as far as it depends on the column",
        ]
    );
    assert_eq!((report.summary.act, report.summary.protected), (0, 1));
    for format in ReportFormat::ALL {
        let rendered = report.render(format);
        assert!(rendered.contains("TYPE is missing"), "{}: {rendered}", format.name());
    }
    let whole = cycle(SESSIONS, vec![idle_policy()]);
    assert_eq!(whole.notes, [] as [&str; 0]);
}

#[test]
fn a_database_that_could_not_be_read_has_its_place_in_every_format() {
    let read = report(SESSIONS, vec![idle_policy()]);
    let unread = Report::unread("other", "connect to other: ORA-12541", RunMode::DryRun);
    let both = [read.clone(), unread];
    for format in ReportFormat::ALL {
        let rendered = together(&both, format, TextStyle::default());
        let name = format.name();
        assert!(
            rendered.contains("ORA-12541") && rendered.contains("other"),
            "{name}: {rendered}"
        );
    }
    let csv = together(&both, ReportFormat::Csv, TextStyle::default());
    let row = csv.lines().last().expect("a row");
    assert_eq!(row, "other,,,,,,,,,,unread,connect to other: ORA-12541,,");
    let json = together(&both, ReportFormat::Json, TextStyle::default());
    let lines: Vec<serde_json::Value> = json
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(lines[0]["error"], serde_json::Value::Null);
    assert_eq!(lines[1]["error"], "connect to other: ORA-12541");
    assert_eq!(lines[1]["decisions"], serde_json::json!([]));
}

#[test]
fn an_open_breaker_is_told_in_every_format() {
    let mut report = report(SESSIONS, vec![idle_policy()]);
    report.refusals = vec![PolicyRefusal {
        policy: "idle".into(),
        why: "breaker open: 9 candidates of 10 user sessions on instance 1".into(),
    }];
    for format in ReportFormat::ALL {
        let rendered = report.render(format);
        assert!(
            rendered.contains("idle: breaker open: 9 candidates of 10"),
            "{}: {rendered}",
            format.name()
        );
    }
    let table = report.render(ReportFormat::Csv);
    let mut table = csv::Reader::from_reader(table.as_bytes());
    let heads = table.headers().expect("a head").clone();
    let of = |name: &str| heads.iter().position(|head| head == name).expect("a column");
    let first = table.records().next().expect("a row").expect("CSV");
    assert_eq!((&first[of("policy")], &first[of("decision")]), ("idle", "refusal"));
}

#[test]
fn nothing_is_cut_in_a_pipe_or_a_file() {
    let mut report = report(SESSIONS, vec![idle_policy()]);
    let long = "x".repeat(400);
    let act = report.policies[0].decisions.iter_mut().find(|line| !line.is_spared());
    act.expect("somebody is to be ended").program = Some(format!("{long}END"));
    assert!(report.to_text(TextStyle::WHOLE).contains("xEND"));
    assert!(
        !report.to_text(TextStyle::default()).contains("xEND"),
        "a screen is as wide as it is"
    );
}

#[test]
fn the_reports_of_several_databases_are_one() {
    let one = report(SESSIONS, vec![idle_policy()]);
    let other = Report {
        database: "other".into(),
        ..one.clone()
    };
    let both = [one.clone(), other];
    let all = |format| together(&both, format, TextStyle::default());
    let html = all(ReportFormat::Html);
    assert_eq!(
        (html.matches("<!DOCTYPE html>").count(), html.matches("<h1>").count()),
        (1, 2)
    );
    assert!(html.ends_with("</html>\n") && html.matches("</main>").count() == 1);
    // A header and each database's rows, and nothing between them.
    let rows = one.render(ReportFormat::Csv).lines().count() - 1;
    let csv = all(ReportFormat::Csv);
    assert_eq!(csv.lines().count(), 1 + 2 * rows);
    assert_eq!(csv.lines().filter(|line| line.starts_with("other,")).count(), rows);
    assert!(rows > 0 && !csv.contains("\n\r\n"));
    let json = all(ReportFormat::Json);
    let databases: Vec<String> = json
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"))
        .map(|report| report["database"].as_str().unwrap_or_default().to_owned())
        .collect();
    assert_eq!(databases, ["prod", "other"]);
    assert_eq!(
        together(std::slice::from_ref(&one), ReportFormat::Csv, TextStyle::default()),
        one.render(ReportFormat::Csv)
    );
}

#[test]
fn sessions_that_differ_in_their_idle_time_alone_share_a_reason() {
    let mut policy = idle_policy();
    policy.hold = 600;
    let several = "\
INST_ID,SID,SERIAL#,USERNAME,STATUS,TYPE,LOGON_TIME,LAST_CALL_ET,TADDR,MODULE,CLIENT_INFO,EVENT,MACHINE,SYSDATE,PROGRAM
1,1,1,SHOP,INACTIVE,USER,2026-11-22T01:00:00,18720,,,,,web01,2026-11-22T10:00:00Z,JDBC Thin Client
1,2,1,SHOP,INACTIVE,USER,2026-11-22T01:00:00,21600,,,,,web01,2026-11-22T10:00:00Z,JDBC Thin Client
";
    let report = report(several, vec![policy]);
    let text = report.to_text(TextStyle {
        width: 90,
        ..TextStyle::default()
    });
    let said: Vec<&str> = text.lines().filter(|line| line.starts_with("  pending: ")).collect();
    assert_eq!(
        said,
        ["  pending: INACTIVE longer than 4h, held for 0s of 10m"],
        "{text}"
    );
    assert!(
        text.contains("INACTIVE 5h 12m") && text.contains("INACTIVE 6h"),
        "{text}"
    );
}
