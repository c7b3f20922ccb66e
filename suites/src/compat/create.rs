//! Descriptors that a 32-bit caller makes, and both use.

use harness::kvm::{
    Compat, CompatBuffer, Descriptor, EEXIST, EINVAL, ENODEV, KVM_CAP_BINARY_STATS_FD, KVM_CAP_DEVICE_CTRL,
    KVM_CAP_GUEST_MEMFD, KVM_CREATE_DEVICE, KVM_CREATE_GUEST_MEMFD, KVM_CREATE_VCPU, KVM_CREATE_VM,
    KVM_HAS_DEVICE_ATTR, Kvm, Vm, abi,
};
use harness::{Outcome, Stop, claim, each, equal, fails, succeeds};
use libc::{MAP_SHARED, PROT_READ};

use super::alike::{by_32, by_64};

/// KVM_DEV_TYPE_VFIO, which every KVM with device control knows or refuses.
const VFIO: u32 = 4;

fn vms(kvm: Kvm, compat: Compat) -> Outcome {
    let vm = succeeds(compat.create_vm(&kvm, 0))?;
    equal(vm.link()?, "anon_inode:kvm-vm".to_owned())?;
    let vcpu = succeeds(vm.create_vcpu(0))?;
    equal(vcpu.get_regs()?.rip, 0xfff0)
}
claim!(
    vms,
    "KVM_CREATE_VM gives a 32-bit caller a VM that a 64-bit one can use",
    [Api("4.2 KVM_CREATE_VM")],
    Compat32,
);

fn vm_types(kvm: Kvm, compat: Compat) -> Outcome {
    each([0x4000_0000, 0x8000_0000, u32::MAX], |&machine_type| {
        fails(EINVAL, compat.value(&kvm, KVM_CREATE_VM, machine_type))
    })
}
claim!(
    vm_types,
    "KVM_CREATE_VM refuses a 32-bit caller's unknown machine type with EINVAL",
    [Api("4.2 KVM_CREATE_VM")],
    Compat32,
);

fn vcpus(vm: Vm, compat: Compat) -> Outcome {
    let vcpu = succeeds(compat.create_vcpu(&vm, 1))?;
    equal(vcpu.link()?, "anon_inode:kvm-vcpu:1".to_owned())?;
    equal(vcpu.get_regs()?.rip, 0xfff0)?;
    fails(EEXIST, vm.value(KVM_CREATE_VCPU, 1))?;
    fails(EEXIST, compat.value(&vm, KVM_CREATE_VCPU, 1))
}
claim!(
    vcpus,
    "KVM_CREATE_VCPU gives a 32-bit caller a vCPU that a 64-bit one can use, and refuses both a second of its id",
    [Api("4.7 KVM_CREATE_VCPU"), Code("kvm_vm_ioctl_create_vcpu, virt/kvm/kvm_main.c")],
    Compat32,
);

fn vcpu_ids(vm: Vm, compat: Compat) -> Outcome {
    each([0x8000_0000, 0xffff_0000, u32::MAX], |&id| fails(EINVAL, compat.value(&vm, KVM_CREATE_VCPU, id)))
}
claim!(
    vcpu_ids,
    "KVM_CREATE_VCPU refuses a 32-bit caller's id above the largest with EINVAL",
    [Api("4.7 KVM_CREATE_VCPU")],
    Compat32,
);

fn vcpus_can_be_mapped(vm: Vm, compat: Compat) -> Outcome {
    let made = compat.create_vcpu(&vm, 0)?;
    let mapped = succeeds(made.map(4096, PROT_READ, MAP_SHARED, 0))?;
    equal(mapped.copy(0, 4096), vec![0; 4096])
}
claim!(
    vcpus_can_be_mapped,
    "The run page of a vCPU that a 32-bit caller made can be mapped",
    [Api("4.10 KVM_RUN")],
    Compat32,
);

fn stats(vm: Vm, compat: Compat) -> Outcome {
    let vcpu = vm.create_vcpu(0)?;
    let of_vm = succeeds(compat.get_stats_fd(&vm))?.link()?;
    let of_vcpu = succeeds(compat.get_stats_fd(&vcpu))?.link()?;
    equal((of_vm, of_vcpu), (vm.get_stats_fd()?.link()?, vcpu.get_stats_fd()?.link()?))
}
claim!(
    stats,
    "KVM_GET_STATS_FD gives a 32-bit caller the same kind of descriptor as a 64-bit one, of a VM and of a vCPU",
    [Api("4.133 KVM_GET_STATS_FD")],
    Compat32,
    Has(KVM_CAP_BINARY_STATS_FD),
);

fn guest_memory(vm: Vm, compat: Compat) -> Outcome {
    let size = 1 << 33; // a size of more than 32 bits, of which no page is ever made
    let made = compat.create_guest_memfd(&vm, size)?;
    equal(made.link()?, vm.create_guest_memfd(size, 0)?.link()?)?;
    let odd = abi::kvm_create_guest_memfd { size: 1 << 33 | 1, ..Default::default() };
    fails(EINVAL, compat.send(&vm, KVM_CREATE_GUEST_MEMFD, &mut CompatBuffer::holding(odd)?))
}
claim!(
    guest_memory,
    "KVM_CREATE_GUEST_MEMFD takes 64 bits of size from a 32-bit caller",
    [Api("4.142 KVM_CREATE_GUEST_MEMFD")],
    Compat32,
    Has(KVM_CAP_GUEST_MEMFD),
);

fn devices(vm: Vm) -> Outcome {
    // KVM_CREATE_DEVICE_TEST: whether the type is known, without making one.
    each([VFIO, 0x1000, u32::MAX], |&device_type| {
        let head: Vec<u8> = [device_type, u32::MAX, abi::KVM_CREATE_DEVICE_TEST]
            .into_iter()
            .flat_map(u32::to_le_bytes)
            .collect();
        let answer = by_64(&vm, KVM_CREATE_DEVICE, head.len(), &head);
        equal(by_32(&vm, KVM_CREATE_DEVICE, head.len(), &head)?, answer.clone())?;
        if device_type == VFIO { Ok(()) } else { equal(answer.0, Err(ENODEV)) }
    })
}
claim!(
    devices,
    "KVM_CREATE_DEVICE tells a 32-bit caller which types of device there are as it tells a 64-bit one",
    [Api("4.79 KVM_CREATE_DEVICE")],
    Compat32,
    Has(KVM_CAP_DEVICE_CTRL),
);

fn device_attributes(vm: Vm, compat: Compat) -> Outcome {
    if !knows_vfio(&vm) {
        return Err(Stop::Skip("this KVM has no VFIO device".into()));
    }
    let device = compat.create_device(&vm, VFIO)?;
    equal(device.link()?, "anon_inode:kvm-vfio".to_owned())?;
    // KVM_DEV_VFIO_FILE: adding, deleting; an attribute and a group that there are none of.
    each([(1u32, 1u64), (1, 2), (1, 1 << 32 | 1), (1, 77), (77, 1)], |&(group, attr)| {
        let head: Vec<u8> =
            [u64::from(group) << 32, attr, 0].into_iter().flat_map(u64::to_le_bytes).collect();
        let answer = by_64(&device, KVM_HAS_DEVICE_ATTR, head.len(), &head);
        equal(by_32(&device, KVM_HAS_DEVICE_ATTR, head.len(), &head)?, answer)
    })
}
claim!(
    device_attributes,
    "KVM_HAS_DEVICE_ATTR of a device answers a 32-bit caller as it answers a 64-bit one",
    [Api("4.81 KVM_HAS_DEVICE_ATTR")],
    Compat32,
    Has(KVM_CAP_DEVICE_CTRL),
);

fn knows_vfio(vm: &Vm) -> bool {
    vm.create_device(VFIO, abi::KVM_CREATE_DEVICE_TEST).is_ok()
}
