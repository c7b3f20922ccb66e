//! KVM_EXIT_NOTIFY: a guest that lets no event in for too long, on processors of Intel's that tell of it.

use guests::Mode;
use harness::kvm::{Exit, KVM_CAP_X86_NOTIFY_VMEXIT, Kvm, Vm};
use harness::{Broken, Outcome, Stop, claim, equal};

use super::stage::Stage;

/// The headings that all of this rests on.
const NOTIFY: &str = "5. The kvm_run structure, KVM_EXIT_NOTIFY";
const CAP: &str = "7.33 KVM_CAP_X86_NOTIFY_VMEXIT";
/// KVM_X86_NOTIFY_VMEXIT_ENABLED and KVM_X86_NOTIFY_VMEXIT_USER, with a window of 128 Ki cycles.
const TELL: u64 = 0x2_0000 << 32 | 3;

/// A VM that tells of guests that let nothing in.
fn telling() -> Result<Vm, Stop> {
    let vm = Kvm::open()?.create_vm(0)?;
    vm.enable_cap(KVM_CAP_X86_NOTIFY_VMEXIT, [TELL, 0, 0, 0])?;
    Ok(vm)
}

fn endless_delivery_is_told() -> Outcome {
    // #AC whose delivery raises #AC: with alignment checks on and a stack that is not aligned, at privilege level 3.
    let mut stage = Stage::within(telling()?, Mode::Protected, |a| a.int3())?;
    stage.catch_exceptions()?;
    stage.enter_under(|sregs| {
        sregs.cr0 |= 1 << 18;
        (sregs.cs.dpl, sregs.ss.dpl) = (3, 3);
        (sregs.cs.selector, sregs.ss.selector) = (sregs.cs.selector | 3, sregs.ss.selector | 3);
        // A conforming code segment keeps the handlers at level 3.
        sregs.cs.type_ = 0xf;
    })?;
    stage.enter_with(|regs| (regs.rsp, regs.rflags) = (regs.rsp - 1, regs.rflags | 1 << 18))?;
    match stage.run()? {
        Exit::Notify { flags } => equal(flags & !1, 0),
        other => Err(Stop::Skip(format!("this processor came out of it by itself: {other:x?}"))),
    }
}
claim!(
    endless_delivery_is_told,
    "A guest whose exceptions raise exceptions without an end leaves KVM_EXIT_NOTIFY with no unknown flag",
    [Api(NOTIFY), Api(CAP)],
    Has(KVM_CAP_X86_NOTIFY_VMEXIT),
    Intel,
);

fn ordinary_guests_are_not_told_of() -> Outcome {
    let stage = Stage::within(telling()?, Mode::Protected, |a| {
        for _ in 0..1000 {
            a.nop()?;
        }
        a.hlt()
    })?;
    match stage.run()? {
        Exit::Hlt => stage.ended(|_| ()),
        other => Err(Broken::new(format!("expected KVM_EXIT_HLT, saw {other:x?}")).into()),
    }
}
claim!(
    ordinary_guests_are_not_told_of,
    "A guest whose instructions end leaves no KVM_EXIT_NOTIFY, although it is asked for",
    [Api(CAP)],
    Has(KVM_CAP_X86_NOTIFY_VMEXIT),
);
