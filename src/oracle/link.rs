//! A connection through either driver: what is the same for both, written once.
//!
//! The drivers differ in how a query is run and its values are read. That a lost connection stays lost, that every call has
//! its limit set first, that round trips are counted and that a logoff may hang on a thread of its own, does not depend on
//! them.

use std::time::Duration;

use crate::oracle::connect::Logoffs;
use crate::oracle::error::{Class, Error};
use crate::oracle::{BlockAnswer, Connection, Identity, MAX_STATEMENT, Query, Sink, reading};

/// A driver's own connection.
pub(super) trait Native: Send + 'static {
    /// Sets the limit of the calls to come.
    fn set_limit(&self, limit: Duration, tried: &str) -> Result<(), Error>;

    /// Runs a query and hands its rows to the sink; how many there were.
    fn fetch(&self, query: &Query, limit: Duration, tried: &str, sink: &mut Sink<'_>) -> Result<u64, Error>;

    /// Runs a statement in [`crate::oracle::BLOCK`].
    fn run_block(&self, statement: &str, limit: Duration, tried: &str) -> Result<BlockAnswer, Error>;

    /// One round trip.
    fn ping(&self, limit: Duration, tried: &str) -> Result<(), Error>;
}

/// A connection with what is known of it.
pub(super) struct Link<N: Native> {
    /// `None` only while it is being dropped.
    native: Option<N>,
    identity: Identity,
    warning: Option<String>,
    round_trips: u64,
    lost: bool,
    logoffs: Logoffs,
}

impl<N: Native> Link<N> {
    pub(super) fn new(native: N, identity: Identity, warning: Option<String>, logoffs: Logoffs) -> Link<N> {
        Link {
            native: Some(native),
            identity,
            warning,
            round_trips: 0,
            lost: false,
            logoffs,
        }
    }

    /// The driver's connection with its limit set.
    fn ready(&self, tried: &str, limit: Duration) -> Result<&N, Error> {
        let native = self.native.as_ref().filter(|_| !self.lost);
        let native = native.ok_or_else(|| Error::new(Class::Reconnect, tried, "the connection was lost before"))?;
        native.set_limit(limit.max(Duration::from_millis(1)), tried)?;
        Ok(native)
    }

    fn noting<T>(&mut self, result: Result<T, Error>) -> Result<T, Error> {
        if let Err(error) = &result {
            self.lost |= error.class.costs_the_connection();
        }
        result
    }
}

impl<N: Native> Connection for Link<N> {
    fn query(&mut self, query: &Query, limit: Duration, sink: &mut Sink<'_>) -> Result<(), Error> {
        let tried = reading(query, &self.identity.database);
        let fetched = self
            .ready(&tried, limit)
            .and_then(|native| native.fetch(query, limit, &tried, sink));
        self.round_trips += fetched.as_ref().map_or(1, |rows| query.round_trips(*rows));
        self.noting(fetched).map(|_| ())
    }

    fn call(&mut self, statement: &str, limit: Duration) -> Result<BlockAnswer, Error> {
        let tried = format!("run a statement on {}", self.identity.database);
        if statement.len() > MAX_STATEMENT {
            return Err(Error::new(Class::Bug, tried, "the statement is too long"));
        }
        let answer = self
            .ready(&tried, limit)
            .and_then(|native| native.run_block(statement, limit, &tried));
        self.round_trips += 1;
        self.noting(answer)
    }

    fn ping(&mut self, limit: Duration) -> Result<(), Error> {
        let tried = format!("ping {}", self.identity.database);
        let pinged = self.ready(&tried, limit).and_then(|native| native.ping(limit, &tried));
        self.round_trips += 1;
        self.noting(pinged)
    }

    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn warning(&self) -> Option<&str> {
        self.warning.as_deref()
    }

    fn round_trips(&self) -> u64 {
        self.round_trips
    }

    fn close(mut self: Box<Self>, grace: Duration) {
        if let Some(native) = self.native.take() {
            self.logoffs.log_off(native, grace);
        }
    }
}

impl<N: Native> Drop for Link<N> {
    fn drop(&mut self) {
        if let Some(native) = self.native.take() {
            self.logoffs.log_off(native, Duration::ZERO);
        }
    }
}

/// A query whose rows came in time, one by one, but not all of them together.
pub(super) fn too_slow(tried: &str, limit: Duration) -> Error {
    Error::new(
        Class::Cancelled,
        tried,
        format!("not done within {:.1}s", limit.as_secs_f64()),
    )
}
