//! KVM_CAP_SGX_ATTRIBUTE: api.rst 7.25.

use std::os::fd::{AsFd, AsRawFd};

use harness::kvm::{EINVAL, KVM_CAP_SGX_ATTRIBUTE, Kvm};
use harness::{Outcome, claim, each};

use super::step::Answer::{Fails, Works};
use super::step::Step::{Enable, Vcpu};
use super::step::in_order;

fn takes_an_attribute_file(kvm: Kvm) -> Outcome {
    let vm = kvm.create_vm(0)?;
    let ours = |fd: &dyn AsFd| u64::from(fd.as_fd().as_raw_fd().unsigned_abs());
    each([ours(&kvm), ours(&vm), 0x7fff_ffff, u64::MAX], |fd| {
        in_order(&vm, &[(Enable(KVM_CAP_SGX_ATTRIBUTE, *fd), Fails(EINVAL))])
    })?;
    let steps = [(Vcpu(0), Works), (Enable(KVM_CAP_SGX_ATTRIBUTE, ours(&kvm)), Fails(EINVAL))];
    in_order(&vm, &steps)
}
claim!(
    takes_an_attribute_file,
    "KVM_CAP_SGX_ATTRIBUTE is refused with EINVAL for anything but a descriptor of an SGX attribute file",
    [Api("7.25 KVM_CAP_SGX_ATTRIBUTE")],
    Has(KVM_CAP_SGX_ATTRIBUTE)
);
