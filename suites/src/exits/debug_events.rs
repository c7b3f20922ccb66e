//! KVM_EXIT_DEBUG of a guest that has events waiting: which of them come before a step.

use guests::Mode;
use guests::iced_x86::code_asm::{al, dword_ptr, eax};
use harness::kvm::{
    Descriptor, EBUSY, Exit, KVM_CAP_SET_GUEST_DEBUG, KVM_CAP_SET_GUEST_DEBUG2, KVM_CAP_SIGNAL_MSI,
    KVM_CAP_SPLIT_IRQCHIP, KVM_SET_GUEST_DEBUG, KVM_SIGNAL_MSI, abi,
};
use harness::{Controllers, Outcome, Stop, claim, equal, fails, holds};

use super::generated::InMode;
use super::stage::{END, Stage, handler, out};

/// The headings that all of this rests on.
const SET: &str = "4.87 KVM_SET_GUEST_DEBUG";
/// Where a local APIC has its spurious-interrupt vector register.
const SPURIOUS: u64 = 0xfee0_00f0;
/// The interrupt that waits.
const VECTOR: u8 = 0x61;
/// KVM_GUESTDBG_BLOCKIRQ.
const BLOCKIRQ: u32 = 1 << 20;

/// A guest with interrupts let in, one waiting, and two instructions before its end.
fn interrupted() -> Result<Stage, Stop> {
    let mut stage = Stage::within(Controllers::Split.vm()?, Mode::Long, |a| {
        a.mov(eax, 0x1ff)?;
        a.mov(dword_ptr(SPURIOUS), eax)?;
        a.sti()?;
        a.out(0x80, al)?;
        a.nop()?;
        a.nop()?;
        a.out(u32::from(END), al)
    })?;
    stage.catch_exceptions()?;
    stage.handle(VECTOR, |a| {
        a.nop()?;
        a.out(0x81, al)
    })?;
    equal(stage.run()?, out(0x80, &[0xff]))?;
    let msi = abi::kvm_msi { address_lo: 0xfee0_0000, data: VECTOR.into(), ..Default::default() };
    equal(stage.vm.write(KVM_SIGNAL_MSI, &msi)?, 1)?;
    Ok(stage)
}

fn step(stage: &Stage, control: u32) -> Result<u64, Stop> {
    let control = control | abi::KVM_GUESTDBG_ENABLE | abi::KVM_GUESTDBG_SINGLESTEP;
    let request = abi::kvm_guest_debug { control, ..Default::default() };
    stage.vcpu.write(KVM_SET_GUEST_DEBUG, &request)?;
    match stage.run()? {
        Exit::Debug { exception: 1, pc, .. } => Ok(pc),
        other => equal(other, Exit::Debug { exception: 1, pc: 0, dr6: 0, dr7: 0 }).map(|()| 0),
    }
}

fn blocked_interrupts_wait() -> Outcome {
    let stage = interrupted()?;
    // The first step completes the OUT.
    for index in 4..=6 {
        equal(step(&stage, BLOCKIRQ)?, stage.at(index))?;
    }
    stage.vcpu.write(KVM_SET_GUEST_DEBUG, &abi::kvm_guest_debug::default())?;
    equal(stage.run()?, out(0x81, &[0xff]))
}
claim!(
    blocked_interrupts_wait,
    "With KVM_GUESTDBG_BLOCKIRQ a guest is stepped past a waiting interrupt, which it takes once it is not stepped any more",
    [Api(SET)],
    AtLeast(KVM_CAP_SET_GUEST_DEBUG2, 0x10_0000),
    Has(KVM_CAP_SPLIT_IRQCHIP),
    Has(KVM_CAP_SIGNAL_MSI),
);

fn waiting_interrupts_come_first() -> Outcome {
    let stage = interrupted()?;
    let control = abi::KVM_GUESTDBG_ENABLE | abi::KVM_GUESTDBG_SINGLESTEP;
    stage.vcpu.write(KVM_SET_GUEST_DEBUG, &abi::kvm_guest_debug { control, ..Default::default() })?;
    // The first step completes the OUT. The delivery of an interrupt ends stepping in its handler, or goes on through it.
    let first = handler(VECTOR.into()) - 1;
    let mut exit = stage.run()?;
    if matches!(exit, Exit::Debug { pc, .. } if pc == stage.at(4)) {
        exit = stage.run()?;
    }
    match exit {
        Exit::Debug { pc, .. } => holds((first..=first + 1).contains(&pc), "the step ends in the handler"),
        other => equal(other, out(0x81, &[0xff])),
    }
}
claim!(
    waiting_interrupts_come_first,
    "Without KVM_GUESTDBG_BLOCKIRQ a stepped guest takes a waiting interrupt before it takes another step",
    [Api(SET)],
    Has(KVM_CAP_SET_GUEST_DEBUG2),
    Has(KVM_CAP_SPLIT_IRQCHIP),
    Has(KVM_CAP_SIGNAL_MSI),
);

/// KVM_SET_GUEST_DEBUG queues an exception, takes no second one, and the guest has it.
fn injects(mode: Mode, control: u32, vector: u64) -> Outcome {
    let mut stage = Stage::of(mode, |a| {
        a.nop()?;
        a.hlt()
    })?;
    stage.catch_exceptions()?;
    let request = abi::kvm_guest_debug { control: control | abi::KVM_GUESTDBG_ENABLE, ..Default::default() };
    stage.vcpu.write(KVM_SET_GUEST_DEBUG, &request)?;
    fails(EBUSY, stage.vcpu.write(KVM_SET_GUEST_DEBUG, &request))?;
    equal(stage.run()?, Exit::Hlt)?;
    equal(stage.registers()?.rip, handler(vector))
}

fn injected_exceptions_are_the_guests(mode: InMode) -> Outcome {
    injects(mode.0, abi::KVM_GUESTDBG_INJECT_DB, 1)
}
claim!(
    injected_exceptions_are_the_guests,
    "KVM_GUESTDBG_INJECT_DB gives the guest #DB, and is refused with EBUSY while an exception is pending",
    [Api(SET), Code("kvm_arch_vcpu_ioctl_set_guest_debug, arch/x86/kvm/x86.c")],
    Has(KVM_CAP_SET_GUEST_DEBUG),
);

fn injected_breakpoints_are_the_guests(mode: InMode) -> Outcome {
    injects(mode.0, abi::KVM_GUESTDBG_INJECT_BP, 3)
}
claim!(
    injected_breakpoints_are_the_guests,
    "KVM_GUESTDBG_INJECT_BP gives the guest #BP, and is refused with EBUSY while an exception is pending",
    [Api(SET), Code("kvm_arch_vcpu_ioctl_set_guest_debug, arch/x86/kvm/x86.c")],
    Has(KVM_CAP_SET_GUEST_DEBUG),
    // Without NRIPS, KVM emulates its way past an instruction that is no INT3.
    Any(&[Not(&Amd), Param("kvm_amd", "nrips", "1"), Param("kvm_amd", "nrips", "Y")]),
);
