//! Parses the phrases that read as English, and reports a word that begins none of them.

use super::operand::with_unit;
use super::{Parser, is_keyword};
use crate::policy::ast::{Expr, ExprKind};
use crate::policy::condition::{Phrase, ServerKind, SessionStatus};
use crate::policy::habit::instead_of_column;
use crate::policy::lex::{Mistake, Token};
use crate::quantity::Span;
use crate::session::column::Column;
use crate::yaml::diagnostics::{did_you_mean, quoted};

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

pub(super) fn begins_a_phrase(word: &str) -> bool {
    PHRASE_WORDS.iter().any(|begin| begin.eq_ignore_ascii_case(word))
}

impl Parser<'_> {
    pub(super) fn phrase(&mut self, word: &str) -> Result<Expr, Mistake> {
        let start = self.at().start;
        let lower = word.to_ascii_lowercase();
        let phrase = if let Some(status) = SessionStatus::named(&word.to_ascii_uppercase()) {
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

    /// `IDLE`, `RUNNING` and `CONNECTED` must be followed by a duration.
    fn timed(&mut self, word: &str) -> Result<Phrase, Mistake> {
        self.advance();
        let Some(longer_than) = self.longer_than()? else {
            if let Some(column) = Column::named(word) {
                let mistake = self.no_operator(column);
                if mistake.hint.is_some() {
                    return Err(mistake);
                }
            }
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
        let mut sessions = self.at_least()?;
        if let Token::Number(number) = *self.token() {
            if number < 1 {
                return Err(self
                    .mistake("bad-count", "the number of blocked sessions must be at least 1")
                    .expected("expected 1 or more"));
            }
            self.advance();
            if !(self.eat("sessions") || self.eat("session")) {
                let hint = format!("write `blocking {number} sessions`, which means at least {number}");
                return Err(self.unexpected("`sessions`").hint(hint));
            }
            sessions = Some(number);
        }
        Ok(Phrase::Blocking {
            sessions,
            longer_than: self.longer_than()?,
        })
    }

    /// `blocking more than 5 sessions`, `blocking at least 5 sessions`: reported, and read as the phrase that was meant.
    fn at_least(&mut self) -> Result<Option<i64>, Mistake> {
        let more = match (self.token(), self.ahead(1)) {
            (one, other) if Self::is_word(one, "more") && Self::is_word(other, "than") => 1,
            (one, other) if Self::is_word(one, "at") && Self::is_word(other, "least") => 0,
            _ => return Ok(None),
        };
        let start = self.at().start;
        self.advance();
        self.advance();
        let Token::Number(number) = *self.token() else {
            return Err(self.unexpected("a number of sessions"));
        };
        self.advance();
        if !self.eat("sessions") {
            self.eat("session");
        }
        let least = number.saturating_add(more);
        let mistake = Mistake::new(
            self.since(start),
            "unexpected-word",
            "this phrase already means \"at least\"",
        )
        .hint(format!(
            "write `blocking {least} sessions`, which means at least {least}"
        ));
        self.report(mistake);
        Ok(Some(least))
    }

    /// `longer than 4h` or `for more than 4h`. Other wordings are reported and read as the same.
    fn longer_than(&mut self) -> Result<Option<i64>, Mistake> {
        let start = self.at().start;
        let Token::Word(word) = self.token() else {
            // `INACTIVE 4h`
            let follows = self.is_span(0) || matches!(self.token(), Token::Number(_));
            return if follows {
                self.than_is_missing(start).map(Some)
            } else {
                Ok(None)
            };
        };
        let right = match word.to_ascii_lowercase().as_str() {
            "longer" => {
                self.advance();
                true
            }
            "for" if Self::is_word(self.ahead(1), "more") => {
                self.advance();
                self.advance();
                true
            }
            "for" | "since" | "over" | "more" | "older" | "above" | "exceeding" | "greater" if self.span_is_near() => {
                self.advance();
                false
            }
            "for" => {
                self.advance();
                return Err(self.unexpected("`more than` and a duration"));
            }
            _ => return Ok(None),
        };
        let than = self.eat("than");
        if !than && right && !self.is_span(0) {
            return Err(self.unexpected("`than` and a duration"));
        }
        let reported = self.mistakes.len();
        let seconds = self.span()?;
        if !(than && right) && self.mistakes.len() == reported {
            self.continues_with_longer_than(start, seconds);
        }
        if Self::is_word(self.token(), "ago") {
            let mistake = self.mistake("unexpected-word", "`longer than` has no `ago` after its duration");
            self.report(mistake.hint("leave it out"));
            self.advance();
        }
        Ok(Some(seconds))
    }

    fn continues_with_longer_than(&mut self, start: usize, seconds: i64) {
        let written = Span(seconds).in_full();
        let mistake = Mistake::new(
            self.since(start),
            "unexpected-word",
            "a phrase continues with `longer than`",
        )
        .hint(format!("write `longer than {written}`"));
        self.report(mistake);
    }

    /// Reads a duration that follows a phrase at once.
    fn than_is_missing(&mut self, start: usize) -> Result<i64, Mistake> {
        let reported = self.mistakes.len();
        let seconds = self.span()?;
        self.mistakes.truncate(reported);
        self.continues_with_longer_than(start, seconds);
        Ok(seconds)
    }

    /// Whether a duration follows after one or two words: `for 4h`, `more than 4h`.
    fn span_is_near(&self) -> bool {
        self.is_span(1) || Self::is_word(self.ahead(1), "than") && self.is_span(2)
    }

    fn is_span(&self, ahead: usize) -> bool {
        match (self.ahead(ahead), self.ahead(ahead + 1)) {
            (Token::Duration(_), _) => true,
            (Token::Number(number), Token::Word(unit)) => with_unit(*number, unit).is_some(),
            (Token::Fraction(_), Token::Word(unit)) => with_unit(1, unit).is_some(),
            _ => false,
        }
    }

    fn span(&mut self) -> Result<i64, Mistake> {
        if let Some(Token::Duration(seconds)) = self.unit_apart() {
            return Ok(seconds);
        }
        match *self.token() {
            Token::Duration(seconds) => {
                self.advance();
                Ok(seconds)
            }
            Token::Number(_) if matches!(self.ahead(1), Token::Variable(_) | Token::Comma) => Err(self
                .mistake("missing-unit", "this is not a duration")
                .expected("expected a duration")
                .hint("durations look like `90s`, `30m`, `4h`, `1d`, `1h30m`")),
            Token::Number(number) => Err(self
                .mistake("missing-unit", format!("the duration {number} has no unit"))
                .expected("expected a duration")
                .hint(in_each_unit(number))),
            _ => Err(self.unexpected("a duration, such as `4h`")),
        }
    }

    /// The mistake for a word that begins no phrase and has no operator after it.
    fn no_phrase(&mut self, word: &str) -> Mistake {
        if let Some(column) = Column::named(word) {
            self.advance();
            return self.no_operator(column);
        }
        if is_keyword(word) {
            return self.no_column(&word.to_ascii_lowercase());
        }
        let mistake = self.mistake(
            "unknown-word",
            format!("{} is neither a column nor a phrase", quoted(word)),
        );
        if word.eq_ignore_ascii_case("transaction") {
            return mistake.hint("write `in transaction`, or `in transaction longer than 1h`");
        }
        if word.eq_ignore_ascii_case("waiting") || word.eq_ignore_ascii_case("locked") {
            return mistake.hint("write `blocked longer than 5m`, or `waited > 5m` for any wait");
        }
        let names = Column::ALL.iter().map(|column| column.name()).chain(PHRASE_WORDS);
        mistake.maybe_hint(did_you_mean(word, names).or_else(|| instead_of_column(word).map(str::to_owned)))
    }
}

/// A number without a unit in each unit. Seconds come first: LAST_CALL_ET is in seconds.
fn in_each_unit(number: i64) -> String {
    let shortest = Span(number).in_full().to_string();
    let seconds = match with_unit(number, "s") {
        Some((_, seconds)) if seconds != shortest => format!("`{seconds}` or `{shortest}`"),
        _ => format!("`{shortest}`"),
    };
    format!("write {seconds} for seconds, `{number}m` for minutes, `{number}h` for hours")
}
