//! KVM_GET_API_VERSION: api.rst 4.1.

use harness::kvm::{Descriptor, EINVAL, KVM_GET_API_VERSION, Kvm};
use harness::{Outcome, claim, equal, fails};

use super::arguments::NotZero;

fn is_twelve(kvm: Kvm) -> Outcome {
    equal(kvm.get_api_version()?, 12)
}
claim!(is_twelve, "KVM_GET_API_VERSION answers 12", [Api("4.1 KVM_GET_API_VERSION")]);

fn refuses_an_argument(kvm: Kvm, argument: NotZero) -> Outcome {
    fails(EINVAL, kvm.value(KVM_GET_API_VERSION, argument.0))
}
claim!(
    refuses_an_argument,
    "KVM_GET_API_VERSION refuses any argument but zero",
    [Code("kvm_dev_ioctl, virt/kvm/kvm_main.c")]
);
