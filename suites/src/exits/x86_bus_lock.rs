//! KVM_EXIT_X86_BUS_LOCK: the guest locked the bus, on processors that tell of it.

use guests::iced_x86::code_asm::{dword_ptr, eax, ptr};
use guests::{Mode, SCRATCH};
use harness::kvm::{Exit, KVM_CAP_X86_BUS_LOCK_EXIT, Kvm, Vm, abi};
use harness::{Outcome, Stop, claim, equal, holds};

use super::stage::Stage;

/// The headings that all of this rests on.
const LOCK: &str = "5. The kvm_run structure, KVM_EXIT_X86_BUS_LOCK";
const CAP: &str = "7.22 KVM_CAP_X86_BUS_LOCK_EXIT";
/// KVM_BUS_LOCK_DETECTION_EXIT.
const EXIT: u64 = 1 << 1;
/// An address whose four bytes lie in two cache lines, and one whose lie in one.
const SPLIT: u64 = SCRATCH + 0x3e;
const WHOLE: u64 = SCRATCH + 0x80;

/// A VM that leaves on a bus lock.
fn leaving() -> Result<Vm, Stop> {
    let vm = Kvm::open()?.create_vm(0)?;
    vm.enable_cap(KVM_CAP_X86_BUS_LOCK_EXIT, [EXIT, 0, 0, 0])?;
    Ok(vm)
}

/// A guest in this VM with a locked addition to an address.
fn locking(vm: Vm, address: u64) -> Result<Stage, Stop> {
    let mut stage = Stage::within(vm, Mode::Protected, |a| {
        a.lock().xadd(dword_ptr(ptr(address)), eax)?;
        a.hlt()
    })?;
    stage.enter_with(|regs| regs.rax = 1)?;
    Ok(stage)
}

fn split_locks_leave() -> Outcome {
    let stage = locking(leaving()?, SPLIT)?;
    equal(stage.run()?, Exit::BusLock)?;
    let flags = u32::from(stage.page()?.flags());
    equal(flags, abi::KVM_RUN_X86_BUS_LOCK)?;
    equal(stage.run()?, Exit::Hlt)?;
    equal(stage.page()?.flags(), 0)?;
    let sum = 0xf4f4_f4f5u32.to_le_bytes();
    let rflags = stage.registers()?.rflags;
    stage.ended(|end| {
        end.wrote(SPLIT, &sum);
        (end.regs.rax, end.regs.rflags) = (0xf4f4_f4f4, rflags);
    })
}
claim!(
    split_locks_leave,
    "A locked access that crosses cache lines leaves KVM_EXIT_X86_BUS_LOCK once, with its flag in the run page",
    [Api(LOCK), Api(CAP)],
    AtLeast(KVM_CAP_X86_BUS_LOCK_EXIT, 2),
);

fn intel_has_locked_and_amd_has_not() -> Outcome {
    let stage = locking(leaving()?, SPLIT)?;
    equal(stage.run()?, Exit::BusLock)?;
    let rip = stage.registers()?.rip;
    holds(rip == stage.at(0) || rip == stage.at(1), "the guest stands at the access, or behind it")
}
claim!(
    intel_has_locked_and_amd_has_not,
    "At KVM_EXIT_X86_BUS_LOCK RIP is at the instruction that locked, as AMD has it, or behind it, as Intel has",
    [Api(CAP)],
    AtLeast(KVM_CAP_X86_BUS_LOCK_EXIT, 2),
);

fn whole_locks_do_not_leave() -> Outcome {
    equal(locking(leaving()?, WHOLE)?.run()?, Exit::Hlt)
}
claim!(
    whole_locks_do_not_leave,
    "A locked access within a cache line leaves no KVM_EXIT_X86_BUS_LOCK",
    [Api(CAP)],
    AtLeast(KVM_CAP_X86_BUS_LOCK_EXIT, 2),
);

fn nothing_leaves_unasked() -> Outcome {
    let stage = locking(Kvm::open()?.create_vm(0)?, WHOLE)?;
    equal(stage.run()?, Exit::Hlt)?;
    equal(stage.page()?.flags(), 0)
}
claim!(
    nothing_leaves_unasked,
    "Without KVM_CAP_X86_BUS_LOCK_EXIT a locked access leaves no exit and no flag",
    [Api(CAP)],
);
