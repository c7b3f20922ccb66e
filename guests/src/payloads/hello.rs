//! The whole of it once: a byte comes in, is counted up, is kept in RAM, and goes out.

use iced_x86::IcedError;
use iced_x86::code_asm::{CodeAssembler, al, ptr};

use crate::{Event, Image, Memory, Mode, Registers, SCRATCH, Story, payload};

payload!("hello", "reads a byte, adds one, stores it and writes it", [Real, Protected, Long], write, story);

const FROM: u8 = 0x60;
const TO: u8 = 0xe9;
const GIVEN: u8 = 0x7f;
const ONE_MORE: u8 = 0x80;
/// OF, SF and AF: the sum leaves the signed range, is negative, and carries out of its low half; its bits are odd in number.
/// Bit 1 is always set.
const FLAGS: u64 = 1 << 11 | 1 << 7 | 1 << 4 | 1 << 1;

fn write(a: &mut CodeAssembler, _: Mode) -> Result<(), IcedError> {
    a.in_(al, u32::from(FROM))?;
    a.add(al, 1)?;
    a.mov(ptr(SCRATCH), al)?;
    a.out(u32::from(TO), al)?;
    a.hlt()
}

fn story(image: &Image) -> Story {
    let events = [Event::read(FROM.into(), [GIVEN]), Event::out(TO.into(), [ONE_MORE]), Event::Halt];
    let after = Registers { rax: ONE_MORE.into(), rflags: FLAGS, ..image.halted() };
    Story::of(events).ending(after, Memory::after(image, &[(SCRATCH, &[ONE_MORE])]))
}
