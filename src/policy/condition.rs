//! A checked condition: a SQL WHERE clause over the columns of a session, in which phrases are kept as phrases.
//!
//! It means what the same WHERE clause means in Oracle, NULLs included: every term is TRUE, FALSE or UNKNOWN. Phrases
//! (`INACTIVE longer than 4h`) keep their form because reports and `explain` show the condition as the user wrote it. A
//! phrase means exactly the plain condition that [`Phrase::meaning`] returns.

use std::sync::Arc;

use crate::session::column::Column;
use crate::words::words;

/// A condition.
#[derive(Clone, Debug)]
pub enum Condition {
    /// All of these.
    And(Vec<Condition>),
    /// Any of these.
    Or(Vec<Condition>),
    /// The negation.
    Not(Box<Condition>),
    /// `left op right`.
    Compare {
        /// Left of the operator.
        left: Operand,
        /// The operator.
        op: Comparison,
        /// Right of the operator; of the same kind and scale as the left.
        right: Operand,
    },
    /// `operand IN (...)`. NOT IN is this inside a [`Condition::Not`].
    In {
        /// The value to look for.
        operand: Operand,
        /// The values to compare it with: at least one, all of the operand's kind, none of them NULL.
        values: Arc<[Constant]>,
        /// The name, if the values are a named list (`@name`).
        list: Option<Arc<str>>,
    },
    /// `operand BETWEEN low AND high`.
    Between {
        /// The value to compare.
        operand: Operand,
        /// The lower bound, included.
        low: Operand,
        /// The upper bound, included.
        high: Operand,
    },
    /// `operand LIKE pattern`.
    Like {
        /// A text column.
        operand: Operand,
        /// Case-sensitive.
        pattern: LikePattern,
    },
    /// `operand MATCHES pattern`: true if the pattern matches anywhere in the text.
    Matches {
        /// A text column.
        operand: Operand,
        /// Compiled once, with a size limit; matches in linear time. `as_str` is the pattern as written.
        pattern: regex::Regex,
    },
    /// `operand IS NULL`.
    IsNull(Operand),
    /// A phrase.
    Phrase(Phrase),
    /// `@name`: the name and the condition that it stands for.
    Named(Arc<str>, Arc<Condition>),
}

impl Condition {
    /// Whether both are one term, so that they mean the same for every session. AND, OR, NOT, phrases and names are no terms.
    #[must_use]
    pub(crate) fn is_same_term(&self, other: &Condition) -> bool {
        use Condition::{Between, Compare, In, IsNull, Like, Matches};
        match (self, other) {
            (
                Compare { left, op, right },
                Compare {
                    left: l,
                    op: o,
                    right: r,
                },
            ) => (left, op, right) == (l, o, r),
            (
                In { operand, values, .. },
                In {
                    operand: o, values: v, ..
                },
            ) => (operand, values) == (o, v),
            (
                Between { operand, low, high },
                Between {
                    operand: o,
                    low: l,
                    high: h,
                },
            ) => (operand, low, high) == (o, l, h),
            (Like { operand, pattern }, Like { operand: o, pattern: p }) => (operand, pattern) == (o, p),
            (Matches { operand, pattern }, Matches { operand: o, pattern: p }) => {
                operand == o && pattern.as_str() == p.as_str()
            }
            (IsNull(operand), IsNull(o)) => operand == o,
            _ => false,
        }
    }
}

/// The operator of a comparison.
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
    /// The operator in SQL.
    #[must_use]
    pub(crate) const fn sql(self) -> &'static str {
        match self {
            Comparison::Equal => "=",
            Comparison::NotEqual => "!=",
            Comparison::Less => "<",
            Comparison::LessOrEqual => "<=",
            Comparison::Greater => ">",
            Comparison::GreaterOrEqual => ">=",
        }
    }

    /// The operator with its sides exchanged.
    #[must_use]
    pub(crate) const fn mirrored(self) -> Comparison {
        match self {
            Comparison::Less => Comparison::Greater,
            Comparison::LessOrEqual => Comparison::GreaterOrEqual,
            Comparison::Greater => Comparison::Less,
            Comparison::GreaterOrEqual => Comparison::LessOrEqual,
            Comparison::Equal | Comparison::NotEqual => self,
        }
    }

    /// The operator that holds where this one does not.
    #[must_use]
    pub(crate) const fn opposite(self) -> Comparison {
        match self {
            Comparison::Equal => Comparison::NotEqual,
            Comparison::NotEqual => Comparison::Equal,
            Comparison::Less => Comparison::GreaterOrEqual,
            Comparison::LessOrEqual => Comparison::Greater,
            Comparison::Greater => Comparison::LessOrEqual,
            Comparison::GreaterOrEqual => Comparison::Less,
        }
    }

    /// Whether two values in this order satisfy the operator.
    #[must_use]
    pub(crate) const fn holds(self, ordering: std::cmp::Ordering) -> bool {
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

/// A side of a comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operand {
    /// A column of the session.
    Column(Column),
    /// A constant.
    Literal(Constant),
}

/// A constant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Constant {
    /// Never empty: in Oracle, '' is NULL, so `resolve` refuses it.
    Text(Arc<str>),
    /// A whole number.
    Number(i64),
    /// In seconds. The evaluator scales it to the column's unit.
    Duration(i64),
    /// In bytes.
    Size(i64),
}

impl Constant {
    /// The text of a text constant.
    #[must_use]
    pub(crate) fn as_text(&self) -> Option<&str> {
        match self {
            Constant::Text(text) => Some(text),
            Constant::Number(_) | Constant::Duration(_) | Constant::Size(_) => None,
        }
    }
}

/// A LIKE pattern with its escapes resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LikePattern {
    /// The pattern as written.
    pub(crate) text: Arc<str>,
    /// The escape character as written.
    pub(crate) escape: Option<char>,
    /// The parts of the pattern, in order.
    pub(crate) parts: Arc<[LikePart]>,
}

impl LikePattern {
    /// A pattern; `None` where Oracle would raise ORA-01424.
    pub(crate) fn new(text: Arc<str>, escape: Option<char>) -> Option<LikePattern> {
        let parts = like_parts(&text, escape)?.into();
        Some(LikePattern { text, escape, parts })
    }

    /// Whether a text matches. Only the last `%` is ever retried, so the worst case is length of text × length of pattern.
    #[must_use]
    pub(crate) fn matches(&self, text: &str) -> bool {
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

/// The parts of a pattern, in order; `None` where Oracle would raise ORA-01424.
fn like_parts(text: &str, escape: Option<char>) -> Option<Vec<LikePart>> {
    let mut parts = Vec::new();
    let mut literal = String::new();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        let special = if Some(character) == escape {
            let escaped = characters.next()?;
            if escaped != '%' && escaped != '_' && Some(escaped) != escape {
                return None;
            }
            literal.push(escaped);
            continue;
        } else {
            match character {
                '%' => LikePart::Any,
                '_' => LikePart::One,
                other => {
                    literal.push(other);
                    continue;
                }
            }
        };
        if !literal.is_empty() {
            parts.push(LikePart::Text(std::mem::take(&mut literal).into()));
        }
        // `%%` matches what `%` matches.
        if special != LikePart::Any || parts.last() != Some(&LikePart::Any) {
            parts.push(special);
        }
    }
    if !literal.is_empty() {
        parts.push(LikePart::Text(literal.into()));
    }
    Some(parts)
}

/// A part of a LIKE pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LikePart {
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
        /// In seconds.
        longer_than: Option<i64>,
    },
    /// `CONNECTED longer than D`.
    Connected {
        /// In seconds.
        longer_than: i64,
    },
    /// `IN TRANSACTION [longer than D]`.
    InTransaction {
        /// In seconds.
        longer_than: Option<i64>,
    },
    /// `BLOCKING [n SESSIONS] [longer than D]`.
    Blocking {
        /// The least number of sessions that it blocks.
        sessions: Option<i64>,
        /// How long the longest waiter has waited, in seconds.
        longer_than: Option<i64>,
    },
    /// `BLOCKED [longer than D]`.
    Blocked {
        /// In seconds.
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
        /// In a call.
        Active = "ACTIVE",
        /// Not in a call.
        Inactive = "INACTIVE",
        /// Marked for kill.
        Killed = "KILLED",
        /// Inactive for longer than a profile allows; it cannot become active again.
        Sniped = "SNIPED",
        /// Cached temporarily for use by Oracle*XA.
        Cached = "CACHED",
    }
}

words! {
    /// The values of V$SESSION.SERVER that have a phrase.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum ServerKind {
        /// A dedicated server.
        Dedicated = "DEDICATED",
        /// A shared server is serving the session now.
        Shared = "SHARED",
        /// A pooled server (DRCP) is serving the session now.
        Pooled = "POOLED",
    }
}

impl Phrase {
    /// The plain condition that the phrase stands for.
    #[must_use]
    pub(crate) fn meaning(&self) -> Condition {
        let text = |column, value: &str| compare(column, Comparison::Equal, Constant::Text(value.into()));
        let longer = |column, seconds: Option<i64>| {
            seconds.map(|seconds| compare(column, Comparison::Greater, Constant::Duration(seconds)))
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
                compare(Column::Connected, Comparison::Greater, Constant::Duration(longer_than))
            }
            Phrase::InTransaction { longer_than } => both(
                Condition::Not(Box::new(Condition::IsNull(Operand::Column(Column::Taddr)))),
                longer(Column::TransactionAge, longer_than),
            ),
            Phrase::Blocking { sessions, longer_than } => both(
                match sessions {
                    Some(sessions) => compare(Column::Blocking, Comparison::GreaterOrEqual, Constant::Number(sessions)),
                    None => compare(Column::Blocking, Comparison::Greater, Constant::Number(0)),
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

fn compare(column: Column, op: Comparison, value: Constant) -> Condition {
    Condition::Compare {
        left: Operand::Column(column),
        op,
        right: Operand::Literal(value),
    }
}
