//! Reads a recording to its end, for `replay`, `suggest` and `demo --from`: with a progress line, and with its damage reported.

use std::fmt;
#[cfg(feature = "demo")]
use std::io::BufRead as _;
use std::io::{self, BufReader, Cursor, Read};
use std::path::Path;

use chrono::{DateTime, Utc};

use crate::cli::ExitStatus;
use crate::commands::progress::ProgressBarLine;
use crate::commands::stream::{source, source_name};
use crate::commands::{fail, warn};
use crate::quantity::counted;
use crate::recording::{Header, MAGIC, Next, OpenError, RecordedSnapshot, RecordingReader};
use crate::session::column::Columns;

/// A file that may be a recording.
pub(crate) struct RecordingInput {
    /// What messages call it.
    name: String,
    /// 0 if nobody knows.
    size: u64,
    bytes: BufReader<Box<dyn Read>>,
}

impl RecordingInput {
    /// Opens a file, or standard input for `-`. Its first bytes come by themselves, so that they can be looked at before the rest.
    pub(crate) fn open(path: &Path) -> io::Result<RecordingInput> {
        let (mut bytes, size) = source(path)?;
        let mut head = Vec::new();
        bytes.by_ref().take(MAGIC.len() as u64).read_to_end(&mut head)?;
        Ok(RecordingInput {
            name: source_name(path),
            size,
            bytes: BufReader::with_capacity(1 << 16, Box::new(Cursor::new(head).chain(bytes))),
        })
    }

    /// Its bytes, if it does not begin as a recording does.
    #[cfg(feature = "demo")]
    pub(crate) fn other(mut self) -> Result<impl Read, RecordingInput> {
        let is_recording = self.bytes.fill_buf().is_ok_and(|head| head.starts_with(&MAGIC));
        if is_recording { Err(self) } else { Ok(self.bytes) }
    }

    /// Reads its header.
    pub(crate) fn recording(self, wanted: Columns) -> Result<OpenRecording, OpenError> {
        Ok(OpenRecording {
            reader: RecordingReader::open(self.bytes, wanted)?,
            name: self.name,
            size: self.size,
        })
    }
}

/// A recording of which the header is read.
pub(crate) struct OpenRecording {
    reader: RecordingReader<BufReader<Box<dyn Read>>>,
    name: String,
    size: u64,
}

/// Why a recording was not read to its end.
#[derive(Debug)]
pub(crate) enum EachError {
    /// It cannot be read.
    Unread(String),
    /// What is made of its snapshots cannot be written.
    Unwritten(io::Error),
}

impl fmt::Display for EachError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EachError::Unread(why) => f.write_str(why),
            EachError::Unwritten(error) => write!(f, "write the report: {error}"),
        }
    }
}

impl EachError {
    /// Reports it. A closed pipe is no error: its reader has seen enough.
    pub(crate) fn told(&self) -> ExitStatus {
        match self {
            EachError::Unwritten(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitStatus::Fine,
            EachError::Unread(_) | EachError::Unwritten(_) => fail(&self.to_string()),
        }
    }
}

/// What reading all of a recording came to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReadThrough {
    /// Snapshots that were handed on.
    snapshots: usize,
    /// Those of them that have a time, by which alone something can be said of them.
    dated: usize,
    /// Damaged blocks; each was reported.
    pub(crate) damaged: usize,
    /// Undamaged blocks that are of no use without a damaged one.
    pub(crate) passed_over: u64,
}

impl ReadThrough {
    /// What was not read of it, and what to do; `None` if all was read.
    pub(crate) fn damage(&self) -> Option<String> {
        let skipped = match self.passed_over {
            0 => String::new(),
            blocks => format!(
                ", and {blocks} undamaged blocks were skipped, because they contain only the changes since a damaged one"
            ),
        };
        let places = counted(self.damaged, "damaged place");
        (self.damaged > 0).then(|| {
            format!(
                "the recording has {places}{skipped}: the result is of the rest alone; copy the file anew from where it was made, or \
                 record again"
            )
        })
    }

    /// Refuses a recording of which nothing can be said, because a result would look like one. `name` is what messages call it.
    ///
    /// # Errors
    /// If no snapshot was read, or none has a time.
    pub(crate) fn has_something(&self, name: &str) -> Result<(), ExitStatus> {
        let why = match (self.snapshots, self.damaged, self.dated) {
            (0, 0, _) => "it has no snapshot, so there is nothing to report: record again".to_owned(),
            (0, ..) => "none of its snapshots could be read, so there is nothing to report: copy the file anew from where it was made, or \
                        record again"
                .to_owned(),
            (snapshots, _, 0) => format!(
                "it has {} and none with a time, so there is nothing to report: record again",
                counted(snapshots, "snapshot")
            ),
            (_, _, _) => return Ok(()),
        };
        Err(fail(&format!("read the recording {name}: {why}")))
    }

    /// Says it, after each damaged place was named.
    pub(crate) fn tell_damage(&self) {
        if let Some(damage) = self.damage() {
            warn(&damage);
        }
    }
}

impl OpenRecording {
    /// Opens a recording, and reports why it cannot be.
    pub(crate) fn open(path: &Path, wanted: Columns) -> Result<OpenRecording, ExitStatus> {
        let input = RecordingInput::open(path).map_err(OpenError::Io);
        let opened = input.and_then(|input| input.recording(wanted));
        opened.map_err(|error| fail(&format!("read the recording {}: {error}", source_name(path))))
    }

    /// Its header.
    pub(crate) fn header(&self) -> &Header {
        self.reader.header()
    }

    /// Hands each snapshot on, in their order; what it is handed to returns the snapshot's time. `silent` if a progress line would appear
    /// between the lines of a result.
    pub(crate) fn each(
        &mut self,
        silent: bool,
        mut take: impl FnMut(Box<RecordedSnapshot>) -> io::Result<Option<DateTime<Utc>>>,
    ) -> Result<ReadThrough, EachError> {
        let mut progress = ProgressBarLine::new(self.size, silent || self.size == 0);
        let (mut snapshots, mut dated, mut damaged) = (0, 0, 0);
        let ended = loop {
            match self.reader.next() {
                Ok(Next::RecordedSnapshot(recorded)) => match take(recorded) {
                    Ok(at) => {
                        snapshots += 1;
                        dated += usize::from(at.is_some());
                        progress.advance(self.reader.offset(), at);
                    }
                    Err(error) => break Err(EachError::Unwritten(error)),
                },
                Ok(Next::Damage(damage)) => {
                    progress.aside(|| warn(&format!("{}: {damage}", self.name)));
                    damaged += 1;
                }
                Ok(Next::End) => break Ok(()),
                Err(error) => break Err(EachError::Unread(format!("read the recording {}: {error}", self.name))),
            }
        };
        progress.clear();
        ended.map(|()| ReadThrough {
            snapshots,
            dated,
            damaged,
            passed_over: self.reader.passed_over(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::ReadThrough;

    #[test]
    fn a_recording_of_which_nothing_can_be_said_is_refused() {
        let of = |snapshots, dated, damaged| ReadThrough {
            snapshots,
            dated,
            damaged,
            passed_over: 0,
        };
        for nothing in [of(0, 0, 0), of(0, 0, 2), of(3, 0, 0)] {
            assert!(nothing.has_something("mine.rec").is_err(), "{nothing:?}");
        }
        for something in [of(1, 1, 0), of(3, 1, 2)] {
            assert!(something.has_something("mine.rec").is_ok(), "{something:?}");
        }
    }
}
