//! One counter of an 8254: data sheet, "mode definitions". Its time is counted in ticks, of which there may be some from before the
//! clock began; it is caught up with before it is asked.

use serde::{Deserialize, Serialize};

/// One counter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Counter {
    /// 0 to 5.
    mode: u8,
    /// Bits 4 and 5 of the control word: the lower byte, the upper, or one after the other.
    access: u8,
    is_bcd: bool,
    /// What it counts down from, up to 0x10000; none until it is written.
    count: Option<u32>,
    /// The tick at which `count` was loaded, if it has been: where a trigger is needed, by that.
    since: Option<i64>,
    /// How many ticks had been counted when the gate was shut, in the modes that it holds up.
    paused: Option<i64>,
    /// A count that takes effect at this tick, or with a trigger.
    next: Option<(u32, i64)>,
    /// The lower byte of a count whose upper byte is still to be written.
    low: Option<u8>,
    /// Whether the next byte that is read is the upper one.
    reads_high: bool,
    latched_count: Option<u16>,
    latched_status: Option<u8>,
}

impl Default for Counter {
    fn default() -> Self {
        Self {
            mode: 0,
            access: 3,
            is_bcd: false,
            count: None,
            since: None,
            paused: None,
            next: None,
            low: None,
            reads_high: false,
            latched_count: None,
            latched_status: None,
        }
    }
}

impl Counter {
    /// Begins anew in the mode of a control word.
    pub(super) fn set_mode(&mut self, word: u8, is_open: bool) {
        let mode = match word >> 1 & 7 {
            // Bit 2 does not matter with bit 1 set.
            mode @ (6 | 7) => mode - 4,
            mode => mode,
        };
        *self = Self {
            mode,
            access: word >> 4 & 3,
            is_bcd: word & 1 != 0,
            paused: (!is_open && !is_triggered(mode)).then_some(0),
            ..Self::default()
        };
    }

    /// Takes a byte of a count.
    pub(super) fn write(&mut self, byte: u8, tick: i64, is_open: bool) {
        let count = match (self.access, self.low.take()) {
            (1, _) => u16::from(byte),
            (2, _) => u16::from(byte) << 8,
            (_, Some(low)) => u16::from_le_bytes([low, byte]),
            (_, None) => {
                self.low = Some(byte);
                if self.mode == 0 {
                    // The first byte stops the counter: data sheet, "mode 0".
                    self.since = None;
                }
                return;
            }
        };
        self.load(self.of_digits(count), tick, is_open);
    }

    /// The next byte of the status, the count that was latched, or the count.
    pub(super) fn read(&mut self, tick: i64) -> u8 {
        if let Some(status) = self.latched_status.take() {
            return status;
        }
        let count = self.latched_count.unwrap_or_else(|| self.digits(tick));
        let [low, high] = count.to_le_bytes();
        let (byte, is_last) = match self.access {
            1 => (low, true),
            2 => (high, true),
            _ if std::mem::take(&mut self.reads_high) => (high, true),
            _ => {
                self.reads_high = true;
                (low, false)
            }
        };
        if is_last {
            self.latched_count = None;
        }
        byte
    }

    /// Keeps the count until it is read; a count that is kept already stays.
    pub(super) fn latch_count(&mut self, tick: i64) {
        self.catch_up(tick);
        let count = self.digits(tick);
        self.latched_count.get_or_insert(count);
    }

    /// Keeps the status until it is read.
    pub(super) fn latch_status(&mut self, tick: i64) {
        self.catch_up(tick);
        let is_null = self.next.is_some() || self.since.is_none_or(|since| since > tick);
        let status = u8::from(self.output(tick)) << 7
            | u8::from(is_null) << 6
            | self.access << 4
            | self.mode << 1
            | u8::from(self.is_bcd);
        self.latched_status.get_or_insert(status);
    }

    /// Opens the gate, or shuts it: data sheet, "gate pin operations summary".
    pub(super) fn set_gate(&mut self, is_open: bool, tick: i64) {
        self.catch_up(tick);
        match (is_open, self.mode) {
            // Of a trigger the rising edge alone counts.
            (false, mode) if is_triggered(mode) => {}
            (false, _) => {
                self.paused = Some(self.elapsed(tick).unwrap_or(0));
                // Until the next trigger there is no end of a period to wait for.
                self.next = self.next.map(|(count, _)| (count, WITH_A_TRIGGER));
            }
            // The gate only holds the counter up.
            (true, 0 | 4) => {
                let before = self.paused.take().unwrap_or(0);
                self.since = self.since.map(|_| tick.saturating_sub(before));
            }
            (true, _) => {
                self.paused = None;
                if let Some((count, _)) = self.next.take() {
                    self.count = Some(count);
                }
                self.since = self.count.map(|_| tick.saturating_add(1));
            }
        }
    }

    /// Lets a count take effect whose time has come.
    pub(super) fn catch_up(&mut self, tick: i64) {
        if let Some((next, at)) = self.next.filter(|(_, at)| *at <= tick) {
            // In mode 3 the output goes on with its other half.
            let is_low = self.mode == 3 && !self.begins_a_period(at);
            let since = if is_low { at.saturating_sub(i64::from(next.div_ceil(2))) } else { at };
            (self.count, self.since, self.next) = (Some(next), Some(since), None);
        }
    }

    /// Whether a period begins at this tick, with the count that there is.
    fn begins_a_period(&self, tick: i64) -> bool {
        let (Some(count), Some(since)) = (self.count, self.since) else { return true };
        tick.saturating_sub(since) % i64::from(count) == 0
    }

    /// Counts its times from `tick`, for another clock.
    pub(super) fn count_from(&mut self, tick: i64) {
        self.since = self.since.map(|since| since.saturating_sub(tick));
        self.next = self
            .next
            .map(|(count, at)| (count, if at == WITH_A_TRIGGER { at } else { at.saturating_sub(tick) }));
    }

    /// The level of the output.
    pub(super) fn output(&self, tick: i64) -> bool {
        let (Some(count), Some(elapsed)) = (self.count.map(i64::from), self.elapsed(tick)) else {
            return self.mode != 0;
        };
        if self.paused.is_some() && matches!(self.mode, 2 | 3) {
            return true;
        }
        match self.mode {
            0 | 1 => elapsed >= count,
            2 => elapsed % count != count - 1,
            3 => elapsed % count < (count + 1) / 2,
            _ => elapsed != count,
        }
    }

    /// Whether the output has risen at any tick behind `from`, up to `to`.
    pub(super) fn rises_within(&self, from: i64, to: i64) -> bool {
        self.next_rise(from).is_some_and(|rise| rise <= to)
    }

    /// The first tick behind `tick` at which the output rises.
    pub(super) fn next_rise(&self, tick: i64) -> Option<i64> {
        let (count, since) = (i64::from(self.count?), self.since?);
        if self.paused.is_some() {
            return None;
        }
        let once = match self.mode {
            0 | 1 => Some(since.saturating_add(count)),
            4 | 5 => Some(since.saturating_add(count + 1)),
            _ => None,
        };
        if let Some(once) = once {
            return Some(once).filter(|rise| *rise > tick);
        }
        if count < 2 {
            return None;
        }
        // A count that waits takes effect where the output changes: it rises there, or behind the lower half of that count.
        if let Some((next, at)) = self.next.filter(|(_, at)| *at > tick && *at != WITH_A_TRIGGER) {
            let low = if self.mode == 3 && !self.begins_a_period(at) { i64::from(next / 2) } else { 0 };
            return at.checked_add(low);
        }
        let passed = tick.saturating_add(1).saturating_sub(since).max(0);
        let periods = (passed / count + i64::from(passed % count != 0)).max(1);
        since.checked_add(periods.checked_mul(count)?)
    }

    /// Makes what a saved state cannot be into what it can.
    pub(super) fn be_possible(&mut self) {
        self.mode = self.mode.min(5);
        self.access = self.access.clamp(1, 3);
        self.count = self.count.map(|count| count.clamp(1, 0x1_0000));
        self.next = self.next.map(|(count, at)| (count.clamp(1, 0x1_0000), at));
        self.paused = self.paused.map(|paused| paused.max(0));
    }

    fn load(&mut self, count: u32, tick: i64, is_open: bool) {
        let begins = tick.saturating_add(1);
        let runs = self.count.is_some() && self.since.is_some() && is_open;
        match self.mode {
            0 | 4 => {
                (self.count, self.since) = (Some(count), Some(begins));
                self.paused = (!is_open).then_some(0);
            }
            // Without a trigger they do not begin; with one they go on, and the next trigger loads it.
            1 | 5 if self.since.is_none() => self.count = Some(count),
            1 | 5 => self.next = Some((count, WITH_A_TRIGGER)),
            _ if runs => self.next = Some((count, self.end_of_period(tick))),
            _ if self.since.is_some() && self.paused.is_some_and(|paused| paused > 0) => {
                self.next = Some((count, WITH_A_TRIGGER));
            }
            _ => (self.count, self.since) = (Some(count), Some(begins)),
        }
    }

    /// When a running counter of mode 2 or 3 takes its next count: at the end of its period, or of half of it.
    fn end_of_period(&self, tick: i64) -> i64 {
        let (Some(count), Some(since)) = (self.count.map(i64::from), self.since) else { return tick };
        let elapsed = tick.saturating_sub(since).max(0);
        let (begun, half) = (elapsed / count * count, (count + 1) / 2);
        let left = if self.mode == 3 && elapsed - begun < half { half } else { count };
        since.saturating_add(begun).saturating_add(left)
    }

    /// How many ticks it has counted since it was loaded or triggered.
    fn elapsed(&self, tick: i64) -> Option<i64> {
        let since = self.since?;
        match self.paused {
            Some(paused) => Some(paused),
            None => Some(tick.saturating_sub(since).max(0)),
        }
    }

    /// The count as it is read: in binary, or in four decimal digits.
    fn digits(&self, tick: i64) -> u16 {
        let modulus = if self.is_bcd { 10_000 } else { 0x1_0000 };
        let value = self.value(tick) % modulus;
        if !self.is_bcd {
            return u16::try_from(value).unwrap_or(0);
        }
        let digits = [value / 1000, value / 100 % 10, value / 10 % 10, value % 10];
        digits.iter().fold(0, |word, digit| word << 4 | u16::try_from(*digit).unwrap_or(0))
    }

    fn value(&self, tick: i64) -> i64 {
        let count = i64::from(self.count.unwrap_or(0));
        let Some(elapsed) = self.elapsed(tick).filter(|_| count > 0) else { return count };
        let modulus = if self.is_bcd { 10_000 } else { 0x1_0000 };
        match self.mode {
            2 => count - elapsed % count,
            3 => {
                // It counts by two, from the even count at or below, twice in each period.
                let half = (count + 1) / 2;
                let place = elapsed % count;
                let behind = if place < half { place } else { place - half };
                ((count & !1) - 2 * behind).max(0)
            }
            _ => (count + modulus - elapsed % modulus) % modulus,
        }
    }

    fn of_digits(&self, count: u16) -> u32 {
        let (count, most) = if self.is_bcd {
            let digit = |shift: u16| u32::from(count >> shift & 0xf);
            (digit(12) * 1000 + digit(8) * 100 + digit(4) * 10 + digit(0), 10_000)
        } else {
            (u32::from(count), 0x1_0000)
        };
        if count == 0 { most } else { count }
    }
}

/// When a count takes effect that waits for a trigger.
const WITH_A_TRIGGER: i64 = i64::MAX;

/// Whether the gate only triggers a counter in this mode: it goes on whether the gate is open or shut.
fn is_triggered(mode: u8) -> bool {
    matches!(mode, 1 | 5)
}
