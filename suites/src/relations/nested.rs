//! Code as the guest of a guest: on a virtual machine control block that a small hypervisor makes, which is the guest that KVM runs.

use guests::nested::{EXIT_PORT, VMEXIT_HLT};
use guests::strategies::{Operands, Place, Ports, Program, Stack, Step, Straight, Strings};
use guests::{Event, Feature};
use harness::kvm::KVM_CAP_NESTED_STATE;
use harness::relation::{
    Cut, Luggage, as_guest_of_a_guest, back_in_the_hypervisor, plainly, same, same_uncounted,
    travelling_as_guest_of_a_guest,
};
use harness::state::Special;
use harness::testbed::Setting;
use harness::{Outcome, claim, equal, offers};

use super::programs::{Ring0, in_mode, offered, ready};

macro_rules! nested {
    ($($function:ident, $program:ident, $sentence:literal;)+) => {
        $(
            fn $function(program: $program, mode: Ring0, place: Place) -> Outcome {
                told_alike(&program, mode, place)
            }
            claim!($function, $sentence, [Manual("AMD APM volume 2, 15.5 VMRUN Instruction")], Amd);
        )+
    };
}

nested! {
    straight, Straight, "Straight-line integer code makes the same visible as the guest of a guest";
    operands, Operands, "Integer code with operands in RAM and MMIO makes the same visible as the guest of a guest";
    strings, Strings, "String instructions on RAM and MMIO make the same visible as the guest of a guest";
    stack, Stack, "PUSH, POP, CALL, ENTER and LEAVE make the same visible as the guest of a guest";
    ports, Ports, "A script of IN and OUT makes the same visible as the guest of a guest";
}

fn told_alike<S: Step>(program: &Program<S>, Ring0(mode): Ring0, place: Place) -> Outcome {
    offers(&[Feature::SVM])?;
    let ready = ready(program, mode, place)?;
    let plain = plainly(&Setting::default(), &ready.image)?;
    let seen = as_guest_of_a_guest(&ready.image)?;
    in_mode(mode, same(&ready.image, ready.undefined, &plain, &seen))
}

/// The state that is saved is that before the HLT, in whose place the hypervisor goes on.
fn halting_comes_back(program: Operands, mode: Ring0, place: Place) -> Outcome {
    offers(&[Feature::SVM])?;
    let Ring0(mode) = mode;
    let ready = ready(&program, mode, place)?;
    let plain = plainly(&Setting::default(), &ready.image)?.story;
    let (seen, [rax, rsp, rip, rflags]) = back_in_the_hypervisor(&ready.image)?;
    let mut events = plain.events;
    events.pop();
    events.extend([Event::out(EXIT_PORT.into(), VMEXIT_HLT.to_le_bytes()), Event::Halt]);
    in_mode(mode, equal(seen.story.events, events))?;
    in_mode(mode, equal(seen.story.ending.memory, plain.ending.memory))?;
    let ending = plain.ending.registers;
    let defined = |flags: u64| flags & !ready.undefined;
    let saved = [ending.rax, ending.rsp, ending.rip - 1, defined(ending.rflags)];
    in_mode(mode, equal([rax, rsp, rip, defined(rflags)], saved))
}
claim!(
    halting_comes_back,
    "A HLT that a guest intercepts in its guest ends in VMEXIT_HLT, with RAX, RSP, RIP, RFLAGS and memory as before it",
    [
        Manual("AMD APM volume 2, 15.6 #VMEXIT"),
        Manual("AMD APM volume 2, appendix C SVM Intercept Exit Codes"),
    ],
    Amd
);

/// KVM_SET_NESTED_STATE wants the special registers to be there before, which those of the run page are not.
fn state_travels(program: Operands, mode: Ring0, cut: Cut, luggage: Luggage) -> Outcome {
    offers(&[Feature::SVM])?;
    let Ring0(mode) = mode;
    let ready = ready(&program, mode, Place::Mmio)?;
    let mut luggage = offered(luggage, ready.avx)?;
    if luggage.special == Special::Page {
        luggage.special = Special::Sregs;
    }
    // Before its first exit the hypervisor has not run: what travels then is no guest of a guest.
    let cut = Cut(cut.0.max(1));
    let (seen, has_travelled) = travelling_as_guest_of_a_guest(&ready.image, cut, luggage)?;
    let plain = plainly(&Setting::default(), &ready.image)?;
    let compare = if has_travelled { same } else { same_uncounted };
    in_mode(mode, compare(&ready.image, ready.undefined, &plain, &seen))
}
claim!(
    state_travels,
    "The guest of a guest goes on in a fresh vCPU after any exit as if nothing had happened, with KVM_SET_NESTED_STATE",
    [Api("4.115 KVM_SET_NESTED_STATE")],
    Amd,
    Has(KVM_CAP_NESTED_STATE)
);
