//! Guest RAM, and the ROM of its firmware: anonymous memory of this process that an accel shows to the guest.
#![expect(
    unsafe_code,
    reason = "makes the kernel forget what it knows of a page of guest memory, or what is in it"
)]

use std::sync::{Arc, OnceLock};

use thiserror::Error;
use vm_memory::bitmap::AtomicBitmap;
use vm_memory::{
    Bytes, GuestAddress, GuestMemoryBackend, GuestMemoryMmap, GuestMemoryRegion, MemoryRegionAddress,
};

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
    /// It cannot be the ROM.
    #[error("have {size:#x} bytes of ROM: {why}")]
    Rom {
        /// How much there is.
        size: u64,
        /// What is wrong.
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

/// Guest RAM from guest-physical address zero on, with what does not fit below [`Ram::HOLE`] from 4 GiB on. Clones are the same RAM.
#[derive(Clone, Debug)]
pub struct Ram {
    memory: GuestMemoryMmap<AtomicBitmap>,
    size: u64,
    /// A memory of its own, so that nothing that devices do can reach it.
    rom: Arc<OnceLock<GuestMemoryMmap<AtomicBitmap>>>,
}

type GuestRegion = vm_memory::GuestRegionMmap<AtomicBitmap>;

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
/// What is written to is noted in one bit for each page, which must be had as well.
const MOST: u64 = 1 << 40;

impl Ram {
    /// Where RAM ends below 4 GiB at the latest: a PC has its devices there.
    pub const HOLE: u64 = 0xc000_0000;

    /// `size` bytes of zeroed RAM, a whole number of pages and at least one.
    pub fn new(size: u64) -> Result<Self, MemoryError> {
        let unavailable = |why: &dyn ToString| MemoryError::Unavailable { size, why: why.to_string() };
        if size == 0 || !size.is_multiple_of(PAGE) {
            return Err(unavailable(&"it is no whole number of pages"));
        }
        if size > MOST {
            return Err(unavailable(&"it is more than 1 TiB"));
        }
        let length = |size: u64| usize::try_from(size).map_err(|error| unavailable(&error));
        let mut ranges = vec![(GuestAddress(0), length(size.min(Self::HOLE))?)];
        if size > Self::HOLE {
            ranges.push((GuestAddress(1 << 32), length(size - Self::HOLE)?));
        }
        let memory = GuestMemoryMmap::from_ranges(&ranges).map_err(|error| unavailable(&error))?;
        Ok(Self { memory, size, rom: Arc::default() })
    }

    /// Burns a ROM, which ends at 4 GiB: the first that is given. Devices do not reach it.
    pub fn burn(&self, image: &[u8]) -> Result<(), MemoryError> {
        let size = image.len() as u64;
        let unavailable = |why: &dyn ToString| MemoryError::Rom { size, why: why.to_string() };
        if size == 0 || !size.is_multiple_of(Self::ROM_UNIT) || size > Self::MOST_ROM {
            let (unit, most) = (Self::ROM_UNIT >> 10, Self::MOST_ROM >> 20);
            return Err(unavailable(&format!("it has whole units of {unit} KiB, and {most} MiB at most")));
        }
        let first = GuestAddress((1 << 32) - size);
        let rom =
            GuestMemoryMmap::from_ranges(&[(first, image.len())]).map_err(|error| unavailable(&error))?;
        rom.write_slice(image, first).map_err(|error| unavailable(&error))?;
        let _ = self.rom.set(rom);
        Ok(())
    }

    /// How long the ROM is, in bytes: zero if there is none.
    pub fn rom_size(&self) -> u64 {
        self.rom.get().map_or(0, |rom| rom.iter().map(GuestMemoryRegion::len).sum())
    }

    /// Reads the ROM. Whether there is one, as long as that.
    pub(crate) fn read_rom(&self, offset: u64, bytes: &mut [u8]) -> bool {
        let region = self.rom.get().and_then(|rom| rom.iter().next());
        region.is_some_and(|region| region.read_slice(bytes, MemoryRegionAddress(offset)).is_ok())
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
        let end = bytes.len().min(usize::try_from(Self::HOLE).unwrap_or(0));
        let (below, above) = bytes.split_at_mut(end);
        self.read(0, below)?;
        if !above.is_empty() {
            self.read(1 << 32, above)?;
        }
        Ok(bytes)
    }

    /// What ROM consists of, and how long it may be.
    const ROM_UNIT: u64 = 0x1_0000;
    const MOST_ROM: u64 = 8 << 20;

    /// Whether all of so many bytes from `address` on lie in RAM.
    pub fn holds(&self, address: u64, length: u64) -> bool {
        let Some(behind) = length.checked_sub(1) else { return true };
        let Some(last) = address.checked_add(behind) else { return false };
        let parts = self.blocks();
        parts.iter().any(|part| address >= part.guest_address && last < part.guest_address + part.length)
    }

    /// Where it lies, for an accel to show it to the guest.
    pub fn blocks(&self) -> Vec<Block> {
        self.memory.iter().map(block_of).collect()
    }

    /// The same, and the ROM behind it.
    pub(crate) fn all_blocks(&self) -> Vec<Block> {
        let rom = self.rom.get().into_iter().flat_map(|rom| rom.iter().map(block_of));
        self.blocks().into_iter().chain(rom).collect()
    }

    /// The memory, as the crates for virtual machines know it.
    pub(crate) fn guest(&self) -> &GuestMemoryMmap<AtomicBitmap> {
        &self.memory
    }

    /// Takes a page from the page tables that the accel keeps for the guest, so that its next access there faults anew. Without any
    /// RAM there, nothing happens.
    pub(crate) fn fault_anew(&self, address: u64) {
        const KEPT: libc::c_int = libc::PROT_READ | libc::PROT_WRITE;
        let page = address & !(PAGE - 1);
        if let Ok(host) = self.memory.get_host_address(GuestAddress(page)) {
            for protection in [KEPT | libc::PROT_EXEC, KEPT] {
                // SAFETY: the page lies in a mapping that lives as long as `self`, and is readable and writable all the time: it is
                // the change alone that makes the kernel forget it.
                unsafe { libc::mprotect(host.cast(), 0x1000, protection) };
            }
        }
    }

    /// Gives the page at an address, which is a multiple of its size, back to the host: it is zeroes when it is next looked at. If
    /// not all of it is in RAM, nothing happens.
    pub fn forget(&self, page: u64) -> Result<(), MemoryError> {
        const LENGTH: usize = 0x1000;
        let is_page = page.is_multiple_of(PAGE) && self.holds(page, PAGE);
        let found = self.memory.to_region_addr(GuestAddress(page)).filter(|_| is_page);
        let (region, at) = found.ok_or_else(|| self.outside(page, LENGTH))?;
        let host = region.get_host_address(at).map_err(|_| self.outside(page, LENGTH))?;
        // SAFETY: the page lies in an anonymous mapping that lives as long as `self`, and whose contents nobody has a reference to:
        // they are read and written as a guest's are, which may change at any time. The result does not matter: a host that does not
        // take the page leaves it.
        unsafe { libc::madvise(host.cast(), LENGTH, libc::MADV_DONTNEED) };
        region.get_mmap().bitmap().set_addr_range(usize::try_from(at.0).unwrap_or(usize::MAX), LENGTH);
        Ok(())
    }

    /// Writes `bytes` into a block, as the bus does that has found it.
    pub(crate) fn write_block(&self, block: usize, offset: u64, bytes: &[u8]) -> Result<(), MemoryError> {
        let written = self.block(block).map(|block| block.write_slice(bytes, MemoryRegionAddress(offset)));
        written.and_then(Result::ok).ok_or_else(|| self.outside(offset, bytes.len()))
    }

    /// Reads from a block, as the bus does that has found it.
    pub(crate) fn read_block(&self, block: usize, offset: u64, bytes: &mut [u8]) -> Result<(), MemoryError> {
        let length = bytes.len();
        let read = self.block(block).map(|block| block.read_slice(bytes, MemoryRegionAddress(offset)));
        read.and_then(Result::ok).ok_or_else(|| self.outside(offset, length))
    }

    /// The pages of a block that this process has written to since the last time, as one bit each.
    pub(crate) fn take_written(&self, block: usize) -> Vec<u64> {
        self.block(block).map(|block| block.get_mmap().bitmap().get_and_reset()).unwrap_or_default()
    }

    fn block(&self, block: usize) -> Option<&GuestRegion> {
        let rom = self.rom.get().into_iter().flat_map(GuestMemoryMmap::iter);
        self.memory.iter().chain(rom).nth(block)
    }

    fn outside(&self, address: u64, length: usize) -> MemoryError {
        let end = self.memory.last_addr().0.saturating_add(1);
        MemoryError::Outside { address, length, end }
    }
}

fn block_of(region: &GuestRegion) -> Block {
    Block { guest_address: region.start_addr().0, host_address: region.as_ptr() as u64, length: region.len() }
}
