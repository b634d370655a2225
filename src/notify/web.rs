//! A web server that is told: one POST.
//!
//! Secrets are read for each message, so a changed one is used at once. An address is never a part of an error, because it may be
//! a secret; the host is. No redirect is followed, and no proxy of the environment is used. Answers are read up to a small bound.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use base64ct::{Base64, Encoding as _};
use chrono::DateTime;
use rustls::crypto::aws_lc_rs;
use ureq::http::StatusCode;
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Error};

use crate::config::notify::{ReceiverUrl, WebLogin, WebReceiver, certificates, host_of};
use crate::config::{Password, ReceiverKind, SecretSource};
use crate::notify::failure::{NoticeFailure, shown};

/// How much of an answer is read, in bytes.
const ANSWER: u64 = 1_024;

/// Where an Alertmanager takes alerts.
const ALERTS: &str = "/api/v2/alerts";

/// The longest wait that a server may ask for.
const LONGEST_WAIT: Duration = Duration::from_secs(3_600);

/// Sends one body.
pub(super) fn post(
    web: &WebReceiver,
    kind: ReceiverKind,
    body: &[u8],
    limit: Duration,
) -> Result<String, NoticeFailure> {
    let stored;
    let url = match &web.url {
        ReceiverUrl::Written(url) => url.as_str(),
        ReceiverUrl::Stored(source) => {
            stored = secret(source, "the address")?;
            stored.reveal()
        }
    };
    let host = host_of(url, web.plain_http)
        .map_err(|fault| NoticeFailure::lasting(format!("the address cannot be used: {fault}")))?;
    let credentials = credentials(&web.login)?;
    let url = match kind {
        ReceiverKind::Alertmanager if !url.ends_with(ALERTS) => format!("{}{ALERTS}", url.trim_end_matches('/')),
        ReceiverKind::Alertmanager
        | ReceiverKind::Json
        | ReceiverKind::Slack
        | ReceiverKind::Teams
        | ReceiverKind::Program => url.to_owned(),
    };
    let agent = agent(web, limit)?;
    let mut request = agent.post(&url).header("Content-Type", "application/json");
    if let Some((header, _)) = &credentials {
        request = request.header("Authorization", header);
    }
    let failed = |error: Error| of_error(&host, &error);
    let mut response = request.send(body).map_err(failed)?;
    let status = response.status();
    let wait = response
        .headers()
        .get("Retry-After")
        .and_then(|value| value.to_str().ok())
        .map(str::to_owned);
    let date = response
        .headers()
        .get("Date")
        .and_then(|value| value.to_str().ok())
        .map(str::to_owned);
    let answer = response
        .body_mut()
        .with_config()
        .limit(ANSWER)
        .read_to_vec()
        .unwrap_or_default();
    let secrets: Vec<&str> = credentials
        .iter()
        .flat_map(|(header, secret)| [header.as_str(), secret.reveal()])
        .collect();
    let secrets = [secrets, vec![url.as_str()]].concat();
    let answer = shown(&String::from_utf8_lossy(&answer), &secrets);
    of_status(&host, status, (wait.as_deref(), date.as_deref()), &answer)
}

fn secret(source: &SecretSource, what: &str) -> Result<Password, NoticeFailure> {
    source
        .read()
        .map_err(|error| NoticeFailure::lasting(format!("{what} cannot be used: {error}")))
}

/// The header that shows who the daemon is, and the secret in it.
fn credentials(login: &WebLogin) -> Result<Option<(String, Password)>, NoticeFailure> {
    Ok(match login {
        WebLogin::Nothing => None,
        WebLogin::Bearer(source) => {
            let token = secret(source, "the token")?;
            Some((format!("Bearer {}", token.reveal()), token))
        }
        WebLogin::Basic(user, source) => {
            let password = secret(source, "the password")?;
            let both = format!("{user}:{}", password.reveal());
            Some((format!("Basic {}", Base64::encode_string(both.as_bytes())), password))
        }
    })
}

fn agent(web: &WebReceiver, limit: Duration) -> Result<Agent, NoticeFailure> {
    let roots = match &web.ca_file {
        None => RootCerts::WebPki,
        Some(file) => {
            let unusable = |why: &dyn fmt::Display| {
                NoticeFailure::lasting(format!("`ca_file` cannot be used: {}: {why}", file.display()))
            };
            let text = certificates(file).map_err(|error| unusable(&error))?;
            let mut found = Vec::new();
            for item in parse_pem(text.as_bytes()) {
                if let PemItem::Certificate(certificate) = item.map_err(|error| unusable(&error))? {
                    found.push(certificate);
                }
            }
            if found.is_empty() {
                return Err(unusable(&"it has no certificate"));
            }
            RootCerts::new_with_certs(&found)
        }
    };
    let tls = TlsConfig::builder()
        .unversioned_rustls_crypto_provider(Arc::new(aws_lc_rs::default_provider()))
        .root_certs(roots)
        .build();
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .proxy(None)
        .max_idle_connections(0)
        .user_agent(concat!("orareaper/", env!("CARGO_PKG_VERSION")))
        .timeout_global(Some(limit))
        .tls_config(tls)
        .build();
    Ok(config.new_agent())
}

fn of_status(
    host: &str,
    status: StatusCode,
    (wait, date): (Option<&str>, Option<&str>),
    answer: &str,
) -> Result<String, NoticeFailure> {
    let code = status.as_u16();
    if status.is_success() {
        return Ok(format!("{host} answered HTTP {code}"));
    }
    let why = format!("{host} answered HTTP {code}");
    if status.is_redirection() {
        let why = format!(
            "{host} answered HTTP {code}, a redirect, which is not followed: write the address that it leads to"
        );
        return Err(NoticeFailure::lasting(why));
    }
    let may_pass =
        status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS || status == StatusCode::REQUEST_TIMEOUT;
    Err(NoticeFailure {
        why,
        answer: answer.to_owned(),
        may_pass,
        again_in: wait.filter(|_| may_pass).and_then(|wait| retry_after(wait, date)),
    })
}

/// Retry-After is a number of seconds, or a date (RFC 9110, 10.2.3), which is taken from the answer's own date.
fn retry_after(wait: &str, date: Option<&str>) -> Option<Duration> {
    let wait = wait.trim();
    let seconds = match wait.parse::<u64>() {
        Ok(seconds) => seconds,
        Err(_) => {
            let time = |text: &str| DateTime::parse_from_rfc2822(text.trim()).ok();
            let seconds = (time(wait)? - time(date?)?).num_seconds();
            u64::try_from(seconds).unwrap_or(0)
        }
    };
    Some(Duration::from_secs(seconds).min(LONGEST_WAIT))
}

/// A certificate does not become valid by another attempt; everything else between here and the server may pass.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the library's errors, which grow: those that are not named have no text to show"
)]
fn of_error(host: &str, error: &Error) -> NoticeFailure {
    let passing = |why: &dyn fmt::Display| NoticeFailure::passing(format!("{host}: {why}"));
    let lasting = |why: &dyn fmt::Display| NoticeFailure::lasting(format!("{host}: {why}"));
    match error {
        Error::Timeout(_) => passing(&"no answer in time"),
        Error::HostNotFound => passing(&"the host name cannot be resolved"),
        Error::Io(error) => match certificate_fault(error) {
            Some(why) => lasting(&why),
            None => passing(&without_details(error)),
        },
        Error::Rustls(error) => lasting(error),
        Error::Tls(why) => lasting(why),
        Error::Http(_) => lasting(&"the address or the credentials cannot be a part of a request"),
        Error::Protocol(_) | Error::LargeResponseHeader(..) => passing(&"the answer is not HTTP"),
        _ => passing(&"the connection failed"),
    }
}

fn certificate_fault(error: &io::Error) -> Option<String> {
    let inner = error.get_ref()?.downcast_ref::<rustls::Error>()?;
    matches!(inner, rustls::Error::InvalidCertificate(_)).then(|| inner.to_string())
}

/// The text of the system's error, or of TLS.
fn without_details(error: &io::Error) -> String {
    if error.kind() == io::ErrorKind::TimedOut {
        "no answer in time".to_owned()
    } else if error.kind() == io::ErrorKind::UnexpectedEof {
        "the connection was closed".to_owned()
    } else {
        error.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_may_ask_to_wait_for_seconds_or_until_a_date() {
        let date = Some("Fri, 27 Nov 2026 10:00:00 GMT");
        for (wait, seconds) in [
            ("0", Some(0)),
            (" 17 ", Some(17)),
            ("999999", Some(3_600)),
            ("Fri, 27 Nov 2026 10:01:30 GMT", Some(90)),
            ("Fri, 27 Nov 2026 09:59:00 GMT", Some(0)),
            ("soon", None),
            ("-1", None),
        ] {
            assert_eq!(retry_after(wait, date), seconds.map(Duration::from_secs), "{wait}");
        }
        assert_eq!(retry_after("Fri, 27 Nov 2026 10:01:30 GMT", None), None);
    }

    #[test]
    fn what_may_pass_is_tried_again_and_what_does_not_is_not() {
        for (status, may_pass) in [
            (400, false),
            (401, false),
            (404, false),
            (410, false),
            (408, true),
            (429, true),
            (500, true),
            (503, true),
            (302, false),
            (308, false),
        ] {
            let status = StatusCode::from_u16(status).expect("a status");
            let failure = of_status("https://h", status, (Some("9"), None), "x").expect_err("no success");
            assert_eq!(failure.may_pass, may_pass, "{status}");
            assert_eq!(failure.again_in, may_pass.then_some(Duration::from_secs(9)), "{status}");
        }
        for status in [200, 202, 204] {
            let status = StatusCode::from_u16(status).expect("a status");
            assert!(of_status("https://h", status, (None, None), "").is_ok());
        }
    }
}
