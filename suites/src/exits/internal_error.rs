//! KVM_EXIT_INTERNAL_ERROR: KVM cannot go on with the guest.

use guests::iced_x86::code_asm::{byte_ptr, dword_ptr, ptr, word_ptr};
use guests::{MMIO_HOLE, Mode, hole};
use harness::kvm::{Exit, KVM_CAP_EXIT_ON_EMULATION_FAILURE, KVM_CAP_INTERNAL_ERROR_DATA, Kvm, Vm};
use harness::{Broken, Outcome, Stop, claim, equal, holds};

use super::generated::InMode;
use super::provoked::{Provoked, Reply};
use super::stage::{Stage, handler, is_intel};

/// The heading that most of this rests on.
const INTERNAL: &str = "5. The kvm_run structure, KVM_EXIT_INTERNAL_ERROR";
/// Where the kernel fills the exit.
const FAILURE: &str = "prepare_emulation_failure_exit, arch/x86/kvm/x86.c";
/// KVM_INTERNAL_ERROR_EMULATION.
const EMULATION: u32 = 1;
/// The type of a 32-bit task state segment that is not busy.
const TASK_NOT_BUSY: u8 = 0x9;
/// KVM_INTERNAL_ERROR_DELIVERY_EV.
const DELIVERY_EV: u32 = 3;
/// Words that say why the guest left: the processor's exit reason, two of information, the event, its error code.
const EXIT_INFO: usize = 5;

/// The sub-error and its data, of an exit that is KVM_EXIT_INTERNAL_ERROR.
#[track_caller]
fn failed(exit: &Exit) -> Result<(u32, Vec<u64>), Stop> {
    match exit {
        Exit::InternalError { suberror, data } => Ok((*suberror, data.clone())),
        other => Err(Broken::new(format!("expected KVM_EXIT_INTERNAL_ERROR, saw {other:x?}"))
            .comparing("KVM_EXIT_INTERNAL_ERROR", format!("{other:?}"))
            .into()),
    }
}

/// A guest that loads a floating-point number from an address without a slot, which KVM's emulator does not do.
fn loading_a_float(vm: Vm, mode: Mode) -> Result<Stage, Stop> {
    let mut stage = Stage::within(vm, mode, |a| {
        a.fld(dword_ptr(match mode {
            Mode::Real => ptr(0u64).es(),
            _ => ptr(MMIO_HOLE),
        }))?;
        a.hlt()
    })?;
    stage.catch_exceptions()?;
    Ok(stage)
}

fn unknown_instructions_are_told(mode: InMode) -> Outcome {
    let stage = loading_a_float(Kvm::open()?.create_vm(0)?, mode.0)?;
    let exit = stage.run()?;
    let (suberror, data) = failed(&exit)?;
    equal((suberror, data.len()), (EMULATION, 3 + EXIT_INFO))?;
    equal(data[0], 1)?;
    let instruction = exit.instruction().unwrap_or_default();
    let code = &stage.image.code.bytes[..stage.image.code.bytes.len() - 1];
    holds(instruction.starts_with(code), format_args!("{instruction:02x?} begins with {code:02x?}"))?;
    holds(instruction.len() <= 15, "an instruction has at most 15 bytes")?;
    stage.stands(0, |_| ())
}
claim!(
    unknown_instructions_are_told,
    "An instruction on MMIO that KVM cannot emulate leaves KVM_INTERNAL_ERROR_EMULATION with its bytes, RIP still at it",
    [Api(INTERNAL), Code(FAILURE)],
    Has(KVM_CAP_INTERNAL_ERROR_DATA),
    Kernel(">=6.1"),
);

fn the_guest_gets_ud_after_it(mode: InMode) -> Outcome {
    let stage = loading_a_float(Kvm::open()?.create_vm(0)?, mode.0)?;
    equal(failed(&stage.run()?)?.0, EMULATION)?;
    equal(stage.run()?, Exit::Hlt)?;
    equal(stage.registers()?.rip, handler(6))
}
claim!(
    the_guest_gets_ud_after_it,
    "The KVM_RUN after KVM_INTERNAL_ERROR_EMULATION at privilege level 0 gives the guest #UD",
    [Code("handle_emulation_failure, arch/x86/kvm/x86.c")],
);

/// A VM that leaves wherever the emulator fails.
fn vm_exiting() -> Result<Vm, Stop> {
    let vm = Kvm::open()?.create_vm(0)?;
    vm.enable_cap(KVM_CAP_EXIT_ON_EMULATION_FAILURE, [1, 0, 0, 0])?;
    Ok(vm)
}

fn asked_for_it_is_told_again(mode: InMode) -> Outcome {
    let stage = loading_a_float(vm_exiting()?, mode.0)?;
    let first = stage.run()?;
    equal(failed(&first)?.0, EMULATION)?;
    for _ in 0..3 {
        // The processor's own account of the access may differ: the first one is of a page that KVM knew nothing of.
        let again = stage.run()?;
        equal((failed(&again)?.0, again.instruction()), (EMULATION, first.instruction()))?;
        stage.stands(0, |_| ())?;
    }
    let mut regs = stage.vcpu.get_regs()?;
    regs.rip = stage.at(1);
    stage.vcpu.set_regs(&regs)?;
    equal(stage.run()?, Exit::Hlt)?;
    stage.ended(|_| ())
}
claim!(
    asked_for_it_is_told_again,
    "With KVM_CAP_EXIT_ON_EMULATION_FAILURE the exit comes again until the host has moved RIP, and the guest gets no #UD",
    [Api("7.27 KVM_CAP_EXIT_ON_EMULATION_FAILURE")],
    Has(KVM_CAP_EXIT_ON_EMULATION_FAILURE),
);

/// The same at privilege level 3, in a VM of the caller's.
fn unprivileged(vm: Vm) -> Result<Stage, Stop> {
    let mut stage = loading_a_float(vm, Mode::Protected)?;
    // The task state segment says where the stack of level 0 is, for the fault's handler.
    stage.lay(0x1_1004, &0x7000u32.to_le_bytes())?;
    stage.lay(0x1_1008, &0x10u32.to_le_bytes())?;
    stage.enter_under(|sregs| {
        (sregs.cs.dpl, sregs.ss.dpl) = (3, 3);
        (sregs.cs.selector, sregs.ss.selector) = (sregs.cs.selector | 3, sregs.ss.selector | 3);
        // AMD's processors take the task for busy whether its type says so or not. QEMU's, like them, does not say so itself, and
        // gives up on one that does when a fault changes the privilege level. Intel's refuse one that does not.
        if !is_intel() {
            sregs.tr.type_ = TASK_NOT_BUSY;
        }
    })?;
    stage.enter_with(|_| ())?;
    Ok(stage)
}

fn unprivileged_code_gets_ud() -> Outcome {
    let stage = unprivileged(Kvm::open()?.create_vm(0)?)?;
    equal(stage.run()?, Exit::Hlt)?;
    equal(stage.registers()?.rip, handler(6))
}
claim!(
    unprivileged_code_gets_ud,
    "The same instruction at privilege level 3 gives the guest #UD and leaves no KVM_EXIT_INTERNAL_ERROR",
    [Api("7.27 KVM_CAP_EXIT_ON_EMULATION_FAILURE")],
);

fn unprivileged_code_leaves_where_asked_for() -> Outcome {
    let stage = unprivileged(vm_exiting()?)?;
    equal(failed(&stage.run()?)?.0, EMULATION)?;
    equal(stage.registers()?.rip, stage.at(0))
}
claim!(
    unprivileged_code_leaves_where_asked_for,
    "With KVM_CAP_EXIT_ON_EMULATION_FAILURE the same instruction at privilege level 3 leaves KVM_INTERNAL_ERROR_EMULATION",
    [Api("7.27 KVM_CAP_EXIT_ON_EMULATION_FAILURE")],
    Has(KVM_CAP_EXIT_ON_EMULATION_FAILURE),
);

fn known_instructions_do_not_fail(mode: InMode) -> Outcome {
    let stage = Stage::of(mode.0, |a| {
        a.fnstcw(word_ptr(match mode.0 {
            Mode::Real => ptr(0u64).es(),
            _ => ptr(MMIO_HOLE),
        }))?;
        a.hlt()
    })?;
    let exit = stage.run()?;
    equal(exit, Exit::Mmio { write: true, address: MMIO_HOLE, data: vec![0x7f, 0x03] })?;
    equal(stage.run()?, Exit::Hlt)?;
    stage.ended(|_| ())
}
claim!(
    known_instructions_do_not_fail,
    "FNSTCW to MMIO, which the emulator knows, leaves KVM_EXIT_MMIO with the control word and no KVM_EXIT_INTERNAL_ERROR",
    [Code("x86_emulate_insn, arch/x86/kvm/emulate.c")],
);

fn code_without_memory_is_told(mode: InMode) -> Outcome {
    let mut stage = Stage::of(mode.0, |a| {
        a.nop()?;
        a.hlt()
    })?;
    stage.enter_under(|sregs| {
        if mode.0 == Mode::Real {
            (sregs.cs.base, sregs.cs.selector) = (MMIO_HOLE, 0xb000);
        }
    })?;
    let rip = if mode.0 == Mode::Real { 0 } else { MMIO_HOLE };
    stage.enter_with(|regs| regs.rip = rip)?;
    let exit = stage.run()?;
    let (suberror, data) = failed(&exit)?;
    equal((suberror, data.first().copied(), data.len()), (EMULATION, Some(0), 1 + EXIT_INFO))?;
    equal(exit.instruction(), None)?;
    equal(stage.registers()?.rip, rip)
}
claim!(
    code_without_memory_is_told,
    "Code at an address without a slot leaves KVM_INTERNAL_ERROR_EMULATION without instruction bytes, RIP at it",
    [Api(INTERNAL), Code(FAILURE)],
    Has(KVM_CAP_INTERNAL_ERROR_DATA),
    Kernel(">=6.1"),
);

/// A guest that raises #UD while its descriptors or vectors lie where no slot is.
fn vectoring_through_mmio(mode: Mode) -> Result<Stage, Stop> {
    let stage = Stage::of(mode, |a| {
        a.ud2()?;
        a.hlt()
    })?;
    stage.enter_under(|sregs| (sregs.idt.base, sregs.idt.limit) = (MMIO_HOLE, 0xfff))?;
    Ok(stage)
}

fn delivery_through_mmio_is_told(mode: InMode) -> Outcome {
    let stage = vectoring_through_mmio(mode.0)?;
    let (suberror, data) = failed(&stage.run()?)?;
    equal(suberror, DELIVERY_EV)?;
    holds((3..=5).contains(&data.len()), format_args!("{} words tell of the event", data.len()))?;
    equal(stage.registers()?.rip, stage.at(0))
}
claim!(
    delivery_through_mmio_is_told,
    "An exception that is delivered through descriptors without a slot leaves KVM_INTERNAL_ERROR_DELIVERY_EV",
    [Api(INTERNAL), Code("kvm_prepare_event_vectoring_exit, arch/x86/kvm/x86.c")],
    Kernel(">=6.14"),
);

fn older_amd_cannot_emulate_delivery(mode: InMode) -> Outcome {
    let stage = vectoring_through_mmio(mode.0)?;
    equal(failed(&stage.run()?)?.0, EMULATION)?;
    equal(stage.registers()?.rip, stage.at(0))
}
claim!(
    older_amd_cannot_emulate_delivery,
    "Before Linux 6.14, AMD's KVM tells of an exception delivered through descriptors without a slot by KVM_INTERNAL_ERROR_EMULATION",
    [Observed("Linux 6.12.117; Intel's KVM has had KVM_INTERNAL_ERROR_DELIVERY_EV all along")],
    Amd,
    Kernel(">=6.1, <6.14"),
);

fn halves_of_moves_are_no_error(mode: InMode) -> Outcome {
    let stage = Stage::of(mode.0, |a| {
        a.mov(byte_ptr(hole(mode.0, 4)), 0x5a)?;
        a.hlt()
    })?;
    equal(stage.run()?, Exit::Mmio { write: true, address: MMIO_HOLE + 4, data: vec![0x5a] })?;
    equal(stage.run()?, Exit::Hlt)?;
    stage.ended(|_| ())
}
claim!(
    halves_of_moves_are_no_error,
    "A MOV of a constant to the address where other instructions fail leaves KVM_EXIT_MMIO",
    [Api("5. The kvm_run structure, KVM_EXIT_MMIO")],
);

/// An instruction that the emulator does not know, in a VM that asked to be told: the exit comes again and again.
pub(super) fn unknown_instruction() -> Result<Provoked, Stop> {
    let (stage, other) =
        (loading_a_float(vm_exiting()?, Mode::Long)?, loading_a_float(vm_exiting()?, Mode::Long)?);
    let (at, exit) = (stage.before(0), other.run()?);
    failed(&exit)?;
    let end = (Exit::Hlt, stage.untouched(usize::MAX));
    Ok(Provoked {
        at,
        reply: Reply::Act(|stage| {
            let mut regs = stage.vcpu.get_regs()?;
            regs.rip = stage.at(1);
            Ok(stage.vcpu.set_regs(&regs)?)
        }),
        end: Some(end),
        ..Provoked::of(stage, exit)
    })
}
