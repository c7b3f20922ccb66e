//! The journal of a run: one line of JSON for each thing found out, written as it happens, so that a runner that is
//! killed loses nothing.
//!
//! ```text
//! {"format":1,"host":{…}}
//! {"trying":"system::api_version::is_twelve"}
//! {"entry":{…}}
//! {"note":"…"}
//! {"part":{"number":3,"of":8,"claims":1231}}
//! ```

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::edition::{self, EditionError};
use crate::{Entry, FORMAT, Host, Part, Run, reason};

/// The name of the journal in the directory of a run.
pub const JOURNAL: &str = "journal.jsonl";

/// How the notes begin that reading an unfinished journal adds.
const CUT_OFF: &str = "the journal is cut off in line ";
const ENDED: &str = "the run ended while ";

/// Whether a note says no more than that its journal was unfinished, which it is no longer once the run is gone on with.
pub fn is_of_an_unfinished_journal(note: &str) -> bool {
    note.starts_with(CUT_OFF) || note.starts_with(ENDED)
}

/// A journal that is being written.
#[derive(Debug)]
pub struct Journal {
    file: File,
    path: PathBuf,
    /// The bytes of the lines that are whole.
    length: u64,
    /// Whether each line goes to standard output as well.
    is_told: bool,
}

/// Why a journal cannot be written or read; each completes "cannot …".
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The file cannot be made.
    #[error("create the journal {}: {}; name a directory that can be written with --out", path.display(), reason(source))]
    Create {
        /// The journal.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A line cannot be added.
    #[error("write to the journal {}: {}; make room or name another directory with --out", path.display(), reason(source))]
    Write {
        /// The journal.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file cannot be read.
    #[error("read the journal {}: {}; read it as a user who may, or name a copy", path.display(), reason(source))]
    Read {
        /// The journal.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The first line, which says the format and the host, is missing or no such line.
    #[error("read the journal {}: it does not begin with its host ({reason}); name the journal of a run", path.display())]
    NoHost {
        /// The journal.
        path: PathBuf,
        /// What is wrong with the first line.
        reason: String,
    },
    /// A line before the last is damaged.
    #[error("read the journal {}: line {line} is damaged ({reason}); \
        remove that line to read the others", path.display())]
    Line {
        /// The journal.
        path: PathBuf,
        /// The number of the line, from one.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// A newer Assay wrote it.
    #[error(
        "read the journal {}: it was written by a later Assay (format {format}; this one \
         reads up to {FORMAT}); use that version or newer",
        path.display()
    )]
    Later {
        /// The journal.
        path: PathBuf,
        /// The format that it is in.
        format: u64,
    },
}

/// One line. What is none of these was added to the format later and is passed over.
#[derive(Default, Serialize, Deserialize)]
struct Line<'a> {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    format: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    host: Option<Cow<'a, Host>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    trying: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    entry: Option<Cow<'a, Entry>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    note: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    part: Option<Part>,
}

impl Journal {
    /// Begins the journal of a run on `host` at `path`, where an earlier one is replaced.
    pub fn create(path: impl AsRef<Path>, host: &Host) -> Result<Self, JournalError> {
        let path = path.as_ref().to_owned();
        let file =
            File::create(&path).map_err(|source| JournalError::Create { path: path.clone(), source })?;
        let mut journal = Self { file, path, length: 0, is_told: false };
        journal.write(&Line { format: Some(FORMAT), host: Some(Cow::Borrowed(host)), ..Line::default() })?;
        Ok(journal)
    }

    /// Moves the journal, in place of one that is there.
    pub fn moved(self, path: impl AsRef<Path>) -> Result<Self, JournalError> {
        let path = path.as_ref().to_owned();
        fs::rename(&self.path, &path)
            .map_err(|source| JournalError::Create { path: path.clone(), source })?;
        Ok(Self { path, ..self })
    }

    /// Has each line go to standard output as well, those first that are there already. Where nobody reads it any more, the file alone
    /// is written.
    pub fn told(mut self) -> Self {
        let so_far = fs::read(&self.path).unwrap_or_default();
        self.is_told = tell(&so_far);
        self
    }

    /// Records that the claim `name` is about to be tried, so that it is known what a kernel died of.
    pub fn trying(&mut self, name: &str) -> Result<(), JournalError> {
        self.write(&Line { trying: Some(name.to_owned()), ..Line::default() })
    }

    /// Records what is said of one claim. An entry of the same name replaces an earlier one.
    pub fn append(&mut self, entry: &Entry) -> Result<(), JournalError> {
        self.write(&Line { entry: Some(Cow::Borrowed(entry)), ..Line::default() })
    }

    /// Records what is said of the run as a whole.
    pub fn note(&mut self, note: &str) -> Result<(), JournalError> {
        self.write(&Line { note: Some(note.to_owned()), ..Line::default() })
    }

    /// Records which part this is of a run that was split.
    pub fn part(&mut self, part: Part) -> Result<(), JournalError> {
        self.write(&Line { part: Some(part), ..Line::default() })
    }

    /// Reads the journal at `path`, whole or cut off at any point after its first line, as the run that it tells of.
    pub fn read(path: impl AsRef<Path>) -> Result<Run, JournalError> {
        let path = path.as_ref();
        let text = fs::read(path).map_err(|source| JournalError::Read { path: path.to_owned(), source })?;
        Reader::new(path, &text)?.run()
    }

    fn write(&mut self, line: &Line<'_>) -> Result<(), JournalError> {
        self.add(line).map_err(|source| {
            // Where the disk filled up in the middle of the line, that part must not spoil the next one.
            let _ = self.file.set_len(self.length);
            JournalError::Write { path: self.path.clone(), source }
        })
    }

    /// One line in one call, behind those that are whole, so that it is whole or cut off, and never mixed with another's.
    fn add(&mut self, line: &Line<'_>) -> io::Result<()> {
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        self.file.seek(SeekFrom::Start(self.length))?;
        self.file.write_all(&text)?;
        self.length += text.len() as u64;
        self.is_told = self.is_told && tell(&text);
        Ok(())
    }
}

/// Writes to standard output; false where that cannot be.
fn tell(text: &[u8]) -> bool {
    let mut out = io::stdout().lock();
    out.write_all(text).and_then(|()| out.flush()).is_ok()
}

/// A journal that is being read: what its lines have said so far.
struct Reader<'a> {
    path: &'a Path,
    lines: Vec<(usize, &'a [u8])>,
    host: Host,
    entries: BTreeMap<String, Entry>,
    trying: BTreeSet<String>,
    notes: Vec<String>,
    part: Option<Part>,
}

impl<'a> Reader<'a> {
    /// Accepts the first line, which says the format and the host.
    fn new(path: &'a Path, text: &'a [u8]) -> Result<Self, JournalError> {
        let lines = text.split(|byte| *byte == b'\n').enumerate().map(|(number, line)| (number + 1, line));
        let mut lines = lines.filter(|(_, line)| !line.is_empty()).collect::<Vec<_>>().into_iter();
        let no_host = |reason: String| JournalError::NoHost { path: path.to_owned(), reason };
        let (_, first) = lines.next().ok_or_else(|| no_host("it is empty".to_owned()))?;
        edition::check(first).map_err(|error| match error {
            EditionError::Later(format) => JournalError::Later { path: path.to_owned(), format },
            other => no_host(other.to_string()),
        })?;
        let first: Line<'_> = serde_json::from_slice(first).map_err(|error| no_host(error.to_string()))?;
        let host = first.host.ok_or_else(|| no_host("it has no \"host\"".to_owned()))?.into_owned();
        let lines = lines.collect();
        let (entries, trying) = (BTreeMap::new(), BTreeSet::new());
        Ok(Self { path, lines, host, entries, trying, notes: Vec::new(), part: None })
    }

    fn run(mut self) -> Result<Run, JournalError> {
        let lines = std::mem::take(&mut self.lines);
        let last = lines.last().map_or(0, |(number, _)| *number);
        for (number, text) in lines {
            match serde_json::from_slice(text) {
                Ok(line) => self.take(line),
                Err(_) if number == last => {
                    self.notes.push(format!("{CUT_OFF}{number}: what it held is lost"));
                }
                Err(error) => {
                    let reason = error.to_string();
                    return Err(JournalError::Line { path: self.path.to_owned(), line: number, reason });
                }
            }
        }
        let ended = self.trying.iter().map(|name| format!("{ENDED}{name} was tried"));
        self.notes.extend(ended);
        let run = Run::new(self.host, self.entries.into_values().collect(), self.notes);
        Ok(Run { part: self.part, ..run })
    }

    fn take(&mut self, line: Line<'_>) {
        self.trying.extend(line.trying);
        self.notes.extend(line.note);
        self.part = line.part.or(self.part);
        if let Some(entry) = line.entry.map(Cow::into_owned) {
            self.trying.remove(&entry.name);
            self.entries.insert(entry.name.clone(), entry);
        }
    }
}
