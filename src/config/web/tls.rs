//! `tls_server_config`: certificate, key, which clients are asked for a certificate, versions and ciphers.
//!
//! The names are Go's, as in Prometheus. rustls has TLS 1.2 and 1.3 with forward secrecy alone; other versions, ciphers and curves
//! are refused.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, SupportedKxGroup, aws_lc_rs};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{ProtocolVersion, RootCertStore, ServerConfig, SupportedCipherSuite, SupportedProtocolVersion};

use super::{readable_by_all, unsupported, words_of};
use crate::yaml::diagnostics::{did_you_mean, one_of, quoted};
use crate::yaml::fields::{Fields, Inspection};
use crate::yaml::node::Node;

const KEYS: [&str; 13] = [
    "cert_file",
    "key_file",
    "cert",
    "key",
    "client_auth_type",
    "client_ca_file",
    "client_ca",
    "client_allowed_sans",
    "min_version",
    "max_version",
    "cipher_suites",
    "prefer_server_cipher_suites",
    "curve_preferences",
];

const WHAT: &str = "`tls_server_config`";

/// A file of certificates is not larger.
const LARGEST_FILE: u64 = 1 << 20;

/// The one protocol over TLS.
const HTTP: &[u8] = b"http/1.1";

/// Which clients are asked for a certificate, by Go's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ClientAuth {
    /// None.
    None,
    /// All are asked; a certificate that is sent must be valid.
    IfGiven,
    /// All need a valid one.
    Required,
    /// A certificate that is sent is not checked: by each of these names refused.
    Unchecked(&'static str),
}

impl ClientAuth {
    const ALL: [ClientAuth; 6] = [
        ClientAuth::None,
        ClientAuth::IfGiven,
        ClientAuth::Required,
        ClientAuth::Unchecked("RequestClientCert"),
        ClientAuth::Unchecked("RequireAnyClientCert"),
        ClientAuth::Unchecked("RequireClientCert"),
    ];

    fn name(self) -> &'static str {
        match self {
            ClientAuth::None => "NoClientCert",
            ClientAuth::IfGiven => "VerifyClientCertIfGiven",
            ClientAuth::Required => "RequireAndVerifyClientCert",
            ClientAuth::Unchecked(name) => name,
        }
    }
}

/// The versions of TLS, by the names of Prometheus, in their order.
const VERSIONS: [&str; 4] = ["TLS10", "TLS11", "TLS12", "TLS13"];

/// The oldest one that is not broken.
const OLDEST: &str = "TLS12";

/// Where the files are, and what became of them.
pub(super) struct CertificateFiles<'d> {
    /// Relative paths begin here.
    pub(super) base: &'d Path,
    /// The files that were read.
    pub(super) files: &'d mut Vec<PathBuf>,
    /// Those that this user may not read.
    pub(super) denied: &'d mut Vec<String>,
}

/// Certificates or a key, and where they are from.
struct Material {
    pem: Vec<u8>,
    /// The file; `None` if they are in the configuration itself.
    file: Option<PathBuf>,
    /// The key whose value it is.
    key: &'static str,
}

/// Reads it; with whether a client needs a certificate.
pub(super) fn server_config(
    inspection: &mut Inspection,
    node: &Node,
    disk: &mut CertificateFiles<'_>,
) -> Option<(Arc<ServerConfig>, bool)> {
    let fields = inspection.fields(node, WHAT, &KEYS)?;
    if fields.get("client_allowed_sans").is_some() {
        let why = "a certificate of a client is checked against `client_ca_file` alone, so let that authority sign for these clients only";
        unsupported(inspection, &fields, "client_allowed_sans", why);
    }
    let cert = material(inspection, &fields, ("cert", "cert_file"), disk);
    let key = material(inspection, &fields, ("key", "key_file"), disk);
    let client = client_auth(inspection, &fields, disk);
    let versions = versions(inspection, &fields);
    let provider = provider(inspection, &fields);
    let server_order = match fields.get("prefer_server_cipher_suites") {
        Some(node) => inspection.truth(node, "prefer_server_cipher_suites"),
        None => Some(true),
    };
    let (cert, key, (client, roots), provider) = (cert?, key?, client?, Arc::new(provider?));
    let mut failed = |at: &'static str, message: String| {
        inspection.error(&fields.key_at(at), "bad-tls", message);
    };
    let verifier = match roots {
        None => WebPkiClientVerifier::no_client_auth(),
        Some(roots) => {
            let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
            let builder = if client == ClientAuth::IfGiven {
                builder.allow_unauthenticated()
            } else {
                builder
            };
            builder
                .build()
                .map_err(|error| failed("client_auth_type", format!("no client could be verified: {error}")))
                .ok()?
        }
    };
    let chain = certificates(&cert).map_err(|why| failed(cert.key, why)).ok()?;
    let private = PrivateKeyDer::from_pem_slice(&key.pem)
        .map_err(|error| failed(key.key, format!("there is no private key in PEM form: {error}")))
        .ok()?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&versions?)
        .map_err(|error| failed("cipher_suites", format!("no version of TLS is left: {error}")))
        .ok()?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, private)
        .map_err(|error| failed(key.key, format!("certificate and key cannot be used together: {error}")))
        .ok()?;
    config.ignore_client_order = server_order?;
    config.alpn_protocols = vec![HTTP.to_vec()];
    Some((Arc::new(config), client == ClientAuth::Required))
}

/// Reads what one of two keys says: the text itself, or the file that has it.
fn material(
    inspection: &mut Inspection,
    fields: &Fields<'_>,
    (inline, of_file): (&'static str, &'static str),
    disk: &mut CertificateFiles<'_>,
) -> Option<Material> {
    let optional = inline == "client_ca";
    match (fields.get(inline), fields.get(of_file)) {
        (Some(_), Some(_)) => {
            let message = format!("there is both `{inline}` and `{of_file}`");
            inspection.error(&fields.key_at(inline), "conflicting-keys", message);
            None
        }
        (Some(node), None) => {
            let pem = inspection.scalar(node, inline)?.text.as_bytes().to_vec();
            Some(Material {
                pem,
                file: None,
                key: inline,
            })
        }
        (None, Some(node)) => {
            let path = disk.base.join(crate::config::read::path(inspection, node, of_file)?);
            disk.files.push(path.clone());
            match read(&path) {
                Ok(pem) => {
                    if of_file == "key_file" {
                        let name = inspection.source.name.to_string();
                        inspection
                            .found
                            .extend(readable_by_all(&name, &path, "the key of the pages"));
                    }
                    Some(Material {
                        pem,
                        file: Some(path),
                        key: of_file,
                    })
                }
                Err(error) => {
                    let message = format!("read {}: {error}", path.display());
                    if error.kind() == std::io::ErrorKind::PermissionDenied {
                        disk.denied.push(message.clone());
                    }
                    inspection.error(&node.at, "unreadable-file", message);
                    None
                }
            }
        }
        (None, None) if optional => None,
        (None, None) => {
            inspection.error(&fields.at, "missing-key", format!("{WHAT} has no `{of_file}`"));
            None
        }
    }
}

fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = crate::yaml::files::open_regular(path)?;
    file.take(LARGEST_FILE).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn certificates(material: &Material) -> Result<Vec<CertificateDer<'static>>, String> {
    let place = material
        .file
        .as_ref()
        .map_or_else(|| format!("`{}`", material.key), |file| file.display().to_string());
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&material.pem).collect();
    match read {
        Ok(found) if found.is_empty() => Err(format!("{place} has no certificate in PEM form")),
        Ok(found) => Ok(found),
        Err(error) => Err(format!("{place} has a certificate that is not in PEM form: {error}")),
    }
}

/// Which clients need a certificate, and who may have signed it.
fn client_auth(
    inspection: &mut Inspection,
    fields: &Fields<'_>,
    disk: &mut CertificateFiles<'_>,
) -> Option<(ClientAuth, Option<RootCertStore>)> {
    let kind = match fields.get("client_auth_type") {
        Some(node) => inspection.choice(node, "client_auth_type", &ClientAuth::ALL, ClientAuth::name)?,
        None => ClientAuth::None,
    };
    let given = ["client_ca", "client_ca_file"]
        .into_iter()
        .find(|key| fields.get(key).is_some());
    match (kind, given) {
        (ClientAuth::Unchecked(name), _) => {
            let at = fields.key_at("client_auth_type");
            let message = format!(
                "orareaper does not have `client_auth_type: {name}`, which accepts a certificate without checking it"
            );
            inspection.error(&at, "unsupported-key", message).hint =
                Some("write `RequireAndVerifyClientCert` with `client_ca_file`".to_owned());
            None
        }
        (ClientAuth::None, None) => Some((kind, None)),
        (ClientAuth::None, Some(key)) => {
            let message = format!("`{key}` has no effect without a `client_auth_type`");
            inspection.error(&fields.key_at(key), "conflicting-keys", message).hint =
                Some("add `client_auth_type: RequireAndVerifyClientCert`".to_owned());
            None
        }
        (ClientAuth::IfGiven | ClientAuth::Required, None) => {
            let at = fields.key_at("client_auth_type");
            let message = format!(
                "`{}` needs `client_ca_file`: who has signed the certificates",
                kind.name()
            );
            inspection.error(&at, "missing-key", message);
            None
        }
        (ClientAuth::IfGiven | ClientAuth::Required, Some(key)) => {
            let signers = material(inspection, fields, ("client_ca", "client_ca_file"), disk)?;
            let mut roots = RootCertStore::empty();
            let added = certificates(&signers).and_then(|found| {
                found
                    .into_iter()
                    .try_for_each(|one| roots.add(one).map_err(|error| format!("`{key}`: {error}")))
            });
            match added {
                Ok(()) => Some((kind, Some(roots))),
                Err(why) => {
                    inspection.error(&fields.key_at(key), "bad-tls", why);
                    None
                }
            }
        }
    }
}

fn versions(inspection: &mut Inspection, fields: &Fields<'_>) -> Option<Vec<&'static SupportedProtocolVersion>> {
    let mut version = |key: &'static str, default| match fields.get(key) {
        Some(node) => {
            let version = inspection.choice(node, key, &VERSIONS, |name| name)?;
            if version < OLDEST {
                let message = format!("orareaper does not have {version}, which is broken");
                inspection.error(&node.at, "unsupported-key", message).hint =
                    Some(format!("write `{key}: TLS12` or `{key}: TLS13`"));
                return None;
            }
            Some(version)
        }
        None => Some(default),
    };
    let (low, high) = (version("min_version", "TLS12"), version("max_version", "TLS13"));
    let (low, high) = (low?, high?);
    if low > high {
        let at = fields.key_at("max_version");
        inspection.error(&at, "conflicting-keys", "`min_version` is above `max_version`");
        return None;
    }
    let name = |version: &SupportedProtocolVersion| {
        if version.version == ProtocolVersion::TLSv1_3 {
            "TLS13"
        } else {
            "TLS12"
        }
    };
    let all = rustls::ALL_VERSIONS.iter().copied();
    Some(all.filter(|one| (low..=high).contains(&name(one))).collect())
}

/// The ciphers and curves.
fn provider(inspection: &mut Inspection, fields: &Fields<'_>) -> Option<CryptoProvider> {
    let mut provider = aws_lc_rs::default_provider();
    if let Some(node) = fields.get("cipher_suites") {
        let all = std::mem::take(&mut provider.cipher_suites);
        let chosen = chosen(inspection, node, "cipher_suites", &all, suite_name)?;
        // Those of TLS 1.3 are not chosen, as in Go.
        let of_13 = all.iter().filter(|suite| suite.tls13().is_some());
        let of_12 = chosen.iter().filter(|suite| suite.tls13().is_none());
        provider.cipher_suites = of_13.chain(of_12).copied().collect();
    }
    if let Some(node) = fields.get("curve_preferences") {
        let all: Vec<&'static dyn SupportedKxGroup> = aws_lc_rs::ALL_KX_GROUPS.to_vec();
        provider.kx_groups = chosen(inspection, node, "curve_preferences", &all, |group| group_name(*group))?;
    }
    Some(provider)
}

/// Go's name of a cipher suite.
fn suite_name(suite: &SupportedCipherSuite) -> String {
    let name = suite.suite().as_str().unwrap_or_default();
    name.replace("TLS13_", "TLS_")
}

/// Go's name of a curve.
fn group_name(group: &dyn SupportedKxGroup) -> String {
    use rustls::NamedGroup;
    let name = group.name();
    if name == NamedGroup::secp256r1 {
        "CurveP256".to_owned()
    } else if name == NamedGroup::secp384r1 {
        "CurveP384".to_owned()
    } else {
        name.as_str().unwrap_or_default().to_owned()
    }
}

/// The items of a list, in its order.
fn chosen<T: Clone>(
    inspection: &mut Inspection,
    node: &Node,
    key: &str,
    all: &[T],
    name: impl Fn(&T) -> String,
) -> Option<Vec<T>> {
    let names: Vec<String> = all.iter().map(&name).collect();
    let mut found = Vec::new();
    let mut whole = true;
    for (item, word) in words_of(inspection, node, key)? {
        if let Some(at) = names.iter().position(|name| name == word) {
            found.push(all[at].clone());
            continue;
        }
        let message = format!("orareaper does not have {} of `{key}`", quoted(word));
        let problem = inspection.error(&item.at, "unsupported-key", message);
        problem.expected = Some(format!("expected {}", one_of(names.iter().map(String::as_str))));
        problem.hint = did_you_mean(word, names.iter().map(String::as_str));
        whole = false;
    }
    if found.is_empty() && whole {
        inspection.error(&Inspection::place(node), "empty-list", format!("`{key}` is empty"));
        return None;
    }
    whole.then_some(found)
}
