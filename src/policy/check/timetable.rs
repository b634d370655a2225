//! Checks when a policy is in force: its schedules, its days, its time zone.

use chrono::NaiveDate;

use super::PolicyChecker;
use crate::policy::lex::Mistake;
use crate::policy::schedule::Schedule;
use crate::policy::timetable::Timetable;
use crate::yaml::diagnostics::Severity;
use crate::yaml::fields::Fields;
use crate::yaml::node::{Node, Value};

/// The keys of `dates`.
const DATES_KEYS: [&str; 2] = ["from", "until"];

/// The most schedules of a policy.
const MOST_SCHEDULES: usize = 20;

/// The first and the last day.
type Days = (Option<NaiveDate>, Option<NaiveDate>);

impl PolicyChecker {
    pub(super) fn timetable(&mut self, file: usize, fields: &Fields<'_>) -> Option<Timetable> {
        let inspection = &mut self.inspections[file];
        let zone = match fields.get("timezone") {
            Some(node) => inspection.timezone(node).map(Some),
            None => Some(None),
        };
        let dates = match fields.get("dates") {
            Some(node) => self.dates(file, node),
            None => Some((None, None)),
        };
        let schedules = match fields.get("schedule") {
            Some(node) => self.schedules(file, node),
            None => Some(Vec::new()),
        };
        let (zone, (from, until), schedules) = (zone?, dates?, schedules?);
        if let Some(node) = fields
            .get("timezone")
            .filter(|_| schedules.is_empty() && from.or(until).is_none())
        {
            let message = "`timezone` decides when `schedule` and `dates` are, and this policy has neither";
            self.inspections[file].warning(&node.at, "unused-timezone", message);
        }
        Some(Timetable {
            schedules,
            from,
            until,
            zone,
        })
    }

    /// One schedule, or a list of them.
    fn schedules(&mut self, file: usize, node: &Node) -> Option<Vec<Schedule>> {
        let Value::Sequence(items) = &node.value else {
            return self.schedule(file, node).map(|only| vec![only]);
        };
        if items.is_empty() || items.len() > MOST_SCHEDULES {
            let message = match items.len() {
                0 => "this policy would never be due".to_owned(),
                many => format!("{many} schedules, more than the {MOST_SCHEDULES} that a policy may have"),
            };
            self.inspections[file].error(&node.at, "bad-schedule", message).hint =
                Some("leave `schedule` out to act at every snapshot, or write `mode: off`".to_owned());
            return None;
        }
        let all: Vec<Option<Schedule>> = items.iter().map(|item| self.schedule(file, item)).collect();
        all.into_iter().collect()
    }

    fn schedule(&mut self, file: usize, node: &Node) -> Option<Schedule> {
        let zone = self.zone;
        let inspection = &mut self.inspections[file];
        let scalar = inspection.scalar(node, "schedule")?;
        match Schedule::parse(&scalar.text, zone) {
            Ok(schedule) => Some(schedule),
            Err(error) => {
                let offsets = inspection.offsets(node, scalar);
                let mistake = Mistake::new(error.at, "bad-schedule", error.message).maybe_hint(error.hint);
                inspection.mistake(Severity::Error, &offsets, mistake);
                None
            }
        }
    }

    fn dates(&mut self, file: usize, node: &Node) -> Option<Days> {
        let today = self.today;
        let inspection = &mut self.inspections[file];
        let fields = inspection.fields(node, "`dates`", &DATES_KEYS)?;
        let mut day = |key: &'static str| match fields.get(key) {
            Some(node) => inspection.date(node, key).map(Some),
            None => Some(None),
        };
        let (from, until) = (day("from"), day("until"));
        let (from, until) = (from?, until?);
        if from.or(until).is_none() {
            inspection
                .error(&node.at, "missing-key", "`dates` has neither `from` nor `until`")
                .hint = Some("write `dates: {from: 2026-12-01, until: 2026-12-31}`, or one of the two".to_owned());
            return None;
        }
        if let (Some(first), Some(last)) = (from, until)
            && last < first
        {
            let message = format!("its last day, {last}, comes before its first, {first}, so the policy never runs");
            inspection.error(&fields.key_at("until"), "unreachable", message);
            return None;
        }
        if until.is_some_and(|last| last < today) {
            inspection
                .warning(
                    &fields.key_at("until"),
                    "expired-policy",
                    "this policy's last day is over, so it no longer runs",
                )
                .hint = Some("extend its dates or remove it".to_owned());
        }
        Some((from, until))
    }
}
