//! The statements that a decoy's own connection runs, and how its client learns of its end.
//!
//! The statements need no grant, read no table, and work from 11.2 on: the query joins generated rows, which takes a processor for
//! some tens of seconds and almost no memory, and ends by itself; DBMS_TRANSACTION opens a transaction that has changed nothing
//! (Oracle Database PL/SQL Packages and Types Reference, LOCAL_TRANSACTION_ID), and PUBLIC may execute it.

use crate::oracle::error::Error;
use crate::oracle::{CellType, Query};

/// Two billion generated rows.
const LONG: &str = "SELECT COUNT(*) FROM (SELECT LEVEL n FROM dual CONNECT BY LEVEL <= 1000) a, (SELECT LEVEL n FROM dual CONNECT \
                    BY LEVEL <= 1000) b, (SELECT LEVEL n FROM dual CONNECT BY LEVEL <= 2000) c WHERE a.n + b.n + c.n < 0";

/// Opens a transaction.
pub(super) const OPEN: &str = "DECLARE id VARCHAR2(200); BEGIN id := DBMS_TRANSACTION.LOCAL_TRANSACTION_ID(TRUE); END;";

/// Ends it.
pub(super) const COMMIT: &str = "COMMIT";

/// What a client is told that is told nothing.
pub(crate) const NOTHING: u32 = 0;

/// End-of-file on communication channel: the connection was cut.
pub(crate) const CUT: u32 = 3113;

/// The query that keeps a decoy busy.
pub(super) fn long_query() -> Query {
    Query::new("generated rows", LONG, &[CellType::Number]).few()
}

/// How many bytes PROGRAM of GV$SESSION holds.
pub(crate) fn program_width() -> Query {
    Query::new(
        "ALL_TAB_COLUMNS",
        "SELECT data_length FROM all_tab_columns WHERE owner = 'SYS' AND table_name = 'GV_$SESSION' AND column_name = 'PROGRAM'",
        &[CellType::Number],
    )
    .few()
}

/// What a client was told, as the number of Oracle's error. That its connection was cut comes under several numbers, and under none
/// where the driver noticed it first.
pub(crate) fn told(answer: &Result<(), Error>) -> u32 {
    match answer {
        Ok(()) => NOTHING,
        Err(error) => match error.code {
            None | Some(CUT | 3114 | 3135 | 12_153 | 12_537 | 12_547 | 12_570 | 12_571 | 12_583) => CUT,
            Some(number) => number,
        },
    }
}

/// The same in words.
pub(crate) fn told_words(number: u32) -> String {
    match number {
        NOTHING => "nothing".to_owned(),
        CUT => "that its connection was cut".to_owned(),
        number => format!("ORA-{number:05}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oracle::Class;

    #[test]
    fn a_cut_connection_is_one_thing_whoever_noticed_it() {
        let error = |code| Error {
            code,
            ..Error::new(Class::Reconnect, "ping", "why")
        };
        for (code, number) in [(None, CUT), (Some(3135), CUT), (Some(28), 28), (Some(1013), 1013)] {
            assert_eq!(told(&Err(error(code))), number, "{code:?}");
        }
        assert_eq!(told(&Ok(())), NOTHING);
        assert_eq!(told_words(28), "ORA-00028");
    }
}
