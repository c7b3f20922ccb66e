//! System control port A: IBM PS/2 Technical Reference, "System control port A (hex 0092)".

use harness::{Outcome, claim, equal};
use vmm::End;

use super::board::Board;

const PORT: u16 = 0x92;
const RESET: u8 = 0x01;

fn a_rising_bit_0_resets(bytes: Vec<u8>) -> Outcome {
    let board = Board::of(&["port92"])?;
    equal(board.input(PORT) & 2, 2)?;
    let mut before = 0;
    let mut resets = false;
    for byte in bytes {
        resets |= byte & RESET & !before != 0;
        board.output(PORT, byte);
        equal(board.input(PORT), byte)?;
        equal(board.wires.power.asked(), resets.then_some(End::Reset))?;
        before = byte;
    }
    Ok(())
}
claim!(
    a_rising_bit_0_resets,
    "Port 92h begins with A20 on and keeps what is written, and bit 0 resets the processor when it rises and not otherwise",
    [Manual("IBM PS/2 Technical Reference, System Control Port A (Hex 0092)")]
);
