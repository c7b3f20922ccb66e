//! The i8254 does what its data sheet says.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod board;

use board::Board;
use rstest::rstest;

/// One tick lasts 838.1 ns.
fn ticks(count: u64) -> u64 {
    (count * 1_000_000_000).div_ceil(1_193_182)
}

fn program(board: &Board, control: u8, count: u16) {
    board.outb(0x43, control);
    let port = 0x40 + u16::from(control >> 6);
    let [low, high] = count.to_le_bytes();
    board.outb(port, low);
    board.outb(port, high);
}

fn count(board: &Board, counter: u8) -> u16 {
    board.outb(0x43, counter << 6);
    let port = 0x40 + u16::from(counter);
    u16::from_le_bytes([board.inb(port), board.inb(port)])
}

fn status(board: &Board, counter: u8) -> u8 {
    board.outb(0x43, 0xe0 | 2 << counter);
    board.inb(0x40 + u16::from(counter))
}

/// Puts the clock where a tick has just begun.
fn board() -> Board {
    let board = Board::watched(&["i8254"]);
    board.step(ticks(100));
    board
}

#[rstest]
#[case::mode_0(0x30, 10, &[(1, 10, 0), (4, 7, 0), (10, 1, 0), (11, 0, 1), (12, 0xffff, 1)])]
#[case::mode_2(0x34, 4, &[(1, 4, 1), (2, 3, 1), (4, 1, 0), (5, 4, 1), (8, 1, 0)])]
#[case::mode_3_even(0x36, 4, &[(1, 4, 1), (2, 2, 1), (3, 4, 0), (4, 2, 0), (5, 4, 1)])]
#[case::mode_3_odd(0x36, 5, &[(1, 4, 1), (2, 2, 1), (3, 0, 1), (4, 4, 0), (5, 2, 0), (6, 4, 1)])]
#[case::mode_4(0x38, 3, &[(1, 3, 1), (3, 1, 1), (4, 0, 0), (5, 0xffff, 1)])]
#[case::mode_6_is_2(0x3c, 4, &[(1, 4, 1), (4, 1, 0)])]
#[case::decimal(0x31, 0x12, &[(1, 0x12, 0), (4, 0x09, 0), (13, 0, 1), (14, 0x9999, 1)])]
fn counts_and_outputs_follow_the_mode(
    #[case] control: u8,
    #[case] initial: u16,
    #[case] expected: &[(u64, u16, u8)],
) {
    let board = board();
    program(&board, control, initial);
    let start = board.wires.clock.now();
    for &(tick, value, output) in expected {
        board.step(start + ticks(tick) - board.wires.clock.now());
        assert_eq!((count(&board, 0), status(&board, 0) >> 7), (value, output), "after {tick} ticks");
    }
}

#[test]
fn a_latched_count_stays_until_it_is_read() {
    let board = board();
    program(&board, 0x30, 1000);
    board.step(ticks(101));
    board.outb(0x43, 0x00);
    board.step(ticks(50));
    board.outb(0x43, 0x00);
    assert_eq!([board.inb(0x40), board.inb(0x40)], 900_u16.to_le_bytes());
    assert_eq!([board.inb(0x40), board.inb(0x40)], 850_u16.to_le_bytes());
}

#[test]
fn the_status_says_mode_access_and_whether_the_count_is_loaded() {
    let board = board();
    board.outb(0x43, 0x34);
    assert_eq!(status(&board, 0), 0xf4, "no count yet, and the output is high");
    board.outb(0x40, 0);
    board.outb(0x40, 1);
    board.step(ticks(2));
    assert_eq!(status(&board, 0), 0xb4);
    board.outb(0x43, 0xb1);
    assert_eq!(status(&board, 2) & 0x3f, 0x31);
}

#[test]
fn a_read_back_of_both_gives_the_status_first() {
    let board = board();
    program(&board, 0x30, 500);
    board.step(ticks(101));
    board.outb(0x43, 0xc2);
    assert_eq!(board.inb(0x40), 0x30);
    assert_eq!([board.inb(0x40), board.inb(0x40)], 400_u16.to_le_bytes());
}

#[rstest]
#[case::low(0x10, 0x34, 0x0034)]
#[case::high(0x20, 0x12, 0x1200)]
fn one_byte_is_enough_where_the_access_is_one(#[case] control: u8, #[case] byte: u8, #[case] value: u16) {
    let board = board();
    board.outb(0x43, control);
    board.outb(0x40, byte);
    board.step(ticks(2));
    let [low, high] = (value - 1).to_le_bytes();
    assert_eq!(board.inb(0x40), if control == 0x10 { low } else { high });
}

#[test]
fn the_first_byte_stops_mode_0() {
    let board = board();
    program(&board, 0x30, 5);
    board.step(ticks(10));
    assert_eq!(status(&board, 0) >> 7, 1);
    board.outb(0x40, 9);
    assert_eq!(status(&board, 0) >> 7, 0);
    board.step(ticks(100));
    assert_eq!(status(&board, 0) >> 7, 0);
}

#[test]
fn the_gate_of_the_speaker_holds_mode_0_and_triggers_mode_1() {
    let board = board();
    board.outb(0x61, 0);
    program(&board, 0xb0, 20);
    board.step(ticks(100));
    assert_eq!(count(&board, 2), 20);
    board.outb(0x61, 1);
    board.step(ticks(6));
    let held = count(&board, 2);
    assert!((14..=15).contains(&held), "{held}");
    board.outb(0x61, 0);
    board.step(ticks(50));
    assert_eq!(count(&board, 2), held);
    program(&board, 0xb2, 20);
    assert_eq!(board.inb(0x61) & 0x20, 0x20);
    board.outb(0x61, 1);
    board.step(ticks(5));
    assert_eq!(board.inb(0x61) & 0x23, 0x01);
    board.step(ticks(20));
    assert_eq!(board.inb(0x61) & 0x23, 0x21);
}

#[test]
fn a_new_count_of_mode_2_waits_for_the_end_of_the_period() {
    let board = board();
    program(&board, 0x34, 100);
    board.step(ticks(11));
    program_count(&board, 50);
    assert_eq!(status(&board, 0) & 0x40, 0x40);
    board.step(ticks(80));
    let left = count(&board, 0);
    assert!((9..=11).contains(&left), "{left}");
    board.step(ticks(20));
    let left = count(&board, 0);
    assert!((38..=42).contains(&left), "{left}");
}

fn program_count(board: &Board, count: u16) {
    let [low, high] = count.to_le_bytes();
    board.outb(0x40, low);
    board.outb(0x40, high);
}

#[test]
fn every_period_of_mode_2_interrupts_once() {
    let board = board();
    program(&board, 0x34, 1193);
    board.seen();
    board.step(10_000_000);
    let rises = board.seen().iter().filter(|(gsi, level)| *gsi == 0 && *level).count();
    assert!((9..=10).contains(&rises), "{rises} in ten milliseconds");
}

#[test]
fn a_long_sleep_costs_one_interrupt() {
    let board = board();
    program(&board, 0x36, 2);
    board.seen();
    board.wires.clock.set(board.wires.clock.now() + 3_600_000_000_000);
    board.bus.poll();
    let rises = board.seen().iter().filter(|(_, level)| *level).count();
    assert!((1..=2).contains(&rises), "{rises} after an hour");
}

#[test]
fn port_61_shows_the_refresh() {
    let board = board();
    let before = board.inb(0x61) & 0x10;
    board.step(15_000);
    assert_ne!(board.inb(0x61) & 0x10, before);
}

#[rstest]
#[case::one_shot(0xb2, 0x20)]
#[case::strobe(0xba, 0x20)]
fn a_triggered_counter_goes_on_while_its_gate_is_shut(#[case] control: u8, #[case] output: u8) {
    let board = board();
    board.outb(0x61, 0);
    program(&board, control, 20);
    board.outb(0x61, 1);
    board.step(ticks(5));
    board.outb(0x61, 0);
    let before = count(&board, 2);
    board.step(ticks(10));
    assert!((9..=11).contains(&(before - count(&board, 2))));
    board.step(ticks(10));
    assert_eq!(board.inb(0x61) & 0x20, output);
}

#[test]
fn a_new_count_of_mode_3_begins_with_the_other_half() {
    let board = board();
    program(&board, 0x36, 10);
    let start = board.wires.clock.now();
    board.step(ticks(3));
    program_count(&board, 20);
    board.seen();
    for (tick, output, rises) in
        [(5, 1, 0), (6, 0, 0), (15, 0, 0), (16, 1, 1), (25, 1, 0), (26, 0, 0), (36, 1, 1)]
    {
        board.step(start + ticks(tick) - board.wires.clock.now());
        let seen = board.seen().iter().filter(|(gsi, level)| *gsi == 0 && *level).count();
        assert_eq!((status(&board, 0) >> 7, seen), (output, rises), "after {tick} ticks");
    }
}

#[rstest]
#[case::one_shot(0xb2)]
#[case::rate(0xb4)]
#[case::square_wave(0xb6)]
fn a_trigger_loads_the_count_that_waits(#[case] control: u8) {
    let board = board();
    board.outb(0x61, 0);
    program(&board, control, 1000);
    board.outb(0x61, 1);
    board.step(ticks(10));
    [100, 0].into_iter().for_each(|byte| board.outb(0x42, byte));
    assert!(count(&board, 2) > 900, "it does not touch the count that runs");
    board.outb(0x61, 0);
    board.outb(0x61, 1);
    board.step(ticks(4));
    let left = count(&board, 2);
    assert!((90..=100).contains(&left), "{left}");
}
