//! Split virtqueues: virtio 1.2, 2.7 "Split virtqueues".

use std::sync::atomic::Ordering;

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
}

/// A queue: what a driver has set up, and the rings themselves once it is ready.
pub(super) struct Ring {
    pub(super) setup: Setup,
    most: u16,
    queue: Option<Queue>,
    /// How many chains may still be taken before the driver is heard again: it may add more all the while.
    left: u16,
    /// Whether anything was used that the driver wants to be told of.
    is_told: bool,
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
        Self { setup: Setup::new(most), most, queue: None, left: 0, is_told: false }
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
        let Some(queue) = self.queue.as_mut().filter(|_| self.left > 0) else { return Ok(None) };
        let size = queue.size();
        let mut available = queue.iter(ram.guest()).map_err(|error| match error {
            virtio_queue::Error::InvalidAvailRingIndex => Broken::Index,
            _ => Broken::Ring,
        })?;
        let Some(chain) = available.next() else { return Ok(None) };
        self.left -= 1;
        Chain::follow(chain, size, ram).map(Some)
    }

    fn give_back(&mut self, chain: &Chain, written: u32, ram: &Ram) -> Result<(), Broken> {
        let Some(queue) = self.queue.as_mut() else { return Ok(()) };
        queue.add_used(ram.guest(), chain.head, written).map_err(|_| Broken::Ring)?;
        let flags: u16 =
            ram.guest().load(GuestAddress(queue.avail_ring()), Ordering::SeqCst).map_err(|_| Broken::Ring)?;
        self.is_told |= u16::from_le(flags) & NO_INTERRUPT == 0;
        Ok(())
    }
}

/// The queues of a device that works.
pub struct Rings<'a> {
    rings: &'a mut [Ring],
    ram: &'a Ram,
}

impl<'a> Rings<'a> {
    pub(super) fn of(rings: &'a mut [Ring], ram: &'a Ram) -> Self {
        for ring in rings.iter_mut() {
            (ring.left, ring.is_told) = (ring.most, false);
        }
        Self { rings, ram }
    }

    /// The next chain that the driver has made available in a queue, if there is one. No more are taken in one go than the queue has
    /// room for: a driver that adds more meanwhile has to say so again.
    pub fn next(&mut self, queue: usize) -> Result<Option<Chain>, Broken> {
        self.rings.get_mut(queue).map_or(Ok(None), |ring| ring.next(self.ram))
    }

    /// Gives a chain back to the driver, with so many bytes written to it.
    pub fn give_back(&mut self, queue: usize, chain: &Chain, written: u32) -> Result<(), Broken> {
        self.rings.get_mut(queue).map_or(Ok(()), |ring| ring.give_back(chain, written, self.ram))
    }

    /// The queues for which the driver is to be interrupted.
    pub(super) fn interrupting(&self) -> Vec<usize> {
        let told = self.rings.iter().enumerate().filter(|(_, ring)| ring.is_told);
        told.map(|(queue, _)| queue).collect()
    }
}
