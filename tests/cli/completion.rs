//! Completion by a real shell: its script is loaded, a line is typed, and what the shell offers is looked at.

use super::*;
use crate::site::not_run;

/// A host with a configuration and two policies.
fn host() -> Site {
    let site = Site::new();
    site.policies(
        "policies:\n  - {name: idle, when: INACTIVE longer than 4h, action: kill, description: who left}\n  - {name: nobody, when: username = X, action: kill}\n",
    );
    let databases = ["prod", "crm"].map(|name| entry(name, &thin(), "//127.0.0.1:1/X", false));
    site.configure_with(&databases, "");
    site
}

/// A shell that has loaded the completion script and runs `program`; `None` where it is not installed.
fn shell(site: &Site, shell: &str, program: &str) -> Option<String> {
    let script = site.orareaper(&["completions", shell]);
    assert_eq!(script.code, Some(0), "{}", script.err);
    site.write("completions/_orareaper", script.out);
    let folder = Path::new(env!("CARGO_BIN_EXE_orareaper")).parent().expect("a folder");
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = Command::new(shell);
    command
        .args(["-c", program])
        .current_dir(site.path("."))
        .env("PATH", format!("{}:{path}", folder.display()))
        .env("HOME", site.path("."));
    let Ok(output) = command.output() else {
        not_run(&format!("no {shell}"));
        return None;
    };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert_eq!(text(&output.stderr), "", "{shell}");
    Some(text(&output.stdout))
}

/// Lines that are being typed, and what is offered: all of it, in its order.
const LINES: [(&str, &[&str]); 7] = [
    ("orareaper -c orareaper.yaml plan --database ", &["prod", "crm"]),
    ("orareaper -c ~/orareaper.yaml doctor p", &["prod"]),
    (
        "orareaper explain 1 --config=orareaper.yaml --policy ",
        &["idle", "nobody"],
    ),
    ("orareaper plan --policies policies --database ", &[]),
    ("orareaper replay x --policies policies --curve n", &["nobody"]),
    ("orareaper -c nowhere.yaml prove x", &[]),
    ("orareaper sessions --columns sid,usern", &["sid,username"]),
];

#[test]
fn bash_knows_databases_and_policies() {
    let site = host();
    let ask = LINES.map(|(line, _)| format!("ask '{line}'\n")).concat();
    // What readline does: the words, the one that is completed, and the function.
    let program = format!(
        "source completions/_orareaper
         ask() {{
             read -ra COMP_WORDS <<<\"$1\"
             [[ $1 == *' ' ]] && COMP_WORDS+=('')
             COMP_CWORD=$(( ${{#COMP_WORDS[@]}} - 1 ))
             COMP_TYPE=9 COMPREPLY=()
             _clap_complete_orareaper orareaper \"${{COMP_WORDS[COMP_CWORD]}}\"
             echo \"${{COMPREPLY[*]}}\"
         }}
         {ask}"
    );
    let Some(offered) = shell(&site, "bash", &program) else {
        return;
    };
    let offered: Vec<&str> = offered.lines().collect();
    assert_eq!(offered.len(), LINES.len(), "{offered:?}");
    for ((line, expected), offered) in LINES.iter().zip(offered) {
        assert_eq!(offered, expected.join(" "), "{line}");
    }
}

#[test]
fn fish_knows_databases_and_policies() {
    let site = host();
    let ask = LINES
        .map(|(line, _)| format!("complete -C '{line}'; echo .\n"))
        .concat();
    let Some(offered) = shell(&site, "fish", &format!("source completions/_orareaper\n{ask}")) else {
        return;
    };
    let offered: Vec<&str> = offered.split(".\n").collect();
    for ((line, expected), offered) in LINES.iter().zip(offered) {
        // Where no value is known, fish offers the options.
        let values = offered.lines().map(|line| line.split('\t').next().unwrap_or_default());
        let values: Vec<&str> = values.filter(|value| !value.starts_with('-')).collect();
        assert_eq!(values, *expected, "{line}");
    }
}

/// As a package installs it: in a folder of $fpath, loaded when it is first needed.
#[test]
fn zsh_knows_databases_and_policies() {
    let site = host();
    let program = "
         zmodload zsh/zpty || exit
         await() { for i in {1..600}; do zpty -r -t z more && out+=$more; [[ $out == *$1* ]] && return; sleep 0.1; done }
         zpty z zsh -f -i
         zpty -w z 'fpath=($PWD/completions $fpath); autoload -Uz compinit; compinit -u -D; PS1=is-; PS1+=ready'
         await is-ready
         zpty -w -n z $'orareaper -c orareaper.yaml explain 1 --policy i\\t'
         await '--policy idle'
         zpty -w -n z $'\\C-uorareaper -c orareaper.yaml plan --database cr\\t'
         await '--database crm'
         print -rn -- $out";
    let Some(shown) = shell(&site, "zsh", program) else {
        return;
    };
    assert!(
        shown.contains("--policy idle") && shown.contains("--database crm"),
        "{shown:?}"
    );
}

#[test]
fn a_line_that_is_being_typed_shows_no_error() {
    let site = host();
    site.write("orareaper.yaml", "databases: [%");
    for arguments in [
        &["--", "orareaper", "-c", "orareaper.yaml", "plan", "--database", ""][..],
        &["--", "\u{1b}"],
    ] {
        for name in ["bash", "zsh", "fish", "tcsh"] {
            let mut command = site.command(&thin());
            command
                .args(arguments)
                .env("ORAREAPER_COMPLETE", name)
                .env("_CLAP_COMPLETE_INDEX", "5");
            assert_eq!(ran(&mut command).err, "", "{name}");
        }
    }
}
