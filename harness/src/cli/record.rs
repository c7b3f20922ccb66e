//! The directory of a run: begun before anything is tried, filled at the end, and where it cannot be filled, saved elsewhere.

use std::fs::{self, File};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};

use reports::{Format, Host, JOURNAL, Journal, JournalError, Run, formats, reason};

use super::status::Complaint;

/// The format that a run is read back from.
const READ_BACK: &str = "json";

/// What became of a run's record.
#[derive(Debug)]
pub(super) enum Written {
    /// Every format is in its place.
    Whole,
    /// What is read back is in its place, but not every other format, and why.
    Partly(String),
    /// It had to be saved in another file, and why.
    Elsewhere(String),
    /// It is nowhere but in memory, and why.
    Nowhere(String),
}

impl Written {
    /// Why it is not as it should be.
    pub(super) fn trouble(&self) -> Option<&str> {
        match self {
            Self::Whole => None,
            Self::Partly(why) | Self::Elsewhere(why) | Self::Nowhere(why) => Some(why),
        }
    }
}

/// Makes the directory and begins the journal in it. What an earlier run left there goes, so that it is never taken for this one's.
pub(super) fn begin(out: &Path, host: &Host) -> Result<Journal, Complaint> {
    go_on(out, &Run::new(host.clone(), vec![], vec![]))
}

/// The same, with what an earlier run said at the journal's beginning. That run's record goes once its words are in the new journal.
pub(super) fn go_on(out: &Path, earlier: &Run) -> Result<Journal, Complaint> {
    fs::create_dir_all(out).map_err(|error| {
        let why = match error.kind() {
            ErrorKind::AlreadyExists | ErrorKind::NotADirectory => "it is not a directory".to_owned(),
            _ => reason(&error),
        };
        Complaint::of_writing(&error, format!("cannot write to {}: {why}; {}", out.display(), cure(&error)))
    })?;
    let journal = journal(out, earlier).map_err(|error| match &error {
        JournalError::Create { source, .. } | JournalError::Write { source, .. } => {
            Complaint::of_writing(source, format!("cannot {error}"))
        }
        _ => Complaint::unusable(&error),
    })?;
    for file in formats().iter().filter_map(|format| format.file) {
        let path = out.join(file);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                let sentence =
                    format!("cannot replace {}: {}; {}", path.display(), reason(&error), cure(&error));
                return Err(Complaint::Usage(sentence));
            }
            _ => {}
        }
    }
    Ok(journal)
}

fn journal(out: &Path, Run { host, claims, notes, .. }: &Run) -> Result<Journal, JournalError> {
    let mut journal = Journal::create(out.join(format!(".{JOURNAL}.draft")), host)?;
    claims.iter().try_for_each(|entry| journal.append(entry))?;
    notes.iter().try_for_each(|note| journal.note(note))?;
    journal.moved(out.join(JOURNAL))
}

fn cure(error: &io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            "make room, or name another directory with --out DIR"
        }
        _ => "name another directory with --out DIR",
    }
}

/// Writes the record in every format, each whole or not at all. What was measured is saved elsewhere before it is given up.
pub(super) fn write(run: &Run, out: &Path) -> Written {
    let mut failed = Vec::new();
    for (format, file) in formats().into_iter().filter_map(|format| Some((format, format.file?))) {
        let path = out.join(file);
        if let Err(error) = write_format(format, run, &path) {
            failed.push((format, path, error));
        }
    }
    let Some((format, path, error)) = failed.iter().min_by_key(|(format, ..)| format.name != READ_BACK)
    else {
        return Written::Whole;
    };
    let what = format!("cannot write {}: {}", path.display(), reason(error));
    if format.name != READ_BACK {
        let again = format!("make room, then assay report {} --format {}", out.display(), format.name);
        return Written::Partly(format!("{what}; {again} makes it again"));
    }
    match save(format, run) {
        Ok(saved) => Written::Elsewhere(format!(
            "{what}; the record is in {} instead: {}",
            saved.display(),
            cure(error)
        )),
        Err(_) => Written::Nowhere(format!(
            "{what}, nor anywhere else; the record as JSON ends standard output instead: {}",
            cure(error)
        )),
    }
}

fn write_format(format: &Format, run: &Run, path: &Path) -> io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let draft = path.with_file_name(format!(".{name}.draft"));
    let written = File::create(&draft).and_then(|file| {
        fill(format, run, file)?;
        fs::rename(&draft, path)
    });
    if written.is_err() {
        let _ = fs::remove_file(&draft);
    }
    written
}

/// Saves the record in the directory for temporary files, in a file that nobody else has laid there.
fn save(format: &Format, run: &Run) -> io::Result<PathBuf> {
    let path = std::env::temp_dir().join(format!("assay-{}-run.{}", std::process::id(), format.name));
    let file = File::create_new(&path)?;
    let filled = fill(format, run, file);
    if filled.is_err() {
        let _ = fs::remove_file(&path);
    }
    filled.map(|()| path)
}

fn fill(format: &Format, run: &Run, file: File) -> io::Result<()> {
    let mut file = BufWriter::new(file);
    (format.write)(run, &mut file)?;
    file.flush()
}
