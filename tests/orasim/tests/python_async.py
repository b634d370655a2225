"""python-oracledb with asyncio (which is thin), unmodified, against the wire with fixed answers behind it (see
fixed/mod.rs) or with the simulated world: many connections side by side in one thread.

Usage: python_async.py fixed|world HOST:PORT
Ends with status 0 and the word "passed", or with the first assertion that does not hold.
"""

import asyncio
import sys

import oracledb


async def connect(user="scott", password="tiger", service="fixed"):
    return await oracledb.connect_async(user=user, password=password, dsn=f"{ADDRESS}/{service}")


async def fails(call, *codes):
    try:
        await call
    except oracledb.Error as error:
        found = error.args[0]
        assert found.full_code in codes, f"{found.full_code} instead of {codes}: {found.message}"
        return found
    raise AssertionError(f"no error, where one of {codes} was expected")


async def one(connection, sql, **binds):
    return (await connection.fetchone(sql, binds))[0]


async def talk(number):
    async with await connect() as connection:
        cursor = connection.cursor()
        cursor.arraysize = 1000
        await cursor.execute("select n, name from big")
        expected = 0
        async for found, name in cursor:
            expected += 1
            assert (found, name) == (expected, f"name of {expected}")
            if expected == 3_000:
                break
        row = await connection.fetchone("select binds :1, :2 from dual", [number, f"grüße {number}"])
        assert row == (number, f"grüße {number}")
        out = cursor.var(int)
        await cursor.execute("begin :1 := :2 * 2; end;", [out, number])
        assert out.getvalue() == number * 2
        assert (await fails(cursor.execute("select nosuch from dual"), "ORA-00904")).offset == 7


async def interruptions():
    async with await connect() as connection:
        # The answer to the break that follows has as long.
        connection.call_timeout = 2_000
        await fails(connection.execute("begin sleep; end;"), "DPY-4024")
        connection.call_timeout = 0
        asyncio.get_running_loop().call_later(0.3, connection.cancel)
        await fails(connection.execute("begin sleep; end;"), "ORA-01013")
        assert await one(connection, "select n, name from three") == 1


async def fixed():
    await fails(connect(password="Tiger"), "ORA-01017")
    await asyncio.gather(*(talk(number) for number in range(8)), interruptions())
    killed = await connect()
    assert "ORA-00028" in (await fails(killed.execute("select gone from dual"), "DPY-4011", "ORA-00028")).message
    cut = await connect()
    await fails(cut.execute("select cut from dual"), "DPY-4011")


async def world():
    await fails(connect("apexdev", "wrong", "orcl"), "ORA-01017")
    other = await connect("apexdev", "apexdev", "orcl")
    async with await connect("apexdev", "apexdev", "orcl") as connection:
        await connection.execute("create table notes (n number, t varchar2(40))")
        await connection.executemany("insert into notes values (:1, :2)", [(n, f"note {n}") for n in range(1, 6)])
        assert connection.transaction_in_progress and await one(other, "select count(*) from notes") == 0
        await connection.commit()
        assert await one(connection, "select max(t) from notes where n = :n or n = :n + 1", n=3) == "note 4"
        await connection.execute("delete from notes")
    # Closing has rolled back.
    assert await one(other, "select count(*) from notes") == 5
    async with await connect("reaper", "reaper", "orcl") as reaper:
        sid = await one(other, "select sys_context('userenv', 'sid') from dual")
        serial = await one(reaper, f"select serial# from v$session where sid = {sid}")
        await reaper.execute(f"alter system kill session '{sid},{serial}'")
    assert "ORA-00028" in (await fails(other.ping(), "DPY-4011", "ORA-00028")).message


PART, ADDRESS = sys.argv[1:3]
asyncio.run(fixed() if PART == "fixed" else world())
print("passed", flush=True)
