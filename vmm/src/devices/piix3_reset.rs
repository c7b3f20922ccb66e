//! The reset control register of the PIIX3: Intel 82371SB data sheet (290550), 2.5.4 "RC - Reset Control Register".

use serde_json::Value;

use crate::{Access, Device, End, Power, Region};

crate::device!(
    "piix3-reset",
    "the reset control register at port 0xcf9",
    [Region::ports(PORT, PORT).by(1)],
    |wires| { Box::new(Piix3Reset { byte: 0, power: wires.power.clone() }) }
);

/// Where the register is.
pub(crate) const PORT: u16 = 0xcf9;
/// What resets the machine and all in it.
pub(crate) const HARD_RESET: u8 = HARD | RESET;
/// Whether a reset is one of everything, and not of the processor alone: here every reset is.
const HARD: u8 = 1 << 1;
/// Going from zero to one, it resets.
const RESET: u8 = 1 << 2;

struct Piix3Reset {
    byte: u8,
    power: Power,
}

impl Device for Piix3Reset {
    fn read(&mut self, _: usize, _: u64, data: &mut [u8]) -> Access {
        data.fill(self.byte);
        Access::Done
    }

    fn write(&mut self, _: usize, _: u64, data: &[u8]) -> Access {
        let [byte] = *data else { return Access::BadWidth };
        if byte & RESET & !self.byte != 0 {
            self.power.ask(End::Reset);
        }
        self.byte = byte & HARD_RESET;
        Access::Done
    }

    fn reset(&mut self) {
        self.byte = 0;
    }

    fn state(&self) -> Result<Value, serde_json::Error> {
        serde_json::to_value(self.byte)
    }

    fn load(&mut self, state: Value) -> Result<(), serde_json::Error> {
        self.byte = serde_json::from_value(state)?;
        Ok(())
    }
}
