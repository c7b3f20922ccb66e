//! Virtio devices that are functions of the PCI bus: virtio 1.2, 4.1 "Virtio over PCI bus", without what came before version 1.

use std::io;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::model::Model;
use super::transport::{Core, put};
use crate::pci::{Bar, Configuration, Identity, Layout, Messages, Pin, command};
use crate::{Access, Device, Region, Window, Wires};

/// A device behind its configuration space.
struct Pci {
    core: Core,
    configuration: Configuration,
    messages: Messages,
    pin: Pin,
    vectors: Vectors,
    /// Where the registers are by which a driver reaches the others without mapping them.
    access: usize,
}

/// Which message tells of what: none is [`NO_VECTOR`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Vectors {
    configuration: u16,
    queues: Vec<u16>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Saved {
    device: Value,
    configuration: Vec<u8>,
    messages: Value,
    vectors: Vectors,
}

/// The regions: the configuration space, and then what each base address register decodes.
const CONFIGURATION: usize = 0;
const MESSAGES: usize = 1 + MESSAGES_BAR as usize;
const REGISTERS: usize = 1 + REGISTERS_BAR as usize;
const MESSAGES_BAR: u8 = 1;
const REGISTERS_BAR: u8 = 4;

/// Where the registers of each kind are, each a page: 4.1.4.
const COMMON: u64 = 0x0000;
const STATUS: u64 = 0x1000;
const DEVICE: u64 = 0x2000;
const NOTIFY: u64 = 0x3000;
const PAGE: u64 = 0x1000;
/// How far the place to notify one queue is from that of the queue before.
const MULTIPLIER: u64 = 4;
const NO_VECTOR: u16 = 0xffff;

/// The kinds of capabilities: 4.1.4, `cfg_type`; a capability of a vendor.
const VENDOR: u8 = 0x09;
const COMMON_KIND: u8 = 1;
const NOTIFY_KIND: u8 = 2;
const STATUS_KIND: u8 = 3;
const DEVICE_KIND: u8 = 4;
const ACCESS_KIND: u8 = 5;
/// Of the last, where it says what is reached, and where the data is.
const ACCESS_BAR: usize = 4;
const ACCESS_OFFSET: usize = 8;
const ACCESS_LENGTH: usize = 12;
const ACCESS_DATA: usize = 16;

/// The registers that are common to all devices: 4.1.4.3.
mod register {
    pub(super) const DEVICE_FEATURE_SELECT: u64 = 0x00;
    pub(super) const DEVICE_FEATURE: u64 = 0x04;
    pub(super) const DRIVER_FEATURE_SELECT: u64 = 0x08;
    pub(super) const DRIVER_FEATURE: u64 = 0x0c;
    pub(super) const CONFIG_MSIX_VECTOR: u64 = 0x10;
    pub(super) const NUM_QUEUES: u64 = 0x12;
    pub(super) const DEVICE_STATUS: u64 = 0x14;
    pub(super) const CONFIG_GENERATION: u64 = 0x15;
    pub(super) const QUEUE_SELECT: u64 = 0x16;
    pub(super) const QUEUE_SIZE: u64 = 0x18;
    pub(super) const QUEUE_MSIX_VECTOR: u64 = 0x1a;
    pub(super) const QUEUE_ENABLE: u64 = 0x1c;
    pub(super) const QUEUE_NOTIFY_OFF: u64 = 0x1e;
    pub(super) const QUEUE_DESC: u64 = 0x20;
    pub(super) const QUEUE_DRIVER: u64 = 0x28;
    pub(super) const QUEUE_DEVICE: u64 = 0x30;
}

/// The device of this number on the PCI bus, with its configuration space.
pub fn on_bus(model: Box<dyn Model>, device: u8, wires: &Wires) -> (Box<dyn Device>, Region) {
    let mut layout = Layout::new(identity(&*model), 0x0547)
        .fixed(0x06, &[0x10, 0x00])
        .pin(1)
        .bar(MESSAGES_BAR.into(), Bar::Memory(0x1000))
        .bar(REGISTERS_BAR.into(), Bar::Memory64(0x4000));
    let count = u16::try_from(model.queues().len()).unwrap_or(0);
    let messages = Messages::new(count + 1, MESSAGES_BAR, &mut layout, wires);
    for (kind, offset) in [(COMMON_KIND, COMMON), (STATUS_KIND, STATUS), (DEVICE_KIND, DEVICE)] {
        layout.add_capability(VENDOR, &place(16, kind, offset, PAGE), &[]);
    }
    let notify = [place(20, NOTIFY_KIND, NOTIFY, PAGE), MULTIPLIER.to_le_bytes()[..4].to_vec()].concat();
    layout.add_capability(VENDOR, &notify, &[]);
    let chosen = [place(20, ACCESS_KIND, 0, 0), vec![0; 4]].concat();
    let masks = [0, 0, 0xff, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
    let access = layout.add_capability(VENDOR, &chosen, &masks);
    let pci = Pci {
        vectors: Vectors::none(model.queues().len()),
        core: Core::new(model, wires),
        configuration: Configuration::new(layout),
        messages,
        pin: wires.pins.first_of(device),
        access,
    };
    (Box::new(pci), Region::function(device, 0))
}

/// Who it is: 4.1.2.
fn identity(model: &dyn Model) -> Identity {
    let kind = model.id();
    let class = match kind {
        1 => 0x02_00_00,
        2 => 0x01_00_00,
        3 => 0x07_80_00,
        _ => 0x00_ff_00,
    };
    let device = 0x1040 + u16::try_from(kind & 0x3f).unwrap_or(0);
    Identity { vendor: 0x1af4, device, revision: 1, class, subsystem: (0x1af4, 0x1100) }
}

/// A capability behind its first two bytes, that says where registers are.
fn place(length: u8, kind: u8, offset: u64, size: u64) -> Vec<u8> {
    let bar = if kind == ACCESS_KIND { 0 } else { REGISTERS_BAR };
    [&[length, kind, bar, 0, 0, 0], &offset.to_le_bytes()[..4], &size.to_le_bytes()[..4]].concat()
}

impl Vectors {
    fn none(queues: usize) -> Self {
        Self { configuration: NO_VECTOR, queues: vec![NO_VECTOR; queues] }
    }

    /// What a driver sets one to: there is none of a number that there is no message of.
    fn of(&self, value: u16) -> u16 {
        if usize::from(value) <= self.queues.len() { value } else { NO_VECTOR }
    }
}

impl Pci {
    fn queue_vector(&mut self) -> Option<&mut u16> {
        usize::try_from(self.core.state.queue_sel).ok().and_then(|queue| self.vectors.queues.get_mut(queue))
    }

    /// A register that is common to all devices, if one of this width is there.
    fn read_common(&mut self, offset: u64, width: usize) -> Option<u32> {
        let core = &mut self.core;
        let count = u32::try_from(self.vectors.queues.len()).unwrap_or(0);
        let setup = core.ring().map(|ring| ring.setup.clone());
        let half = |address: u64, at: u64| u32::try_from(address >> (8 * at) & 0xffff_ffff).ok();
        Some(match (offset, width) {
            (register::DEVICE_FEATURE_SELECT, 4) => core.state.device_features_sel,
            (register::DEVICE_FEATURE, 4) => core.offered(),
            (register::DRIVER_FEATURE_SELECT, 4) => core.state.driver_features_sel,
            (register::DRIVER_FEATURE, 4) => core.accepted(),
            (register::CONFIG_MSIX_VECTOR, 2) => self.vectors.configuration.into(),
            (register::NUM_QUEUES, 2) => count,
            (register::DEVICE_STATUS, 1) => core.state.status,
            (register::CONFIG_GENERATION, 1) => core.state.generation & 0xff,
            (register::QUEUE_SELECT, 2) => core.state.queue_sel,
            (register::QUEUE_SIZE, 2) => setup.map_or(0, |setup| setup.size),
            (register::QUEUE_MSIX_VECTOR, 2) => {
                self.queue_vector().map_or(NO_VECTOR, |vector| *vector).into()
            }
            (register::QUEUE_ENABLE, 2) => setup.is_some_and(|setup| setup.is_ready).into(),
            (register::QUEUE_NOTIFY_OFF, 2) => setup.map_or(0, |_| core.state.queue_sel),
            (register::QUEUE_DESC..register::QUEUE_DRIVER, 4) => {
                half(setup.map_or(0, |setup| setup.descriptors), offset & 4)?
            }
            (register::QUEUE_DRIVER..register::QUEUE_DEVICE, 4) => {
                half(setup.map_or(0, |setup| setup.driver), offset & 4)?
            }
            (register::QUEUE_DEVICE..0x38, 4) => half(setup.map_or(0, |setup| setup.device), offset & 4)?,
            _ => return None,
        })
    }

    /// Writes one. Whether there is one of this width.
    fn write_common(&mut self, offset: u64, value: u32, width: usize) -> bool {
        let vector = self.vectors.of(u16::try_from(value & 0xffff).unwrap_or(NO_VECTOR));
        let core = &mut self.core;
        let is_high = offset & 4 != 0;
        match (offset, width) {
            (register::DEVICE_FEATURE_SELECT, 4) => core.state.device_features_sel = value,
            (register::DRIVER_FEATURE_SELECT, 4) => core.state.driver_features_sel = value,
            (register::DRIVER_FEATURE, 4) => core.accept(value),
            (register::CONFIG_MSIX_VECTOR, 2) => self.vectors.configuration = vector,
            (register::DEVICE_STATUS, 1) => {
                let begins = core.set_status(value);
                if value == 0 {
                    self.vectors = Vectors::none(self.vectors.queues.len());
                    // "MUST NOT send notifications" behind a reset: 2.4.1.
                    self.messages.forget();
                }
                if begins {
                    self.poll();
                }
            }
            (register::QUEUE_SELECT, 2) => core.state.queue_sel = value,
            (register::QUEUE_SIZE, 2) => {
                if let Some(setup) = core.setup() {
                    setup.size = value;
                }
            }
            (register::QUEUE_MSIX_VECTOR, 2) => {
                if let Some(held) = self.queue_vector() {
                    *held = vector;
                }
            }
            // "The driver MUST NOT write a 0 to queue_enable": 4.1.4.3.2.
            (register::QUEUE_ENABLE, 2) if value == 1 => core.make_ready(true),
            (register::QUEUE_DESC..register::QUEUE_DRIVER, 4) => {
                core.setup().into_iter().for_each(|setup| put(&mut setup.descriptors, value, is_high));
            }
            (register::QUEUE_DRIVER..register::QUEUE_DEVICE, 4) => {
                core.setup().into_iter().for_each(|setup| put(&mut setup.driver, value, is_high));
            }
            (register::QUEUE_DEVICE..0x38, 4) => {
                core.setup().into_iter().for_each(|setup| put(&mut setup.device, value, is_high));
            }
            _ => return false,
        }
        true
    }

    fn read_registers(&mut self, offset: u64, data: &mut [u8]) -> Access {
        match offset {
            ..STATUS => match self.read_common(offset, data.len()) {
                Some(value) => data.copy_from_slice(&value.to_le_bytes()[..data.len()]),
                None => return Access::BadWidth,
            },
            // Reading it acknowledges it: 4.1.4.5.
            STATUS => {
                let [status, ..] = std::mem::take(&mut self.core.state.interrupt_status).to_le_bytes();
                data.fill(0);
                data.iter_mut().take(1).for_each(|byte| *byte = status);
                self.tell();
            }
            DEVICE..NOTIFY => self.core.read_configuration(offset - DEVICE, data),
            _ => data.fill(0),
        }
        Access::Done
    }

    fn write_registers(&mut self, offset: u64, data: &[u8]) -> Access {
        let mut bytes = [0; 4];
        let Some(place) = bytes.get_mut(..data.len()) else { return Access::BadWidth };
        place.copy_from_slice(data);
        let value = u32::from_le_bytes(bytes);
        let access = match offset {
            ..STATUS if self.write_common(offset, value, data.len()) => Access::Done,
            ..STATUS => Access::BadWidth,
            DEVICE..NOTIFY => {
                self.core.write_configuration(offset - DEVICE, data);
                Access::Done
            }
            // Only a function that is a master reaches the rings.
            NOTIFY.. if self.is_master() => {
                self.core.notified(u32::try_from((offset - NOTIFY) / MULTIPLIER).unwrap_or(u32::MAX));
                Access::Done
            }
            _ => Access::Done,
        };
        self.tell();
        access
    }

    /// Writes to the configuration space. A function that becomes a master looks for what it could not reach before.
    fn configure(&mut self, offset: u64, data: &[u8]) -> Access {
        let was_master = self.is_master();
        let access = self.configuration.write(offset, data);
        if self.is_master() && !was_master {
            (0..).zip(&self.vectors.queues).for_each(|(queue, _)| self.core.notified(queue));
            self.core.poll();
        }
        self.messages.settle(&self.configuration);
        self.tell();
        access
    }

    fn is_master(&self) -> bool {
        self.configuration.command() & command::MASTER != 0
    }

    /// Tells the driver of what there is to tell: by messages, or by the pin.
    fn tell(&mut self) {
        let news = self.core.news();
        let messages = self.messages.are_enabled(&self.configuration);
        if messages {
            let queues = news.queues.iter().filter_map(|queue| self.vectors.queues.get(*queue));
            let configured = news.is_configured.then_some(&self.vectors.configuration);
            for vector in queues.chain(configured) {
                self.messages.send(*vector, &self.configuration);
            }
        }
        let asks = self.core.state.interrupt_status != 0 && !messages;
        self.configuration.set_asks(asks);
        self.pin.set(asks && self.configuration.command() & command::NO_PIN == 0);
    }

    /// Reaches registers by the last capability, if this is an access to its data: 4.1.4.9.
    fn chosen(&self, offset: u64, length: usize) -> Option<(usize, u64, usize)> {
        let at = self.access;
        if offset != (at + ACCESS_DATA) as u64 {
            return None;
        }
        let width = usize::try_from(self.configuration.double(at + ACCESS_LENGTH)).ok()?;
        let from = u64::from(self.configuration.double(at + ACCESS_OFFSET));
        let bar = usize::from(self.configuration.byte(at + ACCESS_BAR));
        let end = if bar == usize::from(REGISTERS_BAR) { 4 * PAGE } else { PAGE };
        let fits = matches!(width, 1 | 2 | 4) && width <= length && from.is_multiple_of(width as u64);
        (fits && from < end).then_some((1 + bar, from, width))
    }
}

impl Device for Pci {
    fn read(&mut self, region: usize, offset: u64, data: &mut [u8]) -> Access {
        match region {
            CONFIGURATION => match self.chosen(offset, data.len()) {
                Some((region @ (MESSAGES | REGISTERS), from, width)) => {
                    data.fill(0);
                    self.read(region, from, &mut data[..width])
                }
                _ => self.configuration.read(offset, data),
            },
            MESSAGES => self.messages.read(offset, data),
            REGISTERS => self.read_registers(offset, data),
            _ => Access::NoRegister,
        }
    }

    fn write(&mut self, region: usize, offset: u64, data: &[u8]) -> Access {
        match region {
            CONFIGURATION => match self.chosen(offset, data.len()) {
                Some((region @ (MESSAGES | REGISTERS), from, width)) => {
                    self.write(region, from, &data[..width])
                }
                _ => self.configure(offset, data),
            },
            MESSAGES => self.messages.write(offset, data, &self.configuration),
            REGISTERS => self.write_registers(offset, data),
            _ => Access::NoRegister,
        }
    }

    fn poll(&mut self) {
        if self.is_master() {
            self.core.poll();
            self.tell();
        }
    }

    fn windows(&self) -> Vec<Window> {
        self.configuration.windows(1)
    }

    fn reset(&mut self) {
        self.core.reset();
        self.configuration.reset();
        self.messages.reset();
        self.vectors = Vectors::none(self.vectors.queues.len());
        self.tell();
    }

    fn flush(&self) -> io::Result<()> {
        self.core.model.flush()
    }

    fn state(&self) -> Result<Value, serde_json::Error> {
        serde_json::to_value(Saved {
            device: self.core.state()?,
            configuration: self.configuration.bytes(),
            messages: self.messages.state()?,
            vectors: self.vectors.clone(),
        })
    }

    fn load(&mut self, state: Value) -> Result<(), serde_json::Error> {
        let Saved { device, configuration, messages, vectors } = serde_json::from_value(state)?;
        let configuration = self.configuration.with(configuration)?;
        let messages = self.messages.with(messages)?;
        if vectors.queues.len() != self.vectors.queues.len() {
            return Err(serde::de::Error::custom("it has another number of queues"));
        }
        self.core.load(device)?;
        (self.configuration, self.messages, self.vectors) = (configuration, messages, vectors);
        self.tell();
        Ok(())
    }
}
