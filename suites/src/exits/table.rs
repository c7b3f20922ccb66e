//! Every exit reason of Linux 7.3 and every kind that one has: which claims try it, or why none does.

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The reason's number, and behind a point that of the kind.
    pub number: &'static str,
    /// The name in `linux/kvm.h`, or what the kind is.
    pub name: &'static str,
    /// What is done about it.
    pub by: By,
}

/// What is done about an exit.
#[derive(Clone, Copy, Debug)]
pub enum By {
    /// The claims whose names begin so try it.
    Claims(&'static str),
    /// The claims whose names begin so try that it stays away, and why nothing tries that it comes.
    Absence(&'static str, &'static str),
    /// Nothing tries it, and why.
    Nothing(&'static str),
}

use By::{Absence, Claims, Nothing};

const fn row(number: &'static str, name: &'static str, by: By) -> Row {
    Row { number, name, by }
}

/// Why an exit of another architecture is not tried.
const ELSEWHERE: By = Nothing("no code of x86 gives it");
/// Why what only guests with encrypted memory do is not tried.
const SEV: &str = "only a guest of SEV-ES or SEV-SNP makes it, which AMD's security processor must launch";
const TDX: &str = "only a guest of TDX makes it, which Intel's TDX module must launch";

/// The table.
pub const TABLE: &[Row] = &[
    row("0", "KVM_EXIT_UNKNOWN", Claims("exits::unknown::")),
    row("1", "KVM_EXIT_EXCEPTION", Claims("exits::exception::")),
    row("2", "KVM_EXIT_IO", Claims("exits::io::")),
    row("3", "KVM_EXIT_HYPERCALL", Claims("exits::hypercall::")),
    row("4", "KVM_EXIT_DEBUG", Claims("exits::debug::")),
    row("4.1", "single step", Claims("exits::debug::every_instruction_is_a_step")),
    row("4.2", "software breakpoint", Claims("exits::debug::int3_is_the_hosts")),
    row("4.3", "breakpoint on code", Claims("exits::debug::code_breakpoints_come_before")),
    row("4.4", "watchpoint", Claims("exits::debug::watchpoints_come_behind")),
    row("4.5", "general detect", Claims("exits::debug::general_detect_comes_before")),
    row("4.6", "step with interrupts blocked", Claims("exits::debug_events::blocked_interrupts_wait")),
    row(
        "4.7",
        "breakpoint on an emulated instruction",
        Claims("exits::debug::breakpoints_on_mmio_come_before"),
    ),
    row("4.8", "injected #DB and #BP", Claims("exits::debug_events::injected_exceptions_are_the_guests")),
    row("4.9", "the guest's own debug registers", Claims("exits::debug::the_guests_registers_are_its_own")),
    row("5", "KVM_EXIT_HLT", Claims("exits::hlt::")),
    row("6", "KVM_EXIT_MMIO", Claims("exits::mmio::")),
    row("7", "KVM_EXIT_IRQ_WINDOW_OPEN", Claims("exits::irq_window_open::")),
    row("8", "KVM_EXIT_SHUTDOWN", Claims("exits::shutdown::")),
    row("9", "KVM_EXIT_FAIL_ENTRY", Claims("exits::fail_entry::")),
    row("10", "KVM_EXIT_INTR", Claims("exits::intr::")),
    row("11", "KVM_EXIT_SET_TPR", Claims("exits::set_tpr::")),
    row("12", "KVM_EXIT_TPR_ACCESS", Claims("exits::tpr_access::")),
    row("13", "KVM_EXIT_S390_SIEIC", ELSEWHERE),
    row("14", "KVM_EXIT_S390_RESET", ELSEWHERE),
    row("15", "KVM_EXIT_DCR", ELSEWHERE),
    row("16", "KVM_EXIT_NMI", Nothing("the number is taken, and no code of any architecture gives it")),
    row("17", "KVM_EXIT_INTERNAL_ERROR", Claims("exits::internal_error::")),
    row(
        "17.1",
        "KVM_INTERNAL_ERROR_EMULATION",
        Claims("exits::internal_error::unknown_instructions_are_told"),
    ),
    row(
        "17.2",
        "KVM_INTERNAL_ERROR_SIMUL_EX",
        Nothing(
            "VMX alone gives it, for an exception while another event is delivered that its exception bitmap does not expect",
        ),
    ),
    row(
        "17.3",
        "KVM_INTERNAL_ERROR_DELIVERY_EV",
        Claims("exits::internal_error::delivery_through_mmio_is_told"),
    ),
    row(
        "17.4",
        "KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON",
        Nothing("only a processor gives it that leaves the guest for a reason which KVM has not enabled"),
    ),
    row("18", "KVM_EXIT_OSI", ELSEWHERE),
    row("19", "KVM_EXIT_PAPR_HCALL", ELSEWHERE),
    row("20", "KVM_EXIT_S390_UCONTROL", ELSEWHERE),
    row("21", "KVM_EXIT_WATCHDOG", ELSEWHERE),
    row("22", "KVM_EXIT_S390_TSCH", ELSEWHERE),
    row("23", "KVM_EXIT_EPR", ELSEWHERE),
    row("24", "KVM_EXIT_SYSTEM_EVENT", Claims("exits::system_event::")),
    row("24.1", "KVM_SYSTEM_EVENT_SHUTDOWN", ELSEWHERE),
    row("24.2", "KVM_SYSTEM_EVENT_RESET", Claims("exits::system_event::a_reset_is_told")),
    row("24.3", "KVM_SYSTEM_EVENT_CRASH", Claims("exits::system_event::a_crash_is_told")),
    row("24.4", "KVM_SYSTEM_EVENT_WAKEUP", ELSEWHERE),
    row("24.5", "KVM_SYSTEM_EVENT_SUSPEND", ELSEWHERE),
    row("24.6", "KVM_SYSTEM_EVENT_SEV_TERM", Nothing(SEV)),
    row("24.7", "KVM_SYSTEM_EVENT_TDX_FATAL", Nothing(TDX)),
    row("25", "KVM_EXIT_S390_STSI", ELSEWHERE),
    row("26", "KVM_EXIT_IOAPIC_EOI", Claims("exits::ioapic_eoi::")),
    row("27", "KVM_EXIT_HYPERV", Claims("exits::hyperv::")),
    row("27.1", "KVM_EXIT_HYPERV_SYNIC", Claims("exits::hyperv::synic_writes_are_told")),
    row("27.2", "KVM_EXIT_HYPERV_HCALL", Claims("exits::hyperv::messages_are_told")),
    row("27.3", "KVM_EXIT_HYPERV_SYNDBG", Claims("exits::hyperv::debugger_writes_are_told")),
    row("28", "KVM_EXIT_ARM_NISV", ELSEWHERE),
    row("29", "KVM_EXIT_X86_RDMSR", Claims("exits::x86_rdmsr::")),
    row("29.1", "KVM_MSR_EXIT_REASON_INVAL, read", Claims("exits::x86_rdmsr::invalid_reads_are_answered")),
    row("29.2", "KVM_MSR_EXIT_REASON_UNKNOWN, read", Claims("exits::x86_rdmsr::unknown_msrs_are_answered")),
    row("29.4", "KVM_MSR_EXIT_REASON_FILTER, read", Claims("exits::x86_rdmsr::filtered_msrs_are_answered")),
    row("30", "KVM_EXIT_X86_WRMSR", Claims("exits::x86_wrmsr::")),
    row("30.1", "KVM_MSR_EXIT_REASON_INVAL, write", Claims("exits::x86_wrmsr::invalid_values_are_told")),
    row("30.2", "KVM_MSR_EXIT_REASON_UNKNOWN, write", Claims("exits::x86_wrmsr::unknown_msrs_are_told")),
    row("30.4", "KVM_MSR_EXIT_REASON_FILTER, write", Claims("exits::x86_wrmsr::filtered_msrs_are_told")),
    row("31", "KVM_EXIT_DIRTY_RING_FULL", Claims("exits::dirty_ring_full::")),
    row("32", "KVM_EXIT_AP_RESET_HOLD", Absence("exits::ap_reset_hold::", SEV)),
    row("33", "KVM_EXIT_X86_BUS_LOCK", Claims("exits::x86_bus_lock::")),
    row("34", "KVM_EXIT_XEN", Claims("exits::xen::")),
    row("34.1", "KVM_EXIT_XEN_HCALL", Claims("exits::xen::hypercalls_are_told")),
    row("35", "KVM_EXIT_RISCV_SBI", ELSEWHERE),
    row("36", "KVM_EXIT_RISCV_CSR", ELSEWHERE),
    row("37", "KVM_EXIT_NOTIFY", Claims("exits::notify::")),
    row("37.1", "KVM_NOTIFY_CONTEXT_INVALID", Claims("exits::notify::endless_delivery_is_told")),
    row("38", "KVM_EXIT_LOONGARCH_IOCSR", ELSEWHERE),
    row("39", "KVM_EXIT_MEMORY_FAULT", Claims("exits::memory_fault::")),
    row("39.0", "an access to shared memory", Claims("exits::memory_fault::unresolved_faults_are_told")),
    row(
        "39.8",
        "KVM_MEMORY_EXIT_FLAG_PRIVATE",
        Claims("exits::memory_fault::private_pages_without_memory_are_told"),
    ),
    row(
        "39.E",
        "EHWPOISON",
        Nothing(
            "only memory of a guest_memfd that the host has found broken gives it, and breaking memory is not the suite's",
        ),
    ),
    row("40", "KVM_EXIT_TDX", Absence("exits::tdx::", TDX)),
    row("41", "KVM_EXIT_ARM_SEA", ELSEWHERE),
    row("42", "KVM_EXIT_ARM_LDST64B", ELSEWHERE),
    row("43", "KVM_EXIT_SNP_REQ_CERTS", Absence("exits::snp_req_certs::", SEV)),
    row("flags.1", "KVM_RUN_X86_SMM", Claims("exits::run_flags::smm_is_told")),
    row("flags.2", "KVM_RUN_X86_BUS_LOCK", Claims("exits::x86_bus_lock::split_locks_leave")),
    row("flags.4", "KVM_RUN_X86_GUEST_MODE", Claims("exits::run_flags::guest_mode_is_told")),
    row("run.1", "immediate_exit", Claims("vcpu::immediate_exit::")),
    row(
        "run.2",
        "ready_for_interrupt_injection and if_flag",
        Claims("vcpu::run_page::if_flag_is_the_guests"),
    ),
    row("run.3", "cr8 and apic_base", Claims("vcpu::run_page::cr8_is_taken_and_given")),
    row("run.4", "kvm_valid_regs and kvm_dirty_regs", Claims("vcpu::sync_regs::")),
];
