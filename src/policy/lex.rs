//! Splits a condition into tokens, each with its position.
//!
//! DBAs type things that are not in the language: `==`, `&&`, `"quoted"`, `-- comment`. They are recognized here, and the
//! message says what to write instead, rather than "unexpected character". Reading then goes on with the token that was
//! meant, so that one run reports all mistakes. Arithmetic and aliases are tokens too: the parser reads them, and `habit`
//! says what to write instead.

mod letters;
mod quantity;

use std::ops::Range;

use super::condition::Comparison;
use super::habit::instead_of_column;
use crate::session::column::Column;
use crate::yaml::diagnostics::quoted;

use letters::{invisible, latin, named, without_invisible};
pub(crate) use quantity::{in_a_smaller_unit, measure};

/// The longest condition that is read, in bytes.
pub(crate) const LONGEST: usize = 16 * 1024;

/// A token of a condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    /// A keyword, a column or a text without quotes, as written.
    Word(String),
    /// `'text'`; a doubled quote inside it is one quote here.
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
    /// A comparison operator.
    Operator(Comparison),
    /// `0.5`, as written.
    Fraction(String),
    /// One of `+ - * /`, or `|` for `||` between texts.
    Arithmetic(char),
    /// `s.status`: the prefix and the name.
    Qualified(String, String),
    /// `&name` or `:name`.
    Variable(String),
    /// Text with a mistake that is already reported.
    Wrong,
    /// The end of the condition, so that there is always a next token.
    End,
}

impl Token {
    /// The token in words, for messages.
    pub(crate) fn describe(&self) -> String {
        match self {
            Token::Word(word) => quoted(word),
            Token::Text(_) => "a quoted text".to_owned(),
            Token::Number(_) => "a number".to_owned(),
            Token::Duration(_) => "a duration".to_owned(),
            Token::Size(_) => "a size".to_owned(),
            Token::Percent(_) => "a percentage".to_owned(),
            Token::Name(name) => quoted(&format!("@{name}")),
            Token::Open => "`(`".to_owned(),
            Token::Close => "`)`".to_owned(),
            Token::Comma => "`,`".to_owned(),
            Token::Operator(operator) => format!("`{}`", operator.sql()),
            Token::Fraction(number) => quoted(number),
            Token::Arithmetic('|') => "`||`".to_owned(),
            Token::Arithmetic(operator) => format!("`{operator}`"),
            Token::Qualified(prefix, name) => quoted(&format!("{prefix}.{name}")),
            Token::Variable(name) => quoted(name),
            Token::Wrong => "the text marked above".to_owned(),
            Token::End => "the end of the text".to_owned(),
        }
    }
}

/// A mistake in an expression; `at` is in bytes of the expression.
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

/// The tokens of a condition, and the mistakes found in it.
#[derive(Debug)]
pub(crate) struct Lexed {
    /// Ends with [`Token::End`].
    pub(crate) tokens: Vec<(Token, Range<usize>)>,
    pub(crate) mistakes: Vec<Mistake>,
}

/// Splits a condition into tokens.
pub(crate) fn lex(text: &str) -> Lexed {
    let mut lexer = Lexer {
        text,
        at: 0,
        tokens: Vec::new(),
        mistakes: Vec::new(),
    };
    if text.len() > LONGEST {
        let message = format!("the condition has {} bytes; the limit is {LONGEST}", text.len());
        let mistake = Mistake::new(0..1, "condition-too-long", message)
            .hint("name parts of it under `conditions:`, or move long lists to `lists:`");
        lexer.mistakes.push(mistake);
        lexer.at = text.len();
    }
    while let Some(next) = text[lexer.at..].chars().next() {
        if next.is_whitespace() {
            lexer.at += next.len_utf8();
        } else if invisible(next) {
            let message = format!("an invisible character, {}", named(next));
            lexer.without(next.len_utf8(), "stray-character", message, "delete it");
        } else {
            lexer.next(next);
        }
    }
    let end = text.trim_end().len();
    lexer.tokens.push((Token::End, end..end));
    Lexed {
        tokens: lexer.tokens,
        mistakes: lexer.mistakes,
    }
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    tokens: Vec<(Token, Range<usize>)>,
    mistakes: Vec<Mistake>,
}

impl Lexer<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    /// Takes the next `length` bytes as a token.
    fn take(&mut self, token: Token, length: usize) {
        let end = self.at + length;
        self.tokens.push((token, self.at..end));
        self.at = end;
    }

    /// Reports the next `length` bytes and takes them as `token`, which is what was meant.
    fn instead(&mut self, token: Token, length: usize, code: &'static str, message: impl Into<String>, hint: &str) {
        let mistake = Mistake::new(self.at..self.at + length, code, message);
        self.mistakes
            .push(if hint.is_empty() { mistake } else { mistake.hint(hint) });
        self.take(token, length);
    }

    /// Reports the next `length` bytes and skips them.
    fn without(&mut self, length: usize, code: &'static str, message: impl Into<String>, hint: &str) {
        let mistake = Mistake::new(self.at..self.at + length, code, message).hint(hint);
        self.mistakes.push(mistake);
        self.at += length;
    }

    fn habit(&mut self, token: Token, length: usize, hint: &str) {
        let message = format!("{} is not an operator", quoted(&self.rest()[..length]));
        self.instead(token, length, "not-an-operator", message, hint);
    }

    /// Whether a value is expected here and not a column.
    fn after_operator(&self) -> bool {
        match self.tokens.last() {
            Some((Token::Operator(_), _)) => true,
            Some((Token::Word(word), _)) => ["like", "matches", "than"]
                .iter()
                .any(|operator| operator.eq_ignore_ascii_case(word)),
            _ => false,
        }
    }

    fn next(&mut self, next: char) {
        let rest = self.rest();
        match next {
            '(' => self.take(Token::Open, 1),
            ')' => self.take(Token::Close, 1),
            ',' => self.take(Token::Comma, 1),
            '=' | '<' | '>' | '!' | '^' => self.operator(next),
            '&' | '|' => self.and_or(next),
            '≥' | '≤' | '≠' => self.mathematical(next),
            '\'' => self.quoted_text(),
            '‘' | '’' | '‚' | '‛' | '´' | '`' | '“' | '”' | '„' => self.typographic_quotes(next),
            '"' => self.double_quotes(),
            '@' => self.name(),
            '0'..='9' => self.quantity(),
            '.' if rest[1..].starts_with(|c: char| c.is_ascii_digit()) => self.quantity(),
            '-' if rest.starts_with("--") => {
                let length = rest.find('\n').unwrap_or(rest.len());
                self.without(
                    length,
                    "sql-comment",
                    "`--` does not begin a comment here",
                    "comments in YAML begin with `#`",
                );
            }
            '/' if rest.starts_with("/*") => {
                let length = rest.find("*/").map_or(rest.len(), |at| at + 2);
                self.without(
                    length,
                    "sql-comment",
                    "`/*` does not begin a comment here",
                    "comments in YAML begin with `#`",
                );
            }
            '+' | '-' | '*' | '/' => self.take(Token::Arithmetic(next), 1),
            '%' => self.instead(
                Token::Wrong,
                1,
                "stray-character",
                "unexpected `%`",
                "quote a pattern, `program like 'JDBC%'`; a percentage follows its number, `85%`",
            ),
            ';' => self.without(1, "not-an-operator", "unexpected `;`", "leave it out"),
            ':' if rest[1..].starts_with(is_word) => self.variable(),
            next if is_word(next) => self.word(),
            _ => self.stray(),
        }
    }

    fn operator(&mut self, next: char) {
        let rest = self.rest();
        let blanks = rest[1..].len() - rest[1..].trim_start_matches(' ').len();
        let apart = blanks > 0 && rest[1 + blanks..].starts_with('=');
        let two = |wanted| rest.starts_with(wanted);
        let take = |comparison| Token::Operator(comparison);
        match next {
            '=' if two("==") => self.habit(take(Comparison::Equal), 2, "write `=`"),
            '=' if two("=>") => self.habit(take(Comparison::GreaterOrEqual), 2, "write `>=`"),
            '=' if two("=<") => self.habit(take(Comparison::LessOrEqual), 2, "write `<=`"),
            '=' => self.take(take(Comparison::Equal), 1),
            '<' if two("<>") => self.take(take(Comparison::NotEqual), 2),
            '<' if two("<=") => self.take(take(Comparison::LessOrEqual), 2),
            '<' if apart => self.habit(take(Comparison::LessOrEqual), 2 + blanks, "write `<=`"),
            '<' => self.take(take(Comparison::Less), 1),
            '>' if two(">=") => self.take(take(Comparison::GreaterOrEqual), 2),
            '>' if apart => self.habit(take(Comparison::GreaterOrEqual), 2 + blanks, "write `>=`"),
            '>' => self.take(take(Comparison::Greater), 1),
            '!' if two("!>") => self.habit(take(Comparison::LessOrEqual), 2, "write `<=`"),
            '!' if two("!<") => self.habit(take(Comparison::GreaterOrEqual), 2, "write `>=`"),
            '!' if two("!=") => self.take(take(Comparison::NotEqual), 2),
            '!' => self.habit(Token::Word("not".to_owned()), 1, "write `not`"),
            '^' if two("^=") => self.habit(take(Comparison::NotEqual), 2, "write `!=`"),
            _ => self.stray(),
        }
    }

    /// Operators that a word processor or a web page made one character.
    fn mathematical(&mut self, next: char) {
        let (operator, hint) = match next {
            '≥' => (Comparison::GreaterOrEqual, "write `>=`"),
            '≤' => (Comparison::LessOrEqual, "write `<=`"),
            _ => (Comparison::NotEqual, "write `!=`"),
        };
        self.habit(Token::Operator(operator), next.len_utf8(), hint);
    }

    /// `&` and `|`: AND and OR in other languages, variables in SQL*Plus, concatenation.
    fn and_or(&mut self, next: char) {
        let length = self.rest().chars().take_while(|c| *c == next).count();
        let after = &self.rest()[length..];
        let message = format!("`{next}` is not an operator");
        if next == '&' {
            let value = matches!(
                self.tokens.last(),
                Some((
                    Token::Operator(_) | Token::Arithmetic(_) | Token::Open | Token::Comma,
                    _
                ))
            );
            if (value || self.after_operator()) && after.starts_with(is_word) {
                return self.variable();
            }
            return self.instead(
                Token::Word("and".to_owned()),
                length,
                "not-an-operator",
                message,
                "write `and`",
            );
        }
        let joins_texts = matches!(self.tokens.last(), Some((Token::Text(_), _)))
            || after.trim_start().starts_with('\'')
            || self.after_a_column_alone();
        if length == 2 && joins_texts {
            return self.take(Token::Arithmetic('|'), 2);
        }
        self.instead(
            Token::Word("or".to_owned()),
            length,
            "not-an-operator",
            message,
            "write `or`",
        );
    }

    /// Whether the last token is a column without a comparison, as in `username || program = 'AB'`.
    fn after_a_column_alone(&self) -> bool {
        let (before, Some((Token::Word(last) | Token::Qualified(_, last), _))) =
            (self.tokens.iter().rev().nth(1), self.tokens.last())
        else {
            return false;
        };
        let begins = match before {
            None | Some((Token::Open | Token::Arithmetic(_), _)) => true,
            Some((Token::Word(word), _)) => ["and", "or", "not"].iter().any(|one| one.eq_ignore_ascii_case(word)),
            Some(_) => false,
        };
        // `blocking || blocked` is two phrases.
        begins && Column::named(last).is_some() && !last.eq_ignore_ascii_case("blocking")
    }

    fn variable(&mut self) {
        let sign = self.rest().len() - self.rest().trim_start_matches(['&', ':']).len();
        let name = &self.rest()[sign..];
        let length = sign + name.find(|c: char| !is_word(c)).unwrap_or(name.len());
        let written = self.rest()[..length].to_owned();
        self.take(Token::Variable(written), length);
    }

    fn name(&mut self) {
        let rest = &self.rest()[1..];
        let length = rest
            .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '-'))
            .unwrap_or(rest.len());
        if length == 0 {
            let mistake = Mistake::new(self.at..self.at + 1, "bad-name", "`@` is not followed by a name")
                .expected("expected a name");
            self.mistakes.push(mistake);
            return self.take(Token::Wrong, 1);
        }
        let name = rest[..length].to_owned();
        self.take(Token::Name(name), length + 1);
    }

    fn word(&mut self) {
        let rest = self.rest();
        let length = rest.find(|c: char| !is_word(c) && !invisible(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(length);
        if let Some(hidden) = word.chars().find(|c| invisible(*c)) {
            let seen = without_invisible(word);
            let message = format!("an invisible character in `{seen}`, {}", named(hidden));
            let hint = format!("write `{seen}`");
            return self.instead(Token::Word(seen), length, "stray-character", message, &hint);
        }
        if let Some((letter, meant)) = latin(word) {
            let message = format!("a letter in {} is not Latin: {}", quoted(word), named(letter));
            let hint = format!("write `{meant}`");
            return self.instead(Token::Word(meant), length, "stray-character", message, &hint);
        }
        let sign = after.chars().next();
        let goes_on = matches!(sign, Some('.' | '\\' | ':' | '%' | '@' | '-' | '/'))
            && after[1..].starts_with(|c: char| is_word(c) || c == '%' || c == '.');
        if let Some((name, whole)) = self.qualified(word, after) {
            return self.take(Token::Qualified(word.to_owned(), name), whole);
        }
        let is_operand =
            matches!(sign, Some('-' | '/')) && (Column::named(word).is_some() || instead_of_column(word).is_some());
        if goes_on && !is_operand || sign == Some('%') {
            return self.unquoted();
        }
        self.take(Token::Word(word.to_owned()), length);
    }

    /// For `s.status` or `v$session.status`: the name after the prefix, and the length of the whole.
    fn qualified(&self, prefix: &str, after: &str) -> Option<(String, usize)> {
        let name = after.strip_prefix('.')?;
        let length = name.find(|c: char| !is_word(c)).unwrap_or(name.len());
        let (name, beyond) = name.split_at(length);
        if !name.starts_with(char::is_alphabetic) || beyond.starts_with(['.', '\\', ':', '%', '@']) {
            return None;
        }
        let known = Column::named(name).is_some() || instead_of_column(name).is_some();
        let of_a_view = prefix.len() <= 3 || prefix.to_ascii_lowercase().contains("v$");
        let again = |token: &Token| matches!(token, Token::Qualified(before, _) if before.eq_ignore_ascii_case(prefix));
        let of_a_view = of_a_view && (!self.after_operator() || self.tokens.iter().any(|(token, _)| again(token)));
        (known || of_a_view).then(|| (name.to_owned(), prefix.len() + 1 + length))
    }

    /// A text without quotes that contains characters for which it needs them.
    fn unquoted(&mut self) {
        let rest = self.rest();
        let length = rest
            .find(|c: char| c.is_whitespace() || matches!(c, ',' | '(' | ')' | '\'' | '='))
            .unwrap_or(rest.len());
        let written = rest[..length].to_owned();
        let message = format!("{} must be quoted", quoted(&written));
        let hint = format!("write '{written}'");
        self.instead(Token::Text(written), length, "needs-quotes", message, &hint);
    }

    fn stray(&mut self) {
        let known = |c: char| c.is_whitespace() || is_word(c) || "()<>=!&|'\"@.+-*/%;:,".contains(c);
        let rest = self.rest();
        let length = match rest.find(known) {
            Some(0) => rest.chars().next().map_or(1, char::len_utf8),
            Some(length) => length,
            None => rest.len(),
        };
        let message = format!("unexpected {}", quoted(&rest[..length]));
        self.instead(
            Token::Wrong,
            length,
            "stray-character",
            message,
            "write texts in single quotes: `machine = 'web-01'`",
        );
    }

    fn quoted_text(&mut self) {
        let mut value = String::new();
        let mut characters = self.rest()[1..].char_indices().peekable();
        while let Some((offset, character)) = characters.next() {
            if character != '\'' {
                value.push(character);
            } else if characters.peek().is_some_and(|(_, next)| *next == '\'') {
                characters.next();
                value.push('\'');
            } else {
                return self.take(Token::Text(value), offset + 2);
            }
        }
        let length = self.rest().trim_end().len();
        self.instead(
            Token::Wrong,
            length,
            "unclosed-quote",
            "this quote is never closed",
            "write a quote inside a text twice: `'it''s'`",
        );
    }

    /// Quotes of a word processor or a web page. They never end where a straight one stands.
    fn typographic_quotes(&mut self, next: char) {
        let is_quote = |c: char| matches!(c, '‘' | '’' | '‚' | '‛' | '´' | '`' | '“' | '”' | '„' | '\'' | '"');
        let rest = &self.rest()[next.len_utf8()..];
        let Some(end) = rest.find(is_quote) else {
            return self.stray();
        };
        let inner = rest[..end].to_owned();
        let closing = rest[end..].chars().next().map_or(0, char::len_utf8);
        let length = next.len_utf8() + end + closing;
        if !self.after_operator()
            && let Some(column) = Column::named(&inner)
        {
            let hint = format!("write `{}`", column.name());
            let message = "a column is written without quotes";
            return self.instead(Token::Word(inner), length, "double-quotes", message, &hint);
        }
        let hint = format!("write '{inner}'");
        self.instead(
            Token::Text(inner),
            length,
            "needs-quotes",
            format!("`{next}` is not a quote: texts have straight single quotes"),
            &hint,
        );
    }

    /// Double quotes, which enclose a text in other languages and a name in Oracle.
    fn double_quotes(&mut self) {
        let rest = self.rest();
        let length = rest[1..].find('"').map_or(1, |length| length + 2);
        let inner = rest[..length].trim_matches('"').to_owned();
        if !self.after_operator()
            && let Some(column) = Column::named(&inner)
        {
            let hint = format!("write `{}`", column.name());
            return self.instead(
                Token::Word(inner),
                length,
                "double-quotes",
                "a column is written without quotes",
                &hint,
            );
        }
        let hint = if inner.contains('\'') {
            "write it in single quotes, and each quote inside it twice".to_owned()
        } else {
            format!("write '{inner}'")
        };
        let token = if length == 1 { Token::Wrong } else { Token::Text(inner) };
        self.instead(token, length, "double-quotes", "write texts in single quotes", &hint);
    }

    /// A number and its unit, if it has one.
    fn quantity(&mut self) {
        let rest = self.rest();
        let length = rest
            .find(|c: char| !(is_word(c) || matches!(c, '.' | '%')))
            .unwrap_or(rest.len());
        let written = rest[..length].to_owned();
        if written.contains('.')
            && written.bytes().all(|b| b.is_ascii_digit() || b == b'.')
            && written.parse::<f64>().is_ok()
        {
            return self.take(Token::Fraction(written), length);
        }
        match measure(&written) {
            Ok(token) => self.take(token, length),
            Err((code, message, hint)) => {
                self.instead(Token::Wrong, length, code, message, &hint.unwrap_or_default());
            }
        }
    }
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || matches!(character, '_' | '$' | '#')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(text: &str) -> Vec<Token> {
        let lexed = lex(text);
        assert_eq!(lexed.mistakes, [], "{text}");
        lexed.tokens.into_iter().map(|(token, _)| token).collect()
    }

    #[test]
    fn quantities_are_read_with_their_units() {
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
        assert_eq!(tokens("-1"), vec![Token::Arithmetic('-'), Token::Number(1), Token::End]);
    }

    #[test]
    fn each_wrong_quantity_has_its_fault_code() {
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
    fn a_doubled_quote_is_read_as_one() {
        assert_eq!(tokens("'it''s'"), vec![Token::Text("it's".into()), Token::End]);
        assert_eq!(tokens("''''"), vec![Token::Text("'".into()), Token::End]);
        assert_eq!(lex("a = 'x").mistakes[0].code, "unclosed-quote");
    }

    #[test]
    fn syntax_of_other_languages_has_its_fault_code() {
        let cases = [
            ("a == b", "not-an-operator"),
            ("a && b", "not-an-operator"),
            ("a || b", "not-an-operator"),
            ("!a", "not-an-operator"),
            ("a => 1", "not-an-operator"),
            ("a < = 1", "not-an-operator"),
            ("a ^= 1", "not-an-operator"),
            ("a = 1 -- why", "sql-comment"),
            ("a /* why */ = 1", "sql-comment"),
            ("a.b.c = 1", "needs-quotes"),
            ("a = \"x\"", "double-quotes"),
            ("a like JDBC%", "needs-quotes"),
            ("a = web01.example.com", "needs-quotes"),
            ("a = CORP\\joe", "needs-quotes"),
            ("a = web-01", "needs-quotes"),
            ("a = 1;", "not-an-operator"),
            ("a = ~", "stray-character"),
            ("a = 1 \u{200b}", "stray-character"),
        ];
        for (text, expected) in cases {
            let codes: Vec<_> = lex(text).mistakes.into_iter().map(|mistake| mistake.code).collect();
            assert_eq!(codes, [expected], "{text}");
        }
    }

    #[test]
    fn characters_of_a_word_processor_are_read_as_what_they_stand_for() {
        let at_least = || Token::Operator(Comparison::GreaterOrEqual);
        let cases = [
            ("idle ≥ 4h", 1, at_least(), "write `>=`"),
            ("idle ≤ 4h", 1, Token::Operator(Comparison::LessOrEqual), "write `<=`"),
            ("sid ≠ 4", 1, Token::Operator(Comparison::NotEqual), "write `!=`"),
            ("idle !> 4h", 1, Token::Operator(Comparison::LessOrEqual), "write `<=`"),
            ("idle !< 4h", 1, at_least(), "write `>=`"),
            ("a like ’JDBC%’", 2, Token::Text("JDBC%".into()), "write 'JDBC%'"),
            ("a like ‘JDBC%’ and b", 2, Token::Text("JDBC%".into()), "write 'JDBC%'"),
            ("a = “toad”", 2, Token::Text("toad".into()), "write 'toad'"),
            ("`status` = 'x'", 0, Token::Word("status".into()), "write `status`"),
            ("a = ’toad'", 2, Token::Text("toad".into()), "write 'toad'"),
        ];
        for (text, at, token, hint) in cases {
            let lexed = lex(text);
            assert_eq!(lexed.tokens[at].0, token, "{text}");
            let hints: Vec<_> = lexed.mistakes.iter().filter_map(|one| one.hint.as_deref()).collect();
            assert_eq!(hints, [hint], "{text}");
            // The mark is the whole token, so that the advice can stand in its place.
            assert_eq!(lexed.mistakes[0].at, lexed.tokens[at].1, "{text}");
        }
        assert_eq!(lex("a = ’toad").mistakes[0].code, "stray-character");
    }

    #[test]
    fn arithmetic_aliases_and_variables_are_not_read_as_texts() {
        let words = |text| tokens(text)[0].clone();
        let qualified = |prefix: &str, name: &str| Token::Qualified(prefix.into(), name.into());
        assert_eq!(words("s.status = 1"), qualified("s", "status"));
        assert_eq!(words("gv$session.serial# = 1"), qualified("gv$session", "serial#"));
        assert_eq!(words("s.usernme = 1"), qualified("s", "usernme"));
        assert_eq!(words("last_call_et/3600"), Token::Word("last_call_et".into()));
        assert_eq!(tokens("sysdate-1")[1], Token::Arithmetic('-'));
        assert_eq!(tokens("sid = &sid")[2], Token::Variable("&sid".into()));
        assert_eq!(tokens("sid = :sid")[2], Token::Variable(":sid".into()));
        assert_eq!(tokens("sysdate - .5")[2], Token::Fraction(".5".into()));
    }
}
