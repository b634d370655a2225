//! The totals of a replay, for people and spreadsheets.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use maud::{Markup, html};

use crate::decide::refill::{CAME_BACK_WITHIN, ClientGroup};
use crate::decide::used_again::RehearsalTally;
use crate::html::with_code;
use crate::policy::pressure::Resource;
use crate::quantity::{Span, counted};
use crate::replay::{ActionTally, Curve, Series, TalliesByName, Totals};
use crate::report::html::{report_page, tiles};
use crate::report::table::ReportTable;
use crate::report::{ReportFormat, csv, markdown, rehearsal};
use crate::session::time::iso;
use crate::terminal::visible::visible;
use crate::terminal::{Colour, TextStyle, bold, clip, push, wrapped};

/// This many rows of a table are shown to people; a spreadsheet gets all.
const ROWS_SHOWN: usize = 20;

/// The rows of a curve in the table of all totals: one a limit.
fn curve_rows(curve: &Curve) -> impl Iterator<Item = Vec<String>> + '_ {
    curve.points.iter().map(|point| {
        let mut row = vec![String::new(); 13 + rehearsal::COLUMNS.len()];
        row[0] = "curve".to_owned();
        row[1] = csv::inert(&format!("{} at {}", curve.policy, Span(point.limit)));
        row[13..].clone_from_slice(&rehearsal::figures(&point.tally));
        row
    })
}

impl Totals {
    /// The totals in a format. JSON has no totals: it has the plans of each snapshot.
    #[must_use]
    pub(crate) fn render(&self, format: ReportFormat, style: TextStyle) -> String {
        match format {
            ReportFormat::Text => self.to_text(style),
            ReportFormat::Json | ReportFormat::JsonLines => String::new(),
            ReportFormat::Csv => self.to_csv(),
            ReportFormat::Markdown => self.to_markdown(),
            ReportFormat::Html => self.to_html(),
        }
    }

    /// For a terminal.
    fn to_text(&self, style: TextStyle) -> String {
        let style = TextStyle {
            width: style.width.max(40),
            ..style
        };
        let mut out = String::new();
        let title = format!("orareaper replay: {}, {}", visible(&self.database), self.span_words());
        push(&mut out, &bold(&clip(&title, style.width), style));
        wrapped(&mut out, "", &self.what(), style, Colour::None);
        for note in self.remarks() {
            wrapped(&mut out, "! ", &visible(&note), style, Colour::Yellow);
        }
        for table in self.tables() {
            out.push('\n');
            push(&mut out, &bold(table.title, style));
            table.text(&mut out, style);
        }
        for policy in self
            .policies
            .iter()
            .filter(|policy| policy.rehearsal.all.would_have_ended() > 0)
        {
            let words = format!("{}: {}", policy.name, policy.rehearsal.all.words());
            out.push('\n');
            wrapped(&mut out, "", &words, style, Colour::None);
        }
        if self.rehearsed().would_have_ended() > 0 {
            wrapped(&mut out, "  ", rehearsal::KEY, style, Colour::Dim);
        }
        if let Some(curve) = &self.curve {
            out.push('\n');
            wrapped(&mut out, "", &visible(&curve.title()), style, Colour::None);
            curve.table().text(&mut out, style);
            wrapped(&mut out, "  ", Curve::KEY, style, Colour::Dim);
        }
        out.push('\n');
        push(&mut out, &bold(&clip(&self.summary(), style.width), style));
        out
    }

    fn to_markdown(&self) -> String {
        let mut out = String::new();
        let _ = writeln!(out, "# orareaper replay: {}\n", markdown::escaped(&self.database));
        let _ = writeln!(out, "{}. {}\n", self.span_words(), self.what());
        let _ = writeln!(out, "{}\n", self.summary());
        for note in self.remarks() {
            let _ = writeln!(out, "> **Note:** {}\n", markdown::escaped(&note));
        }
        for table in self.tables() {
            table.markdown(&mut out);
        }
        if let Some(curve) = &self.curve {
            curve.table().markdown(&mut out);
            let _ = writeln!(out, "{}. {}", markdown::escaped(&curve.title()), Curve::KEY);
        }
        out
    }

    /// All totals in one table, with the subject of a row in its first column.
    fn to_csv(&self) -> String {
        let mut rows = vec![
            [
                "total",
                "name",
                "acted",
                "came_back",
                "snapshots_due",
                "breaker_open",
                "most_matched",
                "most_act",
                "most_pending",
                "most_deferred",
                "most_refused",
                "most_protected",
                "most_exempt",
            ]
            .into_iter()
            .chain(rehearsal::COLUMNS)
            .map(str::to_owned)
            .collect::<Vec<String>>(),
        ];
        let tally = |total: &str, name: &str, tally: ActionTally| {
            let mut row = vec![String::new(); 13 + rehearsal::COLUMNS.len()];
            row[0] = total.to_owned();
            row[1] = csv::inert(name);
            row[2] = tally.acted.to_string();
            row[3] = tally.came_back.to_string();
            row
        };
        for policy in &self.policies {
            let mut row = tally("policy", &policy.name, policy.tally);
            let counts = policy.most.counts().map(|(_, count)| count);
            let all = [policy.due, policy.breaker_open, policy.most_matched]
                .into_iter()
                .chain(counts);
            for (cell, count) in row[4..13].iter_mut().zip(all) {
                *cell = count.to_string();
            }
            row[13..].clone_from_slice(&rehearsal::figures(&policy.rehearsal.all));
            rows.push(row);
        }
        for policy in &self.policies {
            for (who, became) in &policy.rehearsal.groups {
                let mut row = vec![String::new(); 13 + rehearsal::COLUMNS.len()];
                row[0] = "rehearsed group".to_owned();
                row[1] = csv::inert(&format!("{}: {who}", policy.name));
                row[13..].clone_from_slice(&rehearsal::figures(became));
                rows.push(row);
            }
        }
        for (total, counts) in [
            ("username", &self.by_user),
            ("program", &self.by_program),
            ("machine", &self.by_machine),
        ] {
            rows.extend(counts.sorted().into_iter().map(|(name, one)| tally(total, name, one)));
            if counts.others != ActionTally::default() {
                rows.push(tally(total, "(others)", counts.others));
            }
        }
        rows.extend(self.curve.iter().flat_map(curve_rows));
        rows.push(tally("all", "", self.all));
        csv::written(&rows)
    }

    fn to_html(&self) -> String {
        let figures = [
            (self.snapshots.to_string(), "snapshots"),
            (self.most_sessions.to_string(), "sessions at most"),
            (self.all.acted.to_string(), "actions that would have been"),
            (self.all.came_back.to_string(), "of them came back"),
            (
                self.rehearsed().used_again().to_string(),
                "sessions that would have ended were used again",
            ),
        ];
        let content = html! {
            header {
                h1 { (self.database) " " span.label.dry-run { "replay" } }
                p { (self.span_words()) ". " (self.what()) }
            }
            @for note in self.remarks() { p.note { (with_code(&note)) } }
            (tiles(figures))
            @if let Some(curve) = &self.curve { (curve.html()) }
            (self.pressure_html())
            @for table in self.tables() { (table.html()) }
            @if self.rehearsed().would_have_ended() > 0 { p.key { (rehearsal::KEY) } }
            footer {
                "Nothing was executed. A session that would have ended is still in the recording; its policy's later \
                 decisions take it for gone."
            }
        };
        report_page(&format!("{}: orareaper replay", self.database), &content)
    }

    fn pressure_html(&self) -> Markup {
        let Some((first, last)) = self.span.filter(|_| !self.pressure.is_empty()) else {
            return Markup::default();
        };
        let mut by_resource: BTreeMap<Resource, Vec<(u32, &Series)>> = BTreeMap::new();
        for ((inst_id, resource), series) in &self.pressure {
            by_resource.entry(*resource).or_default().push((*inst_id, series));
        }
        html! {
            section {
                h2 { "Pressure over time" }
                div.charts {
                    @for (resource, instances) in &by_resource {
                        div {
                            h3 { (words(*resource)) }
                            (curves(instances, first.timestamp(), last.timestamp()))
                        }
                    }
                }
                p.key { "In percent of the limit, which is the dashed line, from " (iso(first)) " to " (iso(last)) "." }
            }
        }
    }

    fn span_words(&self) -> String {
        self.span.map_or_else(
            || "no snapshot".into(),
            |(first, last)| {
                let span = Span((last - first).num_seconds());
                format!("{} to {} ({span})", iso(first), iso(last))
            },
        )
    }

    fn what(&self) -> String {
        format!(
            "{} of up to {}, run as a dry run; nothing was executed.",
            counted(self.snapshots, "snapshot"),
            counted(self.most_sessions, "session")
        )
    }

    fn summary(&self) -> String {
        format!(
            "Summary: {} {} would have been taken; {} of the sessions came back within {}",
            self.all.acted,
            if self.all.acted == 1 { "action" } else { "actions" },
            self.all.came_back,
            Span(CAME_BACK_WITHIN.num_seconds())
        )
    }

    /// What became of all sessions that the policies would have ended.
    fn rehearsed(&self) -> RehearsalTally {
        let mut all = RehearsalTally::default();
        for policy in &self.policies {
            all.join(&policy.rehearsal.all);
        }
        all
    }

    fn remarks(&self) -> Vec<String> {
        let mut remarks = self.notes.clone();
        if self.snapshots == 0 && self.clockless == 0 {
            remarks.push("the recording has no snapshot that could be read, so nothing was decided".to_owned());
        }
        // A policy of which no snapshot tells may well run there.
        let told = self.snapshots > 0;
        for policy in self.policies.iter().filter(|policy| told && !policy.runs) {
            let why = policy
                .absent
                .as_deref()
                .map_or_else(String::new, |why| format!(": {why}"));
            remarks.push(format!("policy {} does not run on {}{why}", policy.name, self.database));
        }
        for (count, what, noun) in [
            (
                self.clockless,
                "without a clock, on which nothing was decided",
                "snapshot",
            ),
            (
                self.gaps,
                "between snapshots so long that every `for:` was broken",
                "pause",
            ),
            (self.blackouts, "in a blackout", "snapshot"),
        ] {
            if count > 0 {
                remarks.push(format!("{} {what}", counted(count, noun)));
            }
        }
        remarks
    }

    fn tables(&self) -> Vec<ReportTable> {
        let mut tables = vec![self.policy_table()];
        let rehearsals = self.policies.iter().map(|policy| (&*policy.name, &policy.rehearsal));
        tables.extend(rehearsal::table(rehearsals));
        for (title, head, counts) in [
            ("By user", "User", &self.by_user),
            ("By program", "Program", &self.by_program),
            ("By machine", "Machine", &self.by_machine),
        ] {
            tables.extend(count_table(title, head, counts));
        }
        tables.extend(self.return_table());
        tables
    }

    fn policy_table(&self) -> ReportTable {
        let rows = self.policies.iter().map(|policy| {
            let most = &policy.most;
            let counts = [
                policy.tally.acted,
                policy.tally.came_back,
                policy.most_matched,
                most.pending,
                most.deferred,
                most.protected,
                most.exempt,
                policy.breaker_open,
            ];
            let words = [policy.name.to_string(), policy.action.to_string()];
            words.into_iter().chain(counts.map(|count| count.to_string())).collect()
        });
        ReportTable {
            title: "By policy; from Matched to Exempt the most at once, Breaker in snapshots",
            head: vec![
                "Policy",
                "Action",
                "Acted",
                "Back",
                "Matched",
                "Pending",
                "Deferred",
                "Protected",
                "Exempt",
                "Breaker",
            ],
            rows: rows.collect(),
            words: 2,
            left_out: 0,
        }
    }

    fn return_table(&self) -> Option<ReportTable> {
        let rows = self.returns.iter().take(ROWS_SHOWN).map(|back| {
            vec![
                back.ended.policy.to_string(),
                back.ended.key.to_string(),
                ClientGroup::shown(&back.ended.who.username).to_owned(),
                ClientGroup::shown(&back.ended.who.program).to_owned(),
                ClientGroup::shown(&back.ended.who.machine).to_owned(),
                iso(back.ended.at),
                Span((back.at - back.ended.at).num_seconds()).to_string(),
            ]
        });
        (!self.returns.is_empty()).then(|| ReportTable {
            title: "Came back",
            head: vec!["Policy", "Session", "User", "Program", "Machine", "Ended", "After"],
            rows: rows.collect(),
            words: 6,
            left_out: self.all.came_back.saturating_sub(ROWS_SHOWN),
        })
    }
}

fn count_table(title: &'static str, head: &'static str, counts: &TalliesByName) -> Option<ReportTable> {
    let all = counts.sorted();
    let row =
        |name: &str, tally: ActionTally| vec![name.to_owned(), tally.acted.to_string(), tally.came_back.to_string()];
    let rows: Vec<Vec<String>> = all
        .iter()
        .take(ROWS_SHOWN)
        .map(|(name, tally)| row(name, *tally))
        .collect();
    (!rows.is_empty()).then(|| ReportTable {
        title,
        head: vec![head, "Acted", "Back"],
        rows,
        words: 1,
        left_out: all.len().saturating_sub(ROWS_SHOWN),
    })
}

fn words(resource: Resource) -> &'static str {
    match resource {
        Resource::Sessions => "Sessions",
        Resource::Processes => "Processes",
        Resource::Transactions => "Transactions",
        Resource::Pga => "PGA",
        Resource::Temp => "Temporary space",
        Resource::Undo => "Undo",
        Resource::HostCpu => "Host CPU",
        Resource::ActiveSessions => "Active sessions",
    }
}

/// The strokes of the instances' curves, reused if there are more instances.
const STROKES: [&str; 5] = [
    "var(--wanted)",
    "var(--soft)",
    "var(--spare)",
    "var(--refuse)",
    "var(--ink)",
];

/// One curve for each instance in a box of 600 by 120, whose upper edge is the limit or the highest value, whichever is more.
fn curves(instances: &[(u32, &Series)], first: i64, last: i64) -> Markup {
    let highest = |series: &Series| series.highest().unwrap_or(0.0);
    let top = instances
        .iter()
        .map(|(_, series)| highest(series))
        .fold(100.0, f64::max);
    let width = (last - first).max(1) as f64;
    let height = |percent: f64| 120.0 - percent / top * 120.0;
    let limit = format!("{:.1}", height(100.0));
    let points = |series: &Series| -> String {
        let points = series.points().iter().map(|(at, percent)| {
            let from_left = (at.timestamp() - first) as f64 / width * 600.0;
            format!("{from_left:.1},{:.1}", height(*percent))
        });
        points.collect::<Vec<String>>().join(" ")
    };
    let drawn = || instances.iter().zip(STROKES.iter().cycle());
    html! {
        div.curves {
            svg viewBox="0 -2 600 124" width="100%" height="124" preserveAspectRatio="none" role="img"
                aria-label="percent of the limit over time" {
                line x1="0" x2="600" y1=(limit) y2=(limit) stroke="var(--act)" stroke-dasharray="4 4" {}
                line x1="0" x2="600" y1="120" y2="120" stroke="var(--line)" {}
                @for ((_, series), stroke) in drawn() {
                    polyline points=(points(series)) fill="none" stroke=(stroke) stroke-width="1.5"
                        vector-effect="non-scaling-stroke" {}
                }
            }
            span style={ "top:" (format_args!("{:.1}", height(100.0) + 4.0)) "px" } { "100 %" }
        }
        p.key {
            @for ((inst_id, series), stroke) in drawn() {
                span {
                    i style={ "background:" (stroke) } {}
                    "instance " (inst_id) ", up to " (format_args!("{:.0}", highest(series))) " %"
                }
                " "
            }
        }
    }
}
