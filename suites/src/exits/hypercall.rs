//! KVM_EXIT_HYPERCALL: KVM_HC_MAP_GPA_RANGE, where KVM_CAP_EXIT_HYPERCALL asked for it. The instruction is the vendor's own, so that
//! these claims need one of the vendors' KVMs.

use guests::Mode;
use harness::kvm::{Exit, KVM_CAP_EXIT_HYPERCALL, Kvm, Vm};
use harness::{Outcome, Stop, claim, equal};

use super::generated::InMode;
use super::provoked::{Provoked, Reply};
use super::stage::{Stage, hypercall};

/// The headings that all of this rests on.
const HYPERCALL: &str = "5. The kvm_run structure, KVM_EXIT_HYPERCALL";
const MAP: &str = "virt/kvm/x86/hypercalls.rst, 8. KVM_HC_MAP_GPA_RANGE";
/// KVM_HC_MAP_GPA_RANGE.
const MAP_GPA_RANGE: u64 = 12;
/// What the guest is answered that makes no exit: no such call, a bad argument.
const ENOSYS: i64 = -1000;
const EINVAL: i64 = -22;

/// A guest in this VM that makes the call with these arguments.
fn calling(vm: Vm, mode: Mode, number: u64, args: [u64; 3]) -> Result<Stage, Stop> {
    let mut stage = Stage::within(vm, mode, |a| {
        hypercall(a)?;
        a.hlt()
    })?;
    stage
        .enter_with(|regs| (regs.rax, regs.rbx, regs.rcx, regs.rdx) = (number, args[0], args[1], args[2]))?;
    Ok(stage)
}

/// A VM that tells of the call.
fn telling() -> Result<Vm, Stop> {
    let vm = Kvm::open()?.create_vm(0)?;
    vm.enable_cap(KVM_CAP_EXIT_HYPERCALL, [1 << MAP_GPA_RANGE, 0, 0, 0])?;
    Ok(vm)
}

/// The exit of the call.
fn told(mode: Mode, [gpa, npages, attributes]: [u64; 3]) -> Exit {
    let flags = u64::from(mode == Mode::Long);
    Exit::Hypercall { nr: MAP_GPA_RANGE, args: [gpa, npages, attributes, 0, 0, 0], ret: 0, flags }
}

/// As much of an answer as the guest's mode has room for.
fn narrowed(mode: Mode, answer: u64) -> u64 {
    if mode == Mode::Long { answer } else { answer & 0xffff_ffff }
}

fn ranges_are_told(mode: InMode, page: u16, npages: u16, attributes: u8, ret: u64) -> Outcome {
    let args = [u64::from(page) << 12, u64::from(npages.max(1)), attributes.into()];
    let stage = calling(telling()?, mode.0, MAP_GPA_RANGE, args)?;
    let exit = stage.run()?;
    equal(&exit, &told(mode.0, args))?;
    stage.stands(0, |_| ())?;
    stage.answer(&exit, ret)?;
    equal(stage.run()?, Exit::Hlt)?;
    stage.ended(|end| end.regs.rax = narrowed(mode.0, ret))
}
claim!(
    ranges_are_told,
    "KVM_HC_MAP_GPA_RANGE leaves KVM_EXIT_HYPERCALL with its three arguments and its mode, and returns what the host lays",
    [Api(HYPERCALL), Api("8.34 KVM_CAP_EXIT_HYPERCALL"), Doc(MAP)],
    Has(KVM_CAP_EXIT_HYPERCALL),
    Any(&[Amd, Intel]),
);

/// The call does not leave the guest, which is answered this.
fn stays(vm: Vm, mode: Mode, number: u64, args: [u64; 3], answer: i64) -> Outcome {
    let stage = calling(vm, mode, number, args)?;
    equal(stage.run()?, Exit::Hlt)?;
    stage.ended(|end| end.regs.rax = narrowed(mode, answer.cast_unsigned()))
}

fn unaligned_ranges_are_refused(mode: InMode, page: u16, offset: u16) -> Outcome {
    let gpa = u64::from(page) << 12 | u64::from(offset % 0xfff + 1);
    stays(telling()?, mode.0, MAP_GPA_RANGE, [gpa, 1, 0], EINVAL)
}
claim!(
    unaligned_ranges_are_refused,
    "KVM_HC_MAP_GPA_RANGE of an address inside a page answers the guest EINVAL and does not leave it",
    [Doc(MAP), Code("kvm_emulate_hypercall, arch/x86/kvm/x86.c")],
    Has(KVM_CAP_EXIT_HYPERCALL),
    Any(&[Amd, Intel]),
);

fn empty_ranges_are_refused(mode: InMode, page: u16) -> Outcome {
    stays(telling()?, mode.0, MAP_GPA_RANGE, [u64::from(page) << 12, 0, 0], EINVAL)
}
claim!(
    empty_ranges_are_refused,
    "KVM_HC_MAP_GPA_RANGE of no pages answers the guest EINVAL and does not leave it",
    [Doc(MAP), Code("kvm_emulate_hypercall, arch/x86/kvm/x86.c")],
    Has(KVM_CAP_EXIT_HYPERCALL),
    Any(&[Amd, Intel]),
);

fn unasked_there_is_no_such_call(mode: InMode, page: u16) -> Outcome {
    stays(Kvm::open()?.create_vm(0)?, mode.0, MAP_GPA_RANGE, [u64::from(page) << 12, 1, 0], ENOSYS)
}
claim!(
    unasked_there_is_no_such_call,
    "Without KVM_CAP_EXIT_HYPERCALL, KVM_HC_MAP_GPA_RANGE answers the guest ENOSYS and does not leave it",
    [Api("8.34 KVM_CAP_EXIT_HYPERCALL")],
    Has(KVM_CAP_EXIT_HYPERCALL),
    Any(&[Amd, Intel]),
);

fn other_calls_stay(mode: InMode, number: u16) -> Outcome {
    // Behind all that KVM knows.
    stays(telling()?, mode.0, 0x100 + u64::from(number), [0x1000, 1, 0], ENOSYS)
}
claim!(
    other_calls_stay,
    "A hypercall that KVM does not know answers the guest ENOSYS and does not leave it",
    [Doc("virt/kvm/x86/hypercalls.rst, KVM Hypercalls Documentation")],
    Has(KVM_CAP_EXIT_HYPERCALL),
    Any(&[Amd, Intel]),
);

/// The call, answered.
pub(super) fn map_gpa_range() -> Result<Provoked, Stop> {
    let args = [0x7000, 3, 1];
    let stage = calling(telling()?, Mode::Long, MAP_GPA_RANGE, args)?;
    let at = stage.before(0);
    let mut provoked =
        Provoked { at, reply: Reply::Answer(0x1_2345_6789), ..Provoked::of(stage, told(Mode::Long, args)) };
    provoked.completed.rax = 0x1_2345_6789;
    if let Some((_, end)) = &mut provoked.end {
        end.regs.rax = 0x1_2345_6789;
    }
    Ok(provoked)
}
