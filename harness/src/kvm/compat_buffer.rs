//! Memory that a 32-bit caller can name: bytes below 4 GiB, with an inaccessible page behind the last of them.
#![expect(unsafe_code, reason = "maps memory below 4 GiB and reaches into it")]

use super::{Errno, Plain, Refused};
use crate::{HostFault, Stop};

/// The size of a page, in bytes.
const PAGE: usize = 4096;
/// Where addresses of 32 bits end.
const FOUR_GIB: usize = 1 << 32;

/// Bytes below 4 GiB that end where an inaccessible page begins.
#[derive(Debug)]
pub struct CompatBuffer {
    mapping: *mut u8,
    mapped: usize,
    length: usize,
}

impl CompatBuffer {
    /// `length` bytes of zero.
    #[track_caller]
    pub fn zeroed(length: usize) -> Result<Self, Refused> {
        Self::guarded(std::ptr::null_mut(), length, libc::MAP_32BIT).map_err(Refused::of("mmap"))
    }

    /// `length` bytes of zero, of which the last is the last below 4 GiB; the inaccessible page is the first above.
    ///
    /// There is one such place in an address space, so one of these at a time.
    pub fn topmost(length: usize) -> Result<Self, Stop> {
        let start = FOUR_GIB - length.next_multiple_of(PAGE);
        Self::guarded(std::ptr::without_provenance_mut(start), length, libc::MAP_FIXED_NOREPLACE)
            .map_err(|errno| Stop::HostFault(HostFault(format!("cannot map the end of 4 GiB: {errno}"))))
    }

    fn guarded(wanted: *mut libc::c_void, length: usize, place: i32) -> Result<Self, Errno> {
        let mapped = length.next_multiple_of(PAGE) + PAGE;
        // SAFETY: a new private mapping, at an address of the kernel's choice or at one where nothing is mapped.
        let mapping = unsafe {
            libc::mmap(
                wanted,
                mapped,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | place,
                -1,
                0,
            )
        };
        if mapping == libc::MAP_FAILED {
            return Err(Errno::last());
        }
        let buffer = Self { mapping: mapping.cast(), mapped, length };
        // SAFETY: the last page of the mapping just made.
        let guarded = unsafe { libc::mprotect(mapping.byte_add(mapped - PAGE), PAGE, libc::PROT_NONE) };
        if guarded == 0 { Ok(buffer) } else { Err(Errno::last()) }
    }

    /// Bytes that hold just this value.
    #[track_caller]
    pub fn holding<T: Plain>(value: T) -> Result<Self, Refused> {
        let mut buffer = Self::zeroed(size_of::<T>())?;
        buffer.put(0, value);
        Ok(buffer)
    }

    /// How many bytes there are.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The address of the first byte; of the inaccessible page where there are none.
    pub fn address(&self) -> u32 {
        u32::try_from(self.start() as usize).expect("the mapping lies below 4 GiB")
    }

    /// The value that lies `offset` bytes in.
    ///
    /// # Panics
    /// Where the value does not lie within the bytes.
    pub fn get<T: Plain>(&self, offset: usize) -> T {
        assert!(offset + size_of::<T>() <= self.length, "offset {offset} lies past the buffer");
        // SAFETY: within the mapping, any bytes make a plain value, and no reference to them is ever made.
        unsafe { self.start().add(offset).cast::<T>().read_unaligned() }
    }

    /// Lays a value `offset` bytes in.
    ///
    /// # Panics
    /// Where the value does not lie within the bytes.
    pub fn put<T: Plain>(&mut self, offset: usize, value: T) {
        assert!(offset + size_of::<T>() <= self.length, "offset {offset} lies past the buffer");
        // SAFETY: within the mapping, borrowed mutably.
        unsafe { self.start().add(offset).cast::<T>().write_unaligned(value) }
    }

    /// All of the bytes.
    pub fn bytes(&self) -> Vec<u8> {
        (0..self.length).map(|offset| self.get(offset)).collect()
    }

    fn start(&self) -> *mut u8 {
        // SAFETY: within the mapping, which holds the bytes, rounded up to pages, and one page more.
        unsafe { self.mapping.add(self.mapped - PAGE - self.length) }
    }
}

impl Drop for CompatBuffer {
    fn drop(&mut self) {
        // SAFETY: this value's own mapping, to which no reference is ever made.
        unsafe { libc::munmap(self.mapping.cast(), self.mapped) };
    }
}
