//! KVM_EXIT_EXCEPTION: an exception that Intel's KVM neither handles nor hands on. The documentation has it "unused"; the one way there
//! that is left is a split lock of the guest on a host that forbids split locks.

use guests::iced_x86::code_asm::{dword_ptr, eax, ptr};
use guests::{Mode, SCRATCH};
use harness::kvm::{Exit, Kvm};
use harness::{Outcome, Stop, claim, equal};

use super::stage::Stage;

/// #AC.
const ALIGNMENT_CHECK: u32 = 17;

/// Whether the host kills what locks across cache lines.
fn split_locks_are_fatal() -> bool {
    let command_line = std::fs::read_to_string("/proc/cmdline").unwrap_or_default();
    command_line.split_whitespace().any(|word| word == "split_lock_detect=fatal")
}

fn split_locks_are_told() -> Outcome {
    if !split_locks_are_fatal() {
        return Err(Stop::Skip("the host was not booted with split_lock_detect=fatal".into()));
    }
    let stage = Stage::within(Kvm::open()?.create_vm(0)?, Mode::Protected, |a| {
        a.lock().xadd(dword_ptr(ptr(SCRATCH + 0x3e)), eax)?;
        a.hlt()
    })?;
    equal(stage.run()?, Exit::Exception { exception: ALIGNMENT_CHECK, error_code: 0 })?;
    stage.stands(0, |_| ())
}
claim!(
    split_locks_are_told,
    "On a host where split locks are fatal, a guest's split lock leaves KVM_EXIT_EXCEPTION with #AC, RIP at it",
    [Code("handle_exception_nmi, arch/x86/kvm/vmx/vmx.c")],
    Intel,
);
