//! Our own reading of `struct kvm_run`: every field that an exit reason defines, from the layout in api.rst section 5.

mod nested;
mod reason;
mod run_page;
#[cfg(test)]
mod tests;

pub use nested::{HypervExit, TdxExit, XenExit};
pub use reason::{EXIT_REASONS, ExitReason, Given};
pub use run_page::RunPage;

use super::Mapping;

/// Why KVM_RUN came back, with every field that the reason defines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exit {
    /// KVM_EXIT_UNKNOWN: what stands there when KVM_RUN failed before the guest gave a reason.
    Unknown {
        /// What the processor says of an exit that KVM does not know. KVM_RUN does not write it when it fails.
        hardware_exit_reason: u64,
    },
    /// KVM_EXIT_EXCEPTION: an exception that KVM neither handles nor hands to the guest.
    Exception {
        /// The vector.
        exception: u32,
        /// The error code that the processor pushes with it.
        error_code: u32,
    },
    /// KVM_EXIT_IO: `count` accesses of `size` bytes; the data lies `data_offset` bytes into the mapping.
    Io {
        /// OUT, where the guest gives the data; IN otherwise.
        out: bool,
        /// The width of one access, in bytes.
        size: u8,
        /// The port.
        port: u16,
        /// How many accesses a string instruction makes at once.
        count: u32,
        /// Where in the mapping the data lies, in bytes.
        data_offset: u64,
        /// What the guest wrote; nothing for IN.
        data: Vec<u8>,
    },
    /// KVM_EXIT_HYPERCALL: a hypercall that the VM's owner asked to see.
    Hypercall {
        /// Its number.
        nr: u64,
        /// Its arguments.
        args: [u64; 6],
        /// What the guest will be answered.
        ret: u64,
        /// Bit 0: it was made in 64-bit mode.
        flags: u64,
    },
    /// KVM_EXIT_DEBUG: what KVM_SET_GUEST_DEBUG asked for has happened.
    Debug {
        /// The vector: 1 for #DB, 3 for #BP.
        exception: u32,
        /// The linear address of the instruction.
        pc: u64,
        /// DR6 as #DB set it; not written for #BP.
        dr6: u64,
        /// DR7 as it was in force; not written for #BP.
        dr7: u64,
    },
    /// KVM_EXIT_HLT.
    Hlt,
    /// KVM_EXIT_MMIO: an access to an address that no slot holds.
    Mmio {
        /// Whether the guest writes.
        write: bool,
        /// The guest-physical address.
        address: u64,
        /// What the guest wrote; as many zeroes as it reads otherwise.
        data: Vec<u8>,
    },
    /// KVM_EXIT_IRQ_WINDOW_OPEN.
    IrqWindowOpen,
    /// KVM_EXIT_SHUTDOWN.
    Shutdown,
    /// KVM_EXIT_FAIL_ENTRY.
    FailEntry {
        /// The processor's own reason.
        reason: u64,
        /// The processor that failed.
        cpu: u32,
    },
    /// KVM_EXIT_INTR.
    Intr,
    /// KVM_EXIT_SET_TPR.
    SetTpr,
    /// KVM_EXIT_TPR_ACCESS.
    TprAccess {
        /// The address of the instruction.
        rip: u64,
        /// 1 where it writes, 0 where it reads.
        is_write: u32,
    },
    /// KVM_EXIT_INTERNAL_ERROR.
    InternalError {
        /// KVM_INTERNAL_ERROR_*.
        suberror: u32,
        /// What the sub-error adds: as many words as it says, of which there is room for 16.
        data: Vec<u64>,
    },
    /// KVM_EXIT_SYSTEM_EVENT.
    SystemEvent {
        /// KVM_SYSTEM_EVENT_*.
        event: u32,
        /// What the event adds: as many words as it says, of which there is room for 16.
        data: Vec<u64>,
    },
    /// KVM_EXIT_IOAPIC_EOI.
    IoapicEoi {
        /// The vector whose interrupt is over.
        vector: u8,
    },
    /// KVM_EXIT_HYPERV.
    Hyperv(HypervExit),
    /// KVM_EXIT_X86_RDMSR.
    Rdmsr(MsrExit),
    /// KVM_EXIT_X86_WRMSR.
    Wrmsr(MsrExit),
    /// KVM_EXIT_DIRTY_RING_FULL.
    DirtyRingFull,
    /// KVM_EXIT_AP_RESET_HOLD.
    ApResetHold,
    /// KVM_EXIT_X86_BUS_LOCK.
    BusLock,
    /// KVM_EXIT_XEN.
    Xen(XenExit),
    /// KVM_EXIT_NOTIFY.
    Notify {
        /// Bit 0: the state of the vCPU is not to be trusted.
        flags: u32,
    },
    /// KVM_EXIT_MEMORY_FAULT, which comes with an error of KVM_RUN.
    MemoryFault {
        /// Bit 3: the guest meant private memory.
        flags: u64,
        /// The first guest-physical address.
        gpa: u64,
        /// How many bytes there are.
        size: u64,
    },
    /// KVM_EXIT_TDX.
    Tdx(TdxExit),
    /// KVM_EXIT_SNP_REQ_CERTS.
    SnpReqCerts {
        /// Where the guest wants the certificates.
        gpa: u64,
        /// How many pages it has there.
        npages: u64,
        /// What the guest will be answered.
        ret: u64,
    },
    /// A reason that is given on other architectures only, or nowhere.
    Foreign(&'static str),
    /// A number that Linux 7.3 does not know.
    Other(u32),
}

/// What KVM_EXIT_X86_RDMSR and KVM_EXIT_X86_WRMSR say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MsrExit {
    /// 0; what the host writes here decides whether the guest gets #GP.
    pub error: u8,
    /// KVM_MSR_EXIT_REASON_*.
    pub reason: u32,
    /// The MSR.
    pub index: u32,
    /// What the guest writes.
    pub data: u64,
}

/// Offsets in `struct kvm_run`, in bytes.
mod offset {
    pub(super) const REQUEST_INTERRUPT_WINDOW: usize = 0;
    pub(super) const IMMEDIATE_EXIT: usize = 1;
    pub(super) const EXIT_REASON: usize = 8;
    pub(super) const UNION: usize = 32;
}

/// The union of `struct kvm_run`, whose fields are named by where they lie in it.
#[derive(Clone, Copy)]
struct Fields<'a>(&'a Mapping);

impl Fields<'_> {
    fn byte(self, at: usize) -> u8 {
        self.0.get(offset::UNION + at)
    }

    fn word(self, at: usize) -> u32 {
        self.0.get(offset::UNION + at)
    }

    fn long(self, at: usize) -> u64 {
        self.0.get(offset::UNION + at)
    }

    fn longs<const N: usize>(self, at: usize) -> [u64; N] {
        std::array::from_fn(|index| self.long(at + 8 * index))
    }

    /// As many words of 64 bits as the count at `count` says, of which there is room for 16 from `at` on.
    fn counted(self, count: usize, at: usize) -> Vec<u64> {
        (0..self.word(count).min(16) as usize).map(|index| self.long(at + 8 * index)).collect()
    }
}

impl Exit {
    /// Where the byte lies that asks for an exit when the guest can take an interrupt.
    pub const REQUEST_INTERRUPT_WINDOW: usize = offset::REQUEST_INTERRUPT_WINDOW;
    /// Where the byte lies that makes KVM_RUN come back at once.
    pub const IMMEDIATE_EXIT: usize = offset::IMMEDIATE_EXIT;
    /// Where the exit reason lies.
    pub const REASON: usize = offset::EXIT_REASON;

    /// Reads the exit that the run page describes.
    pub fn decode(run: &Mapping) -> Self {
        let of = Fields(run);
        match run.get::<u32>(offset::EXIT_REASON) {
            0 => Self::Unknown { hardware_exit_reason: of.long(0) },
            1 => Self::Exception { exception: of.word(0), error_code: of.word(4) },
            2 => Self::io(run),
            3 => Self::Hypercall { nr: of.long(0), args: of.longs(8), ret: of.long(56), flags: of.long(64) },
            4 => Self::Debug { exception: of.word(0), pc: of.long(8), dr6: of.long(16), dr7: of.long(24) },
            5 => Self::Hlt,
            6 => Self::mmio(run),
            7 => Self::IrqWindowOpen,
            8 => Self::Shutdown,
            9 => Self::FailEntry { reason: of.long(0), cpu: of.word(8) },
            10 => Self::Intr,
            11 => Self::SetTpr,
            12 => Self::TprAccess { rip: of.long(0), is_write: of.word(8) },
            17 => Self::InternalError { suberror: of.word(0), data: of.counted(4, 8) },
            24 => Self::SystemEvent { event: of.word(0), data: of.counted(4, 8) },
            26 => Self::IoapicEoi { vector: of.byte(0) },
            27 => Self::Hyperv(HypervExit::of(of)),
            29 => Self::Rdmsr(MsrExit::of(of)),
            30 => Self::Wrmsr(MsrExit::of(of)),
            31 => Self::DirtyRingFull,
            32 => Self::ApResetHold,
            33 => Self::BusLock,
            34 => Self::Xen(XenExit::of(of)),
            37 => Self::Notify { flags: of.word(0) },
            39 => Self::MemoryFault { flags: of.long(0), gpa: of.long(8), size: of.long(16) },
            40 => Self::Tdx(TdxExit::of(of)),
            43 => Self::SnpReqCerts { gpa: of.long(0), npages: of.long(8), ret: of.long(16) },
            number => ExitReason::of(number).map_or(Self::Other(number), |reason| Self::Foreign(reason.name)),
        }
    }

    /// Where the value that the guest reads is laid, in bytes into the mapping; none if it reads nothing.
    pub fn reply_at(&self) -> Option<usize> {
        match self {
            Self::Io { out: false, data_offset, .. } => usize::try_from(*data_offset).ok(),
            Self::Mmio { write: false, .. } => Some(offset::UNION + 8),
            _ => None,
        }
    }

    /// Where the host lays its answer, in bytes into the mapping: what a hypercall returns, what an MSR holds, or the status of
    /// the synthetic debugger.
    pub fn answer_at(&self) -> Option<usize> {
        let at = match self {
            Self::Hypercall { .. } => 56,
            Self::Hyperv(HypervExit::Hypercall { .. }) | Self::Rdmsr(_) | Self::Tdx(_) => 16,
            Self::Xen(XenExit::Hypercall { .. }) | Self::Hyperv(HypervExit::Syndbg { .. }) => 24,
            Self::SnpReqCerts { .. } => 16,
            _ => return None,
        };
        Some(offset::UNION + at)
    }

    /// Where the byte lies that makes an access to an MSR fail, in bytes into the mapping.
    pub fn error_at(&self) -> Option<usize> {
        matches!(self, Self::Rdmsr(_) | Self::Wrmsr(_)).then_some(offset::UNION)
    }

    /// The bytes of the instruction that KVM could not emulate, where KVM_INTERNAL_ERROR_EMULATION says them.
    pub fn instruction(&self) -> Option<Vec<u8>> {
        const EMULATION: u32 = 1;
        const INSTRUCTION_BYTES: u64 = 1;
        match self {
            Self::InternalError { suberror: EMULATION, data }
                if data.len() >= 3 && data[0] & INSTRUCTION_BYTES != 0 =>
            {
                let bytes: Vec<u8> = data[1..3].iter().flat_map(|word| word.to_le_bytes()).collect();
                Some(bytes[1..].iter().copied().take(bytes[0].into()).collect())
            }
            _ => None,
        }
    }

    fn io(run: &Mapping) -> Self {
        let of = Fields(run);
        let (size, port) = (of.byte(1), run.get(offset::UNION + 2));
        let (out, count, data_offset) = (of.byte(0) == 1, of.word(4), of.long(8));
        let length = usize::from(size) * count as usize;
        let data = match usize::try_from(data_offset) {
            Ok(start) if out && start.saturating_add(length) <= run.len() => run.copy(start, length),
            _ => Vec::new(),
        };
        Self::Io { out, size, port, count, data_offset, data }
    }

    fn mmio(run: &Mapping) -> Self {
        let of = Fields(run);
        let write = of.byte(20) != 0;
        let length = of.word(16).min(8) as usize;
        let data = if write { run.copy(offset::UNION + 8, length) } else { vec![0; length] };
        Self::Mmio { write, address: of.long(0), data }
    }
}

impl MsrExit {
    fn of(of: Fields<'_>) -> Self {
        Self { error: of.byte(0), reason: of.word(8), index: of.word(12), data: of.long(16) }
    }
}
