//! A proof as a page: one file that needs nothing else.

use maud::html;

use crate::html::{REPORT, document, forbids_everything};
use crate::prove::show::{heading, subject, summary, times};
use crate::prove::{ProofReport, TrialVerdict};

/// For a browser.
#[must_use]
pub(crate) fn page(proof: &ProofReport) -> String {
    let title = format!("{}: orareaper prove", proof.database);
    let content = html! {
        main {
            header {
                h1 { (proof.database) }
                p { (heading(proof)) }
                p { (summary(proof)) }
            }
            table {
                thead { tr { th { "What" } th { "Comparison" } th { "Assumed" } th { "Found" } th { "Statement" } } }
                tbody {
                    @for finding in &proof.findings {
                        tr {
                            td { (subject(finding)) }
                            td { @if finding.verdict == TrialVerdict::Differs { b { (finding.verdict.name()) } } @else { (finding.verdict.name()) } }
                            td { (finding.assumed) }
                            td { (finding.found) }
                            td {
                                @if let Some(sent) = &finding.sent { code { (sent.text) } br; (times(finding)) }
                            }
                        }
                    }
                }
            }
            footer { "Only sessions that orareaper opened itself were named in these statements." }
        }
    };
    document(&title, REPORT, &forbids_everything(), &content)
}
