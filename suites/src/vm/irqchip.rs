//! Where a VM's interrupt controllers live.

use harness::Stop;
use harness::kvm::{KVM_CAP_SPLIT_IRQCHIP, Kvm, Vm};

/// Where a VM's interrupt controllers live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Irqchip {
    /// All of them in user space.
    User,
    /// The local APICs in the kernel, PIC and IOAPIC in user space.
    Split,
    /// All of them in the kernel.
    Kernel,
}

impl Irqchip {
    /// All three.
    pub(crate) const ALL: [Self; 3] = [Self::User, Self::Split, Self::Kernel];
    /// Those that give vCPUs a local APIC.
    pub(crate) const WITH_LAPIC: [Self; 2] = [Self::Split, Self::Kernel];

    /// A VM with its interrupt controllers there.
    #[track_caller]
    pub(crate) fn vm(self) -> Result<Vm, Stop> {
        let vm = Kvm::open()?.create_vm(0)?;
        match self {
            Self::User => {}
            Self::Split => drop(vm.enable_cap(KVM_CAP_SPLIT_IRQCHIP, [24, 0, 0, 0])?),
            Self::Kernel => vm.create_irqchip()?,
        }
        Ok(vm)
    }
}
