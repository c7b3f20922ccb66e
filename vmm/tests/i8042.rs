//! The keyboard controller and its keyboard do what the technical reference says.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod board;

use board::Board;
use rstest::rstest;
use vmm::End;

fn board() -> Board {
    Board::watched(&["i8042"])
}

fn command(board: &Board, bytes: &[u8]) {
    board.outb(0x64, bytes[0]);
    bytes[1..].iter().for_each(|byte| board.outb(0x60, *byte));
}

fn answers(board: &Board) -> Vec<u8> {
    std::iter::from_fn(|| (board.inb(0x64) & 1 != 0).then(|| board.inb(0x60))).take(100).collect()
}

#[rstest]
#[case::self_test(&[0xaa], &[0x55])]
#[case::keyboard_line(&[0xab], &[0x00])]
#[case::mouse_line(&[0xa9], &[0x00])]
#[case::command_byte(&[0x20], &[0x45])]
#[case::output_port(&[0xd0], &[0x03])]
#[case::loop_of_the_keyboard(&[0xd2, 0x5a], &[0x5a])]
#[case::loop_of_the_mouse(&[0xd3, 0xa5], &[0xa5])]
#[case::no_mouse(&[0xd4, 0xf2], &[])]
#[case::nothing(&[0xf1], &[])]
fn the_controller_answers(#[case] bytes: &[u8], #[case] expected: &[u8]) {
    let board = board();
    command(&board, bytes);
    assert_eq!(answers(&board), expected);
}

#[rstest]
#[case::identity(&[0xf2], &[0xfa, 0xab, 0x41])]
#[case::echo(&[0xee], &[0xee])]
#[case::reset(&[0xff], &[0xfa, 0xaa])]
#[case::lights(&[0xed, 0x07], &[0xfa, 0xfa])]
#[case::scan_set(&[0xf0, 0x00], &[0xfa, 0xfa, 2])]
#[case::no_such_scan_set(&[0xf0, 0x09], &[0xfa, 0xfe])]
#[case::again(&[0xee, 0xfe], &[0xee, 0xee])]
#[case::no_command(&[0x01], &[0xfe])]
fn the_keyboard_answers(#[case] bytes: &[u8], #[case] expected: &[u8]) {
    let board = board();
    bytes.iter().for_each(|byte| board.outb(0x60, *byte));
    assert_eq!(answers(&board), expected);
}

#[test]
fn the_command_byte_is_kept_and_gates_the_interrupts() {
    let board = board();
    command(&board, &[0x60, 0x47]);
    command(&board, &[0x20]);
    assert_eq!(board.seen(), [(1, true)]);
    assert_eq!(answers(&board), [0x47]);
    assert_eq!(board.seen(), [(1, false)]);
    command(&board, &[0xd3, 1]);
    assert_eq!(board.seen(), [(12, true)]);
    assert_eq!(board.inb(0x64) & 0x21, 0x21);
}

#[test]
fn each_byte_interrupts_anew() {
    let board = board();
    board.outb(0x60, 0xff);
    assert_eq!(board.seen(), [(1, true)]);
    board.inb(0x60);
    assert_eq!(board.seen(), [(1, false), (1, true)]);
}

#[rstest]
#[case::pulse(&[0xfe], true)]
#[case::output_port(&[0xd1, 0xfe], true)]
#[case::a20_only(&[0xd1, 0xdd], false)]
fn the_reset_line_resets(#[case] bytes: &[u8], #[case] resets: bool) {
    let board = board();
    command(&board, bytes);
    assert_eq!(board.wires.power.asked(), resets.then_some(End::Reset));
}

#[test]
fn what_nobody_reads_does_not_pile_up() {
    let board = board();
    (0..1000).for_each(|_| board.outb(0x60, 0xee));
    assert!(answers(&board).len() <= 16);
}
