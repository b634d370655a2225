//! The password exchange of release 12c: both sides prove that they know the password, and neither says it aloud.
//!
//! The server keeps a verifier, a key derived from the password and a salt. Under it both send half of a session key, and
//! under the combined key the client sends the password itself, which the server compares. An account that does not
//! exist gets the same exchange with a password nobody knows, so that an outsider cannot tell the two apart.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::Mutex;

use aes::cipher::block_padding::NoPadding;
use aes::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit};
use aws_lc_rs::pbkdf2;
use rand::rngs::StdRng;
use rand::{RngCore, SeedableRng};
use sha2::{Digest, Sha512};

use crate::backend::Proof;

/// Rounds of the derivation of the verifier from the password, as real servers have it.
pub(crate) const VERIFIER_ROUNDS: NonZeroU32 = NonZeroU32::new(4_096).unwrap();
/// Rounds of the derivation of the combined key.
pub(crate) const KEY_ROUNDS: NonZeroU32 = NonZeroU32::new(3).unwrap();
/// What follows the salt in the derivation.
const LABEL: &[u8] = b"AUTH_PBKDF2_SPEEDY_KEY";
/// The most verifiers kept.
const KEPT: usize = 4_096;
/// The longest password compared.
const PASSWORD_MAX: usize = 1_024;

/// Bytes nobody can foresee.
fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    StdRng::from_os_rng().fill_bytes(&mut bytes);
    bytes
}

/// Bytes as upper-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let text = text.trim().as_bytes();
    if !text.len().is_multiple_of(2) {
        return None;
    }
    text.chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect()
}

/// PBKDF2 with HMAC-SHA-512. AWS-LC is compiled once and optimized, also where the tests are not: with a generic implementation this
/// was a third of what all tests cost.
fn derive<const N: usize>(rounds: NonZeroU32, salt: &[u8], secret: &str) -> [u8; N] {
    let mut key = [0; N];
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA512, rounds, salt, secret.as_bytes(), &mut key);
    key
}

fn encrypt(key: &[u8; 32], plain: &[u8]) -> Vec<u8> {
    cbc::Encryptor::<aes::Aes256>::new(key.into(), &[0; 16].into()).encrypt_padded_vec::<NoPadding>(plain)
}

fn decrypt(key: &[u8; 32], cipher: &[u8]) -> Option<Vec<u8>> {
    cbc::Decryptor::<aes::Aes256>::new(key.into(), &[0; 16].into())
        .decrypt_padded_vec::<NoPadding>(cipher)
        .ok()
}

/// What a server keeps of a password.
#[derive(Clone)]
struct Verifier {
    password: String,
    salt: [u8; 16],
    key: [u8; 32],
}

impl Verifier {
    fn new(password: &str) -> Self {
        let salt: [u8; 16] = random();
        let derived: [u8; 64] = derive(VERIFIER_ROUNDS, &[&salt, LABEL].concat(), password);
        let hash = Sha512::new().chain_update(derived).chain_update(salt).finalize();
        let mut key = [0; 32];
        key.copy_from_slice(&hash[..32]);
        Self {
            password: password.to_owned(),
            salt,
            key,
        }
    }
}

/// The verifiers in use, kept because deriving one takes milliseconds.
#[derive(Default)]
pub(crate) struct Verifiers {
    kept: Mutex<HashMap<String, Verifier>>,
}

impl Verifiers {
    /// Begins an exchange for an account with this password; `None` for an account that does not exist.
    pub(crate) fn begin(&self, user: &str, password: Option<&str>) -> Exchange {
        let unknown;
        let (password, exists) = match password {
            Some(password) => (password, true),
            None => {
                unknown = hex(&random::<16>());
                (unknown.as_str(), false)
            }
        };
        let verifier = self.verifier(user, password, exists);
        Exchange {
            verifier,
            exists,
            server_half: random(),
            key_salt: random(),
        }
    }

    fn verifier(&self, user: &str, password: &str, keep: bool) -> Verifier {
        let mut kept = self.kept.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(verifier) = kept.get(user).filter(|verifier| verifier.password == password) {
            return verifier.clone();
        }
        drop(kept);
        let verifier = Verifier::new(password);
        if keep {
            kept = self.kept.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            if kept.len() < KEPT {
                kept.insert(user.to_owned(), verifier.clone());
            }
        }
        verifier
    }
}

/// One password exchange, between its first and its second round trip.
pub(crate) struct Exchange {
    verifier: Verifier,
    exists: bool,
    server_half: [u8; 32],
    key_salt: [u8; 16],
}

impl Exchange {
    /// AUTH_VFR_DATA: the verifier's salt.
    pub(crate) fn salt(&self) -> String {
        hex(&self.verifier.salt)
    }

    /// AUTH_PBKDF2_CSK_SALT: the combined key's salt.
    pub(crate) fn key_salt(&self) -> String {
        hex(&self.key_salt)
    }

    /// AUTH_SESSKEY: the server's half of the session key, under the verifier's key.
    pub(crate) fn server_key(&self) -> String {
        hex(&encrypt(&self.verifier.key, &self.server_half))
    }

    /// Judges the client's half of the key and its password, and gives the server's own proof (AUTH_SVR_RESPONSE).
    pub(crate) fn judge(&self, client_key: &str, password: &str) -> (Proof, String) {
        match self.combined_key(client_key) {
            Some(key) => {
                let right = self.exists && self.matches(&key, password);
                let mut proof = random::<16>().to_vec();
                proof.extend_from_slice(b"SERVER_TO_CLIENT");
                proof.extend_from_slice(&[16; 16]);
                (
                    if right { Proof::Right } else { Proof::Wrong },
                    hex(&encrypt(&key, &proof)),
                )
            }
            None => (Proof::Wrong, String::new()),
        }
    }

    fn combined_key(&self, client_key: &str) -> Option<[u8; 32]> {
        let half = decrypt(&self.verifier.key, &unhex(client_key)?)?;
        let both = hex(&[half.get(..32)?, &self.server_half[..]].concat());
        Some(derive(KEY_ROUNDS, &self.key_salt, &both))
    }

    fn matches(&self, key: &[u8; 32], password: &str) -> bool {
        let Some(plain) = unhex(password)
            .filter(|bytes| bytes.len() <= PASSWORD_MAX)
            .and_then(|b| decrypt(key, &b))
        else {
            return false;
        };
        let Some(padding) = plain
            .last()
            .map(|byte| usize::from(*byte))
            .filter(|count| (1..=16).contains(count))
        else {
            return false;
        };
        let end = plain.len().saturating_sub(padding);
        plain
            .get(16..end)
            .is_some_and(|sent| sent == self.verifier.password.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The client's side of the exchange, from its public description.
    fn client(exchange: &Exchange, password: &str) -> (String, String, [u8; 32]) {
        let salt = unhex(&exchange.salt()).expect("hex");
        let derived: [u8; 64] = derive(VERIFIER_ROUNDS, &[&salt[..], LABEL].concat(), password);
        let mut key = [0; 32];
        key.copy_from_slice(&Sha512::new().chain_update(derived).chain_update(&salt).finalize()[..32]);
        let server_half = decrypt(&key, &unhex(&exchange.server_key()).expect("hex")).expect("blocks");
        let half = [7_u8; 32];
        let both = hex(&[&half[..], &server_half[..]].concat());
        let key_salt = unhex(&exchange.key_salt()).expect("hex");
        let combined: [u8; 32] = derive(KEY_ROUNDS, &key_salt, &both);
        let mut plain = [&[9_u8; 16][..], password.as_bytes()].concat();
        let padding = 16 - plain.len() % 16;
        plain.resize(plain.len() + padding, padding as u8);
        (hex(&encrypt(&key, &half)), hex(&encrypt(&combined, &plain)), combined)
    }

    #[test]
    fn the_right_password_is_right_and_the_server_proves_itself() {
        for password in [
            "tiger",
            "",
            "exactly16letters",
            "ünïcode and rather longer than one block",
        ] {
            let exchange = Verifiers::default().begin("SCOTT", Some(password));
            let (key, sent, combined) = client(&exchange, password);
            let (proof, response) = exchange.judge(&key, &sent);
            assert_eq!(proof, Proof::Right, "{password}");
            let plain = decrypt(&combined, &unhex(&response).expect("hex")).expect("blocks");
            assert_eq!(&plain[16..32], b"SERVER_TO_CLIENT");
        }
    }

    #[test]
    fn anything_else_is_wrong() {
        let verifiers = Verifiers::default();
        let exchange = verifiers.begin("SCOTT", Some("tiger"));
        let (key, sent, _) = client(&exchange, "Tiger");
        assert_eq!(exchange.judge(&key, &sent).0, Proof::Wrong);
        for (key, sent) in [("", ""), ("00", "00"), ("zz", "zz"), ("ÄÄ", "1")] {
            assert_eq!(exchange.judge(key, sent).0, Proof::Wrong);
        }
        let nobody = verifiers.begin("NOBODY", None);
        let (key, sent, _) = client(&nobody, "");
        assert_eq!(nobody.judge(&key, &sent).0, Proof::Wrong);
    }

    #[test]
    fn a_changed_password_makes_a_new_verifier() {
        let verifiers = Verifiers::default();
        let before = verifiers.begin("SCOTT", Some("tiger")).salt();
        assert_eq!(verifiers.begin("SCOTT", Some("tiger")).salt(), before);
        assert_ne!(verifiers.begin("SCOTT", Some("lion")).salt(), before);
    }
}
