//! When a VM is freed: with the last reference to it, and not before. Its uevent tells.

use harness::kvm::{
    Descriptor, KVM_CAP_BINARY_STATS_FD, KVM_CAP_GUEST_MEMFD, Kvm, Uevents, Vcpu,
    VmEvent::{Create, Destroy},
};
use harness::process::{await_go, say_go, sockets, start};
use harness::{Need, Outcome, claim, each, equal};

use super::hand::{Card, Hand, Order};
use crate::descriptors::mmap::{READ_WRITE, SHARED};

/// Since when statistics hold a reference to their VM; before, reading them when it was freed read freed memory.
const STATISTICS_HOLD_THE_VM: Need = Need::Any(&[Need::Kernel(">=6.5"), Need::Kernel(">=6.1.100, <6.2")]);

fn keeps_the_vm(last: Card) -> Outcome {
    let uevents = Uevents::listen()?;
    let cards = [Card::Kvm, Card::Vm, Card::Vcpu, last];
    let mut hand = Hand::of(&cards)?;
    equal(uevents.heard()?, vec![Create])?;
    for card in cards.into_iter().filter(|card| *card != last) {
        hand.let_go(card);
    }
    equal(uevents.heard()?, vec![])?;
    hand.works()?;
    hand.let_go(last);
    equal(uevents.heard()?, vec![Destroy])
}

fn by_vm_or_vcpu() -> Outcome {
    each([Card::Vm, Card::Vcpu], |card| keeps_the_vm(*card))
}
claim!(
    by_vm_or_vcpu,
    "A VM is kept by its own or by a vCPU's descriptor alone, and freed when that is closed",
    [Api("2. File descriptors"), Code("kvm_vm_release, kvm_vcpu_release, virt/kvm/kvm_main.c")]
);

fn by_a_mapping() -> Outcome {
    keeps_the_vm(Card::Mapping)
}
claim!(
    by_a_mapping,
    "A VM is kept by a mapping of a vCPU alone, and freed when that is unmapped",
    [Api("2. File descriptors"), Code("kvm_vcpu_mmap, virt/kvm/kvm_main.c")]
);

fn by_a_device() -> Outcome {
    keeps_the_vm(Card::Device)
}
claim!(
    by_a_device,
    "A VM is kept by a device's descriptor alone, and freed when that is closed",
    [Api("2. File descriptors"), Code("kvm_device_release, virt/kvm/kvm_main.c")]
);

fn by_a_guest_memfd() -> Outcome {
    keeps_the_vm(Card::GuestMemfd)
}
claim!(
    by_a_guest_memfd,
    "A VM is kept by a guest_memfd alone, and freed when that is closed",
    [Code("kvm_gmem_release, virt/kvm/guest_memfd.c")],
    Has(KVM_CAP_GUEST_MEMFD)
);

fn by_statistics() -> Outcome {
    each([Card::VmStats, Card::VcpuStats], |card| keeps_the_vm(*card))
}
claim!(
    by_statistics,
    "A VM is kept by a statistics descriptor alone, which can be read, and freed when that is closed",
    [
        Code("kvm_vm_stats_release, kvm_vcpu_stats_release, virt/kvm/kvm_main.c"),
        FixedBy("eed3013faa40 KVM: Grab a reference to KVM for VM and vCPU stats file descriptors")
    ],
    Has(KVM_CAP_BINARY_STATS_FD),
    STATISTICS_HOLD_THE_VM
);

fn by_all_in_any_order(order: Order) -> Outcome {
    let uevents = Uevents::listen()?;
    let holding: Vec<_> = order.0.into_iter().filter(|card| *card != Card::Kvm).collect();
    let mut hand = Hand::of(&holding)?;
    equal(uevents.heard()?, vec![Create])?;
    for (left, card) in (0..holding.len()).rev().zip(&holding) {
        hand.let_go(*card);
        equal(uevents.heard()?, if left == 0 { vec![Destroy] } else { vec![] })?;
    }
    Ok(())
}
claim!(
    by_all_in_any_order,
    "A VM is freed once, with the last of its descriptors and mappings, in whatever order they go",
    [Api("2. File descriptors"), Code("kvm_put_kvm, virt/kvm/kvm_main.c")],
    Has(KVM_CAP_GUEST_MEMFD)
);

fn not_by_the_system_descriptor(kvm: Kvm) -> Outcome {
    let uevents = Uevents::listen()?;
    let vm = kvm.create_vm(0)?;
    drop(vm);
    equal(uevents.heard()?, vec![Create, Destroy])?;
    equal(kvm.get_api_version()?, 12)
}
claim!(
    not_by_the_system_descriptor,
    "A VM is freed when its last descriptor is closed, though the system descriptor that made it is open",
    [Api("2. File descriptors")]
);

fn by_a_duplicate(kvm: Kvm) -> Outcome {
    let uevents = Uevents::listen()?;
    let vm = kvm.create_vm(0)?;
    let other = vm.duplicate()?;
    drop(vm);
    equal(uevents.heard()?, vec![Create])?;
    drop(other);
    equal(uevents.heard()?, vec![Destroy])
}
claim!(
    by_a_duplicate,
    "A VM is not freed until every duplicate of its descriptor is closed",
    [Api("2. File descriptors")]
);

fn by_a_child(kvm: Kvm) -> Outcome {
    let uevents = Uevents::listen()?;
    let vm = kvm.create_vm(0)?;
    let (ours, theirs) = sockets()?;
    let child = start(|| await_go(&theirs))?;
    drop(vm);
    equal(uevents.heard()?, vec![Create])?;
    say_go(&ours)?;
    child.holds()?;
    equal(uevents.heard()?, vec![Destroy])
}
claim!(
    by_a_child,
    "A VM is not freed until both the process that made it and a child forked since have closed its descriptor",
    [Api("2. File descriptors")]
);

fn by_a_childs_mapping(vcpu: Vcpu) -> Outcome {
    let uevents = Uevents::listen()?;
    let mapping = vcpu.map(0x1000, READ_WRITE, SHARED, 0)?;
    mapping.put(0xfff, 0x5a_u8);
    let (ours, theirs) = sockets()?;
    // What moves into the child's function goes from the parent as soon as the child has it.
    let child = start(move || {
        drop(vcpu);
        say_go(&theirs)?;
        await_go(&theirs)?;
        equal(mapping.get::<u8>(0xfff), 0x5a)
    })?;
    await_go(&ours)?;
    equal(uevents.heard()?, vec![])?;
    say_go(&ours)?;
    child.holds()?;
    equal(uevents.heard()?, vec![Destroy])
}
claim!(
    by_a_childs_mapping,
    "A VM is kept by a mapping that a forked child has from its parent, and freed when the child ends",
    [Api("2. File descriptors"), Code("kvm_vcpu_mmap, virt/kvm/kvm_main.c")]
);
