//! Reads YAML into a tree of nodes with positions, so that every problem can be reported with its line and column.
//!
//! Policies and the configuration are read in the same way: [`node`] makes the tree, [`fields`] takes the keys of a mapping one
//! by one and reports unknown ones, [`offsets`] maps a position in a value to one in the file, [`diagnostics`] shows problems.
//! Only [`files`] reads from a disk.

pub(crate) mod calendar;
pub mod diagnostics;
pub(crate) mod fields;
pub(crate) mod files;
pub(crate) mod node;
pub(crate) mod offsets;
