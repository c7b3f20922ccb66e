//! What passes between the controllers that are joined.

use super::{Chips, Controller};
use crate::clock::Clock;

/// Two processors, the first with its local APIC enabled by software.
fn chips() -> (Chips, Clock) {
    let clock = Clock::stepped();
    let chips = Chips::new(2, clock.clone());
    chips.write_apic(0, 0xf0, 0x1ff);
    (chips, clock)
}

/// Whether this vector waits at a local APIC.
fn is_requested(chips: &Chips, cpu: usize, vector: u32) -> bool {
    let word = chips.read_apic(cpu, u64::from(0x200 + vector / 32 * 0x10)).unwrap();
    word >> (vector % 32) & 1 != 0
}

#[test]
fn the_lowest_priority_is_looked_for_among_those_that_are_enabled() {
    let (chips, _) = chips();
    chips.write_apic(0, 0x80, 0x20);
    chips.message(0xfeef_f000, 0x141);
    assert!(is_requested(&chips, 0, 0x41), "the second has a lower priority, and does not take part");
}

#[test]
fn a_level_that_nobody_accepts_waits_for_no_end() {
    let (chips, _) = chips();
    for (destination, waits) in [(7, false), (0, true)] {
        for (index, value) in [(0x1b, destination << 24), (0x1a, 0x8041)] {
            chips.write_ioapic(0x00, index);
            chips.write_ioapic(0x10, value);
        }
        chips.set(5, true);
        assert_eq!(
            chips.ioapic(|ioapic| ioapic.read(0x10)).unwrap() & 0x4000 != 0,
            waits,
            "for {destination}"
        );
        chips.set(5, false);
    }
}

#[test]
fn a_timer_that_has_run_out_is_seen_before_anybody_polls() {
    let (chips, clock) = chips();
    for (register, value) in [(0x3e0, 0xb), (0x320, 0x40), (0x380, 100)] {
        chips.write_apic(0, register, value);
    }
    clock.set(150);
    assert!(is_requested(&chips, 0, 0x40));
}

#[test]
fn a_timer_goes_on_by_another_clock() {
    let (chips, clock) = chips();
    for (register, value) in [(0x3e0, 0xb), (0x320, 0x40), (0x380, 100)] {
        chips.write_apic(0, register, value);
    }
    clock.set(30);
    let (other, later) = self::chips();
    later.set(1_000_000);
    assert!(other.set_local_apics(chips.local_apics()));
    assert_eq!(other.local_apics(), chips.local_apics());
    assert_eq!(other.read_apic(0, 0x390), Some(70));
    later.set(1_000_070);
    assert!(is_requested(&other, 0, 0x40));
}
