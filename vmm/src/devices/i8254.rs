//! The Intel 8254 interval timer with the gate and speaker port 0x61 of a PC: 8254 data sheet (231164).

mod counter;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::clock::{Clock, nanos, periods};
use crate::irq::Line;
use crate::{Access, Device, Region};
use counter::Counter;

crate::device!(
    "i8254",
    "the interval timer at port 0x40, and port 0x61",
    [Region::ports(0x40, 0x43).by(1), Region::ports(0x61, 0x61).by(1)],
    |wires| Box::new(I8254 {
        state: State::default(),
        clock: wires.clock.clone(),
        line: wires.interrupts.line(0)
    })
);

/// What its counters count.
const HERTZ: u64 = 1_193_182;
/// Which counter the gate and the speaker of port 0x61 are at.
const SPEAKER: usize = 2;
/// How long one refresh of dynamic memory takes, which bit 4 of port 0x61 shows: 15 microseconds.
const REFRESH: u64 = 15_000;

struct I8254 {
    state: State,
    clock: Clock,
    line: Line,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    counters: [Counter; 3],
    /// Bits 0 and 1 of port 0x61: the gate, and whether the speaker is on.
    speaker: u8,
    /// The count of ticks when the line was last set.
    polled: i64,
}

impl I8254 {
    fn tick(&self) -> i64 {
        i64::try_from(periods(self.clock.now(), HERTZ)).unwrap_or(i64::MAX)
    }

    /// Lets the interrupt line follow the first counter's output: with an edge for any number of them that have been missed.
    fn settle(&mut self, tick: i64) {
        let timer = &mut self.state.counters[0];
        if timer.rises_within(self.state.polled, tick) {
            self.line.set(false);
            self.line.set(true);
        }
        timer.catch_up(tick);
        self.line.set(timer.output(tick));
        self.state.polled = tick;
        if let Some(next) = timer.next_rise(tick).and_then(|next| u64::try_from(next).ok()) {
            self.clock.wake_at(nanos(next, HERTZ));
        }
    }

    /// The control word: data sheet, "programming the 8254" and "read-back command".
    fn control(&mut self, word: u8, tick: i64) {
        let select = usize::from(word >> 6);
        if let Some(counter) = self.state.counters.get_mut(select) {
            return match word >> 4 & 3 {
                0 => counter.latch_count(tick),
                _ => counter.set_mode(word, gate(select, self.state.speaker)),
            };
        }
        for (index, counter) in self.state.counters.iter_mut().enumerate() {
            if word & 2 << index != 0 {
                if word & 0x20 == 0 {
                    counter.latch_count(tick);
                }
                if word & 0x10 == 0 {
                    counter.latch_status(tick);
                }
            }
        }
    }

    fn speaker(&self, tick: i64) -> u8 {
        let refresh = u8::from(self.clock.now() / REFRESH % 2 == 1);
        let output = u8::from(self.state.counters[SPEAKER].output(tick));
        self.state.speaker | refresh << 4 | output << 5
    }
}

/// Whether a counter's gate is open: only that of the speaker can be shut.
fn gate(counter: usize, speaker: u8) -> bool {
    counter != SPEAKER || speaker & 1 != 0
}

impl Device for I8254 {
    fn read(&mut self, region: usize, offset: u64, data: &mut [u8]) -> Access {
        let [byte] = data else { return Access::BadWidth };
        let tick = self.tick();
        self.settle(tick);
        let counter = usize::try_from(offset).ok().and_then(|index| self.state.counters.get_mut(index));
        match (region, counter) {
            (1, _) => {
                self.state.counters[SPEAKER].catch_up(tick);
                *byte = self.speaker(tick);
            }
            (_, Some(counter)) => {
                counter.catch_up(tick);
                *byte = counter.read(tick);
            }
            // The control word cannot be read back.
            _ => return Access::NoRegister,
        }
        Access::Done
    }

    fn write(&mut self, region: usize, offset: u64, data: &[u8]) -> Access {
        let [byte] = *data else { return Access::BadWidth };
        let tick = self.tick();
        self.settle(tick);
        self.state.counters.iter_mut().for_each(|counter| counter.catch_up(tick));
        let index = usize::try_from(offset).unwrap_or(usize::MAX);
        let speaker = self.state.speaker;
        match (region, self.state.counters.get_mut(index)) {
            (1, _) => {
                self.state.speaker = byte & 3;
                if gate(SPEAKER, byte) != gate(SPEAKER, speaker) {
                    self.state.counters[SPEAKER].set_gate(gate(SPEAKER, byte), tick);
                }
            }
            (_, Some(counter)) => counter.write(byte, tick, gate(index, speaker)),
            _ => self.control(byte, tick),
        }
        self.settle(tick);
        Access::Done
    }

    fn poll(&mut self) {
        self.settle(self.tick());
    }

    fn reset(&mut self) {
        let tick = self.tick();
        self.state = State { polled: tick, ..State::default() };
        self.settle(tick);
    }

    fn state(&self) -> Result<Value, serde_json::Error> {
        // Another machine's clock shows another time: what is saved is counted from now.
        let (mut state, tick) = (self.state.clone(), self.tick());
        state.counters.iter_mut().for_each(|counter| counter.count_from(tick));
        state.polled = state.polled.saturating_sub(tick);
        serde_json::to_value(&state)
    }

    fn load(&mut self, state: Value) -> Result<(), serde_json::Error> {
        let mut loaded: State = serde_json::from_value(state)?;
        let tick = self.tick();
        for counter in &mut loaded.counters {
            counter.be_possible();
            counter.count_from(tick.saturating_neg());
        }
        loaded.polled = loaded.polled.min(0).saturating_add(tick);
        self.state = loaded;
        // What has risen since the line was last set is told at the next poll.
        self.line.set(self.state.counters[0].output(self.state.polled));
        self.clock.wake_at(self.clock.now());
        Ok(())
    }
}
