//! Opening `/dev/kvm`, and what comes of opening a descriptor again by its name in `/proc/self/fd`.

use std::fs::{File, OpenOptions};
use std::os::fd::{AsFd, AsRawFd};

use harness::kvm::{EACCES, ENXIO, KVM_CAP_BINARY_STATS_FD, Kvm, Vcpu, Vm};
use harness::{Outcome, claim, equal, fails_with_one_of, succeeds};
use rustix::fs::{FileType, fstat, major, minor};

use super::lesser::{VcpuStats, Vfio, VmStats};

fn device_number(kvm: Kvm) -> Outcome {
    let status = succeeds(fstat(&kvm))?;
    equal(FileType::from_raw_mode(status.st_mode), FileType::CharacterDevice)?;
    equal((major(status.st_rdev), minor(status.st_rdev)), (10, 232))
}
claim!(
    device_number,
    "/dev/kvm is the character device 10:232",
    [Doc("admin-guide/devices.txt: 10 char, 232 = /dev/kvm"), Code("KVM_MINOR, include/linux/miscdevice.h")]
);

fn again(of: &impl AsFd) -> std::io::Result<File> {
    let path = format!("/proc/self/fd/{}", of.as_fd().as_raw_fd());
    OpenOptions::new().read(true).write(true).open(path)
}

fn system_again(kvm: Kvm) -> Outcome {
    let other = Kvm::from_fd(succeeds(again(&kvm))?.into());
    drop(kvm);
    equal(succeeds(other.get_api_version())?, 12)?;
    succeeds(other.create_vm(0)).map(drop)
}
claim!(
    system_again,
    "Opening a system descriptor by its name in /proc/self/fd gives another that works without the first",
    [Api("2. File descriptors")]
);

/// The inode is root's and has no open operation: no_open answers, unless the permissions have answered before.
fn refused(of: &impl AsFd) -> Outcome {
    fails_with_one_of(&[ENXIO, EACCES], again(of))
}

fn vm_and_vcpu_again(vm: Vm, vcpu: Vcpu) -> Outcome {
    refused(&vm)?;
    refused(&vcpu)
}
claim!(
    vm_and_vcpu_again,
    "A VM or vCPU cannot be opened by its name in /proc/self/fd: ENXIO, or EACCES for all but root",
    [Code("kvm_dev_ioctl_create_vm, create_vcpu_fd, virt/kvm/kvm_main.c"), Code("no_open, fs/inode.c")]
);

fn device_again(vfio: Vfio) -> Outcome {
    refused(&vfio.device)
}
claim!(
    device_again,
    "A kvm-vfio device cannot be opened by its name in /proc/self/fd: ENXIO, or EACCES for all but root",
    [Code("kvm_ioctl_create_device, virt/kvm/kvm_main.c"), Code("no_open, fs/inode.c")]
);

fn statistics_again(of: VmStats, vcpu: VcpuStats) -> Outcome {
    refused(&of.stats)?;
    refused(&vcpu.stats)
}
claim!(
    statistics_again,
    "Statistics cannot be opened by their name in /proc/self/fd: ENXIO, or EACCES for all but root",
    [Code("kvm_vm_ioctl_get_stats_fd, virt/kvm/kvm_main.c"), Code("no_open, fs/inode.c")],
    Has(KVM_CAP_BINARY_STATS_FD)
);
