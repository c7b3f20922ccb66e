//! KVM_CREATE_PIT and KVM_CREATE_PIT2: api.rst 4.71.

use harness::kvm::{
    Argument, Descriptor, EEXIST, EFAULT, ENOENT, ENXIO, KVM_CAP_PIT_STATE2, KVM_CAP_PIT2,
    KVM_CAP_SPLIT_IRQCHIP, KVM_CREATE_PIT, KVM_CREATE_PIT2, KVM_GET_PIT2, Kvm, Vm, abi,
};
use harness::{Controllers, Outcome, claim, each, equal, fails, succeeds};

use super::step::Answer::{Fails, Works};
use super::step::Step::{Enable, Irqchip, Pit, Pit2, Vcpu};
use super::step::in_order;

fn needs_a_pic(vm: Vm) -> Outcome {
    in_order(&vm, &[(Pit2, Fails(ENOENT)), (Pit, Fails(ENOENT)), (Vcpu(0), Works), (Pit2, Fails(ENOENT))])
}
claim!(
    needs_a_pic,
    "KVM_CREATE_PIT and KVM_CREATE_PIT2 are refused with ENOENT before KVM_CREATE_IRQCHIP",
    [Api("4.71 KVM_CREATE_PIT2"), Code("kvm_arch_vm_ioctl, arch/x86/kvm/x86.c")],
    Has(KVM_CAP_PIT2),
    Kernel(">=6.12")
);

fn needed_no_pic(kvm: Kvm) -> Outcome {
    let split = (Enable(KVM_CAP_SPLIT_IRQCHIP, 24), Works);
    each([Pit, Pit2], |pit| {
        in_order(&kvm.create_vm(0)?, &[(*pit, Works), (Irqchip, Works)])?;
        in_order(&kvm.create_vm(0)?, &[split, (*pit, Works), (Vcpu(0), Works)])
    })
}
claim!(
    needed_no_pic,
    "KVM_CREATE_PIT and KVM_CREATE_PIT2 succeeded without an in-kernel PIC on kernels before 6.2",
    // The documentation never allowed it. 6.12 refuses; which kernel between was the first is not certain.
    [Observed("kvm_arch_vm_ioctl of Linux 5.10 to 6.1")],
    Has(KVM_CAP_PIT2),
    Has(KVM_CAP_SPLIT_IRQCHIP),
    Kernel("<6.2")
);

fn is_made_once(kvm: Kvm) -> Outcome {
    each([(Pit, Pit), (Pit, Pit2), (Pit2, Pit), (Pit2, Pit2)], |(first, second)| {
        in_order(&kvm.create_vm(0)?, &[(Irqchip, Works), (*first, Works), (*second, Fails(EEXIST))])
    })
}
claim!(
    is_made_once,
    "KVM_CREATE_PIT and KVM_CREATE_PIT2 are refused with EEXIST after either of them",
    [Code("kvm_arch_vm_ioctl, arch/x86/kvm/x86.c")],
    Has(KVM_CAP_PIT2)
);

fn may_follow_vcpus(kvm: Kvm) -> Outcome {
    each([Pit, Pit2], |pit| {
        in_order(&kvm.create_vm(0)?, &[(Irqchip, Works), (Vcpu(0), Works), (*pit, Works), (Vcpu(1), Works)])
    })
}
claim!(
    may_follow_vcpus,
    "KVM_CREATE_PIT and KVM_CREATE_PIT2 succeed before and after vCPUs are created",
    [Code("kvm_arch_vm_ioctl, arch/x86/kvm/x86.c")],
    Has(KVM_CAP_PIT2)
);

fn takes_any_flags() -> Outcome {
    // Only KVM_PIT_SPEAKER_DUMMY is documented as valid, and nothing looks at the others or at the padding.
    each([1, 2, 1 << 31, u32::MAX], |flags| {
        let config = abi::kvm_pit_config { flags: *flags, pad: [u32::MAX; 15] };
        succeeds(Controllers::Kernel.vm()?.write(KVM_CREATE_PIT2, &config)).map(drop)
    })
}
claim!(
    takes_any_flags,
    "KVM_CREATE_PIT2 takes unknown flags and any padding without a word",
    [Observed("kvm_arch_vm_ioctl of Linux 5.10 to 7.3")],
    Has(KVM_CAP_PIT2)
);

fn reads_its_configuration() -> Outcome {
    let vm = Controllers::Kernel.vm()?;
    fails(EFAULT, vm.send(KVM_CREATE_PIT2, Argument::Inaccessible))?;
    fails(ENXIO, vm.read::<abi::kvm_pit_state2>(KVM_GET_PIT2))
}
claim!(
    reads_its_configuration,
    "KVM_CREATE_PIT2 with a configuration that cannot be read is refused with EFAULT and makes no PIT",
    [Api("4.71 KVM_CREATE_PIT2"), Code("kvm_arch_vm_ioctl, arch/x86/kvm/x86.c")],
    Has(KVM_CAP_PIT2),
    Has(KVM_CAP_PIT_STATE2)
);

fn is_the_same_by_either_name() -> Outcome {
    let (one, other) = (Controllers::Kernel.vm()?, Controllers::Kernel.vm()?);
    one.value(KVM_CREATE_PIT, 0)?;
    other.create_pit2(abi::KVM_PIT_SPEAKER_DUMMY)?;
    let state =
        |vm: &Vm| vm.read::<abi::kvm_pit_state2>(KVM_GET_PIT2).map(|state| (state.flags, modes(&state)));
    equal(state(&one)?, state(&other)?)
}
claim!(
    is_the_same_by_either_name,
    "KVM_CREATE_PIT makes the same PIT as KVM_CREATE_PIT2 with KVM_PIT_SPEAKER_DUMMY",
    [Code("kvm_arch_vm_ioctl, arch/x86/kvm/x86.c")],
    Has(KVM_CAP_PIT2),
    Has(KVM_CAP_PIT_STATE2)
);

/// Count, mode and gate of each channel: all of its state that does not tell the time.
fn modes(state: &abi::kvm_pit_state2) -> [(u32, u8, u8); 3] {
    state.channels.map(|channel| (channel.count, channel.mode, channel.gate))
}
