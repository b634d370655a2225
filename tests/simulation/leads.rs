//! The judge of who leads: where the daemons of several hosts watch one database, a statement is held against the lock at the moment
//! at which the database carries it out, which may be minutes after it was sent.
//!
//! A lead is a term of the lock ([`super::locks`]). Two leads cannot overlap unless somebody acts in a term that another daemon began.

use super::base::{Base, Key};

/// What a statement is held against.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Claim {
    /// The session that it came over.
    pub(crate) session: Key,
    /// The lock that it was fenced by.
    pub(crate) lock: u32,
    /// When the snapshot behind it was asked for and read, in true time.
    pub(crate) asked: i64,
    pub(crate) read: i64,
    /// How long its condition must have held.
    pub(crate) hold: i64,
}

impl Claim {
    /// Whether it may be carried out.
    pub(crate) fn check(&self, base: &Base) -> Result<(), String> {
        let own = base.daemon_of(self.session);
        let mut holders = base.holders(self.lock);
        if !holders.any(|holder| holder.session == self.session) {
            return Err(format!("carried out for {own:?} without lock {}", self.lock));
        }
        let term = base.term(self.lock).ok_or("nobody has begun a term")?;
        if own.is_none() || term.owner != own {
            return Err(format!("carried out for {own:?} in the term of another: {term:?}"));
        }
        if self.asked <= term.began {
            return Err(format!(
                "decided on a snapshot of {}, from before its term: {term:?}",
                self.asked
            ));
        }
        let since = self.read - term.began;
        if since < self.hold {
            return Err(format!(
                "{since} s after its term began, and its condition has to hold for {}: {term:?}",
                self.hold
            ));
        }
        Ok(())
    }
}
