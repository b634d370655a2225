//! One session: its identity, its state at a given moment, and the state of a kill.
//!
//! The state of a scripted session is a function of the time and its seed, computed on access: fifty thousand sessions that
//! change between ACTIVE and INACTIVE cost nothing between two queries.

use std::sync::Arc;

use md5::{Digest, Md5};

use crate::backend::Hangup;
use crate::clock::Moment;
use crate::scenario::{Parked, Server, TransactionStatus, Wait};

/// INST_ID and SID: a seat, which one session after the other may hold.
pub(crate) type Seat = (u32, u32);

/// V$SESSION.TYPE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    User,
    Background,
}

/// What the client says of itself, and what the login made of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Who {
    pub(crate) username: Option<Arc<str>>,
    pub(crate) schema: Arc<str>,
    pub(crate) osuser: Option<Arc<str>>,
    pub(crate) machine: Option<Arc<str>>,
    pub(crate) terminal: Option<Arc<str>>,
    pub(crate) program: Option<Arc<str>>,
    pub(crate) process: Option<Arc<str>>,
    pub(crate) module: Option<Arc<str>>,
    pub(crate) action: Option<Arc<str>>,
    pub(crate) client_info: Option<Arc<str>>,
    pub(crate) client_identifier: Option<Arc<str>>,
    pub(crate) service: Arc<str>,
    pub(crate) port: u16,
    pub(crate) tls: bool,
}

/// What a session does, as a function of time.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Activity {
    /// No call since then.
    Idle { since: Moment },
    /// One call since then.
    Busy { since: Moment },
    /// Calls and rests in turn: each `period` begins with a call.
    Cycle {
        anchor: Moment,
        period: i64,
        busy: (i64, i64),
        salt: u64,
    },
}

/// What it does now, and since when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Phase {
    pub(crate) busy: bool,
    pub(crate) since: Moment,
    /// Calls made so far, for SEQ# and FIXED_TABLE_SEQUENCE.
    pub(crate) calls: i64,
}

/// A well-mixed number from two others (splitmix64's finisher).
pub(crate) fn mix(a: u64, b: u64) -> u64 {
    let mut x = a ^ b.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// Oracle's base 32.
const DIGITS: &[u8; 32] = b"0123456789abcdfghjkmnpqrstuvwxyz";

/// An SQL_ID made from a number.
pub(crate) fn sql_id(mut number: u64) -> Arc<str> {
    let mut text = [0_u8; 13];
    for place in text.iter_mut().rev() {
        *place = DIGITS[(number & 31) as usize];
        number >>= 5;
    }
    text.iter().map(|digit| char::from(*digit)).collect::<String>().into()
}

/// The SQL_ID of a statement's text: the last eight bytes of the MD5 of the text and a NUL, as two words.
pub(crate) fn sql_id_of(statement: &str) -> Arc<str> {
    let digest = Md5::new().chain_update(statement).chain_update([0]).finalize();
    let word = |at: usize| {
        (at..at + 4)
            .rev()
            .fold(0_u64, |word, at| word << 8 | u64::from(digest[at]))
    };
    sql_id(word(8) << 32 | word(12))
}

/// SQL_HASH_VALUE: the low half of the number that an SQL_ID is.
pub(crate) fn sql_hash(id: &str) -> i64 {
    let digit = |c: u8| DIGITS.iter().position(|digit| *digit == c).unwrap_or(0) as u64;
    let number = id.bytes().fold(0_u64, |number, c| number << 5 | digit(c));
    i64::from(number as u32)
}

impl Activity {
    pub(crate) fn at(self, now: Moment) -> Phase {
        match self {
            Self::Idle { since } => Phase {
                busy: false,
                since,
                calls: 1,
            },
            Self::Busy { since } => Phase {
                busy: true,
                since,
                calls: 1,
            },
            Self::Cycle {
                anchor,
                period,
                busy: (low, high),
                salt,
            } => {
                let turn = (now - anchor).div_euclid(period);
                let start = anchor + turn * period;
                let spread = u64::try_from(high - low).unwrap_or(0) + 1;
                let drawn = mix(salt, turn as u64) % spread;
                let length = low + i64::try_from(drawn).unwrap_or(0);
                let length = length.min(period - 1).max(1);
                let busy = now - start < length;
                Phase {
                    busy,
                    since: if busy { start } else { start + length },
                    calls: turn.abs() + 1,
                }
            }
        }
    }
}

/// An open transaction.
#[derive(Clone, Debug)]
pub(crate) struct Txn {
    pub(crate) start: Moment,
    pub(crate) undo_records: i64,
    pub(crate) undo_blocks: i64,
    pub(crate) usn: u32,
    pub(crate) slot: u32,
    pub(crate) sequence: u32,
    /// XIDUSN, XIDSLOT and XIDSQN of the coordinator's transaction, for that of a PX server.
    pub(crate) parent: Option<(u32, u32, u32)>,
    pub(crate) status: TransactionStatus,
    /// Rolling back since then, so many records a second.
    pub(crate) rollback: Option<(Moment, u32)>,
}

impl Txn {
    /// USED_UREC.
    pub(crate) fn records(&self, now: Moment) -> i64 {
        match self.rollback {
            Some((since, rate)) if now > since => {
                (self.undo_records - (now - since).saturating_mul(i64::from(rate)) / 1000).max(0)
            }
            Some(_) | None => self.undo_records,
        }
    }

    /// USED_UBLK.
    pub(crate) fn blocks(&self, now: Moment) -> i64 {
        if self.undo_records == 0 {
            return self.undo_blocks;
        }
        (self.undo_blocks * self.records(now))
            .div_euclid(self.undo_records)
            .max(1)
    }

    /// Its address, which V$SESSION.TADDR names.
    pub(crate) fn address(&self, instance: u32) -> u64 {
        0x0000_0001_6000_0000
            | u64::from(instance) << 36
            | u64::from(self.usn & 0xff) << 20
            | u64::from(self.slot & 0xfff) << 8
    }
}

/// What the client of a killed session is told at its next call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// ORA-00028.
    Killed,
    /// ORA-00045.
    NoReplay,
    /// Nothing: the connection is cut.
    Cut,
    /// The error of this number.
    Number(u32),
}

/// A session that is to end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark {
    pub(crate) since: Moment,
    pub(crate) told: Told,
    /// When its locks are gone: `Moment::MAX` while nobody knows.
    pub(crate) released: Moment,
    /// It was idle when it was marked: its process is detached.
    pub(crate) detached: bool,
    /// When the session itself can notice it.
    pub(crate) noticed: Moment,
    /// The row stays although the client has been told.
    pub(crate) stays: bool,
}

impl Mark {
    /// One that is noticed at once, of a session that holds nothing.
    pub(crate) fn new(now: Moment, told: Told) -> Mark {
        Mark {
            since: now,
            told,
            released: now,
            detached: false,
            noticed: now,
            stays: false,
        }
    }
}

/// The connection of a real client.
pub(crate) struct Link {
    pub(crate) hangup: Hangup,
    /// A break came for the running call.
    pub(crate) broken: bool,
    /// The running call cannot be interrupted.
    pub(crate) deaf: bool,
    /// To end with its transaction.
    pub(crate) post_transaction: bool,
    /// To end as soon as the call that committed has been answered.
    pub(crate) doomed: bool,
}

/// Its part in a parallel query.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parallel {
    pub(crate) coordinator: Seat,
    pub(crate) coordinator_serial: u32,
    /// Number in the set, 0 for the coordinator.
    pub(crate) number: u32,
    pub(crate) degree: u32,
}

/// A session.
pub(crate) struct Sess {
    pub(crate) serial: u32,
    pub(crate) audsid: u32,
    pub(crate) pid: u32,
    pub(crate) spid: u32,
    pub(crate) kind: Kind,
    /// PNAME of a server process.
    pub(crate) pname: Option<Arc<str>>,
    pub(crate) who: Who,
    pub(crate) user_number: u32,
    pub(crate) con_id: u32,
    pub(crate) server: Server,
    pub(crate) logon: Moment,
    pub(crate) activity: Activity,
    pub(crate) parked: Option<Parked>,
    pub(crate) sql: Option<Arc<str>>,
    pub(crate) previous_sql: Option<Arc<str>>,
    pub(crate) command: u32,
    pub(crate) wait: Option<Arc<Wait>>,
    pub(crate) txn: Option<Txn>,
    /// The transaction that an autonomous one hides.
    pub(crate) suspended: Option<Txn>,
    pub(crate) blocked: Option<(Seat, Moment)>,
    pub(crate) parallel: Option<Parallel>,
    pub(crate) pga: i64,
    pub(crate) temp: i64,
    pub(crate) mark: Option<Mark>,
    pub(crate) link: Option<Link>,
    /// Its group in the scenario, and its number there.
    pub(crate) origin: Option<(usize, u32)>,
}

impl Sess {
    /// What it does now: a session that waits for another's lock does so since it waits.
    pub(crate) fn phase(&self, now: Moment) -> Phase {
        match self.blocked {
            Some((_, since)) => Phase {
                busy: true,
                since,
                calls: self.activity.at(now).calls,
            },
            None => self.activity.at(now),
        }
    }

    /// V$SESSION.STATUS.
    pub(crate) fn status(&self, phase: Phase) -> &'static str {
        if self.mark.is_some() {
            "KILLED"
        } else if self.kind == Kind::Background || phase.busy {
            "ACTIVE"
        } else {
            match self.parked {
                Some(Parked::Sniped) => "SNIPED",
                Some(Parked::Cached) => "CACHED",
                None => "INACTIVE",
            }
        }
    }

    /// V$SESSION.SERVER.
    pub(crate) fn server_name(&self) -> &'static str {
        match (self.mark, self.server) {
            (Some(Mark { detached: true, .. }), _) => "PSEUDO",
            (_, Server::Dedicated) => "DEDICATED",
            (_, Server::Shared) => "SHARED",
            (_, Server::Pooled) => "POOLED",
            (_, Server::None) => "NONE",
        }
    }

    /// Its transactions, the current one first.
    pub(crate) fn transactions(&self) -> impl Iterator<Item = &Txn> {
        self.txn.iter().chain(&self.suspended)
    }

    /// V$SESSION.SADDR.
    pub(crate) fn saddr(seat: Seat) -> u64 {
        0x0000_0001_8000_0000 | u64::from(seat.0) << 36 | u64::from(seat.1) << 13
    }

    /// V$SESSION.PADDR and V$PROCESS.ADDR.
    pub(crate) fn paddr(&self, seat: Seat) -> u64 {
        0x0000_0001_4000_0000 | u64::from(seat.0) << 36 | u64::from(self.pid) << 12
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cycle_begins_each_turn_with_a_call_and_rests_for_what_is_left() {
        let cycle = Activity::Cycle {
            anchor: 1_000,
            period: 100,
            busy: (30, 30),
            salt: 7,
        };
        assert_eq!(
            cycle.at(1_000),
            Phase {
                busy: true,
                since: 1_000,
                calls: 1
            }
        );
        assert_eq!(
            cycle.at(1_029),
            Phase {
                busy: true,
                since: 1_000,
                calls: 1
            }
        );
        assert_eq!(
            cycle.at(1_030),
            Phase {
                busy: false,
                since: 1_030,
                calls: 1
            }
        );
        assert_eq!(
            cycle.at(1_199),
            Phase {
                busy: false,
                since: 1_130,
                calls: 2
            }
        );
    }

    #[test]
    fn an_sql_id_is_made_as_oracle_makes_it() {
        assert_eq!(sql_id_of("select * from dual").as_ref(), "a5ks9fhw2v9s1");
        // V$SQL.HASH_VALUE of that statement.
        assert_eq!(sql_hash("a5ks9fhw2v9s1"), 942_515_969);
    }

    #[test]
    fn undo_falls_while_a_transaction_rolls_back() {
        let txn = Txn {
            start: 0,
            undo_records: 1_000,
            undo_blocks: 25,
            usn: 1,
            slot: 1,
            sequence: 1,
            parent: None,
            status: TransactionStatus::Active,
            rollback: Some((10_000, 100)),
        };
        assert_eq!(
            [9_000, 10_000, 15_000, 20_000, 30_000].map(|now| txn.records(now)),
            [1000, 1000, 500, 0, 0]
        );
    }
}
