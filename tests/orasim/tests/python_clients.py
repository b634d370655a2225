"""python-oracledb, unmodified, against the wire with fixed answers behind it (see fixed/mod.rs).

Usage: python_clients.py thin|thick HOST:PORT [folder of the client library]
Ends with status 0 and the word "passed", or with the first assertion that does not hold.
"""

import datetime
import sys
import threading
import time

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
    for _ in range(2):
        cursor.executemany("insert into t values (:1, :2)", [(1, "one"), (2, "two"), (3, None)])
        assert cursor.rowcount == 3
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
        connection.call_timeout = 200
        begun = time.monotonic()
        fails(lambda: cursor.execute("begin sleep; end;"), "DPY-4024")
        assert time.monotonic() - begun < 5
        connection.call_timeout = 0
        assert cursor.execute("select n, name from three").fetchone()[0] == 1
        timer = threading.Timer(0.3, connection.cancel)
        timer.start()
        begun = time.monotonic()
        fails(lambda: cursor.execute("begin sleep; end;"), "ORA-01013")
        assert time.monotonic() - begun < 5
        timer.join()
        assert cursor.execute("select n, name from three").fetchone()[0] == 1


def ends(address):
    connection = connect(address)
    killed = fails(lambda: connection.cursor().execute("select gone from dual"), "DPY-4011", "ORA-00028")
    assert "ORA-00028" in killed.message, killed.message
    fails(connection.ping, "DPY-1001", "ORA-01012", "DPY-4011")
    connection = connect(address)
    fails(lambda: connection.cursor().execute("select cut from dual"), "DPY-4011", "ORA-03113")


def main():
    mode, address = sys.argv[1:3]
    if mode == "thick":
        oracledb.init_oracle_client(lib_dir=sys.argv[3])
    thin = oracledb.is_thin_mode()
    assert thin == (mode == "thin")
    logins(address, thin)
    with connect(address) as connection:
        for part in (types, rows, clobs, binds, plsql, batches, errors, interruptions):
            part(connection)
            print(part.__name__, flush=True)
    ends(address)
    print("passed", flush=True)


main()
