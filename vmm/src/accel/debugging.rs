//! What a debugger asks of a vCPU, and what it is told: SDM volume 3, 19.2 "Debug registers".

/// What a vCPU is to leave the guest for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Debugging {
    /// Every instruction.
    pub steps: bool,
    /// Breakpoint instructions.
    pub breaks: bool,
    /// What lies at addresses: one for each debug register.
    pub watches: [Option<Watch>; 4],
    /// The guest takes a breakpoint exception first: one that it was left for and that is its own.
    pub gives_back: bool,
}

/// An address that is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watch {
    /// Its linear address.
    pub address: u64,
    /// How many bytes: 1, 2, 4 or 8.
    pub length: u8,
    /// What must happen there.
    pub touch: Touch,
}

/// What happens at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Touch {
    /// An instruction is executed.
    Executes,
    /// Data is written.
    Writes,
    /// Data is read or written.
    ReadsOrWrites,
}

/// Why a vCPU was stopped for a debugger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// It has done one instruction.
    Step,
    /// It is at a breakpoint instruction.
    Break,
    /// Something has happened at the address that this debug register has.
    Watch(usize),
}

impl Debugging {
    /// Whether it asks for anything.
    pub fn is_on(&self) -> bool {
        *self != Self::default()
    }

    /// What the control register of the watches is: 19.2.4.
    pub(crate) fn control(&self) -> u64 {
        let exact = 1 << 8 | 1 << 9 | 1 << 10;
        let of = |(index, watch): (usize, Watch)| {
            let kind = match watch.touch {
                Touch::Executes => 0b00,
                Touch::Writes => 0b01,
                Touch::ReadsOrWrites => 0b11,
            };
            let length = match watch.length {
                2 => 0b01,
                8 => 0b10,
                4 => 0b11,
                _ => 0b00,
            };
            0b10 << (2 * index) | (kind | length << 2) << (16 + 4 * index)
        };
        let set = self.watches.iter().enumerate().filter_map(|(index, watch)| Some((index, (*watch)?)));
        set.map(of).fold(exact, |control, bits| control | bits)
    }
}

#[cfg(test)]
mod tests {
    use super::{Debugging, Touch, Watch};

    #[test]
    fn the_control_register_says_what_is_watched() {
        let watch = |length, touch| Some(Watch { address: 0x1000, length, touch });
        let watches =
            [watch(1, Touch::Executes), None, watch(4, Touch::Writes), watch(8, Touch::ReadsOrWrites)];
        assert_eq!(Debugging { watches, ..Default::default() }.control(), 0xbd00_07a2);
    }
}
