//! Debugging from outside is invisible to the guest: KVM_SET_GUEST_DEBUG. But where the processor stores the flags, it stores the TF
//! that the single step itself needs: in PUSHF, in SYSCALL's R11, and in the frame of an interrupt. Those are told one by one, and are
//! not among what else is stepped here.
//!
//! None of it is tried under Bochs, which marks a step as pending before the instruction runs, and saves the mark with a guest that
//! leaves by that instruction (Bochs 2.7, cpu/event.cc: handleAsyncEvent, cpu/vmx.cc: VMexitSaveGuestState): what is seen there of
//! stepping is Bochs.

use guests::iced_x86::IcedError;
use guests::iced_x86::code_asm::registers::*;
use guests::iced_x86::code_asm::{CodeAssembler, dword_ptr, ptr, qword_ptr};
use guests::strategies::{
    Atomics, Move, Moves, Operands, Place, Ports, Program, Stack, StackStep, Step, Straight, Strings,
};
use guests::{Builder, CODE, Feature, Image, MMIO_HOLE, Mode, Registers, SCRATCH, code};
use harness::kvm::KVM_CAP_SET_GUEST_DEBUG;
use harness::relation::{Watch, plainly, same, same_uncounted, stepped, watched};
use harness::testbed::Setting;
use harness::{Outcome, Stop, claim, each, equal, offers};

use super::programs::{Ring0, fault, in_mode, ready, runs};

macro_rules! stepped {
    ($($function:ident, $program:ident, $steps:expr, $sentence:literal;)+) => {
        $(
            fn $function(program: $program, mode: Ring0, place: Place) -> Outcome {
                in_steps(&Program { steps: $steps(program.steps), ..program }, mode, place)
            }
            claim!(
                $function,
                $sentence,
                [Api("4.87 KVM_SET_GUEST_DEBUG"), Manual("AMD APM volume 2, 13.1.4 Single Stepping")],
                Has(KVM_CAP_SET_GUEST_DEBUG),
                Not(&Emulator("Bochs")),
            );
        )+
    };
}

stepped! {
    straight, Straight, all, "Single-stepping straight-line integer code changes nothing that it makes visible";
    operands, Operands, all, "Single-stepping integer code with operands in RAM and MMIO changes nothing that it makes visible";
    strings, Strings, all, "Single-stepping string instructions on RAM and MMIO changes nothing that they make visible";
    atomics, Atomics, all, "Single-stepping instructions that modify RAM and MMIO changes nothing that they make visible";
    stack, Stack, without_pushf, "Single-stepping PUSH, POP, CALL, ENTER and LEAVE, but for PUSHF, changes nothing that they make visible";
    moves, Moves, without_bits, "Single-stepping vector moves, MOVBE and CMPXCHG8B changes nothing that they make visible";
    bits, Moves, bits_alone, "Single-stepping BMI instructions changes nothing that they make visible";
    ports, Ports, all, "Single-stepping a script of IN and OUT changes nothing that it makes visible";
}

fn all<S>(steps: Vec<S>) -> Vec<S> {
    steps
}

fn without_pushf(mut steps: Vec<StackStep>) -> Vec<StackStep> {
    steps.retain(|step| !matches!(step, StackStep::PushFlags(_)));
    steps
}

/// CMPXCHG8B behind an instruction of BMI has a claim of its own below.
fn without_bits(mut steps: Vec<Move>) -> Vec<Move> {
    steps.retain(|step| !matches!(step, Move::Bits(..)));
    steps
}

fn bits_alone(mut steps: Vec<Move>) -> Vec<Move> {
    steps.retain(|step| matches!(step, Move::Bits(..) | Move::Shift(..)));
    steps
}

fn in_steps<S: Step>(program: &Program<S>, Ring0(mode): Ring0, place: Place) -> Outcome {
    let ready = ready(program, mode, place)?;
    let (seen, steps) = stepped(&Setting::default(), &ready.image)?;
    // An exit to user space takes the place of the one behind a step: only what was stepped shows anything.
    let plain = plainly(&Setting::default(), &ready.image)?;
    let compare = if steps > 0 { same } else { same_uncounted };
    in_mode(mode, compare(&ready.image, ready.undefined, &plain, &seen))
}

/// The image in single steps ends as without them, but for what `changes` says of the registers.
fn ends_with(image: &Image, changes: impl FnOnce(&mut Registers)) -> Outcome {
    let mut expected = plainly(&Setting::default(), image)?;
    changes(&mut expected.story.ending.registers);
    let (seen, _) = stepped(&Setting::default(), image)?;
    same(image, 0, &expected, &seen)
}

fn image(
    mode: Mode,
    also: impl FnOnce(Builder<'_>) -> Builder<'_>,
    write: impl FnOnce(&mut CodeAssembler) -> Result<(), IcedError>,
) -> Result<Image, Stop> {
    also(Image::builder(&code(mode, write).map_err(fault)?)).build().map_err(fault)
}

const TF: u64 = 1 << 8;

/// What was pushed is overwritten, so that the register alone tells.
fn pushf_stores_tf() -> Outcome {
    each([Mode::Real, Mode::Segmented, Mode::Protected, Mode::Compat, Mode::Long], |mode| {
        if !runs(*mode, mode.paging())? {
            return Ok(());
        }
        let image = image(
            *mode,
            |builder| builder,
            |a| match mode.bitness() {
                16 => a.pushf().and_then(|()| a.pop(ax)).and_then(|()| a.push(bx)).and_then(|()| a.hlt()),
                32 => a.pushfd().and_then(|()| a.pop(eax)).and_then(|()| a.push(ebx)).and_then(|()| a.hlt()),
                _ => a.pushfq().and_then(|()| a.pop(rax)).and_then(|()| a.push(rbx)).and_then(|()| a.hlt()),
            },
        )?;
        ends_with(&image, |registers| registers.rax |= TF)
    })
}
claim!(
    pushf_stores_tf,
    "PUSHF under single-stepping stores the TF that the step needs, and nothing else is other than without it",
    [
        Code("__kvm_set_rflags, arch/x86/kvm/x86.c"),
        Manual("Intel SDM volume 3, 18.3.1.4 Single-Step Exception Condition"),
    ],
    Has(KVM_CAP_SET_GUEST_DEBUG),
    Not(&Emulator("Bochs")),
);

fn syscall_stores_tf_in_r11() -> Outcome {
    let image = image(
        Mode::Long,
        |builder| builder,
        |a| {
            let mut target = a.create_label();
            for (number, value) in [(0xc000_0080_u32, 0x501_u64), (0xc000_0081, 8 << 32)] {
                a.mov(ecx, number)?;
                a.mov(eax, (value & 0xffff_ffff) as u32)?;
                a.mov(edx, (value >> 32) as u32)?;
                a.wrmsr()?;
            }
            a.mov(ecx, 0xc000_0082_u32)?;
            a.lea(rax, ptr(target))?;
            a.xor(edx, edx)?;
            a.wrmsr()?;
            a.syscall()?;
            a.set_label(&mut target)?;
            a.hlt()
        },
    )?;
    ends_with(&image, |registers| registers.r11 |= TF)
}
claim!(
    syscall_stores_tf_in_r11,
    "SYSCALL under single-stepping stores the TF that the step needs in R11, and nothing else is other than without it",
    [Code("__kvm_set_rflags, arch/x86/kvm/x86.c"), Manual("AMD APM volume 3, SYSCALL Fast System Call"),],
    Has(KVM_CAP_SET_GUEST_DEBUG),
    Not(&Emulator("Bochs")),
);

/// The handler begins behind the INT, takes the frame from its stack and leaves zeroes there.
fn frames_hold_tf() -> Outcome {
    const VECTOR: u8 = 0x40;
    let handler = u16::try_from(CODE).unwrap_or(0) + 2;
    let gate = [handler.to_le_bytes(), [0, 0]].concat();
    let image = image(
        Mode::Real,
        |builder| builder.with(4 * u64::from(VECTOR), gate),
        |a| {
            a.int(i32::from(VECTOR))?;
            for register in [bx, cx, dx] {
                a.pop(register)?;
            }
            for _ in 0..3 {
                a.push(ax)?;
            }
            a.hlt()
        },
    )?;
    ends_with(&image, |registers| registers.rdx |= TF)
}
claim!(
    frames_hold_tf,
    "INT under single-stepping stores the TF that the step needs in its frame, and nothing else is other than without it",
    [
        Code("__kvm_set_rflags, arch/x86/kvm/x86.c"),
        Manual("Intel SDM volume 3, 7.12.1 Exception- or Interrupt-Handler Procedures"),
    ],
    Has(KVM_CAP_SET_GUEST_DEBUG),
    Not(&Emulator("Bochs")),
);

/// Eight bytes that differ from EDX:EAX, so that ZF is cleared, behind an ANDN that sets SF.
fn cmpxchg8b_keeps_flags() -> Outcome {
    const CF: u64 = 1 << 0;
    const ZF: u64 = 1 << 6;
    const SF: u64 = 1 << 7;
    const OF: u64 = 1 << 11;
    offers(&[Feature::BMI1, Feature::CX8])?;
    let image = image(
        Mode::Long,
        |builder| builder,
        |a| {
            a.mov(ebx, (SCRATCH & 0xffff_ffff) as u32)?;
            a.andn(eax, eax, dword_ptr(rbx))?;
            a.cmpxchg8b(qword_ptr(rbx))?;
            a.hlt()
        },
    )?;
    let ended = plainly(&Setting::default(), &image)?.story.ending.registers;
    equal(ended.rflags & (CF | ZF | SF | OF), SF)
}
claim!(
    cmpxchg8b_keeps_flags,
    "CMPXCHG8B changes no flag but ZF, behind ANDN as elsewhere",
    [Manual("Intel SDM volume 2, CMPXCHG8B/CMPXCHG16B—Compare and Exchange Bytes")]
);

fn unmet_breakpoints(program: Operands, mode: Ring0, place: Place) -> Outcome {
    let Ring0(mode) = mode;
    let ready = ready(&program, mode, place)?;
    let setting = Setting::default();
    let plain = plainly(&setting, &ready.image)?;
    let behind = ready.image.code.address() + ready.image.code.bytes.len() as u64;
    // The window is never written at its very end.
    let end = Place::Ram.address() + 0x1ff8;
    let all = [
        Watch::Software,
        Watch::Execution(behind + 0x100),
        Watch::Write(end),
        Watch::Write(MMIO_HOLE + 0x1ff8),
    ];
    for watch in all {
        let seen = watched(&setting, &ready.image, watch)?;
        in_mode(mode, same(&ready.image, ready.undefined, &plain, &seen))
            .map_err(|stop| stop.during(format_args!("with {watch:x?}")))?;
    }
    Ok(())
}
claim!(
    unmet_breakpoints,
    "Breakpoints that KVM_SET_GUEST_DEBUG sets and the guest never meets change nothing that it makes visible",
    [Api("4.87 KVM_SET_GUEST_DEBUG")],
    Has(KVM_CAP_SET_GUEST_DEBUG),
    Not(&Emulator("Bochs")),
);
