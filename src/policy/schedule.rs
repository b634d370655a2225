//! When a policy is evaluated: crontab's five fields in a time zone.

/// A crontab expression in a time zone.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// As written.
    pub text: String,
}
