//! KVM_CAP_DIRTY_LOG_RING and KVM_CAP_DIRTY_LOG_RING_ACQ_REL: api.rst 8.29.

use harness::kvm::{
    Argument, Cap, Descriptor, E2BIG, EINVAL, ENOENT, ENXIO, Guarded, KVM_CAP_DIRTY_LOG_RING,
    KVM_CAP_DIRTY_LOG_RING_ACQ_REL, KVM_CAP_IRQCHIP, KVM_CAP_PIT2, KVM_CAP_SPLIT_IRQCHIP, KVM_ENABLE_CAP,
    KVM_GET_DIRTY_LOG, KVM_RESET_DIRTY_RINGS, Kvm, Refused, Vm, abi,
};
use harness::{Outcome, claim, each, equal, fails, succeeds};

use super::step::Answer::{Fails, Works};
use super::step::Step::{Enable, Irqchip, Pit2, Vcpu};
use super::step::in_order;

const RINGS: [Cap; 2] = [KVM_CAP_DIRTY_LOG_RING, KVM_CAP_DIRTY_LOG_RING_ACQ_REL];
/// The size that the documentation recommends, in bytes.
const SIZE: u64 = 64 << 10;

/// The largest ring, in bytes.
fn largest(vm: &Vm) -> Result<u64, Refused> {
    vm.check_extension(KVM_CAP_DIRTY_LOG_RING).map(|size| u64::from(size.unsigned_abs()))
}

/// KVM_GET_DIRTY_LOG of slot 0, which no claim here makes, with no bitmap.
fn get_dirty_log(vm: &Vm) -> Result<i32, Refused> {
    vm.send(KVM_GET_DIRTY_LOG, Argument::Bytes(&mut Guarded::zeroed(16)))
}

fn is_a_power_of_two(kvm: Kvm) -> Outcome {
    each(RINGS, |ring| {
        let vm = kvm.create_vm(0)?;
        let odd = [0, SIZE - 1, SIZE + 1, SIZE + 16, 3 * SIZE, 0xffff_ffff];
        each(odd, |size| in_order(&vm, &[(Enable(*ring, *size), Fails(EINVAL))]))?;
        in_order(&vm, &[(Enable(*ring, SIZE), Works)])
    })
}
claim!(
    is_a_power_of_two,
    "KVM_CAP_DIRTY_LOG_RING is refused with EINVAL for a size that is not a power of two",
    [Api("8.29 KVM_CAP_DIRTY_LOG_RING/KVM_CAP_DIRTY_LOG_RING_ACQ_REL")],
    Has(KVM_CAP_DIRTY_LOG_RING),
    Has(KVM_CAP_DIRTY_LOG_RING_ACQ_REL)
);

fn is_at_least_a_page(vm: Vm) -> Outcome {
    each((0..12).map(|bit| 1 << bit), |size| {
        in_order(&vm, &[(Enable(KVM_CAP_DIRTY_LOG_RING, *size), Fails(EINVAL))])
    })
}
claim!(
    is_at_least_a_page,
    "KVM_CAP_DIRTY_LOG_RING is refused with EINVAL for less than a page",
    [Code("kvm_vm_ioctl_enable_dirty_log_ring, virt/kvm/kvm_main.c")],
    Has(KVM_CAP_DIRTY_LOG_RING)
);

fn is_at_most_what_is_told(kvm: Kvm) -> Outcome {
    let vm = kvm.create_vm(0)?;
    let most = largest(&vm)?;
    each([2 * most, 1 << 31], |size| {
        in_order(&vm, &[(Enable(KVM_CAP_DIRTY_LOG_RING, *size), Fails(E2BIG))])
    })?;
    in_order(&vm, &[(Enable(KVM_CAP_DIRTY_LOG_RING, most), Works)])
}
claim!(
    is_at_most_what_is_told,
    "KVM_CAP_DIRTY_LOG_RING takes the size that KVM_CHECK_EXTENSION answers, and is refused with E2BIG for more",
    [Code("kvm_vm_ioctl_enable_dirty_log_ring, virt/kvm/kvm_main.c")],
    Has(KVM_CAP_DIRTY_LOG_RING)
);

fn is_enabled_once(kvm: Kvm) -> Outcome {
    let again = RINGS.iter().flat_map(|first| RINGS.map(|second| (*first, second)));
    each(again, |(first, second)| {
        let steps = [(Enable(*first, SIZE), Works), (Enable(*second, SIZE), Fails(EINVAL))];
        in_order(&kvm.create_vm(0)?, &steps)
    })
}
claim!(
    is_enabled_once,
    "KVM_CAP_DIRTY_LOG_RING and KVM_CAP_DIRTY_LOG_RING_ACQ_REL are refused with EINVAL after either of them",
    [Code("kvm_vm_ioctl_enable_dirty_log_ring, virt/kvm/kvm_main.c")],
    Has(KVM_CAP_DIRTY_LOG_RING),
    Has(KVM_CAP_DIRTY_LOG_RING_ACQ_REL)
);

fn does_not_follow_a_vcpu(kvm: Kvm) -> Outcome {
    each(RINGS, |ring| {
        in_order(&kvm.create_vm(0)?, &[(Vcpu(0), Works), (Enable(*ring, SIZE), Fails(EINVAL))])
    })
}
claim!(
    does_not_follow_a_vcpu,
    "KVM_CAP_DIRTY_LOG_RING is refused with EINVAL once there is a vCPU",
    [Api("8.29 KVM_CAP_DIRTY_LOG_RING/KVM_CAP_DIRTY_LOG_RING_ACQ_REL")],
    Has(KVM_CAP_DIRTY_LOG_RING),
    Has(KVM_CAP_DIRTY_LOG_RING_ACQ_REL)
);

fn goes_with_interrupt_controllers(kvm: Kvm) -> Outcome {
    let ring = (Enable(KVM_CAP_DIRTY_LOG_RING, SIZE), Works);
    let (irqchip, pit) = ((Irqchip, Works), (Pit2, Works));
    let split = (Enable(KVM_CAP_SPLIT_IRQCHIP, 24), Works);
    each([[ring, irqchip, pit], [irqchip, ring, pit], [irqchip, pit, ring]], |steps| {
        in_order(&kvm.create_vm(0)?, steps)
    })?;
    each([[ring, split], [split, ring]], |steps| in_order(&kvm.create_vm(0)?, steps))
}
claim!(
    goes_with_interrupt_controllers,
    "KVM_CAP_DIRTY_LOG_RING may be enabled before and after the irqchip, the split irqchip and the PIT are created",
    [Api("8.29 KVM_CAP_DIRTY_LOG_RING/KVM_CAP_DIRTY_LOG_RING_ACQ_REL")],
    Has(KVM_CAP_DIRTY_LOG_RING),
    Has(KVM_CAP_IRQCHIP),
    Has(KVM_CAP_SPLIT_IRQCHIP),
    Has(KVM_CAP_PIT2)
);

fn replaces_the_bitmap(vm: Vm) -> Outcome {
    fails(ENOENT, get_dirty_log(&vm))?;
    succeeds(vm.enable_cap(KVM_CAP_DIRTY_LOG_RING, [SIZE, 0, 0, 0]))?;
    fails(ENXIO, get_dirty_log(&vm))
}
claim!(
    replaces_the_bitmap,
    "Once KVM_CAP_DIRTY_LOG_RING is enabled, KVM_GET_DIRTY_LOG is refused with ENXIO",
    [
        Api("8.29 KVM_CAP_DIRTY_LOG_RING/KVM_CAP_DIRTY_LOG_RING_ACQ_REL"),
        Code("kvm_get_dirty_log, virt/kvm/kvm_main.c")
    ],
    Has(KVM_CAP_DIRTY_LOG_RING)
);

fn can_be_reset_once_enabled(vm: Vm) -> Outcome {
    fails(EINVAL, vm.value(KVM_RESET_DIRTY_RINGS, 0))?;
    succeeds(vm.enable_cap(KVM_CAP_DIRTY_LOG_RING, [SIZE, 0, 0, 0]))?;
    equal(vm.value(KVM_RESET_DIRTY_RINGS, 0)?, 0)?;
    let _vcpu = vm.create_vcpu(0)?;
    equal(vm.value(KVM_RESET_DIRTY_RINGS, 0)?, 0)
}
claim!(
    can_be_reset_once_enabled,
    "KVM_RESET_DIRTY_RINGS is refused with EINVAL without rings, and finds nothing to reset in fresh ones",
    [Code("kvm_vm_ioctl_reset_dirty_pages, virt/kvm/kvm_main.c")],
    Has(KVM_CAP_DIRTY_LOG_RING)
);

fn ignores_flags(kvm: Kvm) -> Outcome {
    // Flags have to be 0 (4.37), and every other capability of a VM is refused with any: this one forgot to look.
    each([1, 1 << 31, u32::MAX], |flags| {
        let cap = KVM_CAP_DIRTY_LOG_RING.number;
        let request = abi::kvm_enable_cap { cap, flags: *flags, args: [SIZE, 0, 0, 0], ..Default::default() };
        equal(kvm.create_vm(0)?.write(KVM_ENABLE_CAP, &request)?, 0)
    })
}
claim!(
    ignores_flags,
    "KVM_CAP_DIRTY_LOG_RING takes any flags without a word",
    [Observed("kvm_vm_ioctl_enable_cap_generic of Linux 5.11 to 7.3")],
    Has(KVM_CAP_DIRTY_LOG_RING)
);

fn looks_at_32_bits(kvm: Kvm) -> Outcome {
    let vm = kvm.create_vm(0)?;
    in_order(&vm, &[(Enable(KVM_CAP_DIRTY_LOG_RING, 1 << 32), Fails(EINVAL))])?;
    in_order(&vm, &[(Enable(KVM_CAP_DIRTY_LOG_RING, (1 << 32) | SIZE), Works)])
}
claim!(
    looks_at_32_bits,
    "KVM_CAP_DIRTY_LOG_RING drops what stands above 32 bits of its size",
    [Observed("kvm_vm_ioctl_enable_dirty_log_ring of Linux 5.11 to 7.3")],
    Has(KVM_CAP_DIRTY_LOG_RING)
);
