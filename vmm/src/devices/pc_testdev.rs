//! The device that kvm-unit-tests drive the machine with (`pc-testdev`): QEMU, `hw/misc/pc-testdev.c`, its opening comment.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::irq::Line;
use crate::{Access, Device, Ram, Region};

crate::device!(
    "pc-testdev",
    "what kvm-unit-tests drive interrupt lines and try accesses with",
    [
        Region::ports(0xe0, 0xe3),
        Region::ports(0xe4, 0xe7),
        Region::ports(0xe8, 0xeb).by(1),
        Region::ports(0x2000, 0x2017),
        Region::memory(0xff00_0000, 0xff00_ffff)
    ],
    |wires| Box::new(PcTestdev {
        state: State::new(),
        lines: (0..LINES).map(|gsi| wires.interrupts.line(gsi)).collect(),
        ram: wires.ram.clone()
    })
);

const LINES: u32 = 24;
const SCRATCH: usize = 0x1_0000;

struct PcTestdev {
    state: State,
    lines: Vec<Line>,
    ram: Ram,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    ports: [u8; 4],
    memory: Vec<u8>,
    /// Which interrupt lines are held high.
    lines: u32,
}

impl State {
    fn new() -> Self {
        Self { ports: [0; 4], memory: vec![0; SCRATCH], lines: 0 }
    }

    /// What can be read and written as one pleases, of a region from an offset on; none if it ends before so many bytes.
    fn scratch(&mut self, region: usize, offset: u64, length: usize) -> Option<&mut [u8]> {
        let from = usize::try_from(offset).ok()?;
        let cells: &mut [u8] = match region {
            0 | 2 => &mut self.ports,
            4 => &mut self.memory,
            _ => return None,
        };
        cells.get_mut(from..from.checked_add(length)?)
    }
}

impl PcTestdev {
    fn settle(&mut self) {
        for (number, line) in self.lines.iter_mut().enumerate() {
            line.set(self.state.lines & 1 << number != 0);
        }
    }
}

impl Device for PcTestdev {
    fn read(&mut self, region: usize, offset: u64, data: &mut [u8]) -> Access {
        match self.state.scratch(region, offset, data.len()) {
            Some(cells) => data.copy_from_slice(cells),
            None if region == 3 => data.fill(0),
            None => return Access::NoRegister,
        }
        Access::Done
    }

    fn write(&mut self, region: usize, offset: u64, data: &[u8]) -> Access {
        match (region, data) {
            (1, &[a, b, c, d]) => self.ram.fault_anew(u32::from_le_bytes([a, b, c, d]).into()),
            (1, _) => return Access::BadWidth,
            (3, _) => {
                let (bit, level) = (1 << (offset % u64::from(LINES)), data.iter().any(|byte| *byte != 0));
                self.state.lines = if level { self.state.lines | bit } else { self.state.lines & !bit };
                self.settle();
            }
            _ => match self.state.scratch(region, offset, data.len()) {
                Some(cells) => cells.copy_from_slice(data),
                None => return Access::NoRegister,
            },
        }
        Access::Done
    }

    fn reset(&mut self) {
        self.state = State::new();
        self.settle();
    }

    fn state(&self) -> Result<Value, serde_json::Error> {
        serde_json::to_value(&self.state)
    }

    fn load(&mut self, state: Value) -> Result<(), serde_json::Error> {
        let loaded: State = serde_json::from_value(state)?;
        if loaded.memory.len() != SCRATCH {
            return Err(serde::de::Error::custom("its memory has another size"));
        }
        self.state = loaded;
        self.settle();
        Ok(())
    }
}
