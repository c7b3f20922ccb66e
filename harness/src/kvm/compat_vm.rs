//! What a 32-bit caller makes and shows: descriptors that the kernel answers with, and structures that hold addresses.
#![expect(unsafe_code, reason = "sends structures that hold addresses")]

use std::sync::Arc;

use super::{
    Compat, CompatBuffer, Descriptor, Device, GuestMemfd, KVM_CLEAR_DIRTY_LOG, KVM_CREATE_DEVICE,
    KVM_CREATE_GUEST_MEMFD, KVM_CREATE_VCPU, KVM_CREATE_VM, KVM_GET_DIRTY_LOG, KVM_GET_STATS_FD,
    KVM_SET_USER_MEMORY_REGION, Kvm, Memory, Refused, Stats, Vcpu, Vm, abi, vm,
};

impl Compat {
    /// KVM_CREATE_VM with a machine type.
    #[track_caller]
    pub fn create_vm(self, kvm: &Kvm, machine_type: u32) -> Result<Vm, Refused> {
        self.value(kvm, KVM_CREATE_VM, machine_type).map(Vm::from_answer)
    }

    /// KVM_CREATE_VCPU.
    #[track_caller]
    pub fn create_vcpu(self, vm: &Vm, id: u32) -> Result<Vcpu, Refused> {
        self.value(vm, KVM_CREATE_VCPU, id).map(|answer| vm.vcpu_from_answer(answer))
    }

    /// KVM_GET_STATS_FD.
    #[track_caller]
    pub fn get_stats_fd(self, of: &impl Descriptor) -> Result<Stats, Refused> {
        self.value(of, KVM_GET_STATS_FD, 0).map(|answer| Stats(vm::own(answer)))
    }

    /// KVM_CREATE_DEVICE without flags.
    #[track_caller]
    pub fn create_device(self, vm: &Vm, device_type: u32) -> Result<Device, Refused> {
        let mut bytes =
            CompatBuffer::holding(abi::kvm_create_device { type_: device_type, ..Default::default() })?;
        self.send(vm, KVM_CREATE_DEVICE, &mut bytes)?;
        let made: abi::kvm_create_device = bytes.get(0);
        Ok(Device(vm::own(i32::try_from(made.fd).unwrap_or(-1))))
    }

    /// KVM_CREATE_GUEST_MEMFD: memory of `size` bytes that only the guest reaches.
    #[track_caller]
    pub fn create_guest_memfd(self, vm: &Vm, size: u64) -> Result<GuestMemfd, Refused> {
        let request = abi::kvm_create_guest_memfd { size, ..Default::default() };
        self.write(vm, KVM_CREATE_GUEST_MEMFD, request).map(|answer| GuestMemfd(vm::own(answer)))
    }

    /// KVM_SET_USER_MEMORY_REGION: shows `memory` to the guest from `address` on.
    #[track_caller]
    pub fn set_memory(
        self,
        vm: &Vm,
        slot: u32,
        flags: u32,
        address: u64,
        memory: &Arc<Memory>,
    ) -> Result<(), Refused> {
        let mut bytes = CompatBuffer::holding(abi::kvm_userspace_memory_region {
            slot,
            flags,
            guest_phys_addr: address,
            memory_size: memory.len() as u64,
            userspace_addr: memory.address(),
        })?;
        vm.keep(memory);
        // SAFETY: the memory is kept by every descriptor that holds the VM, and reached by volatile access alone.
        unsafe { self.send_holding_address(vm, KVM_SET_USER_MEMORY_REGION, &mut bytes) }.map(drop)
    }

    /// KVM_GET_DIRTY_LOG. `high` lies where a 64-bit caller has the upper half of the bitmap's address.
    #[track_caller]
    pub fn get_dirty_log(
        self,
        vm: &Vm,
        slot: u32,
        high: u32,
        bitmap: &mut CompatBuffer,
    ) -> Result<i32, Refused> {
        let mut bytes = CompatBuffer::holding([slot, 0, bitmap.address(), high])?;
        if high == 0 || high >= NOT_USER {
            // SAFETY: the bitmap is borrowed mutably and followed by an inaccessible page. A kernel that takes `high` for half of
            // the address is led to no memory of ours by one that is none of user space.
            return unsafe { self.send_holding_address(vm, KVM_GET_DIRTY_LOG, &mut bytes) };
        }
        self.send(vm, KVM_GET_DIRTY_LOG, &mut bytes)
    }

    /// KVM_CLEAR_DIRTY_LOG. `high` lies where a 64-bit caller has the upper half of the bitmap's address.
    #[track_caller]
    pub fn clear_dirty_log(
        self,
        vm: &Vm,
        slot: u32,
        pages: u32,
        high: u32,
        bitmap: &CompatBuffer,
    ) -> Result<i32, Refused> {
        let mut bytes = CompatBuffer::holding([slot, pages, 0, 0, bitmap.address(), high])?;
        self.send(vm, KVM_CLEAR_DIRTY_LOG, &mut bytes)
    }
}

/// The least upper half of an address that lies above user space.
const NOT_USER: u32 = 0x0100_0000;
