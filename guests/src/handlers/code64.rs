//! The handler's body in 64-bit code, which also handles what 32-bit code under long mode raises.

use iced_x86::IcedError;
use iced_x86::code_asm::registers::*;
use iced_x86::code_asm::{AsmRegister64, CodeAssembler, byte_ptr, ptr, qword_ptr};

use super::After;
use crate::map::{PROTOCOL, STACK, VCPU_MASK};
use crate::protocol::{BLOCK, COUNT, CR2, CS, ERROR, INTERRUPTED, REPORT_PORT, RESUME, SS, VECTOR};
use crate::registers::WIDE_REGISTERS;
use crate::tables::selector;

const RAX: usize = INTERRUPTED;
const RBX: usize = INTERRUPTED + 8;
const RSP: usize = INTERRUPTED + 7 * 8;
const RIP: usize = INTERRUPTED + 16 * 8;
const RFLAGS: usize = INTERRUPTED + 17 * 8;

/// On the stack lie the vector, the error code or what stands for it, RIP, CS, RFLAGS, RSP and SS.
pub(super) fn body(a: &mut CodeAssembler, after: After) -> Result<(), IcedError> {
    let field = |offset: usize| qword_ptr(rbx + offset);
    a.push(rbx)?;
    a.push(rax)?;
    block(a)?;
    for place in [RAX, RBX] {
        a.pop(rax)?;
        a.mov(field(place), rax)?;
    }
    for &(register, index) in kept() {
        a.mov(field(INTERRUPTED + 8 * index), register)?;
    }
    a.pop(rax)?;
    a.movzx(eax, al)?;
    a.mov(field(VECTOR), rax)?;
    a.pop(rax)?;
    a.mov(field(ERROR), rax)?;
    for (at, place) in [RIP, CS, RFLAGS, RSP, SS].into_iter().enumerate() {
        a.mov(rax, qword_ptr(rsp + 8 * at))?;
        a.mov(field(place), rax)?;
    }
    a.mov(rax, cr2)?;
    a.mov(field(CR2), rax)?;
    a.inc(field(COUNT))?;
    a.mov(al, byte_ptr(rbx + VECTOR))?;
    a.out(u32::from(REPORT_PORT), al)?;
    match after {
        After::Halts => a.hlt(),
        After::Returns => back(a),
        After::Resumes => on(a),
    }
}

/// The vCPU's block, by where its descriptor table lies, in RBX.
fn block(a: &mut CodeAssembler) -> Result<(), IcedError> {
    a.sub(rsp, 16)?;
    a.sgdt(ptr(rsp))?;
    a.movzx(ebx, byte_ptr(rsp + 3))?;
    a.add(rsp, 16)?;
    a.and(ebx, u32::from(VCPU_MASK))?;
    a.shl(ebx, BLOCK.trailing_zeros())?;
    a.add(ebx, (PROTOCOL & 0xffff) as u32)
}

fn back(a: &mut CodeAssembler) -> Result<(), IcedError> {
    let field = |offset: usize| qword_ptr(rbx + offset);
    for (at, place) in [RIP, CS, RFLAGS, RSP, SS].into_iter().enumerate() {
        a.mov(rax, field(place))?;
        a.mov(qword_ptr(rsp + 8 * at), rax)?;
    }
    for &(register, index) in kept() {
        a.mov(register, field(INTERRUPTED + 8 * index))?;
    }
    a.mov(rax, field(RAX))?;
    a.mov(rbx, field(RBX))?;
    a.iretq()
}

/// By IRET, for with it non-maskable interrupts can come again.
fn on(a: &mut CodeAssembler) -> Result<(), IcedError> {
    a.push(i32::from(selector::DATA))?;
    a.push((STACK & 0xffff) as i32)?;
    a.push(2)?;
    a.push(i32::from(selector::CODE))?;
    a.push(qword_ptr(rbx + RESUME))?;
    a.iretq()
}

/// The registers that are neither on the stack nor in use when all others are.
fn kept() -> &'static [(AsmRegister64, usize)] {
    &WIDE_REGISTERS[2..]
}
