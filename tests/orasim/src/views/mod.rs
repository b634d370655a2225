//! Oracle's views over the world: their columns, release by release, and their rows.
//!
//! A view is a list of columns, each with a function that works its value out; a statement pays only for the columns it
//! mentions. `GV$` is the `V$` view of every instance, with INST_ID in front; `V$` shows the session's own instance.

mod activity;
mod dictionary;
mod files;
pub(crate) mod instance;
mod measure;
mod objects;
mod rights;
mod session;
mod transaction;

use std::borrow::Cow;
use std::sync::Arc;

use rusqlite::ToSql;
use rusqlite::types::{ToSqlOutput, Value as Lite, ValueRef};

use crate::backend::ColumnType;
use crate::clock::Moment;
use crate::scenario::{ContainerData, Release, Scenario, WhereClosed};
use crate::sql::types::seconds;
use crate::world::session::{Seat, Sess};
use crate::world::{State, said};
use activity as act;
use dictionary as dict;
use instance as inst;
use transaction as txn;

/// A value of a view.
#[derive(Clone, Debug)]
pub(crate) enum Cell {
    Null,
    Int(i64),
    Real(f64),
    Word(&'static str),
    Text(Arc<str>),
    Owned(String),
    Bytes(Vec<u8>),
    Address(u64),
    Time(Moment),
}

impl ToSql for Cell {
    fn to_sql(&self) -> Result<ToSqlOutput<'_>, rusqlite::Error> {
        Ok(match self {
            Self::Null => ToSqlOutput::Owned(Lite::Null),
            Self::Int(number) => ToSqlOutput::Owned(Lite::Integer(*number)),
            Self::Real(number) => ToSqlOutput::Owned(Lite::Real(*number)),
            Self::Word("") => ToSqlOutput::Owned(Lite::Null),
            Self::Word(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
            Self::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
            Self::Owned(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
            Self::Bytes(text) => ToSqlOutput::Borrowed(ValueRef::Text(text)),
            Self::Address(address) => ToSqlOutput::Owned(Lite::Blob(address.to_be_bytes().to_vec())),
            // DATE has no fraction of a second.
            Self::Time(moment) => ToSqlOutput::Owned(seconds(moment.div_euclid(1000) * 1000)),
        })
    }
}

impl Cell {
    fn text(text: &Option<Arc<str>>) -> Self {
        text.as_ref()
            .filter(|text| !text.is_empty())
            .map_or(Self::Null, |text| Self::Text(Arc::clone(text)))
    }

    /// Whether it is this number.
    pub(crate) fn is(&self, number: f64) -> bool {
        matches!(self, Self::Int(own) if *own as f64 == number)
    }
}

/// Who looks, and from where.
#[derive(Clone, Debug)]
pub(crate) struct Viewer {
    pub(crate) seat: Seat,
    /// Who holds the rows that it changes: the session, or its autonomous transaction.
    pub(crate) holder: Seat,
    pub(crate) con_id: u32,
    pub(crate) user: Arc<str>,
}

/// The world at the moment of a statement.
pub(crate) struct Snap<'a> {
    pub(crate) state: &'a State,
    pub(crate) scenario: &'a Scenario,
    pub(crate) viewer: &'a Viewer,
    /// The GV$ form is read.
    pub(crate) global: bool,
}

impl<'a> Snap<'a> {
    /// The instances whose rows are seen.
    fn instances(&self) -> impl Iterator<Item = &'a crate::world::Instance> {
        let (global, own) = (self.global, self.viewer.seat.0);
        self.state
            .instances
            .iter()
            .filter(move |instance| instance.up && (global || instance.spec.number == own))
    }

    /// The sessions that are seen.
    fn sessions(&self) -> impl Iterator<Item = (Seat, &'a Sess)> {
        let (global, own, con_id) = (self.global, self.viewer.seat.0, self.viewer.con_id);
        let root_only = self.container_data() == ContainerData::Current;
        let hidden = &self.state.hidden;
        let database = &self.scenario.database;
        let nothing_there = database.where_closed == WhereClosed::Nothing;
        self.state
            .sessions
            .iter()
            .map(|(seat, sess)| (*seat, sess))
            .filter(move |(seat, sess)| {
                let here = if global {
                    seat.0 == own || !hidden.contains(&seat.0)
                } else {
                    seat.0 == own
                };
                let in_sight = match con_id {
                    0 => true,
                    1 => !root_only || sess.con_id <= 1,
                    // CON_ID 0 is nobody's in particular: the background processes of the whole CDB.
                    pdb => {
                        (sess.con_id == pdb || sess.con_id == 0) && (!nothing_there || database.is_open(pdb, seat.0))
                    }
                };
                here && in_sight && self.is_shown(*seat, sess)
            })
    }

    /// Whether a session is shown already: to itself at once, to others as the scenario's behaviour says.
    fn is_shown(&self, seat: Seat, sess: &Sess) -> bool {
        const LATE: i64 = 600_000;
        let at_once = self.scenario.behaviour.seen_at_once.unwrap_or(true);
        at_once || sess.link.is_none() || seat == self.viewer.seat || self.state.now - sess.logon >= LATE
    }

    /// Which containers' data the viewer sees from the root.
    fn container_data(&self) -> ContainerData {
        let otherwise = self.scenario.database.container_data;
        self.state.accounts.container_data(&self.viewer.user, otherwise)
    }

    /// The containers that a CDB_ view shows: in the root every one that is open, by CONTAINER_DATA.
    fn containers(&self) -> Vec<u32> {
        let database = &self.scenario.database;
        match (self.viewer.con_id, self.container_data()) {
            (1, ContainerData::All) => {
                let instances = || self.state.instances.iter().filter(|instance| instance.up);
                let is_open = |pdb: &u32| instances().any(|instance| database.is_open(*pdb, instance.spec.number));
                let pdbs = (3..).take(database.pdbs.len());
                std::iter::once(1).chain(pdbs.filter(is_open)).collect()
            }
            (own, _) => vec![own],
        }
    }

    fn release(&self) -> Release {
        self.scenario.release
    }
}

/// A column of a view whose rows are `R`.
struct Col<R> {
    name: &'static str,
    kind: ColumnType,
    since: (u8, u8),
    /// The first release without it.
    until: (u8, u8),
    get: fn(&Snap<'_>, &R) -> Cell,
}

const fn n<R>(name: &'static str, get: fn(&Snap<'_>, &R) -> Cell) -> Col<R> {
    Col {
        name,
        kind: ColumnType::Number,
        since: (11, 0),
        until: (u8::MAX, 0),
        get,
    }
}

const fn v<R>(name: &'static str, size: u32, get: fn(&Snap<'_>, &R) -> Cell) -> Col<R> {
    Col {
        name,
        kind: ColumnType::Varchar2(size),
        since: (11, 0),
        until: (u8::MAX, 0),
        get,
    }
}

const fn raw<R>(name: &'static str, get: fn(&Snap<'_>, &R) -> Cell) -> Col<R> {
    Col {
        name,
        kind: ColumnType::Raw(8),
        since: (11, 0),
        until: (u8::MAX, 0),
        get,
    }
}

const fn d<R>(name: &'static str, get: fn(&Snap<'_>, &R) -> Cell) -> Col<R> {
    Col {
        name,
        kind: ColumnType::Date,
        since: (11, 0),
        until: (u8::MAX, 0),
        get,
    }
}

const fn since<R>(major: u8, minor: u8, column: Col<R>) -> Col<R> {
    Col {
        since: (major, minor),
        ..column
    }
}

/// What a dictionary view says, and of which container.
struct Of<T> {
    con_id: u32,
    it: T,
}

/// The rows of a DBA_ view: those of the viewer's container.
fn of_own<T>(snap: &Snap<'_>, rows: impl Fn(u32) -> Vec<T>) -> impl Iterator<Item = (u32, Of<T>)> {
    let con_id = snap.viewer.con_id;
    rows(con_id).into_iter().map(move |it| (0, Of { con_id, it }))
}

/// The rows of a CDB_ view.
fn of_all<T>(snap: &Snap<'_>, rows: impl Fn(u32) -> Vec<T>) -> impl Iterator<Item = (u32, Of<T>)> {
    let mut all = Vec::new();
    for con_id in snap.containers() {
        all.extend(rows(con_id).into_iter().map(|it| (0, Of { con_id, it })));
    }
    all.into_iter()
}

/// The columns of a CDB_ view: those of the DBA_ view and CON_ID, from 12.1 on.
fn with_container<T>(columns: Vec<Col<Of<T>>>) -> Vec<Col<Of<T>>> {
    let mut columns: Vec<Col<Of<T>>> = columns
        .into_iter()
        .map(|column| {
            since(
                column.since.0.max(12),
                if column.since.0 < 12 { 1 } else { column.since.1 },
                column,
            )
        })
        .collect();
    columns.push(since(12, 1, n("CON_ID", |_, r: &Of<T>| Cell::Int(i64::from(r.con_id)))));
    columns
}

const fn until<R>(major: u8, minor: u8, column: Col<R>) -> Col<R> {
    Col {
        until: (major, minor),
        ..column
    }
}

impl<R> Col<R> {
    fn is_in(&self, release: Release) -> bool {
        release.at_least(self.since.0, self.since.1) && !release.at_least(self.until.0, self.until.1)
    }
}

/// Takes a row's wanted values, in the order of the view's columns.
pub(crate) type Sink<'s> = dyn FnMut(&[Cell]) -> Result<(), rusqlite::Error> + 's;

/// A view.
pub(crate) struct View {
    /// Its name without `V$` and `GV$`.
    pub(crate) name: &'static str,
    /// It has a V$ and a GV$ form; else it is a dictionary view.
    pub(crate) dynamic: bool,
    columns: fn(Release) -> Vec<(String, ColumnType)>,
    fill: fn(&Snap<'_>, &[bool], &mut Sink<'_>) -> Result<(), rusqlite::Error>,
}

const fn dynamic(
    name: &'static str,
    columns: fn(Release) -> Vec<(String, ColumnType)>,
    fill: fn(&Snap<'_>, &[bool], &mut Sink<'_>) -> Result<(), rusqlite::Error>,
) -> View {
    View {
        name,
        dynamic: true,
        columns,
        fill,
    }
}

const fn plain(
    name: &'static str,
    columns: fn(Release) -> Vec<(String, ColumnType)>,
    fill: fn(&Snap<'_>, &[bool], &mut Sink<'_>) -> Result<(), rusqlite::Error>,
) -> View {
    View {
        name,
        dynamic: false,
        columns,
        fill,
    }
}

/// Declares a view by its columns and its rows.
macro_rules! view {
    ($module:ident, $row:ty, $columns:expr, |$snap:ident| $rows:expr) => {
        pub(super) mod $module {
            use super::*;

            pub(in crate::views) fn columns(release: Release) -> Vec<(String, ColumnType)> {
                crate::views::described::<$row>($columns, release)
            }

            pub(in crate::views) fn fill(
                $snap: &Snap<'_>,
                wanted: &[bool],
                sink: &mut Sink<'_>,
            ) -> Result<(), rusqlite::Error> {
                crate::views::filled::<$row>($snap, $columns, $rows, wanted, sink)
            }
        }
    };
}
use view;

fn described<R>(columns: Vec<Col<R>>, release: Release) -> Vec<(String, ColumnType)> {
    columns
        .iter()
        .filter(|column| column.is_in(release))
        .map(|column| (column.name.to_owned(), kind_in(column, release)))
        .collect()
}

/// Names were shorter before 12.2, and what clients say of themselves before 12.1.
fn kind_in<R>(column: &Col<R>, release: Release) -> ColumnType {
    match (column.kind, column.name) {
        (ColumnType::Varchar2(128), _) if !release.at_least(12, 2) => ColumnType::Varchar2(30),
        (ColumnType::Varchar2(_), "MODULE") if release.major() == 11 => ColumnType::Varchar2(48),
        (ColumnType::Varchar2(_), "ACTION") if release.major() == 11 => ColumnType::Varchar2(32),
        (ColumnType::Varchar2(16), "TADDR" | "LOCKWAIT") if release.major() == 11 => ColumnType::Varchar2(8),
        (kind, _) => kind,
    }
}

/// PROGRAM holds as many bytes as the scenario's behaviour says.
fn as_wide(kind: ColumnType, name: &str, scenario: &Scenario) -> ColumnType {
    match (kind, scenario.behaviour.program_bytes) {
        (ColumnType::Varchar2(_), Some(bytes)) if name == "PROGRAM" => ColumnType::Varchar2(bytes),
        (kind, _) => kind,
    }
}

fn filled<R>(
    snap: &Snap<'_>,
    columns: Vec<Col<R>>,
    rows: impl Iterator<Item = (u32, R)>,
    wanted: &[bool],
    sink: &mut Sink<'_>,
) -> Result<(), rusqlite::Error> {
    let release = snap.release();
    let columns: Vec<_> = columns.into_iter().filter(|it| it.is_in(release)).collect();
    let ahead = usize::from(wanted.len() > columns.len());
    let picked: Vec<_> = columns
        .iter()
        .zip(&wanted[ahead..])
        .filter(|(_, wanted)| **wanted)
        .map(|(it, _)| (it, as_wide(kind_in(it, release), it.name, snap.scenario)))
        .collect();
    let mut cells = Vec::with_capacity(picked.len() + 1);
    for (instance, row) in rows {
        cells.clear();
        if ahead == 1 && wanted[0] {
            cells.push(Cell::Int(i64::from(instance)));
        }
        cells.extend(picked.iter().map(|(column, kind)| fit((column.get)(snap, &row), *kind)));
        sink(&cells)?;
    }
    Ok(())
}

/// A text as far as its column holds it: what clients say of themselves may be longer (PROGRAM is VARCHAR2(48), a path is
/// not), and is cut by bytes, in the middle of a character if that is where the column ends. A client library believes the
/// width that it was told, and a longer value has made one loop for ever.
fn fit(cell: Cell, kind: ColumnType) -> Cell {
    let ColumnType::Varchar2(size) = kind else { return cell };
    let text = match &cell {
        Cell::Text(text) => text.as_ref(),
        Cell::Owned(text) => text.as_str(),
        Cell::Null
        | Cell::Int(_)
        | Cell::Real(_)
        | Cell::Word(_)
        | Cell::Bytes(_)
        | Cell::Address(_)
        | Cell::Time(_) => return cell,
    };
    let size = size as usize;
    match said::bytes(text) {
        Cow::Borrowed(bytes) if bytes.len() <= size => cell,
        Cow::Borrowed(bytes) => Cell::Bytes(bytes[..size].to_vec()),
        Cow::Owned(mut bytes) => {
            bytes.truncate(size);
            Cell::Bytes(bytes)
        }
    }
}

/// All views.
pub(crate) fn all() -> &'static [View] {
    VIEWS
}

const VIEWS: &[View] = &[
    dynamic("SESSION", session::sessions::columns, session::sessions::fill),
    dynamic("PROCESS", session::processes::columns, session::processes::fill),
    dynamic("PX_SESSION", session::px_sessions::columns, session::px_sessions::fill),
    dynamic("TRANSACTION", txn::transactions::columns, txn::transactions::fill),
    dynamic("LOCK", txn::locks::columns, txn::locks::fill),
    dynamic("SORT_USAGE", txn::temporary::columns, txn::temporary::fill),
    dynamic("TEMPSEG_USAGE", txn::temporary::columns, txn::temporary::fill),
    dynamic("DEAD_CLEANUP", txn::dead::columns, txn::dead::fill),
    dynamic("SESSTAT", txn::sesstat::columns, txn::sesstat::fill),
    dynamic("STATNAME", txn::statname::columns, txn::statname::fill),
    dynamic("MYSTAT", act::own_figures::columns, act::own_figures::fill),
    dynamic("SYSSTAT", act::sums::columns, act::sums::fill),
    dynamic("SESSION_WAIT", act::waits::columns, act::waits::fill),
    dynamic("SESSION_EVENT", act::events::columns, act::events::fill),
    dynamic(
        "SESSION_LONGOPS",
        act::long_operations::columns,
        act::long_operations::fill,
    ),
    dynamic("SESSION_CONNECT_INFO", act::connects::columns, act::connects::fill),
    dynamic("SQL", act::sqls::columns, act::sqls::fill),
    dynamic("OPEN_CURSOR", act::open_cursors::columns, act::open_cursors::fill),
    dynamic(
        "LOCKED_OBJECT",
        objects::locked_objects::columns,
        objects::locked_objects::fill,
    ),
    dynamic("INSTANCE", inst::instances::columns, inst::instances::fill),
    dynamic("DATABASE", inst::databases::columns, inst::databases::fill),
    dynamic("RESOURCE_LIMIT", inst::resources::columns, inst::resources::fill),
    dynamic("PARAMETER", inst::parameters::columns, inst::parameters::fill),
    dynamic("SYSTEM_PARAMETER", inst::parameters::columns, inst::parameters::fill),
    dynamic("SESSIONS_COUNT", measure::counts::columns, measure::counts::fill),
    dynamic("SYSMETRIC", measure::metrics::columns, measure::metrics::fill),
    dynamic(
        "CON_SYSMETRIC",
        measure::con_metrics::columns,
        measure::con_metrics::fill,
    ),
    dynamic("PGASTAT", measure::pgastat::columns, measure::pgastat::fill),
    dynamic("OSSTAT", measure::osstat::columns, measure::osstat::fill),
    dynamic("VERSION", inst::versions::columns, inst::versions::fill),
    dynamic("PDBS", inst::pdbs::columns, inst::pdbs::fill),
    dynamic("CONTAINERS", inst::containers::columns, inst::containers::fill),
    dynamic("SERVICES", inst::services::columns, inst::services::fill),
    plain("DUAL", dict::dual::columns, dict::dual::fill),
    plain("DBA_USERS", dict::users::columns, dict::users::fill),
    plain("CDB_USERS", dict::cdb_users::columns, dict::cdb_users::fill),
    plain("ALL_USERS", dict::all_users::columns, dict::all_users::fill),
    plain("USER_USERS", dict::own_users::columns, dict::own_users::fill),
    plain(
        "USER_RESOURCE_LIMITS",
        objects::own_profile::columns,
        objects::own_profile::fill,
    ),
    plain("ALL_TAB_COLUMNS", dict::tab_columns::columns, dict::tab_columns::fill),
    plain("DBA_TAB_COLUMNS", dict::tab_columns::columns, dict::tab_columns::fill),
    plain("DBA_TABLESPACES", files::tablespaces::columns, files::tablespaces::fill),
    plain("DBA_DATA_FILES", files::data_files::columns, files::data_files::fill),
    plain("DBA_TEMP_FILES", files::temp_files::columns, files::temp_files::fill),
    plain(
        "DBA_TEMP_FREE_SPACE",
        files::temp_free_space::columns,
        files::temp_free_space::fill,
    ),
    plain("DBA_OBJECTS", objects::every::columns, objects::every::fill),
    plain("ALL_OBJECTS", objects::every::columns, objects::every::fill),
    plain("DBA_PROFILES", objects::profiles::columns, objects::profiles::fill),
    plain("NLS_DATABASE_PARAMETERS", objects::nls::columns, objects::nls::fill),
    plain("DBA_ROLE_PRIVS", rights::roles::columns, rights::roles::fill),
    plain("DBA_SYS_PRIVS", rights::system::columns, rights::system::fill),
    plain("DBA_TAB_PRIVS", rights::objects::columns, rights::objects::fill),
    plain(
        "DBA_GOLDENGATE_PRIVILEGES",
        rights::goldengate::columns,
        rights::goldengate::fill,
    ),
    plain(
        "DBA_XSTREAM_ADMINISTRATOR",
        rights::xstream::columns,
        rights::xstream::fill,
    ),
    plain("CDB_ROLE_PRIVS", rights::cdb_roles::columns, rights::cdb_roles::fill),
    plain("CDB_SYS_PRIVS", rights::cdb_system::columns, rights::cdb_system::fill),
    plain("CDB_TAB_PRIVS", rights::cdb_objects::columns, rights::cdb_objects::fill),
    plain(
        "CDB_GOLDENGATE_PRIVILEGES",
        rights::cdb_goldengate::columns,
        rights::cdb_goldengate::fill,
    ),
    plain(
        "CDB_XSTREAM_ADMINISTRATOR",
        rights::cdb_xstream::columns,
        rights::cdb_xstream::fill,
    ),
    plain("PRODUCT_COMPONENT_VERSION", dict::product::columns, dict::product::fill),
    plain("SESSION_PRIVS", dict::session_privs::columns, dict::session_privs::fill),
    plain(
        "USER_SYS_PRIVS",
        dict::user_sys_privs::columns,
        dict::user_sys_privs::fill,
    ),
];

/// A view of this release by its name, or by that of the object behind it (`V_$SESSION`); whether it is the GV$ form.
pub(crate) fn find(release: Release, owner: Option<&str>, name: &str) -> Option<(usize, bool)> {
    let (base, global, dynamic) = if let Some(base) = name.strip_prefix("GV$").or_else(|| name.strip_prefix("GV_$")) {
        (base, true, true)
    } else if let Some(base) = name.strip_prefix("V$").or_else(|| name.strip_prefix("V_$")) {
        (base, false, true)
    } else {
        (name, false, false)
    };
    if !matches!(owner, None | Some("SYS" | "PUBLIC")) {
        return None;
    }
    let view = all()
        .iter()
        .position(|view| view.name == base && view.dynamic == dynamic && view.is_in(release))?;
    Some((view, global))
}

impl View {
    /// A view without a column is not there yet.
    pub(crate) fn is_in(&self, release: Release) -> bool {
        !(self.columns)(release).is_empty()
    }

    /// Its columns in a scenario's database.
    pub(crate) fn columns(&self, scenario: &Scenario, global: bool) -> Vec<(String, ColumnType)> {
        let mut own = (self.columns)(scenario.release);
        for (name, kind) in &mut own {
            *kind = as_wide(*kind, name, scenario);
        }
        if !global {
            return own;
        }
        std::iter::once(("INST_ID".to_owned(), ColumnType::Number))
            .chain(own)
            .collect()
    }

    /// Hands the wanted columns of every row to the sink.
    pub(crate) fn fill(&self, snap: &Snap<'_>, wanted: &[bool], sink: &mut Sink<'_>) -> Result<(), rusqlite::Error> {
        (self.fill)(snap, wanted, sink)
    }

    /// Its name as it is granted: `V$SESSION`.
    pub(crate) fn granted_as(&self, global: bool) -> String {
        match (self.dynamic, global) {
            (false, _) => self.name.to_owned(),
            (true, false) => format!("V${}", self.name),
            (true, true) => format!("GV${}", self.name),
        }
    }
}
