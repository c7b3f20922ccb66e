//! Chains of descriptors: virtio 1.2, 2.7.5 "The virtqueue descriptor table".

use thiserror::Error;
use virtio_queue::DescriptorChain;
use vm_memory::GuestMemoryMmap;
use vm_memory::bitmap::AtomicBitmap;

use crate::Ram;

/// What a driver must not do with a queue. The device says that it needs a reset, and does nothing more until it has got one: 2.1.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Broken {
    /// A ring is outside of RAM, at a bad address, or of a bad size.
    #[error("reach the ring")]
    Ring,
    /// More buffers are available than the ring has room for.
    #[error("believe the index of the available ring")]
    Index,
    /// A chain begins or goes on at a descriptor that is not there, or never ends.
    #[error("follow a chain to its end")]
    Endless,
    /// What the device reads comes behind what it writes.
    #[error("take a chain that is out of order")]
    Order,
    /// A buffer is not in RAM.
    #[error("reach a buffer")]
    Buffer,
    /// A chain lacks what the device's type asks for.
    #[error("take a chain without what it must have")]
    Form,
}

/// What a driver hands over at once: what the device reads, and then what it writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    pub(super) head: u16,
    readable: Vec<Buffer>,
    writable: Vec<Buffer>,
    ram: Held,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Buffer {
    address: u64,
    length: u32,
}

/// The RAM that the buffers are in.
#[derive(Clone, Debug)]
struct Held(Ram);

impl PartialEq for Held {
    /// All chains of a machine are in the same.
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Held {}

impl Chain {
    /// Follows a chain of at most so many descriptors to its end, all of whose buffers must be in RAM.
    pub(super) fn follow(
        mut chain: DescriptorChain<&GuestMemoryMmap<AtomicBitmap>>,
        most: u16,
        ram: &Ram,
    ) -> Result<Self, Broken> {
        let head = chain.head_index();
        let mut followed = Self { head, readable: Vec::new(), writable: Vec::new(), ram: Held(ram.clone()) };
        let mut goes_on = true;
        for descriptor in chain.by_ref().take(most.into()) {
            let buffer = Buffer { address: descriptor.addr().0, length: descriptor.len() };
            if !ram.holds(buffer.address, buffer.length.into()) {
                return Err(Broken::Buffer);
            }
            if descriptor.is_write_only() {
                followed.writable.push(buffer);
            } else if followed.writable.is_empty() {
                followed.readable.push(buffer);
            } else {
                return Err(Broken::Order);
            }
            goes_on = descriptor.has_next();
        }
        if goes_on { Err(Broken::Endless) } else { Ok(followed) }
    }

    /// How many bytes there are for the device to read.
    pub fn readable(&self) -> u64 {
        length(&self.readable)
    }

    /// How many bytes there are for the device to write.
    pub fn writable(&self) -> u64 {
        length(&self.writable)
    }

    /// Reads from `offset` on; all of it is there, or it is an error.
    pub fn read(&self, offset: u64, bytes: &mut [u8]) -> Result<(), Broken> {
        let mut rest = bytes;
        for (address, length) in pieces(&self.readable, offset) {
            let (piece, behind) = rest.split_at_mut(length.min(rest.len()));
            self.ram.0.read(address, piece).map_err(|_| Broken::Buffer)?;
            rest = behind;
        }
        if rest.is_empty() { Ok(()) } else { Err(Broken::Form) }
    }

    /// Writes from `offset` on; there is room for all of it, or it is an error.
    pub fn write(&self, offset: u64, bytes: &[u8]) -> Result<(), Broken> {
        let mut rest = bytes;
        for (address, length) in pieces(&self.writable, offset) {
            let (piece, behind) = rest.split_at(length.min(rest.len()));
            self.ram.0.write(address, piece).map_err(|_| Broken::Buffer)?;
            rest = behind;
        }
        if rest.is_empty() { Ok(()) } else { Err(Broken::Form) }
    }
}

fn length(buffers: &[Buffer]) -> u64 {
    buffers.iter().map(|buffer| u64::from(buffer.length)).sum()
}

/// What of the buffers lies behind so many bytes: where each piece is, and how long.
fn pieces(buffers: &[Buffer], offset: u64) -> impl Iterator<Item = (u64, usize)> {
    let mut before = offset;
    buffers.iter().filter_map(move |buffer| {
        let length = u64::from(buffer.length);
        let skipped = before.min(length);
        before -= skipped;
        let left = usize::try_from(length - skipped).unwrap_or(0);
        (left > 0).then_some((buffer.address + skipped, left))
    })
}
