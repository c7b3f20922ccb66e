//! A vCPU's descriptor, and the run page that it shares with the kernel.

use std::cell::OnceCell;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::{
    Cap, Command, CpuidEntry, Descriptor, Errno, Exit, KVM_ENABLE_CAP, KVM_GET_REGS, KVM_GET_SREGS, KVM_RUN,
    KVM_SET_CPUID2, KVM_SET_REGS, KVM_SET_SREGS, Kind, Kvm, Mapping, Refused, RunPage, Stats, abi, list_over,
    vm,
};
use crate::{Stop, recorder};

/// A vCPU.
#[derive(Debug)]
pub struct Vcpu {
    fd: OwnedFd,
    run_page: OnceCell<Mapping>,
    _keep: vm::Keep,
}

impl Vcpu {
    pub(super) fn new(fd: OwnedFd, keep: vm::Keep) -> Self {
        Self { fd, run_page: OnceCell::new(), _keep: keep }
    }

    /// Takes a vCPU's descriptor that came from elsewhere: a duplicate, or one received over a socket.
    pub fn from_fd(fd: OwnedFd) -> Self {
        Self::new(fd, vm::Keep::default())
    }

    /// A second descriptor of the same vCPU.
    #[track_caller]
    pub fn another(&self) -> Result<Self, Refused> {
        Ok(Self::new(self.duplicate()?, self._keep.clone()))
    }

    /// KVM_GET_REGS.
    #[track_caller]
    pub fn get_regs(&self) -> Result<abi::kvm_regs, Refused> {
        self.read(KVM_GET_REGS)
    }

    /// KVM_SET_REGS.
    #[track_caller]
    pub fn set_regs(&self, regs: &abi::kvm_regs) -> Result<(), Refused> {
        self.write(KVM_SET_REGS, regs).map(drop)
    }

    /// KVM_GET_SREGS.
    #[track_caller]
    pub fn get_sregs(&self) -> Result<abi::kvm_sregs, Refused> {
        self.read(KVM_GET_SREGS)
    }

    /// KVM_SET_SREGS.
    #[track_caller]
    pub fn set_sregs(&self, sregs: &abi::kvm_sregs) -> Result<(), Refused> {
        self.write(KVM_SET_SREGS, sregs).map(drop)
    }

    /// KVM_SET_CPUID2: what the guest's CPUID answers, and with that what the vCPU can do. Without long mode in it, a vCPU refuses
    /// to be put there.
    #[track_caller]
    pub fn set_cpuid2(&self, entries: &[CpuidEntry]) -> Result<(), Refused> {
        let count = u32::try_from(entries.len()).unwrap_or(u32::MAX);
        list_over(self, KVM_SET_CPUID2, 8, count, entries).answer.map(drop)
    }

    /// KVM_ENABLE_CAP without flags.
    #[track_caller]
    pub fn enable_cap(&self, cap: Cap, args: [u64; 4]) -> Result<i32, Refused> {
        self.write(KVM_ENABLE_CAP, &abi::kvm_enable_cap { cap: cap.number, args, ..Default::default() })
    }

    /// KVM_GET_STATS_FD.
    #[track_caller]
    pub fn get_stats_fd(&self) -> Result<Stats, Refused> {
        vm::stats(self)
    }

    /// The pages shared with the kernel, as many as KVM_GET_VCPU_MMAP_SIZE says, mapped at first use.
    #[track_caller]
    pub fn run_page(&self) -> Result<&Mapping, Stop> {
        if let Some(mapped) = self.run_page.get() {
            return Ok(mapped);
        }
        let size = Kvm::open()?.get_vcpu_mmap_size()?;
        let mapped = self.map(size, libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED, 0)?;
        Ok(self.run_page.get_or_init(|| mapped))
    }

    /// The fields of the run page, by name.
    #[track_caller]
    pub fn fields(&self) -> Result<RunPage<'_>, Stop> {
        Ok(RunPage::of(self.run_page()?))
    }

    /// KVM_RUN, and why it came back.
    #[track_caller]
    pub fn run(&self) -> Result<Exit, Stop> {
        self.run_page()?;
        self.value(KVM_RUN, 0)?;
        self.exit()
    }

    /// What the run page says of the last exit.
    #[track_caller]
    pub fn exit(&self) -> Result<Exit, Stop> {
        Ok(Exit::decode(self.run_page()?))
    }
}

impl AsFd for Vcpu {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Descriptor for Vcpu {
    fn kind(&self) -> Kind {
        Kind::Vcpu
    }

    /// Why KVM_RUN came back, where its page is mapped.
    fn answered(&self, command: Command, answer: Result<i32, Errno>) {
        if command.number == KVM_RUN.number
            && let Some(page) = self.run_page.get()
        {
            recorder::came_back(page, answer);
        }
    }
}
