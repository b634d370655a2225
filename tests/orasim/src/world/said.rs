//! What clients say of themselves, byte by byte.
//!
//! A text column holds bytes, of which a client may send any, and which Oracle cuts to the column's width wherever that
//! falls: in the middle of a character too. The world keeps texts as `str`; a byte that belongs to no character is kept as a
//! character of Unicode's last private plane, and becomes that byte again on its way out.

use std::borrow::Cow;

const FIRST: u32 = 0x10_fe00;
const LAST: u32 = FIRST + 0xff;

/// The character that stands for a byte.
fn kept(byte: u8) -> char {
    char::from_u32(FIRST + u32::from(byte)).unwrap_or(char::REPLACEMENT_CHARACTER)
}

/// The byte that a character stands for.
fn byte_of(c: char) -> Option<u8> {
    let c = u32::from(c);
    (FIRST..=LAST).contains(&c).then(|| (c - FIRST) as u8)
}

/// The bytes of a text; borrowed where all of them are characters.
pub(crate) fn bytes(text: &str) -> Cow<'_, [u8]> {
    if !text.chars().any(|c| byte_of(c).is_some()) {
        return Cow::Borrowed(text.as_bytes());
    }
    let mut bytes = Vec::with_capacity(text.len());
    for c in text.chars() {
        match byte_of(c) {
            Some(byte) => bytes.push(byte),
            None => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    Cow::Owned(bytes)
}

/// A text as it is shown to people: a replacement character for what is none.
pub(crate) fn shown(text: &str) -> String {
    String::from_utf8_lossy(&bytes(text)).into_owned()
}

/// `{xE9}` becomes the byte E9.
pub(super) fn with_bytes(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("{x") {
        out.push_str(&rest[..at]);
        let digits = rest
            .get(at + 2..at + 4)
            .filter(|_| rest.as_bytes().get(at + 4) == Some(&b'}'));
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                out.push(kept(byte));
                rest = &rest[at + 5..];
            }
            None => {
                out.push_str("{x");
                rest = &rest[at + 2..];
            }
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_goes_in_and_comes_out() {
        let text = with_bytes("caf{xE9} {x} {xZZ} ü{xFF}");
        assert_eq!(bytes(&text).as_ref(), b"caf\xe9 {x} {xZZ} \xc3\xbc\xff");
        assert_eq!(shown(&text), "caf\u{fffd} {x} {xZZ} ü\u{fffd}");
        assert!(matches!(bytes("plain"), Cow::Borrowed(b"plain")));
    }
}
