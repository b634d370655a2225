//! A proof as text and as JSON.

use serde::Serialize;

use crate::prove::{Behaviour, Finding, ProofReport, TrialVerdict};
use crate::quantity::Elapsed;
use crate::session::time::iso;
use crate::terminal::visible::{json_escaped, visible};
use crate::terminal::{Colour, TextStyle, bold, push, wrapped};

/// What was tried, with what the decoy did: `kill immediate, busy`.
pub(super) fn subject(finding: &Finding) -> String {
    match finding.doing {
        Some(doing) => format!("{}, {}", finding.what, doing.name()),
        None => finding.what.clone(),
    }
}

/// The database, in a line.
pub(super) fn heading(proof: &ProofReport) -> String {
    let instances = match proof.instances {
        1 => "one instance".to_owned(),
        several => format!("{several} instances"),
    };
    format!(
        "Oracle Database {}, {}, {instances}, {}; driver {}; via {}; {}",
        proof.release,
        proof.container,
        proof.role,
        proof.driver,
        proof.via,
        iso(proof.taken_at)
    )
}

/// How many lines there are of each kind.
pub(super) fn summary(proof: &ProofReport) -> String {
    let counts = TrialVerdict::ALL.map(|verdict| format!("{} {}", proof.count(verdict), verdict.name()));
    counts.join(", ")
}

/// How long the caller waited, and the row was shown.
pub(super) fn times(finding: &Finding) -> String {
    let Some(sent) = &finding.sent else {
        return String::new();
    };
    let waited = format!("answered after {}", Elapsed(sent.waited));
    match sent.shown_for {
        Some(shown) => format!("{waited}, shown for {} more", Elapsed(shown)),
        None => waited,
    }
}

/// For people.
#[must_use]
pub(crate) fn text(proof: &ProofReport, style: TextStyle) -> String {
    let style = style.readable();
    let mut out = String::new();
    push(&mut out, &bold(&visible(&proof.database), style));
    wrapped(&mut out, "  ", &visible(&heading(proof)), style, Colour::Dim);
    let widest = proof
        .findings
        .iter()
        .map(|finding| subject(finding).len())
        .max()
        .unwrap_or(0);
    for finding in &proof.findings {
        let colour = match finding.verdict {
            TrialVerdict::AsAssumed => Colour::Dim,
            TrialVerdict::Untried => Colour::Yellow,
            TrialVerdict::Differs => Colour::Red,
        };
        let bullet = format!("  {:<18}  {:<widest$}  ", finding.verdict.name(), subject(finding));
        let times = times(finding);
        let found = if times.is_empty() {
            finding.found.clone()
        } else {
            format!("{} ({times})", finding.found)
        };
        wrapped(&mut out, &bullet, &visible(&found), style, colour);
        if finding.verdict == TrialVerdict::Differs {
            let assumed = format!("{}assumed: ", " ".repeat(bullet.len()));
            wrapped(&mut out, &assumed, &finding.assumed, style, Colour::None);
        }
    }
    out.push('\n');
    push(&mut out, &bold(&summary(proof), style));
    out
}

#[derive(Serialize)]
struct FindingLine<'a> {
    what: &'a str,
    doing: Option<&'static str>,
    verdict: &'static str,
    assumed: &'a str,
    found: &'a str,
    statement: Option<&'a str>,
    answer: Option<u32>,
    waited_ms: Option<u128>,
    shown_for_ms: Option<u128>,
}

#[derive(Serialize)]
struct VerdictCounts {
    as_assumed: usize,
    differs: usize,
    untried: usize,
}

#[derive(Serialize)]
struct ProofJson<'a> {
    orareaper: &'static str,
    database: &'a str,
    release: &'a str,
    driver: &'static str,
    container: &'static str,
    via: &'static str,
    instances: usize,
    role: &'a str,
    taken_at: String,
    findings: Vec<FindingLine<'a>>,
    summary: VerdictCounts,
    behaviour: &'a Behaviour,
}

/// For programs: one object. Keys are added, never renamed.
#[must_use]
pub(crate) fn json(proof: &ProofReport) -> String {
    let line = |finding: &Finding| {
        let sent = finding.sent.as_ref();
        (
            sent.map(|sent| sent.waited.as_millis()),
            sent.and_then(|sent| sent.shown_for).map(|shown| shown.as_millis()),
        )
    };
    let findings = proof.findings.iter().map(|finding| {
        let (waited_ms, shown_for_ms) = line(finding);
        FindingLine {
            what: &finding.what,
            doing: finding.doing.map(crate::prove::Doing::name),
            verdict: finding.verdict.name(),
            assumed: &finding.assumed,
            found: &finding.found,
            statement: finding.sent.as_ref().map(|sent| sent.text.as_str()),
            answer: finding.sent.as_ref().and_then(|sent| sent.answer),
            waited_ms,
            shown_for_ms,
        }
    });
    let whole = ProofJson {
        orareaper: env!("CARGO_PKG_VERSION"),
        database: &proof.database,
        release: &proof.release,
        driver: proof.driver,
        container: proof.container,
        via: proof.via,
        instances: proof.instances,
        role: &proof.role,
        taken_at: iso(proof.taken_at),
        findings: findings.collect(),
        summary: VerdictCounts {
            as_assumed: proof.count(TrialVerdict::AsAssumed),
            differs: proof.count(TrialVerdict::Differs),
            untried: proof.count(TrialVerdict::Untried),
        },
        behaviour: &proof.behaviour,
    };
    let json = serde_json::to_string(&whole).unwrap_or_default();
    format!("{}\n", json_escaped(&json))
}
