//! Bytes that end where an inaccessible page begins, so that a kernel that touches one byte too many gets EFAULT.
#![expect(unsafe_code, reason = "maps memory and hands out slices of it")]

use rustix::mm::{MapFlags, MprotectFlags, ProtFlags, mmap_anonymous, mprotect, munmap};

use super::Plain;

/// The size of a page, in bytes.
const PAGE: usize = 4096;

/// Bytes, zero at first, with an inaccessible page behind the last of them.
#[derive(Debug)]
pub struct Guarded {
    mapping: *mut u8,
    mapped: usize,
    length: usize,
}

impl Guarded {
    /// `length` bytes of zero.
    ///
    /// # Panics
    /// Where the host has no memory for them.
    pub fn zeroed(length: usize) -> Self {
        let mapped = length.next_multiple_of(PAGE) + PAGE;
        // SAFETY: a new private mapping at an address of the kernel's choice.
        let mapping = unsafe {
            mmap_anonymous(
                std::ptr::null_mut(),
                mapped,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::PRIVATE | MapFlags::NORESERVE,
            )
        }
        .expect("the host has memory for a buffer");
        // SAFETY: the last page of the mapping made above, which nothing refers to yet.
        unsafe { mprotect(mapping.byte_add(mapped - PAGE), PAGE, MprotectFlags::empty()) }
            .expect("a page of one's own can be made inaccessible");
        Self { mapping: mapping.cast(), mapped, length }
    }

    /// One page of zeroes that may be read and not written.
    pub(super) fn read_only() -> Self {
        let page = Self::zeroed(PAGE);
        // SAFETY: the page is not written through this value: it is handed out by address alone.
        unsafe { mprotect(page.mapping.cast(), PAGE, MprotectFlags::READ) }
            .expect("a page of one's own can be made read-only");
        page
    }

    /// How many bytes there are.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: the bytes from `start` to the inaccessible page are mapped, initialised with zero, and borrowed with `self`.
        unsafe { std::slice::from_raw_parts(self.start(), self.length) }
    }

    /// The bytes, to be changed.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `bytes`, and borrowed mutably with `self`.
        unsafe { std::slice::from_raw_parts_mut(self.start(), self.length) }
    }

    /// The value that lies `offset` bytes in.
    ///
    /// # Panics
    /// Where the value does not lie within the bytes.
    pub fn get<T: Plain>(&self, offset: usize) -> T {
        let bytes = &self.bytes()[offset..offset + size_of::<T>()];
        // SAFETY: as many bytes as the type has, and any bytes make a value of a plain type.
        unsafe { bytes.as_ptr().cast::<T>().read_unaligned() }
    }

    /// Lays a value `offset` bytes in.
    ///
    /// # Panics
    /// Where the value does not lie within the bytes.
    pub fn put<T: Plain>(&mut self, offset: usize, value: &T) {
        let bytes = &mut self.bytes_mut()[offset..offset + size_of::<T>()];
        // SAFETY: as many bytes as the type has, at an address of ours.
        unsafe { bytes.as_mut_ptr().cast::<T>().write_unaligned(*value) }
    }

    /// The address of the first byte; of the inaccessible page where there are none.
    pub fn address(&self) -> u64 {
        self.start() as u64
    }

    fn start(&self) -> *mut u8 {
        // SAFETY: within the mapping, which holds the bytes, rounded up to pages, and one page more.
        unsafe { self.mapping.add(self.mapped - PAGE - self.length) }
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        // SAFETY: the mapping made in `zeroed`; every borrow of it has ended. A failure leaves it mapped, which harms nobody.
        let _ = unsafe { munmap(self.mapping.cast(), self.mapped) };
    }
}
