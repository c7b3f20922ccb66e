//! What a host wants back of a guest's memory, and what the guest says of it: the only place where devices hear of either.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::clock::Clock;

/// The host's end of a machine's balloon. Clones are the same end.
#[derive(Clone, Debug)]
pub struct Balloon {
    clock: Clock,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    target: AtomicU32,
    actual: AtomicU32,
    is_asked: AtomicBool,
    statistics: Mutex<Vec<(u16, u64)>>,
}

impl Balloon {
    /// How many bytes a page has.
    pub const PAGE: u64 = 0x1000;

    /// That of a machine with this clock.
    pub(crate) fn of(clock: &Clock) -> Self {
        Self { clock: clock.clone(), shared: Arc::default() }
    }

    /// Wants the guest to do without so many pages, which is told as soon as the devices are polled.
    pub fn aim_at(&self, pages: u32) {
        if self.shared.target.swap(pages, Ordering::SeqCst) != pages {
            self.wake();
        }
    }

    /// How many pages the host wants.
    pub fn target(&self) -> u32 {
        self.shared.target.load(Ordering::SeqCst)
    }

    /// How many pages the guest says that it does without.
    pub fn actual(&self) -> u32 {
        self.shared.actual.load(Ordering::SeqCst)
    }

    /// Asks the guest for newer [`Balloon::statistics`], which come when it has them.
    pub fn ask(&self) {
        self.shared.is_asked.store(true, Ordering::SeqCst);
        self.wake();
    }

    /// What the guest has last said of its memory: numbers by the tags of virtio 1.2, 5.5.6.3.
    pub fn statistics(&self) -> Vec<(u16, u64)> {
        self.statistics_of().clone()
    }

    pub(crate) fn is_asked(&self) -> bool {
        self.shared.is_asked.load(Ordering::SeqCst)
    }

    pub(crate) fn has_asked(&self) {
        self.shared.is_asked.store(false, Ordering::SeqCst);
    }

    pub(crate) fn say(&self, actual: u32) {
        self.shared.actual.store(actual, Ordering::SeqCst);
    }

    pub(crate) fn tell(&self, statistics: Vec<(u16, u64)>) {
        *self.statistics_of() = statistics;
    }

    fn wake(&self) {
        self.clock.wake_at(self.clock.now().saturating_add(1));
    }

    fn statistics_of(&self) -> MutexGuard<'_, Vec<(u16, u64)>> {
        self.shared.statistics.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
