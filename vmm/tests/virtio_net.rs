//! The network card, driven over the bus as a kernel's driver drives it, with a socket at the other end: virtio 1.2, 5.1.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod board;

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;

use board::Board;
use board::driver::Buffer::{self, Own, Room};
use board::driver::{BUFFERS, Driver, NEEDS_RESET, SIZE, WRITE, register};
use proptest::prelude::*;
use rstest::rstest;
use vmm::clock::Clock;
use vmm::{Link, Mac, Nic, Ram, Wires};

const RECEIVE: u32 = 0;
const TRANSMIT: u32 = 1;
/// What is before each frame that is received, and before one that is transmitted.
const RECEIVED: [u8; 12] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0];
const HEADER: [u8; 12] = [0; 12];
const MAC: Mac = Mac([2, 0, 0, 0xaa, 0xbb, 0xcc]);

/// A card, and the other end of its link.
fn plugged(name: &str) -> (Board, UnixStream) {
    let (near, far) = UnixStream::pair().unwrap();
    far.set_nonblocking(true).unwrap();
    let wires = Wires::new(Ram::new(0x10_0000).unwrap(), Clock::stepped(), 1);
    wires.nics.add(Nic { link: Link::stream(near).unwrap(), mac: MAC });
    let board = Board::of(&[name], wires);
    board.wires.interrupts.watch(true);
    (board, far)
}

/// A frame in the stream.
fn sent(frame: &[u8]) -> Vec<u8> {
    [&u32::try_from(frame.len()).unwrap().to_be_bytes()[..], frame].concat()
}

/// What has come to the other end.
fn come(far: &mut UnixStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    match far.read_to_end(&mut bytes) {
        Ok(_) => bytes,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::WouldBlock);
            bytes
        }
    }
}

/// The status in the configuration.
fn status(board: &Board, driver: &Driver<'_>) -> u32 {
    board.readl(driver.configuration() + 4) >> 16
}

#[rstest]
fn it_has_its_address_and_a_link(#[values("virtio-net", "virtio-net-pci")] name: &str) {
    let (board, _far) = plugged(name);
    let driver = Driver::start(&board, 0, 0);
    let low = board.readl(driver.configuration());
    assert_eq!(low.to_le_bytes(), MAC.0[..4]);
    assert_eq!(board.readl(driver.configuration() + 4).to_le_bytes(), [0xbb, 0xcc, 1, 0]);
    driver.write(register::DEVICE_FEATURES_SEL, 0);
    assert_eq!(driver.read(register::DEVICE_FEATURES) & 0xff_ffff, 1 << 5 | 1 << 16);
    assert_eq!(driver.read(register::INTERRUPT_STATUS), 0);
}

#[rstest]
fn frames_go_out_and_come_in(#[values("virtio-net", "virtio-net-pci")] name: &str) {
    let (board, mut far) = plugged(name);
    let mut driver = Driver::start(&board, 0, 0);
    driver.hand_over(TRANSMIT, &[Own(&HEADER), Own(&[1; 14]), Own(&[2; 100])]);
    assert_eq!(driver.used(TRANSMIT), [(0, 0)]);
    assert_eq!(come(&mut far), sent(&[&[1; 14][..], &[2; 100]].concat()));
    driver.hand_over(TRANSMIT, &[Own(&[HEADER.to_vec(), vec![3; 1514]].concat())]);
    assert_eq!((driver.used(TRANSMIT), come(&mut far)), (vec![(0, 0)], sent(&[3; 1514])));

    let places = driver.hand_over(RECEIVE, &[Room(20), Room(1514)]);
    assert_eq!(driver.used(RECEIVE), []);
    far.write_all(&sent(&[7; 60])).unwrap();
    board.bus.poll();
    assert_eq!(driver.used(RECEIVE), [(0, 72)]);
    assert_eq!(board.bytes(places[0], 20), [&RECEIVED[..], &[7; 8]].concat());
    assert_eq!(board.bytes(places[1], 53), [&[7; 52][..], &[0]].concat());
    assert_eq!(driver.read(register::INTERRUPT_STATUS), 1);
}

#[test]
fn what_there_is_no_buffer_for_waits() {
    let (board, mut far) = plugged("virtio-net");
    let mut driver = Driver::start(&board, 0, 0);
    far.write_all(&[sent(&[1; 60]), sent(&[2; 61]), sent(&[3; 62])].concat()).unwrap();
    board.bus.poll();
    for (fill, length) in [(1, 60), (2, 61), (3, 62)] {
        let places = driver.hand_over(RECEIVE, &[Room(1526)]);
        assert_eq!(driver.used(RECEIVE), [(0, 12 + length)]);
        assert_eq!(board.bytes(places[0] + 12, 60), [fill; 60]);
    }
    assert_eq!(status(&board, &driver), 1);
}

#[test]
fn a_frame_that_the_buffer_has_no_room_for_is_lost_and_the_buffer_is_not() {
    let (board, mut far) = plugged("virtio-net");
    let mut driver = Driver::start(&board, 0, 0);
    let places = driver.hand_over(RECEIVE, &[Room(12 + 60)]);
    far.write_all(&[sent(&[1; 61]), sent(&[2; 60])].concat()).unwrap();
    board.bus.poll();
    assert_eq!(driver.used(RECEIVE), [(0, 72)]);
    assert_eq!(board.bytes(places[0], 72), [&RECEIVED[..], &[2; 60]].concat());
}

#[test]
fn a_frame_that_comes_byte_by_byte_is_one_frame() {
    let (board, mut far) = plugged("virtio-net");
    let mut driver = Driver::start(&board, 0, 0);
    driver.hand_over(RECEIVE, &[Room(1526)]);
    let frame: Vec<u8> = (0..90).collect();
    for (index, byte) in sent(&frame).into_iter().enumerate() {
        assert_eq!(driver.waiting(RECEIVE), 0, "before byte {index}");
        far.write_all(&[byte]).unwrap();
        board.bus.poll();
    }
    assert_eq!(driver.used(RECEIVE), [(0, 102)]);
    assert_eq!(board.bytes(BUFFERS + 12, 90), frame);
}

#[test]
fn what_the_other_side_does_not_take_waits_and_comes_whole() {
    let (board, mut far) = plugged("virtio-net");
    let mut driver = Driver::start(&board, 0, 0);
    let (mut number, mut expected) = (0_u8, Vec::new());
    let mut got = Vec::new();
    // Until nothing moves any more.
    while driver.waiting(TRANSMIT) == u16::from(number > 0) {
        driver.used(TRANSMIT);
        let frame = vec![number; 60_000];
        expected.extend(sent(&frame));
        driver.hand_over(TRANSMIT, &[Own(&HEADER), Own(&frame)]);
        number = number.checked_add(1).expect("the other side takes no more at some time");
    }
    assert!(number > 1);
    let mut left = 100;
    while got.len() < expected.len() && left > 0 {
        got.extend(come(&mut far));
        board.bus.poll();
        left -= 1;
    }
    assert_eq!(driver.used(TRANSMIT).len(), 1);
    assert!(got == expected, "{} of {} bytes, or others", got.len(), expected.len());
}

/// What ends a link, and nothing else.
#[rstest]
#[case::goes(&[])]
#[case::says_nothing(&[0, 0, 0, 0])]
#[case::says_less_than_a_header(&[0, 0, 0, 13])]
#[case::says_more_than_there_can_be(&[0, 1, 0x10, 1])]
#[case::says_everything(&[0xff; 64])]
#[case::goes_in_the_middle(&[0, 0, 0, 60, 1, 2])]
fn a_peer_that_goes_away_or_lies_ends_the_link(#[case] says: &[u8]) {
    let (board, mut far) = plugged("virtio-net");
    let mut driver = Driver::start(&board, 0, 0);
    driver.hand_over(RECEIVE, &[Room(1526)]);
    far.write_all(&sent(&[9; 20])).unwrap();
    far.write_all(says).unwrap();
    if [0, 6].contains(&says.len()) {
        drop(far);
    }
    board.bus.poll();
    assert_eq!(driver.used(RECEIVE), [(0, 32)], "what came before is there");
    driver.hand_over(RECEIVE, &[Room(1526)]);
    assert_eq!((status(&board, &driver), driver.read(register::INTERRUPT_STATUS)), (0, 3));
    assert_eq!(driver.read(register::STATUS), 0xf);
    driver.hand_over(TRANSMIT, &[Own(&HEADER), Own(&[1; 60])]);
    assert_eq!((driver.used(TRANSMIT), driver.used(RECEIVE)), (vec![(0, 0)], vec![]));
}

#[test]
fn a_peer_that_is_gone_is_noticed_by_sending() {
    let (board, far) = plugged("virtio-net");
    let mut driver = Driver::start(&board, 0, 0);
    drop(far);
    driver.hand_over(TRANSMIT, &[Own(&HEADER), Own(&[1; 60])]);
    assert_eq!((driver.used(TRANSMIT), status(&board, &driver)), (vec![(0, 0)], 0));
}

#[test]
fn a_card_that_is_not_plugged_in_has_no_link() {
    let wires = Wires::new(Ram::new(0x10_0000).unwrap(), Clock::stepped(), 1);
    let board = Board::of(&["virtio-net"], wires);
    let mut driver = Driver::start(&board, 0, 0);
    assert_eq!((status(&board, &driver), driver.read(register::INTERRUPT_STATUS)), (0, 2));
    driver.hand_over(TRANSMIT, &[Own(&HEADER), Own(&[1; 60])]);
    assert_eq!(driver.used(TRANSMIT), [(0, 0)]);
}

#[rstest]
#[case::shorter_than_a_header_of_ethernet(&[Own(&HEADER), Own(&[1; 13])])]
#[case::nothing(&[Own(&HEADER)])]
#[case::longer_than_there_can_be(&[Own(&HEADER), Own(&[1; 0x8000]), Own(&[1; 0x9001])])]
fn what_is_no_frame_is_not_sent(#[case] buffers: &[Buffer<'_>]) {
    let (board, mut far) = plugged("virtio-net");
    let mut driver = Driver::start(&board, 0, 0);
    driver.hand_over(TRANSMIT, buffers);
    assert_eq!((driver.used(TRANSMIT), come(&mut far)), (vec![(0, 0)], vec![]));
    assert_eq!(driver.read(register::STATUS), 0xf);
}

#[rstest]
#[case::transmits_less_than_a_header(TRANSMIT, &[Own(&[0; 11])])]
#[case::transmits_what_is_to_be_written(TRANSMIT, &[Own(&HEADER), Own(&[1; 60]), Room(1)])]
#[case::receives_less_than_a_header(RECEIVE, &[Room(11)])]
#[case::receives_what_is_to_be_read(RECEIVE, &[Own(&[1]), Room(1526)])]
fn a_chain_without_what_it_must_have_stops_the_device(#[case] queue: u32, #[case] buffers: &[Buffer<'_>]) {
    let (board, mut far) = plugged("virtio-net");
    let mut driver = Driver::start(&board, 0, 0);
    far.write_all(&sent(&[9; 60])).unwrap();
    driver.hand_over(queue, buffers);
    assert_eq!((driver.used(queue), come(&mut far)), (vec![], vec![]));
    assert_ne!(driver.read(register::STATUS) & NEEDS_RESET, 0);
    let mut driver = Driver::start(&board, 0, 0);
    driver.hand_over(RECEIVE, &[Room(1526)]);
    assert_eq!(driver.used(RECEIVE), [(0, 72)], "what came is there after the reset");
}

#[test]
fn a_card_goes_on_from_its_state() {
    let (one, far) = plugged("virtio-net");
    drop(far);
    let mut driver = Driver::start(&one, 0, 0);
    driver.hand_over(TRANSMIT, &[Own(&HEADER), Own(&[1; 60])]);
    let (other, mut far) = plugged("virtio-net");
    other.wires.ram.write(0, &one.bytes(0, 0x10_0000)).unwrap();
    other.bus.load("virtio-net", one.state()).unwrap();
    assert_eq!(other.state(), one.state());
    far.write_all(&sent(&[5; 60])).unwrap();
    other.bus.poll();
    assert_eq!(other.state()["model"]["is_up"], true, "a link that is up where this was not is told");
    assert_ne!(other.state()["transport"]["generation"], one.state()["transport"]["generation"]);
}

/// What the two sides do.
#[derive(Clone, Debug)]
enum Deed {
    /// The other side writes so much of what it has to send.
    Write(usize),
    /// The other side takes what has come.
    Take,
    /// The driver has room for so many more.
    Room(u16),
    /// The driver transmits one frame more.
    Transmit,
    Poll,
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        3 => (1..300_usize).prop_map(Deed::Write),
        1 => Just(Deed::Take),
        3 => (1..=SIZE).prop_map(Deed::Room),
        2 => Just(Deed::Transmit),
        2 => Just(Deed::Poll),
    ]
}

/// A frame of this number: no two are alike.
fn frame(number: usize) -> Vec<u8> {
    let length = 14 + number * 37 % 180;
    (0..length).map(|at| u8::try_from((at * 7 + number) & 0xff).unwrap()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn every_frame_arrives_once_whole_and_in_order(deeds in prop::collection::vec(deed(), 1..80)) {
        for name in ["virtio-net", "virtio-net-pci"] {
            let (board, mut far) = plugged(name);
            let mut driver = Driver::start(&board, 0, 0);
            let stream: Vec<u8> = (0..200).flat_map(|number| sent(&frame(number))).collect();
            let (mut written, mut next, mut transmitted, mut got) = (0, 0, 0, Vec::new());
            for index in 0..SIZE {
                driver.describe(RECEIVE, index, BUFFERS + 0x200 * u64::from(index), 0x200, WRITE, 0);
            }
            let mut free: Vec<u16> = (0..SIZE).collect();
            for deed in &deeds {
                match deed {
                    Deed::Write(most) => {
                        let end = stream.len().min(written + most);
                        far.write_all(&stream[written..end]).unwrap();
                        written = end;
                    }
                    Deed::Take => got.extend(come(&mut far)),
                    Deed::Room(most) => {
                        let count = free.len().min((*most).into());
                        let heads: Vec<u16> = free.drain(..count).collect();
                        let spoken: Vec<bool> = heads.into_iter().map(|head| driver.add(RECEIVE, head)).collect();
                        if spoken.contains(&true) {
                            driver.notify(RECEIVE);
                        }
                    }
                    Deed::Transmit => {
                        driver.hand_over(TRANSMIT, &[Own(&HEADER), Own(&frame(transmitted))]);
                        prop_assert_eq!(driver.used(TRANSMIT).len(), 1);
                        transmitted += 1;
                    }
                    Deed::Poll => board.bus.poll(),
                }
                for (head, length) in driver.used(RECEIVE) {
                    let received = board.bytes(BUFFERS + 0x200 * u64::from(head), length as usize);
                    prop_assert_eq!(received, [&RECEIVED[..], &frame(next)].concat());
                    next += 1;
                    free.push(u16::try_from(head).unwrap());
                }
            }
            got.extend(come(&mut far));
            let expected: Vec<u8> = (0..transmitted).flat_map(|number| sent(&frame(number))).collect();
            prop_assert_eq!(got, expected);
        }
    }

    /// Whatever the other side says, the device stands.
    #[test]
    fn no_peer_harms_it(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..100), 1..20)) {
        let (board, mut far) = plugged("virtio-net");
        let mut driver = Driver::start(&board, 0, 0);
        for piece in pieces {
            far.write_all(&piece).unwrap();
            board.bus.poll();
            driver.hand_over(RECEIVE, &[Room(1526)]);
            prop_assert_eq!(driver.read(register::STATUS), 0xf);
        }
        prop_assert!(status(&board, &driver) <= 1);
    }
}
