//! A space of ports, one of memory and one of configuration: who answers at which address, and what unanswered reads are.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;

use crate::map::{Map, Mapping, Target};
use crate::{Access, Device, Ram, Region, RegionError, Shows, Space, StateError, Window};

/// What lies at which address.
pub struct Bus {
    ram: Ram,
    map: Arc<Map>,
    devices: Vec<(String, Mutex<Seat>)>,
}

/// A device, its regions, and what it has besides, as the map was last told.
struct Seat {
    device: Box<dyn Device>,
    regions: Vec<Region>,
    windows: Vec<Window>,
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
        self.devices.push((
            name.to_owned(),
            Mutex::new(Seat { device, regions: regions.to_vec(), windows: Vec::new() }),
        ));
        self.show_windows(index);
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
            let access = self.read_piece(space, owner, piece);
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
            became = became.and(self.write_piece(space, owner, piece));
            from = from.and_then(|from| from.checked_add(length as u64));
            rest = behind;
        }
        became
    }

    /// Lets every device act on the time and the input that came meanwhile.
    pub fn poll(&self) {
        for (_, seat) in &self.devices {
            lock(seat).device.poll();
        }
    }

    /// Resets every device.
    pub fn reset(&self) {
        for (index, (_, seat)) in self.devices.iter().enumerate() {
            lock(seat).device.reset();
            self.show_windows(index);
        }
    }

    /// The state of each device, by its name.
    pub fn states(&self) -> Result<Vec<(String, Value)>, StateError> {
        let state = |(name, seat): &(String, Mutex<Seat>)| match lock(seat).device.state() {
            Ok(state) => Ok((name.clone(), state)),
            Err(source) => Err(StateError::Form { device: name.clone(), source }),
        };
        self.devices.iter().map(state).collect()
    }

    /// The name of each device, and its regions in words, in the order in which they were put there.
    pub(crate) fn places(&self) -> Vec<(String, String)> {
        let regions =
            |seat| lock(seat).regions.iter().map(Region::to_string).collect::<Vec<_>>().join(" and ");
        self.devices.iter().map(|(name, seat)| (name.clone(), regions(seat))).collect()
    }

    /// Has what devices have written to disks outlive a failure of the host's power.
    pub(crate) fn flush(&self) -> Result<(), StateError> {
        self.devices.iter().try_for_each(|(name, seat)| {
            let flushed = lock(seat).device.flush();
            flushed.map_err(|source| StateError::Flush { device: name.clone(), source })
        })
    }

    /// Gives the device of this name its state back: the first, if there are several.
    pub fn load(&self, name: &str, state: Value) -> Result<(), StateError> {
        let found = self.devices.iter().position(|(held, _)| held == name);
        let index = found.ok_or_else(|| StateError::NoDevice { device: name.to_owned() })?;
        self.load_at(index, state)
    }

    /// Gives the device that was put there as this one, from zero, its state back.
    pub(crate) fn load_at(&self, index: usize, state: Value) -> Result<(), StateError> {
        let no_device = || StateError::NoDevice { device: format!("number {index}") };
        let (name, seat) = self.devices.get(index).ok_or_else(no_device)?;
        let loaded = lock(seat).device.load(state);
        self.show_windows(index);
        loaded.map_err(|source| StateError::Form { device: name.clone(), source })
    }

    /// Tells the map of what devices have besides their regions, where something that they look at has changed since they were added.
    pub(crate) fn settle(&self) {
        (0..self.devices.len()).for_each(|index| self.show_windows(index));
    }

    /// Tells the map of what a device has besides its regions, if that has changed. Of two who do that at once, the second tells what
    /// is true for both.
    fn show_windows(&self, index: usize) {
        let Some((name, seat)) = self.devices.get(index) else { return };
        let mut seat = lock(seat);
        let windows = seat.device.windows();
        if windows == seat.windows {
            return;
        }
        let mappings = windows.iter().filter_map(|window| self.mapping(name, index, window)).collect();
        if let Err(error) = self.map.put_windows(index, mappings) {
            // A guest did this, and nobody can be answered: what it sees is what could be shown.
            tracing::error!("cannot show what {name} decodes: cannot {error}");
        }
        seat.windows = windows;
    }

    fn mapping(&self, name: &str, index: usize, window: &Window) -> Option<Mapping> {
        let target = match window.shows {
            Shows::Decoded => None,
            Shows::Own { region, offset } => Some(Target::Device { index, region, offset }),
            Shows::Rom { offset } => {
                Some(Target::Ram { block: self.ram.blocks().len(), offset, writable: false })
            }
            Shows::Ram { address, writable } => {
                let last = address.checked_add(window.region.last - window.region.first)?;
                let blocks = self.ram.blocks().into_iter().enumerate();
                let mut holding = blocks.filter(|(_, block)| {
                    address >= block.guest_address && last - block.guest_address < block.length
                });
                let (block, found) = holding.next()?;
                Some(Target::Ram { block, offset: address - found.guest_address, writable })
            }
        };
        let Window { region, priority, .. } = *window;
        Some(Mapping { name: name.to_owned(), region, target, priority, enabled: true })
    }

    /// Who is at an address, and for how many of `length` bytes: an access that reaches over the end of a region, or is wider than
    /// what the region takes at once, is split.
    fn piece(&self, space: Space, address: Option<u64>, length: usize) -> (Option<Target>, usize) {
        let Some(address) = address else { return (None, length) };
        let within = |bytes: u64| usize::try_from(bytes).unwrap_or(length).min(length);
        match self.map.find(space, address) {
            Ok(range) if length as u64 == u64::from(range.whole) && address == range.first => {
                (Some(range.target), length)
            }
            Ok(range) => {
                let left = (range.last - address).saturating_add(1);
                (Some(range.target.at(address - range.first)), within(left.min(range.widest.into())))
            }
            Err(next) => (None, next.map_or(length, |next| within(next - address))),
        }
    }

    fn read_piece(&self, space: Space, owner: Option<Target>, data: &mut [u8]) -> Access {
        let answered = match owner {
            Some(Target::Ram { block, offset, .. }) => self.ram.read_block(block, offset, data).is_ok(),
            Some(Target::Device { index, region, offset }) => {
                let Some((_, seat)) = self.devices.get(index) else { return Access::NoRegister };
                let access = lock(seat).device.read(region, offset, data);
                return match access {
                    Access::Configuration(_) if space == Space::Configuration => Access::NoRegister,
                    Access::Configuration(address) => self.read(Space::Configuration, address, data),
                    access => access,
                };
            }
            None => false,
        };
        if answered { Access::Done } else { Access::NoRegister }
    }

    fn write_piece(&self, space: Space, owner: Option<Target>, data: &[u8]) -> Access {
        let taken = match owner {
            Some(Target::Ram { block, offset, writable: true }) => {
                self.ram.write_block(block, offset, data).is_ok()
            }
            Some(Target::Device { index, region, offset }) => {
                let Some((_, seat)) = self.devices.get(index) else { return Access::NoRegister };
                let access = lock(seat).device.write(region, offset, data);
                if space == Space::Configuration {
                    self.show_windows(index);
                }
                return match access {
                    Access::Configuration(_) if space == Space::Configuration => Access::NoRegister,
                    Access::Configuration(address) => self.write(Space::Configuration, address, data),
                    access => access,
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

fn lock(seat: &Mutex<Seat>) -> MutexGuard<'_, Seat> {
    seat.lock().unwrap_or_else(PoisonError::into_inner)
}
