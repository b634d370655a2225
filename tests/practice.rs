//! `record --anonymise` and `demo --from` as typed: a database's own sessions become a simulated database, on which policies act.

use crate::site::{Db, Site, thin, told};

const POLICY: &str = "policies:\n  - name: leaked\n    mode: dry-run\n    when: INACTIVE longer than 4h\n    unless: in transaction\n    \
                      limits: {share: 100%}\n    action: kill\n  - name: idle-off\n    mode: off\n    when: INACTIVE longer than 1h\n    action: kill\n  - \
                      name: idle-crm\n    databases: [\"crm*\", tier=gold]\n    when: INACTIVE longer than 1h\n    action: kill\n";

#[test]
fn policies_act_on_a_copy_of_a_databases_own_sessions_and_nobody_is_named() {
    let (site, db) = (Site::new(), Db::builtin("rac3"));
    site.policies(POLICY);
    site.configure(&thin(), &db);
    let run = |arguments: &[&str]| {
        let mut command = site.command(&thin());
        told(command.args(["--config", "orareaper.yaml"]).args(arguments))
    };
    let (code, said) = run(&["record", "-o", "mine.rec", "--snapshots", "1", "--anonymise"]);
    assert_eq!(code, 0, "{said}");
    let recorded = String::from_utf8_lossy(&std::fs::read(site.path("mine.rec")).expect("a recording")).to_lowercase();
    for name in ["shopweb", "wildfly", "corp\\", "prod1", "shop_"] {
        assert!(!recorded.contains(name), "{name} is in the recording");
    }
    assert!(
        recorded.contains("jdbc thin client") && recorded.contains("rman@"),
        "products stay"
    );
    let demo = [
        "demo",
        "--from",
        "mine.rec",
        "--policies",
        "policies",
        "--seconds",
        "12",
        "--listen",
        "127.0.0.1:0",
        "--folder",
        "practice",
    ];
    let (code, said) = run(&demo);
    assert_eq!(code, 0, "{said}");
    assert!(
        said.contains("policy leaked (enforce): selects"),
        "a rehearsal is armed there: {said}"
    );
    assert!(said.contains("Oracle carried it out"), "{said}");
    assert!(
        !said.contains("policy idle-off ("),
        "a policy that is off does nothing: {said}"
    );
    for left_out in [
        "policy idle-off is left out: it is off",
        "policy idle-crm is left out: it is for other databases (`databases: [crm*, tier=gold]`), and this one is called ",
        "`--database NAME` gives it another name",
    ] {
        assert!(said.contains(left_out), "{left_out}: {said}");
    }
    assert!(
        !said.contains("http://127.0.0.1:0/"),
        "the port is known before it is told: {said}"
    );
    assert!(said.contains("  leaked: "), "{said}");
    assert!(db.kills().is_empty(), "the real database got a statement");
    let (code, said) = run(&["history", "--state", "practice", "--format", "json"]);
    assert!(code == 0 && said.contains("ALTER SYSTEM KILL SESSION"), "{said}");
}

#[test]
fn what_cannot_be_shown_is_refused_before_anything_is_told() {
    let site = Site::new();
    site.policies(POLICY);
    site.write(
        "mine.csv",
        "INST_ID,SID,SERIAL#,USERNAME,TYPE,STATUS,LAST_CALL_ET\n1,10,7,APP,USER,INACTIVE,9000\n",
    );
    let run = |arguments: &[&str]| told(site.command(&thin()).args(arguments));
    let (code, said) = run(&["demo", "--from", "policies/policies.yaml", "--policies", "policies"]);
    assert!(
        code == 2 && said.contains("read saved sessions from policies/policies.yaml"),
        "{code} {said}"
    );
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let at = taken.local_addr().expect("it has an address").to_string();
    let (code, said) = run(&["demo", "--from", "mine.csv", "--policies", "policies", "--listen", &at]);
    assert!(
        code == 2 && said.contains(&format!("serve the pages on {at}")) && said.contains("`--listen`"),
        "{code} {said}"
    );
    assert!(
        !said.contains("http://"),
        "a page of another program is not told: {said}"
    );
    let (code, said) = run(&["demo", "--seconds", "12"]);
    assert!(code == 2 && said.contains("at least 40"), "{code} {said}");
}
