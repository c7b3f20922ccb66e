//! The block device: virtio 1.2, 5.2 "Block device".

use std::io;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Broken, Chain, Model, Rings};
use crate::Disk;

crate::virtio!("virtio-blk", "a disk", |wires| {
    let disk = wires.disks.take().unwrap_or_else(|| Disk::in_memory(Vec::new(), true));
    Box::new(Blk { disk, state: State::default() })
});

pub(crate) const BLOCK: u32 = 2;
/// The features: 5.2.3.
const SIZE_MAX: u64 = 1 << 1;
const SEG_MAX: u64 = 1 << 2;
const READ_ONLY: u64 = 1 << 5;
const BLK_SIZE: u64 = 1 << 6;
const FLUSH: u64 = 1 << 9;

/// How long a segment may be, how many a request may have, and so how much it may move: a request for more is not done.
const LONGEST: u32 = 1 << 17;
const SEGMENTS: u16 = 62;
const MOST: u64 = LONGEST as u64 * SEGMENTS as u64;
/// How much is moved at once.
const PIECE: u64 = 0x1_0000;

/// The types of requests, and how they end: 5.2.6.
const IN: u32 = 0;
const OUT: u32 = 1;
const FLUSH_REQUEST: u32 = 4;
const GET_ID: u32 = 8;
const OK: u8 = 0;
const IO_ERROR: u8 = 1;
const UNSUPPORTED: u8 = 2;
/// What a request begins with: its type, four bytes that mean nothing, its sector.
const HEADER: usize = 16;
const ID_LENGTH: usize = 20;
const ID: &[u8] = b"assay";

struct Blk {
    disk: Disk,
    state: State,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    /// Whether the driver asks for what it has written to be kept. It is kept at once for a driver that cannot ask: 5.2.5.
    flushes: bool,
}

impl Blk {
    /// Does a request. How many bytes were written to it, with its status.
    fn request(&self, chain: &Chain) -> Result<u32, Broken> {
        let mut header = [0; HEADER];
        chain.read(0, &mut header)?;
        let [a, b, c, d, _, _, _, _, sector @ ..] = header;
        let kind = u32::from_le_bytes([a, b, c, d]);
        let sector = u64::from_le_bytes(sector);
        // The status is the last byte that is written, wherever the buffers begin and end.
        let room = chain.writable().checked_sub(1).ok_or(Broken::Form)?;
        let (status, written) = match kind {
            IN => self.read(chain, sector, room),
            OUT => (self.write(chain, sector), 0),
            FLUSH_REQUEST => (status_of(self.disk.flush().is_ok()), 0),
            GET_ID => identify(chain, room),
            _ => (UNSUPPORTED, 0),
        };
        chain.write(room, &[status])?;
        // What lies before the status counts as written only if it was.
        Ok(u32::try_from(written).unwrap_or(0).saturating_add(1))
    }

    /// Where so many bytes from a sector on are, if they are sectors of the disk and no more than a request may move.
    fn place(&self, sector: u64, length: u64) -> Option<u64> {
        let count = length / Disk::SECTOR;
        let is_whole = length.is_multiple_of(Disk::SECTOR) && length <= MOST;
        let end = sector.checked_add(count).filter(|end| is_whole && *end <= self.disk.sectors())?;
        Some((end - count) * Disk::SECTOR)
    }

    fn read(&self, chain: &Chain, sector: u64, length: u64) -> (u8, u64) {
        let Some(from) = self.place(sector, length) else { return (IO_ERROR, 0) };
        let mut piece = vec![0; usize::try_from(length.min(PIECE)).unwrap_or(0)];
        let mut done = 0;
        while done < length {
            let part = &mut piece[..usize::try_from(PIECE.min(length - done)).unwrap_or(0)];
            if self.disk.read(from + done, part).is_err() || chain.write(done, part).is_err() {
                return (IO_ERROR, done);
            }
            done += part.len() as u64;
        }
        (OK, done)
    }

    fn write(&self, chain: &Chain, sector: u64) -> u8 {
        let Some(length) = chain.readable().checked_sub(HEADER as u64) else { return IO_ERROR };
        let Some(to) = self.place(sector, length).filter(|_| !self.disk.is_read_only()) else {
            return IO_ERROR;
        };
        let mut piece = vec![0; usize::try_from(length.min(PIECE)).unwrap_or(0)];
        let mut done = 0;
        while done < length {
            let part = &mut piece[..usize::try_from(PIECE.min(length - done)).unwrap_or(0)];
            if chain.read(HEADER as u64 + done, part).is_err() || self.disk.write(to + done, part).is_err() {
                return IO_ERROR;
            }
            done += part.len() as u64;
        }
        status_of(self.state.flushes || self.disk.flush().is_ok())
    }
}

fn status_of(is_done: bool) -> u8 {
    if is_done { OK } else { IO_ERROR }
}

/// Writes the name of the disk: 20 bytes, with zeroes behind what is shorter.
fn identify(chain: &Chain, room: u64) -> (u8, u64) {
    let mut id = [0; ID_LENGTH];
    id[..ID.len()].copy_from_slice(ID);
    let fits = room >= id.len() as u64 && chain.write(0, &id).is_ok();
    if fits { (OK, id.len() as u64) } else { (IO_ERROR, 0) }
}

impl Model for Blk {
    fn id(&self) -> u32 {
        BLOCK
    }

    fn features(&self) -> u64 {
        let read_only = if self.disk.is_read_only() { READ_ONLY } else { 0 };
        SIZE_MAX | SEG_MAX | BLK_SIZE | FLUSH | read_only
    }

    fn queues(&self) -> &'static [u16] {
        &[128]
    }

    /// The capacity in sectors, the longest segment, how many there may be, the geometry, which nobody has, and the size of a block.
    fn configuration(&self) -> Vec<u8> {
        let sector = 512_u32;
        let words = [LONGEST, SEGMENTS.into(), 0, sector].map(u32::to_le_bytes).concat();
        [self.disk.sectors().to_le_bytes().to_vec(), words].concat()
    }

    fn start(&mut self, features: u64) {
        self.state.flushes = features & FLUSH != 0;
    }

    fn work(&mut self, queue: usize, rings: &mut Rings<'_>) -> Result<(), Broken> {
        while let Some(chain) = rings.next(queue)? {
            let written = self.request(&chain)?;
            rings.give_back(queue, &chain, written)?;
        }
        Ok(())
    }

    fn reset(&mut self) {
        self.state = State::default();
    }

    fn flush(&self) -> io::Result<()> {
        self.disk.flush()
    }

    fn state(&self) -> Result<Value, serde_json::Error> {
        serde_json::to_value(&self.state)
    }

    fn load(&mut self, state: Value) -> Result<(), serde_json::Error> {
        self.state = serde_json::from_value(state)?;
        Ok(())
    }
}
