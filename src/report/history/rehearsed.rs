//! What became of the sessions that dry runs would have ended, from the journal's entries.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::decide::refill::ClientGroup;
use crate::decide::used_again::{Afterwards, KnownRehearsals, PolicyRehearsal, RehearsalTally};
use crate::journal::entries::Entry;

/// Those entries, oldest first, whose session was not watched already for the same policy.
pub(super) fn rehearsed(entries: &[Entry]) -> Vec<&Entry> {
    let mut known = KnownRehearsals::default();
    let is_new = |entry: &&Entry| {
        let intent = &entry.intent;
        let of = (Arc::clone(&intent.database), Arc::clone(&intent.policy), intent.key);
        entry.would_have_ended() && known.is_new(of, intent.taken_at, entry.afterwards)
    };
    entries.iter().filter(is_new).collect()
}

/// Counts one of them. Without a record of what became of it, it is still watched, or was when the daemon ended.
pub(super) fn count(tally: &mut RehearsalTally, entry: &Entry) {
    match entry.afterwards {
        Some((afterwards, after)) => tally.add(afterwards, after.num_seconds()),
        None => tally.watched += 1,
    }
}

/// By database and policy, each with its groups.
pub(super) fn by_policy(entries: &[Entry]) -> BTreeMap<(Arc<str>, Arc<str>), PolicyRehearsal> {
    let mut counted: BTreeMap<(Arc<str>, Arc<str>), BTreeMap<ClientGroup, RehearsalTally>> = BTreeMap::new();
    for entry in rehearsed(entries) {
        let intent = &entry.intent;
        let text = |text: &Option<String>| text.as_deref().map(Arc::from);
        let who = ClientGroup {
            username: text(&intent.username),
            program: text(&intent.program),
            machine: text(&intent.machine),
        };
        let of = (Arc::clone(&intent.database), Arc::clone(&intent.policy));
        count(counted.entry(of).or_default().entry(who.class()).or_default(), entry);
    }
    let whole = |(of, groups)| (of, PolicyRehearsal::of(groups));
    counted.into_iter().map(whole).collect()
}

/// What became of the session, in words; nothing for an action that is no such rehearsal.
pub(super) fn words(entry: &Entry) -> Option<String> {
    let (afterwards, after) = entry.afterwards?;
    let after = crate::quantity::Span(after.num_seconds());
    Some(match afterwards {
        Afterwards::UsedAgain => format!("used again after {after}"),
        Afterwards::Validated => format!("validated after {after}"),
        Afterwards::Ended => format!("ended by itself after {after}"),
        Afterwards::Lost => format!("watched for {after}"),
    })
}
