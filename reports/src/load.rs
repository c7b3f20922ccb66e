//! Reading a run back: from `run.json`, from the journal, or from the directory that holds them.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use crate::edition::{self, EditionError};
use crate::{FORMAT, JOURNAL, Journal, JournalError, Run, reason};

/// The name of the record in the directory of a run.
const RECORD: &str = "run.json";

/// Why a run cannot be read; each completes "cannot …".
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// There is nothing at the path.
    #[error("read {}: there is no such file; \
        name a {RECORD}, a {JOURNAL} or the directory of a run", .0.display())]
    Missing(PathBuf),
    /// The directory holds no run.
    #[error("read {}: the directory holds neither {RECORD} nor {JOURNAL}; name the --out directory of a run", .0.display())]
    Empty(PathBuf),
    /// The system refuses.
    #[error("read {}: {}; read it as a user who may, or name a copy", path.display(), reason(source))]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The text ends too early.
    #[error("read {what}: it is cut off; {cure}")]
    CutOff {
        /// The path, or what stands for it.
        what: String,
        /// Where there is more.
        cure: String,
    },
    /// The text is no record of a run.
    #[error("read {what}: it is not the record of a run ({reason}); name a {RECORD} that Assay wrote")]
    NotARun {
        /// The path, or what stands for it.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A newer Assay wrote it.
    #[error(
        "read {what}: it was written by a later Assay (format {format}; this one \
         reads up to {FORMAT}); use that version or newer"
    )]
    Later {
        /// The path, or what stands for it.
        what: String,
        /// The format that it is in.
        format: u64,
    },
    /// It is a journal, and that cannot be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

impl Run {
    /// The run that `json` is the record of. Fields that this version does not know are passed over.
    pub fn from_json(json: impl AsRef<[u8]>) -> Result<Self, LoadError> {
        let cure = || "take a whole copy of it".to_owned();
        parse("the record", json.as_ref(), cure)
    }

    /// The run at `path`: a `run.json`, a journal (a name that ends in `.jsonl`), or a directory with either, where the
    /// journal is read if `run.json` is absent, cut off or damaged.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, LoadError> {
        let path = path.as_ref();
        if path.is_dir() {
            load_directory(path)
        } else if path.extension().is_some_and(|extension| extension == "jsonl") && path.exists() {
            Ok(Journal::read(path)?)
        } else {
            load_record(path)
        }
    }
}

fn load_directory(path: &Path) -> Result<Run, LoadError> {
    let (record, journal) = (path.join(RECORD), path.join(JOURNAL));
    match load_record(&record) {
        Err(LoadError::Missing(_)) if journal.exists() => Ok(Journal::read(journal)?),
        Err(LoadError::Missing(_)) => Err(LoadError::Empty(path.to_owned())),
        Err(LoadError::CutOff { .. }) if journal.exists() => from_journal(&journal, "cut off"),
        Err(LoadError::NotARun { .. }) if journal.exists() => from_journal(&journal, "damaged"),
        read => read,
    }
}

fn from_journal(journal: &Path, why: &str) -> Result<Run, LoadError> {
    let mut run = Journal::read(journal)?;
    run.notes.push(format!("{RECORD} is {why}: this was read from {JOURNAL} instead"));
    Ok(run)
}

fn load_record(path: &Path) -> Result<Run, LoadError> {
    let json = fs::read(path).map_err(|source| match source.kind() {
        ErrorKind::NotFound => LoadError::Missing(path.to_owned()),
        _ => LoadError::Unreadable { path: path.to_owned(), source },
    })?;
    parse(&path.display().to_string(), &json, || {
        let journal = path.with_file_name(JOURNAL);
        match journal.exists() {
            true => format!("{} still has what was measured, read that", journal.display()),
            false => "take a whole copy of it".to_owned(),
        }
    })
}

fn parse(what: &str, json: &[u8], cure: impl Fn() -> String) -> Result<Run, LoadError> {
    let what = what.to_owned();
    match edition::check(json) {
        Ok(()) => {}
        Err(EditionError::CutOff) => return Err(LoadError::CutOff { what, cure: cure() }),
        Err(EditionError::Later(format)) => return Err(LoadError::Later { what, format }),
        Err(other) => return Err(LoadError::NotARun { what, reason: other.to_string() }),
    }
    serde_json::from_slice(json).map_err(|error| LoadError::NotARun { what, reason: error.to_string() })
}
