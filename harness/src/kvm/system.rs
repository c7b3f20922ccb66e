//! The system descriptor: `/dev/kvm`.

use std::fs::{File, OpenOptions};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;

use super::{
    Cap, CpuidEntry, Descriptor, KVM_CHECK_EXTENSION, KVM_CREATE_VM, KVM_GET_API_VERSION,
    KVM_GET_SUPPORTED_CPUID, KVM_GET_VCPU_MMAP_SIZE, Kind, List, Refused, Vm, list,
};
use crate::{HostFault, Stop};

/// `/dev/kvm`, opened.
#[derive(Debug)]
pub struct Kvm(OwnedFd);

impl Kvm {
    /// Opens `/dev/kvm` for reading and writing.
    pub fn open() -> Result<Self, Stop> {
        match Self::try_open() {
            Ok(kvm) => Ok(kvm),
            Err(error) => Err(Stop::HostFault(HostFault(format!("cannot open /dev/kvm: {error}")))),
        }
    }

    /// Opens `/dev/kvm`, or says what the system answered.
    pub fn try_open() -> std::io::Result<Self> {
        let file: File =
            OpenOptions::new().read(true).write(true).custom_flags(libc::O_CLOEXEC).open("/dev/kvm")?;
        Ok(Self(file.into()))
    }

    /// Takes a descriptor of `/dev/kvm` that came from elsewhere.
    pub fn from_fd(fd: OwnedFd) -> Self {
        Self(fd)
    }

    /// KVM_GET_API_VERSION.
    #[track_caller]
    pub fn get_api_version(&self) -> Result<i32, Refused> {
        self.value(KVM_GET_API_VERSION, 0)
    }

    /// KVM_CHECK_EXTENSION on the system descriptor.
    #[track_caller]
    pub fn check_extension(&self, cap: Cap) -> Result<i32, Refused> {
        self.value(KVM_CHECK_EXTENSION, cap.number.into())
    }

    /// KVM_GET_VCPU_MMAP_SIZE, in bytes.
    #[track_caller]
    pub fn get_vcpu_mmap_size(&self) -> Result<usize, Refused> {
        self.value(KVM_GET_VCPU_MMAP_SIZE, 0).map(|size| usize::try_from(size).unwrap_or(0))
    }

    /// KVM_GET_SUPPORTED_CPUID, with more room than KVM ever fills.
    #[track_caller]
    pub fn get_supported_cpuid(&self) -> Result<Vec<CpuidEntry>, Refused> {
        let List { answer, count, mut entries } = list(self, KVM_GET_SUPPORTED_CPUID, 8, 256, 256);
        answer?;
        entries.truncate(count as usize);
        Ok(entries)
    }

    /// KVM_CREATE_VM with a machine type.
    #[track_caller]
    pub fn create_vm(&self, machine_type: u64) -> Result<Vm, Refused> {
        self.value(KVM_CREATE_VM, machine_type).map(Vm::from_answer)
    }
}

impl AsFd for Kvm {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Descriptor for Kvm {
    fn kind(&self) -> Kind {
        Kind::System
    }
}
