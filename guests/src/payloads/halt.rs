//! HLT: Intel SDM volume 2, "HLT—Halt".

use iced_x86::IcedError;
use iced_x86::code_asm::CodeAssembler;

use crate::{Event, Image, Memory, Mode, Registers, Story, Whole, payload};

payload!("at_once", "halts", [Real, Protected, Long], halt, halted);
payload!("after_moves", "sets general registers, then halts", [Real, Protected, Long], set, moved);

fn halt(a: &mut CodeAssembler, _: Mode) -> Result<(), IcedError> {
    a.hlt()
}

fn halted(image: &Image) -> Story {
    Story::of([Event::Halt]).ending(image.halted(), Memory::Unchanged)
}

const PATTERN: u64 = 0x8877_6655_4433_2211;

fn set(a: &mut CodeAssembler, _: Mode) -> Result<(), IcedError> {
    Whole::AX.set(a, PATTERN)?;
    Whole::BX.set(a, !PATTERN)?;
    Whole::CX.copy(a, Whole::AX)?;
    Whole::BP.copy(a, Whole::BX)?;
    a.hlt()
}

fn moved(image: &Image) -> Story {
    let mask = image.code.mode.register_mask();
    let (one, other) = (PATTERN & mask, !PATTERN & mask);
    let after = Registers { rax: one, rbx: other, rcx: one, rbp: other, ..image.halted() };
    Story::of([Event::Halt]).ending(after, Memory::Unchanged)
}
