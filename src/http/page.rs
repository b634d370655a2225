//! The status page: one HTML document without scripts, fonts or anything else from elsewhere.
//!
//! Everything that is not a literal here goes through [`Escaped`]. A session's program name is whatever its client says.

use std::fmt::{self, Write};
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::clock::Monotonic;
use crate::decide::guard::RunMode;
use crate::decide::outcome::Outcome;
use crate::decide::verify::Proof;
use crate::quantity::Span;
use crate::status::{Database, Link, Policy, Recent, Status};
use crate::visible::{acts, visible};

/// A text as HTML shows it: in an element or in a quoted attribute.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for shown in self.0.chars() {
            match shown {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                hidden if acts(hidden) => f.write_str(&visible(hidden.encode_utf8(&mut [0; 4])))?,
                plain => f.write_char(plain)?,
            }
        }
        Ok(())
    }
}

const STYLE: &str = "\
:root{color-scheme:light dark;--page:#fff;--text:#1c2128;--dim:#57606a;--line:#d0d7de;--head:#f6f8fa;--good:#116329;\
--bad:#a40e26;--warn:#7d4e00}\
@media(prefers-color-scheme:dark){:root{--page:#0d1117;--text:#e6edf3;--dim:#9198a1;--line:#30363d;--head:#161b22;\
--good:#56d364;--bad:#ff7b72;--warn:#e3b341}}\
body{margin:0 auto;max-width:80rem;padding:1rem;background:var(--page);color:var(--text);\
font:15px/1.45 system-ui,sans-serif}\
h1{font-size:1.4rem;margin:.2rem 0}h2{font-size:1.15rem;margin:1.6rem 0 .4rem}\
.wide{overflow-x:auto}table{border-collapse:collapse;width:100%;margin:.4rem 0}\
th,td{border-bottom:1px solid var(--line);padding:.3rem .6rem;text-align:left;vertical-align:top}\
th{background:var(--head);font-weight:600}.n{text-align:right;font-variant-numeric:tabular-nums}\
.dim{color:var(--dim)}.good{color:var(--good)}.bad{color:var(--bad);font-weight:600}.warn{color:var(--warn);font-weight:600}\
td{overflow-wrap:anywhere}td.k{white-space:nowrap}td.t{min-width:8rem}td.w{overflow-wrap:normal}";

/// The page. `at` and `now` are the host's time.
pub(super) fn render(status: &Status, at: DateTime<Utc>, now: Monotonic) -> String {
    let mut page = String::with_capacity(16 * 1024);
    write_page(&mut page, status, at, now).expect("a string takes whatever is written");
    page
}

fn write_page(page: &mut String, status: &Status, at: DateTime<Utc>, now: Monotonic) -> fmt::Result {
    write!(
        page,
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <meta http-equiv=\"refresh\" content=\"15\"><title>orareaper</title><style>{STYLE}</style></head><body>\n\
         <h1>orareaper {}</h1>\n<p class=\"dim\">{}",
        env!("CARGO_PKG_VERSION"),
        time(at)
    )?;
    if let Some(started) = status.started {
        write!(page, " · running for {}", Span((at - started).num_seconds()))?;
    }
    if let Some(digest) = &status.digest {
        let short: String = digest.chars().take(12).collect();
        write!(page, " · {} policies, digest {}", status.policies, Escaped(&short))?;
    }
    page.push_str("</p>\n");
    if status.dry_run {
        page.push_str("<p class=\"warn\">Started with --dry-run: nothing is sent to any database.</p>\n");
    }
    if let Some(by) = &status.paused {
        writeln!(
            page,
            "<p class=\"warn\">Paused by {}: nobody is acted on.</p>",
            Escaped(by)
        )?;
    }
    if let Some(error) = &status.journal_error {
        let error = Escaped(error);
        writeln!(
            page,
            "<p class=\"bad\">The journal takes no records, nobody is acted on: {error}</p>"
        )?;
    }
    if let Some(error) = &status.load_error {
        let error = Escaped(error);
        writeln!(
            page,
            "<p class=\"bad\">The last load of the policies failed, the ones before are in force:</p><pre>{error}</pre>"
        )?;
    }
    if status.databases.is_empty() {
        page.push_str("<p>No database is watched yet.</p>\n");
    }
    for (name, database) in &status.databases {
        write_database(page, name, database, now)?;
    }
    write_recent(page, status)?;
    page.push_str("</body></html>\n");
    Ok(())
}

fn write_database(page: &mut String, name: &str, database: &Database, now: Monotonic) -> fmt::Result {
    let arming = if database.armed { "armed" } else { "not armed" };
    writeln!(page, "<section><h2>{}</h2>", Escaped(name))?;
    let poll = span(database.poll);
    write!(
        page,
        "<p>driver {}, {arming}, polled every {poll}. ",
        Escaped(database.driver)
    )?;
    match &database.link {
        Link::Connecting => page.push_str("Connecting. "),
        Link::Up { release } => write!(page, "<span class=\"good\">Up</span>, release {}. ", Escaped(release))?,
        Link::Down { .. } => page.push_str("<span class=\"bad\">Down</span>. "),
    }
    match database.trouble(now) {
        Some(trouble) => write!(page, "<span class=\"bad\">Not ready: {}</span>", Escaped(&trouble))?,
        None => page.push_str("<span class=\"good\">Ready</span>"),
    }
    if let Some(taken_at) = database.taken_at {
        write!(
            page,
            " <span class=\"dim\">Newest snapshot {}, {} sessions.</span>",
            time(taken_at),
            database.sessions
        )?;
    }
    page.push_str("</p>\n");
    write_acting(page, &database.acting)?;
    for note in &database.notes {
        writeln!(page, "<p class=\"warn\">{}</p>", Escaped(note))?;
    }
    write_instances(page, database)?;
    write_policies(page, &database.policies)?;
    page.push_str("</section>\n");
    Ok(())
}

/// Where no policy enforces there is nothing to say.
fn write_acting(page: &mut String, connections: &[(Option<u32>, bool)]) -> fmt::Result {
    if connections.is_empty() {
        return Ok(());
    }
    page.push_str("<p>Connections to act on: ");
    for (at, (inst_id, stands)) in connections.iter().enumerate() {
        let comma = if at == 0 { "" } else { ", " };
        match inst_id {
            Some(inst_id) => write!(page, "{comma}instance {inst_id} ")?,
            None => page.push_str("any instance "),
        }
        page.push_str(if *stands {
            "<span class=\"good\">stands by</span>"
        } else {
            "<span class=\"bad\">missing</span>"
        });
    }
    page.push_str(".</p>\n");
    Ok(())
}

fn write_instances(page: &mut String, database: &Database) -> fmt::Result {
    if database.instances.is_empty() {
        return Ok(());
    }
    page.push_str(
        "<div class=\"wide\"><table><thead><tr><th>Instance</th><th>Read</th><th class=\"n\">Lingering</th><th>Use of resources</th>\
         </tr></thead><tbody>\n",
    );
    for instance in &database.instances {
        let read = if instance.complete {
            "<span class=\"good\">whole</span>"
        } else {
            "<span class=\"bad\">not whole: its sessions are spared</span>"
        };
        let lingering = if instance.lingering > 0 { "n warn" } else { "n" };
        write!(
            page,
            "<tr><td>{} {}</td><td>{read}</td><td class=\"{lingering}\">{}</td><td>",
            instance.inst_id,
            Escaped(&instance.name),
            instance.lingering
        )?;
        for (at, (resource, ratio)) in instance.pressure.iter().enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            write!(page, "{comma}{} {:.0}%", resource.name(), ratio * 100.0)?;
        }
        page.push_str("</td></tr>\n");
    }
    page.push_str("</tbody></table></div>\n");
    Ok(())
}

fn write_policies(page: &mut String, policies: &[Policy]) -> fmt::Result {
    if policies.is_empty() {
        page.push_str("<p class=\"dim\">No policy is in force here.</p>\n");
        return Ok(());
    }
    page.push_str(
        "<div class=\"wide\"><table><thead><tr><th>Policy</th><th>Mode</th><th class=\"n\">Matches</th><th class=\"n\">To act on</th>\
         <th>Spared</th><th class=\"n\">Acted since start</th><th>Breaker</th></tr></thead><tbody>\n",
    );
    for policy in policies {
        write!(
            page,
            "<tr><td class=\"k\">{}</td><td class=\"k\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td>",
            Escaped(&policy.name),
            mode(policy.mode),
            policy.matched,
            policy.warrants
        )?;
        for (at, (reason, count)) in policy.spared.iter().enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            write!(page, "{comma}{count} {}", reason.name())?;
        }
        write!(page, "</td><td class=\"n\">{}</td>", policy.acted)?;
        match &policy.breaker {
            Some(reason) => writeln!(page, "<td class=\"bad\">open: {}</td></tr>", Escaped(reason))?,
            None => page.push_str("<td>closed</td></tr>\n"),
        }
    }
    page.push_str("</tbody></table></div>\n");
    for policy in policies {
        for reason in &policy.suspended {
            let (name, reason) = (Escaped(&policy.name), Escaped(reason));
            writeln!(page, "<p class=\"bad\">{name} is {reason}</p>")?;
        }
    }
    Ok(())
}

fn write_recent(page: &mut String, status: &Status) -> fmt::Result {
    page.push_str("<section><h2>Last actions</h2>\n");
    if status.recent.is_empty() {
        page.push_str("<p class=\"dim\">None since the start.</p></section>\n");
        return Ok(());
    }
    page.push_str(
        "<div class=\"wide\"><table><thead><tr><th>When</th><th>Database</th><th>Session</th><th>Who</th><th>Policy</th>\
         <th>Action</th><th>Outcome</th><th>Since</th><th>Why</th></tr></thead><tbody>\n",
    );
    for recent in &status.recent {
        write_action(page, recent)?;
    }
    page.push_str("</tbody></table></div></section>\n");
    Ok(())
}

fn write_action(page: &mut String, recent: &Recent) -> fmt::Result {
    let outcomed = &recent.outcomed;
    let intent = &outcomed.intent;
    let who: Vec<&str> = [&intent.username, &intent.program, &intent.machine]
        .into_iter()
        .filter_map(|text| text.as_deref())
        .collect();
    write!(
        page,
        "<tr><td class=\"k\">{}</td><td>{}</td><td class=\"k\">{}</td><td class=\"t\">{}</td><td class=\"k\">{}<br>{}</td><td class=\"w\">{}</td><td class=\"{}\">{}",
        recent.at.format("%Y-%m-%d<br>%H:%M:%S UTC"),
        Escaped(&intent.database),
        intent.key,
        Escaped(&who.join(", ")),
        Escaped(&intent.policy),
        mode(intent.mode),
        intent.action,
        class_of(outcomed.outcome),
        outcomed.outcome.name().replace('_', " ")
    )?;
    if let Some(message) = &outcomed.message {
        write!(page, "<br><span class=\"dim\">{}</span>", Escaped(message))?;
    }
    let proof = match recent.proof {
        None => "",
        Some(Proof::Gone) => "gone",
        Some(Proof::ResourcesFreed) => "resources freed",
        Some(Proof::Cancelled) => "cancelled",
        Some(Proof::Lingers) => "lingers",
        Some(Proof::DeadlinePassed) => "still there",
    };
    let reason = Escaped(&intent.reason);
    writeln!(page, "</td><td>{proof}</td><td class=\"t\">{reason}</td></tr>")
}

const fn mode(mode: RunMode) -> &'static str {
    match mode {
        RunMode::DryRun => "<span class=\"dim\">dry run</span>",
        RunMode::Enforce => "enforce",
    }
}

const fn class_of(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Done | Outcome::Marked => "good",
        Outcome::AlreadyGone
        | Outcome::NoLongerMatches
        | Outcome::Protected
        | Outcome::Expired
        | Outcome::Revoked
        | Outcome::Assumed
        | Outcome::Reported => "dim",
        Outcome::Unchecked | Outcome::Unknown => "warn",
        Outcome::Refused | Outcome::Unsupported | Outcome::Failed => "bad",
    }
}

fn time(at: DateTime<Utc>) -> impl fmt::Display {
    at.format("%Y-%m-%d %H:%M:%S UTC")
}

fn span(of: Duration) -> Span {
    Span(i64::try_from(of.as_secs()).unwrap_or(i64::MAX))
}
