//! The pages that a vCPU shares with user space, as offsets in its descriptor: api.rst 4.5 and 5.

use harness::kvm::{Descriptor, Mapping, Refused, Vcpu, abi};
use libc::{MAP_SHARED, PROT_READ, PROT_WRITE};

/// The size of a page, in bytes.
pub(crate) const PAGE: usize = 4096;
/// The page of `struct kvm_run`.
pub(crate) const RUN: usize = 0;
/// The page of port I/O data.
pub(crate) const PIO: usize = abi::KVM_PIO_PAGE_OFFSET as usize;
/// The page of the coalesced MMIO ring.
pub(crate) const RING: usize = abi::KVM_COALESCED_MMIO_PAGE_OFFSET as usize;
/// The first page of the dirty ring, where there is one.
pub(crate) const DIRTY: usize = abi::KVM_DIRTY_LOG_PAGE_OFFSET as usize;
/// How many pages KVM_GET_VCPU_MMAP_SIZE counts.
pub(crate) const COUNTED: usize = 3;

/// Where in a page a mark lies: behind all that KVM uses of the run page.
pub(crate) const MARK: usize = 0xff0;

/// A mapping to read and write, shared with the kernel.
pub(crate) const RW: i32 = PROT_READ | PROT_WRITE;

/// Maps `count` pages from page `first` on, to be read and written.
#[track_caller]
pub(crate) fn map(vcpu: &Vcpu, first: usize, count: usize) -> Result<Mapping, Refused> {
    vcpu.map(count * PAGE, RW, MAP_SHARED, (first * PAGE) as u64)
}

/// What `mark` lays in the pages, each its own.
pub(crate) const MARKS: [u8; COUNTED] = [0x51, 0x52, 0x53];

/// Lays a mark in each page that KVM_GET_VCPU_MMAP_SIZE counts, through a mapping of all of them.
pub(crate) fn mark(whole: &Mapping) {
    for (page, value) in MARKS.into_iter().enumerate() {
        whole.put(page * PAGE + MARK, value);
    }
}

/// What is where `mark` lays its marks, through a mapping of all pages.
pub(crate) fn marks(whole: &Mapping) -> [u8; COUNTED] {
    std::array::from_fn(|page| whole.get(page * PAGE + MARK))
}

/// Where the fields of `struct kvm_run` lie, in bytes.
pub(crate) mod field {
    use std::mem::offset_of;

    use harness::kvm::abi::{kvm_run, kvm_sync_regs};

    pub(crate) const READY: usize = offset_of!(kvm_run, ready_for_interrupt_injection);
    pub(crate) const IF_FLAG: usize = offset_of!(kvm_run, if_flag);
    pub(crate) const FLAGS: usize = offset_of!(kvm_run, flags);
    pub(crate) const CR8: usize = offset_of!(kvm_run, cr8);
    pub(crate) const APIC_BASE: usize = offset_of!(kvm_run, apic_base);
    pub(crate) const VALID_REGS: usize = offset_of!(kvm_run, kvm_valid_regs);
    pub(crate) const DIRTY_REGS: usize = offset_of!(kvm_run, kvm_dirty_regs);
    pub(crate) const SYNCED_REGS: usize = offset_of!(kvm_run, s) + offset_of!(kvm_sync_regs, regs);
    pub(crate) const SYNCED_SREGS: usize = offset_of!(kvm_run, s) + offset_of!(kvm_sync_regs, sregs);
    pub(crate) const SYNCED_EVENTS: usize = offset_of!(kvm_run, s) + offset_of!(kvm_sync_regs, events);
}
