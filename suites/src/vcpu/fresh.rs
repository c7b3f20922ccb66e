//! vCPUs as KVM_CREATE_VCPU makes them.

use harness::kvm::Vcpu;
use harness::{Controllers, Outcome, each};

/// `check` holds for a fresh bootstrap processor and for a fresh application processor, wherever the interrupt controllers live.
#[track_caller]
pub(crate) fn each_fresh(check: impl Fn(&Vcpu) -> Outcome) -> Outcome {
    each(Controllers::ALL, |controllers| {
        let vm = controllers.vm()?;
        each([0, 1], |id| check(&vm.create_vcpu(*id)?))
    })
}
