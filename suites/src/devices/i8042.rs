//! The keyboard controller with a keyboard: IBM PS/2 Technical Reference, "Keyboard and auxiliary device controller".

use harness::{Outcome, Stop, claim, each, equal};
use vmm::End;

use super::board::Board;

const DATA: u16 = 0x60;
const COMMAND: u16 = 0x64;
const KEYBOARD: u32 = 1;
const AUXILIARY: u32 = 12;
const FULL: u8 = 0x01;

const SHEET: &str = "IBM PS/2 Technical Reference, Keyboard and Auxiliary Device Controller";

fn controller() -> Result<Board, Stop> {
    Board::of(&["i8042"])
}

fn asks(board: &Board, command: u8) -> Option<u8> {
    board.output(COMMAND, command);
    (board.input(COMMAND) & FULL != 0).then(|| board.input(DATA))
}

fn memory_is_kept(cells: Vec<(u8, u8)>) -> Outcome {
    let board = controller()?;
    let mut kept = [None; 32];
    for (cell, byte) in cells {
        let cell = cell % 32;
        board.output(COMMAND, 0x60 | cell);
        board.output(DATA, byte);
        kept[usize::from(cell)] = Some(byte);
    }
    for (cell, byte) in (0..32_u8).zip(kept).filter_map(|(cell, byte)| Some((cell, byte?))) {
        equal(asks(&board, 0x20 | cell), Some(byte))?;
    }
    Ok(())
}
claim!(
    memory_is_kept,
    "A keyboard controller's commands 20h to 3fh read what 60h to 7fh wrote, the command byte among it",
    [Manual(SHEET)]
);

fn tests_pass() -> Outcome {
    each([(0xaa, 0x55), (0xab, 0), (0xa9, 0)], |(command, answer)| {
        let board = controller()?;
        equal(asks(&board, *command), Some(*answer))?;
        equal(board.input(COMMAND) & FULL, 0)
    })
}
claim!(
    tests_pass,
    "A keyboard controller's self test answers 55h, and the tests of its lines 0",
    [Manual(SHEET)]
);

fn bytes_arrive_where_they_are_said_to_come_from(bytes: Vec<(u8, bool)>, enabled: u8) -> Outcome {
    let board = controller()?;
    let enabled = enabled & 3;
    board.output(COMMAND, 0x60);
    board.output(DATA, enabled | 0x04);
    // No more than the controller holds.
    for (byte, is_auxiliary) in bytes.iter().take(16) {
        board.output(COMMAND, if *is_auxiliary { 0xd3 } else { 0xd2 });
        board.output(DATA, *byte);
    }
    for (byte, is_auxiliary) in bytes.iter().take(16) {
        let status = board.input(COMMAND);
        equal((status & FULL != 0, status & 0x20 != 0), (true, *is_auxiliary))?;
        let lines = (board.is_high(KEYBOARD), board.is_high(AUXILIARY));
        let expected = (!is_auxiliary && enabled & 1 != 0, *is_auxiliary && enabled & 2 != 0);
        equal(lines, expected)?;
        equal(board.input(DATA), *byte)?;
    }
    equal((board.input(COMMAND) & FULL, board.is_high(KEYBOARD), board.is_high(AUXILIARY)), (0, false, false))
}
claim!(
    bytes_arrive_where_they_are_said_to_come_from,
    "Bytes in a keyboard controller's output buffer come in order, each with the status bit and the interrupt of its device",
    [Manual(SHEET)]
);

fn a_keyboard_acknowledges_each_byte(parameter: u8) -> Outcome {
    // LEDs and typematic rate have a parameter that any value is for.
    each([0xed, 0xf3], |command| {
        let board = controller()?;
        for byte in [*command, parameter] {
            board.output(DATA, byte);
            equal((board.input(COMMAND) & FULL, board.input(DATA)), (1, 0xfa))?;
        }
        // The echo comes only if the parameter was taken for one.
        board.output(DATA, 0xee);
        equal(board.input(DATA), 0xee)
    })
}
claim!(
    a_keyboard_acknowledges_each_byte,
    "A keyboard acknowledges a command with a parameter and then the parameter, whatever that is",
    [Manual("IBM PS/2 Technical Reference, Keyboards (101- and 102-Key), Commands from the System")]
);

fn a_keyboard_is_reset() -> Outcome {
    let board = controller()?;
    board.output(DATA, 0xff);
    equal([board.input(DATA), board.input(DATA)], [0xfa, 0xaa])?;
    board.output(DATA, 0xf2);
    equal([board.input(DATA), board.input(DATA)], [0xfa, 0xab])
}
claim!(
    a_keyboard_is_reset,
    "A keyboard answers a reset with its acknowledgement and the code of a good test, and tells its identity",
    [Manual("IBM PS/2 Technical Reference, Keyboards (101- and 102-Key), Commands from the System")]
);

fn pulses_reset_the_processor(low: u8) -> Outcome {
    let board = controller()?;
    board.output(COMMAND, 0xf0 | low);
    equal(board.wires.power.asked(), (low & 1 == 0).then_some(End::Reset))?;
    let board = controller()?;
    board.output(COMMAND, 0xd1);
    board.output(DATA, low);
    equal(board.wires.power.asked(), (low & 1 == 0).then_some(End::Reset))
}
claim!(
    pulses_reset_the_processor,
    "A keyboard controller resets the processor by line 0 of its output port, pulsed or written low, and by no other",
    [Manual(SHEET)]
);
