//! The exit port of QEMU's machines (`isa-debug-exit`): a value written to it ends the machine with an odd status, so that a guest
//! cannot claim the zero of success by accident.

use serde_json::Value;

use crate::{Access, Device, End, Power, Region};

crate::device!(
    "isa-debug-exit",
    "ends the machine by a write to ports 0xf4 to 0xf7",
    [Region::ports(0xf4, 0xf7)],
    |wires| Box::new(ExitPort { power: wires.power.clone() })
);

/// The exit port. A guest can see nothing that changes, so its state is null.
struct ExitPort {
    power: Power,
}

impl Device for ExitPort {
    /// Every read answers zero.
    fn read(&mut self, _: usize, _: u64, data: &mut [u8]) -> Access {
        data.fill(0);
        Access::Done
    }

    fn write(&mut self, _: usize, _: u64, data: &[u8]) -> Access {
        let value = match *data {
            [byte] => byte.into(),
            [low, high] => u16::from_le_bytes([low, high]).into(),
            [a, b, c, d] => u32::from_le_bytes([a, b, c, d]),
            _ => return Access::BadWidth,
        };
        self.power.ask(End::Exited { status: value << 1 | 1 });
        Access::Done
    }

    fn reset(&mut self) {}

    fn state(&self) -> Result<Value, serde_json::Error> {
        serde_json::to_value(())
    }

    fn load(&mut self, state: Value) -> Result<(), serde_json::Error> {
        serde_json::from_value(state)
    }
}
