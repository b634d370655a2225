//! `setup-sql`: the account that the daemon logs in as, as statements in the order in which to run them.
//!
//! It grants what the policies need and nothing else, out of the same table that says what is missing ([`access`]), so `doctor` has
//! nothing to say about an account that was made with it. The text is for SQL*Plus and SQLcl: a password is asked for and stands in
//! no file, and no comment follows a statement on its line, which SQL*Plus would take for a part of it (SQL*Plus User's Guide,
//! "Placing Comments in Scripts").

pub(crate) mod guard;

use std::fmt::Write as _;

use crate::actuator::PRIVILEGE;
use crate::oracle::access::{self, Grantee, PolicyNeeds, folded};
use crate::oracle::capabilities::{Container, HostingService, Release, Shape};
use crate::oracle::leader;
use crate::policy::model::{Action, Mode, PolicySet};

/// What is set up.
#[derive(Clone, Debug)]
pub(crate) struct Setup<'a> {
    /// The configured name of the database, if it has one.
    pub(crate) database: Option<&'a str>,
    /// What the policies need of what kind of database.
    pub(crate) asked: PolicyNeeds<'a>,
    /// The name of the PDB, if it is known.
    pub(crate) pdb: Option<&'a str>,
    /// The account, in the database's spelling.
    pub(crate) user: &'a str,
    /// Whether it is unknown if the database has containers.
    pub(crate) is_assumed: bool,
    /// Whether a policy ends sessions or cancels statements here.
    pub(crate) enforces: bool,
    /// Where it runs.
    pub(crate) service: HostingService,
    /// Whether sessions are ended by the guard package, which is set up as well.
    pub(crate) guard: bool,
    /// Whether one of several daemons is to lead.
    pub(crate) leader: bool,
}

/// The most sessions that the account may have: the daemon's own, those of `plan` and `doctor`, and those that a lost network leaves
/// behind for a while.
const SESSIONS: u32 = 20;

/// Before 12.2 a name has at most 30 bytes.
const SHORT_NAME: usize = 30;

/// Before this release there are no containers, and from the second on there is no database without them.
const CONTAINERS: [Release; 2] = [Release { major: 12, minor: 1 }, Release { major: 21, minor: 0 }];

/// The assumptions, and the options that change them.
pub(crate) const ASSUMED: &str =
    "assumed: a database without containers; for CDB$ROOT add --cdb, and for a PDB add --pdb";

/// The number of instances decides about a view in a PDB.
pub(crate) const FOR_RAC: &str = "note: for a PDB with several instances (RAC) add --rac, which grants GV$PDBS too";

/// Whether a release comes with containers and without them.
#[must_use]
pub(crate) fn has_a_choice(release: Release) -> bool {
    let [first, only] = CONTAINERS;
    (first..only).contains(&release)
}

/// Whether a release comes in this form.
///
/// # Errors
/// Why not, and what to say instead.
pub(crate) fn possible(shape: Shape) -> Result<(), String> {
    let [first, only] = CONTAINERS;
    let release = shape.release;
    match shape.container {
        Container::Root | Container::Pdb if release < first => Err(format!(
            "release {release} has no containers, which came with {first}: leave out --cdb and --pdb"
        )),
        Container::NonCdb if release >= only => Err(format!(
            "release {release} always has containers: add --cdb for CDB$ROOT or --pdb for a PDB, whichever the daemon connects to"
        )),
        Container::Root | Container::Pdb | Container::NonCdb => Ok(()),
    }
}

/// Whether a policy of the set does more than report, and is not a rehearsal.
#[must_use]
pub(crate) fn enforces<'p>(set: &'p PolicySet, on: impl Fn(&'p crate::policy::model::Policy) -> bool) -> bool {
    set.policies.iter().any(|policy| {
        policy.mode == Mode::Enforce && on(policy) && policy.actions().any(|action| action != Action::Report)
    })
}

/// The account that a log-in name leads to, in the database's spelling: `reaper` is REAPER, `"reaper"` is not, and `proxy[target]`
/// becomes the target.
#[must_use]
pub(crate) fn account(login: &str) -> String {
    let inner = login.split_once('[').and_then(|(_, rest)| rest.strip_suffix(']'));
    folded(inner.unwrap_or(login).trim())
}

/// The statements.
#[must_use]
pub(crate) fn script(setup: &Setup<'_>) -> String {
    let mut out = String::new();
    let run = "Run it with SQL*Plus or SQLcl, which ask for the password.";
    head(&mut out, setup, "The account", run);
    let _ = write!(
        out,
        "SET VERIFY OFF\nACCEPT reaper_password CHAR PROMPT 'Password for {}: ' HIDE\n",
        setup.user
    );
    account_itself(&mut out, setup);
    let grantee = Grantee {
        username: setup.user,
        service: setup.service,
    };
    for view in access::needed(&setup.asked) {
        let _ = write!(
            out,
            "\n-- {}: without it, {}\n{};\n",
            view.name,
            view.without,
            access::grant(view.name, grantee)
        );
    }
    if setup.asked.shape.container == Container::Root {
        out.push_str("\n-- the root shows an account its own data alone unless it is told otherwise\n");
        let _ = writeln!(out, "{};", access::see_all_containers(setup.user));
    }
    if setup.leader {
        out.push_str("\n-- to lead where several daemons watch this database: `leader` is configured\n");
        let _ = writeln!(out, "{};", access::grant_execute(leader::PACKAGE, grantee));
    }
    let (act, needs) = match setup.service {
        HostingService::AmazonRds => (access::grant_rds_package(setup.user), "Amazon's package"),
        HostingService::SelfManaged | HostingService::Autonomous => {
            (access::grant_privilege(PRIVILEGE, grantee), "a powerful privilege")
        }
    };
    if setup.guard {
        guard::script(&mut out, setup.asked.shape, setup.user);
    } else if setup.enforces {
        out.push_str("\n-- to end sessions: a policy enforces\n");
        let _ = writeln!(out, "{act};");
    } else {
        let _ = write!(
            out,
            "\n-- No policy enforces yet. When one does, and for `orareaper kill`, it needs {needs}:\n--   {act}\n"
        );
    }
    out
}

/// The statements of the guard package alone, for an account that is there.
#[must_use]
pub(crate) fn guard_script(setup: &Setup<'_>) -> String {
    let mut out = String::new();
    head(
        &mut out,
        setup,
        "The guard package",
        "Run it with SQL*Plus or SQLcl. The account is there already.",
    );
    guard::script(&mut out, setup.asked.shape, setup.user);
    out
}

fn head(out: &mut String, setup: &Setup<'_>, what: &str, run: &str) {
    let Shape { release, container, .. } = setup.asked.shape;
    let whose = setup.database.map_or_else(String::new, |name| format!(" on {name}"));
    let _ = write!(
        out,
        "-- {what} of orareaper{whose}, for Oracle Database {release}.\n-- {run}\n"
    );
    if setup.is_assumed {
        let _ = writeln!(out, "-- {ASSUMED}");
    }
    let by = match setup.service {
        HostingService::AmazonRds => "the master user",
        HostingService::SelfManaged | HostingService::Autonomous => "SYS",
    };
    let _ = match (container, setup.pdb) {
        (Container::NonCdb, _) => writeln!(out, "-- as {by}"),
        (Container::Root, _) => writeln!(out, "-- as {by} in CDB$ROOT"),
        (Container::Pdb, Some(name)) => writeln!(out, "-- as {by} in the PDB {name}"),
        (Container::Pdb, None) => writeln!(out, "-- as {by} in the PDB that `connect` leads to"),
    };
    if let Some(warning) = local_name(container, setup.user) {
        let _ = writeln!(out, "-- {warning}");
    }
    out.push_str("\nWHENEVER SQLERROR EXIT FAILURE\n");
}

/// What is wrong with the name of an account in the root, if anything. Whoever runs the statements need not be who printed them.
#[must_use]
pub(crate) fn local_name(container: Container, user: &str) -> Option<String> {
    (container == Container::Root && !user.starts_with("C##")).then(|| {
        format!(
            "warning: in CDB$ROOT the name of an account begins with COMMON_USER_PREFIX, which is C## unless it was changed; this one \
             is {user}, which Oracle refuses elsewhere: name another with --user, and in the configuration"
        )
    })
}

fn account_itself(out: &mut String, setup: &Setup<'_>) {
    let user = access::identifier(setup.user);
    let profile = access::identifier(&profile_name(setup));
    // A common account, and the profile of one, exist in all containers; a local one needs no clause.
    let everywhere = match setup.asked.shape.container {
        Container::Root => " CONTAINER=ALL",
        Container::NonCdb | Container::Pdb => "",
    };
    let _ = write!(
        out,
        "\n-- limits that would end its connections are off; the DEFAULT profile decides about its password\n\
         CREATE PROFILE {profile} LIMIT\n  SESSIONS_PER_USER {SESSIONS}\n  IDLE_TIME UNLIMITED\n  CONNECT_TIME UNLIMITED{everywhere};\n\
         \nCREATE USER {user} IDENTIFIED BY \"&reaper_password\" PROFILE {profile}{everywhere};\n\
         \n-- to log in\nGRANT CREATE SESSION TO {user};\n"
    );
}

fn profile_name(setup: &Setup<'_>) -> String {
    const SUFFIX: &str = "_PROFILE";
    let mut name = setup.user.to_owned();
    if setup.asked.shape.release < (Release { major: 12, minor: 2 }) {
        while name.len() > SHORT_NAME - SUFFIX.len() {
            name.pop();
        }
    }
    format!("{name}{SUFFIX}")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::policy::pressure::Resource;
    use crate::session::column::{Column, Columns};

    fn setup<'a>(container: Container, major: u32, minor: u32, resources: &'a [Resource]) -> Setup<'a> {
        Setup {
            database: Some("prod"),
            asked: PolicyNeeds {
                columns: [Column::Temp].into_iter().collect::<Columns>(),
                resources,
                shape: Shape {
                    release: Release { major, minor },
                    container,
                    cluster: false,
                },
            },
            pdb: None,
            is_assumed: false,
            user: if container == Container::Root {
                "C##REAPER"
            } else {
                "REAPER"
            },
            enforces: true,
            service: HostingService::SelfManaged,
            guard: false,
            leader: false,
        }
    }

    #[test]
    fn it_reads_from_top_to_bottom() {
        let mut setup = setup(Container::Root, 19, 0, &[]);
        setup.asked.columns = Columns::NONE;
        let text = script(&setup);
        let (begin, rest) = text.split_once("\n-- V$INSTANCE").expect("the views follow");
        assert_eq!(
            begin,
            "\
-- The account of orareaper on prod, for Oracle Database 19.0.
-- Run it with SQL*Plus or SQLcl, which ask for the password.
-- as SYS in CDB$ROOT

WHENEVER SQLERROR EXIT FAILURE
SET VERIFY OFF
ACCEPT reaper_password CHAR PROMPT 'Password for C##REAPER: ' HIDE

-- limits that would end its connections are off; the DEFAULT profile decides about its password
CREATE PROFILE C##REAPER_PROFILE LIMIT
  SESSIONS_PER_USER 20
  IDLE_TIME UNLIMITED
  CONNECT_TIME UNLIMITED CONTAINER=ALL;

CREATE USER C##REAPER IDENTIFIED BY \"&reaper_password\" PROFILE C##REAPER_PROFILE CONTAINER=ALL;

-- to log in
GRANT CREATE SESSION TO C##REAPER;
"
        );
        assert!(
            rest.ends_with(
                "
-- the root shows an account its own data alone unless it is told otherwise
ALTER USER C##REAPER SET CONTAINER_DATA=ALL CONTAINER=CURRENT;

-- to end sessions: a policy enforces
GRANT ALTER SYSTEM TO C##REAPER;
"
            ),
            "{rest}"
        );
    }

    /// One grant too few and a policy does nothing, one too many and nobody knows what for.
    #[test]
    fn every_view_that_is_read_is_granted_somewhere_and_nothing_else_is() {
        let mut granted = BTreeSet::new();
        for container in [Container::NonCdb, Container::Root, Container::Pdb] {
            let mut setup = setup(container, 19, 0, &Resource::ALL);
            setup.asked.columns = Column::ALL.iter().copied().collect();
            setup.asked.shape.cluster = true;
            setup.user = "REAPER";
            let text = script(&setup);
            let lines = text.lines().filter_map(|line| line.strip_suffix(';'));
            granted.extend(lines.filter(|line| line.contains(" ON sys.")).map(str::to_owned));
        }
        let reaper = Grantee {
            username: "REAPER",
            service: HostingService::SelfManaged,
        };
        let read: BTreeSet<String> = access::VIEWS
            .iter()
            .map(|view| access::grant(view.name, reaper))
            .collect();
        assert_eq!(granted, read);
    }

    /// SQL*Plus ends a statement at a semicolon that ends a line, takes & for a variable wherever it stands, and continues a line
    /// after a hyphen.
    #[test]
    fn no_comment_confuses_sqlplus() {
        for (container, major) in [(Container::NonCdb, 11), (Container::Root, 19), (Container::Pdb, 23)] {
            for guard in [false, true] {
                let mut setup = setup(container, major, 2, &Resource::ALL);
                setup.guard = guard;
                for line in script(&setup).lines() {
                    let comment = line.trim_start().starts_with("--");
                    assert!(!comment || !line.contains('&') && !line.ends_with([';', '-']), "{line}");
                    assert!(comment || !line.contains(" --"), "a comment after a statement: {line}");
                }
            }
        }
    }

    /// Its owner may do what the daemon's account may not.
    #[test]
    fn with_the_guard_package_the_account_may_end_no_session_itself() {
        for (container, owner, users) in [
            (Container::NonCdb, "ORAREAPER_OWNER", "dba_users"),
            (Container::Pdb, "ORAREAPER_OWNER", "dba_users"),
            (Container::Root, "C##ORAREAPER_OWNER", "cdb_users"),
        ] {
            let mut setup = setup(container, 19, 0, &[]);
            setup.guard = true;
            let text = script(&setup);
            let everywhere = if container == Container::Root {
                " CONTAINER=ALL"
            } else {
                ""
            };
            for line in [
                format!("CREATE USER {owner} NO AUTHENTICATION{everywhere};"),
                format!("GRANT ALTER SYSTEM TO {owner};"),
                format!("GRANT SELECT ON sys.gv_$session TO {owner};"),
                format!("GRANT SELECT ON sys.{users} TO {owner};"),
                format!("GRANT EXECUTE ON {owner}.orareaper_guard TO {};", setup.user),
                format!("INSERT INTO {owner}.orareaper_protected (username) VALUES ('SYS');"),
                format!("INSERT INTO {owner}.orareaper_protected (username) VALUES ('{owner}');"),
                format!("CREATE OR REPLACE PACKAGE BODY {owner}.orareaper_guard AS"),
            ] {
                assert!(text.lines().any(|found| found == line), "{line}\n{text}");
            }
            let own = format!("GRANT ALTER SYSTEM TO {};", setup.user);
            assert!(!text.contains(&own) && !text.contains(['{', '}']), "{text}");
            let of_owner = format!("ALTER USER {owner} SET CONTAINER_DATA=ALL CONTAINER=CURRENT;");
            assert_eq!(text.contains(&of_owner), container == Container::Root);
        }
        let mut old = setup(Container::NonCdb, 12, 2, &[]);
        old.guard = true;
        let text = script(&old);
        assert!(
            text.contains("IDENTIFIED BY VALUES 'S:") && text.contains(" ACCOUNT LOCK;"),
            "{text}"
        );
        old.asked.shape.release = Release { major: 11, minor: 2 };
        assert!(
            !script(&old).contains("MAX(oracle_maintained)"),
            "the column came with 12.1"
        );
    }

    #[test]
    fn the_right_to_lead_is_granted_where_one_of_several_is_to() {
        for leader in [false, true] {
            let mut setup = setup(Container::NonCdb, 19, 0, &[]);
            setup.leader = leader;
            let grant = "GRANT EXECUTE ON sys.dbms_lock TO REAPER;";
            assert_eq!(script(&setup).lines().any(|line| line == grant), leader);
        }
    }

    #[test]
    fn a_privilege_that_nothing_needs_yet_is_not_granted() {
        let mut setup = setup(Container::NonCdb, 19, 0, &[]);
        setup.enforces = false;
        let text = script(&setup);
        let granted = |line: &str| line.starts_with("GRANT ALTER SYSTEM");
        assert!(
            !text.lines().any(granted) && text.contains("--   GRANT ALTER SYSTEM TO REAPER"),
            "{text}"
        );
    }

    #[test]
    fn on_amazon_rds_every_right_comes_from_its_own_package() {
        let mut setup = setup(Container::NonCdb, 19, 0, &[]);
        setup.service = HostingService::AmazonRds;
        setup.leader = true;
        let by_package = "GRANT EXECUTE ON rdsadmin.rdsadmin_util TO REAPER";
        let text = script(&setup);
        assert!(
            text.contains("\n-- as the master user\n")
                && text
                    .contains("\nEXEC rdsadmin.rdsadmin_util.grant_sys_object('GV_$SESSION', 'REAPER', 'SELECT');\n")
                && text.ends_with(&format!("\n{by_package};\n")),
            "{text}"
        );
        setup.enforces = false;
        let later = script(&setup);
        assert!(later.ends_with(&format!("\n--   {by_package}\n")), "{later}");
        for text in [text, later] {
            assert!(!text.contains("ALTER SYSTEM") && !text.contains(" ON sys."), "{text}");
        }
    }

    /// What follows a failure ends there, so what exists already is not made again.
    #[test]
    fn the_guard_package_is_printed_alone_for_an_account_that_is_there() {
        for container in [Container::NonCdb, Container::Root, Container::Pdb] {
            let mut setup = setup(container, 19, 0, &[]);
            setup.guard = true;
            let (whole, alone) = (script(&setup), guard_script(&setup));
            let (head, package) = alone.split_once("FAILURE\n").expect("a head");
            assert!(whole.ends_with(package), "{alone}");
            assert!(head.starts_with("-- The guard package of orareaper on prod"), "{head}");
            for other in ["CREATE PROFILE", "reaper_password", "GRANT CREATE SESSION"] {
                assert!(whole.contains(other) && !alone.contains(other), "{other}: {alone}");
            }
            assert!(!alone.contains(&format!("CREATE USER {} ", setup.user)), "{alone}");
        }
    }

    #[test]
    fn a_release_comes_with_containers_or_without() {
        for (container, major, minor, is_possible) in [
            (Container::NonCdb, 11, 2, true),
            (Container::Pdb, 11, 2, false),
            (Container::Root, 12, 1, true),
            (Container::NonCdb, 19, 0, true),
            (Container::NonCdb, 21, 0, false),
            (Container::Root, 26, 0, true),
        ] {
            let shape = setup(container, major, minor, &[]).asked.shape;
            assert_eq!(possible(shape).is_ok(), is_possible, "{shape:?}");
        }
    }

    #[test]
    fn an_account_is_named_as_the_database_spells_it() {
        for (login, name) in [
            ("reaper", "REAPER"),
            ("c##reaper", "C##REAPER"),
            ("\"reaper\"", "reaper"),
            ("proxy[reaper]", "REAPER"),
        ] {
            assert_eq!(account(login), name);
        }
        let mut long = setup(Container::NonCdb, 11, 2, &[]);
        long.user = "A_NAME_THAT_IS_QUITE_LONG_30BY";
        assert_eq!(profile_name(&long), "A_NAME_THAT_IS_QUITE_L_PROFILE");
    }
}
