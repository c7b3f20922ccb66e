//! Global descriptor tables: Intel SDM volume 3, 3.5.1 "Segment Descriptor Tables"; in long mode a system segment's descriptor has
//! sixteen bytes (8.2.3 "TSS Descriptor in 64-bit mode").

use crate::{EntryState, Segment};

/// Where descriptors lie in the table of every image.
pub mod selector {
    /// The code segment that the state of ring 0 holds.
    pub const CODE: u16 = 0x08;
    /// The data segment that the state of ring 0 holds.
    pub const DATA: u16 = 0x10;
    /// The task state segment, for which long mode takes two places.
    pub const TASK: u16 = 0x18;
    /// A flat data segment, for what handles interrupts.
    pub const HANDLER_DATA: u16 = 0x28;
    /// A flat code segment, 64-bit in long mode, for what handles interrupts.
    pub const HANDLER_CODE: u16 = 0x30;
    /// A flat code segment of ring 3.
    pub const USER_CODE: u16 = 0x38 | 3;
    /// A flat data segment of ring 3.
    pub const USER_DATA: u16 = 0x40 | 3;
    /// The segment that ES holds where it holds one of its own.
    pub const EXTRA: u16 = 0x48;
    /// The segment that SS holds where it holds one of its own.
    pub const STACK: u16 = 0x50;
    /// The segment that FS holds where it holds one of its own.
    pub const FIRST: u16 = 0x58;
    /// The segment that GS holds where it holds one of its own.
    pub const SECOND: u16 = 0x60;
    /// A data segment that is not present.
    pub const ABSENT: u16 = 0x68;
    /// A busy task state segment that is shorter than one can be; two places in long mode.
    pub const SHORT_TASK: u16 = 0x70;
    /// The first place behind the table.
    pub const END: u16 = 0x80;
}

/// A descriptor table: eight bytes for each place, zero where nothing was laid.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gdt(Vec<u64>);

impl Gdt {
    /// The table that a state needs: what its registers hold, what handles interrupts, and some that cannot be used.
    pub(crate) fn of(state: &EntryState) -> Self {
        let wide = state.is_long();
        let (code, data) = (Segment::flat_code(selector::HANDLER_CODE), Segment::flat_data(0));
        let handler = if wide { Segment::long_code(selector::HANDLER_CODE) } else { code };
        let own = if state.cs.l { handler } else { code };
        let absent = Segment { present: false, selector: selector::ABSENT, ..data };
        let short = Segment::task(state.tr.base, 0x2a, selector::SHORT_TASK);
        let mut gdt = Self::default()
            .with(Segment { selector: selector::CODE, ..own })
            .with(Segment { selector: selector::DATA, ..data })
            .with(Segment { selector: selector::HANDLER_DATA, ..data })
            .with(handler)
            .with(Segment { selector: selector::USER_CODE, dpl: 3, ..own })
            .with(Segment { selector: selector::USER_DATA, dpl: 3, ..data })
            .with(absent)
            .with_system(short, wide)
            .with_system(state.tr, wide);
        if !state.is_virtual_8086() {
            for held in [state.cs, state.ds, state.es, state.fs, state.gs, state.ss] {
                gdt = gdt.with(held);
            }
        }
        gdt
    }

    /// Lays a segment's descriptor at its selector.
    #[must_use]
    pub fn with(self, segment: Segment) -> Self {
        self.laid(segment.selector, segment.descriptor())
    }

    /// Lays a system segment's descriptor at its selector: `wide`, as long mode has it, with the upper half of the base behind.
    #[must_use]
    pub fn with_system(self, segment: Segment, wide: bool) -> Self {
        let narrow = self.with(segment);
        if wide { narrow.laid(segment.selector + 8, segment.base >> 32) } else { narrow }
    }

    /// The bytes of the table.
    pub fn bytes(&self) -> Vec<u8> {
        self.0.iter().copied().flat_map(u64::to_le_bytes).collect()
    }

    fn laid(mut self, selector: u16, bits: u64) -> Self {
        let place = usize::from(selector >> 3);
        if self.0.len() <= place {
            self.0.resize(place + 1, 0);
        }
        self.0[place] = bits;
        self
    }
}
