//! The network card: virtio 1.2, 5.1 "Network Device"; with a socket at the other end of its link, and no network of the host's.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;

use harness::{Outcome, Stop, claim, equal, holds};
use vmm::{Link, Mac, Nic};

use super::board::fault;
use super::virtio::{BUFFER, CONFIGURATION, CONFIGURED, Driver, EVENT_IDX, SIZE, STATUS, wires};

const SECTION: &str = "Virtual I/O Device (VIRTIO) 1.2, 5.1.6 Device Operation";
const LAYOUT: &str = "Virtual I/O Device (VIRTIO) 1.2, 5.1.4 Device configuration layout";
const STREAM: &str = "QEMU, qemu-options.hx, -netdev stream";
const MAC: u64 = 1 << 5;
const LINK_STATUS: u64 = 1 << 16;
const RECEIVE: u16 = 0;
const TRANSMIT: u16 = 1;
/// What is before each frame that is received: the number of buffers, which is one, is the last of it.
const RECEIVED: [u8; 12] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0];

/// A card of this address, and the other end of its link.
fn card(mac: [u8; 6]) -> Result<(Driver, UnixStream), Stop> {
    let (near, far) = UnixStream::pair().map_err(fault)?;
    far.set_nonblocking(true).map_err(fault)?;
    let wires = wires()?;
    wires.nics.add(Nic { link: Link::stream(near).map_err(fault)?, mac: Mac(mac) });
    Ok((Driver::start("virtio-net", 2, MAC | LINK_STATUS | EVENT_IDX, wires)?, far))
}

/// A frame of so many bytes more than a header has.
fn frame(fill: u8, length: u16) -> Vec<u8> {
    vec![fill; 14 + usize::from(length % 1500)]
}

/// Frames as they are in the stream.
fn stream(frames: &[Vec<u8>]) -> Vec<u8> {
    let length = |frame: &Vec<u8>| u32::try_from(frame.len()).unwrap_or(u32::MAX).to_be_bytes();
    frames.iter().flat_map(|frame| [&length(frame)[..], frame].concat()).collect()
}

/// What has come to the other end.
fn come(far: &mut UnixStream) -> Result<Vec<u8>, Stop> {
    let mut bytes = Vec::new();
    match far.read_to_end(&mut bytes) {
        Ok(_) => Ok(bytes),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(bytes),
        Err(error) => Err(fault(error)),
    }
}

fn the_address_is_in_the_configuration(mac: [u8; 6]) -> Outcome {
    let (driver, _far) = card(mac)?;
    let words = [driver.read(CONFIGURATION), driver.read(CONFIGURATION + 4)].map(u32::to_le_bytes).concat();
    equal(&words[..6], &mac[..])?;
    equal(&words[6..], &[1, 0][..])
}
claim!(
    the_address_is_in_the_configuration,
    "A virtio network card's configuration has its address, and behind it a status that says that the link is up",
    [Manual(LAYOUT)]
);

fn what_is_transmitted_goes_out_without_its_header(frames: Vec<(u8, u16)>, header: [u8; 12]) -> Outcome {
    let (driver, mut far) = card([2; 6])?;
    let frames: Vec<_> = frames.into_iter().map(|(fill, length)| frame(fill, length)).collect();
    for frames in frames.chunks(SIZE.into()) {
        for frame in frames {
            if driver.add(TRANSMIT, &[&header[..], frame].concat())? {
                driver.notify(TRANSMIT);
            }
        }
        equal(driver.used(TRANSMIT)?, vec![Vec::new(); frames.len()])?;
        equal(come(&mut far)?, stream(frames))?;
    }
    Ok(())
}
claim!(
    what_is_transmitted_goes_out_without_its_header,
    "What a virtio network card transmits comes to the other end of a stream in order, each frame behind its length and without the header that the driver gave it",
    [Manual("Virtual I/O Device (VIRTIO) 1.2, 5.1.6.2 Packet Transmission"), Manual(STREAM)]
);

fn what_comes_is_received_whole_in_whatever_pieces(frames: Vec<(u8, u16)>, pieces: Vec<u8>) -> Outcome {
    let (driver, mut far) = card([2; 6])?;
    let frames: Vec<_> = frames.into_iter().take(16).map(|(fill, length)| frame(fill, length)).collect();
    let bytes = stream(&frames);
    let (mut rest, mut pieces, mut got) = (&bytes[..], pieces.iter().cycle(), Vec::new());
    let mut left = SIZE;
    while !rest.is_empty() {
        let piece = pieces.next().map_or(rest.len(), |piece| 1 + usize::from(*piece));
        let (now, later) = rest.split_at(piece.min(rest.len()));
        far.write_all(now).map_err(fault)?;
        rest = later;
        driver.poll();
        // Buffers come one at a time, and late.
        if left > 0 && driver.add_room(RECEIVE, BUFFER)? {
            driver.notify(RECEIVE);
        }
        left = left.saturating_sub(1);
        let used = driver.used(RECEIVE)?;
        left += u16::try_from(used.len()).map_err(fault)?;
        got.extend(used);
    }
    while got.len() < frames.len() && left > 0 {
        if driver.add_room(RECEIVE, BUFFER)? {
            driver.notify(RECEIVE);
        }
        left -= 1;
        let used = driver.used(RECEIVE)?;
        left += u16::try_from(used.len()).map_err(fault)?;
        got.extend(used);
    }
    let expected: Vec<_> = frames.iter().map(|frame| [&RECEIVED[..], frame].concat()).collect();
    equal(got, expected)
}
claim!(
    what_comes_is_received_whole_in_whatever_pieces,
    "A virtio network card receives each frame of a stream once, whole and in order, in one buffer behind a header with num_buffers 1, in whatever pieces it comes and however late there are buffers",
    [Manual("Virtual I/O Device (VIRTIO) 1.2, 5.1.6.4 Processing of Incoming Packets"), Manual(STREAM)]
);

fn a_peer_that_ends_or_lies_ends_the_link_alone(says: u32, is_near: bool, goes: bool) -> Outcome {
    let says = if is_near { says % 0x1_2000 } else { says };
    let (driver, mut far) = card([2; 6])?;
    let is_lie = !(14..=0x1_1000).contains(&says);
    far.write_all(&says.to_be_bytes()).map_err(fault)?;
    if goes {
        drop(far);
    }
    driver.poll();
    let is_up = driver.read(CONFIGURATION + 4) >> 16 == 1;
    equal(is_up, !goes && !is_lie)?;
    equal(driver.is_told(CONFIGURED), !is_up)?;
    equal(driver.read(STATUS), 0xf)?;
    driver.add(TRANSMIT, &[0; 72])?;
    driver.notify(TRANSMIT);
    holds(driver.used(TRANSMIT)?.len() == 1, "what is transmitted is done with all the same")
}
claim!(
    a_peer_that_ends_or_lies_ends_the_link_alone,
    "A peer that goes away, or says a length that no frame has, takes a virtio network card's link down, which its driver is told, and all else goes on",
    [Manual(LAYOUT), Manual(SECTION)]
);
