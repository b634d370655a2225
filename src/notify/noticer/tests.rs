//! Events in, notices out.
