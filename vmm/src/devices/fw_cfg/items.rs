//! What the firmware configuration holds: QEMU, `docs/specs/fw_cfg.rst`, "Firmware configuration items".

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use thiserror::Error;

/// Why an item cannot be added.
#[derive(Debug, PartialEq, Eq, Error)]
pub enum ItemsError {
    /// Its name does not fit.
    #[error("name an item \"{0}\": a name has 55 bytes at most")]
    Name(String),
    /// There are too many.
    #[error("add another item: there may be {MOST_FILES} files, and one of the same name can be replaced")]
    Full,
}

/// What the firmware configuration holds, by key, and for files by name. Clones are the same items.
#[derive(Clone, Debug)]
pub struct Items(Arc<Mutex<Held>>);

#[derive(Debug, Default)]
struct Held {
    items: BTreeMap<u16, Vec<u8>>,
    /// The names of files, ascending with their keys.
    names: Vec<String>,
}

/// The keys of the items that a PC has.
const SIGNATURE: u16 = 0x00;
const ID: u16 = 0x01;
const RAM_SIZE: u16 = 0x03;
const CPUS: u16 = 0x05;
const MOST_CPUS: u16 = 0x0f;
const DIRECTORY: u16 = 0x19;
const FIRST_FILE: u16 = 0x20;
const MOST_FILES: usize = 0x3fdf;
const NAME: usize = 56;

impl Items {
    /// Those of a machine with so much RAM and so many processors.
    pub fn new(ram: u64, cpus: u32) -> Self {
        let cpus = u16::try_from(cpus).unwrap_or(u16::MAX).to_le_bytes().to_vec();
        let mut held = Held::default();
        held.items.extend([
            (SIGNATURE, b"QEMU".to_vec()),
            // The traditional interface, and DMA.
            (ID, 3_u32.to_le_bytes().to_vec()),
            (RAM_SIZE, ram.to_le_bytes().to_vec()),
            (CPUS, cpus.clone()),
            (MOST_CPUS, cpus),
        ]);
        held.list();
        Self(Arc::new(Mutex::new(held)))
    }

    /// Adds a file, or gives one of this name other contents.
    pub fn add(&self, name: &str, contents: Vec<u8>) -> Result<(), ItemsError> {
        if name.len() >= NAME {
            return Err(ItemsError::Name(name.to_owned()));
        }
        let mut held = self.lock();
        let place = held.names.iter().position(|held| held == name).unwrap_or(held.names.len());
        if place >= MOST_FILES {
            return Err(ItemsError::Full);
        }
        if place == held.names.len() {
            held.names.push(name.to_owned());
        }
        held.items.insert(key(place), contents);
        held.list();
        Ok(())
    }

    /// The contents of the file of this name, if there is one.
    pub fn file(&self, name: &str) -> Option<Vec<u8>> {
        let held = self.lock();
        let place = held.names.iter().position(|held| held == name)?;
        held.items.get(&key(place)).cloned()
    }

    /// Reads from an item, zeroes behind its end and where there is none.
    pub(super) fn read(&self, key: u16, offset: u32, bytes: &mut [u8]) {
        bytes.fill(0);
        let held = self.lock();
        // Bit 14 says that it is to be written; bit 15 is of the key: those of the architecture's own items have it.
        let item = held.items.get(&(key & 0xbfff)).map(Vec::as_slice).unwrap_or_default();
        let rest = usize::try_from(offset).ok().and_then(|offset| item.get(offset..)).unwrap_or_default();
        let length = rest.len().min(bytes.len());
        bytes[..length].copy_from_slice(&rest[..length]);
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    /// Writes the directory of files anew.
    fn list(&mut self) {
        let count = u32::try_from(self.names.len()).unwrap_or(0);
        let mut directory = count.to_be_bytes().to_vec();
        for (place, name) in self.names.iter().enumerate() {
            let size = self.items.get(&key(place)).map_or(0, Vec::len);
            directory.extend(u32::try_from(size).unwrap_or(u32::MAX).to_be_bytes());
            directory.extend(key(place).to_be_bytes());
            directory.extend([0; 2]);
            let mut padded = name.clone().into_bytes();
            padded.resize(NAME, 0);
            directory.extend(padded);
        }
        self.items.insert(DIRECTORY, directory);
    }
}

fn key(place: usize) -> u16 {
    u16::try_from(place).unwrap_or(u16::MAX).saturating_add(FIRST_FILE)
}
