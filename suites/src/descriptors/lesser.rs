//! The lesser descriptors as fixtures, each with what it was made from: kvm-vfio devices, guest memory, statistics.

use harness::kvm::{Device, ENODEV, GuestMemfd, Kvm, Stats, Vcpu, Vm, abi};
use harness::{Stop, fixture};

/// The type number of the kvm-vfio device, the one that x86 has.
pub(crate) const VFIO: u32 = abi::kvm_device_type_KVM_DEV_TYPE_VFIO;

/// How many bytes a [`Memfd`] has.
pub(crate) const MEMFD_SIZE: u64 = 0x4000;

/// A kvm-vfio device and its VM.
pub(crate) struct Vfio {
    pub(crate) vm: Vm,
    pub(crate) device: Device,
}

/// Guest memory of [`MEMFD_SIZE`] bytes, without flags.
pub(crate) struct Memfd {
    pub(crate) memfd: GuestMemfd,
}

/// A VM's statistics, and the VM: not every kernel keeps it for them.
pub(crate) struct VmStats {
    _vm: Vm,
    pub(crate) stats: Stats,
}

/// A vCPU's statistics, and the vCPU: not every kernel keeps it for them.
pub(crate) struct VcpuStats {
    _vcpu: Vcpu,
    pub(crate) stats: Stats,
}

fixture!(Vfio, || {
    let vm = Kvm::open()?.create_vm(0)?;
    let device = vfio_of(&vm)?;
    Ok(Vfio { vm, device })
});

fixture!(Memfd, || Ok(Memfd { memfd: Kvm::open()?.create_vm(0)?.create_guest_memfd(MEMFD_SIZE, 0)? }));

fixture!(VmStats, || {
    let vm = Kvm::open()?.create_vm(0)?;
    Ok(VmStats { stats: vm.get_stats_fd()?, _vm: vm })
});

fixture!(VcpuStats, || {
    let vcpu = Kvm::open()?.create_vm(0)?.create_vcpu(0)?;
    Ok(VcpuStats { stats: vcpu.get_stats_fd()?, _vcpu: vcpu })
});

/// The VM's kvm-vfio device. A kernel may be built without it, of which no capability tells: then the claim is skipped.
pub(crate) fn vfio_of(vm: &Vm) -> Result<Device, Stop> {
    if vm.create_device(VFIO, abi::KVM_CREATE_DEVICE_TEST).is_err_and(|refused| refused.errno == ENODEV) {
        return Err(Stop::Skip("this kernel is built without the kvm-vfio device (CONFIG_KVM_VFIO)".into()));
    }
    vm.create_device(VFIO, 0)?.ok_or_else(|| Stop::Skip("KVM_CREATE_DEVICE made no device".into()))
}
