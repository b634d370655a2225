//! An autonomous policy daemon that reaps idle, stuck and runaway Oracle sessions, with proof for every one.

pub mod policy;
pub mod session;
