//! Disks and CD-ROM drives at the IDE channels of the PIIX3: ATA/ATAPI-4 (T13/1153D), and Intel 82371SB data sheet (290550), 2.3.

use harness::{Outcome, Stop, claim, equal, holds};
use vmm::{Disk, Media, Space};

use super::board::{Board, fault};

const FUNCTION: u8 = 1 << 3 | 1;
/// The registers of the first channel, at which the disk is, and of the second, at which the disc is.
const DISK: u16 = 0x1f0;
const DISC: u16 = 0x170;
const SECTORS: u16 = 64;
const BLOCKS: u16 = SECTORS / 4;
/// Of the status: data moves, and an error.
const DATA: u8 = 8;
const ERROR: u8 = 1;

/// A board with a disk and a disc, both with these contents, which are decoded.
fn board(contents: &[u8], is_read_only: bool) -> Result<(Board, Disk), Stop> {
    let disk = Disk::in_memory(contents.to_vec(), is_read_only);
    let board = Board::with(&["i440fx", "piix-ide"], |wires| {
        let disc = Disk::in_memory(contents.to_vec(), true);
        equal(wires.drives.put(0, Media::Disk(disk.clone())), true)?;
        equal(wires.drives.put(2, Media::Cdrom(disc)), true)
    })?;
    board.configure(FUNCTION, 0x04, &[1]);
    board.configure(FUNCTION, 0x41, &[0x80]);
    board.configure(FUNCTION, 0x43, &[0x80]);
    Ok((board, disk))
}

/// Bytes that differ from sector to sector and within each.
fn contents(seed: u8) -> Vec<u8> {
    (0..usize::from(SECTORS) * 512).map(|at| (at / 512 * 31 + at % 251).to_le_bytes()[0] ^ seed).collect()
}

fn task(board: &Board, base: u16, registers: [u8; 7]) {
    for (port, byte) in (base + 1..).zip(registers) {
        board.output(port, byte);
    }
}

/// All that a drive has for its host, in accesses of so many bytes: each part is as long as `length` says.
fn take(board: &Board, base: u16, width: usize, length: impl Fn() -> usize) -> Vec<u8> {
    let mut taken = Vec::new();
    while board.input(base + 7) & DATA != 0 && taken.len() < 0x2_0000 {
        let mut part = vec![0; length()];
        for piece in part.chunks_mut(width) {
            board.bus.read(Space::Ports, base.into(), piece);
        }
        taken.extend(part);
    }
    taken
}

fn sectors_are_read_as_they_are(
    seed: u8,
    first: u8,
    count: u8,
    by_double_words: bool,
    is_extended: bool,
) -> Outcome {
    let contents = contents(seed);
    let (board, _) = board(&contents, true)?;
    let (first, count) = (first % 64, count % 32 + 1);
    board.output(DISK + 2, 0);
    board.output(DISK + 3, 0);
    task(&board, DISK, [0, count, first, 0, 0, 0x40, if is_extended { 0x24 } else { 0x20 }]);
    let width = if by_double_words { 4 } else { 2 };
    let taken = take(&board, DISK, width, || 512);
    let end = u16::from(first) + u16::from(count);
    if end > SECTORS {
        equal((board.input(DISK + 7) & ERROR, board.input(DISK + 1)), (ERROR, 0x10))?;
        return equal(taken.len(), 0);
    }
    equal(board.input(DISK + 7) & ERROR, 0)?;
    equal(taken == contents[usize::from(first) * 512..usize::from(end) * 512], true)
}
claim!(
    sectors_are_read_as_they_are,
    "READ SECTORS and READ SECTORS EXT give what the disk has, in words or double words, and end with IDNF and without data where sectors are not there",
    [
        Doc("T13/1153D ATA/ATAPI-4, 8.27 READ SECTOR(S)"),
        Doc("T13/1410D ATA/ATAPI-6, 8.35 READ SECTOR(S) EXT")
    ]
);

fn sectors_are_written_and_nothing_else(first: u8, count: u8, seed: u8, is_read_only: bool) -> Outcome {
    let before = contents(0);
    let (board, disk) = board(&before, is_read_only)?;
    let (first, count) = (first % 64, count % 8 + 1);
    task(&board, DISK, [0, count, first, 0, 0, 0x40, 0x30]);
    let written = contents(seed);
    let mut words = written.chunks_exact(2);
    while board.input(DISK + 7) & DATA != 0 {
        let Some(word) = words.next() else { break };
        board.bus.write(Space::Ports, DISK.into(), word);
    }
    let mut expected = before;
    let range = usize::from(first) * 512..(usize::from(first) + usize::from(count)) * 512;
    let is_possible = !is_read_only && range.end <= expected.len();
    equal(board.input(DISK + 7) & ERROR == 0, is_possible)?;
    if is_possible {
        let length = range.len();
        expected[range].copy_from_slice(&written[..length]);
    }
    let mut after = vec![0; expected.len()];
    disk.read(0, &mut after).map_err(fault)?;
    equal(after == expected, true)
}
claim!(
    sectors_are_written_and_nothing_else,
    "WRITE SECTORS changes the sectors that it names and no others, and a disk that cannot be written or has no such sectors not at all",
    [Doc("T13/1153D ATA/ATAPI-4, 8.45 WRITE SECTOR(S)")]
);

fn blocks_are_read_in_parts(seed: u8, first: u8, count: u8, limit: u16) -> Outcome {
    let contents = contents(seed);
    let (board, _) = board(&contents, true)?;
    let (first, count) = (first % 16, count % 20);
    let [low, high] = limit.to_le_bytes();
    task(&board, DISC, [0, 0, 0, low, high, 0, 0xa0]);
    for word in [0x28, 0, 0, 0, 0, first, 0, 0, count, 0, 0, 0].chunks(2) {
        board.bus.write(Space::Ports, DISC.into(), word);
    }
    let most = if limit == 0 { 0xfffe } else { (limit & !1).max(2) };
    let length = || usize::from(board.input(DISC + 4)) | usize::from(board.input(DISC + 5)) << 8;
    if board.input(DISC + 7) & DATA != 0 {
        holds((1..=usize::from(most)).contains(&length()), "no part is longer than the host takes")?;
    }
    let taken = take(&board, DISC, 2, length);
    let end = u16::from(first) + u16::from(count);
    if end > BLOCKS {
        equal((board.input(DISC + 7) & ERROR, board.input(DISC + 1) >> 4), (ERROR, 5))?;
        return equal(taken.len(), 0);
    }
    equal((board.input(DISC + 7) & ERROR, board.input(DISC + 2) & 3), (0, 3))?;
    equal(taken == contents[usize::from(first) * 2048..usize::from(end) * 2048], true)
}
claim!(
    blocks_are_read_in_parts,
    "A CD-ROM drive gives the blocks of a READ(10) packet in parts no longer than the host's byte count, and says ILLEGAL REQUEST of blocks that are not there",
    [Doc("T13/1153D ATA/ATAPI-4, 9.8 PACKET command protocol"), Doc("SFF-8020i, 10.8.13 READ(10) Command")]
);

fn a_host_is_told_of_each_end_once(is_kept_away: bool, commands: Vec<u8>) -> Outcome {
    let (board, _) = board(&contents(0), false)?;
    board.output(DISK + 0x206, if is_kept_away { 2 } else { 0 });
    for command in commands {
        // FLUSH CACHE, or a command that there is not.
        task(&board, DISK, [0, 0, 0, 0, 0, 0, if command & 1 == 0 { 0xe7 } else { 0xff }]);
        equal(board.is_high(14), !is_kept_away)?;
        board.input(DISK + 0x206);
        equal(board.is_high(14), !is_kept_away)?;
        equal(board.input(DISK + 7) & ERROR, command & 1)?;
        equal(board.is_high(14), false)?;
    }
    Ok(())
}
claim!(
    a_host_is_told_of_each_end_once,
    "A disk interrupts at the end of each command unless nIEN is set, until its status register is read, and not the alternate one",
    [Doc("T13/1153D ATA/ATAPI-4, 7.4 Alternate Status register and 7.15 Status register")]
);

fn ports_are_decoded_as_the_function_says(command: bool, first: bool, second: bool) -> Outcome {
    let (board, _) = board(&contents(0), false)?;
    board.configure(FUNCTION, 0x04, &[command.into()]);
    board.configure(FUNCTION, 0x41, &[if first { 0x80 } else { 0 }]);
    board.configure(FUNCTION, 0x43, &[if second { 0x80 } else { 0 }]);
    let answers = |base: u16| board.input(base + 3) != 0xff;
    equal((answers(DISK), answers(DISC)), (command && first, command && second))
}
claim!(
    ports_are_decoded_as_the_function_says,
    "The PIIX3's IDE function answers at a channel's ports while its command register enables ports and the channel's IDETIM its decode",
    [Manual("Intel 290550 (82371SB), 2.3.3 PCICMD and 2.3.9 IDETIM")]
);
