//! The phrases that read as English, and the answer to a word that begins none.

use super::{Parser, is_keyword};
use crate::policy::ast::{Expr, ExprKind};
use crate::policy::condition::{Phrase, ServerKind, SessionStatus};
use crate::policy::diagnostics::{did_you_mean, quoted};
use crate::policy::lex::{Mistake, Token};
use crate::session::column::Column;

/// The words that begin a phrase, for suggestions.
const PHRASE_WORDS: [&str; 15] = [
    "active",
    "inactive",
    "killed",
    "sniped",
    "cached",
    "idle",
    "running",
    "connected",
    "in",
    "blocking",
    "blocked",
    "background",
    "dedicated",
    "shared",
    "pooled",
];

impl Parser {
    pub(super) fn phrase(&mut self, word: &str) -> Result<Expr, Mistake> {
        let start = self.at().start;
        let lower = word.to_ascii_lowercase();
        let status = SessionStatus::ALL
            .into_iter()
            .find(|status| status.name().eq_ignore_ascii_case(word));
        let phrase = if let Some(status) = status {
            self.advance();
            Phrase::Status {
                status,
                longer_than: self.longer_than()?,
            }
        } else {
            match lower.as_str() {
                "idle" | "running" | "connected" => self.timed(&lower)?,
                "in" if Self::is_word(self.ahead(1), "transaction") => {
                    self.advance();
                    self.advance();
                    Phrase::InTransaction {
                        longer_than: self.longer_than()?,
                    }
                }
                "blocking" => self.blocking()?,
                "blocked" => {
                    self.advance();
                    Phrase::Blocked {
                        longer_than: self.longer_than()?,
                    }
                }
                "background" | "dedicated" | "shared" | "pooled" => {
                    self.advance();
                    match lower.as_str() {
                        "background" => Phrase::Background,
                        "dedicated" => Phrase::Server(ServerKind::Dedicated),
                        "shared" => Phrase::Server(ServerKind::Shared),
                        _ => Phrase::Server(ServerKind::Pooled),
                    }
                }
                _ => return Err(self.no_phrase(word)),
            }
        };
        Ok(Expr {
            at: self.since(start),
            kind: ExprKind::Phrase(phrase),
        })
    }

    /// `IDLE`, `RUNNING` and `CONNECTED` are phrases only with a duration.
    fn timed(&mut self, word: &str) -> Result<Phrase, Mistake> {
        self.advance();
        let Some(longer_than) = self.longer_than()? else {
            return Err(self.unexpected("`longer than` and a duration").hint(format!(
                "write `{word} longer than 4h`, or compare the column: `{word} > 4h`"
            )));
        };
        let status = match word {
            "idle" => SessionStatus::Inactive,
            "running" => SessionStatus::Active,
            _ => return Ok(Phrase::Connected { longer_than }),
        };
        Ok(Phrase::Status {
            status,
            longer_than: Some(longer_than),
        })
    }

    fn blocking(&mut self) -> Result<Phrase, Mistake> {
        self.advance();
        let mut sessions = None;
        if let Token::Number(number) = *self.token() {
            if number < 1 {
                return Err(self
                    .mistake("bad-count", "a blocker holds up at least one session")
                    .expected("1 or more"));
            }
            self.advance();
            if !(self.eat("sessions") || self.eat("session")) {
                return Err(self.unexpected("`sessions`"));
            }
            sessions = Some(number);
        }
        Ok(Phrase::Blocking {
            sessions,
            longer_than: self.longer_than()?,
        })
    }

    fn longer_than(&mut self) -> Result<Option<i64>, Mistake> {
        if Self::is_word(self.token(), "longer") {
            self.advance();
        } else if Self::is_word(self.token(), "for") {
            self.advance();
            if !self.eat("more") {
                return Err(self.unexpected("`more than` and a duration"));
            }
        } else {
            return Ok(None);
        }
        if !self.eat("than") {
            return Err(self.unexpected("`than` and a duration"));
        }
        match *self.token() {
            Token::Duration(seconds) => {
                self.advance();
                Ok(Some(seconds))
            }
            Token::Number(number) => Err(self
                .mistake("missing-unit", format!("{number} of what?"))
                .expected("expected a duration")
                .hint(format!("write `{number}m` for minutes, `{number}h` for hours"))),
            _ => Err(self.unexpected("a duration, such as `4h`")),
        }
    }

    /// The word begins no phrase and no operator follows it.
    fn no_phrase(&self, word: &str) -> Mistake {
        if self.ahead(1) == &Token::Open {
            let at = self.at().start..self.tokens[self.next + 1].1.end;
            return Mistake::new(at, "no-functions", "there are no functions in conditions")
                .hint("letter case matters in texts: list the spellings with `in (...)`, or use `matches '(?i)...'`");
        }
        if Column::named(word).is_some() {
            let after = self.ahead(1).describe();
            return Mistake::new(
                self.tokens[(self.next + 1).min(self.tokens.len() - 1)].1.clone(),
                "unexpected-word",
                format!(
                    "expected an operator after `{}`, found {after}",
                    word.to_ascii_lowercase()
                ),
            )
            .expected("expected `=`, `>`, `in`, `like`, `is null`, ...");
        }
        if is_keyword(word) {
            return self.unexpected("a condition");
        }
        let names = Column::ALL.iter().map(|column| column.name()).chain(PHRASE_WORDS);
        self.mistake(
            "unknown-word",
            format!("{} is neither a column nor a phrase", quoted(word)),
        )
        .maybe_hint(did_you_mean(word, names))
    }
}
