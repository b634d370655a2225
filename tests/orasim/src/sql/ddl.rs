//! CREATE USER, CREATE PROFILE, ALTER USER, DROP USER, GRANT and REVOKE, read word by word.

use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::lex::{Tokens, offset};
use crate::backend::OraError;
use crate::error::{known, not_simulated};
use crate::scenario::Release;

/// CONTAINER = ALL, or CURRENT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Container {
    All,
    Current,
}

/// What is granted or revoked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Granted {
    /// System privileges, roles among them.
    Privileges(Vec<String>),
    /// To read an object: its owner, if it is named, and its name.
    Object(Option<String>, String),
    /// To execute a package: its owner and its name.
    Package(String, String),
}

/// A statement about accounts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ddl {
    CreateUser {
        name: String,
        /// `None` for an account that nobody can log in to with a password.
        password: Option<String>,
        locked: bool,
        profile: Option<String>,
        container: Option<Container>,
    },
    CreateProfile {
        name: String,
        limits: Vec<(String, String)>,
        container: Option<Container>,
    },
    /// CONTAINER_DATA = ALL, or DEFAULT.
    SetContainerData {
        name: String,
        all: bool,
    },
    SetPassword {
        name: String,
        password: String,
    },
    SetProfile {
        name: String,
        profile: String,
    },
    DropUser(String),
    Grant {
        what: Granted,
        to: Vec<String>,
        container: Option<Container>,
    },
    Revoke {
        what: Granted,
        from: Vec<String>,
    },
}

/// The limits of a profile (SQL Language Reference, CREATE PROFILE).
const RESOURCES: [&str; 17] = [
    "COMPOSITE_LIMIT",
    "SESSIONS_PER_USER",
    "CPU_PER_SESSION",
    "CPU_PER_CALL",
    "LOGICAL_READS_PER_SESSION",
    "LOGICAL_READS_PER_CALL",
    "IDLE_TIME",
    "CONNECT_TIME",
    "PRIVATE_SGA",
    "FAILED_LOGIN_ATTEMPTS",
    "PASSWORD_LIFE_TIME",
    "PASSWORD_REUSE_TIME",
    "PASSWORD_REUSE_MAX",
    "PASSWORD_VERIFY_FUNCTION",
    "PASSWORD_LOCK_TIME",
    "PASSWORD_GRACE_TIME",
    "INACTIVE_ACCOUNT_TIME",
];

struct Reader<'a> {
    text: &'a str,
    tokens: &'a [TokenWithSpan],
    at: usize,
    /// Whether there is a CONTAINER clause in this release.
    containers: bool,
    /// Whether there are accounts without authentication.
    schemas_only: bool,
}

type Result<T> = std::result::Result<T, OraError>;

impl Reader<'_> {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at).map(|token| &token.token)
    }

    fn is(&self, word: &str) -> bool {
        matches!(self.peek(), Some(Token::Word(next)) if next.quote_style.is_none() && next.value.eq_ignore_ascii_case(word))
    }

    fn take(&mut self, word: &str) -> bool {
        let is = self.is(word);
        self.at += usize::from(is);
        is
    }

    fn expect(&mut self, word: &str) -> Result<()> {
        if self.take(word) { Ok(()) } else { Err(self.error(905)) }
    }

    fn symbol(&mut self, symbol: &Token) -> bool {
        let is = self.peek() == Some(symbol);
        self.at += usize::from(is);
        is
    }

    /// A name: in capitals unless it is quoted.
    fn name(&mut self) -> Result<String> {
        match self.peek() {
            Some(Token::Word(word)) => {
                let name = if word.quote_style.is_some() {
                    word.value.clone()
                } else {
                    word.value.to_uppercase()
                };
                self.at += 1;
                Ok(name)
            }
            Some(_) | None => Err(self.error(1935)),
        }
    }

    fn names(&mut self) -> Result<Vec<String>> {
        let mut names = vec![self.name()?];
        while self.symbol(&Token::Comma) {
            names.push(self.name()?);
        }
        Ok(names)
    }

    fn container(&mut self) -> Result<Option<Container>> {
        if !self.is("CONTAINER") {
            return Ok(None);
        }
        if !self.containers {
            return Err(self.error(922));
        }
        self.at += 1;
        if !self.symbol(&Token::Eq) {
            return Err(self.error(927));
        }
        if self.take("ALL") {
            Ok(Some(Container::All))
        } else if self.take("CURRENT") {
            Ok(Some(Container::Current))
        } else {
            Err(self.error(922))
        }
    }

    fn password(&mut self) -> Result<String> {
        match self.peek() {
            // A password keeps its case, quoted or not.
            Some(Token::Word(word)) => {
                let password = word.value.clone();
                self.at += 1;
                Ok(password)
            }
            Some(_) | None => Err(self.error(988)),
        }
    }

    /// A password, or `None` for the VALUES of one, which nobody here can log in with.
    fn password_or_values(&mut self) -> Result<Option<String>> {
        self.expect("BY")?;
        if !self.take("VALUES") {
            return self.password().map(Some);
        }
        match self.peek() {
            Some(Token::SingleQuotedString(_)) => {
                self.at += 1;
                Ok(None)
            }
            Some(_) | None => Err(self.error(988)),
        }
    }

    fn end(&self) -> Result<()> {
        if self.at < self.tokens.len() {
            Err(self.error(922))
        } else {
            Ok(())
        }
    }

    fn error(&self, code: u32) -> OraError {
        let at = self
            .tokens
            .get(self.at)
            .map_or(self.text.len(), |token| offset(self.text, token.span.start));
        OraError {
            offset: u32::try_from(at).unwrap_or(0),
            ..known(code)
        }
    }
}

/// Reads a statement if it is about accounts; CONTAINER is a clause from 12.1 on, NO AUTHENTICATION from 18c on.
pub(crate) fn read(tokens: &Tokens<'_>, release: Release) -> Option<Result<Ddl>> {
    let mut reader = Reader {
        text: tokens.text,
        tokens: &tokens.tokens,
        at: 0,
        containers: release.at_least(12, 1),
        schemas_only: release.major() >= 18,
    };
    let first = ["CREATE", "ALTER", "DROP", "GRANT", "REVOKE"]
        .into_iter()
        .find(|word| reader.take(word))?;
    match first {
        "GRANT" => Some(grant(&mut reader)),
        "REVOKE" => Some(revoke(&mut reader)),
        "CREATE" if reader.take("USER") => Some(create_user(&mut reader)),
        "CREATE" if reader.take("PROFILE") => Some(create_profile(&mut reader)),
        "ALTER" if reader.take("USER") => Some(alter_user(&mut reader)),
        "DROP" if reader.take("USER") => Some(drop_user(&mut reader)),
        _ => None,
    }
}

fn create_user(reader: &mut Reader<'_>) -> Result<Ddl> {
    let name = reader.name()?;
    let password = if reader.take("IDENTIFIED") {
        reader.password_or_values()?
    } else if reader.schemas_only && reader.take("NO") && reader.take("AUTHENTICATION") {
        None
    } else {
        return Err(reader.error(922));
    };
    let (mut profile, mut container, mut locked) = (None, None, false);
    while reader.peek().is_some() {
        if reader.take("ACCOUNT") {
            reader.expect("LOCK")?;
            locked = true;
        } else if reader.take("PROFILE") {
            profile = Some(reader.name()?);
        } else if reader.is("CONTAINER") {
            container = reader.container()?;
        } else if (reader.take("DEFAULT") || reader.take("TEMPORARY")) && reader.take("TABLESPACE") {
            reader.name()?;
        } else {
            return Err(reader.error(922));
        }
    }
    Ok(Ddl::CreateUser {
        name,
        password,
        locked,
        profile,
        container,
    })
}

fn create_profile(reader: &mut Reader<'_>) -> Result<Ddl> {
    let name = reader.name()?;
    reader.expect("LIMIT")?;
    let (mut limits, mut container) = (Vec::new(), None);
    while reader.peek().is_some() {
        if reader.is("CONTAINER") {
            container = reader.container()?;
            continue;
        }
        let resource = reader.name()?;
        if !RESOURCES.contains(&resource.as_str()) {
            reader.at -= 1;
            return Err(reader.error(2376));
        }
        let limit = match reader.peek() {
            Some(Token::Number(number, _)) => number.clone(),
            Some(Token::Word(word)) => word.value.to_uppercase(),
            Some(_) | None => return Err(reader.error(2376)),
        };
        reader.at += 1;
        limits.push((resource, limit));
    }
    if limits.is_empty() {
        return Err(reader.error(2376));
    }
    Ok(Ddl::CreateProfile {
        name,
        limits,
        container,
    })
}

fn alter_user(reader: &mut Reader<'_>) -> Result<Ddl> {
    let name = reader.name()?;
    if reader.take("IDENTIFIED") {
        reader.expect("BY")?;
        let password = reader.password()?;
        reader.end()?;
        return Ok(Ddl::SetPassword { name, password });
    }
    if reader.take("PROFILE") {
        let profile = reader.name()?;
        reader.end()?;
        return Ok(Ddl::SetProfile { name, profile });
    }
    if reader.containers && reader.take("SET") && reader.take("CONTAINER_DATA") {
        if !reader.symbol(&Token::Eq) {
            return Err(reader.error(927));
        }
        let all = match (reader.take("ALL"), reader.take("DEFAULT")) {
            (true, false) => true,
            (false, true) => false,
            _ => return Err(reader.error(922)),
        };
        if reader.is("FOR") {
            return Err(not_simulated("SET CONTAINER_DATA ... FOR one view"));
        }
        // The setting is of the container that one is in, so the clause must say so (SQL Language Reference, ALTER USER).
        if reader.container()? != Some(Container::Current) {
            return Err(known(65_057));
        }
        reader.end()?;
        return Ok(Ddl::SetContainerData { name, all });
    }
    Err(not_simulated("ALTER USER of this kind"))
}

fn drop_user(reader: &mut Reader<'_>) -> Result<Ddl> {
    let name = reader.name()?;
    let _ = reader.take("CASCADE");
    reader.end()?;
    Ok(Ddl::DropUser(name))
}

/// What is granted, up to the word before the grantees.
fn granted(reader: &mut Reader<'_>, before: &str) -> Result<Granted> {
    let mut privileges = Vec::new();
    let mut words: Vec<String> = Vec::new();
    loop {
        if reader.take(before) {
            privileges.push(words.join(" "));
            return Ok(Granted::Privileges(privileges));
        }
        if reader.take("ON") {
            let executes = words == ["EXECUTE"];
            if !privileges.is_empty() || !executes && !matches!(words.join(" ").as_str(), "SELECT" | "READ") {
                return Err(not_simulated("an object privilege other than SELECT, READ or EXECUTE"));
            }
            let first = reader.name()?;
            let object = if reader.symbol(&Token::Period) {
                let name = reader.name()?;
                if executes {
                    Granted::Package(first, name)
                } else {
                    Granted::Object(Some(first), name)
                }
            } else if executes {
                return Err(not_simulated("EXECUTE on an object without its owner"));
            } else {
                Granted::Object(None, first)
            };
            reader.expect(before)?;
            return Ok(object);
        }
        if reader.symbol(&Token::Comma) {
            privileges.push(std::mem::take(&mut words).join(" "));
            continue;
        }
        words.push(reader.name().map_err(|error| OraError {
            offset: error.offset,
            ..known(990)
        })?);
    }
}

fn grant(reader: &mut Reader<'_>) -> Result<Ddl> {
    let what = granted(reader, "TO")?;
    let to = reader.names()?;
    if reader.take("WITH") {
        return Err(not_simulated("GRANT ... WITH"));
    }
    let container = reader.container()?;
    reader.end()?;
    Ok(Ddl::Grant { what, to, container })
}

fn revoke(reader: &mut Reader<'_>) -> Result<Ddl> {
    let what = granted(reader, "FROM")?;
    let from = reader.names()?;
    reader.end()?;
    Ok(Ddl::Revoke { what, from })
}
