//! The MC146818 does what its data sheet says.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod board;

use board::Board;
use rstest::rstest;

const SECOND: u64 = 1_000_000_000;

fn read(board: &Board, cell: u8) -> u8 {
    board.outb(0x70, cell);
    board.inb(0x71)
}

fn write(board: &Board, cell: u8, byte: u8) {
    board.outb(0x70, cell);
    board.outb(0x71, byte);
}

/// Sets the time in the form of register B.
fn set(board: &Board, b: u8, time: [u8; 6]) {
    write(board, 0xb, 0x80 | b);
    for (cell, byte) in [0, 2, 4, 7, 8, 9].into_iter().zip(time) {
        write(board, cell, byte);
    }
    write(board, 0x32, if b & 4 != 0 { 20 } else { 0x20 });
    write(board, 0xb, b);
}

fn time(board: &Board) -> [u8; 6] {
    [0, 2, 4, 7, 8, 9].map(|cell| read(board, cell))
}

#[test]
fn it_begins_with_the_time_of_the_clock() {
    let board = Board::watched(&["mc146818"]);
    assert_eq!(time(&board), [0, 0, 0, 1, 1, 0]);
    assert_eq!((read(&board, 6), read(&board, 0x32)), (7, 0x20), "a Saturday of the year 2000");
    board.step(3 * SECOND);
    assert_eq!(read(&board, 0), 3);
}

#[rstest]
#[case::decimal(0x02, [0x59, 0x59, 0x23, 0x28, 0x02, 0x24], [0, 0, 0, 0x29, 0x02, 0x24])]
#[case::binary(0x06, [59, 59, 23, 31, 12, 99], [0, 0, 0, 1, 1, 0])]
#[case::twelve_hours(0x00, [0x59, 0x59, 0x11, 0x01, 0x01, 0x01], [0, 0, 0x92, 0x01, 0x01, 0x01])]
#[case::midnight(0x04, [59, 59, 0x80 | 11, 30, 4, 25], [0, 0, 12, 1, 5, 25])]
fn a_second_carries_over(#[case] b: u8, #[case] before: [u8; 6], #[case] after: [u8; 6]) {
    let board = Board::watched(&["mc146818"]);
    set(&board, b, before);
    board.step(SECOND);
    assert_eq!(time(&board), after);
}

#[test]
fn what_is_being_set_stands_still() {
    let board = Board::watched(&["mc146818"]);
    write(&board, 0xb, 0x82);
    board.step(5 * SECOND);
    assert_eq!(read(&board, 0), 0);
    write(&board, 0xb, 0x02);
    board.step(SECOND);
    assert_eq!(read(&board, 0), 1);
}

#[test]
fn an_update_is_announced() {
    let board = Board::watched(&["mc146818"]);
    board.step(SECOND / 2);
    assert_eq!(read(&board, 0xa) & 0x80, 0);
    board.step(SECOND / 2 - 1_000_000);
    assert_eq!(read(&board, 0xa) & 0x80, 0x80);
    board.step(1_000_000);
    assert_eq!(read(&board, 0xa) & 0x80, 0);
}

#[test]
fn the_end_of_an_update_interrupts_until_it_is_read() {
    let board = Board::watched(&["mc146818"]);
    write(&board, 0xb, 0x12);
    board.step(SECOND);
    assert_eq!(board.seen(), [(8, true)]);
    assert_eq!(read(&board, 0xc) & 0xb0, 0x90);
    assert_eq!(board.seen(), [(8, false)]);
    assert_eq!(read(&board, 0xc), 0);
}

#[test]
fn the_alarm_interrupts_at_its_time_and_cells_of_ones_match_all() {
    let board = Board::watched(&["mc146818"]);
    for (cell, byte) in [(1, 0x05), (3, 0xff), (5, 0xc0), (0xb, 0x22)] {
        write(&board, cell, byte);
    }
    board.step(4 * SECOND);
    assert_eq!(board.seen(), []);
    board.step(SECOND);
    assert_eq!(board.seen(), [(8, true)]);
    assert_eq!(read(&board, 0xc) & 0xa0, 0xa0);
    board.step(60 * SECOND);
    assert_eq!(board.seen(), [(8, false), (8, true)]);
}

#[test]
fn the_periodic_interrupt_has_its_rate() {
    let board = Board::watched(&["mc146818"]);
    write(&board, 0xa, 0x2f);
    write(&board, 0xb, 0x42);
    let mut count = 0;
    for _ in 0..20 {
        board.step(SECOND / 10);
        count += u32::from(read(&board, 0xc) & 0x40 != 0);
    }
    assert_eq!(count, 4, "at 2 Hz for two seconds");
}

#[test]
fn memory_is_kept_and_says_how_much_there_is() {
    let board = Board::watched(&["mc146818"]);
    write(&board, 0x7f, 0xa5);
    assert_eq!((read(&board, 0x7f), read(&board, 0xd)), (0xa5, 0x80));
    assert_eq!((read(&board, 0x15), read(&board, 0x16)), (0x80, 0x02), "640 KiB");
    assert_eq!(read(&board, 0x5f), 1, "two processors");
    assert_eq!(board.inb(0x70), 0xff);
}

#[test]
fn a_reset_takes_interrupts_away_and_leaves_clock_and_memory() {
    let board = Board::watched(&["mc146818"]);
    set(&board, 0x06, [30, 15, 12, 24, 12, 33]);
    write(&board, 0x0f, 0xa5);
    write(&board, 0xb, 0x7e);
    board.step(SECOND);
    board.bus.reset();
    assert_eq!(board.seen().last(), Some(&(8, false)));
    assert_eq!((read(&board, 0xb), read(&board, 0xc)), (0x06, 0));
    assert_eq!((time(&board), read(&board, 0x0f)), ([31, 15, 12, 24, 12, 33], 0xa5));
}

#[test]
fn the_first_second_behind_the_divider_is_half_as_long_even_while_the_time_is_set() {
    let board = Board::with(&["mc146818"]);
    for (cell, byte) in [(0x0b, 0x82), (0, 0x10), (0x0a, 0x70), (0x0a, 0x20), (0x0b, 0x02)] {
        write(&board, cell, byte);
    }
    board.step(499_999_999);
    assert_eq!(read(&board, 0), 0x10);
    board.step(1);
    assert_eq!(read(&board, 0), 0x11);
}
