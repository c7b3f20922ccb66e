//! The DMA controllers as far as firmware asks: Intel 8237A data sheet (231466), "Register description".

use harness::{Outcome, claim, equal};

use super::board::Board;

/// Of both: where the first word is, how far its neighbours are, and where order and all are cleared, and where the masks are.
const CONTROLLERS: [(u16, u16, u16, u16, u16); 2] =
    [(0x00, 1, 0x0c, 0x0d, 0x0f), (0xc0, 2, 0xd8, 0xda, 0xde)];

fn words_are_written_and_read_in_two_bytes(is_second: bool, words: Vec<(u8, u16)>) -> Outcome {
    let board = Board::of(&["i8237"])?;
    let (first, step, order, _, _) = CONTROLLERS[usize::from(is_second)];
    let mut kept = [0; 8];
    for (register, word) in words {
        let register = register % 8;
        let port = first + step * u16::from(register);
        board.output(order, 0);
        word.to_le_bytes().iter().for_each(|byte| board.output(port, *byte));
        kept[usize::from(register)] = word;
        for (register, word) in (0..8).zip(kept) {
            let port = first + step * register;
            equal(u16::from_le_bytes([board.input(port), board.input(port)]), word)?;
        }
    }
    Ok(())
}
claim!(
    words_are_written_and_read_in_two_bytes,
    "Addresses and counts of an i8237 are written and read lower byte first, from where its flip-flop was cleared",
    [Manual("Intel 231466 (8237A), Current Address Register; Clear First/Last Flip-Flop")]
);

fn a_clear_masks_every_channel(is_second: bool, mask: u8) -> Outcome {
    let board = Board::of(&["i8237"])?;
    let (_, _, _, clear, masks) = CONTROLLERS[usize::from(is_second)];
    board.output(masks, mask);
    equal(board.input(masks) & 0xf, mask & 0xf)?;
    board.output(clear, 0);
    equal(board.input(masks) & 0xf, 0xf)
}
claim!(
    a_clear_masks_every_channel,
    "A master clear of an i8237 masks all four of its channels, whatever the mask was",
    [Manual("Intel 231466 (8237A), Master Clear")]
);
