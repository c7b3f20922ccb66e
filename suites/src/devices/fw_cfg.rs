//! QEMU's firmware configuration device: QEMU, `docs/specs/fw_cfg.rst`.

use harness::{Outcome, Stop, claim, equal, holds};
use vmm::Space;

use super::board::{Board, fault};

const SELECTOR: u16 = 0x510;
const DATA: u16 = 0x511;
const DMA: u64 = 0x514;
const DIRECTORY: u16 = 0x19;
const FIRST_FILE: u16 = 0x20;

const READ: u32 = 2;
const SKIP: u32 = 4;
const SELECT: u32 = 8;
const ERROR: u32 = 1;

const SPEC: &str = "QEMU docs/specs/fw_cfg.rst";

/// A device with these files, named as they are numbered.
fn device(files: &[Vec<u8>]) -> Result<Board, Stop> {
    let board = Board::of(&["fw-cfg"])?;
    for (number, contents) in files.iter().enumerate() {
        board.wires.items.add(&format!("opt/{number:04}"), contents.clone()).map_err(fault)?;
    }
    Ok(board)
}

fn select(board: &Board, key: u16) {
    board.bus.write(Space::Ports, SELECTOR.into(), &key.to_le_bytes());
}

fn read(board: &Board, length: usize) -> Vec<u8> {
    (0..length).map(|_| board.input(DATA)).collect()
}

/// Every file of the directory: name, key and size.
fn directory(board: &Board) -> Vec<(String, u16, u32)> {
    select(board, DIRECTORY);
    let bytes = read(board, 4);
    let count = u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    let entry = |_| {
        let entry = read(board, 64);
        let name = entry[8..].iter().take_while(|byte| **byte != 0);
        let size = u32::from_be_bytes([entry[0], entry[1], entry[2], entry[3]]);
        (name.map(|byte| char::from(*byte)).collect(), u16::from_be_bytes([entry[4], entry[5]]), size)
    };
    (0..count.min(64)).map(entry).collect()
}

fn it_is_recognised() -> Outcome {
    let board = device(&[])?;
    select(&board, 0);
    equal(read(&board, 4), b"QEMU".to_vec())?;
    select(&board, 1);
    equal(read(&board, 4), vec![3, 0, 0, 0])?;
    let mut signature = [0; 8];
    board.bus.read(Space::Ports, DMA, &mut signature);
    equal(&signature, b"QEMU CFG")
}
claim!(
    it_is_recognised,
    "fw_cfg answers its signature, the interfaces that it has, and the signature of its DMA",
    [Doc(SPEC)]
);

fn files_are_in_the_directory(files: Vec<Vec<u8>>) -> Outcome {
    let files = &files[..files.len().min(16)];
    let board = device(files)?;
    let listed = directory(&board);
    let names: Vec<_> = listed.iter().map(|(name, _, _)| name.clone()).collect();
    holds(names.is_sorted(), "names ascend")?;
    for (number, contents) in files.iter().enumerate() {
        let name = format!("opt/{number:04}");
        let found = listed.iter().find(|(listed, _, _)| *listed == name);
        equal(found.map(|(_, _, size)| *size as usize), Some(contents.len()))?;
        let key = found.map_or(0, |(_, key, _)| *key);
        holds(key >= FIRST_FILE, "files have keys from 0x20 on")?;
        select(&board, key);
        equal(read(&board, contents.len()), contents.clone())?;
        equal(read(&board, 3), vec![0; 3])?;
    }
    Ok(())
}
claim!(
    files_are_in_the_directory,
    "fw_cfg lists each file with its size and key, by which it is read byte by byte, and zeroes behind its end",
    [Doc(SPEC)]
);

/// A DMA command at 0x1000: how it ended.
fn dma(board: &Board, control: u32, length: u32, address: u64) -> Result<u32, Stop> {
    let command = [&control.to_be_bytes()[..], &length.to_be_bytes(), &address.to_be_bytes()].concat();
    board.wires.ram.write(0x1000, &command).map_err(fault)?;
    board.bus.write(Space::Ports, DMA, &0_u32.to_be_bytes());
    board.bus.write(Space::Ports, DMA + 4, &0x1000_u32.to_be_bytes());
    let mut ended = [0; 4];
    board.wires.ram.read(0x1000, &mut ended).map_err(fault)?;
    Ok(u32::from_be_bytes(ended))
}

fn dma_reads_what_the_port_reads(contents: Vec<u8>, skipped: u8, length: u16) -> Outcome {
    let board = device(std::slice::from_ref(&contents))?;
    let key = directory(&board).iter().find(|(name, _, _)| name == "opt/0000").map_or(0, |(_, key, _)| *key);
    let (skipped, length) = (usize::from(skipped), usize::from(length % 0x800));
    select(&board, key);
    read(&board, skipped);
    let expected = read(&board, length);
    equal(dma(&board, u32::from(key) << 16 | SELECT | SKIP, u32::try_from(skipped).unwrap_or(0), 0)?, 0)?;
    equal(dma(&board, READ, u32::try_from(length).unwrap_or(0), 0x4000)?, 0)?;
    let mut seen = vec![0; length];
    board.wires.ram.read(0x4000, &mut seen).map_err(fault)?;
    equal(&seen, &expected)?;
    // Both go on at the same place.
    equal(board.input(DATA), contents.get(skipped + length).copied().unwrap_or(0))
}
claim!(
    dma_reads_what_the_port_reads,
    "fw_cfg's DMA selects, skips and reads as the data port does, and the port goes on where it ended",
    [Doc(SPEC)]
);

fn dma_out_of_ram_is_an_error(address: u64, length: u32, is_near: bool) -> Outcome {
    let (address, length) =
        if is_near { (address % 0x14_0000, length % 0x2_0000) } else { (address, length) };
    let board = device(&[])?;
    let is_in_ram = address.checked_add(length.into()).is_some_and(|end| end <= 0x10_0000);
    let ended = dma(&board, READ, length, address)?;
    equal(ended & ERROR != 0, !is_in_ram && length > 0)
}
claim!(
    dma_out_of_ram_is_an_error,
    "fw_cfg's DMA to what is not all RAM ends with the error bit",
    [Doc(SPEC)]
);
