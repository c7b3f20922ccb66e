//! KVM_NMI: api.rst 4.64; that an NMI keeps others away until IRET: Intel SDM volume 3, 7.7.1 "Handling Multiple NMIs".

use guests::Mode;
use harness::kvm::{
    Descriptor, KVM_CAP_IRQCHIP, KVM_CAP_SPLIT_IRQCHIP, KVM_INTERRUPT, KVM_NMI, KVM_SET_MP_STATE, abi,
};
use harness::{Controllers, Outcome, Stop, claim, each, equal};

use super::handled::{Before, Handled, IF, Step, idle};
use super::mp_state::still_waits;
use crate::exits::generated::{InMode, RealOrLong};

/// The headings that most of this rests on.
const NMI: &str = "4.64 KVM_NMI";
const MULTIPLE: &str = "Intel SDM volume 3, 7.7.1 Handling Multiple NMIs";
/// Where the kernel counts those that wait.
const PROCESS: &str = "process_nmi, arch/x86/kvm/x86.c";
/// The vector.
const VECTOR: u8 = 2;

impl Handled {
    /// KVM_NMI, so many times.
    #[track_caller]
    fn nmi(&self, times: u8) -> Outcome {
        (0..times).try_for_each(|_| Ok(self.stage.vcpu.value(KVM_NMI, 0).map(drop)?))
    }
}

/// An idle guest that lets interrupts in or not.
fn guest(controllers: Controllers, mode: Mode, interrupts: bool) -> Result<Handled, Stop> {
    let guest = Handled::within(controllers.vm()?, mode, idle(3))?;
    guest.entered_with(|regs| regs.rflags |= if interrupts { IF } else { 0 })
}

fn it_is_taken_whatever_if_is(mode: InMode, interrupts: bool) -> Outcome {
    let guest = guest(Controllers::User, mode.0, interrupts)?;
    guest.nmi(1)?;
    guest.takes(&[(VECTOR, Before::Code(0))])
}
claim!(
    it_is_taken_whatever_if_is,
    "KVM_NMI has the guest take an NMI before its next instruction, with IF set and clear",
    [Api(NMI)],
);

fn a_local_apic_in_the_kernel_changes_nothing(mode: InMode, interrupts: bool) -> Outcome {
    each(Controllers::WITH_LAPIC, |controllers| {
        let guest = guest(*controllers, mode.0, interrupts)?;
        guest.nmi(1)?;
        guest.takes(&[(VECTOR, Before::Code(0))])
    })
}
claim!(
    a_local_apic_in_the_kernel_changes_nothing,
    "KVM_NMI passes the local APIC by where the kernel has it, though it is documented for where it has not",
    [Code("kvm_vcpu_ioctl_nmi, kvm_inject_nmi, arch/x86/kvm/x86.c")],
    Has(KVM_CAP_IRQCHIP),
    Has(KVM_CAP_SPLIT_IRQCHIP),
);

fn two_wait_at_most(mode: RealOrLong, count: u8) -> Outcome {
    let count = count % 6;
    let guest = guest(Controllers::User, mode.0, true)?;
    guest.nmi(count)?;
    let taken = vec![(VECTOR, Before::Code(0)); count.min(2).into()];
    guest.takes(&taken)
}
claim!(
    two_wait_at_most,
    "Of however many NMIs that come before KVM_RUN a guest takes two, the second one behind the first one's IRET",
    [Code(PROCESS), Manual(MULTIPLE)],
);

fn one_waits_while_one_is_handled(mode: RealOrLong, count: u8) -> Outcome {
    let count = count % 4;
    let guest = guest(Controllers::User, mode.0, false)?;
    guest.nmi(1)?;
    equal(guest.step()?, Step::Takes(VECTOR, Before::Code(0)))?;
    guest.nmi(count)?;
    let taken = vec![(VECTOR, Before::Code(0)); count.min(1).into()];
    guest.takes(&taken)
}
claim!(
    one_waits_while_one_is_handled,
    "Of however many NMIs that come while one is handled a guest takes one more, behind the IRET",
    [Code(PROCESS), Manual(MULTIPLE)],
);

fn those_that_wait_are_counted(count: u8) -> Outcome {
    let guest = guest(Controllers::User, Mode::Long, true)?;
    guest.nmi(count % 6)?;
    equal(guest.events()?.nmi.pending, (count % 6).min(2))
}
claim!(
    those_that_wait_are_counted,
    "KVM_GET_VCPU_EVENTS says how many NMIs wait",
    [Code("kvm_get_nr_pending_nmis, arch/x86/kvm/x86.c")],
    Kernel(">=6.4"),
);

fn that_some_wait_is_shown(count: u8) -> Outcome {
    let guest = guest(Controllers::User, Mode::Long, true)?;
    guest.nmi(count % 3)?;
    let nmi = guest.events()?.nmi;
    equal((nmi.pending != 0, nmi.injected, nmi.masked, nmi.pad), (!count.is_multiple_of(3), 0, 0, 0))
}
claim!(
    that_some_wait_is_shown,
    "KVM_GET_VCPU_EVENTS has an NMI as pending from KVM_NMI on, and neither as injected nor as masked",
    [Api("4.31 KVM_GET_VCPU_EVENTS")],
);

fn they_are_masked_until_iret(mode: RealOrLong) -> Outcome {
    let guest = guest(Controllers::User, mode.0, false)?;
    equal(guest.events()?.nmi.masked, 0)?;
    guest.nmi(1)?;
    equal(guest.step()?, Step::Takes(VECTOR, Before::Code(0)))?;
    let nmi = guest.events()?.nmi;
    equal((nmi.masked, nmi.injected, nmi.pending), (1, 0, 0))?;
    guest.takes(&[])?;
    equal(guest.events()?.nmi.masked, 0)
}
claim!(
    they_are_masked_until_iret,
    "KVM_GET_VCPU_EVENTS has NMIs masked in the handler of one, and no more once it returned",
    [Api("4.31 KVM_GET_VCPU_EVENTS"), Manual(MULTIPLE)],
);

fn unmasked_ones_nest(mode: RealOrLong) -> Outcome {
    let guest = guest(Controllers::User, mode.0, false)?;
    guest.nmi(1)?;
    equal(guest.step()?, Step::Takes(VECTOR, Before::Code(0)))?;
    guest.change(|events| events.nmi.masked = 0)?;
    guest.nmi(1)?;
    guest.takes(&[(VECTOR, Before::Handler(VECTOR))])
}
claim!(
    unmasked_ones_nest,
    "Where KVM_SET_VCPU_EVENTS unmasks NMIs in the handler of one, another is taken within it",
    [Api("4.32 KVM_SET_VCPU_EVENTS")],
);

fn masked_ones_wait(mode: RealOrLong) -> Outcome {
    let guest = guest(Controllers::User, mode.0, true)?;
    guest.change(|events| events.nmi.masked = 1)?;
    guest.nmi(1)?;
    guest.takes(&[])?;
    let nmi = guest.events()?.nmi;
    equal((nmi.pending, nmi.masked), (1, 1))?;
    guest.again()?;
    guest.change(|events| events.nmi.masked = 0)?;
    guest.takes(&[(VECTOR, Before::Code(0))])
}
claim!(
    masked_ones_wait,
    "An NMI that comes while KVM_SET_VCPU_EVENTS has NMIs masked waits, and is taken once they are unmasked",
    [Api("4.32 KVM_SET_VCPU_EVENTS")],
);

fn any_iret_unmasks(vector: u8) -> Outcome {
    let vector = vector.max(32);
    let guest = guest(Controllers::User, Mode::Long, true)?;
    guest.change(|events| events.nmi.masked = 1)?;
    guest.nmi(1)?;
    guest.stage.vcpu.write(KVM_INTERRUPT, &abi::kvm_interrupt { irq: vector.into() })?;
    guest.takes(&[(vector, Before::Code(0)), (VECTOR, Before::Code(0))])
}
claim!(
    any_iret_unmasks,
    "The IRET of any handler unmasks NMIs, so that a waiting one is taken behind it",
    [Manual(MULTIPLE), Manual("AMD APM volume 2, 8.2.3 #NMI—Non-Maskable-Interrupt Exception (Vector 2)")],
);

fn injected_ones_pass_the_mask(mode: RealOrLong, masked: bool) -> Outcome {
    let guest = guest(Controllers::User, mode.0, false)?;
    guest.change(|events| (events.nmi.injected, events.nmi.masked) = (1, masked.into()))?;
    equal(guest.events()?.nmi.injected, 1)?;
    guest.takes(&[(VECTOR, Before::Code(0))])?;
    equal(guest.events()?.nmi.injected, 0)
}
claim!(
    injected_ones_pass_the_mask,
    "An NMI that KVM_SET_VCPU_EVENTS has as injected is taken, masked or not: its delivery had begun",
    [Api("4.32 KVM_SET_VCPU_EVENTS"), Code("kvm_check_and_inject_events, arch/x86/kvm/x86.c")],
);

fn one_waits_beside_an_injected_one(pending: u8) -> Outcome {
    let pending = pending % 4;
    let guest = guest(Controllers::User, Mode::Long, false)?;
    guest.change(|events| (events.nmi.injected, events.nmi.masked, events.nmi.pending) = (1, 1, pending))?;
    equal(guest.events()?.nmi.pending, pending.min(1))?;
    let taken = vec![(VECTOR, Before::Code(0)); usize::from(1 + pending.min(1))];
    guest.takes(&taken)
}
claim!(
    one_waits_beside_an_injected_one,
    "Beside an injected NMI one waits, however many KVM_SET_VCPU_EVENTS has as pending",
    [Code(PROCESS)],
);

fn without_its_flag_pending_stays(pending: u8) -> Outcome {
    let guest = guest(Controllers::User, Mode::Long, false)?;
    guest.nmi(1)?;
    guest.change(|events| {
        events.flags &= !abi::KVM_VCPUEVENT_VALID_NMI_PENDING;
        events.nmi.pending = pending;
    })?;
    equal(guest.events()?.nmi.pending, 1)?;
    guest.takes(&[(VECTOR, Before::Code(0))])
}
claim!(
    without_its_flag_pending_stays,
    "Without KVM_VCPUEVENT_VALID_NMI_PENDING, KVM_SET_VCPU_EVENTS leaves the NMIs that wait as they are",
    [Api("4.32 KVM_SET_VCPU_EVENTS")],
);

fn two_wait_of_those_that_are_set(pending: u8) -> Outcome {
    let pending = pending % 6;
    let guest = guest(Controllers::User, Mode::Long, false)?;
    guest.change(|events| events.nmi.pending = pending)?;
    let taken = vec![(VECTOR, Before::Code(0)); pending.min(2).into()];
    guest.takes(&taken)
}
claim!(
    two_wait_of_those_that_are_set,
    "Of however many NMIs KVM_SET_VCPU_EVENTS has as pending a guest takes two",
    [
        Api("4.32 KVM_SET_VCPU_EVENTS"),
        Code(PROCESS),
        FixedBy("ab2ee212a57b KVM: x86: Save/restore all NMIs when multiple NMIs are pending")
    ],
);

fn with_its_flag_none_is_pending() -> Outcome {
    let guest = guest(Controllers::User, Mode::Long, false)?;
    guest.nmi(2)?;
    guest.change(|events| events.nmi.pending = 0)?;
    guest.takes(&[])
}
claim!(
    with_its_flag_none_is_pending,
    "With KVM_VCPUEVENT_VALID_NMI_PENDING, KVM_SET_VCPU_EVENTS takes back the NMIs that KVM_NMI queued",
    [Api("4.32 KVM_SET_VCPU_EVENTS")],
);

fn it_comes_before_an_interrupt(vector: u8) -> Outcome {
    let vector = vector.max(32);
    let guest = guest(Controllers::Split, Mode::Long, true)?;
    guest.stage.vcpu.write(KVM_INTERRUPT, &abi::kvm_interrupt { irq: vector.into() })?;
    guest.nmi(1)?;
    guest.takes(&[(VECTOR, Before::Code(0)), (vector, Before::Code(0))])
}
claim!(
    it_comes_before_an_interrupt,
    "Of an NMI and an external interrupt that both wait, the guest takes the NMI first",
    [
        Code("kvm_check_and_inject_events, arch/x86/kvm/x86.c"),
        Manual("Intel SDM volume 3, 7.9 Prioritization of Concurrent Events")
    ],
    Has(KVM_CAP_SPLIT_IRQCHIP),
);

fn it_wakes_a_halted_vcpu(interrupts: bool) -> Outcome {
    let guest = guest(Controllers::Split, Mode::Long, interrupts)?;
    let halted = abi::kvm_mp_state { mp_state: abi::KVM_MP_STATE_HALTED };
    guest.stage.vcpu.write(KVM_SET_MP_STATE, &halted)?;
    still_waits(&guest)?;
    guest.nmi(1)?;
    guest.takes(&[(VECTOR, Before::Code(0))])
}
claim!(
    it_wakes_a_halted_vcpu,
    "KVM_NMI wakes a halted vCPU, whatever its IF is",
    [Code("kvm_vcpu_has_events, arch/x86/kvm/x86.c"), Api("4.38 KVM_GET_MP_STATE")],
    Has(KVM_CAP_SPLIT_IRQCHIP),
);

fn a_masked_one_wakes_nobody() -> Outcome {
    let guest = guest(Controllers::Split, Mode::Long, true)?;
    guest.change(|events| events.nmi.masked = 1)?;
    let halted = abi::kvm_mp_state { mp_state: abi::KVM_MP_STATE_HALTED };
    guest.stage.vcpu.write(KVM_SET_MP_STATE, &halted)?;
    guest.nmi(1)?;
    still_waits(&guest)
}
claim!(
    a_masked_one_wakes_nobody,
    "KVM_NMI does not wake a halted vCPU that has NMIs masked",
    [Code("kvm_vcpu_has_events, arch/x86/kvm/x86.c")],
    Has(KVM_CAP_SPLIT_IRQCHIP),
);

fn the_shadow_of_a_stack_switch_keeps_it_away() -> Outcome {
    each([Mode::Real, Mode::Protected], |&mode| {
        let guest = guest(Controllers::User, mode, true)?;
        guest.change(|events| {
            events.interrupt.shadow = u8::try_from(abi::KVM_X86_SHADOW_INT_MOV_SS).unwrap_or(0)
        })?;
        guest.nmi(1)?;
        guest.takes(&[(VECTOR, Before::Code(1))])
    })
}
claim!(
    the_shadow_of_a_stack_switch_keeps_it_away,
    "An NMI that waits in the shadow of MOV SS or POP SS is taken behind the next instruction",
    [
        Api("4.31 KVM_GET_VCPU_EVENTS"),
        Manual("Intel SDM volume 3, 7.8.3 Masking Exceptions and Interrupts When Switching Stacks")
    ],
);

/// A guest with an NMI waiting beside an exception or interrupt whose delivery has begun.
fn beside(exception: bool) -> Result<Handled, Stop> {
    let guest = guest(Controllers::User, Mode::Long, true)?;
    guest.nmi(1)?;
    guest.change(|events| {
        if exception {
            (events.exception.injected, events.exception.nr) = (1, 6);
        } else {
            (events.interrupt.injected, events.interrupt.nr) = (1, 0x33);
        }
    })?;
    Ok(guest)
}

fn it_comes_within_the_handler_of_another(exception: bool) -> Outcome {
    let vector = if exception { 6 } else { 0x33 };
    // The NMI's handler is the first to tell.
    beside(exception)?.takes(&[(VECTOR, Before::Handler(vector)), (vector, Before::Code(0))])
}
claim!(
    it_comes_within_the_handler_of_another,
    "An NMI that waits while an exception or interrupt is delivered is taken before that one's handler has run an instruction",
    [Manual("Intel SDM volume 3, 7.9 Prioritization of Concurrent Events"), Manual(MULTIPLE)],
);

fn its_wait_is_not_to_be_seen(exception: bool) -> Outcome {
    let vector = if exception { 6 } else { 0x33 };
    let entry = beside(exception)?.enters_past(&[VECTOR], vector)?;
    equal((entry.rip, entry.flags), (guests::CODE, 2 | IF))
}
claim!(
    its_wait_is_not_to_be_seen,
    "An exception or interrupt that is delivered while an NMI waits pushes the flags that the guest had",
    [Manual("Intel SDM volume 3, 7.12.1 Exception- or Interrupt-Handler Procedures")],
);
