//! The coalesced ring as user space drains it: `struct kvm_coalesced_mmio_ring`, api.rst 4.116.

use std::mem::offset_of;

use harness::kvm::abi::{kvm_coalesced_mmio, kvm_coalesced_mmio_ring, kvm_coalesced_mmio_zone};
use harness::kvm::{
    Command, Descriptor, KVM_REGISTER_COALESCED_MMIO, KVM_UNREGISTER_COALESCED_MMIO, Mapping, Refused, Vcpu,
    Vm,
};

use super::pages::{RING, map};

/// How many entries the ring has: KVM_COALESCED_MMIO_MAX, as many as a page takes behind both indices.
pub(crate) const ENTRIES: u32 = 170;

/// A zone of addresses or ports to which writes are coalesced.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Zone {
    pub(crate) start: u64,
    pub(crate) size: u32,
    pub(crate) pio: u32,
}

impl Zone {
    /// KVM_REGISTER_COALESCED_MMIO.
    #[track_caller]
    pub(crate) fn register(self, vm: &Vm) -> Result<i32, Refused> {
        self.send(vm, KVM_REGISTER_COALESCED_MMIO)
    }

    /// KVM_UNREGISTER_COALESCED_MMIO.
    #[track_caller]
    pub(crate) fn unregister(self, vm: &Vm) -> Result<i32, Refused> {
        self.send(vm, KVM_UNREGISTER_COALESCED_MMIO)
    }

    #[track_caller]
    fn send(self, vm: &Vm, command: Command) -> Result<i32, Refused> {
        let mut zone = kvm_coalesced_mmio_zone { addr: self.start, size: self.size, ..Default::default() };
        zone.__bindgen_anon_1.pio = self.pio;
        vm.write(command, &zone)
    }
}

/// A write that was coalesced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Write {
    pub(crate) address: u64,
    pub(crate) data: Vec<u8>,
    pub(crate) pio: u32,
}

/// The ring, mapped.
#[derive(Debug)]
pub(crate) struct Ring(Mapping);

impl Ring {
    /// Maps the ring of a vCPU's VM.
    #[track_caller]
    pub(crate) fn of(vcpu: &Vcpu) -> Result<Self, Refused> {
        map(vcpu, RING, 1).map(Self)
    }

    /// The index of the first entry that user space has not taken yet, and of the one that the kernel fills next.
    pub(crate) fn bounds(&self) -> (u32, u32) {
        (
            self.0.get(offset_of!(kvm_coalesced_mmio_ring, first)),
            self.0.get(offset_of!(kvm_coalesced_mmio_ring, last)),
        )
    }

    /// Says that every entry before this one was taken.
    pub(crate) fn set_first(&self, first: u32) {
        self.0.put(offset_of!(kvm_coalesced_mmio_ring, first), first);
    }

    /// Writes over what only the kernel should: the entry that it fills next.
    pub(crate) fn set_last(&self, last: u32) {
        self.0.put(offset_of!(kvm_coalesced_mmio_ring, last), last);
    }

    /// Takes every entry that there is.
    pub(crate) fn drain(&self) -> Vec<Write> {
        let (mut first, last) = self.bounds();
        let mut taken = Vec::new();
        while first != last && first < ENTRIES {
            taken.push(self.entry(first));
            first = (first + 1) % ENTRIES;
        }
        self.set_first(first);
        taken
    }

    fn entry(&self, index: u32) -> Write {
        let at = size_of::<kvm_coalesced_mmio_ring>() + index as usize * size_of::<kvm_coalesced_mmio>();
        let length = self.0.get::<u32>(at + offset_of!(kvm_coalesced_mmio, len)).min(8);
        Write {
            address: self.0.get(at + offset_of!(kvm_coalesced_mmio, phys_addr)),
            data: self.0.copy(at + offset_of!(kvm_coalesced_mmio, data), length as usize),
            pio: self.0.get(at + offset_of!(kvm_coalesced_mmio, __bindgen_anon_1)),
        }
    }
}
