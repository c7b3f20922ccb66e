//! KVM_CAP_VM_DISABLE_NX_HUGE_PAGES: api.rst 8.38.

use std::fs;

use harness::kvm::{EINVAL, EPERM, KVM_CAP_VM_DISABLE_NX_HUGE_PAGES, Vm};
use harness::{HostFault, Outcome, Stop, claim};

use super::bits;
use super::step::Answer::{Fails, Works};
use super::step::Step::{self, Vcpu};
use super::step::in_order;

/// The capability's bit in `/proc/self/status`.
const CAP_SYS_BOOT: u64 = 1 << 22;
const DISABLE: Step = Step::Enable(KVM_CAP_VM_DISABLE_NX_HUGE_PAGES, 0);

/// Whether this process may reboot the system, for which CAP_SYS_BOOT in the first user namespace is needed. A container's root
/// may not.
fn may_reboot() -> Result<bool, Stop> {
    let read = |path| {
        fs::read_to_string(path).map_err(|error| Stop::HostFault(HostFault(format!("{path}: {error}"))))
    };
    let status = read("/proc/self/status")?;
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let capabilities = effective.and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok()).unwrap_or(0);
    let ids = read("/proc/self/uid_map")?;
    Ok(capabilities & CAP_SYS_BOOT != 0 && ids.split_whitespace().eq(["0", "0", "4294967295"]))
}

/// Goes on if the process may reboot the system, or if it may not.
fn only_if_reboot_is(allowed: bool) -> Outcome {
    if may_reboot()? == allowed {
        return Ok(());
    }
    Err(Stop::Skip(format!("CAP_SYS_BOOT is {}", if allowed { "missing" } else { "there" })))
}

fn is_early(vm: Vm) -> Outcome {
    only_if_reboot_is(true)?;
    in_order(&vm, &[(DISABLE, Works), (DISABLE, Works), (Vcpu(0), Works), (DISABLE, Fails(EINVAL))])
}
claim!(
    is_early,
    "KVM_CAP_VM_DISABLE_NX_HUGE_PAGES may be enabled more than once, and is refused with EINVAL once there is a vCPU",
    [Api("8.38 KVM_CAP_VM_DISABLE_NX_HUGE_PAGES")],
    Has(KVM_CAP_VM_DISABLE_NX_HUGE_PAGES)
);

fn takes_zero(vm: Vm) -> Outcome {
    only_if_reboot_is(true)?;
    bits::refuses_all_but(0, &vm, KVM_CAP_VM_DISABLE_NX_HUGE_PAGES)
}
claim!(
    takes_zero,
    "KVM_CAP_VM_DISABLE_NX_HUGE_PAGES is refused with EINVAL for any argument but 0",
    [Api("8.38 KVM_CAP_VM_DISABLE_NX_HUGE_PAGES")],
    Has(KVM_CAP_VM_DISABLE_NX_HUGE_PAGES)
);

fn is_for_those_who_may_reboot(vm: Vm) -> Outcome {
    only_if_reboot_is(false)?;
    let one = Step::Enable(KVM_CAP_VM_DISABLE_NX_HUGE_PAGES, 1);
    in_order(&vm, &[(DISABLE, Fails(EPERM)), (one, Fails(EPERM)), (Vcpu(0), Works), (DISABLE, Fails(EPERM))])
}
claim!(
    is_for_those_who_may_reboot,
    "KVM_CAP_VM_DISABLE_NX_HUGE_PAGES is refused with EPERM, before anything else, without CAP_SYS_BOOT",
    [Api("8.38 KVM_CAP_VM_DISABLE_NX_HUGE_PAGES"), Code("kvm_vm_ioctl_enable_cap, arch/x86/kvm/x86.c")],
    Has(KVM_CAP_VM_DISABLE_NX_HUGE_PAGES)
);
