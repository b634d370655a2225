//! Tells of a thread that does not come back from a call of the driver.

use crate::daemon::database::DatabaseLoop;
use crate::daemon::database::orders::{Polling, Trouble};
use crate::oracle::{Class, Error};

impl DatabaseLoop {
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

    /// The same of those who act, of each once until it comes back. It costs its connection. The others go on; if there is none,
    /// nothing is permitted meanwhile.
    pub(crate) fn tell_if_acting_hangs(&mut self) {
        let now = self.clock.now();
        let helper = self.settings.acting_patience;
        let lead = helper.saturating_mul(self.standby.connections());
        let hangs = self.crew.hangs(now, lead, helper);
        if hangs.is_empty() {
            return;
        }
        self.replace_lead();
        let all = self.crew.is_lost();
        self.watcher.hanging(&self.settings.name, self.crew.lost());
        for taken in hangs {
            let without = if all {
                "nobody is acted on here"
            } else {
                "its connection acts no more, the others go on,"
            };
            let why = format!(
                "no answer for {}s: the driver does not keep its limits; {without} until it comes back, or orareaper is started anew",
                taken.as_secs()
            );
            let error = Error::new(Class::Backoff, format!("act on {}", self.settings.name), why);
            if all {
                self.trouble = Some(Trouble::Connection);
                self.watcher.acting_failed(&self.settings.name, &error);
                self.watcher.standing(&self.settings.name, &self.standby.missing());
            } else {
                self.watcher.helper_failed(&self.settings.name, &error);
            }
        }
    }
}
