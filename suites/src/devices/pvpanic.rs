//! The port at which a guest says that it has panicked: QEMU, `docs/specs/pvpanic.rst`.

use harness::{Outcome, claim, equal};
use vmm::End;

use super::board::Board;

const PORT: u16 = 0x505;

fn only_the_first_bit_is_a_panic(byte: u8) -> Outcome {
    let board = Board::of(&["pvpanic"])?;
    equal(board.input(PORT) & 1, 1)?;
    board.output(PORT, byte);
    equal(board.wires.power.asked(), (byte & 1 != 0).then_some(End::Panicked))
}
claim!(
    only_the_first_bit_is_a_panic,
    "pvpanic offers bit 0, and a write with it, and no other, ends the machine as one that panicked",
    [Doc("QEMU docs/specs/pvpanic.rst, bit definitions")]
);
