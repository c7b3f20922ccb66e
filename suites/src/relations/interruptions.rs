//! KVM_RUN may come back at any moment for reasons that are none of the guest's, and the guest never knows.

use guests::strategies::{Atomics, Moves, Operands, Place, Ports, Program, Stack, Step, Straight, Strings};
use harness::kvm::KVM_CAP_IMMEDIATE_EXIT;
use harness::relation::{Interruptions, interrupted, plainly, same, same_uncounted};
use harness::testbed::Setting;
use harness::{Outcome, claim};

use super::programs::{AnyRing, in_mode, ready};

macro_rules! interrupted {
    ($($function:ident, $program:ident, $sentence:literal;)+) => {
        $(
            fn $function(program: $program, mode: AnyRing, place: Place, with: Interruptions) -> Outcome {
                told_alike(&program, mode, place, &with)
            }
            claim!(
                $function,
                $sentence,
                [Api("4.10 KVM_RUN"), Api("5. The kvm_run structure, immediate_exit")],
                Has(KVM_CAP_IMMEDIATE_EXIT)
            );
        )+
    };
}

interrupted! {
    straight, Straight, "Signals, kicks by another thread and immediate_exit change nothing that straight-line integer code makes visible";
    operands, Operands, "Signals, kicks by another thread and immediate_exit change nothing that integer code with operands in RAM and MMIO makes visible";
    strings, Strings, "Signals, kicks by another thread and immediate_exit change nothing that string instructions make visible, amid their repetitions too";
    atomics, Atomics, "Signals, kicks by another thread and immediate_exit change nothing that instructions make visible which modify RAM and MMIO";
    stack, Stack, "Signals, kicks by another thread and immediate_exit change nothing that PUSH, POP, CALL, ENTER and LEAVE make visible";
    moves, Moves, "Signals, kicks by another thread and immediate_exit change nothing that vector moves make visible";
    ports, Ports, "Signals, kicks by another thread and immediate_exit change nothing that a script of IN and OUT makes visible";
}

/// Only what was interrupted shows anything.
fn told_alike<S: Step>(
    program: &Program<S>,
    AnyRing(mode): AnyRing,
    place: Place,
    with: &Interruptions,
) -> Outcome {
    let ready = ready(program, mode, place)?;
    let (seen, ended) = interrupted(&Setting::default(), &ready.image, with)?;
    let plain = plainly(&Setting::default(), &ready.image)?;
    let compare = if ended > 0 { same } else { same_uncounted };
    in_mode(mode, compare(&ready.image, ready.undefined, &plain, &seen))
}
