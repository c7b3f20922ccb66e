//! Structures of the interface that are nothing but bytes.
#![expect(unsafe_code, reason = "says of foreign structures that any bytes make one")]

use super::abi;

/// A type of which any bytes make a valid value.
///
/// # Safety
/// The type holds integers and arrays of them only, without references and without values that no bytes may take.
pub unsafe trait Plain: Copy + 'static {}

macro_rules! plain {
    ($($type:ty),* $(,)?) => {
        $(
            // SAFETY: integers, or a `repr(C)` structure or union of integers, made from `linux/kvm.h`.
            unsafe impl Plain for $type {}
        )*
    };
}

plain!(
    u8,
    u16,
    u32,
    u64,
    i8,
    i16,
    i32,
    i64,
    abi::kvm_clock_data,
    abi::kvm_coalesced_mmio,
    abi::kvm_coalesced_mmio_zone,
    abi::kvm_cpuid_entry2,
    abi::kvm_create_device,
    abi::kvm_create_guest_memfd,
    abi::kvm_debugregs,
    abi::kvm_device_attr,
    abi::kvm_dirty_gfn,
    abi::kvm_enable_cap,
    abi::kvm_fpu,
    abi::kvm_guest_debug,
    abi::kvm_interrupt,
    abi::kvm_irq_level,
    abi::kvm_irqchip,
    abi::kvm_irqfd,
    abi::kvm_lapic_state,
    abi::kvm_mp_state,
    abi::kvm_msi,
    abi::kvm_msr_entry,
    abi::kvm_pit_config,
    abi::kvm_pit_state2,
    abi::kvm_regs,
    abi::kvm_reinject_control,
    abi::kvm_sregs,
    abi::kvm_sregs2,
    abi::kvm_stats_header,
    abi::kvm_translation,
    abi::kvm_tpr_access_ctl,
    abi::kvm_userspace_memory_region,
    abi::kvm_userspace_memory_region2,
    abi::kvm_vcpu_events,
    abi::kvm_xcrs,
);

// SAFETY: an array of plain values is plain.
unsafe impl<T: Plain, const N: usize> Plain for [T; N] {}
