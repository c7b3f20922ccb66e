//! IN and OUT of each width, with the port in the instruction and in DX: Intel SDM volume 2, "IN—Input From Port" and "OUT—Output
//! to Port".

use iced_x86::IcedError;
use iced_x86::code_asm::{CodeAssembler, al, ax, dx, eax};

use crate::{Event, Image, Memory, Mode, Registers, Story, Whole, payload};

payload!("out_imm8", "OUT imm8 of 1, 2 and 4 bytes", [Real, Protected, Long], out_imm8, out_imm8_story);
payload!("out_dx", "OUT DX of 1, 2 and 4 bytes", [Real, Protected, Long], out_dx, out_dx_story);
payload!("in_imm8", "IN imm8 of 1, 2 and 4 bytes", [Real, Protected, Long], in_imm8, in_imm8_story);
payload!("in_dx", "IN DX of 1, 2 and 4 bytes", [Real, Protected, Long], in_dx, in_dx_story);

/// What RAX holds before an access.
const HELD: u64 = 0x8877_6655_4433_2211;
/// The port of the one-byte access in the short form; wider ones have the ports behind it.
const SHORT: u8 = 0x80;
/// The port of the one-byte access in the long form, out of the short form's reach; wider ones have the ports behind it.
const LONG: u16 = 0x1f80;
const ONE: [u8; 1] = [0xa1];
const TWO: [u8; 2] = [0xb1, 0xb2];
const FOUR: [u8; 4] = [0xc1, 0xc2, 0xc3, 0xc4];

fn out_imm8(a: &mut CodeAssembler, _: Mode) -> Result<(), IcedError> {
    let port = u32::from(SHORT);
    Whole::AX.set(a, HELD)?;
    a.out(port, al)?;
    a.out(port + 1, ax)?;
    a.out(port + 2, eax)?;
    a.hlt()
}

fn out_imm8_story(image: &Image) -> Story {
    let after = Registers { rax: HELD & image.code.mode.register_mask(), ..image.halted() };
    Story::of(outs(SHORT.into())).ending(after, Memory::Unchanged)
}

fn out_dx(a: &mut CodeAssembler, _: Mode) -> Result<(), IcedError> {
    Whole::AX.set(a, HELD)?;
    Whole::DX.set(a, LONG.into())?;
    a.out(dx, al)?;
    a.inc(dx)?;
    a.out(dx, ax)?;
    a.inc(dx)?;
    a.out(dx, eax)?;
    a.hlt()
}

fn out_dx_story(image: &Image) -> Story {
    let rax = HELD & image.code.mode.register_mask();
    let after = Registers { rax, rdx: u64::from(LONG) + 2, rflags: COUNTED, ..image.halted() };
    Story::of(outs(LONG)).ending(after, Memory::Unchanged)
}

fn outs(port: u16) -> [Event; 4] {
    [
        Event::out(port, [0x11]),
        Event::out(port + 1, [0x11, 0x22]),
        Event::out(port + 2, [0x11, 0x22, 0x33, 0x44]),
        Event::Halt,
    ]
}

fn in_imm8(a: &mut CodeAssembler, _: Mode) -> Result<(), IcedError> {
    let port = u32::from(SHORT);
    Whole::AX.set(a, HELD)?;
    a.in_(al, port)?;
    Whole::BX.copy(a, Whole::AX)?;
    Whole::AX.set(a, HELD)?;
    a.in_(ax, port + 1)?;
    Whole::CX.copy(a, Whole::AX)?;
    Whole::AX.set(a, HELD)?;
    a.in_(eax, port + 2)?;
    a.hlt()
}

fn in_imm8_story(image: &Image) -> Story {
    Story::of(ins(SHORT.into())).ending(taken(image), Memory::Unchanged)
}

fn in_dx(a: &mut CodeAssembler, _: Mode) -> Result<(), IcedError> {
    Whole::DX.set(a, LONG.into())?;
    Whole::AX.set(a, HELD)?;
    a.in_(al, dx)?;
    Whole::BX.copy(a, Whole::AX)?;
    a.inc(dx)?;
    Whole::AX.set(a, HELD)?;
    a.in_(ax, dx)?;
    Whole::CX.copy(a, Whole::AX)?;
    a.inc(dx)?;
    Whole::AX.set(a, HELD)?;
    a.in_(eax, dx)?;
    a.hlt()
}

fn in_dx_story(image: &Image) -> Story {
    let after = Registers { rdx: u64::from(LONG) + 2, rflags: COUNTED, ..taken(image) };
    Story::of(ins(LONG)).ending(after, Memory::Unchanged)
}

fn ins(port: u16) -> [Event; 4] {
    [Event::read(port, ONE), Event::read(port + 1, TWO), Event::read(port + 2, FOUR), Event::Halt]
}

/// A byte or two leave the rest of RAX as it was; four clear the upper half.
fn taken(image: &Image) -> Registers {
    let mask = image.code.mode.register_mask();
    let one = HELD & !0xff | u64::from(ONE[0]);
    let two = HELD & !0xffff | u64::from(u16::from_le_bytes(TWO));
    Registers { rbx: one & mask, rcx: two & mask, rax: u32::from_le_bytes(FOUR).into(), ..image.halted() }
}

/// The flags after the last INC, which makes DX 0x1f82: PF, for the two set bits of its low byte. Bit 1 is always set.
const COUNTED: u64 = 1 << 2 | 1 << 1;
