//! Who has a VM's interrupt controllers: api.rst 4.24 KVM_CREATE_IRQCHIP, 7.5 KVM_CAP_SPLIT_IRQCHIP.

use crate::kvm::{KVM_CAP_SPLIT_IRQCHIP, Kvm, Vm};
use crate::{Outcome, Stop};

/// The pins of the IOAPIC that user space has where it is split, as KVM's own has them.
const PINS: u64 = 24;

/// Who has a VM's interrupt controllers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Controllers {
    /// User space has all of them, or there are none.
    #[default]
    User,
    /// The kernel has the local APICs, and user space i8259s and IOAPIC.
    Split,
    /// The kernel has all of them.
    Kernel,
}

impl Controllers {
    /// All three.
    pub const ALL: [Self; 3] = [Self::User, Self::Split, Self::Kernel];
    /// Those that give vCPUs a local APIC.
    pub const WITH_LAPIC: [Self; 2] = [Self::Split, Self::Kernel];

    /// A VM with its interrupt controllers there.
    #[track_caller]
    pub fn vm(self) -> Result<Vm, Stop> {
        let vm = Kvm::open()?.create_vm(0)?;
        self.bring(&vm)?;
        Ok(vm)
    }

    /// Gives a VM that has no vCPU yet its interrupt controllers.
    #[track_caller]
    pub(crate) fn bring(self, vm: &Vm) -> Outcome {
        match self {
            Self::User => {}
            Self::Split => {
                vm.enable_cap(KVM_CAP_SPLIT_IRQCHIP, [PINS, 0, 0, 0])?;
            }
            Self::Kernel => vm.create_irqchip()?,
        }
        Ok(())
    }
}
