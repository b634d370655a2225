//! A condition after it was checked: SQL's WHERE clause over the columns of a session, with the phrases still to be seen.
//!
//! It means what the same WHERE clause means in Oracle, NULLs included: every term is TRUE, FALSE or UNKNOWN. The phrases
//! (`INACTIVE longer than 4h`) keep their form, because reports and `explain` speak in the user's words; their meaning is
//! the plain condition that [`Phrase::meaning`] gives, and nothing else.

use std::sync::Arc;

use crate::session::column::Column;
use crate::words::words;

/// A condition.
#[derive(Clone, Debug)]
pub enum Condition {
    /// All of them.
    And(Vec<Condition>),
    /// Any of them.
    Or(Vec<Condition>),
    /// Not.
    Not(Box<Condition>),
    /// `left op right`.
    Compare {
        /// Left of the operator.
        left: Operand,
        /// The operator.
        op: Comparison,
        /// Right of it; of the same kind and scale as the left.
        right: Operand,
    },
    /// `operand IN (...)`; a NOT stands around it.
    In {
        /// What is looked for.
        operand: Operand,
        /// Where: never empty, all of the operand's kind. A list holds no NULL.
        values: Arc<[Value]>,
        /// `@name`, if it was a named list.
        list: Option<Arc<str>>,
    },
    /// `operand BETWEEN low AND high`.
    Between {
        /// What is compared.
        operand: Operand,
        /// Included.
        low: Operand,
        /// Included.
        high: Operand,
    },
    /// `operand LIKE pattern`.
    Like {
        /// A text.
        operand: Operand,
        /// `%` and `_`, letter case matters.
        pattern: LikePattern,
    },
    /// `operand MATCHES pattern`, unanchored.
    Matches {
        /// A text.
        operand: Operand,
        /// Compiled once, with a size limit; linear time. Its text is the pattern as written.
        pattern: regex::Regex,
    },
    /// `operand IS NULL`.
    IsNull(Operand),
    /// A phrase.
    Phrase(Phrase),
    /// `@name`: the named condition's name, and what it stands for.
    Named(Arc<str>, Arc<Condition>),
}

/// A comparison's operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// `=`
    Equal,
    /// `!=`, `<>`
    NotEqual,
    /// `<`, `below`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`, `above`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

impl Comparison {
    /// As SQL writes it.
    #[must_use]
    pub const fn sql(self) -> &'static str {
        match self {
            Comparison::Equal => "=",
            Comparison::NotEqual => "!=",
            Comparison::Less => "<",
            Comparison::LessOrEqual => "<=",
            Comparison::Greater => ">",
            Comparison::GreaterOrEqual => ">=",
        }
    }

    /// Whether an ordering satisfies it.
    #[must_use]
    pub const fn holds(self, ordering: std::cmp::Ordering) -> bool {
        match self {
            Comparison::Equal => ordering.is_eq(),
            Comparison::NotEqual => ordering.is_ne(),
            Comparison::Less => ordering.is_lt(),
            Comparison::LessOrEqual => ordering.is_le(),
            Comparison::Greater => ordering.is_gt(),
            Comparison::GreaterOrEqual => ordering.is_ge(),
        }
    }
}

/// What a comparison compares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operand {
    /// A column of the session.
    Column(Column),
    /// A constant.
    Literal(Value),
}

/// A constant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Never empty: in Oracle '' is NULL, and `check` refuses it.
    Text(Arc<str>),
    /// A whole number.
    Number(i64),
    /// Seconds. The evaluator scales it to the column's unit.
    Duration(i64),
    /// Bytes.
    Size(i64),
}

impl Value {
    /// The text, if it is one.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Value::Text(text) => Some(text),
            Value::Number(_) | Value::Duration(_) | Value::Size(_) => None,
        }
    }
}

/// A LIKE pattern, its escapes resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LikePattern {
    /// As written.
    pub text: Arc<str>,
    /// As written.
    pub escape: Option<char>,
    /// What it matches, in order.
    pub parts: Arc<[LikePart]>,
}

impl LikePattern {
    /// Whether a text is LIKE it. Greedy with one point to go back to, so linear in text times pattern at worst.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        let (mut rest, mut part) = (text, 0);
        let mut retry: Option<(&str, usize)> = None;
        loop {
            let advanced = match self.parts.get(part) {
                None if rest.is_empty() => return true,
                None => None,
                Some(LikePart::Any) => {
                    retry = Some((rest, part + 1));
                    part += 1;
                    continue;
                }
                Some(LikePart::One) => rest.chars().next().map(|first| &rest[first.len_utf8()..]),
                Some(LikePart::Text(wanted)) => rest.strip_prefix(&**wanted),
            };
            if let Some(after) = advanced {
                rest = after;
                part += 1;
                continue;
            }
            let Some((from, after_any)) = retry else { return false };
            let Some(skipped) = from.chars().next() else {
                return false;
            };
            rest = &from[skipped.len_utf8()..];
            retry = Some((rest, after_any));
            part = after_any;
        }
    }
}

/// A part of a LIKE pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LikePart {
    /// These characters.
    Text(Box<str>),
    /// `_`: one character.
    One,
    /// `%`: any number of characters.
    Any,
}

/// A phrase that reads as English.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phrase {
    /// `INACTIVE [longer than D]`, `IDLE longer than D`, `RUNNING longer than D`.
    Status {
        /// The status.
        status: SessionStatus,
        /// Seconds.
        longer_than: Option<i64>,
    },
    /// `CONNECTED longer than D`, in seconds.
    Connected {
        /// Seconds.
        longer_than: i64,
    },
    /// `IN TRANSACTION [longer than D]`.
    InTransaction {
        /// Seconds.
        longer_than: Option<i64>,
    },
    /// `BLOCKING [n SESSIONS] [longer than D]`.
    Blocking {
        /// At least so many.
        sessions: Option<i64>,
        /// Seconds that the longest waiter has waited.
        longer_than: Option<i64>,
    },
    /// `BLOCKED [longer than D]`.
    Blocked {
        /// Seconds.
        longer_than: Option<i64>,
    },
    /// `BACKGROUND`.
    Background,
    /// `DEDICATED`, `SHARED`, `POOLED`.
    Server(ServerKind),
}

words! {
    /// V$SESSION.STATUS.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum SessionStatus {
        /// Executing a call.
        Active = "ACTIVE",
        /// No call.
        Inactive = "INACTIVE",
        /// Marked for kill.
        Killed = "KILLED",
        /// Over a profile limit, waiting for its client.
        Sniped = "SNIPED",
        /// Parked for XA.
        Cached = "CACHED",
    }
}

words! {
    /// V$SESSION.SERVER, as far as there is a phrase for it.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum ServerKind {
        /// A dedicated server.
        Dedicated = "DEDICATED",
        /// A shared server serves it now.
        Shared = "SHARED",
        /// A DRCP server serves it now.
        Pooled = "POOLED",
    }
}

impl Phrase {
    /// The plain condition that the phrase stands for.
    #[must_use]
    pub fn meaning(&self) -> Condition {
        let text = |column, value: &str| compare(column, Comparison::Equal, Value::Text(value.into()));
        let longer = |column, seconds: Option<i64>| {
            seconds.map(|seconds| compare(column, Comparison::Greater, Value::Duration(seconds)))
        };
        let both = |first: Condition, second: Option<Condition>| match second {
            None => first,
            Some(second) => Condition::And(vec![first, second]),
        };
        match *self {
            Phrase::Status { status, longer_than } => both(
                text(Column::Status, status.name()),
                longer(Column::LastCallEt, longer_than),
            ),
            Phrase::Connected { longer_than } => {
                compare(Column::Connected, Comparison::Greater, Value::Duration(longer_than))
            }
            Phrase::InTransaction { longer_than } => both(
                Condition::Not(Box::new(Condition::IsNull(Operand::Column(Column::Taddr)))),
                longer(Column::TransactionAge, longer_than),
            ),
            Phrase::Blocking { sessions, longer_than } => both(
                match sessions {
                    Some(sessions) => compare(Column::Blocking, Comparison::GreaterOrEqual, Value::Number(sessions)),
                    None => compare(Column::Blocking, Comparison::Greater, Value::Number(0)),
                },
                longer(Column::BlockingFor, longer_than),
            ),
            Phrase::Blocked { longer_than } => both(
                text(Column::BlockingSessionStatus, "VALID"),
                longer(Column::Waited, longer_than),
            ),
            Phrase::Background => text(Column::Type, "BACKGROUND"),
            Phrase::Server(server) => text(Column::Server, server.name()),
        }
    }
}

fn compare(column: Column, op: Comparison, value: Value) -> Condition {
    Condition::Compare {
        left: Operand::Column(column),
        op,
        right: Operand::Literal(value),
    }
}
