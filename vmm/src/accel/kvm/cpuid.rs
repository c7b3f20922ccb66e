//! The processor that a guest sees: what KVM supports, with each vCPU's own identity: SDM volume 2, CPUID.

use kvm_bindings::CpuId;

use crate::IrqChip;

const TSC_DEADLINE: u32 = 1 << 24;
/// There are leaves from 0x40000000 on. KVM supports them, and before Linux 6.14 does not say so in this bit.
const HYPERVISOR: u32 = 1 << 31;
/// Leaf 0x40000001: what only works with the kernel's local APIC.
const NEEDS_KERNEL_APIC: u32 = 1 << 4 | 1 << 6 | 1 << 7 | 1 << 10 | 1 << 11 | 1 << 13 | 1 << 14;

/// The leaves of the vCPU of this number, of so many.
pub(super) fn of_cpu(supported: &CpuId, id: u32, cpus: u32, irqchip: IrqChip, has_deadline: bool) -> CpuId {
    let mut cpuid = supported.clone();
    for leaf in cpuid.as_mut_slice() {
        match leaf.function {
            1 => {
                leaf.ebx = leaf.ebx & 0xffff | (id & 0xff) << 24 | cpus.min(0xff) << 16;
                if cpus > 1 {
                    leaf.edx |= 1 << 28;
                }
                leaf.ecx |= HYPERVISOR;
                if has_deadline {
                    leaf.ecx |= TSC_DEADLINE;
                }
            }
            0xb | 0x1f => leaf.edx = id,
            0x4000_0001 if irqchip == IrqChip::User => leaf.eax &= !NEEDS_KERNEL_APIC,
            _ => {}
        }
    }
    cpuid
}
