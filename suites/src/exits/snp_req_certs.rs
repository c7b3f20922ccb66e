//! KVM_EXIT_SNP_REQ_CERTS: a guest of SEV-SNP wants the host's certificates. Only such a guest makes it; here is what the same request
//! does in every other.

use guests::{Mode, SCRATCH};
use harness::kvm::Exit;
use harness::{Outcome, claim, equal};

use super::stage::Stage;

/// SVM_VMGEXIT_EXT_GUEST_REQUEST.
const EXTENDED_REQUEST: u64 = 0x8000_0012;

fn ordinary_guests_ask_for_none() -> Outcome {
    let mut stage = Stage::of(Mode::Long, |a| {
        a.vmgexit()?;
        a.hlt()
    })?;
    // A block as SEV-SNP lays it: the exit code, and both pieces of information.
    for (at, value) in [(0x390, EXTENDED_REQUEST), (0x398, SCRATCH + 0x1000), (0x3a0, SCRATCH + 0x2000)] {
        stage.lay(SCRATCH + at, &value.to_le_bytes())?;
    }
    stage.enter_with(|regs| regs.rax = SCRATCH)?;
    equal(stage.run()?, Exit::Hlt)?;
    stage.ended(|end| end.regs.rax = (-1000i64).cast_unsigned())
}
claim!(
    ordinary_guests_ask_for_none,
    "An extended guest request in a guest that is not SEV-SNP's is answered ENOSYS and leaves no KVM_EXIT_SNP_REQ_CERTS",
    [
        Manual("AMD APM volume 3, VMGEXIT"),
        Manual("SEV-ES Guest-Hypervisor Communication Block Standardization 4.1.8")
    ],
    Amd,
);
