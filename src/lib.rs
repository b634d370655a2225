//! orareaper.
