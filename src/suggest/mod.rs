//! `suggest`: from a recording, which limit each group of clients would have borne, as policies ready to be checked.
//!
//! [`survey`] looks at every session of every snapshot: how long it was idle before each call, by the same definition of a call as
//! everywhere ([`crate::decide::used_again`]); what it held meanwhile; and how many of its pool were in use at once. [`limits`] makes
//! limits of that, [`native`] those that Oracle has itself, [`mod@file`] a policy file with the evidence as comments. Nothing is
//! suggested that the recording cannot tell, and what it cannot tell is said.

mod file;
mod limits;
mod native;
mod profile;
mod rounding;
mod survey;
#[cfg(test)]
mod tests;

pub use survey::RecordingSurvey;
