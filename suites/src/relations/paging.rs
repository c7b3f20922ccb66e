//! Code that is mapped to itself is the same code under every layout of page tables.

use guests::strategies::{
    Address, Arithmetic, Form, Operand, Operands, Place, Program, Register, Stack, Start, Step, Straight,
    Strings,
};
use guests::{Levels, Mode, Paging, Width};
use harness::relation::{Seen, following, plainly, same};
use harness::testbed::Setting;
use harness::{Outcome, claim, each, offers};

use super::programs::{halting, in_mode, ready, ready_under};

macro_rules! mapped {
    ($($function:ident, $program:ident, $sentence:literal;)+) => {
        $(
            fn $function(program: $program, place: Place, paging: Paging) -> Outcome {
                told_alike(&program, place, paging)
            }
            claim!($function, $sentence, [
                Manual("Intel SDM volume 3, 4.1.1 Four Paging Modes"), Api("4.14 KVM_SET_SREGS")
            ]);
        )+
    };
}

mapped! {
    straight, Straight, "Straight-line integer code makes the same visible under every layout of page tables that maps it to itself";
    operands, Operands, "Integer code with operands in RAM and MMIO makes the same visible under every layout of page tables";
    strings, Strings, "String instructions make the same visible under every layout of page tables";
    stack, Stack, "PUSH, POP, CALL, ENTER and LEAVE make the same visible under every layout of page tables";
}

/// 32-bit code is held against itself without paging, and 64-bit code against itself under the mode's own layout.
fn told_alike<S: Step>(program: &Program<S>, place: Place, paging: Paging) -> Outcome {
    offers(&paging.features())?;
    let (mode, plain) = match paging.levels {
        Levels::Two => (Mode::Protected, Mode::Protected),
        Levels::Three => (Mode::Pae, Mode::Protected),
        Levels::Four | Levels::Five => (Mode::Long, Mode::Long),
    };
    let under = ready_under(program, mode, place, Some(paging))?;
    let told = seen(plainly(&Setting::default(), &under.image)?);
    let plain = ready(program, plain, place)?;
    let expected = seen(plainly(&Setting::default(), &plain.image)?);
    in_mode(mode, same(&under.image, under.undefined, &expected, &told))
        .map_err(|stop| stop.during(format_args!("under {paging}")))
}

/// What was seen without what makes the layouts differ.
fn seen(mut seen: Seen) -> Seen {
    let special = &mut seen.special;
    (special.cr0, special.cr3, special.cr4, special.efer) = (0, 0, 0, 0);
    seen
}

/// Modes without paging, and with each of its kinds; and those of them in which programs run everywhere.
const BEFORE: [Mode; 5] = [Mode::Real, Mode::Protected, Mode::Pae, Mode::Compat, Mode::Long];
const BEHIND: [Mode; 4] = [Mode::Real, Mode::Protected, Mode::Compat, Mode::Long];

/// An access to MMIO, for which KVM's emulator finds the instruction by page tables that it walks itself.
fn modes_follow_each_other() -> Outcome {
    let at = Address { form: Form::Base, base: 0, scale: 0, displacement: 0, resized: false };
    let step = Operand::Store(Arithmetic::Add, Width::Word, Register(1), at);
    let program = Program { start: Start::default(), steps: vec![step] };
    each(BEHIND, |&mode| {
        let ready = ready(&program, mode, Place::Mmio)?;
        let fresh = following(&Setting::default(), None, &ready.image)?;
        each(BEFORE, |&before| {
            let before = halting(before, before.paging())?;
            let seen = following(&Setting::default(), Some(&before), &ready.image)?;
            same(&ready.image, ready.undefined, &fresh, &seen)
        })
    })
}
claim!(
    modes_follow_each_other,
    "KVM_SET_SREGS takes a vCPU from any mode to any other, where code on MMIO makes the same visible as on a fresh vCPU",
    [
        Api("4.14 KVM_SET_SREGS"),
        Manual("Intel SDM volume 3, 4.1.1 Four Paging Modes"),
        FixedBy("b8453cdcf260")
    ]
);
