//! Where the pages are served, and what protects them: an address that others can reach needs protection, or a word that it has none.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use super::read::path;
use crate::yaml::diagnostics::quoted;
use crate::yaml::fields::{Fields, Inspection};
use crate::yaml::node::Node;

/// The address of the pages, and what protects it.
#[derive(Clone, Debug)]
pub(super) struct ServedAt {
    /// See [`super::Config::listen`].
    pub(super) listen: SocketAddr,
    /// See [`super::Config::web_config`].
    pub(super) web_config: Option<PathBuf>,
    /// See [`super::Config::listen_unprotected`].
    pub(super) listen_unprotected: bool,
}

/// Whether only this host reaches an address.
pub(super) fn is_local(address: SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}

/// Reads the keys that say where the pages are served.
pub(super) fn served(inspection: &mut Inspection, fields: &Fields<'_>, base: &Path) -> Option<ServedAt> {
    let listen = match fields.get("listen") {
        Some(node) => listen(inspection, node),
        None => Some(SocketAddr::from(([127, 0, 0, 1], 9763))),
    };
    let web_config = match fields.get("web_config") {
        Some(node) => path(inspection, node, "web_config").map(|text| Some(base.join(text))),
        None => Some(None),
    };
    let unprotected = match fields.get("listen_unprotected") {
        Some(node) => inspection.truth(node, "listen_unprotected"),
        None => Some(false),
    };
    let served = ServedAt {
        listen: listen?,
        web_config: web_config?,
        listen_unprotected: unprotected?,
    };
    let open = !is_local(served.listen) && served.web_config.is_none() && !served.listen_unprotected;
    if let Some(node) = fields.get("listen").filter(|_| open) {
        let message = format!(
            "others can reach {}, and nothing protects the pages, which show users and programs of your databases",
            served.listen
        );
        inspection.error(&node.at, "unprotected-address", message).hint = Some(
            "write `web_config: web-config.yml`, a file with TLS and users in Prometheus' format, or `listen_unprotected: true` if \
             something else keeps others away"
                .to_owned(),
        );
        return None;
    }
    Some(served)
}

fn listen(inspection: &mut Inspection, node: &Node) -> Option<SocketAddr> {
    let text = inspection.text(node, "listen")?;
    let address = text.parse().ok();
    if address.is_none() {
        let problem = inspection.error(
            &node.at,
            "bad-address",
            format!("{} is not an address to listen on", quoted(text)),
        );
        problem.expected = Some("expected an IP address and a port".to_owned());
        problem.hint = Some(address_meant(text));
    }
    address
}

/// What to write instead of a text that is not an address.
fn address_meant(text: &str) -> String {
    let (host, port) = text.rsplit_once(':').unwrap_or(("", text));
    if let Ok(port) = port.parse::<u16>() {
        match host {
            "" if !text.starts_with(':') => {
                return format!("write `127.0.0.1:{port}`, or `0.0.0.0:{port}` for all addresses of this host");
            }
            "localhost" => return format!("host names are not supported: write `127.0.0.1:{port}`"),
            "" | "*" => return format!("write `0.0.0.0:{port}` for all addresses of this host"),
            _ => {}
        }
    } else if !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) {
        return "a port must be between 1 and 65535".to_owned();
    } else if text.parse::<IpAddr>().is_ok() {
        return "add a port, such as 9763".to_owned();
    }
    "for example `127.0.0.1:9763`, `0.0.0.0:9763` or `[::1]:9763`; host names are not supported".to_owned()
}
