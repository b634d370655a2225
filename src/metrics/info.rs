//! `orareaper_database_info`: the driver and the labels of each database, for joins.
//!
//! Its label names come from the configuration and differ between databases. The families of the client library do not support
//! that, so this module builds the family. Prometheus treats a missing label as empty.

use std::sync::{Arc, Mutex, PoisonError};

use prometheus::core::{Collector, Desc};
use prometheus::proto::{Gauge, LabelPair, Metric, MetricFamily, MetricType};

use crate::event::LoadedDatabase;

const NAME: &str = "orareaper_database_info";
const HELP: &str = "Always 1; has the labels of the database from the configuration.";

/// The databases in force.
#[derive(Clone, Debug)]
pub(super) struct DatabaseInfo {
    description: Arc<Desc>,
    databases: Arc<Mutex<Vec<LoadedDatabase>>>,
}

impl DatabaseInfo {
    /// Without databases.
    pub(super) fn new() -> prometheus::Result<DatabaseInfo> {
        let description = Desc::new(NAME.into(), HELP.into(), vec!["database".into()], [].into())?;
        Ok(DatabaseInfo {
            description: Arc::new(description),
            databases: Arc::default(),
        })
    }

    /// Sets the databases in force.
    pub(super) fn set(&self, databases: &[LoadedDatabase]) {
        *self.databases.lock().unwrap_or_else(PoisonError::into_inner) = databases.to_vec();
    }
}

impl Collector for DatabaseInfo {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.description]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let databases = self.databases.lock().unwrap_or_else(PoisonError::into_inner);
        if databases.is_empty() {
            return Vec::new();
        }
        let mut family = MetricFamily::default();
        family.set_name(NAME.into());
        family.set_help(HELP.into());
        family.set_field_type(MetricType::GAUGE);
        family.set_metric(databases.iter().map(metric).collect());
        vec![family]
    }
}

fn metric(database: &LoadedDatabase) -> Metric {
    let own = database.labels.iter().map(|(name, value)| (&**name, &**value));
    let mut pairs: Vec<(&str, &str)> = [("database", &*database.database), ("driver", database.driver)]
        .into_iter()
        .chain(own)
        .collect();
    pairs.sort_unstable();
    let pairs = pairs.into_iter().map(|(name, value)| {
        let mut pair = LabelPair::default();
        pair.set_name(name.into());
        pair.set_value(value.into());
        pair
    });
    let mut gauge = Gauge::default();
    gauge.set_value(1.0);
    let mut metric = Metric::default();
    metric.set_label(pairs.collect());
    metric.set_gauge(gauge);
    metric
}
