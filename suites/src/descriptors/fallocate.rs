//! fallocate() on a guest_memfd: pages can be made and taken away, within the size that it was made with.

use harness::kvm::{EINVAL, EOPNOTSUPP, KVM_CAP_GUEST_MEMFD};
use harness::{Outcome, claim, each, fails, succeeds, unchanged};
use rustix::fs::{FallocateFlags, fallocate};

use super::ftruncate::size;
use super::lesser::{MEMFD_SIZE, Memfd};

const PAGE: u64 = 0x1000;
const ALLOCATE: FallocateFlags = FallocateFlags::KEEP_SIZE;
const PUNCH_HOLE: FallocateFlags = FallocateFlags::KEEP_SIZE.union(FallocateFlags::PUNCH_HOLE);

fn refuses_to_grow(memory: Memfd) -> Outcome {
    let modes = [
        FallocateFlags::empty(),
        FallocateFlags::ZERO_RANGE,
        FallocateFlags::KEEP_SIZE.union(FallocateFlags::ZERO_RANGE),
        FallocateFlags::UNSHARE_RANGE,
    ];
    unchanged(
        || size(&memory),
        || each(modes, |mode| fails(EOPNOTSUPP, fallocate(&memory.memfd, *mode, 0, PAGE))),
    )
}
claim!(
    refuses_to_grow,
    "fallocate() on a guest_memfd knows FALLOC_FL_KEEP_SIZE with or without FALLOC_FL_PUNCH_HOLE, and answers EOPNOTSUPP else",
    [Code("kvm_gmem_fallocate, virt/kvm/guest_memfd.c")],
    Has(KVM_CAP_GUEST_MEMFD)
);

fn takes_whole_pages(memory: Memfd) -> Outcome {
    unchanged(
        || size(&memory),
        || {
            each(
                [(1, PAGE), (PAGE - 1, PAGE), (0, 1), (0, PAGE - 1), (PAGE, PAGE + 1)],
                |(offset, length)| {
                    fails(EINVAL, fallocate(&memory.memfd, ALLOCATE, *offset, *length))?;
                    fails(EINVAL, fallocate(&memory.memfd, PUNCH_HOLE, *offset, *length))
                },
            )
        },
    )
}
claim!(
    takes_whole_pages,
    "fallocate() on a guest_memfd fails with EINVAL for an offset or length that is no multiple of a page",
    [Code("kvm_gmem_fallocate, virt/kvm/guest_memfd.c")],
    Has(KVM_CAP_GUEST_MEMFD)
);

fn ends_at_the_size(memory: Memfd) -> Outcome {
    unchanged(
        || size(&memory),
        || {
            each(
                [(0, MEMFD_SIZE + PAGE), (MEMFD_SIZE, PAGE), (MEMFD_SIZE - PAGE, 2 * PAGE)],
                |(offset, length)| fails(EINVAL, fallocate(&memory.memfd, ALLOCATE, *offset, *length)),
            )
        },
    )
}
claim!(
    ends_at_the_size,
    "fallocate() that would allocate past the end of a guest_memfd fails with EINVAL",
    [Code("kvm_gmem_allocate, virt/kvm/guest_memfd.c")],
    Has(KVM_CAP_GUEST_MEMFD)
);

fn keeps_the_size(memory: Memfd) -> Outcome {
    unchanged(
        || size(&memory),
        || {
            each([(0, MEMFD_SIZE), (PAGE, PAGE), (MEMFD_SIZE - PAGE, PAGE)], |(offset, length)| {
                succeeds(fallocate(&memory.memfd, ALLOCATE, *offset, *length))?;
                succeeds(fallocate(&memory.memfd, ALLOCATE, *offset, *length))?;
                succeeds(fallocate(&memory.memfd, PUNCH_HOLE, *offset, *length))?;
                succeeds(fallocate(&memory.memfd, PUNCH_HOLE, *offset, *length))
            })
        },
    )
}
claim!(
    keeps_the_size,
    "fallocate() allocates pages of a guest_memfd and punches holes, any number of times, and keeps its size",
    [Api("4.142 KVM_CREATE_GUEST_MEMFD"), Code("kvm_gmem_fallocate, virt/kvm/guest_memfd.c")],
    Has(KVM_CAP_GUEST_MEMFD)
);

fn punches_holes_past_the_end(memory: Memfd) -> Outcome {
    unchanged(
        || size(&memory),
        || {
            succeeds(fallocate(&memory.memfd, PUNCH_HOLE, MEMFD_SIZE, PAGE))?;
            succeeds(fallocate(&memory.memfd, PUNCH_HOLE, 0, 4 * MEMFD_SIZE))
        },
    )?;
    succeeds(fallocate(&memory.memfd, ALLOCATE, 0, MEMFD_SIZE))
}
claim!(
    punches_holes_past_the_end,
    "fallocate() punches a hole past the end of a guest_memfd without complaint",
    [Code("kvm_gmem_punch_hole, virt/kvm/guest_memfd.c")],
    Has(KVM_CAP_GUEST_MEMFD)
);
