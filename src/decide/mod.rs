//! Everything between a snapshot and a warrant, and nothing else: no clock, no file, no network.
//!
//! [`cycle`] is the way through it, step by step; the others are its steps and what they remember.

pub mod cycle;
pub mod evaluate;
pub mod guard;
pub mod hold;
pub mod in_force;
pub mod ledger;
pub mod matches;
pub mod outcome;
pub mod plan;
pub mod pressure;
pub mod protect;
pub mod reason;
pub mod respawn;
pub mod standing;
pub mod standstill;
pub mod verify;
