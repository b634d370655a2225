//! Which views are needed for what, and what is said of one that cannot be read.

use super::*;
use crate::oracle::Phase;
use crate::oracle::capabilities::Capabilities;
use crate::oracle::capabilities::tests::capabilities;
use crate::oracle::scripted::{Answer, Scripted};
use crate::oracle::sql::startup;
use crate::session::column::Column;

const LIMIT: Duration = Duration::from_secs(10);

fn refused(view: &'static str, code: u32) -> Error {
    let message = format!("ORA-{code:05}: no");
    Error::from_database(Phase::Call, format!("read {view} from prod"), Some(code), &message)
}

fn names(asked: &PolicyNeeds<'_>) -> Vec<&'static str> {
    needed(asked).iter().map(|view| view.name).collect()
}

fn asked<'a>(capabilities: &Capabilities, columns: &[Column], resources: &'a [Resource]) -> PolicyNeeds<'a> {
    PolicyNeeds {
        columns: columns.iter().copied().collect(),
        resources,
        shape: capabilities.shape(),
    }
}

#[test]
fn every_view_that_a_query_names_has_its_row() {
    // Read by whom: everybody may read these.
    let for_everybody = [
        "SYS_CONTEXT",
        "ALL_TAB_COLUMNS",
        "ALL_USERS",
        "PRODUCT_COMPONENT_VERSION",
        "USER_USERS",
        "USER_RESOURCE_LIMITS",
        "SESSION_PRIVS",
        "ALL_OBJECTS",
        // A package, visible to accounts that may execute it.
        "ORAREAPER_GUARD",
        // `doctor` looks at it where it is granted; nothing that decides needs it, and `setup-sql` does not grant it.
        "V$SESSION_CONNECT_INFO",
    ];
    let text = concat!(include_str!("../sql.rs"), include_str!("../sql/startup.rs"));
    let named: Vec<&str> = text
        .split("Query::new(")
        .skip(1)
        .filter_map(|rest| rest.trim_start().strip_prefix('"')?.split('"').next())
        .collect();
    assert!(named.len() > 20, "{named:?}");
    let dictionaries = startup::HOLDERS.iter().chain([&startup::MAINTAINED, &startup::ROLES]);
    let named = named
        .into_iter()
        .chain(dictionaries.flat_map(|one| [one.own, one.of_all]));
    for name in named {
        let known = VIEWS.iter().any(|view| view.name == name) || for_everybody.contains(&name);
        assert!(known, "{name} is read and has no row in VIEWS");
    }
    for view in VIEWS {
        assert!(
            text.contains(&format!("\"{}\"", view.name)),
            "{} is not read by any query",
            view.name
        );
    }
}

#[test]
fn a_view_that_is_not_granted_is_said_with_its_consequence_and_its_grant() {
    let reaper = Grantee {
        username: "REAPER",
        service: HostingService::SelfManaged,
    };
    let said = |view, code, grantee| Unreadable::new(view, refused(view, code), grantee).to_string();
    assert_eq!(
        said("V$STATNAME", 942, reaper),
        "read V$STATNAME from prod: ORA-00942: no; without it cpu, logical_reads, physical_reads and redo are unknown, and so are \
         cpu_rate, reads_rate and redo_rate; \
         remedy: GRANT SELECT ON sys.v_$statname TO REAPER"
    );
    // 23ai has a number of its own for it.
    assert!(said("DBA_DATA_FILES", 41900, reaper).ends_with("; remedy: GRANT SELECT ON sys.dba_data_files TO REAPER"));
    let rds = Grantee {
        service: HostingService::AmazonRds,
        ..reaper
    };
    assert!(
        said("GV$SESSTAT", 942, rds)
            .ends_with("; remedy: EXEC rdsadmin.rdsadmin_util.grant_sys_object('GV_$SESSTAT', 'REAPER', 'SELECT')")
    );
    let quoted = Grantee {
        username: "reaper",
        ..reaper
    };
    assert!(said("GV$PROCESS", 1031, quoted).ends_with("TO \"reaper\""));
    // No grant helps against a column that the release lacks.
    assert!(!said("GV$PROCESS", 904, reaper).contains("grant"));
}

#[test]
fn a_view_is_needed_where_a_policy_asks_for_what_it_tells() {
    let database = capabilities(19, 0);
    let always = [
        "V$INSTANCE",
        "GV$INSTANCE",
        "GV$SESSION",
        "V$DATABASE",
        "V$PARAMETER",
        "DBA_USERS",
        "DBA_SYS_PRIVS",
        "DBA_TAB_PRIVS",
        "DBA_ROLE_PRIVS",
        "DBA_GOLDENGATE_PRIVILEGES",
        "DBA_XSTREAM_ADMINISTRATOR",
        "GV$TRANSACTION",
        "GV$PX_SESSION",
    ];
    assert_eq!(names(&asked(&database, &[], &[])), always);
    let more = |asked: &PolicyNeeds<'_>| -> Vec<&str> {
        names(asked).into_iter().filter(|name| !always.contains(name)).collect()
    };
    assert_eq!(
        more(&asked(&database, &[Column::Cpu], &[])),
        ["GV$SESSTAT", "V$STATNAME"]
    );
    assert_eq!(
        more(&asked(&database, &[Column::Temp], &[])),
        ["GV$SORT_USAGE", "DBA_TABLESPACES"]
    );
    let mut root = capabilities(19, 0);
    root.con_id = Some(1);
    let of_all: Vec<String> = always
        .iter()
        .filter_map(|name| name.strip_prefix("DBA_"))
        .map(|name| format!("CDB_{name}"))
        .collect();
    let mut in_root = more(&asked(&root, &[Column::Container], &[]));
    in_root.retain(|name| !of_all.iter().any(|one| one == name));
    assert_eq!(in_root, ["V$PDBS", "V$CONTAINERS"]);
    let in_root = names(&asked(&root, &[], &[]));
    assert!(
        of_all.iter().all(|name| in_root.contains(&name.as_str())),
        "{in_root:?}"
    );
    assert!(!in_root.iter().any(|name| name.starts_with("DBA_")), "{in_root:?}");
    assert!(!names(&asked(&capabilities(11, 2), &[], &[])).contains(&"DBA_USERS"));
}

#[test]
fn a_missing_grant_is_found_though_no_session_gives_reason_to_read_the_view() {
    let database = capabilities(19, 0);
    let asked = PolicyNeeds {
        columns: [Column::Cpu].into_iter().collect(),
        resources: &[],
        shape: database.shape(),
    };
    let mut connection = Scripted::new(vec![
        ("GV$TRANSACTION", Answer::Fails(942)),
        ("V$STATNAME", Answer::Fails(942)),
        ("WHERE 1 = 0", Answer::Rows(Vec::new())),
    ]);
    let found = check(&mut connection, &asked, database.grantee(), LIMIT).expect("the connection holds");
    let views: Vec<&str> = found.iter().map(|unreadable| unreadable.view).collect();
    assert_eq!(views, ["GV$TRANSACTION", "V$STATNAME"]);
    assert!(found.iter().all(|unreadable| unreadable.grant.is_some()));
    let mut broken = Scripted::new(vec![("V$INSTANCE", Answer::Fails(3113))]);
    let error = check(&mut broken, &asked, database.grantee(), LIMIT).expect_err("the connection broke");
    assert_eq!(error.class, Class::Reconnect);
}
