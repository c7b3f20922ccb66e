//! The edition of the format that a file was written in, looked at before anything else is believed of the file.

use serde_json::Value;

use crate::FORMAT;

/// What stops a file from being read in any format that this crate knows.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EditionError {
    /// The text ends in the middle of a value.
    #[error("it is cut off")]
    CutOff,
    /// The text is not JSON.
    #[error("{0}")]
    Malformed(String),
    /// JSON, but nothing of ours.
    #[error("it has no \"format\"")]
    Absent,
    /// Written by a version of Assay that is newer than this.
    #[error("format {0}")]
    Later(u64),
}

/// Accepts `text` if it is whole JSON of a format that this crate reads.
pub(crate) fn check(text: &[u8]) -> Result<(), EditionError> {
    // A whole value, because a parser that passes over values takes a number cut off at its point for a wrong one.
    let json: Value = serde_json::from_slice(text).map_err(|error| match error.is_eof() {
        true => EditionError::CutOff,
        false => EditionError::Malformed(error.to_string()),
    })?;
    match json.get("format").and_then(Value::as_u64) {
        None | Some(0) => Err(EditionError::Absent),
        Some(format) if format > u64::from(FORMAT) => Err(EditionError::Later(format)),
        Some(_) => Ok(()),
    }
}
