//! A connection through either driver: what is the same for both, written once.
//!
//! The drivers differ in how a query runs and how its values are read. The rest is here: a lost connection stays lost, every
//! call sets its limit first, round trips are counted, and a logoff that hangs does so on a thread of its own.

use std::any::Any;
use std::borrow::Cow;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use crate::decide::guard::{Decoy, Statement, Wording};
use crate::oracle::decoy;
use crate::oracle::error::{Class, Error};
use crate::oracle::leader::fenced;
use crate::oracle::logoff::Logoffs;
use crate::oracle::probe::own_key;
use crate::oracle::sockets::{Socket, SocketClaim};
use crate::oracle::{
    ActingConnection, BlockAnswer, Connection, ConnectionIdentity, DecoyConnection, FETCH_ROWS, LeaderLock,
    LockQuestion, MAX_STATEMENT, Query, STATEMENT_CACHE, Sink, block_of, reading,
};
use crate::quantity::Elapsed;

/// After this many calls in a row without an answer the connection counts as lost, whatever the numbers of the errors say.
const FAILURES: u32 = 5;

/// A driver's own connection.
pub(super) trait Native: Send + 'static {
    /// Sets the limit of the following calls.
    fn set_limit(&self, limit: Duration, tried: &str) -> Result<(), Error>;

    /// The most rows that one fetch should bring.
    fn most_rows(&self) -> u32;

    /// Runs a query, hands its rows to the sink, and returns their number.
    fn fetch(&self, query: &Query, limit: Duration, tried: &str, sink: &mut Sink<'_>) -> Result<u64, Error>;

    /// Runs a statement in a block that binds it, and returns a number and a text.
    fn run_block(
        &self,
        block: &'static str,
        statement: &str,
        limit: Duration,
        tried: &str,
    ) -> Result<BlockAnswer, Error>;

    /// One round trip.
    fn ping(&self, limit: Duration, tried: &str) -> Result<(), Error>;
}

/// A driver's connection with its state.
pub(super) struct Link<N: Native> {
    /// `None` only while it is being dropped.
    native: Option<N>,
    identity: ConnectionIdentity,
    warning: Option<String>,
    round_trips: u64,
    /// The rows of each large result the last time, by the query's text.
    rows_before: HashMap<Cow<'static, str>, u64>,
    lost: bool,
    /// Failed calls since the last answer.
    failures: u32,
    logoffs: Logoffs,
    sockets: Sockets,
}

/// The sockets of a connection, as far as they can be identified.
#[derive(Debug, Default)]
pub(super) struct Sockets {
    /// The socket that a logoff may hang on.
    pub(super) own: Option<Socket>,
    /// Keeps the sockets from being shut down as those of an abandoned attempt.
    pub(super) claim: Option<SocketClaim>,
}

impl<N: Native> Link<N> {
    pub(super) fn new(
        native: N,
        identity: ConnectionIdentity,
        warning: Option<String>,
        logoffs: Logoffs,
        sockets: Sockets,
    ) -> Link<N> {
        Link {
            native: Some(native),
            identity,
            warning,
            round_trips: 0,
            rows_before: HashMap::new(),
            lost: false,
            failures: 0,
            logoffs,
            sockets,
        }
    }

    /// Runs a call of the driver with its limit set, and records whether the connection is lost.
    ///
    /// A panic of the driver or of the sink ends this connection and no other: the position in its protocol is unknown.
    fn call_driver<T>(
        &mut self,
        tried: &str,
        limit: Duration,
        call: impl FnOnce(&N) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let native = self.native.as_ref().filter(|_| !self.lost);
        let native = native.ok_or_else(|| Error::new(Class::Reconnect, tried, "the connection was lost before"))?;
        let run = || {
            native.set_limit(limit.max(Duration::from_millis(1)), tried)?;
            call(native)
        };
        let result = catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| Err(panicked(tried, &*panic)));
        match &result {
            Ok(_) => self.failures = 0,
            Err(error) => {
                self.failures = match error.class {
                    // The database understood the call and answered why it fails.
                    Class::Config | Class::Unsupported => 0,
                    Class::Auth
                    | Class::Backoff
                    | Class::Reconnect
                    | Class::Cancelled
                    | Class::Partial
                    | Class::Bug => self.failures + 1,
                };
                self.lost = error.class.costs_the_connection() || self.failures >= FAILURES;
            }
        }
        result
    }
}

impl<N: Native> Link<N> {
    /// Runs an action inside the block that catches its errors.
    fn run(&mut self, wording: &Wording, limit: Duration) -> Result<BlockAnswer, Error> {
        let (block, statement) = (block_of(wording), wording.text());
        let tried = format!("run a statement on {}", self.identity.database);
        if statement.len() > MAX_STATEMENT {
            return Err(Error::new(Class::Bug, tried, "the statement is too long"));
        }
        let answer = self.call_driver(&tried, limit, |native| {
            native.run_block(block, statement, limit, &tried)
        });
        self.round_trips += 1;
        answer
    }

    fn log_off(&mut self, grace: Duration) {
        if let Some(native) = self.native.take() {
            let Sockets { own, claim } = std::mem::take(&mut self.sockets);
            if self.lost
                && let Some(own) = &own
            {
                // No server is there to log off from, or the position in the protocol is unknown.
                own.shut_down();
            }
            // The claim must last until the driver has logged off.
            self.logoffs.log_off((native, claim), own, grace);
        }
    }
}

/// The error for a panic: the state of the connection is unknown.
pub(crate) fn panicked(tried: &str, panic: &(dyn Any + Send)) -> Error {
    let said = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no message");
    Error::new(
        Class::Reconnect,
        tried,
        format!("the driver panicked over the answer: {said}"),
    )
}

impl<N: Native> Connection for Link<N> {
    fn query(&mut self, query: &Query, limit: Duration, sink: &mut Sink<'_>) -> Result<(), Error> {
        let tried = reading(query, &self.identity.database);
        let before = self.rows_before.get(&query.sql).copied().unwrap_or(0);
        let most = self.native.as_ref().map_or(FETCH_ROWS, Native::most_rows);
        let query = &query.clone().expecting(before, most);
        let fetched = self.call_driver(&tried, limit, |native| native.fetch(query, limit, &tried, sink));
        self.round_trips += fetched.as_ref().map_or(1, |rows| query.round_trips(*rows));
        let rows = fetched?;
        if rows >= u64::from(FETCH_ROWS) && (before > 0 || self.rows_before.len() < STATEMENT_CACHE as usize) {
            self.rows_before.insert(query.sql.clone(), rows);
        }
        Ok(())
    }

    fn ping(&mut self, limit: Duration) -> Result<(), Error> {
        let tried = format!("ping {}", self.identity.database);
        let pinged = self.call_driver(&tried, limit, |native| native.ping(limit, &tried));
        self.round_trips += 1;
        pinged
    }

    fn is_lost(&self) -> bool {
        self.lost
    }

    fn identity(&self) -> &ConnectionIdentity {
        &self.identity
    }

    fn warning(&self) -> Option<&str> {
        self.warning.as_deref()
    }

    fn round_trips(&self) -> u64 {
        self.round_trips
    }

    fn close(mut self: Box<Self>, grace: Duration) {
        self.log_off(grace);
    }
}

/// A connection that acts: another type, so that one that reads has nothing to send by.
pub(super) struct Acting<N: Native>(Link<N>);

impl<N: Native> Acting<N> {
    pub(super) fn over(link: Link<N>) -> Acting<N> {
        Acting(link)
    }
}

impl<N: Native> ActingConnection for Acting<N> {
    fn send(&mut self, statement: Statement, fence: Option<LeaderLock>, limit: Duration) -> Result<BlockAnswer, Error> {
        match fence {
            Some(lock) => self.0.run(&fenced(statement.wording(), lock), limit),
            None => self.0.run(statement.wording(), limit),
        }
    }

    fn ask(&mut self, question: &LockQuestion, limit: Duration) -> Result<BlockAnswer, Error> {
        self.0.run(&question.0, limit)
    }
}

impl<N: Native> Connection for Acting<N> {
    fn query(&mut self, query: &Query, limit: Duration, sink: &mut Sink<'_>) -> Result<(), Error> {
        self.0.query(query, limit, sink)
    }

    fn ping(&mut self, limit: Duration) -> Result<(), Error> {
        self.0.ping(limit)
    }

    fn is_lost(&self) -> bool {
        self.0.is_lost()
    }

    fn identity(&self) -> &ConnectionIdentity {
        self.0.identity()
    }

    fn warning(&self) -> Option<&str> {
        self.0.warning()
    }

    fn round_trips(&self) -> u64 {
        self.0.round_trips()
    }

    fn close(self: Box<Self>, grace: Duration) {
        Box::new(self.0).close(grace);
    }
}

/// A decoy's connection: another type, so that what acts and what is acted on are never taken for each other.
pub(super) struct DecoyLink<N: Native>(Link<N>);

impl<N: Native> DecoyLink<N> {
    pub(super) fn over(link: Link<N>) -> DecoyLink<N> {
        DecoyLink(link)
    }
}

impl<N: Native> DecoyConnection for DecoyLink<N> {
    fn report(&mut self, limit: Duration) -> Result<Decoy, Error> {
        own_key(&mut self.0, limit).map(Decoy::reported)
    }

    fn ping(&mut self, limit: Duration) -> Result<(), Error> {
        self.0.ping(limit)
    }

    fn work(&mut self, limit: Duration) -> Result<(), Error> {
        self.0.query(
            &decoy::long_query(),
            limit,
            &mut |_| std::ops::ControlFlow::Continue(()),
        )
    }

    fn open_transaction(&mut self, limit: Duration) -> Result<BlockAnswer, Error> {
        self.0.run(&Wording::Statement(decoy::OPEN.to_owned()), limit)
    }

    fn commit(&mut self, limit: Duration) -> Result<BlockAnswer, Error> {
        self.0.run(&Wording::Statement(decoy::COMMIT.to_owned()), limit)
    }

    fn close(mut self: Box<Self>, grace: Duration) {
        self.0.log_off(grace);
    }
}

impl<N: Native> Drop for Link<N> {
    fn drop(&mut self) {
        self.log_off(Duration::ZERO);
    }
}

/// The error for a query whose round trips each came in time, but not all of them together.
pub(super) fn too_slow(tried: &str, limit: Duration) -> Error {
    Error::new(
        Class::Cancelled,
        tried,
        format!("not complete within {}", Elapsed(limit)),
    )
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};
    use std::ops::ControlFlow;
    use std::sync::Arc;

    use super::*;
    use crate::oracle::{Driver, FETCH_FEW, Phase, Purpose};

    const LIMIT: Duration = Duration::from_secs(1);

    /// Answers each call with the next of its errors; 0 is a success, and `PANIC` a panic.
    struct Canned {
        codes: Vec<u32>,
        next: Cell<usize>,
        /// The rows of each result.
        rows: Cell<u64>,
        /// The rows of a fetch, of each query.
        fetches: RefCell<Vec<u32>>,
    }

    const PANIC: u32 = u32::MAX;

    impl Canned {
        fn answer(&self, tried: &str) -> Result<(), Error> {
            let code = self.codes.get(self.next.get()).copied().unwrap_or(0);
            self.next.set(self.next.get() + 1);
            match code {
                0 => Ok(()),
                PANIC => panic!("attempt to subtract with overflow"),
                code => Err(Error::from_database(Phase::Call, tried, Some(code), "said")),
            }
        }
    }

    impl Native for Canned {
        fn set_limit(&self, _: Duration, _: &str) -> Result<(), Error> {
            Ok(())
        }

        fn most_rows(&self) -> u32 {
            crate::oracle::MOST_ROWS
        }

        fn fetch(&self, query: &Query, _: Duration, tried: &str, sink: &mut Sink<'_>) -> Result<u64, Error> {
            self.answer(tried)?;
            let _ = sink(&[]);
            self.fetches.borrow_mut().push(query.fetch);
            Ok(self.rows.get())
        }

        fn run_block(&self, _: &'static str, _: &str, _: Duration, tried: &str) -> Result<BlockAnswer, Error> {
            self.answer(tried).map(|()| BlockAnswer::new(0, None))
        }

        fn ping(&self, _: Duration, tried: &str) -> Result<(), Error> {
            self.answer(tried)
        }
    }

    fn link(codes: &[u32]) -> Link<Canned> {
        let canned = Canned {
            codes: codes.to_vec(),
            next: Cell::new(0),
            rows: Cell::new(1),
            fetches: RefCell::default(),
        };
        let identity = ConnectionIdentity {
            database: Arc::from("prod"),
            driver: Driver::Thin,
            purpose: Purpose::Poll,
        };
        Link::new(canned, identity, None, Logoffs::default(), Sockets::default())
    }

    #[test]
    fn a_panic_ends_the_connection_that_it_happened_on() {
        let mut link = link(&[0, PANIC]);
        link.ping(LIMIT).expect("it answers");
        let error = link
            .run(&Wording::Statement("BEGIN NULL; END;".into()), LIMIT)
            .expect_err("it panics");
        assert_eq!(error.class, Class::Reconnect);
        assert_eq!(
            error.to_string(),
            "run a statement on prod: the driver panicked over the answer: attempt to subtract with overflow"
        );
        assert!(link.is_lost());
        let error = link.ping(LIMIT).expect_err("it is lost");
        assert!(error.why.contains("lost before"), "{error}");
    }

    #[test]
    fn a_panic_over_a_row_is_one_over_the_answer() {
        let mut link = link(&[]);
        let query = Query::new("GV$SESSION", "SELECT 1 FROM gv$session", &[]);
        let sink = &mut |_: &[crate::oracle::Cell<'_>]| -> ControlFlow<()> { panic!("a row that cannot be") };
        let error = link.query(&query, LIMIT, sink).expect_err("it panics");
        assert_eq!((error.class, link.is_lost()), (Class::Reconnect, true));
    }

    #[test]
    fn a_fetch_brings_what_the_same_query_had_the_last_time() {
        let mut link = link(&[]);
        let sessions = Query::new("GV$SESSION", "SELECT sid FROM gv$session", &[]);
        let one = sessions.clone().few();
        let other = Query::new("GV$PROCESS", "SELECT addr FROM gv$process", &[]);
        for (rows, query, expected) in [
            (20_000, &sessions, 1_000),
            (20_000, &sessions, 10_000),
            (20_000, &other, 1_000),
            (3_000, &sessions, 10_000),
            (900, &sessions, 5_000),
            (20_000, &sessions, 5_000),
            (20_000, &one, FETCH_FEW),
        ] {
            link.native.as_ref().expect("connected").rows.set(rows);
            link.query(query, LIMIT, &mut |_| ControlFlow::Continue(()))
                .expect("it answers");
            let native = link.native.as_ref().expect("connected");
            assert_eq!(
                native.fetches.borrow().last(),
                Some(&expected),
                "{} of {rows}",
                query.of
            );
        }
        assert_eq!(link.round_trips, 20 + 2 + 20 + 1 + 1 + 4 + 1_000);
    }

    #[test]
    fn failures_in_a_row_end_a_connection_whatever_their_numbers_say() {
        // An unknown error, short memory, a missing cursor: each leaves the connection alive.
        let codes = [59_999, 4_031, 1_001, 59_999];
        let mut enough = link(&[&codes[..], &[4_031]].concat());
        for call in 1..=FAILURES {
            assert!(!enough.is_lost(), "before call {call}");
            enough.ping(LIMIT).expect_err("it fails");
        }
        assert!(enough.is_lost());
        // A success between them, or an answer that says why not, begins anew.
        for between in [0, 942, 904] {
            let mut link = link(&[&codes[..], &[between], &codes[..]].concat());
            for _ in 0..9 {
                let _ = link.ping(LIMIT);
            }
            assert!(!link.is_lost(), "after {between}");
        }
    }
}
