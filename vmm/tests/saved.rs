//! A saved state goes on in a machine whose clock shows another time as it would have in its own.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod board;

use board::Board;
use rstest::rstest;

const SECOND: u64 = 1_000_000_000;

fn program(board: &Board, writes: &[(u16, u8)]) {
    writes.iter().for_each(|(port, byte)| board.outb(*port, *byte));
}

/// An interrupt that falls due when nobody looks any more is not told by taking the state over, when the controllers still have
/// theirs before them, but by the next poll.
#[rstest]
#[case::counter("i8254", &[(0x43, 0x38), (0x40, 0x10), (0x40, 0x00)], 0)]
#[case::periodic("mc146818", &[(0x70, 0x0b), (0x71, 0x42)], 8)]
#[case::power("piix4-pm", &[(0x602, 0x01)], 9)]
#[case::timeout("com1", &[(0x3fa, 0x87), (0x3f9, 0x01), (0x3fc, 0x08)], 4)]
fn what_falls_due_unseen_is_told_where_the_state_goes_on(
    #[case] device: &str,
    #[case] writes: &[(u16, u8)],
    #[case] line: u32,
) {
    let (here, there) = (Board::watched(&[device]).with_power_management(), Board::watched(&[device]));
    program(&here, writes);
    here.wires.serial[0].type_in(b"x");
    here.bus.poll();
    here.wires.clock.set(3 * SECOND);
    there.bus.load(device, here.state()).unwrap();
    drop(there.seen());
    assert_eq!(there.wires.clock.alarm(), Some(there.wires.clock.now()));
    there.bus.poll();
    assert!(there.seen().contains(&(line, true)));
}

#[rstest]
#[case::counter("i8254", &[(0x43, 0x34), (0x40, 0xff), (0x40, 0xff), (0x43, 0xb6), (0x42, 0x10), (0x42, 0x27)], SECOND / 2)]
#[case::waiting_count("i8254", &[(0x43, 0x36), (0x40, 0xff), (0x40, 0xff), (0x40, 0x10), (0x40, 0x10)], SECOND / 2)]
#[case::second("mc146818", &[(0x70, 0x0b), (0x71, 0x12)], SECOND / 2)]
#[case::power("piix4-pm", &[(0x602, 0x01)], SECOND)]
#[case::timeout("com1", &[(0x3fa, 0x87), (0x3f9, 0x01), (0x3fb, 0x03)], SECOND / 500)]
fn a_state_travels(#[case] device: &str, #[case] writes: &[(u16, u8)], #[case] behind: u64) {
    let (here, there) = (Board::watched(&[device]).with_power_management(), Board::watched(&[device]));
    here.step(3 * SECOND / 2);
    program(&here, writes);
    here.wires.serial[0].type_in(b"x");
    here.bus.poll();
    there.step(77 * SECOND);
    there.bus.load(device, here.state()).unwrap();
    assert_eq!(there.state(), here.state());
    for _ in 0..3 {
        here.step(behind);
        there.step(behind);
        assert_eq!(there.state(), here.state());
    }
}
