//! Opening the device, and whether this program and the kernel understand each other: `api.rst` 4.1 "KVM_GET_API_VERSION" and
//! 4.4 "KVM_CHECK_EXTENSION".

use std::ffi::CStr;

use kvm_bindings::{KVM_API_VERSION, KVM_MAX_CPUID_ENTRIES};
use kvm_ioctls::{Cap, Kvm, VmFd};

use super::trace::{of_accel, told};
use super::vm::KvmVm;
use crate::accel::{AccelError, Hypervisor};

crate::accel!("kvm", "the kernel's virtualization, by /dev/kvm", open);

/// What this program cannot do without.
const NEEDED: &[(Cap, &str)] = &[
    (Cap::UserMemory, "KVM_CAP_USER_MEMORY"),
    (Cap::ImmediateExit, "KVM_CAP_IMMEDIATE_EXIT"),
    (Cap::ExtCpuid, "KVM_CAP_EXT_CPUID"),
];

/// Where an Intel processor without unrestricted guests keeps the page table and the task that it needs to run real mode: four
/// pages, below the firmware's place at the end of 4 GiB.
const IDENTITY_MAP: u64 = 0xfeff_c000;
const TASK: usize = 0xfeff_d000;

fn open() -> Result<Box<dyn Hypervisor>, AccelError> {
    open_device(c"/dev/kvm")
}

/// Opens KVM by the device at `path`, and makes a virtual machine.
pub fn open_device(path: &CStr) -> Result<Box<dyn Hypervisor>, AccelError> {
    let device = |source: kvm_ioctls::Error| AccelError::Device {
        path: path.to_string_lossy().into_owned(),
        source: source.into(),
    };
    let kvm = told("open", Kvm::new_with_path(path)).map_err(device)?;
    understands(kvm.get_api_version())?;
    if let Some((_, missing)) = NEEDED.iter().find(|(cap, _)| !kvm.check_extension(*cap)) {
        return Err(AccelError::Missing(missing));
    }
    let vm = create_vm(&kvm)?;
    if kvm.check_extension(Cap::SetIdentityMapAddr) {
        of_accel("KVM_SET_IDENTITY_MAP_ADDR", vm.set_identity_map_address(IDENTITY_MAP))?;
    }
    if kvm.check_extension(Cap::SetTssAddr) {
        of_accel("KVM_SET_TSS_ADDR", vm.set_tss_address(TASK))?;
    }
    // The processor that guests see is all that KVM supports: without any, a vCPU refuses long mode.
    let cpuid = of_accel("KVM_GET_SUPPORTED_CPUID", kvm.get_supported_cpuid(KVM_MAX_CPUID_ENTRIES))?;
    Ok(Box::new(KvmVm::new(kvm, vm, cpuid)))
}

/// Whether this program and a kernel of this interface version understand each other. The version is negative where the device
/// is no KVM.
fn understands(version: i32) -> Result<(), AccelError> {
    let ours = KVM_API_VERSION.cast_signed();
    match version {
        _ if version == ours => Ok(()),
        _ if version < 0 => Err(AccelError::Missing("KVM_GET_API_VERSION")),
        _ if version < ours => Err(AccelError::KernelTooOld { version }),
        _ => Err(AccelError::ProgramTooOld { version }),
    }
}

/// KVM_CREATE_VM, which a signal may interrupt.
fn create_vm(kvm: &Kvm) -> Result<VmFd, AccelError> {
    loop {
        match told("KVM_CREATE_VM", kvm.create_vm()) {
            Err(error) if error.errno() == libc::EINTR => {}
            answer => {
                return answer
                    .map_err(|source| AccelError::Refused { call: "KVM_CREATE_VM", source: source.into() });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::understands;

    #[rstest]
    #[case(12, None)]
    #[case(11, Some("use interface version 11: the kernel is too old"))]
    #[case(13, Some("use interface version 13: this program is too old"))]
    #[case(-1, Some("do without KVM_GET_API_VERSION"))]
    fn both_directions_are_told_apart(#[case] version: i32, #[case] why: Option<&str>) {
        assert_eq!(understands(version).err().map(|error| error.to_string()).as_deref(), why);
    }
}
