//! Writes the results of policy tests as JUnit XML, which build servers read.
//!
//! A test with other decisions than expected is a `failure`, one that could not be run is an `error`. Names of folders, reasons
//! and differences may contain any text of a session. So everything is escaped, and characters that XML 1.0 does not allow are
//! replaced.

use std::fmt::Write as _;

/// The result of a test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TestResult {
    /// All decisions are as expected.
    Passed,
    /// Some decisions differ: the differences.
    Failed(String),
    /// The test could not be run: the reason.
    Broken(String),
}

/// A test and its result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Case {
    /// The parent of the test's folder, as it was found.
    pub(crate) group: String,
    /// The name of the test's folder.
    pub(crate) name: String,
    /// The result.
    pub(crate) verdict: TestResult,
}

/// The XML document.
#[must_use]
pub(crate) fn junit(cases: &[Case]) -> String {
    let failed = cases
        .iter()
        .filter(|case| matches!(case.verdict, TestResult::Failed(_)));
    let broken = cases
        .iter()
        .filter(|case| matches!(case.verdict, TestResult::Broken(_)));
    let counts = format!(
        "name=\"orareaper test\" tests=\"{}\" failures=\"{}\" errors=\"{}\"",
        cases.len(),
        failed.count(),
        broken.count()
    );
    let mut xml = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites {counts}>\n  <testsuite {counts} skipped=\"0\">\n"
    );
    for Case { group, name, verdict } in cases {
        let _ = write!(
            xml,
            "    <testcase classname=\"{}\" name=\"{}\"",
            escaped(group),
            escaped(name)
        );
        let (element, message, text) = match verdict {
            TestResult::Passed => {
                xml.push_str("/>\n");
                continue;
            }
            TestResult::Failed(difference) => ("failure", "decided otherwise than expected", difference),
            TestResult::Broken(error) => ("error", "the test cannot be run", error),
        };
        let _ = write!(
            xml,
            ">\n      <{element} message=\"{message}\">{}</{element}>\n    </testcase>\n",
            escaped(text)
        );
    }
    xml.push_str("  </testsuite>\n</testsuites>\n");
    xml
}

/// Escapes text for an element or for an attribute in double quotes.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(character),
            '\u{0}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            character => out.push(character),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_is_well_formed_for_any_text() {
        let case = |name: &str, verdict| Case {
            group: "policies/tests".into(),
            name: name.into(),
            verdict,
        };
        let xml = junit(&[
            case("fine", TestResult::Passed),
            case("a\"b", TestResult::Failed("- <i> & \u{1b}[0m ]]>\n".into())),
            case("c", TestResult::Broken("no 'x'".into())),
        ]);
        let expected = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
            <testsuites name=\"orareaper test\" tests=\"3\" failures=\"1\" errors=\"1\">\n  \
            <testsuite name=\"orareaper test\" tests=\"3\" failures=\"1\" errors=\"1\" skipped=\"0\">\n    \
            <testcase classname=\"policies/tests\" name=\"fine\"/>\n    \
            <testcase classname=\"policies/tests\" name=\"a&quot;b\">\n      \
            <failure message=\"decided otherwise than expected\">- &lt;i&gt; &amp; \u{fffd}[0m ]]&gt;\n</failure>\n    \
            </testcase>\n    \
            <testcase classname=\"policies/tests\" name=\"c\">\n      \
            <error message=\"the test cannot be run\">no 'x'</error>\n    \
            </testcase>\n  </testsuite>\n</testsuites>\n";
        assert_eq!(xml, expected);
    }
}
