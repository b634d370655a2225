//! The wire: everything from TCP to the calls on [`crate::backend`]'s traits.
//!
//! In the order in which a connection meets them: `server` accepts it, `handshake` reads where it wants to go, `link`
//! shares its socket between a reader and a worker, `connection` is the worker, `capability` and `logon` set the session
//! up, `request` and `statement` read calls, `call` carries them out (`lob` those on LOBs), `response` writes the answers. `packet`, `codec`,
//! `scalar`, `bind` and `verifier` are the forms of things on the wire.
//!
//! What every part keeps to:
//! - A message is read whole before any of it is acted on.
//! - What a client sends is never trusted: every length and count has a limit, and garbage ends the connection, never
//!   the server.
//! - Only the portable representation is spoken (see `capability`).

mod bind;
mod call;
mod capability;
mod codec;
mod connection;
mod cursor;
mod handshake;
mod link;
mod lob;
mod logon;
mod packet;
mod request;
mod response;
mod scalar;
mod server;
mod statement;
mod tls;
mod verifier;

pub use server::{Server, Stats};
