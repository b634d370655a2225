//! The setting of a run, drawn from the seed: databases full of sessions, entries of the configuration that lead to them, and the
//! policies and limits of each.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use orareaper::config;
use orareaper::policy::model::PolicySet;

use super::accounts::AccountsSpec;
use super::base::{Base, Endings};
use super::chance::Chance;
use super::groups::GROUPS;
use super::judge::{Entry, Limits};
use super::rules::{Rule, load};

/// The names of databases.
const NAMES: [&str; 3] = ["ONE", "TWO", "THREE"];

/// A database, as it is at the beginning.
#[derive(Debug)]
pub(crate) struct BaseSpec {
    pub(crate) name: &'static str,
    pub(crate) instances: u32,
    /// The limit of an instance's sessions; UNLIMITED where it is the largest number.
    pub(crate) at_most: i64,
    endings: Endings,
    /// So many sessions of a group there may be.
    sizes: &'static [u64],
}

/// A version of an entry as the daemon loads it.
#[derive(Debug)]
pub(crate) struct LoadedEntry {
    pub(crate) database: config::DatabaseConfig,
    pub(crate) set: Arc<PolicySet>,
}

/// What an entry may say, in two versions between which reloads change.
#[derive(Debug)]
pub(crate) struct EntrySpec {
    pub(crate) says: [Entry; 2],
    pub(crate) loaded: [LoadedEntry; 2],
}

impl EntrySpec {
    /// Every policy of both versions.
    pub(crate) fn all_rules(&self) -> Vec<Rule> {
        self.says.iter().flat_map(|entry| entry.rules.clone()).collect()
    }

    fn new(at: usize, says: [Entry; 2], base: &BaseSpec) -> EntrySpec {
        let loaded = |entry: &Entry| LoadedEntry {
            database: entry.load(&Setting::name(at), base),
            set: Arc::new(load(&entry.rules)),
        };
        let loaded = [loaded(&says[0]), loaded(&says[1])];
        EntrySpec { says, loaded }
    }
}

/// A run's setting.
#[derive(Debug)]
pub(crate) struct Setting {
    pub(crate) bases: Vec<BaseSpec>,
    pub(crate) entries: Vec<EntrySpec>,
    /// The accounts that the entries log in with, where those have passwords.
    pub(crate) accounts: Option<AccountsSpec>,
    /// Once in so many calls something happens meanwhile.
    pub(crate) restless: u64,
    /// So many daemons watch these databases, each on its host; where there are several, one leads.
    pub(crate) hosts: usize,
}

/// The lock by which one of several daemons leads, and another one that a reload may name.
pub(crate) const LOCK: u32 = 77_350_117;
pub(crate) const OTHER_LOCK: u32 = 8;

impl BaseSpec {
    fn draw(chance: &mut Chance, name: &'static str) -> BaseSpec {
        let instances = *chance.pick(&[1, 1, 2, 3]);
        BaseSpec {
            name,
            instances,
            at_most: *chance.pick(&[20, 40, 40, 80, i64::MAX]),
            endings: Endings {
                lingers: *chance.pick(&[0, 0, 90, 600]),
                notices: *chance.pick(&[0, 5, 40, 1_200]),
                rollback: *chance.pick(&[5, 500, 50_000]),
                reconnects: chance.one_in(3).then_some(200),
            },
            sizes: if chance.one_in(4) { &[2, 8] } else { &[1, 2, 4] },
        }
    }

    /// The database at the beginning of a run.
    pub(crate) fn base(&self, now: i64, chance: &mut Chance) -> Base {
        let mut base = Base::new(self.name, self.instances, now, self.endings, chance.fork());
        for (at, group) in GROUPS.iter().enumerate() {
            // The instances' own are there anyway.
            if group.name == "background" || chance.one_in(if group.safe { 2 } else { 4 }) {
                continue;
            }
            let most = if group.safe { 1 } else { *chance.pick(self.sizes) };
            for _ in 0..chance.between(1, most) {
                let inst = u32::try_from(chance.between(1, self.instances.into())).expect("small");
                base.long_there(inst, at, *chance.pick(&[30, 500, 1_700, 4_000, 15_000]));
            }
        }
        base
    }

    /// Whether clients come back when their sessions are ended.
    pub(crate) fn reconnects(&self) -> bool {
        self.endings.reconnects.is_some()
    }
}

impl Limits {
    fn draw(chance: &mut Chance) -> Limits {
        let mut some = |low, high| usize::try_from(chance.between(low, high)).expect("small");
        let (per_cycle, per_hour, per_day) = (some(1, 6), some(6, 30), some(10, 40));
        let (respawns, parallel) = (some(1, 3), some(1, 4));
        Limits {
            per_cycle,
            per_hour,
            per_day: chance.one_in(4).then_some(per_day),
            // An open breaker would keep most runs from doing anything at all.
            share: if chance.one_in(6) { 30 } else { 100 },
            respawns,
            parallel,
        }
    }
}

impl Entry {
    fn draw(chance: &mut Chance, (base, version): (usize, usize), poll: i64, package: bool) -> Entry {
        let prefix = ["a", "b"][version];
        let rules = (0..chance.between(1, 4))
            .map(|at| Rule::draw(chance, format!("{prefix}{at}")))
            .collect();
        Entry {
            version,
            base,
            armed: true,
            rules,
            limits: Limits::draw(chance),
            blackout: chance.one_in(6).then(|| (chance.some(0, 23), chance.some(1, 9))),
            poll,
            package,
            leader: None,
        }
    }

    /// In the configuration's language.
    fn text(&self, name: &str, base: &BaseSpec) -> String {
        let Limits {
            per_cycle,
            per_hour,
            per_day,
            share,
            respawns,
            parallel,
        } = self.limits;
        let per_day = per_day.map_or(String::new(), |day| format!("per_day: {day}, "));
        let mut text = format!(
            "  - name: {name}\n    connect: //sim/{}\n    driver: thin\n    user: reaper\n    password: {{file: /nowhere}}\n    \
             armed: {}\n    poll: {}s\n    limits: {{per_cycle: {per_cycle}, per_hour: {per_hour}, {per_day}share: {share}%, undo_records: \
             100000, respawns: {respawns}, parallel: {parallel}}}\n",
            base.name, self.armed, self.poll
        );
        if self.package {
            text.push_str("    via: package\n");
        }
        if let Some((from, hours)) = self.blackout {
            writeln!(
                text,
                "    blackouts: [{{cron: '0 {from} * * *', for: {hours}h, reason: a backup}}]"
            )
            .expect("a string");
        }
        text
    }
}

impl Entry {
    /// As the daemon reads it from its configuration.
    fn load(&self, name: &str, base: &BaseSpec) -> config::DatabaseConfig {
        let text = format!(
            "policies: [policies.yaml]\nstate: /nowhere\ndatabases:\n{}",
            self.text(name, base)
        );
        let loaded = config::check("orareaper.yaml", text.as_bytes(), Path::new("/"));
        let problems: Vec<String> = loaded.diagnostics.iter().map(|problem| problem.render(false)).collect();
        let config = loaded
            .config
            .unwrap_or_else(|| panic!("{}\n{text}", problems.join("\n")));
        config.databases.into_iter().next().expect("it is the only one")
    }
}

/// So many seeds in succession have the same setting, because loading policies costs more than a run.
pub(crate) const ALIKE: u64 = 5;

thread_local! {
    /// The newest one of this thread.
    static NEWEST: RefCell<Option<(u64, Arc<Setting>)>> = const { RefCell::new(None) };
}

impl Setting {
    /// The one of a seed.
    pub(crate) fn of(seed: u64) -> Arc<Setting> {
        let number = seed / ALIKE;
        NEWEST.with_borrow_mut(|newest| match newest {
            Some((of, setting)) if *of == number => Arc::clone(setting),
            _ => {
                let setting = Arc::new(Setting::draw(&mut Chance::of(number)));
                *newest = Some((number, Arc::clone(&setting)));
                setting
            }
        })
    }

    fn draw(chance: &mut Chance) -> Setting {
        let count = usize::try_from(*chance.pick(&[1_u64, 1, 1, 2, 3])).expect("small");
        let bases: Vec<BaseSpec> = NAMES[..count].iter().map(|name| BaseSpec::draw(chance, name)).collect();
        let mut leads: Vec<usize> = (0..count).collect();
        if chance.one_in(5) {
            // Two entries for one database.
            leads.push(0);
        }
        let accounts = chance.one_in(10).then(|| AccountsSpec::draw(chance, &mut leads));
        let poll = *chance.pick(&[15, 60, 120]);
        let mut entries = Vec::new();
        for base in leads {
            let package = chance.one_in(4);
            let says = [0, 1].map(|version| Entry::draw(chance, (base, version), poll, package));
            entries.push(EntrySpec::new(entries.len(), says, &bases[base]));
        }
        let restless = *chance.pick(&[10, 25, 60, 200]);
        let hosts = Setting::hosts(chance, &entries, accounts.is_some());
        let says = entries.iter_mut().flat_map(|entry| &mut entry.says);
        says.for_each(|says| says.leader = (hosts > 1).then_some(LOCK));
        Setting {
            bases,
            entries,
            accounts,
            restless,
            hosts,
        }
    }

    /// The hosts whose daemons watch these databases, of which one leads; one alone in most settings. Two entries of one daemon for the
    /// same database would wait for each other's locks.
    fn hosts(chance: &mut Chance, entries: &[EntrySpec], accounts: bool) -> usize {
        let bases: BTreeSet<usize> = entries.iter().map(|entry| entry.says[0].base).collect();
        let share = chance.one_in(4);
        if !share || accounts || bases.len() < entries.len() {
            return 1;
        }
        *chance.pick(&[2, 2, 2, 3])
    }

    /// Whether several daemons watch its databases.
    pub(crate) fn has_leader(&self) -> bool {
        self.hosts > 1
    }

    /// The name of an entry.
    pub(crate) fn name(at: usize) -> String {
        format!("entry{at}")
    }
}
