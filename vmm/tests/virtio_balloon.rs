//! The memory balloon, driven over the bus as a kernel's driver drives it: virtio 1.2, 5.5.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod board;

use board::Board;
use board::driver::Buffer::{Own, Room};
use board::driver::{Driver, NEEDS_RESET, register};
use rstest::rstest;
use vmm::Space;

const INFLATE: u32 = 0;
const DEFLATE: u32 = 1;
const STATISTICS: u32 = 2;
const PAGE: usize = 0x1000;

fn numbers(pages: &[u32]) -> Vec<u8> {
    pages.iter().flat_map(|page| page.to_le_bytes()).collect()
}

fn board(name: &str) -> Board {
    let board = Board::with(&[name]);
    board.wires.interrupts.watch(true);
    board
}

/// A word of the configuration.
fn configured(driver: &Driver<'_>, board: &Board, at: u64) -> u32 {
    board.readl(driver.configuration() + at)
}

#[rstest]
fn pages_are_taken_and_are_zeroes_when_they_are_used_again(
    #[values("virtio-balloon", "virtio-balloon-pci")] name: &str,
) {
    let board = board(name);
    let mut driver = Driver::start(&board, 0, 0);
    for page in 0x80..0x84_u8 {
        board.wires.ram.write(u64::from(page) * PAGE as u64, &[page; PAGE]).unwrap();
    }
    driver.hand_over(INFLATE, &[Own(&numbers(&[0x82])), Own(&numbers(&[0x80]))]);
    assert_eq!(driver.used(INFLATE), [(0, 0)]);
    let pages = |board: &Board| board.bytes(0x8_0000, 4 * PAGE);
    let expected = [[0; PAGE], [0x81; PAGE], [0; PAGE], [0x83; PAGE]].concat();
    assert_eq!(pages(&board), expected);
    board.wires.ram.write(0x8_2000, &[1; PAGE]).unwrap();
    driver.hand_over(DEFLATE, &[Own(&numbers(&[0x82, 0x80]))]);
    assert_eq!((driver.used(DEFLATE), board.bytes(0x8_2000, PAGE)), (vec![(0, 0)], vec![1; PAGE]));
}

#[rstest]
#[case::behind_ram(&[Own(&[0x00, 0x01, 0, 0])])]
#[case::where_devices_are(&[Own(&[0x00, 0x00, 0x0c, 0])])]
#[case::far_behind_everything(&[Own(&[0xff; 4])])]
#[case::something_to_write(&[Own(&[0x80, 0, 0, 0]), Room(4)])]
fn what_is_no_page_of_ram_stops_the_device(#[case] buffers: &[board::driver::Buffer<'_>]) {
    let board = board("virtio-balloon");
    let mut driver = Driver::start(&board, 0, 0);
    board.wires.ram.write(0x8_0000, &[7; PAGE]).unwrap();
    driver.hand_over(INFLATE, buffers);
    assert_eq!((driver.used(INFLATE), board.bytes(0x8_0000, PAGE)), (vec![], vec![7; PAGE]));
    assert_ne!(driver.read(register::STATUS) & NEEDS_RESET, 0);
}

#[test]
fn what_makes_no_page_number_is_left_out() {
    let board = board("virtio-balloon");
    let mut driver = Driver::start(&board, 0, 0);
    board.wires.ram.write(0x8_0000, &[7; PAGE]).unwrap();
    driver.hand_over(INFLATE, &[Own(&[0x80, 0, 0])]);
    assert_eq!((driver.used(INFLATE), board.bytes(0x8_0000, PAGE)), (vec![(0, 0)], vec![7; PAGE]));
}

/// A driver that names a page as often as it has memory for does not keep the machine busy with that.
#[test]
fn no_more_pages_are_taken_from_a_chain_than_1024() {
    let board = board("virtio-balloon");
    let mut driver = Driver::start(&board, 0, 0);
    board.wires.ram.write(0x8_0000, &[7; 2 * PAGE]).unwrap();
    let mut named = vec![0x80; 1024];
    named.push(0x81);
    driver.hand_over(INFLATE, &[Own(&numbers(&named))]);
    assert_eq!(driver.used(INFLATE), [(0, 0)]);
    assert_eq!(board.bytes(0x8_0000, 2 * PAGE), [[0; PAGE], [7; PAGE]].concat());
}

#[rstest]
fn another_target_is_told_once(#[values("virtio-balloon", "virtio-balloon-pci")] name: &str) {
    let board = board(name);
    let driver = Driver::start(&board, 0, 0);
    let generation = driver.generation();
    assert_eq!(configured(&driver, &board, 0), 0);
    board.wires.balloon.aim_at(300);
    assert!(board.wires.clock.alarm().is_some(), "the main loop is woken");
    board.step(1);
    assert_eq!((configured(&driver, &board, 0), driver.read(register::INTERRUPT_STATUS)), (300, 2));
    assert_ne!(driver.generation(), generation);
    driver.write(register::INTERRUPT_ACK, 2);
    board.wires.balloon.aim_at(300);
    board.bus.poll();
    assert_eq!(driver.read(register::INTERRUPT_STATUS), 0);
    board.bus.write(Space::Memory, driver.configuration() + 4, &299_u32.to_le_bytes());
    assert_eq!((board.wires.balloon.actual(), configured(&driver, &board, 4)), (299, 299));
    board.bus.write(Space::Memory, driver.configuration(), &[1]);
    assert_eq!(configured(&driver, &board, 0), 300, "what the host wants is the host's");
}

#[test]
fn a_driver_that_comes_later_is_told_of_the_target() {
    let board = board("virtio-balloon");
    board.wires.balloon.aim_at(5);
    board.bus.poll();
    assert_eq!(board.seen(), []);
    let driver = Driver::start(&board, 0, 0);
    assert_eq!(driver.read(register::INTERRUPT_STATUS), 2);
    assert_eq!(configured(&driver, &board, 0), 5);
}

#[test]
fn statistics_are_heard_and_their_buffer_is_kept_until_newer_ones_are_wanted() {
    let board = board("virtio-balloon");
    let mut driver = Driver::start(&board, 0, 0);
    let statistic = |tag: u16, value: u64| [&tag.to_le_bytes()[..], &value.to_le_bytes()].concat();
    assert_eq!(board.wires.balloon.statistics(), []);
    driver.hand_over(STATISTICS, &[Own(&[statistic(4, 1 << 40), statistic(5, 9)].concat())]);
    assert_eq!(
        (board.wires.balloon.statistics(), driver.used(STATISTICS)),
        (vec![(4, 1 << 40), (5, 9)], vec![])
    );
    board.wires.balloon.ask();
    board.step(1);
    assert_eq!(driver.used(STATISTICS), [(0, 0)]);
    assert!(driver.add(STATISTICS, 0), "it wants to hear of the next");
    driver.notify(STATISTICS);
    assert_eq!(driver.used(STATISTICS), []);
    // Asked before there is a buffer: as soon as there is.
    board.wires.balloon.ask();
    board.step(1);
    board.wires.balloon.ask();
    board.step(1);
    assert_eq!(driver.used(STATISTICS), [(0, 0)]);
    driver.hand_over(STATISTICS, &[Own(&statistic(4, 2))]);
    board.step(1);
    assert_eq!((board.wires.balloon.statistics(), driver.used(STATISTICS)), (vec![(4, 2)], vec![(0, 0)]));
}

#[test]
fn it_goes_on_from_its_state_and_a_reset_forgets_what_the_driver_said() {
    let one = board("virtio-balloon");
    let fresh = one.state();
    let driver = Driver::start(&one, 0, 0);
    one.wires.balloon.aim_at(7);
    one.step(1);
    one.writel(driver.configuration() + 4, 6);
    let other = board("virtio-balloon");
    other.bus.load("virtio-balloon", one.state()).unwrap();
    assert_eq!(other.state(), one.state());
    assert_eq!((other.wires.balloon.target(), other.wires.balloon.actual()), (7, 6));
    other.bus.poll();
    assert_eq!(other.state(), one.state(), "the driver knows already");
    other.wires.balloon.aim_at(0);
    other.bus.reset();
    assert_eq!((other.state(), other.wires.balloon.actual()), (fresh, 0));
}
