//! Follows the advice and evaluates it: it must select the same sessions as the clause means in Oracle, whose functions are written
//! here once more, from the manual.

use std::sync::LazyLock;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::decide::evaluate::evaluate;
use crate::decide::evaluate::truth::Truth;
use crate::policy::check_condition;
use crate::policy::habit::Aim;
use crate::policy::parse::parse_for;
use crate::session::column::Column;
use crate::session::snapshot::{Cell, Snapshot, SnapshotSource};

/// Values of MODULE: blanks and line ends at the ends and inside, small letters, delimiters everywhere, NULL.
const SAMPLES: [Option<&str>; 44] = [
    None,
    Some("A"),
    Some("a"),
    Some("X"),
    Some("X "),
    Some(" X"),
    Some("  X  "),
    Some("x "),
    Some("X\n"),
    Some("\nX"),
    Some("X\t"),
    Some(" "),
    Some("   "),
    Some("\n"),
    Some("AB"),
    Some("ab"),
    Some("aB"),
    Some("A\nB"),
    Some("a\nb"),
    Some("A_B"),
    Some("AxB"),
    Some("A%B"),
    Some("ABC"),
    Some("abc"),
    Some("ABC.X"),
    Some("abc.x"),
    Some("AB.C"),
    Some("ab.c"),
    Some("A.B.C"),
    Some("X.AB"),
    Some(".AB"),
    Some(".X.AB"),
    Some("AB@X"),
    Some("AB@"),
    Some("@AB"),
    Some("@AB@X"),
    Some("X@AB"),
    Some("ABCAB"),
    Some("abcab"),
    Some("A B"),
    Some("X.\nAB"),
    Some("AB "),
    Some("AB.\nX"),
    Some("ABABABABAB"),
];

static SESSIONS: LazyLock<Snapshot> = LazyLock::new(|| {
    let mut builder = Snapshot::builder(SnapshotSource::Saved, &[Column::Module]);
    for sample in SAMPLES {
        builder
            .push_row(&[sample.map_or(Cell::Null, Cell::Text)])
            .expect("few rows");
    }
    builder
        .finish(None, Vec::new())
        .finish([Column::Module].into_iter().collect())
});

#[derive(Clone, Debug)]
enum Function {
    Upper,
    Lower,
    Trim,
    Ltrim,
    Rtrim,
    Nvl(&'static str),
    Substr(i64, Option<i64>),
    /// The text before the first one, and with it.
    Before(&'static str),
    UpTo(&'static str),
}

impl Function {
    fn written(&self, inner: &str) -> String {
        match self {
            Function::Upper => format!("upper({inner})"),
            Function::Lower => format!("lower({inner})"),
            Function::Trim => format!("trim({inner})"),
            Function::Ltrim => format!("ltrim({inner})"),
            Function::Rtrim => format!("rtrim({inner})"),
            Function::Nvl(default) => format!("nvl({inner}, '{default}')"),
            Function::Substr(from, None) => format!("substr({inner}, {from})"),
            Function::Substr(from, Some(length)) => format!("substr({inner}, {from}, {length})"),
            Function::Before(delimiter) => format!("substr({inner}, 1, instr({inner}, '{delimiter}') - 1)"),
            Function::UpTo(delimiter) => format!("substr({inner}, 1, instr({inner}, '{delimiter}'))"),
        }
    }

    fn value(&self, value: Option<Vec<char>>) -> Option<Vec<char>> {
        if let (Function::Nvl(default), None) = (self, &value) {
            return Some(default.chars().collect()).filter(|text: &Vec<char>| !text.is_empty());
        }
        let mut text = value?;
        match self {
            Function::Upper => text.iter_mut().for_each(|letter| letter.make_ascii_uppercase()),
            Function::Lower => text.iter_mut().for_each(|letter| letter.make_ascii_lowercase()),
            Function::Trim | Function::Ltrim | Function::Rtrim => {
                while !matches!(self, Function::Rtrim) && text.first() == Some(&' ') {
                    text.remove(0);
                }
                while !matches!(self, Function::Ltrim) && text.last() == Some(&' ') {
                    text.pop();
                }
            }
            Function::Nvl(_) => {}
            Function::Substr(from, length) => text = part(&text, *from, *length)?,
            Function::Before(delimiter) => {
                let at = position(&text, delimiter);
                text = part(&text, 1, Some(at - 1))?;
            }
            Function::UpTo(delimiter) => {
                let at = position(&text, delimiter);
                text = part(&text, 1, Some(at))?;
            }
        }
        Some(text).filter(|text| !text.is_empty())
    }
}

/// SUBSTR.
fn part(text: &[char], from: i64, length: Option<i64>) -> Option<Vec<char>> {
    let count = i64::try_from(text.len()).expect("short");
    let first = match from {
        0 => 1,
        from if from < 0 => count + from + 1,
        from => from,
    };
    let last = length.map_or(count, |length| (first + length - 1).min(count));
    (first >= 1 && first <= count && last >= first).then(|| {
        (first..=last)
            .map(|at| text[usize::try_from(at - 1).expect("in range")])
            .collect()
    })
}

/// INSTR.
fn position(text: &[char], wanted: &str) -> i64 {
    let wanted: Vec<char> = wanted.chars().collect();
    let found = text
        .windows(wanted.len())
        .position(|window| window == wanted.as_slice());
    found.map_or(0, |at| i64::try_from(at).expect("short") + 1)
}

/// LIKE.
fn like(text: &[char], pattern: &[char], escape: Option<char>) -> bool {
    match pattern {
        [] => text.is_empty(),
        [escaped, next, rest @ ..] if Some(*escaped) == escape => {
            text.first() == Some(next) && like(&text[1..], rest, escape)
        }
        ['%', rest @ ..] => (0..=text.len()).any(|skipped| like(&text[skipped..], rest, escape)),
        ['_', rest @ ..] => !text.is_empty() && like(&text[1..], rest, escape),
        [letter, rest @ ..] => text.first() == Some(letter) && like(&text[1..], rest, escape),
    }
}

#[derive(Clone, Debug)]
enum Test {
    Equal(&'static str),
    NotEqual(&'static str),
    In(Vec<&'static str>, bool),
    Like(&'static str, bool),
    Instr(&'static str, &'static str),
}

impl Test {
    fn written(&self, operand: &str) -> String {
        let not = |negated: bool| if negated { "not " } else { "" };
        match self {
            Test::Equal(text) => format!("{operand} = '{text}'"),
            Test::NotEqual(text) => format!("{operand} != '{text}'"),
            Test::In(texts, negated) => format!("{operand} {}in ('{}')", not(*negated), texts.join("', '")),
            Test::Like(pattern, negated) => {
                let escape = if pattern.contains('!') { " escape '!'" } else { "" };
                format!("{operand} {}like '{pattern}'{escape}", not(*negated))
            }
            Test::Instr(text, compared) => format!("instr({operand}, '{text}') {compared}"),
        }
    }

    fn holds(&self, value: Option<Vec<char>>) -> Truth {
        let Some(text) = value else { return Truth::Unknown };
        let string: String = text.iter().collect();
        let truth = match self {
            Test::Equal(wanted) => string == *wanted,
            Test::NotEqual(wanted) => string != *wanted,
            Test::In(wanted, negated) => wanted.contains(&string.as_str()) != *negated,
            Test::Like(pattern, negated) => {
                let escape = pattern.contains('!').then_some('!');
                like(&text, &pattern.chars().collect::<Vec<char>>(), escape) != *negated
            }
            Test::Instr(wanted, compared) => {
                let at = position(&text, wanted);
                match *compared {
                    "> 0" | "!= 0" | ">= 1" => at > 0,
                    _ => at == 0,
                }
            }
        };
        if truth { Truth::True } else { Truth::False }
    }
}

fn function() -> impl Strategy<Value = Function> {
    prop_oneof![
        select(vec![
            Function::Upper,
            Function::Lower,
            Function::Trim,
            Function::Ltrim,
            Function::Rtrim,
        ]),
        select(vec!["X", "abc", "AB", "a", " ", "AB.C", "ABC"]).prop_map(Function::Nvl),
        (
            select(vec![-4, -3, -2, -1, 0, 1, 2, 3]),
            prop::option::of(select(vec![0, 1, 2, 3, 5]))
        )
            .prop_map(|(from, length)| Function::Substr(from, length)),
        select(vec![".", "@", "B", "AB", " "]).prop_map(Function::Before),
        select(vec![".", "@", "B"]).prop_map(Function::UpTo),
    ]
}

fn test() -> impl Strategy<Value = Test> {
    let texts = || {
        select(vec![
            "A", "a", "X", "AB", "ab", "ABC", "abc", "AB.", "A_B", "X ", " X", "C", ".", "A%B",
        ])
    };
    let patterns = select(vec![
        "A%", "a%", "%B", "%b", "%", "_", "__", "A_B", "A!_B", "A!_%", "A!%%", "%AB%", "%ab%", "AB", "A%B", "_B%",
        "%_", "% ", " %", "X %", "A%B%", "a%b",
    ]);
    prop_oneof![
        texts().prop_map(Test::Equal),
        texts().prop_map(Test::NotEqual),
        (vec(texts(), 1..4), any::<bool>()).prop_map(|(texts, negated)| Test::In(texts, negated)),
        (patterns, any::<bool>()).prop_map(|(pattern, negated)| Test::Like(pattern, negated)),
        (texts(), select(vec!["> 0", "!= 0", ">= 1", "= 0", "< 1"])).prop_map(|(text, at)| Test::Instr(text, at)),
    ]
}

/// What is said of the only mistake in the text, and the text with the advice in the marked place.
fn answered(text: &str, aim: Aim) -> (String, Option<String>) {
    let mistakes = parse_for(text, aim).mistakes;
    assert_eq!(mistakes.len(), 1, "{text}: {mistakes:?}");
    let hint = mistakes[0].hint.clone().expect("each has advice");
    let exact = hint.strip_prefix("write `").and_then(|hint| hint.strip_suffix('`'));
    let better = exact.map(|exact| {
        let mut better = text.to_owned();
        better.replace_range(mistakes[0].at.clone(), exact);
        better
    });
    (hint, better)
}

fn truths(text: &str) -> Vec<Truth> {
    let condition = check_condition(text).unwrap_or_else(|problems| panic!("{text}: {problems:?}"));
    let truths = evaluate(&condition, &SESSIONS);
    (0..SESSIONS.rows()).map(|row| truths.get(row)).collect()
}

/// Whether advice is exact at a place.
fn agrees(aim: Aim, meant: Truth, advised: Truth) -> bool {
    let acts = (meant == Truth::True) == (advised == Truth::True);
    let spares = (meant == Truth::False) == (advised == Truth::False);
    match aim {
        Aim::Acts => acts,
        Aim::Spares => spares,
        Aim::Either => acts && spares,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn advice_selects_the_sessions_that_the_clause_means(functions in vec(function(), 1..4), test in test()) {
        let operand = functions.iter().fold("module".to_owned(), |inner, function| function.written(&inner));
        let text = test.written(&operand);
        let meant: Vec<Truth> = SAMPLES
            .iter()
            .map(|sample| {
                let value = sample.map(|text| text.chars().collect::<Vec<char>>());
                test.holds(functions.iter().fold(value, |value, function| function.value(value)))
            })
            .collect();
        for aim in [Aim::Acts, Aim::Spares, Aim::Either] {
            let (hint, better) = answered(&text, aim);
            if hint.contains("never true") {
                prop_assert!(meant.iter().all(|truth| *truth != Truth::True), "{}: {}", text, hint);
            }
            if hint.contains("never equal") {
                prop_assert!(meant.iter().all(|truth| *truth != Truth::False), "{}: {}", text, hint);
            }
            let Some(better) = better else { continue };
            for ((meant, advised), sample) in meant.iter().zip(truths(&better)).zip(SAMPLES) {
                prop_assert!(agrees(aim, *meant, advised), "{:?} {:?}\n{}\n{}", aim, sample, text, better);
            }
        }
        // Under NOT, FALSE decides.
        let (_, better) = answered(&format!("not ({text})"), Aim::Acts);
        if let Some(better) = better {
            for ((meant, advised), sample) in meant.iter().zip(truths(&better)).zip(SAMPLES) {
                let ends = *meant == Truth::False;
                prop_assert!(ends == (advised == Truth::True), "{:?}\nnot ({})\n{}", sample, text, better);
            }
        }
    }
}

fn advice(text: &str, aim: Aim) -> String {
    let (hint, better) = answered(text, aim);
    better.unwrap_or(hint)
}

#[test]
fn each_clause_gets_the_advice_that_a_colleague_would_give() {
    for (clause, wanted) in [
        (
            "substr(machine,1,instr(machine,'.')-1) = 'web1'",
            "machine like 'web1.%'",
        ),
        (
            "substr(machine,1,instr(machine,'.')-1) in ('web1','web2')",
            r"machine matches '^(web1|web2)\.'",
        ),
        (
            "substr(program,1,instr(program,'@')-1) = 'sqlplus'",
            "program like 'sqlplus@%'",
        ),
        (
            "substr(upper(program),1,instr(program,'@')-1) = 'SQLPLUS'",
            "program matches '(?i)^SQLPLUS@'",
        ),
        (
            "substr(program,1,instr(program,'@')-1) != 'sqlplus'",
            "(program like '%@%' and program not like '@%' and program not like 'sqlplus@%')",
        ),
        (
            "upper(module) not like 'A!_%' escape '!'",
            "module not matches '(?i)^A_'",
        ),
        (
            r"upper(module) not like 'A\_B%' escape '\'",
            "module not matches '(?i)^A_B'",
        ),
        ("upper(module) not like 'A%B'", "module not matches '(?is)^A.*B$'"),
        ("instr(program,'JDBC',1,1) > 0", "program like '%JDBC%'"),
        ("instr(program,'A_B') > 0", "program like '%A!_B%' escape '!'"),
        ("trim(module) = 'X'", "module matches '^ *X *$'"),
        ("rtrim(module) = 'X'", "module matches '^X *$'"),
        (
            "trim(module) != 'X'",
            "(module matches '[^ ]' and module not matches '^ *X *$')",
        ),
        ("upper(username) = 'SHOP'", "username = 'SHOP'"),
        ("upper(username) != 'SHOP'", "username not matches '(?i)^SHOP$'"),
        ("'SHOP' != upper(osuser)", "osuser not matches '(?i)^SHOP$'"),
        ("lower(username) = shop", "username = 'SHOP'"),
        ("lower(status) = 'inactive'", "status = 'INACTIVE'"),
        ("nvl(upper(module),'abc') = 'abc'", "module is null"),
        ("nvl(upper(module),'abc') like '%ABC%'", "module matches '(?i)ABC'"),
        ("nvl(upper(module),'abc') = 'ABC'", "module matches '(?i)^ABC$'"),
        ("substr(program,-4) = '.exe'", "program like '%.exe'"),
        (
            "substr(program,-4) != '.exe'",
            "(program like '____%' and program not like '%.exe')",
        ),
        ("substr(program,3,2) = 'ab'", "program like '__ab%'"),
    ] {
        assert_eq!(advice(clause, Aim::Acts), wanted, "{clause}");
    }
}

#[test]
fn nvl_of_amounts_dates_and_several_columns_has_its_own_advice() {
    for (clause, wanted) in [
        ("to_char(sid) = '12'", "sid = 12"),
        (
            "nvl(module,program) = 'x'",
            "(module = 'x' or (module is null and program = 'x'))",
        ),
        (
            "coalesce(module,action,'X') = 'X'",
            "(module = 'X' or (module is null and action = 'X') or (module is null and action is null))",
        ),
        ("nvl(last_call_et,0)/3600 > 4", "last_call_et > 4h"),
        ("nvl(last_call_et/3600,0) > 4", "last_call_et > 4h"),
        ("nvl(idle,999999) > 4h", "(idle is null or idle > 4h)"),
        ("nvl(logon_time,sysdate) < sysdate - 1", "connected > 1d"),
        ("nvl(sid,0) in (1,2)", "sid in (1, 2)"),
        (
            "nvl(blocking_session,0) not in (1,2)",
            "(blocking_session is null or blocking_session not in (1, 2))",
        ),
        ("regexp_like(upper(program),'TOAD')", "program matches '(?i)TOAD'"),
        (
            "regexp_like(nvl(module,'x'),'^x$')",
            "(module is null or module matches '^x$')",
        ),
    ] {
        assert_eq!(advice(clause, Aim::Acts), wanted, "{clause}");
    }
}

#[test]
fn where_false_decides_the_advice_spares_no_fewer() {
    for (clause, wanted) in [
        (
            "substr(program,1,instr(program,'@')-1) = 'sqlplus'",
            "(program not like '%@%' or program like '@%' or program like 'sqlplus@%')",
        ),
        (
            "trim(module) = 'X'",
            "(module not matches '[^ ]' or module matches '^ *X *$')",
        ),
        ("lower(username) = 'shop'", "username matches '(?i)^shop$'"),
        ("upper(username) like 'SHOP%'", "username matches '(?i)^SHOP'"),
        (
            "nvl(module,'none') = 'BATCH'",
            "(module is not null and module = 'BATCH')",
        ),
    ] {
        assert_eq!(advice(clause, Aim::Spares), wanted, "{clause}");
    }
    let (reason, better) = answered("trim(module) = 'X'", Aim::Either);
    assert!(better.is_none() && reason.contains("named condition"), "{reason}");
}

#[test]
fn where_no_rewriting_is_exact_the_advice_says_why() {
    for (clause, why) in [
        ("instr(program,'JDBC',5) > 0", "position or an occurrence"),
        ("instr(lower(program),'jdbc',1,2) > 0", "position or an occurrence"),
        ("instr(program,'JDBC',-1) = 0", "position or an occurrence"),
        ("instr(program,'') = 0", "'' is NULL"),
        ("upper(module) = ''", "'' is NULL"),
        ("substr(program,1,5) like '%x%'", "a part of the text"),
        (
            "substr(program,1,3) like 'sqlplus%'",
            "at most 3 characters, and this has 7",
        ),
        ("substr(program,1,3) = 'JDBC'", "never true"),
        ("substr(program,1,3) != 'JDBC'", "never equal"),
        ("substr(program,-3) = '.exe'", "never true"),
        ("lower(nvl(module,'X')) = 'X'", "no capital letter"),
        ("upper(osuser) = 'joe'", "no small letter"),
        ("regexp_like(program,'a#b','x')", "begins a comment"),
        (r"regexp_like(program,'[\d]')", "ordinary characters"),
        ("regexp_like(program,'[a[b]')", "ordinary characters"),
        ("regexp_like(program,'[a&&b]')", "ordinary characters"),
        (r"regexp_like(program,'\bora\b')", "the character alone"),
        (r"regexp_like(program,'a\n')", "the character alone"),
        (r"regexp_like(program,'\<ora')", "the character alone"),
        ("regexp_like(program,'[[:alpha:]]')", "classes such as"),
        ("regexp_like(program,'(?i)ora')", "other ways"),
        ("regexp_like(program,'(a)\\1')", "back-references"),
        ("regexp_like(program,'ora','q')", "flags"),
        ("regexp_like(upper(program),'toad')", "other case"),
        ("regexp_like(substr(program,1,4),'JDBC')", "inside REGEXP_LIKE"),
    ] {
        for aim in [Aim::Acts, Aim::Spares, Aim::Either] {
            let (reason, better) = answered(clause, aim);
            assert!(better.is_none() && reason.contains(why), "{clause}: {reason}");
        }
    }
}

#[test]
fn operators_of_other_languages_keep_the_ends_of_their_patterns() {
    use super::{instead_of_contains, instead_of_ilike};
    for (pattern, wanted) in [
        ("%toad%", "program matches '(?i)toad'"),
        ("toad%", "program matches '(?i)^toad'"),
        ("to.d", r"program matches '(?i)^to\.d$'"),
        ("t_ad%", "program matches '(?is)^t.ad'"),
    ] {
        assert_eq!(instead_of_ilike(Column::Program, pattern), wanted);
    }
    assert_eq!(
        instead_of_contains(Column::Program, "a_b"),
        "program like '%a!_b%' escape '!'"
    );
    assert_eq!(instead_of_contains(Column::Program, "toad"), "program like '%toad%'");
}
