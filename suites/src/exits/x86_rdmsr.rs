//! KVM_EXIT_X86_RDMSR: the host answers what KVM would not.

use guests::Mode;
use harness::kvm::{Exit, KVM_CAP_X86_MSR_FILTER, KVM_CAP_X86_USER_SPACE_MSR, Kvm, MsrExit};
use harness::{Outcome, Stop, claim, equal};

use super::generated::InMode;
use super::msr::{FILTER, INVAL, MCG_CTL, MISC_ENABLE, UNKNOWN, deny, reading, telling, unknown};
use super::provoked::{Provoked, Reply};
use super::stage::{Stage, handler};

/// The headings that all of this rests on.
const RDMSR: &str = "5. The kvm_run structure, KVM_EXIT_X86_RDMSR";
const USER_SPACE_MSR: &str = "7.21 KVM_CAP_X86_USER_SPACE_MSR";

/// The exit of a read.
fn asked(index: u32, reason: u32) -> Exit {
    Exit::Rdmsr(MsrExit { error: 0, reason, index, data: 0 })
}

/// Answers a read with a value, and checks that the guest has it and nothing else changed.
fn takes(stage: &Stage, exit: &Exit, value: u64) -> Outcome {
    stage.stands(0, |_| ())?;
    stage.answer(exit, value)?;
    equal(stage.run()?, Exit::Hlt)?;
    stage.ended(|end| (end.regs.rax, end.regs.rdx) = (value & 0xffff_ffff, value >> 32))
}

/// Refuses a read, and checks that the guest has #GP.
fn faults(stage: &Stage, exit: &Exit, error: u8) -> Outcome {
    stage.answer(exit, 0x5555_5555_5555_5555)?;
    stage.page()?.put_msr_error(exit, error.max(1));
    equal(stage.run()?, Exit::Hlt)?;
    let seen = stage.registers()?;
    equal((seen.rip, seen.rax, seen.rdx), (handler(13), 0x1111_2222, 0x3333_4444))
}

fn unknown_msrs_are_answered(mode: InMode, choice: u16, value: u64) -> Outcome {
    let stage = reading(telling(UNKNOWN)?, mode.0, unknown(choice))?;
    let exit = stage.run()?;
    equal(&exit, &asked(unknown(choice), UNKNOWN))?;
    takes(&stage, &exit, value)
}
claim!(
    unknown_msrs_are_answered,
    "RDMSR of an MSR that KVM does not know leaves KVM_EXIT_X86_RDMSR, and takes what the host lays into EDX:EAX",
    [Api(RDMSR), Api(USER_SPACE_MSR)],
    Has(KVM_CAP_X86_USER_SPACE_MSR),
);

fn unknown_msrs_are_refused(mode: InMode, choice: u16, error: u8) -> Outcome {
    let stage = reading(telling(UNKNOWN)?, mode.0, unknown(choice))?;
    let exit = stage.run()?;
    equal(&exit, &asked(unknown(choice), UNKNOWN))?;
    faults(&stage, &exit, error)
}
claim!(
    unknown_msrs_are_refused,
    "Any error but zero that the host lays at KVM_EXIT_X86_RDMSR gives the guest #GP and leaves EDX:EAX alone",
    [Api(RDMSR)],
    Has(KVM_CAP_X86_USER_SPACE_MSR),
);

fn invalid_reads_are_answered(mode: InMode, value: u64) -> Outcome {
    let stage = reading(telling(INVAL)?, mode.0, MCG_CTL)?;
    let exit = stage.run()?;
    equal(&exit, &asked(MCG_CTL, INVAL))?;
    takes(&stage, &exit, value)
}
claim!(
    invalid_reads_are_answered,
    "RDMSR of an MSR that KVM knows and the vCPU has not leaves KVM_EXIT_X86_RDMSR with KVM_MSR_EXIT_REASON_INVAL",
    [Api(RDMSR), Code("get_msr_mce, arch/x86/kvm/x86.c")],
    Has(KVM_CAP_X86_USER_SPACE_MSR),
);

fn filtered_msrs_are_answered(mode: InMode, value: u64) -> Outcome {
    let vm = telling(FILTER)?;
    deny(&vm, MISC_ENABLE)?;
    let stage = reading(vm, mode.0, MISC_ENABLE)?;
    let exit = stage.run()?;
    equal(&exit, &asked(MISC_ENABLE, FILTER))?;
    takes(&stage, &exit, value)
}
claim!(
    filtered_msrs_are_answered,
    "RDMSR of an MSR that KVM_X86_SET_MSR_FILTER denies leaves KVM_EXIT_X86_RDMSR with KVM_MSR_EXIT_REASON_FILTER",
    [Api(RDMSR), Api("4.97 KVM_X86_SET_MSR_FILTER")],
    Has(KVM_CAP_X86_USER_SPACE_MSR),
    Has(KVM_CAP_X86_MSR_FILTER),
);

fn other_msrs_pass_the_filter(mode: InMode) -> Outcome {
    let vm = telling(FILTER | UNKNOWN | INVAL)?;
    deny(&vm, MISC_ENABLE + 1)?;
    let stage = reading(vm, mode.0, MISC_ENABLE)?;
    equal(stage.run()?, Exit::Hlt)?;
    equal(stage.registers()?.rip, stage.at(2))
}
claim!(
    other_msrs_pass_the_filter,
    "RDMSR of an MSR that KVM knows and no filter denies does not leave the guest, whatever reasons are asked for",
    [Api(USER_SPACE_MSR), Api("4.97 KVM_X86_SET_MSR_FILTER")],
    Has(KVM_CAP_X86_USER_SPACE_MSR),
    Has(KVM_CAP_X86_MSR_FILTER),
);

fn reasons_not_asked_for_are_faults(mode: InMode, choice: u16) -> Outcome {
    let stage = reading(telling(FILTER | INVAL)?, mode.0, unknown(choice))?;
    equal(stage.run()?, Exit::Hlt)?;
    equal(stage.registers()?.rip, handler(13))
}
claim!(
    reasons_not_asked_for_are_faults,
    "RDMSR of an unknown MSR gives the guest #GP and no exit where only other reasons are asked for",
    [Api(USER_SPACE_MSR)],
    Has(KVM_CAP_X86_USER_SPACE_MSR),
);

fn nothing_is_told_unasked(mode: InMode, choice: u16) -> Outcome {
    let stage = reading(Kvm::open()?.create_vm(0)?, mode.0, unknown(choice))?;
    equal(stage.run()?, Exit::Hlt)?;
    equal(stage.registers()?.rip, handler(13))
}
claim!(
    nothing_is_told_unasked,
    "Without KVM_CAP_X86_USER_SPACE_MSR, RDMSR of an unknown MSR gives the guest #GP and no exit",
    [Api(USER_SPACE_MSR)],
);

/// A filtered read, answered.
pub(super) fn filtered() -> Result<Provoked, Stop> {
    let vm = telling(FILTER)?;
    deny(&vm, MISC_ENABLE)?;
    answered(reading(vm, Mode::Long, MISC_ENABLE)?, asked(MISC_ENABLE, FILTER))
}

/// A read of an unknown MSR, answered.
pub(super) fn unknown_msr() -> Result<Provoked, Stop> {
    answered(reading(telling(UNKNOWN)?, Mode::Protected, unknown(7))?, asked(unknown(7), UNKNOWN))
}

fn answered(stage: Stage, exit: Exit) -> Result<Provoked, Stop> {
    let at = stage.before(0);
    let mut provoked =
        Provoked { at, reply: Reply::Answer(0x8877_6655_4433_2211), ..Provoked::of(stage, exit) };
    (provoked.completed.rax, provoked.completed.rdx) = (0x4433_2211, 0x8877_6655);
    if let Some((_, end)) = &mut provoked.end {
        (end.regs.rax, end.regs.rdx) = (0x4433_2211, 0x8877_6655);
    }
    Ok(provoked)
}
