//! The bits of a capability's first argument: which of them KVM_ENABLE_CAP takes on a VM.

use harness::kvm::{Cap, EINVAL, Vm};
use harness::{Outcome, fails};

use super::shown::Shown;

/// Every bit but the `known` ones is refused with EINVAL, alone and beside the known ones, and changes nothing.
#[track_caller]
pub(crate) fn refuses_all_but(known: u64, vm: &Vm, cap: Cap) -> Outcome {
    let before = Shown::of(vm, &[])?;
    for bit in (0..u64::BITS).map(|bit| 1 << bit).filter(|bit| bit & known == 0) {
        for argument in [bit, bit | known] {
            let refused = fails(EINVAL, vm.enable_cap(cap, [argument, 0, 0, 0]));
            refused.map_err(|stop| stop.during(format_args!("with {argument:#x}")))?;
        }
    }
    before.is_still(vm, &[])
}
