//! DBMS_LOCK of the simulated database: which sessions hold a lock, and the terms that follow from it.
//!
//! A lock lives as long as its session. One that is granted exclusively begins a **term**: nobody else holds it at that moment, so all
//! that hold it until the next one do so in this term. A term belongs to the daemon whose session began it. Where a session gets a lock
//! in shared mode that nobody holds, a term begins that is nobody's.

use std::collections::{BTreeMap, BTreeSet};

use super::base::{Base, Key};

/// The lock was granted.
pub(crate) const GOT: u32 = 0;
/// Others hold it.
pub(crate) const TAKEN: u32 = 1;
/// A parameter is wrong, or what was asked for is not permitted.
const WRONG: u32 = 3;
/// The session holds it already.
pub(crate) const HELD: u32 = 4;

/// A daemon from its start to its end: the host that it runs on, and how often one was started there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Daemon {
    pub(crate) host: usize,
    pub(crate) life: usize,
}

/// A session that holds a lock, or has held it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Holder {
    lock: u32,
    pub(crate) session: Key,
    /// Exclusively.
    alone: bool,
}

/// A term.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Term {
    /// Whose session began it, if one began it alone.
    pub(crate) owner: Option<Daemon>,
    pub(crate) began: i64,
}

/// The locks of a database.
#[derive(Debug, Default)]
pub(crate) struct Locks {
    holders: Vec<Holder>,
    terms: BTreeMap<u32, Term>,
    begun: usize,
    /// Whose the sessions of daemons are.
    daemons: BTreeMap<Key, Daemon>,
    /// Sessions that lost a lock and live on.
    robbed: BTreeSet<Key>,
    /// Sessions whose clients are gone, which the database notices later.
    pub(crate) ghosts: Vec<(i64, Key)>,
}

impl Base {
    /// A daemon has logged in.
    pub(crate) fn belongs(&mut self, session: Key, daemon: Daemon) {
        self.locks.daemons.insert(session, daemon);
    }

    pub(crate) fn daemon_of(&self, session: Key) -> Option<Daemon> {
        self.locks.daemons.get(&session).copied()
    }

    /// Its client is gone, and the database notices that so much later.
    pub(crate) fn haunts(&mut self, session: Key, until: i64) {
        self.locks.ghosts.push((until, session));
    }

    /// Whether its client is gone.
    pub(crate) fn is_ghost(&self, session: Key) -> bool {
        self.locks.ghosts.iter().any(|(_, ghost)| *ghost == session)
    }

    /// A session loses its locks and lives on.
    pub(crate) fn robs(&mut self, session: Key) {
        self.locks.holders.retain(|holder| holder.session != session);
        self.locks.robbed.insert(session);
    }

    /// Whether it lives, and has lost no lock: one that has vouches for nobody.
    pub(crate) fn vouches(&self, session: Key) -> bool {
        let lives = self.find(session).is_some_and(|session| session.mark.is_none());
        lives && !self.locks.robbed.contains(&session)
    }

    /// Those who hold a lock now.
    pub(crate) fn holders(&self, lock: u32) -> impl Iterator<Item = Holder> + '_ {
        let lives = |holder: &Holder| {
            let session = self.find(holder.session);
            session.is_some_and(|session| session.mark.is_none_or(|mark| mark.frees > self.now))
        };
        let of_it = move |holder: &Holder| holder.lock == lock && lives(holder);
        self.locks.holders.iter().copied().filter(of_it)
    }

    /// The newest term of a lock.
    pub(crate) fn term(&self, lock: u32) -> Option<Term> {
        self.locks.terms.get(&lock).copied()
    }

    /// How many terms daemons have begun.
    pub(crate) fn terms(&self) -> usize {
        self.locks.begun
    }

    /// REQUEST, without waiting.
    pub(crate) fn request(&mut self, session: Key, lock: u32, alone: bool) -> u32 {
        let holders: Vec<Holder> = self.holders(lock).collect();
        if holders.iter().any(|holder| holder.session == session) {
            return HELD;
        }
        if holders.iter().any(|holder| alone || holder.alone) {
            return TAKEN;
        }
        if holders.is_empty() {
            self.locks.holders.retain(|holder| holder.lock != lock);
            let owner = self.daemon_of(session).filter(|_| alone);
            let began = self.now;
            self.locks.begun += usize::from(owner.is_some());
            self.locks.terms.insert(lock, Term { owner, began });
        }
        self.locks.holders.push(Holder { lock, session, alone });
        GOT
    }

    /// CONVERT to shared mode.
    fn share(&mut self, session: Key, lock: u32) -> u32 {
        let is_it = |holder: &&mut Holder| (holder.lock, holder.session) == (lock, session);
        match self.locks.holders.iter_mut().find(is_it) {
            Some(holder) => {
                holder.alone = false;
                GOT
            }
            None => HELD,
        }
    }

    /// What a question about a lock is answered: REQUEST, or REQUEST and CONVERT where the lock is held.
    pub(crate) fn asked_for_lock(&mut self, session: Key, text: &str) -> u32 {
        let number = |name: &str| -> u32 {
            let rest = text
                .split_once(name)
                .unwrap_or_else(|| panic!("not understood: {text}"))
                .1;
            let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
            digits.parse().expect("a number")
        };
        let (lock, mode) = (number("REQUEST(id => "), number("lockmode => "));
        assert!(
            text.contains("timeout => 0, release_on_commit => FALSE") && matches!(mode, 4 | 6),
            "not understood: {text}"
        );
        let answer = self.request(session, lock, mode == 6);
        if answer == HELD && text.contains("DBMS_LOCK.CONVERT") && self.share(session, lock) != GOT {
            return WRONG;
        }
        answer
    }

    /// The next time that the database notices that a client is gone.
    pub(crate) fn next_noticed(&self) -> Option<i64> {
        self.locks.ghosts.iter().map(|(until, _)| *until).min()
    }

    /// Ends the sessions whose clients it has noticed to be gone; all of them if `at_once`.
    pub(crate) fn notice_the_gone(&mut self, at_once: bool) {
        let now = self.now;
        let due: Vec<(i64, Key)> = self
            .locks
            .ghosts
            .extract_if(.., |(until, _)| at_once || *until <= now)
            .collect();
        for (_, session) in due {
            self.log_off(session);
        }
    }
}
