//! The exits that have kinds of their own: `struct kvm_hyperv_exit`, `struct kvm_xen_exit`, and KVM_EXIT_TDX.

use super::Fields;

/// KVM_EXIT_HYPERV.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HypervExit {
    /// KVM_EXIT_HYPERV_SYNIC: the guest changed the synthetic interrupt controller.
    Synic {
        /// The MSR that it wrote.
        msr: u32,
        /// SCONTROL.
        control: u64,
        /// SIEFP.
        evt_page: u64,
        /// SIMP.
        msg_page: u64,
    },
    /// KVM_EXIT_HYPERV_HCALL.
    Hypercall {
        /// The hypercall's input value.
        input: u64,
        /// What the guest will be answered.
        result: u64,
        /// The guest-physical addresses of input and output.
        params: [u64; 2],
    },
    /// KVM_EXIT_HYPERV_SYNDBG: the guest changed the synthetic debugger.
    Syndbg {
        /// The MSR that it wrote.
        msr: u32,
        /// CONTROL.
        control: u64,
        /// STATUS, which the host answers with.
        status: u64,
        /// SEND_BUFFER.
        send_page: u64,
        /// RECV_BUFFER.
        recv_page: u64,
        /// PENDING_BUFFER.
        pending_page: u64,
    },
    /// A kind that Linux 7.3 does not know.
    Other(u32),
}

/// KVM_EXIT_XEN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum XenExit {
    /// KVM_EXIT_XEN_HCALL.
    Hypercall {
        /// Whether it was made in 64-bit mode.
        longmode: u32,
        /// The privilege level that made it.
        cpl: u32,
        /// The hypercall's number.
        input: u64,
        /// What the guest will be answered.
        result: u64,
        /// Its arguments.
        params: [u64; 6],
    },
    /// A kind that Linux 7.3 does not know.
    Other(u32),
}

/// KVM_EXIT_TDX: a TDVMCALL that the host answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TdxExit {
    /// No flag is defined.
    pub flags: u64,
    /// Which TDVMCALL it is.
    pub nr: u64,
    /// What the guest will be answered.
    pub ret: u64,
    /// What the call adds: for GetQuote, address and size; for GetTdVmCallInfo, the leaf and what R11 to R14 will hold; for
    /// SetupEventNotifyInterrupt, the vector.
    pub data: [u64; 5],
}

impl HypervExit {
    pub(super) fn of(of: Fields<'_>) -> Self {
        match of.word(0) {
            1 => Self::Synic {
                msr: of.word(8),
                control: of.long(16),
                evt_page: of.long(24),
                msg_page: of.long(32),
            },
            2 => Self::Hypercall { input: of.long(8), result: of.long(16), params: of.longs(24) },
            3 => Self::Syndbg {
                msr: of.word(8),
                control: of.long(16),
                status: of.long(24),
                send_page: of.long(32),
                recv_page: of.long(40),
                pending_page: of.long(48),
            },
            kind => Self::Other(kind),
        }
    }
}

impl XenExit {
    pub(super) fn of(of: Fields<'_>) -> Self {
        match of.word(0) {
            1 => Self::Hypercall {
                longmode: of.word(8),
                cpl: of.word(12),
                input: of.long(16),
                result: of.long(24),
                params: of.longs(32),
            },
            kind => Self::Other(kind),
        }
    }
}

impl TdxExit {
    pub(super) fn of(of: Fields<'_>) -> Self {
        Self { flags: of.long(0), nr: of.long(8), ret: of.long(16), data: of.longs(24) }
    }
}
