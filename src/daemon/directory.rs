//! The databases that operators can address; reloads add and remove some.

use std::collections::BTreeMap;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};

use crate::daemon::messages::Input;
use crate::daemon::operator::{KillRequest, OperatorRequest, OrderStep};

/// The databases, by name.
#[derive(Debug, Default)]
pub(crate) struct Directory(Mutex<BTreeMap<Arc<str>, Sender<Input>>>);

impl Directory {
    /// Replaces them.
    pub(crate) fn set(&self, inputs: BTreeMap<Arc<str>, Sender<Input>>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = inputs;
    }

    /// Sends a request to the named database, or to the only one.
    pub(crate) fn ask(&self, database: Option<&str>, request: KillRequest, told: &Sender<OrderStep>) {
        let inputs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let names = || inputs.keys().map(|name| &**name).collect::<Vec<_>>().join(", ");
        let chosen = match database {
            Some(name) => inputs
                .get(name)
                .ok_or_else(|| format!("the daemon watches no database {name:?}; it watches {}", names())),
            None if inputs.len() == 1 => inputs.values().next().ok_or_else(String::new),
            None => Err(format!(
                "several databases are configured; choose one with --database: {}",
                names()
            )),
        };
        let failed = match chosen {
            Ok(inputs) => {
                let told = told.clone();
                let asked = OperatorRequest { request, told };
                inputs
                    .send(Input::Asked(Box::new(asked)))
                    .err()
                    .map(|_| "the database is no longer watched".to_owned())
            }
            Err(why) => Some(why),
        };
        if let Some(why) = failed {
            // The receiver is in the same thread.
            let _ = told.send(OrderStep::Failed(why));
        }
    }
}
