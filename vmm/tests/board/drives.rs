//! Disks and CD-ROM drives at the IDE channels, and their host's side.

use super::Board;
use vmm::clock::Clock;
use vmm::{Disk, Media, Ram, Space, Wires};

pub(crate) const READY: u8 = 0x50;
pub(crate) const ASKS: u8 = 0x58;
pub(crate) const FAILED: u8 = 0x51;
/// The function, and where it says that its ports are decoded.
pub(crate) const FUNCTION: u64 = 0x900;

/// A board with these in its drives, whose ports are decoded.
pub(crate) fn board(media: &[(usize, Media)]) -> Board {
    let wires = Wires::new(Ram::new(0x10_0000).unwrap(), Clock::stepped(), 1);
    wires.interrupts.watch(true);
    media.iter().for_each(|(number, media)| assert!(wires.drives.put(*number, media.clone())));
    let board = Board::of(&["piix-ide"], wires);
    decode(&board);
    board
}

pub(crate) fn decode(board: &Board) {
    board.bus.write(Space::Configuration, FUNCTION + 4, &[1]);
    board.bus.write(Space::Configuration, FUNCTION + 0x40, &[0, 0x80, 0, 0x80]);
}

/// A disk of so many sectors, each of which is filled with its number.
pub(crate) fn disk(sectors: u8, is_read_only: bool) -> Disk {
    Disk::in_memory((0..sectors).flat_map(|sector| [sector; 512]).collect(), is_read_only)
}

pub(crate) fn with_disk(is_read_only: bool) -> (Board, Disk) {
    let disk = disk(16, is_read_only);
    (board(&[(0, Media::Disk(disk.clone()))]), disk)
}

/// A disc of four blocks, in the first drive of the second channel.
pub(crate) fn with_disc() -> Board {
    board(&[(2, Media::Cdrom(disk(16, true)))])
}

impl Board {
    /// Reads from the data port, in accesses of so many bytes.
    pub(crate) fn data(&self, port: u64, length: usize, width: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        for piece in bytes.chunks_mut(width) {
            self.bus.read(Space::Ports, port, piece);
        }
        bytes
    }

    /// Writes registers from the features on, the last of which is the command.
    pub(crate) fn task(&self, base: u16, bytes: [u8; 7]) {
        for (register, byte) in (base + 1..).zip(bytes) {
            self.outb(register, byte);
        }
    }

    /// Has the disc's drive take a packet.
    pub(crate) fn packet(&self, limit: u16, packet: [u8; 12]) {
        let [low, high] = limit.to_le_bytes();
        self.task(0x170, [0, 0, 0, low, high, 0, 0xa0]);
        assert_eq!((self.inb(0x177), self.inb(0x172)), (ASKS, 1), "a packet is wanted");
        for word in packet.chunks(2) {
            self.bus.write(Space::Ports, 0x170, word);
        }
    }

    /// All that answers a packet, and in which parts.
    pub(crate) fn answer(&self) -> (Vec<u8>, Vec<usize>) {
        let (mut bytes, mut parts) = (Vec::new(), Vec::new());
        while self.inb(0x177) & 8 != 0 {
            assert_eq!(self.inb(0x172), 2, "data for the host");
            let length = usize::from(self.inb(0x174)) | usize::from(self.inb(0x175)) << 8;
            bytes.extend(self.data(0x170, length, 2));
            parts.push(length);
        }
        assert_eq!(self.inb(0x172), 3, "the end");
        (bytes, parts)
    }

    /// Writes two bytes to the data port of the first channel, so many times.
    pub(crate) fn give(&self, words: usize, bytes: [u8; 2]) {
        for _ in 0..words {
            self.bus.write(Space::Ports, 0x1f0, &bytes);
        }
    }
}
