//! The port at which a guest says that it has panicked: QEMU, `docs/specs/pvpanic.rst`.

use serde_json::Value;

use crate::{Access, Device, End, Power, Region};

crate::device!(
    "pvpanic",
    "takes word of a guest's panic at port 0x505",
    [Region::ports(0x505, 0x505).by(1)],
    |wires| Box::new(Pvpanic { power: wires.power.clone() })
);

const PANICKED: u8 = 0x01;
/// The guest has panicked and goes on in a kernel that writes its memory down.
const LOADED: u8 = 0x02;

/// The port. A guest can see nothing that changes, so its state is null.
struct Pvpanic {
    power: Power,
}

impl Device for Pvpanic {
    /// What can be told.
    fn read(&mut self, _: usize, _: u64, data: &mut [u8]) -> Access {
        data.fill(PANICKED | LOADED);
        Access::Done
    }

    fn write(&mut self, _: usize, _: u64, data: &[u8]) -> Access {
        let [byte] = *data else { return Access::BadWidth };
        if byte & PANICKED != 0 {
            self.power.ask(End::Panicked);
        }
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
