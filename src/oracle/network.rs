//! How a connection crosses the network: by which protocol, and whether Oracle Client encrypts it by itself.
//!
//! Native network encryption is agreed upon at the log-in, and shown by V$SESSION_CONNECT_INFO alone: a session that has it has a row
//! for the adapter of an algorithm (`AES256 Encryption service adapter for Linux: ...`), one that has not has the service's row only
//! (`Encryption service for Linux: ...`). Oracle Database Security Guide, "Configuring Oracle Database Native Network Encryption and Data
//! Integrity"; Oracle Database Reference, V$SESSION_CONNECT_INFO.

use std::net::IpAddr;
use std::time::Duration;

use crate::oracle::error::{Class, Error};
use crate::oracle::probe::text;
use crate::oracle::sql::startup;
use crate::oracle::{Connection, Driver, collect};

/// More rows than a session has services.
const AT_MOST: usize = 100;

/// What protects a connection on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NetworkProtection {
    /// TLS.
    Tls,
    /// Native encryption, with its algorithm, and that of the checksums if there are any.
    Native(String, Option<String>),
    /// Nothing.
    Nothing,
    /// Nothing but checksums, with their algorithm.
    Checksums(String),
    /// Unknown: the account may not read V$SESSION_CONNECT_INFO.
    Unreadable,
}

/// How a connection crosses the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NetworkFacts {
    /// NETWORK_PROTOCOL of USERENV: `tcp`, `tcps`, `ipc`, `beq`.
    pub(crate) protocol: String,
    /// Whether the database sees the client at an address of its own host.
    pub(crate) within_host: bool,
    /// What protects it.
    pub(crate) protection: NetworkProtection,
}

/// Finds out how this connection crosses the network.
///
/// # Errors
/// When the connection breaks.
pub(crate) fn network(
    connection: &mut dyn Connection,
    (driver, sid): (Driver, u32),
    limit: Duration,
) -> Result<NetworkFacts, Error> {
    let rows = collect(connection, &startup::own_protocol(), limit, 1, |row| {
        Some((text(row, 0), text(row, 1)))
    })?;
    let (protocol, address) = rows.into_iter().next().unwrap_or_default();
    let protocol = protocol.unwrap_or_default().to_lowercase();
    let remote = ["tcp", "tcps"].contains(&protocol.as_str());
    let is_loopback = |address: &String| {
        let parsed: Option<IpAddr> = address.parse().ok();
        parsed.is_some_and(|address| address.to_canonical().is_loopback())
    };
    let protection = match (protocol.as_str(), driver) {
        ("tcps", _) => NetworkProtection::Tls,
        // It has no native encryption.
        (_, Driver::Thin) => NetworkProtection::Nothing,
        (_, Driver::Oci) => match collect(connection, &startup::own_banners(sid), limit, AT_MOST, |row| {
            text(row, 0)
        }) {
            Ok(banners) => native(&banners),
            Err(error) if error.class == Class::Reconnect => return Err(error),
            Err(_) => NetworkProtection::Unreadable,
        },
    };
    Ok(NetworkFacts {
        within_host: !remote || address.as_ref().is_some_and(is_loopback),
        protocol,
        protection,
    })
}

/// What the banners of a session's services say.
fn native(banners: &[String]) -> NetworkProtection {
    let algorithm = |service: &str| {
        let found = banners.iter().find_map(|banner| banner.split_once(service));
        found.map(|(algorithm, _)| algorithm.trim().to_owned())
    };
    let encryption = algorithm("Encryption service adapter").filter(|algorithm| !algorithm.is_empty());
    let checksums = algorithm("Crypto-checksumming service adapter").filter(|algorithm| !algorithm.is_empty());
    match (encryption, checksums) {
        (Some(encryption), checksums) => NetworkProtection::Native(encryption, checksums),
        (None, Some(checksums)) => NetworkProtection::Checksums(checksums),
        // An account that sees no row of its own session learns nothing.
        (None, None) if banners.is_empty() => NetworkProtection::Unreadable,
        (None, None) => NetworkProtection::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_adapter_of_an_algorithm_encrypts() {
        let of = |banners: &[&str]| native(&banners.iter().map(|banner| (*banner).to_owned()).collect::<Vec<_>>());
        let tcp = "TCP/IP NT Protocol Adapter for Linux: Version 19.0.0.0.0 - Production";
        let services = [
            "Encryption service for Linux: Version 19.0.0.0.0 - Production",
            "Crypto-checksumming service for Linux: Version 19.0.0.0.0 - Production",
        ];
        let aes = "AES256 Encryption service adapter for Linux: Version 19.0.0.0.0 - Production";
        let sha = "SHA256 Crypto-checksumming service adapter for Linux: Version 19.0.0.0.0 - Production";
        assert_eq!(of(&[]), NetworkProtection::Unreadable);
        assert_eq!(of(&[tcp]), NetworkProtection::Nothing);
        assert_eq!(of(&[tcp, services[0], services[1]]), NetworkProtection::Nothing);
        assert_eq!(
            of(&[tcp, services[0], aes]),
            NetworkProtection::Native("AES256".into(), None)
        );
        assert_eq!(
            of(&[tcp, services[0], aes, services[1], sha]),
            NetworkProtection::Native("AES256".into(), Some("SHA256".into()))
        );
        assert_eq!(
            of(&[tcp, services[1], sha]),
            NetworkProtection::Checksums("SHA256".into())
        );
    }
}
