//! What protects the connection to a database on its way, as `doctor` says it.

use crate::checks::{Check, Id, State};
use crate::oracle::Driver;
use crate::oracle::access::{self, Grantee};
use crate::oracle::network::{NetworkFacts, NetworkProtection};

/// What an attacker on the way can do to a connection that is not encrypted.
const OPEN: &str = "whoever is on the way can read what is read and change the answers; the log-in does not send the password, but a weak one \
                    can be guessed from what it sends";

/// What to do about it.
const REMEDY: &str = "connect by tcps://; with driver: oci native encryption (SQLNET.ENCRYPTION_CLIENT = REQUIRED in sqlnet.ora) protects as \
                      well: docs/connecting.md";

/// What was found, in words.
#[must_use]
pub(crate) fn check(facts: &NetworkFacts, driver: Driver, grantee: Grantee<'_>) -> Check {
    let said = |state, found: String| Check::new(Id::Network, "", state, found);
    let by = match facts.protocol.as_str() {
        "" => "a protocol that the database does not name".to_owned(),
        protocol => protocol.to_uppercase(),
    };
    match &facts.protection {
        NetworkProtection::Tls => {
            let compared = match driver {
                Driver::Thin => "the server's certificate and name were checked",
                Driver::Oci => {
                    "the server's certificate was checked; its name only with SSL_SERVER_DN_MATCH, which Oracle Client 19 and 21 do not \
                     set by themselves"
                }
            };
            said(State::Fine, format!("the connection is by TCPS: {compared}"))
        }
        NetworkProtection::Native(encryption, Some(checksums)) => said(
            State::Fine,
            format!("the connection is by {by} with native encryption ({encryption}) and checksums ({checksums})"),
        ),
        NetworkProtection::Native(encryption, None) => said(
            State::Fine,
            format!("the connection is by {by} with native encryption ({encryption}), without checksums"),
        ),
        NetworkProtection::Nothing | NetworkProtection::Checksums(_) | NetworkProtection::Unreadable
            if facts.within_host =>
        {
            said(State::Fine, format!("the connection is by {by}, and does not leave this host"))
        }
        NetworkProtection::Nothing => said(
            State::Note,
            format!("the connection is by {by} without encryption: {OPEN}"),
        )
        .with(REMEDY),
        NetworkProtection::Checksums(checksums) => said(
            State::Note,
            format!(
                "the connection is by {by} with checksums ({checksums}), without encryption: whoever is on the way can read what is read"
            ),
        )
        .with(REMEDY),
        NetworkProtection::Unreadable => said(
            State::Note,
            format!(
                "the connection is by {by}; whether Oracle Client encrypts it is shown by V$SESSION_CONNECT_INFO alone, which the account \
                 may not read"
            ),
        )
        .granted_by(access::grant("V$SESSION_CONNECT_INFO", grantee)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oracle::capabilities::HostingService;

    fn found(protocol: &str, within_host: bool, protection: NetworkProtection) -> Check {
        let facts = NetworkFacts {
            protocol: protocol.to_owned(),
            within_host,
            protection,
        };
        let grantee = Grantee {
            username: "REAPER",
            service: HostingService::SelfManaged,
        };
        check(&facts, Driver::Oci, grantee)
    }

    #[test]
    fn only_what_leaves_the_host_without_encryption_is_told() {
        use NetworkProtection::{Checksums, Native, Nothing, Tls, Unreadable};
        let native = || Native("AES256".into(), None);
        let cases = [
            (found("tcps", false, Tls), State::Fine, "by TCPS"),
            (found("tcp", false, native()), State::Fine, "native encryption (AES256)"),
            (found("tcp", true, Nothing), State::Fine, "does not leave this host"),
            (
                found("beq", true, Unreadable),
                State::Fine,
                "by BEQ, and does not leave",
            ),
            (
                found("tcp", false, Nothing),
                State::Note,
                "without encryption: whoever is on the way",
            ),
            (
                found("tcp", false, Checksums("SHA256".into())),
                State::Note,
                "checksums (SHA256), without encryption",
            ),
            (
                found("tcp", false, Unreadable),
                State::Note,
                "which the account may not read",
            ),
            (
                found("", false, Nothing),
                State::Note,
                "a protocol that the database does not name",
            ),
        ];
        for (check, state, words) in cases {
            assert_eq!(check.state, state, "{check}");
            assert!(check.found.contains(words), "{check}");
            assert_eq!(check.remedy.is_some(), state == State::Note, "{check}");
        }
        let remedy = found("tcp", false, Unreadable).remedy.expect("a grant");
        assert_eq!(
            remedy.to_string(),
            "GRANT SELECT ON sys.v_$session_connect_info TO REAPER"
        );
    }
}
