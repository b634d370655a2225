//! A daemon that kills idle, stuck and runaway Oracle sessions by policy, and records why for each one.
//!
//! The modules stand in reading order; docs/ARCHITECTURE.md has the map.

// What a user writes and what a database shows.
pub mod config;
pub mod policy;
pub mod quantity;
pub mod session;
mod words;
pub mod yaml;

// Whose the files of a state folder are.
mod folder;

// What is decided, without a clock, a file or a network.
pub mod checks;
pub mod columns_needed;
pub mod decide;

// How it is done and recorded.
pub mod actuator;
pub mod event;
pub mod event_sink;
pub mod journal;
pub mod oracle;

// Who is told, and how.
pub mod explain;
pub mod gaps;
mod html;
pub mod metrics;
pub mod report;
pub mod status;
pub mod terminal;

// Snapshots and policies without a database.
pub mod export;
pub mod policy_test;
pub mod recording;
pub mod replay;

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
