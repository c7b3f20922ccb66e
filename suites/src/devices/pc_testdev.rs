//! What kvm-unit-tests drive a machine with: QEMU, `hw/misc/pc-testdev.c`, its opening comment.

use harness::{Outcome, claim, each, equal};
use vmm::{Access, Space};

use super::board::Board;

const SCRATCH: u64 = 0xe0;
const BYTES: u64 = 0xe8;
const LINES: u16 = 0x2000;
const MEMORY: u64 = 0xff00_0000;

const SOURCE: &str = "QEMU, hw/misc/pc-testdev.c, the opening comment";

fn scratch_is_kept_in_every_width(writes: Vec<(u8, u8, u32)>, by_bytes: bool) -> Outcome {
    let board = Board::of(&["pc-testdev"])?;
    let first = if by_bytes { BYTES } else { SCRATCH };
    let mut kept = [0; 4];
    for (offset, width, value) in writes {
        let width = [1, 2, 4][usize::from(width % 3)];
        let offset = usize::from(offset) % (5 - width);
        let bytes = &value.to_le_bytes()[..width];
        equal(board.bus.write(Space::Ports, first + offset as u64, bytes), Access::Done)?;
        kept[offset..offset + width].copy_from_slice(bytes);
        // The same cells are at both places.
        each([SCRATCH, BYTES], |first| {
            let mut seen = [0; 4];
            board.bus.read(Space::Ports, *first, &mut seen);
            equal(seen, kept)
        })?;
    }
    Ok(())
}
claim!(
    scratch_is_kept_in_every_width,
    "pc-testdev's four scratch ports keep what is written in any width, and show the same by bytes",
    [Doc(SOURCE)]
);

fn lines_have_the_level_that_is_written(writes: Vec<(u8, u8)>) -> Outcome {
    let board = Board::of(&["pc-testdev"])?;
    let mut levels = [false; 24];
    for (line, byte) in writes {
        let line = line % 24;
        board.output(LINES + u16::from(line), byte);
        levels[usize::from(line)] = byte != 0;
        let seen: Vec<bool> = (0..24).map(|line| board.is_high(line)).collect();
        equal(seen, levels.to_vec())?;
    }
    Ok(())
}
claim!(
    lines_have_the_level_that_is_written,
    "A byte to one of pc-testdev's 24 ports is the level of that interrupt line, and of no other",
    [Doc(SOURCE)]
);

fn memory_is_kept(writes: Vec<(u16, Vec<u8>)>) -> Outcome {
    let board = Board::of(&["pc-testdev"])?;
    let mut kept = vec![0; 0x1_0000];
    for (offset, bytes) in writes {
        let from = usize::from(offset);
        let bytes = &bytes[..bytes.len().min(8).min(kept.len() - from)];
        board.bus.write(Space::Memory, MEMORY + u64::from(offset), bytes);
        kept[from..from + bytes.len()].copy_from_slice(bytes);
        let mut seen = vec![0; bytes.len()];
        board.bus.read(Space::Memory, MEMORY + u64::from(offset), &mut seen);
        equal(&seen[..], &kept[from..from + bytes.len()])?;
    }
    let mut seen = vec![0; kept.len()];
    for (at, piece) in seen.chunks_mut(8).enumerate() {
        board.bus.read(Space::Memory, MEMORY + 8 * at as u64, piece);
    }
    equal(seen == kept, true)
}
claim!(memory_is_kept, "pc-testdev's 64 KiB of memory keep what is written in any width", [Doc(SOURCE)]);
