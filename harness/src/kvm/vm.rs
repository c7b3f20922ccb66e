//! A VM's descriptor, and the guest memory that is kept for as long as the VM could reach it.
#![expect(unsafe_code, reason = "owns descriptors that the kernel answers with, and shows memory to guests")]

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};

use super::{
    Cap, Command, Descriptor, Device, Guarded, GuestMemfd, KVM_CHECK_EXTENSION, KVM_CREATE_DEVICE,
    KVM_CREATE_GUEST_MEMFD, KVM_CREATE_IRQCHIP, KVM_CREATE_PIT2, KVM_CREATE_VCPU, KVM_ENABLE_CAP,
    KVM_GET_STATS_FD, KVM_SET_TSS_ADDR, KVM_SET_USER_MEMORY_REGION, Kind, Memory, Refused, Stats, Vcpu, abi,
    raw,
};

/// A VM.
#[derive(Debug)]
pub struct Vm {
    fd: OwnedFd,
    keep: Keep,
}

/// The memory that a VM's slots show. The VM lives as long as its last descriptor, so each of them holds this.
#[derive(Clone, Debug, Default)]
pub(super) struct Keep(Arc<Mutex<Vec<Arc<Memory>>>>);

impl Vm {
    pub(super) fn from_answer(answer: i32) -> Self {
        Self { fd: own(answer), keep: Keep::default() }
    }

    /// Takes a VM's descriptor that came from elsewhere: a duplicate, or one received over a socket.
    pub fn from_fd(fd: OwnedFd) -> Self {
        Self { fd, keep: Keep::default() }
    }

    /// A second descriptor of the same VM.
    #[track_caller]
    pub fn another(&self) -> Result<Self, Refused> {
        Ok(Self { fd: self.duplicate()?, keep: self.keep.clone() })
    }

    /// KVM_CHECK_EXTENSION on the VM's descriptor.
    #[track_caller]
    pub fn check_extension(&self, cap: Cap) -> Result<i32, Refused> {
        self.value(KVM_CHECK_EXTENSION, cap.number.into())
    }

    /// KVM_CREATE_VCPU.
    #[track_caller]
    pub fn create_vcpu(&self, id: u64) -> Result<Vcpu, Refused> {
        self.value(KVM_CREATE_VCPU, id).map(|answer| self.vcpu_from_answer(answer))
    }

    pub(super) fn vcpu_from_answer(&self, answer: i32) -> Vcpu {
        Vcpu::new(own(answer), self.keep.clone())
    }

    /// Keeps guest memory for as long as the VM could reach it.
    pub(super) fn keep(&self, memory: &Arc<Memory>) {
        self.keep.0.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(memory));
    }

    /// KVM_CREATE_IRQCHIP.
    #[track_caller]
    pub fn create_irqchip(&self) -> Result<(), Refused> {
        self.value(KVM_CREATE_IRQCHIP, 0).map(drop)
    }

    /// KVM_SET_TSS_ADDR to where QEMU has it too, which Intel's KVM wants before real-mode code where it cannot run that itself.
    #[track_caller]
    pub fn set_tss_addr(&self) -> Result<(), Refused> {
        self.value(KVM_SET_TSS_ADDR, 0xfffb_d000).map(drop)
    }

    /// KVM_CREATE_PIT2 with these flags.
    #[track_caller]
    pub fn create_pit2(&self, flags: u32) -> Result<(), Refused> {
        self.write(KVM_CREATE_PIT2, &abi::kvm_pit_config { flags, ..Default::default() }).map(drop)
    }

    /// KVM_ENABLE_CAP without flags.
    #[track_caller]
    pub fn enable_cap(&self, cap: Cap, args: [u64; 4]) -> Result<i32, Refused> {
        self.write(KVM_ENABLE_CAP, &abi::kvm_enable_cap { cap: cap.number, args, ..Default::default() })
    }

    /// KVM_SET_USER_MEMORY_REGION: shows `memory` to the guest from `address` on.
    #[track_caller]
    pub fn set_memory(
        &self,
        slot: u32,
        flags: u32,
        address: u64,
        memory: &Arc<Memory>,
    ) -> Result<(), Refused> {
        let region = abi::kvm_userspace_memory_region {
            slot,
            flags,
            guest_phys_addr: address,
            memory_size: memory.len() as u64,
            userspace_addr: memory.address(),
        };
        let mut bytes = Guarded::zeroed(size_of_val(&region));
        bytes.put(0, &region);
        self.keep(memory);
        // SAFETY: the memory is kept by every descriptor that holds the VM, and reached by volatile access alone.
        unsafe { raw::send_holding_address(self.as_fd(), KVM_SET_USER_MEMORY_REGION, &mut bytes) }
            .map(drop)
            .map_err(Refused::of(KVM_SET_USER_MEMORY_REGION.name))
    }

    /// KVM_CREATE_DEVICE: the device's descriptor; none where `flags` only test for it.
    #[track_caller]
    pub fn create_device(&self, device_type: u32, flags: u32) -> Result<Option<Device>, Refused> {
        let mut request = abi::kvm_create_device { type_: device_type, fd: 0, flags };
        self.update(KVM_CREATE_DEVICE, &mut request)?;
        let tested = flags & abi::KVM_CREATE_DEVICE_TEST != 0;
        Ok((!tested).then(|| Device(own(i32::try_from(request.fd).unwrap_or(-1)))))
    }

    /// KVM_CREATE_GUEST_MEMFD: memory of `size` bytes that only the guest reaches.
    #[track_caller]
    pub fn create_guest_memfd(&self, size: u64, flags: u64) -> Result<GuestMemfd, Refused> {
        let request = abi::kvm_create_guest_memfd { size, flags, ..Default::default() };
        self.write(KVM_CREATE_GUEST_MEMFD, &request).map(|answer| GuestMemfd(own(answer)))
    }

    /// KVM_GET_STATS_FD.
    #[track_caller]
    pub fn get_stats_fd(&self) -> Result<Stats, Refused> {
        stats(self)
    }

    /// Sends a command that answers with a new descriptor, such as KVM_CREATE_VCPU, and owns what comes.
    #[track_caller]
    pub fn create(&self, command: Command, value: u64) -> Result<OwnedFd, Refused> {
        self.value(command, value).map(own)
    }
}

impl AsFd for Vm {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Descriptor for Vm {
    fn kind(&self) -> Kind {
        Kind::Vm
    }
}

#[track_caller]
pub(super) fn stats(of: &impl Descriptor) -> Result<Stats, Refused> {
    of.value(KVM_GET_STATS_FD, 0).map(|answer| Stats(own(answer)))
}

/// Owns a descriptor that the kernel has just answered with.
pub(super) fn own(answer: i32) -> OwnedFd {
    assert!(answer >= 0, "the kernel answered with a descriptor");
    // SAFETY: the kernel has just made the descriptor for this process, and nothing else knows its number.
    let fd = unsafe { OwnedFd::from_raw_fd(answer) };
    debug_assert_eq!(fd.as_raw_fd(), answer);
    fd
}
