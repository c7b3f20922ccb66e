//! A VM's descriptor, and the RAM that its guest reaches: `api.rst` 4.35 "KVM_SET_USER_MEMORY_REGION".
#![expect(unsafe_code, reason = "shows memory of this process to a guest")]

use std::sync::{Arc, Mutex, PoisonError};

use kvm_bindings::{CpuId, kvm_userspace_memory_region};
use kvm_ioctls::VmFd;

use super::cpu::KvmCpu;
use super::system::refused;
use crate::Ram;
use crate::accel::{AccelError, Cpu, Hypervisor};

/// RAM that a guest reaches. The VM lives as long as its last descriptor, so the VM and each of its vCPUs hold this.
pub(super) type Shown = Arc<Mutex<Vec<Ram>>>;

/// A VM.
pub(super) struct KvmVm {
    fd: VmFd,
    /// The processor that its guests see.
    cpuid: CpuId,
    slots: u32,
    shown: Shown,
}

impl KvmVm {
    pub(super) fn new(fd: VmFd, cpuid: CpuId) -> Self {
        Self { fd, cpuid, slots: 0, shown: Shown::default() }
    }
}

impl Hypervisor for KvmVm {
    fn show(&mut self, ram: &Ram) -> Result<(), AccelError> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner).push(ram.clone());
        for block in ram.blocks() {
            let region = kvm_userspace_memory_region {
                slot: self.slots,
                flags: 0,
                guest_phys_addr: block.guest_address,
                memory_size: block.length,
                userspace_addr: block.host_address,
            };
            // SAFETY: the block is a mapping of its own, of that length, and is kept for as long as a descriptor of the VM is
            // open; this process reaches it by volatile access alone.
            unsafe { self.fd.set_user_memory_region(region) }
                .map_err(refused("KVM_SET_USER_MEMORY_REGION"))?;
            self.slots += 1;
        }
        Ok(())
    }

    fn create_cpu(&mut self, id: u32) -> Result<Box<dyn Cpu>, AccelError> {
        let fd = self.fd.create_vcpu(id.into()).map_err(refused("KVM_CREATE_VCPU"))?;
        fd.set_cpuid2(&self.cpuid).map_err(refused("KVM_SET_CPUID2"))?;
        Ok(Box::new(KvmCpu::new(fd, Arc::clone(&self.shown))?))
    }
}
