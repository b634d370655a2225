//! The text of the queries, by release and by need.

use super::*;
use crate::oracle::capabilities::Release;

fn set(columns: &[Column]) -> Columns {
    columns.iter().copied().collect()
}

#[test]
fn sessions_are_read_by_named_columns_addresses_as_text() {
    let wanted = set(&[
        Column::Sid,
        Column::InstId,
        Column::Paddr,
        Column::LogonTime,
        Column::Serial,
    ]);
    let (query, columns) = sessions(
        wanted,
        Release { major: 19, minor: 0 }.documented_columns(),
        Scope::All,
        TextForm::Text,
    );
    assert_eq!(
        query.sql,
        "SELECT inst_id, sid, serial#, RAWTOHEX(paddr) AS paddr, logon_time FROM gv$session"
    );
    assert_eq!(query.columns, [Number, Number, Number, Text, Time]);
    assert_eq!(
        columns,
        [
            Column::InstId,
            Column::Sid,
            Column::Serial,
            Column::Paddr,
            Column::LogonTime
        ]
    );
    assert!(query.binds.is_empty());
}

#[test]
fn what_a_release_lacks_is_not_asked_for() {
    let wanted = set(&[
        Column::Sid,
        Column::ConId,
        Column::ShardDdlStatus,
        Column::DrainStatus,
        Column::Ecid,
    ]);
    let cases = [
        ((11, 2), "SELECT sid, ecid FROM gv$session"),
        ((12, 1), "SELECT sid, ecid, con_id FROM gv$session"),
        ((12, 2), "SELECT sid, ecid, shard_ddl_status, con_id FROM gv$session"),
        ((19, 0), "SELECT sid, ecid, shard_ddl_status, con_id FROM gv$session"),
    ];
    for ((major, minor), sql) in cases {
        let available = Release { major, minor }.documented_columns();
        assert_eq!(
            sessions(wanted, available, Scope::All, TextForm::Text).0.sql,
            sql,
            "{major}.{minor}"
        );
    }
}

#[test]
fn a_derived_column_is_never_asked_for() {
    let everything: Columns = Column::ALL.iter().copied().collect();
    let (query, columns) = sessions(everything, everything, Scope::All, TextForm::Text);
    assert!(columns.iter().all(|column| column.source() == Source::Session));
    assert!(!query.sql.contains("statement_age") && !query.sql.contains('*'));
    assert_eq!(query.columns.len(), columns.len());
}

#[test]
fn one_seat_is_asked_for_by_binds_so_that_the_text_stays_the_same() {
    let columns = set(&[Column::Sid, Column::Status]);
    let seat = |inst_id, sid| sessions(columns, columns, Scope::One { inst_id, sid }, TextForm::Text).0;
    let (first, second) = (seat(1, 287), seat(2, 32));
    assert_eq!(
        first.sql,
        "SELECT sid, status FROM gv$session WHERE inst_id = :1 AND sid = :2"
    );
    assert_eq!(first.sql, second.sql);
    assert_eq!(second.binds, [Bind::Number(2), Bind::Number(32)]);
    assert_eq!(
        second.fetch,
        crate::oracle::FETCH_FEW,
        "no room for a thousand rows is made for one"
    );
}

#[test]
fn rows_of_one_session_are_asked_for_by_its_address() {
    let of = Address::Of {
        inst_id: 1,
        address: "00000000AB12".to_owned(),
    };
    let query = processes(of);
    assert_eq!(
        query.sql,
        "SELECT inst_id, RAWTOHEX(addr), spid, pga_alloc_mem, pname FROM gv$process WHERE inst_id = :1 AND addr = HEXTORAW(:2)"
    );
    assert_eq!(query.binds, [Bind::Number(1), Bind::Text("00000000AB12".to_owned())]);
    assert!(processes(Address::Any).binds.is_empty());
}

#[test]
fn statistics_are_asked_for_by_number() {
    let mut known = Statistics::default();
    known.set("redo size", 194);
    known.set("CPU used by this session", 19);
    known.set("user commits", 6);
    assert_eq!(known.numbers(), [19, 194]);
    let query = statistics(&known.numbers(), Scope::One { inst_id: 2, sid: 7 });
    assert_eq!(
        query.sql,
        "SELECT inst_id, sid, statistic#, value FROM gv$sesstat WHERE statistic# IN (19, 194) \
         AND inst_id = :1 AND sid = :2"
    );
}

#[test]
fn no_query_is_anything_but_a_plain_select() {
    let all = set(Column::ALL);
    let queries = [
        instances(),
        sessions(all, all, Scope::All, TextForm::Text).0,
        sessions_of_instance(1),
        transactions(),
        processes(Address::Any),
        temp(Address::Any),
        parallel_servers(Scope::All),
        statistic_names(),
        statistics(&[1], Scope::All),
        containers(),
        resource_limits(),
        pga(),
        limiting_parameters(),
        host_cpu(),
        temp_space(),
        data_files(),
        tablespaces(),
        startup::instance(),
        startup::full_version(),
        startup::instances(),
        startup::database(),
        startup::is_container_database(),
        startup::container(),
        startup::own_seat(),
        startup::own_session(1, 1),
        startup::session_columns(),
        startup::maintained_accounts_for_everybody(),
        startup::amazon_rds(),
        startup::cloud_service(),
        startup::parameters(),
        startup::open_pdbs(),
        startup::sessions_in_pdbs(),
    ];
    let dictionaries = startup::HOLDERS.iter().chain([&startup::MAINTAINED, &startup::ROLES]);
    let dictionaries = dictionaries.flat_map(|one| [one.own(), one.of_all()]);
    for query in queries.into_iter().chain(dictionaries) {
        let sql = &query.sql;
        assert!(sql.starts_with("SELECT "), "{sql}");
        assert!(
            !sql.contains("SELECT *") && !sql.contains(';') && !sql.contains(" JOIN "),
            "{sql}"
        );
        let placeholders = sql.matches(':').count() - sql.matches("TZH:TZM").count();
        assert_eq!(placeholders, query.binds.len(), "{sql}");
    }
}

#[test]
fn texts_come_as_their_bytes_where_they_cannot_come_as_texts() {
    let columns: Columns = [Column::InstId, Column::Program, Column::Taddr, Column::LogonTime]
        .into_iter()
        .collect();
    let (query, columns) = sessions(columns, columns, Scope::All, TextForm::Bytes { utf8: true });
    let shown = |column: &Column| {
        let name = column.name();
        if column.kind() == Kind::Text {
            format!("RAWTOHEX({name}) AS {name}")
        } else {
            name.to_owned()
        }
    };
    let list: Vec<String> = columns.iter().map(shown).collect();
    assert_eq!(query.sql, format!("SELECT {} FROM gv$session", list.join(", ")));
    assert!(query.sql.contains("RAWTOHEX(program)") && !query.sql.contains("RAWTOHEX(inst_id)"));
}
