//! Aliases of the views in a query: `s.status` is the session's, `t.status` that of its transaction.
//!
//! A condition knows the session alone, so its alias can be left out. Another view's cannot: V$TRANSACTION has a STATUS too. The
//! FROM of the query is not there, so an alias is judged by what it is usually called and by the columns that follow it.

use std::collections::BTreeMap;
use std::ops::Range;

use super::{Sql, SqlKind};
use crate::policy::lex::{Mistake, Token};
use crate::session::column::Column;

/// A view that is often joined to V$SESSION.
#[derive(Debug)]
struct JoinedView {
    name: &'static str,
    /// What it is usually called.
    aliases: &'static [&'static str],
    /// The columns that V$SESSION has too, and that mean the same there.
    same: &'static [&'static str],
    /// The columns that mean something else than those of the session, and what to write.
    other: &'static [(&'static str, &'static str)],
}

const NO_OBJECTS: &str =
    "objects are not available; `row_wait_obj#` is the number of the one that the session waits for";
const NO_STATEMENTS: &str = "what V$SQL says of a statement is not available; `sql_id` is a column of the session";
const NO_LOCKS: &str = "locks are not available; `blocking` says whether others wait for the session, `blocked` whether it waits for \
                        another one";
const DATABASES: &str = "the key `databases: [...]` of the policy selects the databases";
const STATISTICS: &str = "`cpu`, `logical_reads`, `physical_reads` and `redo` are columns of the session";
const HAS_TRANSACTION: &str = "`in transaction` and `not in transaction` say whether the session has a transaction";
const PROCESSES: &str = "what V$PROCESS says of a server process is not available, but for `spid`, `pname` and `pga`";

const VIEWS: [JoinedView; 14] = [
    JoinedView {
        name: "V$TRANSACTION",
        aliases: &["t", "tr", "tx", "trx", "trn", "tran", "trans", "vt", "txn"],
        same: &["con_id", "inst_id"],
        other: &[
            ("status", "write `transaction_status`"),
            ("addr", HAS_TRANSACTION),
            ("ses_addr", HAS_TRANSACTION),
            ("xidusn", HAS_TRANSACTION),
        ],
    },
    JoinedView {
        name: "V$PROCESS",
        aliases: &["p", "pr", "prc", "proc", "vp"],
        same: &["con_id", "inst_id", "spid", "pname"],
        other: &[
            ("username", PROCESSES),
            ("program", PROCESSES),
            ("serial#", PROCESSES),
            ("terminal", PROCESSES),
            (
                "background",
                "`background` and `not background` say whether the session is one of a background process",
            ),
        ],
    },
    JoinedView {
        name: "V$CONTAINERS",
        aliases: &["c", "con", "pdb", "pdbs", "cdb", "vc", "vp$", "containers"],
        same: &["con_id", "inst_id"],
        other: &[("name", "write `container`"), ("pdb_name", "write `container`")],
    },
    JoinedView {
        name: "V$LOCK",
        aliases: &["l", "lk", "lck", "l1", "l2", "lock", "locks", "vl"],
        same: &["sid", "con_id", "inst_id"],
        other: &[("type", NO_LOCKS), ("id1", NO_LOCKS), ("id2", NO_LOCKS)],
    },
    JoinedView {
        name: "V$INSTANCE",
        aliases: &["i", "ins", "inst", "vi"],
        same: &["inst_id", "con_id"],
        other: &[
            ("status", DATABASES),
            ("host_name", DATABASES),
            ("instance_name", "`inst_id` is a column: the number of the instance"),
        ],
    },
    JoinedView {
        name: "V$DATABASE",
        aliases: &["d", "db", "vd"],
        same: &["inst_id", "con_id"],
        other: &[
            ("name", DATABASES),
            ("open_mode", DATABASES),
            ("database_role", DATABASES),
        ],
    },
    JoinedView {
        name: "V$SQL",
        aliases: &["q", "sq", "sql", "sqa", "sqla", "sa", "vsql"],
        same: &["sql_id", "con_id", "inst_id"],
        other: &[("module", NO_STATEMENTS), ("action", NO_STATEMENTS)],
    },
    JoinedView {
        name: "DBA_USERS",
        aliases: &["u", "du", "usr", "us"],
        same: &["username", "profile", "account_status", "oracle_maintained", "con_id"],
        other: &[],
    },
    JoinedView {
        name: "V$SESSION_WAIT",
        aliases: &["w", "sw", "vw"],
        same: &[
            "sid",
            "event",
            "wait_class",
            "state",
            "seconds_in_wait",
            "wait_time",
            "wait_time_micro",
            "con_id",
            "inst_id",
        ],
        other: &[],
    },
    JoinedView {
        name: "V$SESSION_LONGOPS",
        aliases: &["lo", "sl", "slo", "lops"],
        same: &[
            "sid",
            "serial#",
            "username",
            "sql_id",
            "sql_exec_start",
            "con_id",
            "inst_id",
        ],
        other: &[],
    },
    JoinedView {
        name: "V$SESSTAT",
        aliases: &["st", "ss", "stat", "sst"],
        same: &["sid", "con_id", "inst_id"],
        other: &[("value", STATISTICS)],
    },
    JoinedView {
        name: "V$STATNAME",
        aliases: &["n", "sn"],
        same: &["con_id", "inst_id"],
        other: &[("name", STATISTICS)],
    },
    JoinedView {
        name: "V$TEMPSEG_USAGE",
        aliases: &["su", "tu", "tsu", "tmp"],
        same: &["username", "con_id", "inst_id"],
        other: &[],
    },
    JoinedView {
        name: "DBA_OBJECTS",
        aliases: &["o", "obj", "do"],
        same: &["con_id"],
        other: &[("status", NO_OBJECTS)],
    },
];

/// What an alias stands for.
#[derive(Clone, Copy, Debug)]
enum AliasOf {
    Session,
    View(&'static JoinedView),
    /// Not known, while another alias is the session's.
    Unknown,
}

/// The aliases of a condition.
#[derive(Debug, Default)]
pub(crate) struct Aliases {
    of: BTreeMap<String, AliasOf>,
}

/// A column with its alias, as the parser finds it: the alias, the name, the place of both.
pub(crate) type Prefixed<'a> = (&'a str, &'a str, Range<usize>);

impl Aliases {
    pub(crate) fn read(tokens: &[(Token, Range<usize>)]) -> Aliases {
        let mut names: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut order: Vec<String> = Vec::new();
        for (token, _) in tokens {
            if let Token::Qualified(prefix, name) = token {
                let prefix = prefix.to_lowercase();
                if !order.contains(&prefix) {
                    order.push(prefix.clone());
                }
                names.entry(prefix).or_default().push(name.to_lowercase());
            }
        }
        let mut of: BTreeMap<String, AliasOf> = names
            .iter()
            .filter_map(|(prefix, names)| Some((prefix.clone(), known(prefix, names)?)))
            .collect();
        let candidates: Vec<&String> = order.iter().filter(|prefix| !of.contains_key(*prefix)).collect();
        let has_session = of.values().any(|one| matches!(one, AliasOf::Session));
        let session = candidates
            .iter()
            .find(|prefix| prefix.starts_with('s'))
            .or(candidates.first())
            .filter(|_| !has_session)
            .map(|prefix| (*prefix).clone());
        let candidates: Vec<String> = candidates.into_iter().cloned().collect();
        for prefix in candidates {
            let is_session = session.as_ref() == Some(&prefix);
            of.insert(prefix, if is_session { AliasOf::Session } else { AliasOf::Unknown });
        }
        Aliases { of }
    }

    fn alias(&self, prefix: &str) -> AliasOf {
        let found = self.of.get(&prefix.to_lowercase());
        found.copied().unwrap_or(AliasOf::Session)
    }

    pub(crate) fn is_session(&self, prefix: &str) -> bool {
        matches!(self.alias(prefix), AliasOf::Session)
    }

    /// Whether the alias is that of V$LOCK.
    pub(crate) fn is_of_locks(&self, prefix: &str) -> bool {
        matches!(self.alias(prefix), AliasOf::View(view) if view.name == "V$LOCK")
    }

    fn is_of_accounts(&self, prefix: &str) -> bool {
        matches!(self.alias(prefix), AliasOf::View(view) if view.name == "DBA_USERS")
    }

    /// The mistake for a column that is not the session's although the session has one of this name.
    pub(crate) fn of_another(&self, (prefix, name, at): &Prefixed<'_>) -> Option<Mistake> {
        let lower = name.to_lowercase();
        let (message, hint) = match self.alias(prefix) {
            AliasOf::Session => return None,
            AliasOf::View(view) => {
                let (_, hint) = view.other.iter().find(|(other, _)| *other == lower)?;
                let own = Column::named(&lower).filter(|_| self.of.len() == 1);
                let hint = match own {
                    Some(own) => format!(
                        "if `{prefix}` is V$SESSION, write `{}`; if it is {}, {hint}",
                        own.name(),
                        view.name
                    ),
                    None => (*hint).to_owned(),
                };
                (
                    format!("`{prefix}.{name}` is a column of {}, and not of the session", view.name),
                    hint,
                )
            }
            AliasOf::Unknown => {
                Column::named(&lower)?;
                (
                    format!("`{prefix}.{name}` is not a column of the session whose alias is `{}.`", self.session()),
                    "a condition knows the session alone; `blocking` says whether others wait for it, `blocked` whether it waits for \
                     another one"
                        .to_owned(),
                )
            }
        };
        Some(Mistake::new(at.clone(), "table-alias", message).hint(hint))
    }

    /// What to write instead of `t.addr is null`, which after an outer join is true of a session without a transaction.
    pub(crate) fn without_a_row(&self, left: &Sql, is_null: bool) -> Option<Mistake> {
        let SqlKind::Qualified { prefix, name } = &left.kind else {
            return None;
        };
        let AliasOf::View(view) = self.alias(prefix) else {
            return None;
        };
        let never_null = [
            "addr",
            "ses_addr",
            "xidusn",
            "xidslot",
            "xidsqn",
            "status",
            "start_date",
            "start_time",
        ];
        if view.name != "V$TRANSACTION" || !never_null.contains(&name.to_lowercase().as_str()) {
            return None;
        }
        let hint = if is_null {
            "write `not in transaction`"
        } else {
            "write `in transaction`"
        };
        let message = format!("`{prefix}.{name}` is a column of {}, and not of the session", view.name);
        Some(Mistake::new(left.at.clone(), "table-alias", message).hint(hint))
    }

    fn session(&self) -> &str {
        let found = self.of.iter().find(|(_, of)| matches!(of, AliasOf::Session));
        found.map_or("s", |(prefix, _)| prefix)
    }
}

/// What the alias is known to stand for, by its name and by the columns after it.
fn known(prefix: &str, names: &[String]) -> Option<AliasOf> {
    let bare = prefix.replace("gv$", "v$").replace("v_$", "v$");
    if bare == "v$session" {
        return Some(AliasOf::Session);
    }
    let bare = if bare == "v$pdbs" { "v$containers" } else { &bare };
    if let Some(view) = VIEWS.iter().find(|view| view.name.eq_ignore_ascii_case(bare)) {
        return Some(AliasOf::View(view));
    }
    let view = VIEWS.iter().find(|view| view.aliases.contains(&prefix))?;
    let has = |name: &String| {
        view.same.contains(&name.as_str())
            || view.other.iter().any(|(other, _)| other == name)
            || Column::named(name).is_none()
    };
    names.iter().all(has).then_some(AliasOf::View(view))
}

/// The mistake for a comparison of columns of two views.
pub(crate) fn join(at: Range<usize>, hint: &str) -> Mistake {
    Mistake::new(at, "no-joins", "conditions do not support joins").hint(hint)
}

pub(crate) const JOINED: &str = "leave it out: what other views say about a session is in columns such as `spid`, `pga`, `temp`, `transaction_age`, \
         `undo_records`, `blocking` and `cpu`";

/// What a comparison of two columns with aliases says of the session: an inner join keeps only those that have a row. `keeps`:
/// whether the columns are equal, and this is a condition of the whole.
pub(crate) fn instead_of_join(
    aliases: &Aliases,
    one: &Prefixed<'_>,
    other: &Prefixed<'_>,
    keeps: bool,
) -> &'static str {
    if !keeps {
        return "a condition knows the session alone, and no rows of other views or sessions; what these say about a session is in columns \
                such as `spid`, `pga`, `temp`, `transaction_age`, `undo_records`, `blocking` and `cpu`";
    }
    let (own, foreign) = if aliases.is_session(one.0) {
        (one, other)
    } else {
        (other, one)
    };
    let (own, name) = (own.1.to_lowercase(), foreign.1.to_lowercase());
    match (own.as_str(), name.as_str()) {
        ("taddr", "addr") | ("saddr", "ses_addr") => {
            "the join keeps the sessions that have a transaction: that is `in transaction`"
        }
        ("blocking_session", "sid") => "the join keeps the sessions that wait for another one: that is `blocked`",
        ("sid", "blocking_session" | "holding_session") => {
            "the join keeps the sessions that others wait for: that is `blocking`"
        }
        ("sid", "waiting_session") => "the join keeps the sessions that wait for another one: that is `blocked`",
        ("saddr", "session_addr") => "the join keeps the sessions that have temporary segments: that is `temp > 0`",
        ("sid", "sid" | "session_id") | ("lockwait", "kaddr") if aliases.is_of_locks(foreign.0) => NO_LOCKS,
        ("sid", "session_id") => NO_LOCKS,
        ("lockwait", _) => {
            "the join keeps the sessions that wait for a lock: `blocked` says whether a session waits for another one"
        }
        ("paddr", "addr") | ("creator_addr", "addr") => JOINED,
        (one, other) if one == other && matches!(one, "sid" | "serial#" | "inst_id" | "con_id") => JOINED,
        ("inst_id", "instance_number") | ("user#", "user_id") => JOINED,
        ("username", "username") if aliases.is_of_accounts(foreign.0) => JOINED,
        _ => {
            "a join keeps only the sessions that have a row in the other view; what such views say about a session is in columns such as \
             `spid`, `pga`, `temp`, `transaction_age`, `undo_records`, `blocking` and `cpu`"
        }
    }
}
