//! The report for tickets and wikis, in the tables that GitHub, GitLab and Jira's importers understand.

use crate::quantity::counted;
use std::fmt::Write as _;

use crate::report::{PolicyPart, Report, ReportLine, rehearsal};
use crate::terminal::visible::visible;

impl Report {
    /// Headings, a summary, and a table for each policy.
    #[must_use]
    pub fn to_markdown(&self) -> String {
        let mut out = String::new();
        let _ = writeln!(out, "# orareaper {}: {}\n", self.mode_words(), escaped(&self.database));
        if let Some(why) = &self.unread {
            let _ = writeln!(out, "> **Could not be read:** {}", escaped(why));
            return out;
        }
        let _ = writeln!(
            out,
            "{}, {}: {}.\n",
            self.taken_at_words(),
            counted(self.sessions, "session"),
            self.summary.words()
        );
        for note in self.notes_and_refusals() {
            let _ = writeln!(out, "> **Note:** {}\n", escaped(&note));
        }
        for part in &self.policies {
            self.policy_markdown(part, &mut out);
        }
        if let Some(table) = rehearsal::table(self.rehearsals()) {
            table.markdown(&mut out);
            let _ = writeln!(out, "{}\n", rehearsal::KEY);
        }
        out
    }

    fn policy_markdown(&self, part: &PolicyPart, out: &mut String) {
        let _ = writeln!(out, "## {} ({})\n", escaped(&part.name), part.mode.name());
        if !part.description.is_empty() {
            let _ = writeln!(out, "{}\n", escaped(&part.description));
        }
        if !part.due {
            let _ = writeln!(
                out,
                "Not due by its schedule; its condition holds for {}.\n",
                part.matched
            );
            return;
        }
        let _ = writeln!(out, "{}.\n", part.words());
        if part.decisions.is_empty() {
            return;
        }
        let _ = writeln!(
            out,
            "| Session | User | Program | Machine | Decision | Why | Statement |"
        );
        let _ = writeln!(out, "| --- | --- | --- | --- | --- | --- | --- |");
        for line in &part.decisions {
            let _ = writeln!(out, "{}", row(line));
        }
        out.push('\n');
    }
}

fn row(line: &ReportLine) -> String {
    let cell = |text: Option<&str>| text.map(escaped).unwrap_or_default();
    format!(
        "| {} | {} | {} | {} | {} | {} | {} |",
        line.session(),
        cell(line.username.as_deref()),
        cell(line.program.as_deref()),
        cell(line.machine.as_deref()),
        line.verdict.name(),
        escaped(&line.reason),
        cell(line.statement.as_deref()),
    )
}

/// Text without markup: tags become entities, characters with a meaning in Markdown get a backslash.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for character in visible(text).chars() {
        match character {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '#' | '!' => {
                out.push('\\');
                out.push(character);
            }
            _ => out.push(character),
        }
    }
    out
}
