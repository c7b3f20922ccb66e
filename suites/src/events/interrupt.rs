//! KVM_INTERRUPT: api.rst 4.16. Where there is no interrupt controller in the kernel, what it queues is the processor's; where the local
//! APIC is there, it stands for the line from a PIC in user space.

use guests::Mode;
use guests::iced_x86::code_asm::al;
use harness::kvm::{
    Descriptor, EEXIST, EINVAL, ENXIO, KVM_CAP_IRQCHIP, KVM_CAP_SPLIT_IRQCHIP, KVM_GET_LAPIC, KVM_INTERRUPT,
    KVM_SET_LAPIC, KVM_SET_MP_STATE, Refused, Vcpu, abi,
};
use harness::{Controllers, Outcome, Stop, claim, each, equal, fails, succeeds, unchanged};

use super::handled::{Before, Handled, IF, Step, WITH_ERROR_CODE, idle};
use super::mp_state::still_waits;
use crate::exits::generated::{InMode, RealOrLong};
use crate::exits::stage::{END, Interruption, Stage, handler};

/// The heading that most of this rests on.
const INTERRUPT: &str = "4.16 KVM_INTERRUPT";
/// Where the local APIC's registers have what its first line does, and the bit that shuts it.
const LVT0: usize = 0x350;
const MASKED: u8 = 1;

/// KVM_INTERRUPT.
#[track_caller]
fn interrupt(vcpu: &Vcpu, vector: u32) -> Result<(), Refused> {
    vcpu.write(KVM_INTERRUPT, &abi::kvm_interrupt { irq: vector }).map(drop)
}

/// An idle guest that lets interrupts in.
fn open(controllers: Controllers, mode: Mode) -> Result<Handled, Stop> {
    Handled::within(controllers.vm()?, mode, idle(3))?.entered_with(|regs| regs.rflags |= IF)
}

/// A vector whose exception, if it is one's, pushes no error code, so that handlers need not tell the two apart.
fn plain(vector: u8) -> u8 {
    if WITH_ERROR_CODE.contains(&vector) { vector + 32 } else { vector }
}

fn every_vector_is_delivered(mode: InMode, vector: u8) -> Outcome {
    let vector = plain(vector);
    each([Controllers::User, Controllers::Split], |controllers| {
        let guest = open(*controllers, mode.0)?;
        interrupt(&guest.stage.vcpu, vector.into())?;
        guest.takes(&[(vector, Before::Code(0))])
    })
}
claim!(
    every_vector_is_delivered,
    "An interrupt that KVM_INTERRUPT queued is taken before the next instruction, whatever its vector, once",
    [Api(INTERRUPT)],
    Has(KVM_CAP_SPLIT_IRQCHIP),
);

fn no_error_code_is_pushed(mode: InMode, choice: u8) -> Outcome {
    let vector = WITH_ERROR_CODE[usize::from(choice) % WITH_ERROR_CODE.len()];
    let mut stage = Stage::of(mode.0, |a| a.hlt())?;
    stage.catch_exceptions()?;
    stage.enter_with(|regs| regs.rflags |= IF)?;
    interrupt(&stage.vcpu, vector.into())?;
    stage.run()?;
    let frame = match mode.0 {
        Mode::Real => 3 * 2,
        Mode::Protected => 3 * 4,
        _ => 5 * 8,
    };
    let seen = stage.registers()?;
    equal((seen.rip, seen.rsp), (handler(vector.into()), guests::STACK - frame))
}
claim!(
    no_error_code_is_pushed,
    "An interrupt with the vector of an exception that has an error code is delivered without one",
    [Api(INTERRUPT), Manual("Intel SDM volume 3, 7.13 Error Code")],
);

fn vectors_above_255_are_refused(number: u32) -> Outcome {
    let number = number.max(256);
    each([Controllers::User, Controllers::Split], |controllers| {
        let guest = open(*controllers, Mode::Long)?;
        unchanged(
            || Ok::<_, Stop>((guest.events()?, guest.stage.vcpu.get_sregs()?.interrupt_bitmap)),
            || fails(EINVAL, interrupt(&guest.stage.vcpu, number)),
        )?;
        guest.takes(&[])
    })
}
claim!(
    vectors_above_255_are_refused,
    "KVM_INTERRUPT refuses every number above 255 with EINVAL and queues nothing",
    [Api(INTERRUPT)],
    Has(KVM_CAP_SPLIT_IRQCHIP),
);

fn a_pic_in_the_kernel_refuses_it(vector: u8) -> Outcome {
    let guest = open(Controllers::Kernel, Mode::Long)?;
    unchanged(|| guest.events(), || fails(ENXIO, interrupt(&guest.stage.vcpu, vector.into())))?;
    guest.takes(&[])
}
claim!(
    a_pic_in_the_kernel_refuses_it,
    "KVM_INTERRUPT is refused with ENXIO where the PIC is in the kernel, and queues nothing",
    [Api(INTERRUPT)],
    Has(KVM_CAP_IRQCHIP),
);

fn a_second_one_is_refused_with_a_local_apic(first: u8, second: u8) -> Outcome {
    let (first, second) = (plain(first.max(32)), plain(second.max(32)));
    let guest = open(Controllers::Split, Mode::Long)?;
    interrupt(&guest.stage.vcpu, first.into())?;
    unchanged(|| guest.events(), || fails(EEXIST, interrupt(&guest.stage.vcpu, second.into())))?;
    equal(guest.step()?, Step::Takes(first, Before::Code(0)))?;
    succeeds(interrupt(&guest.stage.vcpu, second.into()))?;
    guest.takes(&[(second, Before::Code(0))])
}
claim!(
    a_second_one_is_refused_with_a_local_apic,
    "With a split irqchip, KVM_INTERRUPT is refused with EEXIST until the one before is taken",
    [Api(INTERRUPT)],
    Has(KVM_CAP_SPLIT_IRQCHIP),
);

fn a_second_one_is_refused(first: u8, second: u8) -> Outcome {
    let guest = open(Controllers::User, Mode::Long)?;
    interrupt(&guest.stage.vcpu, first.max(32).into())?;
    unchanged(|| guest.events(), || fails(EEXIST, interrupt(&guest.stage.vcpu, second.max(32).into())))?;
    guest.takes(&[(first.max(32), Before::Code(0))])
}
claim!(
    a_second_one_is_refused,
    "Without an irqchip, KVM_INTERRUPT is refused with EEXIST until the one before is taken",
    [Api(INTERRUPT)],
);

fn the_later_one_replaces_the_earlier(first: u8, second: u8) -> Outcome {
    let (first, second) = (first.max(32), second.max(32));
    let guest = open(Controllers::User, Mode::Long)?;
    interrupt(&guest.stage.vcpu, first.into())?;
    interrupt(&guest.stage.vcpu, second.into())?;
    guest.takes(&[(second, Before::Code(0))])
}
claim!(
    the_later_one_replaces_the_earlier,
    "Without an irqchip, a second KVM_INTERRUPT replaces the vector of the first, which the guest never takes",
    [Observed("kvm_queue_interrupt of Linux 2.6.28 to 7.3; the documentation has it refused with EEXIST")],
);

fn it_is_shown_until_taken(vector: u8) -> Outcome {
    let vector = vector.max(32);
    let guest = open(Controllers::User, Mode::Long)?;
    let shown = || -> Result<([u64; 4], u8, u8), Stop> {
        let events = guest.events()?;
        let bitmap = guest.stage.vcpu.get_sregs()?.interrupt_bitmap;
        Ok((bitmap, events.interrupt.injected, events.interrupt.soft))
    };
    let mut bitmap = [0; 4];
    bitmap[usize::from(vector) / 64] = 1 << (vector % 64);
    equal(shown()?, ([0; 4], 0, 0))?;
    interrupt(&guest.stage.vcpu, vector.into())?;
    for _ in 0..2 {
        equal(shown()?, (bitmap, 1, 0))?;
        equal(guest.events()?.interrupt.nr, vector)?;
        guest.stage.interrupt(Interruption::ImmediateExit)?;
        guest.stage.interrupt(Interruption::Signal)?;
    }
    equal(guest.step()?, Step::Takes(vector, Before::Code(0)))?;
    equal(shown()?, ([0; 4], 0, 0))?;
    guest.takes(&[])
}
claim!(
    it_is_shown_until_taken,
    "Until it is taken, a queued interrupt is in KVM_GET_SREGS and KVM_GET_VCPU_EVENTS, whatever ends KVM_RUN before",
    [Api("4.13 KVM_GET_SREGS"), Api("4.31 KVM_GET_VCPU_EVENTS")],
);

fn special_registers_queue_it(vector: u8) -> Outcome {
    let vector = vector.max(32);
    let guest = open(Controllers::User, Mode::Long)?;
    guest.stage.enter_under(|sregs| sregs.interrupt_bitmap[usize::from(vector) / 64] = 1 << (vector % 64))?;
    equal((guest.events()?.interrupt.injected, guest.events()?.interrupt.nr), (1, vector))?;
    guest.takes(&[(vector, Before::Code(0))])
}
claim!(
    special_registers_queue_it,
    "A bit in the interrupt_bitmap that KVM_SET_SREGS takes queues the interrupt of that vector",
    [Api("4.14 KVM_SET_SREGS"), Code("__set_sregs, arch/x86/kvm/x86.c")],
);

fn events_queue_it(mode: RealOrLong, vector: u8) -> Outcome {
    let vector = vector.max(32);
    let guest = open(Controllers::User, mode.0)?;
    guest.change(|events| (events.interrupt.injected, events.interrupt.nr) = (1, vector))?;
    guest.takes(&[(vector, Before::Code(0))])
}
claim!(
    events_queue_it,
    "An interrupt that KVM_SET_VCPU_EVENTS has as injected is taken before the next instruction",
    [Api("4.32 KVM_SET_VCPU_EVENTS")],
);

fn events_take_it_back(vector: u8) -> Outcome {
    let guest = open(Controllers::User, Mode::Long)?;
    interrupt(&guest.stage.vcpu, vector.max(32).into())?;
    guest.change(|events| events.interrupt.injected = 0)?;
    equal(guest.stage.vcpu.get_sregs()?.interrupt_bitmap, [0; 4])?;
    guest.takes(&[])
}
claim!(
    events_take_it_back,
    "KVM_SET_VCPU_EVENTS without an injected interrupt takes back what KVM_INTERRUPT queued",
    [Api("4.32 KVM_SET_VCPU_EVENTS")],
);

fn software_interrupts_are_not_shown(vector: u8) -> Outcome {
    let guest = open(Controllers::User, Mode::Long)?;
    guest.change(|events| {
        (events.interrupt.injected, events.interrupt.nr, events.interrupt.soft) = (1, vector, 1);
    })?;
    let seen = guest.events()?.interrupt;
    equal((seen.injected, seen.soft), (0, 0))
}
claim!(
    software_interrupts_are_not_shown,
    "KVM_GET_VCPU_EVENTS shows no injected software interrupt: its instruction will raise it again",
    [Code("kvm_vcpu_ioctl_x86_get_vcpu_events, arch/x86/kvm/x86.c")],
);

fn a_closed_guest_gets_it_nevertheless(mode: RealOrLong, vector: u8) -> Outcome {
    let vector = vector.max(32);
    let guest = Handled::of(mode.0, idle(3))?;
    interrupt(&guest.stage.vcpu, vector.into())?;
    guest.takes(&[(vector, Before::Code(0))])
}
claim!(
    a_closed_guest_gets_it_nevertheless,
    "Without an irqchip, AMD's KVM injects what KVM_INTERRUPT queued with IF clear too: looking at IF is the host's part",
    [Manual("AMD APM volume 2, 15.20 Event Injection"), Code("kvm_vcpu_ioctl_interrupt, arch/x86/kvm/x86.c")],
    Amd,
);

fn a_local_apic_holds_it_while_if_is_clear(mode: RealOrLong, vector: u8) -> Outcome {
    let vector = vector.max(32);
    let guest = Handled::within(Controllers::Split.vm()?, mode.0, |a| {
        a.nop()?;
        a.out(u32::from(END), al)?;
        a.sti()?;
        a.nop()?;
        a.nop()?;
        a.out(u32::from(END), al)
    })?;
    interrupt(&guest.stage.vcpu, vector.into())?;
    equal(guest.step()?, Step::Ends)?;
    let taken = guest.enters(vector)?;
    // What an emulator's own interrupts make of the shadow of STI is not asked about.
    harness::within(taken.rip, guest.stage.at(3), guest.stage.at(4))?;
    equal(guest.step()?, Step::Ends)?;
    guest.ended(|regs| regs.rflags |= IF)
}
claim!(
    a_local_apic_holds_it_while_if_is_clear,
    "With a split irqchip, what KVM_INTERRUPT queued waits until the guest sets IF",
    [Api(INTERRUPT), Code("kvm_cpu_has_injectable_intr, arch/x86/kvm/irq.c")],
    Has(KVM_CAP_SPLIT_IRQCHIP),
);

fn a_masked_line_holds_it(vector: u8) -> Outcome {
    let vector = vector.max(32);
    let guest = open(Controllers::Split, Mode::Long)?;
    let mask = |masked: bool| -> Outcome {
        let mut registers: abi::kvm_lapic_state = guest.stage.vcpu.read(KVM_GET_LAPIC)?;
        registers.regs[LVT0 + 2] = if masked { MASKED } else { 0 }.cast_signed();
        guest.stage.vcpu.write(KVM_SET_LAPIC, &registers)?;
        Ok(())
    };
    mask(true)?;
    interrupt(&guest.stage.vcpu, vector.into())?;
    guest.takes(&[])?;
    fails(EEXIST, interrupt(&guest.stage.vcpu, vector.into()))?;
    guest.again()?;
    mask(false)?;
    guest.takes(&[(vector, Before::Code(0))])
}
claim!(
    a_masked_line_holds_it,
    "With a split irqchip, what KVM_INTERRUPT queued waits while the local APIC's LVT0 is masked",
    [
        Code("kvm_apic_accept_pic_intr, arch/x86/kvm/lapic.c"),
        Manual("Intel SDM volume 3, 12.5.1 Local Vector Table")
    ],
    Has(KVM_CAP_SPLIT_IRQCHIP),
);

fn it_wakes_a_halted_vcpu(vector: u8) -> Outcome {
    let vector = vector.max(32);
    let halted = |guest: &Handled| -> Outcome {
        let state = abi::kvm_mp_state { mp_state: abi::KVM_MP_STATE_HALTED };
        guest.stage.vcpu.write(KVM_SET_MP_STATE, &state)?;
        Ok(interrupt(&guest.stage.vcpu, vector.into())?)
    };
    let closed = Handled::within(Controllers::Split.vm()?, Mode::Long, idle(3))?;
    halted(&closed)?;
    still_waits(&closed)?;
    let guest = open(Controllers::Split, Mode::Long)?;
    halted(&guest)?;
    guest.takes(&[(vector, Before::Code(0))])
}
claim!(
    it_wakes_a_halted_vcpu,
    "With a split irqchip, KVM_INTERRUPT wakes a halted vCPU whose IF is set, and no other",
    [Api(INTERRUPT), Api("4.38 KVM_GET_MP_STATE"), Code("kvm_vcpu_has_events, arch/x86/kvm/x86.c")],
    Has(KVM_CAP_SPLIT_IRQCHIP),
);
