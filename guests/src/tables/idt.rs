//! Interrupt descriptor tables: Intel SDM volume 3, 7.11 "IDT Descriptors" and 7.14.1 "64-Bit Mode IDT"; in real mode vectors lead
//! to far pointers (21.1.4 "Interrupt and Exception Handling").

/// An interrupt gate: where a vector leads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gate {
    /// The offset in the code segment.
    pub offset: u64,
    /// The code segment.
    pub selector: u16,
    /// The ring from which INT reaches it.
    pub dpl: u8,
    /// Whether it is present.
    pub present: bool,
    /// The stack that long mode switches to, from 1 to 7; 0 for none.
    pub ist: u8,
}

/// A 32-bit or 64-bit interrupt gate, which clears IF.
const INTERRUPT: u64 = 0xe;

impl Gate {
    /// The four bytes of a real-mode vector.
    pub const fn pointer(self) -> u32 {
        (self.selector as u32) << 16 | (self.offset & 0xffff) as u32
    }

    /// The eight bytes of a 32-bit gate, which are the first ones of a 64-bit gate too.
    pub const fn descriptor(self) -> u64 {
        let access = INTERRUPT | (self.dpl as u64 & 3) << 5 | (self.present as u64) << 7;
        (self.offset & 0xffff)
            | (self.selector as u64) << 16
            | (self.ist as u64 & 7) << 32
            | access << 40
            | (self.offset >> 16 & 0xffff) << 48
    }
}

/// The gates of the first vectors, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Idt(pub Vec<Gate>);

impl Idt {
    /// The table of code that is handled in so many bits.
    pub fn bytes(&self, bitness: u32) -> Vec<u8> {
        let gates = self.0.iter();
        match bitness {
            16 => gates.flat_map(|gate| gate.pointer().to_le_bytes()).collect(),
            32 => gates.flat_map(|gate| gate.descriptor().to_le_bytes()).collect(),
            _ => gates
                .flat_map(|gate| [gate.descriptor(), gate.offset >> 32])
                .flat_map(u64::to_le_bytes)
                .collect(),
        }
    }
}
