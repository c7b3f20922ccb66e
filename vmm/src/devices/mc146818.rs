//! The MC146818 real-time clock and its CMOS memory: MC146818 data sheet (ADI-856R3).

mod calendar;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::clock::{Clock, Nanos, nanos, periods};
use crate::irq::Line;
use crate::{Access, Device, Region};
use calendar::Form;

crate::device!(
    "mc146818",
    "the real-time clock and CMOS memory at port 0x70",
    [Region::ports(0x70, 0x71).by(1)],
    |wires| {
        let mut rtc = Mc146818 {
            state: State::new(),
            clock: wires.clock.clone(),
            ahead: 0,
            line: wires.interrupts.line(8),
            memory: wires.ram.size(),
            cpus: wires.cpus,
        };
        rtc.begin();
        Box::new(rtc)
    }
);

struct Mc146818 {
    state: State,
    clock: Clock,
    /// How far its time is ahead of the clock's, after a state came from another machine: modulo all of it.
    ahead: Nanos,
    line: Line,
    /// How much RAM there is, which firmware looks up here.
    memory: u64,
    cpus: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    selected: u8,
    /// Registers and memory, 128 bytes.
    cells: Vec<u8>,
    /// When the next second is counted in the cells.
    update: Nanos,
    /// Up to when periodic interrupts are counted.
    periodic: Nanos,
}

/// What is saved: its time goes on from where it was, whatever the clock of the next machine shows.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Saved {
    registers: State,
    time: Nanos,
}

const CELLS: usize = 128;
const SECOND: Nanos = 1_000_000_000;
/// How long before each update UIP warns of it, and how long an update takes with a crystal of 32 kHz.
const UPDATE: Nanos = 244_000 + 1_984_000;
/// What the divider counts.
const HERTZ: u64 = 32_768;

const A: usize = 0xa;
const B: usize = 0xb;
const C: usize = 0xc;
const D: usize = 0xd;
/// Of register B: SET, and the three interrupts in the places that they have in register C.
const SET: u8 = 0x80;
const PERIODIC: u8 = 0x40;
const ALARM: u8 = 0x20;
const ENDED: u8 = 0x10;
const ALL: u8 = PERIODIC | ALARM | ENDED;
const SQUARE_WAVE: u8 = 0x08;
/// Of register A: update in progress. Of C: an interrupt is asked for. Of D: time and memory are valid.
const UIP: u8 = 0x80;
const IRQF: u8 = 0x80;
const VALID: u8 = 0x80;

impl State {
    fn new() -> Self {
        Self { selected: 0, cells: vec![0; CELLS], update: SECOND, periodic: 0 }
    }

    fn form(&self) -> Form {
        Form { is_binary: self.cells[B] & 4 != 0, is_24_hours: self.cells[B] & 2 != 0 }
    }

    /// Whether seconds are counted: not while they are being set, and only with the divider in its 32 kHz position.
    fn runs(&self) -> bool {
        self.cells[B] & SET == 0 && self.divides()
    }

    fn divides(&self) -> bool {
        self.cells[A] & 0x70 == 0x20
    }

    /// How many ticks of the divider a periodic interrupt has.
    fn rate(&self) -> Option<u64> {
        match self.cells[A] & 0xf {
            0 => None,
            rate @ 1..=2 => Some(1 << (rate + 6)),
            rate => Some(1 << (rate - 1)),
        }
    }

    /// Counts what has passed up to `now`.
    fn catch_up(&mut self, now: Nanos) {
        let late = now.checked_sub(self.update);
        let seconds = late.map_or(0, |late| late / SECOND + 1);
        self.update = self.update.saturating_add(seconds.saturating_mul(SECOND));
        if seconds > 0 && self.runs() {
            let form = self.form();
            if calendar::alarm_within(&self.cells, form, seconds) {
                self.cells[C] |= ALARM;
            }
            calendar::add(&mut self.cells, form, seconds);
            self.cells[C] |= ENDED;
        }
        if let Some(rate) = self.rate() {
            let (before, ticks) = (periods(self.periodic, HERTZ), periods(now, HERTZ));
            if before / rate != ticks / rate {
                self.cells[C] |= PERIODIC;
            }
        }
        self.periodic = self.periodic.max(now);
        let asks = self.cells[B] & self.cells[C] & ALL != 0;
        self.cells[C] = self.cells[C] & ALL | if asks { IRQF } else { 0 };
    }

    /// When something happens next that may interrupt.
    fn deadline(&self, now: Nanos) -> Option<Nanos> {
        let update = self.cells[B] & (ALARM | ENDED) != 0 && self.runs();
        let update = update.then_some(self.update);
        let rate = self.rate().filter(|_| self.cells[B] & PERIODIC != 0);
        let periodic = rate.map(|rate| nanos((periods(now, HERTZ) / rate + 1) * rate, HERTZ));
        [update, periodic].into_iter().flatten().min()
    }

    fn read(&mut self, now: Nanos) -> u8 {
        let index = usize::from(self.selected);
        match index {
            A => {
                let left = self.update.saturating_sub(now);
                let is_updating = self.runs() && left <= UPDATE;
                self.cells[A] | if is_updating { UIP } else { 0 }
            }
            C => std::mem::take(&mut self.cells[C]),
            D => VALID,
            _ => self.cells.get(index).copied().unwrap_or(0xff),
        }
    }

    fn write(&mut self, byte: u8, now: Nanos) {
        let index = usize::from(self.selected);
        match index {
            A => {
                let ran = self.divides();
                self.cells[A] = byte & !UIP;
                if !ran && self.divides() {
                    // The first update comes half a second after the divider is let go, whether or not it is being set: data sheet,
                    // "divider control".
                    self.update = now.saturating_add(SECOND / 2);
                }
            }
            // SET takes the interrupt at the end of an update away.
            B => self.cells[B] = if byte & SET != 0 { byte & !ENDED } else { byte },
            C | D => {}
            _ => {
                if let Some(cell) = self.cells.get_mut(index) {
                    *cell = byte;
                }
            }
        }
    }
}

impl Mc146818 {
    fn settle(&mut self) -> Nanos {
        let now = self.time();
        self.state.catch_up(now);
        self.line.set(self.state.cells[C] & IRQF != 0);
        if let Some(next) = self.state.deadline(now) {
            self.clock.wake_at(next.wrapping_sub(self.ahead));
        }
        now
    }

    fn time(&self) -> Nanos {
        self.clock.now().wrapping_add(self.ahead)
    }

    /// As the maker of the board has it: with a battery, the host's time, and what firmware has found out.
    fn begin(&mut self) {
        let now = self.time();
        self.state = State::new();
        self.state.cells[A] = 0x26;
        self.state.cells[B] = 0x02;
        (self.state.update, self.state.periodic) = (now.saturating_add(SECOND), now);
        let form = self.state.form();
        calendar::set(&mut self.state.cells, form, self.clock.wall());
        self.fill();
        self.settle();
    }

    /// What firmware reads of how much memory there is, and how many processors.
    fn fill(&mut self) {
        let mut put = |index: usize, value: u64| {
            let value = u16::try_from(value).unwrap_or(u16::MAX).to_le_bytes();
            self.state.cells[index..index + 2].copy_from_slice(&value);
        };
        let below = self.memory.min(crate::Ram::HOLE);
        put(0x15, 640);
        let extended = (below.saturating_sub(1 << 20) >> 10).min(0xffff);
        put(0x17, extended);
        put(0x30, extended);
        put(0x34, (below.saturating_sub(16 << 20) >> 16).min(0xffff));
        let [a, b, c, ..] = (self.memory.saturating_sub(crate::Ram::HOLE) >> 16).to_le_bytes();
        self.state.cells[0x5b..0x5e].copy_from_slice(&[a, b, c]);
        self.state.cells[0x5f] = u8::try_from(self.cpus.saturating_sub(1)).unwrap_or(u8::MAX);
        // Equipment: an FPU, a PS/2 mouse port, no disk drives.
        self.state.cells[0x14] = 0x06;
        // Boots from disk first, and then from a disc.
        self.state.cells[0x3d] = 0x32;
    }
}

impl Device for Mc146818 {
    fn read(&mut self, _: usize, offset: u64, data: &mut [u8]) -> Access {
        let [byte] = data else { return Access::BadWidth };
        if offset == 0 {
            // The index can only be written.
            return Access::NoRegister;
        }
        let now = self.settle();
        *byte = self.state.read(now);
        self.settle();
        Access::Done
    }

    fn write(&mut self, _: usize, offset: u64, data: &[u8]) -> Access {
        let [byte] = *data else { return Access::BadWidth };
        let now = self.settle();
        match offset {
            // Bit 7 shuts NMI off, which nothing raises through the port.
            0 => self.state.selected = byte & 0x7f,
            _ => self.state.write(byte, now),
        }
        self.settle();
        Access::Done
    }

    fn poll(&mut self) {
        self.settle();
    }

    /// The clock is on a battery: a reset takes interrupts away and leaves the clock, the calendar and the memory alone. Data sheet,
    /// "RESET".
    fn reset(&mut self) {
        self.settle();
        self.state.cells[B] &= !(ALL | SQUARE_WAVE);
        self.state.cells[C] = 0;
        self.settle();
    }

    fn state(&self) -> Result<Value, serde_json::Error> {
        serde_json::to_value(Saved { registers: self.state.clone(), time: self.time() })
    }

    fn load(&mut self, state: Value) -> Result<(), serde_json::Error> {
        let Saved { mut registers, time } = serde_json::from_value(state)?;
        if registers.cells.len() != CELLS {
            return Err(serde::de::Error::custom("it has another number of cells"));
        }
        registers.update = registers.update.min(time.saturating_add(SECOND));
        registers.periodic = registers.periodic.min(time);
        let now = self.clock.now();
        (self.state, self.ahead) = (registers, time.wrapping_sub(now));
        // What has fallen due since it was last looked at is told at the next poll.
        self.line.set(self.state.cells[C] & IRQF != 0);
        self.clock.wake_at(now);
        Ok(())
    }
}
