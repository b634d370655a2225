//! docs/connecting.md: every entry on it checks, and every form of address that it calls tried reaches the simulated database with both
//! drivers.

use serde_json::Value;

use crate::documentation::{blocks, read};
use crate::site::{Db, Driver, Site, drivers, thin, told};

const PAGE: &str = "docs/connecting.md";

/// Any policy: addresses are what is looked at.
const POLICY: &str = "policies:\n  - {name: idle, when: INACTIVE longer than 4h, action: kill}\n";

/// The configurations on the page, as text, of which these are called tried.
fn configurations(tried_alone: bool) -> Vec<(usize, String)> {
    let blocks = blocks(&read(PAGE)).into_iter();
    let wanted = blocks.filter(|(kind, ..)| kind == "yaml tried" || !tried_alone && kind == "yaml");
    wanted.map(|(_, line, text)| (line, text)).collect()
}

/// The names of the databases in a configuration.
fn names(configuration: &str) -> Vec<String> {
    let value: Value = serde_yaml::from_str(configuration).expect("well-formed");
    let databases = value["databases"].as_array().expect("a list");
    let name = |database: &Value| database["name"].as_str().expect("a name").to_owned();
    databases.iter().map(name).collect()
}

#[test]
fn every_entry_on_the_page_checks() {
    let site = Site::new();
    site.policies(POLICY);
    let configurations = configurations(false);
    assert!(configurations.len() >= 7, "{}", configurations.len());
    for (line, text) in configurations {
        site.write("orareaper.yaml", format!("{text}state: state\n"));
        let (status, said) = told(site.command(&thin()).args(["--config", "orareaper.yaml", "check"]));
        assert_eq!(status, 0, "{PAGE} line {line}: {said}");
    }
}

/// With the simulated database in the place of the hosts on the page.
fn led_to(db: &Db, text: &str) -> String {
    let text = text
        .replace("db1.example.com", "127.0.0.1")
        .replace("db2.example.com", "127.0.0.1");
    let text = text.replace("1521", &db.server.addr().port().to_string());
    text.replace("/orcl1", "/orcl").replace("ORCLPDB1", "ORCL")
}

/// What `plan` says of each form.
fn plan(driver: &Driver, db: &Db, configuration: &str) -> (i32, String) {
    let site = Site::new();
    site.policies(POLICY);
    site.write("network/tnsnames.ora", led_to(db, &tnsnames()));
    let own = led_to(db, configuration).replace("{credential: prod}", "{file: password}");
    site.write(
        "orareaper.yaml",
        format!(
            "{own}defaults: {{driver: {}, tns_admin: network}}\nstate: state\n",
            driver.name
        ),
    );
    told(
        site.command(driver)
            .args(["--config", "orareaper.yaml", "plan", "--format", "json"]),
    )
}

/// The tnsnames.ora on the page.
fn tnsnames() -> String {
    let found = blocks(&read(PAGE))
        .into_iter()
        .find(|(_, _, text)| text.starts_with("CRM ="));
    found.expect("the page has the entry of its alias").2
}

#[test]
fn each_form_that_the_page_calls_tried_reaches_the_database_with_both_drivers() {
    let db = Db::builtin("tutorial");
    let mut tried = 0;
    for driver in drivers() {
        for (line, text) in configurations(true) {
            let (status, said) = plan(&driver, &db, &text);
            assert_eq!(status, 0, "{PAGE} line {line}, driver {}: {said}", driver.name);
            for name in names(&text) {
                let read = said.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
                let sessions = read
                    .filter(|plan| plan["database"] == name.as_str())
                    .find_map(|plan| plan["sessions"].as_u64());
                assert!(
                    sessions.is_some_and(|count| count > 10),
                    "{name}, driver {}: {said}",
                    driver.name
                );
                tried += 1;
            }
        }
        // Shows that a form which does not lead there would be noticed.
        let (_, easy) = &configurations(true)[0];
        assert_eq!(
            plan(&driver, &db, &easy.replace("ORCLPDB1", "NOWHERE")).0,
            2,
            "driver {}",
            driver.name
        );
    }
    assert!(tried >= 10, "{tried}");
}
