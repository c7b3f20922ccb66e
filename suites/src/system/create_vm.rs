//! KVM_CREATE_VM and the machine types that it takes: api.rst 4.2 and KVM_CAP_VM_TYPES, 8.41.

use std::num::NonZeroU32;

use harness::kvm::{EINVAL, KVM_CAP_VM_TYPES, Kvm, Refused};
use harness::{Outcome, Stop, claim, each, equal, fails, holds, succeeds, unchanged};

use super::arguments::above_32_bits;

/// The types that the host offers, as bits. A kernel without KVM_CAP_VM_TYPES has type 0 alone.
fn offered(kvm: &Kvm) -> Result<u64, Refused> {
    let types = kvm.check_extension(KVM_CAP_VM_TYPES)?;
    Ok(u64::from(types.cast_unsigned()).max(1))
}

/// How many descriptors the process has open.
fn open_descriptors() -> Result<usize, Stop> {
    match std::fs::read_dir("/proc/self/fd") {
        Ok(entries) => Ok(entries.count()),
        Err(error) => Err(Stop::Skip(format!("open descriptors cannot be counted: {error}"))),
    }
}

/// The type is refused, and no descriptor stays behind.
#[track_caller]
fn is_refused(kvm: &Kvm, machine_type: u64) -> Outcome {
    unchanged(open_descriptors, || fails(EINVAL, kvm.create_vm(machine_type)))
}

fn makes_the_default_type(kvm: Kvm) -> Outcome {
    succeeds(kvm.create_vm(0)).map(drop)
}
claim!(makes_the_default_type, "KVM_CREATE_VM makes a VM of type 0", [Api("4.2 KVM_CREATE_VM")]);

fn default_type_is_offered(kvm: Kvm) -> Outcome {
    equal(kvm.check_extension(KVM_CAP_VM_TYPES)? & 1, 1)
}
claim!(
    default_type_is_offered,
    "KVM_CAP_VM_TYPES always offers KVM_X86_DEFAULT_VM",
    [Code("kvm_x86_vendor_init, arch/x86/kvm/x86.c")],
    Has(KVM_CAP_VM_TYPES)
);

fn makes_each_offered_type(kvm: Kvm) -> Outcome {
    let types = offered(&kvm)?;
    each((0..32).filter(|n| types >> n & 1 == 1), |n| succeeds(kvm.create_vm(*n)).map(drop))
}
claim!(
    makes_each_offered_type,
    "KVM_CREATE_VM makes a VM of every type that KVM_CAP_VM_TYPES offers",
    [Api("8.41 KVM_CAP_VM_TYPES")],
    Has(KVM_CAP_VM_TYPES)
);

fn refuses_each_other_type(kvm: Kvm) -> Outcome {
    let types = offered(&kvm)?;
    each((0..=64).filter(|n| *n >= 32 || types >> n & 1 == 0), |n| is_refused(&kvm, *n))
}
claim!(
    refuses_each_other_type,
    "KVM_CREATE_VM refuses every type that is not offered, and opens nothing",
    [Api("8.41 KVM_CAP_VM_TYPES"), Code("kvm_is_vm_type_supported, arch/x86/kvm/x86.c")]
);

fn refuses_large_types(kvm: Kvm, machine_type: u64) -> Outcome {
    is_refused(&kvm, machine_type.max(32))
}
claim!(
    refuses_large_types,
    "KVM_CREATE_VM refuses every type from 32 on, and opens nothing",
    [Code("kvm_is_vm_type_supported, arch/x86/kvm/x86.c")]
);

fn looks_at_all_64_bits(kvm: Kvm, high: NonZeroU32) -> Outcome {
    let types = offered(&kvm)?;
    each((0..32).filter(|n| types >> n & 1 == 1), |n| is_refused(&kvm, above_32_bits(high, *n)))
}
claim!(
    looks_at_all_64_bits,
    "KVM_CREATE_VM does not take a type above 32 bits for the type in its low half",
    [Code("kvm_is_vm_type_supported, arch/x86/kvm/x86.c")]
);

fn shares_nothing(kvm: Kvm) -> Outcome {
    let (one, other) = (kvm.create_vm(0)?, kvm.create_vm(0)?);
    succeeds(one.create_vcpu(0))?;
    succeeds(other.create_vcpu(0)).map(drop)
}
claim!(
    shares_nothing,
    "A new VM has no vCPUs, whatever other VMs of the process have",
    [Api("4.2 KVM_CREATE_VM")]
);

fn answers_a_new_descriptor(kvm: Kvm) -> Outcome {
    let before = open_descriptors()?;
    let vms = [kvm.create_vm(0)?, kvm.create_vm(0)?];
    equal(open_descriptors()?, before + vms.len())?;
    drop(vms);
    holds(open_descriptors()? == before, "closing the VMs closes all that was opened for them")
}
claim!(
    answers_a_new_descriptor,
    "KVM_CREATE_VM opens one descriptor for each VM",
    [Api("4.2 KVM_CREATE_VM")]
);
