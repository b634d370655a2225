//! `sessions`: lists the current sessions with each policy's decision, repeatedly with `--watch`.

use std::path::Path;

use crate::cli::{ExitStatus, ListFormat, SessionsArgs};
use crate::clock::SystemClock;
use crate::commands::look::{DatabaseReader, DatabaseSessions, Looked, Rules, Unread, rhythm};
use crate::commands::watch::{Watched, watch};
use crate::commands::{say, tell_problems, terminal_style, write};
use crate::decide::cycle::Memory;
use crate::decide::evaluate::{columns_of, missing_columns};
use crate::decide::in_force::Rhythm;
use crate::policy::condition::Condition;
use crate::policy::condition_and_problems;
use crate::report::{Listing, ListingSubject};
use crate::session::column::{Column, Columns, Source};
use crate::terminal::visible::visible;
use crate::terminal::{Colour, TextStyle, wrapped};

/// Runs the command.
pub(crate) fn run(arguments: &SessionsArgs, config: &Path, clock: SystemClock) -> ExitStatus {
    match sessions(arguments, config, clock) {
        Ok(()) => ExitStatus::Fine,
        Err(status) => status,
    }
}

fn sessions(arguments: &SessionsArgs, config: &Path, clock: SystemClock) -> Result<(), ExitStatus> {
    let condition = arguments.condition.as_deref().map(understood).transpose()?;
    let rules = Rules::load_if_any(&arguments.source, config, clock)?;
    let list = List {
        arguments,
        condition: condition.as_ref(),
    };
    let Some(every) = arguments.watch.watch else {
        let looks = rules.look(&arguments.source, list.needs())?.into_iter();
        let looks: Vec<Result<Listing, Unread>> = looks
            .map(|look| look.map(|look| list.of(&look, &mut Memory::default())))
            .collect();
        let shown = list.all_shown(&looks, terminal_style(), true);
        write(shown.join(list.between()).as_bytes())?;
        return if looks.iter().all(Result::is_ok) {
            Ok(())
        } else {
            Err(ExitStatus::Failed)
        };
    };
    let mut watched = WatchedList {
        readers: rules.readers(&arguments.source)?,
        rules: &rules,
        list,
        rhythm: rhythm(every),
        read: None,
    };
    watch(every, arguments.format == ListFormat::Text, clock, &mut watched)
}

/// The condition, with what `check` would say of it in a policy on standard error.
fn understood(text: &str) -> Result<Condition, ExitStatus> {
    let (condition, problems) = condition_and_problems(text);
    tell_problems(&problems);
    condition.ok_or(ExitStatus::Failed)
}

/// What is to be listed, and how.
struct List<'a> {
    arguments: &'a SessionsArgs,
    condition: Option<&'a Condition>,
}

impl List<'_> {
    /// The columns beside those of the condition that are shown or sorted by.
    fn asked(&self) -> Columns {
        let sort = self.arguments.sort.iter().map(|key| key.column);
        let shown = self.arguments.columns.iter().copied().chain(sort);
        shown.filter_map(|column| column.column()).collect()
    }

    /// What has to be read.
    fn needs(&self) -> Columns {
        self.asked().union(self.condition.map_or(Columns::NONE, columns_of))
    }

    fn of(&self, look: &DatabaseSessions, memory: &mut Memory) -> Listing {
        let cycle = look.decide(memory, false);
        let mut listing = Listing::new(&ListingSubject {
            database: &look.database,
            taken_at: look.taken_at,
            snapshot: &look.snapshot,
            condition: self.condition,
            background_too: self.arguments.all,
            set: look.rules.set(),
            ruling: &cycle.ruling,
            columns: &self.arguments.columns,
            sort: &self.arguments.sort,
        });
        listing.notes.clone_from(&look.notes);
        let missing = self
            .condition
            .map_or_else(Vec::new, |condition| missing_columns(condition, &look.snapshot));
        listing.notes.extend(missing.iter().map(|column| {
            let consequence = "each part of the condition that uses it is unknown for all sessions";
            missing_note(*column, consequence)
        }));
        let unseen = self.asked();
        let unseen = unseen
            .iter()
            .filter(|column| !look.snapshot.has(*column) && !missing.contains(column));
        let note = |column| missing_note(column, "its value is unknown for all sessions");
        listing.notes.extend(unseen.map(note));
        listing
    }

    /// The lists of all databases, and those that could not be read where the format has a place for them; standard error names them in
    /// any case. It has the notes too where a format has rows only.
    fn all_shown(&self, read: &[Result<Listing, Unread>], style: TextStyle, is_first: bool) -> Vec<String> {
        let mut with_header = is_first;
        let shown = read.iter().filter_map(|one| match (one, self.arguments.format) {
            (Ok(listing), format) => {
                if matches!(format, ListFormat::Csv | ListFormat::JsonLines) {
                    let database = visible(listing.database());
                    let notes = listing.notes.iter();
                    notes.for_each(|note| say(&format!("note: {database}: {}", visible(note))));
                }
                Some(self.shown(listing, style, std::mem::take(&mut with_header)))
            }
            (Err(unread), ListFormat::Text) => Some(unread_words(unread, style)),
            (Err(unread), ListFormat::Json) => Some(Listing::unread_json(&unread.database, &unread.why)),
            (Err(_), ListFormat::Csv | ListFormat::JsonLines) => None,
        });
        shown.collect()
    }

    /// The list of one database.
    fn shown(&self, listing: &Listing, style: TextStyle, with_header: bool) -> String {
        match self.arguments.format {
            ListFormat::Text => listing.to_text(style),
            ListFormat::Csv => listing.to_csv(with_header),
            ListFormat::Json => listing.to_json(),
            ListFormat::JsonLines => listing.to_json_lines(),
        }
    }

    /// What stands between the lists of two databases.
    fn between(&self) -> &'static str {
        match self.arguments.format {
            ListFormat::Text => "\n",
            ListFormat::Csv | ListFormat::Json | ListFormat::JsonLines => "",
        }
    }
}

/// That nobody knows a column, and what that means.
fn missing_note(column: Column, consequence: &str) -> String {
    let name = column.name();
    if column.source() == Source::Rate {
        format!(
            "column {name} compares two snapshots that are ten seconds apart, so with --watch it is known later: {consequence}"
        )
    } else {
        format!("column {name} is missing: {consequence}")
    }
}

/// The list of each database, made anew in each round.
struct WatchedList<'a> {
    readers: Vec<DatabaseReader>,
    rules: &'a Rules,
    list: List<'a>,
    rhythm: Rhythm,
    /// What was read last.
    read: Option<Vec<Result<Listing, Unread>>>,
}

impl Watched for WatchedList<'_> {
    fn read(&mut self) -> Result<(), ExitStatus> {
        let looks = self
            .rules
            .read_all(&mut self.readers, self.list.needs(), Some(self.rhythm));
        goes_on(&looks, &self.readers, self.read.is_none())?;
        let listings = looks.into_iter().zip(&mut self.readers);
        let listings = listings.map(|(look, reader)| look.map(|look| self.list.of(&look, &mut reader.memory)));
        self.read = Some(listings.collect());
        Ok(())
    }

    fn tell(&self) {
        let read = self.read.iter().flatten();
        read.filter_map(|one| one.as_ref().err()).for_each(Unread::tell);
    }

    fn show(&self, style: TextStyle, is_first: bool) -> Vec<String> {
        let read = self.read.as_deref().unwrap_or_default();
        self.list.all_shown(read, style, is_first)
    }
}

/// A database that could not be read, in the place of its list.
fn unread_words(unread: &Unread, style: TextStyle) -> String {
    let mut out = String::new();
    let words = format!(
        "{} could not be read: {}",
        visible(&unread.database),
        visible(&unread.why)
    );
    wrapped(&mut out, "! ", &words, style, Colour::Red);
    out
}

/// Whether to read again: not if the first time nothing could be read, nor where nothing ever will be.
pub(crate) fn goes_on(looks: &[Looked], readers: &[DatabaseReader], is_first: bool) -> Result<(), ExitStatus> {
    let none = !looks.is_empty() && looks.iter().all(Result::is_err);
    if none && (is_first || readers.iter().all(DatabaseReader::has_given_up)) {
        looks
            .iter()
            .filter_map(|looked| looked.as_ref().err())
            .for_each(Unread::tell);
        return Err(ExitStatus::Failed);
    }
    Ok(())
}
