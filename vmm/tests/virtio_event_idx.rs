//! Thresholds by which driver and device say what they want to be told of: virtio 1.2, 2.7.7 and 2.7.10.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod board;

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use board::Board;
use board::driver::{AVAILABLE, BUFFERS, Driver, EVENT_IDX, SIZE, USED, WRITE, register};
use proptest::prelude::*;
use rstest::rstest;
use vmm::clock::Clock;
use vmm::virtio::{self, Broken, Model, Rings};
use vmm::{Ram, Wires};

/// The queue and the flags of a chain of one buffer that each device has done with at once.
const DEVICES: [(&str, u32, u16); 4] = [
    ("virtio-rng", 0, WRITE),
    ("virtio-console", 1, 0),
    ("virtio-rng-pci", 0, WRITE),
    ("virtio-console-pci", 1, 0),
];

/// A device whose driver has handed over so many chains before, and its interrupt line's changes.
fn begun<'b>(board: &'b Board, queue: u32, flags: u16, index: u16) -> Driver<'b> {
    board.wires.interrupts.watch(true);
    let mut driver = Driver::start(board, 0, 0);
    for descriptor in 0..SIZE {
        let at = BUFFERS + 64 * u64::from(descriptor);
        driver.describe(queue, descriptor, at, 4, flags, 0);
    }
    driver.begin_at(index);
    driver
}

/// Whether the driver has been interrupted since the last time.
fn is_told(driver: &Driver<'_>) -> bool {
    let told = driver.read(register::INTERRUPT_STATUS) & 1 != 0;
    driver.write(register::INTERRUPT_ACK, 1);
    told
}

/// Adds so many chains, and says so only where the device's threshold is.
fn add(driver: &mut Driver<'_>, queue: u32, count: u16) -> u32 {
    let reached: Vec<bool> = (0..count).map(|index| driver.add(queue, index)).collect();
    let is_reached = reached.contains(&true);
    if is_reached {
        driver.notify(queue);
    }
    is_reached.into()
}

#[rstest]
#[case("virtio-blk")]
#[case("virtio-rng")]
#[case("virtio-blk-pci")]
#[case("virtio-rng-pci")]
fn every_device_offers_them(#[case] name: &str) {
    let board = Board::with(&[name]);
    let driver = Driver::start(&board, 0, 0);
    driver.write(register::DEVICE_FEATURES_SEL, 0);
    assert_ne!(u64::from(driver.read(register::DEVICE_FEATURES)) & EVENT_IDX, 0);
}

#[rstest]
fn the_device_tells_of_the_chain_at_the_threshold_alone(#[values(0, 0xfffc, 0xffff)] begin: u16) {
    for (name, queue, flags) in DEVICES {
        let board = Board::with(&[name]);
        let mut driver = begun(&board, queue, flags, begin);
        driver.wants(queue, 2);
        let told: Vec<bool> = (0..4)
            .map(|_| {
                driver.offer(queue, 0);
                is_told(&driver)
            })
            .collect();
        assert_eq!(told, [false, false, true, false], "{name}");
        // Of several at once it is enough that one is there.
        assert_eq!(driver.used(queue).len(), 4);
        driver.wants(queue, 1);
        add(&mut driver, queue, 3);
        assert!(is_told(&driver), "{name}");
        assert_eq!(driver.used(queue).len(), 3);
        driver.wants(queue, 3);
        add(&mut driver, queue, 3);
        assert!(!is_told(&driver), "{name}");
    }
}

#[rstest]
fn the_flag_means_nothing_where_there_are_thresholds() {
    for (name, queue, flags) in DEVICES {
        let board = Board::with(&[name]);
        let mut driver = begun(&board, queue, flags, 0);
        board.wires.ram.write(AVAILABLE + 0x4000 * u64::from(queue), &[1, 0]).unwrap();
        driver.offer(queue, 0);
        assert!(is_told(&driver), "{name}");
    }
}

#[rstest]
fn without_them_the_driver_is_told_of_everything() {
    for (name, queue, flags) in DEVICES {
        let board = Board::with(&[name]);
        let mut driver = Driver::start(&board, 0, EVENT_IDX);
        driver.describe(queue, 0, BUFFERS, 4, flags, 0);
        driver.wants(queue, 5);
        for _ in 0..3 {
            driver.offer(queue, 0);
            assert!(is_told(&driver), "{name}");
        }
        let behind = USED + 0x4000 * u64::from(queue) + 4 + 8 * u64::from(SIZE);
        assert_eq!(board.bytes(behind, 2), [0, 0], "{name}: nobody asked for the device's threshold");
    }
}

/// What a console keeps its driver's buffers for: it wants to hear of more only when it has run out.
#[test]
fn a_device_that_has_buffers_left_does_not_ask_for_more() {
    let board = Board::with(&["virtio-console"]);
    let mut driver = begun(&board, 0, WRITE, 0xfffe);
    assert_eq!(add(&mut driver, 0, 4), 1, "the first");
    board.wires.hvc.type_in(b"12345678");
    board.bus.poll();
    assert_eq!(driver.used(0).len(), 2);
    assert_eq!(add(&mut driver, 0, 2), 0, "there are two left");
    board.wires.hvc.type_in(&[b'a'; 20]);
    board.bus.poll();
    assert_eq!(driver.used(0).len(), 4);
    assert_eq!(add(&mut driver, 0, 1), 1, "it has run out");
    assert_eq!(driver.used(0), [(0, 4)]);
}

/// What a driver does.
#[derive(Clone, Debug)]
enum Deed {
    /// Adds as many as there is room for, of so many.
    Add(u16),
    /// Looks at what has come back, and wants to be told of one so far behind.
    Look(u16),
    Poll,
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![4 => (1..=SIZE).prop_map(Deed::Add), 3 => (0..SIZE).prop_map(Deed::Look), 1 => Just(Deed::Poll)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_lost_and_nothing_told_twice(
        begin in prop_oneof![any::<u16>(), 0xfff0..=u16::MAX],
        deeds in prop::collection::vec(deed(), 1..60),
    ) {
        for (name, queue, flags) in DEVICES {
            let board = Board::with(&[name]);
            let mut driver = begun(&board, queue, flags, begin);
            let mut lead = 0;
            for deed in &deeds {
                let before = driver.waiting(queue);
                match deed {
                    Deed::Add(count) => {
                        let count = (*count).min(SIZE - before);
                        add(&mut driver, queue, count);
                        prop_assert_eq!(driver.waiting(queue), before + count, "{}: all are done", name);
                        prop_assert_eq!(is_told(&driver), (before..before + count).contains(&lead), "{}", name);
                    }
                    Deed::Look(behind) => {
                        prop_assert_eq!(driver.used(queue).len(), usize::from(before));
                        lead = *behind;
                        driver.wants(queue, lead);
                    }
                    Deed::Poll => {
                        board.bus.poll();
                        prop_assert!(!is_told(&driver), "{}", name);
                    }
                }
            }
        }
    }
}

/// A driver on one processor adds while the device works for another: it speaks at the thresholds alone, and waits for all.
#[test]
fn nothing_is_lost_while_the_device_works() {
    for (name, queue, flags) in DEVICES {
        let board = Board::with(&[name]);
        let mut driver = begun(&board, queue, flags, 0xff00);
        let (ring, rung) = mpsc::channel::<()>();
        let is_over = AtomicBool::new(false);
        let deadline = Instant::now() + Duration::from_secs(20);
        let notifier = Driver::at(&board, 0);
        std::thread::scope(|scope| {
            scope.spawn(move || rung.into_iter().for_each(|()| notifier.notify(queue)));
            // What the main loop does when it is woken.
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    if board.wires.clock.alarm().is_some() {
                        board.wires.clock.clear_alarm();
                        board.bus.poll();
                    }
                    std::thread::yield_now();
                }
            });
            let mut left = 4000_u32;
            let mut free = SIZE;
            while (left > 0 || free < SIZE) && Instant::now() < deadline {
                if free > 0 && left > 0 {
                    if driver.add(queue, 0) {
                        ring.send(()).unwrap();
                    }
                    (free, left) = (free - 1, left - 1);
                }
                free += u16::try_from(driver.used(queue).len()).unwrap();
            }
            is_over.store(true, Ordering::Relaxed);
            drop(ring);
            assert_eq!((left, free), (0, SIZE), "{name}");
        });
    }
}

/// A device for a driver on another processor, which adds a chain whenever one is taken, as long as it is to.
struct Endless {
    ram: Ram,
    adds: Arc<AtomicBool>,
    taken: Arc<AtomicU32>,
}

impl Model for Endless {
    fn id(&self) -> u32 {
        63
    }

    fn queues(&self) -> &'static [u16] {
        &[32]
    }

    fn work(&mut self, queue: usize, rings: &mut Rings<'_>) -> Result<(), Broken> {
        while let Some(chain) = rings.next(queue)? {
            rings.give_back(queue, &chain, 0)?;
            self.taken.fetch_add(1, Ordering::Relaxed);
            if self.adds.load(Ordering::Relaxed) {
                let mut index = [0; 2];
                self.ram.read(AVAILABLE + 2, &mut index).unwrap();
                let more = u16::from_le_bytes(index).wrapping_add(1);
                self.ram.write(AVAILABLE + 2, &more.to_le_bytes()).unwrap();
            }
        }
        Ok(())
    }
}

#[rstest]
fn what_never_ends_is_done_bit_by_bit_and_to_its_end(#[values(0, EVENT_IDX)] without: u64) {
    let wires = Wires::new(Ram::new(0x10_0000).unwrap(), Clock::stepped(), 1);
    let (adds, taken) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicU32::new(0)));
    let endless = Endless { ram: wires.ram.clone(), adds: Arc::clone(&adds), taken: Arc::clone(&taken) };
    let (device, region) = virtio::in_slot(Box::new(endless), virtio::SLOTS[0], &wires);
    let mut board = Board::of(&[], wires);
    board.bus.add("endless", device, &[region]).unwrap();
    let mut driver = Driver::start(&board, 0, without);
    driver.describe(0, 0, BUFFERS, 4, WRITE, 0);
    driver.offer(0, 0);
    assert_eq!(taken.load(Ordering::Relaxed), 32);
    let poll = || {
        board.wires.clock.clear_alarm();
        board.bus.poll();
    };
    poll();
    assert_eq!(taken.load(Ordering::Relaxed), 64, "the rest is done when others have had their turn");
    board.wires.clock.clear_alarm();
    board.bus.load("endless", board.state()).unwrap();
    assert!(board.wires.clock.alarm().is_some(), "who goes on from its state knows of the rest");
    adds.store(false, Ordering::Relaxed);
    poll();
    assert_eq!((taken.load(Ordering::Relaxed), driver.waiting(0)), (65, 65));
    assert_eq!(board.wires.clock.alarm(), None);
}
