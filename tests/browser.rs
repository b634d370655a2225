//! The HTML reports in a real browser: light and dark, on a wide and a narrow window, on paper, and without a network.
//!
//! A copy of the page gets a script that measures the page and writes the results into it; the browser prints the resulting page.
//! So the test checks what the browser renders. The reports themselves contain no script.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::site::{Db, Site, thin};

const BROWSERS: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "chrome"];

const POLICY: &str = "policies:\n  - name: forgotten-sessions-of-the-application\n    when: INACTIVE longer than 4h\n    action: \
                      disconnect post_transaction\n    limits: {share: 100%}\n  - name: runaways\n    when: ACTIVE longer than 5h\n    \
                      action: cancel sql\n";

const MEASURE: &str = "<script>addEventListener('load', () => {
  const page = document.documentElement;
  const light = (text) => text.match(/\\d+/g).slice(0, 3).reduce((sum, part) => sum + Number(part), 0);
  const style = getComputedStyle(document.body);
  const bars = [...document.querySelectorAll('.bars .bar i, .curves polyline')];
  const found = {
    background: light(style.backgroundColor), ink: light(style.color),
    overflow: page.scrollWidth - page.clientWidth,
    fetched: document.querySelectorAll('img, link, iframe, object, embed, script[src]').length,
    pictures: bars.filter((bar) => bar.getBoundingClientRect().width >= 1).length, drawn: bars.length,
    unpainted: bars.filter((bar) => bar.matches('i') && light(getComputedStyle(bar).backgroundColor) === light(style.backgroundColor)).length,
  };
  page.setAttribute('data-found', Object.entries(found).map(([name, value]) => name + '=' + value).join(' '));
});</script>";

/// The browser, if one is installed. It is large and only these tests need it, so it is never required.
fn browser() -> Option<PathBuf> {
    let named = std::env::var_os("ORAREAPER_TEST_BROWSER").map(PathBuf::from);
    let candidates = named.into_iter().chain(BROWSERS.map(PathBuf::from));
    let works = |program: &PathBuf| {
        let version = Command::new(program)
            .arg("--version")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        version.is_ok_and(|status| status.success())
    };
    candidates.into_iter().find(works)
}

struct Browser {
    program: PathBuf,
    profile: PathBuf,
}

impl Browser {
    fn run(&self, arguments: &[&str], page: &Path) -> String {
        let mut command = Command::new(&self.program);
        command.args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--hide-scrollbars",
        ]);
        command.arg(format!("--user-data-dir={}", self.profile.display()));
        let output = command
            .args(arguments)
            .arg(format!("file://{}", page.display()))
            .output();
        let output = output.expect("the browser starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("a page is text")
    }

    /// What the script found.
    fn measured(&self, arguments: &[&str], page: &Path) -> BTreeMap<String, i64> {
        let arguments = [&["--dump-dom", "--virtual-time-budget=5000"], arguments].concat();
        let dom = self.run(&arguments, page);
        let found = dom
            .split_once("data-found=\"")
            .and_then(|(_, rest)| rest.split_once('"'));
        let (found, _) = found.unwrap_or_else(|| panic!("nothing was measured: {}", &dom[..dom.len().min(500)]));
        let pairs = found
            .split(' ')
            .map(|pair| pair.split_once('=').expect("a name and a number"));
        pairs
            .map(|(name, value)| (name.to_owned(), value.parse().expect(value)))
            .collect()
    }
}

/// The two reports, as the program writes them.
fn reports(site: &Site) -> [(&'static str, String); 2] {
    let db = Db::builtin("rac3");
    site.policies(POLICY);
    site.configure(&thin(), &db);
    for arguments in [
        &["record", "-o", "some.rec", "--every", "1s", "--snapshots", "3"][..],
        &["plan", "--format", "html", "-o", "plan.html"],
        &[
            "replay",
            "some.rec",
            "--curve",
            "forgotten-sessions-of-the-application",
            "--format",
            "html",
            "-o",
            "replay.html",
        ],
    ] {
        let mut command = site.command(&thin());
        let output = command
            .args(["--config", "orareaper.yaml"])
            .args(arguments)
            .output()
            .expect("the program runs");
        assert!(
            output.status.success(),
            "{arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    ["plan", "replay"].map(|name| {
        let html = std::fs::read_to_string(site.path(&format!("{name}.html"))).expect("written");
        (name, html)
    })
}

/// A folder, and a browser with a profile of its own in it; says so if there is none.
fn stage() -> Option<(Site, Browser)> {
    let Some(program) = browser() else {
        println!("not run: no browser (chromium)");
        return None;
    };
    let site = Site::new();
    let profile = site.path("profile");
    Some((site, Browser { program, profile }))
}

#[test]
fn the_reports_can_be_looked_at() {
    let Some((site, browser)) = stage() else { return };
    for (name, html) in reports(&site) {
        assert!(!html.contains("<script"), "{name} has a script of its own");
        // The page forbids scripts and external resources; the copy permits the measuring script.
        let policy = "default-src 'none';";
        assert!(html.contains(policy), "{name} has no content policy");
        let copy = html
            .replace(policy, "default-src 'none'; script-src 'unsafe-inline';")
            .replace("</body>", &format!("{MEASURE}</body>"));
        let page = site.write(&format!("{name}-measured.html"), copy);
        for (dark, scheme) in [(false, "1"), (true, "0")] {
            for width in ["1280", "400"] {
                let scheme = format!("--blink-settings=preferredColorScheme={scheme}");
                let size = format!("--window-size={width},900");
                let found = browser.measured(&[&scheme, &size], &page);
                let what = format!("{name}, dark {dark}, {width} wide: {found:?}");
                // Sums of red, green and blue: dark ink on a light page, or the other way round.
                let (paper, ink) = (found["background"], found["ink"]);
                assert!(
                    if dark {
                        paper < 150 && ink > 600
                    } else {
                        paper > 700 && ink < 200
                    },
                    "{what}"
                );
                assert_eq!(found["overflow"], 0, "{what}");
                assert_eq!(found["fetched"], 0, "{what}");
                assert!(found["drawn"] > 3 && found["pictures"] == found["drawn"], "{what}");
                assert_eq!(found["unpainted"], 0, "{what}");
            }
        }
        let paper = site.path(&format!("{name}.pdf"));
        browser.run(
            &[&format!("--print-to-pdf={}", paper.display())],
            &site.path(&format!("{name}.html")),
        );
        let pdf = std::fs::read(&paper).expect("printed");
        assert!(
            pdf.starts_with(b"%PDF") && pdf.len() > 10_000,
            "{name}: {} bytes",
            pdf.len()
        );
    }
}

/// What the script measures can also be wrong: a picture wider than the page, one without a colour, an image from elsewhere.
#[test]
fn a_page_that_is_not_fit_is_noticed() {
    let Some((site, browser)) = stage() else { return };
    let body = "<div class=\"bars\"><p class=\"bar\"><i style=\"display:block;width:0\"></i></p></div><img src=\"data:,\"><div \
                style=\"width:3000px\">x</div>";
    let page = format!("<!doctype html><html><body style=\"background:#fff\">{body}{MEASURE}</body></html>");
    let page = site.write("unfit.html", page);
    let found = browser.measured(&["--window-size=1280,900"], &page);
    assert!(found["overflow"] > 1_000 && found["fetched"] == 1, "{found:?}");
    assert_eq!((found["drawn"], found["pictures"]), (1, 0), "{found:?}");
}
