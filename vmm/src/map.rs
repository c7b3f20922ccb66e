//! Which device or RAM is mapped where, by priority, as in QEMU's memory API: what a guest moves, hides and shows while it runs.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};

use vmm_sys_util::eventfd::EventFd;

use crate::accel::AccelError;
use crate::view::{Range, View};
use crate::{Region, RegionError, Space};

/// What answers an access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// A block of RAM.
    Ram {
        /// Which.
        block: usize,
        /// Where in it.
        offset: u64,
        /// Whether writes reach it; they are lost otherwise.
        writable: bool,
    },
    /// A region of a device.
    Device {
        /// Which device.
        index: usize,
        /// Which of its regions.
        region: usize,
        /// Where in it.
        offset: u64,
    },
}

/// A region and what answers there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mapping {
    pub(crate) name: String,
    pub(crate) region: Region,
    /// None if what is decoded there is seen.
    pub(crate) target: Option<Target>,
    pub(crate) priority: i32,
    pub(crate) enabled: bool,
}

/// A mapping, as [`Map::add`] names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MappingId(usize);

/// A write that rings an eventfd and reaches no device: `api.rst` 4.59 "KVM_IOEVENTFD".
#[derive(Debug)]
pub struct Doorbell {
    /// In which space.
    pub space: Space,
    /// Where.
    pub address: u64,
    /// How wide the write must be.
    pub width: usize,
    /// What it must write, if not anything.
    pub data: Option<u64>,
    /// What is rung.
    pub fd: EventFd,
}

/// Who must be told when the map changes.
pub trait Listener: Send {
    /// Memory looks like this now.
    fn memory(&mut self, view: &View) -> Result<(), AccelError>;

    /// There is a new doorbell.
    fn doorbell(&mut self, doorbell: &Doorbell) -> Result<(), AccelError>;
}

/// The address spaces of a machine.
#[derive(Default)]
pub struct Map {
    mappings: Mutex<Vec<Mapping>>,
    /// What each device has besides its regions, at its index: only who holds `mappings` takes this.
    windows: Mutex<Vec<Vec<Mapping>>>,
    ports: RwLock<View>,
    memory: RwLock<View>,
    configuration: RwLock<View>,
    doorbells: RwLock<Vec<Doorbell>>,
    /// Whether there is any doorbell, so that a machine without one does not look.
    rings: AtomicBool,
    listener: Mutex<Option<Box<dyn Listener>>>,
}

impl Map {
    /// Maps `target` at all regions, or at none if something of the same priority lies at one. Each region of a device is the next of
    /// its regions.
    pub fn add(
        &self,
        name: &str,
        priority: i32,
        mapped: &[(Region, Target)],
    ) -> Result<Vec<MappingId>, RegionError> {
        let mut mappings = self.lock();
        let before = mappings.len();
        for &(region, target) in mapped {
            let taken = mappings
                .iter()
                .find(|other| other.enabled && other.priority == priority && other.region.overlaps(&region));
            if let Some(Mapping { name: other, region: taken, .. }) = taken.cloned() {
                mappings.truncate(before);
                return Err(RegionError::Taken { name: name.to_owned(), region, other, taken });
            }
            let target = Some(target);
            mappings.push(Mapping { name: name.to_owned(), region, target, priority, enabled: true });
        }
        self.show(&mut mappings, before)?;
        Ok((before..mappings.len()).map(MappingId).collect())
    }

    /// Maps what lies at `from`, a part of what `of` has, at `region` as well, without any check of what else lies there.
    pub fn alias(
        &self,
        of: MappingId,
        from: u64,
        region: Region,
        priority: i32,
    ) -> Result<MappingId, RegionError> {
        let mut mappings = self.lock();
        let source = &mappings[of.0];
        let last = from.checked_add(region.last - region.first);
        let part = Region { first: from, last: last.unwrap_or(u64::MAX), ..source.region };
        let behind = from.checked_sub(source.region.first);
        let Some(behind) = behind.filter(|_| last.is_some_and(|last| last <= source.region.last)) else {
            return Err(RegionError::NoPart { name: source.name.clone(), region: part });
        };
        let alias = Mapping {
            name: source.name.clone(),
            region: region.by(source.region.widest),
            target: source.target.map(|target| target.at(behind)),
            priority,
            enabled: true,
        };
        let before = mappings.len();
        mappings.push(alias);
        self.show(&mut mappings, before)?;
        Ok(MappingId(before))
    }

    /// Shows or hides a mapping. Where nothing is changed, nobody is told.
    pub fn enable(&self, id: MappingId, enabled: bool) -> Result<(), AccelError> {
        self.change(id, |mapping| mapping.enabled = enabled)
    }

    /// Lets writes reach the RAM of a mapping, or loses them.
    pub fn protect(&self, id: MappingId, is_writable: bool) -> Result<(), AccelError> {
        self.change(id, |mapping| {
            if let Some(Target::Ram { writable, .. }) = &mut mapping.target {
                *writable = is_writable;
            }
        })
    }

    /// Has a device have these mappings besides its regions, and no others. Whatever else lies there, priorities decide.
    pub(crate) fn put_windows(&self, device: usize, mappings: Vec<Mapping>) -> Result<(), AccelError> {
        let held = self.lock();
        let mut windows = lock(&self.windows);
        if windows.len() <= device {
            windows.resize(device + 1, Vec::new());
        }
        windows[device] = mappings;
        drop(windows);
        self.tell(&held)
    }

    /// Adds a doorbell.
    pub fn ring_at(&self, doorbell: Doorbell) -> Result<(), AccelError> {
        if let Some(listener) = lock(&self.listener).as_mut() {
            listener.doorbell(&doorbell)?;
        }
        self.doorbells.write().unwrap_or_else(PoisonError::into_inner).push(doorbell);
        self.rings.store(true, Ordering::Release);
        Ok(())
    }

    /// Rings the doorbell that this write is for. Whether there is one.
    pub(crate) fn ring(&self, space: Space, address: u64, data: &[u8]) -> bool {
        if !self.rings.load(Ordering::Acquire) {
            return false;
        }
        let doorbells = self.doorbells.read().unwrap_or_else(PoisonError::into_inner);
        let found = doorbells.iter().find(|bell| bell.is_for(space, address, data));
        // The counter of an eventfd that nobody reads can be full: it is rung already then.
        found.inspect(|bell| drop(bell.fd.write(1))).is_some()
    }

    /// Tells `listener` of memory and doorbells as they are, and of each change from now on.
    pub(crate) fn listen(&self, mut listener: Box<dyn Listener>) -> Result<(), AccelError> {
        listener.memory(&self.memory.read().unwrap_or_else(PoisonError::into_inner))?;
        for doorbell in self.doorbells.read().unwrap_or_else(PoisonError::into_inner).iter() {
            listener.doorbell(doorbell)?;
        }
        *lock(&self.listener) = Some(listener);
        Ok(())
    }

    /// What `space` looks like now.
    pub fn view(&self, space: Space) -> View {
        self.of(space).read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn find(&self, space: Space, address: u64) -> Result<Range, Option<u64>> {
        self.of(space).read().unwrap_or_else(PoisonError::into_inner).find(address)
    }

    fn of(&self, space: Space) -> &RwLock<View> {
        match space {
            Space::Ports => &self.ports,
            Space::Memory => &self.memory,
            Space::Configuration => &self.configuration,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Mapping>> {
        lock(&self.mappings)
    }

    fn change(&self, id: MappingId, change: impl FnOnce(&mut Mapping)) -> Result<(), AccelError> {
        let mut mappings = self.lock();
        if let Some(mapping) = mappings.get_mut(id.0) {
            change(mapping);
        }
        self.tell(&mappings)
    }

    /// Tells of mappings that are new from `before` on, and takes them away again if they cannot be shown.
    fn show(&self, mappings: &mut Vec<Mapping>, before: usize) -> Result<(), RegionError> {
        self.tell(mappings).map_err(|error| {
            let name = mappings.get(before).map(|mapping| mapping.name.clone()).unwrap_or_default();
            mappings.truncate(before);
            // What could be shown before can be shown again; if not, the first error says more.
            let _ = self.tell(mappings);
            RegionError::Unshown { name, why: error.to_string() }
        })
    }

    /// Decides every overlap anew, and tells whoever listens if memory looks different.
    fn tell(&self, mappings: &[Mapping]) -> Result<(), AccelError> {
        if self.decide(mappings)
            && let Some(listener) = lock(&self.listener).as_mut()
        {
            listener.memory(&self.memory.read().unwrap_or_else(PoisonError::into_inner))?;
        }
        Ok(())
    }

    /// Decides every overlap anew. Whether memory looks different.
    fn decide(&self, mappings: &[Mapping]) -> bool {
        let windows = lock(&self.windows);
        let put = |space| {
            let view = View::of(mappings.iter().chain(windows.iter().flatten()), space);
            let mut held = self.of(space).write().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *held, view) != *held
        };
        put(Space::Ports);
        put(Space::Configuration);
        put(Space::Memory)
    }
}

impl Target {
    /// What answers so many bytes behind this.
    pub(crate) fn at(self, behind: u64) -> Self {
        match self {
            Self::Ram { block, offset, writable } => {
                Self::Ram { block, offset: offset.wrapping_add(behind), writable }
            }
            Self::Device { index, region, offset } => {
                Self::Device { index, region, offset: offset.wrapping_add(behind) }
            }
        }
    }
}

impl Doorbell {
    fn is_for(&self, space: Space, address: u64, data: &[u8]) -> bool {
        let mut written = [0; 8];
        let fits = data.len() == self.width && data.len() <= written.len();
        if !fits || (self.space, self.address) != (space, address) {
            return false;
        }
        written[..data.len()].copy_from_slice(data);
        self.data.is_none_or(|data| data == u64::from_le_bytes(written))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{AccelError, Doorbell, Listener, Map, Mutex, Region, Space, Target, View, lock};

    /// Keeps how many ranges memory had when it was told, and refuses more than two.
    struct Spy(Arc<Mutex<Vec<usize>>>);

    impl Listener for Spy {
        fn memory(&mut self, view: &View) -> Result<(), AccelError> {
            lock(&self.0).push(view.ranges().len());
            if view.ranges().len() > 2 { Err(AccelError::Missing("more room")) } else { Ok(()) }
        }

        fn doorbell(&mut self, _: &Doorbell) -> Result<(), AccelError> {
            Ok(())
        }
    }

    #[test]
    fn who_listens_is_told_of_what_is_added_while_it_listens() {
        let (map, told) = (Map::default(), Arc::default());
        map.listen(Box::new(Spy(Arc::clone(&told)))).unwrap();
        let ram = Target::Ram { block: 0, offset: 0, writable: true };
        let added = map.add("RAM", 0, &[(Region::memory(0, 0xfff), ram)]).unwrap();
        map.alias(added[0], 0x100, Region::memory(0x8000, 0x80ff), 0).unwrap();
        assert_eq!(*lock(&told), [0, 1, 2]);
        let refused = map.add("ROM", 0, &[(Region::memory(0x9000, 0x9fff), ram)]).unwrap_err().to_string();
        assert!(refused.starts_with("show ROM to the guest: cannot do without more room"), "{refused}");
        assert_eq!((map.view(Space::Memory).ranges().len(), &lock(&told)[3..]), (2, &[3, 2][..]));
    }
}
