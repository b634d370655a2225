//! `-` in the place of a file: standard input where a file is read, standard output where one is written.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Whether a path stands for a standard stream. A file of that name is `./-`.
pub(crate) fn is_stream(path: &Path) -> bool {
    path == Path::new("-")
}

/// What a message calls standard input.
pub(crate) const STANDARD_INPUT: &str = "standard input";

/// What a message calls the file that is read.
pub(crate) fn source_name(path: &Path) -> String {
    if is_stream(path) {
        STANDARD_INPUT.to_owned()
    } else {
        path.display().to_string()
    }
}

/// What a message calls the file that is written.
pub(crate) fn target_name(path: &Path) -> String {
    if is_stream(path) {
        "standard output".to_owned()
    } else {
        path.display().to_string()
    }
}

/// The file to write to, if it is none of the standard streams.
pub(crate) fn file_of(output: Option<&Path>) -> Option<&Path> {
    output.filter(|path| !is_stream(path))
}

/// What to read, with the number of its bytes, 0 if nobody knows.
pub(crate) fn source(path: &Path) -> io::Result<(Box<dyn Read>, u64)> {
    if is_stream(path) {
        return Ok((Box::new(io::stdin()), 0));
    }
    let file = File::open(path)?;
    let size = file.metadata().map_or(0, |metadata| metadata.len());
    Ok((Box::new(file), size))
}
