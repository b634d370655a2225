//! The statements that clients have run, as V$SQL remembers them.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::clock::Moment;

/// How many statements are remembered; the one unused for longest gives way.
const MOST: usize = 500;

/// One statement.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) text: Arc<str>,
    pub(crate) executions: i64,
    pub(crate) first: Moment,
    pub(crate) last: Moment,
    pub(crate) schema: Arc<str>,
    pub(crate) con_id: u32,
}

/// All of an instance that are remembered, by SQL_ID.
#[derive(Debug, Default)]
pub(crate) struct Statements {
    known: BTreeMap<(u32, Arc<str>), Known>,
}

impl Statements {
    /// One was executed.
    pub(crate) fn executed(&mut self, instance: u32, id: &Arc<str>, text: &str, now: Moment, by: (&Arc<str>, u32)) {
        let key = (instance, Arc::clone(id));
        if !self.known.contains_key(&key) && self.known.len() >= MOST {
            let oldest = self.known.iter().min_by_key(|(_, known)| known.last);
            if let Some(oldest) = oldest.map(|(key, _)| key.clone()) {
                self.known.remove(&oldest);
            }
        }
        assert!(
            self.known.len() <= MOST,
            "statements are forgotten before new ones are remembered"
        );
        let known = self.known.entry(key).or_insert_with(|| Known {
            text: text.into(),
            executions: 0,
            first: now,
            last: now,
            schema: Arc::clone(by.0),
            con_id: by.1,
        });
        known.executions += 1;
        known.last = now;
    }

    pub(crate) fn get(&self, instance: u32, id: &Arc<str>) -> Option<&Known> {
        self.known.get(&(instance, Arc::clone(id)))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &Arc<str>, &Known)> {
        self.known.iter().map(|((instance, id), known)| (*instance, id, known))
    }
}
