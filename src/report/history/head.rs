//! The head of the summary, and what it means.

/// The head of the summary; in small letters, the names of its columns for programs.
pub(super) const HEAD: [&str; 20] = [
    "Day",
    "Database",
    "Policy",
    "Mode",
    "Users",
    "Held",
    "Actions",
    "Done",
    "Spared",
    "Failed",
    "Unused",
    "Open",
    "Gone",
    "Lingering",
    "Back",
    "Used",
    "Validated",
    "Ended",
    "Watched",
    "Lost",
];

/// What the head of the summary means.
pub(super) const KEY: &str = "Actions: all that were tried, of which Done, Spared (they matched no longer, or were protected), Failed, and Open \
    (without an outcome) add up to all. Unused: warrants that expired or were revoked, so that nothing was tried. Gone: the session was gone \
    afterwards; Lingering: it was not. Back: one like it logged in soon after. Used, Ended, Watched, Lost: what became of those that a dry run \
    would have ended, each session once: used again (Validated: of these, those whose calls look like a pool's validation), ended by \
    themselves, still watched, not watched to the end.";
