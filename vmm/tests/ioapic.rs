//! The I/O APIC does what its data sheet says.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use rstest::rstest;
use vmm::irq::{IoApic, Message};

const EDGE: u64 = 0x31;
const LEVEL: u64 = 0x8042;

fn read(ioapic: &mut IoApic, index: u8) -> u32 {
    ioapic.write(0, index.into()).unwrap();
    ioapic.read(0x10).unwrap()
}

fn write(ioapic: &mut IoApic, index: u8, value: u32) -> Vec<Message> {
    ioapic.write(0, index.into()).unwrap();
    ioapic.write(0x10, value).unwrap()
}

fn redirect(ioapic: &mut IoApic, pin: u8, entry: u64) -> Vec<Message> {
    write(ioapic, 0x11 + 2 * pin, u32::try_from(entry >> 32).unwrap());
    write(ioapic, 0x10 + 2 * pin, u32::try_from(entry & 0xffff_ffff).unwrap())
}

#[test]
fn its_registers_are_those_of_24_pins() {
    let mut ioapic = IoApic::default();
    assert_eq!(read(&mut ioapic, 1), 0x0017_0020);
    write(&mut ioapic, 0, 0xff00_0000);
    assert_eq!((read(&mut ioapic, 0), read(&mut ioapic, 2)), (0x0f00_0000, 0x0f00_0000));
    assert_eq!((read(&mut ioapic, 0x10), read(&mut ioapic, 0x3f)), (0x0001_0000, 0));
    assert_eq!((read(&mut ioapic, 0x40), ioapic.read(0x20)), (0, None));
}

#[rstest]
#[case::physical(0x0300_0000_0000_0031, 0xfee0_3000, 0x4031)]
#[case::logical_lowest(0xff00_0000_0000_0931, 0xfeef_f004, 0x4131)]
#[case::nmi(0x0000_0000_0000_0400, 0xfee0_0000, 0x4400)]
fn an_edge_sends_what_its_entry_says(#[case] entry: u64, #[case] address: u64, #[case] data: u32) {
    let mut ioapic = IoApic::default();
    redirect(&mut ioapic, 4, entry);
    assert_eq!(ioapic.set(4, true), Some(Message { address, data }));
    assert_eq!(ioapic.set(4, true), None);
    assert_eq!(ioapic.set(4, false), None);
}

#[test]
fn an_edge_on_a_masked_pin_is_lost_and_a_level_is_not() {
    let mut ioapic = IoApic::default();
    for (pin, entry, sent) in [(4, EDGE, 0), (5, LEVEL, 1)] {
        redirect(&mut ioapic, pin, entry | 0x1_0000);
        assert_eq!(ioapic.set(pin, true), None);
        assert_eq!(redirect(&mut ioapic, pin, entry).len(), sent);
    }
}

#[test]
fn a_level_is_sent_again_once_it_is_ended() {
    let mut ioapic = IoApic::default();
    redirect(&mut ioapic, 9, LEVEL);
    assert!(ioapic.set(9, true).is_some());
    assert_eq!(read(&mut ioapic, 0x22) & 0x4000, 0x4000);
    ioapic.set(9, false);
    assert_eq!(ioapic.set(9, true), None);
    assert_eq!(ioapic.end(0x41), []);
    assert_eq!(ioapic.end(0x42).len(), 1);
    ioapic.set(9, false);
    assert_eq!(ioapic.end(0x42), []);
    assert_eq!(read(&mut ioapic, 0x22) & 0x4000, 0);
}

#[test]
fn its_own_end_register_ends_as_well() {
    let mut ioapic = IoApic::default();
    redirect(&mut ioapic, 9, LEVEL);
    ioapic.set(9, true);
    assert_eq!(ioapic.write(0x40, 0x42).unwrap().len(), 1);
}

#[test]
fn what_it_reports_cannot_be_written_and_edge_mode_forgets_it() {
    let mut ioapic = IoApic::default();
    redirect(&mut ioapic, 9, LEVEL | 0x5000);
    assert_eq!(read(&mut ioapic, 0x22), 0x8042);
    ioapic.set(9, true);
    redirect(&mut ioapic, 9, EDGE);
    assert_eq!(read(&mut ioapic, 0x22), 0x31);
}

#[test]
fn what_nobody_accepts_is_not_waited_for() {
    let mut ioapic = IoApic::default();
    redirect(&mut ioapic, 9, LEVEL);
    let sent = ioapic.set(9, true).unwrap();
    ioapic.refuse(sent);
    assert_eq!(read(&mut ioapic, 0x22) & 0x4000, 0);
    ioapic.set(9, false);
    assert_eq!(ioapic.set(9, true), Some(sent));
}

#[test]
fn a_masked_pin_has_its_message_until_what_it_sent_has_ended() {
    let mut ioapic = IoApic::default();
    redirect(&mut ioapic, 9, LEVEL);
    let sent = ioapic.set(9, true);
    redirect(&mut ioapic, 9, LEVEL | 0x1_0000);
    assert_eq!(ioapic.messages()[9], sent);
    ioapic.set(9, false);
    ioapic.end(0x42);
    assert_eq!(ioapic.messages()[9], None);
}
