//! The body for each kind of receiver.
