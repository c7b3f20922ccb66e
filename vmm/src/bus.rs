//! One space of ports and one of memory: who answers at which address, and what unanswered reads are.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;

use crate::map::{Map, Target};
use crate::{Access, Device, Ram, Region, RegionError, Space, StateError};

/// What lies at which address.
pub struct Bus {
    ram: Ram,
    map: Arc<Map>,
    devices: Vec<(String, Mutex<Box<dyn Device>>)>,
}

/// The priority of RAM and of what does not say otherwise: nothing else of this priority may lie there.
const ORDINARY: i32 = 0;

impl Bus {
    /// A bus with RAM where a PC has it, and nothing else.
    pub fn new(ram: Ram) -> Self {
        Self::with_map(ram, Arc::default())
    }

    /// A bus with RAM, on a map that others hold as well.
    pub(crate) fn with_map(ram: Ram, map: Arc<Map>) -> Self {
        for (block, part) in ram.blocks().iter().enumerate() {
            let region = Region::memory(part.guest_address, part.guest_address + (part.length - 1));
            let target = Target::Ram { block, offset: 0, writable: true };
            let added = map.add("RAM", ORDINARY, &[(region, target)]);
            debug_assert!(added.is_ok(), "the blocks of RAM are apart");
        }
        Self { ram, map, devices: Vec::new() }
    }

    /// Puts a device at its regions: at all of them, or at none if something else lies at one.
    pub fn add(
        &mut self,
        name: &str,
        device: Box<dyn Device>,
        regions: &[Region],
    ) -> Result<(), RegionError> {
        let index = self.devices.len();
        let target = |region| Target::Device { index, region, offset: 0 };
        let mapped: Vec<_> =
            regions.iter().enumerate().map(|(number, region)| (*region, target(number))).collect();
        self.map.add(name, ORDINARY, &mapped)?;
        self.devices.push((name.to_owned(), Mutex::new(device)));
        Ok(())
    }

    /// What is mapped where.
    pub fn map(&self) -> &Arc<Map> {
        &self.map
    }

    /// Reads. Where nothing answers, every bit is one.
    pub fn read(&self, space: Space, address: u64, data: &mut [u8]) -> Access {
        let mut became = Access::Done;
        let mut rest = data;
        let mut from = Some(address);
        while !rest.is_empty() {
            let (owner, length) = self.piece(space, from, rest.len());
            let (piece, behind) = rest.split_at_mut(length);
            // A device may leave bytes as they are.
            piece.fill(0xff);
            let access = self.read_piece(owner, piece);
            if access != Access::Done {
                piece.fill(0xff);
            }
            became = became.and(access);
            from = from.and_then(|from| from.checked_add(length as u64));
            rest = behind;
        }
        became
    }

    /// Writes. Where nothing takes it, it is lost.
    pub fn write(&self, space: Space, address: u64, data: &[u8]) -> Access {
        if self.map.ring(space, address, data) {
            return Access::Done;
        }
        let mut became = Access::Done;
        let mut rest = data;
        let mut from = Some(address);
        while !rest.is_empty() {
            let (owner, length) = self.piece(space, from, rest.len());
            let (piece, behind) = rest.split_at(length);
            became = became.and(self.write_piece(owner, piece));
            from = from.and_then(|from| from.checked_add(length as u64));
            rest = behind;
        }
        became
    }

    /// Lets every device act on the time and the input that came meanwhile.
    pub fn poll(&self) {
        for (_, device) in &self.devices {
            lock(device).poll();
        }
    }

    /// Resets every device.
    pub fn reset(&self) {
        for (_, device) in &self.devices {
            lock(device).reset();
        }
    }

    /// The state of each device, by its name.
    pub fn states(&self) -> Result<Vec<(String, Value)>, StateError> {
        let state = |(name, device): &(String, Mutex<Box<dyn Device>>)| match lock(device).state() {
            Ok(state) => Ok((name.clone(), state)),
            Err(source) => Err(StateError::Form { device: name.clone(), source }),
        };
        self.devices.iter().map(state).collect()
    }

    /// Gives the device of this name its state back.
    pub fn load(&self, name: &str, state: Value) -> Result<(), StateError> {
        let device = name.to_owned();
        match self.devices.iter().find(|(held, _)| held == name) {
            Some((_, found)) => lock(found).load(state).map_err(|source| StateError::Form { device, source }),
            None => Err(StateError::NoDevice { device }),
        }
    }

    /// Who is at an address, and for how many of `length` bytes: an access that reaches over the end of a region, or is wider than
    /// what the region takes at once, is split.
    fn piece(&self, space: Space, address: Option<u64>, length: usize) -> (Option<Target>, usize) {
        let Some(address) = address else { return (None, length) };
        let within = |bytes: u64| usize::try_from(bytes).unwrap_or(length).min(length);
        match self.map.find(space, address) {
            Ok(range) => {
                let left = (range.last - address).saturating_add(1);
                (Some(range.target.at(address - range.first)), within(left).min(range.widest))
            }
            Err(next) => (None, next.map_or(length, |next| within(next - address))),
        }
    }

    fn read_piece(&self, owner: Option<Target>, data: &mut [u8]) -> Access {
        let answered = match owner {
            Some(Target::Ram { block, offset, .. }) => self.ram.read_block(block, offset, data).is_ok(),
            Some(Target::Device { index, region, offset }) => {
                return match self.devices.get(index) {
                    Some((_, device)) => lock(device).read(region, offset, data),
                    None => Access::NoRegister,
                };
            }
            None => false,
        };
        if answered { Access::Done } else { Access::NoRegister }
    }

    fn write_piece(&self, owner: Option<Target>, data: &[u8]) -> Access {
        let taken = match owner {
            Some(Target::Ram { block, offset, writable: true }) => {
                self.ram.write_block(block, offset, data).is_ok()
            }
            Some(Target::Device { index, region, offset }) => {
                return match self.devices.get(index) {
                    Some((_, device)) => lock(device).write(region, offset, data),
                    None => Access::NoRegister,
                };
            }
            Some(Target::Ram { writable: false, .. }) | None => false,
        };
        if taken { Access::Done } else { Access::NoRegister }
    }
}

impl Access {
    /// What became of an access in two parts: the first thing that went wrong.
    fn and(self, then: Self) -> Self {
        if self == Self::Done { then } else { self }
    }
}

fn lock(device: &Mutex<Box<dyn Device>>) -> MutexGuard<'_, Box<dyn Device>> {
    device.lock().unwrap_or_else(PoisonError::into_inner)
}
