//! KVM_GET_DIRTY_LOG and KVM_CLEAR_DIRTY_LOG for 32-bit callers, whose bitmap's address has half the bits: `struct
//! compat_kvm_dirty_log` and `struct compat_kvm_clear_dirty_log`, virt/kvm/kvm_main.c.

use std::sync::Arc;

use harness::kvm::{
    Compat, CompatBuffer, EFAULT, EINVAL, Exit, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, KVM_CLEAR_DIRTY_LOG,
    KVM_GET_DIRTY_LOG, Kvm, Memory, Vm, abi,
};
use harness::{Outcome, Stop, claim, each, equal, fails};

use super::alike::by_32;
use crate::vcpu::real_mode::RealMode;

/// A slot of 65 pages, so that its bitmap has a second word.
const PAGES: usize = 65;
/// Where it lies.
const START: u64 = 0x1_0000;
/// Its number.
const SLOT: u32 = 2;
/// How long its bitmap is, in bytes: in words of 64 bits for either caller.
const BITMAP: usize = 16;

/// A VM in whose logged slot a guest has written pages 3 and 64, and the slot's memory.
fn dirtied(vm: Vm) -> Result<(RealMode, Arc<Memory>), Stop> {
    // mov al, 0x99; mov [edi], al; mov [esi], al; hlt
    let guest = RealMode::within(vm, 0, &[0xb0, 0x99, 0x67, 0x88, 0x07, 0x67, 0x88, 0x06, 0xf4])?;
    let memory = Arc::new(Memory::new(PAGES * 4096)?);
    memory.fill(0xf4)?;
    guest.vm.set_memory(SLOT, abi::KVM_MEM_LOG_DIRTY_PAGES, START, &memory)?;
    let mut sregs = guest.vcpu.get_sregs()?;
    (sregs.ds.base, sregs.ds.limit, sregs.ds.g) = (START, u32::MAX, 1);
    guest.vcpu.set_sregs(&sregs)?;
    let mut regs = guest.vcpu.get_regs()?;
    (regs.rdi, regs.rsi) = (3 * 4096, 64 * 4096);
    guest.vcpu.set_regs(&regs)?;
    equal(guest.run()?, Exit::Hlt)?;
    guest.ended(|end| (end.regs.rax, end.regs.rdi, end.regs.rsi) = (0x99, 3 * 4096, 64 * 4096))?;
    Ok((guest, memory))
}

/// The bitmap as the 32-bit caller gets it, with this where a 64-bit caller has the upper half of the address.
fn log_32(vm: &Vm, high: u32) -> Result<[u64; 2], Stop> {
    let mut bitmap = CompatBuffer::holding([u64::MAX; 2])?;
    equal(Compat.get_dirty_log(vm, SLOT, high, &mut bitmap)?, 0)?;
    Ok(bitmap.get(0))
}

/// The bitmap as a 64-bit caller gets it.
fn log_64(vm: &Vm) -> Result<[u64; 2], Stop> {
    let bytes = vm.get_dirty_log(SLOT, BITMAP)?;
    let (low, high) = bytes.split_at(8);
    Ok([low, high].map(|word| word.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte))))
}

fn written_pages_are_bits(kvm: Kvm) -> Outcome {
    let (guest, _memory) = dirtied(kvm.create_vm(0)?)?;
    equal(log_32(&guest.vm, 0)?, [1 << 3, 1])?;
    equal(log_64(&guest.vm)?, [0, 0])
}
claim!(
    written_pages_are_bits,
    "KVM_GET_DIRTY_LOG tells a 32-bit caller which pages were written, and clears the log for both",
    [Api("4.8 KVM_GET_DIRTY_LOG (vm ioctl)"), Code("kvm_vm_compat_ioctl, virt/kvm/kvm_main.c")],
    Compat32,
);

fn the_upper_half_is_padding(kvm: Kvm) -> Outcome {
    each([0x0100_0000, 0x7fff_ffff, 0xffff_8000, u32::MAX], |&high| {
        let (guest, _memory) = dirtied(kvm.create_vm(0)?)?;
        equal(log_32(&guest.vm, high)?, [1 << 3, 1])
    })
}
claim!(
    the_upper_half_is_padding,
    "KVM_GET_DIRTY_LOG ignores what a 32-bit caller has where the upper half of a 64-bit address would be",
    [Code("kvm_vm_compat_ioctl, virt/kvm/kvm_main.c")],
    Compat32,
);

fn bitmaps_are_in_words_of_64_bits(kvm: Kvm) -> Outcome {
    let (guest, _memory) = dirtied(kvm.create_vm(0)?)?;
    // Enough for 96 pages, which a caller whose words have 32 bits would take for the bitmap of 65.
    let mut short = CompatBuffer::zeroed(12)?;
    fails(EFAULT, Compat.get_dirty_log(&guest.vm, SLOT, 0, &mut short))
}
claim!(
    bitmaps_are_in_words_of_64_bits,
    "KVM_GET_DIRTY_LOG fills words of 64 bits for a 32-bit caller too, and so needs 16 bytes for 65 pages",
    // Nothing says so: a program that follows "one bit per page" in words of its own is overrun by four bytes.
    [Observed("kvm_get_dirty_log_protect, virt/kvm/kvm_main.c, counts in the kernel's longs")],
    Compat32,
);

fn slots_are_checked(vm: Vm) -> Outcome {
    each([0x7fff_u32, 0xffff, 0x0100_0000], |&slot| {
        let head: Vec<u8> = [slot, 0, 0, 0].into_iter().flat_map(u32::to_le_bytes).collect();
        equal(by_32(&vm, KVM_GET_DIRTY_LOG, head.len(), &head)?.0, Err(EINVAL))
    })
}
claim!(
    slots_are_checked,
    "KVM_GET_DIRTY_LOG refuses a 32-bit caller's slot or address space above the last with EINVAL",
    [Code("kvm_get_dirty_log_protect, virt/kvm/kvm_main.c")],
    Compat32,
);

/// A VM whose dirty log is cleared by hand.
fn manual(kvm: &Kvm) -> Result<Vm, Stop> {
    let vm = kvm.create_vm(0)?;
    vm.enable_cap(KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, [1, 0, 0, 0])?;
    Ok(vm)
}

fn pages_are_cleared_by_bit(kvm: Kvm) -> Outcome {
    each([0, 0x0100_0000, u32::MAX], |&high| {
        let (guest, _memory) = dirtied(manual(&kvm)?)?;
        equal(log_32(&guest.vm, 0)?, [1 << 3, 1])?;
        let third = CompatBuffer::holding([1u64 << 3, 0])?;
        equal(Compat.clear_dirty_log(&guest.vm, SLOT, 65, high, &third)?, 0)?;
        equal((log_32(&guest.vm, 0)?, log_64(&guest.vm)?), ([0, 1], [0, 1]))
    })
}
claim!(
    pages_are_cleared_by_bit,
    "KVM_CLEAR_DIRTY_LOG clears the bits that a 32-bit caller names, whatever is where a 64-bit address goes on",
    [Api("4.117 KVM_CLEAR_DIRTY_LOG (vm ioctl)"), Code("kvm_vm_compat_ioctl, virt/kvm/kvm_main.c")],
    Compat32,
    Has(KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2),
);

fn cleared_ranges_are_checked(kvm: Kvm) -> Outcome {
    let (guest, _memory) = dirtied(manual(&kvm)?)?;
    let before = log_32(&guest.vm, 0)?;
    // The slot and how many pages; the first page. A first page that is no multiple of 64, one behind the slot, too many pages.
    each([(65u32, 1u64), (1, 128), (66, 0), (65, 1 << 32)], |&(pages, first)| {
        let head: Vec<u8> = [u64::from(pages) << 32 | u64::from(SLOT), first, 0]
            .into_iter()
            .flat_map(u64::to_le_bytes)
            .collect();
        equal(by_32(&guest.vm, KVM_CLEAR_DIRTY_LOG, head.len(), &head)?.0, Err(EINVAL))
    })?;
    equal(log_32(&guest.vm, 0)?, before)
}
claim!(
    cleared_ranges_are_checked,
    "KVM_CLEAR_DIRTY_LOG refuses a 32-bit caller's range outside of the slot with EINVAL and clears nothing",
    [Api("4.117 KVM_CLEAR_DIRTY_LOG (vm ioctl)"), Code("kvm_clear_dirty_log_protect, virt/kvm/kvm_main.c")],
    Compat32,
    Has(KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2),
);
