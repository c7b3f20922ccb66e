//! The firmware configuration answers by port and by DMA as QEMU's document says.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod board;

use board::Board;
use rstest::rstest;
use vmm::{Access, Space};

fn board() -> Board {
    let board = Board::with(&["fw-cfg"]);
    board.wires.items.add("etc/one", b"first".to_vec()).unwrap();
    board.wires.items.add("etc/two", vec![7; 5000]).unwrap();
    board
}

fn select(board: &Board, key: u16) {
    board.bus.write(Space::Ports, 0x510, &key.to_le_bytes());
}

fn read(board: &Board, key: u16, length: usize) -> Vec<u8> {
    select(board, key);
    (0..length).map(|_| board.inb(0x511)).collect()
}

/// Gives a DMA command at 0x1000 and says what is there afterwards.
fn dma(board: &Board, control: u32, length: u32, address: u64) -> u32 {
    let command = [&control.to_be_bytes()[..], &length.to_be_bytes(), &address.to_be_bytes()].concat();
    board.wires.ram.write(0x1000, &command).unwrap();
    board.bus.write(Space::Ports, 0x514, &0_u32.to_be_bytes());
    board.bus.write(Space::Ports, 0x518, &0x1000_u32.to_be_bytes());
    let mut ended = [0; 4];
    board.wires.ram.read(0x1000, &mut ended).unwrap();
    u32::from_be_bytes(ended)
}

#[rstest]
#[case::signature(0, b"QEMU\0\0")]
#[case::identity(1, &[3, 0, 0, 0])]
#[case::ram(3, &[0, 0, 0x10, 0, 0, 0, 0, 0])]
#[case::processors(5, &[2, 0])]
#[case::nothing(0x7f, &[0, 0])]
#[case::of_the_architecture(0x8003, &[0, 0, 0])]
#[case::first_file(0x20, b"first\0")]
fn items_are_read_byte_by_byte(#[case] key: u16, #[case] expected: &[u8]) {
    assert_eq!(read(&board(), key, expected.len()), expected);
}

#[test]
fn the_directory_lists_the_files() {
    let directory = read(&board(), 0x19, 4 + 2 * 64);
    assert_eq!(directory[..4], [0, 0, 0, 2]);
    assert_eq!(directory[4..12], [0, 0, 0, 5, 0, 0x20, 0, 0]);
    assert_eq!(&directory[12..20], b"etc/one\0");
    assert_eq!(directory[68..76], [0, 0, 0x13, 0x88, 0, 0x21, 0, 0]);
}

#[test]
fn dma_announces_itself_and_copies() {
    let board = board();
    let mut letters = [0; 4];
    board.bus.read(Space::Ports, 0x514, &mut letters);
    assert_eq!(&letters, b"QEMU");
    assert_eq!(dma(&board, 0x21 << 16 | 0x0a, 5001, 0x2000), 0);
    let mut copied = vec![0xee; 5002];
    board.wires.ram.read(0x2000, &mut copied).unwrap();
    assert!(copied[..5000].iter().all(|byte| *byte == 7));
    assert_eq!(copied[5000..], [0, 0]);
}

#[test]
fn dma_skips() {
    let board = board();
    assert_eq!(dma(&board, 0x20 << 16 | 0x0c, 2, 0), 0);
    assert_eq!(dma(&board, 0x02, 3, 0x2000), 0);
    let mut copied = [0; 3];
    board.wires.ram.read(0x2000, &mut copied).unwrap();
    assert_eq!(&copied, b"rst");
}

#[rstest]
#[case::behind_ram(0x0010_0000, 4)]
#[case::over_the_end(0x000f_ffff, 2)]
#[case::far_away(u64::MAX - 1, 4)]
#[case::more_than_there_is(0, u32::MAX)]
fn dma_out_of_ram_is_an_error_and_does_nothing(#[case] address: u64, #[case] length: u32) {
    let board = board();
    assert_eq!(dma(&board, 0x20 << 16 | 0x0a, length, address), 1);
    let mut byte = [0xee];
    board.wires.ram.read(0xf_ffff, &mut byte).unwrap();
    assert_eq!(byte, [0]);
}

#[test]
fn nothing_can_be_written() {
    let board = board();
    assert_eq!(dma(&board, 0x20 << 16 | 0x18, 4, 0x2000), 1);
    select(&board, 0x20);
    assert_eq!(board.bus.write(Space::Ports, 0x511, &[0]), Access::Done);
    assert_eq!(read(&board, 0x20, 5), b"first");
}
