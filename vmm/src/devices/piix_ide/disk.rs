//! The commands of a disk: ATA/ATAPI-4 (T13/1153D), 8 "Command descriptions". Against that standard there is no DMA: the function has no
//! bus mastering.

use serde::{Deserialize, Serialize};

use super::drive::{Drive, Phase};
use super::identity;
use super::task::{ABORTED, LINEAR, NOT_FOUND, UNCORRECTABLE};
use crate::Disk;

pub(super) const SECTOR: usize = 512;
/// How many sectors move at once at most.
pub(super) const MOST_SEVERAL: u8 = 16;

/// Heads and sectors of a track, by which sectors can be addressed that have no linear address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Geometry {
    pub(super) heads: u8,
    pub(super) sectors: u8,
}

impl Geometry {
    /// What a disk has until it is told something else.
    pub(super) const OWN: Self = Self { heads: 16, sectors: 63 };

    /// How many cylinders a disk of so many sectors has.
    pub(super) fn cylinders(self, sectors: u64) -> u16 {
        const MOST: u64 = 16_383;
        let of_one = (u64::from(self.heads) * u64::from(self.sectors)).max(1);
        u16::try_from((sectors / of_one).min(MOST)).unwrap_or(0)
    }

    /// Cylinder, head and number of a sector, as far as there are cylinders.
    pub(super) fn place(self, sector: u64) -> (u16, u8, u8) {
        let (heads, sectors) = (u64::from(self.heads).max(1), u64::from(self.sectors).max(1));
        let track = sector / sectors;
        let byte = |number: u64| u8::try_from(number & 0xff).unwrap_or(0);
        let cylinder = u16::try_from((track / heads) & 0xffff).unwrap_or(0);
        (cylinder, byte(track % heads), byte(sector % sectors + 1))
    }
}

/// The commands.
mod command {
    pub(super) const READ: [u8; 2] = [0x20, 0x21];
    pub(super) const READ_EXT: u8 = 0x24;
    pub(super) const READ_SEVERAL: u8 = 0xc4;
    pub(super) const READ_SEVERAL_EXT: u8 = 0x29;
    pub(super) const WRITE_SEVERAL: u8 = 0xc5;
    pub(super) const WRITE_SEVERAL_EXT: u8 = 0x39;
    pub(super) const SET_SEVERAL: u8 = 0xc6;
    pub(super) const READ_NATIVE_MAX_EXT: u8 = 0x27;
    pub(super) const WRITE: [u8; 2] = [0x30, 0x31];
    pub(super) const WRITE_EXT: u8 = 0x34;
    pub(super) const VERIFY: [u8; 2] = [0x40, 0x41];
    pub(super) const VERIFY_EXT: u8 = 0x42;
    pub(super) const INITIALIZE: u8 = 0x91;
    pub(super) const FLUSH: [u8; 2] = [0xe7, 0xea];
    pub(super) const IDENTIFY: u8 = 0xec;
    pub(super) const READ_NATIVE_MAX: u8 = 0xf8;
}

/// Does a command of a disk.
pub(super) fn command(drive: &mut Drive, disk: &Disk, command: u8) {
    drive.state.at_once = 1;
    match command {
        command::IDENTIFY => {
            let (geometry, several) = (drive.state.geometry, drive.state.several);
            drive.offer(identity::of_disk(drive.number, disk.sectors(), geometry, several), Phase::In);
        }
        command::READ_SEVERAL | command::READ_SEVERAL_EXT => {
            begin_several(drive, disk, command == command::READ_SEVERAL_EXT, Direction::Reads);
        }
        command::WRITE_SEVERAL | command::WRITE_SEVERAL_EXT => {
            begin_several(drive, disk, command == command::WRITE_SEVERAL_EXT, Direction::Writes);
        }
        command::SET_SEVERAL => match drive.state.task.count.now {
            count if count <= MOST_SEVERAL && (count == 0 || count.is_power_of_two()) => {
                drive.state.several = count;
                drive.done();
            }
            _ => drive.fail(ABORTED),
        },
        command::READ_EXT => begin(drive, disk, true, Direction::Reads),
        command::WRITE_EXT => begin(drive, disk, true, Direction::Writes),
        command::VERIFY_EXT => begin(drive, disk, true, Direction::Verifies),
        _ if command::READ.contains(&command) => begin(drive, disk, false, Direction::Reads),
        _ if command::WRITE.contains(&command) => begin(drive, disk, false, Direction::Writes),
        _ if command::VERIFY.contains(&command) => begin(drive, disk, false, Direction::Verifies),
        command::READ_NATIVE_MAX | command::READ_NATIVE_MAX_EXT => {
            let is_extended = command == command::READ_NATIVE_MAX_EXT;
            let last = disk.sectors().saturating_sub(1);
            let most = if is_extended { last } else { last.min(0x0fff_ffff) };
            drive.say_last(most, is_extended);
            drive.done();
        }
        // RECALIBRATE and SEEK: there is nothing that moves.
        0x10..=0x1f | 0x70..=0x7f => drive.done(),
        command::INITIALIZE => {
            let (heads, sectors) = ((drive.state.task.device & 0xf) + 1, drive.state.task.count.now);
            if sectors == 0 {
                return drive.fail(ABORTED);
            }
            drive.state.geometry = Geometry { heads, sectors };
            drive.done();
        }
        _ if command::FLUSH.contains(&command) => {
            if disk.flush().is_ok() {
                drive.done()
            } else {
                drive.fail(ABORTED)
            }
        }
        _ => drive.command_of_both(command),
    }
}

enum Direction {
    Reads,
    Writes,
    Verifies,
}

/// Begins to move sectors, several at once if the host has said how many.
fn begin_several(drive: &mut Drive, disk: &Disk, is_extended: bool, direction: Direction) {
    if drive.state.several == 0 {
        return drive.fail(ABORTED);
    }
    drive.state.at_once = drive.state.several;
    begin(drive, disk, is_extended, direction);
}

/// Begins to move sectors: the first of those that are read is offered at once.
fn begin(drive: &mut Drive, disk: &Disk, is_extended: bool, direction: Direction) {
    let task = &drive.state.task;
    let (linear, count) = task.linear(is_extended);
    let sector = if task.device & LINEAR != 0 { Some(linear) } else { at_head(drive) };
    let end = sector.and_then(|sector| sector.checked_add(count.into()));
    let Some(sector) = sector.filter(|_| end.is_some_and(|end| end <= disk.sectors())) else {
        return drive.fail(NOT_FOUND);
    };
    (drive.state.sector, drive.state.left, drive.state.is_extended) = (sector, count, is_extended);
    match direction {
        Direction::Reads => read_on(drive, disk),
        Direction::Writes if disk.is_read_only() => drive.fail(ABORTED),
        Direction::Writes => drive.expect(next(drive), Phase::OutOfSectors),
        Direction::Verifies => {
            drive.say_last(sector + u64::from(count) - 1, is_extended);
            drive.done();
        }
    }
}

/// The sector that cylinder, head and number mean; none if there is none.
fn at_head(drive: &Drive) -> Option<u64> {
    let (task, geometry) = (&drive.state.task, drive.state.geometry);
    let cylinder = u64::from(task.high.now) << 8 | u64::from(task.middle.now);
    let (head, number) = (task.device & 0xf, task.low.now);
    let is_there = head < geometry.heads && (1..=geometry.sectors).contains(&number);
    let track = cylinder * u64::from(geometry.heads) + u64::from(head);
    is_there.then(|| track * u64::from(geometry.sectors) + u64::from(number - 1))
}

/// How many bytes move next at once.
fn next(drive: &Drive) -> usize {
    let count = drive.state.left.min(drive.state.at_once.into());
    SECTOR * usize::try_from(count).unwrap_or(0)
}

/// Offers the next sectors, or says that there are no more.
pub(super) fn read_on(drive: &mut Drive, disk: &Disk) {
    if drive.state.left == 0 {
        return drive.end_quietly();
    }
    let mut bytes = vec![0; next(drive)];
    match disk.read(drive.state.sector.saturating_mul(Disk::SECTOR), &mut bytes) {
        Ok(()) => {
            drive.moved(count(&bytes));
            drive.offer(bytes, Phase::InOfSectors);
        }
        Err(_) => drive.fail(UNCORRECTABLE),
    }
}

/// How many sectors these bytes are.
fn count(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len() / SECTOR).unwrap_or(u32::MAX)
}

/// Writes the sectors that have come, and waits for the next.
pub(super) fn write_on(drive: &mut Drive, disk: &Disk) {
    let bytes = std::mem::take(&mut drive.state.buffer);
    // What was loaded from a saved state may be nothing that can be written.
    let fits = drive.state.left > 0 && bytes.len() == next(drive);
    if !fits || disk.write(drive.state.sector.saturating_mul(Disk::SECTOR), &bytes).is_err() {
        return drive.fail(ABORTED);
    }
    drive.moved(count(&bytes));
    if drive.state.left == 0 {
        // Nobody asks for a cache to be flushed that there is not.
        return if disk.flush().is_ok() { drive.done() } else { drive.fail(ABORTED) };
    }
    drive.expect(next(drive), Phase::OutOfSectors);
    drive.state.asks = true;
}
