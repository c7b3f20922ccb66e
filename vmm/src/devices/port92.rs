//! System control port A: address line 20 and a fast reset: IBM PS/2 Technical Reference, "System control port A (hex 0092)".

use serde_json::Value;

use crate::{Access, Device, End, Power, Region};

crate::device!("port92", "system control port A at 0x92", [Region::ports(0x92, 0x92).by(1)], |wires| {
    Box::new(Port92 { byte: A20, power: wires.power.clone() })
});

const RESET: u8 = 0x01;
/// Address line 20 is on; what is written here is kept, but the line cannot be turned off: no system for KVM can do without it.
const A20: u8 = 0x02;

struct Port92 {
    byte: u8,
    power: Power,
}

impl Device for Port92 {
    fn read(&mut self, _: usize, _: u64, data: &mut [u8]) -> Access {
        data.fill(self.byte);
        Access::Done
    }

    fn write(&mut self, _: usize, _: u64, data: &[u8]) -> Access {
        let [byte] = *data else { return Access::BadWidth };
        if byte & RESET & !self.byte != 0 {
            self.power.ask(End::Reset);
        }
        self.byte = byte;
        Access::Done
    }

    fn reset(&mut self) {
        self.byte = A20;
    }

    fn state(&self) -> Result<Value, serde_json::Error> {
        serde_json::to_value(self.byte)
    }

    fn load(&mut self, state: Value) -> Result<(), serde_json::Error> {
        self.byte = serde_json::from_value(state)?;
        Ok(())
    }
}
