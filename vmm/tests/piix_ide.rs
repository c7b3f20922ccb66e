//! Disks and CD-ROM drives at the IDE channels, driven over the bus by programmed I/O.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod board;

use board::Board;
use rstest::rstest;
use vmm::clock::Clock;
use vmm::{Access, Disk, Drives, Media, Ram, Space, Wires};

const READY: u8 = 0x50;
const ASKS: u8 = 0x58;
const FAILED: u8 = 0x51;
/// The function, and where it says that its ports are decoded.
const FUNCTION: u64 = 0x900;

/// A board with these in its drives, whose ports are decoded.
fn board(media: &[(usize, Media)]) -> Board {
    let wires = Wires::new(Ram::new(0x10_0000).unwrap(), Clock::stepped(), 1);
    wires.interrupts.watch(true);
    media.iter().for_each(|(number, media)| assert!(wires.drives.put(*number, media.clone())));
    let board = Board::of(&["piix-ide"], wires);
    decode(&board);
    board
}

fn decode(board: &Board) {
    board.bus.write(Space::Configuration, FUNCTION + 4, &[1]);
    board.bus.write(Space::Configuration, FUNCTION + 0x40, &[0, 0x80, 0, 0x80]);
}

/// A disk of so many sectors, each of which is filled with its number.
fn disk(sectors: u8, is_read_only: bool) -> Disk {
    Disk::in_memory((0..sectors).flat_map(|sector| [sector; 512]).collect(), is_read_only)
}

fn with_disk(is_read_only: bool) -> (Board, Disk) {
    let disk = disk(16, is_read_only);
    (board(&[(0, Media::Disk(disk.clone()))]), disk)
}

/// A disc of four blocks, in the first drive of the second channel.
fn with_disc() -> Board {
    board(&[(2, Media::Cdrom(disk(16, true)))])
}

impl Board {
    fn inw(&self, port: u64) -> u16 {
        let mut word = [0; 2];
        self.bus.read(Space::Ports, port, &mut word);
        u16::from_le_bytes(word)
    }

    /// Reads from the data port, in accesses of so many bytes.
    fn data(&self, port: u64, length: usize, width: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        for piece in bytes.chunks_mut(width) {
            self.bus.read(Space::Ports, port, piece);
        }
        bytes
    }

    /// Writes registers from the features on, the last of which is the command.
    fn task(&self, base: u16, bytes: [u8; 7]) {
        for (register, byte) in (base + 1..).zip(bytes) {
            self.outb(register, byte);
        }
    }

    /// Has the disc's drive take a packet.
    fn packet(&self, limit: u16, packet: [u8; 12]) {
        let [low, high] = limit.to_le_bytes();
        self.task(0x170, [0, 0, 0, low, high, 0, 0xa0]);
        assert_eq!((self.inb(0x177), self.inb(0x172)), (ASKS, 1), "a packet is wanted");
        for word in packet.chunks(2) {
            self.bus.write(Space::Ports, 0x170, word);
        }
    }

    /// All that answers a packet, and in which parts.
    fn answer(&self) -> (Vec<u8>, Vec<usize>) {
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
}

#[test]
fn ports_are_decoded_only_where_the_function_says_so() {
    let wires = Wires::new(Ram::new(0x1000).unwrap(), Clock::stepped(), 1);
    let board = Board::of(&["piix-ide"], wires);
    let mut status = [0];
    assert_eq!(board.bus.read(Space::Ports, 0x1f7, &mut status), Access::NoRegister);
    board.bus.write(Space::Configuration, FUNCTION + 4, &[1]);
    board.bus.write(Space::Configuration, FUNCTION + 0x42, &[0, 0x80]);
    assert_eq!(board.bus.read(Space::Ports, 0x1f7, &mut status), Access::NoRegister);
    assert_eq!(board.bus.read(Space::Ports, 0x177, &mut status), Access::Done);
    assert_eq!(status, [0x7f], "nobody is at the cable");
}

#[rstest]
#[case::disk(0x1f0, [1, 1, 0, 0], READY)]
#[case::disc(0x170, [1, 1, 0x14, 0xeb], 0)]
fn drives_say_what_they_are_behind_a_reset(
    #[case] base: u16,
    #[case] signature: [u8; 4],
    #[case] status: u8,
) {
    let board = board(&[(0, Media::Disk(disk(1, true))), (2, Media::Cdrom(disk(4, true)))]);
    board.outb(base + 0x206, 4);
    assert_eq!(board.inb(base + 7), 0x80);
    board.outb(base + 0x206, 0);
    assert_eq!([2, 3, 4, 5].map(|register| board.inb(base + register)), signature);
    assert_eq!((board.inb(base + 1), board.inb(base + 7)), (1, status));
}

#[test]
fn a_disk_says_how_large_it_is() {
    let (board, _) = with_disk(false);
    board.task(0x1f0, [0, 0, 0, 0, 0, 0, 0xec]);
    assert_eq!(board.seen(), [(14, true)]);
    assert_eq!((board.inb(0x1f7), board.seen()), (ASKS, vec![(14, false)]));
    let bytes = board.data(0x1f0, 512, 2);
    let word = |at: usize| u16::from_le_bytes([bytes[2 * at], bytes[2 * at + 1]]);
    assert_eq!((word(3), word(6), word(60), word(61), word(100)), (16, 63, 16, 0, 16));
    assert_eq!(word(63) | word(88), 0, "no DMA");
    assert_eq!(&bytes[54..64], b"sAas yidks");
    assert_eq!(board.inb(0x1f7), READY);
}

#[rstest]
#[case::words(2)]
#[case::double_words(4)]
fn sectors_are_read_one_by_one(#[case] width: usize) {
    let (board, _) = with_disk(true);
    board.task(0x1f0, [0, 2, 3, 0, 0, 0x40, 0x20]);
    let mut sectors = Vec::new();
    while board.inb(0x1f7) & 8 != 0 {
        assert_eq!(board.seen(), [(14, true), (14, false)], "one interrupt for each");
        sectors.extend(board.data(0x1f0, 512, width));
    }
    assert_eq!(sectors, [[3; 512], [4; 512]].concat());
    assert_eq!((board.inb(0x1f3), board.inb(0x1f2), board.seen()), (4, 0, vec![]));
}

#[rstest]
#[case::linear([0, 1, 15, 0, 0, 0x40, 0x30], 15)]
#[case::extended([0, 1, 7, 0, 0, 0x40, 0x34], 7)]
#[case::by_cylinder_head_and_sector([0, 1, 6, 0, 0, 0x00, 0x30], 5)]
fn a_sector_is_written(#[case] task: [u8; 7], #[case] sector: u64) {
    let (board, disk) = with_disk(false);
    board.outb(0x1f2, 0);
    board.outb(0x1f3, 0);
    board.task(0x1f0, task);
    assert_eq!((board.inb(0x1f7), board.seen()), (ASKS, vec![]));
    for _ in 0..256 {
        board.bus.write(Space::Ports, 0x1f0, &[0xab, 0xcd]);
    }
    assert_eq!((board.seen(), board.inb(0x1f7)), (vec![(14, true)], READY));
    let mut bytes = [0; 512];
    disk.read(sector * 512, &mut bytes).unwrap();
    assert_eq!(&bytes[..], [0xab, 0xcd].repeat(256));
}

#[rstest]
#[case::behind_the_end([0, 2, 15, 0, 0, 0x40, 0x20], 0x10)]
#[case::sector_zero_of_a_track([0, 1, 0, 0, 0, 0x00, 0x20], 0x10)]
#[case::unknown([0, 0, 0, 0, 0, 0, 0xa1], 0x04)]
#[case::multiple([0, 4, 0, 0, 0, 0, 0xc6], 0x04)]
#[case::dma_mode([3, 0x22, 0, 0, 0, 0, 0xef], 0x04)]
#[case::read_only([0, 1, 0, 0, 0, 0x40, 0x30], 0x04)]
fn what_cannot_be_done_is_an_error(#[case] task: [u8; 7], #[case] error: u8) {
    let (board, _) = with_disk(true);
    board.task(0x1f0, task);
    assert_eq!((board.inb(0x1f7), board.inb(0x1f1)), (FAILED, error));
}

#[test]
fn interrupts_can_be_kept_away() {
    let (board, _) = with_disk(false);
    board.outb(0x3f6, 2);
    board.task(0x1f0, [0, 0, 0, 0, 0, 0, 0xe7]);
    assert_eq!((board.seen(), board.inb(0x3f6)), (vec![], READY));
    board.outb(0x3f6, 0);
    assert_eq!(
        board.seen(),
        [(14, true)],
        "it has not been seen by the status that is at the control register"
    );
}

#[test]
fn a_drive_that_is_alone_answers_for_the_other() {
    let (board, _) = with_disk(false);
    board.outb(0x1f6, 0x10);
    assert_eq!((board.inb(0x1f7), board.inb(0x1f2)), (0, 0));
    board.outb(0x1f7, 0xec);
    assert_eq!((board.inb(0x1f7), board.seen()), (0, vec![]));
}

#[test]
fn a_disc_is_identified_by_its_own_command() {
    let board = with_disc();
    board.task(0x170, [0, 0, 0, 0, 0, 0, 0xec]);
    assert_eq!((board.inb(0x177) & 1, board.inb(0x174), board.inb(0x175)), (1, 0x14, 0xeb));
    board.task(0x170, [0, 0, 0, 0, 0, 0, 0xa1]);
    assert_eq!(board.inw(0x170), 0x85c0);
}

#[rstest]
#[case::capacity([0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], vec![0, 0, 0, 3, 0, 0, 8, 0])]
#[case::inquiry([0x12, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0], vec![5, 0x80, 0, 0x21, 31, 0, 0, 0])]
#[case::contents(
    [0x43, 0, 0, 0, 0, 0, 0, 0, 20, 0, 0, 0],
    vec![0, 18, 1, 1, 0, 0x14, 1, 0, 0, 0, 0, 0, 0, 0x14, 0xaa, 0, 0, 0, 0, 4]
)]
#[case::contents_in_time([0x43, 2, 0, 0, 0, 0, 0xaa, 0, 12, 0, 0, 0], vec![0, 10, 1, 1, 0, 0x14, 0xaa, 0, 0, 0, 2, 4])]
#[case::mode([0x5a, 0, 0x2a, 0, 0, 0, 0, 0, 8, 0, 0, 0], vec![0, 26, 1, 0, 0, 0, 0, 0])]
#[case::no_more_than_there_is_room([0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], vec![0, 0, 0, 3, 0, 0, 8, 0])]
#[case::nothing([0x00, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], vec![])]
fn packets_are_answered(#[case] packet: [u8; 12], #[case] expected: Vec<u8>) {
    let board = with_disc();
    board.packet(0xfffe, packet);
    assert_eq!(board.answer().0, expected);
    assert_eq!(board.inb(0x177), READY);
}

#[rstest]
#[case::all_at_once(0xfffe, vec![4096])]
#[case::block_by_block(2048, vec![2048, 2048])]
#[case::in_odd_parts(3001, vec![3000, 1096])]
fn blocks_are_read_in_parts(#[case] limit: u16, #[case] parts: Vec<usize>) {
    let board = with_disc();
    board.packet(limit, [0x28, 0, 0, 0, 0, 1, 0, 0, 2, 0, 0, 0]);
    let expected: Vec<u8> = (4..12).flat_map(|sector| [sector; 512]).collect();
    assert_eq!(board.answer(), (expected, parts));
}

#[rstest]
#[case::behind_the_end([0x28, 0, 0, 0, 0, 3, 0, 0, 2, 0, 0, 0], (0x05, 0x21))]
#[case::unknown([0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], (0x05, 0x20))]
#[case::page([0x5a, 0, 0x3e, 0, 0, 0, 0, 0, 8, 0, 0, 0], (0x05, 0x24))]
fn a_packet_that_fails_says_why_when_it_is_asked(#[case] packet: [u8; 12], #[case] sense: (u8, u8)) {
    let board = with_disc();
    board.packet(0xfffe, packet);
    assert_eq!((board.inb(0x177), board.inb(0x171) >> 4), (FAILED, sense.0));
    board.packet(0xfffe, [3, 0, 0, 0, 18, 0, 0, 0, 0, 0, 0, 0]);
    let (answered, _) = board.answer();
    assert_eq!((answered[2], answered[12]), sense);
}

#[test]
fn an_empty_drive_is_not_ready() {
    let board = board(&[(2, Media::Cdrom(Disk::in_memory(Vec::new(), true)))]);
    board.packet(0xfffe, [0; 12]);
    assert_eq!((board.inb(0x177), board.inb(0x171) >> 4), (FAILED, 2));
}

#[test]
fn a_transfer_goes_on_where_its_state_is_loaded() {
    let (here, _) = with_disk(true);
    let (there, _) = with_disk(true);
    here.task(0x1f0, [0, 2, 3, 0, 0, 0x40, 0x20]);
    here.data(0x1f0, 100, 2);
    there.bus.load("piix-ide", here.state()).unwrap();
    assert_eq!(there.state(), here.state());
    assert_eq!(there.data(0x1f0, 924, 4), [vec![3; 412], vec![4; 512]].concat());
    assert_eq!(Drives::COUNT, 4);
}
