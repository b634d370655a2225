//! Hides what may be a secret before a configuration's own lines are shown in a message.
//!
//! A password does not belong in the file, but the message that says so must not be the one that prints it; nor may a
//! mistake elsewhere in the same line, or a file that is not even YAML. So the text is masked before anything else is done
//! with it, by its look alone: too much rather than too little.

use crate::yaml::diagnostics::nearest;

/// The text with secrets masked; same length in bytes, same lines.
pub(super) fn mask(text: &str) -> String {
    let mut masked: Vec<u8> = text.as_bytes().to_vec();
    let mut start = 0;
    // Lines indented deeper than a secret's key belong to its value.
    let mut inside: Option<usize> = None;
    for line in text.split_inclusive('\n') {
        let indent = line.len() - line.trim_start_matches([' ', '-']).len();
        let blank = line.trim().is_empty();
        if inside.is_some_and(|key| indent <= key && !blank) {
            inside = None;
        }
        if inside.is_some() && !is_reference(line.trim()) {
            cover(&mut masked, start + indent.min(line.len()), start + line.len());
        }
        if let Some(value) = secret_value(line) {
            let rest = line[value..].trim();
            if !is_reference(rest) {
                cover(&mut masked, start + value, start + line.len());
            }
            inside = Some(indent);
        }
        for (from, to) in credentials_before_at(line).into_iter().chain(credentials_of_user(line)) {
            cover(&mut masked, start + from, start + to);
        }
        start += line.len();
    }
    String::from_utf8(masked).unwrap_or_else(|_| text.replace(|c: char| !c.is_whitespace(), "*"))
}

/// Whole characters are covered, each of their bytes by one star.
fn cover(text: &mut [u8], from: usize, to: usize) {
    for byte in &mut text[from..to] {
        if !byte.is_ascii_whitespace() {
            *byte = b'*';
        }
    }
}

/// `{credential: prod}`, `file: /etc/...`: the name of a place, not a secret.
fn is_reference(value: &str) -> bool {
    let inner = value.trim_start_matches(['{', ' ', '"', '\'']);
    let one = !inner.contains(',') || inner.find('}') < inner.find(',');
    one && ["credential", "file", "env"].iter().any(|key| {
        inner
            .strip_prefix(key)
            .is_some_and(|rest| rest.trim_start_matches(['"', '\'']).trim_start().starts_with(':'))
    })
}

/// Where the value after the line's first secret-looking key begins.
fn secret_value(line: &str) -> Option<usize> {
    let mut from = 0;
    // `password: x` of YAML, `PASSWORD=x` of a connect descriptor.
    while let Some(length) = line[from..].find([':', '=']) {
        let colon = from + length;
        let before = line[..colon].trim_end_matches(['"', '\'', ' ']);
        let word = before
            .rfind(|c: char| !(c.is_alphanumeric() || c == '_' || c == '-'))
            .map_or(before, |at| &before[at..])
            .trim_start_matches(|c: char| !c.is_alphanumeric());
        if is_secret_key(word) {
            return Some(colon + 1);
        }
        from = colon + 1;
    }
    None
}

fn is_secret_key(word: &str) -> bool {
    let lower = word.to_lowercase();
    let telling = ["pass", "pwd", "secret", "token", "kennwort"]
        .iter()
        .any(|part| lower.contains(part));
    telling || lower == "pw" || nearest(&lower, ["password"]).is_some()
}

/// The password of `user/password@host`.
fn credentials_before_at(line: &str) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    for (at, _) in line.match_indices('@') {
        let begin = line[..at].rfind([' ', '\t', '"', ':']).map_or(0, |before| before + 1);
        if let Some(slash) = line[begin..at].find('/') {
            found.push((begin + slash + 1, at));
        }
    }
    found
}

/// The password of `user: reaper/password`, as SQL*Plus takes it.
fn credentials_of_user(line: &str) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    for (at, key) in line.match_indices("user") {
        let value = at + key.len();
        let Some(separator) = line[value..].find(|c: char| !matches!(c, '"' | '\'' | ' ')) else {
            continue;
        };
        let rest = &line[value + separator..];
        if !rest.starts_with([':', '=']) {
            continue;
        }
        let end = rest.find([',', '}', '\n', '#']).unwrap_or(rest.len());
        if let Some(slash) = rest[..end].find('/') {
            // Up to the end of the line: a password may hold a comma.
            found.push((value + separator + slash + 1, line.len()));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_may_be_a_secret_is_hidden() {
        for text in [
            "password: hunter2",
            "  password:   \"hunter2\" # mine",
            "{name: x, password: hunter2, armed: true}",
            "- {user: a, pasword: hunter2}",
            "PASSWD: hunter2",
            "\"password\" : hunter2",
            "password:\n  hunter2\n",
            "password: |\n  hunter2\n  hunter2\n",
            "password: [hunter2]",
            "password: {plain: hunter2}",
            "password: {file: x, plain: hunter2}",
            "connect: scott/hunter2@//db1/PROD",
            "user: scott/hunter2@db1",
            "user: scott/hunter2",
            "- {user : 'scott/hun,ter2, hunter2', driver: oci}",
            "db_secret: hunter2",
            "  - password:\n      plain: hunter2\n",
            "connect: (DESCRIPTION=(SECURITY=(WALLET_PASSWORD=hunter2)))",
            "connect: tcps://db1/PROD?wallet_password = hunter2",
        ] {
            let masked = mask(text);
            assert!(!masked.contains("hunter2"), "{masked}");
            assert_eq!(masked.len(), text.len());
            assert_eq!(masked.lines().count(), text.lines().count());
        }
    }

    #[test]
    fn whatever_is_none_stays() {
        for text in [
            "password: {credential: prod}",
            "password: {file: /etc/orareaper/prod}",
            "password:\n  env: PROD_PW\narmed: true\n",
            "connect: //db1.example.com:1521/ORCLPDB1",
            "user: reaper",
            "- {name: user, connect: //db1/PROD}",
        ] {
            assert_eq!(mask(text), text);
        }
    }
}
