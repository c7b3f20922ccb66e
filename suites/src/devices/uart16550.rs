//! The 16550 serial port: National Semiconductor PC16550D data sheet (SNLS378).

use harness::{Outcome, claim, equal, holds};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use super::board::{Board, Deed};

const DATA: u16 = 0x3f8;
const IER: u16 = 0x3f9;
const IIR: u16 = 0x3fa;
const FCR: u16 = 0x3fa;
const LCR: u16 = 0x3fb;
const MCR: u16 = 0x3fc;
const LSR: u16 = 0x3fd;
const MSR: u16 = 0x3fe;
const IRQ: u32 = 4;

const DLAB: u8 = 0x80;
const OUT2: u8 = 0x08;
const LOOP: u8 = 0x10;

/// What a driver and the other end do to a serial port: the divisor stays as it is, so that a character has a known time.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Uart(Vec<Deed>);

impl Arbitrary for Uart {
    type Parameters = ();
    type Strategy = BoxedStrategy<Self>;

    fn arbitrary_with((): ()) -> BoxedStrategy<Self> {
        let deed = prop_oneof![
            3 => any::<u8>().prop_map(|byte| Deed::Out(DATA, byte)),
            5 => any::<u8>().prop_map(|bits| Deed::Out(IER, bits & 0xf)),
            3 => any::<u8>().prop_map(|bits| Deed::Out(FCR, bits)),
            1 => any::<u8>().prop_map(|bits| Deed::Out(LCR, bits & !DLAB)),
            3 => any::<u8>().prop_map(|bits| Deed::Out(MCR, bits & 0x1f)),
            6 => prop::sample::select(&[DATA, IIR, LSR, MSR][..]).prop_map(Deed::In),
            4 => prop::collection::vec(any::<u8>(), 1..20).prop_map(Deed::Type),
            2 => (0..25_u32).prop_map(|power| Deed::Pass((1 << power) - 1)),
        ];
        prop::collection::vec(deed, 1..40).prop_map(Self).boxed()
    }
}

fn port() -> Result<Board, harness::Stop> {
    let board = Board::of(&["com1"])?;
    board.output(MCR, OUT2);
    Ok(board)
}

/// The interrupt that the identification register names; none where it names none.
fn identity(board: &Board) -> Option<u8> {
    let iir = board.input(IIR);
    (iir & 1 == 0).then_some(iir & 0xf)
}

const LINE_STATUS: u8 = 0x6;
const AVAILABLE: u8 = 0x4;
const TIMEOUT: u8 = 0xc;
const EMPTY: u8 = 0x2;
const MODEM: u8 = 0x0;

fn the_line_is_the_identity(deeds: Uart) -> Outcome {
    let board = port()?;
    let mut mcr = OUT2;
    for deed in &deeds.0 {
        board.does(deed);
        if let Deed::Out(MCR, bits) = deed {
            mcr = *bits;
        }
        let is_high = board.is_high(IRQ);
        let names = identity(&board).is_some();
        equal(is_high, names && mcr & (OUT2 | LOOP) == OUT2)
            .map_err(|stop| stop.during(format!("{deed:?}")))?;
    }
    Ok(())
}
claim!(
    the_line_is_the_identity,
    "A 16550's interrupt is high just when its identification register names an interrupt and OUT2 lets it out",
    [
        Manual("PC16550D data sheet (SNLS378), 8.5 Interrupt Identification Register"),
        Manual("IBM PC/AT Technical Reference, Serial/Parallel Adapter: OUT 2 enables the interrupt driver")
    ]
);

fn identity_is_what_the_registers_say(deeds: Uart) -> Outcome {
    let board = port()?;
    for deed in &deeds.0 {
        board.does(deed);
        let at = |stop: harness::Stop| stop.during(format!("{deed:?}"));
        let ier = board.input(IER);
        // Reading takes line status and modem status away, and so comes last.
        match identity(&board) {
            Some(LINE_STATUS) => {
                holds(ier & 4 != 0 && board.input(LSR) & 0x1e != 0, "there is an error in the line status")
                    .map_err(at)?;
            }
            Some(AVAILABLE | TIMEOUT) => {
                holds(ier & 1 != 0 && board.input(LSR) & 1 != 0, "data is ready").map_err(at)?;
            }
            Some(EMPTY) => {
                holds(ier & 2 != 0 && board.input(LSR) & 0x20 != 0, "the transmitter is empty")
                    .map_err(at)?;
            }
            Some(MODEM) => {
                holds(ier & 8 != 0 && board.input(MSR) & 0xf != 0, "the modem status changed").map_err(at)?;
            }
            Some(other) => equal(Some(other), None).map_err(at)?,
            None => {
                let errors = board.input(LSR) & 0x1e != 0 && ier & 4 != 0;
                let modem = board.input(MSR) & 0xf != 0 && ier & 8 != 0;
                holds(!errors && !modem, "neither line nor modem status asks for an interrupt")
                    .map_err(at)?;
            }
        }
    }
    Ok(())
}
claim!(
    identity_is_what_the_registers_say,
    "A 16550's identification register names an interrupt that is enabled and whose reason stands in the status registers",
    [Manual("PC16550D data sheet (SNLS378), table 4, Interrupt Control Functions")]
);

fn data_asks_again_when_it_is_enabled_again(text: Vec<u8>, has_fifo: bool, times: u8) -> Outcome {
    let board = port()?;
    board.output(FCR, has_fifo.into());
    board.output(IER, 1);
    board.type_in(&text);
    for _ in 0..=times % 4 {
        let (is_high, named) = (board.is_high(IRQ), identity(&board));
        equal(named, (!text.is_empty()).then_some(AVAILABLE))?;
        equal(is_high, named.is_some())?;
        board.output(IER, 0);
        equal((board.is_high(IRQ), identity(&board)), (false, None))?;
        board.output(IER, 1);
    }
    Ok(())
}
claim!(
    data_asks_again_when_it_is_enabled_again,
    "Received data that nobody has read interrupts again each time that its interrupt is enabled again",
    [Manual("PC16550D data sheet (SNLS378), 8.7 Interrupt Enable Register, table 4")]
);

fn typed_text_arrives_whole(texts: Vec<Vec<u8>>, has_fifo: bool, trigger: u8) -> Outcome {
    let board = port()?;
    board.output(FCR, u8::from(has_fifo) | trigger << 6);
    let mut read = Vec::new();
    for text in &texts {
        board.type_in(text);
        while board.input(LSR) & 1 != 0 {
            read.push(board.input(DATA));
        }
    }
    equal(read, texts.concat())?;
    equal(board.input(LSR) & 0x9f, 0)
}
claim!(
    typed_text_arrives_whole,
    "A guest that reads while data is ready gets all that was typed, in order and without an error",
    [Manual("PC16550D data sheet (SNLS378), 8.4 Line Status Register")]
);

/// In nanoseconds, of a start bit, eight bits and a stop bit at 9600 bits a second.
const CHARACTER: u64 = 10 * 1_000_000_000 / 9600;

fn a_few_bytes_are_told_in_time(count: u8, trigger: u8) -> Outcome {
    let trigger = 1 + trigger % 3;
    let level = [1, 4, 8, 14][usize::from(trigger)];
    let count = usize::from(count) % 17;
    let board = port()?;
    board.output(FCR, 1 | trigger << 6);
    board.output(IER, 1);
    board.type_in(&vec![b'x'; count]);
    equal(identity(&board), (count >= level).then_some(AVAILABLE))?;
    board.pass(4 * CHARACTER + CHARACTER / 10);
    let late = match count {
        0 => None,
        count if count >= level => Some(AVAILABLE),
        _ => Some(TIMEOUT),
    };
    equal(identity(&board), late)?;
    for _ in 0..count {
        board.input(DATA);
    }
    equal((board.is_high(IRQ), identity(&board)), (false, None))
}
claim!(
    a_few_bytes_are_told_in_time,
    "With a FIFO, data interrupts at its trigger level, and below that once no character came for the time of four",
    [Manual("PC16550D data sheet (SNLS378), 8.12.1 FIFO Interrupt Mode Operation")]
);

fn a_reset_of_the_receiver_leaves_no_data(deeds: Uart, text: Vec<u8>) -> Outcome {
    let board = port()?;
    for deed in &deeds.0 {
        board.does(deed);
    }
    board.output(MCR, OUT2);
    board.output(IER, 1);
    // What is typed and not yet received would come at once.
    while board.input(LSR) & 1 != 0 {
        board.input(DATA);
    }
    let was = board.input(IIR) & 0xc0;
    board.output(FCR, was >> 6 & 1);
    board.type_in(&text[..text.len().min(1)]);
    board.output(FCR, 3);
    equal((board.input(LSR) & 1, identity(&board), board.is_high(IRQ)), (0, None, false))?;
    board.pass(8 * CHARACTER);
    equal((identity(&board), board.is_high(IRQ)), (None, false))
}
claim!(
    a_reset_of_the_receiver_leaves_no_data,
    "A reset of the receiver's FIFO leaves neither data nor an interrupt for it, at once or later",
    [Manual("PC16550D data sheet (SNLS378), 8.6 FIFO Control Register, bit 1")]
);

fn a_loop_receives_what_it_sends(bytes: Vec<u8>, modem: u8) -> Outcome {
    let board = port()?;
    board.output(FCR, 1);
    board.output(MCR, LOOP | modem & 0xf);
    let lines = modem & 0xf;
    let expected = (lines & 1) << 5 | (lines >> 1 & 1) << 4 | (lines >> 2 & 1) << 6 | (lines >> 3 & 1) << 7;
    equal(board.input(MSR) & 0xf0, expected)?;
    for byte in bytes {
        board.output(DATA, byte);
        equal((board.input(LSR) & 1, board.input(DATA)), (1, byte))?;
    }
    equal(board.wires.serial[0].take(), Vec::new())
}
claim!(
    a_loop_receives_what_it_sends,
    "In loopback a 16550 receives what it sends and sees its own modem control lines, and nothing leaves it",
    [Manual("PC16550D data sheet (SNLS378), 8.8 Modem Control Register, bit 4")]
);
