//! The diagnostic port 0x80, which keeps what is written to it: IBM PC AT Technical Reference, "manufacturing check point port".

use serde_json::Value;

use crate::{Access, Device, Region};

crate::device!("port80", "the diagnostic port 0x80", [Region::ports(0x80, 0x80).by(1)], |_| Box::new(
    Port80(0)
));

/// What was written last.
struct Port80(u8);

impl Device for Port80 {
    fn read(&mut self, _: usize, _: u64, data: &mut [u8]) -> Access {
        data.fill(self.0);
        Access::Done
    }

    fn write(&mut self, _: usize, _: u64, data: &[u8]) -> Access {
        let [byte] = *data else { return Access::BadWidth };
        self.0 = byte;
        Access::Done
    }

    fn reset(&mut self) {
        self.0 = 0;
    }

    fn state(&self) -> Result<Value, serde_json::Error> {
        serde_json::to_value(self.0)
    }

    fn load(&mut self, state: Value) -> Result<(), serde_json::Error> {
        self.0 = serde_json::from_value(state)?;
        Ok(())
    }
}
