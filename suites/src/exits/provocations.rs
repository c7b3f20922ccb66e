//! The provocations: each makes a claim of each property in [`provoked`](super::provoked).

provoked! {
    out_byte, "OUT of a byte", "5. The kvm_run structure, KVM_EXIT_IO", crate::exits::io::out_byte;
    in_doubleword, "IN of a doubleword", "5. The kvm_run structure, KVM_EXIT_IO", crate::exits::io::in_doubleword;
    in_string, "REP INSB", "5. The kvm_run structure, KVM_EXIT_IO", crate::exits::io::in_string;
    out_string, "OUTSB", "5. The kvm_run structure, KVM_EXIT_IO", crate::exits::io::out_string;
    hlt, "HLT", "5. The kvm_run structure, KVM_EXIT_HLT", crate::exits::hlt::halt;
    mmio_store, "a store by MMIO", "5. The kvm_run structure, KVM_EXIT_MMIO", crate::exits::mmio::store;
    mmio_load, "a load by MMIO", "5. The kvm_run structure, KVM_EXIT_MMIO", crate::exits::mmio::load;
    irq_window_open, "an open interrupt window", "5. The kvm_run structure, request_interrupt_window", crate::exits::irq_window_open::open, Any(&[Amd, Intel]);
    triple_fault, "a triple fault", "5. The kvm_run structure, KVM_EXIT_SHUTDOWN", crate::exits::shutdown::triple_fault;
    pending_triple_fault, "a pending triple fault", "4.32 KVM_SET_VCPU_EVENTS", crate::exits::shutdown::pending, Has(harness::kvm::KVM_CAP_X86_TRIPLE_FAULT_EVENT);
    fail_entry, "a refused entry", "5. The kvm_run structure, KVM_EXIT_FAIL_ENTRY", crate::exits::fail_entry::refused, Amd;
    intr, "a signal before the first instruction", "4.10 KVM_RUN", crate::exits::intr::signalled;
    set_tpr, "a lowered CR8", "5. The kvm_run structure, cr8", crate::exits::set_tpr::lower, Any(&[Amd, Intel]);
    tpr_read, "a reported read of the TPR", "5. The kvm_run structure, KVM_EXIT_TPR_ACCESS", crate::exits::tpr_access::read, Has(harness::kvm::KVM_CAP_IRQCHIP), Has(harness::kvm::KVM_CAP_VAPIC);
    tpr_write, "a reported write of the TPR", "5. The kvm_run structure, KVM_EXIT_TPR_ACCESS", crate::exits::tpr_access::write, Has(harness::kvm::KVM_CAP_IRQCHIP), Has(harness::kvm::KVM_CAP_VAPIC);
    unknown, "a store without memory for it", "4.10 KVM_RUN", crate::exits::unknown::failed, Has(harness::kvm::KVM_CAP_MEMORY_FAULT_INFO);
    hypercall, "KVM_HC_MAP_GPA_RANGE", "5. The kvm_run structure, KVM_EXIT_HYPERCALL", crate::exits::hypercall::map_gpa_range, Any(&[Amd, Intel]), Has(harness::kvm::KVM_CAP_EXIT_HYPERCALL);
    step, "a single step", "5. The kvm_run structure, KVM_EXIT_DEBUG", crate::exits::debug::step, Has(harness::kvm::KVM_CAP_SET_GUEST_DEBUG);
    int3, "INT3 that the host asked for", "5. The kvm_run structure, KVM_EXIT_DEBUG", crate::exits::debug::int3, Has(harness::kvm::KVM_CAP_SET_GUEST_DEBUG);
    emulation_failure, "an instruction that cannot be emulated", "5. The kvm_run structure, KVM_EXIT_INTERNAL_ERROR", crate::exits::internal_error::unknown_instruction, Has(harness::kvm::KVM_CAP_EXIT_ON_EMULATION_FAILURE);
    reset, "HV_X64_MSR_RESET", "5. The kvm_run structure, KVM_EXIT_SYSTEM_EVENT", crate::exits::system_event::reset, Has(harness::kvm::KVM_CAP_HYPERV), Has(harness::kvm::KVM_CAP_HYPERV_CPUID);
    crash, "HV_X64_MSR_CRASH_CTL", "5. The kvm_run structure, KVM_EXIT_SYSTEM_EVENT", crate::exits::system_event::crash, Has(harness::kvm::KVM_CAP_HYPERV), Has(harness::kvm::KVM_CAP_HYPERV_CPUID);
    ioapic_eoi, "the end of a level-triggered interrupt", "5. The kvm_run structure, KVM_EXIT_IOAPIC_EOI", crate::exits::ioapic_eoi::end, Has(harness::kvm::KVM_CAP_SPLIT_IRQCHIP), Has(harness::kvm::KVM_CAP_SIGNAL_MSI);
    hyperv_synic, "HV_X64_MSR_SCONTROL", "5. The kvm_run structure, KVM_EXIT_HYPERV", crate::exits::hyperv::synic, Has(harness::kvm::KVM_CAP_HYPERV_SYNIC2), Has(harness::kvm::KVM_CAP_HYPERV_CPUID);
    hyperv_call, "HvCallPostMessage", "5. The kvm_run structure, KVM_EXIT_HYPERV", crate::exits::hyperv::call, Has(harness::kvm::KVM_CAP_HYPERV_SYNIC2), Has(harness::kvm::KVM_CAP_HYPERV_CPUID);
    rdmsr_filtered, "RDMSR that a filter denies", "5. The kvm_run structure, KVM_EXIT_X86_RDMSR", crate::exits::x86_rdmsr::filtered, Has(harness::kvm::KVM_CAP_X86_USER_SPACE_MSR), Has(harness::kvm::KVM_CAP_X86_MSR_FILTER);
    rdmsr_unknown, "RDMSR of an unknown MSR", "5. The kvm_run structure, KVM_EXIT_X86_RDMSR", crate::exits::x86_rdmsr::unknown_msr, Has(harness::kvm::KVM_CAP_X86_USER_SPACE_MSR);
    wrmsr_invalid, "WRMSR of a bad value", "5. The kvm_run structure, KVM_EXIT_X86_WRMSR", crate::exits::x86_wrmsr::invalid, Has(harness::kvm::KVM_CAP_X86_USER_SPACE_MSR);
    wrmsr_refused, "WRMSR that the host refuses", "5. The kvm_run structure, KVM_EXIT_X86_WRMSR", crate::exits::x86_wrmsr::refused, Has(harness::kvm::KVM_CAP_X86_USER_SPACE_MSR);
    dirty_ring_full, "a full dirty ring", "8.29 KVM_CAP_DIRTY_LOG_RING/KVM_CAP_DIRTY_LOG_RING_ACQ_REL", crate::exits::dirty_ring_full::full, Has(harness::kvm::KVM_CAP_DIRTY_LOG_RING);
    xen, "a Xen hypercall", "5. The kvm_run structure, KVM_EXIT_XEN", crate::exits::xen::call, AtLeast(harness::kvm::KVM_CAP_XEN_HVM, 2);
    memory_fault, "a private page without memory", "5. The kvm_run structure, KVM_EXIT_MEMORY_FAULT", crate::exits::memory_fault::private, Has(harness::kvm::KVM_CAP_MEMORY_FAULT_INFO), AtLeast(harness::kvm::KVM_CAP_VM_TYPES, 2);
}
