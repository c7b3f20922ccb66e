//! Saving the machine that runs, and going on with one that was saved.

use std::fs::{self, File};
use std::io::{BufReader, BufWriter};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::options::Options;
use crate::{Limit, Machine, SnapshotError};

/// When the machine is to be saved, and where.
pub(super) struct Saving {
    file: Option<PathBuf>,
    at: Option<Instant>,
    /// Whether somebody has asked for it.
    pub(super) asked: Arc<AtomicBool>,
}

impl Saving {
    /// What the options say; seconds count from now.
    pub(super) fn of(options: &Options) -> Result<Self, String> {
        let after = options.save_after.map(|seconds| {
            Duration::try_from_secs_f64(seconds).map_err(|_| format!("{seconds} is no number of seconds"))
        });
        let at = after.transpose()?.and_then(|after| Instant::now().checked_add(after));
        Ok(Self { file: options.save.clone(), at, asked: Arc::default() })
    }

    /// How long the machine may run before it is saved.
    pub(super) fn limit(&self) -> Limit {
        let left = self.at.map(|at| at.saturating_duration_since(Instant::now()));
        Limit { time: left.unwrap_or(Duration::MAX), ..Limit::default() }
    }

    /// Saves the machine if it was stopped for that. Whether it was.
    pub(super) fn was_asked(&self, machine: &Machine) -> Result<bool, String> {
        if !self.asked.swap(false, Ordering::Relaxed) {
            return Ok(false);
        }
        match &self.file {
            Some(file) => save(machine, file)?,
            None => eprintln!("assay: there is nowhere to save the machine: -save FILE says where\r"),
        }
        Ok(true)
    }

    /// Saves the machine whose time is over.
    pub(super) fn at_the_end(&self, machine: &Machine) -> Result<(), String> {
        self.file.as_deref().map_or(Ok(()), |file| save(machine, file))
    }
}

/// Writes another file first, so that what was saved before is there until all of this is.
fn save(machine: &Machine, path: &Path) -> Result<(), String> {
    let cannot = |error: SnapshotError| format!("cannot save the machine in {}: {error}", path.display());
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    let written = File::create(&beside)
        .map_err(SnapshotError::from)
        .and_then(|file| machine.save(&mut BufWriter::new(file)))
        .and_then(|()| Ok(fs::rename(&beside, path)?));
    if written.is_err() {
        // It may not be there at all.
        let _ = fs::remove_file(&beside);
    }
    written.map_err(cannot)
}

/// Makes the machine what was saved.
pub(super) fn restore(machine: &mut Machine, path: &Path) -> Result<(), String> {
    let restored = File::open(path)
        .map_err(SnapshotError::from)
        .and_then(|file| machine.restore(&mut BufReader::new(file)));
    restored.map_err(|error| format!("cannot restore the machine from {}: {error}", path.display()))
}
