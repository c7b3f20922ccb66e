//! The size of a guest_memfd, which ftruncate() cannot change.

use harness::kvm::{EINVAL, KVM_CAP_GUEST_MEMFD, Vm};
use harness::{HostFault, Outcome, Stop, claim, each, equal, fails, succeeds, unchanged};
use rustix::fs::{FileType, fstat, ftruncate};

use super::lesser::{MEMFD_SIZE, Memfd};

/// The file's size, in bytes.
pub(super) fn size(memory: &Memfd) -> Result<i64, Stop> {
    fstat(&memory.memfd)
        .map(|status| status.st_size)
        .map_err(|errno| Stop::HostFault(HostFault(format!("fstat failed: {errno}"))))
}

fn is_refused(memory: Memfd) -> Outcome {
    unchanged(
        || size(&memory),
        || {
            each([0, 1, 0x1000, MEMFD_SIZE, MEMFD_SIZE + 0x1000, 1 << 40], |to| {
                fails(EINVAL, ftruncate(&memory.memfd, *to))
            })
        },
    )
}
claim!(
    is_refused,
    "ftruncate() of a guest_memfd fails with EINVAL, even to the size that it has",
    [Api("4.142 KVM_CREATE_GUEST_MEMFD"), Code("kvm_gmem_setattr, virt/kvm/guest_memfd.c")],
    Has(KVM_CAP_GUEST_MEMFD)
);

fn is_what_was_asked_for(vm: Vm) -> Outcome {
    each([0x1000_u64, 0x5000, 1 << 30, 1 << 40], |asked| {
        let memfd = succeeds(vm.create_guest_memfd(*asked, 0))?;
        let status = succeeds(fstat(&memfd))?;
        equal(FileType::from_raw_mode(status.st_mode), FileType::RegularFile)?;
        equal(u64::try_from(status.st_size), Ok(*asked))
    })
}
claim!(
    is_what_was_asked_for,
    "A guest_memfd is a regular file of the size that KVM_CREATE_GUEST_MEMFD was asked for",
    [Api("4.142 KVM_CREATE_GUEST_MEMFD"), Code("__kvm_gmem_create, virt/kvm/guest_memfd.c")],
    Has(KVM_CAP_GUEST_MEMFD)
);
