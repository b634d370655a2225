"""A user of the database. Logs in as told, says its SID and SERIAL#, then does what each line says and answers in a line."""

import sys

import oracledb

user, password, address = sys.argv[1:]
# By itself it would tell the path of the interpreter, of which V$SESSION keeps 48 bytes.
connection = oracledb.connect(user=user, password=password, dsn=address, program="python")
print(connection.session_id, connection.serial_num, flush=True)
for line in sys.stdin:
    statement = line.rstrip("\n")
    try:
        if statement == "commit":
            connection.commit()
            answer = "ok"
        else:
            with connection.cursor() as cursor:
                cursor.execute(statement)
                rows = cursor.fetchall() if cursor.description else None
            answer = "ok" if rows is None else ";".join("|".join(str(value) for value in row) for row in rows)
    except oracledb.Error as error:
        answer = " ".join(str(error).split())
    print(answer, flush=True)
