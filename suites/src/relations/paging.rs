//! Code that is mapped to itself is the same code under every layout of page tables.

use guests::strategies::{Operands, Place, Program, Stack, Step, Straight, Strings};
use guests::{Mode, Paging};
use harness::relation::{Seen, plainly, same};
use harness::stage::Setting;
use harness::{Outcome, claim, lacking};

use super::programs::{in_mode, ready, ready_under, runs};

macro_rules! mapped {
    ($($function:ident, $program:ident, $sentence:literal;)+) => {
        $(
            fn $function(program: $program, place: Place) -> Outcome {
                narrow(&program, place)?;
                wide(&program, place)
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

/// 32-bit code: without paging, with entries of four bytes, and with PAE.
fn narrow<S: Step>(program: &Program<S>, place: Place) -> Outcome {
    let plain = ready(program, Mode::Protected, place)?;
    let expected = seen(plainly(&Setting::default(), &plain.image)?);
    for mode in [Mode::Protected, Mode::Pae] {
        like(program, mode, place, &expected)?;
    }
    Ok(())
}

/// 64-bit code, with four and five levels.
fn wide<S: Step>(program: &Program<S>, place: Place) -> Outcome {
    let plain = ready(program, Mode::Long, place)?;
    let expected = seen(plainly(&Setting::default(), &plain.image)?);
    like(program, Mode::Long, place, &expected)
}

fn like<S: Step>(program: &Program<S>, mode: Mode, place: Place, expected: &Seen) -> Outcome {
    for paging in Paging::ALL.iter().copied().filter(|paging| paging.suits(mode)) {
        if !lacking(&paging.features())?.is_empty() || !runs(mode, Some(paging))? {
            continue;
        }
        let ready = ready_under(program, mode, place, Some(paging))?;
        let told = seen(plainly(&Setting::default(), &ready.image)?);
        in_mode(mode, same(&ready.image, ready.undefined, expected, &told))
            .map_err(|stop| stop.during(format_args!("under {paging}")))?;
    }
    Ok(())
}

/// What was seen without what makes the layouts differ.
fn seen(mut seen: Seen) -> Seen {
    let special = &mut seen.special;
    (special.cr0, special.cr3, special.cr4, special.efer) = (0, 0, 0, 0);
    seen
}
