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
    /// When its count runs out next; none once a single one has, until it is started anew.
    expires: Option<Nanos>,
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
        self.initial = initial;
        self.expires = (initial != 0).then(|| now.saturating_add(self.period()));
    }

    /// Sets the divide configuration: what is left of the count is counted on, faster or slower.
    pub(super) fn divide_by(&mut self, divide: u32, now: Nanos, lvt: u32) {
        let left = u64::from(self.count(now, lvt));
        self.divide = divide;
        self.expires = self.expires.map(|_| now.saturating_add(left * self.divisor()));
    }

    /// Counts its times from `now`.
    pub(super) fn count_from(&mut self, now: Nanos) {
        self.expires = self.expires.map(|expires| expires.saturating_sub(now));
        self.tsc_time = self.tsc_time.saturating_sub(now);
    }

    /// Has them, counted from `now`, be those of a clock again.
    pub(super) fn count_on(&mut self, now: Nanos) {
        self.expires = self.expires.map(|left| left.saturating_add(now)).filter(|_| self.initial != 0);
        self.tsc_time = self.tsc_time.saturating_add(now);
    }

    /// Whether it is in the mode that has a deadline.
    pub(super) fn has_deadline(&self, lvt: u32) -> bool {
        mode(lvt) == Mode::Deadline
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
        let Some(expires) = self.expires else { return 0 };
        let left = match mode(lvt) {
            Mode::Deadline => 0,
            Mode::OneShot => expires.saturating_sub(now),
            Mode::Periodic if now < expires => expires - now,
            Mode::Periodic => self.period() - (now - expires) % self.period(),
        };
        u32::try_from(left.div_ceil(self.divisor())).unwrap_or(u32::MAX)
    }

    /// Whether it has run out by now. However often it has, it says so once.
    pub(super) fn poll(&mut self, now: Nanos, lvt: u32) -> bool {
        let Some(deadline) = self.deadline(lvt).filter(|deadline| *deadline <= now) else { return false };
        match mode(lvt) {
            Mode::Deadline => self.tsc_deadline = 0,
            Mode::OneShot => self.expires = None,
            Mode::Periodic => {
                let periods = (now - deadline) / self.period() + 1;
                self.expires = Some(deadline.saturating_add(periods.saturating_mul(self.period())));
            }
        }
        true
    }

    /// When it runs out next.
    pub(super) fn deadline(&self, lvt: u32) -> Option<Nanos> {
        match mode(lvt) {
            Mode::Deadline => (self.tsc_deadline != 0).then_some(self.tsc_time),
            _ => self.expires,
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
