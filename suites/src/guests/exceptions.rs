//! Exceptions of every vector that an instruction raises, in the modes that have it: each is reported by its handler with its vector,
//! its error code and its frame. Intel SDM volume 3, 7.15 "Exception and Interrupt Reference".

use guests::iced_x86::IcedError;
use guests::iced_x86::code_asm::registers::*;
use guests::iced_x86::code_asm::{CodeAssembler, byte_ptr, dword_ptr, ptr, word_ptr};
use guests::tables::selector;
use guests::{EntryState, Handlers, Mode, SCRATCH};
use harness::{Outcome, claim};

use super::needs::BUSY_TASKS;
use super::raised::{Raised, Rip};

/// Makes a claim of each exception: the function, the exception, the sentence, the manual's page, and what the host needs.
macro_rules! raised {
    ($($function:ident, $raised:expr, $sentence:literal, $source:literal $(, $need:expr)?;)+) => {
        $(
            fn $function() -> Outcome {
                $raised.check()
            }
            claim!($function, $sentence, [Manual($source)] $(, $need)?);
        )+
    };
}

const CR0_TS: u64 = 1 << 3;
const CR0_AM: u64 = 1 << 18;
const RFLAGS_AC: u64 = 1 << 18;
/// An address that is not canonical.
const NOT_CANONICAL: u64 = 1 << 63;
/// An address that no page table of ours maps.
const UNMAPPED: u64 = 1 << 32;
/// A selector behind the end of the descriptor table.
const OUTSIDE: u16 = 0x400;

raised! {
    divide_in_real_mode, divide(Mode::Real), "DIV by zero in real mode leads through vector 0, with RIP at the DIV", "Intel SDM volume 3, 7.15 Interrupt 0—Divide Error Exception (#DE)";
    divide_in_protected_mode, divide(Mode::Protected), "DIV by zero in protected mode raises #DE without an error code, with RIP at the DIV", "Intel SDM volume 3, 7.15 Interrupt 0—Divide Error Exception (#DE)";
    divide_in_compat_mode, divide(Mode::Compat), "DIV by zero in compatibility mode raises #DE without an error code, with RIP at the DIV", "Intel SDM volume 3, 7.15 Interrupt 0—Divide Error Exception (#DE)";
    divide_in_long_mode, divide(Mode::Long), "DIV by zero in 64-bit mode raises #DE without an error code, with RIP at the DIV", "Intel SDM volume 3, 7.15 Interrupt 0—Divide Error Exception (#DE)";
    debug_in_real_mode, debug(Mode::Real), "An instruction under TF in real mode leads through vector 1, with RIP behind it", "Intel SDM volume 3, 7.15 Interrupt 1—Debug Exception (#DB)";
    debug_in_protected_mode, debug(Mode::Protected), "An instruction under TF in protected mode raises #DB with RIP behind it", "Intel SDM volume 3, 7.15 Interrupt 1—Debug Exception (#DB)";
    debug_in_long_mode, debug(Mode::Long), "An instruction under TF in 64-bit mode raises #DB with RIP behind it", "Intel SDM volume 3, 7.15 Interrupt 1—Debug Exception (#DB)";
    breakpoint_in_real_mode, breakpoint(Mode::Real), "INT3 in real mode leads through vector 3, with RIP behind it", "Intel SDM volume 3, 7.15 Interrupt 3—Breakpoint Exception (#BP)";
    breakpoint_in_segmented_mode, breakpoint(Mode::Segmented), "INT3 in a code segment with a base raises #BP, with RIP relative to that base", "Intel SDM volume 3, 7.15 Interrupt 3—Breakpoint Exception (#BP)";
    breakpoint_in_protected_mode, breakpoint(Mode::Protected), "INT3 in protected mode raises #BP with RIP behind it", "Intel SDM volume 3, 7.15 Interrupt 3—Breakpoint Exception (#BP)";
    breakpoint_in_virtual_8086_mode, breakpoint(Mode::Virtual8086), "INT3 in virtual-8086 mode raises #BP in ring 0 with the frame of the 16-bit code", "Intel SDM volume 3, 21.3.1.1 Handling an Interrupt or Exception Through a Protected-Mode Trap or Interrupt Gate", BUSY_TASKS;
    breakpoint_in_long_mode, breakpoint(Mode::Long), "INT3 in 64-bit mode raises #BP with RIP behind it", "Intel SDM volume 3, 7.15 Interrupt 3—Breakpoint Exception (#BP)";
    overflow_in_real_mode, overflow(Mode::Real), "INTO under OF in real mode leads through vector 4, with RIP behind it", "Intel SDM volume 3, 7.15 Interrupt 4—Overflow Exception (#OF)";
    overflow_in_protected_mode, overflow(Mode::Protected), "INTO under OF in protected mode raises #OF with RIP behind it", "Intel SDM volume 3, 7.15 Interrupt 4—Overflow Exception (#OF)";
    bound_in_real_mode, bound(Mode::Real), "BOUND outside of its bounds in real mode leads through vector 5, with RIP at the BOUND", "Intel SDM volume 3, 7.15 Interrupt 5—BOUND Range Exceeded Exception (#BR)";
    bound_in_protected_mode, bound(Mode::Protected), "BOUND outside of its bounds in protected mode raises #BR with RIP at the BOUND", "Intel SDM volume 3, 7.15 Interrupt 5—BOUND Range Exceeded Exception (#BR)";
    undefined_in_real_mode, undefined(Mode::Real), "UD2 in real mode leads through vector 6, with RIP at the UD2", "Intel SDM volume 3, 7.15 Interrupt 6—Invalid Opcode Exception (#UD)";
    undefined_in_pae_mode, undefined(Mode::Pae), "UD2 under PAE paging raises #UD with RIP at the UD2", "Intel SDM volume 3, 7.15 Interrupt 6—Invalid Opcode Exception (#UD)";
    undefined_in_long_mode, undefined(Mode::Long), "UD2 in 64-bit mode raises #UD with RIP at the UD2", "Intel SDM volume 3, 7.15 Interrupt 6—Invalid Opcode Exception (#UD)";
    no_device_in_protected_mode, no_device(Mode::Protected), "An x87 instruction under CR0.TS in protected mode raises #NM", "Intel SDM volume 3, 7.15 Interrupt 7—Device Not Available Exception (#NM)";
    no_device_in_long_mode, no_device(Mode::Long), "An x87 instruction under CR0.TS in 64-bit mode raises #NM", "Intel SDM volume 3, 7.15 Interrupt 7—Device Not Available Exception (#NM)";
    double_fault_in_protected_mode, double_fault(Mode::Protected), "#NP whose own gate is not present raises #DF with error code 0 in protected mode", "Intel SDM volume 3, 7.15 Interrupt 8—Double Fault Exception (#DF)";
    double_fault_in_long_mode, double_fault(Mode::Long), "#NP whose own gate is not present raises #DF with error code 0 in 64-bit mode", "Intel SDM volume 3, 7.15 Interrupt 8—Double Fault Exception (#DF)";
    invalid_task, nested_return(Mode::Protected, 10, selector::SHORT_TASK.into()), "IRET under NT to a task that is too short raises #TS with its selector", "Intel SDM volume 3, 7.15 Interrupt 10—Invalid TSS Exception (#TS)";
    nested_return_in_long_mode, nested_return(Mode::Long, 13, 0), "IRET under NT raises #GP(0) in 64-bit mode, which has no task switches", "Intel SDM volume 2, IRET/IRETD/IRETQ—Interrupt Return";
    not_present_in_protected_mode, not_present(Mode::Protected), "MOV to FS of a segment that is not present raises #NP with its selector in protected mode", "Intel SDM volume 3, 7.15 Interrupt 11—Segment Not Present (#NP)";
    not_present_in_long_mode, not_present(Mode::Long), "MOV to FS of a segment that is not present raises #NP with its selector in 64-bit mode", "Intel SDM volume 3, 7.15 Interrupt 11—Segment Not Present (#NP)";
    gate_not_present_in_protected_mode, without_gate(Mode::Protected), "INT through a gate that is not present raises #NP with the vector and the IDT bit in protected mode", "Intel SDM volume 3, 7.13 Error Code";
    gate_not_present_in_long_mode, without_gate(Mode::Long), "INT through a gate that is not present raises #NP with the vector and the IDT bit in 64-bit mode", "Intel SDM volume 3, 7.13 Error Code";
    stack_in_real_mode, Raised { error: None, before: |a, _| a.mov(bp, 0xffff), ..Raised::of(Mode::Real, 12, |a, _| a.mov(ax, ptr(bp))) }, "A word across the end of the stack segment in real mode leads through vector 12", "Intel SDM volume 3, 7.15 Interrupt 12—Stack Fault Exception (#SS)";
    stack_in_segmented_mode, Raised { error: Some(0), before: |a, _| a.mov(ebp, 0x1ffe), ..Raised::of(Mode::Segmented, 12, |a, _| a.mov(eax, dword_ptr(ebp))) }, "An access below the limit of a stack segment that expands down raises #SS(0)", "Intel SDM volume 3, 7.15 Interrupt 12—Stack Fault Exception (#SS)";
    stack_in_protected_mode, Raised { error: Some(selector::ABSENT.into()), before: |a, _| a.mov(eax, u32::from(selector::ABSENT)), ..Raised::of(Mode::Protected, 12, |a, _| a.mov(ss, eax)) }, "MOV to SS of a segment that is not present raises #SS with its selector in protected mode", "Intel SDM volume 3, 7.15 Interrupt 12—Stack Fault Exception (#SS)";
    stack_in_long_mode, Raised { error: Some(0), before: |a, _| a.mov(rbp, NOT_CANONICAL), ..Raised::of(Mode::Long, 12, |a, _| a.mov(al, byte_ptr(rbp))) }, "An access through RBP to an address that is not canonical raises #SS(0)", "Intel SDM volume 3, 7.15 Interrupt 12—Stack Fault Exception (#SS)";
    protection_in_real_mode, Raised { before: |a, _| a.mov(si, 0xffff), ..Raised::of(Mode::Real, 13, |a, _| a.mov(ax, ptr(si))) }, "A word across the end of a data segment in real mode leads through vector 13", "Intel SDM volume 3, 7.15 Interrupt 13—General Protection Exception (#GP)";
    protection_in_segmented_mode, Raised { error: Some(0), before: |a, _| a.mov(esi, 0x6ffe), ..Raised::of(Mode::Segmented, 13, |a, _| a.mov(eax, dword_ptr(esi))) }, "An access across the limit of a data segment raises #GP(0)", "Intel SDM volume 3, 7.15 Interrupt 13—General Protection Exception (#GP)";
    protection_in_virtual_8086_mode, Raised { error: Some(0), ..Raised::of(Mode::Virtual8086, 13, |a, _| a.hlt()) }, "HLT in virtual-8086 mode raises #GP(0) in ring 0 with the frame of the 16-bit code", "Intel SDM volume 2, HLT—Halt", BUSY_TASKS;
    protection_in_protected_mode, Raised { error: Some(OUTSIDE.into()), before: |a, _| a.mov(eax, u32::from(OUTSIDE)), ..Raised::of(Mode::Protected, 13, |a, _| a.mov(fs, eax)) }, "MOV to FS of a selector behind the descriptor table raises #GP with the selector in protected mode", "Intel SDM volume 3, 7.15 Interrupt 13—General Protection Exception (#GP)";
    protection_in_long_mode, Raised { error: Some(0), before: |a, _| a.mov(rsi, NOT_CANONICAL), ..Raised::of(Mode::Long, 13, |a, _| a.mov(al, byte_ptr(rsi))) }, "An access to an address that is not canonical raises #GP(0)", "Intel SDM volume 3, 7.15 Interrupt 13—General Protection Exception (#GP)";
    protection_in_ring_3, Raised { user: true, error: Some(0), ..Raised::of(Mode::Long, 13, |a, _| a.hlt()) }, "HLT in ring 3 raises #GP(0) in 64-bit mode, and the frame holds the segments of ring 3", "Intel SDM volume 2, HLT—Halt";
    page_read, page(false, 0, |a, _| a.mov(al, byte_ptr(rsi))), "A read of a page that is not present raises #PF with error code 0, and CR2 holds the address", "Intel SDM volume 3, 7.15 Interrupt 14—Page-Fault Exception (#PF)";
    page_written, page(false, 2, |a, _| a.mov(byte_ptr(rsi), al)), "A write to a page that is not present raises #PF with error code 2, and CR2 holds the address", "Intel SDM volume 3, 7.15 Interrupt 14—Page-Fault Exception (#PF)";
    page_read_in_ring_3, page(true, 4, |a, _| a.mov(al, byte_ptr(rsi))), "A read of a page that is not present raises #PF with error code 4 in ring 3", "Intel SDM volume 3, 7.15 Interrupt 14—Page-Fault Exception (#PF)";
    page_written_in_ring_3, page(true, 6, |a, _| a.mov(byte_ptr(rsi), al)), "A write to a page that is not present raises #PF with error code 6 in ring 3", "Intel SDM volume 3, 7.15 Interrupt 14—Page-Fault Exception (#PF)";
    x87_in_protected_mode, x87(Mode::Protected), "An x87 division by zero that is not masked raises #MF at the next waiting instruction in protected mode", "Intel SDM volume 3, 7.15 Interrupt 16—x87 FPU Floating-Point Error (#MF)";
    x87_in_long_mode, x87(Mode::Long), "An x87 division by zero that is not masked raises #MF at the next waiting instruction in 64-bit mode", "Intel SDM volume 3, 7.15 Interrupt 16—x87 FPU Floating-Point Error (#MF)";
    alignment_in_protected_mode, alignment(Mode::Protected), "An access in ring 3 that is not aligned raises #AC(0) under CR0.AM and EFLAGS.AC in protected mode", "Intel SDM volume 3, 7.15 Interrupt 17—Alignment Check Exception (#AC)", BUSY_TASKS;
    alignment_in_long_mode, alignment(Mode::Long), "An access in ring 3 that is not aligned raises #AC(0) under CR0.AM and EFLAGS.AC in 64-bit mode", "Intel SDM volume 3, 7.15 Interrupt 17—Alignment Check Exception (#AC)";
    simd_in_protected_mode, simd(Mode::Protected), "An SSE division by zero that is not masked raises #XM in protected mode", "Intel SDM volume 3, 7.15 Interrupt 19—SIMD Floating-Point Exception (#XM)";
    simd_in_long_mode, simd(Mode::Long), "An SSE division by zero that is not masked raises #XM in 64-bit mode", "Intel SDM volume 3, 7.15 Interrupt 19—SIMD Floating-Point Exception (#XM)";
}

fn divide(mode: Mode) -> Raised {
    Raised { before: |a, _| a.xor(ecx, ecx), ..Raised::of(mode, 0, |a, _| a.div(ecx)) }
}

fn debug(mode: Mode) -> Raised {
    Raised {
        before: |a, mode| set_flag(a, mode, 1 << 8),
        rip: Rip::Behind,
        ..Raised::of(mode, 1, |a, _| a.nop())
    }
}

fn breakpoint(mode: Mode) -> Raised {
    Raised { rip: Rip::Behind, ..Raised::of(mode, 3, |a, _| a.int3()) }
}

fn overflow(mode: Mode) -> Raised {
    let before = |a: &mut CodeAssembler, _: Mode| {
        a.mov(al, 0x7f)?;
        a.add(al, 1)
    };
    Raised { before, rip: Rip::Behind, ..Raised::of(mode, 4, |a, _| a.into()) }
}

/// Both bounds are the trapping byte, which is a negative number, and the index is 0.
fn bound(mode: Mode) -> Raised {
    Raised::of(mode, 5, |a, _| a.bound(eax, ptr(SCRATCH)))
}

fn undefined(mode: Mode) -> Raised {
    Raised::of(mode, 6, |a, _| a.ud2())
}

fn no_device(mode: Mode) -> Raised {
    Raised {
        entered: |state| EntryState { cr0: state.cr0 | CR0_TS, ..state },
        ..Raised::of(mode, 7, |a, _| a.fld1())
    }
}

/// The gate of #NP is not present itself when that is raised.
fn double_fault(mode: Mode) -> Raised {
    let before = |a: &mut CodeAssembler, mode: Mode| {
        take_away(a, mode, 11)?;
        a.mov(eax, u32::from(selector::ABSENT))
    };
    Raised {
        error: Some(0),
        before,
        rip: Rip::Nowhere,
        tables: true,
        ..Raised::of(mode, 8, |a, _| a.mov(fs, eax))
    }
}

fn without_gate(mode: Mode) -> Raised {
    Raised {
        error: Some(0x60 << 3 | 2),
        before: |a, mode| take_away(a, mode, 0x60),
        tables: true,
        ..Raised::of(mode, 11, |a, _| a.int(0x60))
    }
}

/// The back link of the running task leads to one that is too short.
fn nested_return(mode: Mode, vector: u8, error: u32) -> Raised {
    let before = |a: &mut CodeAssembler, mode: Mode| {
        a.mov(word_ptr(EntryState::of(mode).tr.base), i32::from(selector::SHORT_TASK))?;
        set_flag(a, mode, 1 << 14)
    };
    Raised { error: Some(error), before, tables: true, ..Raised::of(mode, vector, |a, _| a.iretd()) }
}

fn not_present(mode: Mode) -> Raised {
    Raised {
        error: Some(selector::ABSENT.into()),
        before: |a, _| a.mov(eax, u32::from(selector::ABSENT)),
        ..Raised::of(mode, 11, |a, _| a.mov(fs, eax))
    }
}

fn page(user: bool, error: u32, raise: super::raised::Write) -> Raised {
    let before = |a: &mut CodeAssembler, _: Mode| a.mov(rsi, UNMAPPED);
    Raised { user, error: Some(error), cr2: UNMAPPED, before, ..Raised::of(Mode::Long, 14, raise) }
}

fn x87(mode: Mode) -> Raised {
    let before = |a: &mut CodeAssembler, _: Mode| {
        a.fninit()?;
        a.mov(word_ptr(SCRATCH), 0x37b)?;
        a.fldcw(word_ptr(SCRATCH))?;
        a.fld1()?;
        a.fldz()?;
        a.fdivp(st1, st0)
    };
    Raised { entered: EntryState::with_vectors, before, ..Raised::of(mode, 16, |a, _| a.wait()) }
}

fn alignment(mode: Mode) -> Raised {
    let entered = |mut state: EntryState| {
        state.cr0 |= CR0_AM;
        state.registers.rflags |= RFLAGS_AC;
        state
    };
    Raised {
        user: true,
        error: Some(0),
        entered,
        ..Raised::of(mode, 17, |a, _| a.mov(eax, dword_ptr(SCRATCH + 1)))
    }
}

fn simd(mode: Mode) -> Raised {
    let before = |a: &mut CodeAssembler, _: Mode| {
        a.mov(dword_ptr(SCRATCH), 0x1d80)?;
        a.ldmxcsr(dword_ptr(SCRATCH))?;
        a.mov(eax, 0x3f80_0000)?;
        a.movd(xmm0, eax)?;
        a.xorps(xmm1, xmm1)
    };
    Raised { entered: EntryState::with_vectors, before, ..Raised::of(mode, 19, |a, _| a.divss(xmm0, xmm1)) }
}

/// Sets one flag by way of the stack.
fn set_flag(a: &mut CodeAssembler, mode: Mode, flag: i32) -> Result<(), IcedError> {
    match mode.bitness() {
        64 => {
            a.pushfq()?;
            a.or(dword_ptr(rsp), flag)?;
            a.popfq()
        }
        32 => {
            a.pushfd()?;
            a.or(dword_ptr(esp), flag)?;
            a.popfd()
        }
        _ => {
            a.mov(bp, sp)?;
            a.pushf()?;
            a.or(word_ptr(bp - 2), flag)?;
            a.popf()
        }
    }
}

/// Marks the gate of a vector as not present.
fn take_away(a: &mut CodeAssembler, mode: Mode, vector: u8) -> Result<(), IcedError> {
    a.mov(byte_ptr(Handlers::gate(mode, vector) + 5), 0x6e)
}
