//! A mapping of a descriptor, as mmap made it, reached byte by byte so that a fault is the reader's own.
#![expect(unsafe_code, reason = "maps descriptors and reaches into what is mapped")]

use std::os::fd::{AsRawFd, BorrowedFd};

use super::{Errno, Plain, Refused};

/// A shared or private mapping of a descriptor, unmapped when dropped.
///
/// What backs it may end before it does: reaching past that end kills the process with SIGBUS, and reaching against the
/// protection with SIGSEGV, as the claims about it expect; [`in_child`](crate::process::in_child) is the place to try that.
#[derive(Debug)]
pub struct Mapping {
    start: *mut u8,
    length: usize,
}

impl Mapping {
    pub(super) fn of(
        fd: BorrowedFd<'_>,
        length: usize,
        protection: i32,
        flags: i32,
        offset: u64,
    ) -> Result<Self, Errno> {
        let flags = flags & !libc::MAP_FIXED;
        let offset = libc::off_t::try_from(offset).map_err(|_| super::EOVERFLOW)?;
        // SAFETY: a new mapping at an address of the kernel's choice: never over what is mapped already.
        let start =
            unsafe { libc::mmap(std::ptr::null_mut(), length, protection, flags, fd.as_raw_fd(), offset) };
        if start == libc::MAP_FAILED { Err(Errno::last()) } else { Ok(Self { start: start.cast(), length }) }
    }

    /// How many bytes are mapped.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether nothing is mapped.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The value `offset` bytes in, read once.
    ///
    /// # Panics
    /// Where the value does not lie within the mapping.
    pub fn get<T: Plain>(&self, offset: usize) -> T {
        assert!(offset + size_of::<T>() <= self.length, "offset {offset:#x} lies past the mapping");
        // SAFETY: within the mapping, any bytes make a plain value, and the read is volatile because the kernel writes there.
        unsafe { self.start.add(offset).cast::<Unaligned<T>>().read_volatile().0 }
    }

    /// Writes a value `offset` bytes in.
    ///
    /// # Panics
    /// Where the value does not lie within the mapping.
    pub fn put<T: Plain>(&self, offset: usize, value: T) {
        assert!(offset + size_of::<T>() <= self.length, "offset {offset:#x} lies past the mapping");
        // SAFETY: within the mapping, to which no reference is ever made.
        unsafe { self.start.add(offset).cast::<Unaligned<T>>().write_volatile(Unaligned(value)) }
    }

    /// `length` bytes from `offset` on.
    pub fn copy(&self, offset: usize, length: usize) -> Vec<u8> {
        (offset..offset + length).map(|at| self.get(at)).collect()
    }

    /// Changes the protection of the whole mapping.
    pub fn protect(&self, protection: i32) -> Result<(), Errno> {
        // SAFETY: the mapping is this value's own, and no reference to its bytes is ever made.
        match unsafe { libc::mprotect(self.start.cast(), self.length, protection) } {
            0 => Ok(()),
            _ => Err(Errno::last()),
        }
    }

    /// Makes the mapping longer or shorter, moving it where it cannot grow in place.
    #[track_caller]
    pub fn resize(&mut self, length: usize) -> Result<(), Refused> {
        // SAFETY: the mapping is this value's own, borrowed mutably, and no reference to its bytes is ever made.
        let start = unsafe { libc::mremap(self.start.cast(), self.length, length, libc::MREMAP_MAYMOVE) };
        if start == libc::MAP_FAILED {
            return Err(Refused::new("mremap", Errno::last()));
        }
        (self.start, self.length) = (start.cast(), length);
        Ok(())
    }
}

/// A value at any address.
#[derive(Clone, Copy)]
#[repr(C, packed)]
struct Unaligned<T>(T);

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: this value's own mapping, to which no reference is left.
        unsafe { libc::munmap(self.start.cast(), self.length) };
    }
}

// SAFETY: every access is a volatile read or write of plain bytes that the kernel shares with us anyway.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}
