//! The timer of a local APIC: SDM 3, 12.5.4 "APIC timer".

use serde::{Deserialize, Serialize};

use crate::clock::Nanos;

/// The timer. It counts nanoseconds, divided by its divide configuration: its bus runs at 1 GHz.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Timer {
    pub(super) initial: u32,
    /// The divide configuration register.
    pub(super) divide: u32,
    /// When it was started.
    started: Nanos,
    /// Whether its one shot is over.
    is_over: bool,
    /// IA32_TSC_DEADLINE as the guest wrote it, and when that is.
    tsc_deadline: u64,
    tsc_time: Nanos,
}

/// Bits 17 and 18 of its local vector table entry.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    OneShot,
    Periodic,
    Deadline,
}

impl Timer {
    /// Starts it anew, or stops it with zero.
    pub(super) fn start(&mut self, initial: u32, now: Nanos) {
        (self.initial, self.started, self.is_over) = (initial, now, false);
    }

    /// Sets the deadline, or clears it with zero: it is over at `at`.
    pub(super) fn set_deadline(&mut self, tsc: u64, at: Nanos) {
        (self.tsc_deadline, self.tsc_time) = (tsc, at);
    }

    pub(super) fn tsc_deadline(&self) -> u64 {
        self.tsc_deadline
    }

    /// The current count.
    pub(super) fn count(&self, now: Nanos, lvt: u32) -> u32 {
        let passed = now.saturating_sub(self.started) / self.divisor();
        let initial = u64::from(self.initial);
        let left = match mode(lvt) {
            Mode::Deadline => 0,
            Mode::OneShot => initial.saturating_sub(passed),
            Mode::Periodic if initial == 0 => 0,
            Mode::Periodic => initial - passed % initial,
        };
        u32::try_from(left).unwrap_or(0)
    }

    /// Whether it has run out by now. However often it has, it says so once.
    pub(super) fn poll(&mut self, now: Nanos, lvt: u32) -> bool {
        if self.deadline(lvt).is_none_or(|deadline| deadline > now) {
            return false;
        }
        match mode(lvt) {
            Mode::Deadline => self.tsc_deadline = 0,
            Mode::OneShot => self.is_over = true,
            Mode::Periodic => {
                let period = self.period();
                self.started += now.saturating_sub(self.started) / period * period;
            }
        }
        true
    }

    /// When it runs out next.
    pub(super) fn deadline(&self, lvt: u32) -> Option<Nanos> {
        match mode(lvt) {
            Mode::Deadline => (self.tsc_deadline != 0).then_some(self.tsc_time),
            Mode::OneShot if self.is_over => None,
            _ => (self.initial != 0).then(|| self.started.saturating_add(self.period())),
        }
    }

    fn period(&self) -> u64 {
        u64::from(self.initial).max(1) * self.divisor()
    }

    fn divisor(&self) -> u64 {
        let power = ((self.divide & 3 | self.divide >> 1 & 4) + 1) & 7;
        1 << power
    }
}

fn mode(lvt: u32) -> Mode {
    match lvt >> 17 & 3 {
        0 => Mode::OneShot,
        1 => Mode::Periodic,
        _ => Mode::Deadline,
    }
}

/// Whether two entries of the local vector table have the timer in the deadline mode and out of it.
pub(super) fn changes_to_or_from_deadline(one: u32, other: u32) -> bool {
    (mode(one) == Mode::Deadline) != (mode(other) == Mode::Deadline)
}
