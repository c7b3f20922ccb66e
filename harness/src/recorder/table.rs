//! The recorder's table: bits and counters in memory that the keeper shares with its child and with everything that this forks.
//!
//! Nothing of it is ever locked or grown: each thing that can be seen has its own bit, which is set where it is not set yet.
#![expect(unsafe_code, reason = "maps the table, and reaches it from every process that has the mapping")]

use std::io;
use std::ptr::NonNull;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering::Relaxed};

use super::index::COUNT;
use super::ioctl::Entry;
use crate::kvm::{Errno, Kind};

/// The kinds of descriptor, and what is none of KVM's.
pub(super) const KINDS: usize = 7;
/// How many words the answers to a command take: success is the first bit, each error the bit of its number.
const WORDS: usize = 3;
/// How many words the capabilities take, a bit for each.
const CAPS: usize = 8;
/// How many exit reasons there is room for.
const EXITS: usize = 64;

/// What was answered to each command on each kind of descriptor.
type Cells = [[[AtomicU64; WORDS]; COUNT]; KINDS];

/// What was seen.
#[repr(C)]
pub(crate) struct Table {
    native: Cells,
    compat: Cells,
    enabled: [AtomicU64; CAPS],
    exits: [Exit; EXITS],
    details: AtomicU64,
}

/// One exit reason.
#[repr(C)]
struct Exit {
    times: AtomicU64,
    /// What is left to the end of the counter above the shortest time, so that zero stands for none.
    haste: AtomicU64,
}

/// This process's table; none where nothing is recorded.
static SHARED: AtomicPtr<Table> = AtomicPtr::new(std::ptr::null_mut());

/// Records what this process asks the kernel, or does not: for benches that show what it costs. Keepers begin by themselves.
#[doc(hidden)]
pub fn recording(is_on: bool) -> io::Result<()> {
    static MADE: OnceLock<io::Result<&'static Table>> = OnceLock::new();
    let made = MADE.get_or_init(Table::map).as_ref();
    let table = made.map_err(|error| io::Error::other(error.to_string()))?;
    let table = if is_on { std::ptr::from_ref(*table).cast_mut() } else { std::ptr::null_mut() };
    SHARED.store(table, Relaxed);
    Ok(())
}

impl Table {
    /// The table of this process: none but in a keeper and what it forks.
    pub(super) fn shared() -> Option<&'static Self> {
        // SAFETY: what is there was mapped by `map`, is never unmapped, and is made of atomics alone.
        NonNull::new(SHARED.load(Relaxed)).map(|table| unsafe { table.as_ref() })
    }

    /// Makes the table that this process and all that it forks from now on write to.
    pub(crate) fn share() -> io::Result<&'static Self> {
        recording(true)?;
        Self::shared().ok_or_else(|| io::Error::other("the table is not there"))
    }

    fn map() -> io::Result<&'static Self> {
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let (flags, nowhere) = (libc::MAP_SHARED | libc::MAP_ANONYMOUS, std::ptr::null_mut());
        // SAFETY: a new mapping of memory that nobody has yet, at an address of the kernel's choice.
        let start = unsafe { libc::mmap(nowhere, size_of::<Self>(), access, flags, -1, 0) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::AddrNotAvailable)?;
        // SAFETY: the mapping is as long as a table, begins on a page, is zero, which is a table, and is never unmapped.
        Ok(unsafe { start.as_ref() })
    }

    /// Forgets everything. Nobody else may be writing.
    pub(crate) fn clear(&self) {
        let start = std::ptr::from_ref(self).cast::<AtomicU64>();
        for index in 0..size_of::<Self>() / size_of::<AtomicU64>() {
            // SAFETY: the table is made of such numbers alone, without anything between them.
            unsafe { &*start.add(index) }.store(0, Relaxed);
        }
    }

    pub(super) fn answered(
        &self,
        entry: Entry,
        kind: Option<Kind>,
        command: usize,
        answer: Result<i32, Errno>,
    ) {
        let bit = match answer {
            Ok(_) => 0,
            Err(Errno(errno)) => usize::try_from(errno).unwrap_or(0).clamp(1, WORDS * 64 - 1),
        };
        if let Some(words) = self.cells(entry).get(place(kind)).and_then(|commands| commands.get(command)) {
            set(&words[bit / 64], bit % 64);
        }
    }

    pub(super) fn enabled(&self, cap: u32) {
        if let Some(word) = self.enabled.get(cap as usize / 64) {
            set(word, cap as usize % 64);
        }
    }

    pub(super) fn exited(&self, reason: u32, nanoseconds: u64, details: u64) {
        if let Some(exit) = self.exits.get(reason as usize) {
            exit.times.fetch_add(1, Relaxed);
            let haste = u64::MAX - nanoseconds;
            if nanoseconds > 0 && exit.haste.load(Relaxed) < haste {
                exit.haste.fetch_max(haste, Relaxed);
            }
        }
        self.detailed(details);
    }

    pub(super) fn detailed(&self, details: u64) {
        if self.details.load(Relaxed) & details != details {
            self.details.fetch_or(details, Relaxed);
        }
    }

    /// The bits of the answers to a command: success, then the errors by number.
    pub(super) fn bits(&self, entry: Entry, kind: usize, command: usize) -> impl Iterator<Item = usize> + '_ {
        bits(&self.cells(entry)[kind][command])
    }

    /// The capabilities that were enabled, by number.
    pub(super) fn enabled_bits(&self) -> impl Iterator<Item = usize> + '_ {
        bits(&self.enabled)
    }

    /// The details that were seen.
    pub(super) fn detail_bits(&self) -> impl Iterator<Item = usize> + '_ {
        bits(std::slice::from_ref(&self.details))
    }

    /// The exit reasons that were seen, how often, and the shortest time where one is known.
    pub(super) fn exits(&self) -> impl Iterator<Item = (usize, u64, Option<u64>)> + '_ {
        let exits = self.exits.iter().enumerate().filter(|(_, exit)| exit.times.load(Relaxed) > 0);
        exits.map(|(reason, exit)| {
            let haste = exit.haste.load(Relaxed);
            (reason, exit.times.load(Relaxed), (haste > 0).then(|| u64::MAX - haste))
        })
    }

    fn cells(&self, entry: Entry) -> &Cells {
        match entry {
            Entry::Native => &self.native,
            Entry::Compat => &self.compat,
        }
    }
}

/// The place of a kind of descriptor.
fn place(kind: Option<Kind>) -> usize {
    match kind {
        Some(Kind::System) => 0,
        Some(Kind::Vm) => 1,
        Some(Kind::Vcpu) => 2,
        Some(Kind::Device) => 3,
        Some(Kind::GuestMemfd) => 4,
        Some(Kind::Stats) => 5,
        None => 6,
    }
}

/// Sets a bit. Mostly it is set already, and then the memory stays everybody's.
fn set(word: &AtomicU64, bit: usize) {
    let bit = 1 << bit;
    if word.load(Relaxed) & bit == 0 {
        word.fetch_or(bit, Relaxed);
    }
}

/// The bits that are set. Most words are zero: nothing is done for those, since each claim's end waits for this.
fn bits(words: &[AtomicU64]) -> impl Iterator<Item = usize> + '_ {
    words.iter().enumerate().flat_map(|(index, word)| {
        let mut left = word.load(Relaxed);
        std::iter::from_fn(move || {
            let bit = left.trailing_zeros() as usize;
            left &= left.checked_sub(1)?;
            Some(index * 64 + bit)
        })
    })
}
