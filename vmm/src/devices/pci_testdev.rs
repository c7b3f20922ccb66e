//! A PCI function that counts writes, by which kvm-unit-tests try accesses to BARs: QEMU, `docs/specs/pci-testdev.rst`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::pci::{Bar, Configuration, Identity, Layout, command};
use crate::{Access, Device, Region, Window};

crate::device!("pci-testdev", "a PCI function that counts writes", [Region::ANY_FUNCTION], |_| {
    Box::new(PciTestdev { configuration: Configuration::new(layout()), test: None, count: 0 })
});

/// The sizes of what it decodes: the header of the test that is selected is in the lower half of each.
const MEMORY: u32 = 0x1000;
const PORTS: u32 = 0x100;
/// The tests of each: to write anything, anything that may ring an eventfd, and what must fit.
const NAMES: [&str; 3] = ["no-eventfd", "wildcard-eventfd", "datamatch-eventfd"];
/// What has to be written, in one byte.
const DATA: u8 = 0xfa;

struct PciTestdev {
    configuration: Configuration,
    /// The test that is selected.
    test: Option<Test>,
    count: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Test {
    /// Whether it is one at ports.
    is_at_ports: bool,
    number: u8,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    configuration: Vec<u8>,
    test: Option<Test>,
    count: u32,
}

fn layout() -> Layout {
    let identity = Identity {
        vendor: 0x1b36,
        device: 0x0005,
        revision: 0,
        class: 0x00_ff_00,
        subsystem: (0x1af4, 0x1100),
    };
    Layout::new(identity, command::PORTS | command::MEMORY)
        .bar(0, Bar::Memory(MEMORY))
        .bar(1, Bar::Ports(PORTS))
}

impl Test {
    fn name(self) -> Option<&'static str> {
        NAMES.get(usize::from(self.number)).copied()
    }

    /// Where it counts writes.
    fn offset(self) -> u32 {
        let (half, before) = if self.is_at_ports { (PORTS / 2, 3) } else { (MEMORY / 2, 0) };
        half + before + u32::from(self.number)
    }

    fn is_counted(self, offset: u64, data: &[u8]) -> bool {
        offset == u64::from(self.offset()) && (self.number == 1 || data == [DATA])
    }

    /// The header: the number of the test, the width of a write, where, what, how many there were, and a name.
    fn header(self, count: u32) -> Vec<u8> {
        let kind = if self.is_at_ports { "portio" } else { "mmio" };
        let name = format!("{kind}-{}\0", self.name().unwrap_or_default());
        let number = self.number + if self.is_at_ports { 3 } else { 0 };
        let words = [self.offset(), u32::from(DATA), count].map(u32::to_le_bytes).concat();
        [&[number, 1, 0, 0], &words[..], name.as_bytes()].concat()
    }
}

impl Device for PciTestdev {
    fn read(&mut self, region: usize, offset: u64, data: &mut [u8]) -> Access {
        if region == 0 {
            return self.configuration.read(offset, data);
        }
        let header = self.test.map(|test| test.header(self.count)).unwrap_or_default();
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        for (behind, byte) in data.iter_mut().enumerate() {
            *byte = header.get(from.saturating_add(behind)).copied().unwrap_or(0);
        }
        Access::Done
    }

    fn write(&mut self, region: usize, offset: u64, data: &[u8]) -> Access {
        match (region, offset, data) {
            (0, _, _) => return self.configuration.write(offset, data),
            (_, 0, &[number, ..]) => {
                let test = Test { is_at_ports: region == 2, number };
                (self.test, self.count) = (test.name().map(|_| test), 0);
            }
            _ => {
                let counts = self.test.is_some_and(|test| test.is_counted(offset, data));
                self.count = self.count.wrapping_add(counts.into());
            }
        }
        Access::Done
    }

    fn windows(&self) -> Vec<Window> {
        self.configuration.windows(1)
    }

    fn reset(&mut self) {
        self.configuration.reset();
        (self.test, self.count) = (None, 0);
    }

    fn state(&self) -> Result<Value, serde_json::Error> {
        let configuration = self.configuration.bytes();
        serde_json::to_value(State { configuration, test: self.test, count: self.count })
    }

    fn load(&mut self, state: Value) -> Result<(), serde_json::Error> {
        let State { configuration, test, count } = serde_json::from_value(state)?;
        if test.is_some_and(|test| test.name().is_none()) {
            return Err(serde::de::Error::custom("there is no such test"));
        }
        self.configuration = self.configuration.with(configuration)?;
        (self.test, self.count) = (test, count);
        Ok(())
    }
}
