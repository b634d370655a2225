import java.io.PrintWriter;
import java.sql.CallableStatement;
import java.sql.Clob;
import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.ResultSetMetaData;
import java.sql.SQLException;
import java.sql.SQLWarning;
import java.sql.Statement;
import java.sql.Timestamp;
import java.sql.Types;
import java.util.Arrays;
import java.util.Objects;
import java.util.Properties;
import java.util.concurrent.atomic.AtomicBoolean;
import oracle.jdbc.OracleDriver;
import oracle.jdbc.OraclePreparedStatement;

/**
 * ojdbc8, unmodified, against the wire with fixed answers behind it (see fixed/mod.rs) or with the simulated world.
 *
 * <p>Usage: java --class-path ojdbc8.jar OjdbcClient.java fixed|world HOST:PORT. Ends with status 0 and the word "passed", or with the
 * first expectation that does not hold.
 */
class OjdbcClient {
    static final Timestamp MOMENT = Timestamp.valueOf("2024-02-29 23:59:58.123456");
    static final Timestamp SECOND = Timestamp.valueOf("2024-02-29 23:59:58");
    static final int BIG = 70_001;

    static String address;
    static String service;

    public static void main(String[] arguments) throws Exception {
        address = arguments[1];
        if (arguments[0].equals("fixed")) {
            fixed();
        } else {
            world();
        }
        System.out.println("passed");
    }

    // What all parts use.

    static Connection connect(String user, String password, String... more) throws SQLException {
        Properties properties = new Properties();
        properties.setProperty("user", user);
        properties.setProperty("password", password);
        for (int at = 0; at + 1 < more.length; at += 2) {
            properties.setProperty(more[at], more[at + 1]);
        }
        return new OracleDriver().connect("jdbc:oracle:thin:@" + address + "/" + service, properties);
    }

    interface Call {
        void make() throws Exception;
    }

    static void same(Object expected, Object found) {
        if (!Objects.deepEquals(expected, found)) {
            throw new AssertionError("expected " + shown(expected) + ", found " + shown(found));
        }
    }

    static String shown(Object value) {
        return value instanceof int[] numbers ? Arrays.toString(numbers) : String.valueOf(value);
    }

    static SQLException fails(Call call, int... codes) throws Exception {
        try {
            call.make();
        } catch (SQLException error) {
            if (Arrays.stream(codes).noneMatch(code -> code == error.getErrorCode())) {
                throw new AssertionError("expected one of " + Arrays.toString(codes), error);
            }
            return error;
        }
        throw new AssertionError("no error, where one of " + Arrays.toString(codes) + " was expected");
    }

    static int run(Connection connection, String sql) throws SQLException {
        try (Statement statement = connection.createStatement()) {
            return statement.executeUpdate(sql);
        }
    }

    static String one(Connection connection, String sql) throws SQLException {
        try (Statement statement = connection.createStatement();
                ResultSet rows = statement.executeQuery(sql)) {
            return rows.next() ? rows.getString(1) : null;
        }
    }

    static String longText(int size) {
        String[] characters = {"a", "é", "€", "z"};
        int[] lengths = {1, 2, 3, 1};
        StringBuilder text = new StringBuilder();
        int length = 0;
        for (int at = 0; length + 3 <= size; at++) {
            text.append(characters[at % 4]);
            length += lengths[at % 4];
        }
        return text + ".".repeat(size - length);
    }

    // Against fixed answers.

    static void fixed() throws Exception {
        service = "fixed";
        logins();
        try (Connection connection = connect("scott", "tiger")) {
            types(connection);
            rows(connection);
            clobs(connection);
            binds(connection);
            plsql(connection);
            batches(connection);
            errors(connection);
            interruptions(connection);
        }
        ends();
    }

    static void logins() throws Exception {
        try (Connection connection = connect("scott", "tiger")) {
            same(19, connection.getMetaData().getDatabaseMajorVersion());
            same(true, connection.getMetaData().getDatabaseProductVersion().startsWith("Oracle Database 19c"));
            same(true, connection.isValid(5));
        }
        fails(() -> connect("scott", "Tiger"), 1017);
        fails(() -> connect("nobody", "tiger"), 1017);
        fails(() -> connect("locked", "tiger"), 28000);
        service = "nowhere";
        fails(() -> connect("scott", "tiger"), 12514);
        service = "starting";
        fails(() -> connect("scott", "tiger"), 12528);
        service = "fixed";
        connect("scott[hr]", "tiger").close();
        try (Connection connection = connect("expiring", "tiger")) {
            SQLWarning warning = connection.getWarnings();
            same(true, warning != null && warning.getErrorCode() == 28002);
        }
    }

    static void types(Connection connection) throws Exception {
        try (Statement statement = connection.createStatement();
                ResultSet rows = statement.executeQuery("select * from kinds")) {
            ResultSetMetaData columns = rows.getMetaData();
            same(8, columns.getColumnCount());
            same("LONG_T", columns.getColumnName(5));
            same(-127, columns.getScale(1));
            same(6, columns.getScale(7));
            same(4000, columns.getPrecision(5));
            rows.next();
            same(1, rows.getInt(1));
            same("-12.5", rows.getBigDecimal(2).toPlainString());
            same(1.5, rows.getDouble(3));
            same("grüße €", rows.getString(4));
            same(longText(252), rows.getString(5));
            same(SECOND, rows.getTimestamp(6));
            same(MOMENT, rows.getTimestamp(7));
            byte[] all = new byte[256];
            for (int at = 0; at < 256; at++) {
                all[at] = (byte) at;
            }
            same(all, rows.getBytes(8));
            rows.next();
            for (int at = 1; at <= 8; at++) {
                same(null, rows.getObject(at));
                same(true, rows.wasNull());
            }
            rows.next();
            same(Long.MAX_VALUE, rows.getLong(1));
            same("0.000001", rows.getBigDecimal(2).toPlainString());
            same(-2.25e-100, rows.getDouble(3));
            same(longText(4000), rows.getString(5));
            same(false, rows.next());
        }
        try (Statement statement = connection.createStatement();
                ResultSet rows = statement.executeQuery("select * from wide")) {
            for (int row = 0; row < 5; row++) {
                rows.next();
                same(row + "." + "0".repeat(137) + "299", rows.getString(300));
            }
            same(false, rows.next());
        }
    }

    static void rows(Connection connection) throws Exception {
        for (int size : new int[] {1000, 10_000, 7}) {
            try (Statement statement = connection.createStatement()) {
                statement.setFetchSize(size);
                int count = size > 7 ? BIG : 100;
                ResultSet rows = statement.executeQuery("select n, name from big");
                for (int expected = 1; expected <= count; expected++) {
                    same(true, rows.next());
                    same(expected, rows.getInt(1));
                    same("name of " + expected, rows.getString(2));
                }
                same(count < BIG, rows.next());
            }
        }
        same(null, one(connection, "select n, name from none"));
        try (PreparedStatement statement = connection.prepareStatement("select n, name from three")) {
            for (int round = 0; round < 3; round++) {
                try (ResultSet rows = statement.executeQuery()) {
                    for (int expected = 1; expected <= 3; expected++) {
                        rows.next();
                        same(expected, rows.getInt(1));
                    }
                    same(false, rows.next());
                }
            }
        }
    }

    static void clobs(Connection connection) throws Exception {
        int[] sizes = {10, 40_000, 0, 300};
        for (int round = 0; round < 2; round++) {
            try (PreparedStatement statement = connection.prepareStatement("select t from clobs");
                    ResultSet rows = statement.executeQuery()) {
                for (int size : sizes) {
                    rows.next();
                    same(size, rows.getInt(1));
                    same(size == 0 ? null : longText(size), rows.getString(2));
                }
                same(false, rows.next());
            }
            try (Statement statement = connection.createStatement();
                    ResultSet rows = statement.executeQuery("select t from clobs")) {
                for (int size : sizes) {
                    rows.next();
                    Clob clob = rows.getClob(2);
                    if (size == 0) {
                        same(null, clob);
                        continue;
                    }
                    String text = longText(size);
                    same((long) text.length(), clob.length());
                    same(text.substring(2, 7), clob.getSubString(3, 5));
                    same(text, clob.getSubString(1, text.length()));
                }
            }
        }
    }

    static void binds(Connection connection) throws Exception {
        String sql = "select binds :1, :2, :3, :4, :5, :6 from dual";
        try (PreparedStatement statement = connection.prepareStatement(sql)) {
            for (int round = 0; round < 2; round++) {
                statement.setString(1, longText(20_000));
                statement.setInt(2, -42);
                statement.setDouble(3, 2.5);
                statement.setTimestamp(4, MOMENT);
                statement.setNull(5, Types.VARCHAR);
                statement.setBytes(6, new byte[] {0, -1});
                try (ResultSet row = statement.executeQuery()) {
                    row.next();
                    same("20000 bytes, as expected", row.getString(1));
                    same(-42, row.getInt(2));
                    same(2.5, row.getDouble(3));
                    same(MOMENT, row.getTimestamp(4));
                    same(null, row.getString(5));
                    same(new byte[] {0, -1}, row.getBytes(6));
                }
            }
        }
        // The same place with values of another type, in turns.
        try (PreparedStatement statement = connection.prepareStatement("select binds :1 from dual")) {
            for (int round = 0; round < 2; round++) {
                statement.setString(1, "grüße €");
                try (ResultSet row = statement.executeQuery()) {
                    row.next();
                    same("grüße €", row.getString(1));
                }
                statement.setInt(1, 7);
                try (ResultSet row = statement.executeQuery()) {
                    row.next();
                    same(7, row.getInt(1));
                }
                statement.setNString(1, "grüße €");
                try (ResultSet row = statement.executeQuery()) {
                    row.next();
                    same("grüße €", row.getString(1));
                }
            }
        }
    }

    static void plsql(Connection connection) throws Exception {
        try (CallableStatement statement = connection.prepareCall("begin :1 := :2 * 2; end;")) {
            for (int value : new int[] {21, -1, 1_000_000}) {
                statement.registerOutParameter(1, Types.NUMERIC);
                statement.setInt(2, value);
                statement.execute();
                same(value * 2, statement.getInt(1));
            }
        }
        try (CallableStatement statement = connection.prepareCall("begin :1 := upper(:2); :3 := null; end;")) {
            for (int round = 0; round < 2; round++) {
                statement.registerOutParameter(1, Types.VARCHAR);
                statement.setString(2, "grüße");
                statement.registerOutParameter(3, Types.NUMERIC);
                statement.execute();
                same("GRÜSSE", statement.getString(1));
                same(null, statement.getObject(3));
            }
        }
        run(connection, "begin null; end;");
        run(connection, "alter system flush");
    }

    static void batches(Connection connection) throws Exception {
        connection.setAutoCommit(false);
        try (PreparedStatement statement = connection.prepareStatement("insert into t values (:1, :2)")) {
            for (int round = 0; round < 2; round++) {
                String[] texts = {"one", "two", null};
                for (int row = 0; row < 3; row++) {
                    statement.setInt(1, row + 1);
                    statement.setString(2, texts[row]);
                    statement.addBatch();
                }
                same(new int[] {1, 2, 3}, statement.executeBatch());
            }
        }
        connection.setClientInfo("OCSID.MODULE", "loader");
        connection.setClientInfo("OCSID.ACTION", "load");
        connection.setClientInfo("OCSID.CLIENTID", "me");
        connection.commit();
        connection.rollback();
        connection.setAutoCommit(true);
        run(connection, "insert into t values (1)");
        run(connection, "insert into t values (1)");
        connection.setAutoCommit(false);
    }

    static void errors(Connection connection) throws Exception {
        for (int round = 0; round < 2; round++) {
            fails(() -> one(connection, "select nosuch from dual"), 904);
            fails(() -> one(connection, "select * from nowhere"), 942);
            fails(
                    () -> {
                        try (Statement statement = connection.createStatement();
                                ResultSet rows = statement.executeQuery("select n, name from old")) {
                            while (rows.next()) {}
                        }
                    },
                    1555);
            same("1", one(connection, "select n, name from big"));
        }
        same(true, connection.isValid(5));
    }

    static void interruptions(Connection connection) throws Exception {
        for (int round = 0; round < 2; round++) {
            try (Statement statement = connection.createStatement()) {
                long begun = System.nanoTime();
                statement.setQueryTimeout(1);
                fails(() -> statement.execute("begin sleep; end;"), 1013);
                statement.setQueryTimeout(0);
                same(true, System.nanoTime() - begun < 8_000_000_000L);
                // Again and again: a cancel that comes before its statement cancels nothing.
                AtomicBoolean over = new AtomicBoolean();
                Thread canceller =
                        new Thread(
                                () -> {
                                    try {
                                        while (!over.get()) {
                                            Thread.sleep(300);
                                            statement.cancel();
                                        }
                                    } catch (Exception error) {
                                        error.printStackTrace(new PrintWriter(System.out));
                                    }
                                });
                canceller.start();
                fails(() -> statement.execute("begin sleep; end;"), 1013);
                over.set(true);
                canceller.join();
            }
            same("1", one(connection, "select n, name from three"));
        }
    }

    static void ends() throws Exception {
        Connection killed = connect("scott", "tiger");
        fails(() -> one(killed, "select gone from dual"), 28);
        same(false, killed.isValid(5));
        Connection cut = connect("scott", "tiger");
        fails(() -> one(cut, "select cut from dual"), 17410, 3113);
    }

    // Against the simulated world.

    static void world() throws Exception {
        service = "orcl";
        fails(() -> connect("apexdev", "wrong"), 1017);
        try (Connection connection = connect("apexdev", "apexdev");
                Connection other = connect("apexdev", "apexdev")) {
            connection.setAutoCommit(false);
            changes(connection, other);
            queries(connection);
            manyStatements(connection);
        }
        try (Connection reaper = connect("reaper", "reaper")) {
            // Closing commits, unless it was rolled back before: "If the auto-commit mode is disabled and you close the
            // connection without explicitly committing or rolling back, then an implicit COMMIT operation is run"
            // (JDBC Developer's Guide, Manual Transactions).
            same("7", one(reaper, "select count(*) from apexdev.notes"));
            blocks(reaper);
            kills(reaper);
        }
    }

    static void changes(Connection connection, Connection other) throws Exception {
        String count = "select count(*) from notes";
        run(connection, "create table notes (n number, t varchar2(4000), d date)");
        try (PreparedStatement insert = connection.prepareStatement("insert into notes values (:1, :2, :3)")) {
            for (int n = 1; n <= 5; n++) {
                insert.setInt(1, n);
                insert.setString(2, n == 3 ? null : longText(n * 700));
                insert.setTimestamp(3, SECOND);
                same(1, insert.executeUpdate());
            }
        }
        same("0", one(other, count));
        connection.commit();
        same("5", one(other, count));
        same(2, run(connection, "update notes set d = null where n > 3"));
        same(1, run(connection, "delete from notes where n = 1"));
        same(0, run(connection, "delete from notes where n = 100"));
        connection.rollback();
        same("5", one(connection, count));
        same("5", one(connection, "select count(d) from notes"));
        try (PreparedStatement insert = connection.prepareStatement("insert into notes (n) values (:1)")) {
            for (int n = 6; n <= 7; n++) {
                insert.setInt(1, n);
                insert.addBatch();
            }
            same(new int[] {1, 1}, insert.executeBatch());
        }
        try (PreparedStatement update = connection.prepareStatement("update notes set t = 'x' where n <= :1")) {
            for (int n : new int[] {2, 0, 4}) {
                update.setInt(1, n);
                update.addBatch();
            }
            same(new int[] {2, 0, 4}, update.executeBatch());
        }
        // Left open.
    }

    static void queries(Connection connection) throws Exception {
        String sql = "select n, t, d from notes where n = :n or n = :n + 2 or t = :t order by n";
        try (OraclePreparedStatement query = (OraclePreparedStatement) connection.prepareStatement(sql)) {
            for (int round = 0; round < 2; round++) {
                query.setIntAtName("n", 5);
                query.setStringAtName("t", "x");
                try (ResultSet rows = query.executeQuery()) {
                    for (int n : new int[] {1, 2, 3, 4, 5, 7}) {
                        same(true, rows.next());
                        same(n, rows.getInt(1));
                        same(n < 5 ? "x" : n == 5 ? longText(5 * 700) : null, rows.getString(2));
                        same(n < 6 ? SECOND : null, rows.getTimestamp(3));
                    }
                    same(false, rows.next());
                }
            }
        }
        fails(() -> one(connection, "select n from no_such_table"), 942);
        fails(() -> one(connection, "select no_such_column from notes"), 904);
    }

    static void manyStatements(Connection connection) throws Exception {
        for (int n = 0; n < 400; n++) {
            same("" + n, one(connection, "select " + n + " from dual"));
        }
        try (PreparedStatement query = connection.prepareStatement("select :1 + 1 from dual")) {
            for (int n = 0; n < 400; n++) {
                query.setInt(1, n);
                try (ResultSet rows = query.executeQuery()) {
                    rows.next();
                    same(n + 1, rows.getInt(1));
                }
            }
        }
    }

    static void blocks(Connection connection) throws Exception {
        String block =
                "BEGIN EXECUTE IMMEDIATE ?; ? := 0; ? := NULL; "
                        + "EXCEPTION WHEN OTHERS THEN ? := SQLCODE; ? := SUBSTR(SQLERRM, 1, 60); END;";
        try (CallableStatement call = connection.prepareCall(block)) {
            for (int round = 0; round < 2; round++) {
                call.setString(1, "ALTER SYSTEM KILL SESSION '9999,1'");
                call.registerOutParameter(2, Types.NUMERIC);
                call.registerOutParameter(3, Types.VARCHAR);
                call.registerOutParameter(4, Types.NUMERIC);
                call.registerOutParameter(5, Types.VARCHAR);
                call.execute();
                same(null, call.getObject(2));
                same(-30, call.getInt(4));
                same(true, call.getString(5).startsWith("ORA-00030: "));
            }
        }
    }

    static void kills(Connection reaper) throws Exception {
        Connection victim = connect("apexdev", "apexdev");
        String sid = one(victim, "select sys_context('userenv', 'sid') from dual");
        String serial = one(reaper, "select serial# from v$session where sid = " + sid);
        same("INACTIVE", one(reaper, "select status from v$session where sid = " + sid));
        same("JDBC Thin Client", one(reaper, "select program from v$session where sid = " + sid));
        run(reaper, "alter system kill session '" + sid + "," + serial + "'");
        fails(() -> one(victim, "select 1 from dual"), 28);
        same(null, one(reaper, "select status from v$session where sid = " + sid + " and serial# = " + serial));
        fails(() -> one(victim, "select 1 from dual"), 1012, 17008, 17410);
        same(false, victim.isValid(5));
        Connection disconnected = connect("apexdev", "apexdev");
        sid = one(disconnected, "select sys_context('userenv', 'sid') from dual");
        serial = one(reaper, "select serial# from v$session where sid = " + sid);
        run(reaper, "alter system disconnect session '" + sid + "," + serial + "' immediate");
        fails(() -> one(disconnected, "select 1 from dual"), 17410, 17002);
    }
}
