//! Writes the results of policy tests as JUnit XML, which build servers read.
//!
//! A test with other decisions than expected is a `failure`, one that could not be run is an `error`. Names of folders, reasons
//! and differences may contain any text of a session. `maud` escapes them, and characters that XML 1.0 does not allow are written
//! out as everywhere ([`visible`]).

use maud::{PreEscaped, html};

use crate::terminal::visible::visible;

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
    let count = |is: fn(&TestResult) -> bool| cases.iter().filter(|case| is(&case.verdict)).count();
    let failures = count(|verdict| matches!(verdict, TestResult::Failed(_)));
    let errors = count(|verdict| matches!(verdict, TestResult::Broken(_)));
    let (name, tests) = ("orareaper test", cases.len());
    let xml = html! {
        (PreEscaped("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"))
        testsuites name=(name) tests=(tests) failures=(failures) errors=(errors) {
            "\n  "
            testsuite name=(name) tests=(tests) failures=(failures) errors=(errors) skipped="0" {
                @for Case { group, name, verdict } in cases {
                    "\n    "
                    testcase classname=(visible(group)) name=(visible(name)) {
                        @match verdict {
                            TestResult::Passed => {}
                            TestResult::Failed(difference) => {
                                failure message="decided otherwise than expected" { (lines(difference)) }
                            }
                            TestResult::Broken(error) => {
                                error message="the test cannot be run" { (lines(error)) }
                            }
                        }
                    }
                }
                "\n  "
            }
            "\n"
        }
        "\n"
    };
    xml.into_string()
}

/// A text of several lines, each made visible.
fn lines(text: &str) -> String {
    let lines: Vec<_> = text.split('\n').map(visible).collect();
    lines.join("\n")
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
            <testcase classname=\"policies/tests\" name=\"fine\"></testcase>\n    \
            <testcase classname=\"policies/tests\" name=\"a&quot;b\">\
            <failure message=\"decided otherwise than expected\">- &lt;i&gt; &amp; \\x1b[0m ]]&gt;\n</failure></testcase>\n    \
            <testcase classname=\"policies/tests\" name=\"c\">\
            <error message=\"the test cannot be run\">no 'x'</error></testcase>\n  \
            </testsuite>\n</testsuites>\n";
        assert_eq!(xml, expected);
    }
}
