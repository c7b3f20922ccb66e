//! The commands of a CD-ROM drive: ATA/ATAPI-4 (T13/1153D), 8.21 "PACKET" and 9.8, and of the packets INF-8020i (SFF-8020i) 10 "Packet
//! commands for CD-ROM devices" and MMC (T10/1048D).

use super::drive::{Drive, Phase};
use super::identity;
use super::task::{ABORTED, ERROR};
use crate::Disk;

/// The commands.
const PACKET: u8 = 0xa0;
const IDENTIFY_PACKET: u8 = 0xa1;
const IDENTIFY: u8 = 0xec;
/// The packet that asks why the one before failed.
const REQUEST_SENSE: u8 = 0x03;
/// How long a packet is, and a block of a disc.
const LENGTH: usize = 12;
pub(super) const BLOCK: usize = 2048;
/// How many blocks are read at once.
const AT_ONCE: u32 = 16;

/// Of the interrupt reason, which is where the sector count was: a packet is wanted, and data goes to the host.
const IS_COMMAND: u8 = 1;
const IS_INPUT: u8 = 2;

/// Why a packet fails: sense key and additional code.
const NOT_READY: (u8, u8) = (0x02, 0x3a);
const BAD_COMMAND: (u8, u8) = (0x05, 0x20);
const OUT_OF_RANGE: (u8, u8) = (0x05, 0x21);
const BAD_FIELD: (u8, u8) = (0x05, 0x24);
const UNREADABLE: (u8, u8) = (0x03, 0x11);

/// Does a command of a drive with packets.
pub(super) fn command(drive: &mut Drive, _: &Disk, command: u8) {
    match command {
        PACKET => {
            let task = &mut drive.state.task;
            // There is no DMA, and nothing is done while another drive works.
            if task.features & 0b11 != 0 {
                return drive.fail(ABORTED);
            }
            let limit = u32::from(task.high.now) << 8 | u32::from(task.middle.now);
            drive.state.limit = if limit == 0 { 0xfffe } else { (limit & !1).max(2) };
            drive.expect(LENGTH, Phase::OutOfPacket);
            drive.state.task.count.set(IS_COMMAND);
        }
        IDENTIFY_PACKET => {
            let bytes = identity::of_packet_drive(drive.number);
            drive.offer(bytes, Phase::In);
        }
        // A host that takes it for a disk is told what it is.
        IDENTIFY => {
            drive.state.task.sign(true);
            drive.fail(ABORTED);
        }
        _ => drive.command_of_both(command),
    }
}

/// Does what a packet says.
pub(super) fn obey(drive: &mut Drive, disc: &Disk) {
    let bytes = std::mem::take(&mut drive.state.buffer);
    let Some(packet) = bytes.first_chunk::<LENGTH>() else { return fail(drive, BAD_COMMAND) };
    let word = |at: usize| u16::from_be_bytes([packet[at], packet[at + 1]]);
    let double = |at: usize| u32::from(word(at)) << 16 | u32::from(word(at + 2));
    let blocks = u32::try_from(disc.sectors() / (BLOCK as u64 / Disk::SECTOR)).unwrap_or(u32::MAX);
    if blocks == 0 && !matches!(packet[0], REQUEST_SENSE | 0x12) {
        return fail(drive, NOT_READY);
    }
    // Why a packet failed is told until the next one, unless that asks.
    if packet[0] != REQUEST_SENSE {
        drive.state.sense = (0, 0);
    }
    match packet[0] {
        // TEST UNIT READY, START STOP UNIT, PREVENT ALLOW MEDIUM REMOVAL.
        0x00 | 0x1b | 0x1e => succeed(drive),
        REQUEST_SENSE => {
            let (key, code) = std::mem::take(&mut drive.state.sense);
            let mut sense = vec![0x70, 0, key, 0, 0, 0, 0, 10, 0, 0, 0, 0, code];
            sense.resize(18, 0);
            answer(drive, sense, packet[4].into());
        }
        0x12 => answer(drive, inquiry(), packet[4].into()),
        0x25 => {
            let block = u32::try_from(BLOCK).unwrap_or(0);
            answer(drive, [(blocks - 1).to_be_bytes(), block.to_be_bytes()].concat(), 8);
        }
        0x28 => read(drive, disc, double(2), word(7).into(), blocks),
        0xa8 => read(drive, disc, double(2), double(6), blocks),
        0x2b if double(2) < blocks => succeed(drive),
        0x2b => fail(drive, OUT_OF_RANGE),
        0x43 => contents(drive, packet[1] & 2 != 0, packet, blocks),
        0x46 => answer(drive, vec![0, 0, 0, 4, 0, 0, 0, 0x08], word(7).into()),
        // No events can be asked for, and none are told of.
        0x4a => answer(drive, vec![0, 2, 0x80, 0], word(7).into()),
        0x5a => mode(drive, packet[2], word(7).into()),
        _ => fail(drive, BAD_COMMAND),
    }
}

/// A removable CD-ROM drive, with text padded by spaces.
fn inquiry() -> Vec<u8> {
    let mut answer = vec![0x05, 0x80, 0x00, 0x21, 31, 0, 0, 0];
    answer.extend(b"ASSAY   CD-ROM          1   ");
    answer
}

/// READ TOC: one track of data, and where it ends; addresses are blocks, or minutes, seconds and frames.
fn contents(drive: &mut Drive, in_time: bool, packet: &[u8; LENGTH], blocks: u32) {
    let place = |block: u32| {
        let [_, minutes, seconds, frames] = {
            let frames = block.saturating_add(150);
            let of = |value: u32| u8::try_from(value).unwrap_or(u8::MAX);
            [0, of(frames / 75 / 60), of(frames / 75 % 60), of(frames % 75)]
        };
        if in_time { [0, minutes, seconds, frames] } else { block.to_be_bytes() }
    };
    let track = |number: u8, block: u32| [&[0, 0x14, number, 0][..], &place(block)].concat();
    let format = (packet[2] & 0xf) | packet[9] >> 6;
    let tracks = match format {
        0 if packet[6] <= 1 => [track(1, 0), track(0xaa, blocks)].concat(),
        0 if packet[6] == 0xaa => track(0xaa, blocks),
        1 => track(1, 0),
        _ => return fail(drive, BAD_FIELD),
    };
    let length = u16::try_from(tracks.len() + 2).unwrap_or(0);
    let answered = [&length.to_be_bytes()[..], &[1, 1], &tracks].concat();
    answer(drive, answered, u32::from(u16::from_be_bytes([packet[7], packet[8]])));
}

/// MODE SENSE (10): the page of capabilities, and that of error recovery.
fn mode(drive: &mut Drive, page: u8, room: u32) {
    let recovery = [0x01, 6, 0, 5, 0, 0, 0, 0];
    let capabilities = [0x2a, 18, 0, 0, 0x71, 0x60, 0x29, 0, 0x02, 0xc2, 0, 2, 0, 0, 0x02, 0xc2, 0, 0, 0, 0];
    let pages = match page & 0x3f {
        0x01 => recovery.to_vec(),
        0x2a => capabilities.to_vec(),
        0x3f => [&recovery[..], &capabilities].concat(),
        _ => return fail(drive, BAD_FIELD),
    };
    let length = u16::try_from(pages.len() + 6).unwrap_or(0);
    let answered = [&length.to_be_bytes()[..], &[0x01, 0, 0, 0, 0, 0], &pages].concat();
    answer(drive, answered, room);
}

/// Begins to read blocks.
fn read(drive: &mut Drive, disc: &Disk, first: u32, count: u32, blocks: u32) {
    if first.checked_add(count).is_none_or(|end| end > blocks) {
        return fail(drive, OUT_OF_RANGE);
    }
    if count == 0 {
        return succeed(drive);
    }
    (drive.state.sector, drive.state.left) = (first.into(), count);
    fill(drive, disc);
}

/// Reads the next blocks, and offers the first part of them.
fn fill(drive: &mut Drive, disc: &Disk) {
    let count = drive.state.left.min(AT_ONCE);
    let mut bytes = vec![0; BLOCK * usize::try_from(count).unwrap_or(0)];
    if disc.read(drive.state.sector.saturating_mul(BLOCK as u64), &mut bytes).is_err() {
        return fail(drive, UNREADABLE);
    }
    drive.state.sector = drive.state.sector.saturating_add(count.into());
    drive.state.left -= count;
    drive.offer(bytes, Phase::InOfPacket);
    part(drive);
}

/// Offers as much of what is there as the host takes at once.
fn part(drive: &mut Drive) {
    let state = &mut drive.state;
    let length = u32::try_from(state.buffer.len()).unwrap_or(0);
    let size = state.limit.max(2).min(length.saturating_sub(state.moved));
    state.end = state.moved.saturating_add(size);
    let [low, high, ..] = size.to_le_bytes();
    state.task.middle.set(low);
    state.task.high.set(high);
    state.task.count.set(IS_INPUT);
    state.asks = true;
}

/// Offers the next part, or the next blocks, or says that there is no more.
pub(super) fn answer_on(drive: &mut Drive, disc: &Disk) {
    if usize::try_from(drive.state.moved).is_ok_and(|moved| moved < drive.state.buffer.len()) {
        part(drive);
    } else if drive.state.left > 0 {
        fill(drive, disc);
    } else {
        succeed(drive);
    }
}

/// Answers with bytes, of which the host has room for so many.
fn answer(drive: &mut Drive, mut bytes: Vec<u8>, room: u32) {
    bytes.truncate(usize::try_from(room).unwrap_or(usize::MAX));
    if bytes.is_empty() {
        return succeed(drive);
    }
    // Words move: a last byte that is alone has company.
    if !bytes.len().is_multiple_of(2) {
        bytes.push(0);
    }
    drive.state.left = 0;
    drive.offer(bytes, Phase::InOfPacket);
    part(drive);
}

fn succeed(drive: &mut Drive) {
    drive.done();
    drive.state.task.count.set(IS_INPUT | IS_COMMAND);
}

fn fail(drive: &mut Drive, sense: (u8, u8)) {
    succeed(drive);
    drive.state.sense = sense;
    drive.state.task.error = sense.0 << 4 | ABORTED;
    drive.state.task.status |= ERROR;
}
