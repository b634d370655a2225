//! Which actions are possible where, and a database for other tests.

use super::*;
use crate::session::time::DbTime;

pub(crate) fn capabilities(major: u32, minor: u32) -> Capabilities {
    let release = Release { major, minor };
    Capabilities {
        release,
        version: format!("{major}.{minor}.0.0.0"),
        database_name: "ORCL".to_owned(),
        role: "PRIMARY".to_owned(),
        open_mode: "READ WRITE".to_owned(),
        cdb: false,
        con_id: None,
        con_name: String::new(),
        cluster: false,
        instances: Vec::new(),
        narrows: Ok(()),
        own: SessionKey {
            inst_id: 1,
            sid: 10,
            serial: 20,
            logon_time: DbTime(0),
        },
        own_username: "REAPER".to_owned(),
        dates: Dates::default(),
        dates_fault: None,
        columns: release.documented_columns(),
        columns_from: Provenance::Documentation,
        maintained: Accounts::default(),
        maintained_from: Provenance::Documentation,
        containers_of_accounts: None,
        replication: Accounts::default(),
        service: HostingService::SelfManaged,
        via: None,
        block_size: Some(8192),
        tablespace_blocks: HashMap::new(),
        statistics: Statistics::default(),
        texts: TextForm::Text,
        unreadable: Vec::new(),
        notes: Vec::new(),
    }
}

#[test]
fn a_version_is_a_release_however_long_it_is() {
    for (version, major, minor) in [
        ("11.2.0.4.0", 11, 2),
        ("19.3.0.0.0", 19, 3),
        ("23.0.0.0.0", 23, 0),
        ("21", 21, 0),
    ] {
        assert_eq!(Release::parse(version), Some(Release { major, minor }));
    }
    assert_eq!(Release::parse("unknown"), None);
}

#[test]
fn an_action_is_to_be_had_from_the_release_that_documents_it() {
    let first = |action: Action| -> Option<(u32, u32)> {
        [(11, 2), (12, 1), (12, 2), (18, 0), (19, 0), (21, 0), (23, 0)]
            .into_iter()
            .find(|(major, minor)| capabilities(*major, *minor).supports(action).is_ok())
    };
    for action in Action::ALL {
        let expected = match action.name() {
            "kill" | "kill immediate" | "disconnect post_transaction" | "disconnect immediate" | "report" => (11, 2),
            "kill noreplay" | "disconnect noreplay" | "disconnect post_transaction noreplay" => (12, 1),
            "cancel sql" => (18, 0),
            "kill force" => (23, 0),
            other => panic!("no first release is written down for {other}"),
        };
        assert_eq!(first(action), Some(expected), "{action}");
    }
    let refused = capabilities(12, 2).supports(Action::CancelSql).expect_err("before 18");
    assert_eq!(
        refused.to_string(),
        "CANCEL SQL is documented from release 18.0 on, this database is 12.2"
    );
}

#[test]
fn managed_services_keep_what_they_keep() {
    let mut rds = capabilities(23, 0);
    rds.service = HostingService::AmazonRds;
    let mut autonomous = capabilities(23, 0);
    autonomous.service = HostingService::Autonomous;
    for action in Action::ALL {
        let is_kill = action.name().starts_with("kill");
        let is_report = action == Action::Report;
        let in_rds = [
            "kill",
            "kill immediate",
            "disconnect post_transaction",
            "disconnect immediate",
            "cancel sql",
            "report",
        ];
        assert_eq!(
            rds.supports(action).is_ok(),
            in_rds.contains(&action.name()),
            "{action} on RDS"
        );
        for via in [Via::AlterSystem, Via::Package] {
            let other = Capabilities {
                via: Some(via),
                ..rds.clone()
            };
            assert_eq!(other.supports(action).is_ok(), is_report, "{action} on RDS, {via:?}");
        }
        let elsewhere = Capabilities {
            via: Some(Via::Rds),
            ..capabilities(23, 0)
        };
        assert_eq!(
            elsewhere.supports(action).is_ok(),
            is_report,
            "{action} via RDS elsewhere"
        );
        assert_eq!(
            autonomous.supports(action).is_ok(),
            is_kill || is_report,
            "{action} on Autonomous"
        );
    }
}

#[test]
fn a_disconnect_needs_an_open_database() {
    let mut mounted = capabilities(19, 0);
    mounted.open_mode = "MOUNTED".to_owned();
    let disconnect = Action::Disconnect {
        clause: DisconnectClause::Immediate,
    };
    assert_eq!(mounted.supports(disconnect), Err(Reason::NotOpen));
    assert_eq!(mounted.supports(Action::CancelSql), Ok(()));
    let mut standby = capabilities(19, 0);
    standby.open_mode = "READ ONLY WITH APPLY".to_owned();
    assert_eq!(standby.supports(disconnect), Ok(()));
}

#[test]
fn a_disconnect_needs_a_way_to_each_instance() {
    let disconnect = Action::Disconnect {
        clause: DisconnectClause::Immediate,
    };
    let instance = |inst_id| InstanceFacts {
        inst_id,
        name: format!("shop{inst_id}"),
        host: "db1".to_owned(),
        status: "OPEN".to_owned(),
    };
    let mut found = capabilities(19, 0);
    found.narrows = Err(OneForAll::Alias);
    found.instances = vec![instance(1)];
    assert_eq!(found.supports(disconnect), Ok(()), "there is no other");
    found.instances.push(instance(2));
    let refused = found.supports(disconnect).expect_err("two instances");
    assert_eq!(
        refused.to_string(),
        "DISCONNECT SESSION reaches only the instance that it is sent to, and this database has several; `connect` is an \
         alias and cannot ask for an instance: write the address out, as //host:port/service or as a descriptor, or take a \
         `kill`"
    );
    let kill = Action::Kill {
        clause: KillClause::Immediate,
    };
    assert_eq!(found.supports(kill), Ok(()));
    found.narrows = Ok(());
    assert_eq!(found.supports(disconnect), Ok(()));
}
