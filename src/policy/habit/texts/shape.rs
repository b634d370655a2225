//! The texts that a comparison selects, as the parts of a pattern, and how they look before each function around the column.

use super::operand::Step;
use crate::policy::condition::LikePart;

/// A part of a text.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Piece {
    Text(String),
    One,
    Any,
    Blanks,
}

/// A whole text.
pub(super) type TextShape = Vec<Piece>;

/// Why there is no shape.
#[derive(Debug)]
pub(super) enum Odd {
    /// No value has it, for this reason.
    Never(String),
    /// It has no simple form, for this reason.
    NoForm(String),
}

pub(super) fn of_like(parts: &[LikePart]) -> TextShape {
    let piece = |part: &LikePart| match part {
        LikePart::Text(text) => Piece::Text(text.to_string()),
        LikePart::One => Piece::One,
        LikePart::Any => Piece::Any,
    };
    parts.iter().map(piece).collect()
}

/// The values from which the function makes a text of this shape, and no others.
pub(super) fn before(step: &Step, shape: TextShape) -> Result<TextShape, Odd> {
    match step {
        Step::Upper | Step::Lower => folded(step, shape),
        Step::Null(_) => Ok(shape),
        Step::Trim { left, right } => trimmed(*left, *right, shape),
        Step::Substr { from, length } if *from < 0 => at_the_end(from.saturating_neg(), *length, &shape),
        Step::Substr { from, length } => from_the_beginning((*from).max(1), *length, shape),
        Step::UpTo { delimiter, with_it } => up_to(delimiter, *with_it, shape),
    }
}

fn folded(step: &Step, shape: TextShape) -> Result<TextShape, Odd> {
    let (name, kept) = if *step == Step::Upper {
        ("UPPER", "small")
    } else {
        ("LOWER", "capital")
    };
    for piece in &shape {
        if let Piece::Text(text) = piece
            && is_changed(step, text)
        {
            return Err(Odd::Never(format!(
                "{name} leaves no {kept} letter, and '{text}' has one"
            )));
        }
    }
    Ok(shape)
}

/// Whether the function would change a letter of the text, so that the text is no result of it.
pub(super) fn is_changed(step: &Step, text: &str) -> bool {
    text.chars().any(|letter| {
        let (upper, lower) = (letter.to_uppercase(), letter.to_lowercase());
        if *step == Step::Upper {
            upper.len() == 1 && !upper.eq(std::iter::once(letter))
        } else {
            lower.len() == 1 && !lower.eq(std::iter::once(letter))
        }
    })
}

fn trimmed(left: bool, right: bool, mut shape: TextShape) -> Result<TextShape, Odd> {
    let never = || Odd::Never("TRIM leaves no blank at an end".to_owned());
    let no_form = || Odd::NoForm("a pattern of what TRIM leaves has no counterpart".to_owned());
    if shape.iter().all(|piece| !matches!(piece, Piece::Text(_))) {
        return Err(no_form());
    }
    for (wanted, at_the_end) in [(left, false), (right, true)] {
        if !wanted {
            continue;
        }
        let edge = |shape: &TextShape, inwards: usize| {
            let at = if at_the_end {
                shape.len().checked_sub(inwards + 1)
            } else {
                Some(inwards)
            };
            at.and_then(|at| shape.get(at).cloned())
        };
        let blank = |text: &str| {
            if at_the_end {
                text.ends_with(' ')
            } else {
                text.starts_with(' ')
            }
        };
        match (edge(&shape, 0), edge(&shape, 1)) {
            (Some(Piece::Text(text)), _) if blank(&text) => return Err(never()),
            (Some(Piece::Text(_)), _) if at_the_end => shape.push(Piece::Blanks),
            (Some(Piece::Text(_)), _) => shape.insert(0, Piece::Blanks),
            (Some(Piece::Any), Some(Piece::Text(text))) if !blank(&text) => {}
            _ => return Err(no_form()),
        }
    }
    Ok(shape)
}

/// How many characters a shape has at least, and whether it has no more.
fn length(shape: &[Piece]) -> (usize, bool) {
    shape.iter().fold((0, true), |(least, fixed), piece| match piece {
        Piece::Text(text) => (least + text.chars().count(), fixed),
        Piece::One => (least + 1, fixed),
        Piece::Any | Piece::Blanks => (least, false),
    })
}

fn size(number: i64) -> usize {
    usize::try_from(number).unwrap_or(0)
}

fn ones(count: usize) -> TextShape {
    vec![Piece::One; count]
}

fn too_long(most: usize, least: usize) -> Odd {
    let characters = if most == 1 { "character" } else { "characters" };
    Odd::Never(format!(
        "SUBSTR returns at most {most} {characters}, and this has {least}"
    ))
}

fn part_only() -> Odd {
    Odd::NoForm("SUBSTR looks at a part of the text only, and a pattern would look at all of it".to_owned())
}

/// The longest part that a pattern counts out.
const LONGEST: i64 = 200;

fn from_the_beginning(from: i64, most: Option<i64>, shape: TextShape) -> Result<TextShape, Odd> {
    if from > LONGEST || most.is_some_and(|most| most > 4_000) {
        return Err(part_only());
    }
    let (least, fixed) = length(&shape);
    if least == 0 && from > 1 {
        return Err(part_only());
    }
    let mut whole = ones(size(from - 1));
    let Some(most) = most.map(size) else {
        whole.extend(shape);
        return Ok(whole);
    };
    if most == 0 {
        return Err(Odd::Never("SUBSTR of no characters is NULL".to_owned()));
    }
    if least > most {
        return Err(too_long(most, least));
    }
    let only_at_the_end = shape
        .split_last()
        .is_some_and(|(last, rest)| *last == Piece::Any && length(rest).1);
    if !fixed && !only_at_the_end {
        return Err(part_only());
    }
    whole.extend(shape);
    if fixed && least == most {
        whole.push(Piece::Any);
    }
    Ok(whole)
}

fn at_the_end(back: i64, most: Option<i64>, shape: &[Piece]) -> Result<TextShape, Odd> {
    if back > LONGEST {
        return Err(part_only());
    }
    let most = most.map_or(back, |most| most.min(back));
    if most < 1 {
        return Err(Odd::Never("SUBSTR of no characters is NULL".to_owned()));
    }
    let (part, after) = (size(most), size(back - most));
    let (least, fixed) = length(shape);
    if least > part {
        return Err(too_long(part, least));
    }
    if fixed && least < part {
        return Err(Odd::Never(format!(
            "SUBSTR from the end returns {part} characters or NULL, and this has {least}"
        )));
    }
    let mut whole = vec![Piece::Any];
    match shape {
        all if fixed => whole.extend_from_slice(all),
        [first @ .., Piece::Any] if length(first).1 => {
            whole.extend_from_slice(first);
            whole.extend(ones(part - least));
        }
        [Piece::Any, last @ ..] if length(last).1 => {
            whole.extend(ones(part - least));
            whole.extend_from_slice(last);
        }
        _ => return Err(part_only()),
    }
    whole.extend(ones(after));
    Ok(whole)
}

fn up_to(delimiter: &str, with_it: bool, mut shape: TextShape) -> Result<TextShape, Odd> {
    let no_form = || {
        Odd::NoForm(format!(
            "a pattern of the text before '{delimiter}' has no simple counterpart"
        ))
    };
    let never = || Odd::Never(format!("no text before the first '{delimiter}' is like this"));
    let (Some(Piece::Text(text)), true) = (shape.first().cloned(), length(&shape[..1]).1) else {
        return Err(no_form());
    };
    match &shape[1..] {
        [] if with_it => {
            if text.find(delimiter).map(|at| at + delimiter.len()) != Some(text.len()) {
                return Err(never());
            }
        }
        [] => {
            if format!("{text}{delimiter}").find(delimiter) != Some(text.len()) {
                return Err(never());
            }
            shape.push(Piece::Text(delimiter.to_owned()));
        }
        // A delimiter of several characters might begin inside the text.
        [Piece::Any] if delimiter.chars().count() == 1 && !with_it => {
            if text.contains(delimiter) {
                return Err(never());
            }
            shape.push(Piece::Text(delimiter.to_owned()));
        }
        _ => return Err(no_form()),
    }
    shape.push(Piece::Any);
    Ok(shape)
}
