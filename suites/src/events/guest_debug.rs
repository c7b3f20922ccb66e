//! KVM_SET_GUEST_DEBUG, flag by flag and together: api.rst 4.87. What each of the exits that they ask for tells, are claims of
//! `exits::debug`.

use guests::iced_x86::IcedError;
use guests::iced_x86::code_asm::{CodeAssembler, al, eax};
use guests::{Mode, Registers, SCRATCH};
use harness::kvm::{
    Descriptor, EBUSY, Exit, KVM_CAP_IRQCHIP, KVM_CAP_SET_GUEST_DEBUG, KVM_CAP_SET_GUEST_DEBUG2, KVM_NMI,
    KVM_SET_GUEST_DEBUG, KVM_SMI, Refused, Vcpu, abi,
};
use harness::{Outcome, claim, equal, fails, succeeds};

use super::combination::Exception;
use super::handled::{Before, Handled, IF, Step, idle};
use super::processors::{INIT, PAGE, Processors, STARTUP};
use super::vcpu_events::showing_all;
use crate::exits::generated::InMode;
use crate::exits::msr;
use crate::exits::stage::{END, out};

/// The heading that most of this rests on.
const SET: &str = "4.87 KVM_SET_GUEST_DEBUG";
/// Where the kernel takes what it is asked for.
const SETS: &str = "kvm_arch_vcpu_ioctl_set_guest_debug, arch/x86/kvm/x86.c";
/// The flags, and those that raise an exception at once.
const ENABLE: u32 = abi::KVM_GUESTDBG_ENABLE;
const STEP: u32 = abi::KVM_GUESTDBG_SINGLESTEP;
const SOFTWARE: u32 = abi::KVM_GUESTDBG_USE_SW_BP;
const HARDWARE: u32 = abi::KVM_GUESTDBG_USE_HW_BP;
const INJECT_DB: u32 = abi::KVM_GUESTDBG_INJECT_DB;
const INJECT_BP: u32 = abi::KVM_GUESTDBG_INJECT_BP;
const BLOCKIRQ: u32 = abi::KVM_GUESTDBG_BLOCKIRQ;
/// DR7 with the first breakpoint enabled, on code; DR6.BS.
const DR7_FIRST: u64 = 0x400 | 2;
const DR6_BS: u64 = 1 << 14;

/// KVM_SET_GUEST_DEBUG with a breakpoint at this address.
fn ask_at(vcpu: &Vcpu, control: u32, address: u64) -> Result<(), Refused> {
    let mut debugreg = [0; 8];
    (debugreg[0], debugreg[7]) = (address, DR7_FIRST);
    let arch = abi::kvm_guest_debug_arch { debugreg };
    vcpu.write(KVM_SET_GUEST_DEBUG, &abi::kvm_guest_debug { control, pad: 0, arch }).map(drop)
}

/// KVM_SET_GUEST_DEBUG without debug registers.
fn ask(vcpu: &Vcpu, control: u32) -> Result<(), Refused> {
    let request = abi::kvm_guest_debug { control, ..Default::default() };
    vcpu.write(KVM_SET_GUEST_DEBUG, &request).map(drop)
}

/// The guest leaves with KVM_EXIT_DEBUG for #DB at the instruction with this index, after a step or before a breakpoint.
#[track_caller]
fn is_debugged(guest: &Handled, index: usize, step: bool) -> Outcome {
    let pc = guest.stage.at(index);
    match guest.step()? {
        Step::Leaves(Exit::Debug { exception: 1, pc: seen, dr6, .. }) => {
            equal((seen, dr6 & DR6_BS != 0), (pc, step))
        }
        other => equal(other, Step::Leaves(Exit::Debug { exception: 1, pc, dr6: 0, dr7: 0 })),
    }
}

/// A breakpoint of the guest's own among idle instructions.
fn breaking(a: &mut CodeAssembler) -> Result<(), IcedError> {
    a.nop()?;
    a.int3()?;
    a.nop()?;
    a.out(u32::from(END), al)
}

fn nothing_is_asked_without_enable(choice: u8) -> Outcome {
    const BITS: [u32; 4] = [STEP, SOFTWARE, HARDWARE, BLOCKIRQ];
    let chosen = BITS.iter().enumerate().filter(|(index, _)| choice >> index & 1 != 0);
    let control = chosen.fold(0, |control, (_, bit)| control | bit);
    let guest = Handled::of(Mode::Long, breaking)?;
    ask_at(&guest.stage.vcpu, control, guest.stage.at(2))?;
    guest.stage.vcpu.value(KVM_NMI, 0)?;
    guest.takes(&[(2, Before::Code(0)), (3, Before::Code(2))])
}
claim!(
    nothing_is_asked_without_enable,
    "Without KVM_GUESTDBG_ENABLE no combination of SINGLESTEP, USE_SW_BP, USE_HW_BP and BLOCKIRQ does anything",
    [Api(SET), Code(SETS)],
    Has(KVM_CAP_SET_GUEST_DEBUG),
);

fn enable_alone_is_not_to_be_seen(mode: InMode) -> Outcome {
    let guest = Handled::of(mode.0, breaking)?;
    ask_at(&guest.stage.vcpu, ENABLE, guest.stage.at(2))?;
    guest.stage.vcpu.value(KVM_NMI, 0)?;
    guest.takes(&[(2, Before::Code(0)), (3, Before::Code(2))])
}
claim!(
    enable_alone_is_not_to_be_seen,
    "KVM_GUESTDBG_ENABLE alone changes nothing for the guest: its INT3 is its own, and debug registers are not used",
    [Api(SET)],
    Has(KVM_CAP_SET_GUEST_DEBUG),
);

fn the_last_request_counts(before: u8) -> Outcome {
    let guest = Handled::of(Mode::Long, breaking)?;
    let earlier = [STEP, SOFTWARE, HARDWARE, STEP | SOFTWARE | HARDWARE | BLOCKIRQ][usize::from(before % 4)];
    ask_at(&guest.stage.vcpu, ENABLE | earlier, guest.stage.at(0))?;
    ask(&guest.stage.vcpu, 0)?;
    guest.takes(&[(3, Before::Code(2))])
}
claim!(
    the_last_request_counts,
    "KVM_SET_GUEST_DEBUG of nothing takes back whatever was asked for before",
    [Api(SET)],
    Has(KVM_CAP_SET_GUEST_DEBUG),
);

fn software_breakpoints_leave_in_every_company(choice: u8) -> Outcome {
    let company = [0, STEP, HARDWARE, STEP | HARDWARE, BLOCKIRQ][usize::from(choice % 5)];
    let guest = Handled::of(Mode::Long, |a| {
        a.int3()?;
        idle(1)(a)
    })?;
    // A breakpoint of the other kind lies where the guest does not come before.
    ask_at(&guest.stage.vcpu, ENABLE | SOFTWARE | company, SCRATCH)?;
    let exit = Exit::Debug { exception: 3, pc: guest.stage.at(0), dr6: 0, dr7: 0 };
    match guest.step()? {
        Step::Leaves(Exit::Debug { exception: 3, pc, .. }) => equal(pc, guest.stage.at(0)),
        other => equal(other, Step::Leaves(exit)),
    }
}
claim!(
    software_breakpoints_leave_in_every_company,
    "With USE_SW_BP, INT3 leaves KVM_EXIT_DEBUG whichever of the other flags there are",
    [Api(SET)],
    Has(KVM_CAP_SET_GUEST_DEBUG2),
);

fn hardware_breakpoints_leave_in_every_company(choice: u8) -> Outcome {
    let company = [0, SOFTWARE, BLOCKIRQ, SOFTWARE | BLOCKIRQ][usize::from(choice % 4)];
    let guest = Handled::of(Mode::Long, idle(3))?;
    ask_at(&guest.stage.vcpu, ENABLE | HARDWARE | company, guest.stage.at(2))?;
    is_debugged(&guest, 2, false)?;
    ask(&guest.stage.vcpu, 0)?;
    guest.takes(&[])
}
claim!(
    hardware_breakpoints_leave_in_every_company,
    "With USE_HW_BP, a breakpoint on code leaves KVM_EXIT_DEBUG whichever of USE_SW_BP and BLOCKIRQ there are",
    [Api(SET)],
    Has(KVM_CAP_SET_GUEST_DEBUG2),
);

fn steps_leave_in_every_company(choice: u8) -> Outcome {
    let company = [0, SOFTWARE, HARDWARE, BLOCKIRQ, SOFTWARE | HARDWARE | BLOCKIRQ][usize::from(choice % 5)];
    let guest = Handled::of(Mode::Long, idle(3))?;
    ask_at(&guest.stage.vcpu, ENABLE | STEP | company, SCRATCH)?;
    (1..=3).try_for_each(|index| is_debugged(&guest, index, true))?;
    ask(&guest.stage.vcpu, 0)?;
    guest.takes(&[])
}
claim!(
    steps_leave_in_every_company,
    "With SINGLESTEP, each instruction leaves KVM_EXIT_DEBUG whichever of the other flags there are",
    [Api(SET)],
    Has(KVM_CAP_SET_GUEST_DEBUG2),
);

fn a_step_has_its_linear_address(mode: bool) -> Outcome {
    let base = if mode { 0x1000u64 } else { 0 };
    let guest = Handled::of(Mode::Real, idle(3))?;
    guest.stage.enter_under(|sregs| {
        (sregs.cs.base, sregs.cs.selector) = (base, u16::try_from(base >> 4).unwrap_or(0));
    })?;
    let guest = guest.entered_with(|regs| regs.rip -= base)?;
    ask(&guest.stage.vcpu, ENABLE | STEP)?;
    is_debugged(&guest, 1, true)?;
    equal(guest.stage.registers()?.rip, guest.stage.at(1) - base)
}
claim!(
    a_step_has_its_linear_address,
    "The pc of a step in KVM_EXIT_DEBUG is RIP with the base of the code segment",
    [Code("db_interception, arch/x86/kvm/svm/svm.c"), Api("5. The kvm_run structure, KVM_EXIT_DEBUG")],
    Has(KVM_CAP_SET_GUEST_DEBUG),
);

fn each_repetition_is_a_step(count: u8) -> Outcome {
    let count = u64::from(count % 4) + 1;
    let guest = Handled::of(Mode::Long, |a| {
        a.rep().stosb()?;
        idle(0)(a)
    })?;
    let guest = guest.writing_to(SCRATCH..SCRATCH + 8);
    let mut guest = guest.entered_with(|regs| (regs.rcx, regs.rdi) = (count, SCRATCH))?;
    ask(&guest.stage.vcpu, ENABLE | STEP)?;
    for left in (0..count).rev() {
        is_debugged(&guest, usize::from(left == 0), true)?;
        let regs = guest.stage.registers()?;
        equal((regs.rcx, regs.rdi), (left, SCRATCH + count - left))?;
    }
    ask(&guest.stage.vcpu, 0)?;
    guest.stage.image.entry.registers =
        Registers { rcx: 0, rdi: SCRATCH + count, ..guest.stage.image.entry.registers };
    guest.takes(&[])
}
claim!(
    each_repetition_is_a_step,
    "Each repetition of a string instruction is a step of its own, with RIP at it until the last",
    [Manual("Intel SDM volume 3, 18.3.1.4 Single-Step Exception Condition"), Api(SET)],
    Has(KVM_CAP_SET_GUEST_DEBUG),
);

fn registers_set_between_steps_are_taken(value: u32) -> Outcome {
    let guest = Handled::of(Mode::Long, |a| {
        a.nop()?;
        a.nop()?;
        a.not(eax)?;
        idle(0)(a)
    })?;
    ask(&guest.stage.vcpu, ENABLE | STEP)?;
    is_debugged(&guest, 1, true)?;
    let mut regs = guest.stage.vcpu.get_regs()?;
    (regs.rip, regs.rax) = (guest.stage.at(2), value.into());
    guest.stage.vcpu.set_regs(&regs)?;
    is_debugged(&guest, 3, true)?;
    equal(guest.stage.registers()?.rax, u64::from(!value))
}
claim!(
    registers_set_between_steps_are_taken,
    "KVM_SET_REGS between two steps moves the guest, which is stepped on from there",
    [Api(SET), Code("kvm_set_rflags, arch/x86/kvm/x86.c")],
    Has(KVM_CAP_SET_GUEST_DEBUG),
);

fn blocked_nmis_wait() -> Outcome {
    let guest = Handled::of(Mode::Long, idle(3))?;
    ask(&guest.stage.vcpu, ENABLE | STEP | BLOCKIRQ)?;
    guest.stage.vcpu.value(KVM_NMI, 0)?;
    is_debugged(&guest, 1, true)?;
    is_debugged(&guest, 2, true)?;
    equal(guest.events()?.nmi.pending, 1)?;
    ask(&guest.stage.vcpu, 0)?;
    guest.takes(&[(2, Before::Code(2))])
}
claim!(
    blocked_nmis_wait,
    "With BLOCKIRQ a guest is stepped past a waiting NMI, which it takes once that is not asked for any more",
    [Api(SET), Code("kvm_check_and_inject_events, arch/x86/kvm/x86.c")],
    AtLeast(KVM_CAP_SET_GUEST_DEBUG2, 0x10_0000),
);

fn blocked_smis_wait() -> Outcome {
    let mut guest = Handled::of(Mode::Long, idle(3))?.writing_to(0xfe00..0x1_0000);
    // rsm
    guest.stage.lay(0x8000, &[0xe6, 0x80, 0x0f, 0xaa])?;
    guest.stage.show_in_smm()?;
    msr::set(&guest.stage.vcpu, 0x9e, 0)?;
    ask(&guest.stage.vcpu, ENABLE | STEP | BLOCKIRQ)?;
    guest.stage.vcpu.value(KVM_SMI, 0)?;
    is_debugged(&guest, 1, true)?;
    equal(guest.events()?.smi.pending, 1)?;
    ask(&guest.stage.vcpu, 0)?;
    equal(guest.step()?, Step::Leaves(out(0x80, &[0])))?;
    guest.takes(&[])
}
claim!(
    blocked_smis_wait,
    "With BLOCKIRQ a guest is stepped past a waiting SMI, which it takes once that is not asked for any more",
    [Api(SET), Code("kvm_check_and_inject_events, arch/x86/kvm/x86.c")],
    AtLeast(KVM_CAP_SET_GUEST_DEBUG2, 0x10_0000),
    Has(harness::kvm::KVM_CAP_X86_SMM),
);

fn exceptions_are_not_blocked(pending: bool, choice: u8) -> Outcome {
    const OTHERS: [u8; 5] = [0, 6, 12, 13, 14];
    let vector = OTHERS[usize::from(choice) % OTHERS.len()];
    let guest =
        Handled::within(showing_all()?, Mode::Long, idle(3))?.entered_with(|regs| regs.rflags |= IF)?;
    ask(&guest.stage.vcpu, ENABLE | BLOCKIRQ)?;
    guest.change(|events| Exception { vector, pending, error: 0 }.lay(events))?;
    guest.takes(&[(vector, Before::Code(0))])
}
claim!(
    exceptions_are_not_blocked,
    "BLOCKIRQ blocks no exception, whether it is pending or injected",
    [Api(SET), Code("kvm_check_and_inject_events, arch/x86/kvm/x86.c")],
    AtLeast(KVM_CAP_SET_GUEST_DEBUG2, 0x10_0000),
    Has(harness::kvm::KVM_CAP_EXCEPTION_PAYLOAD),
    Has(harness::kvm::KVM_CAP_X86_TRIPLE_FAULT_EVENT),
);

fn injection_needs_no_enable(mode: InMode, enable: bool) -> Outcome {
    let guest = Handled::of(mode.0, idle(3))?;
    ask(&guest.stage.vcpu, INJECT_DB | if enable { ENABLE } else { 0 })?;
    guest.takes(&[(1, Before::Code(0))])
}
claim!(
    injection_needs_no_enable,
    "INJECT_DB gives the guest #DB once, with KVM_GUESTDBG_ENABLE and without",
    [Api(SET), Code(SETS)],
    Has(KVM_CAP_SET_GUEST_DEBUG),
);

fn of_both_the_debug_exception_is_injected() -> Outcome {
    let guest = Handled::of(Mode::Long, idle(3))?;
    ask(&guest.stage.vcpu, ENABLE | INJECT_DB | INJECT_BP)?;
    guest.takes(&[(1, Before::Code(0))])
}
claim!(
    of_both_the_debug_exception_is_injected,
    "Asked for both INJECT_DB and INJECT_BP, KVM gives the guest #DB alone",
    [Code(SETS)],
    Has(KVM_CAP_SET_GUEST_DEBUG),
);

fn what_is_injected_is_the_guests(choice: u8) -> Outcome {
    let company = [SOFTWARE, HARDWARE, SOFTWARE | HARDWARE][usize::from(choice % 3)];
    let guest = Handled::of(Mode::Long, idle(3))?;
    ask_at(&guest.stage.vcpu, ENABLE | INJECT_DB | company, SCRATCH)?;
    guest.takes(&[(1, Before::Code(0))])
}
claim!(
    what_is_injected_is_the_guests,
    "A #DB that the host injects is no KVM_EXIT_DEBUG, although the host has breakpoints",
    [Api(SET), Manual("AMD APM volume 2, 15.20 Event Injection")],
    Has(KVM_CAP_SET_GUEST_DEBUG),
);

fn a_refused_request_asks_for_nothing(choice: u8) -> Outcome {
    let also = [STEP, HARDWARE, STEP | HARDWARE][usize::from(choice % 3)];
    let guest = Handled::of(Mode::Long, idle(3))?;
    succeeds(ask(&guest.stage.vcpu, ENABLE | INJECT_DB))?;
    for injected in [INJECT_DB, INJECT_BP, INJECT_DB | INJECT_BP] {
        fails(EBUSY, ask_at(&guest.stage.vcpu, ENABLE | injected | also, guest.stage.at(1)))?;
    }
    guest.takes(&[(1, Before::Code(0))])
}
claim!(
    a_refused_request_asks_for_nothing,
    "A KVM_SET_GUEST_DEBUG that is refused with EBUSY for what it injects asks for nothing else either",
    [Code(SETS)],
    Has(KVM_CAP_SET_GUEST_DEBUG),
);

fn unknown_flags_are_ignored(flags: u32) -> Outcome {
    let known = ENABLE | STEP | SOFTWARE | HARDWARE | INJECT_DB | INJECT_BP | BLOCKIRQ;
    let guest = Handled::of(Mode::Long, breaking)?;
    succeeds(ask(&guest.stage.vcpu, ENABLE | flags & !known))?;
    guest.takes(&[(3, Before::Code(2))])
}
claim!(
    unknown_flags_are_ignored,
    "KVM_SET_GUEST_DEBUG takes flags that have no name, and does nothing for them",
    [Observed("kvm_arch_vcpu_ioctl_set_guest_debug of Linux 2.6.30 to 7.3")],
    Has(KVM_CAP_SET_GUEST_DEBUG),
);

fn each_vcpu_is_asked_for_itself() -> Outcome {
    let all = Processors::sending(
        2,
        &[(1, INIT), (1, STARTUP | u32::from(PAGE)), (2, INIT), (2, STARTUP | u32::from(PAGE))],
    )?;
    for command in [INIT, STARTUP | u32::from(PAGE)].repeat(2) {
        all.send(command)?;
    }
    equal(all.states()?, vec![abi::KVM_MP_STATE_RUNNABLE; 2])?;
    ask(&all.others[0], ENABLE | STEP)?;
    match all.attempt(0)? {
        (None, Exit::Debug { exception: 1, pc, .. }) => equal(pc, (u64::from(PAGE) << 12) + 2)?,
        other => equal(other, (None, Exit::Debug { exception: 1, pc: 0, dr6: 0, dr7: 0 }))?,
    }
    all.starts(1, PAGE)
}
claim!(
    each_vcpu_is_asked_for_itself,
    "KVM_SET_GUEST_DEBUG of one vCPU steps that one and no other",
    [Api(SET)],
    Has(KVM_CAP_SET_GUEST_DEBUG),
    Has(KVM_CAP_IRQCHIP),
);
