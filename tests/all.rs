//! All tests of the program and its library from outside, as one program: linking one takes a twentieth of linking each.
//!
//! `cargo test --test all kills::` runs one file's.

mod any_bytes;
mod at_the_limit;
mod broken_answers;
mod browser;
mod by_hand;
mod cases;
mod cli;
mod clocks;
mod daemon;
mod diagnostics;
mod doctor;
mod documentation;
mod drivers;
mod evaluator_vs_sqlite;
mod every_event;
mod explain;
mod gates;
mod grants;
mod guard_package;
mod history;
mod house;
mod kills;
mod monitoring;
mod odd_files;
mod outages;
mod own_disk;
mod permission;
mod properties;
mod protections;
mod prove;
mod reload;
mod replay;
mod report;
mod saved;
mod schedule;
mod simulation;
mod site;
mod standing;
mod story_command;
mod switch;
mod systemd_unit;
mod turns;
mod tutorial;
mod verdicts;
