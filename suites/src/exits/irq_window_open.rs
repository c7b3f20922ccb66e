//! KVM_EXIT_IRQ_WINDOW_OPEN: what `request_interrupt_window` in the run page asks for. That it comes, and when it comes with IF, are
//! claims of `vcpu::run_page`; here is what keeps it away, and what may be done with it.
//! When exactly it comes is the vendors' modules' doing, so that these claims need one of them.

use guests::Mode;
use guests::iced_x86::IcedError;
use guests::iced_x86::code_asm::{CodeAssembler, al};
use harness::kvm::{Descriptor, Exit, KVM_CAP_IRQCHIP, KVM_CAP_SPLIT_IRQCHIP, KVM_INTERRUPT, KVM_NMI, abi};
use harness::{Controllers, Outcome, Stop, claim, equal, holds, within};

use super::generated::InMode;
use super::provoked::{Provoked, Reply};
use super::stage::{END, Stage, handler, out};

/// The heading that all of this rests on.
const WINDOW: &str = "5. The kvm_run structure, request_interrupt_window";
/// RFLAGS.IF.
const IF: u64 = 1 << 9;

/// A guest with IF set whose host asks for the window.
fn asking(
    mode: Mode,
    write: impl FnOnce(&mut CodeAssembler) -> Result<(), IcedError>,
) -> Result<Stage, Stop> {
    let mut stage = Stage::of(mode, write)?;
    stage.catch_exceptions()?;
    stage.enter_with(|regs| regs.rflags |= IF)?;
    stage.page()?.put_request_interrupt_window(1);
    Ok(stage)
}

fn opens_before_the_first_instruction(mode: InMode) -> Outcome {
    let stage = asking(mode.0, |a| {
        a.nop()?;
        a.hlt()
    })?;
    equal(stage.run()?, Exit::IrqWindowOpen)?;
    equal(stage.page()?.ready_for_interrupt_injection(), 1)?;
    stage.stands(0, |_| ())?;
    stage.page()?.put_request_interrupt_window(0);
    equal(stage.run()?, Exit::Hlt)?;
    stage.ended(|_| ())
}
claim!(
    opens_before_the_first_instruction,
    "A guest that can take an interrupt runs nothing before KVM_EXIT_IRQ_WINDOW_OPEN, in every mode",
    [Api(WINDOW), Code("vcpu_enter_guest, arch/x86/kvm/x86.c")],
    Any(&[Amd, Intel]),
);

fn opens_as_often_as_asked(mode: InMode, times: u8) -> Outcome {
    let stage = asking(mode.0, |a| a.hlt())?;
    for _ in 0..=times % 8 {
        equal(stage.run()?, Exit::IrqWindowOpen)?;
        stage.stands(0, |_| ())?;
    }
    stage.page()?.put_request_interrupt_window(0);
    equal(stage.run()?, Exit::Hlt)?;
    stage.ended(|_| ())
}
claim!(
    opens_as_often_as_asked,
    "While request_interrupt_window is set and nothing is injected, KVM_RUN comes back with the window again and runs nothing",
    [Api(WINDOW)],
    Any(&[Amd, Intel]),
);

fn takes_an_interrupt(mode: InMode, vector: u8) -> Outcome {
    let vector = vector.max(32);
    let stage = asking(mode.0, |a| a.hlt())?;
    equal(stage.run()?, Exit::IrqWindowOpen)?;
    let before = stage.registers()?;
    stage.vcpu.write(KVM_INTERRUPT, &abi::kvm_interrupt { irq: vector.into() })?;
    // IF is clear in the handler: the window is shut, although it is still asked for.
    equal(stage.run()?, Exit::Hlt)?;
    let seen = stage.registers()?;
    equal((seen.rip, seen.rflags & IF), (handler(vector.into()), 0))?;
    holds(seen.rsp < before.rsp, "the interrupt's frame lies on the stack")?;
    equal(stage.page()?.ready_for_interrupt_injection(), 0)
}
claim!(
    takes_an_interrupt,
    "An interrupt injected at KVM_EXIT_IRQ_WINDOW_OPEN is taken at once, and the window stays shut in its handler",
    [Api(WINDOW), Api("4.16 KVM_INTERRUPT")],
    Any(&[Amd, Intel]),
);

fn a_queued_interrupt_goes_first(vector: u8) -> Outcome {
    let vector = vector.max(32);
    let stage = asking(Mode::Protected, |a| a.hlt())?;
    stage.vcpu.write(KVM_INTERRUPT, &abi::kvm_interrupt { irq: vector.into() })?;
    equal(stage.run()?, Exit::Hlt)?;
    equal(stage.registers()?.rip, handler(vector.into()))
}
claim!(
    a_queued_interrupt_goes_first,
    "An interrupt that is queued already keeps the window shut until it is delivered",
    [Api(WINDOW), Code("kvm_vcpu_ready_for_interrupt_injection, arch/x86/kvm/x86.c")],
);

fn the_shadow_of_sti_keeps_it_shut(mode: InMode) -> Outcome {
    let stage = Stage::of(mode.0, |a| {
        a.nop()?;
        a.sti()?;
        a.nop()?;
        a.nop()?;
        a.hlt()
    })?;
    stage.page()?.put_request_interrupt_window(1);
    equal(stage.run()?, Exit::IrqWindowOpen)?;
    within(stage.registers()?.rip, stage.at(3), stage.at(4))?;
    stage.page()?.put_request_interrupt_window(0);
    equal(stage.run()?, Exit::Hlt)?;
    stage.ended(|end| end.regs.rflags |= IF)
}
claim!(
    the_shadow_of_sti_keeps_it_shut,
    "The instruction behind STI runs before the window opens, in every mode",
    [Api(WINDOW), Manual("Intel SDM volume 2, STI—Set Interrupt Flag")],
    Any(&[Amd, Intel]),
);

fn a_cleared_if_keeps_it_shut(mode: InMode) -> Outcome {
    let mut stage = asking(mode.0, |a| {
        a.nop()?;
        a.nop()?;
        a.hlt()
    })?;
    stage.enter_with(|regs| regs.rflags &= !IF)?;
    equal(stage.run()?, Exit::Hlt)?;
    equal(stage.page()?.ready_for_interrupt_injection(), 0)?;
    stage.ended(|_| ())
}
claim!(
    a_cleared_if_keeps_it_shut,
    "A guest with IF clear comes to its next exit without KVM_EXIT_IRQ_WINDOW_OPEN, although it was asked for",
    [Api(WINDOW)],
);

fn an_nmi_goes_first() -> Outcome {
    let stage = asking(Mode::Protected, |a| a.hlt())?;
    stage.vcpu.value(KVM_NMI, 0)?;
    equal(stage.run()?, Exit::Hlt)?;
    equal(stage.registers()?.rip, handler(2))
}
claim!(
    an_nmi_goes_first,
    "A pending NMI is delivered before KVM_EXIT_IRQ_WINDOW_OPEN, and the window stays shut in its handler",
    [Api("4.64 KVM_NMI"), Code("vcpu_run, arch/x86/kvm/x86.c")],
);

/// A guest with a local APIC in the kernel, IF set, and the window asked for.
fn with_a_local_apic(controllers: Controllers) -> Result<Stage, Stop> {
    let mut stage = Stage::within(controllers.vm()?, Mode::Protected, |a| {
        a.nop()?;
        a.out(u32::from(END), al)
    })?;
    stage.enter_with(|regs| regs.rflags |= IF)?;
    stage.page()?.put_request_interrupt_window(1);
    Ok(stage)
}

fn a_split_irqchip_opens_it() -> Outcome {
    let stage = with_a_local_apic(Controllers::Split)?;
    equal(stage.run()?, Exit::IrqWindowOpen)?;
    stage.stands(0, |_| ())?;
    stage.page()?.put_request_interrupt_window(0);
    equal(stage.run()?, out(END, &[0]))
}
claim!(
    a_split_irqchip_opens_it,
    "With a split irqchip, whose PIC is in user space, KVM_RUN comes back with KVM_EXIT_IRQ_WINDOW_OPEN",
    [Api(WINDOW), Code("dm_request_for_irq_injection, arch/x86/kvm/x86.c")],
    Has(KVM_CAP_SPLIT_IRQCHIP),
    Any(&[Amd, Intel]),
);

fn an_in_kernel_pic_does_not() -> Outcome {
    let stage = with_a_local_apic(Controllers::Kernel)?;
    equal(stage.run()?, out(END, &[0]))
}
claim!(
    an_in_kernel_pic_does_not,
    "With an in-kernel PIC, request_interrupt_window does not bring KVM_RUN back",
    [Code("dm_request_for_irq_injection, arch/x86/kvm/x86.c")],
    Has(KVM_CAP_IRQCHIP),
);

/// A guest that could go on, whose host asks for the window once.
pub(super) fn open() -> Result<Provoked, Stop> {
    let stage = asking(Mode::Long, |a| {
        a.nop()?;
        a.hlt()
    })?;
    let at = stage.before(0);
    Ok(Provoked {
        at,
        completed: at,
        reply: Reply::Act(|stage| {
            stage.page()?.put_request_interrupt_window(0);
            Ok(())
        }),
        ..Provoked::of(stage, Exit::IrqWindowOpen)
    })
}
