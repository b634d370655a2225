//! Writes a recording, one complete block at a time, so that the file can be read even if writing is interrupted.

use std::io::{self, Write};

use crate::recording::bytes::Put;
use crate::recording::encode::Encoder;
use crate::recording::{Header, LONGEST_BLOCK, MAGIC, RecordedSnapshot, VERSION};

/// Writes a recording.
#[derive(Debug)]
pub struct RecordingWriter<W> {
    out: W,
    encoder: Encoder,
    written: u64,
}

impl<W: Write> RecordingWriter<W> {
    /// Begins a recording.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn begin(out: W, header: &Header) -> io::Result<RecordingWriter<W>> {
        let mut writer = RecordingWriter {
            out,
            encoder: Encoder::default(),
            written: 0,
        };
        let mut start = MAGIC.to_vec();
        start.extend(VERSION.to_le_bytes());
        let mut content = Put::default();
        content.text(&header.database);
        content.number(header.every.as_secs());
        block(&mut start, &content.0)?;
        writer.write_all(&start)?;
        Ok(writer)
    }

    /// Adds a snapshot. After an error nothing more can be added, because later blocks depend on the lost one.
    ///
    /// # Errors
    /// If it cannot be written, or is larger than [`super::LONGEST_BLOCK`].
    pub fn add(&mut self, recorded: RecordedSnapshot) -> io::Result<()> {
        let content = self.encoder.encode(recorded);
        let mut bytes = Vec::with_capacity(content.len() + 12);
        block(&mut bytes, &content)?;
        self.write_all(&bytes)
    }

    /// The number of bytes that were written.
    #[must_use]
    pub(crate) fn written(&self) -> u64 {
        self.written
    }

    /// Ends the recording and returns the output.
    #[cfg(test)]
    pub(crate) fn finish(self) -> W {
        self.out
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)?;
        self.out.flush()?;
        self.written += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        Ok(())
    }
}

fn block(out: &mut Vec<u8>, content: &[u8]) -> io::Result<()> {
    let length = u32::try_from(content.len())
        .ok()
        .filter(|length| *length <= LONGEST_BLOCK)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the snapshot is too large for a recording"))?;
    let mut head = length.to_le_bytes().to_vec();
    head.extend(crc32fast::hash(content).to_le_bytes());
    head.extend(crc32fast::hash(&head).to_le_bytes());
    out.extend(head);
    out.extend_from_slice(content);
    Ok(())
}
