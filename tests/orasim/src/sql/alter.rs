//! ALTER SYSTEM and ALTER SESSION, read word by word.

use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::lex::{Tokens, offset, word};
use crate::backend::OraError;
use crate::error::{known, not_simulated, ora_at};
use crate::scenario::Release;
use crate::world::{Clause, Order};

/// What an ALTER asks for.
#[derive(Debug)]
pub(crate) enum Alter {
    /// To end a session or its statement.
    End(Order),
    /// ALTER SYSTEM SET and the like.
    System(String),
    /// ALTER SESSION SET name = value.
    Session(Vec<(String, String)>),
}

/// Whether DISCONNECT takes an instance, and which clauses there are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Grammar {
    pub(crate) release: Release,
    pub(crate) disconnect_takes_instance: bool,
    /// The answer to one that names an instance, where it takes none.
    pub(crate) refused_instance: u32,
}

/// What else ALTER SYSTEM can.
const OTHERS: [&str; 13] = [
    "SET",
    "RESET",
    "FLUSH",
    "CHECKPOINT",
    "SWITCH",
    "ARCHIVE",
    "REGISTER",
    "SUSPEND",
    "RESUME",
    "QUIESCE",
    "UNQUIESCE",
    "ENABLE",
    "DISABLE",
];

/// ALTER SESSION SET of a parameter that changes nothing that is simulated; of one that Oracle does not know, ORA-02248.
pub(crate) fn without_effect(name: &str) -> Result<(), OraError> {
    const KNOWN: [&str; 16] = [
        "TIME_ZONE",
        "STATISTICS_LEVEL",
        "TIMED_STATISTICS",
        "MAX_DUMP_FILE_SIZE",
        "TRACEFILE_IDENTIFIER",
        "SQL_TRACE",
        "EVENTS",
        "DDL_LOCK_TIMEOUT",
        "CURSOR_SHARING",
        "SESSION_CACHED_CURSORS",
        "WORKAREA_SIZE_POLICY",
        "SORT_AREA_SIZE",
        "HASH_AREA_SIZE",
        "SKIP_UNUSABLE_INDEXES",
        "RECYCLEBIN",
        "GLOBAL_NAMES",
    ];
    const FAMILIES: [&str; 6] = ["NLS_", "OPTIMIZER_", "PLSQL_", "PARALLEL_", "RESUMABLE_", "_"];
    if KNOWN.contains(&name) || FAMILIES.iter().any(|family| name.starts_with(family)) {
        return Ok(());
    }
    match name {
        "ISOLATION_LEVEL" | "CONSTRAINTS" | "EDITION" | "ROW ARCHIVAL VISIBILITY" | "INSTANCE" => {
            Err(not_simulated(&format!("ALTER SESSION SET {name}")))
        }
        _ => Err(known(2248)),
    }
}

struct Words<'a> {
    text: &'a str,
    tokens: &'a [TokenWithSpan],
    at: usize,
}

impl Words<'_> {
    fn peek(&self) -> Option<String> {
        word(&self.tokens.get(self.at)?.token)
    }

    fn take(&mut self, wanted: &str) -> bool {
        let is = self.peek().is_some_and(|word| word == wanted);
        self.at += usize::from(is);
        is
    }

    fn text(&mut self) -> Option<String> {
        match &self.tokens.get(self.at)?.token {
            Token::SingleQuotedString(text) => {
                self.at += 1;
                Some(text.clone())
            }
            _ => None,
        }
    }

    fn number(&mut self) -> Option<u32> {
        match &self.tokens.get(self.at)?.token {
            Token::Number(number, _) => {
                self.at += 1;
                number.parse().ok()
            }
            _ => None,
        }
    }

    fn error(&self, code: u32) -> OraError {
        let at = self
            .tokens
            .get(self.at)
            .map_or(self.text.len(), |token| offset(self.text, token.span.start));
        OraError {
            offset: u32::try_from(at).unwrap_or(0),
            ..known(code)
        }
    }

    fn end(&self) -> Result<(), OraError> {
        if self.at < self.tokens.len() {
            Err(self.error(933))
        } else {
            Ok(())
        }
    }
}

/// Reads an ALTER statement.
pub(crate) fn read(tokens: &Tokens<'_>, grammar: Grammar) -> Result<Alter, OraError> {
    let mut words = Words {
        text: tokens.text,
        tokens: &tokens.tokens,
        at: 1,
    };
    if words.take("SESSION") {
        return session(&mut words);
    }
    if !words.take("SYSTEM") {
        return Err(words.error(940));
    }
    if words.take("KILL") {
        if !words.take("SESSION") {
            return Err(words.error(2065));
        }
        let named = words.text().ok_or_else(|| words.error(26))?;
        let clause = kill_clause(&mut words, grammar)?;
        words.end()?;
        return order(&named, clause, None).map(Alter::End);
    }
    if words.take("DISCONNECT") {
        if !words.take("SESSION") {
            return Err(words.error(2065));
        }
        let named = words.text().ok_or_else(|| words.error(26))?;
        let (clause, noreplay) = disconnect_clause(&mut words)?;
        words.end()?;
        let refused = (!grammar.disconnect_takes_instance).then_some(grammar.refused_instance);
        let order = order(&named, clause, refused)?;
        return Ok(Alter::End(Order { noreplay, ..order }));
    }
    if words.peek().as_deref() == Some("CANCEL") && grammar.release.major() >= 18 {
        words.at += 1;
        if !words.take("SQL") {
            return Err(words.error(2065));
        }
        let named = words.text().ok_or_else(|| words.error(26))?;
        words.end()?;
        return order(&named, Clause::CancelSql, None).map(Alter::End);
    }
    match words.peek() {
        Some(word) if OTHERS.contains(&word.as_str()) => Ok(Alter::System(word)),
        Some(_) | None => Err(words.error(2065)),
    }
}

fn kill_clause(words: &mut Words<'_>, grammar: Grammar) -> Result<Clause, OraError> {
    let forced = grammar.release.major() >= 23;
    if words.take("IMMEDIATE") {
        if forced && words.take("TIMEOUT") {
            return words.number().map(Clause::KillTimeout).ok_or_else(|| words.error(922));
        }
        return Ok(Clause::KillImmediate);
    }
    if words.take("NOREPLAY") {
        return Ok(Clause::KillNoreplay);
    }
    if forced && words.take("FORCE") {
        if words.take("TIMEOUT") {
            return words.number().map(Clause::KillForce).ok_or_else(|| words.error(922));
        }
        return Ok(Clause::KillForce(5));
    }
    if forced && words.take("TIMEOUT") {
        return match words.number() {
            Some(0) => Ok(Clause::KillImmediate),
            Some(seconds) => Ok(Clause::KillTimeout(seconds)),
            None => Err(words.error(922)),
        };
    }
    Ok(Clause::Kill)
}

/// The clause, and whether it says NOREPLAY.
fn disconnect_clause(words: &mut Words<'_>) -> Result<(Clause, bool), OraError> {
    if words.take("POST_TRANSACTION") {
        // IMMEDIATE and NOREPLAY may follow; with an open transaction IMMEDIATE has no effect.
        let noreplay = !words.take("IMMEDIATE") && words.take("NOREPLAY");
        return Ok((Clause::DisconnectPostTransaction, noreplay));
    }
    if words.take("IMMEDIATE") {
        return Ok((Clause::DisconnectImmediate, false));
    }
    if words.take("NOREPLAY") {
        return Ok((Clause::DisconnectImmediate, true));
    }
    if words.at < words.tokens.len() {
        return Err(words.error(933));
    }
    Err(ora_at(
        2000,
        "missing POST_TRANSACTION or IMMEDIATE keyword",
        words.text.len(),
    ))
}

/// `sid, serial#[, @inst_id][, sql_id]`; where no instance may be named, the number of the error for that.
fn order(named: &str, clause: Clause, refused_instance: Option<u32>) -> Result<Order, OraError> {
    let wrong = || known(26);
    let mut parts = named.split(',').map(str::trim);
    let mut number = || parts.next().and_then(|part| part.parse::<u32>().ok()).ok_or_else(wrong);
    let (sid, serial) = (number()?, number()?);
    let mut order = Order {
        clause,
        sid,
        serial,
        instance: None,
        sql_id: None,
        noreplay: false,
    };
    for part in parts {
        match (part.strip_prefix('@'), refused_instance) {
            (Some(_), Some(number)) => return Err(known(number)),
            (Some(instance), None) if order.instance.is_none() && order.sql_id.is_none() => {
                order.instance = Some(instance.trim().parse().map_err(|_| wrong())?);
            }
            (None, _) if clause == Clause::CancelSql && order.sql_id.is_none() && is_sql_id(part) => {
                order.sql_id = Some(part.to_owned());
            }
            (Some(_) | None, _) => return Err(wrong()),
        }
    }
    Ok(order)
}

fn is_sql_id(text: &str) -> bool {
    text.len() == 13
        && text
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte.is_ascii_lowercase())
}

fn session(words: &mut Words<'_>) -> Result<Alter, OraError> {
    match words.peek().as_deref() {
        Some("SET") => words.at += 1,
        Some(word @ ("ENABLE" | "DISABLE" | "ADVISE" | "CLOSE" | "FORCE" | "SYNC")) => {
            return Err(not_simulated(&format!("ALTER SESSION {word}")));
        }
        Some(_) | None => return Err(words.error(2248)),
    }
    let mut settings = Vec::new();
    while let Some(name) = words.peek() {
        words.at += 1;
        if words.tokens.get(words.at).map(|token| &token.token) != Some(&Token::Eq) {
            return Err(words.error(927));
        }
        words.at += 1;
        let value = words.tokens.get(words.at).ok_or_else(|| words.error(2248))?;
        settings.push((
            name,
            match &value.token {
                Token::SingleQuotedString(text) | Token::Number(text, _) => text.clone(),
                Token::Word(word) if word.quote_style.is_some() => word.value.clone(),
                Token::Word(word) => word.value.to_uppercase(),
                _ => return Err(words.error(2248)),
            },
        ));
        words.at += 1;
    }
    words.end()?;
    if settings.is_empty() {
        Err(words.error(2248))
    } else {
        Ok(Alter::Session(settings))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Read = (Clause, u32, u32, Option<u32>, Option<String>);

    fn check(text: &str, major: u8) -> Result<Read, u32> {
        let grammar = Grammar {
            release: Release([major, 0, 0, 0, 0]),
            disconnect_takes_instance: false,
            refused_instance: 26,
        };
        let tokens = Tokens::read(text).map_err(|error| error.code)?;
        match read(&tokens, grammar).map_err(|error| error.code)? {
            Alter::End(order) => Ok((order.clause, order.sid, order.serial, order.instance, order.sql_id)),
            Alter::System(_) | Alter::Session(_) => Err(0),
        }
    }

    #[test]
    fn each_clause_belongs_to_its_releases() {
        let kill = |rest: &str, major| check(&format!("ALTER SYSTEM KILL SESSION '12,34,@2'{rest}"), major);
        assert_eq!(kill("", 19), Ok((Clause::Kill, 12, 34, Some(2), None)));
        assert_eq!(
            kill(" immediate", 11),
            Ok((Clause::KillImmediate, 12, 34, Some(2), None))
        );
        assert_eq!(kill(" NOREPLAY", 19).map(|order| order.0), Ok(Clause::KillNoreplay));
        assert_eq!(
            kill(" FORCE TIMEOUT 0", 23).map(|order| order.0),
            Ok(Clause::KillForce(0))
        );
        assert_eq!(kill(" FORCE TIMEOUT 0", 19), Err(933));
        assert_eq!(kill(" TIMEOUT 7", 23).map(|order| order.0), Ok(Clause::KillTimeout(7)));
        assert_eq!(kill(" SOFTLY", 19), Err(933));
        let cancel = "ALTER SYSTEM CANCEL SQL '12, 34, @1, 7gxm0c1p2q3rs'";
        assert_eq!(
            check(cancel, 19),
            Ok((Clause::CancelSql, 12, 34, Some(1), Some("7gxm0c1p2q3rs".into())))
        );
        assert_eq!(check(cancel, 12), Err(2065));
    }

    #[test]
    fn a_session_is_named_by_numbers() {
        for bad in ["", "12", "12,x", "12,34,2", "12,34,@", "12,34,@1,@2", "12;34"] {
            assert_eq!(
                check(&format!("alter system kill session '{bad}'"), 19),
                Err(26),
                "{bad}"
            );
        }
        assert_eq!(
            check("alter system kill session ' 12 , 34 '", 19),
            Ok((Clause::Kill, 12, 34, None, None))
        );
        assert_eq!(
            check("alter system disconnect session '12,34,@1' immediate", 19),
            Err(26)
        );
        assert_eq!(check("alter system disconnect session '12,34'", 19), Err(2000));
        assert_eq!(check("alter system explode", 19), Err(2065));
    }
}
