//! The handler's body in real mode, where no exception has an error code, and the block lies in the first 64 KiB.

use iced_x86::IcedError;
use iced_x86::code_asm::registers::*;
use iced_x86::code_asm::{AsmRegister32, CodeAssembler, byte_ptr, dword_ptr, ptr, word_ptr};

use super::After;
use crate::map::{PROTOCOL, VCPU_MASK};
use crate::protocol::{BLOCK, COUNT, CS, DS, ERROR, INTERRUPTED, REPORT_PORT, RESUME, SS, VECTOR};
use crate::registers::NARROW_REGISTERS;

const EAX: usize = INTERRUPTED;
const EBX: usize = INTERRUPTED + 8;
const EBP: usize = INTERRUPTED + 6 * 8;
const ESP: usize = INTERRUPTED + 7 * 8;
const IP: usize = INTERRUPTED + 16 * 8;
const FLAGS: usize = INTERRUPTED + 17 * 8;

/// What lies on the stack once the body has pushed its part: offset, and where it goes.
const WIDE: [(usize, usize); 3] = [(0, EAX), (4, EBX), (8, EBP)];
const NARROW: [(usize, usize); 6] = [(12, DS), (14, VECTOR), (16, ERROR), (18, IP), (20, CS), (22, FLAGS)];
const FRAME_END: i32 = 24;

/// On the stack lie the vector, what stands for an error code, IP, CS and FLAGS.
pub(super) fn body(a: &mut CodeAssembler, after: After) -> Result<(), IcedError> {
    let field = |offset: usize| dword_ptr(bx + offset);
    a.push(ds)?;
    for register in [ebp, ebx, eax] {
        a.push(register)?;
    }
    a.mov(bp, sp)?;
    block(a)?;
    for (at, place) in WIDE {
        a.mov(eax, dword_ptr(bp + at))?;
        a.mov(field(place), eax)?;
    }
    for (at, place) in NARROW {
        a.movzx(eax, word_ptr(bp + at))?;
        a.mov(field(place), eax)?;
    }
    a.and(field(VECTOR), 0xff)?;
    // The rest of the report: every register that is left, and the stack above the frame.
    for &(register, index) in kept() {
        a.mov(field(INTERRUPTED + 8 * index), register)?;
    }
    a.mov(eax, esp)?;
    a.lea(ax, bp + FRAME_END)?;
    a.mov(field(ESP), eax)?;
    a.mov(eax, ss)?;
    a.mov(field(SS), eax)?;
    a.inc(field(COUNT))?;
    a.mov(al, byte_ptr(bx + VECTOR))?;
    a.out(u32::from(REPORT_PORT), al)?;
    match after {
        After::Halts => a.hlt(),
        After::Returns => back(a),
        After::Resumes => on(a),
    }
}

/// The vCPU's block, by where its descriptor table is said to lie, in BX, and a data segment that reaches it.
fn block(a: &mut CodeAssembler) -> Result<(), IcedError> {
    a.sub(sp, 8)?;
    a.sgdt(ptr(bp - 8))?;
    a.movzx(ebx, byte_ptr(bp - 5))?;
    a.add(sp, 8)?;
    a.and(bx, i32::from(VCPU_MASK))?;
    a.shl(bx, BLOCK.trailing_zeros())?;
    a.add(bx, (PROTOCOL & 0x7fff) as i32 - (PROTOCOL & 0x8000) as i32)?;
    a.xor(ax, ax)?;
    a.mov(ds, ax)
}

fn back(a: &mut CodeAssembler) -> Result<(), IcedError> {
    for (at, place) in [(18, IP), (20, CS), (22, FLAGS), (12, DS)] {
        a.mov(ax, word_ptr(bx + place))?;
        a.mov(word_ptr(bp + at), ax)?;
    }
    for (at, place) in WIDE {
        a.mov(eax, dword_ptr(bx + place))?;
        a.mov(dword_ptr(bp + at), eax)?;
    }
    for &(register, index) in kept() {
        a.mov(register, dword_ptr(bx + (INTERRUPTED + 8 * index)))?;
    }
    for register in [eax, ebx, ebp] {
        a.pop(register)?;
    }
    a.pop(ds)?;
    a.add(sp, 4)?;
    a.iret()
}

/// By IRET, for with it non-maskable interrupts can come again.
fn on(a: &mut CodeAssembler) -> Result<(), IcedError> {
    a.push(2)?;
    a.push(0)?;
    a.push(word_ptr(bx + RESUME))?;
    a.iret()
}

/// The registers that are neither on the stack nor in use when all others are.
fn kept() -> &'static [(AsmRegister32, usize)] {
    &NARROW_REGISTERS[2..6]
}
