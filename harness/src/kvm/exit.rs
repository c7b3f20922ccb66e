//! Our own reading of `struct kvm_run`: every field that an exit reason defines, from the layout in api.rst section 5.

use super::Mapping;

/// Why KVM_RUN came back, with every field that the reason defines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exit {
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
    /// KVM_EXIT_MMIO: an access to an address that no slot holds.
    Mmio {
        /// Whether the guest writes.
        write: bool,
        /// The guest-physical address.
        address: u64,
        /// What the guest wrote; as many zeroes as it reads otherwise.
        data: Vec<u8>,
    },
    /// KVM_EXIT_HLT.
    Hlt,
    /// KVM_EXIT_INTR.
    Intr,
    /// KVM_EXIT_SHUTDOWN.
    Shutdown,
    /// KVM_EXIT_FAIL_ENTRY.
    FailEntry {
        /// The processor's own reason.
        reason: u64,
        /// The processor that failed.
        cpu: u32,
    },
    /// KVM_EXIT_INTERNAL_ERROR.
    InternalError {
        /// KVM_INTERNAL_ERROR_*.
        suberror: u32,
        /// What the sub-error adds.
        data: Vec<u64>,
    },
    /// Any other reason, by its number.
    Other(u32),
}

/// Offsets in `struct kvm_run`, in bytes.
mod offset {
    pub(super) const REQUEST_INTERRUPT_WINDOW: usize = 0;
    pub(super) const IMMEDIATE_EXIT: usize = 1;
    pub(super) const EXIT_REASON: usize = 8;
    pub(super) const UNION: usize = 32;
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
        let at = |field: usize| offset::UNION + field;
        match run.get::<u32>(offset::EXIT_REASON) {
            2 => Self::io(run),
            5 => Self::Hlt,
            6 => Self::mmio(run),
            8 => Self::Shutdown,
            9 => Self::FailEntry { reason: run.get(at(0)), cpu: run.get(at(8)) },
            10 => Self::Intr,
            17 => {
                let count = run.get::<u32>(at(4)).min(16);
                let data = (0..count as usize).map(|i| run.get(at(8 + 8 * i))).collect();
                Self::InternalError { suberror: run.get(at(0)), data }
            }
            reason => Self::Other(reason),
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

    fn io(run: &Mapping) -> Self {
        let at = |field: usize| offset::UNION + field;
        let out = run.get::<u8>(at(0)) == 1;
        let (size, count, data_offset) = (run.get::<u8>(at(1)), run.get::<u32>(at(4)), run.get::<u64>(at(8)));
        let length = usize::from(size) * count as usize;
        let data = match usize::try_from(data_offset) {
            Ok(start) if out && start.saturating_add(length) <= run.len() => run.copy(start, length),
            _ => Vec::new(),
        };
        Self::Io { out, size, port: run.get(at(2)), count, data_offset, data }
    }

    fn mmio(run: &Mapping) -> Self {
        let at = |field: usize| offset::UNION + field;
        let write = run.get::<u8>(at(20)) != 0;
        let length = run.get::<u32>(at(16)).min(8) as usize;
        let data = if write { run.copy(at(8), length) } else { vec![0; length] };
        Self::Mmio { write, address: run.get(at(0)), data }
    }
}
