"""python-oracledb, unmodified, against the wire with fixed answers behind it (see fixed/mod.rs) or with the simulated
world.

Usage: python_clients.py thin|thick fixed|world HOST:PORT [folder of the client library]
Ends with status 0 and the word "passed", or with the first assertion that does not hold.
"""

import datetime
import sys
import threading

import oracledb

MOMENT = datetime.datetime(2024, 2, 29, 23, 59, 58, 123456)
BIG = 70_001


def long_text(size):
    text = []
    length = 0
    while length + 3 <= size:
        character = "aé€z"[len(text) % 4]
        text.append(character)
        length += len(character.encode())
    return "".join(text) + "." * (size - length)


def connect(address, user="scott", password="tiger", service="fixed"):
    return oracledb.connect(user=user, password=password, dsn=f"{address}/{service}")


def fails(call, *codes):
    try:
        call()
    except oracledb.Error as error:
        found = error.args[0]
        assert found.full_code in codes, f"{found.full_code} instead of {codes}: {found.message}"
        return found
    raise AssertionError(f"no error, where one of {codes} was expected")


def logins(address, thin):
    with connect(address) as connection:
        assert connection.version == "19.3.0.0.0", connection.version
        connection.ping()
    fails(lambda: connect(address, password="Tiger"), "ORA-01017")
    fails(lambda: connect(address, user="nobody"), "ORA-01017")
    fails(lambda: connect(address, user="locked"), "ORA-28000")
    for service, number in (("nowhere", "12514"), ("starting", "12528")):
        refused = fails(lambda: connect(address, service=service), "DPY-6005" if thin else f"ORA-{number}")
        assert number in refused.message, refused.message
    connect(address, user="scott[hr]").close()
    assert "ORA-28002" in str(connect(address, user="expiring").warning)


def types(connection):
    rows = connection.cursor().execute("select * from kinds").fetchall()
    assert len(rows) == 3
    number, decimal, double, text, long, day, stamp, raw = rows[0]
    assert (number, decimal, double, text) == (1, -12.5, 1.5, "grüße €"), rows[0]
    assert long == long_text(252)
    assert day == MOMENT.replace(microsecond=0) and stamp == MOMENT
    assert raw == bytes(range(256))
    assert rows[1] == (None,) * 8
    assert rows[2][0] == 2**63 - 1 and rows[2][2] == -2.25e-100 and rows[2][4] == long_text(4000)
    wide = connection.cursor().execute("select * from wide").fetchall()
    assert len(wide) == 5 and wide[4][299] == f"4.{299:0>140}"


def rows(connection):
    for array, prefetch in ((1000, 2), (10_000, 10_000), (7, 0)):
        cursor = connection.cursor()
        cursor.arraysize = array
        cursor.prefetchrows = prefetch
        count = BIG if array > 7 else 100
        cursor.execute("select n, name from big")
        for expected, (number, name) in enumerate(cursor.fetchmany(count), start=1):
            assert (number, name) == (expected, f"name of {expected}")
        assert expected == count
    assert connection.cursor().execute("select n, name from none").fetchall() == []
    for _ in range(3):
        assert [row[0] for row in connection.cursor().execute("select n, name from three")] == [1, 2, 3]


def clobs(connection):
    oracledb.defaults.fetch_lobs = False
    for _ in range(2):
        found = connection.cursor().execute("select t from clobs").fetchall()
        assert found == [(size, long_text(size) or None) for size in (10, 40_000, 0, 300)]
    oracledb.defaults.fetch_lobs = True
    for _ in range(2):
        # Another text: a cached statement keeps the way in which its CLOBs were fetched at first.
        rows = connection.cursor().execute("select t from clobs where 1 = 1").fetchall()
        assert [size for size, _ in rows] == [10, 40_000, 0, 300]
        for size, lob in rows:
            text = long_text(size)
            if size == 0:
                assert lob is None
            else:
                assert (lob.size(), lob.read()) == (len(text), text)
                assert (lob.read(3, 5), lob.read(len(text))) == (text[2:7], text[-1])
        connection.ping()


def binds(connection):
    text = long_text(20_000)
    cursor = connection.cursor()
    for _ in range(2):
        cursor.execute("select binds :1, :2, :3, :4, :5, :6 from dual", [text, -42, 2.5, MOMENT, None, b"\x00\xff"])
        row = cursor.fetchone()
        assert row[0] == "20000 bytes, as expected" and row[1] == -42 and row[2] == 2.5, row
        assert row[3] == MOMENT.replace(microsecond=0) and row[4] is None and row[5] == b"\x00\xff", row[3:]
    cursor.setinputsizes(oracledb.DB_TYPE_NVARCHAR, oracledb.DB_TYPE_TIMESTAMP, oracledb.DB_TYPE_BINARY_DOUBLE)
    cursor.execute("select binds :1, :2, :3 from dual", ["grüße €", MOMENT, -0.5])
    assert cursor.fetchone() == ("grüße €", MOMENT, -0.5)


def plsql(connection):
    cursor = connection.cursor()
    for value in (21, -1, 1_000_000):
        out = cursor.var(int)
        cursor.execute("begin :1 := :2 * 2; end;", [out, value])
        assert out.getvalue() == value * 2
    text = cursor.var(str, 20)
    empty = cursor.var(int)
    for _ in range(2):
        text.setvalue(0, "grüße")
        cursor.execute("begin :1 := upper(:1); :2 := null; end;", [text, empty])
        assert (text.getvalue(), empty.getvalue()) == ("GRÜSSE", None)
    cursor.execute("begin null; end;")
    cursor.execute("alter system flush")


def batches(connection):
    cursor = connection.cursor()
    values = [(1, "one"), (2, "two"), (3, None)]
    cursor.executemany("insert into t values (:1, :2)", values, arraydmlrowcounts=True)
    assert (cursor.rowcount, cursor.getarraydmlrowcounts()) == (1 + 2 + 3, [1, 2, 3])
    for _ in range(2):
        cursor.executemany("insert into t values (:a, :b)", values)
        assert cursor.rowcount == 1 + 2 + 3
    connection.module = "loader"
    connection.action = "load"
    connection.client_identifier = "me"
    connection.commit()
    connection.rollback()
    connection.autocommit = True
    cursor.execute("insert into t values (1)")
    cursor.execute("insert into t values (1)")
    connection.autocommit = False


def errors(connection):
    for _ in range(2):
        assert fails(lambda: connection.cursor().execute("select nosuch from dual"), "ORA-00904").offset == 7
        assert fails(lambda: connection.cursor().execute("select * from nowhere"), "ORA-00942").offset == 14
        fails(lambda: connection.cursor().execute("select n, name from old").fetchall(), "ORA-01555")
        assert len(connection.cursor().execute("select n, name from big").fetchmany(3)) == 3
    connection.ping()


def interruptions(connection):
    cursor = connection.cursor()
    for _ in range(2):
        # The answer to the break that follows has as long.
        connection.call_timeout = 2_000
        fails(lambda: cursor.execute("begin sleep; end;"), "DPY-4024")
        connection.call_timeout = 0
        assert cursor.execute("select n, name from three").fetchone()[0] == 1
        timer = threading.Timer(0.3, connection.cancel)
        timer.start()
        fails(lambda: cursor.execute("begin sleep; end;"), "ORA-01013")
        timer.join()
        assert cursor.execute("select n, name from three").fetchone()[0] == 1


def ends(address):
    connection = connect(address)
    killed = fails(lambda: connection.cursor().execute("select gone from dual"), "DPY-4011", "ORA-00028")
    assert "ORA-00028" in killed.message, killed.message
    fails(connection.ping, "DPY-1001", "ORA-01012", "DPY-4011")
    connection = connect(address)
    fails(lambda: connection.cursor().execute("select cut from dual"), "DPY-4011", "ORA-03113")


def changes(connection, other):
    def count():
        return one(other, "select count(*) from notes")

    cursor = connection.cursor()
    cursor.execute("create table notes (n number, t varchar2(4000), d date)")
    day = MOMENT.replace(microsecond=0)
    for n in range(1, 6):
        text = None if n == 3 else long_text(n * 700)
        cursor.execute("insert into notes values (:n, :t, :d)", n=n, t=text, d=day)
        assert cursor.rowcount == 1
    assert count() == 0
    connection.commit()
    assert count() == 5
    cursor.execute("update notes set d = null where n > 3")
    assert cursor.rowcount == 2
    cursor.execute("delete from notes where n = 100")
    assert cursor.rowcount == 0
    assert connection.transaction_in_progress
    connection.rollback()
    assert not connection.transaction_in_progress
    assert one(connection, "select count(d) from notes") == 5
    cursor.executemany("update notes set t = 'x' where n <= :1", [(2,), (0,), (4,)], arraydmlrowcounts=True)
    assert cursor.getarraydmlrowcounts() == [2, 0, 4]
    # Left open.


def queries(connection):
    cursor = connection.cursor()
    for _ in range(2):
        # A name used twice, in SQL and in PL/SQL.
        cursor.execute("select n, t, d from notes where n = :n or n = :n - 2 or t = :t order by n", n=5, t="x")
        rows = cursor.fetchall()
        assert [row[0] for row in rows] == [1, 2, 3, 4, 5]
        assert [row[1] for row in rows] == ["x"] * 4 + [long_text(5 * 700)]
        out = cursor.var(int)
        cursor.execute("begin :o := :n + :n; end;", o=out, n=21)
        assert out.getvalue() == 42
        stamp = cursor.var(oracledb.DB_TYPE_TIMESTAMP_TZ)
        cursor.execute("begin :o := to_timestamp('2024-02-29 23:59:58', 'YYYY-MM-DD HH24:MI:SS'); end;", o=stamp)
        assert stamp.getvalue() == MOMENT.replace(microsecond=0)
    for sql, code in (
        ("select n from no_such_table", "ORA-00942"),
        ("select no_such_column from notes", "ORA-00904"),
        ("select n from notes where n = :missing", "ORA-01008"),
    ):
        fails(lambda: cursor.execute(sql), code, "DPY-4010")
    assert one(connection, "select count(*) from notes") == 5


def many_statements(connection):
    cursor = connection.cursor()
    for n in range(400):
        assert one(connection, f"select {n} from dual") == n
        cursor.execute("select :1 + 1 from dual", [n])
        assert cursor.fetchone()[0] == n + 1


def blocks(reaper):
    cursor = reaper.cursor()
    code, text = cursor.var(int), cursor.var(str, 200)
    for _ in range(2):
        cursor.execute(
            "BEGIN EXECUTE IMMEDIATE :stmt; :code := 0; EXCEPTION WHEN OTHERS THEN :code := SQLCODE; "
            ":text := SUBSTR(SQLERRM, 1, 60); END;",
            stmt="ALTER SYSTEM KILL SESSION '9999,1'",
            code=code,
            text=text,
        )
        assert code.getvalue() == -30 and text.getvalue().startswith("ORA-00030: ")


def kills(reaper):
    victims = [connect(ADDRESS, "apexdev", "apexdev", "orcl") for _ in range(2)]
    keys = []
    for victim in victims:
        sid = one(victim, "select sys_context('userenv', 'sid') from dual")
        serial = one(reaper, f"select serial# from v$session where sid = {sid} and status = 'INACTIVE'")
        keys.append(f"{sid},{serial}")
    reaper.cursor().execute(f"alter system kill session '{keys[0]}'")
    killed = fails(lambda: one(victims[0], "select 1 from dual"), "DPY-4011", "ORA-00028")
    assert "ORA-00028" in killed.message, killed.message
    fails(lambda: one(victims[0], "select 1 from dual"), "DPY-1001", "ORA-01012", "DPY-4011")
    reaper.cursor().execute(f"alter system disconnect session '{keys[1]}' immediate")
    fails(lambda: one(victims[1], "select 1 from dual"), "DPY-4011", "ORA-03113")


def one(connection, sql):
    return connection.cursor().execute(sql).fetchone()[0]


def world():
    fails(lambda: connect(ADDRESS, "apexdev", "wrong", "orcl"), "ORA-01017")
    with connect(ADDRESS, "apexdev", "apexdev", "orcl") as other:
        with connect(ADDRESS, "apexdev", "apexdev", "orcl") as connection:
            changes(connection, other)
            queries(connection)
            many_statements(connection)
        # A client that knows of its open transaction rolls it back before it goes.
        assert one(other, "select count(*) from notes where t = 'x'") == 0
        assert one(other, "select count(t) from notes") == 4
    with connect(ADDRESS, "reaper", "reaper", "orcl") as reaper:
        blocks(reaper)
        kills(reaper)


def fixed(thin):
    logins(ADDRESS, thin)
    with connect(ADDRESS) as connection:
        for part in (types, rows, clobs, binds, plsql, batches, errors, interruptions):
            part(connection)
            print(part.__name__, flush=True)
    ends(ADDRESS)


MODE, PART, ADDRESS = sys.argv[1:4]
if MODE == "thick":
    oracledb.init_oracle_client(lib_dir=sys.argv[4])
assert oracledb.is_thin_mode() == (MODE == "thin")
if PART == "fixed":
    fixed(MODE == "thin")
else:
    world()
print("passed", flush=True)
