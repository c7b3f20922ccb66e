//! The four 16550 serial ports of a PC: National Semiconductor PC16550D data sheet (SNLS378), 8.0 "Registers".

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::clock::{Clock, Nanos};
use crate::irq::Line;
use crate::{Access, Console, Device, Region, Wires};

crate::device!("com1", "the first serial port, at port 0x3f8", [at(0x3f8)], |wires| make(wires, 0, 4));
crate::device!("com2", "the second serial port, at port 0x2f8", [at(0x2f8)], |wires| make(wires, 1, 3));
crate::device!("com3", "the third serial port, at port 0x3e8", [at(0x3e8)], |wires| make(wires, 2, 4));
crate::device!("com4", "the fourth serial port, at port 0x2e8", [at(0x2e8)], |wires| make(wires, 3, 3));

const fn at(port: u16) -> Region {
    Region::ports(port, port + 7).by(1)
}

fn make(wires: &Wires, number: usize, irq: u32) -> Box<dyn Device> {
    Box::new(Uart {
        state: State::default(),
        console: wires.serial[number].clone(),
        clock: wires.clock.clone(),
        line: wires.interrupts.line(irq),
    })
}

struct Uart {
    state: State,
    console: Console,
    clock: Clock,
    line: Line,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    divisor: u16,
    ier: u8,
    lcr: u8,
    mcr: u8,
    scratch: u8,
    /// The errors of the line status that reading takes away: overrun and break.
    errors: u8,
    /// The lines of the modem, and which have changed since they were read: both halves of the modem status.
    modem: u8,
    received: VecDeque<u8>,
    has_fifo: bool,
    /// Bits 6 and 7 of the FIFO control.
    trigger: u8,
    /// Whether the emptiness of the transmitter is still to be told.
    is_empty_untold: bool,
    /// When received bytes below the trigger level are told all the same; none while there are none.
    timeout: Option<Nanos>,
    /// Whether that time has come.
    has_timed_out: bool,
}

impl Default for State {
    fn default() -> Self {
        Self {
            divisor: 12,
            ier: 0,
            lcr: 0,
            mcr: 0,
            scratch: 0,
            errors: 0,
            modem: CONNECTED,
            received: VecDeque::new(),
            has_fifo: false,
            trigger: 0,
            is_empty_untold: false,
            timeout: None,
            has_timed_out: false,
        }
    }
}

const FIFO: usize = 16;
const DLAB: u8 = 0x80;
const LOOP: u8 = 0x10;
const OUT2: u8 = 0x08;
/// Of the line status.
const READY: u8 = 0x01;
const OVERRUN: u8 = 0x02;
const BREAK: u8 = 0x10;
const EMPTY: u8 = 0x60;
/// The modem at the other end is there: DCD, DSR and CTS.
const CONNECTED: u8 = 0xb0;
/// The crystal's frequency, divided by 16 and the divisor, is the rate of bits.
const CRYSTAL: u64 = 1_843_200;

/// What an interrupt is for, as the identification register says it.
const LINE_STATUS: u8 = 0x06;
const AVAILABLE: u8 = 0x04;
const TIMEOUT: u8 = 0x0c;
const TRANSMITTER: u8 = 0x02;
const MODEM: u8 = 0x00;
const NONE: u8 = 0x01;

impl State {
    /// The interrupt of the highest priority: data sheet, table 4.
    fn interrupt(&self) -> u8 {
        let asks = |bit: u8| self.ier & bit != 0;
        let level = if self.has_fifo { [1, 4, 8, 14][usize::from(self.trigger >> 6)] } else { 1 };
        if asks(4) && self.errors != 0 {
            LINE_STATUS
        } else if asks(1) && self.received.len() >= level {
            AVAILABLE
        } else if asks(1) && self.has_timed_out {
            TIMEOUT
        } else if asks(2) && self.is_empty_untold {
            TRANSMITTER
        } else if asks(8) && self.modem & 0xf != 0 {
            MODEM
        } else {
            NONE
        }
    }

    fn receive(&mut self, byte: u8, now: Nanos) {
        let room = if self.has_fifo { FIFO } else { 1 };
        if self.received.len() >= room {
            self.errors |= OVERRUN;
            // With a FIFO the newest is lost, without one the one before: data sheet, "overrun error".
            if self.has_fifo {
                return;
            }
            self.received.clear();
        }
        self.received.push_back(byte);
        self.restart_timeout(now);
    }

    /// A timeout comes when nothing was received or read for the time of four characters.
    fn restart_timeout(&mut self, now: Nanos) {
        let character = 10 * 16 * u64::from(self.divisor.max(1)) * 1_000_000_000 / CRYSTAL;
        let counts = self.has_fifo && !self.received.is_empty();
        self.timeout = counts.then(|| now.saturating_add(4 * character));
        self.has_timed_out = false;
    }

    fn set_modem(&mut self, lines: u8) {
        let changed = (self.modem ^ lines) >> 4;
        // The ring indicator is told at its trailing edge alone.
        let trailing = changed & (4 & self.modem >> 4 | 0xb);
        self.modem = lines & 0xf0 | self.modem & 0xf | trailing;
    }

    /// What the modem's lines are: those of the modem control itself in a loop.
    fn modem_lines(&self) -> u8 {
        if self.mcr & LOOP == 0 {
            return CONNECTED;
        }
        let bit = |from: u8, to: u8| (self.mcr >> from & 1) << to;
        bit(0, 5) | bit(1, 4) | bit(2, 6) | bit(3, 7)
    }

    fn set_fifo(&mut self, byte: u8) {
        let has_fifo = byte & 1 != 0;
        if has_fifo != self.has_fifo || byte & 3 == 3 {
            self.received.clear();
            (self.timeout, self.has_timed_out) = (None, false);
        }
        if has_fifo != self.has_fifo || byte & 5 == 5 {
            self.is_empty_untold = true;
        }
        self.has_fifo = has_fifo;
        if has_fifo {
            self.trigger = byte & 0xc0;
        }
    }

    fn line_status(&mut self) -> u8 {
        let ready = if self.received.is_empty() { 0 } else { READY };
        std::mem::take(&mut self.errors) | ready | EMPTY
    }

    fn identify(&mut self) -> u8 {
        let interrupt = self.interrupt();
        if interrupt == TRANSMITTER {
            self.is_empty_untold = false;
        }
        interrupt | if self.has_fifo { 0xc0 } else { 0 }
    }
}

impl Uart {
    /// Takes what was typed and is not yet received, and lets the interrupt line follow.
    fn settle(&mut self) -> Nanos {
        let now = self.clock.now();
        let room = if self.state.has_fifo { FIFO } else { 1 };
        while self.state.mcr & LOOP == 0 && self.state.received.len() < room {
            let Some(byte) = self.console.typed() else { break };
            self.state.receive(byte, now);
        }
        self.state.has_timed_out = self.state.timeout.is_some_and(|timeout| timeout <= now);
        self.tell();
        if self.state.interrupt() == NONE
            && let Some(timeout) = self.state.timeout.filter(|_| self.state.ier & 1 != 0)
        {
            self.clock.wake_at(timeout);
        }
        now
    }

    /// Lets the interrupt line be as the registers have it. On a PC it goes through a gate that OUT2 opens.
    fn tell(&mut self) {
        let is_open = self.state.mcr & (OUT2 | LOOP) == OUT2;
        self.line.set(is_open && self.state.interrupt() != NONE);
    }

    fn transmit(&mut self, byte: u8, now: Nanos) {
        if self.state.mcr & LOOP != 0 {
            self.state.receive(byte, now);
        } else {
            self.console.put(byte);
        }
        self.state.is_empty_untold = true;
    }
}

impl Device for Uart {
    fn read(&mut self, _: usize, offset: u64, data: &mut [u8]) -> Access {
        let [byte] = data else { return Access::BadWidth };
        let now = self.settle();
        let state = &mut self.state;
        let [low, high] = state.divisor.to_le_bytes();
        *byte = match (offset, state.lcr & DLAB != 0) {
            (0, true) => low,
            (1, true) => high,
            (0, false) => {
                let byte = state.received.pop_front().unwrap_or(0);
                state.restart_timeout(now);
                byte
            }
            (1, false) => state.ier,
            (2, _) => state.identify(),
            (3, _) => state.lcr,
            (4, _) => state.mcr,
            (5, _) => state.line_status(),
            (6, _) => {
                let modem = state.modem;
                state.modem &= 0xf0;
                modem
            }
            _ => state.scratch,
        };
        self.settle();
        Access::Done
    }

    fn write(&mut self, _: usize, offset: u64, data: &[u8]) -> Access {
        let [byte] = *data else { return Access::BadWidth };
        let now = self.settle();
        let state = &mut self.state;
        let [low, high] = state.divisor.to_le_bytes();
        match (offset, state.lcr & DLAB != 0) {
            (0, true) => state.divisor = u16::from_le_bytes([byte, high]),
            (1, true) => state.divisor = u16::from_le_bytes([low, byte]),
            (0, false) => self.transmit(byte, now),
            (1, false) => {
                // The transmitter is empty, and says so to whoever begins to ask.
                if byte & 2 != 0 && state.ier & 2 == 0 {
                    state.is_empty_untold = true;
                }
                state.ier = byte & 0xf;
            }
            (2, _) => state.set_fifo(byte),
            (3, _) => {
                if byte & 0x40 != 0 && state.lcr & 0x40 == 0 && state.mcr & LOOP != 0 {
                    state.receive(0, now);
                    state.errors |= BREAK;
                }
                state.lcr = byte;
            }
            (4, _) => {
                state.mcr = byte & 0x1f;
                state.set_modem(state.modem_lines());
            }
            // The status registers are for tests of the factory.
            (5 | 6, _) => {}
            _ => state.scratch = byte,
        }
        self.settle();
        Access::Done
    }

    fn poll(&mut self) {
        self.settle();
    }

    fn reset(&mut self) {
        self.state = State::default();
        self.settle();
    }

    fn state(&self) -> Result<Value, serde_json::Error> {
        // Another machine's clock shows another time: what is saved is how much is left.
        let now = self.clock.now();
        let timeout = self.state.timeout.map(|timeout| timeout.saturating_sub(now));
        serde_json::to_value(State { timeout, ..self.state.clone() })
    }

    fn load(&mut self, state: Value) -> Result<(), serde_json::Error> {
        let mut loaded: State = serde_json::from_value(state)?;
        loaded.received.truncate(FIFO);
        let now = self.clock.now();
        loaded.timeout = loaded.timeout.map(|left| left.saturating_add(now));
        self.state = loaded;
        // What was typed and what has fallen due since it was last looked at is told at the next poll.
        self.tell();
        self.clock.wake_at(now);
        Ok(())
    }
}
