//! `orareaper demo` as typed: its story goes as told, from `doctor` to the daemon's clean stop.

use crate::site::{Site, thin, told};

#[test]
fn its_story_goes_as_told() {
    let site = Site::new();
    let mut command = site.command(&thin());
    let (code, said) = told(command.args(["demo", "--listen", "127.0.0.1:0", "--folder", "demo"]));
    assert_eq!(code, 0, "{said}");
    let answers = |word: &str| {
        said.lines()
            .filter(|line| line.starts_with(&format!("  {word}  ")))
            .count()
    };
    assert!(answers("yes") > 0 && answers("NO ") == 0, "{said}");
    for file in ["report.html", "proof.html", "journal.jsonl"] {
        assert!(site.path("demo").join(file).exists(), "{file} is missing: {said}");
    }
}
