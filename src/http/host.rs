//! Whether a request is meant for this daemon: its Host header is an IP address or names this host.
//!
//! The owner of a web page that a DBA visits can resolve its name to 127.0.0.1 (DNS rebinding) and then read the status page
//! through the DBA's browser, including the users and programs of the database. Such a request has the page's name in Host.
//! An IP address cannot be rebound, and an attacker does not control the name of this host.

use std::net::IpAddr;

/// Whether the Host header, if there is one, is an IP address, `localhost` or this host's name.
///
/// If the pages are served only on this host (`local`), the name must be exactly the host name: `db1.evil.example` may belong to
/// anybody. Otherwise the domain may be present or missing, because clients may not know which form the host uses; such a page
/// is open to everybody who reaches the address anyway.
pub(super) fn is_ours(host: Option<&str>, own_name: &str, local: bool) -> bool {
    // HTTP/1.0 has no Host header; a browser always sends one.
    let Some(host) = host else { return true };
    let Some(name) = name_of(host.trim()) else {
        return false;
    };
    if name.parse::<IpAddr>().is_ok() || name.eq_ignore_ascii_case("localhost") {
        return true;
    }
    let first = |name: &str| name.split('.').next().unwrap_or_default().to_ascii_lowercase();
    let same = name.trim_end_matches('.').eq_ignore_ascii_case(own_name);
    let short = !local && (!name.contains('.') || !own_name.contains('.'));
    !own_name.is_empty() && (same || short && first(name) == first(own_name))
}

/// The name without the port; an IPv6 address without the brackets.
fn name_of(host: &str) -> Option<&str> {
    if let Some(rest) = host.strip_prefix('[') {
        let (address, port) = rest.split_once(']')?;
        return is_port(port).then_some(address);
    }
    match host.split_once(':') {
        Some((name, port)) => port.bytes().all(|byte| byte.is_ascii_digit()).then_some(name),
        None => Some(host),
    }
}

fn is_port(rest: &str) -> bool {
    rest.is_empty()
        || rest
            .strip_prefix(':')
            .is_some_and(|port| port.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_this_host_are_accepted_and_other_hosts_are_not() {
        for host in [
            "127.0.0.1:9763",
            "127.0.0.1",
            "[::1]:9763",
            "10.1.2.3:9763",
            "localhost:9763",
            "LOCALHOST",
            "db1",
            "DB1:9763",
        ] {
            assert!(is_ours(Some(host), "db1", true), "{host}");
        }
        assert!(is_ours(None, "db1", true));
        assert!(is_ours(Some("db1.example.com."), "db1.example.com", true));
        for host in [
            "evil.example",
            "evil.example:9763",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
            "",
            "[::1",
            "db1:port",
        ] {
            assert!(!is_ours(Some(host), "db1", false), "{host}");
        }
        assert!(!is_ours(Some("db1.evil.example"), "db1.example.com", false));
        assert!(!is_ours(Some("db2"), "db1.example.com", false));
        assert!(!is_ours(Some("anything"), "", false));
    }

    #[test]
    fn a_domain_may_be_left_out_or_added_only_if_not_local() {
        for (host, own) in [("db1.example.com", "db1"), ("db1:9763", "db1.example.com")] {
            assert!(is_ours(Some(host), own, false), "{host}");
            assert!(!is_ours(Some(host), own, true), "{host}");
        }
    }
}
