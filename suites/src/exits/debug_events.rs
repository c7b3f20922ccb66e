//! KVM_EXIT_DEBUG of a guest that has events waiting: which of them come before a step.

use guests::Mode;
use guests::iced_x86::code_asm::{al, dword_ptr, eax};
use harness::kvm::{
    Descriptor, Exit, KVM_CAP_SET_GUEST_DEBUG2, KVM_CAP_SIGNAL_MSI, KVM_CAP_SPLIT_IRQCHIP,
    KVM_SET_GUEST_DEBUG, KVM_SIGNAL_MSI, abi,
};
use harness::{Outcome, Stop, claim, equal};

use super::stage::{END, Stage, out};
use crate::vm::irqchip::Irqchip;

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
    let mut stage = Stage::within(Irqchip::Split.vm()?, Mode::Long, |a| {
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
    equal(step(&stage, 0)?, stage.at(4))?;
    let pc = step(&stage, 0)?;
    let handler = super::stage::handler(VECTOR.into()) - 1;
    equal((handler..=handler + 1).contains(&pc), true)
}
claim!(
    waiting_interrupts_come_first,
    "Without KVM_GUESTDBG_BLOCKIRQ a stepped guest takes a waiting interrupt, and the step ends in its handler",
    [Api(SET)],
    Has(KVM_CAP_SET_GUEST_DEBUG2),
    Has(KVM_CAP_SPLIT_IRQCHIP),
    Has(KVM_CAP_SIGNAL_MSI),
);
