//! The process's limit of descriptors: what would make one more fails with EMFILE and leaves nothing behind.

use std::fs::File;
use std::os::fd::AsRawFd;

use harness::kvm::{
    Argument, Descriptor, EMFILE, Guarded, KVM_CAP_BINARY_STATS_FD, KVM_CAP_GUEST_MEMFD, KVM_CAP_IRQCHIP,
    KVM_CREATE_DEVICE, Kvm, Uevents, Vcpu, Vm, VmEvent::Destroy, abi,
};
use harness::{HostFault, Outcome, Stop, claim, each, equal, fails, succeeds, unchanged};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::descriptors::lesser::{MEMFD_SIZE, VFIO, vfio_of};
use crate::descriptors::state::{open_descriptors, state};

/// While it lives, the process can make no descriptor.
struct NoMore(Rlimit);

impl NoMore {
    fn from_now_on() -> Result<Self, Stop> {
        let failed = |what: String| Stop::HostFault(HostFault(what));
        let file =
            File::open("/dev/null").map_err(|error| failed(format!("cannot open /dev/null: {error}")))?;
        let lowest_free = u64::try_from(file.as_raw_fd()).unwrap_or(0);
        drop(file);
        let before = getrlimit(Resource::Nofile);
        setrlimit(Resource::Nofile, Rlimit { current: Some(lowest_free), ..before })
            .map_err(|errno| failed(format!("setrlimit failed: {errno}")))?;
        Ok(Self(before))
    }
}

impl Drop for NoMore {
    fn drop(&mut self) {
        // Back to what the process had: this is always allowed.
        let _ = setrlimit(Resource::Nofile, self.0);
    }
}

/// What `act` tries while no descriptor can be made leaves none behind.
fn at_the_limit(act: impl FnOnce() -> Outcome) -> Outcome {
    unchanged(open_descriptors, || {
        let _no_more = NoMore::from_now_on()?;
        act()
    })
}

fn create_vm(kvm: Kvm) -> Outcome {
    at_the_limit(|| each(0..4, |_| fails(EMFILE, kvm.create_vm(0))))?;
    succeeds(kvm.create_vm(0)?.create_vcpu(0)).map(drop)
}
claim!(
    create_vm,
    "KVM_CREATE_VM fails with EMFILE at the limit of descriptors, and works again above it",
    [Code("kvm_dev_ioctl_create_vm, virt/kvm/kvm_main.c")]
);

fn create_vcpu(vm: Vm) -> Outcome {
    at_the_limit(|| each(0..4, |_| fails(EMFILE, vm.create_vcpu(7))))?;
    let vcpu = succeeds(vm.create_vcpu(7))?;
    succeeds(vcpu.get_regs()).map(drop)
}
claim!(
    create_vcpu,
    "KVM_CREATE_VCPU fails with EMFILE at the limit of descriptors, and the id can be used afterwards",
    [Code("create_vcpu_fd, kvm_vm_ioctl_create_vcpu, virt/kvm/kvm_main.c")]
);

fn no_vcpu_is_left(vm: Vm) -> Outcome {
    at_the_limit(|| fails(EMFILE, vm.create_vcpu(0)))?;
    // It is refused once a VM has a vCPU.
    succeeds(vm.create_irqchip())?;
    succeeds(vm.create_vcpu(0)).map(drop)
}
claim!(
    no_vcpu_is_left,
    "A vCPU that failed for want of a descriptor does not count: KVM_CREATE_IRQCHIP still takes the VM for one without vCPUs",
    [Api("4.24 KVM_CREATE_IRQCHIP"), Code("kvm_vm_ioctl_create_vcpu, virt/kvm/kvm_main.c")],
    Has(KVM_CAP_IRQCHIP)
);

fn create_device(vm: Vm) -> Outcome {
    // Skips where there is no such device. It goes again with its VM: before Linux 6.2 a VM could have but one in its life.
    drop(vfio_of(&Kvm::open()?.create_vm(0)?)?);
    let request = abi::kvm_create_device { type_: VFIO, fd: 0x5a5a_5a5a, flags: 0 };
    let mut bytes = Guarded::zeroed(size_of_val(&request));
    bytes.put(0, &request);
    at_the_limit(|| fails(EMFILE, vm.send(KVM_CREATE_DEVICE, Argument::Bytes(&mut bytes))))?;
    equal(bytes.get::<abi::kvm_create_device>(0).fd, request.fd)?;
    succeeds(vm.create_device(VFIO, 0)).map(drop)
}
claim!(
    create_device,
    "KVM_CREATE_DEVICE fails with EMFILE at the limit of descriptors, leaves fd alone, and makes the VM's one kvm-vfio device later",
    [
        Code("kvm_ioctl_create_device, virt/kvm/kvm_main.c"),
        Doc("virt/kvm/devices/vfio.rst VFIO virtual device")
    ]
);

fn get_stats_fd(vm: Vm, vcpu: Vcpu) -> Outcome {
    unchanged(
        || Ok::<_, Stop>((state(&vm)?, state(&vcpu)?)),
        || {
            at_the_limit(|| {
                fails(EMFILE, vm.get_stats_fd())?;
                fails(EMFILE, vcpu.get_stats_fd())
            })
        },
    )?;
    succeeds(vm.get_stats_fd())?;
    succeeds(vcpu.get_stats_fd()).map(drop)
}
claim!(
    get_stats_fd,
    "KVM_GET_STATS_FD of a VM and of a vCPU fails with EMFILE at the limit of descriptors, and works again above it",
    [Api("4.133 KVM_GET_STATS_FD")],
    Has(KVM_CAP_BINARY_STATS_FD)
);

fn create_guest_memfd(vm: Vm) -> Outcome {
    at_the_limit(|| fails(EMFILE, vm.create_guest_memfd(MEMFD_SIZE, 0)))?;
    succeeds(vm.create_guest_memfd(MEMFD_SIZE, 0)).map(drop)
}
claim!(
    create_guest_memfd,
    "KVM_CREATE_GUEST_MEMFD fails with EMFILE at the limit of descriptors, and works again above it",
    [Code("__kvm_gmem_create, virt/kvm/guest_memfd.c")],
    Has(KVM_CAP_GUEST_MEMFD)
);

fn keeps_no_vm(kvm: Kvm) -> Outcome {
    let uevents = Uevents::listen()?;
    let vm = kvm.create_vm(0)?;
    uevents.heard()?;
    at_the_limit(|| {
        fails(EMFILE, vm.create_vcpu(0))?;
        // Older kernels, or ones without the device, refuse these for another reason first.
        for refused in [
            vm.create_device(VFIO, 0).err(),
            vm.get_stats_fd().err(),
            vm.create_guest_memfd(MEMFD_SIZE, 0).err(),
        ] {
            equal(refused.is_some(), true)?;
        }
        Ok(())
    })?;
    drop(vm);
    equal(uevents.heard()?, vec![Destroy])
}
claim!(
    keeps_no_vm,
    "What failed for want of a descriptor holds no reference to its VM, which is freed when its own is closed",
    [Api("2. File descriptors"), Code("kvm_put_kvm_no_destroy, virt/kvm/kvm_main.c")]
);
