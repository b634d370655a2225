//! A family of a metric, which keeps the text of each series ready: a scrape only writes the values.
//!
//! The client library's own families build every label of every series anew at each scrape, which takes a hundred times as long, and
//! cannot list or remove series by some of their labels. What it knows stays its own: values that change at once, buckets, and the
//! metrics of the process.
//!
//! The format is version 0.0.4 of Prometheus' text format (Prometheus documentation, "Exposition formats").

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus::core::{Atomic, AtomicF64, AtomicI64, AtomicU64, Metric as _};
use prometheus::{Histogram, HistogramOpts};

use crate::decide::outcome::Outcome;
use crate::policy::model::Action;

/// The limit of series in one family: every permitted pair of policy and database, on sixteen instances, with every action and
/// outcome. More series are a fault of the program, not a large site.
const MOST_SERIES: usize = crate::decide::in_force::MOST_PAIRS * 16 * Action::ALL.len() * Outcome::ALL.len();

/// What every name begins with.
pub(super) const NAMESPACE: &str = "orareaper";

/// Buckets in seconds: a decision takes less than the first; a plain KILL of a busy session blocks for up to a minute.
const DURATIONS: [f64; 13] = [
    0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0, 75.0,
];

/// A value of a series.
pub(super) trait Exposed: Sized + Send + Sync + 'static {
    /// The word for the family's TYPE.
    const TYPE: &'static str;

    /// A value at zero.
    fn zero() -> Self;

    /// What stands before the numbers of a series: its name and labels.
    type Prepared: Send + Sync;

    /// Prepares it.
    fn prepared(name: &str, labels: &str) -> Self::Prepared;

    /// Writes the lines of a series.
    fn write(&self, prepared: &Self::Prepared, out: &mut String);
}

/// A series with one number.
macro_rules! number {
    ($value:ty, $kind:literal, $write:ident) => {
        impl Exposed for $value {
            const TYPE: &'static str = $kind;
            type Prepared = Box<str>;

            fn zero() -> Self {
                <$value>::new(Default::default())
            }

            fn prepared(name: &str, labels: &str) -> Box<str> {
                format!("{name}{{{labels}}} ").into()
            }

            fn write(&self, prepared: &Box<str>, out: &mut String) {
                $write(out, prepared, self.get());
            }
        }
    };
}

number!(AtomicI64, "gauge", whole);
number!(AtomicF64, "gauge", real);
number!(AtomicU64, "counter", whole);

/// Durations in seconds.
impl Exposed for Histogram {
    const TYPE: &'static str = "histogram";
    type Prepared = Vec<Box<str>>;

    fn zero() -> Self {
        let durations = HistogramOpts::new("duration", "a duration").buckets(DURATIONS.to_vec());
        Histogram::with_opts(durations).expect("the name and the buckets are valid")
    }

    fn prepared(name: &str, labels: &str) -> Vec<Box<str>> {
        let bounds = DURATIONS.iter().map(f64::to_string).chain(["+Inf".to_owned()]);
        let mut lines: Vec<Box<str>> = bounds
            .map(|bound| format!("{name}_bucket{{{labels},le=\"{bound}\"}} ").into())
            .collect();
        lines.extend(["sum", "count"].map(|what| format!("{name}_{what}{{{labels}}} ").into()));
        lines
    }

    fn write(&self, prepared: &Vec<Box<str>>, out: &mut String) {
        let metric = self.metric();
        let histogram = metric.get_histogram();
        let (buckets, rest) = prepared.split_at(DURATIONS.len());
        for (bucket, label) in histogram.get_bucket().iter().zip(buckets) {
            whole(out, label, bucket.cumulative_count());
        }
        whole(out, &rest[0], histogram.get_sample_count());
        real(out, &rest[1], histogram.get_sample_sum());
        whole(out, &rest[2], histogram.get_sample_count());
    }
}

/// A line with a whole number. They are nearly all, and `write!` takes twice as long.
fn whole(out: &mut String, prepared: &str, value: impl itoa::Integer) {
    out.push_str(prepared);
    out.push_str(itoa::Buffer::new().format(value));
    out.push('\n');
}

fn real(out: &mut String, prepared: &str, value: f64) {
    out.push_str(prepared);
    // A text takes everything.
    let _ = writeln!(out, "{value}");
}

/// A family whose series have `N` labels. The set of series is as large as the family; it is searched only when databases, instances or
/// policies change, or at the end of a cycle.
pub(super) struct Family<V: Exposed, const N: usize> {
    name: String,
    help: &'static str,
    labels: [&'static str; N],
    series: Mutex<BTreeMap<[String; N], FamilyMember<V>>>,
}

struct FamilyMember<V: Exposed> {
    value: Arc<V>,
    prepared: V::Prepared,
}

impl<V: Exposed, const N: usize> fmt::Debug for Family<V, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Family").finish_non_exhaustive()
    }
}

impl<V: Exposed, const N: usize> Family<V, N> {
    /// A family without series.
    pub(super) fn new(name: &str, help: &'static str, labels: [&'static str; N]) -> Family<V, N> {
        Family {
            name: format!("{}_{name}", NAMESPACE),
            help,
            labels,
            series: Mutex::default(),
        }
    }

    fn series(&self) -> MutexGuard<'_, BTreeMap<[String; N], FamilyMember<V>>> {
        self.series.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The series with these labels. A new series starts at zero.
    pub(super) fn with(&self, labels: [&str; N]) -> Arc<V> {
        let owned = labels.map(str::to_owned);
        let mut series = self.series();
        if let Some(known) = series.get(&owned) {
            return Arc::clone(&known.value);
        }
        assert!(series.len() < MOST_SERIES, "labels come from closed sets");
        let value = Arc::new(V::zero());
        let added = FamilyMember {
            value: Arc::clone(&value),
            prepared: V::prepared(&self.name, &self.written(labels)),
        };
        series.insert(owned, added);
        value
    }

    /// The labels as they stand in a line, by name.
    fn written(&self, values: [&str; N]) -> String {
        let mut pairs: Vec<(&str, &str)> = self.labels.into_iter().zip(values).collect();
        pairs.sort_unstable();
        let pairs = pairs.into_iter().map(|(name, value)| {
            let value = value.replace('\\', r"\\").replace('\n', r"\n").replace('"', r#"\""#);
            format!("{name}=\"{value}\"")
        });
        pairs.collect::<Vec<String>>().join(",")
    }

    /// Removes every series for which `keep` returns false.
    pub(super) fn retain(&self, keep: impl Fn([&str; N]) -> bool) {
        self.series()
            .retain(|labels, _| keep(labels.each_ref().map(String::as_str)));
    }

    /// Calls `set` on every series for which `which` returns true.
    pub(super) fn zero(&self, which: impl Fn([&str; N]) -> bool, set: impl Fn(&V)) {
        let series = self.series();
        let wanted = series
            .iter()
            .filter(|(labels, _)| which(labels.each_ref().map(String::as_str)));
        wanted.for_each(|(_, series)| set(&series.value));
    }
}

/// A family whatever its values and labels are.
pub(super) trait AnyFamily: Send + Sync {
    /// Writes all its series; nothing if it has none.
    fn write(&self, out: &mut String);
}

impl<V: Exposed, const N: usize> AnyFamily for Family<V, N> {
    fn write(&self, out: &mut String) {
        let series = self.series();
        if series.is_empty() {
            return;
        }
        // None of the texts has a backslash or a line feed. A text takes everything.
        let _ = writeln!(out, "# HELP {} {}", self.name, self.help);
        let _ = writeln!(out, "# TYPE {} {}", self.name, V::TYPE);
        for FamilyMember { value, prepared } in series.values() {
            value.write(prepared, out);
        }
    }
}

#[cfg(test)]
mod tests {
    use prometheus::{CounterVec, GaugeVec, HistogramVec, Opts, Registry, TextEncoder};

    use super::*;

    const HOSTILE: [&str; 5] = ["", "plain", "qu\"ote", "back\\slash", "line\nfeed ü"];

    /// What the client library writes, by which Prometheus is tested.
    fn by_the_library(collector: Box<dyn prometheus::core::Collector>) -> String {
        let registry = Registry::new();
        registry.register(collector).expect("one");
        TextEncoder::new().encode_to_string(&registry.gather()).expect("text")
    }

    fn sorted(text: &str) -> Vec<&str> {
        let mut lines: Vec<&str> = text.lines().collect();
        lines.sort_unstable();
        lines
    }

    fn written(family: &dyn AnyFamily) -> String {
        let mut out = String::new();
        family.write(&mut out);
        out
    }

    #[test]
    fn a_family_is_written_as_the_client_library_writes_it() {
        let opts = || Opts::new("orareaper_some", "Some help.");
        let counters = CounterVec::new(opts(), &["z", "a"]).expect("valid");
        let gauges = GaugeVec::new(opts(), &["z", "a"]).expect("valid");
        let histograms = HistogramVec::new(HistogramOpts::from(opts()).buckets(DURATIONS.to_vec()), &["z", "a"]);
        let histograms = histograms.expect("valid");
        let whole: Family<AtomicU64, 2> = Family::new("some", "Some help.", ["z", "a"]);
        let real: Family<AtomicF64, 2> = Family::new("some", "Some help.", ["z", "a"]);
        let durations: Family<Histogram, 2> = Family::new("some", "Some help.", ["z", "a"]);
        assert_eq!(written(&whole), "", "a family without series is not shown");
        for (number, z) in (0_u32..).zip(HOSTILE) {
            for a in HOSTILE.map(|text| format!("+{text}")) {
                let a = &*a;
                let value = f64::from(number) * 0.37 - 0.5;
                counters.with_label_values(&[z, a]).inc_by(f64::from(number));
                whole.with([z, a]).inc_by(u64::from(number));
                gauges.with_label_values(&[z, a]).set(value);
                real.with([z, a]).set(value);
                for sample in [value.abs(), 0.025, 100.0] {
                    histograms.with_label_values(&[z, a]).observe(sample);
                    durations.with([z, a]).observe(sample);
                }
            }
        }
        for (ours, theirs) in [
            (written(&whole), by_the_library(Box::new(counters))),
            (written(&real), by_the_library(Box::new(gauges))),
            (written(&durations), by_the_library(Box::new(histograms))),
        ] {
            assert_eq!(sorted(&ours), sorted(&theirs));
            assert!(
                ours.starts_with("# HELP orareaper_some Some help.\n# TYPE orareaper_some "),
                "{ours}"
            );
        }
    }

    /// The client library takes two series for one if their labels are the same text when they are joined.
    #[test]
    fn labels_are_compared_one_by_one() {
        let family: Family<AtomicU64, 2> = Family::new("some", "Some help.", ["database", "policy"]);
        family.with(["shop1", "idle"]).inc_by(1);
        family.with(["shop", "1idle"]).inc_by(2);
        assert_eq!(
            (
                family.with(["shop1", "idle"]).get(),
                family.with(["shop", "1idle"]).get()
            ),
            (1, 2)
        );
    }

    #[test]
    fn a_series_that_was_removed_begins_anew() {
        let family: Family<AtomicI64, 1> = Family::new("some", "Some help.", ["of"]);
        for of in ["one", "other"] {
            family.with([of]).set(3);
        }
        family.zero(|[of]| of == "other", |value| value.set(0));
        family.retain(|[of]| of != "one");
        assert_eq!(family.with(["one"]).get(), 0);
        assert!(written(&family).ends_with("{of=\"one\"} 0\norareaper_some{of=\"other\"} 0\n"));
    }
}
