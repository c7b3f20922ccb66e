//! Guest RAM: anonymous memory of this process that an accel shows to the guest.

use thiserror::Error;
use vm_memory::{Bytes, GuestAddress, GuestMemoryBackend, GuestMemoryMmap, GuestMemoryRegion};

/// Why RAM cannot be had or reached.
#[derive(Debug, Error)]
pub enum MemoryError {
    /// The host does not give so much, or it is no whole number of pages.
    #[error("get {size:#x} bytes of RAM: {why}")]
    Unavailable {
        /// How much was asked for.
        size: u64,
        /// What the host says.
        why: String,
    },
    /// Some of it is not in RAM.
    #[error("reach {length} bytes at {address:#x}: RAM ends at {end:#x}")]
    Outside {
        /// The guest-physical address.
        address: u64,
        /// How many bytes.
        length: usize,
        /// Where RAM ends.
        end: u64,
    },
}

/// Guest RAM from guest-physical address zero on. Clones are the same RAM.
#[derive(Clone, Debug)]
pub struct Ram {
    memory: GuestMemoryMmap,
    size: u64,
}

/// A part of guest RAM that lies in one piece, in the guest and in this process.
#[derive(Clone, Copy, Debug)]
pub struct Block {
    /// Where it begins in the guest.
    pub guest_address: u64,
    /// Where it begins in this process.
    pub host_address: u64,
    /// How long it is, in bytes.
    pub length: u64,
}

const PAGE: u64 = 0x1000;

impl Ram {
    /// `size` bytes of zeroed RAM, a whole number of pages and at least one.
    pub fn new(size: u64) -> Result<Self, MemoryError> {
        let unavailable = |why: &dyn ToString| MemoryError::Unavailable { size, why: why.to_string() };
        if size == 0 || !size.is_multiple_of(PAGE) {
            return Err(unavailable(&"it is no whole number of pages"));
        }
        let length = usize::try_from(size).map_err(|error| unavailable(&error))?;
        let memory = GuestMemoryMmap::from_ranges(&[(GuestAddress(0), length)])
            .map_err(|error| unavailable(&error))?;
        Ok(Self { memory, size })
    }

    /// How much there is, in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Writes `bytes` from `address` on.
    pub fn write(&self, address: u64, bytes: &[u8]) -> Result<(), MemoryError> {
        self.memory.write_slice(bytes, GuestAddress(address)).map_err(|_| self.outside(address, bytes.len()))
    }

    /// Reads as many bytes as there is room for, from `address` on.
    pub fn read(&self, address: u64, bytes: &mut [u8]) -> Result<(), MemoryError> {
        let length = bytes.len();
        self.memory.read_slice(bytes, GuestAddress(address)).map_err(|_| self.outside(address, length))
    }

    /// All of it.
    pub fn contents(&self) -> Result<Vec<u8>, MemoryError> {
        let mut bytes = vec![0; usize::try_from(self.size).unwrap_or(usize::MAX)];
        self.read(0, &mut bytes)?;
        Ok(bytes)
    }

    /// Where it lies, for an accel to show it to the guest.
    pub fn blocks(&self) -> Vec<Block> {
        self.memory
            .iter()
            .map(|region| Block {
                guest_address: region.start_addr().0,
                host_address: region.as_ptr() as u64,
                length: region.len(),
            })
            .collect()
    }

    fn outside(&self, address: u64, length: usize) -> MemoryError {
        MemoryError::Outside { address, length, end: self.size }
    }
}
