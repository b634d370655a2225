//! Rows that are made of rows: CONNECT BY, ROWNUM, LISTAGG.

use super::{client, rows};

/// 1 under nobody, 2 and 3 under 1, 4 under 2; 5 and 6 under each other, 7 under 5.
const TREE: &str = "SELECT 1 AS id, CAST(NULL AS NUMBER) AS boss FROM dual UNION ALL SELECT 2, 1 FROM dual UNION ALL \
                    SELECT 3, 1 FROM dual UNION ALL SELECT 4, 2 FROM dual UNION ALL SELECT 5, 6 FROM dual UNION ALL \
                    SELECT 6, 5 FROM dual UNION ALL SELECT 7, 5 FROM dual";

#[test]
fn a_hierarchy_is_walked() {
    let (_world, mut client) = client();
    client.run(&format!("CREATE TABLE tree AS {TREE}")).expect("create");
    let cases = [
        (
            "SELECT id, LEVEL FROM tree START WITH boss IS NULL CONNECT BY boss = PRIOR id ORDER BY id",
            "1|1\n2|2\n3|2\n4|3",
        ),
        // WHERE leaves rows out, not what is below them.
        (
            "SELECT id FROM tree WHERE id != 2 START WITH id = 1 CONNECT BY PRIOR id = boss ORDER BY id",
            "1\n3\n4",
        ),
        // Bottom up, and the clauses the other way round.
        (
            "SELECT id FROM tree t CONNECT BY t.id = PRIOR t.boss START WITH id = 4 ORDER BY LEVEL",
            "4\n2\n1",
        ),
        // Without START WITH, from every row.
        (
            "SELECT COUNT(*) FROM tree WHERE id < 5 CONNECT BY NOCYCLE boss = PRIOR id",
            "8",
        ),
        (
            "SELECT id FROM tree START WITH id = 5 CONNECT BY boss = PRIOR id",
            "ORA-01436: CONNECT BY loop in user data at 0",
        ),
        (
            "SELECT id FROM tree START WITH id = 5 CONNECT BY NOCYCLE boss = PRIOR id ORDER BY id",
            "5\n6\n7",
        ),
        // In a subquery, from where the row outside stands.
        (
            "SELECT o.id, (SELECT COUNT(DISTINCT t.id) FROM tree t WHERE t.id != o.id START WITH t.boss = o.id CONNECT BY NOCYCLE \
             t.boss = PRIOR t.id) FROM tree o ORDER BY o.id",
            "1|3\n2|1\n3|0\n4|0\n5|2\n6|2\n7|0",
        ),
    ];
    for (query, expected) in cases {
        assert_eq!(rows(&mut client, query), expected, "{query}");
    }
}

#[test]
fn rownum_counts_the_rows_of_a_join() {
    let (_world, mut client) = client();
    let pairs = "FROM (SELECT 1 a FROM dual UNION ALL SELECT 2 FROM dual UNION ALL SELECT 3 FROM dual) x, \
                 (SELECT 1 b FROM dual UNION ALL SELECT 2 FROM dual) y";
    for (condition, expected) in [
        ("ROWNUM <= 4", 4),
        ("5 > ROWNUM", 4),
        ("ROWNUM < 4.5", 4),
        ("ROWNUM = 1", 1),
        ("ROWNUM = 2", 0),
        ("ROWNUM > 1", 0),
        ("ROWNUM > 0", 6),
        ("ROWNUM >= 1 AND ROWNUM <= 3", 3),
        ("ROWNUM BETWEEN 1 AND 2", 2),
        ("ROWNUM BETWEEN 2 AND 3", 0),
        ("ROWNUM IN (1, 2, 4)", 2),
        ("x.a = y.b AND ROWNUM <= 5", 2),
        ("ROWNUM <= 1 AND x.a > 1", 1),
        ("(ROWNUM <= 2 OR x.a = 99)", 2),
        ("MOD(ROWNUM, 4) <> 0", 3),
        ("ROWNUM <= NULL", 0),
    ] {
        for query in [
            format!("SELECT COUNT(*) {pairs} WHERE {condition}"),
            format!("SELECT COUNT(*) FROM (SELECT x.a, y.b {pairs} WHERE {condition})"),
            format!("SELECT COUNT(*) FROM (SELECT x.a, y.b {pairs} WHERE {condition} ORDER BY y.b)"),
        ] {
            assert_eq!(rows(&mut client, &query), expected.to_string(), "{query}");
        }
    }
    // A subquery counts anew for each row outside.
    let first = "SELECT username, (SELECT i.sid FROM gv$session i WHERE i.username = o.username AND ROWNUM = 1) FROM \
                 gv$session o WHERE o.sid >= 500 ORDER BY 1";
    assert_eq!(rows(&mut client, first), "ETL|501\nSHOP|500");
    let joined = "SELECT COUNT(*) FROM v$session s LEFT JOIN v$process p ON p.addr = s.paddr WHERE ROWNUM <= 7";
    assert_eq!(rows(&mut client, joined), "7");
}

#[test]
fn rows_are_made_of_one_and_put_together() {
    let (_world, mut client) = client();
    for (query, expected) in [
        ("SELECT LEVEL FROM dual CONNECT BY LEVEL <= 4", "1\n2\n3\n4"),
        ("SELECT SUM(LEVEL) FROM dual CONNECT BY LEVEL <= 100", "5050"),
        ("SELECT COUNT(*) FROM dual CONNECT BY LEVEL < 1", "1"),
        (
            "SELECT TRUNC(SYSDATE) - LEVEL AS day FROM dual CONNECT BY LEVEL <= 2",
            "2026-11-22 00:00:00\n2026-11-21 00:00:00",
        ),
        (
            "SELECT COUNT(*) FROM dual CONNECT BY 1 = 1",
            "ORA-30009: Not enough memory for CONNECT BY operation at 0",
        ),
        (
            "SELECT LISTAGG(n, '-') WITHIN GROUP (ORDER BY n DESC) FROM (SELECT LEVEL n FROM dual CONNECT BY LEVEL <= 3)",
            "3-2-1",
        ),
        (
            "SELECT LISTAGG(n) WITHIN GROUP (ORDER BY n) FROM (SELECT LEVEL n FROM dual CONNECT BY LEVEL <= 3)",
            "123",
        ),
        (
            "SELECT n, LISTAGG(n, ',') WITHIN GROUP (ORDER BY n) OVER (PARTITION BY MOD(n, 2)) FROM (SELECT LEVEL n FROM dual \
             CONNECT BY LEVEL <= 4) ORDER BY n",
            "1|1,3\n2|2,4\n3|1,3\n4|2,4",
        ),
        (
            "SELECT LISTAGG(n, ',') WITHIN GROUP (ORDER BY n) FROM (SELECT LEVEL n FROM dual CONNECT BY LEVEL <= 2000)",
            "ORA-01489: result of string concatenation is too long at 0",
        ),
    ] {
        assert_eq!(rows(&mut client, query), expected, "{query}");
    }
    client.run(&format!("CREATE TABLE tree AS {TREE}")).expect("create");
    // Down before on.
    let walk = "SELECT id FROM tree START WITH boss IS NULL CONNECT BY boss = PRIOR id";
    assert_eq!(rows(&mut client, walk), "1\n2\n4\n3");
}
