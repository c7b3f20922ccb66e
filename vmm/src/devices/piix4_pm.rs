//! Power management of the PIIX4, at the ports where firmware for PCs puts it: Intel 82371AB data sheet (290562), 7.1 "Power
//! management I/O registers", and ACPI specification 6.5, 4.8.3 "PM1 event and control grouping".

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::clock::{Clock, Nanos, nanos, periods};
use crate::irq::Line;
use crate::{Access, Device, End, Power, Region};

crate::device!(
    "piix4-pm",
    "power management at port 0x600: power-off, and a timer",
    [Region::ports(EVENT, TIMER + 3)],
    |wires| {
        let mut pm = Piix4Pm {
            state: State::default(),
            clock: wires.clock.clone(),
            ahead: 0,
            line: wires.interrupts.line(SCI.into()),
            power: wires.power.clone(),
        };
        pm.reset();
        Box::new(pm)
    }
);

/// Where status and enable are, 16 bits each; where the control is; where the timer is.
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

const HERTZ: u64 = 3_579_545;
const TIMER_BITS: u32 = 24;

struct Piix4Pm {
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
    registers: State,
    time: Nanos,
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
    fn read(&mut self, _: usize, offset: u64, data: &mut [u8]) -> Access {
        self.settle();
        let registers = self.registers();
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        match from.checked_add(data.len()).and_then(|end| registers.get(from..end)) {
            Some(bytes) => data.copy_from_slice(bytes),
            None => return Access::NoRegister,
        }
        Access::Done
    }

    fn write(&mut self, _: usize, offset: u64, data: &[u8]) -> Access {
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

    /// The timer is not reset: it counts as long as there is power.
    fn reset(&mut self) {
        self.state = State { overflows: overflows(self.time()), ..State::default() };
        self.settle();
    }

    fn state(&self) -> Result<Value, serde_json::Error> {
        serde_json::to_value(Saved { registers: self.state.clone(), time: self.time() })
    }

    fn load(&mut self, state: Value) -> Result<(), serde_json::Error> {
        let Saved { registers, time } = serde_json::from_value(state)?;
        (self.state, self.ahead) = (registers, time.wrapping_sub(self.clock.now()));
        self.settle();
        Ok(())
    }
}
