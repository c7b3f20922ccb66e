//! KVM_SET_VCPU_EVENTS and KVM_GET_VCPU_EVENTS: api.rst 4.32 and 4.31.

use guests::Mode;
use harness::kvm::{
    Descriptor, EINVAL, Exit, KVM_CAP_EXCEPTION_PAYLOAD, KVM_CAP_SYNC_REGS, KVM_CAP_X86_SMM,
    KVM_CAP_X86_TRIPLE_FAULT_EVENT, KVM_GET_VCPU_EVENTS, KVM_RUN, KVM_SET_VCPU_EVENTS, Kvm, Vcpu, Vm, abi,
};
use harness::{Outcome, Stop, claim, each, equal, fails, holds, succeeds, unchanged};

use super::combination::{Combination, EXCEPTIONS, Exception, First};
use super::handled::{Before, Handled, IF, RF, Step, has_error_code, idle};
use crate::exits::generated::InMode;
use crate::exits::stage::{Interruption, Stage, is_intel};

/// The headings that most of this rests on.
const GET: &str = "4.31 KVM_GET_VCPU_EVENTS";
const SET: &str = "4.32 KVM_SET_VCPU_EVENTS";
/// Where the kernel reads and writes them.
const GETS: &str = "kvm_vcpu_ioctl_x86_get_vcpu_events, arch/x86/kvm/x86.c";
const SETS: &str = "kvm_vcpu_ioctl_x86_set_vcpu_events, arch/x86/kvm/x86.c";
/// As many flags as there are.
const FLAGS: u32 = 0x3f;

/// A VM whose vCPUs show payloads and triple faults.
pub(super) fn showing_all() -> Result<Vm, Stop> {
    let vm = Kvm::open()?.create_vm(0)?;
    vm.enable_cap(KVM_CAP_EXCEPTION_PAYLOAD, [1, 0, 0, 0])?;
    vm.enable_cap(KVM_CAP_X86_TRIPLE_FAULT_EVENT, [1, 0, 0, 0])?;
    Ok(vm)
}

/// KVM_GET_VCPU_EVENTS.
#[track_caller]
fn get(vcpu: &Vcpu) -> Result<abi::kvm_vcpu_events, Stop> {
    Ok(vcpu.read(KVM_GET_VCPU_EVENTS)?)
}

fn unknown_flags_are_refused(flags: u32) -> Outcome {
    let flags = if flags & !FLAGS == 0 { flags | 0x40 << (flags % 26) } else { flags };
    let vcpu = showing_all()?.create_vcpu(0)?;
    unchanged(
        || get(&vcpu),
        || {
            let mut events = abi::kvm_vcpu_events { flags, ..Default::default() };
            (events.nmi.masked, events.interrupt.injected) = (1, 1);
            fails(EINVAL, vcpu.write(KVM_SET_VCPU_EVENTS, &events))
        },
    )
}
claim!(
    unknown_flags_are_refused,
    "KVM_SET_VCPU_EVENTS refuses a flag that has no name with EINVAL, and changes nothing",
    [Api(SET), Code(SETS)],
    Has(KVM_CAP_EXCEPTION_PAYLOAD),
    Has(KVM_CAP_X86_TRIPLE_FAULT_EVENT),
);

fn what_is_no_exception_is_refused(nr: u8, pending: bool) -> Outcome {
    let nr = if nr < 32 { 2 } else { nr };
    let vcpu = showing_all()?.create_vcpu(0)?;
    let mut events = get(&vcpu)?;
    (events.exception.injected, events.exception.pending) = ((!pending).into(), pending.into());
    (events.exception.nr, events.nmi.masked) = (nr, 1);
    unchanged(|| get(&vcpu), || fails(EINVAL, vcpu.write(KVM_SET_VCPU_EVENTS, &events)))?;
    (events.exception.injected, events.exception.pending) = (0, 0);
    succeeds(vcpu.write(KVM_SET_VCPU_EVENTS, &events)).map(drop)
}
claim!(
    what_is_no_exception_is_refused,
    "KVM_SET_VCPU_EVENTS refuses vector 2 and those above 31 as an exception, pending or injected, and ignores them in none",
    [Code(SETS)],
    Has(KVM_CAP_EXCEPTION_PAYLOAD),
    Has(KVM_CAP_X86_TRIPLE_FAULT_EVENT),
);

fn payloads_need_their_capability(payload: u64) -> Outcome {
    let vcpu = Kvm::open()?.create_vm(0)?.create_vcpu(0)?;
    let mut events = get(&vcpu)?;
    events.flags |= abi::KVM_VCPUEVENT_VALID_PAYLOAD;
    (events.exception.pending, events.exception.nr, events.exception_payload) = (1, 14, payload);
    unchanged(|| get(&vcpu), || fails(EINVAL, vcpu.write(KVM_SET_VCPU_EVENTS, &events)))
}
claim!(
    payloads_need_their_capability,
    "KVM_VCPUEVENT_VALID_PAYLOAD is refused with EINVAL where KVM_CAP_EXCEPTION_PAYLOAD is not enabled",
    [Api(SET)],
    Has(KVM_CAP_EXCEPTION_PAYLOAD),
);

fn what_is_set_is_given_back(combination: Combination) -> Outcome {
    let vm = showing_all()?;
    let has_smm = vm.check_extension(KVM_CAP_X86_SMM)? != 0;
    let combination = if has_smm { combination } else { combination.without_smm() };
    let vcpu = vm.create_vcpu(0)?;
    let fresh = get(&vcpu)?;
    if combination.is_refused() {
        return unchanged(
            || get(&vcpu),
            || fails(EINVAL, vcpu.write(KVM_SET_VCPU_EVENTS, &combination.laid())),
        );
    }
    succeeds(vcpu.write(KVM_SET_VCPU_EVENTS, &combination.laid()))?;
    let (mut expected, seen) = (combination.given_back(fresh.flags), get(&vcpu)?);
    // Which shadow there is, is a claim of its own, as processors have one or two.
    if seen.interrupt.shadow != 0 && expected.interrupt.shadow != 0 {
        expected.interrupt.shadow = seen.interrupt.shadow;
    }
    // How many wait is a claim of its own, where kernels say more than that some do.
    if seen.nmi.pending == 1 {
        expected.nmi.pending = expected.nmi.pending.min(1);
    }
    equal(seen, expected)?;
    succeeds(vcpu.write(KVM_SET_VCPU_EVENTS, &seen))?;
    // Those of INT3 and INTO are not shown as pending, so that now there is nothing with a payload.
    expected.exception_has_payload &= expected.exception.pending;
    equal(get(&vcpu)?, expected)
}
claim!(
    what_is_set_is_given_back,
    "KVM_GET_VCPU_EVENTS gives back every combination that KVM_SET_VCPU_EVENTS takes, as far as its flags and sense allow",
    [Api(GET), Api(SET), Code(GETS), Code(SETS)],
    Has(KVM_CAP_EXCEPTION_PAYLOAD),
    Has(KVM_CAP_X86_TRIPLE_FAULT_EVENT),
    Kernel(">=6.1"),
);

fn the_shadow_is_the_processors(given: u8) -> Outcome {
    let given = given % 4;
    let vcpu = Kvm::open()?.create_vm(0)?.create_vcpu(0)?;
    let mut events = get(&vcpu)?;
    events.interrupt.shadow = given;
    vcpu.write(KVM_SET_VCPU_EVENTS, &events)?;
    let expected = match given {
        // Of both, that of MOV SS is the stronger.
        3 if is_intel() => 1,
        1 | 2 if !is_intel() => 3,
        given => given,
    };
    equal(get(&vcpu)?.interrupt.shadow, expected)
}
claim!(
    the_shadow_is_the_processors,
    "interrupt.shadow tells STI from MOV SS where Intel's processors do, and where AMD's have one for both, has both",
    [
        Api(GET),
        Code(
            "svm_get_interrupt_shadow, arch/x86/kvm/svm/svm.c, and vmx_set_interrupt_shadow, arch/x86/kvm/vmx/vmx.c"
        )
    ],
    Any(&[Amd, Intel]),
);

fn the_first_is_taken(first: First) -> Outcome {
    let guest =
        Handled::within(showing_all()?, Mode::Long, idle(3))?.entered_with(|regs| regs.rflags |= IF)?;
    guest.change(|events| first.lay(events))?;
    if first.triple_fault {
        equal(guest.step()?, Step::Leaves(Exit::Shutdown))?;
    }
    let Some(vector) = first.vector() else { return guest.takes(&[]) };
    let seen = guest.enters(vector)?;
    let error = first.exception.filter(|of| has_error_code(Mode::Long, of.vector)).map(|of| of.error.into());
    equal((seen.error, seen.rip, seen.flags & !RF), (error, guest.stage.at(0), 2 | IF))?;
    // Whether anything comes of the others, is a claim of its own.
    for _ in 0..3 {
        match guest.step()? {
            Step::Takes(..) => {}
            end => return equal(end, Step::Ends),
        }
    }
    equal(guest.step()?, Step::Ends)
}
claim!(
    the_first_is_taken,
    "Of the events that KVM_SET_VCPU_EVENTS made, a triple fault leaves first, then the guest takes one: exception, NMI or interrupt",
    [Api(SET), Code("kvm_check_and_inject_events, arch/x86/kvm/x86.c")],
    Has(KVM_CAP_EXCEPTION_PAYLOAD),
    Has(KVM_CAP_X86_TRIPLE_FAULT_EVENT),
);

fn what_is_injected_beside_it_is_lost(first: First) -> Outcome {
    let guest =
        Handled::within(showing_all()?, Mode::Long, idle(3))?.entered_with(|regs| regs.rflags |= IF)?;
    guest.change(|events| First { triple_fault: false, ..first }.lay(events))?;
    let taken: Vec<_> = first.vector().map(|vector| (vector, Before::Code(0))).into_iter().collect();
    guest.takes(&taken)
}
claim!(
    what_is_injected_beside_it_is_lost,
    "Of several events that KVM_SET_VCPU_EVENTS has as injected, which no processor delivers at once, all but the first are lost",
    [Observed("svm_complete_interrupts and __vmx_complete_interrupts of Linux 6.1 to 7.3")],
    Has(KVM_CAP_EXCEPTION_PAYLOAD),
    Has(KVM_CAP_X86_TRIPLE_FAULT_EVENT),
    Any(&[Amd, Intel]),
);

fn a_masked_nmi_comes_behind(first: First, pending: u8) -> Outcome {
    let (first, pending) = (first.alone(), pending % 2);
    let guest =
        Handled::within(showing_all()?, Mode::Long, idle(3))?.entered_with(|regs| regs.rflags |= IF)?;
    guest.change(|events| {
        first.lay(events);
        (events.nmi.masked, events.nmi.pending, events.triple_fault.pending) = (1, pending, 0);
    })?;
    let mut taken: Vec<_> = first.vector().map(|vector| (vector, Before::Code(0))).into_iter().collect();
    // Some handler's IRET must unmask it.
    if !taken.is_empty() && pending != 0 {
        taken.push((2, Before::Code(0)));
    }
    guest.takes(&taken)
}
claim!(
    a_masked_nmi_comes_behind,
    "An NMI that waits masked beside any other event is taken behind the IRET of that one's handler, and without one not at all",
    [Api(SET), Manual("Intel SDM volume 3, 7.7.1 Handling Multiple NMIs")],
    Has(KVM_CAP_EXCEPTION_PAYLOAD),
    Has(KVM_CAP_X86_TRIPLE_FAULT_EVENT),
);

fn every_exception_is_taken(mode: InMode, exception: Exception) -> Outcome {
    let guest = Handled::within(showing_all()?, mode.0, idle(3))?;
    guest.change(|events| exception.lay(events))?;
    let seen = guest.enters(exception.vector)?;
    let error = has_error_code(mode.0, exception.vector).then_some(exception.error.into());
    equal((seen.error, seen.rip, seen.flags & !RF), (error, guest.stage.at(0), 2))?;
    guest.takes(&[])
}
claim!(
    every_exception_is_taken,
    "An exception, injected or pending, is taken before the next instruction, its error code pushed but in real mode",
    [Api(SET), Code("kvm_inject_exception, arch/x86/kvm/x86.c")],
    Has(KVM_CAP_EXCEPTION_PAYLOAD),
    Has(KVM_CAP_X86_TRIPLE_FAULT_EVENT),
);

fn what_runs_nothing_delivers_nothing(first: First, shadow: bool) -> Outcome {
    let first = first.alone();
    let guest =
        Handled::within(showing_all()?, Mode::Long, idle(3))?.entered_with(|regs| regs.rflags |= IF)?;
    guest.change(|events| {
        first.lay(events);
        events.interrupt.shadow = u8::from(shadow && first.vector().is_none());
    })?;
    let before = guest.events()?;
    guest.stage.interrupt(Interruption::ImmediateExit)?;
    equal(guest.events()?, before)?;
    // A signal may find the delivery begun, so that what was pending is injected.
    guest.stage.interrupt(Interruption::Signal)?;
    equal(guest.stage.registers()?.rip, guest.stage.at(0))?;
    let taken: Vec<_> = first.vector().map(|vector| (vector, Before::Code(0))).into_iter().collect();
    guest.takes(&taken)
}
claim!(
    what_runs_nothing_delivers_nothing,
    "KVM_RUN with immediate_exit leaves every event as it was, and one that a signal ends leaves it to be taken",
    [Api("4.10 KVM_RUN"), Api("5. The kvm_run structure"), Api(GET)],
    Has(KVM_CAP_EXCEPTION_PAYLOAD),
    Has(KVM_CAP_X86_TRIPLE_FAULT_EVENT),
);

fn pending_and_injected_are_one_without_payloads(vector: u8, error: u16) -> Outcome {
    let vector = EXCEPTIONS[usize::from(vector) % EXCEPTIONS.len()];
    let exception = Exception { vector, pending: false, error };
    let vm = Kvm::open()?.create_vm(0)?;
    let vcpu = vm.create_vcpu(0)?;
    let mut events = get(&vcpu)?;
    exception.lay(&mut events);
    events.exception.pending = 1;
    vcpu.write(KVM_SET_VCPU_EVENTS, &events)?;
    let seen = get(&vcpu)?.exception;
    equal((seen.injected, seen.pending, seen.nr), (1, 0, vector))?;
    events.exception.injected = 0;
    vcpu.write(KVM_SET_VCPU_EVENTS, &events)?;
    let alone = get(&vcpu)?.exception;
    equal((alone.injected, alone.pending), (0, 0))?;
    exception.lay(&mut events);
    vcpu.write(KVM_SET_VCPU_EVENTS, &events)?;
    // With the capability, what was taken for injected is shown as such.
    vm.enable_cap(KVM_CAP_EXCEPTION_PAYLOAD, [1, 0, 0, 0])?;
    let seen = get(&vcpu)?.exception;
    equal((seen.injected, seen.pending, seen.nr), (1, 0, vector))
}
claim!(
    pending_and_injected_are_one_without_payloads,
    "Without KVM_CAP_EXCEPTION_PAYLOAD exception.pending is ignored, and what is injected shows as injected",
    [Api(SET), Api("7.17 KVM_CAP_EXCEPTION_PAYLOAD")],
    Has(KVM_CAP_EXCEPTION_PAYLOAD),
);

fn a_pending_one_shows_as_injected_without_payloads() -> Outcome {
    let vm = showing_all()?;
    let vcpu = vm.create_vcpu(0)?;
    let mut events = get(&vcpu)?;
    Exception { vector: 13, pending: true, error: 8 }.lay(&mut events);
    vcpu.write(KVM_SET_VCPU_EVENTS, &events)?;
    each([1, 0, 1], |&enabled| {
        vm.enable_cap(KVM_CAP_EXCEPTION_PAYLOAD, [enabled, 0, 0, 0])?;
        let seen = get(&vcpu)?;
        let injected = if enabled == 1 { 0 } else { 1 };
        equal((seen.exception.injected, seen.exception.nr, seen.exception.error_code), (injected, 13, 8))?;
        equal(seen.flags & abi::KVM_VCPUEVENT_VALID_PAYLOAD != 0, enabled == 1)
    })
}
claim!(
    a_pending_one_shows_as_injected_without_payloads,
    "An exception that is pending shows as injected while KVM_CAP_EXCEPTION_PAYLOAD is not enabled",
    [Api("7.17 KVM_CAP_EXCEPTION_PAYLOAD"), Code(GETS)],
    Has(KVM_CAP_EXCEPTION_PAYLOAD),
    Has(KVM_CAP_X86_TRIPLE_FAULT_EVENT),
);

fn the_run_page_sets_them_too(first: First) -> Outcome {
    let guest =
        Handled::within(showing_all()?, Mode::Long, idle(3))?.entered_with(|regs| regs.rflags |= IF)?;
    let first = first.alone();
    let mut events = guest.events()?;
    first.lay(&mut events);
    let page = guest.stage.page()?;
    page.put_events(events);
    page.put_dirty_regs(abi::KVM_SYNC_X86_EVENTS.into());
    let taken: Vec<_> = first.vector().map(|vector| (vector, Before::Code(0))).into_iter().collect();
    guest.takes(&taken)
}
claim!(
    the_run_page_sets_them_too,
    "KVM_RUN takes the events that kvm_dirty_regs names as KVM_SET_VCPU_EVENTS does",
    [Api("6.74 KVM_CAP_SYNC_REGS"), Api(SET)],
    AtLeast(KVM_CAP_SYNC_REGS, 7),
    Has(KVM_CAP_EXCEPTION_PAYLOAD),
    Has(KVM_CAP_X86_TRIPLE_FAULT_EVENT),
);

fn the_run_page_refuses_what_the_command_does(nr: u8) -> Outcome {
    let stage = Stage::within(showing_all()?, Mode::Long, |a| a.hlt())?;
    let mut events = get(&stage.vcpu)?;
    let before = events;
    (events.exception.injected, events.exception.nr) = (1, nr.max(32));
    let page = stage.page()?;
    page.put_events(events);
    page.put_dirty_regs(abi::KVM_SYNC_X86_EVENTS.into());
    fails(EINVAL, stage.vcpu.value(KVM_RUN, 0))?;
    equal(get(&stage.vcpu)?, before)?;
    stage.stands(0, |_| ())?;
    page.put_dirty_regs(0);
    holds(stage.run()? == Exit::Hlt, "the guest runs once the run page asks for nothing")?;
    stage.ended(|_| ())
}
claim!(
    the_run_page_refuses_what_the_command_does,
    "KVM_RUN fails with EINVAL and runs nothing where the run page's events are such as KVM_SET_VCPU_EVENTS refuses",
    [Api("6.74 KVM_CAP_SYNC_REGS"), Code("sync_regs, arch/x86/kvm/x86.c")],
    AtLeast(KVM_CAP_SYNC_REGS, 7),
    Has(KVM_CAP_EXCEPTION_PAYLOAD),
    Has(KVM_CAP_X86_TRIPLE_FAULT_EVENT),
);
