//! mmap of a vCPU's descriptor: api.rst 4.5, which pages there are, and how they may be mapped.

use harness::kvm::{Descriptor, EINVAL, Exit, KVM_RUN, Kvm, Vcpu, Vm};
use harness::process::{Ended, in_child};
use harness::{Outcome, claim, each, equal, fails, succeeds};
use libc::{MAP_PRIVATE, MAP_SHARED, PROT_READ, SIGBUS};

use super::pages::{COUNTED, MARK, MARKS, PAGE, PIO, RING, RUN, RW, map, mark, marks};
use super::real_mode::RealMode;

/// Pages of a vCPU without a dirty ring at which nothing lies, from the first to one far out.
const BEYOND: [usize; 7] = [3, 4, 15, 63, 64, 65, 1 << 38];

fn counts_three_pages(kvm: Kvm) -> Outcome {
    equal(kvm.get_vcpu_mmap_size()?, COUNTED * PAGE)
}
claim!(
    counts_three_pages,
    "KVM_GET_VCPU_MMAP_SIZE counts the run page, the port I/O page and the coalesced MMIO ring",
    [Api("4.5 KVM_GET_VCPU_MMAP_SIZE"), Code("kvm_dev_ioctl, virt/kvm/kvm_main.c")],
);

fn every_counted_page_is_there(kvm: Kvm, vcpu: Vcpu) -> Outcome {
    let mapped = vcpu.map(kvm.get_vcpu_mmap_size()?, RW, MAP_SHARED, 0)?;
    each([0, MARK], |&at| {
        let pages: Vec<_> = (0..mapped.len()).step_by(PAGE).zip(1u8..).collect();
        for (start, value) in &pages {
            mapped.put(start + at, *value);
        }
        each(pages, |&(start, value)| equal(mapped.get::<u8>(start + at), value))
    })
}
claim!(
    every_counted_page_is_there,
    "Every page that KVM_GET_VCPU_MMAP_SIZE counts can be read and written",
    [Api("4.5 KVM_GET_VCPU_MMAP_SIZE")],
);

fn new_pages_hold_zeroes(vcpu: Vcpu) -> Outcome {
    equal(map(&vcpu, RUN, COUNTED)?.copy(0, COUNTED * PAGE), vec![0; COUNTED * PAGE])
}
claim!(
    new_pages_hold_zeroes,
    "A new vCPU's run page, port I/O page and coalesced MMIO ring hold zeroes",
    [Code("kvm_vm_ioctl_create_vcpu and kvm_coalesced_mmio_init, virt/kvm")],
);

fn pages_map_one_by_one(vcpu: Vcpu) -> Outcome {
    let whole = map(&vcpu, RUN, COUNTED)?;
    mark(&whole);
    each([RUN, PIO, RING], |&page| equal(map(&vcpu, page, 1)?.get(MARK), MARKS[page]))
}
claim!(
    pages_map_one_by_one,
    "Each page of a vCPU can be mapped by itself and shows what a mapping of all of them shows",
    [Code("kvm_vcpu_fault, virt/kvm/kvm_main.c")],
);

fn one_page_is_enough() -> Outcome {
    let guest = RealMode::running(&[0xf4])?;
    let run_page = map(&guest.vcpu, RUN, 1)?;
    run_page.put(Exit::REASON, 0xdead_u32);
    guest.vcpu.value(KVM_RUN, 0)?;
    equal(Exit::decode(&run_page), Exit::Hlt)?;
    guest.ended(|_| ())
}
claim!(
    one_page_is_enough,
    "A mapping shorter than KVM_GET_VCPU_MMAP_SIZE shows the exit of KVM_RUN",
    [Code("kvm_vcpu_mmap, virt/kvm/kvm_main.c")],
);

fn runs_without_a_mapping() -> Outcome {
    let guest = RealMode::running(&[0x90, 0xf4])?; // nop; hlt
    succeeds(guest.vcpu.value(KVM_RUN, 0))?;
    equal(Exit::decode(&map(&guest.vcpu, RUN, 1)?), Exit::Hlt)?;
    guest.ended(|_| ())
}
claim!(
    runs_without_a_mapping,
    "KVM_RUN needs no mapping of the run page, and one made afterwards shows its exit",
    [Code("kvm_vcpu_fault, virt/kvm/kvm_main.c")],
);

fn longer_mappings_end_in_sigbus(vcpu: Vcpu) -> Outcome {
    let longer = map(&vcpu, RUN, 66)?;
    equal(longer.get::<u8>(COUNTED * PAGE - 1), 0)?;
    each(BEYOND.into_iter().filter(|page| *page < 66), |&page| {
        equal(in_child(|| longer.get::<u8>(page * PAGE))?, Ended::Killed(SIGBUS))
    })
}
claim!(
    longer_mappings_end_in_sigbus,
    "A mapping longer than KVM_GET_VCPU_MMAP_SIZE is accepted, and reading past the last page raises SIGBUS",
    [Code("kvm_vcpu_mmap and kvm_vcpu_fault, virt/kvm/kvm_main.c")],
);

fn offsets_beyond_end_in_sigbus(vcpu: Vcpu) -> Outcome {
    each(BEYOND, |&page| {
        let beyond = map(&vcpu, page, 1)?;
        equal(in_child(|| beyond.put(0, 1u8))?, Ended::<()>::Killed(SIGBUS))
    })
}
claim!(
    offsets_beyond_end_in_sigbus,
    "A mapping at an offset past the last page of a vCPU is accepted, and writing there raises SIGBUS",
    [Code("kvm_vcpu_mmap and kvm_vcpu_fault, virt/kvm/kvm_main.c")],
);

fn empty_mappings_are_refused(vcpu: Vcpu) -> Outcome {
    each([MAP_SHARED, MAP_PRIVATE], |&sharing| fails(EINVAL, vcpu.map(0, RW, sharing, 0)))
}
claim!(
    empty_mappings_are_refused,
    "mmap of no bytes of a vCPU is refused with EINVAL",
    [Manual("mmap(2): EINVAL, length was 0")],
);

fn mappings_are_shared_or_private(vcpu: Vcpu) -> Outcome {
    fails(EINVAL, vcpu.map(PAGE, RW, 0, 0))
}
claim!(
    mappings_are_shared_or_private,
    "mmap of a vCPU with neither MAP_SHARED nor MAP_PRIVATE is refused with EINVAL",
    [Manual("mmap(2): EINVAL, flags contained none of MAP_PRIVATE, MAP_SHARED, or MAP_SHARED_VALIDATE")],
);

fn growing_keeps_the_pages(vcpu: Vcpu) -> Outcome {
    let mut mapped = map(&vcpu, RUN, 1)?;
    let other = map(&vcpu, RUN, COUNTED)?;
    mapped.resize((COUNTED + 1) * PAGE)?;
    mark(&other);
    equal(marks(&mapped), MARKS)?;
    equal(in_child(|| mapped.get::<u8>(COUNTED * PAGE))?, Ended::Killed(SIGBUS))
}
claim!(
    growing_keeps_the_pages,
    "A mapping of the run page that mremap makes longer shows the pages behind it, and SIGBUS past the last",
    [Code("kvm_vcpu_fault, virt/kvm/kvm_main.c"), Manual("mremap(2)")],
);

fn shrinking_keeps_the_rest(vcpu: Vcpu) -> Outcome {
    let mut mapped = map(&vcpu, RUN, COUNTED)?;
    let other = map(&vcpu, RUN, 1)?;
    mapped.resize(PAGE)?;
    other.put(MARK, 0x3cu8);
    equal(mapped.get::<u8>(MARK), 0x3c)
}
claim!(
    shrinking_keeps_the_rest,
    "A mapping of a vCPU that mremap makes shorter keeps the run page",
    [Manual("mremap(2)")],
);

fn descriptors_need_not_stay(vm: Vm) -> Outcome {
    let vcpu = vm.create_vcpu(0)?;
    let mapped = map(&vcpu, RUN, COUNTED)?;
    mark(&mapped);
    drop((vcpu, vm));
    equal(marks(&mapped), MARKS)?;
    mapped.put(MARK, 0x88u8);
    equal(marks(&mapped), [0x88, MARKS[PIO], MARKS[RING]])
}
claim!(
    descriptors_need_not_stay,
    "A mapping of a vCPU outlives every descriptor of the vCPU and its VM",
    [Manual("mmap(2): closing the file descriptor does not unmap the region")],
);

fn any_length_will_do(vcpu: Vcpu) -> Outcome {
    let part = succeeds(vcpu.map(1, PROT_READ, MAP_SHARED, 0))?;
    let whole = map(&vcpu, RUN, COUNTED)?;
    whole.put(0, 0x11u8);
    equal(part.get::<u8>(0), 0x11)
}
claim!(
    any_length_will_do,
    "A mapping of a vCPU may have a length that is no multiple of the page size",
    [Manual("mmap(2): the length need not be a multiple of the page size")],
);
