//! KVM's emulator against the processor: what code does to RAM it does to MMIO, one exit for each piece of an access.

use guests::strategies::{Atomics, Moves, Operands, Place, Program, Stack, Step, Strings};
use harness::relation::{asks_exactly, plainly};
use harness::stage::Setting;
use harness::{Outcome, claim};

use super::programs::{Ring0, in_mode, ready};

macro_rules! emulated {
    ($($function:ident, $program:ident, $sentence:literal, $source:literal;)+) => {
        $(
            fn $function(program: $program, mode: Ring0) -> Outcome {
                as_on_ram(&program, mode)
            }
            claim!($function, $sentence, [
                Api("5. The kvm_run structure, KVM_EXIT_MMIO"),
                Code("emulator_read_write, x86_emulate_insn, arch/x86/kvm"),
                Manual($source)
            ]);
        )+
    };
}

emulated! {
    operands, Operands, "Integer code with operands in MMIO ends as on RAM, with one exit for each piece of each access, in order", "Intel SDM volume 1, 7.3 Summary of GP Instructions";
    strings, Strings, "String instructions on MMIO end as on RAM, with one exit for each piece of each element, in order", "Intel SDM volume 1, 7.3.9 String Operations";
    atomics, Atomics, "Instructions that modify MMIO end as on RAM, locked or not, with exits for the read and the write, in order", "Intel SDM volume 3, 10.1.2.2 Software Controlled Bus Locking";
    stack, Stack, "PUSH, POP and CALL through MMIO end as on RAM, with one exit for each piece of each access, in order", "Intel SDM volume 1, 6.2 Stacks";
    moves, Moves, "MOVBE, CMPXCHG8B and vector moves that KVM emulates on MMIO end as on RAM, with one exit for each piece, in order", "Intel SDM volume 2, the instructions' own pages";
}

/// The window lies at one address in both runs, and only whether there is a slot differs: so every register is the same too.
fn as_on_ram<S: Step>(program: &Program<S>, Ring0(mode): Ring0) -> Outcome {
    let ready = ready(program, mode, Place::Mmio)?;
    let with_ram = Setting { window: true, ..Setting::default() };
    let outcome =
        asks_exactly(&ready.image, ready.undefined, &mut |image| plainly(&with_ram, image), &mut |image| {
            plainly(&Setting::default(), image)
        });
    in_mode(mode, outcome.map(drop))
}
