//! The life of a device: devices/vfio.rst says that a VM has one kvm-vfio device at most.

use harness::kvm::{
    Argument, Descriptor, EBUSY, ENODEV, Guarded, KVM_CREATE_DEVICE, KVM_HAS_DEVICE_ATTR, Vm, abi,
};
use harness::{Outcome, claim, each, equal, fails, succeeds, unchanged};

use crate::descriptors::lesser::{VFIO, Vfio, vfio_of};
use crate::descriptors::state::open_descriptors;

// api.rst 4.79 says EEXIST; kvm_vfio_create answers EBUSY.
fn is_alone(vfio: Vfio) -> Outcome {
    unchanged(open_descriptors, || fails(EBUSY, vfio.vm.create_device(VFIO, 0)))?;
    let attribute = abi::kvm_device_attr {
        group: abi::KVM_DEV_VFIO_GROUP,
        attr: abi::KVM_DEV_VFIO_GROUP_ADD.into(),
        ..Default::default()
    };
    equal(succeeds(vfio.device.write(KVM_HAS_DEVICE_ATTR, &attribute))?, 0)
}
claim!(
    is_alone,
    "KVM_CREATE_DEVICE refuses a second kvm-vfio device of the same VM with EBUSY and leaves the first as it is",
    [Doc("virt/kvm/devices/vfio.rst VFIO virtual device"), Code("kvm_vfio_create, virt/kvm/vfio.c")]
);

fn makes_room(vfio: Vfio) -> Outcome {
    let Vfio { vm, device } = vfio;
    drop(device);
    let again = succeeds(vm.create_device(VFIO, 0))?;
    equal(again.is_some(), true)
}
claim!(
    makes_room,
    "A kvm-vfio device whose descriptor is closed makes room for another in the same VM",
    [Code("kvm_device_release, virt/kvm/kvm_main.c"), Code("kvm_vfio_release, virt/kvm/vfio.c")],
    Kernel(">=6.2")
);

fn each_vm_has_its_own(first: Vfio, second: Vm) -> Outcome {
    let other = vfio_of(&second)?;
    drop(first);
    equal(succeeds(other.link())?, "anon_inode:kvm-vfio".into())
}
claim!(
    each_vm_has_its_own,
    "Two VMs may each have a kvm-vfio device",
    [Doc("virt/kvm/devices/vfio.rst VFIO virtual device")]
);

fn a_test_makes_nothing(vm: Vm) -> Outcome {
    drop(vfio_of(&vm)?);
    unchanged(open_descriptors, || {
        let mut request = Guarded::zeroed(size_of::<abi::kvm_create_device>());
        let fd = u32::MAX;
        request.put(0, &abi::kvm_create_device { type_: VFIO, fd, flags: abi::KVM_CREATE_DEVICE_TEST });
        equal(succeeds(vm.send(KVM_CREATE_DEVICE, Argument::Bytes(&mut request)))?, 0)?;
        equal(request.get::<abi::kvm_create_device>(0).fd, fd)
    })
}
claim!(
    a_test_makes_nothing,
    "KVM_CREATE_DEVICE with KVM_CREATE_DEVICE_TEST makes no descriptor and leaves fd alone",
    [Api("4.79 KVM_CREATE_DEVICE")]
);

fn of_no_type(vm: Vm) -> Outcome {
    // The types of other architectures, and numbers that no type has.
    unchanged(open_descriptors, || {
        each([1, 2, 3, 5, 6, 7, 8, 9, 0x100, u32::MAX], |device_type| {
            fails(ENODEV, vm.create_device(*device_type, 0))?;
            fails(ENODEV, vm.create_device(*device_type, abi::KVM_CREATE_DEVICE_TEST))
        })
    })
}
claim!(
    of_no_type,
    "KVM_CREATE_DEVICE refuses the device types of other architectures with ENODEV and makes no descriptor",
    [Api("4.79 KVM_CREATE_DEVICE")]
);
