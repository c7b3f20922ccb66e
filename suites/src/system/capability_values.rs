//! The capabilities that answer the same on every x86: `kvm_vm_ioctl_check_extension` and its generic half.

use harness::kvm::{
    CAPS, Cap, KVM_CAP_ADJUST_CLOCK, KVM_CAP_ASSIGN_DEV_IRQ, KVM_CAP_ASYNC_PF, KVM_CAP_ASYNC_PF_INT,
    KVM_CAP_BINARY_STATS_FD, KVM_CAP_CHECK_EXTENSION_VM, KVM_CAP_CLOCKSOURCE, KVM_CAP_COALESCED_MMIO,
    KVM_CAP_COALESCED_PIO, KVM_CAP_COUNTER_OFFSET, KVM_CAP_DEBUGREGS, KVM_CAP_DESTROY_MEMORY_REGION_WORKS,
    KVM_CAP_DEVICE_CTRL, KVM_CAP_DIRTY_LOG_RING, KVM_CAP_DIRTY_LOG_RING_ACQ_REL,
    KVM_CAP_DIRTY_LOG_RING_WITH_BITMAP, KVM_CAP_DISABLE_QUIRKS, KVM_CAP_ENABLE_CAP, KVM_CAP_ENABLE_CAP_VM,
    KVM_CAP_ENFORCE_PV_FEATURE_CPUID, KVM_CAP_EXCEPTION_PAYLOAD, KVM_CAP_EXIT_HYPERCALL,
    KVM_CAP_EXIT_ON_EMULATION_FAILURE, KVM_CAP_EXT_CPUID, KVM_CAP_EXT_EMUL_CPUID, KVM_CAP_GET_MSR_FEATURES,
    KVM_CAP_GET_TSC_KHZ, KVM_CAP_GUEST_DEBUG_HW_BPS, KVM_CAP_GUEST_DEBUG_HW_WPS, KVM_CAP_HALT_POLL,
    KVM_CAP_HLT, KVM_CAP_IMMEDIATE_EXIT, KVM_CAP_INTERNAL_ERROR_DATA, KVM_CAP_INTR_SHADOW,
    KVM_CAP_IOAPIC_POLARITY_IGNORED, KVM_CAP_IOEVENTFD, KVM_CAP_IOEVENTFD_ANY_LENGTH,
    KVM_CAP_IOEVENTFD_NO_LENGTH, KVM_CAP_IOMMU, KVM_CAP_IRQ_INJECT_STATUS, KVM_CAP_IRQ_ROUTING,
    KVM_CAP_IRQCHIP, KVM_CAP_IRQFD, KVM_CAP_IRQFD_RESAMPLE, KVM_CAP_JOIN_MEMORY_REGIONS_WORKS,
    KVM_CAP_KVMCLOCK_CTRL, KVM_CAP_LAST_CPU, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT,
    KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, KVM_CAP_MCE, KVM_CAP_MEMORY_FAULT_INFO,
    KVM_CAP_MMU_SHADOW_CACHE_CONTROL, KVM_CAP_MP_STATE, KVM_CAP_MSI_DEVID, KVM_CAP_MSR_PLATFORM_INFO,
    KVM_CAP_NOP_IO_DELAY, KVM_CAP_NR_MEMSLOTS, KVM_CAP_ONE_REG, KVM_CAP_PCI_2_3, KVM_CAP_PCI_SEGMENT,
    KVM_CAP_PMU_EVENT_FILTER, KVM_CAP_PMU_EVENT_MASKED_EVENTS, KVM_CAP_PTP_KVM, KVM_CAP_PV_MMU,
    KVM_CAP_READONLY_MEM, KVM_CAP_SET_BOOT_CPU_ID, KVM_CAP_SET_GUEST_DEBUG, KVM_CAP_SET_GUEST_DEBUG2,
    KVM_CAP_SET_IDENTITY_MAP_ADDR, KVM_CAP_SET_TSS_ADDR, KVM_CAP_SIGNAL_MSI, KVM_CAP_SPLIT_IRQCHIP,
    KVM_CAP_SREGS2, KVM_CAP_SYNC_MMU, KVM_CAP_SYNC_REGS, KVM_CAP_SYS_ATTRIBUTES, KVM_CAP_SYSTEM_EVENT_DATA,
    KVM_CAP_TSC_DEADLINE_TIMER, KVM_CAP_USER_MEMORY, KVM_CAP_USER_MEMORY2, KVM_CAP_USER_NMI, KVM_CAP_VAPIC,
    KVM_CAP_VCPU_ATTRIBUTES, KVM_CAP_VCPU_EVENTS, KVM_CAP_VM_ATTRIBUTES, KVM_CAP_VM_COPY_ENC_CONTEXT_FROM,
    KVM_CAP_VM_DISABLE_NX_HUGE_PAGES, KVM_CAP_VM_GPA_BITS, KVM_CAP_VM_MOVE_ENC_CONTEXT_FROM,
    KVM_CAP_X86_APIC_BUS_CYCLES_NS, KVM_CAP_X86_GUEST_MODE, KVM_CAP_X86_MSR_FILTER,
    KVM_CAP_X86_ROBUST_SINGLESTEP, KVM_CAP_X86_TRIPLE_FAULT_EVENT, KVM_CAP_X86_USER_SPACE_MSR, KVM_CAP_XSAVE,
    Kvm, Vm,
};
use harness::{Outcome, claim, each, equal};

/// What answers 1 from Linux 5.10 on.
const ONES: &[Cap] = &[
    KVM_CAP_IRQCHIP,
    KVM_CAP_HLT,
    KVM_CAP_MMU_SHADOW_CACHE_CONTROL,
    KVM_CAP_USER_MEMORY,
    KVM_CAP_SET_TSS_ADDR,
    KVM_CAP_EXT_CPUID,
    KVM_CAP_CLOCKSOURCE,
    KVM_CAP_NOP_IO_DELAY,
    KVM_CAP_MP_STATE,
    KVM_CAP_SYNC_MMU,
    KVM_CAP_DESTROY_MEMORY_REGION_WORKS,
    KVM_CAP_USER_NMI,
    KVM_CAP_SET_GUEST_DEBUG,
    KVM_CAP_IRQ_INJECT_STATUS,
    KVM_CAP_JOIN_MEMORY_REGIONS_WORKS,
    KVM_CAP_IRQFD,
    KVM_CAP_SET_BOOT_CPU_ID,
    KVM_CAP_IOEVENTFD,
    KVM_CAP_SET_IDENTITY_MAP_ADDR,
    KVM_CAP_INTERNAL_ERROR_DATA,
    KVM_CAP_VCPU_EVENTS,
    KVM_CAP_PCI_SEGMENT,
    KVM_CAP_DEBUGREGS,
    KVM_CAP_X86_ROBUST_SINGLESTEP,
    KVM_CAP_XSAVE,
    KVM_CAP_ASYNC_PF,
    KVM_CAP_GET_TSC_KHZ,
    KVM_CAP_TSC_DEADLINE_TIMER,
    KVM_CAP_KVMCLOCK_CTRL,
    KVM_CAP_SIGNAL_MSI,
    KVM_CAP_READONLY_MEM,
    KVM_CAP_IRQFD_RESAMPLE,
    KVM_CAP_EXT_EMUL_CPUID,
    KVM_CAP_IOAPIC_POLARITY_IGNORED,
    KVM_CAP_ENABLE_CAP_VM,
    KVM_CAP_IOEVENTFD_NO_LENGTH,
    KVM_CAP_CHECK_EXTENSION_VM,
    KVM_CAP_DISABLE_QUIRKS,
    KVM_CAP_SPLIT_IRQCHIP,
    KVM_CAP_IOEVENTFD_ANY_LENGTH,
    KVM_CAP_IMMEDIATE_EXIT,
    KVM_CAP_GET_MSR_FEATURES,
    KVM_CAP_MSR_PLATFORM_INFO,
    KVM_CAP_COALESCED_PIO,
    KVM_CAP_EXCEPTION_PAYLOAD,
    KVM_CAP_PMU_EVENT_FILTER,
    KVM_CAP_HALT_POLL,
    KVM_CAP_ASYNC_PF_INT,
    KVM_CAP_LAST_CPU,
    KVM_CAP_X86_USER_SPACE_MSR,
    KVM_CAP_X86_MSR_FILTER,
    KVM_CAP_ENFORCE_PV_FEATURE_CPUID,
];

/// What answers 1 from Linux 6.1 on.
const ONES_OF_6_1: &[Cap] = &[
    KVM_CAP_VAPIC,
    KVM_CAP_ENABLE_CAP,
    KVM_CAP_VCPU_ATTRIBUTES,
    KVM_CAP_VM_COPY_ENC_CONTEXT_FROM,
    KVM_CAP_SREGS2,
    KVM_CAP_BINARY_STATS_FD,
    KVM_CAP_EXIT_ON_EMULATION_FAILURE,
    KVM_CAP_VM_MOVE_ENC_CONTEXT_FROM,
    KVM_CAP_SYS_ATTRIBUTES,
    KVM_CAP_SYSTEM_EVENT_DATA,
    KVM_CAP_X86_TRIPLE_FAULT_EVENT,
    KVM_CAP_VM_DISABLE_NX_HUGE_PAGES,
];

/// What answers 1 from Linux 6.12 on.
const ONES_OF_6_12: &[Cap] = &[
    KVM_CAP_DEVICE_CTRL,
    KVM_CAP_PMU_EVENT_MASKED_EVENTS,
    KVM_CAP_USER_MEMORY2,
    KVM_CAP_MEMORY_FAULT_INFO,
    KVM_CAP_X86_APIC_BUS_CYCLES_NS,
    KVM_CAP_X86_GUEST_MODE,
];

/// What answers another number, from Linux 5.10 on: the page of the ring, the most routes, the most banks, all sets of registers,
/// and both modes.
const NUMBERS: &[(Cap, i32)] = &[
    (KVM_CAP_COALESCED_MMIO, 2),
    (KVM_CAP_IRQ_ROUTING, 4096),
    (KVM_CAP_MCE, 32),
    (KVM_CAP_SYNC_REGS, 7),
    (KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, 3),
];

/// What answers another number from Linux 6.1 on.
const NUMBERS_OF_6_1: &[(Cap, i32)] = &[
    (KVM_CAP_NR_MEMSLOTS, 32764),
    (KVM_CAP_ADJUST_CLOCK, 0xe),
    (KVM_CAP_DIRTY_LOG_RING, 1 << 20),
    (KVM_CAP_DIRTY_LOG_RING_ACQ_REL, 1 << 20),
    (KVM_CAP_SET_GUEST_DEBUG2, 0x1f_0003),
    (KVM_CAP_EXIT_HYPERCALL, 0x1000),
];

/// What x86 has given up, or documents and never answered: api.rst 4.31 has user space ask for KVM_CAP_INTR_SHADOW.
const NEVER_ON_X86: &[Cap] = &[
    KVM_CAP_PV_MMU,
    KVM_CAP_IOMMU,
    KVM_CAP_ASSIGN_DEV_IRQ,
    KVM_CAP_INTR_SHADOW,
    KVM_CAP_PCI_2_3,
    KVM_CAP_VM_ATTRIBUTES,
    KVM_CAP_GUEST_DEBUG_HW_BPS,
    KVM_CAP_GUEST_DEBUG_HW_WPS,
    KVM_CAP_MSI_DEVID,
    KVM_CAP_MANUAL_DIRTY_LOG_PROTECT,
    KVM_CAP_PTP_KVM,
    KVM_CAP_VM_GPA_BITS,
    KVM_CAP_DIRTY_LOG_RING_WITH_BITMAP,
    KVM_CAP_COUNTER_OFFSET,
];

#[track_caller]
fn are_one(kvm: &Kvm, caps: &[Cap]) -> Outcome {
    each(caps, |cap| equal(kvm.check_extension(**cap)?, 1))
}

fn are_numbers(kvm: &Kvm, caps: &[(Cap, i32)]) -> Outcome {
    each(caps, |(cap, number)| equal(kvm.check_extension(*cap)?, *number))
}

fn are_zero<'a>(kvm: &Kvm, vm: &Vm, caps: impl Iterator<Item = &'a Cap>) -> Outcome {
    each(caps, |cap| {
        equal(kvm.check_extension(**cap)?, 0)?;
        equal(vm.check_extension(**cap)?, 0)
    })
}

fn old_ones(kvm: Kvm) -> Outcome {
    are_one(&kvm, ONES)
}
claim!(
    old_ones,
    "KVM_CHECK_EXTENSION answers 1 for what every x86 host has had since Linux 5.10",
    [Code("kvm_vm_ioctl_check_extension, arch/x86/kvm/x86.c")]
);

fn ones_of_6_1(kvm: Kvm) -> Outcome {
    are_one(&kvm, ONES_OF_6_1)
}
claim!(
    ones_of_6_1,
    "KVM_CHECK_EXTENSION answers 1 for what every x86 host has had since Linux 6.1",
    [Code("kvm_vm_ioctl_check_extension, arch/x86/kvm/x86.c")],
    Kernel(">=6.1")
);

fn ones_of_6_12(kvm: Kvm) -> Outcome {
    are_one(&kvm, ONES_OF_6_12)
}
claim!(
    ones_of_6_12,
    "KVM_CHECK_EXTENSION answers 1 for what every x86 host has had since Linux 6.12",
    [Code("kvm_vm_ioctl_check_extension, arch/x86/kvm/x86.c")],
    Kernel(">=6.12")
);

fn one_reg(kvm: Kvm) -> Outcome {
    are_one(&kvm, &[KVM_CAP_ONE_REG])
}
claim!(
    one_reg,
    "KVM_CAP_ONE_REG answers 1 from Linux 6.18 on",
    [Code("kvm_vm_ioctl_check_extension, arch/x86/kvm/x86.c")],
    Kernel(">=6.18")
);

fn numbers(kvm: Kvm) -> Outcome {
    are_numbers(&kvm, NUMBERS)
}
claim!(
    numbers,
    "KVM_CHECK_EXTENSION answers the limits and masks that have not changed since Linux 5.10",
    [Code("kvm_vm_ioctl_check_extension_generic, virt/kvm/kvm_main.c")]
);

fn numbers_of_6_1(kvm: Kvm) -> Outcome {
    are_numbers(&kvm, NUMBERS_OF_6_1)
}
claim!(
    numbers_of_6_1,
    "KVM_CHECK_EXTENSION answers the limits and masks that have not changed since Linux 6.1",
    [Code("kvm_vm_ioctl_check_extension_generic, virt/kvm/kvm_main.c")],
    Kernel(">=6.1")
);

fn given_up(kvm: Kvm, vm: Vm) -> Outcome {
    are_zero(&kvm, &vm, NEVER_ON_X86.iter())
}
claim!(
    given_up,
    "KVM_CHECK_EXTENSION answers 0 for the capabilities that x86 has given up or never had",
    [Code("kvm_vm_ioctl_check_extension, arch/x86/kvm/x86.c")]
);

fn of_other_architectures(kvm: Kvm, vm: Vm) -> Outcome {
    are_zero(&kvm, &vm, CAPS.iter().filter(|cap| !cap.on_x86 && !NEVER_ON_X86.contains(cap)))
}
claim!(
    of_other_architectures,
    "KVM_CHECK_EXTENSION answers 0 for the capabilities of other architectures",
    [Api("4.4 KVM_CHECK_EXTENSION")]
);
