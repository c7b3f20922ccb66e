//! Virtio devices, driven over the bus as a kernel's drivers drive them.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod board;

use board::Board;
use board::driver::Buffer::{Own, Room};
use board::driver::{
    BUFFERS, DRIVER_OK, Driver, EVENT_IDX, FEATURES_OK, INDIRECT, NEEDS_RESET, NEXT, WRITE, descriptor,
    register,
};
use rstest::rstest;
use vmm::virtio::SLOTS;
use vmm::{Disk, Space};

const IN: u32 = 0;
const OUT: u32 = 1;
const FLUSH: u32 = 4;
const GET_ID: u32 = 8;

/// The header of a request to a disk.
fn header(kind: u32, sector: u64) -> Vec<u8> {
    [&kind.to_le_bytes()[..], &[0; 4], &sector.to_le_bytes()].concat()
}

/// A board with one disk of 16 sectors, of which each byte is the number of its sector.
fn with_disk(is_read_only: bool) -> (Board, Disk) {
    let bytes = (0..16_u8).flat_map(|sector| [sector; 512]).collect();
    let disk = Disk::in_memory(bytes, is_read_only);
    let board = Board::with_disks(&["virtio-blk"], std::slice::from_ref(&disk));
    board.wires.interrupts.watch(true);
    (board, disk)
}

#[test]
fn each_is_known_by_its_number() {
    let board = Board::with(&["virtio-blk", "virtio-console", "virtio-rng"]);
    let ids = SLOTS.map(|slot| board.readl(u64::from(slot.address) + register::DEVICE_ID));
    assert_eq!(ids[..4], [2, 3, 4, u32::MAX]);
    assert_eq!(board.readl(SLOTS[2].address.into()), u32::from_le_bytes(*b"virt"));
    assert_eq!(board.readl(u64::from(SLOTS[2].address) + 4), 2);
}

#[test]
fn a_disk_is_read_written_and_named() {
    let (board, disk) = with_disk(false);
    let mut driver = Driver::start(&board, 0, 0);
    assert_eq!(driver.read(0x100), 16, "sectors");
    let places = driver.hand_over(0, &[Own(&header(IN, 3)), Room(512), Room(512), Room(1)]);
    assert_eq!(driver.used(0), [(0, 1025)]);
    assert_eq!(board.bytes(places[1], 1024), [[3; 512], [4; 512]].concat());
    assert_eq!(board.bytes(places[3], 1), [0]);
    assert_eq!(board.seen(), [(SLOTS[0].gsi, true)]);
    assert_eq!(driver.read(register::INTERRUPT_STATUS), 1);
    driver.write(register::INTERRUPT_ACK, 1);
    assert_eq!(board.seen(), [(SLOTS[0].gsi, false)]);

    let places = driver.hand_over(0, &[Own(&header(OUT, 15)), Own(&[0xaa; 512]), Room(1)]);
    assert_eq!((driver.used(0), board.bytes(places[2], 1)), (vec![(0, 1)], vec![0]));
    let mut sector = [0; 512];
    disk.read(15 * 512, &mut sector).unwrap();
    assert_eq!(sector, [0xaa; 512]);

    let places = driver.hand_over(0, &[Own(&header(FLUSH, 0)), Room(1)]);
    assert_eq!((driver.used(0), board.bytes(places[1], 1)), (vec![(0, 1)], vec![0]));

    let places = driver.hand_over(0, &[Own(&header(GET_ID, 0)), Room(20), Room(1)]);
    assert_eq!(driver.used(0), [(0, 21)]);
    assert_eq!(board.bytes(places[1], 6), b"assay\0");
}

#[rstest]
#[case::behind_the_end(IN, 16, 1, 512)]
#[case::over_the_end(IN, 15, 1, 1024)]
#[case::far_behind_the_end(IN, u64::MAX, 1, 512)]
#[case::half_a_sector(IN, 0, 1, 256)]
#[case::short_name(GET_ID, 0, 1, 19)]
#[case::write_without_a_sector(OUT, 16, 1, 0)]
#[case::unknown(77, 0, 2, 512)]
fn a_request_that_cannot_be_done_says_so_and_the_next_is_done(
    #[case] kind: u32,
    #[case] sector: u64,
    #[case] status: u8,
    #[case] room: u32,
) {
    let (board, _) = with_disk(false);
    let mut driver = Driver::start(&board, 0, 0);
    let own = vec![0; if kind == OUT { 512 } else { 0 }];
    let places = driver.hand_over(0, &[Own(&header(kind, sector)), Own(&own), Room(room), Room(1)]);
    assert_eq!((driver.used(0), board.bytes(places[3], 1)), (vec![(0, 1)], vec![status]));
    let places = driver.hand_over(0, &[Own(&header(IN, 1)), Room(512), Room(1)]);
    assert_eq!((driver.used(0), board.bytes(places[2], 1)), (vec![(0, 513)], vec![0]));
}

#[test]
fn a_disk_that_is_only_read_says_so_and_stays_as_it_is() {
    let (board, disk) = with_disk(true);
    let mut driver = Driver::start(&board, 0, 0);
    driver.write(register::DEVICE_FEATURES_SEL, 0);
    assert_ne!(driver.read(register::DEVICE_FEATURES) & 1 << 5, 0);
    let places = driver.hand_over(0, &[Own(&header(OUT, 2)), Own(&[9; 512]), Room(1)]);
    assert_eq!((driver.used(0), board.bytes(places[2], 1)), (vec![(0, 1)], vec![1]));
    let mut sector = [0; 512];
    disk.read(2 * 512, &mut sector).unwrap();
    assert_eq!(sector, [2; 512]);
}

#[test]
fn a_table_of_indirect_descriptors_is_followed() {
    let (board, _) = with_disk(false);
    let mut driver = Driver::start(&board, 0, 0);
    let table = [
        descriptor(BUFFERS + 0x100, 16, NEXT, 2),
        descriptor(BUFFERS + 0x400, 1, WRITE, 0),
        descriptor(BUFFERS + 0x200, 512, NEXT | WRITE, 1),
    ];
    board.wires.ram.write(BUFFERS, &table.concat()).unwrap();
    board.wires.ram.write(BUFFERS + 0x100, &header(IN, 5)).unwrap();
    driver.describe(0, 4, BUFFERS, 48, INDIRECT, 0);
    driver.offer(0, 4);
    assert_eq!(driver.used(0), [(4, 513)]);
    assert_eq!(board.bytes(BUFFERS + 0x200, 512), [5; 512]);
}

#[test]
fn a_driver_that_wants_no_interrupts_gets_none() {
    let (board, _) = with_disk(false);
    let mut driver = Driver::start(&board, 0, EVENT_IDX);
    board.wires.ram.write(board::driver::AVAILABLE, &1_u16.to_le_bytes()).unwrap();
    driver.hand_over(0, &[Own(&header(FLUSH, 0)), Room(1)]);
    assert_eq!((driver.used(0), board.seen()), (vec![(0, 1)], vec![]));
}

#[test]
fn a_console_transmits_and_receives() {
    let board = Board::with(&["virtio-console"]);
    let mut driver = Driver::start(&board, 0, 0);
    driver.hand_over(1, &[Own(b"hel"), Own(b"lo")]);
    assert_eq!((driver.used(1), board.wires.hvc.take()), (vec![(0, 0)], b"hello".to_vec()));
    board.wires.hvc.type_in(b"first");
    board.bus.poll();
    let places = driver.hand_over(0, &[Room(3), Room(16)]);
    assert_eq!((driver.used(0), board.bytes(places[0], 3)), (vec![(0, 5)], b"fir".to_vec()));
    let places = driver.hand_over(0, &[Room(8)]);
    assert_eq!(driver.used(0), []);
    board.wires.hvc.type_in(b"then");
    board.bus.poll();
    assert_eq!((driver.used(0), board.bytes(places[0], 4)), (vec![(0, 4)], b"then".to_vec()));
}

#[test]
fn random_bytes_are_not_the_same_twice() {
    let board = Board::with(&["virtio-rng"]);
    let mut driver = Driver::start(&board, 0, 0);
    let mut draw = || {
        let places = driver.hand_over(0, &[Room(13)]);
        assert_eq!(driver.used(0), [(0, 13)]);
        board.bytes(places[0], 13)
    };
    let (one, other) = (draw(), draw());
    assert!(one != other && one != [0; 13]);
}

#[test]
fn a_driver_that_does_not_take_the_first_version_is_refused() {
    let board = Board::with(&["virtio-rng"]);
    let base = u64::from(SLOTS[0].address);
    board.writel(base + register::STATUS, 3);
    board.writel(base + register::STATUS, 3 | FEATURES_OK);
    assert_eq!(board.readl(base + register::STATUS), 3);
    // And one that takes what is not offered.
    for (half, features) in [(0, 1 << 24), (1, 1)] {
        board.writel(base + register::DRIVER_FEATURES_SEL, half);
        board.writel(base + register::DRIVER_FEATURES, features);
    }
    board.writel(base + register::STATUS, 3 | FEATURES_OK);
    assert_eq!(board.readl(base + register::STATUS), 3);
}

/// What a driver must not do, and after which the device does nothing until it is reset.
#[rstest]
#[case::buffer_outside_of_ram(&[(0xffff_f000, 16, NEXT, 1), (BUFFERS, 1, WRITE, 0)])]
#[case::buffer_over_the_end_of_ram(&[(0xf_fff8, 16, NEXT, 1), (BUFFERS, 1, WRITE, 0)])]
#[case::buffer_around_everything(&[(u64::MAX - 7, 16, NEXT, 1), (BUFFERS, 1, WRITE, 0)])]
#[case::loops(&[(BUFFERS, 16, NEXT, 1), (BUFFERS, 16, NEXT, 0)])]
#[case::loops_in_itself(&[(BUFFERS, 16, NEXT | WRITE, 0)])]
#[case::goes_on_outside_of_the_table(&[(BUFFERS, 16, NEXT, 8)])]
#[case::goes_on_far_outside_of_the_table(&[(BUFFERS, 16, NEXT, 0xffff)])]
#[case::out_of_order(&[(BUFFERS, 1, NEXT | WRITE, 1), (BUFFERS, 16, 0, 0)])]
#[case::no_status(&[(BUFFERS, 16, 0, 0)])]
#[case::no_header(&[(BUFFERS, 1, WRITE, 0)])]
#[case::indirect_of_a_bad_length(&[(BUFFERS, 17, INDIRECT, 0)])]
#[case::indirect_outside_of_ram(&[(0x8000_0000, 32, INDIRECT, 0)])]
#[case::indirect_and_empty(&[(BUFFERS, 0, INDIRECT, 0)])]
fn a_chain_that_must_not_be_stops_the_device(#[case] chain: &[(u64, u32, u16, u16)]) {
    let (board, _) = with_disk(false);
    let mut driver = Driver::start(&board, 0, 0);
    let before = board.bytes(0, 0x10_0000);
    for (index, &(address, length, flags, next)) in (0..).zip(chain) {
        driver.describe(0, index, address, length, flags, next);
    }
    driver.offer(0, 0);
    assert_eq!(driver.used(0), []);
    let status = driver.read(register::STATUS);
    assert_eq!(status & (NEEDS_RESET | DRIVER_OK), NEEDS_RESET | DRIVER_OK);
    assert_eq!(driver.read(register::INTERRUPT_STATUS), 2, "the driver is told");
    assert_eq!(board.bytes(BUFFERS, 0x1000), before[0x4_0000..0x4_1000], "nothing was written");
    driver.hand_over(0, &[Own(&header(FLUSH, 0)), Room(1)]);
    assert_eq!(driver.used(0), [], "it waits for its reset");
    let mut driver = Driver::start(&board, 0, 0);
    driver.hand_over(0, &[Own(&header(FLUSH, 0)), Room(1)]);
    assert_eq!(driver.used(0), [(0, 1)]);
}

#[test]
fn an_index_that_runs_away_stops_the_device() {
    let (board, _) = with_disk(false);
    let driver = Driver::start(&board, 0, 0);
    board.wires.ram.write(board::driver::AVAILABLE + 2, &9_u16.to_le_bytes()).unwrap();
    driver.write(register::QUEUE_NOTIFY, 0);
    assert_ne!(driver.read(register::STATUS) & NEEDS_RESET, 0);
}

#[rstest]
#[case::no_power_of_two(7, 0x1_0000)]
#[case::empty(0, 0x1_0000)]
#[case::too_many(256, 0x1_0000)]
#[case::far_too_many(0x1_0008, 0x1_0000)]
#[case::crooked(8, 0x1_0001)]
#[case::outside_of_ram(8, 0x10_0000)]
#[case::over_the_end_of_ram(8, 0xf_fff0)]
fn a_queue_that_cannot_be_is_not_ready(#[case] size: u32, #[case] descriptors: u32) {
    let (board, _) = with_disk(false);
    let driver = Driver::start(&board, 0, 0);
    driver.write(register::QUEUE_SEL, 0);
    driver.write(register::QUEUE_READY, 0);
    driver.write(register::QUEUE_NUM, size);
    driver.write(register::QUEUE_DESC, descriptors);
    driver.write(register::QUEUE_READY, 1);
    assert_eq!(driver.read(register::QUEUE_READY), 0);
    assert_ne!(driver.read(register::STATUS) & NEEDS_RESET, 0);
}

#[test]
fn a_device_goes_on_from_its_state() {
    let (board, disk) = with_disk(false);
    let mut driver = Driver::start(&board, 0, 0);
    driver.hand_over(0, &[Own(&header(IN, 1)), Room(512), Room(1)]);
    assert_eq!(driver.used(0).len(), 1);
    let other = Board::with_disks(&["virtio-blk"], &[disk]);
    other.wires.ram.write(0, &board.bytes(0, 0x10_0000)).unwrap();
    other.bus.load("virtio-blk", board.state()).unwrap();
    assert_eq!(other.state(), board.state());
    let used = board::driver::USED;
    other.wires.ram.write(board::driver::AVAILABLE + 6, &[0; 2]).unwrap();
    other.wires.ram.write(board::driver::AVAILABLE + 2, &2_u16.to_le_bytes()).unwrap();
    other.writel(u64::from(SLOTS[0].address) + register::QUEUE_NOTIFY, 0);
    assert_eq!(other.bytes(used + 2, 2), [2, 0], "the second comes behind the first");
}

#[test]
fn a_reset_of_the_machine_makes_it_as_it_was() {
    let (board, _) = with_disk(false);
    let fresh = board.state();
    let mut driver = Driver::start(&board, 0, 0);
    driver.hand_over(0, &[Own(&header(FLUSH, 0)), Room(1)]);
    assert_ne!(board.state(), fresh);
    board.bus.reset();
    assert_eq!(board.state(), fresh);
    assert_eq!(board.seen(), [(SLOTS[0].gsi, true), (SLOTS[0].gsi, false)]);
}

#[test]
fn what_a_driver_that_cannot_flush_has_written_is_kept_at_once() {
    let board = Board::with(&["virtio-blk"]);
    let flushes = |without| {
        drop(Driver::start(&board, 0, without));
        board.state()["model"]["flushes"].clone()
    };
    assert_eq!((flushes(0), flushes(1 << 9)), (true.into(), false.into()));
}

#[test]
fn registers_are_accessed_by_words_alone_and_the_configuration_by_any() {
    let (board, _) = with_disk(false);
    let base = u64::from(SLOTS[0].address);
    let mut byte = [0];
    assert_ne!(board.bus.read(Space::Memory, base, &mut byte), vmm::Access::Done);
    assert_eq!((board.bus.read(Space::Memory, base + 0x100, &mut byte), byte), (vmm::Access::Done, [16]));
}
