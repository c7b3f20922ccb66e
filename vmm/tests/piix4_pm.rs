//! Power management: PIIX4 data sheet, 7.1, and the reset control of the PIIX3.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod board;

use board::Board;
use rstest::rstest;
use vmm::{Access, End, Space};

const HERTZ: u64 = 3_579_545;
const SECOND: u64 = 1_000_000_000;

/// Power management where firmware puts it.
fn pm() -> Board {
    Board::with(&["piix4-pm"]).with_power_management()
}

impl Board {
    fn inl(&self, port: u16) -> u32 {
        let mut bytes = [0; 4];
        assert_eq!(self.bus.read(Space::Ports, port.into(), &mut bytes), Access::Done);
        u32::from_le_bytes(bytes)
    }

    fn outw(&self, port: u16, word: u16) {
        assert_eq!(self.bus.write(Space::Ports, port.into(), &word.to_le_bytes()), Access::Done);
    }
}

#[test]
fn the_timer_counts_24_bits() {
    let board = pm();
    assert_eq!(board.inl(0x608), 0);
    board.step(SECOND);
    assert_eq!(u64::from(board.inl(0x608)), HERTZ);
    board.step(9 * SECOND);
    assert_eq!(u64::from(board.inl(0x608)), 10 * HERTZ % (1 << 24));
}

#[test]
fn a_change_of_the_timers_upper_bit_interrupts_until_it_is_acknowledged() {
    let board = Board::watched(&["piix4-pm"]).with_power_management();
    board.step(3 * SECOND);
    assert_eq!((board.inw(0x600), board.seen()), (1, vec![]), "it is noted, and nobody asked");
    board.outw(0x600, 1);
    board.outw(0x602, 1);
    assert_eq!(board.inw(0x600), 0);
    board.step(2 * SECOND);
    assert_eq!((board.inw(0x600), board.seen()), (1, vec![(9, true)]));
    board.outw(0x600, 0);
    assert_eq!(board.inw(0x600), 1, "only a one takes it away");
    board.outw(0x600, 1);
    assert_eq!((board.inw(0x600), board.seen()), (0, vec![(9, false)]));
}

#[rstest]
#[case::soft_off(0x2000, Some(End::PoweredOff))]
#[case::soft_off_in_acpi_mode(0x2001, Some(End::PoweredOff))]
#[case::not_yet(0x0001, None)]
#[case::another_state(0x2400, None)]
fn sleeping_deepest_is_power_off(#[case] word: u16, #[case] end: Option<End>) {
    let board = pm();
    board.outw(0x604, word);
    assert_eq!(board.wires.power.asked(), end);
}

#[test]
fn the_sleep_type_may_be_written_before_and_bytes_do_as_well() {
    let board = pm();
    board.outw(0x604, 0x1c00);
    assert_eq!(board.inw(0x604), 0x1c01, "it is in ACPI mode");
    board.outb(0x605, 0x00);
    assert_eq!(board.inw(0x604), 0x0001);
    board.outb(0x605, 0x20);
    assert_eq!(board.wires.power.asked(), Some(End::PoweredOff));
}

#[test]
fn the_enables_are_those_that_there_are() {
    let board = pm();
    board.outw(0x602, 0xffff);
    assert_eq!(board.inw(0x602), 0x0521);
    board.bus.reset();
    let mut gone = [0; 2];
    assert_eq!(board.bus.read(Space::Ports, 0x602, &mut gone), Access::NoRegister);
    assert_eq!(board.with_power_management().inw(0x602), 0);
}

#[rstest]
#[case::hard(&[0x06], Some(End::Reset))]
#[case::in_two_steps(&[0x02, 0x06], Some(End::Reset))]
#[case::kind_alone(&[0x02], None)]
fn the_reset_control_resets_when_its_bit_goes_up(#[case] bytes: &[u8], #[case] end: Option<End>) {
    let board = Board::with(&["piix3-reset"]);
    bytes.iter().for_each(|byte| board.outb(0xcf9, *byte));
    assert_eq!(board.wires.power.asked(), end);
    assert_eq!(board.inb(0xcf9), *bytes.last().unwrap());
}
