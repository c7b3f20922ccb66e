//! Time, and the alarm that wakes the main loop: the only place where devices get either from.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Instant, SystemTime};

use rustix::event::{EventfdFlags, eventfd};

/// Nanoseconds since the machine was made.
pub type Nanos = u64;

/// The time of a machine and its alarm. Clones are the same clock.
#[derive(Clone, Debug)]
pub struct Clock(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    time: Time,
    /// What a calendar clock showed when the machine was made, in seconds since 1970.
    epoch: u64,
    /// The earliest time that a device wants to be polled at.
    alarm: AtomicU64,
    /// What the main loop sleeps on, once there is one.
    bell: OnceLock<Bell>,
}

#[derive(Debug)]
enum Time {
    Passes(Instant),
    Stepped(AtomicU64),
}

impl Clock {
    /// Time that passes as the host's does, and began today.
    pub fn real() -> Self {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        Self::new(Time::Passes(Instant::now()), since.map_or(0, |since| since.as_secs()))
    }

    /// Time that stands still until it is told to go on, and began with the year 2000.
    pub fn stepped() -> Self {
        Self::new(Time::Stepped(AtomicU64::new(0)), 946_684_800)
    }

    fn new(time: Time, epoch: u64) -> Self {
        Self(Arc::new(Inner { time, epoch, alarm: AtomicU64::new(Nanos::MAX), bell: OnceLock::new() }))
    }

    /// What a calendar clock shows, in seconds since 1970.
    pub fn wall(&self) -> u64 {
        self.0.epoch.saturating_add(self.now() / 1_000_000_000)
    }

    /// What time it is.
    pub fn now(&self) -> Nanos {
        match &self.0.time {
            Time::Passes(since) => Nanos::try_from(since.elapsed().as_nanos()).unwrap_or(Nanos::MAX),
            Time::Stepped(now) => now.load(Ordering::SeqCst),
        }
    }

    /// Sets the time, never back; time that passes by itself cannot be set. What time it is then.
    pub fn set(&self, time: Nanos) -> Nanos {
        if let Time::Stepped(now) = &self.0.time {
            now.fetch_max(time, Ordering::SeqCst);
        }
        self.now()
    }

    /// Whether it stands still until it is told to go on.
    pub(crate) fn is_stepped(&self) -> bool {
        matches!(self.0.time, Time::Stepped(_))
    }

    /// Has every device polled at this time, if not before.
    pub fn wake_at(&self, time: Nanos) {
        if self.0.alarm.fetch_min(time, Ordering::SeqCst) > time
            && let Some(bell) = self.0.bell.get()
        {
            bell.ring();
        }
    }

    /// When devices are to be polled next.
    pub fn alarm(&self) -> Option<Nanos> {
        Some(self.0.alarm.load(Ordering::SeqCst)).filter(|&alarm| alarm != Nanos::MAX)
    }

    /// Forgets the alarm: whoever polls every device next gets it anew.
    pub fn clear_alarm(&self) {
        self.0.alarm.store(Nanos::MAX, Ordering::SeqCst);
    }

    /// What is rung when the alarm is set earlier than it was.
    pub(crate) fn bell(&self) -> io::Result<&Bell> {
        if self.0.bell.get().is_none() {
            let made = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?;
            let _ = self.0.bell.set(Bell(made));
        }
        self.0.bell.get().ok_or_else(|| io::Error::other("nothing to wake the main loop with"))
    }
}

/// What wakes the main loop.
#[derive(Debug)]
pub(crate) struct Bell(OwnedFd);

impl Bell {
    /// Wakes it. A counter that is full wakes as well.
    pub(crate) fn ring(&self) {
        let _ = rustix::io::write(&self.0, &1_u64.to_ne_bytes());
    }

    /// Lets it sleep again. Whoever else has emptied the counter meanwhile has woken it as well.
    pub(crate) fn silence(&self) {
        let _ = rustix::io::read(&self.0, &mut [0; 8]);
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// How many periods of `hertz` fit into `time`.
pub(crate) fn periods(time: Nanos, hertz: u64) -> u64 {
    u64::try_from(u128::from(time) * u128::from(hertz) / SECOND).unwrap_or(u64::MAX)
}

/// The first nanosecond at which so many periods of `hertz` are over.
pub(crate) fn nanos(periods: u64, hertz: u64) -> Nanos {
    Nanos::try_from((u128::from(periods) * SECOND).div_ceil(u128::from(hertz.max(1)))).unwrap_or(Nanos::MAX)
}

const SECOND: u128 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::{Clock, nanos, periods};

    #[test]
    fn time_that_is_stepped_goes_forward_only() {
        let clock = Clock::stepped();
        assert_eq!((clock.now(), clock.set(7), clock.set(3)), (0, 7, 7));
    }

    #[test]
    fn the_earliest_alarm_is_kept() {
        let clock = Clock::stepped();
        assert_eq!(clock.alarm(), None);
        clock.wake_at(9);
        clock.wake_at(5);
        clock.wake_at(7);
        assert_eq!(clock.alarm(), Some(5));
        clock.clear_alarm();
        assert_eq!(clock.alarm(), None);
    }

    proptest::proptest! {
        #[test]
        fn so_many_periods_are_over_at_their_time_and_not_before(count in 1..u64::MAX >> 32, hertz in 1..2_000_000_000_u64) {
            let at = nanos(count, hertz);
            proptest::prop_assert!(periods(at, hertz) >= count);
            proptest::prop_assert!(periods(at - 1, hertz) < count);
        }
    }
}
