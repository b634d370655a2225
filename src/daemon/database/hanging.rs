//! Reports a thread that hangs in a driver call.

use crate::daemon::database::DatabaseLoop;
use crate::daemon::database::orders::{Polling, Trouble};
use crate::oracle::{Class, Error};
use crate::quantity::Elapsed;

impl DatabaseLoop {
    /// Reports a read that hangs, once. Every driver call has a limit, but a client library can fail to keep it; then only the
    /// report is left.
    pub(crate) fn tell_if_hanging(&mut self) {
        let Polling::Since(since) = self.polling else { return };
        let taken = self.clock.now().since(since);
        if taken <= self.settings.patience {
            return;
        }
        let why = format!(
            "no answer for {}: the driver does not keep its limits; nothing is done here until the call returns or orareaper \
             is restarted",
            Elapsed(taken)
        );
        let error = Error::new(Class::Backoff, format!("read {}", self.settings.name), why);
        self.watcher.hangs(&self.settings.name, &error);
        self.polling = Polling::Hanging;
    }

    /// Reports each acting thread that hangs, once until it returns. It loses its connection. The others go on; if there is none,
    /// nothing is permitted meanwhile.
    pub(crate) fn tell_if_acting_hangs(&mut self) {
        let now = self.clock.now();
        let helper = self.settings.acting_patience;
        let main = helper.saturating_mul(self.standby.connections());
        let hangs = self.workers.hangs(now, main, helper);
        if hangs.is_empty() {
            return;
        }
        self.replace_main();
        let all = self.workers.is_lost();
        self.watcher.hanging(&self.settings.name, self.workers.lost());
        for taken in hangs {
            let without = if all {
                "no session is acted on here"
            } else {
                "this connection is out of use"
            };
            let others = if all { "" } else { "; the others continue" };
            let why = format!(
                "no answer for {}: the driver does not keep its limits; {without} until the call returns or orareaper is restarted{others}",
                Elapsed(taken)
            );
            let error = Error::new(Class::Backoff, format!("act on {}", self.settings.name), why);
            if all {
                self.trouble = Some(Trouble::Connection);
                self.watcher.acting_failed(&self.settings.name, &error);
                self.watcher.standby(&self.settings.name, &self.standby.missing());
            } else {
                self.watcher.helper_failed(&self.settings.name, &error);
            }
        }
    }
}
