//! Tells of a thread that does not come back from a call of the driver.

use crate::daemon::database::Database;
use crate::daemon::database::orders::{Polling, Trouble};
use crate::oracle::{Class, Error};

impl Database {
    /// Every call of a driver has a limit, but a client library can fail to keep its own: then this is all that is left to
    /// do. Said once for each read.
    pub(crate) fn tell_if_hanging(&mut self) {
        let Polling::Since(since) = self.polling else { return };
        let taken = self.clock.now().since(since);
        if taken <= self.settings.patience {
            return;
        }
        let why = format!(
            "no answer for {}s: the driver does not keep its limits; nothing is done here until it comes back, or orareaper is \
             started anew",
            taken.as_secs()
        );
        let error = Error::new(Class::Backoff, format!("read {}", self.settings.name), why);
        self.watcher.hangs(&self.settings.name, &error);
        self.polling = Polling::Hanging;
    }

    /// The same of the thread that acts. Said once, until it comes back; nothing is permitted meanwhile.
    pub(crate) fn tell_if_acting_hangs(&mut self) {
        let patience = self.settings.acting_patience.saturating_mul(self.standby.connections());
        let Some(taken) = self.orders.hangs(self.clock.now(), patience) else {
            return;
        };
        let why = format!(
            "no answer for {}s: the driver does not keep its limits; nobody is acted on here until it comes back, or orareaper is \
             started anew",
            taken.as_secs()
        );
        let error = Error::new(Class::Backoff, format!("act on {}", self.settings.name), why);
        self.trouble = Some(Trouble::Connection);
        self.watcher.acting_failed(&self.settings.name, &error);
        self.watcher.standing(&self.settings.name, &self.standby.missing());
    }
}
