//! mmap of a vCPU's dirty ring: api.rst 4.5, the pages at KVM_DIRTY_LOG_PAGE_OFFSET.

use harness::kvm::{Descriptor, E2BIG, EINVAL, EPERM, KVM_CAP_DIRTY_LOG_RING, Kvm, Refused, Vcpu, Vm, abi};
use harness::process::{Ended, in_child};
use harness::{Outcome, Stop, claim, each, equal, fails, fails_with_one_of, succeeds};
use libc::{MAP_PRIVATE, MAP_SHARED, PROT_EXEC, PROT_READ, SIGBUS};

use super::dirty_gfns::{DirtyGfns, PAGES, vm_with_rings};
use super::pages::{COUNTED, DIRTY, PAGE, RUN, RW, map};

fn vcpu_with_ring() -> Result<Vcpu, Stop> {
    Ok(vm_with_rings()?.create_vcpu(0)?)
}

/// Where a page of a vCPU lies, in bytes.
fn at(page: usize) -> u64 {
    (page * PAGE) as u64
}

fn new_rings_hold_zeroes() -> Outcome {
    let ring = map(&vcpu_with_ring()?, DIRTY, PAGES)?;
    equal(ring.copy(0, PAGES * PAGE), vec![0; PAGES * PAGE])
}
claim!(
    new_rings_hold_zeroes,
    "A new vCPU's dirty ring is mapped at KVM_DIRTY_LOG_PAGE_OFFSET and holds zeroes",
    [Api("4.5 KVM_GET_VCPU_MMAP_SIZE"), Code("kvm_dirty_ring_alloc, virt/kvm/dirty_ring.c")],
    Has(KVM_CAP_DIRTY_LOG_RING),
);

fn rings_end_in_sigbus() -> Outcome {
    let mapped = map(&vcpu_with_ring()?, RUN, DIRTY + PAGES + 1)?;
    each([DIRTY - 1, DIRTY + PAGES], |&page| {
        equal(in_child(|| mapped.get::<u8>(page * PAGE))?, Ended::Killed(SIGBUS))
    })?;
    equal((mapped.get::<u8>(DIRTY * PAGE), mapped.get::<u8>((DIRTY + PAGES) * PAGE - 1)), (0, 0))
}
claim!(
    rings_end_in_sigbus,
    "The dirty ring has as many pages as were asked for, and reading beside them raises SIGBUS",
    [Code("kvm_page_in_dirty_ring, virt/kvm/kvm_main.c")],
    Has(KVM_CAP_DIRTY_LOG_RING),
);

fn rings_are_not_counted(kvm: Kvm) -> Outcome {
    let _vcpu = vcpu_with_ring()?;
    equal(kvm.get_vcpu_mmap_size()?, COUNTED * PAGE)
}
claim!(
    rings_are_not_counted,
    "KVM_GET_VCPU_MMAP_SIZE does not count the pages of the dirty ring",
    [Api("4.5 KVM_GET_VCPU_MMAP_SIZE"), Code("kvm_dev_ioctl, virt/kvm/kvm_main.c")],
    Has(KVM_CAP_DIRTY_LOG_RING),
);

fn private_rings_are_refused() -> Outcome {
    let vcpu = vcpu_with_ring()?;
    let (first, last) = (DIRTY, DIRTY + PAGES - 1);
    each([(first, 1), (last, 1), (first, PAGES), (RUN, first + 1), (last, 2)], |&(from, pages)| {
        fails(EINVAL, vcpu.map(pages * PAGE, PROT_READ, MAP_PRIVATE, at(from)))
    })
}
claim!(
    private_rings_are_refused,
    "A private mapping that begins or ends in the dirty ring is refused with EINVAL",
    [Code("kvm_vcpu_mmap, virt/kvm/kvm_main.c")],
    Has(KVM_CAP_DIRTY_LOG_RING),
);

fn private_mappings_around_are_accepted() -> Outcome {
    let vcpu = vcpu_with_ring()?;
    // Only the first page and the last are looked at, though the mapping holds all of the ring.
    let around = succeeds(vcpu.map((PAGES + 2) * PAGE, RW, MAP_PRIVATE, at(DIRTY - 1)))?;
    let ring = DirtyGfns::of(&vcpu)?;
    around.put(PAGE, 3u32);
    equal((around.get::<u32>(PAGE), ring.entry(0)), (3, abi::kvm_dirty_gfn::default()))
}
claim!(
    private_mappings_around_are_accepted,
    "A private mapping that begins before the dirty ring and ends after it is accepted, and writes to it stay private",
    [Observed("kvm_vcpu_mmap, virt/kvm/kvm_main.c, asks of the first page and the last only")],
    Has(KVM_CAP_DIRTY_LOG_RING),
);

fn executable_rings_are_refused() -> Outcome {
    let vcpu = vcpu_with_ring()?;
    each([(DIRTY, 1), (DIRTY, PAGES), (RUN, DIRTY + 1)], |&(from, pages)| {
        // EPERM where anonymous inodes are on a superblock with SB_I_NOEXEC, as they are since Linux 6.16.
        fails_with_one_of(
            &[EINVAL, EPERM],
            vcpu.map(pages * PAGE, PROT_READ | PROT_EXEC, MAP_SHARED, at(from)),
        )
    })
}
claim!(
    executable_rings_are_refused,
    "A mapping of the dirty ring with PROT_EXEC is refused",
    [Code("kvm_vcpu_mmap, virt/kvm/kvm_main.c")],
    Has(KVM_CAP_DIRTY_LOG_RING),
);

fn private_mappings_elsewhere_are_accepted() -> Outcome {
    let vcpu = vcpu_with_ring()?;
    each([(RUN, 3), (RUN, DIRTY), (DIRTY + PAGES, 1)], |&(from, pages)| {
        succeeds(vcpu.map(pages * PAGE, RW, MAP_PRIVATE, at(from))).map(drop)
    })
}
claim!(
    private_mappings_elsewhere_are_accepted,
    "A private mapping that holds no page of the dirty ring is accepted",
    [Code("kvm_vcpu_mmap, virt/kvm/kvm_main.c")],
    Has(KVM_CAP_DIRTY_LOG_RING),
);

fn ask(vm: &Vm, size: u64) -> Result<i32, Refused> {
    vm.enable_cap(KVM_CAP_DIRTY_LOG_RING, [size, 0, 0, 0])
}

fn odd_sizes_are_refused(vm: Vm) -> Outcome {
    let most = u64::try_from(vm.check_extension(KVM_CAP_DIRTY_LOG_RING)?).unwrap_or(0);
    each([0, 1, 16, 2048, 3 * 4096, most - 1, most / 2 + 4096], |&size| fails(EINVAL, ask(&vm, size)))?;
    each([most * 2, 1 << 31], |&size| fails(E2BIG, ask(&vm, size)))?;
    let vcpu = vm.create_vcpu(0)?;
    let ring = map(&vcpu, DIRTY, 1)?;
    equal(in_child(|| ring.get::<u8>(0))?, Ended::Killed(SIGBUS))
}
claim!(
    odd_sizes_are_refused,
    "A dirty ring must be a power of two of bytes, a page at least and what KVM_CAP_DIRTY_LOG_RING answers at most",
    [
        Api("8.29 KVM_CAP_DIRTY_LOG_RING/KVM_CAP_DIRTY_LOG_RING_ACQ_REL"),
        Code("kvm_vm_ioctl_enable_dirty_log_ring, virt/kvm/kvm_main.c"),
    ],
    Has(KVM_CAP_DIRTY_LOG_RING),
);

fn the_largest_ring_is_mapped(vm: Vm) -> Outcome {
    let most = usize::try_from(vm.check_extension(KVM_CAP_DIRTY_LOG_RING)?).unwrap_or(0);
    succeeds(ask(&vm, most as u64))?;
    let vcpu = vm.create_vcpu(0)?;
    let ring = map(&vcpu, DIRTY, most / PAGE + 1)?;
    each((0..most / PAGE).step_by(17), |&page| equal(ring.get::<u64>(page * PAGE + 0xff8), 0))?;
    equal(in_child(|| ring.get::<u8>(most))?, Ended::Killed(SIGBUS))
}
claim!(
    the_largest_ring_is_mapped,
    "A dirty ring of the size that KVM_CAP_DIRTY_LOG_RING answers is mapped whole",
    [Code("kvm_vm_ioctl_check_extension_generic, virt/kvm/kvm_main.c")],
    Has(KVM_CAP_DIRTY_LOG_RING),
);

fn rings_come_before_vcpus(vm: Vm) -> Outcome {
    let vcpu = vm.create_vcpu(0)?;
    fails(EINVAL, ask(&vm, at(PAGES)))?;
    let ring = map(&vcpu, DIRTY, 1)?;
    equal(in_child(|| ring.get::<u8>(0))?, Ended::Killed(SIGBUS))
}
claim!(
    rings_come_before_vcpus,
    "KVM_CAP_DIRTY_LOG_RING is refused with EINVAL once the VM has a vCPU, which stays without a ring",
    [Api("8.29 KVM_CAP_DIRTY_LOG_RING/KVM_CAP_DIRTY_LOG_RING_ACQ_REL")],
    Has(KVM_CAP_DIRTY_LOG_RING),
);

fn rings_come_once() -> Outcome {
    let vm = vm_with_rings()?;
    each([PAGES, 2 * PAGES], |&pages| fails(EINVAL, ask(&vm, at(pages))))?;
    let vcpu = vm.create_vcpu(0)?;
    let ring = map(&vcpu, DIRTY, 2 * PAGES)?;
    equal(ring.get::<u8>(PAGES * PAGE - 1), 0)?;
    equal(in_child(|| ring.get::<u8>(PAGES * PAGE))?, Ended::Killed(SIGBUS))
}
claim!(
    rings_come_once,
    "KVM_CAP_DIRTY_LOG_RING is refused with EINVAL a second time, and the rings keep their size",
    [Code("kvm_vm_ioctl_enable_dirty_log_ring, virt/kvm/kvm_main.c")],
    Has(KVM_CAP_DIRTY_LOG_RING),
);

fn the_upper_half_is_lost(vm: Vm) -> Outcome {
    succeeds(ask(&vm, 1 << 32 | at(PAGES)))?;
    let vcpu = vm.create_vcpu(0)?;
    let ring = map(&vcpu, DIRTY, PAGES + 1)?;
    equal(ring.get::<u8>(PAGES * PAGE - 1), 0)?;
    equal(in_child(|| ring.get::<u8>(PAGES * PAGE))?, Ended::Killed(SIGBUS))
}
claim!(
    the_upper_half_is_lost,
    "KVM_CAP_DIRTY_LOG_RING takes the lower 32 bits of the size and ignores the upper",
    // The size is an u32 from here on, so that 4 GiB and a bit is a bit.
    [Observed("kvm_vm_ioctl_enable_dirty_log_ring, virt/kvm/kvm_main.c, takes an u32")],
    Has(KVM_CAP_DIRTY_LOG_RING),
);
