//! Where the demo serves its pages: found out before anything is said, because a daemon may run beside it.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener};

/// The daemon's own default.
pub(super) const USUAL: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 9763));

/// The address to listen on, with a port that is free now: the given one, or else the usual one, or else any port of the same host.
///
/// # Errors
/// When the given address cannot be used; the error says which option chooses another.
pub(super) fn address(given: Option<SocketAddr>) -> Result<SocketAddr, String> {
    address_or(given, USUAL)
}

fn address_or(given: Option<SocketAddr>, usual: SocketAddr) -> Result<SocketAddr, String> {
    let at = given.unwrap_or(usual);
    match free(at) {
        Err(error) if given.is_none() && error.kind() == ErrorKind::AddrInUse => {
            let any = SocketAddr::new(at.ip(), 0);
            free(any).map_err(|error| refused(any, &error))
        }
        answer => answer.map_err(|error| refused(at, &error)),
    }
}

fn refused(at: SocketAddr, error: &std::io::Error) -> String {
    format!(
        "serve the pages on {at}: {error}; choose another address with `--listen`, for example `--listen 127.0.0.1:0` for a free port"
    )
}

/// The address with its port, or with a free one for the port 0, if it can be listened on.
fn free(at: SocketAddr) -> std::io::Result<SocketAddr> {
    TcpListener::bind(at)?.local_addr()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_found_out_before_it_is_told() {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let other = TcpListener::bind(any).expect("a free port");
        let taken = other.local_addr().expect("it has an address");
        let found = address_or(None, taken).expect("there are others");
        assert!(
            found != taken && found.port() != 0 && found.ip() == taken.ip(),
            "{found}"
        );
        let refused = address_or(Some(taken), USUAL).expect_err("another program has it");
        assert!(
            refused.starts_with(&format!("serve the pages on {taken}: ")) && refused.contains("`--listen`"),
            "{refused}"
        );
        assert_ne!(address_or(Some(any), USUAL).expect("a free port").port(), 0);
        drop(other);
        assert_eq!(address_or(None, taken), Ok(taken), "it is free again");
    }
}
