//! What lints find.

use crate::policy::lex::Mistake;
use crate::yaml::diagnostics::Severity;

/// Errors and warnings.
pub(super) type Findings = Vec<(Severity, Mistake)>;
