//! The scenario that most tests over the wire begin with: PROD, one instance, the reaper's account.

/// The text of a scenario with these sessions, one a line. Its clock stands still until a test moves it; `running` lets it run.
/// `accounts` are added to the reaper's.
macro_rules! prod {
    ($sessions:literal) => {
        $crate::site::prod!(clock "speed: 0\n", accounts "", sessions $sessions)
    };
    (running, $sessions:literal) => {
        $crate::site::prod!(clock "", accounts "", sessions $sessions)
    };
    (accounts $accounts:literal, $sessions:literal) => {
        $crate::site::prod!(clock "speed: 0\n", accounts $accounts, sessions $sessions)
    };
    (clock $clock:literal, accounts $accounts:literal, sessions $sessions:literal) => {
        concat!(
            "release: 19.22.0.0.0\nseed: 11\n",
            $clock,
            "starts: 2026-11-23T09:00:00\ndatabase: {name: PROD}\ninstances:\n  - {number: 1, name: prod, host: db1}\n",
            "accounts:\n  REAPER: {password: reaper}\n",
            $accounts,
            "sessions:\n",
            $sessions
        )
    };
}

pub(crate) use prod;
