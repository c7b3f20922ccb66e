//! Guest RAM: memory that a slot shows to the guest, and that is kept for as long as a VM could reach it.

use vm_memory::mmap::MmapRegionBuilder;
use vm_memory::{Bytes, MmapRegion, VolatileMemory};

use super::ENOMEM;
use crate::{HostFault, Stop};

/// A page-aligned piece of memory for a slot, zero at first.
#[derive(Debug)]
pub struct Memory(MmapRegion);

impl Memory {
    /// `size` bytes, of which pages are made as they are touched.
    pub fn new(size: usize) -> Result<Self, Stop> {
        MmapRegion::new(size)
            .map(Self)
            .map_err(|error| Stop::HostFault(HostFault(format!("no memory for a slot ({ENOMEM}): {error}"))))
    }

    /// `size` bytes of zero that this process may read and not write, so that KVM_RUN has no page for a guest that writes there.
    pub fn read_only(size: usize) -> Result<Self, Stop> {
        MmapRegionBuilder::new(size)
            .with_mmap_prot(libc::PROT_READ)
            .with_mmap_flags(libc::MAP_ANONYMOUS | libc::MAP_PRIVATE | libc::MAP_NORESERVE)
            .build()
            .map(Self)
            .map_err(|error| Stop::HostFault(HostFault(format!("no memory for a slot: {error}"))))
    }

    /// How many bytes there are.
    pub fn len(&self) -> usize {
        self.0.size()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Lays bytes `offset` bytes in.
    pub fn write(&self, offset: usize, bytes: &[u8]) -> Result<(), Stop> {
        if self.0.prot() & libc::PROT_WRITE == 0 {
            return Err(Stop::HostFault(HostFault(
                "the claim writes to memory that it may only read".into(),
            )));
        }
        self.0.as_volatile_slice().write_slice(bytes, offset).map_err(|error| Self::outside(&error))
    }

    /// `length` bytes from `offset` on.
    pub fn read(&self, offset: usize, length: usize) -> Result<Vec<u8>, Stop> {
        let mut bytes = vec![0; length];
        self.read_into(offset, &mut bytes)?;
        Ok(bytes)
    }

    /// As many bytes from `offset` on as there is room for.
    pub fn read_into(&self, offset: usize, bytes: &mut [u8]) -> Result<(), Stop> {
        self.0.as_volatile_slice().read_slice(bytes, offset).map_err(|error| Self::outside(&error))
    }

    /// Fills all of it with one byte.
    pub fn fill(&self, byte: u8) -> Result<(), Stop> {
        self.write(0, &vec![byte; self.len()])
    }

    pub(super) fn address(&self) -> u64 {
        self.0.as_ptr() as u64
    }

    fn outside(error: &vm_memory::VolatileMemoryError) -> Stop {
        Stop::HostFault(HostFault(format!("the claim reached outside of its memory: {error}")))
    }
}
