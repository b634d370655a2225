//! The report for a browser or a printer: one file that needs nothing else, no script, no network, no font.
//!
//! A content security policy forbids scripts and loading anything. [`document`] makes texts from sessions safe.

use std::collections::BTreeMap;

use maud::{Markup, display, html};

use crate::decide::in_force::RunMode;
use crate::decide::reason::Verdict;
use crate::html::{REPORT, document, forbids_everything, with_code};
use crate::quantity::{Bytes, Span};
use crate::report::figures::{Group, IDLE_CLASSES};
use crate::report::{PolicyPart, Report, ReportLine, mode_words, rehearsal};

/// This many rows of a table are shown; a longer one says how many it leaves out.
const ROWS_SHOWN: usize = 1000;

/// This many sessions are named in one row of spared ones.
const NAMED: usize = 6;

/// One page for the reports of one or several databases.
pub(super) fn page(reports: &[Report]) -> String {
    let names: Vec<&str> = reports.iter().map(|report| report.database.as_str()).collect();
    let mode = reports.first().map_or("", Report::mode_words);
    let title = format!("{}: orareaper {mode}", names.join(", "));
    report_page(
        &title,
        &html! {
            @for report in reports { (report.part()) }
            footer {
                "Sessions whose condition did not hold are counted, not listed. A session that several policies want is \
                 listed under each."
            }
        },
    )
}

/// A page in the look of the reports.
pub(super) fn report_page(title: &str, content: &Markup) -> String {
    document(title, REPORT, &forbids_everything(), &html! { main { (content) } })
}

/// The large figures at the top.
pub(super) fn tiles(tiles: impl IntoIterator<Item = (String, &'static str)>) -> Markup {
    html! {
        div.tiles {
            @for (number, what) in tiles {
                div.tile { b { (number) } span { (what) } }
            }
        }
    }
}

impl Report {
    /// The page.
    #[must_use]
    pub fn to_html(&self) -> String {
        page(std::slice::from_ref(self))
    }

    fn part(&self) -> Markup {
        if let Some(why) = &self.unread {
            return html! {
                header { h1 { (self.database) " " span.label { "could not be read" } } }
                p.note { (with_code(why)) }
            };
        }
        let done = match self.mode {
            RunMode::DryRun => "Nothing was executed.",
            RunMode::Enforce => "Policies that enforce act on this.",
        };
        html! {
            header {
                h1 { (self.database) " " (label(self.mode, self.mode_words())) }
                p { "orareaper, " (self.taken_at_words()) ". " (done) }
            }
            @for note in self.notes_and_refusals() { p.note { (with_code(&note)) } }
            (self.tiles())
            (self.charts())
            (self.freed())
            @for part in &self.policies { (policy(part)) }
            @if let Some(table) = rehearsal::table(self.rehearsals()) { (table.html_with(rehearsal::KEY)) }
        }
    }

    fn tiles(&self) -> Markup {
        let summary = &self.summary;
        let counts = [
            (self.sessions, "sessions"),
            (self.figures.user_sessions, "user sessions"),
            (summary.act, "to act on now"),
            (
                summary.pending + summary.deferred + summary.refused,
                "decisions pending, deferred, refused",
            ),
            (summary.protected + summary.exempt, "decisions that spared a match"),
        ];
        let freed = self
            .figures
            .freed_pga
            .map(|pga| (Bytes(pga).to_string(), "PGA to be freed"));
        tiles(
            counts
                .map(|(count, what)| (count.to_string(), what))
                .into_iter()
                .chain(freed),
        )
    }

    fn charts(&self) -> Markup {
        let figures = &self.figures;
        let most = figures.idle.iter().map(|(all, _)| *all).max().unwrap_or(0);
        let groups = [
            ("user", &figures.by_user),
            ("program", &figures.by_program),
            ("machine", &figures.by_machine),
        ];
        html! {
            section {
                div.charts {
                    div {
                        h3 { "How long user sessions have been idle" }
                        dl.bars {
                            @for (label, (all, wanted)) in IDLE_CLASSES.iter().zip(figures.idle) {
                                (bar(label, [(wanted, "wanted"), (all - wanted, "idle")], most))
                            }
                        }
                        p.key { i.wanted {} "candidates" i.idle {} "other idle sessions" }
                    }
                    @for (what, groups) in groups {
                        div { h3 { "Candidates by " (what) } (group_bars(groups)) }
                    }
                }
            }
        }
    }

    fn freed(&self) -> Markup {
        let figures = &self.figures;
        let share = |part: usize| match (part * 100).checked_div(figures.user_sessions) {
            Some(0) if part > 0 => "under 1 %".to_owned(),
            percent => format!("{} %", percent.unwrap_or(0)),
        };
        let pga = |bytes: Option<i64>| bytes.map_or_else(|| "not read".into(), |bytes| Bytes(bytes).to_string());
        let processes = |count: Option<usize>| count.map_or_else(|| "not read".into(), |count| count.to_string());
        let most = figures.by_instance.values().map(|(all, _)| *all).max().unwrap_or(0);
        html! {
            section {
                h2 { "What a cleaning would free" }
                div.wide {
                    table {
                        thead {
                            tr { th {} th { "Sessions" } th { "Of user sessions" } th { "Server processes" } th { "PGA" } }
                        }
                        tbody {
                            @for (what, sessions, servers, bytes) in [
                                (
                                    "Now, within all limits",
                                    figures.freed_sessions,
                                    figures.freed_processes,
                                    figures.freed_pga,
                                ),
                                (
                                    "All candidates, if every one ended",
                                    figures.candidates,
                                    figures.candidates_processes,
                                    figures.candidates_pga,
                                ),
                            ] {
                                tr {
                                    td { (what) }
                                    td { (sessions) }
                                    td { (share(sessions)) }
                                    td { (processes(servers)) }
                                    td { (pga(bytes)) }
                                }
                            }
                        }
                    }
                }
                @if figures.by_instance.len() > 1 {
                    p.key { "Now, by instance:" }
                    dl.bars {
                        @for (inst_id, (all, freed)) in &figures.by_instance {
                            (bar(&format!("instance {inst_id}"), [(*freed, "now"), (all - freed, "idle")], most))
                        }
                    }
                    p.key { i.now {} "would end now" i.idle {} "user sessions that stay" }
                }
            }
        }
    }
}

fn label(mode: RunMode, words: &str) -> Markup {
    html! { span class={ "label " (mode.name()) } { (words) } }
}

fn group_bars(groups: &[Group]) -> Markup {
    let most = groups.iter().map(|group| group.candidates).max().unwrap_or(0);
    html! {
        @if groups.is_empty() {
            p.soft { "No candidates." }
        } @else {
            dl.bars {
                @for group in groups {
                    (bar(&group.name, [(group.act, "now"), (group.candidates - group.act, "wanted")], most))
                }
            }
            p.key { i.now {} "to act on now" i.wanted {} "pending, deferred, refused" }
        }
    }
}

/// One bar of two parts, with the first also in numbers: `3 of 12`.
fn bar(label: &str, parts: [(usize, &str); 2], most: usize) -> Markup {
    let percent = |count: usize| count as f64 * 100.0 / most.max(1) as f64;
    let [(first, _), (second, _)] = parts;
    let total = first + second;
    html! {
        dt title=(label) { (label) }
        dd.bar {
            @for (count, class) in parts.into_iter().filter(|(count, _)| *count > 0) {
                i class=(class) style={ "width:" (format_args!("{:.2}", percent(count))) "%" } {}
            }
        }
        dd.count {
            @if first > 0 && second > 0 { (first) " of " }
            (total)
        }
    }
}

fn policy(part: &PolicyPart) -> Markup {
    let summary = part.words();
    let wanted: Vec<&ReportLine> = part.decisions.iter().filter(|line| !line.is_spared()).collect();
    html! {
        section {
            h2 { (part.name) " " (label(part.mode, mode_words(part.mode))) }
            @if !part.description.is_empty() { p { (part.description) } }
            p.soft { "Action: " (display(&part.action)) ". Decided: " (summary) "." }
            @if !wanted.is_empty() { (decisions(&wanted)) }
            (spared(part))
        }
    }
}

fn decisions(lines: &[&ReportLine]) -> Markup {
    html! {
        div.wide {
            table.decisions {
                thead {
                    tr {
                        @for head in ["Session", "User", "Program", "Machine", "Status", "Decision", "Why"] { th { (head) } }
                    }
                }
                tbody { @for line in lines.iter().take(ROWS_SHOWN) { (decision(line)) } }
            }
        }
        (left_out(lines.len()))
    }
}

fn decision(line: &ReportLine) -> Markup {
    let cell = |text: &Option<String>| text.clone().unwrap_or_default();
    let verdict = line.verdict.name();
    // The name of a host may break after a dot.
    let machine = cell(&line.machine);
    let labels = machine.split('.').enumerate();
    html! {
        tr {
            td.id { (line.session()) }
            td.user data-name="User" { (cell(&line.username)) }
            td.program data-name="Program" { (cell(&line.program)) }
            td.machine data-name="Machine" {
                @for (at, label) in labels {
                    @if at > 0 { "." wbr; }
                    (label)
                }
            }
            td.status {
                @if let Some(status) = &line.status {
                    (status)
                    @if let Some(seconds) = line.last_call_et { " " (display(Span(seconds))) }
                }
            }
            td class={ "verdict " (verdict) } { (verdict) }
            td.why {
                (line.reason)
                @if let Some(statement) = &line.statement { code { (statement) } }
            }
        }
    }
}

/// The spared sessions, those with the same reason together.
fn spared(part: &PolicyPart) -> Markup {
    let mut by_reason: BTreeMap<(&str, &str), Vec<&ReportLine>> = BTreeMap::new();
    for line in part.decisions.iter().filter(|line| line.is_spared()) {
        let by = match line.verdict {
            Verdict::Protected(protection) => protection.name(),
            Verdict::Exempt | Verdict::Act | Verdict::Pending | Verdict::Deferred | Verdict::Refused => "exemption",
        };
        by_reason.entry((by, &line.brief)).or_default().push(line);
    }
    if by_reason.is_empty() {
        return Markup::default();
    }
    let named = |lines: &[&ReportLine]| {
        let named: Vec<String> = lines.iter().take(NAMED).map(|line| line.session()).collect();
        named.join(" · ")
    };
    html! {
        h3 style="margin-top:18px" { "Spared, though the condition held" }
        div.wide {
            table {
                thead { tr { th { "By" } th { "Why" } th { "Sessions" } } }
                tbody {
                    @for ((by, why), lines) in by_reason.iter().take(ROWS_SHOWN) {
                        tr {
                            td.verdict.protected { (by) }
                            td { (why) }
                            td {
                                (lines.len()) ": "
                                span.soft {
                                    (named(lines))
                                    @if lines.len() > NAMED { " and " (lines.len() - NAMED) " more" }
                                }
                            }
                        }
                    }
                }
            }
        }
        (left_out(by_reason.len()))
    }
}

fn left_out(rows: usize) -> Markup {
    html! {
        @if rows > ROWS_SHOWN {
            p.soft { (rows - ROWS_SHOWN) " more rows are in the JSON and CSV forms of this report." }
        }
    }
}
