//! Random conditions: small alphabets, so that things are often equal, and numbers at the edges of what fits.

use orareaper::session::column::{Column, Kind};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::conditions::{Literal, Pattern, Tree, sql_column};
use super::{JOINED, MISSING, READ};

pub(crate) const OPERATORS: [&str; 7] = ["=", "!=", "<>", "<", "<=", ">", ">="];

/// Few characters, so that things are often equal; none of them is empty, which is NULL in Oracle.
pub(crate) fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => "[ABa%_]{1,3}",
        2 => "[A-Ca\\\\ 'é]{1,4}",
        2 => select(vec!["INACTIVE", "ACTIVE", "KILLED", "SNIPED", "DEDICATED", "NONE", "WAITING", "USER", "SHOP"])
            .prop_map(str::to_owned),
    ]
}

pub(crate) fn number() -> impl Strategy<Value = i64> {
    let narrow = i64::from(i32::MIN);
    let edges = vec![
        narrow - 1,
        narrow,
        narrow + 1,
        -1,
        0,
        1,
        -narrow - 1,
        -narrow,
        i64::MIN + 1,
        i64::MAX,
    ];
    prop_oneof![3 => 0_i64..6, 1 => select(edges)]
}

/// Seconds, in one of the ways of writing them.
pub(crate) fn duration() -> impl Strategy<Value = Literal> {
    prop_oneof![
        (0_i64..6).prop_map(|seconds| Literal::Duration(seconds, format!("{seconds}s"))),
        (0_i64..6).prop_map(|seconds| Literal::Duration(seconds, seconds.to_string())),
        (1_i64..3).prop_map(|minutes| Literal::Duration(minutes * 60, format!("{minutes}m"))),
        (1_i64..3, 1_i64..60).prop_map(|(hours, minutes)| {
            Literal::Duration(hours * 3600 + minutes * 60, format!("{hours}h{minutes}m"))
        }),
        Just(Literal::Duration(86_400, "1d".into())),
    ]
}

pub(crate) fn size() -> impl Strategy<Value = Literal> {
    prop_oneof![
        (0_i64..6).prop_map(|bytes| Literal::Size(bytes, bytes.to_string())),
        (1_i64..4).prop_map(|kilobytes| Literal::Size(kilobytes << 10, format!("{kilobytes}KB"))),
        Just(Literal::Size(2 << 30, "2gb".into())),
    ]
}

pub(crate) fn literal(kind: Kind) -> BoxedStrategy<Literal> {
    match kind {
        Kind::Text => prop_oneof![
            4 => text().prop_map(Literal::Text),
            1 => select(vec!["shop", "Crm", "KILLED"]).prop_map(Literal::Word),
        ]
        .boxed(),
        Kind::Number => number().prop_map(Literal::Number).boxed(),
        Kind::Duration => duration().boxed(),
        Kind::Size => size().boxed(),
        Kind::Time => unreachable!("a point in time is compared with no literal"),
    }
}

pub(crate) fn columns() -> Vec<Column> {
    let derived = [Column::Idle, Column::Running, Column::Connected, Column::Waited];
    let read = READ.into_iter().filter(|column| column.kind() != Kind::Time);
    read.chain(derived).chain(JOINED).chain(MISSING).collect()
}

pub(crate) fn text_columns() -> Vec<Column> {
    columns()
        .into_iter()
        .filter(|column| column.kind() == Kind::Text)
        .collect()
}

/// A pattern whose escape, if any, stands before `%`, `_` or itself only.
pub(crate) fn like() -> impl Strategy<Value = (String, Option<char>)> {
    let escaped = vec(select(vec!["A", "a", "B", "%", "_", "!%", "!_", "!!", "é"]), 1..5);
    prop_oneof![
        "[ABa%_'é]{1,5}".prop_map(|text| (text, None)),
        escaped.prop_map(|parts| (parts.concat(), Some('!')))
    ]
}

pub(crate) fn pattern() -> impl Strategy<Value = Pattern> {
    let word = || "[ABa]{1,2}";
    prop_oneof![
        word().prop_map(Pattern::Begins),
        word().prop_map(Pattern::Ends),
        word().prop_map(Pattern::Holds),
        (word(), word()).prop_map(|(one, two)| Pattern::Around(one, two)),
    ]
}

pub(crate) fn phrase() -> impl Strategy<Value = Tree> {
    let status = (
        select(vec!["INACTIVE", "active", "Sniped", "KILLED", "cached"]),
        proptest::option::of(duration()),
    );
    let status = status.prop_map(|(status, longer)| {
        let sql = format!("status = '{}'", status.to_ascii_uppercase());
        match longer {
            None => Tree::Phrase(status.into(), sql),
            Some(than) => Tree::Phrase(
                format!("{status} longer than {}", written(&than)),
                format!("{sql} AND last_call_et > {}", than.sql(1)),
            ),
        }
    });
    let simple = select(vec![
        ("background", "type = 'BACKGROUND'"),
        ("DEDICATED", "server = 'DEDICATED'"),
        ("pooled", "server = 'POOLED'"),
        ("in transaction", "taddr IS NOT NULL"),
    ]);
    let simple = simple.prop_map(|(policy, sql)| Tree::Phrase(policy.into(), sql.into()));
    let connected = duration().prop_map(|than| {
        Tree::Phrase(
            format!("connected longer than {}", written(&than)),
            format!("{} > {}", sql_column(Column::Connected), than.sql(1)),
        )
    });
    prop_oneof![3 => status, 2 => simple, 1 => connected]
}

/// A phrase wants a unit.
pub(crate) fn written(duration: &Literal) -> String {
    match duration {
        Literal::Duration(seconds, written) if written.ends_with(|c: char| c.is_ascii_digit()) => format!("{seconds}s"),
        Literal::Duration(..) | Literal::Text(_) | Literal::Word(_) | Literal::Number(_) | Literal::Size(..) => {
            duration.policy()
        }
    }
}

pub(crate) fn term() -> impl Strategy<Value = Tree> {
    let op = || select(OPERATORS.to_vec());
    let with_literal = select(columns()).prop_flat_map(|column| (Just(column), literal(column.kind())));
    let two_literals = select(columns()).prop_flat_map(|column| {
        (
            Just(column),
            literal(column.kind()),
            literal(column.kind()),
            any::<bool>(),
        )
    });
    let in_list =
        select(columns()).prop_flat_map(|column| (Just(column), any::<bool>(), vec(literal(column.kind()), 1..4)));
    let same = |one: Column, two: Column| one.kind() == two.kind() && one.per_second() == two.per_second();
    prop_oneof![
        6 => (with_literal.clone(), op()).prop_map(|((column, literal), op)| Tree::Compare(column, op, literal)),
        1 => (with_literal, op()).prop_map(|((column, literal), op)| match literal {
            Literal::Word(_) => Tree::Compare(column, op, literal),
            Literal::Text(_) | Literal::Number(_) | Literal::Duration(..) | Literal::Size(..) => Tree::Mirrored(literal, op, column),
        }),
        2 => (select(columns()), op(), select(columns()))
            .prop_filter("of one kind and unit", move |(one, _, two)| same(*one, *two))
            .prop_map(|(one, op, two)| Tree::Columns(one, op, two)),
        2 => in_list.prop_map(|(column, negated, literals)| Tree::In(column, negated, literals)),
        2 => two_literals.prop_map(|(column, one, two, negated)| {
            let (low, high) = if one.order() <= two.order() { (one, two) } else { (two, one) };
            Tree::Between(column, negated, low, high)
        }),
        3 => (select(text_columns()), any::<bool>(), like())
            .prop_map(|(column, negated, (pattern, escape))| Tree::Like(column, negated, pattern, escape)),
        1 => (select(text_columns()), any::<bool>(), pattern())
            .prop_map(|(column, negated, pattern)| Tree::Matches(column, negated, pattern)),
        2 => (select(columns()), any::<bool>()).prop_map(|(column, negated)| Tree::IsNull(column, negated)),
        2 => phrase(),
    ]
}

pub(crate) fn tree() -> impl Strategy<Value = Tree> {
    term().prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 2..4).prop_map(|trees| Tree::And(
                trees
                    .into_iter()
                    .flat_map(|tree| if let Tree::And(inner) = tree { inner } else { vec![tree] })
                    .collect()
            )),
            vec(inner.clone(), 2..4).prop_map(|trees| Tree::Or(
                trees
                    .into_iter()
                    .flat_map(|tree| if let Tree::Or(inner) = tree { inner } else { vec![tree] })
                    .collect()
            )),
            inner.prop_map(|tree| Tree::Not(Box::new(tree))),
        ]
    })
}
