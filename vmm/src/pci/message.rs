//! Interrupts that are messages, each with a mask: PCI 3.0, 6.8.2 "MSI-X capability and table structures".

use serde::{Deserialize, Serialize};

use super::configuration::command;
use super::{Configuration, Layout};
use crate::irq::Interrupts;
use crate::{Access, Ram, Wires};

/// The table of messages of a function, and which of them wait.
#[derive(Clone)]
pub struct Messages {
    state: State,
    interrupts: Interrupts,
    ram: Ram,
    /// Where the capability is.
    at: usize,
}

/// Which messages there are, to be saved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    /// Of each message its address, its data and its control, 16 bytes.
    table: Vec<u8>,
    /// Of each message whether it waits until it is no longer masked.
    pending: Vec<bool>,
}

const ID: u8 = 0x11;
/// Of the control register's upper byte: it is enabled, and all are masked.
const ENABLED: u8 = 1 << 7;
const ALL_MASKED: u8 = 1 << 6;
/// Of a message's control.
const MASKED: u8 = 1;
const ENTRY: usize = 16;
const CONTROL: usize = 12;
/// The MiB of addresses of which a write is an interrupt: SDM volume 3, 11.11.1 "Message address register format".
const INTERRUPTS: u64 = 0xfee;
/// Where the bits are that say which wait, behind a table of at most 128 messages.
const PENDING: usize = 0x800;

impl Messages {
    /// A table of so many messages, 128 at most, at the beginning of what a base address register decodes, which must be 4 KiB.
    pub fn new(count: u16, bar: u8, layout: &mut Layout, wires: &Wires) -> Self {
        let count = usize::from(count.clamp(1, 128));
        let [last, ..] = (count - 1).to_le_bytes();
        let [low, high, ..] = PENDING.to_le_bytes();
        let registers = [last, 0, bar, 0, 0, 0, low | bar, high, 0, 0];
        let at = layout.add_capability(ID, &registers, &[0, ENABLED | ALL_MASKED]);
        let (interrupts, ram) = (wires.interrupts.clone(), wires.ram.clone());
        Self { state: State::new(count), interrupts, ram, at }
    }

    /// Whether the function sends messages, and does not drive its pin.
    pub fn are_enabled(&self, configuration: &Configuration) -> bool {
        configuration.byte(self.at + 3) & ENABLED != 0
    }

    /// Sends a message, or notes that it is to be sent once it is not masked. Without messages, nothing happens.
    pub fn send(&mut self, number: u16, configuration: &Configuration) {
        let number = usize::from(number);
        if number >= self.state.pending.len() || !self.are_enabled(configuration) {
            return;
        }
        self.state.pending[number] = true;
        self.settle(configuration);
    }

    /// Sends what waits and is not masked any more. A message is a write to memory, which only a master makes.
    pub fn settle(&mut self, configuration: &Configuration) {
        let is_open = configuration.byte(self.at + 3) & (ENABLED | ALL_MASKED) == ENABLED;
        if !is_open || configuration.command() & command::MASTER == 0 {
            return;
        }
        let State { table, pending } = &mut self.state;
        for (entry, waits) in table.chunks_exact(ENTRY).zip(pending) {
            if *waits && entry[CONTROL] & MASKED == 0 {
                *waits = false;
                let word =
                    |at: usize| u32::from_le_bytes([entry[at], entry[at + 1], entry[at + 2], entry[at + 3]]);
                let address = u64::from(word(4)) << 32 | u64::from(word(0));
                if address >> 20 == INTERRUPTS {
                    self.interrupts.message(address, word(8));
                } else {
                    // Where no RAM is, the write is lost.
                    let _ = self.ram.write(address, &word(8).to_le_bytes());
                }
            }
        }
    }

    /// Has none of them wait any more.
    pub fn forget(&mut self) {
        self.state.pending.fill(false);
    }

    /// Reads the table, or which wait.
    pub fn read(&self, offset: u64, data: &mut [u8]) -> Access {
        for (at, byte) in places(offset).zip(data) {
            *byte = match at.checked_sub(PENDING) {
                Some(behind) => (0..8).fold(0, |bits, bit| bits | self.is_pending(behind * 8 + bit) << bit),
                None => self.state.table.get(at).copied().unwrap_or(0),
            };
        }
        Access::Done
    }

    /// Writes to the table, and sends what is not masked any more.
    pub fn write(&mut self, offset: u64, data: &[u8], configuration: &Configuration) -> Access {
        for (at, byte) in places(offset).zip(data) {
            if let Some(held) = self.state.table.get_mut(at) {
                *held = match at % ENTRY {
                    0 => byte & !0b11,
                    CONTROL => byte & MASKED,
                    1..CONTROL => *byte,
                    _ => 0,
                };
            }
        }
        self.settle(configuration);
        Access::Done
    }

    /// Makes it as it is after a reset: all are masked.
    pub fn reset(&mut self) {
        self.state = State::new(self.state.pending.len());
    }

    /// All of it, to be saved.
    pub fn state(&self) -> Result<serde_json::Value, serde_json::Error> {
        serde_json::to_value(&self.state)
    }

    /// The same table with this state, unless it is of another number of messages.
    pub fn with(&self, state: serde_json::Value) -> Result<Self, serde_json::Error> {
        let state: State = serde_json::from_value(state)?;
        let count = self.state.pending.len();
        let fits = state.pending.len() == count && state.table.len() == count * ENTRY;
        let is_kept = |entry: &[u8]| {
            let [low, .., control, a, b, c] = entry else { return false };
            low & 0b11 == 0 && control & !MASKED == 0 && [*a, *b, *c] == [0; 3]
        };
        if !fits || !state.table.chunks_exact(ENTRY).all(is_kept) {
            return Err(serde::de::Error::custom("its messages are another function's"));
        }
        Ok(Self { state, ..self.clone() })
    }

    fn is_pending(&self, number: usize) -> u8 {
        self.state.pending.get(number).is_some_and(|waits| *waits).into()
    }
}

fn places(offset: u64) -> impl Iterator<Item = usize> {
    let first = usize::try_from(offset).unwrap_or(usize::MAX);
    (0..).map(move |behind| first.saturating_add(behind))
}

impl State {
    fn new(count: usize) -> Self {
        let entry = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, MASKED, 0, 0, 0];
        Self { table: entry.repeat(count), pending: vec![false; count] }
    }
}
