//! The handler's body in 32-bit code, which also handles what virtual-8086 code raises.

use iced_x86::IcedError;
use iced_x86::code_asm::registers::*;
use iced_x86::code_asm::{AsmRegister32, CodeAssembler, byte_ptr, dword_ptr, ptr};

use super::After;
use crate::map::{PROTOCOL, VCPU_MASK};
use crate::protocol::{BLOCK, COUNT, CR2, CS, DS, ERROR, INTERRUPTED, REPORT_PORT, RESUME, SS, VECTOR};
use crate::registers::NARROW_REGISTERS;
use crate::tables::selector;

const EAX: usize = INTERRUPTED;
const EBX: usize = INTERRUPTED + 8;
const ESP: usize = INTERRUPTED + 7 * 8;
const EIP: usize = INTERRUPTED + 16 * 8;
const EFLAGS: usize = INTERRUPTED + 17 * 8;
const EFLAGS_VM: i32 = 1 << 17;

/// On the stack lie the vector, the error code or what stands for it, EIP, CS and EFLAGS, and where the ring changed ESP and SS.
pub(super) fn body(a: &mut CodeAssembler, after: After) -> Result<(), IcedError> {
    let field = |offset: usize| dword_ptr(ebx + offset);
    a.push(ds)?;
    a.push(ebx)?;
    a.push(eax)?;
    block(a)?;
    for place in [EAX, EBX, DS, VECTOR, ERROR] {
        a.pop(eax)?;
        a.mov(field(place), eax)?;
    }
    a.and(field(VECTOR), 0xff)?;
    for &(register, index) in kept() {
        a.mov(field(INTERRUPTED + 8 * index), register)?;
    }
    for (at, place) in [EIP, CS, EFLAGS].into_iter().enumerate() {
        a.mov(eax, dword_ptr(esp + 4 * at))?;
        a.mov(field(place), eax)?;
    }
    stack(a)?;
    a.mov(eax, cr2)?;
    a.mov(field(CR2), eax)?;
    a.inc(field(COUNT))?;
    a.mov(al, byte_ptr(ebx + VECTOR))?;
    a.out(u32::from(REPORT_PORT), al)?;
    match after {
        After::Halts => a.hlt(),
        After::Returns => back(a),
        After::Resumes => on(a),
    }
}

/// The vCPU's block, by where its descriptor table lies, in EBX, and a data segment that reaches it.
fn block(a: &mut CodeAssembler) -> Result<(), IcedError> {
    a.sub(esp, 8)?;
    a.sgdt(ptr(esp))?;
    a.movzx(ebx, byte_ptr(esp + 3))?;
    a.add(esp, 8)?;
    a.and(ebx, u32::from(VCPU_MASK))?;
    a.shl(ebx, BLOCK.trailing_zeros())?;
    a.add(ebx, (PROTOCOL & 0xffff) as u32)?;
    a.mov(eax, u32::from(selector::HANDLER_DATA))?;
    a.mov(ds, eax)
}

/// The stack that was interrupted: from the frame where the ring changed, and this one above the frame where not.
fn stack(a: &mut CodeAssembler) -> Result<(), IcedError> {
    let field = |offset: usize| dword_ptr(ebx + offset);
    let (mut changed, mut done) = (a.create_label(), a.create_label());
    a.test(dword_ptr(esp + 4), 3)?;
    a.jnz(changed)?;
    a.test(dword_ptr(esp + 8), EFLAGS_VM)?;
    a.jnz(changed)?;
    a.lea(eax, esp + 12)?;
    a.mov(field(ESP), eax)?;
    a.mov(eax, ss)?;
    a.mov(field(SS), eax)?;
    a.jmp(done)?;
    a.set_label(&mut changed)?;
    a.mov(eax, dword_ptr(esp + 12))?;
    a.mov(field(ESP), eax)?;
    a.mov(eax, dword_ptr(esp + 16))?;
    a.mov(field(SS), eax)?;
    a.set_label(&mut done)
}

fn back(a: &mut CodeAssembler) -> Result<(), IcedError> {
    let field = |offset: usize| dword_ptr(ebx + offset);
    for (at, place) in [EIP, CS, EFLAGS].into_iter().enumerate() {
        a.mov(eax, field(place))?;
        a.mov(dword_ptr(esp + 4 * at), eax)?;
    }
    for &(register, index) in kept() {
        a.mov(register, field(INTERRUPTED + 8 * index))?;
    }
    for place in [DS, EBX, EAX] {
        a.push(field(place))?;
    }
    a.pop(eax)?;
    a.pop(ebx)?;
    a.pop(ds)?;
    a.iretd()
}

/// By IRET after a non-maskable interrupt, for only then another one can come; elsewhere without, for emulators lack it.
fn on(a: &mut CodeAssembler) -> Result<(), IcedError> {
    let mut plain = a.create_label();
    a.cmp(byte_ptr(ebx + VECTOR), 2)?;
    a.jne(plain)?;
    a.push(2)?;
    a.push(i32::from(selector::CODE))?;
    a.push(dword_ptr(ebx + RESUME))?;
    a.iretd()?;
    a.set_label(&mut plain)?;
    a.push(2)?;
    a.popfd()?;
    a.jmp(dword_ptr(ebx + RESUME))
}

/// The registers that are neither on the stack nor in use when all others are.
fn kept() -> &'static [(AsmRegister32, usize)] {
    &NARROW_REGISTERS[2..]
}
