//! All columns that policies can use: their names, their kinds, and the views that they are read from.
//!
//! The list is closed. If the release of a database lacks a column, the column has no value, and a comparison without a value
//! is UNKNOWN, which never kills. The names and types of the GV$SESSION columns are those of V$SESSION in the Oracle Database
//! Reference (11.2 to 23ai); the derived columns are the project's own.

/// The kind of a column's values, which decides what it can be compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// VARCHAR2, or RAW as hexadecimal text.
    Text,
    /// A whole number.
    Number,
    /// A span of time, as a whole number of the column's unit (see [`Column::per_second`]).
    Duration,
    /// A number of bytes.
    Size,
    /// A point in time by the database's clock, to the second.
    Time,
}

/// The view that a column is read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Source {
    /// GV$SESSION itself.
    Session,
    /// Computed from columns of GV$SESSION and the clock that is read with them.
    Derived,
    /// GV$TRANSACTION, by instance and TADDR.
    Transaction,
    /// GV$PROCESS, by instance and PADDR.
    Process,
    /// GV$SORT_USAGE, by instance and SADDR.
    Temp,
    /// GV$SESSTAT, by instance and SID.
    Statistics,
    /// V$CONTAINERS, by CON_ID.
    Container,
    /// DBA_USERS, by USERNAME; in the root CDB_USERS, by USERNAME and CON_ID.
    Account,
    /// GV$PX_SESSION, by the coordinator's instance, SID and SERIAL#.
    ParallelServers,
    /// Computed from GV$SESSTAT in several snapshots.
    Rate,
    /// Computed from the graph of waiting sessions, over all rows of GV$SESSION.
    Waiters,
}

macro_rules! columns {
    ($($variant:ident $name:literal $kind:ident $source:ident;)*) => {
        /// A column of a session.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Column {
            $(#[doc = $name] $variant,)*
        }

        impl Column {
            /// All columns: those of GV$SESSION in the order of its documentation, then the derived ones.
            pub const ALL: &'static [Column] = &[$(Column::$variant,)*];

            /// The name in policies, in lower case.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Column::$variant => $name,)* }
            }

            /// The kind of its values.
            #[must_use]
            pub const fn kind(self) -> Kind {
                match self { $(Column::$variant => Kind::$kind,)* }
            }

            /// The view that it is read from.
            #[must_use]
            pub const fn source(self) -> Source {
                match self { $(Column::$variant => Source::$source,)* }
            }
        }
    };
}

columns! {
    InstId "inst_id" Number Session;
    Saddr "saddr" Text Session;
    Sid "sid" Number Session;
    Serial "serial#" Number Session;
    Audsid "audsid" Number Session;
    Paddr "paddr" Text Session;
    UserNumber "user#" Number Session;
    Username "username" Text Session;
    Command "command" Number Session;
    Ownerid "ownerid" Number Session;
    Taddr "taddr" Text Session;
    Lockwait "lockwait" Text Session;
    Status "status" Text Session;
    Server "server" Text Session;
    SchemaNumber "schema#" Number Session;
    Schemaname "schemaname" Text Session;
    Osuser "osuser" Text Session;
    Process "process" Text Session;
    Machine "machine" Text Session;
    Port "port" Number Session;
    Terminal "terminal" Text Session;
    Program "program" Text Session;
    Type "type" Text Session;
    SqlAddress "sql_address" Text Session;
    SqlHashValue "sql_hash_value" Number Session;
    SqlId "sql_id" Text Session;
    SqlChildNumber "sql_child_number" Number Session;
    SqlExecStart "sql_exec_start" Time Session;
    SqlExecId "sql_exec_id" Number Session;
    PrevSqlAddr "prev_sql_addr" Text Session;
    PrevHashValue "prev_hash_value" Number Session;
    PrevSqlId "prev_sql_id" Text Session;
    PrevChildNumber "prev_child_number" Number Session;
    PrevExecStart "prev_exec_start" Time Session;
    PrevExecId "prev_exec_id" Number Session;
    PlsqlEntryObjectId "plsql_entry_object_id" Number Session;
    PlsqlEntrySubprogramId "plsql_entry_subprogram_id" Number Session;
    PlsqlObjectId "plsql_object_id" Number Session;
    PlsqlSubprogramId "plsql_subprogram_id" Number Session;
    Module "module" Text Session;
    ModuleHash "module_hash" Number Session;
    Action "action" Text Session;
    ActionHash "action_hash" Number Session;
    ClientInfo "client_info" Text Session;
    FixedTableSequence "fixed_table_sequence" Number Session;
    RowWaitObj "row_wait_obj#" Number Session;
    RowWaitFile "row_wait_file#" Number Session;
    RowWaitBlock "row_wait_block#" Number Session;
    RowWaitRow "row_wait_row#" Number Session;
    TopLevelCall "top_level_call#" Number Session;
    LogonTime "logon_time" Time Session;
    LastCallEt "last_call_et" Duration Session;
    PdmlEnabled "pdml_enabled" Text Session;
    FailoverType "failover_type" Text Session;
    FailoverMethod "failover_method" Text Session;
    FailedOver "failed_over" Text Session;
    ResourceConsumerGroup "resource_consumer_group" Text Session;
    PdmlStatus "pdml_status" Text Session;
    PddlStatus "pddl_status" Text Session;
    PqStatus "pq_status" Text Session;
    CurrentQueueDuration "current_queue_duration" Number Session;
    ClientIdentifier "client_identifier" Text Session;
    BlockingSessionStatus "blocking_session_status" Text Session;
    BlockingInstance "blocking_instance" Number Session;
    BlockingSession "blocking_session" Number Session;
    FinalBlockingSessionStatus "final_blocking_session_status" Text Session;
    FinalBlockingInstance "final_blocking_instance" Number Session;
    FinalBlockingSession "final_blocking_session" Number Session;
    SeqNumber "seq#" Number Session;
    EventNumber "event#" Number Session;
    Event "event" Text Session;
    P1Text "p1text" Text Session;
    P1 "p1" Number Session;
    P1Raw "p1raw" Text Session;
    P2Text "p2text" Text Session;
    P2 "p2" Number Session;
    P2Raw "p2raw" Text Session;
    P3Text "p3text" Text Session;
    P3 "p3" Number Session;
    P3Raw "p3raw" Text Session;
    WaitClassId "wait_class_id" Number Session;
    WaitClassNumber "wait_class#" Number Session;
    WaitClass "wait_class" Text Session;
    WaitTime "wait_time" Number Session;
    SecondsInWait "seconds_in_wait" Duration Session;
    State "state" Text Session;
    WaitTimeMicro "wait_time_micro" Number Session;
    TimeRemainingMicro "time_remaining_micro" Number Session;
    TotalTimeWaitedMicro "total_time_waited_micro" Number Session;
    HeurTimeWaitedMicro "heur_time_waited_micro" Number Session;
    TimeSinceLastWaitMicro "time_since_last_wait_micro" Number Session;
    ServiceName "service_name" Text Session;
    SqlTrace "sql_trace" Text Session;
    SqlTraceWaits "sql_trace_waits" Text Session;
    SqlTraceBinds "sql_trace_binds" Text Session;
    SqlTracePlanStats "sql_trace_plan_stats" Text Session;
    SessionEditionId "session_edition_id" Number Session;
    CreatorAddr "creator_addr" Text Session;
    CreatorSerial "creator_serial#" Number Session;
    Ecid "ecid" Text Session;
    SqlTranslationProfileId "sql_translation_profile_id" Number Session;
    PgaTunableMem "pga_tunable_mem" Size Session;
    ShardDdlStatus "shard_ddl_status" Text Session;
    ConId "con_id" Number Session;
    ExternalName "external_name" Text Session;
    PlsqlDebuggerConnected "plsql_debugger_connected" Text Session;
    DrainStatus "drain_status" Text Session;
    DrainDeadline "drain_deadline" Time Session;
    DrainOrigin "drain_origin" Text Session;
    Idle "idle" Duration Derived;
    Running "running" Duration Derived;
    StatementAge "statement_age" Duration Derived;
    Connected "connected" Duration Derived;
    TransactionAge "transaction_age" Duration Transaction;
    UndoRecords "undo_records" Number Transaction;
    Undo "undo" Size Transaction;
    TransactionStatus "transaction_status" Text Transaction;
    Waited "waited" Duration Derived;
    Blocking "blocking" Number Waiters;
    BlockingFor "blocking_for" Duration Waiters;
    Pga "pga" Size Process;
    Temp "temp" Size Temp;
    Cpu "cpu" Duration Statistics;
    LogicalReads "logical_reads" Number Statistics;
    PhysicalReads "physical_reads" Number Statistics;
    Redo "redo" Size Statistics;
    Container "container" Text Container;
    Spid "spid" Text Process;
    Pname "pname" Text Process;
    PxServers "px_servers" Number ParallelServers;
    CpuRate "cpu_rate" Number Rate;
    ReadsRate "reads_rate" Number Rate;
    RedoRate "redo_rate" Size Rate;
    AccountStatus "account_status" Text Account;
    Profile "profile" Text Account;
    OracleMaintained "oracle_maintained" Text Account;
}

impl Column {
    /// The number of columns.
    pub(crate) const COUNT: usize = Self::ALL.len();

    /// The column with a name, in any letter case.
    #[must_use]
    pub(crate) fn named(name: &str) -> Option<Column> {
        Self::ALL
            .iter()
            .copied()
            .find(|column| column.name().eq_ignore_ascii_case(name))
    }

    /// For a [`Kind::Duration`] column, how many of its units are a second: LAST_CALL_ET is in seconds, waits are in
    /// microseconds, CPU is in hundredths of a second.
    #[must_use]
    pub const fn per_second(self) -> i64 {
        if matches!(self, Column::Waited | Column::BlockingFor) {
            1_000_000
        } else if matches!(self, Column::Cpu) {
            100
        } else {
            1
        }
    }

    /// Whether it always has a value, so that where it has none the value is not known: no comparison with it is true then, and
    /// neither is IS NULL.
    #[must_use]
    pub(crate) const fn is_never_null(self) -> bool {
        matches!(self.source(), Source::Account | Source::ParallelServers | Source::Rate)
    }

    /// Whether it is RAW in GV$SESSION. Such a column is read and compared as hexadecimal text.
    #[must_use]
    pub(crate) const fn is_raw(self) -> bool {
        matches!(
            self,
            Column::Saddr
                | Column::Paddr
                | Column::SqlAddress
                | Column::PrevSqlAddr
                | Column::P1Raw
                | Column::P2Raw
                | Column::P3Raw
                | Column::CreatorAddr
        )
    }
}

/// A set of columns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Columns([u64; 3]);

const _: () = assert!(Column::COUNT <= 192, "the column set has room for 192 columns");

impl Columns {
    /// No column.
    pub const NONE: Columns = Columns([0; 3]);

    /// Adds a column.
    pub(crate) fn insert(&mut self, column: Column) {
        let at = column as usize;
        self.0[at / 64] |= 1 << (at % 64);
    }

    /// Whether a column is in the set.
    #[must_use]
    pub(crate) fn contains(self, column: Column) -> bool {
        let at = column as usize;
        self.0[at / 64] >> (at % 64) & 1 == 1
    }

    /// The columns that are in at least one of two sets.
    #[must_use]
    pub fn union(self, other: Columns) -> Columns {
        Columns([self.0[0] | other.0[0], self.0[1] | other.0[1], self.0[2] | other.0[2]])
    }

    /// The columns of the set, in the order of [`Column::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Column> {
        Column::ALL.iter().copied().filter(move |column| self.contains(*column))
    }

    /// Whether some column of the set is read from a source.
    #[must_use]
    pub(crate) fn needs(self, source: Source) -> bool {
        self.iter().any(|column| column.source() == source)
    }
}

impl FromIterator<Column> for Columns {
    fn from_iter<I: IntoIterator<Item = Column>>(columns: I) -> Columns {
        let mut set = Columns::NONE;
        for column in columns {
            set.insert(column);
        }
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_found_in_any_letter_case() {
        for (at, column) in Column::ALL.iter().enumerate() {
            assert_eq!(*column as usize, at);
            assert_eq!(Column::named(&column.name().to_uppercase()), Some(*column));
        }
        assert_eq!(Column::named("no_such_column"), None);
    }

    #[test]
    fn a_set_contains_exactly_what_was_inserted() {
        let set: Columns = [Column::InstId, Column::Spid, Column::Status].into_iter().collect();
        assert_eq!(
            set.iter().collect::<Vec<_>>(),
            vec![Column::InstId, Column::Status, Column::Spid]
        );
        assert!(set.needs(Source::Process) && !set.needs(Source::Temp));
    }
}
