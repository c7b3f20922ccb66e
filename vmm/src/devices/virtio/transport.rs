//! What a virtio device has behind every transport: virtio 1.2, 2 "Basic facilities of a virtio device" and 3.1 "Device
//! initialization".

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::model::Model;
use super::ring::{Ring, Setup};
use super::{Broken, Rings};
use crate::clock::Clock;
use crate::{Ram, Wires};

/// A device with its queues, as far as its driver has set it up.
pub(super) struct Core {
    pub(super) model: Box<dyn Model>,
    pub(super) rings: Vec<Ring>,
    pub(super) state: State,
    pub(super) ram: Ram,
    clock: Clock,
    /// What the driver is to be told of and has not been yet.
    news: News,
}

/// What a driver is told of.
#[derive(Default)]
pub(super) struct News {
    /// The queues in which something was used.
    pub(super) queues: Vec<usize>,
    /// Whether the configuration is another now, or the device needs a reset.
    pub(super) is_configured: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct State {
    pub(super) status: u32,
    /// Which 32 of the features are seen, and which are written.
    pub(super) device_features_sel: u32,
    pub(super) driver_features_sel: u32,
    pub(super) driver_features: u64,
    pub(super) queue_sel: u32,
    pub(super) interrupt_status: u32,
    /// How often the configuration has become another: 2.5.
    pub(super) generation: u32,
}

/// All of it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Saved {
    /// What the device offers and has: another disk, for instance, does not go on where this one was.
    offered: u64,
    identity: Vec<u8>,
    transport: State,
    queues: Vec<Setup>,
    model: Value,
}

/// Of the status: 2.1 "Device status field".
const DRIVER_OK: u32 = 4;
const FEATURES_OK: u32 = 8;
const NEEDS_RESET: u32 = 64;
/// Of the interrupt status.
const USED: u32 = 1;
const CONFIGURED: u32 = 2;
/// What every device here offers: tables of indirect descriptors, thresholds from which on either side is told of something, and
/// the first version of the standard, which it insists on.
const INDIRECT: u64 = 1 << 28;
const EVENT_IDX: u64 = 1 << 29;
const VERSION_1: u64 = 1 << 32;

impl Core {
    pub(super) fn new(model: Box<dyn Model>, wires: &Wires) -> Self {
        let rings = model.queues().iter().map(|most| Ring::new(*most)).collect();
        let (ram, clock) = (wires.ram.clone(), wires.clock.clone());
        Self { model, rings, state: State::default(), ram, clock, news: News::default() }
    }

    fn features(&self) -> u64 {
        self.model.features() | INDIRECT | EVENT_IDX | VERSION_1
    }

    /// The 32 features that are selected.
    pub(super) fn offered(&self) -> u32 {
        half(self.features(), self.state.device_features_sel)
    }

    /// The 32 features that the driver has accepted of those that it has selected.
    pub(super) fn accepted(&self) -> u32 {
        half(self.state.driver_features, self.state.driver_features_sel)
    }

    /// The driver accepts features.
    pub(super) fn accept(&mut self, value: u32) {
        if self.state.status & FEATURES_OK != 0 {
            return;
        }
        let features = &mut self.state.driver_features;
        match self.state.driver_features_sel {
            0 => *features = *features >> 32 << 32 | u64::from(value),
            1 => *features = *features & 0xffff_ffff | u64::from(value) << 32,
            _ => {}
        }
    }

    /// The queue that is selected.
    pub(super) fn ring(&mut self) -> Option<&mut Ring> {
        usize::try_from(self.state.queue_sel).ok().and_then(|queue| self.rings.get_mut(queue))
    }

    /// What of the queue that is selected can be set up: nothing once it is ready.
    pub(super) fn setup(&mut self) -> Option<&mut Setup> {
        self.ring().map(|ring| &mut ring.setup).filter(|setup| !setup.is_ready)
    }

    /// Makes the queue that is selected ready, or not ready.
    pub(super) fn make_ready(&mut self, is_ready: bool) {
        let ram = self.ram.clone();
        if self.ring().is_some_and(|ring| ring.set_ready(is_ready, &ram).is_err()) {
            self.needs_reset();
        }
    }

    /// Reads the configuration of the device: zeroes behind its end.
    pub(super) fn read_configuration(&self, offset: u64, data: &mut [u8]) {
        let configuration = self.model.configuration();
        let at = usize::try_from(offset).unwrap_or(usize::MAX);
        for (index, byte) in data.iter_mut().enumerate() {
            *byte = configuration.get(at.saturating_add(index)).copied().unwrap_or(0);
        }
    }

    /// Writes to the configuration of the device.
    pub(super) fn write_configuration(&mut self, offset: u64, data: &[u8]) {
        self.model.configure(usize::try_from(offset).unwrap_or(usize::MAX), data);
    }

    /// What a driver says of how far it is. Whether it is ready now, so that the device is to be polled.
    pub(super) fn set_status(&mut self, status: u32) -> bool {
        if status == 0 {
            self.reset();
            return false;
        }
        let accepted = self.state.driver_features;
        let mut status = status & 0xff & !NEEDS_RESET | self.state.status & NEEDS_RESET;
        if !self.is_acceptable(accepted) {
            status &= !FEATURES_OK;
        }
        let begins = status & !self.state.status & DRIVER_OK != 0;
        self.state.status = status;
        if begins {
            self.model.start(accepted);
        }
        begins
    }

    fn is_acceptable(&self, features: u64) -> bool {
        features & !self.features() == 0 && features & VERSION_1 != 0
    }

    pub(super) fn reset(&mut self) {
        self.state = State::default();
        self.news = News::default();
        self.rings.iter_mut().for_each(Ring::reset);
        self.model.reset();
    }

    /// There may be something in a queue.
    pub(super) fn notified(&mut self, queue: u32) {
        let queue = usize::try_from(queue).unwrap_or(usize::MAX);
        self.act(|model, rings| model.work(queue, rings));
    }

    /// Takes what was left in the queues, and acts on what came meanwhile.
    pub(super) fn poll(&mut self) {
        self.act(|model, rings| {
            rings.going_on().into_iter().try_for_each(|queue| model.work(queue, rings))?;
            model.poll(rings)
        });
    }

    /// Lets the device work, if its driver is ready and has done nothing wrong.
    fn act(&mut self, work: impl FnOnce(&mut dyn Model, &mut Rings<'_>) -> Result<(), Broken>) {
        if self.state.status & (DRIVER_OK | NEEDS_RESET) != DRIVER_OK {
            return;
        }
        let by_thresholds = self.state.driver_features & EVENT_IDX != 0;
        let mut rings = Rings::of(&mut self.rings, &self.ram, by_thresholds);
        let worked = work(&mut *self.model, &mut rings);
        let (queues, is_configured) = (rings.interrupting(), rings.is_configured);
        if !queues.is_empty() {
            self.state.interrupt_status |= USED;
        }
        self.news.queues.extend(queues);
        if is_configured {
            self.state.generation = self.state.generation.wrapping_add(1);
            self.configured();
        }
        if let Err(broken) = worked {
            tracing::debug!(target: "vmm::virtio", "the device needs a reset: cannot {broken}");
            self.needs_reset();
        }
        self.go_on();
    }

    /// Has itself polled again if there is more in a queue than is taken in one go.
    fn go_on(&self) {
        if self.rings.iter().any(|ring| ring.setup.goes_on) {
            self.clock.wake_at(self.clock.now().saturating_add(1));
        }
    }

    /// Tells the driver that it has done something that it must not do: 2.1.2.
    fn needs_reset(&mut self) {
        self.state.status |= NEEDS_RESET;
        if self.state.status & DRIVER_OK != 0 {
            self.configured();
        }
    }

    fn configured(&mut self) {
        self.state.interrupt_status |= CONFIGURED;
        self.news.is_configured = true;
    }

    /// What the driver is to be told of, once.
    pub(super) fn news(&mut self) -> News {
        std::mem::take(&mut self.news)
    }

    pub(super) fn state(&self) -> Result<Value, serde_json::Error> {
        serde_json::to_value(Saved {
            offered: self.features(),
            identity: self.model.identity(),
            transport: self.state.clone(),
            queues: self.rings.iter().map(Ring::state).collect(),
            model: self.model.state()?,
        })
    }

    pub(super) fn load(&mut self, state: Value) -> Result<(), serde_json::Error> {
        let refused = |broken: Broken| serde::de::Error::custom(format!("cannot {broken}"));
        let Saved { offered, identity, transport, queues, model } = serde_json::from_value(state)?;
        if offered != self.features() || identity != self.model.identity() {
            return Err(serde::de::Error::custom(
                "it has another size or other features, as a disk has that is not the same",
            ));
        }
        if transport.status & FEATURES_OK != 0 && !self.is_acceptable(transport.driver_features) {
            return Err(serde::de::Error::custom("its driver has features that are not offered"));
        }
        if queues.len() != self.rings.len() {
            return Err(serde::de::Error::custom("it has another number of queues"));
        }
        let rings = queues
            .into_iter()
            .zip(&self.rings)
            .map(|(setup, ring)| Ring::of_state(setup, ring.most(), &self.ram).map_err(refused));
        let rings = rings.collect::<Result<Vec<_>, serde_json::Error>>()?;
        self.model.load(model)?;
        (self.state, self.rings) = (transport, rings);
        if self.state.status & DRIVER_OK != 0 {
            self.model.start(self.state.driver_features);
        }
        self.go_on();
        Ok(())
    }
}

/// 32 of the features; there are none behind the second half.
fn half(features: u64, half: u32) -> u32 {
    let shifted = match half {
        0 => features,
        1 => features >> 32,
        _ => 0,
    };
    u32::try_from(shifted & 0xffff_ffff).unwrap_or(0)
}

/// Puts one half of an address.
pub(super) fn put(address: &mut u64, value: u32, is_high: bool) {
    let value = u64::from(value);
    *address = if is_high { *address & 0xffff_ffff | value << 32 } else { *address >> 32 << 32 | value };
}
