//! Disks at the IDE channels, driven over the bus by programmed I/O.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod board;

use board::Board;
use board::drives::{ASKS, FAILED, FUNCTION, READY, board, decode, disk, with_disk};
use rstest::rstest;
use vmm::clock::Clock;
use vmm::{Access, Media, Ram, Space, Wires};

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
    assert_eq!((word(47), word(49), word(59)), (0x8010, 0xa00, 0), "16 sectors at once, and IORDY");
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
    board.give(256, [0xab, 0xcd]);
    assert_eq!((board.seen(), board.inb(0x1f7)), (vec![(14, true)], READY));
    let mut bytes = [0; 512];
    disk.read(sector * 512, &mut bytes).unwrap();
    assert_eq!(&bytes[..], [0xab, 0xcd].repeat(256));
}

#[rstest]
#[case::behind_the_end([0, 2, 15, 0, 0, 0x40, 0x20], 0x10)]
#[case::sector_zero_of_a_track([0, 1, 0, 0, 0, 0x00, 0x20], 0x10)]
#[case::unknown([0, 0, 0, 0, 0, 0, 0xa1], 0x04)]
#[case::several_that_nobody_has_set([0, 4, 0, 0, 0, 0x40, 0xc4], 0x04)]
#[case::too_many_at_once([0, 32, 0, 0, 0, 0, 0xc6], 0x04)]
#[case::no_power_of_two_at_once([0, 3, 0, 0, 0, 0, 0xc6], 0x04)]
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
fn a_transfer_goes_on_where_its_state_is_loaded() {
    let (here, _) = with_disk(true);
    let (there, _) = with_disk(true);
    here.task(0x1f0, [0, 2, 3, 0, 0, 0x40, 0x20]);
    here.data(0x1f0, 100, 2);
    there.bus.load("piix-ide", here.state()).unwrap();
    assert_eq!(there.state(), here.state());
    assert_eq!(there.data(0x1f0, 924, 4), [vec![3; 412], vec![4; 512]].concat());
}

#[test]
fn a_transfer_to_a_disk_goes_on_where_its_state_is_loaded() {
    let (here, _) = with_disk(false);
    let (there, disk) = with_disk(false);
    here.task(0x1f0, [0, 1, 3, 0, 0, 0x40, 0x30]);
    here.give(100, [0xab; 2]);
    there.bus.load("piix-ide", here.state()).unwrap();
    there.give(156, [0xcd; 2]);
    let mut sector = [0; 512];
    disk.read(3 * 512, &mut sector).unwrap();
    assert_eq!(sector[..], [vec![0xab; 200], vec![0xcd; 312]].concat());
}

#[test]
fn each_command_is_an_edge_also_where_the_status_has_not_been_seen() {
    let (board, _) = with_disk(false);
    board.outb(0x1f7, 0xe7);
    board.outb(0x1f7, 0xe7);
    assert_eq!(board.seen(), [(14, true), (14, false), (14, true)]);
}

#[test]
fn the_first_drive_alone_says_that_both_are_sound() {
    let board = board(&[(0, Media::Disk(disk(16, true))), (1, Media::Disk(disk(8, true)))]);
    board.outb(0x1f6, 0x10);
    board.outb(0x1f7, 0x90);
    assert_eq!((board.inb(0x1f6), board.inb(0x1f1), board.inb(0x1f7)), (0xa0, 1, READY));
    assert_eq!(board.seen(), [(14, true), (14, false)]);
    board.outb(0x1f6, 0x10);
    assert_eq!((board.inb(0x1f6), board.seen()), (0xb0, vec![]));
}

#[test]
fn a_second_drive_is_another_disk() {
    let board = board(&[(0, Media::Disk(disk(16, true))), (1, Media::Disk(disk(8, true)))]);
    board.task(0x1f0, [0, 1, 7, 0, 0, 0x50, 0x20]);
    assert_eq!((board.seen(), board.data(0x1f0, 512, 2)), (vec![(14, true)], vec![7; 512]));
    board.outb(0x1f6, 0x40);
    assert_eq!(board.seen(), [(14, false)], "the other drive does not ask");
    board.task(0x1f0, [0, 1, 8, 0, 0, 0x50, 0x20]);
    assert_eq!((board.inb(0x1f7), board.inb(0x1f1)), (FAILED, 0x10), "it is not as large");
}

#[test]
fn the_bytes_before_the_last_ones_can_be_read() {
    let (board, _) = with_disk(true);
    for (register, bytes) in [(0x1f2, [1, 2]), (0x1f3, [3, 4]), (0x1f4, [5, 6]), (0x1f5, [7, 8])] {
        bytes.into_iter().for_each(|byte| board.outb(register, byte));
    }
    board.outb(0x3f6, 0x80);
    assert_eq!([2, 3, 4, 5].map(|register| board.inb(0x1f0 + register)), [1, 3, 5, 7]);
    board.outb(0x1f6, 0x40);
    assert_eq!([2, 3, 4, 5].map(|register| board.inb(0x1f0 + register)), [2, 4, 6, 8]);
}

/// By a geometry of two heads and three sectors: cylinder, head and number, from one on.
#[rstest]
#[case::read(0x20)]
#[case::verified(0x40)]
fn the_last_sector_is_said_as_the_first_was(#[case] command: u8) {
    let (board, _) = with_disk(true);
    board.task(0x1f0, [0, 3, 0, 0, 0, 1, 0x91]);
    board.task(0x1f0, [0, 2, 3, 1, 0, 0, command]);
    while board.inb(0x1f7) & 8 != 0 {
        board.data(0x1f0, 512, 2);
    }
    assert_eq!([3, 4, 5, 6].map(|register| board.inb(0x1f0 + register)), [1, 1, 0, 0xa1]);
    board.outb(0x1f7, 0xf8);
    assert_eq!([3, 4, 5, 6].map(|register| board.inb(0x1f0 + register)), [1, 2, 0, 0xa1], "the last of all");
}

#[rstest]
#[case::of_28_bits(0xc4)]
#[case::of_48_bits(0x29)]
fn several_sectors_are_read_at_once(#[case] command: u8) {
    let (board, _) = with_disk(true);
    board.task(0x1f0, [0, 4, 0, 0, 0, 0, 0xc6]);
    assert_eq!((board.inb(0x1f7), board.seen().len()), (READY, 2));
    board.outb(0x1f2, 0);
    board.outb(0x1f3, 0);
    board.task(0x1f0, [0, 6, 2, 0, 0, 0x40, command]);
    let mut bytes = Vec::new();
    for length in [2048, 1024] {
        assert_eq!((board.inb(0x1f7), board.seen()), (ASKS, vec![(14, true), (14, false)]));
        bytes.extend(board.data(0x1f0, length, 4));
    }
    assert_eq!((board.inb(0x1f7), board.inb(0x1f3), board.inb(0x1f2)), (READY, 7, 0));
    assert_eq!(bytes, (2..8).flat_map(|sector| [sector; 512]).collect::<Vec<u8>>());
}

#[test]
fn several_sectors_are_written_at_once() {
    let (board, disk) = with_disk(false);
    board.task(0x1f0, [0, 2, 0, 0, 0, 0, 0xc6]);
    board.task(0x1f0, [0, 3, 5, 0, 0, 0x40, 0xc5]);
    let (status, _) = (board.inb(0x1f7), board.seen());
    assert_eq!(status, ASKS);
    for (words, status) in [(512, ASKS), (256, READY)] {
        board.give(words, [0xab; 2]);
        assert_eq!((board.seen(), board.inb(0x1f7)), (vec![(14, true)], status));
        board.seen();
    }
    let mut bytes = [0; 2048];
    disk.read(5 * 512, &mut bytes).unwrap();
    assert_eq!(bytes[..], [vec![0xab; 1536], vec![8; 512]].concat());
}

#[rstest]
#[case::kept(0x66, 3)]
#[case::not_kept(0xcc, 63)]
fn settings_stay_over_a_reset_if_they_are_to(#[case] feature: u8, #[case] sectors: u16) {
    let (board, _) = with_disk(true);
    board.task(0x1f0, [feature, 0, 0, 0, 0, 0, 0xef]);
    board.task(0x1f0, [0, 3, 0, 0, 0, 1, 0x91]);
    [4, 0].into_iter().for_each(|byte| board.outb(0x3f6, byte));
    board.outb(0x1f7, 0xec);
    board.data(0x1f0, 112, 2);
    assert_eq!(board.inw(0x1f0), sectors);
    board.bus.reset();
    decode(&board);
    board.outb(0x1f7, 0xec);
    board.data(0x1f0, 112, 2);
    assert_eq!(board.inw(0x1f0), 63, "a reset of the machine is another");
}
