//! mmap of a vCPU's descriptor: which mappings show the same memory.

use harness::kvm::{Descriptor, EINTR, Exit, KVM_CAP_IMMEDIATE_EXIT, KVM_RUN, Vcpu, Vm};
use harness::process::{Ended, in_child};
use harness::{Outcome, claim, equal, fails};
use libc::{MAP_PRIVATE, PROT_READ};

use super::pages::{COUNTED, MARKS, PAGE, RING, RUN, RW, map, mark, marks};
use super::real_mode::RealMode;

fn two_mappings_are_one_memory(vcpu: Vcpu) -> Outcome {
    let (one, other) = (map(&vcpu, RUN, COUNTED)?, map(&vcpu, RUN, COUNTED)?);
    mark(&one);
    equal(marks(&other), MARKS)
}
claim!(
    two_mappings_are_one_memory,
    "Two mappings of one vCPU show the same pages",
    [Code("kvm_vcpu_fault, virt/kvm/kvm_main.c")],
);

fn two_descriptors_are_one_memory(vcpu: Vcpu) -> Outcome {
    let another = vcpu.another()?;
    let (one, other) = (map(&vcpu, RUN, COUNTED)?, map(&another, RUN, COUNTED)?);
    drop((vcpu, another));
    mark(&one);
    equal(marks(&other), MARKS)
}
claim!(
    two_descriptors_are_one_memory,
    "Mappings of a vCPU's descriptor and of its duplicate show the same pages",
    [Code("kvm_vcpu_fault, virt/kvm/kvm_main.c")],
);

fn vcpus_share_the_ring_alone(vm: Vm) -> Outcome {
    let (first, second) = (vm.create_vcpu(0)?, vm.create_vcpu(1)?);
    let (one, other) = (map(&first, RUN, COUNTED)?, map(&second, RUN, COUNTED)?);
    mark(&one);
    equal(marks(&other), [0, 0, MARKS[RING]])
}
claim!(
    vcpus_share_the_ring_alone,
    "Each vCPU has a run page and a port I/O page of its own, and all of a VM have one coalesced MMIO ring",
    [Code("kvm_vcpu_fault, virt/kvm/kvm_main.c")],
);

fn vms_share_nothing(first: Vcpu, second: Vcpu) -> Outcome {
    let (one, other) = (map(&first, RUN, COUNTED)?, map(&second, RUN, COUNTED)?);
    mark(&one);
    equal((marks(&one), marks(&other)), (MARKS, [0; COUNTED]))
}
claim!(
    vms_share_nothing,
    "The vCPUs of two VMs share no page",
    [Code("kvm_vm_ioctl_create_vcpu and kvm_coalesced_mmio_init, virt/kvm")],
);

fn a_child_inherits_the_memory(vcpu: Vcpu) -> Outcome {
    let mapped = map(&vcpu, RUN, COUNTED)?;
    equal(in_child(|| mark(&mapped))?, Ended::Returned(()))?;
    equal(marks(&mapped), MARKS)
}
claim!(
    a_child_inherits_the_memory,
    "A forked child writes to the same pages through the mapping of a vCPU that it inherits",
    [Manual("mmap(2): memory mapped with mmap() is preserved across fork(2), with the same attributes")],
);

fn a_child_may_map_too(vcpu: Vcpu) -> Outcome {
    let mapped = map(&vcpu, RUN, COUNTED)?;
    let ended = in_child(|| map(&vcpu, RUN, COUNTED).map(|own| mark(&own)).is_ok())?;
    equal(ended, Ended::Returned(true))?;
    equal(marks(&mapped), MARKS)
}
claim!(
    a_child_may_map_too,
    "A process other than the VM's may map a vCPU, and shares its pages",
    [Code("kvm_vcpu_mmap, virt/kvm/kvm_main.c: unlike the ioctls, it does not ask whose VM it is")],
);

fn private_writes_stay_private() -> Outcome {
    let guest = RealMode::running(&[0x90, 0xf4])?; // nop; hlt
    let own = guest.vcpu.map(PAGE, RW, MAP_PRIVATE, 0)?;
    own.put(Exit::IMMEDIATE_EXIT, 1u8);
    equal(guest.run()?, Exit::Hlt)?;
    equal(own.get::<u32>(Exit::REASON), 0)?;
    guest.ended(|_| ())
}
claim!(
    private_writes_stay_private,
    "A private mapping of the run page is accepted; a write makes it a copy that KVM neither reads nor writes",
    [Code("kvm_vcpu_mmap, virt/kvm/kvm_main.c"), Manual("mmap(2): MAP_PRIVATE")],
    Has(KVM_CAP_IMMEDIATE_EXIT),
);

fn shared_writes_reach_kvm() -> Outcome {
    let guest = RealMode::running(&[0x90, 0xf4])?; // nop; hlt
    let alone = map(&guest.vcpu, RUN, 1)?;
    alone.put(Exit::IMMEDIATE_EXIT, 1u8);
    fails(EINTR, guest.vcpu.value(KVM_RUN, 0))?;
    alone.put(Exit::IMMEDIATE_EXIT, 0u8);
    equal(guest.run()?, Exit::Hlt)?;
    guest.ended(|_| ())
}
claim!(
    shared_writes_reach_kvm,
    "A write through any shared mapping of the run page reaches KVM_RUN",
    [Api("5. The kvm_run structure")],
    Has(KVM_CAP_IMMEDIATE_EXIT),
);

fn private_reads_follow() -> Outcome {
    let guest = RealMode::running(&[0xf4])?;
    let own = guest.vcpu.map(PAGE, PROT_READ, MAP_PRIVATE, 0)?;
    equal(own.get::<u32>(Exit::REASON), 0)?;
    equal(guest.run()?, Exit::Hlt)?;
    equal(Exit::decode(&own), Exit::Hlt)?;
    guest.ended(|_| ())
}
claim!(
    private_reads_follow,
    "A private mapping of the run page that is never written shows each exit of KVM_RUN",
    // POSIX leaves it open whether a private mapping follows its object.
    [Observed("do_read_fault, mm/memory.c, maps the page itself until the first write")],
);
