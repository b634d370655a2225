//! What becomes of NUMBER: all its digits, when they are written, kept, sorted and summed.

use orasim::backend::Value;

use super::{client, rows};

#[test]
fn numbers_keep_all_their_digits() {
    let (_world, mut client) = client();
    let third = format!(".{}", "3".repeat(40));
    for (query, expected) in [
        ("SELECT 1234567890123456789 FROM dual", "1234567890123456789"),
        (
            "SELECT 12345678901234567890123456789012345678 FROM dual",
            "12345678901234567890123456789012345678",
        ),
        ("SELECT -0.12345678901234567890 FROM dual", "-0.1234567890123456789"),
        ("SELECT TO_NUMBER('9007199254740993') FROM dual", "9007199254740993"),
        (
            "SELECT TRUNC(9007199254740993.7), ROUND(9007199254740993.5) FROM dual",
            "9007199254740993|9007199254740994",
        ),
        (
            "SELECT MOD(9007199254740993, 10), ABS(-9007199254740993) FROM dual",
            "3|9007199254740993",
        ),
        ("SELECT 9999999999 * 9999999999 FROM dual", "99999999980000000001"),
        ("SELECT 99999999999999999999 + 1 FROM dual", "100000000000000000000"),
        ("SELECT TO_CHAR(1/3) FROM dual", third.as_str()),
        ("SELECT 2/3*3 - 2, 0.1 + 0.2 FROM dual", "0|0.3"),
        (
            "SELECT TO_CHAR(12345678901234567.5, 'FM99,999,999,999,999,999.00') FROM dual",
            "12,345,678,901,234,567.50",
        ),
        (
            "SELECT CASE WHEN 9007199254740993 > 9007199254740992.5 THEN 1 END FROM dual",
            "1",
        ),
        (
            "SELECT GREATEST(2, 10000000000000000000.5), LEAST(1/3, 3) * 3 FROM dual",
            "10000000000000000000.5|0.9999999999999999999999999999999999999999",
        ),
    ] {
        assert_eq!(rows(&mut client, query), expected, "{query}");
    }
}

#[test]
fn numbers_that_users_keep_are_sorted_and_summed() {
    let (_world, mut client) = client();
    client.run("CREATE TABLE sums (n NUMBER)").expect("create");
    for n in ["12345678901234567.89", "-99999999999999999999", "7", "0.5"] {
        let bound = client.run_with("INSERT INTO sums VALUES (:1)", &[Value::Decimal(n.into())]);
        assert_eq!(bound.map(|answer| answer.affected), Ok(1));
    }
    for (query, expected) in [
        (
            "SELECT n FROM sums ORDER BY n",
            "-99999999999999999999\n0.5\n7\n12345678901234567.89",
        ),
        (
            "SELECT n FROM sums ORDER BY 1 DESC FETCH FIRST 1 ROW ONLY",
            "12345678901234567.89",
        ),
        (
            "SELECT SUM(n), MIN(n), MAX(n) FROM sums",
            "-99987654321098765423.61|-99999999999999999999|12345678901234567.89",
        ),
        (
            "SELECT n FROM sums WHERE n > 6 AND n < 12345678901234567.895 ORDER BY n",
            "7\n12345678901234567.89",
        ),
        ("SELECT COUNT(*) FROM sums WHERE n = 12345678901234567.89", "1"),
        ("SELECT COUNT(*) FROM sums WHERE n = '7' OR n IN (0.5, 3)", "2"),
        ("SELECT AVG(n) FROM sums WHERE n BETWEEN 0 AND 10", "3.75"),
    ] {
        assert_eq!(rows(&mut client, query), expected, "{query}");
    }
    let same = client.run_with(
        "SELECT n FROM sums WHERE n = :1",
        &[Value::Decimal("12345678901234567.89".into())],
    );
    assert_eq!(
        same.map(|answer| answer.rows),
        Ok(vec![vec![Value::Decimal("12345678901234567.89".into())]])
    );
}
