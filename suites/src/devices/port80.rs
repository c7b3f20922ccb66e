//! The port that firmware tells its progress at: IBM PC/AT Technical Reference, "Manufacturing checkpoint port".

use harness::{Outcome, claim, equal};

use super::board::Board;

const PORT: u16 = 0x80;

fn it_shows_the_last_checkpoint(bytes: Vec<u8>) -> Outcome {
    let board = Board::of(&["port80"])?;
    for byte in bytes {
        board.output(PORT, byte);
        equal(board.input(PORT), byte)?;
    }
    Ok(())
}
claim!(
    it_shows_the_last_checkpoint,
    "Port 80h reads as the last checkpoint that was written, as the DMA page register does that lies there in a PC/AT",
    [Manual("IBM PC/AT Technical Reference, DMA Controllers: page register addresses")]
);
