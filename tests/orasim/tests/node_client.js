// node-oracledb, thin and unmodified, against the wire with fixed answers behind it (see fixed/mod.rs) or with the
// simulated world.
//
// Usage: node node_client.js FOLDER-OF-ORACLEDB fixed|world HOST:PORT
// Ends with status 0 and the word "passed", or with the first expectation that does not hold.
'use strict';

const assert = require('assert').strict;
const [folder, part, address] = process.argv.slice(2);
const oracledb = require(folder);
oracledb.program = 'acceptance';

const MOMENT = new Date(2024, 1, 29, 23, 59, 58, 123);
const SECOND = new Date(2024, 1, 29, 23, 59, 58);
const BIG = 70_001;

function longText(size) {
  const [characters, lengths] = [['a', 'é', '€', 'z'], [1, 2, 3, 1]];
  let text = '', length = 0;
  for (let at = 0; length + 3 <= size; at++) {
    text += characters[at % 4];
    length += lengths[at % 4];
  }
  return text + '.'.repeat(size - length);
}

function connect(user = 'scott', password = 'tiger', service = part === 'fixed' ? 'fixed' : 'orcl', more = {}) {
  return oracledb.getConnection({ user, password, connectString: `${address}/${service}`, ...more });
}

async function fails(call, ...codes) {
  try {
    await call();
  } catch (error) {
    assert(codes.includes(error.code), `${error.code} instead of ${codes}: ${error.message}`);
    return error;
  }
  throw new assert.AssertionError({ message: `no error, where one of ${codes} was expected` });
}

const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

// Against fixed answers.

async function logins() {
  const connection = await connect();
  assert.equal(connection.oracleServerVersionString, '19.3.0.0.0');
  await connection.ping();
  await connection.close();
  await fails(() => connect('scott', 'Tiger'), 'ORA-01017');
  await fails(() => connect('nobody'), 'ORA-01017');
  await fails(() => connect('locked'), 'ORA-28000');
  await fails(() => connect('scott', 'tiger', 'nowhere'), 'NJS-518');
  const starting = await fails(() => connect('scott', 'tiger', 'starting'), 'NJS-511');
  assert(starting.message.includes('ORA-12528'), starting.message);
  await (await connect('scott[hr]')).close();
  const expiring = await connect('expiring');
  assert(expiring.warning.message.includes('ORA-28002'));
  await expiring.close();
}

async function types(connection) {
  const { rows, metaData } = await connection.execute('select * from kinds');
  assert.equal(rows.length, 3);
  assert.equal(metaData[4].name, 'LONG_T');
  assert.equal(metaData[4].byteSize, 4000);
  assert.equal(metaData[0].scale, -127);
  const [number, decimal, double, text, long, day, stamp, raw] = rows[0];
  assert.deepEqual([number, decimal, double, text], [1, -12.5, 1.5, 'grüße €']);
  assert.equal(long, longText(252));
  assert.deepEqual([day, stamp], [SECOND, MOMENT]);
  assert.deepEqual(raw, Buffer.from(Array.from({ length: 256 }, (_, at) => at)));
  assert.deepEqual(rows[1], Array(8).fill(null));
  assert.deepEqual([rows[2][1], rows[2][2], rows[2][4]], [0.000001, -2.25e-100, longText(4000)]);
  const exact = await connection.execute('select * from kinds', [], { fetchTypeHandler: () => ({ type: oracledb.STRING }) });
  assert.equal(exact.rows[2][0], (2n ** 63n - 1n).toString());
  const wide = (await connection.execute('select * from wide')).rows;
  assert.equal(wide.length, 5);
  assert.equal(wide[4][299], `4.${'299'.padStart(140, '0')}`);
}

async function rows(connection) {
  for (const [fetchArraySize, prefetchRows] of [[1000, 2], [10_000, 10_000], [7, 0]]) {
    const count = fetchArraySize > 7 ? BIG : 100;
    const { resultSet } = await connection.execute('select n, name from big', [],
      { resultSet: true, fetchArraySize, prefetchRows });
    for (let expected = 1; expected <= count; expected++) {
      assert.deepEqual(await resultSet.getRow(), [expected, `name of ${expected}`]);
    }
    if (count === BIG) assert.equal(await resultSet.getRow(), undefined);
    await resultSet.close();
  }
  assert.deepEqual((await connection.execute('select n, name from none')).rows, []);
  for (let round = 0; round < 3; round++) {
    const found = (await connection.execute('select n, name from three')).rows;
    assert.deepEqual(found.map((row) => row[0]), [1, 2, 3]);
  }
}

async function clobs(connection) {
  const sizes = [10, 40_000, 0, 300];
  for (let round = 0; round < 2; round++) {
    const texts = await connection.execute('select t from clobs', [],
      { fetchTypeHandler: (column) => column.dbType === oracledb.DB_TYPE_CLOB ? { type: oracledb.STRING } : undefined });
    assert.deepEqual(texts.rows, sizes.map((size) => [size, size === 0 ? null : longText(size)]));
  }
  for (let round = 0; round < 2; round++) {
    const found = (await connection.execute('select t from clobs where 1 = 1')).rows;
    for (const [size, lob] of found) {
      if (size === 0) {
        assert.equal(lob, null);
      } else {
        const text = longText(size);
        assert.equal(lob.length, text.length);
        assert.equal(await lob.getData(), text);
      }
    }
  }
}

async function binds(connection) {
  const sql = 'select binds :1, :2, :3, :4, :5, :6 from dual';
  for (let round = 0; round < 2; round++) {
    const row = (await connection.execute(sql,
      [longText(20_000), -42, 2.5, { val: SECOND, type: oracledb.DB_TYPE_DATE }, null, Buffer.from([0, 255])])).rows[0];
    assert.deepEqual(row, ['20000 bytes, as expected', -42, 2.5, SECOND, null, Buffer.from([0, 255])]);
  }
  // The same place with values of another type, in turns.
  for (let round = 0; round < 2; round++) {
    for (const value of ['grüße €', 7, MOMENT, Buffer.from([1])]) {
      const found = (await connection.execute('select binds :1 from dual', [value])).rows[0][0];
      assert.deepEqual(found, value);
    }
  }
  const row = (await connection.execute('select binds :1, :2 from dual',
    [{ val: 'grüße €', type: oracledb.DB_TYPE_NVARCHAR }, { val: -0.5, type: oracledb.DB_TYPE_BINARY_DOUBLE }])).rows[0];
  assert.deepEqual(row, ['grüße €', -0.5]);
}

async function plsql(connection) {
  for (const value of [21, -1, 1_000_000]) {
    const { outBinds } = await connection.execute('begin :1 := :2 * 2; end;',
      [{ dir: oracledb.BIND_OUT, type: oracledb.NUMBER }, value]);
    assert.deepEqual(outBinds, [value * 2]);
  }
  for (let round = 0; round < 2; round++) {
    const { outBinds } = await connection.execute('begin :1 := upper(:1); :2 := null; end;',
      [{ dir: oracledb.BIND_INOUT, type: oracledb.STRING, maxSize: 20, val: 'grüße' }, { dir: oracledb.BIND_OUT, type: oracledb.NUMBER }]);
    assert.deepEqual(outBinds, ['GRÜSSE', null]);
  }
  await connection.execute('begin null; end;');
  await connection.execute('alter system flush');
}

async function batches(connection) {
  const sql = 'insert into t values (:1, :2)';
  const values = [[1, 'one'], [2, 'two'], [3, null]];
  const counted = await connection.executeMany(sql, values, { dmlRowCounts: true });
  assert.deepEqual([counted.rowsAffected, counted.dmlRowCounts], [1 + 2 + 3, [1, 2, 3]]);
  assert.equal((await connection.executeMany(sql, values)).rowsAffected, 1 + 2 + 3);
  assert.equal(connection.transactionInProgress, true);
  connection.module = 'loader';
  connection.action = 'load';
  connection.clientId = 'me';
  await connection.commit();
  assert.equal(connection.transactionInProgress, false);
  await connection.rollback();
  for (let round = 0; round < 2; round++) {
    await connection.execute('insert into t values (1)', [], { autoCommit: true });
  }
  assert.equal(connection.transactionInProgress, false);
}

async function errors(connection) {
  for (let round = 0; round < 2; round++) {
    assert.equal((await fails(() => connection.execute('select nosuch from dual'), 'ORA-00904')).offset, 7);
    assert.equal((await fails(() => connection.execute('select * from nowhere'), 'ORA-00942')).offset, 14);
    await fails(() => connection.execute('select n, name from old'), 'ORA-01555');
    const { rows } = await connection.execute('select n, name from big', [], { maxRows: 3 });
    assert.equal(rows.length, 3);
  }
  await connection.ping();
}

async function interruptions(connection) {
  for (let round = 0; round < 2; round++) {
    connection.callTimeout = 200;
    const begun = Date.now();
    await fails(() => connection.execute('begin sleep; end;'), 'NJS-123');
    connection.callTimeout = 0;
    assert(Date.now() - begun < 5000);
    assert.equal((await connection.execute('select n, name from three')).rows.length, 3);
    setTimeout(() => connection.break(), 300);
    await fails(() => connection.execute('begin sleep; end;'), 'ORA-01013');
    assert.equal((await connection.execute('select n, name from three')).rows.length, 3);
  }
}

async function ends() {
  const killed = await connect();
  const error = await fails(() => killed.execute('select gone from dual'), 'NJS-500', 'ORA-00028');
  assert(error.message.includes('ORA-00028'), error.message);
  await fails(() => killed.ping(), 'NJS-003', 'NJS-500');
  const cut = await connect();
  await fails(() => cut.execute('select cut from dual'), 'NJS-500');
}

async function fixed() {
  await logins();
  const connection = await connect();
  for (const step of [types, rows, clobs, binds, plsql, batches, errors, interruptions]) {
    await step(connection);
    console.log(step.name);
  }
  await connection.close();
  await ends();
}

// Against the simulated world.

async function one(connection, sql) {
  return (await connection.execute(sql)).rows[0]?.[0];
}

async function changes(connection, other) {
  const count = 'select count(*) from notes';
  await connection.execute('create table notes (n number, t varchar2(4000), d date)');
  for (let n = 1; n <= 5; n++) {
    const { rowsAffected } = await connection.execute('insert into notes values (:n, :t, :d)',
      { n, t: n === 3 ? null : longText(n * 700), d: { val: SECOND, type: oracledb.DB_TYPE_DATE } });
    assert.equal(rowsAffected, 1);
  }
  assert.equal(await one(other, count), 0);
  await connection.commit();
  assert.equal(await one(other, count), 5);
  assert.equal((await connection.execute('update notes set d = null where n > 3')).rowsAffected, 2);
  assert.equal((await connection.execute('delete from notes where n = 1')).rowsAffected, 1);
  assert.equal((await connection.execute('delete from notes where n = 100')).rowsAffected, 0);
  assert.equal(connection.transactionInProgress, true);
  await connection.rollback();
  assert.equal(connection.transactionInProgress, false);
  assert.equal(await one(connection, count), 5);
  assert.equal(await one(connection, 'select count(d) from notes'), 5);
  const counted = await connection.executeMany("update notes set t = 'x' where n <= :1", [[2], [0], [4]], { dmlRowCounts: true });
  assert.deepEqual(counted.dmlRowCounts, [2, 0, 4]);
  // Left open.
}

async function queries(connection) {
  const sql = 'select n, t, d from notes where n = :n or n = :n - 2 or t = :t order by n';
  for (let round = 0; round < 2; round++) {
    const { rows } = await connection.execute(sql, { n: 5, t: 'x' });
    assert.deepEqual(rows, [1, 2, 3, 4, 5].map((n) => [n, n < 5 ? 'x' : longText(5 * 700), SECOND]));
  }
  await fails(() => connection.execute('select n from no_such_table'), 'ORA-00942');
  await fails(() => connection.execute('select no_such_column from notes'), 'ORA-00904');
}

async function manyStatements(connection) {
  for (let n = 0; n < 400; n++) assert.equal(await one(connection, `select ${n} from dual`), n);
  for (let n = 0; n < 400; n++) {
    assert.equal((await connection.execute('select :1 + 1 from dual', [n])).rows[0][0], n + 1);
  }
}

async function blocks(connection) {
  const block = 'BEGIN EXECUTE IMMEDIATE :stmt; :code := 0; EXCEPTION WHEN OTHERS THEN :code := SQLCODE; '
    + ':text := SUBSTR(SQLERRM, 1, 60); END;';
  for (let round = 0; round < 2; round++) {
    const { outBinds } = await connection.execute(block, {
      stmt: "ALTER SYSTEM KILL SESSION '9999,1'",
      code: { dir: oracledb.BIND_OUT, type: oracledb.NUMBER },
      text: { dir: oracledb.BIND_OUT, type: oracledb.STRING },
    });
    assert.equal(outBinds.code, -30);
    assert(outBinds.text.startsWith('ORA-00030: '), outBinds.text);
  }
}

async function kills(reaper) {
  const victims = await Promise.all([connect('apexdev', 'apexdev'), connect('apexdev', 'apexdev')]);
  const keys = [];
  for (const victim of victims) {
    const sid = await one(victim, "select sys_context('userenv', 'sid') from dual");
    const row = (await reaper.execute(`select serial#, status, program from v$session where sid = ${sid}`)).rows[0];
    assert.deepEqual(row.slice(1), ['INACTIVE', 'acceptance']);
    keys.push(`${sid},${row[0]}`);
  }
  await reaper.execute(`alter system kill session '${keys[0]}'`);
  const killed = await fails(() => one(victims[0], 'select 1 from dual'), 'NJS-500', 'ORA-00028');
  assert(killed.message.includes('ORA-00028'), killed.message);
  await fails(() => one(victims[0], 'select 1 from dual'), 'NJS-003', 'NJS-500');
  await reaper.execute(`alter system disconnect session '${keys[1]}' immediate`);
  await fails(() => one(victims[1], 'select 1 from dual'), 'NJS-500');
}

async function world() {
  await fails(() => connect('apexdev', 'wrong'), 'ORA-01017');
  const connection = await connect('apexdev', 'apexdev');
  const other = await connect('apexdev', 'apexdev');
  await changes(connection, other);
  await queries(connection);
  await manyStatements(connection);
  // A client that knows of its open transaction rolls it back before it goes.
  await connection.close();
  assert.equal(await one(other, 'select count(t) from notes'), 4);
  assert.equal(await one(other, "select count(t) from notes where t = 'x'"), 0);
  await other.close();
  const reaper = await connect('reaper', 'reaper');
  await blocks(reaper);
  await kills(reaper);
  await reaper.close();
}

(part === 'fixed' ? fixed() : world()).then(() => console.log('passed'), (error) => {
  console.log(error);
  process.exitCode = 1;
});
