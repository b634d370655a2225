//! A simulated Oracle database (one instance, or a RAC of several) that real, unmodified clients log in to.

pub mod backend;
mod clock;
mod error;
pub mod faults;
pub mod local;
pub mod scenario;
pub mod script;
mod sql;
mod views;
mod wire;
pub mod world;

pub use faults::{Fault, Strike};
pub use scenario::{Scenario, ScenarioError};
pub use wire::{Server, Stats};
pub use world::{Clause, KillRecord, SessionView, UserLock, World};
