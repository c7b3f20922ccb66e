//! The bridge to the ISA bus: Intel 82371SB (PIIX3) data sheet (290550), 2.2 "PCI to ISA bridge registers" and 2.5.6 "Advanced power
//! management control and status ports". What else it holds has files of its own.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::irq::Interrupts;
use crate::pci::{Configuration, Identity, Layout, Pins};
use crate::{Access, Device, Region};

crate::device!(
    "piix3",
    "the bridge to the ISA bus: where the interrupts of PCI functions lead",
    [Region::function(1, 0), Region::ports(0xb2, 0xb3).by(1)],
    |wires| {
        let mut piix3 = Piix3 {
            configuration: Configuration::new(layout()),
            ports: [0; 2],
            pins: wires.pins.clone(),
            interrupts: wires.interrupts.clone(),
        };
        piix3.reset();
        Box::new(piix3)
    }
);

/// PIRQRC[A:D]: which interrupt each line of the PCI bus leads to, and whether to none.
pub(crate) const ROUTES: usize = 0x60;
const NOWHERE: u8 = 1 << 7;
const INTERRUPT: u8 = 0xf;
/// The interrupts that are of the board's own devices alone: the timer's, the keyboard's, the cascade, the clock's, the coprocessor's.
const RESERVED: [u8; 5] = [0, 1, 2, 8, 13];

struct Piix3 {
    configuration: Configuration,
    /// The ports by which software talks to power management in SMM, which nobody listens at here.
    ports: [u8; 2],
    pins: Pins,
    interrupts: Interrupts,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    configuration: Vec<u8>,
    ports: [u8; 2],
}

fn layout() -> Layout {
    let identity =
        Identity { vendor: 0x8086, device: 0x7000, revision: 0, class: 0x06_01_00, subsystem: (0, 0) };
    Layout::new(identity, 1 << 3 | 1 << 8)
        .fixed(0x04, &[0x07, 0x00, 0x00, 0x02])
        // There are several functions.
        .fixed(0x0e, &[0x80])
        // Recovery of the ISA bus, chip selects, PCI interrupts, top of memory, its own interrupts and DMA.
        .fixed(0x4c, &[0x4d, 0x00, 0x03, 0x00])
        .writable(0x4c, &[0x7f, 0x00, 0xff, 0x01])
        .fixed(ROUTES, &[NOWHERE; 4])
        .writable(ROUTES, &[NOWHERE | INTERRUPT; 4])
        .fixed(0x69, &[0x02])
        .writable(0x69, &[0xfe])
        .fixed(0x70, &[0x80])
        .writable(0x70, &[0xef])
        .fixed(0x76, &[0x0c, 0x0c])
        .writable(0x76, &[0x8f, 0x8f])
}

impl Piix3 {
    fn route(&self) {
        let to = [0, 1, 2, 3].map(|line| {
            let register = self.configuration.byte(ROUTES + line);
            let interrupt = register & INTERRUPT;
            let leads = register & NOWHERE == 0 && !RESERVED.contains(&interrupt);
            leads.then(|| u32::from(interrupt))
        });
        self.pins.route(to, &self.interrupts);
    }

    fn port(&mut self, offset: u64) -> Option<&mut u8> {
        usize::try_from(offset).ok().and_then(|at| self.ports.get_mut(at))
    }
}

impl Device for Piix3 {
    fn read(&mut self, region: usize, offset: u64, data: &mut [u8]) -> Access {
        match (region, data) {
            (0, data) => return self.configuration.read(offset, data),
            (_, [byte]) => match self.port(offset) {
                Some(held) => *byte = *held,
                None => return Access::NoRegister,
            },
            _ => return Access::BadWidth,
        }
        Access::Done
    }

    fn write(&mut self, region: usize, offset: u64, data: &[u8]) -> Access {
        match (region, data) {
            (0, data) => {
                let access = self.configuration.write(offset, data);
                self.route();
                return access;
            }
            (_, &[byte]) => match self.port(offset) {
                Some(held) => *held = byte,
                None => return Access::NoRegister,
            },
            _ => return Access::BadWidth,
        }
        Access::Done
    }

    fn reset(&mut self) {
        self.configuration.reset();
        self.ports = [0; 2];
        self.route();
    }

    fn state(&self) -> Result<Value, serde_json::Error> {
        serde_json::to_value(State { configuration: self.configuration.bytes(), ports: self.ports })
    }

    fn load(&mut self, state: Value) -> Result<(), serde_json::Error> {
        let State { configuration, ports } = serde_json::from_value(state)?;
        (self.configuration, self.ports) = (self.configuration.with(configuration)?, ports);
        self.route();
        Ok(())
    }
}
