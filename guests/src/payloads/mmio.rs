//! Reads and writes of addresses without RAM, of each width that the mode has: `api.rst` 5, "KVM_EXIT_MMIO"; Intel SDM volume 2,
//! "MOV—Move".

use iced_x86::IcedError;
use iced_x86::code_asm::{CodeAssembler, ax, bl, cx, eax, ebx, rax, rsi};

use crate::{Event, Image, MMIO_HOLE, Memory, Mode, Registers, Story, Whole, hole, payload};

payload!("write", "MOV of each width to MMIO", [Real, Protected, Long], write, written);
payload!("read", "MOV of each width from MMIO", [Real, Protected, Long], read, taken);

/// What a register holds before an access.
const HELD: u64 = 0x8877_6655_4433_2211;
/// What the host gives to each read: as many bytes as it asks for.
const GIVEN: [u8; 8] = [0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8];
/// From one access to the next, in bytes.
const STEP: u16 = 0x10;

/// The accumulator has a form of MOV of its own, other registers take the general one: both are here.
fn write(a: &mut CodeAssembler, mode: Mode) -> Result<(), IcedError> {
    Whole::AX.set(a, HELD)?;
    Whole::BX.set(a, HELD)?;
    a.mov(hole(mode, 0), bl)?;
    a.mov(hole(mode, STEP), ax)?;
    a.mov(hole(mode, 2 * STEP), ebx)?;
    if mode == Mode::Long {
        a.mov(hole(mode, 3 * STEP), rax)?;
    }
    a.hlt()
}

fn written(image: &Image) -> Story {
    let mode = image.code.mode;
    let write = |address, width: usize| Event::mmio_write(address, &HELD.to_le_bytes()[..width]);
    let held = HELD & mode.register_mask();
    let after = Registers { rax: held, rbx: held, ..image.halted() };
    Story::of(each(mode, write)).ending(after, Memory::Unchanged)
}

fn read(a: &mut CodeAssembler, mode: Mode) -> Result<(), IcedError> {
    for register in [Whole::AX, Whole::BX, Whole::CX, Whole::SI] {
        register.set(a, HELD)?;
    }
    a.mov(bl, hole(mode, 0))?;
    a.mov(cx, hole(mode, STEP))?;
    a.mov(eax, hole(mode, 2 * STEP))?;
    if mode == Mode::Long {
        a.mov(rsi, hole(mode, 3 * STEP))?;
    }
    a.hlt()
}

/// A byte or two leave the rest of a register as it was; four clear the upper half.
fn taken(image: &Image) -> Story {
    let mode = image.code.mode;
    let all = u64::from_le_bytes(GIVEN);
    let read = |address, width: usize| Event::mmio_read(address, &GIVEN[..width]);
    let after = Registers {
        rbx: (HELD & !0xff | all & 0xff) & mode.register_mask(),
        rcx: (HELD & !0xffff | all & 0xffff) & mode.register_mask(),
        rax: all & 0xffff_ffff,
        rsi: if mode == Mode::Long { all } else { HELD & mode.register_mask() },
        ..image.halted()
    };
    Story::of(each(mode, read)).ending(after, Memory::Unchanged)
}

/// One event for each width that the mode has, at the addresses that [`write`] and [`read`] reach, and the halt.
fn each(mode: Mode, event: impl Fn(u64, usize) -> Event) -> Vec<Event> {
    let addresses = (MMIO_HOLE..).step_by(usize::from(STEP));
    addresses.zip(mode.widths()).map(|(address, &width)| event(address, width)).chain([Event::Halt]).collect()
}
