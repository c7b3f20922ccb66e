//! The 16550 does what its data sheet says.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod board;

use board::Board;
use rstest::rstest;

const COM1: u16 = 0x3f8;

fn board() -> Board {
    let board = Board::watched(&["com1"]);
    board.outb(COM1 + 4, 0x0b);
    board
}

fn typed(board: &Board, text: &[u8]) {
    board.wires.serial[0].type_in(text);
    board.bus.poll();
}

#[test]
fn what_is_sent_arrives_and_the_transmitter_is_always_empty() {
    let board = board();
    b"hi".iter().for_each(|byte| board.outb(COM1, *byte));
    assert_eq!(board.wires.serial[0].take(), b"hi");
    assert_eq!(board.inb(COM1 + 5), 0x60);
}

#[test]
fn what_is_typed_is_received_one_by_one() {
    let board = board();
    typed(&board, b"ab");
    assert_eq!(board.inb(COM1 + 5), 0x61);
    assert_eq!((board.inb(COM1), board.inb(COM1), board.inb(COM1)), (b'a', b'b', 0));
    assert_eq!(board.inb(COM1 + 5), 0x60);
}

#[test]
fn the_divisor_hides_data_and_interrupts() {
    let board = board();
    board.outb(COM1 + 3, 0x83);
    board.outb(COM1, 0x34);
    board.outb(COM1 + 1, 0x12);
    assert_eq!((board.inb(COM1), board.inb(COM1 + 1)), (0x34, 0x12));
    board.outb(COM1 + 3, 0x03);
    assert_eq!((board.inb(COM1 + 1), board.inb(COM1 + 3)), (0, 0x03));
    assert_eq!(board.wires.serial[0].take(), b"");
}

#[rstest]
#[case::scratch(7, 0xa5, 0xa5)]
#[case::interrupts(1, 0xff, 0x0f)]
#[case::modem(4, 0xff, 0x1f)]
fn registers_keep_what_they_have(#[case] offset: u16, #[case] written: u8, #[case] read: u8) {
    let board = board();
    board.outb(COM1 + offset, written);
    assert_eq!(board.inb(COM1 + offset), read);
}

#[test]
fn received_data_interrupt_until_they_are_read() {
    let board = board();
    board.outb(COM1 + 1, 0x01);
    typed(&board, b"x");
    assert_eq!(board.seen(), [(4, true)]);
    assert_eq!(board.inb(COM1 + 2), 0x04);
    assert_eq!(board.inb(COM1 + 2), 0x04, "reading the identity does not end it");
    board.inb(COM1);
    assert_eq!((board.seen(), board.inb(COM1 + 2)), (vec![(4, false)], 0x01));
}

#[test]
fn an_empty_transmitter_interrupts_until_it_is_identified() {
    let board = board();
    board.outb(COM1 + 1, 0x02);
    assert_eq!(board.seen(), [(4, true)]);
    assert_eq!(board.inb(COM1 + 2), 0x02);
    assert_eq!((board.seen(), board.inb(COM1 + 2)), (vec![(4, false)], 0x01));
    board.outb(COM1, b'x');
    assert_eq!(board.seen(), [(4, true)]);
}

#[test]
fn a_level_that_is_masked_is_there_again_when_it_is_unmasked() {
    let board = board();
    typed(&board, b"x");
    assert_eq!(board.seen(), []);
    board.outb(COM1 + 1, 0x01);
    board.outb(COM1 + 1, 0x00);
    board.outb(COM1 + 1, 0x01);
    assert_eq!(board.seen(), [(4, true), (4, false), (4, true)]);
}

#[test]
fn the_interrupt_goes_through_out2() {
    let board = board();
    board.outb(COM1 + 1, 0x02);
    board.outb(COM1 + 4, 0x03);
    assert_eq!(board.seen(), [(4, true), (4, false)]);
}

#[test]
fn the_fifo_has_triggers_and_a_timeout() {
    let board = board();
    board.outb(COM1 + 2, 0x87);
    board.outb(COM1 + 1, 0x01);
    typed(&board, &[1; 7]);
    assert_eq!(board.inb(COM1 + 2), 0xc1, "seven are below the trigger of eight");
    board.step(10_000_000);
    assert_eq!(board.inb(COM1 + 2), 0xcc);
    typed(&board, &[2]);
    assert_eq!(board.inb(COM1 + 2), 0xc4);
}

#[test]
fn the_fifo_holds_sixteen_and_the_rest_waits_outside() {
    let board = board();
    board.outb(COM1 + 2, 0x07);
    typed(&board, &(0..40).collect::<Vec<u8>>());
    let read: Vec<u8> = (0..40).map(|_| board.inb(COM1)).collect();
    assert_eq!(read, (0..40).collect::<Vec<u8>>());
}

#[test]
fn a_loop_receives_what_it_sends_and_overruns() {
    let board = board();
    board.outb(COM1 + 4, 0x1a);
    assert_eq!(board.inb(COM1 + 6) & 0xf0, 0x90, "OUT2 is DCD, RTS is CTS");
    board.outb(COM1, b'a');
    board.outb(COM1, b'b');
    assert_eq!(board.inb(COM1 + 5), 0x63);
    assert_eq!(board.inb(COM1 + 5), 0x61, "the error is told once");
    assert_eq!(board.inb(COM1), b'b');
    assert_eq!(board.wires.serial[0].take(), b"");
}

#[test]
fn changes_of_the_modem_are_told_once() {
    let board = board();
    assert_eq!(board.inb(COM1 + 6), 0xb0);
    board.outb(COM1 + 4, 0x10);
    assert_eq!(board.inb(COM1 + 6), 0x0b);
    assert_eq!(board.inb(COM1 + 6), 0x00);
}
