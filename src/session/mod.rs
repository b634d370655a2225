//! Sessions as one snapshot shows them.

pub mod column;
