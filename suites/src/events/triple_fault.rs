//! Triple faults and what leads there: KVM_CAP_X86_TRIPLE_FAULT_EVENT, api.rst 4.31 and 4.32; Intel SDM volume 3, 7.15 "Interrupt 8". That
//! they leave KVM_EXIT_SHUTDOWN, and with what, are claims of `exits::shutdown`.

use guests::Mode;
use harness::kvm::{
    Descriptor, EBUSY, Exit, KVM_CAP_EXCEPTION_PAYLOAD, KVM_CAP_IRQCHIP, KVM_CAP_SET_GUEST_DEBUG,
    KVM_CAP_X86_TRIPLE_FAULT_EVENT, KVM_NMI, KVM_SET_GUEST_DEBUG, Vm, abi,
};
use harness::{Controllers, Outcome, Stop, claim, each, equal, fails, unchanged};

use super::combination::Exception;
use super::handled::{Before, Handled, Step, idle};
use super::vcpu_events::showing_all;
use crate::exits::generated::InMode;
use crate::exits::stage::{Interruption, Stage, handler};

/// The heading that most of this rests on.
const SET: &str = "4.32 KVM_SET_VCPU_EVENTS";
const DOUBLE: &str = "Intel SDM volume 3, 7.15 Exception and Interrupt Reference, Interrupt 8";
/// Where KVM makes one of two exceptions.
const MULTIPLE: &str = "kvm_multiple_exception, arch/x86/kvm/x86.c";
/// #DF.
const DF: u8 = 8;

/// An idle guest whose triple faults are shown, and one of them pending.
fn faulting() -> Result<Handled, Stop> {
    let guest = Handled::within(showing_all()?, Mode::Long, idle(3))?;
    guest.change(|events| events.triple_fault.pending = 1)?;
    Ok(guest)
}

fn it_is_taken_back() -> Outcome {
    let guest = faulting()?;
    guest.change(|events| events.triple_fault.pending = 0)?;
    equal(guest.events()?.triple_fault.pending, 0)?;
    guest.takes(&[])
}
claim!(
    it_is_taken_back,
    "KVM_SET_VCPU_EVENTS with no triple fault pending takes back the one that was",
    [Api(SET)],
    Has(KVM_CAP_EXCEPTION_PAYLOAD),
    Has(KVM_CAP_X86_TRIPLE_FAULT_EVENT),
);

fn without_its_flag_it_stays() -> Outcome {
    let guest = faulting()?;
    guest.change(|events| {
        events.flags &= !abi::KVM_VCPUEVENT_VALID_TRIPLE_FAULT;
        events.triple_fault.pending = 0;
    })?;
    equal(guest.events()?.triple_fault.pending, 1)?;
    equal(guest.step()?, Step::Leaves(Exit::Shutdown))?;
    guest.takes(&[])
}
claim!(
    without_its_flag_it_stays,
    "Without KVM_VCPUEVENT_VALID_TRIPLE_FAULT, KVM_SET_VCPU_EVENTS leaves a pending triple fault as it is",
    [Api(SET)],
    Has(KVM_CAP_EXCEPTION_PAYLOAD),
    Has(KVM_CAP_X86_TRIPLE_FAULT_EVENT),
);

fn it_waits_while_nothing_runs() -> Outcome {
    let guest = faulting()?;
    guest.stage.interrupt(Interruption::ImmediateExit)?;
    equal(guest.events()?.triple_fault.pending, 1)?;
    equal(guest.step()?, Step::Leaves(Exit::Shutdown))?;
    guest.takes(&[])
}
claim!(
    it_waits_while_nothing_runs,
    "A pending triple fault outlasts a KVM_RUN with immediate_exit",
    [Api("5. The kvm_run structure"), Api(SET)],
    Has(KVM_CAP_EXCEPTION_PAYLOAD),
    Has(KVM_CAP_X86_TRIPLE_FAULT_EVENT),
);

fn it_is_there_without_being_shown() -> Outcome {
    let guest = faulting()?;
    guest.stage.vm.enable_cap(KVM_CAP_X86_TRIPLE_FAULT_EVENT, [0; 4])?;
    let events = guest.events()?;
    equal((events.flags & abi::KVM_VCPUEVENT_VALID_TRIPLE_FAULT, events.triple_fault.pending), (0, 0))?;
    equal(guest.step()?, Step::Leaves(Exit::Shutdown))?;
    guest.takes(&[])
}
claim!(
    it_is_there_without_being_shown,
    "A pending triple fault is not shown, and leaves KVM_EXIT_SHUTDOWN nevertheless, once the capability is switched off",
    [Code("kvm_vcpu_ioctl_x86_get_vcpu_events, arch/x86/kvm/x86.c")],
    Has(KVM_CAP_EXCEPTION_PAYLOAD),
    Has(KVM_CAP_X86_TRIPLE_FAULT_EVENT),
);

fn a_local_apic_changes_nothing() -> Outcome {
    each(Controllers::WITH_LAPIC, |controllers| {
        let guest = Handled::within(controllers.vm()?, Mode::Long, idle(3))?;
        guest.stage.vm.enable_cap(KVM_CAP_X86_TRIPLE_FAULT_EVENT, [1, 0, 0, 0])?;
        guest.change(|events| events.triple_fault.pending = 1)?;
        equal(guest.step()?, Step::Leaves(Exit::Shutdown))?;
        guest.takes(&[])
    })
}
claim!(
    a_local_apic_changes_nothing,
    "A pending triple fault leaves KVM_EXIT_SHUTDOWN with in-kernel irqchips too",
    [Api(SET)],
    Has(KVM_CAP_X86_TRIPLE_FAULT_EVENT),
    Has(KVM_CAP_IRQCHIP),
);

/// A guest with an exception whose delivery had begun.
fn injected(vm: Vm, vector: u8) -> Result<Handled, Stop> {
    let guest = Handled::within(vm, Mode::Long, idle(3))?;
    guest.change(|events| Exception { vector, pending: false, error: 0 }.lay(events))?;
    Ok(guest)
}

/// Has KVM raise #DB.
fn raise(guest: &Handled) -> Result<i32, harness::kvm::Refused> {
    let control = abi::KVM_GUESTDBG_ENABLE | abi::KVM_GUESTDBG_INJECT_DB;
    guest.stage.vcpu.write(KVM_SET_GUEST_DEBUG, &abi::kvm_guest_debug { control, ..Default::default() })
}

fn an_exception_within_a_double_fault_is_one() -> Outcome {
    let guest = injected(showing_all()?, DF)?;
    raise(&guest)?;
    equal(guest.events()?.triple_fault.pending, 1)?;
    equal(guest.step()?, Step::Leaves(Exit::Shutdown))
}
claim!(
    an_exception_within_a_double_fault_is_one,
    "An exception that KVM_SET_GUEST_DEBUG raised while #DF was injected made a triple fault pending",
    [Code(MULTIPLE), Manual(DOUBLE)],
    Has(KVM_CAP_EXCEPTION_PAYLOAD),
    Has(KVM_CAP_X86_TRIPLE_FAULT_EVENT),
    Has(KVM_CAP_SET_GUEST_DEBUG),
    Kernel("<7.1"),
);

fn none_is_raised_beside_an_injected_one(choice: u8) -> Outcome {
    const VECTORS: [u8; 8] = [0, 1, 3, 6, DF, 12, 13, 14];
    let guest = injected(showing_all()?, VECTORS[usize::from(choice) % VECTORS.len()])?;
    unchanged(|| guest.events(), || fails(EBUSY, raise(&guest)))
}
claim!(
    none_is_raised_beside_an_injected_one,
    "KVM_SET_GUEST_DEBUG refuses with EBUSY to raise #DB while an exception is injected, whose delivery has to end first",
    [FixedBy("e907b4e72488 KVM: x86: Check for injected exceptions before queuing a debug exception")],
    Has(KVM_CAP_EXCEPTION_PAYLOAD),
    Has(KVM_CAP_X86_TRIPLE_FAULT_EVENT),
    Has(KVM_CAP_SET_GUEST_DEBUG),
    Kernel(">=7.1"),
);

fn a_benign_exception_replaces(choice: u8) -> Outcome {
    const OTHERS: [u8; 7] = [0, 6, 11, 12, 13, 14, 17];
    let vector = OTHERS[usize::from(choice) % OTHERS.len()];
    let guest = injected(showing_all()?, vector)?;
    raise(&guest)?;
    let seen = guest.events()?;
    equal((seen.exception.nr, seen.exception.pending, seen.triple_fault.pending), (1, 1, 0))?;
    fails(EBUSY, raise(&guest))?;
    guest.takes(&[(1, Before::Code(0))])
}
claim!(
    a_benign_exception_replaces,
    "A #DB that KVM_SET_GUEST_DEBUG raised while any other exception but #DF was injected took its place: the first would be raised again",
    [Code(MULTIPLE), Manual(DOUBLE)],
    Has(KVM_CAP_EXCEPTION_PAYLOAD),
    Has(KVM_CAP_X86_TRIPLE_FAULT_EVENT),
    Has(KVM_CAP_SET_GUEST_DEBUG),
    Kernel("<7.1"),
);

/// A guest in protected mode that halts in the handler of each vector but these, whose gates are absent.
fn gateless(absent: &[u8]) -> Result<Stage, Stop> {
    let mut stage = Stage::within(showing_all()?, Mode::Protected, |a| {
        a.nop()?;
        a.hlt()
    })?;
    stage.catch_exceptions()?;
    let base = stage.vcpu.get_sregs()?.idt.base;
    for vector in absent {
        stage.lay(base + 8 * u64::from(*vector), &[0; 8])?;
    }
    Ok(stage)
}

/// Injects an exception whose gate is absent: delivering it raises #NP or, as the gate is of no type, #GP.
fn meets(exception: u8, absent: &[u8]) -> Result<(Exit, u64), Stop> {
    let stage = gateless(absent)?;
    let mut events: abi::kvm_vcpu_events = stage.vcpu.read(harness::kvm::KVM_GET_VCPU_EVENTS)?;
    Exception { vector: exception, pending: false, error: 0 }.lay(&mut events);
    stage.vcpu.write(harness::kvm::KVM_SET_VCPU_EVENTS, &events)?;
    Ok((stage.run()?, stage.registers()?.rip))
}

fn contributory_exceptions_become_a_double_fault() -> Outcome {
    each([0u8, 10, 11, 12, 13, 14], |&first| equal(meets(first, &[first])?, (Exit::Hlt, handler(DF.into()))))
}
claim!(
    contributory_exceptions_become_a_double_fault,
    "A fault while #DE, #TS, #NP, #SS, #GP or #PF is delivered that KVM injected gives the guest #DF",
    [Manual(DOUBLE)],
    Has(KVM_CAP_EXCEPTION_PAYLOAD),
    Has(KVM_CAP_X86_TRIPLE_FAULT_EVENT),
);

fn benign_exceptions_give_way() -> Outcome {
    each([1u8, 5, 6, 7, 16, 17, 18, 19], |&first| {
        let (exit, rip) = meets(first, &[first])?;
        equal((exit, rip), (Exit::Hlt, handler(13)))
    })
}
claim!(
    benign_exceptions_give_way,
    "A fault while any other exception is delivered that KVM injected gives the guest that fault",
    [Manual(DOUBLE)],
    Has(KVM_CAP_EXCEPTION_PAYLOAD),
    Has(KVM_CAP_X86_TRIPLE_FAULT_EVENT),
);

fn a_fault_within_a_double_fault_leaves() -> Outcome {
    each([(DF, &[DF][..]), (13, &[13, DF]), (14, &[14, DF]), (6, &[6, 13, DF])], |&(first, absent)| {
        equal(meets(first, absent)?.0, Exit::Shutdown)
    })
}
claim!(
    a_fault_within_a_double_fault_leaves,
    "A fault while #DF is delivered leaves KVM_EXIT_SHUTDOWN, whether KVM injected that or the guest came to it",
    [Manual(DOUBLE)],
    Has(KVM_CAP_EXCEPTION_PAYLOAD),
    Has(KVM_CAP_X86_TRIPLE_FAULT_EVENT),
);

fn an_nmi_without_a_handler_is_one(mode: InMode) -> Outcome {
    let stage = Stage::of(mode.0, |a| a.hlt())?;
    stage.enter_under(|sregs| sregs.idt.limit = 0)?;
    stage.vcpu.value(KVM_NMI, 0)?;
    equal(stage.run()?, Exit::Shutdown)
}
claim!(
    an_nmi_without_a_handler_is_one,
    "An NMI, #GP and #DF of which none can be delivered leave KVM_EXIT_SHUTDOWN",
    [Manual(DOUBLE), Api("4.64 KVM_NMI")],
);
