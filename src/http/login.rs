//! Who may ask: basic authentication against bcrypt hashes, as in Prometheus' exporters.
//!
//! Comparing a password is slow on purpose, so strangers could keep the host busy with it, and the time it takes could tell which
//! users there are. Therefore:
//!
//! - One password is compared at a time, on a thread of its own. Nothing else waits for it, and no more wait than connections are
//!   open; who has gone is not compared any more.
//! - A log-in that has succeeded is remembered, so that a scrape never waits behind strangers. What is remembered is a digest under
//!   a key of this process.
//! - Every attempt takes the time of the costliest hash: with a cheaper one, and for a user that there is not.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::{fmt, io, thread};

use axum::extract::Request;
use axum::http::header::AUTHORIZATION;
use base64ct::{Base64, Encoding as _};
use rustix::rand::{GetRandomFlags, getrandom};
use sha2::{Digest as _, Sha256};
use tokio::sync::oneshot;
use zeroize::Zeroizing;

use crate::clock::Monotonic;
use crate::config::web::{PasswordHash, Users};

/// How many attempts may wait: no fewer than there are connections.
pub(super) const WAITING: usize = 64;

/// How many log-ins are remembered; each user has one password.
const REMEMBERED: usize = 1_000;

/// Nobody's password: what an unknown user's is compared with has the salt alone.
const SALT: [u8; 16] = *b"no user has this";

/// What a client says of itself.
#[derive(Debug)]
pub(super) enum LoginClaim {
    /// Nothing.
    Nobody,
    /// Something that is no user and password.
    Unreadable,
    /// A user with a password.
    User(Credentials),
}

/// A user with a password, as a client says.
pub(super) struct Credentials {
    user: String,
    password: Zeroizing<Vec<u8>>,
}

/// Shows neither.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(…)")
    }
}

impl LoginClaim {
    /// What the head of a request says.
    pub(super) fn of(request: &Request) -> LoginClaim {
        let mut values = request.headers().get_all(AUTHORIZATION).iter();
        match (values.next(), values.next()) {
            (None, _) => LoginClaim::Nobody,
            (Some(value), None) => LoginClaim::parse(value.as_bytes()).map_or(LoginClaim::Unreadable, LoginClaim::User),
            (Some(_), Some(_)) => LoginClaim::Unreadable,
        }
    }

    /// `Basic` and the Base64 of `USER:PASSWORD` (RFC 7617).
    fn parse(value: &[u8]) -> Option<Credentials> {
        let (scheme, encoded) = std::str::from_utf8(value).ok()?.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let decoded = Zeroizing::new(Base64::decode_vec(encoded.trim()).ok()?);
        let colon = decoded.iter().position(|byte| *byte == b':')?;
        Some(Credentials {
            user: std::str::from_utf8(&decoded[..colon]).ok()?.to_owned(),
            password: Zeroizing::new(decoded[colon + 1..].to_vec()),
        })
    }
}

/// A password to compare, and who waits for the answer.
struct Attempt {
    hash: Option<PasswordHash>,
    /// The cost of the whole attempt.
    cost: u32,
    password: Zeroizing<Vec<u8>>,
    answer: oneshot::Sender<bool>,
}

/// Compares passwords.
pub(super) struct Logins {
    /// Of this process: without it nobody can try passwords on what is remembered.
    key: Zeroizing<[u8; 32]>,
    /// Digests of users, hashes and passwords that belong together, the oldest first.
    remembered: Mutex<VecDeque<[u8; 32]>>,
    queue: SyncSender<Attempt>,
    refusals: Mutex<LoginRefusals>,
}

/// What was refused, for the log.
#[derive(Debug, Default)]
struct LoginRefusals {
    told: Option<Monotonic>,
    untold: u64,
}

/// Strangers write no more than a line a minute into the log.
const TELL_EVERY: Duration = Duration::from_secs(60);

impl Logins {
    /// Starts the thread that compares.
    ///
    /// # Errors
    /// When there can be no further thread, or the system has no random numbers.
    pub(super) fn start() -> io::Result<Logins> {
        let mut key = Zeroizing::new([0; 32]);
        // The kernel's own: the cryptographic library gathers random numbers of its own first, which takes longer than all else at the
        // start. The kernel gives so few bytes at once or none.
        let filled = getrandom(&mut *key, GetRandomFlags::empty())?;
        if filled != key.len() {
            return Err(io::Error::other("the system has no random numbers"));
        }
        let (queue, attempts) = mpsc::sync_channel(WAITING);
        let compare = move || compare_all(&attempts);
        thread::Builder::new().name("http-login".to_owned()).spawn(compare)?;
        Ok(Logins {
            key,
            remembered: Mutex::default(),
            queue,
            refusals: Mutex::default(),
        })
    }

    fn remembered(&self) -> MutexGuard<'_, VecDeque<[u8; 32]>> {
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn digest(&self, user: &str, hash: &PasswordHash, password: &[u8]) -> [u8; 32] {
        let mut digest = Sha256::new();
        digest.update(*self.key);
        for part in [user.as_bytes(), hash.text().as_bytes(), password] {
            digest.update(part.len().to_be_bytes());
            digest.update(part);
        }
        digest.finalize().into()
    }

    /// Logs that a log-in was refused, without what was tried: people type passwords in the place of names.
    pub(super) fn refused(&self, from: SocketAddr, now: Monotonic) {
        let mut refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        refusals.untold += 1;
        if refusals.told.is_none_or(|told| now.since(told) >= TELL_EVERY) {
            let (address, refused) = (from.to_string(), refusals.untold);
            tracing::warn!(
                address,
                refused,
                "log-ins to the pages were refused, the last one from this address"
            );
            *refusals = LoginRefusals {
                told: Some(now),
                untold: 0,
            };
        }
    }

    /// Whether this is one of the users, with the right password. `None` if so many wait that it was not compared.
    pub(super) async fn accepts(&self, users: &Users, claimed: Credentials) -> Option<bool> {
        let Credentials { user, password } = claimed;
        let hash = users.hash(&user);
        let digest = hash.map(|hash| self.digest(&user, hash, &password));
        if digest.is_some_and(|digest| self.remembered().contains(&digest)) {
            return Some(true);
        }
        let (answer, answered) = oneshot::channel();
        let attempt = Attempt {
            hash: hash.cloned(),
            cost: users.highest_cost(),
            password,
            answer,
        };
        self.queue.try_send(attempt).ok()?;
        let accepted = answered.await.ok()?;
        if let Some(digest) = digest.filter(|_| accepted) {
            let mut remembered = self.remembered();
            if remembered.len() >= REMEMBERED {
                remembered.pop_front();
            }
            remembered.push_back(digest);
        }
        Some(accepted)
    }
}

/// Until nobody can ask any more.
fn compare_all(attempts: &Receiver<Attempt>) {
    for attempt in attempts {
        if !attempt.answer.is_closed() {
            let accepted = compare(attempt.hash.as_ref(), attempt.cost, &attempt.password);
            let _ = attempt.answer.send(accepted);
        }
    }
}

/// Compares in the time that a hash of this cost takes, whatever the user's own costs, and whether there is one.
fn compare(hash: Option<&PasswordHash>, cost: u32, password: &[u8]) -> bool {
    let spend = |cost: u32| std::hint::black_box(bcrypt::hash_with_salt(password, cost, SALT)).is_ok();
    let Some(hash) = hash else {
        spend(cost);
        return false;
    };
    let accepted = bcrypt::verify(password, hash.text()).unwrap_or(false);
    // 2^own + 2^own + 2^(own + 1) + ... + 2^(cost - 1) = 2^cost
    (hash.cost()..cost).for_each(|cost| {
        spend(cost);
    });
    accepted
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of `correct horse`, at the lowest cost.
    fn hash() -> PasswordHash {
        let text = bcrypt::hash("correct horse", 4).expect("a hash");
        PasswordHash::parse(&text).expect("is one")
    }

    #[test]
    fn user_and_password_are_read_and_nothing_else_is() {
        let read = |value: &str| {
            let claimed = LoginClaim::parse(value.as_bytes())?;
            Some((
                claimed.user,
                String::from_utf8(claimed.password.to_vec()).expect("a text"),
            ))
        };
        let pair = |user: &str, password: &str| Some((user.to_owned(), password.to_owned()));
        assert_eq!(read("Basic bWFyaWE6dGlnZXI="), pair("maria", "tiger"));
        assert_eq!(read("basic bWFyaWE6dGk6Z2Vy"), pair("maria", "ti:ger"));
        assert_eq!(read("BASIC Og=="), pair("", ""));
        for value in [
            "",
            "Basic",
            "Basic bWFyaWE=",
            "Bearer bWFyaWE6dGlnZXI=",
            "Basic !!!",
            "Basic bWFyaWE6dGlnZXI",
        ] {
            assert_eq!(read(value), None, "{value}");
        }
    }

    #[test]
    fn only_the_right_password_is_accepted_at_any_cost() {
        let hash = hash();
        for cost in [4, 6] {
            assert!(compare(Some(&hash), cost, b"correct horse"));
            assert!(!compare(Some(&hash), cost, b"correct horsf"));
            assert!(!compare(Some(&hash), cost, b""));
            assert!(!compare(None, cost, b"correct horse"));
        }
    }

    #[test]
    fn neither_passwords_nor_hashes_are_shown() {
        let claimed = LoginClaim::parse(b"Basic bWFyaWE6dGlnZXI=").expect("a user");
        let shown = format!("{:?} {:?}", LoginClaim::User(claimed), hash());
        assert_eq!(shown, "User(Credentials(…)) PasswordHash(cost 4)");
    }
}
