//! KVM's emulator against the processor: what code does to RAM it does to MMIO, one exit for each piece of an access.

use guests::strategies::{
    Address, Atomics, Form, Move, Moves, Operands, Place, Program, Register, Stack, Start, Step, Strings,
};
use guests::{Feature, Mode, Width};
use harness::relation::{Emulated, asks_exactly, plainly};
use harness::testbed::Setting;
use harness::{Broken, Outcome, claim, offers};

use super::programs::{AnyRing, Ring0, in_mode, ready};

macro_rules! emulated {
    ($($function:ident, $program:ident, $ring:ident, $refusing:ident, $sentence:literal, $source:literal;)+) => {
        $(
            fn $function(program: $program, mode: $ring) -> Outcome {
                as_on_ram(&program, mode.0, Refusing::$refusing)
            }
            claim!($function, $sentence, [
                Api("5. The kvm_run structure, KVM_EXIT_MMIO"),
                Code("emulator_read_write, x86_emulate_insn, arch/x86/kvm"),
                Manual($source)
            ]);
        )+
    };
}

/// Whether KVM may refuse to emulate an instruction of a program.
#[derive(Clone, Copy)]
enum Refusing {
    Nothing,
    Something,
}

// Outside of ring 0 the guest gets #UD where KVM refuses an instruction: what it may refuse runs in ring 0 alone.
emulated! {
    operands, Operands, AnyRing, Nothing, "Integer code with operands in MMIO ends as on RAM, with one exit for each piece of each access, in order", "Intel SDM volume 1, 7.3 Summary of GP Instructions";
    strings, Strings, AnyRing, Nothing, "String instructions on MMIO end as on RAM, with one exit for each piece of each element, in order", "Intel SDM volume 1, 7.3.9 String Operations";
    atomics, Atomics, AnyRing, Nothing, "Instructions that modify MMIO end as on RAM, locked or not, with exits for the read and the write, in order", "Intel SDM volume 3, 10.1.2.2 Software Controlled Bus Locking";
    stack, Stack, Ring0, Something, "PUSH, POP and CALL through MMIO end as on RAM, with one exit for each piece of each access, in order", "Intel SDM volume 1, 6.2 Stacks";
}

/// The window lies at one address in both runs, and only whether there is a slot differs: so every register is the same too.
fn as_on_ram<S: Step>(program: &Program<S>, mode: Mode, refusing: Refusing) -> Outcome {
    let ready = ready(program, mode, Place::Mmio)?;
    let with_ram = Setting { window: true, ..Setting::default() };
    let outcome =
        asks_exactly(&ready.image, ready.undefined, &mut |image| plainly(&with_ram, image), &mut |image| {
            plainly(&Setting::default(), image)
        });
    in_mode(
        mode,
        match (outcome?, refusing) {
            (Emulated::Refused(name), Refusing::Nothing) => {
                Err(Broken::new(format!("KVM refuses to emulate {name}"))
                    .with(ready.image.code.disassemble())
                    .into())
            }
            _ => Ok(()),
        },
    )
}

/// Without MOVBE in 16-bit code, which has a claim of its own below; and half of the time without what most kernels refuse, so that a
/// program comes to its end.
fn moves(program: Moves, Ring0(mode): Ring0, emulated: bool) -> Outcome {
    let mut left_out = Vec::new();
    if mode.bitness() == 16 {
        left_out.push(Feature::MOVBE);
    }
    if emulated {
        left_out.extend([Feature::BMI1, Feature::BMI2, Feature::CX16, Feature::AVX]);
    }
    as_on_ram(&program.without(&left_out, mode), mode, Refusing::Something)
}
claim!(
    moves,
    "MOVBE, CMPXCHG8B and vector moves that KVM emulates on MMIO end as on RAM, with one exit for each piece, in order",
    [
        Api("5. The kvm_run structure, KVM_EXIT_MMIO"),
        Code("emulator_read_write, x86_emulate_insn, arch/x86/kvm"),
        Manual("Intel SDM volume 2, the instructions' own pages"),
    ]
);

fn movbe_in_16_bit_code() -> Outcome {
    offers(&[Feature::MOVBE])?;
    let at = Address { form: Form::Base, base: 0, scale: 0, displacement: 0, resized: false };
    let steps = vec![Move::LoadSwapped(Width::Word, Register(0), at)];
    as_on_ram(&Program { start: Start::default(), steps }, Mode::Real, Refusing::Something)
}
claim!(
    movbe_in_16_bit_code,
    "MOVBE without a prefix reads two bytes in 16-bit code, from MMIO as from RAM",
    [
        Manual("Intel SDM volume 2, MOVBE—Move Data After Swapping Bytes"),
        Code("em_movbe, arch/x86/kvm/emulate.c"),
    ]
);
