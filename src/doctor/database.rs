//! What `doctor` looks at on one database: over the reading connection that the daemon would make, and over one that acts.

use std::sync::Arc;

use crate::checks::{Check, Id, State};
use crate::clock::{Clock, SystemClock};
use crate::columns_needed;
use crate::config;
use crate::daemon;
use crate::daemon::accounts::AccountMemory;
use crate::daemon::messages::{Needs, Polled};
use crate::daemon::poller::Poller;
use crate::daemon::reach::Reach;
use crate::daemon::standby::Needed;
use crate::decide::in_force::{Absent, DatabaseRules, Due, Here, RunMode};
use crate::doctor::right::{self, Acts};
use crate::doctor::{Examined, builtin, limits};
use crate::gaps;
use crate::oracle::access::{self, Grantee, PolicyNeeds, Unreadable};
use crate::oracle::capabilities::{Capabilities, Container, HostingService, Provenance, Release, Shape, Way};
use crate::oracle::error::AccountFault;
use crate::oracle::network;
use crate::oracle::probe::outline;
use crate::oracle::{Class, ConnectSlot, Connection, Error, account};
use crate::policy::model::{Action, PolicySet};
use crate::quantity::Span;
use crate::session::column::{Column, Columns, Source};
use crate::setup_sql::account as account_of;
use crate::terminal::visible::visible;

/// The clocks of the database and of this host may differ by this many seconds.
const CLOCK_SLACK: i64 = 60;

/// Examines a database.
#[must_use]
pub fn examine(
    database: &config::DatabaseConfig,
    set: &Arc<PolicySet>,
    accounts: &Arc<AccountMemory>,
    clock: SystemClock,
) -> Examined {
    let mut examination = Examination {
        database,
        set,
        clock,
        rules: DatabaseRules::of(database, false, Arc::clone(set)),
        checks: Vec::new(),
    };
    let reached = match daemon::reach(database, accounts) {
        Ok(reach) => examination.look(&reach),
        Err(error) => {
            let found = Check::new(Id::Connection, "", State::Missing, error.to_string());
            examination
                .checks
                .push(found.with("put the password where `password` says"));
            false
        }
    };
    let mut checks = examination.checks;
    for check in &mut checks {
        check.found = visible(&check.found).into_owned();
    }
    Examined {
        database: Some(database.name.to_string()),
        checks,
        reached,
    }
}

struct Examination<'a> {
    database: &'a config::DatabaseConfig,
    set: &'a Arc<PolicySet>,
    clock: SystemClock,
    rules: DatabaseRules,
    checks: Vec<Check>,
}

/// What there is to do about a connection that failed.
const fn remedy(error: &Error) -> &'static str {
    match error.class {
        Class::Auth => match error.account_fault() {
            Some(AccountFault::Locked) => {
                "unlock it: ALTER USER ... ACCOUNT UNLOCK; find out first who locked it, because a program with a wrong password locks it \
                 again"
            }
            Some(AccountFault::Expired) => {
                "give it a new password, ALTER USER ... IDENTIFIED BY ..., and write that where `password:` of the configuration says; \
                 PASSWORD_LIFE_TIME of its profile says when the next one expires"
            }
            Some(AccountFault::WrongPassword) | None => {
                "correct `user`, or the password where `password:` of the configuration says; each further attempt with a wrong one brings \
                 the account nearer to its lock"
            }
        },
        Class::Config => "correct `connect`, `user` or the host's Oracle Net files, or grant what is missing",
        Class::Backoff => "see that the database is open and its listener knows the service, and try again",
        Class::Reconnect | Class::Cancelled | Class::Partial => {
            "try again; if it stays, look at the database's alert log"
        }
        Class::Unsupported | Class::Bug => "report it with this text",
    }
}

impl Examination<'_> {
    fn add(&mut self, check: Check) {
        self.checks.push(check);
    }

    fn say(&mut self, id: Id, about: &str, state: State, found: impl Into<String>) {
        self.add(Check::new(id, about, state, found));
    }

    /// Looks at all of it. Whether the database could be read.
    fn look(&mut self, reach: &Reach) -> bool {
        let mut poller = Poller::new(reach.clone(), Arc::new(self.clock));
        let needs = Needs::all_sessions(columns_needed::columns(self.set), columns_needed::resources(self.set));
        let polled = poller.poll(&needs);
        let acts = match &polled {
            Ok(polled) => self.understood(reach, &mut poller, polled, &needs),
            Err(error) => match self.not_understood(reach, &mut poller, error, &needs) {
                Some(acts) => acts,
                None => {
                    self.refused(error);
                    poller.close();
                    return false;
                }
            },
        };
        self.acting(reach, acts);
        poller.close();
        true
    }

    /// A database that cannot be connected to, or that broke the connection.
    fn refused(&mut self, error: &Error) {
        let check = Check::new(Id::Connection, "", State::Missing, error.to_string());
        let user = match &self.database.login {
            config::LoginConfig::Password { user, .. } => Some(account_of(user)),
            config::LoginConfig::External => None,
        };
        self.add(match user.filter(|_| error.lacks_create_session()) {
            Some(user) => {
                let grantee = Grantee {
                    username: &user,
                    service: HostingService::SelfManaged,
                };
                check.granted_by(access::grant_privilege("CREATE SESSION", grantee))
            }
            None => check.with(remedy(error)),
        });
    }

    /// A database that could be read.
    fn understood(&mut self, reach: &Reach, poller: &mut Poller, polled: &Polled, needs: &Needs) -> Acts {
        let capabilities = &*polled.capabilities;
        let own = capabilities.own;
        let connected = format!(
            "connected by driver {} to {} as {}, session '{},{},@{}'",
            reach.target.driver,
            reach.target.address(),
            capabilities.own_username,
            own.sid,
            own.serial,
            own.inst_id
        );
        self.say(Id::Connection, "", State::Fine, connected);
        self.network(reach, poller, capabilities);
        self.what_it_is(reach, capabilities);
        let said = polled.checks();
        self.container_data(capabilities, &said);
        self.checks.extend(said);
        self.readable_views(capabilities.shape(), needs, &polled.unreadable);
        if capabilities.maintained_from == Provenance::Dictionary {
            self.say(
                Id::Dictionary,
                "",
                State::Fine,
                "Oracle's own accounts are those that the dictionary marks",
            );
        }
        // That the open mode cannot be read is said of its view.
        let mut assumed = capabilities.clone();
        if assumed.open_mode.is_empty() {
            "READ WRITE".clone_into(&mut assumed.open_mode);
        }
        let here = self.rules.here(|action| assumed.supports(action), Due::Always);
        self.columns(polled, &here);
        self.actions(capabilities, &here);
        let needed = Needed::of(self.set, here.running(), &polled.snapshot);
        let acting = match &needed {
            Needed::Nothing => 0,
            Needed::Any => 1,
            Needed::Each(instances) => instances.len(),
        };
        if let Some((connection, _)) = poller.connection() {
            self.own_limits(connection, &capabilities.own_username, acting, &polled.unreadable);
        }
        self.clocks(polled);
        Acts {
            service: capabilities.service,
            way: capabilities.way(),
            container: capabilities.container(),
            enforces: here.running().iter().any(|run| {
                let acts = self.set.policies[run.index()]
                    .actions()
                    .any(|action| action != Action::Report);
                run.mode() == RunMode::Enforce && acts
            }),
            username: capabilities.own_username.clone(),
        }
    }

    /// What protects the connection on its way.
    fn network(&mut self, reach: &Reach, poller: &mut Poller, capabilities: &Capabilities) {
        let driver = reach.target.driver;
        let Some((connection, _)) = poller.connection() else {
            return;
        };
        let found = network::network(connection, (driver, capabilities.own.sid), reach.call_limit);
        let grantee = Grantee {
            username: &capabilities.own_username,
            service: capabilities.service,
        };
        self.add(match found {
            Ok(facts) => super::network::check(&facts, driver, grantee),
            Err(error) => Check::new(Id::Network, "", State::Untried, error.to_string()).with(remedy(&error)),
        });
    }

    /// A database over which a view is missing that the daemon cannot do without: all that are missing are named, not only the first.
    fn not_understood(&mut self, reach: &Reach, poller: &mut Poller, error: &Error, needs: &Needs) -> Option<Acts> {
        let (connection, _) = poller.connection()?;
        let limit = reach.call_limit;
        let outline = outline(connection, limit).ok()?;
        let asked = PolicyNeeds {
            columns: needs.columns.union(columns_needed::ALWAYS.into_iter().collect()),
            resources: &needs.resources,
            shape: outline.shape,
        };
        let unreadable = access::check(connection, &asked, outline.grantee(), limit).ok()?;
        let connected = format!(
            "connected by driver {} to {} as {}",
            reach.target.driver,
            reach.target.address(),
            outline.username
        );
        self.say(Id::Connection, "", State::Fine, connected);
        self.release(outline.shape.release, &outline.shape.release.to_string());
        self.container(outline.shape.container, &outline.con_name);
        if unreadable.is_empty() {
            // No view is missing, so the reason is another.
            self.add(Check::new(Id::View, "", State::Missing, error.to_string()).with(remedy(error)));
        }
        self.checks.extend(unreadable.iter().map(Unreadable::check));
        self.readable_views(outline.shape, needs, &unreadable);
        let (connection, _) = poller.connection()?;
        self.own_limits(connection, &outline.username, 1, &unreadable);
        let running = self.rules.configured(Due::Always);
        Some(Acts {
            service: outline.service,
            way: Way::of(self.database.via, outline.service, outline.shape.container),
            container: outline.shape.container,
            enforces: running.running().iter().any(|run| run.mode() == RunMode::Enforce),
            username: outline.username,
        })
    }

    fn release(&mut self, release: Release, version: &str) {
        if release.at_least(11, 2) {
            self.say(Id::Release, "", State::Fine, format!("Oracle Database {version}"));
        } else {
            let found = format!("Oracle Database {version} is older than 11.2, the first release that is supported");
            self.add(Check::new(Id::Release, "", State::Missing, found).with("upgrade the database"));
        }
    }

    fn container(&mut self, container: Container, name: &str) {
        let found = match container {
            Container::NonCdb => "no containers".to_owned(),
            Container::Root => "CDB$ROOT: the sessions of all containers are read".to_owned(),
            Container::Pdb => format!("PDB {name}: its own sessions are read"),
        };
        self.say(Id::Container, "", State::Fine, found);
    }

    fn what_it_is(&mut self, reach: &Reach, capabilities: &Capabilities) {
        self.release(capabilities.release, &capabilities.version);
        for instance in &capabilities.instances {
            let what = format!(
                "instance {} ({}) on {} is {}",
                instance.inst_id, instance.name, instance.host, instance.status
            );
            let about = instance.inst_id.to_string();
            if capabilities.instances.len() == 1 {
                self.say(Id::Instances, &about, State::Fine, what);
                continue;
            }
            match reach.target.on_instance(&instance.name) {
                Ok(target) => {
                    let found = format!("{what}; a DISCONNECT is sent to it by {}", target.address());
                    self.say(Id::Instances, &about, State::Fine, found);
                }
                // If a policy needs it, that policy does not run, which is said of it.
                Err(why) => self.say(Id::Instances, &about, State::Note, format!("{what}; {why}")),
            }
        }
        self.container(capabilities.container(), &capabilities.con_name);
        let role = format!("{}, open mode {}", capabilities.role, capabilities.open_mode);
        if capabilities.open_mode.starts_with("READ") {
            self.say(Id::Role, "", State::Fine, role);
        } else if !capabilities.open_mode.is_empty() {
            let found = format!("{role}: DISCONNECT SESSION needs an open database");
            self.say(Id::Role, "", State::Note, found);
        }
    }

    fn container_data(&mut self, capabilities: &Capabilities, said: &[Check]) {
        let is_told = said
            .iter()
            .any(|check| check.id == Id::ContainerData || check.about == "V$PDBS");
        if capabilities.container() == Container::Root && !is_told {
            self.say(
                Id::ContainerData,
                "",
                State::Fine,
                "the account sees the sessions and the accounts of all containers",
            );
        }
    }

    fn readable_views(&mut self, shape: Shape, needs: &Needs, unreadable: &[Unreadable]) {
        let asked = PolicyNeeds {
            columns: needs.columns.union(columns_needed::ALWAYS.into_iter().collect()),
            resources: &needs.resources,
            shape,
        };
        for view in access::needed(&asked) {
            if !unreadable.iter().any(|known| known.view == view.name) {
                self.say(Id::View, view.name, State::Fine, format!("{} can be read", view.name));
            }
        }
    }

    /// What the policies cannot see. What is missing only because its view cannot be read is said of that view.
    fn columns(&mut self, polled: &Polled, here: &Here) {
        let follows_from_a_view = |check: &Check| {
            let of_session = Column::named(&check.about).is_some_and(|column| column.source() == Source::Session);
            matches!(check.id, Id::Column | Id::Gate) && !of_session && !polled.unreadable.is_empty()
        };
        let gaps = gaps::checks(&polled.snapshot, &polled.readings, self.set, here.running());
        let mut lacks = false;
        for check in gaps.into_iter().filter(|check| !follows_from_a_view(check)) {
            lacks |= check.id == Id::Column;
            self.add(match check.state {
                State::Missing => {
                    check.with("leave the column out of the policy, or this database out of its `databases`")
                }
                State::Fine | State::Note | State::Untried => check,
            });
        }
        if !lacks && polled.unreadable.is_empty() {
            let columns: Columns = polled.capabilities.columns;
            let found = format!(
                "every column that the policies need is there ({} of GV$SESSION can be read)",
                columns.iter().count()
            );
            self.say(Id::Column, "", State::Fine, found);
        }
    }

    fn actions(&mut self, capabilities: &Capabilities, here: &Here) {
        for (policy, run) in self.set.policies.iter().zip(here.each()) {
            match run {
                Ok(run) => {
                    let mode = match run.mode() {
                        RunMode::Enforce => "enforces here",
                        RunMode::DryRun => "rehearses here",
                    };
                    let found = format!("policy {} {mode}: {}", policy.name, policy.action);
                    self.say(Id::Action, &policy.name, State::Fine, found);
                    self.checks.extend(builtin::replaces(policy, capabilities.release));
                }
                Err(Absent::Unsupported(why)) => self.add(Check::does_not_run(&policy.name, why)),
                Err(Absent::Off | Absent::Elsewhere | Absent::OutsideDates(_)) => {}
            }
        }
    }

    /// What limits the account, and the character set. A view that is missing for it is said of that view.
    fn own_limits(&mut self, connection: &mut dyn Connection, user: &str, acting: usize, unreadable: &[Unreadable]) {
        let limit = self.database.call_timeout;
        let of = limits::Use {
            poll: self.database.poll,
            connections: 1 + acting,
            at_most: 1 + acting * usize::try_from(self.rules.limits().parallel).unwrap_or(usize::MAX),
        };
        match account::account_status(connection, limit) {
            Ok(status) => self.add(limits::account(user, &status)),
            Err(error) => self.say(Id::Account, user, State::Untried, error.to_string()),
        }
        let known = !unreadable.iter().any(|view| view.view == "V$PARAMETER");
        let parameters = known.then(|| account::idle_limits(connection, limit));
        let in_force = match &parameters {
            Some(Ok(parameters)) => parameters
                .get("resource_limit")
                .map(|value| value.eq_ignore_ascii_case("TRUE")),
            Some(Err(_)) | None => None,
        };
        match account::profile(connection, limit) {
            Ok(profile) => self.checks.extend(limits::profile(user, &profile, of, in_force)),
            Err(error) => self.say(Id::Profile, user, State::Untried, error.to_string()),
        }
        match parameters {
            Some(Ok(parameters)) => self.checks.extend(limits::idle_limits(&parameters, of)),
            Some(Err(error)) => self.say(Id::IdleLimits, "", State::Untried, error.to_string()),
            None => {}
        }
        match account::character_set(connection, limit) {
            Ok((name, true)) => self.say(Id::CharacterSet, "", State::Fine, name),
            Ok((name, false)) => {
                let found = format!(
                    "{name} is not UTF-8: once the text of a session is not valid in it, texts that are not ASCII are unknown"
                );
                self.say(Id::CharacterSet, "", State::Note, found);
            }
            Err(error) => self.say(Id::CharacterSet, "", State::Untried, error.to_string()),
        }
    }

    fn clocks(&mut self, polled: &Polled) {
        if polled.dates_fault.is_none() {
            let found = "SYSDATE agrees with the LOGON_TIME of the daemon's own session";
            self.say(Id::Clock, "SYSDATE", State::Fine, found);
        }
        let Some(there) = polled.snapshot.utc() else {
            self.say(Id::Clock, "host", State::Untried, "the database does not show its time");
            return;
        };
        let ahead = (there - self.clock.utc()).num_seconds();
        if ahead.abs() <= CLOCK_SLACK {
            self.say(
                Id::Clock,
                "host",
                State::Fine,
                "the database's clock agrees with this host's",
            );
            return;
        }
        let (by, way) = (
            Span(ahead.abs() / 60 * 60),
            if ahead > 0 { "ahead of" } else { "behind" },
        );
        let found = format!(
            "the database's clock is {by} {way} this host's: schedules, budgets and holds go by the database's, records and blackouts \
             by this host's too"
        );
        let check = Check::new(Id::Clock, "host", State::Missing, found);
        self.add(check.with("set both clocks by NTP"));
    }

    /// The connection that acts, and whether it may. Nothing is sent over it that acts.
    fn acting(&mut self, reach: &Reach, acts: Acts) {
        let mut connection = match reach.connect_to_act(&ConnectSlot::new(), None) {
            Ok(connection) => connection,
            Err(error) => {
                let check = Check::new(Id::ActingConnection, "", State::Missing, error.to_string());
                self.add(check.with(remedy(&error)));
                self.add(right::unasked(acts.way));
                return;
            }
        };
        self.say(
            Id::ActingConnection,
            "",
            State::Fine,
            "a second connection, which acts, can be made",
        );
        let rights = right::look(&mut *connection, &acts, reach.call_limit);
        self.checks.extend(rights);
        if let Some(leader) = &reach.leader {
            self.add(right::to_lead(&mut *connection, leader.lock, &acts, reach.call_limit));
        }
        connection.close(std::time::Duration::from_secs(1));
    }
}
