//! The debug port of the Bochs and QEMU machines (`isa-debugcon`): text goes in, and reading it tells a guest that it is there.

use serde_json::Value;

use crate::{Access, Console, Device, Region};

/// Its port, and what every read of it answers.
const PORT: u16 = 0xe9;
const HERE: u8 = 0xe9;

crate::device!("isa-debugcon", "takes text at port 0xe9", [Region::ports(PORT, PORT)], |wires| Box::new(
    DebugPort { console: wires.console.clone() }
));

/// The debug port. A guest can see nothing that changes, so its state is null.
struct DebugPort {
    console: Console,
}

impl Device for DebugPort {
    fn read(&mut self, _: usize, _: u64, data: &mut [u8]) -> Access {
        match data {
            [byte] => {
                *byte = HERE;
                Access::Done
            }
            _ => Access::BadWidth,
        }
    }

    fn write(&mut self, _: usize, _: u64, data: &[u8]) -> Access {
        match data {
            [byte] => {
                self.console.put(*byte);
                Access::Done
            }
            _ => Access::BadWidth,
        }
    }

    fn reset(&mut self) {}

    fn state(&self) -> Result<Value, serde_json::Error> {
        serde_json::to_value(())
    }

    fn load(&mut self, state: Value) -> Result<(), serde_json::Error> {
        serde_json::from_value(state)
    }
}
