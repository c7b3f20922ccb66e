//! KVM_CAP_VM_COPY_ENC_CONTEXT_FROM and KVM_CAP_VM_MOVE_ENC_CONTEXT_FROM: api.rst 7.24 and 7.29.

use std::os::fd::{AsFd, AsRawFd};

use harness::kvm::{
    Cap, EBADF, EINVAL, KVM_CAP_VM_COPY_ENC_CONTEXT_FROM, KVM_CAP_VM_MOVE_ENC_CONTEXT_FROM, Kvm, Vm,
};
use harness::{Outcome, claim, each, fails_with_one_of};

use super::shown::Shown;
use super::step::Answer::Fails;
use super::step::Step::{Enable, Vcpu};
use super::step::{Answer, in_order};

fn number(fd: &impl AsFd) -> u64 {
    u64::from(fd.as_fd().as_raw_fd().unsigned_abs())
}

/// The context cannot come from what is no VM. A kernel without SEV says EINVAL before it looks.
fn refuses_what_is_no_vm(kvm: &Kvm, cap: Cap) -> Outcome {
    let vm = kvm.create_vm(0)?;
    let before = Shown::of(&vm, &[])?;
    each([number(kvm), 0x7fff_ffff, 0xffff_ffff], |source| {
        fails_with_one_of(&[EBADF, EINVAL], vm.enable_cap(cap, [*source, 0, 0, 0]))
    })?;
    before.is_still(&vm, &[])
}

/// The context cannot come from the VM itself, nor from one that has none.
fn refuses_vms_without_context(kvm: &Kvm, vm: &Vm, cap: Cap) -> Outcome {
    let other = kvm.create_vm(0)?;
    let refused = [(Enable(cap, number(vm)), Fails(EINVAL)), (Enable(cap, number(&other)), Fails(EINVAL))];
    in_order(vm, &refused)?;
    let late = [(Vcpu(0), Answer::Works), refused[0], refused[1]];
    in_order(vm, &late)
}

fn copy_is_from_a_vm(kvm: Kvm) -> Outcome {
    refuses_what_is_no_vm(&kvm, KVM_CAP_VM_COPY_ENC_CONTEXT_FROM)
}
claim!(
    copy_is_from_a_vm,
    "KVM_CAP_VM_COPY_ENC_CONTEXT_FROM is refused with EBADF, or EINVAL without SEV, for what is no VM's descriptor",
    // The documentation says ENOTTY for every error.
    [Code("sev_vm_copy_enc_context_from, arch/x86/kvm/svm/sev.c")],
    Has(KVM_CAP_VM_COPY_ENC_CONTEXT_FROM)
);

fn copy_is_from_an_encrypted_vm(kvm: Kvm, vm: Vm) -> Outcome {
    refuses_vms_without_context(&kvm, &vm, KVM_CAP_VM_COPY_ENC_CONTEXT_FROM)
}
claim!(
    copy_is_from_an_encrypted_vm,
    "KVM_CAP_VM_COPY_ENC_CONTEXT_FROM is refused with EINVAL for the VM itself and for one without encryption",
    // The documentation says ENOTTY for every error.
    [Code("sev_vm_copy_enc_context_from, arch/x86/kvm/svm/sev.c")],
    Has(KVM_CAP_VM_COPY_ENC_CONTEXT_FROM)
);

fn move_is_from_a_vm(kvm: Kvm) -> Outcome {
    refuses_what_is_no_vm(&kvm, KVM_CAP_VM_MOVE_ENC_CONTEXT_FROM)
}
claim!(
    move_is_from_a_vm,
    "KVM_CAP_VM_MOVE_ENC_CONTEXT_FROM is refused with EBADF, or EINVAL without SEV, for what is no VM's descriptor",
    [Code("sev_vm_move_enc_context_from, arch/x86/kvm/svm/sev.c")],
    Has(KVM_CAP_VM_MOVE_ENC_CONTEXT_FROM)
);

fn move_is_from_an_encrypted_vm(kvm: Kvm, vm: Vm) -> Outcome {
    refuses_vms_without_context(&kvm, &vm, KVM_CAP_VM_MOVE_ENC_CONTEXT_FROM)
}
claim!(
    move_is_from_an_encrypted_vm,
    "KVM_CAP_VM_MOVE_ENC_CONTEXT_FROM is refused with EINVAL for the VM itself and for one without encryption",
    [Code("sev_vm_move_enc_context_from, arch/x86/kvm/svm/sev.c")],
    Has(KVM_CAP_VM_MOVE_ENC_CONTEXT_FROM)
);
