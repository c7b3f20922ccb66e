//! Numbers of KVM's type that no command on x86 has: made up, and those of other architectures.

use harness::kvm::{Command, Descriptor, KVM_CAP_BINARY_STATS_FD, KVM_CAP_GUEST_MEMFD, Kvm, Vcpu, Vm};
use harness::{Outcome, claim};
use proptest::prelude::{Arbitrary, BoxedStrategy, Strategy};
use serde::{Deserialize, Serialize};

use super::lesser::{Memfd, VcpuStats, Vfio};
use super::stranger::{is_known, unknown_to};

/// KVMIO, the type of every KVM command.
const KVMIO: u32 = 0xae;

/// A number of KVM's type that no command has.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Unknown(u32);

impl Arbitrary for Unknown {
    type Parameters = ();
    type Strategy = BoxedStrategy<Self>;

    fn arbitrary_with((): ()) -> Self::Strategy {
        (0..4_u32, 0..0x4000_u32, 0..0x100_u32)
            .prop_map(|(direction, size, number)| direction << 30 | size << 16 | KVMIO << 8 | number)
            .prop_filter("no command has it", |number| !is_known(*number))
            .prop_map(Self)
            .boxed()
    }
}

/// Commands that only other architectures have, but for two whose numbers x86 uses otherwise (KVM_S390_ENABLE_SIE and
/// KVM_ARM_SET_DEVICE_ADDR).
const OF_OTHER_ARCHITECTURES: &[Command] = &[
    named("KVM_S390_UCAS_MAP", 0x4018_ae50),
    named("KVM_S390_VCPU_FAULT", 0x4008_ae52),
    named("KVM_S390_INTERRUPT", 0x4010_ae94),
    named("KVM_S390_STORE_STATUS", 0x4008_ae95),
    named("KVM_S390_INITIAL_RESET", 0xae97),
    named("KVM_PPC_ALLOCATE_HTAB", 0xc004_aea7),
    named("KVM_CREATE_SPAPR_TCE", 0x4010_aea8),
    named("KVM_DIRTY_TLB", 0x4010_aeaa),
    named("KVM_PPC_GET_HTAB_FD", 0x4020_aeaa),
    named("KVM_ARM_VCPU_INIT", 0x4020_aeae),
    named("KVM_ARM_PREFERRED_TARGET", 0x8020_aeaf),
    named("KVM_S390_MEM_OP", 0x4040_aeb1),
    named("KVM_S390_GET_SKEYS", 0x4040_aeb2),
    named("KVM_PPC_SVM_OFF", 0xaeb3),
    named("KVM_S390_IRQ", 0x4048_aeb4),
    named("KVM_ARM_VCPU_FINALIZE", 0x4004_aec2),
    named("KVM_S390_NORMAL_RESET", 0xaec3),
    named("KVM_S390_CLEAR_RESET", 0xaec4),
];

const fn named(name: &'static str, number: u32) -> Command {
    Command { name, number, kinds: &[] }
}

fn made_up(of: &impl Descriptor, unknown: &Unknown) -> Outcome {
    unknown_to(of, [Command::unknown(unknown.0)])
}

fn system(kvm: Kvm, unknown: Unknown) -> Outcome {
    made_up(&kvm, &unknown)
}
claim!(
    system,
    "The system descriptor refuses a number that no command has with EINVAL",
    [Code("kvm_arch_dev_ioctl, arch/x86/kvm/x86.c")]
);

fn vm(vm: Vm, unknown: Unknown) -> Outcome {
    made_up(&vm, &unknown)
}
claim!(
    vm,
    "A VM refuses a number that no command has with ENOTTY",
    [Code("kvm_arch_vm_ioctl, arch/x86/kvm/x86.c")]
);

fn vcpu(vcpu: Vcpu, unknown: Unknown) -> Outcome {
    made_up(&vcpu, &unknown)
}
claim!(
    vcpu,
    "A vCPU refuses a number that no command has with EINVAL",
    [Code("kvm_arch_vcpu_ioctl, arch/x86/kvm/x86.c")]
);

fn device(vfio: Vfio, unknown: Unknown) -> Outcome {
    made_up(&vfio.device, &unknown)
}
claim!(
    device,
    "A kvm-vfio device refuses a number that no command has with ENOTTY",
    [Code("kvm_device_ioctl, virt/kvm/kvm_main.c")]
);

fn guest_memfd(memory: Memfd, unknown: Unknown) -> Outcome {
    made_up(&memory.memfd, &unknown)
}
claim!(
    guest_memfd,
    "A guest_memfd refuses a number of KVM's type that no command has with ENOTTY",
    [Code("kvm_gmem_fops, virt/kvm/guest_memfd.c")],
    Has(KVM_CAP_GUEST_MEMFD)
);

fn statistics(of: VcpuStats, unknown: Unknown) -> Outcome {
    made_up(&of.stats, &unknown)
}
claim!(
    statistics,
    "A statistics descriptor refuses a number of KVM's type that no command has with ENOTTY",
    [Code("kvm_vcpu_stats_fops, virt/kvm/kvm_main.c")],
    Has(KVM_CAP_BINARY_STATS_FD)
);

fn system_of_other_architectures(kvm: Kvm) -> Outcome {
    unknown_to(&kvm, OF_OTHER_ARCHITECTURES.iter().copied())
}
claim!(
    system_of_other_architectures,
    "The system descriptor refuses the commands of other architectures with EINVAL",
    [Code("kvm_arch_dev_ioctl, arch/x86/kvm/x86.c")]
);

fn vm_of_other_architectures(vm: Vm) -> Outcome {
    unknown_to(&vm, OF_OTHER_ARCHITECTURES.iter().copied())
}
claim!(
    vm_of_other_architectures,
    "A VM refuses the commands of other architectures with ENOTTY",
    [Code("kvm_arch_vm_ioctl, arch/x86/kvm/x86.c")]
);

fn vcpu_of_other_architectures(vcpu: Vcpu) -> Outcome {
    unknown_to(&vcpu, OF_OTHER_ARCHITECTURES.iter().copied())
}
claim!(
    vcpu_of_other_architectures,
    "A vCPU refuses the commands of other architectures with EINVAL",
    [Code("kvm_arch_vcpu_ioctl, arch/x86/kvm/x86.c")]
);
