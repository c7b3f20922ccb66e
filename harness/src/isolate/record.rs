//! The record of a child: one JSON value a line, in memory that it shares with its keeper.
//!
//! It is a mapping and no descriptor, so that a claim that closes every descriptor, or writes to every one, cannot hurt it. The first
//! eight bytes say how long the lines are, the next eight when the last one was written; only whole lines count.
#![expect(unsafe_code, reason = "maps the record, and writes to the mapping")]

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::process::memory_file;
use crate::{HostFault, Stop};

/// How much a record holds, in bytes; none of it is there before it is written.
const CAPACITY: usize = 64 << 20;
/// Where the time of the last line stands.
const WRITTEN_AT: usize = 8;
/// Where the lines begin.
const LINES: usize = 16;

/// The keeper's end: the memory itself.
pub(super) struct Record(File);

/// The child's end: a mapping of it.
pub(super) struct Pen(NonNull<u8>);

impl Record {
    /// An empty record.
    pub(super) fn new() -> io::Result<Self> {
        let file = memory_file("record").map_err(|stop| io::Error::other(format!("{stop:?}")))?;
        file.set_len(CAPACITY as u64)?;
        Ok(Self(file))
    }

    /// What writes to it.
    pub(super) fn pen(&self) -> io::Result<Pen> {
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let nowhere = std::ptr::null_mut();
        // SAFETY: a new mapping at an address of the kernel's choice. The file is as long as the mapping, and never shrinks.
        let start = unsafe { libc::mmap(nowhere, CAPACITY, access, libc::MAP_SHARED, self.0.as_raw_fd(), 0) };
        match NonNull::new(start.cast()).filter(|_| start != libc::MAP_FAILED) {
            Some(start) => Ok(Pen(start)),
            None => Err(io::Error::last_os_error()),
        }
    }

    /// When the last line was written, by [`now`]; zero before the first.
    pub(super) fn written_at(&self) -> Duration {
        Duration::from_nanos(self.number(WRITTEN_AT))
    }

    /// The lines that can be understood, from the last to the first.
    pub(super) fn lines_backwards<T: DeserializeOwned>(mut self) -> Vec<T> {
        let length = self.number(0).min((CAPACITY - LINES) as u64);
        let mut text = Vec::new();
        let read = self
            .0
            .seek(SeekFrom::Start(LINES as u64))
            .and_then(|_| (&self.0).take(length).read_to_end(&mut text));
        // What cannot be read is as if it had not been written: then the child's end tells.
        if read.is_err() {
            text.clear();
        }
        text.split(|byte| *byte == b'\n').rev().filter_map(|line| serde_json::from_slice(line).ok()).collect()
    }

    fn number(&self, offset: usize) -> u64 {
        let mut bytes = [0; 8];
        // As above.
        let _ = self.0.read_exact_at(&mut bytes, offset as u64);
        u64::from_ne_bytes(bytes)
    }
}

impl Pen {
    /// Writes one line.
    pub(super) fn write(&mut self, line: &impl Serialize) -> Result<(), Stop> {
        let fault = |why: String| Stop::HostFault(HostFault(format!("cannot write the case down: {why}")));
        let mut text = serde_json::to_vec(line).map_err(|error| fault(error.to_string()))?;
        text.push(b'\n');
        let length = self.at(0).load(Ordering::Relaxed);
        let start = usize::try_from(length).unwrap_or(CAPACITY).saturating_add(LINES);
        let end = start.saturating_add(text.len());
        if end > CAPACITY {
            return Err(fault(format!("the record holds {} MiB, and is full", CAPACITY >> 20)));
        }
        // SAFETY: the bytes lie within the mapping, behind all that was written, and nothing else of this process refers to them.
        unsafe {
            self.0.add(start).copy_from_nonoverlapping(NonNull::from(text.as_slice()).cast(), text.len())
        };
        let nanoseconds = u64::try_from(now().as_nanos()).unwrap_or(u64::MAX);
        self.at(WRITTEN_AT).store(nanoseconds, Ordering::Relaxed);
        self.at(0).store((end - LINES) as u64, Ordering::Release);
        Ok(())
    }

    fn at(&self, offset: usize) -> &AtomicU64 {
        // SAFETY: the mapping is longer than these numbers, begins on a page, and lasts as long as the process.
        unsafe { AtomicU64::from_ptr(self.0.add(offset).cast().as_ptr()) }
    }
}

/// The time on the clock that the child and its keeper share.
pub(super) fn now() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    Duration::try_from(now).unwrap_or_default()
}
