//! What `--version` says, and how the build script finds it.

#[path = "../../build.rs"]
#[allow(dead_code, reason = "only the readers are tested: cargo runs the rest")]
mod build_script;

use super::Site;

const NAME: &str = concat!("orareaper ", env!("CARGO_PKG_VERSION"));

pub(super) fn is_printed(site: &Site) {
    let short = site.orareaper(&["-V"]);
    assert_eq!((short.code, short.out.trim()), (Some(0), NAME));
    let long = site.orareaper(&["--version"]);
    let build = long
        .out
        .trim()
        .strip_prefix(NAME)
        .and_then(|rest| rest.strip_prefix(" (commit "));
    let build = build.and_then(|rest| rest.strip_suffix(')')).expect(&long.out);
    let (commit, features) = build.split_once("; features: ").expect(build);
    // A release build knows it, and whoever sets ORAREAPER_COMMIT.
    assert!(build_script::word(commit).is_some(), "{commit}");
    assert_eq!(features, if cfg!(feature = "demo") { "demo" } else { "none" });
}

#[test]
fn the_commit_of_a_packaged_source_is_read() {
    let packaged = |dirty: &str| {
        format!(
            "{{\n  \"git\": {{\n    \"sha1\": \"0123456789abcdef0123456789abcdef01234567\"{dirty}\n  }},\n  \"path_in_vcs\": \"\"\n}}"
        )
    };
    let read = |text: &str| build_script::of_package(text);
    assert_eq!(read(&packaged("")).as_deref(), Some("0123456789ab"));
    assert_eq!(
        read(&packaged(",\n    \"dirty\": true")).as_deref(),
        Some("0123456789ab-dirty")
    );
    for none in [
        "",
        "{}",
        "{\"git\": {\"sha1\": \"\"}}",
        "{\"git\": {\"sha1\": \"0123456789a\\n\"}}",
    ] {
        assert_eq!(read(none), None, "{none}");
    }
}

#[test]
fn a_commit_that_is_no_word_is_left_out() {
    for good in ["d7cf513abcde", "d7cf513abcde-dirty", "1.0_rc"] {
        assert_eq!(build_script::word(&format!(" {good}\n")).as_deref(), Some(good));
    }
    for bad in ["", " ", "two words", "cargo::rustc-env=PATH=/", "a\nb", "\u{e4}"] {
        assert_eq!(build_script::word(bad), None, "{bad:?}");
    }
}
