//! Who is at the other end of a control socket, and what they may ask.
//!
//! Root and the daemon's own user may ask anything. Where a service manager made the runtime folder, the socket is open to the
//! group that the daemon runs as, too: its members may pause, resume and ask for the state, and may not have a session ended.
//! Elsewhere the group is whatever the daemon was started with (`users`, say), so the socket is closed to it.
//!
//! The kernel says which user connected. In a user namespace (`PrivateUsers=`) that is exact for root and the daemon's user;
//! everybody else looks alike, so a member's name is the one that they give, and is marked as such.

use std::env;
use std::io;
use std::os::unix::net::UnixStream;

use rustix::net::sockopt::socket_peercred;
use rustix::process::{Uid, geteuid};

use crate::daemon::operator::LONGEST_REASON;

/// The longest name of who asks, in bytes.
const LONGEST_NAME: usize = 64;

/// What a member of the group reads who orders a kill.
pub(crate) const NOT_FOR_MEMBERS: &str =
    "refused: only root and the daemon's own user end sessions by hand; members of its group may pause and resume";

/// Who has connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    /// Root, or the daemon's own user.
    Trusted,
    /// A member of the daemon's group: nobody else can open the socket.
    Member,
}

impl Peer {
    /// The user at the other end when they connected.
    ///
    /// # Errors
    /// When the kernel does not say.
    pub(crate) fn of(stream: &UnixStream) -> io::Result<Peer> {
        Ok(Peer::by(socket_peercred(stream)?.uid, geteuid()))
    }

    fn by(uid: Uid, own: Uid) -> Peer {
        if uid.is_root() || uid == own {
            Peer::Trusted
        } else {
            Peer::Member
        }
    }

    /// The name to keep of whoever says to be called `by`.
    pub(crate) fn name(self, by: &str) -> String {
        let by = cut(by, LONGEST_NAME);
        match self {
            Peer::Trusted => by.to_owned(),
            Peer::Member => format!("{by} (not root)"),
        }
    }
}

/// A reason as it is kept: the switch's file has room for so much.
pub(crate) fn reason(given: &str) -> String {
    cut(given, LONGEST_REASON).to_owned()
}

fn cut(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}

/// The mode of a control socket.
pub(crate) fn socket_mode() -> u32 {
    if env::var_os("RUNTIME_DIRECTORY").is_some_and(|folder| !folder.is_empty()) {
        0o660
    } else {
        0o600
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_root_and_the_own_user_are_trusted() {
        let own = Uid::from_raw(990);
        assert_eq!(Peer::by(Uid::ROOT, own), Peer::Trusted);
        assert_eq!(Peer::by(own, own), Peer::Trusted);
        assert_eq!(Peer::by(Uid::from_raw(1000), own), Peer::Member);
        // What everybody else is in a user namespace.
        assert_eq!(Peer::by(Uid::from_raw(65_534), own), Peer::Member);
    }

    #[test]
    fn what_a_peer_says_has_a_bound_and_a_members_name_a_mark() {
        assert_eq!(Peer::Trusted.name("maria"), "maria");
        assert_eq!(Peer::Member.name("root"), "root (not root)");
        let long = "ä".repeat(4000);
        assert_eq!(Peer::Trusted.name(&long), "ä".repeat(LONGEST_NAME / 2));
        assert_eq!(reason(&long), "ä".repeat(LONGEST_REASON / 2));
    }
}
