//! Split virtqueues: virtio 1.2, 2.7 "Split virtqueues".

use std::sync::atomic::{Ordering, fence};

use serde::{Deserialize, Serialize};
use virtio_queue::{Queue, QueueOwnedT, QueueState, QueueT};
use vm_memory::{Bytes, GuestAddress};

use super::{Broken, Chain};
use crate::Ram;

/// A queue, as a driver has set it up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Setup {
    pub(super) size: u32,
    pub(super) descriptors: u64,
    pub(super) driver: u64,
    pub(super) device: u64,
    pub(super) is_ready: bool,
    next_available: u16,
    next_used: u16,
    /// Whether there was more in it than is taken in one go.
    pub(super) goes_on: bool,
}

/// A queue: what a driver has set up, and the rings themselves once it is ready.
pub(super) struct Ring {
    pub(super) setup: Setup,
    most: u16,
    queue: Option<Queue>,
    /// How many chains may still be taken before the driver is heard again: it may add more all the while.
    left: u16,
    /// Whether anything was used.
    is_used: bool,
}

/// What a driver sets in the available ring if it does not want to be told: 2.7.6, VIRTQ_AVAIL_F_NO_INTERRUPT.
const NO_INTERRUPT: u16 = 1;

impl Setup {
    fn new(most: u16) -> Self {
        Self {
            size: most.into(),
            descriptors: 0,
            driver: 0,
            device: 0,
            is_ready: false,
            next_available: 0,
            next_used: 0,
            goes_on: false,
        }
    }

    /// The rings, if they have a good size and good addresses and lie in RAM.
    fn queue(&self, most: u16, ram: &Ram) -> Result<Queue, Broken> {
        let state = QueueState {
            max_size: most,
            next_avail: self.next_available,
            next_used: self.next_used,
            event_idx_enabled: false,
            size: u16::try_from(self.size).map_err(|_| Broken::Ring)?,
            ready: true,
            desc_table: self.descriptors,
            avail_ring: self.driver,
            used_ring: self.device,
        };
        let queue = Queue::try_from(state).map_err(|_| Broken::Ring)?;
        // The crate holds an available ring at zero for one that is not there.
        let is_there = self.driver != 0 && queue.is_valid(ram.guest());
        if is_there { Ok(queue) } else { Err(Broken::Ring) }
    }
}

impl Ring {
    pub(super) fn new(most: u16) -> Self {
        Self { setup: Setup::new(most), most, queue: None, left: 0, is_used: false }
    }

    /// How many entries it may have.
    pub(super) fn most(&self) -> u16 {
        self.most
    }

    pub(super) fn reset(&mut self) {
        *self = Self::new(self.most);
    }

    /// Makes it ready with what has been set up, or not ready.
    pub(super) fn set_ready(&mut self, is_ready: bool, ram: &Ram) -> Result<(), Broken> {
        if is_ready == self.setup.is_ready {
            return Ok(());
        }
        (self.queue, self.setup.is_ready) = (None, false);
        if is_ready {
            (self.setup.next_available, self.setup.next_used) = (0, 0);
            self.queue = Some(self.setup.queue(self.most, ram)?);
            self.setup.is_ready = true;
        }
        Ok(())
    }

    /// All of it that a guest can see.
    pub(super) fn state(&self) -> Setup {
        match &self.queue {
            None => self.setup.clone(),
            Some(queue) => Setup {
                next_available: queue.next_avail(),
                next_used: queue.next_used(),
                ..self.setup.clone()
            },
        }
    }

    /// A ring that goes on where another was.
    pub(super) fn of_state(setup: Setup, most: u16, ram: &Ram) -> Result<Self, Broken> {
        let queue = if setup.is_ready { Some(setup.queue(most, ram)?) } else { None };
        Ok(Self { setup, queue, ..Self::new(most) })
    }

    fn next(&mut self, ram: &Ram) -> Result<Option<Chain>, Broken> {
        let Some(queue) = self.queue.as_mut() else { return Ok(None) };
        if self.left == 0 {
            self.setup.goes_on = has_more(queue, ram)?;
            return Ok(None);
        }
        let mut found = pop(queue, ram)?;
        // A driver that goes by thresholds has not spoken of what it has added before it saw this one.
        if found.is_none() && queue.event_idx_enabled() && has_more(queue, ram)? {
            found = pop(queue, ram)?;
        }
        self.left -= u16::from(found.is_some());
        Ok(found)
    }

    /// The next chain, which stays where it is.
    fn peek(&mut self, ram: &Ram) -> Result<Option<Chain>, Broken> {
        let found = self.next(ram)?;
        if let Some(queue) = self.queue.as_mut().filter(|_| found.is_some()) {
            queue.go_to_previous_position();
            self.left += 1;
        }
        Ok(found)
    }

    fn give_back(&mut self, chain: &Chain, written: u32, ram: &Ram) -> Result<(), Broken> {
        let Some(queue) = self.queue.as_mut() else { return Ok(()) };
        queue.add_used(ram.guest(), chain.head, written).map_err(|_| Broken::Ring)?;
        self.is_used = true;
        Ok(())
    }

    /// Whether the driver wants to be told of what was used since [`Rings`] were made: 2.7.7.2.
    fn interrupts(&mut self, ram: &Ram) -> bool {
        let Some(queue) = self.queue.as_mut().filter(|_| self.is_used) else { return false };
        if queue.event_idx_enabled() {
            return queue.needs_notification(ram.guest()).unwrap_or(true);
        }
        // The driver looks at what was used after it has set its flags, and so this must look at them after it was used.
        fence(Ordering::SeqCst);
        let flags = ram.guest().load(GuestAddress(queue.avail_ring()), Ordering::Relaxed);
        flags.map_or(0, u16::from_le) & NO_INTERRUPT == 0
    }
}

/// Takes the next chain.
fn pop(queue: &mut Queue, ram: &Ram) -> Result<Option<Chain>, Broken> {
    let size = queue.size();
    let mut available = queue.iter(ram.guest()).map_err(|error| match error {
        virtio_queue::Error::InvalidAvailRingIndex => Broken::Index,
        _ => Broken::Ring,
    })?;
    available.next().map(|chain| Chain::follow(chain, size, ram)).transpose()
}

/// Whether there is another chain. If there is none, a driver that goes by thresholds says so when it adds one: its threshold is
/// where the device has come to, 2.7.10.
fn has_more(queue: &mut Queue, ram: &Ram) -> Result<bool, Broken> {
    let has_more = if queue.event_idx_enabled() {
        queue.enable_notification(ram.guest())
    } else {
        queue.avail_idx(ram.guest(), Ordering::Acquire).map(|index| index.0 != queue.next_avail())
    };
    has_more.map_err(|_| Broken::Ring)
}

/// The queues of a device that works.
pub struct Rings<'a> {
    rings: &'a mut [Ring],
    ram: &'a Ram,
    /// Whether the device's configuration is another now.
    pub(super) is_configured: bool,
}

impl<'a> Rings<'a> {
    /// Those of a driver that says by thresholds or by flags what it wants to be told of.
    pub(super) fn of(rings: &'a mut [Ring], ram: &'a Ram, by_thresholds: bool) -> Self {
        for ring in rings.iter_mut() {
            (ring.left, ring.is_used) = (ring.most, false);
            ring.queue.iter_mut().for_each(|queue| queue.set_event_idx(by_thresholds));
        }
        Self { rings, ram, is_configured: false }
    }

    /// The next chain that the driver has made available in a queue, if there is one. No more are taken in one go than the queue has
    /// room for: of what a driver adds meanwhile the device takes some later, whether it hears of it or not.
    pub fn next(&mut self, queue: usize) -> Result<Option<Chain>, Broken> {
        self.rings.get_mut(queue).map_or(Ok(None), |ring| ring.next(self.ram))
    }

    /// The chain that [`Rings::next`] would take.
    pub fn peek(&mut self, queue: usize) -> Result<Option<Chain>, Broken> {
        self.rings.get_mut(queue).map_or(Ok(None), |ring| ring.peek(self.ram))
    }

    /// Has the driver told that the device's configuration is another now.
    pub fn configuration_changed(&mut self) {
        self.is_configured = true;
    }

    /// Gives a chain back to the driver, with so many bytes written to it.
    pub fn give_back(&mut self, queue: usize, chain: &Chain, written: u32) -> Result<(), Broken> {
        self.rings.get_mut(queue).map_or(Ok(()), |ring| ring.give_back(chain, written, self.ram))
    }

    /// The queues that had more in them than was taken in the last go, which is this one's to take.
    pub(super) fn going_on(&mut self) -> Vec<usize> {
        let rings = self.rings.iter_mut().enumerate();
        rings.filter_map(|(queue, ring)| std::mem::take(&mut ring.setup.goes_on).then_some(queue)).collect()
    }

    /// The queues for which the driver is to be interrupted.
    pub(super) fn interrupting(&mut self) -> Vec<usize> {
        let ram = self.ram;
        let rings = self.rings.iter_mut().enumerate();
        rings.filter_map(|(queue, ring)| ring.interrupts(ram).then_some(queue)).collect()
    }
}
