//! Runs one statement of a client, of any kind, from its text to its answer.

#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "sqlparser has hundreds of kinds of nodes, of which few are Oracle's"
)]

use std::sync::Arc;

use sqlparser::ast::{ObjectType, SetExpr, Statement as Tree};

use super::client::ClientSession;
use super::kill::{Killer, Verdict};
use super::lock::wait_clause;
use super::session::Mark;
use super::{Order, Shared};
use crate::backend::{Bind, Column, ColumnType, OraError, Reply, Rows, StatementKind, Value};
use crate::clock::{Moment, moment};
use crate::error::{cut, known, not_simulated, ora};
use crate::faults::Strike;
use crate::sql::alter::{self, Alter, Grammar};
use crate::sql::ddl::{self, Ddl};
use crate::sql::engine::{Engine, parse};
use crate::sql::lex::Tokens;
use crate::sql::plsql;
use crate::sql::{Catalog, Clocks, Source, change, result_column};
use crate::views::{self, instance::unique_name};

/// The rows of a result, all at hand.
struct Held(std::vec::IntoIter<Vec<Value>>);

impl Rows for Held {
    fn next_row(&mut self) -> Result<Option<Vec<Value>>, OraError> {
        Ok(self.0.next())
    }
}

fn done(kind: StatementKind) -> Reply {
    Reply::Done {
        kind,
        affected: vec![0],
        out: Vec::new(),
    }
}

type Result<T, E = OraError> = std::result::Result<T, E>;

impl ClientSession {
    /// Runs a statement with its rows of binds.
    pub(crate) fn run(&mut self, tokens: &Tokens<'_>, binds: &[Vec<Bind>], describe_only: bool) -> Result<Reply> {
        let strikes = self.strikes(tokens.text)?;
        self.garbled = strikes.iter().find_map(|strike| {
            let Strike::Garble(seed) = strike else { return None };
            Some(*seed)
        });
        let reply = self.run_struck(tokens, binds, describe_only, &strikes);
        if strikes.contains(&Strike::CutAfter) {
            self.shared.look().remove(self.seat);
            return Err(cut());
        }
        reply
    }

    /// Runs a statement within a package, whose call has been struck already.
    pub(crate) fn run_within(
        &mut self,
        tokens: &Tokens<'_>,
        binds: &[Vec<Bind>],
        describe_only: bool,
    ) -> Result<Reply> {
        self.run_struck(tokens, binds, describe_only, &[])
    }

    fn run_struck(
        &mut self,
        tokens: &Tokens<'_>,
        binds: &[Vec<Bind>],
        describe_only: bool,
        strikes: &[Strike],
    ) -> Result<Reply> {
        let first = binds.first().map_or(&[][..], Vec::as_slice);
        match tokens.first_word().as_str() {
            "BEGIN" | "DECLARE" | "CALL" => plsql::run(self, tokens, binds, describe_only),
            "SELECT" | "WITH" => {
                tokens.refuse_semicolon(self.release_major() >= 23)?;
                let with_values = plsql::with_values(self, tokens)?;
                self.select(with_values.as_ref().unwrap_or(tokens), first, describe_only)
            }
            "ALTER" => {
                tokens.refuse_semicolon(self.release_major() >= 23)?;
                if let Some(ddl) = self.about_accounts(tokens) {
                    return self.administered(ddl?, describe_only);
                }
                self.alter(tokens, describe_only, strikes)
            }
            "COMMIT" | "ROLLBACK" => {
                let keep = tokens.first_word() == "COMMIT";
                let words: Vec<_> = tokens.tokens[1..]
                    .iter()
                    .map(|it| crate::sql::lex::word(&it.token))
                    .collect();
                if words.iter().any(|it| it.as_deref() == Some("TO")) {
                    return Err(not_simulated("ROLLBACK TO SAVEPOINT"));
                }
                if !describe_only {
                    self.end_transaction(keep)?;
                }
                Ok(done(StatementKind::Other))
            }
            "CREATE" if let Some(created) = plsql::unit::read(tokens) => {
                if !describe_only {
                    self.end_transaction(true)?;
                    self.create_package(created?, tokens.text)?;
                }
                Ok(done(StatementKind::Other))
            }
            "INSERT" | "UPDATE" | "DELETE" | "CREATE" | "DROP" | "TRUNCATE" | "GRANT" | "REVOKE" => {
                tokens.refuse_semicolon(self.release_major() >= 23)?;
                if let Some(ddl) = self.about_accounts(tokens) {
                    return self.administered(ddl?, describe_only);
                }
                self.modify(tokens, binds, describe_only)
            }
            word @ ("SET" | "SAVEPOINT" | "LOCK" | "EXPLAIN" | "COMMENT" | "MERGE" | "RENAME" | "ANALYZE" | "AUDIT"
            | "NOAUDIT" | "PURGE" | "FLASHBACK" | "ASSOCIATE" | "DISASSOCIATE") => Err(not_simulated(word)),
            _ => Err(known(900)),
        }
    }

    fn about_accounts(&self, tokens: &Tokens<'_>) -> Option<Result<Ddl>> {
        ddl::read(tokens, self.shared.scenario.release)
    }

    /// What every such statement does besides: it commits.
    fn administered(&mut self, ddl: Ddl, describe_only: bool) -> Result<Reply> {
        if !describe_only {
            self.end_transaction(true)?;
            self.administer(ddl)?;
        }
        Ok(done(StatementKind::Other))
    }

    fn release_major(&self) -> u8 {
        self.shared.scenario.release.major()
    }

    /// What the translator may know, as of now.
    pub(crate) fn catalog(&self) -> SessionCatalog<'_> {
        SessionCatalog {
            session: self,
            now: self.shared.look().now,
        }
    }

    /// The session's SQLite, made at its first need.
    pub(crate) fn take_engine(&mut self) -> Result<Engine> {
        match self.engine.take() {
            Some(engine) => Ok(engine),
            None => Engine::new(self.interruption()),
        }
    }

    fn select(&mut self, tokens: &Tokens<'_>, binds: &[Bind], describe_only: bool) -> Result<Reply> {
        let wait = wait_clause(tokens);
        let shorter;
        let tokens = match wait {
            Some(_) => {
                shorter = Tokens {
                    text: tokens.text,
                    tokens: tokens.tokens[..tokens.tokens.len() - 2].to_vec(),
                    binds: tokens.binds.clone(),
                };
                &shorter
            }
            None => tokens,
        };
        let Tree::Query(query) = parse(tokens)? else {
            return Err(known(900));
        };
        if !describe_only {
            self.lock_rows(tokens, &query, binds, wait)?;
        }
        let engine = self.take_engine()?;
        let answer = {
            let catalog = self.catalog();
            engine.query(
                &self.shared,
                &self.setting.viewer,
                &catalog,
                (tokens, &query),
                binds,
                describe_only,
            )
        };
        self.engine = Some(engine);
        // One that was interrupted says why.
        self.with_own(|_, _| ())?;
        let answer = answer?;
        let columns: Arc<[Column]> = answer
            .columns
            .into_iter()
            .map(|(name, ty)| result_column(name, ty))
            .collect();
        let rows = answer
            .rows
            .map(|rows| Box::new(Held(rows.into_iter())) as Box<dyn Rows>);
        Ok(Reply::Query { columns, rows })
    }

    fn modify(&mut self, tokens: &Tokens<'_>, binds: &[Vec<Bind>], describe_only: bool) -> Result<Reply> {
        let tree = parse(tokens)?;
        if describe_only {
            return Ok(done(StatementKind::Other));
        }
        if self.shared.scenario.database.open_mode != "READ WRITE" {
            return Err(known(16_000));
        }
        match &tree {
            Tree::Insert(_) | Tree::Update(_) | Tree::Delete(_) => {
                let once = [Vec::new()];
                let rows = if binds.is_empty() { &once[..] } else { binds };
                let mut kind = StatementKind::Other;
                let mut affected = Vec::new();
                for row in rows {
                    let (of, count) = self.change(tokens, &tree, row)?;
                    kind = of;
                    affected.push(count as u64);
                }
                Ok(Reply::Done {
                    kind,
                    affected,
                    out: Vec::new(),
                })
            }
            Tree::CreateTable(create) => {
                self.end_transaction(true)?;
                self.create(tokens, create)
            }
            Tree::Drop {
                object_type: ObjectType::Table,
                names,
                ..
            } => {
                self.end_transaction(true)?;
                for name in names {
                    let (owner, name) = change::named(name, &self.setting.schema);
                    if !self.shared.look().tables.remove(&owner, &name) {
                        return Err(known(942));
                    }
                }
                Ok(done(StatementKind::Other))
            }
            Tree::Truncate(truncate) => {
                self.end_transaction(true)?;
                for target in &truncate.table_names {
                    let (owner, name) = change::named(&target.name, &self.setting.schema);
                    let mut state = self.shared.look();
                    let columns = state.tables.get(&owner, &name).map(|table| table.columns.clone());
                    let columns = columns.ok_or_else(|| known(942))?;
                    state.tables.remove(&owner, &name);
                    state
                        .tables
                        .create(&owner, &name, super::tables::UserTable::new(columns));
                }
                Ok(done(StatementKind::Other))
            }
            _ => Err(not_simulated(&format!("{} of this kind", tokens.first_word()))),
        }
    }

    fn change(&mut self, tokens: &Tokens<'_>, tree: &Tree, binds: &[Bind]) -> Result<(StatementKind, usize)> {
        loop {
            let engine = self.take_engine()?;
            let planned = {
                let catalog = self.catalog();
                let world = (self.shared.as_ref(), &self.setting.viewer);
                change::plan(&engine, world, &catalog, (tokens, tree), &self.setting.schema, binds)
            };
            self.engine = Some(engine);
            self.with_own(|_, _| ())?;
            let planned = planned?;
            let mut state = self.shared.look();
            let count = planned.changes.len();
            let table = state
                .tables
                .get_mut(&planned.owner, &planned.name)
                .ok_or_else(|| known(942))?;
            match table.holder(self.setting.viewer.holder, planned.changes.iter().map(|(id, _)| *id)) {
                // The row may look different once its holder is through: work it out again then.
                Some(holder) => {
                    drop(state);
                    self.wait_for_row(holder, Moment::MAX)?;
                }
                None => {
                    table.change(self.setting.viewer.holder, planned.changes);
                    if count > 0 {
                        self.changed(&mut state, count);
                    }
                    return Ok((planned.kind, count));
                }
            }
        }
    }

    fn create(&mut self, tokens: &Tokens<'_>, create: &sqlparser::ast::CreateTable) -> Result<Reply> {
        let (owner, name, mut table, query) = change::created(create, &self.setting.schema)?;
        if let Some(query) = query {
            if matches!(query.body.as_ref(), SetExpr::Values(_)) {
                return Err(known(900));
            }
            let engine = self.take_engine()?;
            let answer = {
                let catalog = self.catalog();
                engine.query(
                    &self.shared,
                    &self.setting.viewer,
                    &catalog,
                    (tokens, &query),
                    &[],
                    false,
                )
            };
            self.engine = Some(engine);
            self.with_own(|_, _| ())?;
            let answer = answer?;
            table.columns = answer
                .columns
                .iter()
                .map(|(name, ty)| (name.clone(), ty.column()))
                .collect();
            let rows = answer.rows.unwrap_or_default();
            let images = rows
                .iter()
                .map(|row| Some(row.iter().map(crate::sql::types::lite).collect()));
            table.change(self.seat, (1..).zip(images).collect());
        }
        let mut state = self.shared.look();
        if !state.tables.create(&owner, &name, table) {
            return Err(known(955));
        }
        state.tables.commit(self.seat);
        Ok(done(StatementKind::Other))
    }

    fn alter(&mut self, tokens: &Tokens<'_>, describe_only: bool, strikes: &[Strike]) -> Result<Reply> {
        let spec = &self.shared.scenario.database;
        let with_instance = self.shared.scenario.behaviour.disconnect_with_instance;
        let grammar = Grammar {
            release: self.shared.scenario.release,
            disconnect_takes_instance: with_instance.map_or(spec.disconnect_takes_instance, |answer| answer == 0),
            refused_instance: with_instance.unwrap_or(26),
        };
        let alter = alter::read(tokens, grammar);
        match &alter {
            Ok(Alter::Session(_)) => {}
            // Without the privilege no other error is reported.
            Ok(Alter::End(_) | Alter::System(_)) | Err(_) if self.is_system(tokens) => self.may_alter_system()?,
            Ok(Alter::End(_) | Alter::System(_)) | Err(_) => {}
        }
        match alter? {
            Alter::End(_) | Alter::System(_) if describe_only => Ok(done(StatementKind::AlterSystem)),
            Alter::End(order) if spec.cloud_service.is_some() && !order.clause.is_kill() => Err(known(1031)),
            Alter::End(order) => {
                self.end_session(&order, tokens.text, strikes)?;
                Ok(done(StatementKind::AlterSystem))
            }
            Alter::System(what) => Err(not_simulated(&format!("ALTER SYSTEM {what}"))),
            Alter::Session(settings) => {
                for (name, value) in settings {
                    self.set(&name, value)?;
                }
                Ok(done(StatementKind::AlterSession))
            }
        }
    }

    fn is_system(&self, tokens: &Tokens<'_>) -> bool {
        tokens
            .tokens
            .get(1)
            .and_then(|token| crate::sql::lex::word(&token.token))
            .as_deref()
            == Some("SYSTEM")
    }

    fn may_alter_system(&self) -> Result<()> {
        let (user, con_id) = (&self.setting.viewer.user, self.setting.viewer.con_id);
        if self.setting.sysdba || self.shared.look().accounts.holds(user, con_id, "ALTER SYSTEM") {
            Ok(())
        } else {
            Err(known(1031))
        }
    }

    fn set(&mut self, name: &str, value: String) -> Result<()> {
        match name {
            "NLS_DATE_FORMAT" => self.setting.date_model = value,
            "NLS_TIMESTAMP_FORMAT" => self.setting.time_model = value,
            "CURRENT_SCHEMA" => {
                crate::backend::Session::set_current_schema(self, &value);
            }
            "CONTAINER" => {
                let con_id = self.shared.scenario.con_id(Some(&value));
                let con_id =
                    con_id.ok_or_else(|| ora(65_011, format!("Pluggable database {value} does not exist.")))?;
                self.setting.viewer.con_id = con_id;
                self.with_own(|sess, _| sess.con_id = con_id)?;
            }
            _ => alter::without_effect(name)?,
        }
        Ok(())
    }

    /// Ends another's session, and waits where the clause does.
    fn end_session(&self, order: &Order, text: &str, strikes: &[Strike]) -> Result<()> {
        let killer = Killer {
            seat: self.seat,
            user: Arc::clone(self.user()),
            con_id: self.setting.viewer.con_id,
        };
        let mut state = self.shared.look();
        let (record, verdict) = state.order(&self.shared, &killer, order, text, strikes);
        drop(state);
        let answer = verdict.and_then(|verdict| match verdict {
            Verdict::Done => Ok(()),
            Verdict::Wait { seat, serial, deadline } => {
                let gone = self.wait(deadline, false, |state| {
                    let victim = state.sessions.get(&seat).filter(|sess| sess.serial == serial);
                    victim.is_none_or(|sess| matches!(sess.mark, Some(Mark { released, .. }) if released <= state.now))
                })?;
                if gone { Ok(()) } else { Err(known(31)) }
            }
        });
        if let Some(record) = self.shared.look().kills.get_mut(record) {
            record.answer = Some(answer.as_ref().err().map_or(0, |error| error.code));
        }
        answer
    }
}

/// What the translator may know, as of now.
pub(crate) struct SessionCatalog<'a> {
    session: &'a ClientSession,
    now: Moment,
}

impl Catalog for SessionCatalog<'_> {
    fn find(&self, owner: Option<&str>, name: &str) -> Option<(Source, Vec<(String, ColumnType)>)> {
        let shared: &Shared = &self.session.shared;
        if let Some((view, global)) = views::find(shared.scenario.release, owner, name) {
            let granted_as = views::all()[view].granted_as(global);
            let public = [
                "DUAL",
                "ALL_USERS",
                "ALL_OBJECTS",
                "NLS_DATABASE_PARAMETERS",
                "ALL_TAB_COLUMNS",
                "PRODUCT_COMPONENT_VERSION",
                "SESSION_PRIVS",
                "USER_SYS_PRIVS",
                "USER_USERS",
                "USER_RESOURCE_LIMITS",
            ];
            let viewer = &self.session.setting.viewer;
            let is_public = || public.contains(&granted_as.as_str());
            let may_read = || {
                shared
                    .look()
                    .accounts
                    .may_read(&viewer.user, viewer.con_id, &granted_as)
            };
            if !self.session.setting.sysdba && !is_public() && !may_read() {
                return None;
            }
            return Some((
                Source::View { view, global },
                views::all()[view].columns(&shared.scenario, global),
            ));
        }
        let owner = owner.unwrap_or(&self.session.setting.schema);
        let state = shared.look();
        let table = state.tables.get(owner, name)?;
        let viewer = &self.session.setting.viewer;
        // Accounts of the scenario stand for those of applications and their DBAs; one that a statement has made sees its own.
        let is_made =
            state.accounts.get(&viewer.user).is_some() && !shared.scenario.accounts.contains_key(&*viewer.user);
        if is_made && *viewer.user != *owner && !self.session.setting.sysdba {
            return None;
        }
        Some((
            Source::Table {
                owner: owner.to_owned(),
                name: name.to_owned(),
            },
            table.columns.clone(),
        ))
    }

    fn userenv(&self, attribute: &str) -> Result<Option<String>> {
        let session = self.session;
        let scenario = &session.shared.scenario;
        let (instance, sid) = session.seat;
        let con_id = session.setting.viewer.con_id;
        let spec = scenario.instances.iter().find(|spec| spec.number == instance);
        let container = match con_id {
            0 => scenario.database.name.to_uppercase(),
            1 => "CDB$ROOT".to_owned(),
            pdb => scenario
                .database
                .pdbs
                .get(pdb as usize - 3)
                .cloned()
                .unwrap_or_default()
                .to_uppercase(),
        };
        let own = |get: fn(&super::Sess) -> Option<String>| session.with_own(|sess, _| get(sess));
        let (user, session_user) = (session.setting.viewer.user.to_string(), session.user().to_string());
        Ok(match attribute {
            "SID" => Some(sid.to_string()),
            "INSTANCE" => Some(instance.to_string()),
            "INSTANCE_NAME" => spec.map(|spec| spec.name.clone()),
            "SERVER_HOST" => spec.map(|spec| spec.host.clone()),
            "CON_ID" | "CON_NAME" | "CDB_NAME" | "CLOUD_SERVICE" if !scenario.release.at_least(12, 1) => {
                return Err(known(2003));
            }
            "CON_ID" => Some(con_id.to_string()),
            "CON_NAME" => Some(container),
            "CLOUD_SERVICE" => scenario.database.cloud_service.clone(),
            "CDB_NAME" if scenario.database.pdbs.is_empty() => None,
            "CDB_NAME" | "DB_NAME" => Some(scenario.database.name.clone()),
            "DB_UNIQUE_NAME" => Some(unique_name(scenario).to_owned()),
            "DATABASE_ROLE" => Some(scenario.database.role.clone()),
            "SESSIONID" => own(|sess| Some(sess.audsid.to_string()))?,
            "SERVICE_NAME" => own(|sess| Some(sess.who.service.to_string()))?,
            "HOST" => own(|sess| sess.who.machine.as_deref().map(str::to_owned))?,
            "OS_USER" => own(|sess| sess.who.osuser.as_deref().map(str::to_owned))?,
            "TERMINAL" => own(|sess| sess.who.terminal.as_deref().map(str::to_owned))?,
            "MODULE" => own(|sess| sess.who.module.as_deref().map(str::to_owned))?,
            "ACTION" => own(|sess| sess.who.action.as_deref().map(str::to_owned))?,
            "CLIENT_INFO" => own(|sess| sess.who.client_info.as_deref().map(str::to_owned))?,
            "CLIENT_IDENTIFIER" => own(|sess| sess.who.client_identifier.as_deref().map(str::to_owned))?,
            "CLIENT_PROGRAM_NAME" => own(|sess| sess.who.program.as_deref().map(str::to_owned))?,
            "SESSION_USER" | "AUTHENTICATED_IDENTITY" => Some(session_user),
            "CURRENT_USER" => Some(user),
            "SESSION_USERID" => Some(super::user_number(&session_user).to_string()),
            "CURRENT_USERID" => Some(super::user_number(&user).to_string()),
            "CURRENT_SCHEMA" => Some(session.setting.schema.clone()),
            "ISDBA" => Some(if session.setting.sysdba { "TRUE" } else { "FALSE" }.into()),
            "NLS_DATE_FORMAT" => Some(session.setting.date_model.clone()),
            "LANGUAGE" => Some("AMERICAN_AMERICA.AL32UTF8".into()),
            "LANG" => Some("US".into()),
            "IP_ADDRESS" => Some("127.0.0.1".into()),
            "NETWORK_PROTOCOL" => own(|sess| Some(if sess.who.tls { "tcps" } else { "tcp" }.to_owned()))?,
            "AUTHENTICATION_METHOD" => Some("PASSWORD".into()),
            _ => return Err(known(2003)),
        })
    }

    fn clocks(&self) -> Clocks {
        let database = &self.session.shared.scenario.database;
        let ahead = self.session.setting.sysdate_shift;
        let systimestamp = self.now + ahead;
        Clocks {
            host: self.now,
            sysdate: database.fixed_date.map_or(systimestamp, moment),
            systimestamp,
            zone: ahead / 60_000,
        }
    }

    fn user(&self) -> String {
        self.session.user().to_string()
    }

    fn date_models(&self) -> (String, String) {
        (
            self.session.setting.date_model.clone(),
            self.session.setting.time_model.clone(),
        )
    }

    fn may_omit_from(&self) -> bool {
        self.session.release_major() >= 23
    }
}
