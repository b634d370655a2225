CREATE TABLE {owner}.orareaper_setting (
  name VARCHAR2(30) NOT NULL,
  value NUMBER NOT NULL
);
-- the most actions within an hour, and after how many days its log forgets
INSERT INTO {owner}.orareaper_setting (name, value) VALUES ('PER_HOUR', 60);
INSERT INTO {owner}.orareaper_setting (name, value) VALUES ('KEEP_DAYS', 400);

-- accounts that are never acted on: add those that matter to you
CREATE TABLE {owner}.orareaper_protected (
  username VARCHAR2(128) NOT NULL
);
{protected}

-- what was asked, by whom, and what came of it
CREATE TABLE {owner}.orareaper_log (
  id NUMBER NOT NULL,
  asked_at DATE NOT NULL,
  asked_by VARCHAR2(128),
  inst_id NUMBER,
  sid NUMBER,
  serial NUMBER,
  logon_time DATE,
  username VARCHAR2(128),
  action VARCHAR2(60),
  statement VARCHAR2(200),
  answered_at DATE,
  code NUMBER,
  text VARCHAR2(512)
);
COMMIT;

CREATE OR REPLACE PACKAGE {owner}.orareaper_guard AUTHID DEFINER AS
  -- Changes with every change of this package.
  FUNCTION version RETURN NUMBER;

  -- Ends a session, or cancels its statement, if nothing speaks against it.
  -- The action is KILL, KILL IMMEDIATE, KILL NOREPLAY, KILL FORCE, DISCONNECT POST_TRANSACTION, DISCONNECT IMMEDIATE,
  -- DISCONNECT POST_TRANSACTION NOREPLAY, DISCONNECT NOREPLAY or CANCEL SQL. SQL_ID is for CANCEL SQL alone.
  -- The code is 0 where the statement succeeded, else SQLCODE: of the statement, or one of these, with which nothing was sent:
  --   -20001  no such action, or a number that is missing or no whole one
  --   -20002  there is no session of this INST_ID, SID and SERIAL#
  --   -20003  the session of this SID and SERIAL# logged in at another time
  --   -20004  no session of a user: TYPE is not USER, or USERNAME is missing
  --   -20005  the session that asks
  --   -20006  an account of Oracle's own, or one that the dictionary does not show
  --   -20007  an account of ORAREAPER_PROTECTED
  --   -20008  a server process: PROGRAM begins with oracle@ or ORACLE.EXE
  --   -20009  the session is KILLED, and the action is no harder one
  --   -20010  DISCONNECT reaches only the instance that it is sent to, and the session is on another
  --   -20011  the session does not run the statement that is to be cancelled
  --   -20012  the actions of the last hour are as many as PER_HOUR permits
  --   -20013  something failed before a statement was sent, as the text says, also where ORAREAPER_SETTING is locked
  --   -20014  the session is not as it was when it was asked for: STATUS, SQL_ID or its transaction changed, or it made a call
  --   -20015  DISCONNECT ends the server process, which serves another session too, or is unknown
  PROCEDURE act(
    p_inst_id IN NUMBER,
    p_sid IN NUMBER,
    p_serial IN NUMBER,
    p_logon_time IN DATE,
    p_action IN VARCHAR2,
    p_sql_id IN VARCHAR2,
    p_code OUT NUMBER,
    p_text OUT VARCHAR2
  );
END orareaper_guard;
/

CREATE OR REPLACE PACKAGE BODY {owner}.orareaper_guard AS

  FUNCTION version RETURN NUMBER IS
  BEGIN
    RETURN {version};
  END version;

  -- The action as this package writes it. The caller's NLS_COMP and NLS_SORT decide what `=` takes for the same; whatever is
  -- decided by the action later is decided by this answer.
  FUNCTION known_action(p_action IN VARCHAR2) RETURN VARCHAR2 IS
  BEGIN
    IF p_action = 'KILL' THEN
      RETURN 'KILL';
    ELSIF p_action = 'KILL IMMEDIATE' THEN
      RETURN 'KILL IMMEDIATE';
    ELSIF p_action = 'KILL NOREPLAY' THEN
      RETURN 'KILL NOREPLAY';
    ELSIF p_action = 'KILL FORCE' THEN
      RETURN 'KILL FORCE';
    ELSIF p_action = 'DISCONNECT POST_TRANSACTION' THEN
      RETURN 'DISCONNECT POST_TRANSACTION';
    ELSIF p_action = 'DISCONNECT IMMEDIATE' THEN
      RETURN 'DISCONNECT IMMEDIATE';
    ELSIF p_action = 'DISCONNECT POST_TRANSACTION NOREPLAY' THEN
      RETURN 'DISCONNECT POST_TRANSACTION NOREPLAY';
    ELSIF p_action = 'DISCONNECT NOREPLAY' THEN
      RETURN 'DISCONNECT NOREPLAY';
    ELSIF p_action = 'CANCEL SQL' THEN
      RETURN 'CANCEL SQL';
    END IF;
    RAISE_APPLICATION_ERROR(-20001, 'there is no such action');
  END known_action;

  -- The statement, out of numbers that a session was found by and of the SQL_ID that GV$SESSION shows. No text of the caller's
  -- becomes a part of it.
  PROCEDURE build(
    p_inst_id IN NUMBER,
    p_sid IN NUMBER,
    p_serial IN NUMBER,
    p_action IN VARCHAR2,
    p_sql_id IN VARCHAR2,
    p_statement OUT VARCHAR2
  ) IS
    l_here VARCHAR2(60);
    l_there VARCHAR2(60);
  BEGIN
    l_here := TO_CHAR(p_sid) || ',' || TO_CHAR(p_serial);
    l_there := l_here || ',@' || TO_CHAR(p_inst_id);
    IF p_action = 'KILL' THEN
      p_statement := 'ALTER SYSTEM KILL SESSION ''' || l_there || '''';
    ELSIF p_action = 'KILL IMMEDIATE' THEN
      p_statement := 'ALTER SYSTEM KILL SESSION ''' || l_there || ''' IMMEDIATE';
    ELSIF p_action = 'KILL NOREPLAY' THEN
      p_statement := 'ALTER SYSTEM KILL SESSION ''' || l_there || ''' NOREPLAY';
    ELSIF p_action = 'KILL FORCE' THEN
      p_statement := 'ALTER SYSTEM KILL SESSION ''' || l_there || ''' FORCE TIMEOUT 0';
    ELSIF p_action = 'DISCONNECT POST_TRANSACTION' THEN
      p_statement := 'ALTER SYSTEM DISCONNECT SESSION ''' || l_here || ''' POST_TRANSACTION';
    ELSIF p_action = 'DISCONNECT IMMEDIATE' THEN
      p_statement := 'ALTER SYSTEM DISCONNECT SESSION ''' || l_here || ''' IMMEDIATE';
    ELSIF p_action = 'DISCONNECT POST_TRANSACTION NOREPLAY' THEN
      p_statement := 'ALTER SYSTEM DISCONNECT SESSION ''' || l_here || ''' POST_TRANSACTION NOREPLAY';
    ELSIF p_action = 'DISCONNECT NOREPLAY' THEN
      p_statement := 'ALTER SYSTEM DISCONNECT SESSION ''' || l_here || ''' NOREPLAY';
    ELSIF p_action = 'CANCEL SQL' THEN
      p_statement := 'ALTER SYSTEM CANCEL SQL ''' || l_there || ',' || p_sql_id || '''';
    ELSE
      RAISE_APPLICATION_ERROR(-20001, 'there is no such action');
    END IF;
  END build;

  -- Raises what speaks against it. What is not known speaks against it too, but for PROGRAM, which every server process has.
  -- The state is what must not change until the statement is sent, and the last call how long ago the session made one.
  PROCEDURE examine(
    p_inst_id IN NUMBER,
    p_sid IN NUMBER,
    p_serial IN NUMBER,
    p_logon_time IN DATE,
    p_action IN VARCHAR2,
    p_sql_id IN VARCHAR2,
    p_username OUT VARCHAR2,
    p_shown_sql_id OUT VARCHAR2,
    p_state OUT VARCHAR2,
    p_last_call OUT NUMBER
  ) IS
    l_type VARCHAR2(20);
    l_status VARCHAR2(20);
    l_program VARCHAR2(200);
    l_logon_time DATE;
    l_taddr VARCHAR2(32);
    l_server VARCHAR2(20);
    l_paddr VARCHAR2(32);
    l_maintained VARCHAR2(1);
    l_count NUMBER;
  BEGIN
    IF p_inst_id IS NULL OR p_sid IS NULL OR p_serial IS NULL OR p_logon_time IS NULL OR p_action IS NULL THEN
      RAISE_APPLICATION_ERROR(-20001, 'INST_ID, SID, SERIAL#, LOGON_TIME or the action is missing');
    END IF;
    IF p_inst_id <> TRUNC(p_inst_id) OR p_sid <> TRUNC(p_sid) OR p_serial <> TRUNC(p_serial)
      OR p_inst_id < 1 OR p_sid < 0 OR p_serial < 0 THEN
      RAISE_APPLICATION_ERROR(-20001, 'INST_ID, SID and SERIAL# are whole numbers');
    END IF;
    BEGIN
      SELECT username, type, status, program, logon_time, sql_id, taddr, last_call_et, server, RAWTOHEX(paddr)
        INTO p_username, l_type, l_status, l_program, l_logon_time, p_shown_sql_id, l_taddr, p_last_call, l_server, l_paddr
        FROM gv$session
       WHERE inst_id = p_inst_id AND sid = p_sid AND serial# = p_serial;
    EXCEPTION
      WHEN NO_DATA_FOUND THEN
        RAISE_APPLICATION_ERROR(-20002, 'there is no session of this INST_ID, SID and SERIAL#');
    END;
    IF l_logon_time IS NULL OR l_logon_time <> p_logon_time THEN
      RAISE_APPLICATION_ERROR(-20003, 'the session of this SID and SERIAL# logged in at another time');
    END IF;
    IF p_username IS NULL OR l_type IS NULL OR l_type <> 'USER' THEN
      RAISE_APPLICATION_ERROR(-20004, 'it is no session of a user');
    END IF;
    IF p_sid = TO_NUMBER(SYS_CONTEXT('USERENV', 'SID')) AND p_inst_id = TO_NUMBER(SYS_CONTEXT('USERENV', 'INSTANCE')) THEN
      RAISE_APPLICATION_ERROR(-20005, 'it is the session that asks');
    END IF;
    SELECT NVL(MAX({is_maintained}), 'Y') INTO l_maintained FROM {users} WHERE username = p_username;
    IF l_maintained = 'Y' THEN
      RAISE_APPLICATION_ERROR(-20006, 'the account ' || p_username || ' is Oracle''s own, or is not in the dictionary');
    END IF;
    SELECT COUNT(*) INTO l_count FROM orareaper_protected WHERE username = p_username;
    IF l_count > 0 THEN
      RAISE_APPLICATION_ERROR(-20007, 'the account ' || p_username || ' is in ORAREAPER_PROTECTED');
    END IF;
    IF UPPER(l_program) LIKE 'ORACLE@%' OR UPPER(l_program) LIKE 'ORACLE.EXE%' THEN
      RAISE_APPLICATION_ERROR(-20008, 'it is a server process');
    END IF;
    IF l_status IS NULL OR l_status = 'KILLED'
      AND p_action NOT IN ('KILL IMMEDIATE', 'KILL FORCE', 'DISCONNECT IMMEDIATE', 'DISCONNECT NOREPLAY') THEN
      RAISE_APPLICATION_ERROR(-20009, 'it is KILLED, and the action is no harder one');
    END IF;
    IF p_action LIKE 'DISCONNECT%' THEN
      IF p_inst_id <> TO_NUMBER(SYS_CONTEXT('USERENV', 'INSTANCE')) THEN
        RAISE_APPLICATION_ERROR(-20010, 'DISCONNECT reaches only the instance that it is sent to');
      END IF;
      -- The others have no server process that DISCONNECT ends.
      IF l_server IS NULL OR l_server NOT IN ('NONE', 'SHARED', 'PSEUDO') THEN
        IF l_paddr IS NULL THEN
          RAISE_APPLICATION_ERROR(-20015, 'DISCONNECT ends the server process, and which one is unknown');
        END IF;
        SELECT COUNT(*) INTO l_count
          FROM gv$session
         WHERE inst_id = p_inst_id AND RAWTOHEX(paddr) = l_paddr AND (sid <> p_sid OR serial# <> p_serial);
        IF l_count > 0 THEN
          RAISE_APPLICATION_ERROR(-20015, 'DISCONNECT ends the server process, which others share: ' || TO_CHAR(l_count));
        END IF;
      END IF;
    END IF;
    IF p_action = 'CANCEL SQL' AND (p_sql_id IS NULL OR p_shown_sql_id IS NULL OR p_shown_sql_id <> p_sql_id) THEN
      RAISE_APPLICATION_ERROR(-20011, 'the session does not run the statement that is to be cancelled');
    END IF;
    p_state := l_status || ', SQL_ID ' || NVL(p_shown_sql_id, 'missing');
    IF l_taddr IS NOT NULL THEN
      p_state := p_state || ', in a transaction';
    END IF;
  END examine;

  -- Writes down what is about to be sent, or what was refused: a refusal has a code. Only the former counts against PER_HOUR,
  -- and of the latter no more than a thousand an hour are kept. Whoever writes holds the setting until COMMIT, so that two
  -- callers cannot both be the last. Whoever cannot get hold of it sends nothing.
  PROCEDURE write_down(
    p_inst_id IN NUMBER,
    p_sid IN NUMBER,
    p_serial IN NUMBER,
    p_logon_time IN DATE,
    p_username IN VARCHAR2,
    p_action IN VARCHAR2,
    p_statement IN VARCHAR2,
    p_code IN NUMBER,
    p_text IN VARCHAR2,
    p_id OUT NUMBER
  ) IS
    PRAGMA AUTONOMOUS_TRANSACTION;
    l_most NUMBER;
    l_days NUMBER;
    l_count NUMBER;
  BEGIN
    IF p_code IS NULL THEN
      SELECT value INTO l_most FROM orareaper_setting WHERE name = 'PER_HOUR' FOR UPDATE WAIT 5;
    ELSE
      SELECT value INTO l_most FROM orareaper_setting WHERE name = 'PER_HOUR' FOR UPDATE WAIT 1;
    END IF;
    SELECT value INTO l_days FROM orareaper_setting WHERE name = 'KEEP_DAYS';
    IF p_code IS NULL THEN
      SELECT COUNT(*) INTO l_count FROM orareaper_log WHERE statement IS NOT NULL AND asked_at > SYSDATE - 1 / 24;
      IF l_count >= l_most THEN
        ROLLBACK;
        RAISE_APPLICATION_ERROR(-20012, TO_CHAR(l_count) || ' actions within an hour, and PER_HOUR is ' || TO_CHAR(l_most));
      END IF;
    ELSE
      SELECT COUNT(*) INTO l_count FROM orareaper_log WHERE statement IS NULL AND asked_at > SYSDATE - 1 / 24;
      IF l_count >= 1000 THEN
        ROLLBACK;
        RETURN;
      END IF;
    END IF;
    DELETE FROM orareaper_log WHERE asked_at < SYSDATE - l_days;
    SELECT NVL(MAX(id), 0) + 1 INTO p_id FROM orareaper_log;
    INSERT INTO orareaper_log
      (id, asked_at, asked_by, inst_id, sid, serial, logon_time, username, action, statement, code, text)
    VALUES
      (p_id, SYSDATE, SYS_CONTEXT('USERENV', 'SESSION_USER'), p_inst_id, p_sid, p_serial, p_logon_time, p_username,
       SUBSTR(p_action, 1, 60), p_statement, p_code, p_text);
    COMMIT;
  END write_down;

  PROCEDURE answered(p_id IN NUMBER, p_code IN NUMBER, p_text IN VARCHAR2) IS
    PRAGMA AUTONOMOUS_TRANSACTION;
  BEGIN
    UPDATE orareaper_log SET answered_at = SYSDATE, code = p_code, text = p_text WHERE id = p_id;
    COMMIT;
  END answered;

  -- What was written down is not sent after all. Without its statement it does not count against PER_HOUR.
  PROCEDURE withdrawn(p_id IN NUMBER, p_code IN NUMBER, p_text IN VARCHAR2) IS
    PRAGMA AUTONOMOUS_TRANSACTION;
  BEGIN
    UPDATE orareaper_log SET answered_at = SYSDATE, code = p_code, text = p_text, statement = NULL WHERE id = p_id;
    COMMIT;
  END withdrawn;

  PROCEDURE act(
    p_inst_id IN NUMBER,
    p_sid IN NUMBER,
    p_serial IN NUMBER,
    p_logon_time IN DATE,
    p_action IN VARCHAR2,
    p_sql_id IN VARCHAR2,
    p_code OUT NUMBER,
    p_text OUT VARCHAR2
  ) IS
    l_action VARCHAR2(60);
    l_username VARCHAR2(128);
    l_sql_id VARCHAR2(20);
    l_state VARCHAR2(100);
    l_last_call NUMBER;
    l_state_now VARCHAR2(100);
    l_last_call_now NUMBER;
    l_statement VARCHAR2(200);
    l_id NUMBER;
  BEGIN
    BEGIN
      l_action := known_action(p_action);
      examine(p_inst_id, p_sid, p_serial, p_logon_time, l_action, p_sql_id, l_username, l_sql_id, l_state, l_last_call);
      build(p_inst_id, p_sid, p_serial, l_action, l_sql_id, l_statement);
      write_down(p_inst_id, p_sid, p_serial, p_logon_time, l_username, l_action, l_statement, NULL, NULL, l_id);
      -- Writing it down may have taken a while, in which the session may have begun to work.
      examine(p_inst_id, p_sid, p_serial, p_logon_time, l_action, p_sql_id, l_username, l_sql_id, l_state_now, l_last_call_now);
      IF l_state_now <> l_state THEN
        RAISE_APPLICATION_ERROR(-20014, 'the session was ' || l_state || ', and is ' || l_state_now);
      END IF;
      IF l_last_call_now < l_last_call THEN
        RAISE_APPLICATION_ERROR(-20014, 'the session has made a call since it was asked for');
      END IF;
    EXCEPTION
      WHEN OTHERS THEN
        p_code := SQLCODE;
        p_text := SUBSTR(SQLERRM, 1, 512);
        IF p_code < -20015 OR p_code > -20001 THEN
          p_text := SUBSTR('nothing was sent: ' || p_text, 1, 512);
          p_code := -20013;
        END IF;
    END;
    IF p_code IS NOT NULL THEN
      BEGIN
        IF l_id IS NULL THEN
          write_down(p_inst_id, p_sid, p_serial, p_logon_time, l_username, p_action, NULL, p_code, p_text, l_id);
        ELSE
          withdrawn(l_id, p_code, p_text);
        END IF;
      EXCEPTION
        -- What cannot be written down is refused all the same.
        WHEN OTHERS THEN
          NULL;
      END;
      RETURN;
    END IF;
    BEGIN
      EXECUTE IMMEDIATE l_statement;
      p_code := 0;
    EXCEPTION
      WHEN OTHERS THEN
        p_code := SQLCODE;
        p_text := SUBSTR(SQLERRM, 1, 512);
    END;
    BEGIN
      answered(l_id, p_code, p_text);
    EXCEPTION
      -- The caller learns what became of the statement in any case: a row without an answer says that it was sent.
      WHEN OTHERS THEN
        NULL;
    END;
  END act;

END orareaper_guard;
/
