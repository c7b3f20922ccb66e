//! KVM_GET_VCPU_MMAP_SIZE: api.rst 4.5.

use harness::kvm::{Descriptor, EINVAL, KVM_CAP_COALESCED_MMIO, KVM_GET_VCPU_MMAP_SIZE, Kvm};
use harness::{HostFault, Outcome, Stop, claim, equal, fails, holds};

use super::arguments::NotZero;

const PAGE: usize = 4096;

fn is_three_pages(kvm: Kvm) -> Outcome {
    equal(kvm.get_vcpu_mmap_size()?, 3 * PAGE)
}
claim!(
    is_three_pages,
    "KVM_GET_VCPU_MMAP_SIZE answers three pages: struct kvm_run, port I/O data, coalesced MMIO",
    [Code("kvm_dev_ioctl, virt/kvm/kvm_main.c")]
);

fn covers_the_coalesced_ring(kvm: Kvm) -> Outcome {
    let page = usize::try_from(kvm.check_extension(KVM_CAP_COALESCED_MMIO)?)
        .map_err(|_| Stop::HostFault(HostFault("KVM_CAP_COALESCED_MMIO is negative".into())))?;
    let size = kvm.get_vcpu_mmap_size()?;
    holds(size >= (page + 1) * PAGE, format_args!("{size} bytes hold page {page}, the coalesced MMIO ring"))
}
claim!(
    covers_the_coalesced_ring,
    "KVM_GET_VCPU_MMAP_SIZE includes the page that KVM_CAP_COALESCED_MMIO names",
    [Api("4.5 KVM_GET_VCPU_MMAP_SIZE")],
    Has(KVM_CAP_COALESCED_MMIO)
);

fn refuses_an_argument(kvm: Kvm, argument: NotZero) -> Outcome {
    fails(EINVAL, kvm.value(KVM_GET_VCPU_MMAP_SIZE, argument.0))
}
claim!(
    refuses_an_argument,
    "KVM_GET_VCPU_MMAP_SIZE refuses any argument but zero",
    [Code("kvm_dev_ioctl, virt/kvm/kvm_main.c")]
);
