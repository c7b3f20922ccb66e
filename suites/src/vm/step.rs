//! The steps in which a VM is put together, and what the kernel answers to each of them in its place.

use std::fmt;

use harness::kvm::{
    Cap, Descriptor, Errno, KVM_CREATE_PIT, KVM_SET_BOOT_CPU_ID, KVM_SET_IDENTITY_MAP_ADDR, KVM_SET_TSC_KHZ,
    KVM_SET_TSS_ADDR, Refused, Vcpu, Vm,
};
use harness::{Outcome, fails, succeeds};

use super::shown::Shown;

/// One step in putting a VM together.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// KVM_CREATE_VCPU with this id; the vCPU's descriptor stays open.
    Vcpu(u64),
    /// KVM_CREATE_IRQCHIP.
    Irqchip,
    /// KVM_CREATE_PIT.
    Pit,
    /// KVM_CREATE_PIT2 without flags.
    Pit2,
    /// KVM_SET_TSS_ADDR.
    TssAddr(u64),
    /// KVM_SET_IDENTITY_MAP_ADDR.
    IdentityMapAddr(u64),
    /// KVM_SET_BOOT_CPU_ID.
    BootCpuId(u64),
    /// KVM_SET_TSC_KHZ on the VM.
    TscKhz(u64),
    /// KVM_ENABLE_CAP on the VM with this first argument.
    Enable(Cap, u64),
}

/// What the kernel answers to a step.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Answer {
    /// The step succeeds.
    Works,
    /// The step is refused with this error, and what the VM shows of itself stays as it was.
    Fails(Errno),
}

/// Takes the steps one after the other, each of which gets its answer.
#[track_caller]
pub(crate) fn in_order(vm: &Vm, steps: &[(Step, Answer)]) -> Outcome {
    let mut vcpus = Vec::new();
    for (taken, (step, answer)) in steps.iter().enumerate() {
        let outcome = match answer {
            Answer::Works => succeeds(step.take(vm)).map(|vcpu| vcpus.extend(vcpu)),
            Answer::Fails(errno) => {
                let before = Shown::of(vm, &vcpus)?;
                fails(*errno, step.take(vm)).and_then(|()| before.is_still(vm, &vcpus))
            }
        };
        outcome.map_err(|stop| stop.during(format_args!("step {} of {steps:?}", taken + 1)))?;
    }
    Ok(())
}

/// The steps that show of a capability that it may be enabled before and after vCPUs, and more than once.
pub(crate) const fn at_any_time(cap: Cap, argument: u64) -> [(Step, Answer); 4] {
    let enable = (Step::Enable(cap, argument), Answer::Works);
    [enable, enable, (Step::Vcpu(0), Answer::Works), enable]
}

impl Step {
    #[track_caller]
    fn take(self, vm: &Vm) -> Result<Option<Vcpu>, Refused> {
        match self {
            Self::Vcpu(id) => return vm.create_vcpu(id).map(Some),
            Self::Irqchip => vm.create_irqchip()?,
            Self::Pit => drop(vm.value(KVM_CREATE_PIT, 0)?),
            Self::Pit2 => vm.create_pit2(0)?,
            Self::TssAddr(address) => drop(vm.value(KVM_SET_TSS_ADDR, address)?),
            Self::IdentityMapAddr(address) => drop(vm.write(KVM_SET_IDENTITY_MAP_ADDR, &address)?),
            Self::BootCpuId(id) => drop(vm.value(KVM_SET_BOOT_CPU_ID, id)?),
            Self::TscKhz(khz) => drop(vm.value(KVM_SET_TSC_KHZ, khz)?),
            Self::Enable(cap, argument) => drop(vm.enable_cap(cap, [argument, 0, 0, 0])?),
        }
        Ok(None)
    }
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Vcpu(id) => write!(f, "KVM_CREATE_VCPU {id:#x}"),
            Self::Irqchip => f.write_str("KVM_CREATE_IRQCHIP"),
            Self::Pit => f.write_str("KVM_CREATE_PIT"),
            Self::Pit2 => f.write_str("KVM_CREATE_PIT2"),
            Self::TssAddr(address) => write!(f, "KVM_SET_TSS_ADDR {address:#x}"),
            Self::IdentityMapAddr(address) => write!(f, "KVM_SET_IDENTITY_MAP_ADDR {address:#x}"),
            Self::BootCpuId(id) => write!(f, "KVM_SET_BOOT_CPU_ID {id:#x}"),
            Self::TscKhz(khz) => write!(f, "KVM_SET_TSC_KHZ {khz}"),
            Self::Enable(cap, argument) => write!(f, "KVM_ENABLE_CAP {} {argument:#x}", cap.name),
        }
    }
}
