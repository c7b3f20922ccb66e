//! Messages between local APICs, and from devices and the I/O APIC to them: SDM 3, 12.6 "Issuing interprocessor interrupts" and
//! 12.11 "Message signalled interrupts".

use super::apic::LocalApic;

/// What a message does: bits 8 to 10 of its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// An interrupt, to all that are addressed.
    Fixed,
    /// An interrupt, to the one of the lowest priority of those that are addressed.
    Lowest,
    /// A system management interrupt.
    Smi,
    /// Nothing.
    Reserved,
    /// A non-maskable interrupt.
    Nmi,
    /// An initialization.
    Init,
    /// A start-up.
    Startup,
    /// An interrupt of the i8259 pair.
    ExtInt,
}

/// Whom a message is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination {
    /// The one of this identity, or all with all ones.
    Physical(u32),
    /// Those that have one of these bits.
    Logical(u32),
    /// The sender.
    Oneself,
    /// All.
    All,
    /// All but the sender.
    Others,
}

/// A message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Command {
    /// Whom it is for.
    pub to: Destination,
    /// What it does.
    pub delivery: Delivery,
    /// Its vector.
    pub vector: u8,
    /// Whether it is level-triggered.
    pub is_level: bool,
    /// Whether it takes a level away, which only INIT has.
    pub deasserts: bool,
}

impl Delivery {
    /// By its number.
    pub(super) fn of(number: u32) -> Self {
        match number & 7 {
            0 => Self::Fixed,
            1 => Self::Lowest,
            2 => Self::Smi,
            3 => Self::Reserved,
            4 => Self::Nmi,
            5 => Self::Init,
            6 => Self::Startup,
            _ => Self::ExtInt,
        }
    }
}

impl Command {
    /// What a device's write of `data` to `address` says.
    pub fn of_message(address: u64, data: u32) -> Self {
        let destination = (address >> 12 & 0xff) as u32;
        Self {
            to: if address & 4 != 0 {
                Destination::Logical(destination)
            } else {
                Destination::Physical(if destination == 0xff { u32::MAX } else { destination })
            },
            delivery: Delivery::of(data >> 8),
            vector: (data & 0xff) as u8,
            is_level: data >> 15 & 1 != 0,
            deasserts: false,
        }
    }

    /// What the interrupt command register says.
    pub(super) fn of_icr(icr: u64, is_x2apic: bool) -> Self {
        let low = (icr & 0xffff_ffff) as u32;
        let destination = (icr >> 32) as u32;
        let physical = match (is_x2apic, destination >> 24) {
            (true, _) => destination,
            (false, 0xff) => u32::MAX,
            (false, id) => id,
        };
        let logical = if is_x2apic { destination } else { destination >> 24 };
        Self {
            to: match (low >> 18 & 3, low >> 11 & 1) {
                (0, 0) => Destination::Physical(physical),
                (0, _) => Destination::Logical(logical),
                (1, _) => Destination::Oneself,
                (2, _) => Destination::All,
                _ => Destination::Others,
            },
            delivery: Delivery::of(low >> 8),
            vector: (low & 0xff) as u8,
            is_level: low >> 15 & 1 != 0,
            deasserts: low & 0xc000 == 0x8000,
        }
    }
}

impl LocalApic {
    /// Whether a message that `sender` has sent, or a device, is for this one.
    pub fn is_addressed(&self, to: Destination, sender: Option<u32>) -> bool {
        let is_sender = sender == Some(self.id);
        match to {
            Destination::Physical(id) => id == u32::MAX || id == self.id,
            Destination::Logical(bits) => self.is_enabled() && self.has_logical(bits),
            Destination::Oneself => is_sender,
            Destination::All => true,
            Destination::Others => !is_sender,
        }
    }

    fn has_logical(&self, bits: u32) -> bool {
        if self.is_x2apic() {
            return bits == u32::MAX || self.ldr >> 16 == bits >> 16 && self.ldr & bits & 0xffff != 0;
        }
        let own = self.ldr >> 24;
        match self.dfr >> 28 {
            0xf => own & bits != 0,
            // Clusters: the upper four bits name one, all ones all of them.
            _ => (bits >> 4 == 0xf || own >> 4 == bits >> 4) && own & bits & 0xf != 0,
        }
    }
}
