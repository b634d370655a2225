//! The policy language: from a file's bytes to a checked [`model::PolicySet`], or to every problem at its line and column.

pub mod condition;
pub mod model;
pub mod pressure;
pub mod schedule;
