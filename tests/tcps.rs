//! TLS to the database, proxy users and external authentication, with every driver that can, over the simulated database's own TLS.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::site::{
    Db, Driver, FIVE_HOURS, PASSWORD, Site, certificate, drivers, fetched, not_run, prod, thin, told, until,
};

/// One session may be taken when five hours have passed.
const OFFICE: &str = prod!(
    "
  - {name: forgotten, user: SCOTT, program: sqlplus, machines: [pc1], idle: 3h, logged_on: 6h}
"
);

const ENFORCE: &str = "
policies:
  - {name: forgotten, mode: enforce, when: INACTIVE longer than 4h, action: kill}
";

/// A site with a wallet whose ewallet.pem is made of these files of tests/certificates; without any there is no ewallet.pem.
fn site(parts: &[&str]) -> (Site, PathBuf) {
    let site = Site::new();
    site.policies(ENFORCE);
    let wallet = site.path("wallet");
    fs::create_dir(&wallet).expect("a folder");
    let text: String = parts
        .iter()
        .map(|part| fs::read_to_string(certificate(part)).expect("it is there"))
        .collect();
    if !text.is_empty() {
        site.write("wallet/ewallet.pem", text);
    }
    (site, wallet)
}

fn configure(site: &Site, driver: &Driver, connect: &str) {
    configure_as(site, driver, connect, "user: reaper\n    password: {file: password}");
}

fn configure_as(site: &Site, driver: &Driver, connect: &str, login: &str) {
    let database = format!(
        "  - name: orcl\n    driver: {}\n    connect: \"{connect}\"\n    {login}\n    armed: true\n    poll: 1s\n    connect_timeout: 5s\n",
        driver.name
    );
    site.configure_with(&[database], "");
}

fn doctor(site: &Site, driver: &Driver) -> (i32, String) {
    told(site.command(driver).args(["--config", "orareaper.yaml", "doctor"]))
}

/// What differs in each form of address: the wallet's place.
fn forms(db: &Db, wallet: &str) -> Vec<String> {
    let port = db.server.addr().port();
    vec![
        format!("tcps://localhost:{port}/PROD?wallet_location={wallet}"),
        format!("tcps://127.0.0.1:{port}/PROD?wallet_location={wallet}&retry_count=0"),
        format!(
            "(DESCRIPTION=(ADDRESS=(PROTOCOL=tcps)(HOST=localhost)(PORT={port}))(SECURITY=(MY_WALLET_DIRECTORY={wallet}))\
             (CONNECT_DATA=(SERVICE_NAME=PROD)))"
        ),
    ]
}

#[test]
fn the_thin_driver_reads_and_kills_by_tcps_with_the_authority_in_its_wallet() {
    let db = Db::by_tcps(OFFICE, false);
    let (site, wallet) = site(&["authority.pem"]);
    for connect in forms(&db, &wallet.display().to_string()) {
        configure(&site, &thin(), &connect);
        let (status, said) = doctor(&site, &thin());
        assert!(said.contains("fine     network"), "{connect}: {status} {said}");
        assert!(
            said.contains("by TCPS: the server's certificate and name were checked"),
            "{connect}: {said}"
        );
        assert!(said.contains("fine     acting-connection"), "{connect}: {said}");
    }
    // The address is elsewhere, the wallet beside it.
    let port = db.server.addr().port();
    let entry = format!(
        "PROD = (DESCRIPTION=(ADDRESS=(PROTOCOL=tcps)(HOST=localhost)(PORT={port}))(CONNECT_DATA=(SERVICE_NAME=PROD)))\n"
    );
    site.write("wallet/tnsnames.ora", entry);
    configure_as(
        &site,
        &thin(),
        "PROD",
        "user: reaper\n    password: {file: password}\n    tns_admin: wallet",
    );
    assert!(
        doctor(&site, &thin()).1.contains("by TCPS"),
        "{}",
        doctor(&site, &thin()).1
    );

    let daemon = site.run(&thin());
    daemon.looks("orcl", 1);
    db.world.advance(FIVE_HOURS);
    until("the kill", || db.kills().len() == 1);
}

#[test]
fn a_certificate_that_is_not_trusted_is_a_fault_of_the_configuration() {
    let db = Db::by_tcps(OFFICE, false);
    let port = db.server.addr().port();
    let refused = |parts: &[&str], connect: &dyn Fn(&str) -> String, why: &str| {
        let (site, wallet) = site(parts);
        configure(&site, &thin(), &connect(&wallet.display().to_string()));
        let (status, said) = doctor(&site, &thin());
        assert_eq!(status, 2, "{said}");
        assert!(said.contains(why), "{why}: {said}");
        assert!(
            said.contains("correct `connect`, `user` or the host's Oracle Net files"),
            "{said}"
        );
    };
    let with_wallet = |wallet: &str| format!("tcps://localhost:{port}/PROD?wallet_location={wallet}");
    refused(&["stranger.pem"], &with_wallet, "UnknownIssuer");
    refused(
        &["authority.pem"],
        &|_| format!("tcps://localhost:{port}/PROD"),
        "UnknownIssuer",
    );
    refused(&[], &with_wallet, "there is no ewallet.pem in ");
    // A wallet with a key has the certificates of the client, and the driver then trusts public authorities alone.
    let mutual = Db::by_tcps(OFFICE, true);
    let port = mutual.server.addr().port();
    let with_key = |wallet: &str| format!("tcps://localhost:{port}/PROD?wallet_location={wallet}");
    refused(
        &["authority.pem", "client.pem", "client.key"],
        &with_key,
        "UnknownIssuer",
    );
    refused(&["authority.pem"], &with_key, "certificate");
}

#[test]
fn tls_where_none_is_spoken_and_none_where_it_is_end_in_time() {
    let (tls, plain) = (Db::by_tcps(OFFICE, false), Db::parse(OFFICE));
    for driver in drivers() {
        let (site, wallet) = site(&["authority.pem"]);
        let wallet = wallet.display();
        for connect in [
            format!("//127.0.0.1:{}/PROD", tls.server.addr().port()),
            format!(
                "tcps://127.0.0.1:{}/PROD?wallet_location={wallet}",
                plain.server.addr().port()
            ),
        ] {
            configure(&site, &driver, &connect);
            let (status, said) = doctor(&site, &driver);
            assert_eq!(status, 2, "driver {}, {connect}: {said}", driver.name);
            assert!(
                said.contains("missing  connection"),
                "driver {}, {connect}: {said}",
                driver.name
            );
        }
    }
}

#[test]
fn oracle_client_says_that_it_has_no_wallet() {
    let db = Db::by_tcps(OFFICE, false);
    let port = db.server.addr().port();
    for driver in drivers().into_iter().filter(|driver| driver.name == "oci") {
        let (site, wallet) = site(&["authority.pem"]);
        // Oracle Client 19.3 reads neither PEM nor the certificates of the host.
        for connect in [
            format!("tcps://localhost:{port}/PROD"),
            format!("tcps://localhost:{port}/PROD?wallet_location={}", wallet.display()),
        ] {
            configure(&site, &driver, &connect);
            let (status, said) = doctor(&site, &driver);
            assert_eq!(status, 2, "{connect}: {said}");
            assert!(
                said.contains("ORA-28759") || said.contains("ORA-29024"),
                "{connect}: {said}"
            );
        }
    }
}

#[test]
fn a_connection_within_this_host_is_called_that() {
    let db = Db::parse(OFFICE);
    for driver in drivers() {
        let (site, _) = site(&[]);
        configure(&site, &driver, &db.connect_string());
        let (_, said) = doctor(&site, &driver);
        assert!(
            said.contains("the connection is by TCP, and does not leave this host"),
            "driver {}: {said}",
            driver.name
        );
    }
}

#[test]
fn a_proxy_logs_in_for_the_account_that_permits_it() {
    for driver in drivers() {
        for (permitted, status) in [("[DOORMAN]", 0), ("[]", 2)] {
            let mut scenario = orasim::Scenario::parse(OFFICE).expect("a scenario");
            let mut doorman = scenario.accounts["REAPER"].clone();
            doorman.password = Some(PASSWORD.to_owned());
            scenario.accounts.insert("DOORMAN".to_owned(), doorman);
            if permitted == "[DOORMAN]" {
                let reaper = scenario.accounts.get_mut("REAPER").expect("it is there");
                reaper.connect_through.insert("DOORMAN".to_owned());
            }
            let db = Db::serve(scenario);
            let (site, _) = site(&[]);
            configure_as(
                &site,
                &driver,
                &db.connect_string(),
                "user: \"doorman[reaper]\"\n    password: {file: password}",
            );
            let (code, said) = doctor(&site, &driver);
            if status == 0 {
                assert_ne!(code, 2, "driver {}: {said}", driver.name);
                assert!(said.contains(" as REAPER, session"), "driver {}: {said}", driver.name);
            } else {
                assert_eq!(code, 2, "driver {}: {said}", driver.name);
                assert!(said.contains("ORA-28150"), "driver {}: {said}", driver.name);
            }
        }
    }
}

#[test]
fn external_authentication_is_refused_for_thin_and_left_to_oracle_client() {
    let db = Db::parse(OFFICE);
    let (site, _) = site(&[]);
    configure_as(&site, &thin(), &db.connect_string(), "external: true");
    let (status, said) = told(site.command(&thin()).args(["--config", "orareaper.yaml", "check"]));
    assert!(status == 1 && said.contains("external"), "{said}");
    for driver in drivers().into_iter().filter(|driver| driver.name == "oci") {
        configure_as(&site, &driver, &db.connect_string(), "external: true");
        let (status, said) = doctor(&site, &driver);
        assert_eq!(status, 2, "{said}");
        assert!(said.contains("missing  connection"), "{said}");
    }
}

/// Another judge of the simulation's TLS: a client that was written by others.
#[test]
fn python_oracledb_logs_in_by_tcps() {
    let python = fetched("venv/bin/python");
    if !python.exists() {
        return not_run("no python-oracledb");
    }
    let db = Db::by_tcps(OFFICE, false);
    let (site, wallet) = site(&["authority.pem"]);
    let script = "
import sys, oracledb
connection = oracledb.connect(user='reaper', password=sys.argv[1], dsn=sys.argv[2], wallet_location=sys.argv[3])
cursor = connection.cursor()
cursor.execute(\"SELECT SYS_CONTEXT('USERENV', 'NETWORK_PROTOCOL') FROM dual\")
print(cursor.fetchone()[0])
cursor.execute('SELECT COUNT(*) FROM gv$session')
print(cursor.fetchone()[0] > 1)
";
    let dsn = format!("tcps://localhost:{}/PROD", db.server.addr().port());
    let mut command = Command::new(python);
    command.args(["-c", script, PASSWORD, &dsn]).arg(&wallet);
    let (status, said) = told(command.current_dir(site.path("wallet")));
    assert_eq!((status, said.as_str()), (0, "tcps\nTrue\n"), "{said}");
    // It trusts nobody whom the wallet does not name.
    site.write(
        "wallet/ewallet.pem",
        fs::read(certificate("stranger.pem")).expect("it is there"),
    );
    let mut command = Command::new(fetched("venv/bin/python"));
    command.args(["-c", script, PASSWORD, &dsn]).arg(&wallet);
    let (status, said) = told(&mut command);
    assert!(status != 0 && said.contains("CERTIFICATE_VERIFY_FAILED"), "{said}");
}
