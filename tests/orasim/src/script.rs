//! A script as SQL*Plus reads it: comments, its own commands, substitution variables, statements that end with a semicolon.
//!
//! Only what a script of statements needs (SQL*Plus User's Guide and Reference): WHENEVER, SET, ACCEPT, DEFINE and PROMPT are
//! SQL*Plus' own; `&name` is replaced wherever it stands, in comments too; a statement ends at a line that ends with a semicolon, and
//! an empty line before that leaves it unfinished. A comment behind the semicolon makes it a part of the statement. PL/SQL, which
//! begins with BEGIN, DECLARE or CREATE PACKAGE, ends at a line that is a slash.

use std::collections::BTreeMap;

use crate::backend::OraError;
use crate::local::Local;

/// Why a script did not run to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptError {
    /// The statement or the line.
    pub at: String,
    /// What was answered.
    pub why: String,
}

impl std::fmt::Display for ScriptError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.at, self.why)
    }
}

/// The statements of a script; whoever ACCEPTs is given what `answers` has for the variable.
pub fn statements(text: &str, answers: &BTreeMap<String, String>) -> Result<Vec<String>, ScriptError> {
    let wrong = |line: &str, why: &str| ScriptError {
        at: line.to_owned(),
        why: why.to_owned(),
    };
    let mut variables: BTreeMap<String, String> = BTreeMap::new();
    let mut found = Vec::new();
    let mut open: Vec<String> = Vec::new();
    for line in text.lines() {
        let line = substituted(line, &variables).ok_or_else(|| wrong(line, "a variable is not defined"))?;
        let line = line.trim_end();
        if begins_plsql(open.first().map_or(line, String::as_str)) {
            if line == "/" {
                found.push(std::mem::take(&mut open).join("\n"));
            } else {
                open.push(line.to_owned());
            }
            continue;
        }
        if !open.is_empty() {
            if line.is_empty() {
                return Err(wrong(&open.join("\n"), "an empty line leaves the statement unfinished"));
            }
            open.push(line.to_owned());
        } else if line.is_empty() || line.starts_with("--") {
            continue;
        } else {
            let words: Vec<&str> = line.split_whitespace().collect();
            match words[0].to_uppercase().as_str() {
                "WHENEVER" | "SET" | "PROMPT" | "REM" => continue,
                "ACCEPT" => {
                    let name = words.get(1).copied().unwrap_or_default().to_lowercase();
                    let answer = answers.get(&name).ok_or_else(|| wrong(line, "nobody answers"))?;
                    variables.insert(name, answer.clone());
                    continue;
                }
                _ => open.push(line.to_owned()),
            }
        }
        if let Some(last) = open.last_mut()
            && let Some(without) = last.strip_suffix(';')
        {
            *last = without.to_owned();
            found.push(std::mem::take(&mut open).join("\n"));
        }
    }
    if open.is_empty() {
        Ok(found)
    } else {
        Err(wrong(&open.join("\n"), "the script ends before the statement does"))
    }
}

/// Whether a statement that begins with this line ends with a slash instead of a semicolon.
fn begins_plsql(line: &str) -> bool {
    let words: Vec<String> = line.split_whitespace().take(4).map(str::to_uppercase).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    matches!(
        words.as_slice(),
        ["BEGIN" | "DECLARE", ..] | ["CREATE", "PACKAGE", ..] | ["CREATE", "OR", "REPLACE", "PACKAGE"]
    )
}

fn substituted(line: &str, variables: &BTreeMap<String, String>) -> Option<String> {
    let mut parts = line.split('&');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .unwrap_or(part.len());
        out.push_str(variables.get(&part[..end].to_lowercase())?);
        out.push_str(&part[end..]);
    }
    Some(out)
}

impl Local {
    /// Runs a script up to its first error; the statements that were run.
    pub fn script(&mut self, text: &str, answers: &[(&str, &str)]) -> Result<Vec<String>, ScriptError> {
        let answers = answers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let statements = statements(text, &answers.collect())?;
        for statement in &statements {
            self.run(statement).map_err(|error: OraError| ScriptError {
                at: statement.clone(),
                why: error.message,
            })?;
        }
        Ok(statements)
    }
}
