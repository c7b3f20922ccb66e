//! Every mode of operation once: values go out through a port, to RAM, through the stack and to MMIO, then the code halts.

use iced_x86::IcedError;
use iced_x86::code_asm::{CodeAssembler, bl, cx, eax, ecx, esi, rax, rcx, si};

use crate::{Event, Image, MMIO_HOLE, Mode, Registers, SCRATCH, Story, Whole, hole, payload, scratch};

payload!(
    "tour",
    "writes to a port, RAM, the stack and MMIO, then halts",
    [Real, Virtual8086, Segmented, Protected, Pae, Compat, Long],
    write,
    story
);

const PORT: u8 = 0x80;
const HELD: u64 = 0x8877_6655_4433_2211;
const GIVEN: [u8; 1] = [0xa5];

fn write(a: &mut CodeAssembler, mode: Mode) -> Result<(), IcedError> {
    Whole::AX.set(a, HELD)?;
    a.out(u32::from(PORT), eax)?;
    a.mov(scratch(mode, 0), eax)?;
    match mode.bitness() {
        64 => {
            a.push(rax)?;
            a.pop(rcx)?;
        }
        32 => {
            a.push(eax)?;
            a.pop(ecx)?;
        }
        _ => {
            a.push(si)?;
            a.push(eax)?;
            a.pop(ecx)?;
            a.pop(si)?;
        }
    }
    a.mov(hole(mode, 0x10), cx)?;
    a.mov(bl, hole(mode, 0x20))?;
    a.mov(esi, scratch(mode, 0))?;
    a.hlt()
}

fn story(image: &Image) -> Story {
    let mode = image.code.mode;
    let four = &HELD.to_le_bytes()[..4];
    let events = [
        Event::out(PORT.into(), four),
        Event::mmio_write(MMIO_HOLE + 0x10, &HELD.to_le_bytes()[..2]),
        Event::mmio_read(MMIO_HOLE + 0x20, GIVEN),
        Event::Halt,
    ];
    let held = HELD & mode.register_mask();
    let after =
        Registers { rax: held, rcx: held, rbx: GIVEN[0].into(), rsi: HELD & 0xffff_ffff, ..image.halted() };
    let (pushed, none) = (held.to_le_bytes(), [0, 0]);
    let top = image.entry.ss.base + image.entry.registers.rsp;
    let stack: Vec<(u64, &[u8])> = match mode.bitness() {
        64 => vec![(top - 8, &pushed)],
        32 => vec![(top - 4, four)],
        _ => vec![(top - 2, &none), (top - 6, four)],
    };
    let writes: Vec<_> = [(SCRATCH, four)].into_iter().chain(stack).collect();
    let (registers, memory) = image.ends(after, &writes);
    Story::of(events).ending(registers, memory)
}
