//! KVM_EXIT_TDX: a guest of TDX asks its host for something. Only such a guest makes it; here is what its instruction does in every
//! other.

use harness::kvm::Exit;
use harness::{Outcome, claim, equal};

use super::generated::InMode;
use super::stage::{Stage, handler};

fn tdcall_is_undefined_elsewhere(mode: InMode) -> Outcome {
    let mut stage = Stage::of(mode.0, |a| {
        a.tdcall()?;
        a.hlt()
    })?;
    stage.catch_exceptions()?;
    equal(stage.run()?, Exit::Hlt)?;
    equal(stage.registers()?.rip, handler(6))
}
claim!(
    tdcall_is_undefined_elsewhere,
    "TDCALL in a guest that is not TDX's gives it #UD and leaves no KVM_EXIT_TDX",
    [Manual("Intel SDM volume 2, TDCALL")],
);
