//! KVM_SET_BOOT_CPU_ID: api.rst 4.41.

use harness::kvm::{
    Descriptor, EBUSY, EINVAL, KVM_CAP_IRQCHIP, KVM_CAP_MAX_VCPU_ID, KVM_CAP_SET_BOOT_CPU_ID,
    KVM_CAP_SPLIT_IRQCHIP, KVM_SET_BOOT_CPU_ID, Kvm, Vcpu, Vm,
};
use harness::{Controllers, Outcome, Stop, claim, each, equal, succeeds};

use super::step::Answer::{Fails, Works};
use super::step::Step::{self, BootCpuId, Enable};
use super::step::in_order;

/// The bit of IA32_APIC_BASE that tells a bootstrap processor.
const BSP: u64 = 1 << 8;

/// Creates vCPUs with these ids, in this order, and finds the ids of those that are bootstrap processors.
#[track_caller]
fn bootstrap_processors(vm: &Vm, ids: &[u64]) -> Result<Vec<u64>, Stop> {
    let mut found = Vec::new();
    let mut vcpus: Vec<(u64, Vcpu)> = Vec::new();
    for id in ids {
        vcpus.push((*id, vm.create_vcpu(*id)?));
    }
    for (id, vcpu) in vcpus {
        if vcpu.get_sregs()?.apic_base & BSP != 0 {
            found.push(id);
        }
    }
    Ok(found)
}

/// The first id that no vCPU of any VM can have.
fn limit(vm: &Vm) -> Result<u64, Stop> {
    Ok(u64::from(vm.check_extension(KVM_CAP_MAX_VCPU_ID)?.unsigned_abs()))
}

fn makes_one_bootstrap_processor() -> Outcome {
    each(Controllers::WITH_LAPIC, |controllers| makes_one(*controllers))
}
claim!(
    makes_one_bootstrap_processor,
    "KVM_SET_BOOT_CPU_ID chooses the one vCPU whose IA32_APIC_BASE tells a bootstrap processor",
    [Api("4.41 KVM_SET_BOOT_CPU_ID")],
    Has(KVM_CAP_SET_BOOT_CPU_ID),
    Has(KVM_CAP_SPLIT_IRQCHIP),
    Has(KVM_CAP_IRQCHIP)
);

fn makes_one_without_irqchip() -> Outcome {
    makes_one(Controllers::User)
}
claim!(
    makes_one_without_irqchip,
    "KVM_SET_BOOT_CPU_ID chooses the one bootstrap processor without an in-kernel irqchip, too",
    [Api("4.41 KVM_SET_BOOT_CPU_ID")],
    Has(KVM_CAP_SET_BOOT_CPU_ID),
    Kernel(">=5.15")
);

#[track_caller]
fn makes_one(controllers: Controllers) -> Outcome {
    for boot in [0, 1, 5] {
        let vm = controllers.vm()?;
        succeeds(vm.value(KVM_SET_BOOT_CPU_ID, boot))?;
        equal(bootstrap_processors(&vm, &[5, 0, 1, 2])?, vec![boot])?;
    }
    Ok(())
}

fn made_all_without_irqchip(vm: Vm) -> Outcome {
    equal(bootstrap_processors(&vm, &[0, 1, 2])?, vec![0, 1, 2])
}
claim!(
    made_all_without_irqchip,
    "Without an in-kernel irqchip, every vCPU was a bootstrap processor on Intel before 5.15",
    // On AMD the choice counted there, too.
    [Observed("kvm_lapic_set_base of Linux 5.10 on Intel")],
    Intel,
    Kernel("<5.15")
);

fn defaults_to_vcpu_zero() -> Outcome {
    each(Controllers::WITH_LAPIC, |controllers| {
        equal(bootstrap_processors(&controllers.vm()?, &[2, 1, 0])?, vec![0])
    })
}
claim!(
    defaults_to_vcpu_zero,
    "Without KVM_SET_BOOT_CPU_ID, vCPU 0 is the bootstrap processor, whichever is created first",
    [Api("4.41 KVM_SET_BOOT_CPU_ID")],
    Has(KVM_CAP_SPLIT_IRQCHIP),
    Has(KVM_CAP_IRQCHIP)
);

fn may_name_a_vcpu_that_never_comes() -> Outcome {
    let vm = Controllers::Split.vm()?;
    succeeds(vm.value(KVM_SET_BOOT_CPU_ID, 7))?;
    equal(bootstrap_processors(&vm, &[0, 1])?, vec![])
}
claim!(
    may_name_a_vcpu_that_never_comes,
    "With KVM_SET_BOOT_CPU_ID of an absent vCPU, no vCPU is a bootstrap processor",
    [Api("4.41 KVM_SET_BOOT_CPU_ID"), Code("kvm_vcpu_is_reset_bsp, arch/x86/kvm/lapic.h")],
    Has(KVM_CAP_SET_BOOT_CPU_ID),
    Has(KVM_CAP_SPLIT_IRQCHIP)
);

fn may_be_set_again() -> Outcome {
    let vm = Controllers::Split.vm()?;
    in_order(&vm, &[(BootCpuId(3), Works), (BootCpuId(0), Works), (BootCpuId(1), Works)])?;
    equal(bootstrap_processors(&vm, &[0, 1, 3])?, vec![1])
}
claim!(
    may_be_set_again,
    "KVM_SET_BOOT_CPU_ID may be repeated before the first vCPU, and the last one counts",
    [Api("4.41 KVM_SET_BOOT_CPU_ID")],
    Has(KVM_CAP_SET_BOOT_CPU_ID),
    Has(KVM_CAP_SPLIT_IRQCHIP)
);

fn does_not_follow_a_vcpu() -> Outcome {
    let vm = Controllers::Split.vm()?;
    let steps = [(Step::Vcpu(0), Works), (BootCpuId(1), Fails(EBUSY)), (BootCpuId(0), Fails(EBUSY))];
    in_order(&vm, &steps)?;
    equal(bootstrap_processors(&vm, &[1, 2])?, vec![])
}
claim!(
    does_not_follow_a_vcpu,
    "KVM_SET_BOOT_CPU_ID is refused with EBUSY once there is a vCPU, and later vCPUs are not affected",
    [Api("4.41 KVM_SET_BOOT_CPU_ID")],
    Has(KVM_CAP_SET_BOOT_CPU_ID),
    Has(KVM_CAP_SPLIT_IRQCHIP)
);

fn says_busy_before_it_looks(vm: Vm) -> Outcome {
    in_order(&vm, &[(Step::Vcpu(0), Works), (BootCpuId(u64::MAX), Fails(EBUSY))])
}
claim!(
    says_busy_before_it_looks,
    "KVM_SET_BOOT_CPU_ID of an impossible vCPU is refused with EBUSY, not EINVAL, once there is a vCPU",
    [Code("kvm_arch_vm_ioctl, arch/x86/kvm/x86.c")],
    Has(KVM_CAP_SET_BOOT_CPU_ID)
);

fn refuses_impossible_vcpus(kvm: Kvm) -> Outcome {
    let vm = kvm.create_vm(0)?;
    each([limit(&vm)? + 1, 1 << 31, 0xffff_ffff, 1 << 32, (1 << 32) | 1, u64::MAX], |id| {
        in_order(&vm, &[(BootCpuId(*id), Fails(EINVAL))])
    })?;
    equal(bootstrap_processors(&vm, &[0, 1])?, vec![0])
}
claim!(
    refuses_impossible_vcpus,
    "KVM_SET_BOOT_CPU_ID is refused with EINVAL for ids above KVM_CAP_MAX_VCPU_ID, and vCPU 0 stays the choice",
    [Api("4.41 KVM_SET_BOOT_CPU_ID"), Code("kvm_arch_vm_ioctl, arch/x86/kvm/x86.c")],
    Has(KVM_CAP_SET_BOOT_CPU_ID),
    Kernel(">=6.11")
);

fn takes_the_last_vcpu(vm: Vm) -> Outcome {
    let last = limit(&vm)? - 1;
    succeeds(vm.value(KVM_SET_BOOT_CPU_ID, last))?;
    equal(bootstrap_processors(&vm, &[0, last])?, vec![last])
}
claim!(
    takes_the_last_vcpu,
    "KVM_SET_BOOT_CPU_ID takes the highest id that a vCPU can have",
    [Api("4.41 KVM_SET_BOOT_CPU_ID")],
    Has(KVM_CAP_SET_BOOT_CPU_ID),
    Has(KVM_CAP_MAX_VCPU_ID),
    Kernel(">=5.15")
);

fn takes_one_too_many(vm: Vm) -> Outcome {
    // The kernel compares with > where KVM_CREATE_VCPU compares with >=.
    let limit = limit(&vm)?;
    in_order(&vm, &[(BootCpuId(limit), Works), (Step::Vcpu(limit), Fails(EINVAL))])
}
claim!(
    takes_one_too_many,
    "KVM_SET_BOOT_CPU_ID takes KVM_CAP_MAX_VCPU_ID itself, an id that no vCPU can have",
    [Observed("kvm_arch_vm_ioctl of Linux 5.10 to 7.3")],
    Has(KVM_CAP_SET_BOOT_CPU_ID),
    Has(KVM_CAP_MAX_VCPU_ID)
);

fn keeps_within_a_lowered_limit(vm: Vm) -> Outcome {
    let lowered = (Enable(KVM_CAP_MAX_VCPU_ID, 8), Works);
    in_order(&vm, &[lowered, (BootCpuId(9), Fails(EINVAL)), (BootCpuId(7), Works)])?;
    equal(bootstrap_processors(&vm, &[0, 7])?, vec![7])
}
claim!(
    keeps_within_a_lowered_limit,
    "KVM_SET_BOOT_CPU_ID is refused with EINVAL for ids above the limit that KVM_CAP_MAX_VCPU_ID lowered",
    [Code("kvm_arch_vm_ioctl, arch/x86/kvm/x86.c")],
    Has(KVM_CAP_SET_BOOT_CPU_ID),
    Kernel(">=6.11")
);
