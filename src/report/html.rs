//! The report for a browser or a printer: one file that needs nothing else, no script, no network, no font.
//!
//! Every text passes [`escaped`] on its way in; markup is written by this file alone, and the page forbids itself scripts
//! and loading anything, so a program that calls itself `<script>` is a word on the page.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::decide::guard::{RunMode, Verdict};
use crate::quantity::{Bytes, Span};
use crate::report::figures::{Group, IDLE_CLASSES};
use crate::report::{Line, PolicyPart, Report, mode_words};
use crate::visible::visible;

const STYLE: &str = include_str!("style.css");
/// Rows of one table; a report of more says how many it leaves out.
const ROWS_SHOWN: usize = 1000;

/// One page for the reports of one or several databases.
pub(super) fn page(reports: &[Report]) -> String {
    let mut out = String::with_capacity(16 << 10);
    let names: Vec<String> = reports.iter().map(|report| escaped(&report.database)).collect();
    let mode = reports.first().map_or("", Report::mode_words);
    head(&mut out, &format!("{}: orareaper {mode}", names.join(", ")));
    for report in reports {
        report.part(&mut out);
    }
    let _ = writeln!(
        out,
        "<footer>Sessions whose condition did not hold are counted, not listed. A session that several policies want is \
         listed under each.</footer>\n</main>\n</body>\n</html>"
    );
    out
}

impl Report {
    /// The page.
    #[must_use]
    pub fn to_html(&self) -> String {
        page(std::slice::from_ref(self))
    }

    fn part(&self, out: &mut String) {
        let title = escaped(&self.database);
        if let Some(why) = &self.unread {
            let _ = writeln!(
                out,
                "<header>\n<h1>{title} <span class=\"label\">could not be read</span></h1>\n</header>\n<p class=\"note\">{}</p>",
                with_code(why)
            );
            return;
        }
        let _ = writeln!(
            out,
            "<header>\n<h1>{title} <span class=\"label {}\">{}</span></h1>\n<p>orareaper, {}. {}</p>\n</header>",
            self.mode.name(),
            self.mode_words(),
            self.taken_at_words(),
            match self.mode {
                RunMode::DryRun => "Nothing was executed.",
                RunMode::Enforce => "Policies that enforce act on this.",
            }
        );
        for note in self.notes.iter().chain(&self.refusals) {
            let _ = writeln!(out, "<p class=\"note\">{}</p>", with_code(note));
        }
        self.tiles(out);
        self.charts(out);
        self.freed(out);
        for part in &self.policies {
            policy(out, part);
        }
    }

    fn tiles(&self, out: &mut String) {
        let mut tiles = vec![
            (self.sessions.to_string(), "sessions"),
            (self.figures.user_sessions.to_string(), "user sessions"),
            (self.summary.act.to_string(), "to act on now"),
            (
                (self.summary.pending + self.summary.deferred + self.summary.refused).to_string(),
                "decisions pending, deferred, refused",
            ),
            (
                (self.summary.protected + self.summary.exempt).to_string(),
                "decisions that spared a match",
            ),
        ];
        if let Some(pga) = self.figures.freed_pga {
            tiles.push((Bytes(pga).to_string(), "PGA to be freed"));
        }
        out.push_str("<div class=\"tiles\">\n");
        for (number, what) in tiles {
            let _ = writeln!(out, "<div class=\"tile\"><b>{number}</b><span>{what}</span></div>");
        }
        out.push_str("</div>\n");
    }

    fn charts(&self, out: &mut String) {
        let figures = &self.figures;
        out.push_str("<section>\n<div class=\"charts\">\n<div>\n<h3>How long user sessions have been idle</h3>\n<dl class=\"bars\">\n");
        let most = figures.idle.iter().map(|(all, _)| *all).max().unwrap_or(0);
        for ((_, label), (all, wanted)) in IDLE_CLASSES.iter().zip(figures.idle) {
            bar(out, label, [(wanted, "wanted"), (all - wanted, "idle")], most);
        }
        out.push_str(
            "</dl>\n<p class=\"key\"><i class=\"wanted\"></i>candidates<i class=\"idle\"></i>other idle sessions</p>\n</div>\n",
        );
        for (what, groups) in [
            ("user", &figures.by_user),
            ("program", &figures.by_program),
            ("machine", &figures.by_machine),
        ] {
            let _ = writeln!(out, "<div>\n<h3>Candidates by {what}</h3>");
            group_bars(out, groups);
            out.push_str("</div>\n");
        }
        out.push_str("</div>\n</section>\n");
    }

    fn freed(&self, out: &mut String) {
        let figures = &self.figures;
        let share = |part: usize| match (part * 100).checked_div(figures.user_sessions) {
            Some(0) if part > 0 => "under 1 %".to_owned(),
            percent => format!("{} %", percent.unwrap_or(0)),
        };
        let pga = |bytes: Option<i64>| bytes.map_or_else(|| "not read".into(), |bytes| Bytes(bytes).to_string());
        out.push_str("<section>\n<h2>What a cleaning would free</h2>\n<div class=\"wide\"><table>\n<thead><tr><th></th><th>Sessions</th><th>Of user sessions</th><th>Server processes</th><th>PGA</th></tr></thead>\n<tbody>\n");
        let processes = |count: Option<usize>| count.map_or_else(|| "not read".into(), |count| count.to_string());
        for (what, sessions, servers, bytes) in [
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
            let _ = writeln!(
                out,
                "<tr><td>{what}</td><td>{sessions}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
                share(sessions),
                processes(servers),
                pga(bytes)
            );
        }
        out.push_str("</tbody>\n</table></div>\n");
        if figures.by_instance.len() > 1 {
            out.push_str("<p class=\"key\">Now, by instance:</p>\n<dl class=\"bars\">\n");
            let most = figures.by_instance.values().map(|(all, _)| *all).max().unwrap_or(0);
            for (inst_id, (all, freed)) in &figures.by_instance {
                bar(
                    out,
                    &format!("instance {inst_id}"),
                    [(*freed, "now"), (all - freed, "idle")],
                    most,
                );
            }
            out.push_str("</dl>\n<p class=\"key\"><i class=\"now\"></i>would end now<i class=\"idle\"></i>user sessions that stay</p>\n");
        }
        out.push_str("</section>\n");
    }
}

fn group_bars(out: &mut String, groups: &[Group]) {
    if groups.is_empty() {
        out.push_str("<p class=\"soft\">No candidates.</p>\n");
        return;
    }
    out.push_str("<dl class=\"bars\">\n");
    let most = groups.iter().map(|group| group.candidates).max().unwrap_or(0);
    for group in groups {
        bar(
            out,
            &group.name,
            [(group.act, "now"), (group.candidates - group.act, "wanted")],
            most,
        );
    }
    out.push_str("</dl>\n<p class=\"key\"><i class=\"now\"></i>to act on now<i class=\"wanted\"></i>pending, deferred, refused</p>\n");
}

/// One bar of two parts, the first of them also said in numbers: `3 of 12`.
fn bar(out: &mut String, label: &str, parts: [(usize, &str); 2], most: usize) {
    let label = escaped(label);
    let _ = write!(out, "<dt title=\"{label}\">{label}</dt><dd class=\"bar\">");
    for (count, class) in parts.into_iter().filter(|(count, _)| *count > 0) {
        let percent = count as f64 * 100.0 / most.max(1) as f64;
        let _ = write!(out, "<i class=\"{class}\" style=\"width:{percent:.2}%\"></i>");
    }
    let total = parts[0].0 + parts[1].0;
    let count = if parts[0].0 > 0 && parts[1].0 > 0 {
        format!("{} of {total}", parts[0].0)
    } else {
        total.to_string()
    };
    let _ = writeln!(out, "</dd><dd class=\"count\">{count}</dd>");
}

fn policy(out: &mut String, part: &PolicyPart) {
    let _ = writeln!(
        out,
        "<section>\n<h2>{} <span class=\"label {}\">{}</span></h2>",
        escaped(&part.name),
        part.mode.name(),
        mode_words(part.mode)
    );
    if !part.description.is_empty() {
        let _ = writeln!(out, "<p>{}</p>", escaped(&part.description));
    }
    let summary = if part.due {
        part.summary.words()
    } else {
        format!("not due by its schedule; its condition holds for {}", part.matched)
    };
    let _ = writeln!(
        out,
        "<p class=\"soft\">Action: {}. Decided: {summary}.</p>",
        part.action
    );
    let wanted: Vec<&Line> = part.decisions.iter().filter(|line| !line.is_spared()).collect();
    if !wanted.is_empty() {
        decisions(out, &wanted);
    }
    spared(out, part);
    out.push_str("</section>\n");
}

fn decisions(out: &mut String, lines: &[&Line]) {
    out.push_str(
        "<div class=\"wide\"><table class=\"decisions\">\n<thead><tr><th>Session</th><th>User</th><th>Program</th><th>Machine</th>\
         <th>Status</th><th>Decision</th><th>Why</th></tr></thead>\n<tbody>\n",
    );
    let cell = |text: Option<&str>| text.map(escaped).unwrap_or_default();
    for line in lines.iter().take(ROWS_SHOWN) {
        let statement = line
            .statement
            .as_deref()
            .map_or_else(String::new, |statement| format!("<code>{}</code>", escaped(statement)));
        let status = match (&line.status, line.last_call_et) {
            (Some(status), Some(seconds)) => format!("{} {}", escaped(status), Span(seconds)),
            (Some(status), None) => escaped(status),
            (None, _) => String::new(),
        };
        let verdict = line.verdict.name();
        let _ = writeln!(
            out,
            "<tr><td class=\"id\">{}</td><td class=\"user\" data-name=\"User\">{}</td><td class=\"program\" data-name=\"Program\">{}</td>\
             <td class=\"machine\" data-name=\"Machine\">{}</td><td class=\"status\">{status}</td>\
             <td class=\"verdict {verdict}\">{verdict}</td><td class=\"why\">{}{statement}</td></tr>",
            line.session(),
            cell(line.username.as_deref()),
            cell(line.program.as_deref()),
            // A host's name may break after its dots.
            cell(line.machine.as_deref()).replace('.', ".<wbr>"),
            escaped(&line.reason),
        );
    }
    out.push_str("</tbody>\n</table></div>\n");
    left_out(out, lines.len());
}

/// Who was spared and why: sessions with the same reason together.
fn spared(out: &mut String, part: &PolicyPart) {
    let mut by_reason: BTreeMap<(&str, &str), Vec<&Line>> = BTreeMap::new();
    for line in part.decisions.iter().filter(|line| line.is_spared()) {
        let by = match line.verdict {
            Verdict::Protected(protection) => protection.name(),
            Verdict::Exempt | Verdict::Act | Verdict::Pending | Verdict::Deferred | Verdict::Refused => "exemption",
        };
        by_reason.entry((by, &line.reason)).or_default().push(line);
    }
    if by_reason.is_empty() {
        return;
    }
    out.push_str(
        "<h3 style=\"margin-top:18px\">Spared, though the condition held</h3>\n<div class=\"wide\"><table>\n\
         <thead><tr><th>By</th><th>Why</th><th>Sessions</th></tr></thead>\n<tbody>\n",
    );
    let rows = by_reason.len();
    for ((by, reason), lines) in by_reason.into_iter().take(ROWS_SHOWN) {
        let why = reason.split_once(": ").map_or(reason, |(_, why)| why);
        let named: Vec<String> = lines.iter().take(6).map(|line| line.session()).collect();
        let more = match lines.len().saturating_sub(6) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let _ = writeln!(
            out,
            "<tr><td class=\"verdict protected\">{by}</td><td>{}</td><td>{}: <span class=\"soft\">{}{more}</span></td></tr>",
            escaped(why),
            lines.len(),
            named.join(" · ")
        );
    }
    out.push_str("</tbody>\n</table></div>\n");
    left_out(out, rows);
}

fn left_out(out: &mut String, rows: usize) {
    if rows > ROWS_SHOWN {
        let _ = writeln!(
            out,
            "<p class=\"soft\">{} more rows are in the JSON and CSV forms of this report.</p>",
            rows - ROWS_SHOWN
        );
    }
}

/// Everything before a page's own content; the title is markup already.
pub(super) fn head(out: &mut String, title: &str) {
    let _ = write!(
        out,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n"
    );
}

/// A note, its words between backticks in the type of code.
pub(super) fn with_code(note: &str) -> String {
    let mut parts: Vec<String> = note.split('`').map(escaped).collect();
    // The last backtick of an odd number stands alone and is left as it is.
    let pairs = (parts.len() - 1) / 2;
    for part in parts.iter_mut().skip(1).step_by(2).take(pairs) {
        *part = format!("<code>{part}</code>");
    }
    let lone = parts.len().is_multiple_of(2);
    let last = parts.pop().unwrap_or_default();
    format!("{}{}{last}", parts.concat(), if lone { "`" } else { "" })
}

/// Text that is no markup, inside an element or a quoted attribute.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for character in visible(text).chars() {
        match character {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            _ => out.push(character),
        }
    }
    out
}
