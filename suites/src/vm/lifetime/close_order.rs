//! The order in which a VM's descriptors are closed: api.rst 2.

use harness::kvm::{Descriptor, KVM_CAP_GUEST_MEMFD, KVM_CAP_USER_MEMORY};
use harness::{Outcome, claim, each, equal, succeeds};

use super::counting_guest::{CountingGuest, next};
use super::hand::{Card, Hand, Order};
use crate::descriptors::mmap::{READ_WRITE, SHARED};

/// Every order of these cards.
fn orders(cards: &[Card]) -> Vec<Vec<Card>> {
    if cards.is_empty() {
        return vec![Vec::new()];
    }
    let first = |at: usize| {
        let rest: Vec<_> = cards.iter().copied().filter(|card| *card != cards[at]).collect();
        orders(&rest).into_iter().map(move |rest| [vec![cards[at]], rest].concat())
    };
    (0..cards.len()).flat_map(first).collect()
}

fn works_until_let_go(order: &[Card]) -> Outcome {
    let mut hand = Hand::of(order)?;
    hand.works()?;
    order.iter().try_for_each(|card| {
        hand.let_go(*card);
        hand.works().map_err(|stop| stop.during(format!("after {card:?} was closed")))
    })
}

fn any() -> Outcome {
    each(orders(&[Card::Kvm, Card::Vm, Card::Vcpu, Card::Mapping]), |order| works_until_let_go(order))
}
claim!(
    any,
    "System, VM and vCPU descriptors and the run page may be let go in any order: those that are left work as before",
    [Api("2. File descriptors"), Code("kvm_put_kvm, virt/kvm/kvm_main.c")]
);

fn any_of_all(order: Order) -> Outcome {
    works_until_let_go(&order.0)
}
claim!(
    any_of_all,
    "Device, guest_memfd and statistics descriptors may be closed at any point between the others, and work until they are",
    [Api("2. File descriptors"), Code("kvm_put_kvm, virt/kvm/kvm_main.c")],
    Has(KVM_CAP_GUEST_MEMFD)
);

fn vcpu_runs_alone(guest: CountingGuest) -> Outcome {
    let CountingGuest { kvm, vm, vcpu, memory: _memory } = guest;
    equal(next(&vcpu)?, 0)?;
    drop(vm);
    drop(kvm);
    equal(next(&vcpu)?, 1)?;
    equal(next(&vcpu)?, 2)
}
claim!(
    vcpu_runs_alone,
    "A vCPU runs its guest on after the VM's and the system's descriptors are closed",
    [Api("2. File descriptors"), Code("kvm_vcpu_release, virt/kvm/kvm_main.c")]
);

fn vm_outlives_kvm(guest: CountingGuest) -> Outcome {
    let CountingGuest { kvm, vm, vcpu, memory: _memory } = guest;
    drop(kvm);
    equal(succeeds(vm.check_extension(KVM_CAP_USER_MEMORY))?, 1)?;
    succeeds(vm.create_vcpu(1))?;
    equal(next(&vcpu)?, 0)
}
claim!(
    vm_outlives_kvm,
    "A VM whose system descriptor is closed goes on making vCPUs and running them",
    [Api("2. File descriptors")]
);

fn mapping_outlives_vcpu(guest: CountingGuest) -> Outcome {
    let CountingGuest { kvm, vm, vcpu, memory: _memory } = guest;
    let mapping = vcpu.map(0x3000, READ_WRITE, SHARED, 0)?;
    next(&vcpu)?;
    let (before, after) = (mapping.copy(0, 256), || mapping.copy(0, 256));
    drop((kvm, vm, vcpu));
    equal(after(), before)?;
    mapping.put(0x1fff, 0x5a_u8);
    equal(mapping.get::<u8>(0x1fff), 0x5a)
}
claim!(
    mapping_outlives_vcpu,
    "A mapped run page keeps its last exit, and can be written, after the vCPU's descriptor is closed",
    [Code("kvm_vcpu_fault, virt/kvm/kvm_main.c")]
);
