//! Everything between a snapshot and a warrant, and nothing else: no clock, no file, no network.
//!
//! [`cycle`] runs the steps in order; the other modules are the steps and their memory.

pub mod clocks;
pub mod cycle;
pub(crate) mod eligibility;
pub mod evaluate;
pub mod floor;
pub(crate) mod going;
pub mod guard;
pub mod hold;
pub mod in_force;
pub(crate) mod leadership;
pub mod ledger;
pub mod matches;
pub(crate) mod order;
pub mod outcome;
pub mod plan;
pub mod pressure;
pub mod protect;
pub(crate) mod rates;
pub mod reason;
pub mod refill;
pub(crate) mod shared_process;
pub(crate) mod standstill;
pub mod under_way;
pub mod used_again;
pub mod verify;
