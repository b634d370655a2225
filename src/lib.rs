//! A daemon that kills idle, stuck and runaway Oracle sessions by policy, and records why for each one.
//!
//! The modules are grouped by layer; docs/ARCHITECTURE.md has the map.

// What users write and databases show.
pub mod config;
pub mod policy;
pub mod quantity;
pub mod session;
mod words;
pub mod yaml;

// The owner of the files of a state folder.
mod folder;

// Decisions, without a clock, a file or a network.
pub mod checks;
pub mod columns_needed;
pub mod decide;
mod rows_needed;

// Acting and recording.
pub mod actuator;
pub mod event;
pub mod event_sink;
pub mod journal;
pub mod oracle;

// Reports, metrics and the status page.
pub mod explain;
pub mod gaps;
mod html;
pub mod metrics;
pub mod notify;
pub mod report;
pub mod status;
pub mod terminal;

// Snapshots and policies without a database.
pub mod export;
pub mod policy_test;
pub mod recording;
pub mod replay;
pub mod suggest;

// The program.
pub mod cli;
pub mod clock;
pub mod commands;
pub mod daemon;
pub mod doctor;
pub mod http;
mod prove;
mod setup_sql;
pub mod systemd;
