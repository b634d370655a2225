//! A value over time in a bounded number of points. If there are too many points, each two become one with the higher value,
//! so that no peak is lost.

use chrono::{DateTime, Utc};

/// The most points; a chart is not wider.
pub(crate) const MOST_POINTS: usize = 512;

/// A value over time.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Series {
    stride: usize,
    in_last: usize,
    points: Vec<(DateTime<Utc>, f64)>,
}

impl Default for Series {
    fn default() -> Series {
        Series {
            stride: 1,
            in_last: 0,
            points: Vec::new(),
        }
    }
}

impl Series {
    /// Adds a value.
    pub(crate) fn add(&mut self, at: DateTime<Utc>, value: f64) {
        match self.points.last_mut() {
            Some((_, highest)) if self.in_last < self.stride => *highest = highest.max(value),
            Some(_) | None => {
                if self.points.len() == MOST_POINTS {
                    let halved = self.points.chunks(2).map(|two| {
                        let highest = two.iter().map(|(_, value)| *value).fold(f64::MIN, f64::max);
                        (two[0].0, highest)
                    });
                    self.points = halved.collect();
                    self.stride *= 2;
                }
                self.points.push((at, value));
                self.in_last = 0;
            }
        }
        self.in_last += 1;
    }

    /// The points, oldest first: the beginning of each, and its highest value.
    #[must_use]
    pub(crate) fn points(&self) -> &[(DateTime<Utc>, f64)] {
        &self.points
    }

    /// The highest value of all.
    #[must_use]
    pub(crate) fn highest(&self) -> Option<f64> {
        self.points.iter().map(|(_, value)| *value).max_by(f64::total_cmp)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_points_is_bounded_and_no_peak_is_lost() {
        let at = |second| DateTime::from_timestamp(second, 0).expect("in range");
        let mut series = Series::default();
        for second in 0..5_000_i64 {
            series.add(at(second), if second == 3_333 { 99.0 } else { (second % 10) as f64 });
        }
        let points = series.points();
        assert!(
            points.len() <= MOST_POINTS && points.len() > MOST_POINTS / 4,
            "{}",
            points.len()
        );
        assert_eq!((points[0].0, series.highest()), (at(0), Some(99.0)));
        let peak = points
            .iter()
            .rposition(|(from, _)| *from <= at(3_333))
            .expect("one begins before");
        assert_eq!(points[peak].1, 99.0);
        assert!(points.windows(2).all(|two| two[0].0 < two[1].0));
    }
}
