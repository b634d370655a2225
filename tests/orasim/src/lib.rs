//! A simulated Oracle database (one instance, or a RAC of several) that real, unmodified clients log in to.

pub mod backend;
mod wire;

pub use wire::{Server, Stats};
