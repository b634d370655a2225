//! The login: two round trips of the password exchange, then a session.

use std::io;
use std::sync::Arc;

use super::bind::error;
use super::codec::Writer;
use super::connection::{Connection, Next, Phase};
use super::cursor::OPEN_CURSORS;
use super::link::Link;
use super::request::{Call, Logon as LogonMessage};
use super::response;
use super::verifier::{Exchange, KEY_ROUNDS, VERIFIER_ROUNDS};
use crate::backend::{Client, Hangup, Logon};

/// The mode bit of AS SYSDBA.
const SYSDBA: u32 = 0x20;
/// The flags of a 12c verifier's salt, which name its kind.
const VERIFIER_12C: u64 = 18_453;
/// The longest name of a user.
const NAME_MAX: usize = 128;

/// How far the login has come.
pub(crate) enum LogonStep {
    /// Nothing has been asked.
    Begin,
    /// The server's half of the key has been sent.
    Exchanging {
        /// The exchange.
        exchange: Exchange,
        /// What the client has said about itself.
        message: LogonMessage,
    },
}

impl Connection {
    /// Takes a call of somebody who has not logged on.
    pub(crate) fn log_on(&mut self, call: Call) -> io::Result<Next> {
        let step = std::mem::replace(&mut self.phase, Phase::Logon(LogonStep::Begin));
        match (step, call) {
            (Phase::Logon(_), Call::SessionKey(message)) => self.begin_exchange(message),
            (Phase::Logon(LogonStep::Exchanging { exchange, message }), Call::Authenticate(second)) => {
                self.authenticate(&exchange, message, second)
            }
            (_, Call::Logoff) => Ok(Next::Close),
            _ => self.fail(error(1_012, "not logged on"), 0),
        }
    }

    fn begin_exchange(&mut self, message: LogonMessage) -> io::Result<Next> {
        let user = account(&message.user).0;
        let password = self.shared.database.password(&user);
        let exchange = self.shared.verifiers.begin(&user, password.as_deref());
        let mut answer = Writer::of(self.dialect);
        let pairs = [
            ("AUTH_SESSKEY", exchange.server_key(), 0),
            ("AUTH_VFR_DATA", exchange.salt(), VERIFIER_12C),
            ("AUTH_PBKDF2_CSK_SALT", exchange.key_salt(), 0),
            ("AUTH_PBKDF2_VGEN_COUNT", VERIFIER_ROUNDS.to_string(), 0),
            ("AUTH_PBKDF2_SDER_COUNT", KEY_ROUNDS.to_string(), 0),
            ("AUTH_GLOBALLY_UNIQUE_DBID\0", "0".repeat(32), 0),
        ];
        response::pairs(&mut answer, &pairs);
        response::call_end(&mut answer, self.call_end());
        self.link.send(&answer.into_bytes())?;
        self.phase = Phase::Logon(LogonStep::Exchanging { exchange, message });
        Ok(Next::Go)
    }

    fn authenticate(&mut self, exchange: &Exchange, first: LogonMessage, second: LogonMessage) -> io::Result<Next> {
        let key = second.value("AUTH_SESSKEY").unwrap_or_default();
        let password = second.value("AUTH_PASSWORD").unwrap_or_default();
        let (proof, server_response) = exchange.judge(key, password);
        let (user, bracketed) = account(&first.user);
        let mode = second.mode;
        let said = LogonMessage {
            pairs: second.pairs.into_iter().chain(first.pairs).collect(),
            ..second
        };
        let client = Client {
            port: self.peer.port(),
            tls: self.shared.is_tls(),
            sysdba: mode & SYSDBA != 0,
            ..describe_client(&said, bracketed)
        };
        let link: Arc<Link> = Arc::clone(&self.link);
        let hangup: Hangup = Arc::new(move || link.close());
        match self.shared.database.logon(self.instance, &user, proof, client, hangup) {
            Ok(logon) => self.welcome(logon, server_response),
            Err(refused) => self.fail(refused, 0),
        }
    }

    fn welcome(&mut self, logon: Logon, server_response: String) -> io::Result<Next> {
        let number = release_number(logon.version, self.client_library);
        let mut answer = Writer::of(self.dialect);
        if let Some(warning) = &logon.warning {
            response::warning(&mut answer, warning);
        }
        let pairs = [
            ("AUTH_VERSION_STRING", logon.banner.clone(), 0),
            ("AUTH_VERSION_SQL", "25".into(), 0),
            ("AUTH_XACTION_TRAITS", "3".into(), 0),
            ("AUTH_VERSION_NO", number.to_string(), 0),
            ("AUTH_VERSION_STATUS", "0".into(), 0),
            ("AUTH_CAPABILITY_TABLE", String::new(), 0),
            ("AUTH_DBNAME", logon.db_name, 0),
            ("AUTH_SESSION_ID", logon.sid.to_string(), 0),
            ("AUTH_SERIAL_NUM", logon.serial.to_string(), 0),
            ("AUTH_INSTANCENAME", logon.instance_name, 0),
            ("AUTH_SC_SERVICE_NAME", logon.service_name, 0),
            ("AUTH_SC_DBUNIQUE_NAME", logon.db_unique_name, 0),
            ("AUTH_MAX_OPEN_CURSORS", OPEN_CURSORS.to_string(), 0),
            ("AUTH_MAX_IDEN_LENGTH", NAME_MAX.to_string(), 0),
            ("AUTH_SVR_RESPONSE", server_response, 0),
        ];
        response::pairs(&mut answer, &pairs);
        response::call_end(&mut answer, self.call_end());
        self.release = (logon.banner, number);
        self.link.interrupt_with(Some(logon.session.interrupt()));
        let mut session = logon.session;
        session.answered();
        self.phase = Phase::Session(session);
        self.link.send(&answer.into_bytes())?;
        Ok(Next::Go)
    }
}

/// The account's name as the database knows it, and the name in brackets behind it (`proxy[client]`).
fn account(typed: &str) -> (String, Option<String>) {
    let typed = typed.trim();
    let (name, client) = match typed.split_once('[') {
        Some((name, client)) if !typed.starts_with('"') => (name, client.strip_suffix(']')),
        _ => (typed, None),
    };
    (fold(name), client.map(fold))
}

/// Upper case, unless it is quoted.
fn fold(name: &str) -> String {
    let name = name.trim();
    match name.strip_prefix('"').and_then(|inner| inner.strip_suffix('"')) {
        Some(quoted) => quoted.to_owned(),
        None => name.to_uppercase(),
    }
}

fn describe_client(said: &LogonMessage, bracketed: Option<String>) -> Client {
    let value = |name: &str| said.value(name).unwrap_or_default().trim_end_matches('\0').to_owned();
    let proxy = said
        .value("PROXY_CLIENT_NAME")
        .map(fold)
        .filter(|name| !name.is_empty());
    Client {
        program: value("AUTH_PROGRAM_NM"),
        machine: value("AUTH_MACHINE"),
        terminal: value("AUTH_TERMINAL"),
        process: value("AUTH_PID"),
        osuser: value("AUTH_SID"),
        port: 0,
        tls: false,
        proxy_for: proxy.or(bracketed),
        sysdba: false,
    }
}

/// The release as one number. From release 18 on its parts are wider; the client library goes by the release, while the
/// thin drivers go by the field version, which is that of release 19 here.
fn release_number(version: [u8; 5], client_library: bool) -> u64 {
    let [a, b, c, d, e] = version.map(u64::from);
    if client_library && a < 18 {
        a << 24 | (b & 15) << 20 | (c & 255) << 12 | (d & 15) << 8 | e & 255
    } else {
        a << 24 | b << 16 | (c & 15) << 12 | (d & 255) << 4 | e & 15
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_folded_as_the_database_folds_them() {
        assert_eq!(account("scott"), ("SCOTT".into(), None));
        assert_eq!(account("\"Scott\""), ("Scott".into(), None));
        assert_eq!(account("app[scott]"), ("APP".into(), Some("SCOTT".into())));
    }

    #[test]
    fn a_release_is_numbered_as_its_readers_expect() {
        assert_eq!(release_number([19, 3, 0, 0, 0], true), 0x1303_0000);
        assert_eq!(release_number([19, 3, 0, 0, 0], false), 0x1303_0000);
        assert_eq!(release_number([11, 2, 0, 4, 0], true), 0x0b20_0400);
        assert_eq!(release_number([12, 1, 0, 2, 0], false), 0x0c01_0020);
    }
}
