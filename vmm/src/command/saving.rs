//! Saving the machine that runs, and going on with one that was saved.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use rustix::rand::{GetRandomFlags, getrandom};

use super::drives;
use super::options::Options;
use super::run::without_number;
use crate::{Limit, Machine, SnapshotError};

/// When the machine is to be saved, and where.
pub(super) struct Saving {
    file: Option<PathBuf>,
    at: Option<Instant>,
    /// Whether what the guest writes to its disks from now on is not what it had written when it was saved.
    parts_from_disks: bool,
    /// What somebody has asked for.
    pub(super) asked: Arc<Asked>,
}

/// What somebody at the terminal has asked for: both are done, the saving first.
#[derive(Debug, Default)]
pub(super) struct Asked {
    pub(super) saves: AtomicBool,
    pub(super) ends: AtomicBool,
}

impl Saving {
    /// What the options say; seconds count from now.
    pub(super) fn of(options: &Options) -> Result<Self, String> {
        let after = options.save_after.map(|seconds| {
            Duration::try_from_secs_f64(seconds).map_err(|_| format!("{seconds} is no number of seconds"))
        });
        let at = after.transpose()?.and_then(|after| Instant::now().checked_add(after));
        if let Some(file) = &options.save {
            // Better now than when there is something to lose.
            place_of(file).map_err(|error| cannot_save(file, &error.into()))?;
        }
        let parts_from_disks = drives::are_written(options);
        Ok(Self { file: options.save.clone(), at, parts_from_disks, asked: Arc::default() })
    }

    /// How long the machine may run before it is saved.
    pub(super) fn limit(&self) -> Limit {
        let left = self.at.map(|at| at.saturating_duration_since(Instant::now()));
        Limit { time: left.unwrap_or(Duration::MAX), ..Limit::default() }
    }

    /// Saves the machine, which goes on whatever comes of it, and tells on the terminal.
    pub(super) fn save_and_go_on(&self, machine: &Machine) {
        match self.file.as_deref().map(|file| save(machine, file)) {
            None => eprintln!("assay: there is nowhere to save the machine: -save FILE says where\r"),
            Some(Err(why)) => eprintln!("assay: {}\r", without_number(&why)),
            Some(Ok(())) if self.parts_from_disks => eprintln!(
                "assay: the machine is saved and goes on: restore it with disks as they are now, or they are corrupted\r"
            ),
            Some(Ok(())) => {}
        }
    }

    /// Saves the machine whose time is over. If that fails there is no other time.
    pub(super) fn at_the_end(&mut self, machine: &Machine) -> Result<(), String> {
        self.at = None;
        self.file.as_deref().map_or(Ok(()), |file| save(machine, file))
    }
}

fn cannot_save(path: &Path, error: &SnapshotError) -> String {
    format!("cannot save the machine in {}: {error}", path.display())
}

/// Where the file is to be: what a symbolic link leads to, and nothing but a file.
fn place_of(path: &Path) -> io::Result<PathBuf> {
    let place = match fs::canonicalize(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(path.to_owned()),
        place => place?,
    };
    match fs::metadata(&place)?.is_file() {
        true => Ok(place),
        false => Err(io::Error::other("it is there and no file")),
    }
}

/// Writes another file first, so that what was saved before is there until all of this is, also if the host fails. Nobody else may
/// read it: a guest's secrets are in its memory.
fn save(machine: &Machine, path: &Path) -> Result<(), String> {
    let saved = place_of(path).map_err(SnapshotError::from).and_then(|place| {
        let mut random = [0; 8];
        getrandom(&mut random, GetRandomFlags::empty()).map_err(io::Error::from)?;
        let mut beside = place.as_os_str().to_owned();
        beside.push(format!(".{:016x}", u64::from_ne_bytes(random)));
        let beside = PathBuf::from(beside);
        let file = File::options().write(true).create_new(true).mode(0o600).open(&beside)?;
        let written = write(machine, file).and_then(|()| Ok(fs::rename(&beside, place)?));
        if written.is_err() {
            // What was not written whole is of no use, and that it cannot be removed is not what went wrong.
            let _ = fs::remove_file(&beside);
        }
        written
    });
    saved.map_err(|error| cannot_save(path, &error))
}

fn write(machine: &Machine, file: File) -> Result<(), SnapshotError> {
    let mut buffered = BufWriter::new(file);
    machine.save(&mut buffered)?;
    let file = buffered.into_inner().map_err(io::IntoInnerError::into_error)?;
    Ok(file.sync_all()?)
}

/// Makes the machine what was saved.
pub(super) fn restore(machine: &mut Machine, path: &Path) -> Result<(), String> {
    let restored = File::open(path)
        .map_err(SnapshotError::from)
        .and_then(|file| machine.restore(&mut BufReader::new(file)));
    restored.map_err(|error| format!("cannot restore the machine from {}: {error}", path.display()))
}
