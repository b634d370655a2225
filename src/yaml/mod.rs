//! YAML as a person wrote it: a tree that knows its places, and every problem at its line and column.
//!
//! Policies and the configuration are read alike: [`node`] makes the tree, [`fields`] takes the keys of a mapping one by one and tells
//! those that nobody knows, [`offsets`] maps a place in a value's text to the file's, [`diagnostics`] shows a problem. Only
//! [`files`] touches a disk.

pub mod diagnostics;
pub(crate) mod fields;
pub(crate) mod files;
pub(crate) mod node;
pub(crate) mod offsets;
