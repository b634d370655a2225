//! The body for each kind of receiver: what docs/notify.md shows, and what a hostile text cannot do.

use serde_json::{Value, json};

use super::*;
use crate::config::NoticeKind;
use crate::decide::in_force::RunMode;
use crate::decide::outcome::Outcome;
use crate::event::Event;
use crate::notify::noticer::Noticer;
use crate::notify::noticer::tests::{at, each_kind, intent, noticer, outcomed, told};

/// What a client may call itself.
const HOSTILE: &str =
    "<!channel> & <https://evil.example|click> `*_~` [x](https://evil.example)\n{{template}} \u{202e}\u{1b}[2J\"'";

fn outcome_of(program: &str) -> Notice {
    let intent = intent(RunMode::Enforce, program);
    let event = Event::Outcome(outcomed(&intent, Outcome::Marked));
    told(&mut noticer(false), &[event]).remove(0)
}

fn parsed(kind: ReceiverKind, notice: &Notice) -> Value {
    serde_json::from_slice(&body(kind, notice)).expect("JSON")
}

fn document(path: &str) -> String {
    std::fs::read_to_string(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect(path)
}

/// Every notice that there can be.
fn all_notices() -> Vec<Notice> {
    let mut all = told(&mut noticer(false), &each_kind(RunMode::Enforce));
    all.extend(told(&mut noticer(true), &each_kind(RunMode::DryRun)));
    let mut rate = crate::notify::rate::RateWindow::default();
    let now = crate::clock::Monotonic::default();
    for _ in 0..3 {
        rate.admits(now, 1, (NoticeKind::Outcome, crate::config::NoticeSeverity::Info));
    }
    all.push(Noticer::collected((&"dba1".into(), false), at(), rate.take(now)));
    all.push(Noticer::test("dba1".into(), at()));
    all
}

#[test]
fn the_page_shows_the_real_body() {
    let page = document("docs/notify.md");
    let example = page.split("```json\n").nth(1).and_then(|rest| rest.split("```").next());
    let example: Value = serde_json::from_str(example.expect("an example")).expect("JSON");
    assert_eq!(parsed(ReceiverKind::Json, &outcome_of("JDBC Thin Client")), example);
}

#[test]
fn every_generic_body_is_as_the_schema_says() {
    let schema: Value = serde_json::from_str(&document("docs/notification.schema.json")).expect("JSON");
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    for notice in all_notices() {
        let generic = parsed(ReceiverKind::Json, &notice);
        if let Err(problem) = validator.validate(&generic) {
            panic!("{problem}: {generic:#}");
        }
        assert_eq!(parsed(ReceiverKind::Program, &notice), generic);
    }
    // The schema can fail: a key that is missing, and one that is too many.
    let mut other = parsed(ReceiverKind::Json, &outcome_of("java"));
    other["new"] = json!(1);
    assert!(!validator.is_valid(&other));
    let other = other.as_object_mut().expect("an object");
    other.remove("new");
    other.remove("host");
    assert!(!validator.is_valid(&json!(other)));
}

#[test]
fn the_schema_knows_every_word() {
    let schema: Value = serde_json::from_str(&document("docs/notification.schema.json")).expect("JSON");
    let words = |pointer: &str| -> Vec<String> {
        let list = schema.pointer(pointer).and_then(Value::as_array).expect(pointer);
        list.iter().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    assert_eq!(words("/properties/event/enum"), NoticeKind::ALL.map(NoticeKind::name));
    assert_eq!(
        words("/properties/severity/enum"),
        crate::config::NoticeSeverity::ALL.map(crate::config::NoticeSeverity::name)
    );
    assert_eq!(
        words("/$defs/action/properties/outcome/enum"),
        Outcome::ALL.map(Outcome::name)
    );
    assert_eq!(
        words("/$defs/action/properties/verification/enum"),
        crate::decide::verify::Proof::ALL.map(crate::decide::verify::Proof::name)
    );
}

#[test]
fn a_hostile_text_is_data_in_the_generic_form() {
    let generic = body(ReceiverKind::Json, &outcome_of(HOSTILE));
    let text = String::from_utf8(generic.clone()).expect("text");
    assert!(text.is_ascii() && !text.contains('\u{1b}'), "{text}");
    let value: Value = serde_json::from_slice(&generic).expect("JSON");
    assert_eq!(value["session"]["program"], HOSTILE);
    assert!(!value["title"].as_str().expect("a text").contains("evil"));
}

#[test]
fn slack_gets_no_link_and_no_mention() {
    let body = parsed(ReceiverKind::Slack, &outcome_of(HOSTILE));
    let text = body["text"].as_str().expect("a text");
    assert!(!text.contains(['<', '>']), "{text}");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "*prod: kill immediate of session 287,62507,@1: marked*");
    let program = lines.iter().find(|line| line.starts_with("Program: ")).expect("a line");
    // In one code span, that it cannot leave.
    assert_eq!(
        *program,
        "Program: `&lt;!channel&gt; &amp; &lt;https://evil.example|click&gt; '*_~' [x](https://evil.example)\\x0a{{template}} \\u{202e}\\x1b[2J\"'`"
    );
    for line in &lines[1..] {
        assert_eq!(line.matches('`').count(), 2, "{line}");
    }
}

#[test]
fn teams_gets_an_adaptive_card_in_which_no_text_is_markdown() {
    let body = parsed(ReceiverKind::Teams, &outcome_of(HOSTILE));
    assert_eq!(body["type"], "message");
    let attachment = &body["attachments"][0];
    assert_eq!(attachment["contentType"], "application/vnd.microsoft.card.adaptive");
    let card = &attachment["content"];
    assert_eq!(
        (&card["type"], &card["version"]),
        (&json!("AdaptiveCard"), &json!("1.4"))
    );
    let blocks = card["body"].as_array().expect("blocks");
    let mut texts = Vec::new();
    for block in blocks {
        assert_eq!(
            block["type"], "RichTextBlock",
            "a TextBlock and a Fact are read as Markdown"
        );
        for run in block["inlines"].as_array().expect("runs") {
            assert_eq!(run["type"], "TextRun");
            texts.push(run["text"].as_str().expect("a text").to_owned());
        }
    }
    assert_eq!(texts[0], "prod: kill immediate of session 287,62507,@1: marked");
    let at = texts.iter().position(|text| text == "Program: ").expect("a fact");
    assert!(texts[at + 1].contains("[x](https://evil.example)\\x0a"), "{texts:?}");
}

#[test]
fn an_alert_has_labels_of_closed_sets_and_texts_in_annotations() {
    let body = parsed(ReceiverKind::Alertmanager, &outcome_of(HOSTILE));
    let alert = &body[0];
    assert_eq!(
        alert["labels"],
        json!({
            "alertname": "OrareaperOutcomeNotice",
            "event": "outcome",
            "severity": "info",
            "dry_run": "false",
            "daemon": "dba1",
            "database": "prod",
            "policy": "idle-application-sessions",
            "mode": "enforce",
            "action": "kill immediate",
            "outcome": "marked",
            "inst_id": "1",
        })
    );
    assert_eq!(
        alert["annotations"]["summary"],
        "prod: kill immediate of session 287,62507,@1: marked"
    );
    assert!(
        alert["annotations"]["program"]
            .as_str()
            .expect("a text")
            .starts_with("<!channel>")
    );
    assert_eq!(
        (&alert["startsAt"], &alert["endsAt"]),
        (&json!("2026-11-27T10:00:00.000Z"), &json!("2026-11-27T10:05:00.000Z"))
    );
}

#[test]
fn the_end_of_a_state_resolves_the_alert_that_its_beginning_made() {
    let mut noticer = noticer(false);
    let events = [
        Event::DatabaseDown {
            database: "prod".into(),
            error: "no listener".into(),
        },
        Event::DatabaseUp {
            database: "prod".into(),
            instances: Vec::new(),
            release: "19".into(),
        },
    ];
    let [down, up] = told(&mut noticer, &events).try_into().expect("two");
    let (down, up) = (
        parsed(ReceiverKind::Alertmanager, &down),
        parsed(ReceiverKind::Alertmanager, &up),
    );
    assert_eq!(down[0]["labels"], up[0]["labels"], "they are one alert");
    assert_eq!(down[0]["endsAt"], "2026-11-28T10:00:00.000Z");
    assert_eq!(
        (&up[0]["endsAt"], &up[0]["startsAt"]),
        (&json!("2026-11-27T10:00:00.000Z"), &Value::Null)
    );
}

#[test]
fn no_alert_has_the_name_of_a_rule_of_prometheus() {
    let rules = document("monitoring/alerts.yml");
    for notice in all_notices() {
        let alert = parsed(ReceiverKind::Alertmanager, &notice);
        let name = alert[0]["labels"]["alertname"].as_str().expect("a name");
        assert!(name.ends_with("Notice") && !rules.contains(name), "{name}");
    }
}

/// Teams takes 28 KB, and a pipe or a chat more.
#[test]
fn the_longest_texts_fit() {
    let long = "\u{1f525}".repeat(100_000);
    let mut intent = (*intent(RunMode::Enforce, &long)).clone();
    (intent.username, intent.machine) = (Some(long.clone()), Some(long.clone()));
    (intent.reason, intent.statement) = (long.clone(), Some(long.clone()));
    let mut outcomed = outcomed(&std::sync::Arc::new(intent), Outcome::Failed);
    outcomed.message = Some(long);
    let notice = told(&mut noticer(false), &[Event::Outcome(outcomed)]).remove(0);
    for kind in ReceiverKind::ALL {
        let bytes = body(kind, &notice).len();
        assert!(bytes < 28 * 1024, "{}: {bytes}", kind.name());
    }
}
