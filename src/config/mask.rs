//! Masks everything that may be a secret in the lines of a configuration, before a message shows them.
//!
//! A password does not belong in the file, but the message about it must not print it. Neither may a message about another
//! mistake in the same line, or about a file that is not valid YAML. So the text is masked before it is parsed. Only patterns
//! decide, and in doubt a text is masked.

use crate::yaml::diagnostics::nearest;

/// The text with its secrets masked; it has the same length in bytes and the same lines.
pub(super) fn mask(text: &str) -> String {
    let mut masked: Vec<u8> = text.as_bytes().to_vec();
    let mut start = 0;
    // Lines that are indented more than the key of a secret belong to its value.
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
        let found = [
            credentials_before_at(line),
            credentials_of_user(line),
            paths_of_urls(line),
        ];
        for (from, to) in found.concat() {
            cover(&mut masked, start + from, start + to);
        }
        start += line.len();
    }
    String::from_utf8(masked).unwrap_or_else(|_| text.replace(|c: char| !c.is_whitespace(), "*"))
}

/// Replaces each byte of a range with a star. The range consists of whole characters.
pub(super) fn cover(text: &mut [u8], from: usize, to: usize) {
    for byte in &mut text[from..to] {
        if !byte.is_ascii_whitespace() {
            *byte = b'*';
        }
    }
}

/// Whether a value says where a secret is stored, such as `{credential: prod}` or `file: /etc/...`, and is not itself the
/// secret.
fn is_reference(value: &str) -> bool {
    let inner = value.trim_start_matches(['{', ' ', '"', '\'']);
    let one = !inner.contains(',') || inner.find('}') < inner.find(',');
    one && ["credential", "file", "env"].iter().any(|key| {
        inner
            .strip_prefix(key)
            .is_some_and(|rest| rest.trim_start_matches(['"', '\'']).trim_start().starts_with(':'))
    })
}

/// The start of the value after the first key in a line that may be the key of a secret.
fn secret_value(line: &str) -> Option<usize> {
    let mut from = 0;
    // `password: x` in YAML, `PASSWORD=x` in a connect descriptor.
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
    let telling = ["pass", "pwd", "secret", "token", "kennwort", "bearer"]
        .iter()
        .any(|part| lower.contains(part));
    telling || lower == "pw" || nearest(&lower, ["password"]).is_some()
}

/// The passwords in texts like `user/password@host`.
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

/// The passwords in texts like `user: reaper/password`, which is the syntax of SQL*Plus.
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
            // Up to the end of the line, because a password may contain a comma.
            found.push((value + separator + slash + 1, line.len()));
        }
    }
    found
}

/// What comes after the host in the addresses of web servers, which is the secret of a webhook; the user before the host too.
fn paths_of_urls(line: &str) -> Vec<(usize, usize)> {
    let lower = line.to_ascii_lowercase();
    let mut found = Vec::new();
    for scheme in ["http://", "https://"] {
        for (at, _) in lower.match_indices(scheme) {
            let begin = at + scheme.len();
            let length = line[begin..]
                .find([' ', '\t', '"', '\'', '\n', '\r', '}'])
                .unwrap_or(line.len() - begin);
            let url = &line[begin..begin + length];
            let path = url.find(['/', '?', '#']).unwrap_or(length);
            let user = url[..path].contains('@');
            found.push((begin + if user { 0 } else { path }, begin + length));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_may_be_a_secret_is_masked() {
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
            "url: https://hooks.slack.com/services/hunter2",
            "- {name: a, url: 'HTTPS://example.webhook.office.com?sig=hunter2', kind: teams}",
            "url: https://hunter2:x@example.com",
            "bearer: hunter2",
        ] {
            let masked = mask(text);
            assert!(!masked.contains("hunter2"), "{masked}");
            assert_eq!(masked.len(), text.len());
            assert_eq!(masked.lines().count(), text.lines().count());
        }
    }

    #[test]
    fn text_without_secrets_is_unchanged() {
        for text in [
            "password: {credential: prod}",
            "password: {file: /etc/orareaper/prod}",
            "password:\n  env: PROD_PW\narmed: true\n",
            "connect: //db1.example.com:1521/ORCLPDB1",
            "user: reaper",
            "- {name: user, connect: //db1/PROD}",
            "url: https://hooks.example.com",
            "url: {file: /etc/orareaper/hook}",
            "bearer: {credential: hook}",
        ] {
            assert_eq!(mask(text), text);
        }
    }
}
