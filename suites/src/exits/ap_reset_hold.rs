//! KVM_EXIT_AP_RESET_HOLD: a guest with encrypted state waits for its start-up. Only such a guest makes it; here is what its
//! instruction does in every other.

use guests::Mode;
use harness::kvm::Exit;
use harness::{Outcome, claim, each, equal};

use super::stage::Stage;

/// The guest-hypervisor communication block's request for it, as a guest lays it in RAX for want of a block.
const AP_RESET_HOLD: u64 = 0x8000_0004;

fn vmgexit_is_vmmcall_elsewhere() -> Outcome {
    each([Mode::Protected, Mode::Long], |&mode| {
        let mut stage = Stage::of(mode, |a| {
            a.vmgexit()?;
            a.hlt()
        })?;
        stage.enter_with(|regs| regs.rax = AP_RESET_HOLD)?;
        equal(stage.run()?, Exit::Hlt)?;
        let enosys = (-1000i64).cast_unsigned();
        stage.ended(|end| end.regs.rax = if mode == Mode::Long { enosys } else { enosys & 0xffff_ffff })
    })
}
claim!(
    vmgexit_is_vmmcall_elsewhere,
    "VMGEXIT in a guest whose state is not encrypted is VMMCALL, answered ENOSYS, and leaves no KVM_EXIT_AP_RESET_HOLD",
    [Manual("AMD APM volume 3, VMGEXIT"), Doc("virt/kvm/x86/hypercalls.rst, KVM Hypercalls Documentation")],
    Amd,
);
