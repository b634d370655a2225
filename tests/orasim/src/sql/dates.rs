//! Oracle's date format models: TO_CHAR, TO_DATE, TRUNC and ROUND of dates.

use chrono::{Datelike, Duration, NaiveDate, NaiveDateTime, NaiveTime, Timelike};

use crate::backend::OraError;
use crate::error::{known, ora};

const MONTHS: [&str; 12] = [
    "JANUARY",
    "FEBRUARY",
    "MARCH",
    "APRIL",
    "MAY",
    "JUNE",
    "JULY",
    "AUGUST",
    "SEPTEMBER",
    "OCTOBER",
    "NOVEMBER",
    "DECEMBER",
];
const DAYS: [&str; 7] = [
    "MONDAY",
    "TUESDAY",
    "WEDNESDAY",
    "THURSDAY",
    "FRIDAY",
    "SATURDAY",
    "SUNDAY",
];

/// The elements of a format model, the longer before those they begin with.
const ELEMENTS: [&str; 30] = [
    "SYYYY", "YYYY", "RRRR", "SSSSS", "MONTH", "HH24", "HH12", "IYYY", "DAY", "MON", "DDD", "YYY", "TZH", "TZM", "FF9",
    "FF6", "FF3", "MM", "MI", "DD", "DY", "HH", "RR", "YY", "SS", "AM", "PM", "WW", "FF", "FM",
];

enum Piece<'a> {
    Element(&'static str, &'a str),
    Literal(&'a str),
}

fn pieces(model: &str) -> Result<Vec<Piece<'_>>, OraError> {
    let mut pieces = Vec::new();
    let mut rest = model;
    while let Some(first) = rest.chars().next() {
        if first == '"' {
            let end = rest[1..]
                .find('"')
                .ok_or_else(|| ora(1821, "date format not recognized"))?;
            pieces.push(Piece::Literal(&rest[1..=end]));
            rest = &rest[end + 2..];
            continue;
        }
        let known = ELEMENTS.iter().find(|element| {
            rest.get(..element.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(element))
        });
        let other = ["D", "Q", "J", "X", "Y"]
            .into_iter()
            .find(|element| rest.get(..1).is_some_and(|start| start.eq_ignore_ascii_case(element)));
        match known.copied().or(other) {
            Some(element) => {
                pieces.push(Piece::Element(element, &rest[..element.len()]));
                rest = &rest[element.len()..];
            }
            None if first.is_alphanumeric() => return Err(ora(1821, "date format not recognized")),
            None => {
                pieces.push(Piece::Literal(&rest[..first.len_utf8()]));
                rest = &rest[first.len_utf8()..];
            }
        }
    }
    Ok(pieces)
}

/// The letter case of an element is the letter case of its text: `MON`, `Mon`, `mon`.
fn cased(text: &str, as_written: &str) -> String {
    let mut letters = as_written.chars();
    let (first, second) = (letters.next(), letters.next());
    if first.is_some_and(char::is_lowercase) {
        text.to_lowercase()
    } else if second.is_some_and(char::is_lowercase) {
        text[..1].to_owned() + &text[1..].to_lowercase()
    } else {
        text.to_owned()
    }
}

/// TO_CHAR of a date.
pub(crate) fn format(at: NaiveDateTime, zone: i64, model: &str) -> Result<String, OraError> {
    let mut text = String::new();
    let mut trim = false;
    for piece in pieces(model)? {
        match piece {
            Piece::Literal(literal) => text.push_str(literal),
            Piece::Element("FM", _) => trim = !trim,
            Piece::Element(element, as_written) => {
                let part = element_text(at, zone, element, as_written);
                let part = if trim && part.len() > 1 {
                    part.trim_start_matches('0').trim().to_owned()
                } else {
                    part
                };
                text.push_str(&part);
            }
        }
    }
    Ok(text)
}

/// An offset from UTC in minutes as `+05:30`.
pub(crate) fn offset_text(minutes: i64) -> String {
    let sign = if minutes < 0 { '-' } else { '+' };
    let minutes = minutes.abs();
    format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60)
}

fn element_text(at: NaiveDateTime, zone: i64, element: &str, as_written: &str) -> String {
    let month = MONTHS[at.month0() as usize];
    let day = DAYS[at.weekday().num_days_from_monday() as usize];
    let hour12 = (at.hour() + 11) % 12 + 1;
    match element {
        "YYYY" | "RRRR" | "IYYY" => format!("{:04}", at.year()),
        "SYYYY" => format!(" {:04}", at.year()),
        "YYY" => format!("{:03}", at.year() % 1000),
        "YY" | "RR" => format!("{:02}", at.year() % 100),
        "Y" => (at.year() % 10).to_string(),
        "MM" => format!("{:02}", at.month()),
        "MON" => cased(&month[..3], as_written),
        "MONTH" => cased(&format!("{month:9}"), as_written),
        "DD" => format!("{:02}", at.day()),
        "DDD" => format!("{:03}", at.ordinal()),
        "DY" => cased(&day[..3], as_written),
        "DAY" => cased(&format!("{day:9}"), as_written),
        "D" => (at.weekday().num_days_from_sunday() + 1).to_string(),
        "HH24" => format!("{:02}", at.hour()),
        "HH" | "HH12" => format!("{hour12:02}"),
        "MI" => format!("{:02}", at.minute()),
        "SS" => format!("{:02}", at.second()),
        "SSSSS" => format!("{:05}", at.num_seconds_from_midnight()),
        "AM" | "PM" => cased(if at.hour() < 12 { "AM" } else { "PM" }, as_written),
        "Q" => (at.month0() / 3 + 1).to_string(),
        "WW" => format!("{:02}", at.ordinal0() / 7 + 1),
        "J" => (i64::from(at.num_days_from_ce()) + 1_721_425).to_string(),
        "FF" | "FF6" => format!("{:06}", at.and_utc().timestamp_subsec_micros()),
        "FF3" => format!("{:03}", at.and_utc().timestamp_subsec_millis()),
        "FF9" => format!("{:09}", at.and_utc().timestamp_subsec_nanos()),
        "TZH" => offset_text(zone)[..3].to_owned(),
        "TZM" => offset_text(zone)[4..].to_owned(),
        "X" => ".".into(),
        _ => String::new(),
    }
}

/// What has been read of a date so far.
#[derive(Default)]
struct Read {
    year: Option<i32>,
    month: Option<u32>,
    day: Option<u32>,
    hour: u32,
    half: Option<bool>,
    minute: u32,
    second: u32,
    nanos: u32,
    of_day: Option<u32>,
}

/// TO_DATE: what the model does not name is the first of the present month, midnight.
pub(crate) fn parse(text: &str, model: &str, now: NaiveDateTime) -> Result<NaiveDateTime, OraError> {
    let mut rest = text.trim();
    let mut read = Read::default();
    for piece in pieces(model)? {
        match piece {
            Piece::Literal(literal) => {
                if let Some(after) = rest.strip_prefix(literal) {
                    rest = after;
                } else if literal.trim().is_empty() || rest.starts_with(|c: char| c.is_ascii_punctuation()) {
                    rest = rest.trim_start_matches(|c: char| c.is_ascii_punctuation() || c == ' ');
                } else if !rest.is_empty() {
                    return Err(known(1861));
                }
            }
            Piece::Element("FM", _) => {}
            Piece::Element(element, _) => {
                rest = rest.trim_start();
                rest = read_element(rest, element, &mut read, now)?;
            }
        }
    }
    if !rest.trim().is_empty() {
        return Err(ora(
            1830,
            "date format picture ends before converting entire input string",
        ));
    }
    let day = NaiveDate::from_ymd_opt(
        read.year.unwrap_or_else(|| now.year()),
        read.month.unwrap_or_else(|| now.month()),
        read.day.unwrap_or(1),
    )
    .ok_or_else(|| ora(1839, "date not valid for month specified"))?;
    let hour = match read.half {
        Some(afternoon) => read.hour % 12 + if afternoon { 12 } else { 0 },
        None => read.hour,
    };
    let time = match read.of_day {
        Some(seconds) => NaiveTime::from_num_seconds_from_midnight_opt(seconds, 0),
        None => NaiveTime::from_hms_nano_opt(hour, read.minute, read.second, read.nanos),
    };
    Ok(day.and_time(time.ok_or_else(|| ora(1850, "hour must be between 0 and 23"))?))
}

fn digits(rest: &str, most: usize) -> Result<(u32, &str), OraError> {
    let count = rest.bytes().take(most).take_while(u8::is_ascii_digit).count();
    match rest[..count].parse() {
        Ok(number) => Ok((number, &rest[count..])),
        Err(_) if rest.is_empty() => Err(known(1840)),
        Err(_) => Err(known(1858)),
    }
}

fn read_element<'a>(rest: &'a str, element: &str, read: &mut Read, now: NaiveDateTime) -> Result<&'a str, OraError> {
    let year = |number: u32| i32::try_from(number).unwrap_or(0);
    let most = match element {
        "YYYY" | "RRRR" | "SYYYY" | "IYYY" => 4,
        "SSSSS" => 5,
        "FF" | "FF6" | "FF3" | "FF9" => 9,
        "YYY" | "DDD" => 3,
        "X" => return Ok(rest.strip_prefix('.').unwrap_or(rest)),
        "MON" | "MONTH" => {
            let month = MONTHS
                .iter()
                .position(|name| rest.get(..3).is_some_and(|is| is.eq_ignore_ascii_case(&name[..3])));
            let Some(month) = month else {
                return Err(ora(1843, "not a valid month"));
            };
            read.month = u32::try_from(month + 1).ok();
            let name = MONTHS[month];
            let long = rest.get(..name.len()).is_some_and(|is| is.eq_ignore_ascii_case(name));
            return Ok(&rest[if long { name.len() } else { 3 }..]);
        }
        "AM" | "PM" => {
            read.half = Some(rest.get(..1).is_some_and(|is| is.eq_ignore_ascii_case("P")));
            return Ok(rest.get(2..).unwrap_or(""));
        }
        "DAY" | "DY" => return Ok(rest.trim_start_matches(char::is_alphabetic)),
        _ => 2,
    };
    if rest.is_empty()
        && matches!(
            element,
            "HH24" | "HH" | "HH12" | "MI" | "SS" | "FF" | "FF3" | "FF6" | "FF9"
        )
    {
        return Ok(rest);
    }
    let (number, after) = digits(rest, most)?;
    match element {
        "YYYY" | "SYYYY" | "IYYY" => read.year = Some(year(number)),
        "RR" | "RRRR" if number < 100 => read.year = Some(year(number) + if number < 50 { 2000 } else { 1900 }),
        "RRRR" => read.year = Some(year(number)),
        "YY" => read.year = Some(now.year() / 100 * 100 + year(number)),
        "MM" if (1..=12).contains(&number) => read.month = Some(number),
        "MM" => return Err(ora(1843, "not a valid month")),
        "DD" => read.day = Some(number),
        "HH24" | "HH" | "HH12" => read.hour = number,
        "MI" if number < 60 => read.minute = number,
        "MI" => return Err(ora(1851, "minutes must be between 0 and 59")),
        "SS" if number < 60 => read.second = number,
        "SS" => return Err(ora(1852, "seconds must be between 0 and 59")),
        "SSSSS" => read.of_day = Some(number),
        "FF" | "FF3" | "FF6" | "FF9" => {
            let places = u32::try_from(rest.len() - after.len()).unwrap_or(9);
            read.nanos = number * 10_u32.pow(9 - places.min(9));
        }
        _ => return Err(ora(1820, "format code cannot appear in date input format")),
    }
    Ok(after)
}

/// TRUNC of a date, to a unit.
pub(crate) fn truncate(at: NaiveDateTime, unit: &str) -> Result<NaiveDateTime, OraError> {
    let date = at.date();
    let midnight = |date: NaiveDate| date.and_time(NaiveTime::MIN);
    let from = |year, month| NaiveDate::from_ymd_opt(year, month, 1).unwrap_or(date);
    Ok(match unit.to_ascii_uppercase().as_str() {
        "DD" | "DDD" | "J" => midnight(date),
        "HH" | "HH24" | "HH12" => midnight(date) + Duration::hours(i64::from(at.hour())),
        "MI" => midnight(date) + Duration::minutes(i64::from(at.num_seconds_from_midnight() / 60)),
        "MM" | "MON" | "MONTH" => midnight(from(date.year(), date.month())),
        "Q" => midnight(from(date.year(), date.month0() / 3 * 3 + 1)),
        "YYYY" | "YEAR" | "YY" | "RR" | "RRRR" => midnight(from(date.year(), 1)),
        "IW" => midnight(date - Duration::days(i64::from(date.weekday().num_days_from_monday()))),
        "D" | "DAY" | "DY" => midnight(date - Duration::days(i64::from(date.weekday().num_days_from_sunday()))),
        _ => return Err(ora(1821, "date format not recognized")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> NaiveDateTime {
        NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S").expect("a test's own date")
    }

    #[test]
    fn a_model_writes_what_it_reads() {
        let now = at("2026-11-23 14:05:09");
        for model in [
            "YYYY-MM-DD HH24:MI:SS",
            "DD-MON-YYYY HH24:MI:SS",
            "DD.MM.YYYY HH12:MI:SS AM",
            "YYYYMMDDHH24MISS",
        ] {
            let text = format(now, 0, model).expect(model);
            assert_eq!(
                parse(&text, model, at("2000-01-01 00:00:00")),
                Ok(now),
                "{model}: {text}"
            );
        }
        assert_eq!(format(now, 0, "DD-Mon-RR").as_deref(), Ok("23-Nov-26"));
        assert_eq!(format(now, 0, "\"day\" DY, fmDD").as_deref(), Ok("day MON, 23"));
        assert_eq!(parse("23-NOV-26", "DD-MON-RR", now), Ok(at("2026-11-23 00:00:00")));
        assert_eq!(
            parse("nonsense", "DD-MON-RR", now).map_err(|error| error.code),
            Err(1858)
        );
    }

    #[test]
    fn truncation_keeps_the_unit() {
        let now = at("2026-11-23 14:05:09");
        assert_eq!(truncate(now, "HH24"), Ok(at("2026-11-23 14:00:00")));
        assert_eq!(truncate(now, "Q"), Ok(at("2026-10-01 00:00:00")));
        assert_eq!(truncate(now, "IW"), Ok(at("2026-11-23 00:00:00")));
    }
}
