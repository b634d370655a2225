//! Packages: CREATE PACKAGE and CREATE PACKAGE BODY, read from their tokens.

use sqlparser::tokenizer::Token;

use super::block::{Block, Reader};
use crate::backend::OraError;
use crate::sql::lex::Tokens;
use crate::sql::types::Ty;

type Result<T> = std::result::Result<T, OraError>;

/// A package as a statement creates it: its specification, or its body.
#[derive(Debug)]
pub(crate) struct Created {
    pub(crate) owner: Option<String>,
    pub(crate) name: String,
    pub(crate) is_body: bool,
    pub(crate) units: Vec<Unit>,
}

/// A procedure or function.
#[derive(Debug)]
pub(crate) struct Unit {
    pub(crate) name: String,
    pub(super) parameters: Vec<Parameter>,
    /// Of a function.
    pub(super) returns: Option<Ty>,
    /// `None` where it is only declared.
    pub(super) block: Option<Block>,
}

#[derive(Debug)]
pub(super) struct Parameter {
    pub(super) name: String,
    pub(super) ty: Ty,
    pub(super) takes: bool,
    pub(super) gives: bool,
}

/// Reads a statement if it creates a package.
pub(crate) fn read(tokens: &Tokens<'_>) -> Option<Result<Created>> {
    let mut reader = Reader::new(tokens);
    if !reader.take("CREATE") {
        return None;
    }
    if reader.take("OR") && !reader.take("REPLACE") {
        return None;
    }
    if !reader.take("PACKAGE") {
        return None;
    }
    Some(package(&mut reader))
}

fn package(reader: &mut Reader<'_>) -> Result<Created> {
    let is_body = reader.take("BODY");
    let first = reader.name()?;
    let (owner, name) = if reader.symbol(&Token::Period) {
        (Some(first), reader.name()?)
    } else {
        (None, first)
    };
    if !is_body && reader.take("AUTHID") {
        reader.expect("DEFINER")?;
    }
    if !reader.take("AS") {
        reader.expect("IS")?;
    }
    let mut units = Vec::new();
    while !reader.take("END") {
        units.push(unit(reader)?);
    }
    if reader.peek().is_some() {
        reader.expect(&name)?;
    }
    reader.semicolon()?;
    if reader.at < reader.tokens.len() {
        return Err(reader.wrong());
    }
    Ok(Created {
        owner,
        name,
        is_body,
        units,
    })
}

fn unit(reader: &mut Reader<'_>) -> Result<Unit> {
    let is_function = reader.take("FUNCTION");
    if !is_function {
        reader.expect("PROCEDURE")?;
    }
    let name = reader.name()?;
    let mut parameters = Vec::new();
    if reader.symbol(&Token::LParen) {
        parameters.push(parameter(reader)?);
        while reader.symbol(&Token::Comma) {
            parameters.push(parameter(reader)?);
        }
        if !reader.symbol(&Token::RParen) {
            return Err(reader.wrong());
        }
    }
    let returns = if is_function {
        reader.expect("RETURN")?;
        let at = reader.at;
        reader.name()?;
        Some(reader.declared_type(at..at + 1))
    } else {
        None
    };
    let block = if reader.symbol(&Token::SemiColon) {
        None
    } else {
        if !reader.take("IS") {
            reader.expect("AS")?;
        }
        Some(reader.declared()?)
    };
    Ok(Unit {
        name,
        parameters,
        returns,
        block,
    })
}

/// `name IN OUT type`: a parameter's type has no size.
fn parameter(reader: &mut Reader<'_>) -> Result<Parameter> {
    let name = reader.name()?;
    let takes = reader.take("IN");
    let gives = reader.take("OUT");
    let at = reader.at;
    reader.name()?;
    Ok(Parameter {
        name,
        ty: reader.declared_type(at..at + 1),
        takes: takes || !gives,
        gives,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn created(text: &str) -> Option<std::result::Result<Created, u32>> {
        let tokens = Tokens::read(text).expect("it can be read");
        read(&tokens).map(|read| read.map_err(|error| error.code))
    }

    #[test]
    fn a_package_is_its_units() {
        let spec = "CREATE OR REPLACE PACKAGE own.guard AUTHID DEFINER AS FUNCTION version RETURN NUMBER; \
                    PROCEDURE act(p_sid IN NUMBER, p_code OUT NUMBER); END guard;";
        let Some(Ok(spec)) = created(spec) else {
            panic!("it is a package")
        };
        assert_eq!(
            (spec.owner.as_deref(), &*spec.name, spec.is_body),
            (Some("OWN"), "GUARD", false)
        );
        assert!(spec.units.iter().all(|unit| unit.block.is_none()));
        let modes: Vec<_> = spec.units[1].parameters.iter().map(|it| (it.takes, it.gives)).collect();
        assert_eq!(modes, [(true, false), (false, true)]);
        let body = "CREATE PACKAGE BODY guard IS PROCEDURE act(p OUT NUMBER) IS PRAGMA AUTONOMOUS_TRANSACTION; l NUMBER := 1; \
                    BEGIN p := l; COMMIT; END act; END;";
        let Some(Ok(body)) = created(body) else {
            panic!("it is a body")
        };
        assert!(body.is_body && body.units[0].block.as_ref().is_some_and(|block| block.autonomous));
    }

    #[test]
    fn what_is_no_package_is_left_to_others_and_a_mistake_is_refused() {
        assert!(created("CREATE TABLE t (a NUMBER)").is_none());
        for wrong in [
            "CREATE PACKAGE p AS PROCEDURE a; END q;",
            "CREATE PACKAGE p AS PROCEDURE a END;",
            "CREATE PACKAGE BODY p AS FUNCTION f IS BEGIN RETURN 1; END; END;",
            "CREATE PACKAGE BODY p AS PROCEDURE a IS BEGIN NULL; END; END; SELECT",
        ] {
            assert_eq!(created(wrong).map(|read| read.err()), Some(Some(6550)), "{wrong}");
        }
    }
}
