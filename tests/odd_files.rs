//! What stands where a file is expected and is none: a FIFO, a folder, a socket, a device. It is refused at once, with what it is;
//! the program does not wait for a FIFO without a writer, and reads no endless device.

use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::site::{Driver, Site, drivers, entry, thin, wait_for};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Odd {
    Fifo,
    Folder,
    Socket,
    Device,
}

const ODD: [Odd; 4] = [Odd::Fifo, Odd::Folder, Odd::Socket, Odd::Device];

/// Puts it there, in the place of what is there.
fn put(path: &Path, odd: Odd) {
    if path.exists() {
        std::fs::remove_file(path).expect("a file");
    }
    match odd {
        Odd::Fifo => {
            let made = Command::new("mkfifo").arg(path).status();
            assert!(made.expect("it runs").success());
        }
        Odd::Folder => std::fs::create_dir_all(path).expect("a folder"),
        // Its end stays when the listener goes.
        Odd::Socket => drop(UnixListener::bind(path).expect("a socket")),
        Odd::Device => std::os::unix::fs::symlink("/dev/zero", path).expect("a link"),
    }
}

/// A host with a valid configuration, and no database at its address.
fn host() -> Site {
    let site = Site::new();
    site.policies("policies: [{name: idle, when: INACTIVE longer than 4h, action: kill}]");
    site.configure_with(
        &[entry("orcl", &thin(), "//127.0.0.1:1/PROD", false)],
        "include: [more.yaml]\n",
    );
    let more = entry("other", &thin(), "//127.0.0.1:1/OTHER", false);
    site.write("more.yaml", format!("databases:\n{more}"));
    site
}

/// Runs it to its end, which comes soon: its exit status, and all that it said.
fn ends(site: &Site, arguments: &[&str], variables: &[(&str, &Path)]) -> (Option<i32>, String) {
    ends_with(&thin(), site, arguments, variables)
}

fn ends_with(driver: &Driver, site: &Site, arguments: &[&str], variables: &[(&str, &Path)]) -> (Option<i32>, String) {
    let mut command = site.command(driver);
    command.args(["--config", "orareaper.yaml"]).args(arguments);
    for (name, value) in variables {
        command.env(name, value);
    }
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let ended = wait_for(&format!("the end of {arguments:?}"), || {
        child.try_wait().expect("it can be asked")
    });
    let mut said = String::new();
    let mut out = child.stdout.take().expect("piped");
    let mut err = child.stderr.take().expect("piped");
    out.read_to_string(&mut said).expect("text");
    err.read_to_string(&mut said).expect("text");
    (ended.code(), said)
}

fn refused(what: &str, odd: Odd, (code, said): (Option<i32>, String), expected: &str) {
    assert!(matches!(code, Some(1 | 2)), "{what}, {odd:?}: {code:?}: {said}");
    let of_it = match odd {
        // Where a folder may stand too, it lacks the files.
        Odd::Folder => ["directory", "the folder has no *.yaml or *.yml file"],
        Odd::Fifo | Odd::Socket | Odd::Device => ["not a regular file"; 2],
    };
    let told = of_it.iter().any(|words| said.contains(words));
    assert!(said.contains(expected) && told, "{what}, {odd:?}: {said}");
}

#[test]
fn ordinary_files_are_accepted() {
    let (code, said) = ends(&host(), &["check"], &[]);
    assert_eq!(code, Some(0), "{said}");
}

#[test]
fn a_configuration_and_what_it_includes() {
    for odd in ODD {
        let site = host();
        put(&site.path("orareaper.yaml"), odd);
        let commands: [&[&str]; 9] = [
            &["check"],
            &["run"],
            &["plan"],
            &["sessions"],
            &["explain", "1,2"],
            &["record", "-o", "week.rec"],
            &["history"],
            &["pause", "--reason", "a look"],
            &["resume"],
        ];
        for command in commands {
            refused(command[0], odd, ends(&site, command, &[]), "orareaper.yaml");
        }
        let site = host();
        put(&site.path("more.yaml"), odd);
        refused("include", odd, ends(&site, &["check"], &[]), "more.yaml");
    }
}

#[test]
fn a_policy_file() {
    for odd in [Odd::Fifo, Odd::Socket, Odd::Device, Odd::Folder] {
        let site = host();
        // A folder is named by the pattern, so it is no folder of policies.
        put(&site.path("policies/policies.yaml"), odd);
        refused("policies", odd, ends(&site, &["check"], &[]), "policies.yaml");
    }
}

#[test]
fn a_password_and_a_credential() {
    for odd in ODD {
        let site = host();
        put(&site.path("password"), odd);
        for command in [&["plan", "--database", "orcl"][..], &["run"]] {
            refused("password", odd, ends(&site, command, &[]), "password");
        }
        let (code, said) = ends(&site, &["check"], &[]);
        assert!(
            code == Some(1) && said.contains("unreadable-password"),
            "{odd:?}: {said}"
        );
        refused(
            "password",
            odd,
            (code, said),
            "the password of orcl, other cannot be used: read the file ",
        );
        let site = host();
        let config = std::fs::read_to_string(site.path("orareaper.yaml")).expect("it is there");
        site.write(
            "orareaper.yaml",
            config.replace("{file: password}", "{credential: prod}"),
        );
        site.write("credentials/prod", "tiger");
        put(&site.path("credentials/prod"), odd);
        let folder = site.path("credentials");
        let told = ends(
            &site,
            &["plan", "--database", "orcl"],
            &[("CREDENTIALS_DIRECTORY", &folder)],
        );
        refused("credential", odd, told, "the credential `prod`");
    }
}

#[test]
fn check_refuses_the_passwords_that_run_would_refuse() {
    let site = host();
    let told = |text: Option<&str>| {
        std::fs::remove_file(site.path("password")).ok();
        text.map(|text| site.write("password", text));
        site.path("password")
            .exists()
            .then(|| std::fs::set_permissions(site.path("password"), std::fs::Permissions::from_mode(0o600)));
        ends(&site, &["check"], &[])
    };
    let (code, said) = told(Some("\n"));
    assert!(code == Some(1) && said.contains("it is empty"), "{said}");
    let (code, said) = told(None);
    assert!(code == Some(1) && said.contains("No such file"), "{said}");
    assert_eq!(told(Some("tiger\n")).0, Some(0));
    // What only the unit may have.
    for source in ["{credential: prod}", "{env: ORAREAPER_NO_SUCH}"] {
        let config = std::fs::read_to_string(site.path("orareaper.yaml")).expect("it is there");
        site.write("orareaper.yaml", config.replace("{file: password}", source));
        let (code, said) = ends(&site, &["check"], &[]);
        assert!(
            code == Some(0)
                && said.contains("0 warnings")
                && said.contains("note: the password of orcl was not checked"),
            "{source}: {said}"
        );
        site.write("orareaper.yaml", config);
    }
}

#[test]
fn a_policy_test() {
    for odd in ODD {
        for name in ["timeline.yaml", "expect.yaml", "policy.yaml"] {
            let site = host();
            for file in ["timeline.yaml", "expect.yaml", "policy.yaml"] {
                let case = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/budget-per-day");
                let text = std::fs::read(case.join(file)).expect("a case");
                site.write(&format!("story/{file}"), text);
            }
            assert_eq!(ends(&site, &["test", "story"], &[]).0, Some(0));
            put(&site.path("story").join(name), odd);
            refused(name, odd, ends(&site, &["test", "story"], &[]), name);
        }
    }
}

#[test]
fn oracle_s_own_files() {
    for odd in ODD {
        for name in ["tnsnames.ora", "sqlnet.ora"] {
            for driver in drivers() {
                let site = Site::new();
                site.policies("policies: [{name: idle, when: INACTIVE longer than 4h, action: kill}]");
                let alias = entry("orcl", &driver, "PROD", false);
                site.configure_with(&[alias], "");
                site.write("network/tnsnames.ora", "PROD = (DESCRIPTION = )\n");
                put(&site.path("network").join(name), odd);
                let said = ends_with(&driver, &site, &["plan"], &[]);
                refused(name, odd, said, name);
            }
        }
    }
}

#[test]
fn a_notify_socket() {
    for odd in ODD {
        let site = host();
        let path = site.path("notify");
        put(&path, odd);
        let (code, said) = ends(&site, &["run"], &[("NOTIFY_SOCKET", &path)]);
        assert!(
            code == Some(2) && said.contains("connect to NOTIFY_SOCKET"),
            "{odd:?}: {said}"
        );
    }
}

#[test]
fn the_daemon_s_own_files() {
    for odd in ODD {
        for name in ["journal.jsonl", "refused-logins.json"] {
            let site = host();
            std::fs::create_dir(site.path("state")).expect("made");
            put(&site.path("state").join(name), odd);
            let told = ends(&site, &["run"], &[]);
            if name == "refused-logins.json" {
                assert!(told.1.contains("it may be deleted"), "{}", told.1);
            }
            refused(name, odd, told, name);
        }
    }
}

/// No link is written through, wherever it leads.
#[test]
fn a_link_in_the_place_of_a_state_file() {
    for name in ["journal.jsonl", "lock"] {
        for leads in [false, true] {
            let site = host();
            std::fs::create_dir(site.path("state")).expect("made");
            let elsewhere = site.path("elsewhere");
            if leads {
                std::fs::write(&elsewhere, "").expect("written");
            }
            std::os::unix::fs::symlink(&elsewhere, site.path("state").join(name)).expect("linked");
            let (code, said) = ends(&site, &["run"], &[]);
            let told = format!("{name} is a symbolic link");
            assert!(code == Some(2) && said.contains(&told), "{name} {leads}: {said}");
            let written = std::fs::read_to_string(&elsewhere).ok();
            assert_eq!(written.as_deref(), leads.then_some(""), "{name}");
        }
    }
}
