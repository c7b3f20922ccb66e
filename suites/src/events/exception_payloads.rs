//! The payloads of exceptions, which processors keep in registers of their own: api.rst 7.17 KVM_CAP_EXCEPTION_PAYLOAD and 4.32
//! KVM_SET_VCPU_EVENTS. With them, the flags that an exception goes back to.

use guests::Mode;
use guests::iced_x86::code_asm::{cr2, dr6, rax, rbx};
use harness::kvm::{
    Descriptor, KVM_CAP_EXCEPTION_PAYLOAD, KVM_CAP_X86_TRIPLE_FAULT_EVENT, KVM_GET_DEBUGREGS,
    KVM_SET_DEBUGREGS, abi,
};
use harness::{Outcome, Stop, claim, equal};

use super::combination::Exception;
use super::handled::{Before, Handled, RF, idle};
use super::vcpu_events::showing_all;
use crate::exits::generated::RealOrLong;

/// The headings that most of this rests on.
const PAYLOAD: &str = "7.17 KVM_CAP_EXCEPTION_PAYLOAD";
const SET: &str = "4.32 KVM_SET_VCPU_EVENTS";
const DELIVERS: &str = "kvm_deliver_exception_payload, arch/x86/kvm/x86.c";
/// The exceptions with payloads.
const DB: u8 = 1;
const PF: u8 = 14;
/// What DR6 always has set, and its bits that are set where a payload has them: breakpoints, BD, BS and BT.
const DR6: u64 = 0xffff_0ff0;
const DR6_HIGH: u64 = 0xe00f;
/// What DR6 has clear where a payload has it: RTM and bus locks.
const DR6_LOW: u64 = 1 << 16 | 1 << 11;
/// DR7.GD, and what DR7 always has set.
const DR7_GD: u64 = 1 << 13;
const DR7: u64 = 1 << 10;

/// A guest that looks at CR2 and DR6 before its end, whose registers hold this before.
fn looking(cr2_before: u64, dr6_before: u64) -> Result<Handled, Stop> {
    let guest = Handled::within(showing_all()?, Mode::Long, |a| {
        a.mov(rax, cr2)?;
        a.mov(rbx, dr6)?;
        idle(0)(a)
    })?;
    guest.stage.enter_under(|sregs| sregs.cr2 = cr2_before)?;
    debug_registers(&guest, |registers| registers.dr6 = dr6_before)?;
    Ok(guest)
}

fn debug_registers(guest: &Handled, change: impl FnOnce(&mut abi::kvm_debugregs)) -> Outcome {
    let mut registers: abi::kvm_debugregs = guest.stage.vcpu.read(KVM_GET_DEBUGREGS)?;
    change(&mut registers);
    guest.stage.vcpu.write(KVM_SET_DEBUGREGS, &registers)?;
    Ok(())
}

/// Has the guest take an exception with this payload, and says what it saw then in CR2 and DR6.
fn seen(guest: &Handled, exception: Exception, payload: u64) -> Result<(u64, u64), Stop> {
    let told = |guest: &Handled| -> Result<(u64, u64), Stop> {
        let debug: abi::kvm_debugregs = guest.stage.vcpu.read(KVM_GET_DEBUGREGS)?;
        Ok((guest.stage.vcpu.get_sregs()?.cr2, debug.dr6))
    };
    let before = told(guest)?;
    guest.change(|events| {
        exception.lay(events);
        (events.exception_has_payload, events.exception_payload) = (1, payload);
    })?;
    let shown = guest.events()?;
    let expected = if exception.pending { (1, payload) } else { (0, payload) };
    equal((shown.exception_has_payload, shown.exception_payload), expected)?;
    equal(told(guest)?, before)?;
    guest.enters(exception.vector)?;
    equal(guest.step()?, super::handled::Step::Ends)?;
    let regs = guest.stage.registers()?;
    guest.ended(|end| (end.rax, end.rbx) = (regs.rax, regs.rbx))?;
    equal(told(guest)?, (regs.rax, regs.rbx))?;
    Ok((regs.rax, regs.rbx))
}

fn a_page_faults_becomes_cr2(before: u64, payload: u64) -> Outcome {
    let guest = looking(before, DR6)?;
    equal(seen(&guest, Exception { vector: PF, pending: true, error: 2 }, payload)?, (payload, DR6))
}
claim!(
    a_page_faults_becomes_cr2,
    "The payload of a pending #PF becomes CR2 when the guest takes it, and not before",
    [Api(PAYLOAD), Api(SET), Code(DELIVERS)],
    Has(KVM_CAP_EXCEPTION_PAYLOAD),
    Has(KVM_CAP_X86_TRIPLE_FAULT_EVENT),
);

fn a_debug_exceptions_becomes_dr6(before: u16, payload: u16) -> Outcome {
    let high = |bits: u16| u64::from(bits) & DR6_HIGH;
    let guest = looking(7, DR6 | high(before))?;
    let (cr2_then, dr6_then) =
        seen(&guest, Exception { vector: DB, pending: true, error: 0 }, high(payload))?;
    // Breakpoints are told anew each time; the other bits are the guest's to clear.
    equal((cr2_then, dr6_then), (7, DR6 | high(before) & !0xf | high(payload)))
}
claim!(
    a_debug_exceptions_becomes_dr6,
    "The payload of a pending #DB is added to DR6 when the guest takes it, its breakpoints in place of those before",
    [
        Api(PAYLOAD),
        Api(SET),
        Code(DELIVERS),
        Manual("Intel SDM volume 3, 18.2.3 Debug Status Register (DR6)")
    ],
    Has(KVM_CAP_EXCEPTION_PAYLOAD),
    Has(KVM_CAP_X86_TRIPLE_FAULT_EVENT),
);

fn a_bit_that_is_low_is_turned(breakpoints: u8, low: bool) -> Outcome {
    let guest = looking(0, DR6)?;
    let turned = if low { DR6_LOW } else { 0 };
    let breakpoints = u64::from(breakpoints & 0xf);
    guest.change(|events| {
        Exception { vector: DB, pending: true, error: 0 }.lay(events);
        (events.exception_has_payload, events.exception_payload) = (1, breakpoints | turned);
    })?;
    guest.enters(DB)?;
    // As the host sees it: a guest that looks may be shown a processor's own, which has them set where it lacks what they tell.
    let debug: abi::kvm_debugregs = guest.stage.vcpu.read(KVM_GET_DEBUGREGS)?;
    equal(debug.dr6, (DR6 | breakpoints) & !turned)
}
claim!(
    a_bit_that_is_low_is_turned,
    "Bits that DR6 has clear for what happened, those of RTM and bus locks, are set for it in the payload of #DB",
    [Api(PAYLOAD), Code(DELIVERS)],
    Has(KVM_CAP_EXCEPTION_PAYLOAD),
    Has(KVM_CAP_X86_TRIPLE_FAULT_EVENT),
);

fn others_have_none(choice: u8, payload: u64) -> Outcome {
    const OTHERS: [u8; 9] = [0, 5, 6, 7, 11, 12, 13, 16, 17];
    let vector = OTHERS[usize::from(choice) % OTHERS.len()];
    let guest = looking(7, DR6)?;
    equal(seen(&guest, Exception { vector, pending: true, error: 0 }, payload)?, (7, DR6))
}
claim!(
    others_have_none,
    "The payload of any other pending exception changes neither CR2 nor DR6",
    [Code(DELIVERS)],
    Has(KVM_CAP_EXCEPTION_PAYLOAD),
    Has(KVM_CAP_X86_TRIPLE_FAULT_EVENT),
);

fn injected_ones_have_theirs_already(page_fault: bool, payload: u64) -> Outcome {
    let vector = if page_fault { PF } else { DB };
    let guest = looking(7, DR6)?;
    equal(seen(&guest, Exception { vector, pending: false, error: 0 }, payload)?, (7, DR6))
}
claim!(
    injected_ones_have_theirs_already,
    "The payload of an injected exception is ignored: CR2 and DR6 are as the host set them",
    [Api(PAYLOAD), Code("kvm_vcpu_ioctl_x86_set_vcpu_events, arch/x86/kvm/x86.c")],
    Has(KVM_CAP_EXCEPTION_PAYLOAD),
    Has(KVM_CAP_X86_TRIPLE_FAULT_EVENT),
);

fn without_a_payload_both_stay(page_fault: bool, pending: bool) -> Outcome {
    let vector = if page_fault { PF } else { DB };
    let guest = looking(7, DR6 | 1)?;
    guest.change(|events| Exception { vector, pending, error: 0 }.lay(events))?;
    guest.enters(vector)?;
    equal(guest.step()?, super::handled::Step::Ends)?;
    guest.ended(|end| (end.rax, end.rbx) = (7, DR6 | 1))
}
claim!(
    without_a_payload_both_stay,
    "A #PF or #DB without a payload changes neither CR2 nor DR6",
    [Api(PAYLOAD)],
    Has(KVM_CAP_EXCEPTION_PAYLOAD),
    Has(KVM_CAP_X86_TRIPLE_FAULT_EVENT),
);

fn a_debug_exception_clears_general_detect(pending: bool) -> Outcome {
    let guest = Handled::within(showing_all()?, Mode::Long, idle(3))?;
    debug_registers(&guest, |registers| registers.dr7 = DR7 | DR7_GD)?;
    guest.change(|events| Exception { vector: DB, pending, error: 0 }.lay(events))?;
    guest.takes(&[(DB, Before::Code(0))])?;
    let after: abi::kvm_debugregs = guest.stage.vcpu.read(KVM_GET_DEBUGREGS)?;
    equal(after.dr7, DR7 | if pending { 0 } else { DR7_GD })
}
claim!(
    a_debug_exception_clears_general_detect,
    "A pending #DB clears DR7.GD when the guest takes it, and an injected one, which has done so, does not",
    [
        Manual("Intel SDM volume 3, 18.2.4 Debug Control Register (DR7)"),
        Code("kvm_check_and_inject_events, arch/x86/kvm/x86.c")
    ],
    Has(KVM_CAP_EXCEPTION_PAYLOAD),
    Has(KVM_CAP_X86_TRIPLE_FAULT_EVENT),
);

fn pending_faults_set_rf(choice: u8, pending: bool, mode: RealOrLong) -> Outcome {
    const FAULTS: [u8; 10] = [0, 5, 6, 7, 11, 12, 13, 14, 16, 17];
    let vector = FAULTS[usize::from(choice) % FAULTS.len()];
    let guest = Handled::within(showing_all()?, mode.0, idle(3))?;
    guest.change(|events| Exception { vector, pending, error: 0 }.lay(events))?;
    // Sixteen bits of flags have no room for it.
    let is_pushed = pending && mode.0 != Mode::Real;
    equal(guest.enters(vector)?.flags, 2 | if is_pushed { RF } else { 0 })?;
    guest.takes(&[])
}
claim!(
    pending_faults_set_rf,
    "A pending fault is pushed with RF set, and an injected one with RF as the host set it",
    [
        Manual("Intel SDM volume 3, 18.3.1.1 Instruction-Breakpoint Exception Condition"),
        Code("kvm_check_and_inject_events, arch/x86/kvm/x86.c")
    ],
    Has(KVM_CAP_EXCEPTION_PAYLOAD),
    Has(KVM_CAP_X86_TRIPLE_FAULT_EVENT),
);

fn traps_and_aborts_do_not(choice: u8, pending: bool) -> Outcome {
    const OTHERS: [u8; 3] = [DB, 8, 18];
    let vector = OTHERS[usize::from(choice) % OTHERS.len()];
    let guest = Handled::within(showing_all()?, Mode::Long, idle(3))?;
    guest.change(|events| Exception { vector, pending, error: 0 }.lay(events))?;
    equal(guest.enters(vector)?.flags, 2)?;
    guest.takes(&[])
}
claim!(
    traps_and_aborts_do_not,
    "A pending #DB, #DF or #MC is pushed with RF as it was",
    [Code("exception_type, arch/x86/kvm/x86.c")],
    Has(KVM_CAP_EXCEPTION_PAYLOAD),
    Has(KVM_CAP_X86_TRIPLE_FAULT_EVENT),
    Kernel(">=6.1"),
);
