//! Debugging from outside is invisible to the guest: KVM_SET_GUEST_DEBUG.
//!
//! What is reviewed as visible, and is not among what is stepped here: PUSHF, which stores the TF that the single step itself needs
//! (AMD APM volume 2, 13.1.4 "Single Stepping"; Intel SDM volume 3, 17.3.2). SYSCALL and interrupts store it too, and no generated
//! program has them.

use guests::MMIO_HOLE;
use guests::strategies::{
    Atomics, Moves, Operands, Place, Ports, Program, Stack, StackStep, Step, Straight, Strings,
};
use harness::kvm::{KVM_CAP_GUEST_DEBUG_HW_BPS, KVM_CAP_SET_GUEST_DEBUG};
use harness::relation::{Watch, plainly, same, stepped, watched};
use harness::stage::Setting;
use harness::{Outcome, claim};

use super::programs::{Ring0, in_mode, ready};

macro_rules! stepped {
    ($($function:ident, $program:ident, $sentence:literal;)+) => {
        $(
            fn $function(program: $program, mode: Ring0, place: Place) -> Outcome {
                in_steps(&program, mode, place)
            }
            claim!(
                $function,
                $sentence,
                [Api("4.87 KVM_SET_GUEST_DEBUG"), Manual("AMD APM volume 2, 13.1.4 Single Stepping")],
                Has(KVM_CAP_SET_GUEST_DEBUG)
            );
        )+
    };
}

stepped! {
    straight, Straight, "Single-stepping straight-line integer code changes nothing that it makes visible";
    operands, Operands, "Single-stepping integer code with operands in RAM and MMIO changes nothing that it makes visible";
    strings, Strings, "Single-stepping string instructions on RAM and MMIO changes nothing that they make visible";
    atomics, Atomics, "Single-stepping instructions that modify RAM and MMIO changes nothing that they make visible";
    moves, Moves, "Single-stepping vector moves and other instructions of later processors changes nothing that they make visible";
    ports, Ports, "Single-stepping a script of IN and OUT changes nothing that it makes visible";
}

fn stack(program: Stack, mode: Ring0, place: Place) -> Outcome {
    let is_told = |step: &StackStep| !matches!(step, StackStep::PushFlags(_));
    let steps = program.steps.into_iter().filter(is_told).collect();
    in_steps(&Program { start: program.start, steps }, mode, place)
}
claim!(
    stack,
    "Single-stepping PUSH, POP, CALL, ENTER and LEAVE, but for PUSHF, changes nothing that they make visible",
    [Api("4.87 KVM_SET_GUEST_DEBUG"), Manual("AMD APM volume 2, 13.1.4 Single Stepping")],
    Has(KVM_CAP_SET_GUEST_DEBUG)
);

fn in_steps<S: Step>(program: &Program<S>, Ring0(mode): Ring0, place: Place) -> Outcome {
    let ready = ready(program, mode, place)?;
    let (seen, steps) = stepped(&Setting::default(), &ready.image)?;
    // An exit to user space takes the place of the one behind a step: only what was stepped shows anything.
    if steps == 0 {
        return Ok(());
    }
    let plain = plainly(&Setting::default(), &ready.image)?;
    in_mode(mode, same(&ready.image, ready.undefined, &plain, &seen))
}

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
    Has(KVM_CAP_GUEST_DEBUG_HW_BPS)
);
