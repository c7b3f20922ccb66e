//! A vCPU's dirty ring, in which the kernel writes down each page that the guest writes to: `api.rst` 8.29 "KVM_CAP_DIRTY_LOG_RING".
#![expect(unsafe_code, reason = "maps the ring that the kernel writes to, and reads it")]

use std::io;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use kvm_bindings::{KVM_DIRTY_LOG_PAGE_OFFSET, kvm_dirty_gfn};
use kvm_ioctls::VcpuFd;

use crate::accel::AccelError;

const PAGE: i64 = 0x1000;
/// Of an entry's flags: the kernel has written it, and this program has taken it.
const DIRTY: u32 = 1 << 0;
const RESET: u32 = 1 << 1;

/// A ring, mapped.
pub(super) struct Ring {
    entries: *mut kvm_dirty_gfn,
    count: u32,
    /// The next entry to be read, counted from the first ever.
    next: Mutex<u32>,
}

// SAFETY: the mapping is this process's; whoever reads it holds the lock on `next`, and its flags are reached atomically.
unsafe impl Send for Ring {}
// SAFETY: as above.
unsafe impl Sync for Ring {}

impl Ring {
    /// How many bytes an entry has.
    pub(super) const ENTRY: usize = size_of::<kvm_dirty_gfn>();

    /// The ring of this vCPU, which has so many entries.
    pub(super) fn map(fd: &VcpuFd, count: u32) -> Result<Self, AccelError> {
        let length = Self::ENTRY * count as usize;
        let offset = i64::from(KVM_DIRTY_LOG_PAGE_OFFSET) * PAGE;
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping, which overlaps no other; the kernel refuses what is not there.
        let mapped = unsafe {
            libc::mmap(std::ptr::null_mut(), length, protection, libc::MAP_SHARED, fd.as_raw_fd(), offset)
        };
        if mapped == libc::MAP_FAILED {
            return Err(AccelError::Refused { call: "mmap", source: io::Error::last_os_error() });
        }
        Ok(Self { entries: mapped.cast(), count, next: Mutex::new(0) })
    }

    /// Takes the entries that are new, each as slot and page in it. How many there were.
    pub(super) fn harvest(&self, mut take: impl FnMut(u32, u64)) -> usize {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let mut taken = 0;
        while taken < self.count as usize {
            let index = (*next % self.count.max(1)) as usize;
            // SAFETY: the index lies in the ring, which is mapped as long as `self` lives.
            let entry = unsafe { self.entries.add(index) };
            // SAFETY: the flags are an aligned word of the mapping that the kernel too reaches atomically.
            let flags = unsafe { AtomicU32::from_ptr(&raw mut (*entry).flags) };
            if flags.load(Ordering::Acquire) & DIRTY == 0 {
                break;
            }
            // SAFETY: the kernel leaves an entry alone that is dirty and not yet taken.
            let (slot, page) = unsafe { ((*entry).slot, (*entry).offset) };
            take(slot, page);
            flags.store(RESET, Ordering::Release);
            *next = next.wrapping_add(1);
            taken += 1;
        }
        taken
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // SAFETY: the mapping is this one's own, and nobody reads it any more.
        unsafe { libc::munmap(self.entries.cast(), Self::ENTRY * self.count as usize) };
    }
}
