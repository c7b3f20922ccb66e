//! The RAM that a guest reaches, and what it has written to: `api.rst` 4.35 "KVM_SET_USER_MEMORY_REGION", 4.8 "KVM_GET_DIRTY_LOG",
//! 8.29 "KVM_CAP_DIRTY_LOG_RING" and 4.59 "KVM_IOEVENTFD".
#![expect(unsafe_code, reason = "shows memory of this process to a guest")]

use std::collections::BTreeSet;
use std::os::fd::AsRawFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kvm_bindings::{
    KVM_CAP_DIRTY_LOG_RING, KVM_MEM_LOG_DIRTY_PAGES, KVM_MEM_READONLY, kvm_enable_cap, kvm_ioeventfd,
    kvm_ioeventfd_flag_nr_datamatch, kvm_ioeventfd_flag_nr_pio, kvm_userspace_memory_region,
};
use kvm_ioctls::{VcpuFd, VmFd};

use super::ring::Ring;
use super::trace::of_accel;
use crate::accel::AccelError;
use crate::map::{Doorbell, Listener, Target};
use crate::{Ram, Space, View};

/// A VM's descriptor with the RAM that its guest reaches. Whoever holds the one holds the other: the VM lives as long as its last
/// descriptor does, those of its vCPUs included.
pub(super) struct Shown {
    pub(super) fd: VmFd,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    ram: Option<Ram>,
    /// By their number; those that are none are free.
    slots: Vec<Option<Slot>>,
    tracks: bool,
    /// How many entries each vCPU's ring has; none where the kernel keeps bitmaps.
    ring: Option<u32>,
    rings: Vec<Arc<Ring>>,
    /// The addresses of the pages that the rings have told of, and the bitmaps of what is no longer shown.
    told: BTreeSet<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Slot {
    block: usize,
    offset: u64,
    guest_address: u64,
    length: u64,
    is_writable: bool,
}

const PAGE: u64 = 0x1000;
/// Where a chipset shows and hides RAM while processors run: video memory, and shadow RAM in segments. Each of these is a slot of its
/// own, so that no other RAM is away while one is changed: KVM can change a slot only by taking it away.
const VIDEO: u64 = 0xa_0000;
const SEGMENTS: u64 = 0xc_0000;
const SEGMENT: usize = 0x4000;
const BEHIND: u64 = 0x10_0000;
/// `_IO(KVMIO, 0xc7)`.
const KVM_RESET_DIRTY_RINGS: libc::c_ulong = 0xaec7;

impl Shown {
    pub(super) fn new(fd: VmFd) -> Self {
        Self { fd, held: Mutex::default() }
    }

    /// Has the kernel tell of writes in rings of so many entries, and not in bitmaps.
    pub(super) fn use_rings(&self, entries: u32) -> Result<(), AccelError> {
        let mut cap = kvm_enable_cap { cap: KVM_CAP_DIRTY_LOG_RING, ..Default::default() };
        cap.args[0] = Ring::ENTRY as u64 * u64::from(entries);
        of_accel("KVM_ENABLE_CAP", self.fd.enable_cap(&cap))?;
        self.lock().ring = Some(entries);
        Ok(())
    }

    /// Reads this vCPU's ring from now on, if there are rings.
    pub(super) fn read_ring(&self, fd: &VcpuFd) -> Result<(), AccelError> {
        let mut held = self.lock();
        if let Some(entries) = held.ring {
            held.rings.push(Arc::new(Ring::map(fd, entries)?));
        }
        Ok(())
    }

    /// Takes what the rings tell, so that there is room in them again.
    pub(super) fn empty_rings(&self) -> Result<(), AccelError> {
        self.harvest(&mut self.lock())
    }

    fn harvest(&self, held: &mut Held) -> Result<(), AccelError> {
        let Held { slots, rings, told, .. } = held;
        let mut taken = 0;
        for ring in rings {
            taken += ring.harvest(|slot, page| {
                let slot = usize::try_from(slot).ok().and_then(|slot| *slots.get(slot)?);
                told.extend(slot.map(|slot| slot.guest_address + page * PAGE));
            });
        }
        if taken > 0 { self.reset_rings() } else { Ok(()) }
    }

    fn reset_rings(&self) -> Result<(), AccelError> {
        // SAFETY: the descriptor is a VM's, and the command has no argument.
        let answer = unsafe { libc::ioctl(self.fd.as_raw_fd(), KVM_RESET_DIRTY_RINGS, 0) };
        let answer = if answer < 0 { Err(kvm_ioctls::Error::last()) } else { Ok(()) };
        of_accel("KVM_RESET_DIRTY_RINGS", answer)
    }

    /// Notes writes from now on, or no longer.
    pub(super) fn track(&self, on: bool) -> Result<(), AccelError> {
        let mut held = self.lock();
        held.tracks = on;
        for number in 0..held.slots.len() {
            self.put(&held, number)?;
        }
        drop(held);
        // What was written before does not count, in the kernel's bitmap and in this process's.
        self.take_written().map(drop)
    }

    /// The pages that the guest and this process have written to since the last time.
    pub(super) fn take_written(&self) -> Result<Vec<u64>, AccelError> {
        self.empty_rings()?;
        let mut held = self.lock();
        let mut pages: Vec<u64> = std::mem::take(&mut held.told).into_iter().collect();
        let Some(ram) = held.ram.as_ref() else { return Ok(pages) };
        // What this process writes to is RAM also where the guest does not see it.
        for (index, block) in ram.blocks().iter().enumerate() {
            let ours = ram.take_written(index);
            let written = |first: u64, length: u64| {
                let ours = &ours;
                (0..length / PAGE).filter(move |page| is_set(ours, first / PAGE + page))
            };
            pages.extend(written(0, block.length).map(|page| block.guest_address + page * PAGE));
            for slot in held.slots.iter().flatten().filter(|slot| slot.block == index) {
                pages.extend(written(slot.offset, slot.length).map(|page| slot.guest_address + page * PAGE));
            }
        }
        for number in 0..held.slots.len() {
            pages.extend(self.written_by_guest(&held, number)?);
        }
        pages.sort_unstable();
        pages.dedup();
        Ok(pages)
    }

    /// The addresses of the pages of a slot that the kernel's bitmap has, once.
    fn written_by_guest(&self, held: &Held, number: usize) -> Result<Vec<u64>, AccelError> {
        let slot = held.slots.get(number).copied().flatten();
        let keeps_bitmaps = held.tracks && held.ring.is_none();
        let Some(slot) = slot.filter(|slot| keeps_bitmaps && slot.is_writable) else { return Ok(Vec::new()) };
        let length = usize::try_from(slot.length).unwrap_or(0);
        let number = u32::try_from(number).unwrap_or(u32::MAX);
        let written = of_accel("KVM_GET_DIRTY_LOG", self.fd.get_dirty_log(number, length))?;
        let pages = (0..slot.length / PAGE).filter(|page| is_set(&written, *page));
        Ok(pages.map(|page| slot.guest_address + page * PAGE).collect())
    }

    fn show(&self, ram: &Ram, view: &View) -> Result<(), AccelError> {
        let mut held = self.lock();
        held.ram.get_or_insert_with(|| ram.clone());
        let wanted: Vec<Slot> = view.ranges().iter().filter_map(Slot::of).flat_map(Slot::parts).collect();
        for number in 0..held.slots.len() {
            if held.slots[number].is_some_and(|slot| !wanted.contains(&slot)) {
                // The bitmap goes with the slot. A ring still tells of it, by a number that must not be another slot's yet.
                let written = self.written_by_guest(&held, number)?;
                held.told.extend(written);
                self.take_away(number)?;
                self.harvest(&mut held)?;
                held.slots[number] = None;
            }
        }
        for slot in wanted {
            if held.slots.contains(&Some(slot)) {
                continue;
            }
            let number = held.slots.iter().position(Option::is_none).unwrap_or(held.slots.len());
            if number == held.slots.len() {
                held.slots.push(None);
            }
            held.slots[number] = Some(slot);
            self.put(&held, number)?;
        }
        Ok(())
    }

    /// Shows the slot of this number as it is now.
    fn put(&self, held: &Held, number: usize) -> Result<(), AccelError> {
        let (Some(ram), Some(Some(slot))) = (&held.ram, held.slots.get(number)) else { return Ok(()) };
        let blocks = ram.all_blocks();
        let block = blocks
            .get(slot.block)
            .filter(|block| slot.offset.checked_add(slot.length).is_some_and(|end| end <= block.length));
        let Some(block) = block else { return Ok(()) };
        let tracks = if held.tracks { KVM_MEM_LOG_DIRTY_PAGES } else { 0 };
        let region = kvm_userspace_memory_region {
            slot: u32::try_from(number).unwrap_or(u32::MAX),
            flags: tracks | if slot.is_writable { 0 } else { KVM_MEM_READONLY },
            guest_phys_addr: slot.guest_address,
            memory_size: slot.length,
            userspace_addr: block.host_address + slot.offset,
        };
        // SAFETY: the slot lies within a block, which is a mapping of its own, and is kept for as long as a descriptor of the VM is
        // open; this process reaches it by volatile access alone.
        of_accel("KVM_SET_USER_MEMORY_REGION", unsafe { self.fd.set_user_memory_region(region) })
    }

    fn take_away(&self, number: usize) -> Result<(), AccelError> {
        let slot = u32::try_from(number).unwrap_or(u32::MAX);
        let nothing = kvm_userspace_memory_region { slot, ..Default::default() };
        // SAFETY: a size of zero takes the slot away.
        of_accel("KVM_SET_USER_MEMORY_REGION", unsafe { self.fd.set_user_memory_region(nothing) })
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slot {
    /// What of a range of the map is RAM in whole pages.
    fn of(range: &crate::Range) -> Option<Self> {
        let Target::Ram { block, offset, writable } = range.target else { return None };
        let length = (range.last - range.first).checked_add(1)?;
        let whole = [range.first, length, offset].iter().all(|number| number % PAGE == 0);
        whole.then_some(Self { block, offset, guest_address: range.first, length, is_writable: writable })
    }

    /// The same in the parts that change one without the other.
    fn parts(self) -> Vec<Self> {
        let end = self.guest_address.saturating_add(self.length);
        let borders = [VIDEO].into_iter().chain((SEGMENTS..=BEHIND).step_by(SEGMENT));
        let inside = borders.filter(|border| (self.guest_address + 1..end).contains(border));
        let firsts: Vec<u64> = [self.guest_address].into_iter().chain(inside).collect();
        let ends = firsts.iter().skip(1).copied().chain([end]);
        let part = |(first, end): (&u64, u64)| Self {
            offset: self.offset + (first - self.guest_address),
            guest_address: *first,
            length: end - first,
            ..self
        };
        firsts.iter().zip(ends).map(part).collect()
    }
}

/// Keeps what KVM shows as the map has it.
pub(super) struct KvmListener {
    pub(super) shown: Arc<Shown>,
    pub(super) ram: Ram,
}

impl Listener for KvmListener {
    fn memory(&mut self, view: &View) -> Result<(), AccelError> {
        self.shown.show(&self.ram, view)
    }

    /// KVM_IOEVENTFD by hand: the wrapper of kvm-ioctls has a width only together with data.
    fn doorbell(&mut self, doorbell: &Doorbell) -> Result<(), AccelError> {
        // A write of any other width is left to the bus.
        let Some(len) = u32::try_from(doorbell.width).ok().filter(|width| matches!(width, 1 | 2 | 4 | 8))
        else {
            return Ok(());
        };
        let ports = if doorbell.space == Space::Ports { 1 << kvm_ioeventfd_flag_nr_pio } else { 0 };
        let data = if doorbell.data.is_some() { 1 << kvm_ioeventfd_flag_nr_datamatch } else { 0 };
        let wanted = kvm_ioeventfd {
            datamatch: doorbell.data.unwrap_or(0),
            addr: doorbell.address,
            len,
            fd: doorbell.fd.as_raw_fd(),
            flags: ports | data,
            ..Default::default()
        };
        // SAFETY: the descriptor is a VM's, and the kernel reads the structure alone.
        let answer = unsafe { libc::ioctl(self.shown.fd.as_raw_fd(), KVM_IOEVENTFD, &raw const wanted) };
        of_accel("KVM_IOEVENTFD", if answer < 0 { Err(kvm_ioctls::Error::last()) } else { Ok(()) })
    }
}

/// `_IOW(KVMIO, 0x79, struct kvm_ioeventfd)`.
const KVM_IOEVENTFD: libc::c_ulong = 0x4040_ae79;

fn is_set(bitmap: &[u64], bit: u64) -> bool {
    let word = usize::try_from(bit / 64).ok().and_then(|word| bitmap.get(word));
    word.is_some_and(|word| word >> (bit % 64) & 1 != 0)
}

#[cfg(test)]
mod tests {
    use super::Slot;

    #[test]
    fn only_the_segment_that_is_hidden_is_another_slot() {
        let slot = |first: u64, end: u64| Slot {
            block: 0,
            offset: first,
            guest_address: first,
            length: end - first,
            is_writable: true,
        };
        let all = slot(0, 0x40_0000).parts();
        assert_eq!((all.len(), all[0], all[18]), (19, slot(0, 0xa_0000), slot(0x10_0000, 0x40_0000)));
        let hidden = [slot(0, 0xd_0000), slot(0xd_4000, 0x40_0000)].map(Slot::parts).concat();
        let gone: Vec<_> = all.into_iter().filter(|part| !hidden.contains(part)).collect();
        assert_eq!(gone, [slot(0xd_0000, 0xd_4000)]);
    }
}
