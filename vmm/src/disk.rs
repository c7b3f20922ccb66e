//! Disks: the only place where devices keep sectors.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, FileTypeExt};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use thiserror::Error;

/// Why a file cannot be a disk.
#[derive(Debug, Error)]
pub enum DiskError {
    /// It cannot be opened.
    #[error("open the disk {name}: {source}")]
    Open {
        /// Which.
        name: String,
        /// What the host says.
        source: io::Error,
    },
    /// It cannot be used as one.
    #[error("use {name} as a disk: {why}")]
    Unfit {
        /// Which.
        name: String,
        /// What is wrong with it.
        why: String,
    },
}

/// A disk: sectors in a file, or in memory. Clones are the same disk.
#[derive(Clone, Debug)]
pub struct Disk(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    storage: Storage,
    sectors: u64,
    is_read_only: bool,
}

#[derive(Debug)]
enum Storage {
    File(File),
    Memory(Mutex<Vec<u8>>),
}

impl Disk {
    /// How many bytes a sector has.
    pub const SECTOR: u64 = 512;

    /// A disk whose sectors are the bytes of a file or of a block device.
    pub fn open(path: &Path, is_read_only: bool) -> Result<Self, DiskError> {
        let name = path.display().to_string();
        let mut options = File::options();
        let opened = options.read(true).write(!is_read_only).open(path);
        let measured = opened.and_then(|mut file| Ok((file.metadata()?, file.seek(SeekFrom::End(0))?, file)));
        let (metadata, length, file) = match measured {
            Ok(measured) => measured,
            Err(source) => return Err(DiskError::Open { name, source }),
        };
        let unfit = |why: String| Err(DiskError::Unfit { name: name.clone(), why });
        if !metadata.is_file() && !metadata.file_type().is_block_device() {
            return unfit("it is neither a file nor a block device".to_owned());
        }
        if length == 0 || !length.is_multiple_of(Self::SECTOR) {
            return unfit(format!("its {length} bytes are no whole number of sectors of {}", Self::SECTOR));
        }
        Ok(Self::new(Storage::File(file), length, is_read_only))
    }

    /// A disk whose sectors are these bytes; what makes no whole sector is left out.
    pub fn in_memory(bytes: Vec<u8>, is_read_only: bool) -> Self {
        let length = bytes.len() as u64;
        Self::new(Storage::Memory(Mutex::new(bytes)), length, is_read_only)
    }

    fn new(storage: Storage, length: u64, is_read_only: bool) -> Self {
        Self(Arc::new(Inner { storage, sectors: length / Self::SECTOR, is_read_only }))
    }

    /// How many sectors there are.
    pub fn sectors(&self) -> u64 {
        self.0.sectors
    }

    /// Whether it cannot be written to.
    pub fn is_read_only(&self) -> bool {
        self.0.is_read_only
    }

    /// Reads from a byte on.
    pub fn read(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        match &self.0.storage {
            Storage::File(file) => file.read_exact_at(bytes, offset),
            Storage::Memory(held) => {
                bytes.copy_from_slice(part(&mut lock(held), offset, bytes.len())?);
                Ok(())
            }
        }
    }

    /// Writes from a byte on.
    pub fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        if self.0.is_read_only {
            return Err(io::ErrorKind::ReadOnlyFilesystem.into());
        }
        match &self.0.storage {
            Storage::File(file) => file.write_all_at(bytes, offset),
            Storage::Memory(held) => {
                part(&mut lock(held), offset, bytes.len())?.copy_from_slice(bytes);
                Ok(())
            }
        }
    }

    /// Has everything that was written outlive a failure of the host's power.
    pub fn flush(&self) -> io::Result<()> {
        match &self.0.storage {
            Storage::File(file) => file.sync_data(),
            Storage::Memory(_) => Ok(()),
        }
    }
}

fn part(held: &mut [u8], offset: u64, length: usize) -> io::Result<&mut [u8]> {
    let first = usize::try_from(offset).unwrap_or(usize::MAX);
    let end = first.checked_add(length);
    end.and_then(|end| held.get_mut(first..end)).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}

/// Disks that no device has yet. Clones are the same disks.
#[derive(Clone, Debug, Default)]
pub struct Disks(Arc<Mutex<VecDeque<Disk>>>);

impl Disks {
    /// Has the next device that is made for a disk get this one.
    pub fn add(&self, disk: Disk) {
        lock(&self.0).push_back(disk);
    }

    /// The next, if there is another.
    pub fn take(&self) -> Option<Disk> {
        lock(&self.0).pop_front()
    }
}

/// What is in a drive.
#[derive(Clone, Debug)]
pub enum Media {
    /// A disk that is not taken out.
    Disk(Disk),
    /// A disc of blocks of 2048 bytes, or the drive of one.
    Cdrom(Disk),
}

/// The four drives at two channels: the first and second of the first channel, and those of the second. Clones are the same drives.
#[derive(Clone, Debug, Default)]
pub struct Drives(Arc<Mutex<[Option<Media>; 4]>>);

impl Drives {
    /// How many there may be.
    pub const COUNT: usize = 4;

    /// Has this in the drive of this number, before the machine runs. Whether there is such a drive, and nothing in it.
    pub fn put(&self, number: usize, media: Media) -> bool {
        match lock(&self.0).get_mut(number) {
            Some(place @ None) => *place = Some(media),
            _ => return false,
        }
        true
    }

    /// What is in the drive of this number.
    pub fn get(&self, number: usize) -> Option<Media> {
        lock(&self.0).get(number).cloned().flatten()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::Disk;

    #[test]
    fn a_file_is_a_disk_if_it_has_whole_sectors() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let told = |file: &tempfile::NamedTempFile| Disk::open(file.path(), false).unwrap_err().to_string();
        assert!(told(&file).ends_with("its 0 bytes are no whole number of sectors of 512"));
        file.write_all(&[7; 513]).unwrap();
        assert!(told(&file).ends_with("its 513 bytes are no whole number of sectors of 512"));
        file.write_all(&[8; 511]).unwrap();
        let disk = Disk::open(file.path(), false).unwrap();
        disk.write(512, &[9; 512]).unwrap();
        let mut bytes = [0; 3];
        disk.read(511, &mut bytes).unwrap();
        assert_eq!((disk.sectors(), bytes), (2, [7, 9, 9]));
        disk.flush().unwrap();
        let disk = Disk::open(file.path(), true).unwrap();
        assert!(disk.is_read_only() && disk.write(0, &[1]).is_err());
    }

    #[test]
    fn what_is_no_disk_is_told_by_name() {
        let directory = tempfile::tempdir().unwrap();
        let told = |path| Disk::open(path, true).unwrap_err().to_string();
        assert!(told(directory.path()).ends_with("it is neither a file nor a block device"));
        let missing = told(&directory.path().join("none"));
        assert!(missing.starts_with("open the disk ") && missing.contains("none: No such file"), "{missing}");
    }

    #[test]
    fn a_disk_in_memory_ends_where_its_bytes_end() {
        let disk = Disk::in_memory(vec![1; 1024], false);
        assert!(disk.read(1000, &mut [0; 24]).is_ok() && disk.read(1000, &mut [0; 25]).is_err());
        assert!(disk.write(u64::MAX, &[0]).is_err());
    }
}
