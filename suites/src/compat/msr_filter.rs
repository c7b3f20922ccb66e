//! KVM_X86_SET_MSR_FILTER for 32-bit callers: `struct kvm_msr_filter_compat`, arch/x86/kvm/x86.c, whose ranges have addresses of
//! 32 bits, so that the command has another number.

use harness::kvm::{
    Argument, Command, Compat, CompatBuffer, Descriptor, EFAULT, EINVAL, ENOTTY, Exit, Guarded,
    KVM_CAP_X86_MSR_FILTER, KVM_CAP_X86_USER_SPACE_MSR, KVM_GET_MSRS, KVM_X86_SET_MSR_FILTER, MsrExit, Vcpu,
    Vm,
};
use harness::{Outcome, Stop, claim, each, equal, fails};

use crate::vcpu::real_mode::RealMode;

/// KVM_X86_SET_MSR_FILTER as the compiler of a 32-bit program numbers it.
const KVM_X86_SET_MSR_FILTER_COMPAT: Command = Command::unknown(0x4104_aec6);
/// IA32_MISC_ENABLE, which KVM answers itself wherever it runs.
const MSR: u32 = 0x1a0;
/// KVM_MSR_EXIT_REASON_FILTER.
const EXIT_ON_FILTER: u64 = 4;
/// A read that the filter denied.
const RDMSR: Exit = Exit::Rdmsr(MsrExit { error: 0, reason: 4, index: MSR, data: 0 });
/// KVM_MSR_FILTER_READ.
const READ: u32 = 1;

/// A guest that reads the MSR, in a VM where filtered reads exit.
fn reading() -> Result<RealMode, Stop> {
    let [a, b, c, d] = MSR.to_le_bytes();
    let guest = RealMode::running(&[0x66, 0xb9, a, b, c, d, 0x0f, 0x32, 0xf4])?; // mov ecx, MSR; rdmsr; hlt
    guest.vm.enable_cap(KVM_CAP_X86_USER_SPACE_MSR, [EXIT_ON_FILTER, 0, 0, 0])?;
    Ok(guest)
}

/// The filter as a 32-bit program lays it out: flags, and ranges of flags, a count, the first MSR and a bitmap's address.
fn filter(bitmap: u32) -> Result<CompatBuffer, Stop> {
    let mut bytes = CompatBuffer::zeroed(4 + 16 * 16)?;
    bytes.put(4, [READ, 1, MSR, bitmap]);
    Ok(bytes)
}

/// A bitmap that denies the first MSR of a range: the kernel reads it in words of 64 bits.
fn denying() -> Result<CompatBuffer, Stop> {
    Ok(CompatBuffer::holding(0u64)?)
}

/// The MSR's value.
fn value(vcpu: &Vcpu) -> Result<u64, Stop> {
    let mut bytes = Guarded::zeroed(24);
    bytes.put(0, &[1u32, 0, MSR, 0]);
    equal(vcpu.send(KVM_GET_MSRS, Argument::Bytes(&mut bytes))?, 1)?;
    Ok(bytes.get(16))
}

/// Whether a guest's read of the MSR exits after `change` was done to its VM.
fn exits_after(change: impl FnOnce(&Vm) -> Outcome) -> Result<bool, Stop> {
    let guest = reading()?;
    change(&guest.vm)?;
    let exit = guest.run()?;
    let filtered = exit == RDMSR;
    equal(exit, if filtered { RDMSR } else { Exit::Hlt })?;
    let answer = if filtered {
        // The guest waits for an answer: zero, and no error.
        equal(guest.run()?, Exit::Hlt)?;
        0
    } else {
        value(&guest.vcpu)?
    };
    let halves = (answer & 0xffff_ffff, answer >> 32);
    guest.ended(|end| (end.regs.rcx, end.regs.rax, end.regs.rdx) = (MSR.into(), halves.0, halves.1))?;
    Ok(filtered)
}

fn filters_reads() -> Outcome {
    let exits = exits_after(|vm| {
        let bitmap = denying()?;
        equal(Compat.send(vm, KVM_X86_SET_MSR_FILTER_COMPAT, &mut filter(bitmap.address())?)?, 0)
    })?;
    equal(exits, true)?;
    equal(exits_after(|_| Ok(()))?, false)
}
claim!(
    filters_reads,
    "KVM_X86_SET_MSR_FILTER takes a 32-bit program's structure, by its number 0x4104aec6, and filters with it",
    [Api("4.97 KVM_X86_SET_MSR_FILTER"), Code("kvm_arch_vm_compat_ioctl, arch/x86/kvm/x86.c")],
    Compat32,
    Has(KVM_CAP_X86_MSR_FILTER),
    Has(KVM_CAP_X86_USER_SPACE_MSR),
);

fn allows_what_the_bitmap_allows() -> Outcome {
    each([(0u64, true), (1, false)], |&(allowed, exits)| {
        let seen = exits_after(|vm| {
            let bitmap = CompatBuffer::holding(allowed)?;
            equal(Compat.send(vm, KVM_X86_SET_MSR_FILTER_COMPAT, &mut filter(bitmap.address())?)?, 0)
        })?;
        equal(seen, exits)
    })
}
claim!(
    allows_what_the_bitmap_allows,
    "KVM_X86_SET_MSR_FILTER reads the bitmap that a 32-bit caller's structure points to",
    [Api("4.97 KVM_X86_SET_MSR_FILTER"), Code("kvm_arch_vm_compat_ioctl, arch/x86/kvm/x86.c")],
    Compat32,
    Has(KVM_CAP_X86_MSR_FILTER),
    Has(KVM_CAP_X86_USER_SPACE_MSR),
);

fn has_no_number_for_both(vm: Vm) -> Outcome {
    let mut bytes = Guarded::zeroed(4 + 16 * 16);
    fails(ENOTTY, vm.send(KVM_X86_SET_MSR_FILTER_COMPAT, Argument::Bytes(&mut bytes)))
}
claim!(
    has_no_number_for_both,
    "The number of KVM_X86_SET_MSR_FILTER for 32-bit programs, 0x4104aec6, is unknown to a 64-bit caller",
    [Code("kvm_arch_vm_ioctl, arch/x86/kvm/x86.c")],
    Has(KVM_CAP_X86_MSR_FILTER),
);

fn takes_the_wide_structure_too() -> Outcome {
    let exits = exits_after(|vm| {
        let bitmap = denying()?;
        // Flags and padding, and the ranges of a 64-bit program: flags, a count, the first MSR, padding, an address.
        let mut bytes = CompatBuffer::zeroed(KVM_X86_SET_MSR_FILTER.size())?;
        bytes.put(8, [READ, 1, MSR, 0, bitmap.address(), 0]);
        equal(Compat.send(vm, KVM_X86_SET_MSR_FILTER, &mut bytes)?, 0)
    })?;
    equal(exits, true)
}
claim!(
    takes_the_wide_structure_too,
    "KVM_X86_SET_MSR_FILTER by its 64-bit number takes the 64-bit structure from a 32-bit caller",
    [Observed("kvm_vm_compat_ioctl, virt/kvm/kvm_main.c, hands every other number on")],
    Compat32,
    Has(KVM_CAP_X86_MSR_FILTER),
    Has(KVM_CAP_X86_USER_SPACE_MSR),
);

fn bad_filters_change_nothing() -> Outcome {
    let exits = exits_after(|vm| {
        let bitmap = denying()?;
        equal(Compat.send(vm, KVM_X86_SET_MSR_FILTER_COMPAT, &mut filter(bitmap.address())?)?, 0)?;
        // A range without flags; a bitmap that cannot be read; a structure of which a range is missing.
        let mut idle = filter(bitmap.address())?;
        idle.put(4, 0u32);
        fails(EINVAL, Compat.send(vm, KVM_X86_SET_MSR_FILTER_COMPAT, &mut idle))?;
        let nothing = CompatBuffer::zeroed(0)?;
        let mut lost = filter(nothing.address())?;
        fails(EFAULT, Compat.send(vm, KVM_X86_SET_MSR_FILTER_COMPAT, &mut lost))?;
        fails(EFAULT, Compat.send(vm, KVM_X86_SET_MSR_FILTER_COMPAT, &mut CompatBuffer::zeroed(4 + 15 * 16)?))
    })?;
    equal(exits, true)
}
claim!(
    bad_filters_change_nothing,
    "KVM_X86_SET_MSR_FILTER refuses a 32-bit caller's bad filter, and the one before it stays",
    [Api("4.97 KVM_X86_SET_MSR_FILTER"), Code("kvm_vm_ioctl_set_msr_filter, arch/x86/kvm/x86.c")],
    Compat32,
    Has(KVM_CAP_X86_MSR_FILTER),
    Has(KVM_CAP_X86_USER_SPACE_MSR),
);

fn unknown_flags_are_refused() -> Outcome {
    let exits = exits_after(|vm| {
        let bitmap = denying()?;
        equal(Compat.send(vm, KVM_X86_SET_MSR_FILTER_COMPAT, &mut filter(bitmap.address())?)?, 0)?;
        each([2u32, 4, 1 << 31, 3], |&flags| {
            let mut unknown = filter(bitmap.address())?;
            unknown.put(0, flags);
            fails(EINVAL, Compat.send(vm, KVM_X86_SET_MSR_FILTER_COMPAT, &mut unknown))
        })
    })?;
    equal(exits, true)
}
claim!(
    unknown_flags_are_refused,
    "KVM_X86_SET_MSR_FILTER refuses a 32-bit caller's filter with an unknown flag, and the one before it stays",
    [Api("4.97 KVM_X86_SET_MSR_FILTER"), Code("kvm_vm_ioctl_set_msr_filter, arch/x86/kvm/x86.c")],
    Compat32,
    Has(KVM_CAP_X86_MSR_FILTER),
    Has(KVM_CAP_X86_USER_SPACE_MSR),
    // Linux 5.10 did not look at the flags but one.
    Kernel(">=6.1"),
);
