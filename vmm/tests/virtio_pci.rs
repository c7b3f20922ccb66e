//! Virtio devices on the PCI bus: virtio 1.2, 4.1.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod board;

use std::sync::{Arc, Mutex};

use board::driver::{Buffer, DRIVER_OK, Driver, NEEDS_RESET, WRITE, register};
use board::{Board, MESSAGES};
use rstest::rstest;
use vmm::clock::Clock;
use vmm::irq::Controller;
use vmm::{Disk, Ram, Space, Wires};

/// The function that is the first virtio device.
const FUNCTION: u32 = 4 << 3;
/// Where the message control of MSI-X is: the first capability.
const CONTROL: u32 = 0x42;

fn board(name: &str) -> Board {
    Board::with(&["i440fx", "piix3", name])
}

#[rstest]
#[case("virtio-blk-pci", 0x1042_1af4, 0x0100_0001)]
#[case("virtio-console-pci", 0x1043_1af4, 0x0780_0001)]
#[case("virtio-net-pci", 0x1041_1af4, 0x0200_0001)]
#[case("virtio-rng-pci", 0x1044_1af4, 0x00ff_0001)]
#[case("virtio-balloon-pci", 0x1045_1af4, 0x00ff_0001)]
fn each_is_known_by_its_type(#[case] name: &str, #[case] id: u32, #[case] class: u32) {
    let board = board(name);
    assert_eq!((board.config(FUNCTION, 0), board.config(FUNCTION, 8)), (id, class));
    assert_eq!(board.config(FUNCTION, 0x2c), 0x1100_1af4);
}

#[test]
fn every_kind_of_register_has_a_capability() {
    let board = board("virtio-rng-pci");
    let mut found = Vec::new();
    let mut at = board.config(FUNCTION, 0x34) & 0xff;
    while at != 0 {
        let head = board.config(FUNCTION, at);
        found.push((head & 0xff, if head & 0xff == 9 { head >> 24 } else { 0 }));
        at = head >> 8 & 0xff;
    }
    assert_eq!(found, [(0x11, 0), (9, 1), (9, 3), (9, 4), (9, 2), (9, 5)]);
}

#[test]
fn a_disk_is_read_and_its_pin_asks_until_the_status_is_read() {
    let disk = Disk::in_memory([[0x11; 512], [0x22; 512]].concat(), true);
    let board = Board::with_disks(&["i440fx", "piix3", "virtio-blk-pci"], &[disk]);
    board.wires.interrupts.watch(true);
    // The fourth device's first pin is PIRQD#.
    board.set_config(8, 0x63, &[11]);
    let mut driver = Driver::start(&board, 0, 0);
    let header = [&0_u32.to_le_bytes()[..], &[0; 4], &1_u64.to_le_bytes()].concat();
    let places = driver.hand_over(0, &[Buffer::Own(&header), Buffer::Room(512), Buffer::Room(1)]);
    assert_eq!(driver.used(0), [(0, 513)]);
    assert_eq!((board.bytes(places[1], 512), board.bytes(places[2], 1)), (vec![0x22; 512], vec![0]));
    assert_eq!(board.seen(), [(11, true)]);
    assert_eq!(board.config(FUNCTION, 4) >> 16 & 8, 8);
    assert_eq!(driver.read(register::INTERRUPT_STATUS), 1);
    assert_eq!((board.seen(), driver.read(register::INTERRUPT_STATUS)), (vec![(11, false)], 0));
}

#[test]
fn a_pin_that_is_disabled_does_not_ask() {
    let board = board("virtio-rng-pci");
    board.wires.interrupts.watch(true);
    board.set_config(8, 0x63, &[11]);
    let mut driver = Driver::start(&board, 0, 0);
    board.set_config(FUNCTION, 0x05, &[0x04]);
    driver.hand_over(0, &[Buffer::Room(4)]);
    assert_eq!((driver.used(0), board.seen()), (vec![(0, 4)], vec![]));
    board.set_config(FUNCTION, 0x05, &[0x00]);
    assert_eq!(board.seen(), [(11, true)]);
}

/// Sets message 1 up and has the first queue send it.
fn set_up(board: &Board, vector: u8, masked: u32) {
    for (at, word) in [(0, 0xfee0_0000), (4, 0), (8, u32::from(vector)), (12, masked)] {
        board.writel(MESSAGES + 16 + at, word);
    }
    let registers = board.enable(0);
    board.bus.write(Space::Memory, registers + 0x16, &[0, 0]);
    board.bus.write(Space::Memory, registers + 0x1a, &[1, 0]);
    board.set_config(FUNCTION, CONTROL, &[0, 0x80]);
}

/// Keeps the messages that it gets.
#[derive(Default)]
struct Spy(Mutex<Vec<(u64, u32)>>);

impl Controller for Spy {
    fn set(&self, _: u32, _: bool) {}

    fn message(&self, address: u64, data: u32) {
        self.0.lock().unwrap().push((address, data));
    }
}

/// A board whose messages are kept.
fn with_spy() -> (Board, Arc<Spy>) {
    let spy = Arc::new(Spy::default());
    let wires = Wires::new(Ram::new(0x10_0000).unwrap(), Clock::stepped(), 1);
    wires.interrupts.connect(Arc::clone(&spy) as _);
    (Board::of(&["i440fx", "piix3", "virtio-rng-pci"], wires), spy)
}

#[test]
fn a_message_is_sent_once_it_is_not_masked() {
    let (board, spy) = with_spy();
    let mut driver = Driver::start(&board, 0, 0);
    set_up(&board, 0x51, 1);
    driver.hand_over(0, &[Buffer::Room(4)]);
    assert_eq!((spy.0.lock().unwrap().len(), board.readl(MESSAGES + 0x800)), (0, 2));
    board.writel(MESSAGES + 16 + 12, 0);
    assert_eq!(*spy.0.lock().unwrap(), [(0xfee0_0000, 0x51)]);
    assert_eq!(board.readl(MESSAGES + 0x800), 0);
    assert_eq!(board.config(FUNCTION, 4) >> 16 & 8, 0, "the pin does not ask");
}

#[test]
fn a_vector_that_there_is_not_is_none() {
    let board = board("virtio-rng-pci");
    let registers = board.enable(0);
    let set = |value: u8| {
        board.bus.write(Space::Memory, registers + 0x10, &[value, 0]);
        let mut seen = [0; 2];
        board.bus.read(Space::Memory, registers + 0x10, &mut seen);
        u16::from_le_bytes(seen)
    };
    assert_eq!((set(1), set(2)), (1, 0xffff));
}

#[test]
fn registers_are_reached_through_the_configuration_space_as_well() {
    let board = board("virtio-rng-pci");
    board.enable(0);
    let at = (0..0x100).step_by(4).find(|at| board.config(FUNCTION, *at) >> 24 == 5 && *at > 0x40).unwrap();
    board.set_config(FUNCTION, at + 4, &[4]);
    board.set_config(FUNCTION, at + 8, &0x14_u32.to_le_bytes());
    board.set_config(FUNCTION, at + 12, &1_u32.to_le_bytes());
    board.set_config(FUNCTION, at + 16, &[3]);
    assert_eq!(board.config(FUNCTION, at + 16), 3);
    board.set_config(FUNCTION, at + 8, &0x12_u32.to_le_bytes());
    board.set_config(FUNCTION, at + 12, &2_u32.to_le_bytes());
    assert_eq!(board.config(FUNCTION, at + 16), 1, "there is one queue");
}

#[test]
fn a_function_that_is_no_master_does_not_reach_memory() {
    let board = board("virtio-rng-pci");
    let mut driver = Driver::start(&board, 0, 0);
    board.set_config(FUNCTION, 4, &[2]);
    driver.hand_over(0, &[Buffer::Room(4)]);
    assert_eq!(driver.used(0), []);
}

#[test]
fn no_message_comes_behind_a_reset() {
    let (board, spy) = with_spy();
    let mut driver = Driver::start(&board, 0, 0);
    set_up(&board, 0x51, 1);
    driver.hand_over(0, &[Buffer::Room(4)]);
    assert_eq!(board.readl(MESSAGES + 0x800), 2);
    driver.write(register::STATUS, 0);
    board.writel(MESSAGES + 16 + 12, 0);
    assert_eq!((spy.0.lock().unwrap().len(), board.readl(MESSAGES + 0x800)), (0, 0));
}

#[test]
fn a_message_waits_until_the_function_is_a_master() {
    let (board, spy) = with_spy();
    let mut driver = Driver::start(&board, 0, 0);
    set_up(&board, 0x51, 1);
    driver.hand_over(0, &[Buffer::Room(4)]);
    board.set_config(FUNCTION, 4, &[2]);
    board.writel(MESSAGES + 16 + 12, 0);
    assert_eq!((spy.0.lock().unwrap().len(), board.readl(MESSAGES + 0x800)), (0, 2));
    board.set_config(FUNCTION, 4, &[6]);
    assert_eq!(*spy.0.lock().unwrap(), [(0xfee0_0000, 0x51)]);
}

#[test]
fn a_message_to_another_address_is_a_write() {
    let (board, spy) = with_spy();
    let mut driver = Driver::start(&board, 0, 0);
    set_up(&board, 0x51, 0);
    board.writel(MESSAGES + 16, 0x8000);
    driver.hand_over(0, &[Buffer::Room(4)]);
    assert_eq!((spy.0.lock().unwrap().len(), board.readl(0x8000)), (0, 0x51));
}

#[test]
fn what_a_function_is_told_of_is_done_once_it_is_a_master() {
    let board = board("virtio-rng-pci");
    let mut driver = Driver::start(&board, 0, 0);
    board.set_config(FUNCTION, 4, &[2]);
    driver.hand_over(0, &[Buffer::Room(4)]);
    assert_eq!(driver.used(0), []);
    board.set_config(FUNCTION, 4, &[6]);
    assert_eq!(driver.used(0), [(0, 4)]);
}

#[test]
fn what_is_typed_waits_until_the_function_is_a_master() {
    let board = board("virtio-console-pci");
    let mut driver = Driver::start(&board, 0, 0);
    driver.hand_over(0, &[Buffer::Room(4)]);
    let status = driver.read(register::STATUS);
    driver.write(register::STATUS, status & !DRIVER_OK);
    board.wires.hvc.type_in(b"ab");
    board.set_config(FUNCTION, 4, &[2]);
    driver.write(register::STATUS, status);
    assert_eq!(driver.used(0), []);
    board.set_config(FUNCTION, 4, &[6]);
    assert_eq!(driver.used(0), [(0, 2)]);
}

#[rstest]
#[case::rom(0xffff_0000)]
#[case::itself(0xe000_0000)]
#[case::over_the_end_of_ram(0xf_ffff)]
fn what_is_not_ram_is_not_written_by_a_device(#[case] address: u64) {
    let wires = Wires::new(Ram::new(0x10_0000).unwrap(), Clock::stepped(), 1);
    wires.ram.burn(&[0xb5; 0x1_0000]).unwrap();
    let board = Board::of(&["i440fx", "piix3", "virtio-rng-pci"], wires);
    let mut driver = Driver::start(&board, 0, 0);
    driver.describe(0, 0, address, 4, WRITE, 0);
    driver.offer(0, 0);
    assert_eq!((driver.used(0), driver.read(register::STATUS)), (vec![], 0xf | NEEDS_RESET));
    let mut rom = [0; 16];
    assert_eq!((reads_rom(&board, &mut rom), rom), (true, [0xb5; 16]));
}

/// Reads the beginning of the ROM where it is seen below 1 MiB.
fn reads_rom(board: &Board, bytes: &mut [u8]) -> bool {
    board.bus.reset();
    board.bus.read(Space::Memory, 0xf_0000, bytes) == vmm::Access::Done
}
