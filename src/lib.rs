//! An autonomous policy daemon that reaps idle, stuck and runaway Oracle sessions, with proof for every one.

pub mod actuator;
pub mod clock;
pub mod config;
pub mod cycle;
pub mod evaluate;
pub mod event;
pub mod guard;
pub mod hold;
pub mod journal;
pub mod ledger;
pub mod metrics;
pub mod needs;
pub mod notes;
pub mod oracle;
pub mod outcome;
pub mod plan;
pub mod policy;
pub mod pressure;
pub mod protect;
pub mod recorder;
pub mod report;
pub mod saved;
pub mod session;
pub mod status;
pub mod story;
pub mod verify;
