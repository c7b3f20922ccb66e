//! The i8259 pair does what its data sheet says.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod board;

use board::Board;
use rstest::rstest;
use vmm::irq::I8259;

/// Initialized as a PC's firmware does, with these words in ICW1 and ICW4.
fn pair(icw1: u8, icw4: u8) -> I8259 {
    let mut pair = I8259::default();
    for (chip, base, cascade) in [(0, 0x08, 0x04), (1, 0x70, 0x02)] {
        pair.write(chip, 0, icw1);
        pair.write(chip, 1, base);
        pair.write(chip, 1, cascade);
        pair.write(chip, 1, icw4);
    }
    pair
}

fn usual() -> I8259 {
    pair(0x11, 0x01)
}

#[rstest]
#[case(0, 0x08)]
#[case(7, 0x0f)]
#[case(8, 0x70)]
#[case(15, 0x77)]
fn each_pin_has_its_vector(#[case] pin: u8, #[case] vector: u8) {
    let mut pair = usual();
    assert!(!pair.asks());
    pair.set(pin, true);
    assert!(pair.asks());
    assert_eq!(pair.acknowledge(), vector);
    assert!(!pair.asks());
}

#[test]
fn the_lower_pin_comes_first_and_a_higher_waits_for_the_end() {
    let mut pair = usual();
    pair.set(4, true);
    pair.set(3, true);
    assert_eq!(pair.acknowledge(), 0x0b);
    assert!(!pair.asks());
    pair.set(1, true);
    assert_eq!(pair.acknowledge(), 0x09);
    pair.write(0, 0, 0x20);
    assert!(!pair.asks());
    pair.write(0, 0, 0x20);
    assert_eq!(pair.acknowledge(), 0x0c);
}

#[test]
fn a_request_that_goes_away_is_taken_as_pin_7_without_service() {
    let mut pair = usual();
    pair.set(3, true);
    pair.set(3, false);
    assert!(!pair.asks());
    assert_eq!(pair.acknowledge(), 0x0f);
    pair.write(0, 0, 0x0b);
    assert_eq!(pair.read(0, 0), 0);
}

#[test]
fn an_edge_counts_once_and_a_level_as_long_as_it_lasts() {
    let mut pair = usual();
    pair.set_elcr(0, 0xff);
    assert_eq!(pair.elcr(0), 0xf8, "a PC drives the lower three by edges");
    for (pin, again) in [(1, false), (5, true)] {
        pair.set(pin, true);
        pair.acknowledge();
        pair.write(0, 0, 0x20);
        assert_eq!(pair.asks(), again);
        pair.set(pin, false);
        assert!(!pair.asks());
    }
}

#[test]
fn a_masked_request_is_kept() {
    let mut pair = usual();
    pair.write(0, 1, 0xff);
    pair.set(6, true);
    assert!(!pair.asks());
    assert_eq!((pair.read(0, 0), pair.read(0, 1)), (0x40, 0xff));
    pair.write(0, 1, 0xbf);
    assert_eq!(pair.acknowledge(), 0x0e);
}

#[rstest]
#[case::specific(0x63, &[3])]
#[case::not_specific(0x20, &[1])]
#[case::of_another(0x62, &[])]
fn an_end_takes_from_service(#[case] word: u8, #[case] ended: &[u8]) {
    let mut pair = usual();
    pair.write(0, 0, 0x0b);
    pair.set(3, true);
    pair.acknowledge();
    pair.set(1, true);
    pair.acknowledge();
    pair.write(0, 0, word);
    let expected = ended.iter().fold(0x0a, |service, pin| service & !(1 << pin));
    assert_eq!(pair.read(0, 0), expected);
}

#[test]
fn rotation_makes_what_was_served_the_last() {
    let mut pair = usual();
    pair.set(2 + 1, true);
    pair.acknowledge();
    pair.write(0, 0, 0xa0);
    pair.set(3, false);
    for pin in [3, 4] {
        pair.set(pin, true);
    }
    assert_eq!(pair.acknowledge(), 0x0c, "4 is the highest behind 3");
    pair.write(0, 0, 0xc0 | 5);
    pair.write(0, 0, 0x64);
    for pin in [5, 6] {
        pair.set(pin, true);
    }
    assert_eq!(pair.acknowledge(), 0x0e);
}

#[test]
fn an_automatic_end_leaves_nothing_in_service() {
    let mut pair = pair(0x11, 0x03);
    pair.set(3, true);
    pair.acknowledge();
    pair.write(0, 0, 0x0b);
    assert_eq!(pair.read(0, 0), 0);
    pair.set(4, true);
    assert!(pair.asks());
}

#[test]
fn special_mask_mode_lets_lower_priorities_in() {
    let mut pair = usual();
    pair.set(3, true);
    pair.acknowledge();
    pair.set(5, true);
    assert!(!pair.asks());
    pair.write(0, 1, 0x08);
    assert!(!pair.asks());
    pair.write(0, 0, 0x68);
    assert_eq!(pair.acknowledge(), 0x0d);
}

#[test]
fn special_fully_nested_mode_lets_the_second_chip_interrupt_itself() {
    for (icw4, again) in [(0x01, false), (0x11, true)] {
        let mut pair = pair(0x11, icw4);
        pair.set(12, true);
        assert_eq!(pair.acknowledge(), 0x74);
        pair.set(9, true);
        assert_eq!(pair.asks(), again);
    }
}

#[test]
fn polling_acknowledges() {
    let mut pair = usual();
    pair.write(0, 0, 0x0c);
    assert_eq!(pair.read(0, 0), 0);
    pair.set(4, true);
    pair.write(0, 0, 0x0c);
    assert_eq!(pair.read(0, 0), 0x84);
    assert!(!pair.asks());
    pair.write(0, 0, 0x0b);
    assert_eq!(pair.read(0, 0), 0x10);
}

#[test]
fn initialization_forgets_everything_but_the_levels() {
    let mut pair = usual();
    pair.write(0, 1, 0xff);
    pair.set(3, true);
    pair.write(0, 0, 0x0b);
    pair.write(0, 0, 0x11);
    assert_eq!(pair.read(0, 0), 0, "it reads requests again, and needs a new edge");
    for word in [0x20, 0x04, 0x01] {
        pair.write(0, 1, word);
    }
    assert_eq!(pair.read(0, 1), 0);
    pair.set(3, false);
    pair.set(3, true);
    assert_eq!(pair.acknowledge(), 0x23);
}

#[test]
fn it_is_at_its_ports_and_saved_with_all_it_has() {
    let board = Board::with(&["i8259"]);
    for (port, byte) in [(0x20, 0x11), (0x21, 0x30), (0x21, 4), (0x21, 1), (0x21, 0x5a), (0x4d1, 0xff)] {
        board.outb(port, byte);
    }
    assert_eq!((board.inb(0x21), board.inb(0x4d0), board.inb(0x4d1)), (0x5a, 0, 0xde));
    let saved = board.state();
    board.bus.reset();
    assert_eq!(board.inb(0x21), 0);
    board.bus.load("i8259", saved.clone()).unwrap();
    assert_eq!(board.state(), saved);
}

#[test]
fn both_of_two_requests_of_the_second_chip_are_taken() {
    let mut pair = pair(0x11, 0x03);
    pair.set(9, true);
    pair.set(10, true);
    assert_eq!(pair.acknowledge(), 0x71);
    assert!(pair.asks(), "what is left is an edge for the first chip");
    assert_eq!(pair.acknowledge(), 0x72);
    assert!(!pair.asks());
}

#[test]
fn what_is_in_service_hides_nothing_in_special_mask_mode() {
    let mut pair = usual();
    pair.set(1, true);
    pair.acknowledge();
    pair.write(0, 0, 0x68);
    pair.set(1, false);
    pair.set(1, true);
    assert!(!pair.asks(), "it holds up itself");
    pair.set(5, true);
    assert_eq!(pair.acknowledge(), 0x0d);
}

#[rstest]
#[case(0x11, true)]
#[case(0x10, false)]
fn icw1_takes_what_icw4_says_only_where_none_follows(#[case] icw1: u8, #[case] stays: bool) {
    let mut pair = pair(0x11, 0x13);
    pair.write(0, 0, icw1);
    let chip = &serde_json::to_value(&pair).unwrap()["chips"][0];
    assert_eq!((&chip["auto_eoi"], &chip["is_special_fully_nested"]), (&stays.into(), &stays.into()));
}
