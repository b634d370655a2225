//! From text to tokens: where binds are, where a token stands, what the statement begins with.

use std::borrow::Cow;

use sqlparser::dialect::OracleDialect;
use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer, TokenizerError};

use crate::backend::{Bind, OraError};
use crate::error::{known, ora_at};

/// A statement's tokens, without space and comments other than hints.
pub(crate) struct Tokens<'a> {
    pub(crate) text: &'a str,
    pub(crate) tokens: Vec<TokenWithSpan>,
    /// The names of its binds, in the order of their placeholders.
    pub(crate) binds: Vec<String>,
}

impl<'a> Tokens<'a> {
    /// The same binds, where those that were left out have the value of the first of their name.
    ///
    /// # Errors
    ///
    /// ORA-01008 for a name that has no value anywhere.
    pub(crate) fn filled<'b>(&self, binds: &'b [Vec<Bind>]) -> Result<Cow<'b, [Vec<Bind>]>, OraError> {
        if !binds.iter().flatten().any(|bind| bind.left_out) {
            return Ok(Cow::Borrowed(binds));
        }
        let fill = |row: &Vec<Bind>| -> Result<Vec<Bind>, OraError> {
            let named = |name: &String| {
                let mut pairs = self.binds.iter().zip(row);
                let found = pairs.find(|(other, bind)| *other == name && !bind.left_out);
                found.map(|(_, bind)| bind.clone())
            };
            let one = |(at, bind): (usize, &Bind)| {
                if bind.left_out {
                    self.binds.get(at).and_then(named).ok_or_else(|| known(1008))
                } else {
                    Ok(bind.clone())
                }
            };
            row.iter().enumerate().map(one).collect()
        };
        Ok(Cow::Owned(binds.iter().map(fill).collect::<Result<_, _>>()?))
    }

    /// Reads a statement; every placeholder becomes `:n` with its place in `binds`.
    pub(crate) fn read(text: &'a str) -> Result<Self, OraError> {
        let raw = Tokenizer::new(&OracleDialect, text)
            .tokenize_with_location()
            .map_err(|error: TokenizerError| tokenizer_error(text, &error))?;
        let raw: Vec<_> = raw
            .into_iter()
            .filter(|token| !matches!(token.token, Token::Whitespace(_) | Token::EOF))
            .collect();
        let mut tokens = Vec::with_capacity(raw.len());
        let mut binds = Vec::new();
        let mut raw = raw.into_iter().peekable();
        while let Some(token) = raw.next() {
            if token.token != Token::Colon {
                tokens.push(token);
                continue;
            }
            let name = match raw.peek().map(|next| &next.token) {
                Some(Token::Word(word)) => word.value.to_uppercase(),
                Some(Token::Number(number, _)) => number.clone(),
                _ => {
                    return Err(ora_at(
                        1745,
                        "invalid host/bind variable name",
                        offset(text, token.span.start),
                    ));
                }
            };
            raw.next();
            let place = Token::Placeholder(format!(":{}", binds.len()));
            binds.push(name);
            tokens.push(TokenWithSpan::new(place, token.span));
        }
        Ok(Self { text, tokens, binds })
    }

    /// Refuses a semicolon at the end, which clients must not send.
    pub(crate) fn refuse_semicolon(&self, recent: bool) -> Result<(), OraError> {
        match self.tokens.last() {
            Some(last) if last.token == Token::SemiColon => {
                let error = if recent { known(3048) } else { known(933) };
                Err(OraError {
                    offset: u32::try_from(offset(self.text, last.span.start)).unwrap_or(0),
                    ..error
                })
            }
            Some(_) | None => Ok(()),
        }
    }

    /// The first word, in capitals.
    pub(crate) fn first_word(&self) -> String {
        self.tokens
            .iter()
            .find_map(|token| match &token.token {
                Token::LParen => None,
                Token::Word(word) => Some(word.value.to_uppercase()),
                _ => Some(String::new()),
            })
            .unwrap_or_default()
    }
}

/// A word's text in capitals, if it is one and not quoted.
pub(crate) fn word(token: &Token) -> Option<String> {
    match token {
        Token::Word(word) if word.quote_style.is_none() => Some(word.value.to_uppercase()),
        _ => None,
    }
}

/// Words that SQL's parser takes for more than a name, where Oracle has columns of that name.
pub(crate) fn soften(tokens: &mut [TokenWithSpan]) {
    for token in tokens {
        if let Token::Word(word) = &mut token.token
            && word.quote_style.is_none()
            && word.keyword == Keyword::USER
        {
            word.keyword = Keyword::NoKeyword;
        }
    }
}

fn tokenizer_error(text: &str, error: &TokenizerError) -> OraError {
    let at = offset(text, error.location);
    if error.message.contains("nterminated") {
        ora_at(1756, "quoted string not properly terminated", at)
    } else {
        ora_at(911, "invalid character", at)
    }
}

/// A location as a number of bytes from the start.
pub(crate) fn offset(text: &str, at: Location) -> usize {
    let line_start: usize = text
        .split_inclusive('\n')
        .take(at.line.saturating_sub(1) as usize)
        .map(str::len)
        .sum();
    let line = &text[line_start.min(text.len())..];
    let column = at.column.saturating_sub(1) as usize;
    let in_line = if line.is_ascii() {
        column.min(line.len())
    } else {
        line.char_indices().nth(column).map_or(line.len(), |(at, _)| at)
    };
    line_start + in_line
}
