//! A condition as a tree, and two renderers of it that share nothing with the daemon nor with each other.

use orareaper::session::column::Column;

use super::{JOINED, MISSING, NOW};

/// A column's values as SQL makes them out of what was read; `NULL` for what was not.
pub(crate) fn sql_column(column: Column) -> String {
    if column == Column::Idle {
        "(CASE WHEN status IN ('INACTIVE', 'SNIPED') THEN last_call_et END)".into()
    } else if column == Column::Running {
        "(CASE status WHEN 'ACTIVE' THEN last_call_et END)".into()
    } else if column == Column::Connected {
        format!("({NOW} - logon_time)")
    } else if column == Column::Waited {
        "(CASE state WHEN 'WAITING' THEN wait_time_micro END)".into()
    } else if MISSING.contains(&column) {
        "NULL".into()
    } else {
        column.name().into()
    }
}

/// A literal, as it means and as it is written in a policy.
#[derive(Clone, Debug)]
pub(crate) enum Literal {
    Text(String),
    /// A bare word, which folds to upper case.
    Word(&'static str),
    Number(i64),
    /// Seconds and how they are written.
    Duration(i64, String),
    Size(i64, String),
}

impl Literal {
    pub(crate) fn policy(&self) -> String {
        match self {
            Literal::Text(text) => format!("'{}'", text.replace('\'', "''")),
            Literal::Word(word) => (*word).into(),
            Literal::Number(number) => number.to_string(),
            Literal::Duration(_, written) | Literal::Size(_, written) => written.clone(),
        }
    }

    /// `per_second` scales a duration to the unit of the column beside it.
    pub(crate) fn sql(&self, per_second: i64) -> String {
        match self {
            Literal::Text(text) => format!("'{}'", text.replace('\'', "''")),
            Literal::Word(word) => format!("'{}'", word.to_ascii_uppercase()),
            Literal::Number(number) | Literal::Size(number, _) => number.to_string(),
            Literal::Duration(seconds, _) => (seconds * per_second).to_string(),
        }
    }

    pub(crate) fn order(&self) -> (String, i64) {
        match self {
            Literal::Text(text) => (text.clone(), 0),
            Literal::Word(word) => (word.to_ascii_uppercase(), 0),
            Literal::Number(number) | Literal::Duration(number, _) | Literal::Size(number, _) => {
                (String::new(), *number)
            }
        }
    }
}

/// A regular expression that SQL can say without one.
#[derive(Clone, Debug)]
pub(crate) enum Pattern {
    Begins(String),
    Ends(String),
    Holds(String),
    /// One, then any character, then the other.
    Around(String, String),
}

#[derive(Clone, Debug)]
pub(crate) enum Tree {
    And(Vec<Tree>),
    Or(Vec<Tree>),
    Not(Box<Tree>),
    Compare(Column, &'static str, Literal),
    Mirrored(Literal, &'static str, Column),
    Columns(Column, &'static str, Column),
    In(Column, bool, Vec<Literal>),
    Between(Column, bool, Literal, Literal),
    Like(Column, bool, String, Option<char>),
    Matches(Column, bool, Pattern),
    IsNull(Column, bool),
    /// As the policy has it and as SQL.
    Phrase(String, String),
}

pub(crate) const fn not(negated: bool) -> &'static str {
    if negated { "not " } else { "" }
}

impl Tree {
    pub(crate) fn policy(&self) -> String {
        let joined = |trees: &[Tree], word: &str, inside: fn(&Tree) -> bool| {
            let parts: Vec<String> = trees
                .iter()
                .map(|tree| {
                    if inside(tree) {
                        format!("({})", tree.policy())
                    } else {
                        tree.policy()
                    }
                })
                .collect();
            parts.join(word)
        };
        match self {
            // No more parentheses than precedence asks for.
            Tree::And(trees) => joined(trees, " and ", |tree| matches!(tree, Tree::Or(_))),
            Tree::Or(trees) => joined(trees, " OR ", |_| false),
            Tree::Not(inner) => match **inner {
                Tree::And(_) | Tree::Or(_) | Tree::Not(_) => format!("not ({})", inner.policy()),
                Tree::Compare(..)
                | Tree::Mirrored(..)
                | Tree::Columns(..)
                | Tree::In(..)
                | Tree::Between(..)
                | Tree::Like(..)
                | Tree::Matches(..)
                | Tree::IsNull(..)
                | Tree::Phrase(..) => format!("NOT {}", inner.policy()),
            },
            Tree::Compare(column, op, literal) => format!("{} {op} {}", column.name(), literal.policy()),
            Tree::Mirrored(literal, op, column) => format!("{} {op} {}", literal.policy(), column.name()),
            Tree::Columns(one, op, two) => format!("{} {op} {}", one.name().to_uppercase(), two.name()),
            Tree::In(column, negated, literals) => {
                let literals: Vec<String> = literals.iter().map(Literal::policy).collect();
                format!("{} {}in ({})", column.name(), not(*negated), literals.join(", "))
            }
            Tree::Between(column, negated, low, high) => {
                format!(
                    "{} {}between {} and {}",
                    column.name(),
                    not(*negated),
                    low.policy(),
                    high.policy()
                )
            }
            Tree::Like(column, negated, pattern, escape) => {
                let escape = escape.map_or(String::new(), |escape| format!(" escape '{escape}'"));
                let pattern = pattern.replace('\'', "''");
                format!("{} {}like '{pattern}'{escape}", column.name(), not(*negated))
            }
            Tree::Matches(column, negated, pattern) => {
                let regex = match pattern {
                    Pattern::Begins(text) => format!("^{text}"),
                    Pattern::Ends(text) => format!("{text}$"),
                    Pattern::Holds(text) => text.clone(),
                    Pattern::Around(one, two) => format!("{one}.{two}"),
                };
                format!("{} {}matches '{regex}'", column.name(), not(*negated))
            }
            Tree::IsNull(column, negated) => format!("{} is {}null", column.name(), not(*negated)),
            Tree::Phrase(policy, _) => policy.clone(),
        }
    }

    pub(crate) fn sql(&self) -> String {
        let joined = |trees: &[Tree], word: &str| {
            let parts: Vec<String> = trees.iter().map(Tree::sql).collect();
            format!("({})", parts.join(word))
        };
        match self {
            Tree::And(trees) => joined(trees, " AND "),
            Tree::Or(trees) => joined(trees, " OR "),
            Tree::Not(inner) => format!("(NOT {})", inner.sql()),
            Tree::Compare(column, op, literal) => {
                format!("({} {op} {})", sql_column(*column), literal.sql(column.per_second()))
            }
            Tree::Mirrored(literal, op, column) => {
                format!("({} {op} {})", literal.sql(column.per_second()), sql_column(*column))
            }
            Tree::Columns(one, op, two) => format!("({} {op} {})", sql_column(*one), sql_column(*two)),
            Tree::In(column, negated, literals) => {
                let literals: Vec<String> = literals
                    .iter()
                    .map(|literal| literal.sql(column.per_second()))
                    .collect();
                format!(
                    "({} {}IN ({}))",
                    sql_column(*column),
                    not(*negated),
                    literals.join(", ")
                )
            }
            Tree::Between(column, negated, low, high) => {
                let bound = |literal: &Literal| literal.sql(column.per_second());
                format!(
                    "({} {}BETWEEN {} AND {})",
                    sql_column(*column),
                    not(*negated),
                    bound(low),
                    bound(high)
                )
            }
            Tree::Like(column, negated, pattern, escape) => {
                let escape = escape.map_or(String::new(), |escape| format!(" ESCAPE '{escape}'"));
                let pattern = pattern.replace('\'', "''");
                format!("({} {}LIKE '{pattern}'{escape})", sql_column(*column), not(*negated))
            }
            Tree::Matches(column, negated, pattern) => {
                let column = sql_column(*column);
                let found = match pattern {
                    Pattern::Begins(text) => format!("substr({column}, 1, {}) = '{text}'", text.len()),
                    Pattern::Ends(text) => format!("substr({column}, -{}) = '{text}'", text.len()),
                    Pattern::Holds(text) => format!("instr({column}, '{text}') > 0"),
                    Pattern::Around(one, two) => format!("{column} GLOB '*{one}?{two}*'"),
                };
                format!("({}({found}))", not(*negated))
            }
            // Neither true nor false where there is no value.
            Tree::IsNull(column, negated) if JOINED.contains(column) => {
                let value = sql_column(*column);
                format!("(CASE WHEN {value} IS NOT NULL THEN {} END)", u8::from(*negated))
            }
            Tree::IsNull(column, _) if MISSING.contains(column) => "NULL".into(),
            Tree::IsNull(column, negated) => format!("({} IS {}NULL)", sql_column(*column), not(*negated)),
            Tree::Phrase(_, sql) => format!("({sql})"),
        }
    }

    pub(crate) fn columns(&self) -> Vec<Column> {
        match self {
            Tree::And(trees) | Tree::Or(trees) => trees.iter().flat_map(Tree::columns).collect(),
            Tree::Not(inner) => inner.columns(),
            Tree::Columns(one, _, two) => vec![*one, *two],
            Tree::Compare(column, ..)
            | Tree::Mirrored(_, _, column)
            | Tree::In(column, ..)
            | Tree::Between(column, ..)
            | Tree::Like(column, ..)
            | Tree::Matches(column, ..)
            | Tree::IsNull(column, _) => vec![*column],
            Tree::Phrase(..) => Vec::new(),
        }
    }
}
