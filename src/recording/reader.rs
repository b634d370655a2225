//! Reads a recording, one snapshot at a time. Damage is reported with its position, and reading goes on after it.

use std::fmt;
use std::io::{self, Read};
use std::time::Duration;

use crate::recording::bytes::{Malformed, Take};
use crate::recording::decode::{Decoded, Decoder};
use crate::recording::{Header, LONGEST_BLOCK, MAGIC, RecordedSnapshot, VERSION};
use crate::session::column::Columns;

/// Why a recording cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file could not be read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The file does not begin like a recording.
    #[error("it is not a recording; `orareaper record` makes one")]
    NotARecording,
    /// The recording was made by a newer release.
    #[error(
        "the recording has version {0}, but this orareaper reads only up to version {VERSION}: use the release that made it"
    )]
    Newer(u16),
    /// The header of the recording cannot be read.
    #[error("the header of the recording is {0}: copy the file anew from where it was made, or record again")]
    Broken(BlockDamage),
}

/// What is wrong with a block.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlockDamage {
    /// The file ends inside the block.
    #[error("cut off")]
    CutOff,
    /// The length is damaged, so the beginning of the next block is not known.
    #[error("damaged in its length, so the rest cannot be read")]
    Length,
    /// The content is damaged.
    #[error("damaged: its checksum is wrong")]
    Content,
    /// The checksum is right, but the content is invalid.
    #[error("invalid: {0}")]
    Malformed(#[from] Malformed),
}

/// A damaged block of a recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DamagedBlock {
    /// The byte at which the block begins.
    pub(crate) offset: u64,
    /// What is wrong with it.
    pub(crate) broken: BlockDamage,
}

impl fmt::Display for DamagedBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the block at byte {} is {}", self.offset, self.broken)
    }
}

/// The result of reading on.
#[derive(Debug)]
pub enum Next {
    /// A snapshot.
    RecordedSnapshot(Box<RecordedSnapshot>),
    /// A damaged block. Reading can go on.
    Damage(DamagedBlock),
    /// The end of the recording.
    End,
}

/// Reads a recording.
#[derive(Debug)]
pub struct RecordingReader<R> {
    input: R,
    header: Header,
    decoder: Decoder,
    offset: u64,
    passed_over: u64,
    ended: bool,
}

enum Block {
    Content(Vec<u8>),
    Broken(BlockDamage),
    End,
}

impl<R: Read> RecordingReader<R> {
    /// Opens a recording. Only the wanted columns are read.
    ///
    /// # Errors
    /// If the file is not a recording, is from a newer release, or has a damaged header.
    pub fn open(mut input: R, wanted: Columns) -> Result<RecordingReader<R>, OpenError> {
        let mut start = [0; MAGIC.len() + 2];
        let read = fill(&mut input, &mut start)?;
        if read < MAGIC.len() || start[..MAGIC.len()] != MAGIC {
            return Err(OpenError::NotARecording);
        }
        if read < start.len() {
            return Err(OpenError::Broken(BlockDamage::CutOff));
        }
        let version = u16::from_le_bytes([start[8], start[9]]);
        if version > VERSION {
            return Err(OpenError::Newer(version));
        }
        let mut offset = u64::try_from(start.len()).unwrap_or(u64::MAX);
        let header = match block(&mut input, &mut offset)? {
            Block::Content(content) => header(&content).map_err(|malformed| OpenError::Broken(malformed.into()))?,
            Block::Broken(broken) => return Err(OpenError::Broken(broken)),
            Block::End => return Err(OpenError::Broken(BlockDamage::CutOff)),
        };
        Ok(RecordingReader {
            input,
            header,
            decoder: Decoder::new(wanted),
            offset,
            passed_over: 0,
            ended: false,
        })
    }

    /// The header of the recording.
    #[must_use]
    pub(crate) fn header(&self) -> &Header {
        &self.header
    }

    /// The number of bytes that were read.
    #[must_use]
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// The number of undamaged blocks that could not be used because of damage before them.
    #[must_use]
    pub(crate) fn passed_over(&self) -> u64 {
        self.passed_over
    }

    /// Reads the next snapshot.
    ///
    /// # Errors
    /// If the file cannot be read.
    #[allow(clippy::should_implement_trait, reason = "it has three answers and an error")]
    pub fn next(&mut self) -> io::Result<Next> {
        while !self.ended {
            let begins = self.offset;
            let broken = match block(&mut self.input, &mut self.offset)? {
                Block::End => break,
                Block::Content(content) => match self.decoder.decode(&content) {
                    Ok(Decoded::RecordedSnapshot(recorded)) => return Ok(Next::RecordedSnapshot(recorded)),
                    Ok(Decoded::Dangling) => {
                        self.passed_over += 1;
                        continue;
                    }
                    Err(malformed) => malformed.into(),
                },
                Block::Broken(broken) => broken,
            };
            self.decoder.forget();
            self.ended = match broken {
                BlockDamage::CutOff | BlockDamage::Length => true,
                BlockDamage::Content | BlockDamage::Malformed(_) => false,
            };
            return Ok(Next::Damage(DamagedBlock { offset: begins, broken }));
        }
        self.ended = true;
        Ok(Next::End)
    }
}

fn header(content: &[u8]) -> Result<Header, Malformed> {
    let mut take = Take(content);
    Ok(Header {
        database: take.text()?.to_owned(),
        every: Duration::from_secs(take.number()?),
    })
}

/// Reads a block and verifies its checksums.
fn block(input: &mut impl Read, offset: &mut u64) -> io::Result<Block> {
    let mut head = [0; 12];
    let read = fill(input, &mut head)?;
    *offset += u64::try_from(read).unwrap_or(u64::MAX);
    if read == 0 {
        return Ok(Block::End);
    }
    if read < head.len() {
        return Ok(Block::Broken(BlockDamage::CutOff));
    }
    let word = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    let (length, sum) = (word(0), word(4));
    if crc32fast::hash(&head[..8]) != word(8) || length > LONGEST_BLOCK {
        return Ok(Block::Broken(BlockDamage::Length));
    }
    let mut content = Vec::new();
    let read = input.by_ref().take(length.into()).read_to_end(&mut content)?;
    *offset += u64::try_from(read).unwrap_or(u64::MAX);
    Ok(if content.len() < length as usize {
        Block::Broken(BlockDamage::CutOff)
    } else if crc32fast::hash(&content) != sum {
        Block::Broken(BlockDamage::Content)
    } else {
        Block::Content(content)
    })
}

/// Fills the buffer as far as there is input.
fn fill(input: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut read = 0;
    while read < buffer.len() {
        match input.read(&mut buffer[read..]) {
            Ok(0) => break,
            Ok(more) => read += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(read)
}
