//! Segment registers and descriptor tables: Intel SDM volume 3, 3.4.5 "Segment Descriptors" and 3.5.1 "Segment Descriptor Tables".

use serde::{Deserialize, Serialize};

/// A segment register: its selector, and the descriptor that it holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// The linear address of its first byte.
    pub base: u64,
    /// The offset of its last byte, in bytes whatever `g` is.
    pub limit: u32,
    /// What the guest would load to get it.
    pub selector: u16,
    /// The type: bit 0 of a code or data segment is "accessed", bit 1 of a task state segment is "busy".
    pub type_: u8,
    /// Whether it is present; a segment that is not cannot be used.
    pub present: bool,
    /// The privilege level.
    pub dpl: u8,
    /// Whether operations and addresses are 32 bits wide unless a prefix says otherwise.
    pub db: bool,
    /// Whether it is a code or data segment; a system segment otherwise.
    pub s: bool,
    /// Whether its code is 64-bit.
    pub l: bool,
    /// Whether the limit of its descriptor counts pages of 4 KiB.
    pub g: bool,
}

/// Readable and executable, conforming not, accessed.
const CODE: u8 = 0xb;
/// Readable and writable, expanding upwards, accessed.
const DATA: u8 = 0x3;
/// Readable and writable, expanding downwards, accessed.
const STACK: u8 = 0x7;
/// A task state segment, busy: 32-bit in protected mode, 64-bit in long mode.
const TASK: u8 = 0xb;

impl Segment {
    /// A code segment of 64 KiB as real mode has it.
    pub(crate) const fn real_code(paragraph: u16) -> Self {
        Self { type_: CODE, ..Self::real_data(paragraph) }
    }

    /// A data segment of 64 KiB as real mode has it.
    pub(crate) const fn real_data(paragraph: u16) -> Self {
        Self {
            base: (paragraph as u64) << 4,
            limit: 0xffff,
            selector: paragraph,
            type_: DATA,
            present: true,
            dpl: 0,
            db: false,
            s: true,
            l: false,
            g: false,
        }
    }

    /// A data segment of 64 KiB as virtual-8086 mode has it: as in real mode, and of ring 3. Code segments are alike.
    pub(crate) const fn virtual_8086(paragraph: u16) -> Self {
        Self { dpl: 3, ..Self::real_data(paragraph) }
    }

    /// A data segment of 32-bit code, from `base` to `limit` bytes further.
    pub(crate) const fn based_data(selector: u16, base: u64, limit: u32) -> Self {
        Self { base, limit, selector, db: true, ..Self::real_data(0) }
    }

    /// A code segment of 32-bit code, from `base` to `limit` bytes further.
    pub(crate) const fn based_code(selector: u16, base: u64, limit: u32) -> Self {
        Self { type_: CODE, ..Self::based_data(selector, base, limit) }
    }

    /// A stack segment of 32-bit code that expands down: from `base` on, offsets above `limit`.
    pub(crate) const fn based_stack(selector: u16, base: u64, limit: u32) -> Self {
        Self { type_: STACK, ..Self::based_data(selector, base, limit) }
    }

    /// As it is, for ring 3.
    pub(crate) const fn of_ring_3(self, selector: u16) -> Self {
        Self { dpl: 3, selector, ..self }
    }

    /// A data segment of 4 GiB.
    pub(crate) const fn flat_data(selector: u16) -> Self {
        Self { base: 0, limit: u32::MAX, selector, db: true, g: true, ..Self::real_data(0) }
    }

    /// A code segment of 4 GiB, 32-bit.
    pub(crate) const fn flat_code(selector: u16) -> Self {
        Self { type_: CODE, ..Self::flat_data(selector) }
    }

    /// A code segment for 64-bit code, which excludes `db`.
    pub(crate) const fn long_code(selector: u16) -> Self {
        Self { l: true, db: false, ..Self::flat_code(selector) }
    }

    /// The segment of the running task.
    pub(crate) const fn task(base: u64, limit: u32, selector: u16) -> Self {
        Self { base, limit, selector, type_: TASK, s: false, ..Self::real_data(0) }
    }

    /// A local descriptor table that cannot be used.
    pub(crate) const fn no_ldt() -> Self {
        Self { limit: 0, type_: 0x2, present: false, s: false, ..Self::real_data(0) }
    }

    /// The eight bytes from which the segment would be loaded; of the base, the low 32 bits.
    pub fn descriptor(&self) -> u64 {
        let limit = u64::from(if self.g { self.limit >> 12 } else { self.limit });
        let access = u64::from(self.type_ & 0xf)
            | u64::from(self.s) << 4
            | u64::from(self.dpl & 3) << 5
            | u64::from(self.present) << 7;
        let flags = u64::from(self.l) << 1 | u64::from(self.db) << 2 | u64::from(self.g) << 3;
        (limit & 0xffff)
            | (self.base & 0xff_ffff) << 16
            | access << 40
            | (limit >> 16 & 0xf) << 48
            | flags << 52
            | (self.base >> 24 & 0xff) << 56
    }
}

/// GDTR or IDTR: where a descriptor table lies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// The linear address of its first byte.
    pub base: u64,
    /// The offset of its last byte.
    pub limit: u16,
}
