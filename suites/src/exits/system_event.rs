//! KVM_EXIT_SYSTEM_EVENT: on x86, what a guest of Hyper-V says of its end.

use harness::kvm::{Exit, KVM_CAP_HYPERV, KVM_CAP_HYPERV_CPUID, abi};
use harness::{Controllers, Outcome, Stop, claim, equal};

use super::hyperv_guest::writing;
use super::msr;
use super::provoked::Provoked;
use super::stage::{END, Stage, out};

/// The heading that most of this rests on.
const EVENT: &str = "5. The kvm_run structure, KVM_EXIT_SYSTEM_EVENT";
/// HV_X64_MSR_RESET.
const RESET: u32 = 0x4000_0003;
/// HV_X64_MSR_CRASH_P0.
const CRASH_P0: u32 = 0x4000_0100;
/// HV_X64_MSR_CRASH_CTL.
const CRASH_CTL: u32 = 0x4000_0105;
/// HV_CRASH_CTL_CRASH_NOTIFY.
const NOTIFY: u64 = 1 << 63;

/// The guest writes the MSR, which leaves this event with the write done, and goes on.
fn told(stage: &Stage, event: u32) -> Outcome {
    equal(stage.run()?, Exit::SystemEvent { event, data: vec![] })?;
    stage.stands(1, |_| ())?;
    let low = stage.image.entry.registers.rax.to_le_bytes()[0];
    equal(stage.run()?, out(END, &[low]))?;
    stage.left(&stage.untouched(1))
}

fn a_reset_is_told() -> Outcome {
    told(&writing(Controllers::User, false, RESET, 1)?, abi::KVM_SYSTEM_EVENT_RESET)
}
claim!(
    a_reset_is_told,
    "A guest of Hyper-V that writes 1 to HV_X64_MSR_RESET leaves KVM_SYSTEM_EVENT_RESET without data, and could go on",
    [Api(EVENT), Manual("Hyper-V TLFS 2.5 Partition Reset")],
    Has(KVM_CAP_HYPERV),
    Has(KVM_CAP_HYPERV_CPUID),
);

fn other_values_reset_nothing(value: u64) -> Outcome {
    let value = if value == 1 { 0 } else { value };
    let stage = writing(Controllers::User, false, RESET, value)?;
    equal(stage.run()?, out(END, &value.to_le_bytes()[..1]))
}
claim!(
    other_values_reset_nothing,
    "A guest of Hyper-V that writes anything but 1 to HV_X64_MSR_RESET does not leave",
    [Code("kvm_hv_set_msr_pw, arch/x86/kvm/hyperv.c")],
    Has(KVM_CAP_HYPERV),
    Has(KVM_CAP_HYPERV_CPUID),
);

fn a_crash_is_told(low: u64, parameters: [u64; 5]) -> Outcome {
    let stage = writing(Controllers::User, false, CRASH_CTL, NOTIFY | low)?;
    for (index, parameter) in (CRASH_P0..).zip(parameters) {
        msr::set(&stage.vcpu, index, parameter)?;
    }
    told(&stage, abi::KVM_SYSTEM_EVENT_CRASH)?;
    for (index, parameter) in (CRASH_P0..).zip(parameters) {
        equal(msr::get(&stage.vcpu, index)?, parameter)?;
    }
    Ok(())
}
claim!(
    a_crash_is_told,
    "A guest of Hyper-V that sets CRASH_NOTIFY leaves KVM_SYSTEM_EVENT_CRASH without data, its parameters in the crash MSRs",
    [Api(EVENT), Manual("Hyper-V TLFS 2.6 Guest Crash Enlightenment")],
    Has(KVM_CAP_HYPERV),
    Has(KVM_CAP_HYPERV_CPUID),
);

fn without_notify_nothing_is_told(low: u64) -> Outcome {
    let value = low & !NOTIFY;
    let stage = writing(Controllers::User, false, CRASH_CTL, value)?;
    equal(stage.run()?, out(END, &value.to_le_bytes()[..1]))
}
claim!(
    without_notify_nothing_is_told,
    "A guest of Hyper-V that writes HV_X64_MSR_CRASH_CTL without CRASH_NOTIFY does not leave",
    [Code("kvm_hv_set_msr_pw, arch/x86/kvm/hyperv.c")],
    Has(KVM_CAP_HYPERV),
    Has(KVM_CAP_HYPERV_CPUID),
);

fn the_host_may_write_it_too() -> Outcome {
    let stage = writing(Controllers::User, false, RESET, 0)?;
    msr::set(&stage.vcpu, CRASH_CTL, NOTIFY)?;
    equal(stage.run()?, out(END, &[0]))
}
claim!(
    the_host_may_write_it_too,
    "KVM_SET_MSRS of HV_X64_MSR_CRASH_CTL makes no KVM_EXIT_SYSTEM_EVENT",
    [Code("kvm_hv_set_msr_pw, arch/x86/kvm/hyperv.c")],
    Has(KVM_CAP_HYPERV),
    Has(KVM_CAP_HYPERV_CPUID),
);

fn unenlightened_guests_get_gp(crash: bool) -> Outcome {
    let (index, value) = if crash { (CRASH_CTL, NOTIFY) } else { (RESET, 1) };
    let stage = super::msr::writing(Controllers::User.vm()?, guests::Mode::Long, index, value)?;
    equal(stage.run()?, Exit::Hlt)?;
    equal(stage.registers()?.rip, super::stage::handler(13))
}
claim!(
    unenlightened_guests_get_gp,
    "Without Hyper-V's CPUID the same writes give the guest #GP and leave no KVM_EXIT_SYSTEM_EVENT",
    [Code("kvm_hv_set_msr_common, arch/x86/kvm/hyperv.c")],
    Has(KVM_CAP_HYPERV),
    Kernel(">=6.1"),
);

/// A write that tells of this event, which is over by the time of its exit.
fn provoked(index: u32, value: u64, event: u32) -> Result<Provoked, Stop> {
    let stage = writing(Controllers::User, false, index, value)?;
    let end = (out(END, &value.to_le_bytes()[..1]), stage.untouched(1));
    Ok(Provoked { end: Some(end), ..Provoked::of(stage, Exit::SystemEvent { event, data: vec![] }) })
}

/// A guest's wish to be reset.
pub(super) fn reset() -> Result<Provoked, Stop> {
    provoked(RESET, 1, abi::KVM_SYSTEM_EVENT_RESET)
}

/// A guest's crash.
pub(super) fn crash() -> Result<Provoked, Stop> {
    provoked(CRASH_CTL, NOTIFY, abi::KVM_SYSTEM_EVENT_CRASH)
}
