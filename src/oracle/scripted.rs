//! A connection that answers from a script, for tests of the queries and of what is made of their answers.

use std::sync::Arc;
use std::time::Duration;

use crate::decide::guard::Statement;
use crate::oracle::{
    ActingConnection, BlockAnswer, Cell, CellType, Connection, ConnectionIdentity, Driver, Error, LeaderLock,
    LockQuestion, Phase, Purpose, Query, Sink, reading,
};
use crate::session::time::DbTime;

/// Gives the first answer whose key is the query's view or is part of its text. A row is its texts in the order of the query's
/// columns.
pub(crate) struct Scripted {
    identity: ConnectionIdentity,
    answers: Vec<(&'static str, Answer)>,
    pub(crate) asked: Vec<Query>,
    /// What a statement is answered with; without it none may be sent.
    pub(crate) says: Option<Result<BlockAnswer, Error>>,
    /// The lock that its statements are fenced by, and whether one was not carried out for it.
    pub(crate) fence: Option<LeaderLock>,
    pub(crate) was_fenced_off: bool,
    /// The limits of the statements that were sent.
    pub(crate) sent: Vec<Duration>,
    /// What happens meanwhile when a view is queried for the second time.
    pub(crate) meanwhile: Option<Box<dyn FnOnce() + Send>>,
}

/// What it answers.
pub(crate) enum Answer {
    /// These rows.
    Rows(Vec<Vec<&'static str>>),
    /// The first rows once, the second ones from then on.
    Then(Vec<Vec<&'static str>>, Vec<Vec<&'static str>>),
    /// An error with this number.
    Fails(u32),
}

impl Scripted {
    pub(crate) fn new(answers: Vec<(&'static str, Answer)>) -> Scripted {
        Scripted {
            identity: ConnectionIdentity {
                database: Arc::from("test"),
                driver: Driver::Thin,
                purpose: Purpose::Poll,
            },
            answers,
            asked: Vec::new(),
            says: None,
            fence: None,
            was_fenced_off: false,
            sent: Vec::new(),
            meanwhile: None,
        }
    }

    /// How often a view was queried.
    pub(crate) fn asked(&self, of: &str) -> usize {
        self.asked.iter().filter(|query| query.of == of).count()
    }
}

impl Connection for Scripted {
    fn query(&mut self, query: &Query, _limit: Duration, sink: &mut Sink<'_>) -> Result<(), Error> {
        let before = self.asked(query.of);
        self.asked.push(query.clone());
        if let Some(happens) = self.meanwhile.take_if(|_| before == 1) {
            happens();
        }
        let answer = self
            .answers
            .iter()
            .find(|(key, _)| *key == query.of || query.sql.contains(key))
            .map(|(_, answer)| answer)
            .unwrap_or_else(|| panic!("{} was not to be asked", query.sql));
        let rows = match answer {
            Answer::Rows(rows) => rows,
            Answer::Then(first, _) if before == 0 => first,
            Answer::Then(_, later) => later,
            Answer::Fails(code) => {
                let message = format!("ORA-{code:05}: scripted");
                return Err(Error::from_database(
                    Phase::Call,
                    reading(query, "test"),
                    Some(*code),
                    &message,
                ));
            }
        };
        for row in rows {
            assert_eq!(row.len(), query.columns.len(), "{}", query.sql);
            let cells: Vec<Cell<'_>> = row
                .iter()
                .zip(&query.columns)
                .map(|(text, kind)| match kind {
                    _ if text.is_empty() => Cell::Null,
                    CellType::Text => Cell::Text(text),
                    CellType::Number => Cell::Number(text.parse().expect("a number")),
                    CellType::Time => Cell::Time(DbTime(text.parse().expect("seconds"))),
                })
                .collect();
            if sink(&cells).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn ping(&mut self, _limit: Duration) -> Result<(), Error> {
        Ok(())
    }

    fn is_lost(&self) -> bool {
        false
    }

    fn identity(&self) -> &ConnectionIdentity {
        &self.identity
    }

    fn warning(&self) -> Option<&str> {
        None
    }

    fn round_trips(&self) -> u64 {
        0
    }

    fn close(self: Box<Self>, _grace: Duration) {}
}

impl ActingConnection for Scripted {
    fn send(&mut self, _: Statement, _: Option<LeaderLock>, limit: Duration) -> Result<BlockAnswer, Error> {
        self.sent.push(limit);
        self.says.take().expect("nothing was to be sent")
    }

    fn ask(&mut self, _: &LockQuestion, _: Duration) -> Result<BlockAnswer, Error> {
        panic!("nobody was to ask")
    }
}
