//! CD-ROM drives at the IDE channels, driven over the bus by packets.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod board;

use board::drives::{FAILED, READY, board, with_disc};
use rstest::rstest;
use vmm::{Disk, Media};

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
#[case::no_more_than_there_is_room([0x43, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0], vec![0, 18, 1, 1])]
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
fn a_packet_goes_on_where_its_state_is_loaded() {
    let (here, there) = (with_disc(), with_disc());
    here.packet(2048, [0x28, 0, 0, 0, 0, 1, 0, 0, 2, 0, 0, 0]);
    let mut bytes = here.data(0x170, 1000, 2);
    there.bus.load("piix-ide", here.state()).unwrap();
    bytes.extend(there.data(0x170, 1048, 2));
    bytes.extend(there.answer().0);
    assert_eq!(bytes, (4..12).flat_map(|sector| [sector; 512]).collect::<Vec<u8>>());
}

#[test]
fn why_a_packet_failed_is_forgotten_with_the_next() {
    let board = with_disc();
    board.packet(0xfffe, [0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    board.packet(0xfffe, [0; 12]);
    board.packet(0xfffe, [3, 0, 0, 0, 18, 0, 0, 0, 0, 0, 0, 0]);
    let (answered, _) = board.answer();
    assert_eq!((answered[2], answered[12]), (0, 0));
}
