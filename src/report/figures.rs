//! The numbers behind the charts: how long sessions are idle, to whom they belong, what the actions would free.

use std::collections::{BTreeMap, BTreeSet};

use crate::decide::reason::Verdict;
use crate::report::ReportSubject;
use crate::session::census::{SessionKind, idle_class_of, kinds};
use crate::session::column::Column;
use crate::session::extent::IDLE_BOUNDS;
use crate::session::snapshot::Snapshot;

/// The classes of idle time, as [`IDLE_BOUNDS`] has them.
pub(super) const IDLE_CLASSES: [&str; IDLE_BOUNDS.len()] = [
    "under 1m", "1–10m", "10–60m", "1–4h", "4–12h", "12–24h", "1–7d", "over 7d",
];

/// This many groups are shown; the others are counted together.
pub(super) const GROUPS_SHOWN: usize = 8;

/// What the charts show. A *candidate* is a session that some policy's condition holds for and that neither a protection nor
/// an exemption of that policy spares. Each counts once, even if several policies match it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Sessions of TYPE USER.
    pub(crate) user_sessions: usize,
    /// User sessions by STATUS.
    pub(crate) by_status: BTreeMap<String, usize>,
    /// Idle user sessions in each idle-time class (under 1m, to 10m, 60m, 4h, 12h, 24h, 7d, beyond), and how many of them are candidates.
    pub(crate) idle: [(usize, usize); IDLE_CLASSES.len()],
    /// Candidates.
    pub candidates: usize,
    /// Candidates by USERNAME.
    pub(crate) by_user: Vec<Group>,
    /// Candidates by PROGRAM.
    pub(crate) by_program: Vec<Group>,
    /// Candidates by MACHINE.
    pub(crate) by_machine: Vec<Group>,
    /// Sessions that would end now.
    pub freed_sessions: usize,
    /// Their dedicated server processes, which count towards PROCESSES; `None` if SERVER was not read. A shared or pooled
    /// server outlives its sessions.
    pub freed_processes: Option<usize>,
    /// Their PGA in bytes; `None` if it was not read.
    pub freed_pga: Option<i64>,
    /// The candidates' dedicated server processes; `None` if SERVER was not read.
    pub candidates_processes: Option<usize>,
    /// The candidates' PGA in bytes; `None` if it was not read.
    pub candidates_pga: Option<i64>,
    /// User sessions of each instance, and how many would end now.
    pub by_instance: BTreeMap<u32, (usize, usize)>,
}

/// Candidates with the same value in a column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Group {
    /// The column's value; in the last of many groups, a count of the others.
    pub(crate) name: String,
    /// Candidates.
    pub(crate) candidates: usize,
    /// The candidates that would be acted on now.
    pub(crate) act: usize,
}

/// Computes the figures.
pub(super) fn figures(subject: &ReportSubject<'_>) -> Figures {
    let snapshot = subject.snapshot;
    let (mut candidates, mut act, mut ending) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for decision in &subject.ruling.decisions {
        match decision.verdict() {
            Verdict::Act => {
                candidates.insert(decision.row);
                act.insert(decision.row);
                if decision.action.ends_session() {
                    ending.insert(decision.row);
                }
            }
            Verdict::Pending | Verdict::Deferred | Verdict::Refused => {
                candidates.insert(decision.row);
            }
            Verdict::Protected(_) | Verdict::Exempt => {}
        }
    }
    let group = |column| groups(snapshot, &candidates, &act, column);
    let pga = |rows: &BTreeSet<usize>| {
        let known = rows.iter().filter_map(|row| snapshot.number(*row, Column::Pga));
        snapshot.has(Column::Pga).then(|| known.fold(0, i64::saturating_add))
    };
    let processes = |rows: &BTreeSet<usize>| {
        let dedicated = rows
            .iter()
            .filter(|row| snapshot.text(**row, Column::Server) == Some("DEDICATED"));
        snapshot.has(Column::Server).then(|| dedicated.count())
    };
    let mut figures = Figures {
        candidates: candidates.len(),
        by_user: group(Column::Username),
        by_program: group(Column::Program),
        by_machine: group(Column::Machine),
        freed_sessions: ending.len(),
        freed_processes: processes(&ending),
        candidates_processes: processes(&candidates),
        freed_pga: pga(&ending),
        candidates_pga: pga(&candidates),
        ..Figures::default()
    };
    count_users(&mut figures, snapshot);
    for row in (0..snapshot.rows()).filter(|row| snapshot.text(*row, Column::Type) == Some("USER")) {
        if let Some(inst_id) = snapshot.id(row, Column::InstId) {
            figures.by_instance.entry(inst_id).or_insert((0, 0)).1 += usize::from(ending.contains(&row));
        }
        if let Some(class) = idle_class_of(snapshot, row) {
            figures.idle[class].1 += usize::from(candidates.contains(&row));
        }
    }
    // What was counted is a moment younger than the rows.
    figures
        .idle
        .iter_mut()
        .for_each(|(all, wanted)| *all = (*all).max(*wanted));
    figures
}

/// Counts all user sessions of the database.
fn count_users(figures: &mut Figures, snapshot: &Snapshot) {
    for users in kinds(snapshot).filter(SessionKind::are_users) {
        figures.user_sessions += users.sessions;
        let status = users.status.unwrap_or("unknown").to_owned();
        *figures.by_status.entry(status).or_insert(0) += users.sessions;
        if let Some(inst_id) = users.inst_id {
            figures.by_instance.entry(inst_id).or_insert((0, 0)).0 += users.sessions;
        }
        if let Some(class) = users.idle {
            figures.idle[class].0 += users.sessions;
        }
    }
}

fn groups(snapshot: &Snapshot, candidates: &BTreeSet<usize>, act: &BTreeSet<usize>, column: Column) -> Vec<Group> {
    let mut counts: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for row in candidates {
        let name = snapshot.text(*row, column).unwrap_or("(unknown)");
        let (all, now) = counts.entry(name).or_insert((0, 0));
        *all += 1;
        *now += usize::from(act.contains(row));
    }
    let mut groups: Vec<Group> = counts
        .into_iter()
        .map(|(name, (candidates, act))| Group {
            name: name.to_owned(),
            candidates,
            act,
        })
        .collect();
    groups.sort_by(|one, two| two.candidates.cmp(&one.candidates).then(one.name.cmp(&two.name)));
    if groups.len() > GROUPS_SHOWN {
        let others = groups.split_off(GROUPS_SHOWN - 1);
        groups.push(Group {
            name: format!("{} others", others.len()),
            candidates: others.iter().map(|group| group.candidates).sum(),
            act: others.iter().map(|group| group.act).sum(),
        });
    }
    groups
}
