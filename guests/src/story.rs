//! Everything that a run made visible: the events in their order, and how it left registers and memory.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Event, Memory, Registers};

/// Everything that a run made visible.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Story {
    /// What happened, in order.
    pub events: Vec<Event>,
    /// How it ended.
    pub ending: Ending,
}

/// How a run left registers and memory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ending {
    /// The registers.
    pub registers: Registers,
    /// What became of guest RAM.
    pub memory: Memory,
}

/// The events of a story that still lacks its ending: without one it proves nothing, and compares with nothing.
#[derive(Clone, Debug)]
pub struct Beginning(Vec<Event>);

impl Story {
    /// A story of these events; [`Beginning::ending`] makes it whole.
    pub fn of(events: impl IntoIterator<Item = Event>) -> Beginning {
        Beginning(events.into_iter().collect())
    }

    /// What the host has to give to each IN and MMIO read, in order.
    pub fn replies(&self) -> impl Iterator<Item = &[u8]> {
        self.events.iter().filter_map(Event::reply)
    }

    /// How `seen` differs from this story, which is the expected one: the first event that does, each register by name, each range
    /// of memory. Empty if and only if they are equal.
    pub fn difference(&self, seen: &Self) -> Vec<String> {
        let mut lines: Vec<String> = self.first_event(seen).into_iter().collect();
        let values = self.ending.registers.values().into_iter().zip(seen.ending.registers.values());
        for (name, (expected, seen)) in Registers::NAMES.iter().zip(values) {
            if expected != seen {
                lines.push(format!("{name}: expected {expected:#x}, seen {seen:#x}"));
            }
        }
        lines.extend(self.ending.memory.difference(&seen.ending.memory));
        lines
    }

    /// Tells the first event that differs; events are counted from one.
    fn first_event(&self, seen: &Self) -> Option<String> {
        let length = self.events.len().max(seen.events.len());
        let at = (0..length).find(|&at| self.events.get(at) != seen.events.get(at))?;
        let text =
            |story: &Self| story.events.get(at).map_or_else(|| "nothing more".to_owned(), Event::to_string);
        Some(format!("event {}: expected {}, seen {}", at + 1, text(self), text(seen)))
    }
}

impl Beginning {
    /// The whole story.
    pub fn ending(self, registers: Registers, memory: Memory) -> Story {
        Story { events: self.0, ending: Ending { registers, memory } }
    }
}

impl fmt::Display for Story {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, event) in self.events.iter().enumerate() {
            writeln!(f, "{:>3}  {event}", index + 1)?;
        }
        self.ending.fmt(f)
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named: Vec<_> = Registers::NAMES.iter().zip(self.registers.values()).collect();
        for row in named.chunks(4) {
            f.write_str("    ")?;
            row.iter().try_for_each(|(name, value)| write!(f, " {name:<6} {value:016x}"))?;
            writeln!(f)?;
        }
        write!(f, "     memory {}", self.memory)
    }
}
