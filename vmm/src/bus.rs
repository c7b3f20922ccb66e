//! One space of ports and one of memory: who answers at which address, and what unanswered reads are.

use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::Value;

use crate::{Access, Device, Ram, Region, RegionError, Space, StateError};

/// What lies at which address.
pub struct Bus {
    ram: Ram,
    devices: Vec<(String, Mutex<Box<dyn Device>>)>,
    /// Ascending in each space, none overlapping another.
    ranges: Vec<(Region, Owner)>,
}

#[derive(Clone, Copy)]
enum Owner {
    Ram,
    Device { index: usize, region: usize },
}

impl Bus {
    /// A bus with RAM at the beginning of memory, and nothing else.
    pub fn new(ram: Ram) -> Self {
        let all = Region { space: Space::Memory, first: 0, last: ram.size().saturating_sub(1) };
        Self { ram, devices: Vec::new(), ranges: vec![(all, Owner::Ram)] }
    }

    /// Puts a device at its regions: at all of them, or at none if something else lies at one.
    pub fn add(
        &mut self,
        name: &str,
        device: Box<dyn Device>,
        regions: &[Region],
    ) -> Result<(), RegionError> {
        let index = self.devices.len();
        let mut ranges = self.ranges.clone();
        for (number, region) in regions.iter().enumerate() {
            if let Some((taken, owner)) = ranges.iter().find(|(taken, _)| taken.overlaps(region)) {
                let other = self.name(*owner).unwrap_or(name).to_owned();
                return Err(RegionError::Taken {
                    name: name.to_owned(),
                    region: *region,
                    other,
                    taken: *taken,
                });
            }
            ranges.push((*region, Owner::Device { index, region: number }));
        }
        self.ranges = ranges;
        self.devices.push((name.to_owned(), Mutex::new(device)));
        Ok(())
    }

    /// Reads. Where nothing answers, every bit is one.
    pub fn read(&self, space: Space, address: u64, data: &mut [u8]) -> Access {
        let mut became = Access::Done;
        let mut rest = data;
        let mut from = Some(address);
        while !rest.is_empty() {
            let (owner, length) = self.piece(space, from, rest.len());
            let (piece, behind) = rest.split_at_mut(length);
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

    /// Who is at an address, and for how many of `length` bytes: an access that reaches over the end of a region is split there.
    fn piece(&self, space: Space, address: Option<u64>, length: usize) -> (Option<(Owner, u64)>, usize) {
        let Some(address) = address else { return (None, length) };
        let within = |bytes: u64| usize::try_from(bytes).unwrap_or(length).min(length);
        let ranges = || self.ranges.iter().filter(|(region, _)| region.space == space);
        if let Some((region, owner)) =
            ranges().find(|(region, _)| (region.first..=region.last).contains(&address))
        {
            let left = (region.last - address).saturating_add(1);
            return (Some((*owner, address - region.first)), within(left));
        }
        let next = ranges().map(|(region, _)| region.first).filter(|first| *first > address).min();
        (None, next.map_or(length, |first| within(first - address)))
    }

    fn read_piece(&self, owner: Option<(Owner, u64)>, data: &mut [u8]) -> Access {
        match owner {
            None => Access::NoRegister,
            Some((Owner::Ram, offset)) => {
                self.ram.read(offset, data).map_or(Access::NoRegister, |()| Access::Done)
            }
            Some((Owner::Device { index, region }, offset)) => match self.devices.get(index) {
                Some((_, device)) => lock(device).read(region, offset, data),
                None => Access::NoRegister,
            },
        }
    }

    fn write_piece(&self, owner: Option<(Owner, u64)>, data: &[u8]) -> Access {
        match owner {
            None => Access::NoRegister,
            Some((Owner::Ram, offset)) => {
                self.ram.write(offset, data).map_or(Access::NoRegister, |()| Access::Done)
            }
            Some((Owner::Device { index, region }, offset)) => match self.devices.get(index) {
                Some((_, device)) => lock(device).write(region, offset, data),
                None => Access::NoRegister,
            },
        }
    }

    fn name(&self, owner: Owner) -> Option<&str> {
        match owner {
            Owner::Ram => Some("RAM"),
            Owner::Device { index, .. } => self.devices.get(index).map(|(name, _)| name.as_str()),
        }
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
