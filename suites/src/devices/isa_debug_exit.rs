//! The exit port of QEMU's machines: QEMU, `hw/misc/debugexit.c`.

use harness::{Outcome, claim, each, equal};
use vmm::{End, Space};

use super::board::Board;

const PORT: u64 = 0xf4;

fn the_status_is_odd_and_tells_the_value(value: u32) -> Outcome {
    each([1, 2, 4], |width| {
        let board = Board::of(&["isa-debug-exit"])?;
        board.bus.write(Space::Ports, PORT, &value.to_le_bytes()[..*width]);
        let value = value & (u32::MAX >> (32 - 8 * *width));
        equal(board.wires.power.asked(), Some(End::Exited { status: value << 1 | 1 }))
    })
}
claim!(
    the_status_is_odd_and_tells_the_value,
    "A write of any width to the exit port ends the machine with twice its value plus one",
    [Doc("QEMU, hw/misc/debugexit.c, debug_exit_write")]
);
