//! How fast 20 policies are evaluated over 100,000 sessions, and how much memory the snapshot takes.
//!
//! The results are ratios to a hand-written loop for each condition in the same run, because absolute times depend on the machine.
//! `cargo bench -p orareaper-benches --bench evaluate`.

use std::hint::black_box;
use std::time::{Duration, Instant};

use orareaper::columns_needed;
use orareaper::decide::evaluate::{Evaluation, evaluate};
use orareaper::policy::condition::Condition;
use orareaper::session::column::{Column, Columns, Source};
use orareaper::session::snapshot::{Cell, Instance, Snapshot, SnapshotClock, SnapshotSource};
use orareaper::session::time::DbTime;

const SESSIONS: usize = 100_000;
const NOW: i64 = 1_795_000_000;
const ROUNDS: usize = 15;

/// A session as a program would hold it that knows nothing of columns.
struct Row {
    username: Option<String>,
    status: String,
    program: String,
    machine: String,
    module: Option<String>,
    last_call_et: i64,
    logon_time: i64,
    in_transaction: bool,
}

type ByHand = fn(&Row) -> bool;

/// Conditions of one or two terms, and the same by hand.
fn short_policies() -> Vec<(&'static str, ByHand)> {
    vec![
        ("INACTIVE longer than 4h", |row| {
            row.status == "INACTIVE" && row.last_call_et > 14_400
        }),
        ("INACTIVE longer than 30m and username = SHOP", |row| {
            row.status == "INACTIVE" && row.last_call_et > 1800 && row.username.as_deref() == Some("SHOP")
        }),
        ("program like 'JDBC%' and idle > 2h", |row| {
            row.program.starts_with("JDBC") && idle(row) > 7200
        }),
        ("program like '%exe%' and INACTIVE longer than 8h", |row| {
            row.program.contains("exe") && row.status == "INACTIVE" && row.last_call_et > 28_800
        }),
        ("RUNNING longer than 3h", |row| {
            row.status == "ACTIVE" && row.last_call_et > 10_800
        }),
        ("username in (SHOP, CRM, HR) and INACTIVE longer than 1h", |row| {
            matches!(row.username.as_deref(), Some("SHOP" | "CRM" | "HR"))
                && row.status == "INACTIVE"
                && row.last_call_et > 3600
        }),
        ("in transaction and INACTIVE longer than 10m", |row| {
            row.in_transaction && row.status == "INACTIVE" && row.last_call_et > 600
        }),
        ("CONNECTED longer than 12h and INACTIVE longer than 1h", |row| {
            NOW - row.logon_time > 43_200 && row.status == "INACTIVE" && row.last_call_et > 3600
        }),
        ("module is null and INACTIVE longer than 6h", |row| {
            row.module.is_none() && row.status == "INACTIVE" && row.last_call_et > 21_600
        }),
        ("module like 'batch_%' or module like 'report_%'", |row| {
            row.module.as_deref().is_some_and(|module| {
                (module.starts_with("batch") && module.len() > 5) || (module.starts_with("report") && module.len() > 6)
            })
        }),
    ]
}

/// Longer ones.
fn long_policies() -> Vec<(&'static str, ByHand)> {
    vec![
        ("machine in ('web01', 'web02', 'web03') and idle > 4h", |row| {
            matches!(row.machine.as_str(), "web01" | "web02" | "web03") && idle(row) > 14_400
        }),
        ("not (username in (ETL, DWH)) and idle > 5h", |row| {
            row.username
                .as_deref()
                .is_some_and(|name| !matches!(name, "ETL" | "DWH"))
                && idle(row) > 18_000
        }),
        ("status = 'SNIPED'", |row| row.status == "SNIPED"),
        ("username between 'A' and 'M' and idle > 3h", |row| {
            row.username.as_deref().is_some_and(|name| ("A"..="M").contains(&name)) && idle(row) > 10_800
        }),
        ("(username = CRM or username = HR) and running > 10m", |row| {
            matches!(row.username.as_deref(), Some("CRM" | "HR")) && row.status == "ACTIVE" && row.last_call_et > 600
        }),
        ("program matches '^sql(plus|developer)' and idle > 1h", |row| {
            (row.program.starts_with("sqlplus") || row.program.starts_with("sqldeveloper")) && idle(row) > 3600
        }),
        ("connected > 30d", |row| NOW - row.logon_time > 30 * 86_400),
        ("last_call_et between 1h and 2h and status != 'ACTIVE'", |row| {
            (3600..=7200).contains(&row.last_call_et) && row.status != "ACTIVE"
        }),
        ("username is not null and idle > 10h", |row| {
            row.username.is_some() && idle(row) > 36_000
        }),
        (
            "username != SYS and machine like 'web%' and INACTIVE longer than 20m",
            |row| {
                row.username.as_deref().is_some_and(|name| name != "SYS")
                    && row.machine.starts_with("web")
                    && row.status == "INACTIVE"
                    && row.last_call_et > 1200
            },
        ),
    ]
}

/// The derived column: LAST_CALL_ET while INACTIVE or SNIPED.
fn idle(row: &Row) -> i64 {
    if matches!(row.status.as_str(), "INACTIVE" | "SNIPED") {
        row.last_call_et
    } else {
        -1
    }
}

/// A small generator of its own, so that every run sees the same sessions.
struct Lcg(u64);

impl Lcg {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }

    fn of<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[usize::try_from(self.below(words.len() as u64)).expect("an index")]
    }
}

fn rows(sessions: usize) -> Vec<Row> {
    let mut lcg = Lcg(7);
    (0..sessions)
        .map(|_| Row {
            username: (lcg.below(50) > 0)
                .then(|| lcg.of(&["SHOP", "CRM", "HR", "ETL", "DWH", "APEX", "SYS"]).to_owned()),
            status: lcg
                .of(&["INACTIVE", "INACTIVE", "INACTIVE", "ACTIVE", "SNIPED"])
                .to_owned(),
            program: lcg
                .of(&[
                    "JDBC Thin Client",
                    "sqlplus@dev",
                    "sqldeveloper.exe",
                    "w3wp.exe",
                    "python@etl",
                ])
                .to_owned(),
            machine: format!("web{:02}", lcg.below(40)),
            module: (lcg.below(3) > 0).then(|| format!("{}_{}", lcg.of(&["batch", "report", "ui"]), lcg.below(200))),
            last_call_et: i64::try_from(lcg.below(50_000)).expect("small"),
            logon_time: NOW - i64::try_from(lcg.below(4_000_000)).expect("small"),
            in_transaction: lcg.below(20) == 0,
        })
        .collect()
}

/// What a snapshot reads for such policies: [`columns_needed::ALWAYS`] and all that the conditions speak of.
#[allow(
    clippy::wildcard_enum_match_arm,
    reason = "columns that the benchmark does not fill are NULL"
)]
fn snapshot(rows: &[Row], wanted: Columns) -> Snapshot {
    let inputs = Snapshot::inputs(wanted);
    let read: Vec<Column> = inputs
        .iter()
        .filter(|column| column.source() == Source::Session)
        .collect();
    let mut builder = Snapshot::builder(SnapshotSource::Live, &read);
    let mut taddr = String::new();
    for (number, row) in rows.iter().enumerate() {
        let number = i64::try_from(number).expect("small");
        taddr.clear();
        taddr.push_str(&format!("{number:016X}"));
        let cells: Vec<Cell<'_>> = read
            .iter()
            .map(|column| match column {
                Column::InstId => Cell::Number(number % 3 + 1),
                Column::Sid => Cell::Number(number / 3),
                Column::Serial => Cell::Number(number * 31 % 65_536),
                Column::LogonTime => Cell::Time(DbTime(row.logon_time)),
                Column::LastCallEt => Cell::Number(row.last_call_et),
                Column::Username => row.username.as_deref().map_or(Cell::Null, Cell::Text),
                Column::Status => Cell::Text(&row.status),
                Column::Program => Cell::Text(&row.program),
                Column::Machine => Cell::Text(&row.machine),
                Column::Module => row.module.as_deref().map_or(Cell::Null, Cell::Text),
                Column::Type => Cell::Text("USER"),
                Column::Server => Cell::Text("DEDICATED"),
                Column::ConId => Cell::Number(3),
                Column::Taddr if row.in_transaction => Cell::Text(&taddr),
                _ => Cell::Null,
            })
            .collect();
        builder.push_row(&cells).expect("fewer than the limit");
    }
    let instances = (1..=3)
        .map(|inst_id| Instance {
            inst_id,
            name: format!("i{inst_id}"),
            complete: true,
        })
        .collect();
    builder
        .finish(
            Some(SnapshotClock {
                now: DbTime(NOW),
                utc_offset: 0,
            }),
            instances,
        )
        .finish(wanted)
}

/// The fastest of several rounds: what disturbs a run only ever makes it slower.
fn fastest(work: impl FnMut()) -> Duration {
    fastest_of(ROUNDS, work)
}

#[allow(clippy::disallowed_methods, reason = "a benchmark measures")]
fn fastest_of(rounds: usize, mut work: impl FnMut()) -> Duration {
    (0..rounds)
        .map(|_| {
            let began = Instant::now();
            work();
            began.elapsed()
        })
        .min()
        .expect("at least one round")
}

fn main() {
    let rows = rows(SESSIONS);
    let policies: Vec<(&str, Condition, ByHand)> = short_policies()
        .into_iter()
        .chain(long_policies())
        .map(|(text, by_hand)| {
            let condition = orareaper::policy::check_condition(text);
            (
                text,
                condition.unwrap_or_else(|problems| panic!("{text}: {problems:?}")),
                by_hand,
            )
        })
        .collect();
    let wanted = policies.iter().fold(
        columns_needed::ALWAYS.into_iter().collect::<Columns>(),
        |so_far, (_, condition, _)| so_far.union(orareaper::decide::evaluate::columns_of(condition)),
    );
    let snapshot = snapshot(&rows, wanted);
    for (text, condition, by_hand) in &policies {
        let ours = evaluate(condition, &snapshot).true_rows().count();
        let theirs = rows.iter().filter(|row| by_hand(row)).count();
        assert_eq!(
            ours, theirs,
            "{text} selects other sessions than the loop written by hand"
        );
    }
    let ours = fastest(|| {
        let mut evaluation = Evaluation::of(black_box(&snapshot));
        for (_, condition, _) in &policies {
            black_box(evaluation.truths(condition).true_rows().count());
        }
    });
    let by_hand = fastest(|| {
        for (_, _, by_hand) in &policies {
            black_box(black_box(&rows).iter().filter(|row| by_hand(row)).count());
        }
    });
    let bytes = snapshot.bytes() as f64 / SESSIONS as f64;
    println!(
        "{} policies over {SESSIONS} sessions, one core, fastest of {ROUNDS} rounds",
        policies.len()
    );
    println!("  evaluator            {:8.2} ms", ours.as_secs_f64() * 1e3);
    println!("  loops by hand        {:8.2} ms", by_hand.as_secs_f64() * 1e3);
    println!(
        "  evaluator / by hand  {:8.2}",
        ours.as_secs_f64() / by_hand.as_secs_f64()
    );
    println!(
        "  snapshot             {bytes:8.1} bytes a session, {} columns",
        wanted.iter().count()
    );
    assert!(
        bytes < 120.0,
        "a session takes {bytes:.1} bytes, more than the 120 promised"
    );
    usual(&rows);
    scale();
}

/// The accounts, the idle time and the programs of a policy of the usual kind.
type Usual = ([&'static str; 3], i64, &'static str);

/// Policies as most sites have them, which differ in an account or a limit.
fn usual_policies(count: usize) -> Vec<Usual> {
    let accounts = ["SHOP", "CRM", "HR", "ETL", "DWH", "APEX"];
    let programs = ["^JDBC", "^sql(plus|developer)", "exe$", "(?i)PYTHON@"];
    (0..count)
        .map(|number| {
            let of = |add: usize| accounts[(number + add) % accounts.len()];
            let idle = 3_600 + 1_800 * i64::try_from(number).expect("small");
            ([of(0), of(1), of(3)], idle, programs[number % programs.len()])
        })
        .collect()
}

fn condition_of((accounts, idle, program): &Usual) -> Condition {
    let text = format!(
        "status = 'INACTIVE' and type != 'BACKGROUND' and last_call_et > {idle} and username in ({}) and program matches '{program}'",
        accounts.join(", ")
    );
    orareaper::policy::check_condition(&text).unwrap_or_else(|problems| panic!("{text}: {problems:?}"))
}

/// A column of texts as codes into its distinct texts.
fn encoded<'a>(texts: impl Iterator<Item = Option<&'a str>>) -> (Vec<u8>, Vec<Option<&'a str>>) {
    let mut words: Vec<Option<&str>> = Vec::new();
    let codes = texts
        .map(|text| {
            let code = words.iter().position(|word| *word == text).unwrap_or_else(|| {
                words.push(text);
                words.len() - 1
            });
            u8::try_from(code).expect("few words")
        })
        .collect();
    (codes, words)
}

/// The columns that such policies use, as a program would encode them.
struct Encoded<'a> {
    statuses: Vec<u8>,
    inactive: u8,
    background: Vec<bool>,
    users: (Vec<u8>, Vec<Option<&'a str>>),
    programs: (Vec<u8>, Vec<Option<&'a str>>),
    last_calls: Vec<i32>,
}

impl<'a> Encoded<'a> {
    fn of(rows: &'a [Row]) -> Encoded<'a> {
        let (statuses, words) = encoded(rows.iter().map(|row| Some(row.status.as_str())));
        let inactive = words.iter().position(|word| *word == Some("INACTIVE"));
        let last_calls = rows.iter().map(|row| i32::try_from(row.last_call_et).expect("small"));
        Encoded {
            statuses,
            inactive: inactive
                .and_then(|code| u8::try_from(code).ok())
                .expect("there are some"),
            background: vec![false; rows.len()],
            users: encoded(rows.iter().map(|row| row.username.as_deref())),
            programs: encoded(rows.iter().map(|row| Some(row.program.as_str()))),
            last_calls: last_calls.collect(),
        }
    }

    /// A bit for each policy that selects the session, by loops over columns.
    fn masks(&self, policies: &[Usual], patterns: &[regex::Regex]) -> Vec<u64> {
        let mut masks = vec![0_u64; self.statuses.len()];
        for (number, ((accounts, idle, _), pattern)) in policies.iter().zip(patterns).enumerate() {
            let judged = |words: &[Option<&str>], holds: &dyn Fn(&str) -> bool| -> Vec<bool> {
                words.iter().map(|word| word.is_some_and(holds)).collect()
            };
            let users = judged(&self.users.1, &|word| accounts.contains(&word));
            let programs = judged(&self.programs.1, &|word| pattern.is_match(word));
            let idle = i32::try_from(*idle).expect("small");
            for (row, mask) in masks.iter_mut().enumerate() {
                let holds = (self.statuses[row] == self.inactive)
                    & !self.background[row]
                    & (self.last_calls[row] > idle)
                    & users[usize::from(self.users.0[row])]
                    & programs[usize::from(self.programs.0[row])];
                *mask |= u64::from(holds) << number;
            }
        }
        masks
    }
}

/// How many sessions the policies select, by loops over rows.
fn by_rows(rows: &[Row], policies: &[Usual], patterns: &[regex::Regex]) -> usize {
    let selected = |((accounts, idle, _), pattern): (&Usual, &regex::Regex)| {
        let holds = |row: &&Row| {
            row.status == "INACTIVE"
                && row.last_call_et > *idle
                && row.username.as_deref().is_some_and(|name| accounts.contains(&name))
                && pattern.is_match(&row.program)
        };
        rows.iter().filter(holds).count()
    };
    policies.iter().zip(patterns).map(selected).sum()
}

/// Policies of the usual kind, beside two loops by hand: over rows, and over columns of codes with one bit a policy for each session.
fn usual(rows: &[Row]) {
    let all = usual_policies(64);
    let conditions: Vec<Condition> = all.iter().map(condition_of).collect();
    let pattern = |(_, _, program): &Usual| regex::Regex::new(program).expect("a pattern");
    let patterns: Vec<regex::Regex> = all.iter().map(pattern).collect();
    let wanted = conditions.iter().fold(Columns::NONE, |so_far, condition| {
        so_far.union(orareaper::decide::evaluate::columns_of(condition))
    });
    let (snapshot, columns) = (snapshot(rows, wanted), Encoded::of(rows));
    let ours = |count: usize| {
        let mut evaluation = Evaluation::of(black_box(&snapshot));
        let mut hits = |condition| evaluation.truths(condition).true_rows().count();
        conditions[..count].iter().map(&mut hits).sum::<usize>()
    };
    let bits: u32 = columns
        .masks(&all, &patterns)
        .iter()
        .map(|mask| mask.count_ones())
        .sum();
    assert_eq!(ours(64), bits as usize, "the loop over columns selects other sessions");
    assert_eq!(
        ours(64),
        by_rows(rows, &all, &patterns),
        "the loop over rows selects other sessions"
    );
    let ms = |work: &dyn Fn()| fastest(work).as_secs_f64() * 1e3;
    let [one, twenty, sixty_four] = [1, 20, 64].map(|count| ms(&|| _ = black_box(ours(count))));
    let by_columns = ms(&|| _ = black_box(columns.masks(&all[..20], &patterns)));
    let by_rows = ms(&|| _ = black_box(by_rows(rows, &all[..20], &patterns)));
    println!("policies of five terms over {SESSIONS} sessions: accounts, limits and programs differ");
    println!("  evaluator, 1, 20, 64 policies    {one:6.2} {twenty:6.2} {sixty_four:6.2} ms");
    println!(
        "  20 / 1 and 64 / 20 policies      {:6.2} {:6.2}",
        twenty / one,
        sixty_four / twenty
    );
    println!(
        "  evaluator / loop over columns    {:6.2}  ({by_columns:.2} ms)",
        twenty / by_columns
    );
    println!(
        "  evaluator / loop over rows       {:6.2}  ({by_rows:.2} ms)",
        twenty / by_rows
    );
}

/// The same policies over few and many sessions: where it grows with their product, and where not.
fn scale() {
    let conditions: Vec<Condition> = usual_policies(1_000).iter().map(condition_of).collect();
    let wanted = conditions.iter().fold(Columns::NONE, |so_far, condition| {
        so_far.union(orareaper::decide::evaluate::columns_of(condition))
    });
    println!("milliseconds by sessions and policies, and nanoseconds a session and policy");
    println!("  sessions      1 policy            20           100         1,000");
    for sessions in [100, 1_000, 10_000, 100_000, 1_000_000] {
        let snapshot = snapshot(&rows(sessions), wanted);
        let cell = |count: usize| {
            let rounds = (20_000_000 / (sessions * count)).clamp(3, ROUNDS);
            let took = fastest_of(rounds, || {
                let mut evaluation = Evaluation::of(black_box(&snapshot));
                for condition in &conditions[..count] {
                    black_box(evaluation.truths(condition).true_rows().count());
                }
            });
            let each = took.as_nanos() as f64 / (sessions * count) as f64;
            format!("{:8.3} {each:5.2}", took.as_secs_f64() * 1e3)
        };
        let cells = [1, 20, 100, 1_000].map(cell);
        println!("  {sessions:9} {}", cells.join(""));
    }
}
