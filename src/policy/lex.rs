//! The words of a condition, each with its place.
//!
//! Much of what a DBA types by habit is not in the language: `==`, `&&`, `"quoted"`, `TO_DATE(...)`, `sysdate - 1`. Such
//! habits are recognized here and answered with what to write instead, rather than with "unexpected character".

use std::ops::Range;

use super::condition::Comparison;

/// The longest condition that is read, in bytes.
pub(crate) const LONGEST: usize = 16 * 1024;

/// A word of a condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    /// A keyword, a column or a bare word, as written.
    Word(String),
    /// `'text'`, its doubled quotes undone.
    Text(String),
    /// A whole number.
    Number(i64),
    /// In seconds.
    Duration(i64),
    /// In bytes.
    Size(i64),
    /// In percent.
    Percent(i64),
    /// `@name`
    Name(String),
    /// `(`
    Open,
    /// `)`
    Close,
    /// `,`
    Comma,
    /// `=` and its like.
    Operator(Comparison),
    /// The end, so that there is always a next token.
    End,
}

impl Token {
    /// For messages: what was found.
    pub(crate) fn describe(&self) -> String {
        match self {
            Token::Word(word) => super::diagnostics::quoted(word),
            Token::Text(_) => "a quoted text".to_owned(),
            Token::Number(_) => "a number".to_owned(),
            Token::Duration(_) => "a duration".to_owned(),
            Token::Size(_) => "a size".to_owned(),
            Token::Percent(_) => "a percentage".to_owned(),
            Token::Name(name) => super::diagnostics::quoted(&format!("@{name}")),
            Token::Open => "`(`".to_owned(),
            Token::Close => "`)`".to_owned(),
            Token::Comma => "`,`".to_owned(),
            Token::Operator(operator) => format!("`{}`", operator.sql()),
            Token::End => "the end".to_owned(),
        }
    }
}

/// What is wrong with an expression; offsets are bytes of the expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mistake {
    pub(crate) at: Range<usize>,
    pub(crate) code: &'static str,
    pub(crate) message: String,
    pub(crate) expected: Option<String>,
    pub(crate) hint: Option<String>,
}

impl Mistake {
    pub(crate) fn new(at: Range<usize>, code: &'static str, message: impl Into<String>) -> Mistake {
        Mistake {
            at,
            code,
            message: message.into(),
            expected: None,
            hint: None,
        }
    }

    pub(crate) fn expected(mut self, expected: impl Into<String>) -> Mistake {
        self.expected = Some(expected.into());
        self
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Mistake {
        self.hint = Some(hint.into());
        self
    }

    pub(crate) fn maybe_hint(mut self, hint: Option<String>) -> Mistake {
        if hint.is_some() {
            self.hint = hint;
        }
        self
    }
}

/// The words of a condition, the end included.
pub(crate) fn lex(text: &str) -> Result<Vec<(Token, Range<usize>)>, Mistake> {
    if text.len() > LONGEST {
        return Err(Mistake::new(
            0..1,
            "condition-too-long",
            format!(
                "the condition has {} bytes, more than the {LONGEST} that are read",
                text.len()
            ),
        )
        .hint("give its parts names under `conditions:`, or move long lists to `lists:`"));
    }
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(next) = text[at..].chars().next() {
        if next.is_whitespace() {
            at += next.len_utf8();
            continue;
        }
        let (token, end) = token(text, at, next)?;
        tokens.push((token, at..end));
        at = end;
    }
    tokens.push((Token::End, text.trim_end().len()..text.trim_end().len()));
    Ok(tokens)
}

fn token(text: &str, at: usize, next: char) -> Result<(Token, usize), Mistake> {
    let rest = &text[at..];
    let two = |token, length| Ok((token, at + length));
    let operator = |comparison, length| Ok((Token::Operator(comparison), at + length));
    match next {
        '(' => two(Token::Open, 1),
        ')' => two(Token::Close, 1),
        ',' => two(Token::Comma, 1),
        '=' if rest.starts_with("==") => Err(habit(at..at + 2, "`==` is not an operator", "write `=`")),
        '=' => operator(Comparison::Equal, 1),
        '<' if rest.starts_with("<>") => operator(Comparison::NotEqual, 2),
        '<' if rest.starts_with("<=") => operator(Comparison::LessOrEqual, 2),
        '<' => operator(Comparison::Less, 1),
        '>' if rest.starts_with(">=") => operator(Comparison::GreaterOrEqual, 2),
        '>' => operator(Comparison::Greater, 1),
        '!' if rest.starts_with("!=") => operator(Comparison::NotEqual, 2),
        '!' => Err(habit(at..at + 1, "`!` is not an operator", "write `not`")),
        '&' => Err(habit(at..at + run(rest, '&'), "`&` is not an operator", "write `and`")),
        '|' => Err(habit(at..at + run(rest, '|'), "`|` is not an operator", "write `or`")),
        '\'' => quoted_text(text, at),
        '"' => Err(double_quotes(text, at)),
        '@' => {
            let length = rest[1..]
                .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '-'))
                .unwrap_or(rest.len() - 1);
            if length == 0 {
                return Err(Mistake::new(at..at + 1, "bad-name", "`@` stands before no name").expected("a name"));
            }
            Ok((Token::Name(rest[1..=length].to_owned()), at + 1 + length))
        }
        '-' if rest[1..].starts_with(|c: char| c.is_ascii_digit()) => negative(text, at),
        '0'..='9' => quantity(text, at),
        '%' => Err(Mistake::new(at..at + 1, "stray-character", "unexpected `%`")
            .hint("a pattern is quoted: `program like 'JDBC%'`; a percentage follows its number: `85%`")),
        '+' | '-' | '*' | '/' => Err(habit(
            at..at + 1,
            &format!("`{next}`: there is no arithmetic here"),
            "ages have columns of their own: `connected > 4h`, `statement_age > 30m`, `transaction_age > 1h`",
        )),
        ';' => Err(habit(at..at + 1, "unexpected `;`", "a condition ends without it")),
        next if is_word(next) => {
            let length = rest.find(|c: char| !is_word(c)).unwrap_or(rest.len());
            let end = at + length;
            let after = text[end..].chars().next();
            if matches!(after, Some('.' | '\\' | ':' | '%' | '@' | '-' | '/'))
                && text[end + 1..].starts_with(|c: char| is_word(c) || c == '%' || c == '.')
                || matches!(after, Some('%'))
            {
                return Err(unquoted(text, at));
            }
            Ok((Token::Word(rest[..length].to_owned()), end))
        }
        other => Err(Mistake::new(
            at..at + other.len_utf8(),
            "stray-character",
            format!("unexpected {}", super::diagnostics::quoted(&other.to_string())),
        )
        .hint("text stands in single quotes: `machine = 'web-01'`")),
    }
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || matches!(character, '_' | '$' | '#')
}

fn run(text: &str, character: char) -> usize {
    text.chars().take_while(|c| *c == character).count()
}

fn habit(at: Range<usize>, message: &str, hint: &str) -> Mistake {
    Mistake::new(at, "not-an-operator", message).hint(hint)
}

fn quoted_text(text: &str, at: usize) -> Result<(Token, usize), Mistake> {
    let mut value = String::new();
    let mut characters = text[at + 1..].char_indices().peekable();
    while let Some((offset, character)) = characters.next() {
        if character != '\'' {
            value.push(character);
        } else if characters.peek().is_some_and(|(_, next)| *next == '\'') {
            characters.next();
            value.push('\'');
        } else {
            return Ok((Token::Text(value), at + 1 + offset + 1));
        }
    }
    Err(
        Mistake::new(at..text.trim_end().len(), "unclosed-quote", "the quote is never closed")
            .hint("a quote inside a text is written twice: `'it''s'`"),
    )
}

fn double_quotes(text: &str, at: usize) -> Mistake {
    let end = text[at + 1..].find('"').map_or(at + 1, |length| at + length + 2);
    let inner = text[at..end].trim_matches('"');
    Mistake::new(at..end, "double-quotes", "text stands in single quotes").hint(if inner.contains('\'') {
        "write it in single quotes, each quote inside it twice".to_owned()
    } else {
        format!("write '{inner}'")
    })
}

/// A text with characters that a bare word cannot have.
fn unquoted(text: &str, at: usize) -> Mistake {
    let length = text[at..]
        .find(|c: char| c.is_whitespace() || matches!(c, ',' | '(' | ')' | '\'' | '='))
        .unwrap_or(text.len() - at);
    let written = &text[at..at + length];
    Mistake::new(
        at..at + length,
        "needs-quotes",
        format!("{} must be quoted", super::diagnostics::quoted(written)),
    )
    .hint(format!("write '{written}'"))
}

fn negative(text: &str, at: usize) -> Result<(Token, usize), Mistake> {
    match quantity(text, at + 1)? {
        (Token::Number(number), end) => Ok((Token::Number(-number), end)),
        (_, end) => Err(Mistake::new(
            at..end,
            "negative-amount",
            "a duration, size or percentage cannot be negative",
        )),
    }
}

/// A number with its unit, if any.
fn quantity(text: &str, at: usize) -> Result<(Token, usize), Mistake> {
    let length = text[at..]
        .find(|c: char| !(is_word(c) || matches!(c, '.' | '%')))
        .unwrap_or(text.len() - at);
    let written = &text[at..at + length];
    match measure(written) {
        Ok(token) => Ok((token, at + length)),
        Err((code, message, hint)) => Err(Mistake::new(at..at + length, code, message).maybe_hint(hint)),
    }
}

type NotAQuantity = (&'static str, String, Option<String>);

/// Reads a number, duration, size or percentage that fills its text.
pub(crate) fn measure(written: &str) -> Result<Token, NotAQuantity> {
    let shown = super::diagnostics::quoted(written);
    let too_large = || ("number-too-large", format!("{shown} is too large"), None);
    if written.contains('.') {
        return Err((
            "not-whole",
            format!("{shown} is not a whole number"),
            Some("use a smaller unit: `90m` for an hour and a half, `1536MB` for one and a half gigabytes".to_owned()),
        ));
    }
    let digits = written.find(|c: char| !c.is_ascii_digit()).unwrap_or(written.len());
    let unit = &written[digits..];
    if digits == 0 {
        return Err(("not-a-number", format!("{shown} is not a number"), None));
    }
    let number: i64 = written[..digits].parse().map_err(|_| too_large())?;
    let size = |shift: u32| number.checked_mul(1 << shift).map(Token::Size).ok_or_else(too_large);
    let upper = unit.to_ascii_uppercase();
    match upper.as_str() {
        "" => Ok(Token::Number(number)),
        "%" => Ok(Token::Percent(number)),
        "B" => Ok(Token::Size(number)),
        "KB" => size(10),
        "MB" => size(20),
        "GB" => size(30),
        "TB" => size(40),
        "K" | "G" | "T" | "KIB" | "MIB" | "GIB" | "TIB" => Err((
            "unknown-unit",
            format!("unknown unit in {shown}"),
            Some(format!("write `{number}{}B`", &upper[..1])),
        )),
        "M" if unit == "M" => Err((
            "ambiguous-unit",
            format!("{shown} could be minutes or megabytes"),
            Some(format!("write `{number}m` or `{number}MB`")),
        )),
        _ => duration(written).ok_or_else(|| {
            let hint = match upper.as_str() {
                "W" => format!("write `{}d`", number.saturating_mul(7)),
                "MS" | "US" | "NS" => "the smallest unit is one second, `1s`".to_owned(),
                "SEC" | "SECS" | "SECOND" | "SECONDS" => format!("write `{number}s`"),
                "MIN" | "MINS" | "MINUTE" | "MINUTES" => format!("write `{number}m`"),
                "HR" | "HRS" | "HOUR" | "HOURS" => format!("write `{number}h`"),
                "DAY" | "DAYS" => format!("write `{number}d`"),
                _ if written.chars().all(|c| c.is_ascii_digit() || "dhmsDHMS".contains(c)) => {
                    "units go from large to small, each once: `1d12h`, `1h30m`".to_owned()
                }
                _ => "durations: `90s`, `30m`, `4h`, `1d`, `1h30m`; sizes: `512KB`, `2GB`; percentages: `85%`; a text \
                      that begins with a digit is quoted"
                    .to_owned(),
            };
            ("unknown-unit", format!("unknown unit in {shown}"), Some(hint))
        }),
    }
}

/// `1d`, `1h30m`: units from large to small, each once.
fn duration(written: &str) -> Option<Token> {
    let mut seconds: i64 = 0;
    let mut smallest = i64::MAX;
    let mut rest = written;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: i64 = rest[..digits].parse().ok()?;
        let unit = rest[digits..].chars().next()?;
        let each = match unit.to_ascii_lowercase() {
            'd' => 86_400,
            'h' => 3_600,
            'm' => 60,
            's' => 1,
            _ => return None,
        };
        if each >= smallest {
            return None;
        }
        smallest = each;
        seconds = seconds.checked_add(number.checked_mul(each)?)?;
        rest = &rest[digits + 1..];
    }
    Some(Token::Duration(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(text: &str) -> Vec<Token> {
        lex(text).expect("lexes").into_iter().map(|(token, _)| token).collect()
    }

    #[test]
    fn quantities_have_their_units() {
        let cases = [
            ("90s", Token::Duration(90)),
            ("30m", Token::Duration(1_800)),
            ("4h", Token::Duration(14_400)),
            ("4H", Token::Duration(14_400)),
            ("1d", Token::Duration(86_400)),
            ("1h30m", Token::Duration(5_400)),
            ("1d2h3m4s", Token::Duration(86_400 + 7_200 + 180 + 4)),
            ("512KB", Token::Size(524_288)),
            ("2gb", Token::Size(2_147_483_648)),
            ("85%", Token::Percent(85)),
            ("42", Token::Number(42)),
        ];
        for (text, expected) in cases {
            assert_eq!(measure(text), Ok(expected), "{text}");
        }
        assert_eq!(tokens("-1"), vec![Token::Number(-1), Token::End]);
    }

    #[test]
    fn what_is_no_quantity_says_why() {
        let cases = [
            ("1.5h", "not-whole"),
            ("30M", "ambiguous-unit"),
            ("2G", "unknown-unit"),
            ("30m1h", "unknown-unit"),
            ("1h1h", "unknown-unit"),
            ("500ms", "unknown-unit"),
            ("4hours", "unknown-unit"),
            ("99999999999999999999", "number-too-large"),
            ("9000000000GB", "number-too-large"),
            ("999999999999999999d", "unknown-unit"),
            ("5x", "unknown-unit"),
        ];
        for (text, expected) in cases {
            assert_eq!(measure(text).expect_err(text).0, expected, "{text}");
        }
    }

    #[test]
    fn a_doubled_quote_is_one() {
        assert_eq!(tokens("'it''s'"), vec![Token::Text("it's".into()), Token::End]);
        assert_eq!(tokens("''''"), vec![Token::Text("'".into()), Token::End]);
        assert_eq!(lex("a = 'x").expect_err("open").code, "unclosed-quote");
    }

    #[test]
    fn habits_from_elsewhere_are_answered() {
        let cases = [
            ("a == b", "not-an-operator"),
            ("a && b", "not-an-operator"),
            ("a || b", "not-an-operator"),
            ("!a", "not-an-operator"),
            ("sysdate - 1", "not-an-operator"),
            ("a = \"x\"", "double-quotes"),
            ("a like JDBC%", "needs-quotes"),
            ("a = web01.example.com", "needs-quotes"),
            ("a = CORP\\joe", "needs-quotes"),
            ("a = web-01", "needs-quotes"),
            ("a = 1;", "not-an-operator"),
            ("a = ~", "stray-character"),
        ];
        for (text, expected) in cases {
            assert_eq!(lex(text).expect_err(text).code, expected, "{text}");
        }
    }
}
