//! Whether a regular expression means the same in Oracle and here. Where it may not, it is not carried over.

use super::operand::Step;

const FLAGS: &str =
    "write `program matches '...'`, which has no back-references, no look-around and only the flags i, c, n, m and x";
const COMMENT: &str = "with the flag x, `#` begins a comment here and blanks in brackets count for nothing: write `matches '...'` without x";
const BRACKET: &str = "in Oracle, `\\` and `[` in brackets are ordinary characters, and here they are not: write `matches '...'` without them";
const CLASS: &str =
    "classes such as [:alpha:] have other letters here than in Oracle: write the letters out, `matches '[A-Za-z]'`";
const ESCAPE: &str = "Oracle reads `\\` before this character as the character alone, and `matches` reads something else: leave the `\\` out";
const CASE: &str =
    "under UPPER or LOWER, a letter of the other case never matches: to ignore letter case, write `matches '(?i)...'`";
const FUNCTION: &str = "inside REGEXP_LIKE, only UPPER, LOWER and NVL around a column have a counterpart: `matches` looks at all of the column's text";
const CLOSED: &str =
    "Oracle and `matches` read braces and `(?` in other ways: write `matches '...'`, and test what it matches";

/// The regular expression with Oracle's flags at its beginning. Of `i` and `c` the last one counts; `n` lets a period match a line
/// end.
pub(super) fn same_here(pattern: &str, flags: &str, steps: &[Step]) -> Result<regex::Regex, &'static str> {
    if !flags.chars().all(|flag| "icnmx".contains(flag)) {
        return Err(FLAGS);
    }
    if !steps.iter().all(|step| step.folds() || matches!(step, Step::Null(_))) {
        return Err(FUNCTION);
    }
    let ignores_case = flags.rfind(['i', 'c']).is_some_and(|at| flags[at..].starts_with('i'));
    let fold = steps.iter().rev().find(|step| step.folds()).filter(|_| !ignores_case);
    Scan {
        rest: pattern,
        spaced: flags.contains('x'),
        fold,
    }
    .all()?;
    let mut inline = String::new();
    for (set, flag) in [
        (ignores_case, 'i'),
        (flags.contains('m'), 'm'),
        (flags.contains('n'), 's'),
        (flags.contains('x'), 'x'),
    ] {
        if set {
            inline.push(flag);
        }
    }
    regex::Regex::new(&with_flag(pattern, &inline)).map_err(|_| FLAGS)
}

/// A regular expression with flags before its own.
pub(super) fn with_flag(regex: &str, flags: &str) -> String {
    if flags.is_empty() {
        return regex.to_owned();
    }
    match regex.strip_prefix("(?").and_then(|rest| rest.split_once(')')) {
        Some((own, _)) if own.contains(flags) => regex.to_owned(),
        Some((own, rest)) => format!("(?{flags}{own}){rest}"),
        None => format!("(?{flags}){regex}"),
    }
}

/// Reads a pattern of Oracle.
struct Scan<'a> {
    rest: &'a str,
    /// The flag x is set.
    spaced: bool,
    /// The function that left no letters of one case.
    fold: Option<&'a Step>,
}

impl Scan<'_> {
    fn all(mut self) -> Result<(), &'static str> {
        while let Some(character) = self.next() {
            match character {
                '\\' => self.escaped()?,
                '[' => self.bracket()?,
                '(' if self.rest.starts_with('?') => return Err(CLOSED),
                '{' => self.braces()?,
                '#' if self.spaced => return Err(COMMENT),
                // Oracle refuses some of these, and reads the others in ways of its own.
                '*' | '+' | '?' if self.rest.starts_with(['*', '+', '{']) => return Err(CLOSED),
                other => self.in_case(other)?,
            }
        }
        Ok(())
    }

    fn next(&mut self) -> Option<char> {
        let character = self.rest.chars().next()?;
        self.rest = &self.rest[character.len_utf8()..];
        Some(character)
    }

    fn in_case(&self, letter: char) -> Result<(), &'static str> {
        let mut bytes = [0; 4];
        let changed = |fold: &Step| super::shape::is_changed(fold, letter.encode_utf8(&mut bytes));
        if self.fold.is_some_and(changed) {
            Err(CASE)
        } else {
            Ok(())
        }
    }

    fn escaped(&mut self) -> Result<(), &'static str> {
        match self.next() {
            Some('d' | 'D' | 'w' | 'W' | 's' | 'S' | 'A') => Ok(()),
            // Here, `\<` and `\>` are the ends of a word.
            Some('<' | '>' | ' ' | '#') => Err(ESCAPE),
            Some('1'..='9') => Err(FLAGS),
            Some(other) if other.is_ascii_punctuation() && other != '_' => Ok(()),
            _ => Err(ESCAPE),
        }
    }

    fn bracket(&mut self) -> Result<(), &'static str> {
        let own = self.rest.strip_prefix('^').unwrap_or(self.rest);
        let first = usize::from(own.starts_with(']'));
        let length = own[first..].find(']').ok_or(CLOSED)? + first;
        let mut members = &own[..length];
        self.rest = &own[length + 1..];
        if members.contains("[:") && self.rest.starts_with(']') {
            let digits = ["[:digit:", "[:xdigit:"];
            if !digits.contains(&members) {
                return Err(CLASS);
            }
            self.rest = &self.rest[1..];
            members = "0";
        }
        if members.contains(['\\', '[']) || ["&&", "--", "~~"].iter().any(|operator| members.contains(operator)) {
            return Err(BRACKET);
        }
        if self.spaced && members.contains(|c: char| c.is_whitespace() || c == '#') {
            return Err(COMMENT);
        }
        let letters: Vec<char> = members.chars().collect();
        for (at, letter) in letters.iter().enumerate() {
            self.in_case(*letter)?;
            let range = *letter == '-' && at > 0 && at + 1 < letters.len();
            let plain = |c: char| c.is_ascii_digit() || c.is_ascii_alphabetic();
            // A range from `+` to `~` has letters of both cases.
            if range
                && self.fold.is_some()
                && !(plain(letters[at - 1])
                    && plain(letters[at + 1])
                    && letters[at - 1].is_ascii_digit() == letters[at + 1].is_ascii_digit())
            {
                return Err(CASE);
            }
        }
        Ok(())
    }

    /// `{2}`, `{2,}` or `{2,5}`; anything else in braces is read in other ways.
    fn braces(&mut self) -> Result<(), &'static str> {
        let (inner, rest) = self.rest.split_once('}').ok_or(CLOSED)?;
        let (low, high) = inner.split_once(',').unwrap_or((inner, ""));
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if low.is_empty() || !digits(low) || !digits(high) || rest.starts_with(['*', '+', '{']) {
            return Err(CLOSED);
        }
        self.rest = rest;
        Ok(())
    }
}
