//! Power management of the PIIX4: Intel 82371AB data sheet (290562), 7 "Power management PCI configuration and I/O registers", and
//! ACPI specification 6.5, 4.8.3 "PM1 event and control grouping". There is neither an SMBus nor SMM.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::clock::{Clock, Nanos, nanos, periods};
use crate::irq::Line;
use crate::pci::{Configuration, Identity, Layout, command};
use crate::{Access, DECODED, Device, End, Power, Region, Shows, Window};

crate::device!("piix4-pm", "power management: power-off, and a timer", [Region::function(1, 3)], |wires| {
    let mut pm = Piix4Pm {
        configuration: Configuration::new(layout()),
        state: State::default(),
        clock: wires.clock.clone(),
        ahead: 0,
        line: wires.interrupts.line(SCI.into()),
        power: wires.power.clone(),
    };
    pm.reset();
    Box::new(pm)
});

/// Where firmware puts it: status and enable, 16 bits each, the control, the timer.
pub(crate) const EVENT: u16 = 0x600;
pub(crate) const CONTROL: u16 = EVENT + 4;
pub(crate) const TIMER: u16 = EVENT + 8;
/// The interrupt that it raises.
pub(crate) const SCI: u8 = 9;

/// Of status and enable: bit 23 of the timer has changed.
const TIMER_OVERFLOW: u16 = 1;
/// What can be enabled: the timer, the global lock, the power button and the clock.
const CAN_ENABLE: u16 = 1 | 1 << 5 | 1 << 8 | 1 << 10;
/// Of the control: events raise the SCI. There is no other mode without firmware, and none to go back to: ACPI 4.8.2.5.
const SCI_ENABLED: u16 = 1;
const SLEEP_TYPE: u16 = 0b111 << 10;
const SLEEP: u16 = 1 << 13;
/// What of the control keeps what is written: bus master reload besides the type. The rest act and read as zero.
const KEPT: u16 = SLEEP_TYPE | 1 << 1;
/// The sleep type that switches everything off: "PMCNTRL", SUS_TYP.
const SOFT_OFF: u16 = 0;

/// Of the configuration: where the registers are, and whether they are there.
pub(crate) const BASE: usize = 0x40;
pub(crate) const ENABLE: usize = 0x80;
const LENGTH: u16 = 0x40;
/// DEVACTB, and in it that an APM command is an SMI: what tells firmware that SMM is set up already, as far as it ever will be.
const ACTIVITY: usize = 0x58;
const APM_ENABLED: u32 = 1 << 25;

const HERTZ: u64 = 3_579_545;
const TIMER_BITS: u32 = 24;

struct Piix4Pm {
    configuration: Configuration,
    state: State,
    clock: Clock,
    /// How far the timer's time is ahead of the clock's, after a state came from another machine: modulo all of it.
    ahead: Nanos,
    line: Line,
    power: Power,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    status: u16,
    enable: u16,
    control: u16,
    /// How often the upper bit of the timer had changed when that was last told.
    overflows: u64,
}

/// What is saved: the timer goes on from where it was, whatever the clock of the next machine shows.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Saved {
    configuration: Vec<u8>,
    registers: State,
    time: Nanos,
}

fn layout() -> Layout {
    let identity = Identity {
        vendor: 0x8086,
        device: 0x7113,
        revision: 3,
        class: 0x06_80_00,
        subsystem: (0x1af4, 0x1100),
    };
    Layout::new(identity, command::PORTS)
        .fixed(0x06, &[0x80, 0x02])
        .pin(1)
        .fixed(BASE, &[1])
        .writable(BASE, &[0xc0, 0xff])
        .fixed(ACTIVITY, &APM_ENABLED.to_le_bytes())
        .writable(ACTIVITY, &[0xff; 4])
        .writable(ENABLE, &[1])
        .fixed(0x90, &[1])
        .writable(0x90, &[0xf0, 0xff])
        .writable(0xd2, &[0x0f])
}

impl Piix4Pm {
    /// Tells of what the timer has done, and asks to be woken for what it does next.
    fn settle(&mut self) {
        let overflows = overflows(self.time());
        if overflows != self.state.overflows {
            self.state.overflows = overflows;
            self.state.status |= TIMER_OVERFLOW;
        }
        let asks = self.state.status & self.state.enable;
        self.line.set(asks != 0);
        if self.state.enable & TIMER_OVERFLOW != 0 && asks & TIMER_OVERFLOW == 0 {
            let next = nanos((overflows + 1) << (TIMER_BITS - 1), HERTZ);
            self.clock.wake_at(next.wrapping_sub(self.ahead));
        }
    }

    /// For how long the timer has counted.
    fn time(&self) -> Nanos {
        self.clock.now().wrapping_add(self.ahead)
    }

    /// All registers.
    fn registers(&self) -> [u8; 12] {
        let state = &self.state;
        let words = [state.status, state.enable, state.control | SCI_ENABLED, 0];
        let timer = periods(self.time(), HERTZ) & ((1 << TIMER_BITS) - 1);
        let mut registers = [0; 12];
        for (place, word) in registers.chunks_mut(2).zip(words) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        registers[8..].copy_from_slice(&timer.to_le_bytes()[..4]);
        registers
    }

    fn write_byte(&mut self, at: usize, byte: u8) {
        let shift = at % 2 * 8;
        let (value, mask) = (u16::from(byte) << shift, 0xff << shift);
        let state = &mut self.state;
        match at / 2 {
            0 => state.status &= !value,
            1 => state.enable = state.enable & !mask | value & CAN_ENABLE,
            2 => {
                state.control = state.control & !mask | value & KEPT;
                if value & SLEEP != 0 && state.control & SLEEP_TYPE == SOFT_OFF {
                    self.power.ask(End::PoweredOff);
                }
            }
            // The timer only counts.
            _ => {}
        }
    }
}

fn overflows(time: Nanos) -> u64 {
    periods(time, HERTZ) >> (TIMER_BITS - 1)
}

impl Device for Piix4Pm {
    fn read(&mut self, region: usize, offset: u64, data: &mut [u8]) -> Access {
        if region == 0 {
            return self.configuration.read(offset, data);
        }
        self.settle();
        let registers = self.registers();
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        match from.checked_add(data.len()).and_then(|end| registers.get(from..end)) {
            Some(bytes) => data.copy_from_slice(bytes),
            None => return Access::NoRegister,
        }
        Access::Done
    }

    fn write(&mut self, region: usize, offset: u64, data: &[u8]) -> Access {
        if region == 0 {
            return self.configuration.write(offset, data);
        }
        self.settle();
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        for (at, byte) in (from..).zip(data) {
            self.write_byte(at, *byte);
        }
        self.settle();
        Access::Done
    }

    fn poll(&mut self) {
        self.settle();
    }

    fn windows(&self) -> Vec<Window> {
        let first = self.configuration.word(BASE) & !(LENGTH - 1);
        let is_there = self.configuration.byte(ENABLE) & 1 != 0 && first != 0;
        let shows = Shows::Own { region: 1, offset: 0 };
        let region = Region::ports(first, first | (LENGTH - 1));
        is_there.then_some(Window { region, shows, priority: DECODED }).into_iter().collect()
    }

    /// The timer is not reset: it counts as long as there is power.
    fn reset(&mut self) {
        self.configuration.reset();
        self.state = State { overflows: overflows(self.time()), ..State::default() };
        self.settle();
    }

    fn state(&self) -> Result<Value, serde_json::Error> {
        let configuration = self.configuration.bytes();
        serde_json::to_value(Saved { configuration, registers: self.state.clone(), time: self.time() })
    }

    fn load(&mut self, state: Value) -> Result<(), serde_json::Error> {
        let Saved { configuration, registers, time } = serde_json::from_value(state)?;
        (self.configuration, self.state) = (self.configuration.with(configuration)?, registers);
        let now = self.clock.now();
        self.ahead = time.wrapping_sub(now);
        // What the timer has done since it was last looked at is told at the next poll.
        self.line.set(self.state.status & self.state.enable != 0);
        self.clock.wake_at(now);
        Ok(())
    }
}
