//! `notify:` of the configuration: who is told of what, by which way, and within which bounds.
//!
//! Addresses that are secrets themselves (those of Slack and Teams) and tokens are stored where passwords are. An address that is
//! written in the file has no user, no query and no fragment, so that it can be shown.

mod files;
mod read;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use glob::Pattern;

use super::secret::SecretSource;
pub(crate) use files::{certificates, unmatched_filters};
pub(in crate::config) use files::{troubles_of_files, unreadable_secrets};
pub(super) use read::notify;
#[cfg(test)]
pub(super) use read::{NOTIFY_KEYS, RECEIVER_KEYS};

use crate::policy::model::Selector;
use crate::words::words;

words! {
    /// What a notification is about.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
    pub enum NoticeKind {
        /// An action is about to be taken.
        Intent = "intent",
        /// What came of an action, or why it was dropped.
        Outcome = "outcome",
        /// What later snapshots show of a session that was acted on.
        Verification = "verification",
        /// A policy's breaker opened or closed.
        Breaker = "breaker",
        /// A session came back after one of the same group was ended.
        Refill = "refill",
        /// A policy leaves a group alone that refills, or does so no longer.
        Suspension = "suspension",
        /// A database is down, or up again.
        Database = "database",
        /// Connections that an action needs are lost, or there again.
        Acting = "acting",
        /// The daemon is paused, or acts again.
        Pause = "pause",
        /// The journal cannot be written, or can be again; meanwhile nothing is done.
        Journal = "journal",
        /// A reload failed, or one succeeded after that.
        Reload = "reload",
        /// An exemption ends soon.
        Exemption = "exemption",
        /// The daemon started or is stopping.
        Daemon = "daemon",
        /// How many messages were combined into one, because there were too many.
        Collected = "collected",
        /// A test message of `orareaper notify`.
        Test = "test",
    }
}

impl NoticeKind {
    /// Whether `events` of a receiver may name it. The others are always sent.
    #[must_use]
    pub(crate) const fn is_selectable(self) -> bool {
        !matches!(self, NoticeKind::Collected | NoticeKind::Test)
    }
}

words! {
    /// How urgent a notification is, as in docs/runbook.md.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
    pub enum NoticeSeverity {
        /// A message; nobody has to get up.
        Info = "info",
        /// Within working hours.
        Warning = "warning",
        /// Now.
        Critical = "critical",
    }
}

words! {
    /// The kind of a receiver.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub enum ReceiverKind {
        /// A web server that takes the notification as JSON.
        Json = "json",
        /// An incoming webhook of Slack.
        Slack = "slack",
        /// A webhook of Microsoft Teams' Workflows, which takes an Adaptive Card.
        Teams = "teams",
        /// The API of an Alertmanager.
        Alertmanager = "alertmanager",
        /// A program that gets the notification as JSON on its standard input.
        Program = "program",
    }
}

/// `notify:`
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Notify {
    /// The receivers; their names are unique.
    pub(crate) receivers: Vec<Receiver>,
    /// How long before the end of an exemption its owner is told, once for each.
    pub(crate) before: Vec<TimeDelta>,
}

/// A receiver of notifications.
#[derive(Clone, Debug, PartialEq)]
pub struct Receiver {
    /// Its name: `[a-z0-9_.-]+`, unique; a label of the metrics.
    pub(crate) name: Arc<str>,
    /// Its kind.
    pub(crate) kind: ReceiverKind,
    /// How it is reached.
    pub(crate) way: DeliveryWay,
    /// What it is told of.
    pub(crate) filter: NoticeFilter,
    /// The most messages in a minute; what is beyond is counted in one message.
    pub(crate) rate: u32,
    /// The most messages that wait.
    pub(crate) queue: usize,
    /// The time limit for one attempt.
    pub(crate) timeout: Duration,
    /// The time limit for one message, all attempts and waits together, from the event on.
    pub(crate) give_up: Duration,
}

/// How a receiver is reached.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum DeliveryWay {
    /// By a POST to a web server.
    Web(WebReceiver),
    /// A program with its arguments; the first is its absolute path. No shell reads them.
    Program(Vec<String>),
}

/// A web server.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct WebReceiver {
    /// The address.
    pub(crate) url: ReceiverUrl,
    /// How the daemon shows who it is.
    pub(crate) login: WebLogin,
    /// The certificates of the authorities to trust, in PEM, instead of those that are built in.
    pub(crate) ca_file: Option<PathBuf>,
    /// Whether an address without TLS may lead to another host.
    pub(crate) plain_http: bool,
}

/// The address of a web server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ReceiverUrl {
    /// As it is written in the file. It holds no secret.
    Written(String),
    /// It is a secret itself.
    Stored(SecretSource),
}

/// How the daemon shows a web server who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum WebLogin {
    /// Not at all.
    Nothing,
    /// By a bearer token.
    Bearer(SecretSource),
    /// By name and password.
    Basic(String, SecretSource),
}

/// What a receiver is told of.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct NoticeFilter {
    /// Which kinds.
    pub(crate) events: Vec<NoticeKind>,
    /// How urgent at least.
    pub(crate) severity: NoticeSeverity,
    /// Of which databases; empty means all. What is of no database passes.
    pub(crate) databases: Vec<Selector>,
    /// Of which policies; empty means all. What is of no policy passes.
    pub(crate) policies: Vec<Pattern>,
    /// Of exemptions of which owners; empty means all.
    pub(crate) owners: Vec<Pattern>,
}

impl Receiver {
    /// Every secret that a message to it needs, with what it is: `the address`.
    pub(crate) fn secrets(&self) -> Vec<(&SecretSource, &'static str)> {
        let DeliveryWay::Web(web) = &self.way else {
            return Vec::new();
        };
        let url = match &web.url {
            ReceiverUrl::Stored(source) => Some((source, "the address")),
            ReceiverUrl::Written(_) => None,
        };
        let login = match &web.login {
            WebLogin::Nothing => None,
            WebLogin::Bearer(source) => Some((source, "the token")),
            WebLogin::Basic(_, source) => Some((source, "the password")),
        };
        url.into_iter().chain(login).collect()
    }
}

/// What is wrong with an address. It does not repeat the address, which may be a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UrlFault {
    /// It is none of http or https, or has no host.
    NotHttp,
    /// It has a user, a query or a fragment.
    MayHoldASecret,
    /// It leads to another host without TLS.
    PlainHttp,
}

impl fmt::Display for UrlFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            UrlFault::NotHttp => "it is not an address like `https://host/path`",
            UrlFault::MayHoldASecret => "it has a user, a `?` or a `#`, and may hold a secret",
            UrlFault::PlainHttp => {
                "it is `http://` to another host, so that everybody on the way can read and change it"
            }
        })
    }
}

/// Checks an address. Returns its scheme and host with port, which are no secret.
pub(crate) fn host_of(url: &str, plain_http: bool) -> Result<String, UrlFault> {
    let (scheme, rest) = url.split_once("://").ok_or(UrlFault::NotHttp)?;
    let scheme = scheme.to_ascii_lowercase();
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | ':' | '[' | ']' | '_');
    let bare = match host.strip_prefix('[') {
        Some(six) => six.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    if !matches!(scheme.as_str(), "http" | "https")
        || bare.is_empty()
        || !host.chars().all(good)
        || !url.bytes().all(|b| b.is_ascii_graphic())
    {
        return Err(UrlFault::NotHttp);
    }
    if scheme == "http" && !plain_http && !is_loopback(bare) {
        return Err(UrlFault::PlainHttp);
    }
    Ok(format!("{scheme}://{host}"))
}

fn is_loopback(host: &str) -> bool {
    let address = host.parse::<std::net::IpAddr>();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_host_of_an_address_is_shown() {
        let host = |url| host_of(url, false).map_err(|fault| fault.to_string());
        assert_eq!(
            host("https://hooks.slack.com/services/T0/B0/secret").as_deref(),
            Ok("https://hooks.slack.com")
        );
        assert_eq!(
            host("HTTPS://u:pw@h.example:8443/x?sig=secret").as_deref(),
            Ok("https://h.example:8443")
        );
        for local in [
            "http://127.0.0.1:9093",
            "http://localhost/x",
            "http://[::1]:80/x",
            "http://127.8.0.1",
        ] {
            assert!(host(local).is_ok(), "{local}");
        }
        for plain in [
            "http://am.example:9093",
            "http://10.0.0.1/",
            "http://localhost.example/",
        ] {
            assert_eq!(host_of(plain, false), Err(UrlFault::PlainHttp), "{plain}");
            assert!(host_of(plain, true).is_ok(), "{plain}");
        }
        for not in [
            "",
            "hooks.example/x",
            "ftp://h/x",
            "https://",
            "https:///x",
            "https://a b/",
            "https://h/\u{e4}",
            "https://h\n/",
        ] {
            assert_eq!(host_of(not, true), Err(UrlFault::NotHttp), "{not:?}");
        }
    }
}
