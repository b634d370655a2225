//! Writes the texts that are selected as a condition: with `=` or `in`, with `like`, or as a regular expression.

use super::operand::Step;
use super::shape::{Piece, TextShape};

/// More `_` than this in a pattern are counted by nobody.
const MOST_ONES: usize = 8;

/// For which values a function returns one, as a condition, and its opposite.
pub(super) struct Domain {
    pub(super) within: String,
    pub(super) outside: String,
}

/// Whether the function returns NULL for some texts.
pub(super) const fn is_partial(step: &Step) -> bool {
    match step {
        Step::Upper | Step::Lower | Step::Null(_) => false,
        Step::Substr { from, length } => *from < 0 || *from > 1 || matches!(length, Some(..1)),
        Step::Trim { .. } | Step::UpTo { .. } => true,
    }
}

/// The values for which a partial function returns one.
pub(super) fn domain(name: &str, step: &Step) -> Domain {
    let of = |shape: &[Piece], negated| term(name, negated, &[shape.to_vec()], false);
    match step {
        Step::Trim { .. } => Domain {
            within: matches(name, false, "[^ ]"),
            outside: matches(name, true, "[^ ]"),
        },
        Step::UpTo { delimiter, with_it } => {
            let anywhere = [Piece::Any, Piece::Text(delimiter.clone()), Piece::Any];
            let first = &anywhere[1..];
            if *with_it {
                return Domain {
                    within: of(&anywhere, false),
                    outside: of(&anywhere, true),
                };
            }
            Domain {
                within: format!("{} and {}", of(&anywhere, false), of(first, true)),
                outside: format!("{} or {}", of(&anywhere, true), of(first, false)),
            }
        }
        Step::Substr { from, .. } => {
            let least = if *from < 0 { from.saturating_neg() } else { *from };
            let mut long = vec![Piece::One; usize::try_from(least).unwrap_or_default()];
            long.push(Piece::Any);
            Domain {
                within: of(&long, false),
                outside: of(&long, true),
            }
        }
        Step::Upper | Step::Lower | Step::Null(_) => Domain {
            within: format!("{name} is not null"),
            outside: format!("{name} is null"),
        },
    }
}

pub(super) fn matches(name: &str, negated: bool, regex: &str) -> String {
    format!("{name} {}matches {}", not(negated), quoted(regex))
}

/// The condition that a value has one of these shapes.
pub(super) fn term(name: &str, negated: bool, shapes: &[TextShape], ignores_case: bool) -> String {
    let not = not(negated);
    let apart = shapes;
    let shapes: Vec<TextShape> = apart.iter().map(|shape| joined(shape)).collect();
    let ones = |shape: &TextShape| shape.iter().filter(|piece| **piece == Piece::One).count();
    let blanks = shapes.iter().flatten().any(|piece| *piece == Piece::Blanks);
    if !ignores_case && !blanks {
        let texts: Option<Vec<String>> = shapes
            .iter()
            .map(|shape| match shape.as_slice() {
                [Piece::Text(text)] => Some(quoted(text)),
                _ => None,
            })
            .collect();
        match (texts.as_deref(), shapes.as_slice()) {
            (Some([only]), _) => return format!("{name} {} {only}", if negated { "!=" } else { "=" }),
            (Some(several), _) => return format!("{name} {not}in ({})", several.join(", ")),
            (None, [only]) if ones(only) <= MOST_ONES => return format!("{name} {not}like {}", pattern(only)),
            (None, _) => {}
        }
    }
    matches(name, negated, &regex(apart, ignores_case))
}

const fn not(negated: bool) -> &'static str {
    if negated { "not " } else { "" }
}

pub(crate) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// The shape with texts in a row as one.
fn joined(shape: &[Piece]) -> TextShape {
    let mut whole = TextShape::new();
    for piece in shape {
        match (whole.last_mut(), piece) {
            (Some(Piece::Text(before)), Piece::Text(text)) => before.push_str(text),
            (Some(Piece::Any), Piece::Any) => {}
            _ => whole.push(piece.clone()),
        }
    }
    whole
}

/// A pattern of LIKE, with ESCAPE if it needs one.
fn pattern(shape: &TextShape) -> String {
    let text = |piece: &Piece| match piece {
        Piece::Text(text) => text.clone(),
        Piece::One | Piece::Any | Piece::Blanks => String::new(),
    };
    let texts: String = shape.iter().map(text).collect();
    let needed = texts.contains(['%', '_']);
    let escape = ['!', '\\', '~', '^']
        .into_iter()
        .find(|escape| !texts.contains(*escape));
    let escape = escape.unwrap_or('!');
    let mut pattern = String::new();
    for piece in shape {
        match piece {
            Piece::One => pattern.push('_'),
            Piece::Any | Piece::Blanks => pattern.push('%'),
            Piece::Text(text) => {
                for character in text.chars() {
                    if needed && (matches!(character, '%' | '_') || character == escape) {
                        pattern.push(escape);
                    }
                    pattern.push(character);
                }
            }
        }
    }
    if needed {
        format!("{} escape '{escape}'", quoted(&pattern))
    } else {
        quoted(&pattern)
    }
}

/// The regular expression for any of the shapes. What all have in common at either end is written once.
fn regex(shapes: &[TextShape], ignores_case: bool) -> String {
    let least = shapes.iter().map(Vec::len).min().unwrap_or(0);
    let common = |of: &dyn Fn(&TextShape) -> Piece| {
        let first = shapes.first().map(of);
        shapes.iter().all(|shape| Some(of(shape)) == first)
    };
    let head = (0..least).take_while(|at| common(&|shape| shape[*at].clone())).count();
    let tail = (0..least - head)
        .take_while(|at| common(&|shape| shape[shape.len() - 1 - at].clone()))
        .count();
    let first = shapes.first().map_or(&[][..], Vec::as_slice);
    let (mut before, mut after) = (&first[..head], &first[first.len() - tail..]);
    let (mut begins, mut ends) = ("^", "$");
    if let [Piece::Any, rest @ ..] = before {
        (begins, before) = ("", rest);
    }
    if let [rest @ .., Piece::Any] = after {
        (ends, after) = ("", rest);
    } else if let ([rest @ .., Piece::Any], true) = (before, shapes.len() == 1) {
        (ends, before) = ("", rest);
    }
    let middle: Vec<String> = shapes
        .iter()
        .map(|shape| pieces(&shape[head..shape.len() - tail]))
        .collect();
    let middle = match middle.as_slice() {
        [only] => only.clone(),
        several => format!("({})", several.join("|")),
    };
    let regex = format!("{begins}{}{middle}{}{ends}", pieces(before), pieces(after));
    let any = |piece: &Piece| matches!(piece, Piece::One | Piece::Any);
    let inner = before.iter().chain(after).any(any)
        || shapes
            .iter()
            .any(|shape| shape[head..shape.len() - tail].iter().any(any));
    // In LIKE, both wildcards match a line end too.
    match (ignores_case, inner) {
        (true, true) => format!("(?is){regex}"),
        (true, false) => format!("(?i){regex}"),
        (false, true) => format!("(?s){regex}"),
        (false, false) => regex,
    }
}

fn pieces(shape: &[Piece]) -> String {
    let mut regex = String::new();
    let mut rest = shape;
    while let Some(piece) = rest.first() {
        let run = rest.iter().take_while(|other| *other == piece).count();
        match piece {
            Piece::Text(text) => regex.push_str(&regex::escape(text).repeat(run)),
            Piece::One if run > 3 => regex.push_str(&format!(".{{{run}}}")),
            Piece::One => regex.push_str(&".".repeat(run)),
            Piece::Any => regex.push_str(".*"),
            Piece::Blanks => regex.push_str(" *"),
        }
        rest = &rest[run..];
    }
    regex
}
