//! The PCI bus: configuration mechanism #1, base address registers, shadow RAM, and where interrupts lead.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod board;

use board::Board;
use rstest::rstest;
use vmm::{Access, Space};

/// Where [`Board`] has a function that may be anywhere: device 31.
const ANY: u32 = 31 << 3;

#[rstest]
#[case::host_bridge(0x00, 0x1237_8086, 0x0600_0002)]
#[case::isa_bridge(0x08, 0x7000_8086, 0x0601_0000)]
#[case::power_management(0x0b, 0x7113_8086, 0x0680_0003)]
#[case::nobody(0x09, u32::MAX, u32::MAX)]
#[case::nobody_on_another_bus(0x0108, u32::MAX, u32::MAX)]
fn functions_say_who_they_are(#[case] function: u32, #[case] id: u32, #[case] class: u32) {
    let board = Board::with(&["i440fx", "piix3", "piix3-reset", "piix4-pm"]);
    assert_eq!((board.config(function, 0), board.config(function, 8)), (id, class));
}

#[test]
fn firmware_knows_the_host_bridge_of_a_virtual_machine() {
    let board = Board::with(&["i440fx"]);
    assert_eq!(board.config(0, 0x2c), 0x1100_1af4);
}

#[test]
fn the_address_is_four_bytes_and_a_byte_is_the_reset_control() {
    let board = Board::with(&["i440fx", "piix3-reset"]);
    board.bus.write(Space::Ports, 0xcf8, &[0x04, 0x00, 0x00, 0x80]);
    board.outb(0xcf9, 0x02);
    assert_eq!(board.bus.write(Space::Ports, 0xcfb, &[0]), Access::NoRegister);
    assert_eq!(board.bus.write(Space::Ports, 0xcf8, &[7]), Access::NoRegister);
    let mut address = [0; 4];
    assert_eq!(board.bus.read(Space::Ports, 0xcf8, &mut address), Access::Done);
    assert_eq!((address, board.inb(0xcf9)), ([0x04, 0x00, 0x00, 0x80], 2));
    let mut word = [0; 2];
    board.bus.read(Space::Ports, 0xcfe, &mut word);
    assert_eq!(word, [0x80, 0x02], "the upper half of command and status");
}

#[test]
fn without_the_enable_bit_there_is_no_configuration() {
    let board = Board::with(&["i440fx"]);
    board.bus.write(Space::Ports, 0xcf8, &[0; 4]);
    let mut data = [0; 4];
    assert_eq!(board.bus.read(Space::Ports, 0xcfc, &mut data), Access::NoRegister);
    assert_eq!(data, [0xff; 4]);
}

#[rstest]
#[case::memory(0x10, 0xffff_f000)]
#[case::ports(0x14, 0xffff_ff01)]
#[case::none(0x18, 0)]
fn base_addresses_say_how_much_is_decoded(#[case] register: u32, #[case] seen: u32) {
    let board = Board::with(&["i440fx", "pci-testdev"]);
    board.set_config(ANY, register, &[0xff; 4]);
    assert_eq!(board.config(ANY, register), seen);
}

#[test]
fn a_function_is_where_its_registers_say_while_it_is_enabled() {
    let board = Board::with(&["i440fx", "pci-testdev"]);
    let header = |at: u64| {
        board.bus.write(Space::Memory, at, &[1]);
        let mut name = [0; 13];
        board.bus.read(Space::Memory, at + 16, &mut name);
        name
    };
    board.set_config(ANY, 0x10, &0xe000_0000_u32.to_le_bytes());
    assert_eq!(header(0xe000_0000), [0xff; 13]);
    board.set_config(ANY, 0x04, &[2]);
    assert_eq!(&header(0xe000_0000), b"mmio-wildcard");
    board.set_config(ANY, 0x10, &0xd000_0000_u32.to_le_bytes());
    assert_eq!((header(0xe000_0000), &header(0xd000_0000)), ([0xff; 13], b"mmio-wildcard"));
    board.set_config(ANY, 0x14, &0xc001_u32.to_le_bytes());
    board.set_config(ANY, 0x04, &[3]);
    board.outb(0xc000, 2);
    board.outb(0xc085, 0xfa);
    board.outb(0xc085, 0xce);
    assert_eq!((board.inb(0xc000), board.inb(0xc00c)), (5, 1), "one of two writes fits");
    board.bus.reset();
    assert_eq!(header(0xd000_0000), [0xff; 13]);
}

#[test]
fn what_is_decoded_does_not_hide_what_has_a_place() {
    let board = Board::with(&["i440fx", "pci-testdev", "com1"]);
    board.wires.ram.write(0x8000, &[7]).unwrap();
    board.set_config(ANY, 0x10, &0x8000_u32.to_le_bytes());
    board.set_config(ANY, 0x14, &0x301_u32.to_le_bytes());
    board.set_config(ANY, 0x04, &[3]);
    board.outb(0x3ff, 0x5a);
    let mut byte = [0];
    board.bus.read(Space::Memory, 0x8000, &mut byte);
    assert_eq!((byte, board.inb(0x3ff)), ([7], 0x5a));
}

/// What a byte reads as, before and behind a write to it.
fn read_and_written(board: &Board, address: u64) -> (u8, u8) {
    let mut seen = [0; 2];
    board.bus.read(Space::Memory, address, &mut seen[..1]);
    board.bus.write(Space::Memory, address, &[0x77]);
    board.bus.read(Space::Memory, address, &mut seen[1..]);
    (seen[0], seen[1])
}

#[rstest]
#[case::neither(0b00, (0xb5, 0xb5), 0x11)]
#[case::reads(0b01, (0x11, 0x11), 0x11)]
#[case::writes(0b10, (0xb5, 0xb5), 0x77)]
#[case::both(0b11, (0x11, 0x77), 0x77)]
fn shadow_ram_is_read_and_written_as_its_bits_say(
    #[case] bits: u8,
    #[case] seen: (u8, u8),
    #[case] kept: u8,
    #[values((0xe_4000, 0x5e, 4), (0xe_8000, 0x5f, 0), (0xf_fff0, 0x59, 4))] segment: (u64, u32, u8),
) {
    let (address, register, shift) = segment;
    let board = Board::with(&["i440fx"]);
    board.wires.ram.burn(&vec![0xb5; 0x4_0000]).unwrap();
    board.bus.reset();
    board.wires.ram.write(address, &[0x11]).unwrap();
    board.set_config(0, register, &[0x33]);
    board.set_config(0, register, &[bits << shift]);
    assert_eq!(read_and_written(&board, address), seen);
    assert_eq!(board.bytes(address, 1), [kept]);
}

#[test]
fn nobody_is_at_video_memory_unless_it_is_opened() {
    let board = Board::with(&["i440fx"]);
    board.wires.ram.write(0xa_0000, &[0x11]).unwrap();
    assert_eq!(read_and_written(&board, 0xa_0000), (0xff, 0xff));
    board.set_config(0, 0x72, &[0x4a]);
    assert_eq!(read_and_written(&board, 0xa_0000), (0x11, 0x77));
    board.set_config(0, 0x72, &[0x1a]);
    board.set_config(0, 0x72, &[0x4a]);
    assert_eq!(board.config(0, 0x70) >> 16 & 0xff, 0x1a, "it is locked until a reset");
    assert_eq!(read_and_written(&board, 0xa_0000), (0xff, 0xff));
}

#[rstest]
#[case::shadow_ram(0xd_0000, 0x5c, 0x00, b"mmio-wildcard")]
#[case::shadow_ram_that_is_read(0xd_0000, 0x5c, 0x11, &[0; 13])]
#[case::video_memory(0xa_0000, 0x72, 0x02, b"mmio-wildcard")]
#[case::video_memory_that_is_ram(0xa_0000, 0x72, 0x42, &[0; 13])]
fn what_is_no_ram_is_decoded_by_whoever_is_there(
    #[case] address: u32,
    #[case] register: u32,
    #[case] bits: u8,
    #[case] expected: &[u8; 13],
) {
    let board = Board::with(&["i440fx", "pci-testdev"]);
    board.set_config(ANY, 0x10, &0xe000_0000_u32.to_le_bytes());
    board.set_config(ANY, 0x04, &[2]);
    board.bus.write(Space::Memory, 0xe000_0000, &[1]);
    board.set_config(ANY, 0x10, &address.to_le_bytes());
    board.set_config(0, register, &[bits]);
    let mut name = [0; 13];
    board.bus.read(Space::Memory, u64::from(address) + 16, &mut name);
    assert_eq!(&name, expected);
}

#[test]
fn what_is_asked_for_leads_where_it_is_routed() {
    let board = Board::watched(&["i440fx", "piix3"]);
    let mut pin = board.wires.pins.first_of(3);
    pin.set(true);
    assert_eq!(board.seen(), []);
    board.set_config(8, 0x62, &[0x0b]);
    assert_eq!(board.seen(), [(11, true)]);
    board.set_config(8, 0x62, &[0x0d]);
    assert_eq!(board.seen(), [(11, false)], "13 is the coprocessor's");
    board.set_config(8, 0x62, &[0x8a]);
    assert_eq!(board.config(8, 0x60), 0x808a_8080);
    assert_eq!(board.seen(), []);
}

#[test]
fn the_ports_for_power_management_keep_what_is_written() {
    let board = Board::with(&["piix3"]);
    board.outb(0xb3, 0x5a);
    board.outb(0xb2, 0xa5);
    assert_eq!((board.inb(0xb2), board.inb(0xb3)), (0xa5, 0x5a));
}
