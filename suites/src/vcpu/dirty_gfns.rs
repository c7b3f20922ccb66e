//! The dirty ring as user space harvests it: an array of `struct kvm_dirty_gfn`, api.rst 8.29.

use std::cell::Cell;
use std::mem::offset_of;

use harness::Stop;
use harness::kvm::abi::kvm_dirty_gfn;
use harness::kvm::{KVM_CAP_DIRTY_LOG_RING, Kvm, Mapping, Refused, Vcpu, Vm};

use super::pages::{DIRTY, PAGE, map};

/// How many pages the rings here have: room for what Intel's KVM holds in reserve, and as much again.
pub(crate) const PAGES: usize = 4;
/// How many entries that makes.
pub(crate) const ENTRIES: usize = PAGES * PAGE / size_of::<kvm_dirty_gfn>();
/// The flag of an entry that the kernel has filled.
pub(crate) const DIRTIED: u32 = 1;
/// The flag of an entry that user space has taken.
pub(crate) const HARVESTED: u32 = 2;

/// A VM whose vCPUs have dirty rings.
pub(crate) fn vm_with_rings() -> Result<Vm, Stop> {
    let vm = Kvm::open()?.create_vm(0)?;
    vm.enable_cap(KVM_CAP_DIRTY_LOG_RING, [(PAGES * PAGE) as u64, 0, 0, 0])?;
    Ok(vm)
}

/// A vCPU's dirty ring, mapped, and how far it was harvested.
#[derive(Debug)]
pub(crate) struct DirtyGfns {
    mapped: Mapping,
    next: Cell<usize>,
}

impl DirtyGfns {
    /// Maps the ring of a vCPU.
    #[track_caller]
    pub(crate) fn of(vcpu: &Vcpu) -> Result<Self, Refused> {
        Ok(Self { mapped: map(vcpu, DIRTY, PAGES)?, next: Cell::new(0) })
    }

    /// The entry at an index.
    pub(crate) fn entry(&self, index: usize) -> kvm_dirty_gfn {
        self.mapped.get(at(index))
    }

    /// Writes an entry's flags.
    pub(crate) fn mark(&self, index: usize, flags: u32) {
        self.mapped.put(at(index) + offset_of!(kvm_dirty_gfn, flags), flags);
    }

    /// Takes every dirty entry in sequence, marks it as harvested, and says which slot and page it is.
    pub(crate) fn harvest(&self) -> Vec<(u32, u64)> {
        let mut taken = Vec::new();
        while self.entry(self.next.get()).flags & (DIRTIED | HARVESTED) == DIRTIED {
            let entry = self.entry(self.next.get());
            taken.push((entry.slot, entry.offset));
            self.mark(self.next.get(), DIRTIED | HARVESTED);
            self.next.set((self.next.get() + 1) % ENTRIES);
        }
        taken
    }
}

fn at(index: usize) -> usize {
    index * size_of::<kvm_dirty_gfn>()
}
