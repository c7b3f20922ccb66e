//! Every reason for which KVM_RUN comes back: `include/uapi/linux/kvm.h`, Linux 7.3.

/// A reason for which KVM_RUN comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExitReason {
    /// What stands in the run page.
    pub number: u32,
    /// The name in `linux/kvm.h`.
    pub name: &'static str,
    /// Where a kernel has code that gives it.
    pub given: Given,
}

/// Where a kernel has code that gives an exit reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Given {
    /// On x86.
    OnX86,
    /// On this other architecture only.
    On(&'static str),
    /// Nowhere: the number is taken, and nothing gives it.
    Nowhere,
}

macro_rules! reasons {
    ($($number:literal $name:ident $given:expr;)+) => {
        /// Every exit reason, by number.
        pub const EXIT_REASONS: &[ExitReason] =
            &[$(ExitReason { number: $number, name: stringify!($name), given: $given }),+];
    };
}

reasons! {
    0 KVM_EXIT_UNKNOWN Given::OnX86;
    1 KVM_EXIT_EXCEPTION Given::OnX86;
    2 KVM_EXIT_IO Given::OnX86;
    3 KVM_EXIT_HYPERCALL Given::OnX86;
    4 KVM_EXIT_DEBUG Given::OnX86;
    5 KVM_EXIT_HLT Given::OnX86;
    6 KVM_EXIT_MMIO Given::OnX86;
    7 KVM_EXIT_IRQ_WINDOW_OPEN Given::OnX86;
    8 KVM_EXIT_SHUTDOWN Given::OnX86;
    9 KVM_EXIT_FAIL_ENTRY Given::OnX86;
    10 KVM_EXIT_INTR Given::OnX86;
    11 KVM_EXIT_SET_TPR Given::OnX86;
    12 KVM_EXIT_TPR_ACCESS Given::OnX86;
    13 KVM_EXIT_S390_SIEIC Given::On("s390");
    14 KVM_EXIT_S390_RESET Given::On("s390");
    15 KVM_EXIT_DCR Given::On("PowerPC");
    16 KVM_EXIT_NMI Given::Nowhere;
    17 KVM_EXIT_INTERNAL_ERROR Given::OnX86;
    18 KVM_EXIT_OSI Given::On("PowerPC");
    19 KVM_EXIT_PAPR_HCALL Given::On("PowerPC");
    20 KVM_EXIT_S390_UCONTROL Given::On("s390");
    21 KVM_EXIT_WATCHDOG Given::On("PowerPC");
    22 KVM_EXIT_S390_TSCH Given::On("s390");
    23 KVM_EXIT_EPR Given::On("PowerPC");
    24 KVM_EXIT_SYSTEM_EVENT Given::OnX86;
    25 KVM_EXIT_S390_STSI Given::On("s390");
    26 KVM_EXIT_IOAPIC_EOI Given::OnX86;
    27 KVM_EXIT_HYPERV Given::OnX86;
    28 KVM_EXIT_ARM_NISV Given::On("arm64");
    29 KVM_EXIT_X86_RDMSR Given::OnX86;
    30 KVM_EXIT_X86_WRMSR Given::OnX86;
    31 KVM_EXIT_DIRTY_RING_FULL Given::OnX86;
    32 KVM_EXIT_AP_RESET_HOLD Given::OnX86;
    33 KVM_EXIT_X86_BUS_LOCK Given::OnX86;
    34 KVM_EXIT_XEN Given::OnX86;
    35 KVM_EXIT_RISCV_SBI Given::On("RISC-V");
    36 KVM_EXIT_RISCV_CSR Given::On("RISC-V");
    37 KVM_EXIT_NOTIFY Given::OnX86;
    38 KVM_EXIT_LOONGARCH_IOCSR Given::On("LoongArch");
    39 KVM_EXIT_MEMORY_FAULT Given::OnX86;
    40 KVM_EXIT_TDX Given::OnX86;
    41 KVM_EXIT_ARM_SEA Given::On("arm64");
    42 KVM_EXIT_ARM_LDST64B Given::On("arm64");
    43 KVM_EXIT_SNP_REQ_CERTS Given::OnX86;
}

impl ExitReason {
    /// The reason with this number; none past the end of the list.
    pub fn of(number: u32) -> Option<&'static Self> {
        EXIT_REASONS.iter().find(|reason| reason.number == number)
    }
}
