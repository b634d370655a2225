//! Times as a person would set them.

/// No limit is suggested that is shorter.
pub(super) const SHORTEST: i64 = 1_800;

/// LAST_CALL_ET is exact to this many seconds.
pub(super) const INEXACT: i64 = 3;

/// The next round time: to 5m up to an hour, to 15m up to 4h, to an hour up to a day, and to a day beyond.
#[must_use]
pub(super) fn rounded(seconds: i64) -> i64 {
    let step = match seconds {
        ..=3_600 => 300,
        3_601..=14_400 => 900,
        14_401..=86_400 => 3_600,
        _ => 86_400,
    };
    seconds.saturating_add(step - 1) / step * step
}

/// The next whole minute, in seconds, as Oracle's parameters count.
#[must_use]
pub(super) const fn whole_minutes(seconds: i64) -> i64 {
    minutes(seconds).saturating_mul(60)
}

/// Seconds in whole minutes, as Oracle's parameters count; never fewer.
#[must_use]
pub(super) const fn minutes(seconds: i64) -> i64 {
    seconds.saturating_add(59) / 60
}
