//! Generated programs come to their end: whatever steps they have, they leave the guest only as their steps say, halt at their last
//! instruction, and change no memory but their window and their stack.

use guests::strategies::{
    Atomics, Moves, MsrStep, Msrs, Operands, Place, PortStep, Ports, Program, Stack, Step, Straight, Strings,
    WINDOW,
};
use guests::{Event, Feature, Image, Mode, STACK};
use harness::{Guest, HostFault, Outcome, Stop, claim, each, equal, lacking};

use super::needs::MSR_SCRIPTS;

/// The modes that they run in. PAE and virtual-8086 mode have claims of their own, and no instruction that these have not.
const MODES: [Mode; 5] = [Mode::Real, Mode::Segmented, Mode::Protected, Mode::Compat, Mode::Long];
/// How far the stack of a program reaches, at most.
const STACKED: u64 = 0x1000;

macro_rules! generated {
    ($($function:ident, $program:ident, $sentence:literal, $source:literal;)+) => {
        $(
            fn $function(program: $program) -> Outcome {
                each(MODES, |mode| comes_to_its_end(&program, *mode, &[Event::Halt]))
            }
            claim!($function, $sentence, [Manual($source)]);
        )+
    };
}

generated! {
    straight, Straight, "Straight-line integer code comes to its end in every mode", "Intel SDM volume 1, 7.3 Summary of GP Instructions";
    operands, Operands, "Integer code with operands in RAM comes to its end in every mode, in every addressing form", "Intel SDM volume 1, 3.7.5 Specifying an Offset";
    strings, Strings, "String instructions come to their end in every mode, repeated and in both directions", "Intel SDM volume 1, 7.3.9 String Operations";
    atomics, Atomics, "Instructions that modify RAM come to their end in every mode, locked and not", "Intel SDM volume 3, 10.1.2.2 Software Controlled Bus Locking";
    stack, Stack, "PUSH, POP, CALL, ENTER and LEAVE come to their end in every mode", "Intel SDM volume 1, 6.2 Stacks";
}

fn moves(program: Moves) -> Outcome {
    each(MODES, |mode| comes_to_its_end(&program.without(&[Feature::AVX], *mode), *mode, &[Event::Halt]))
}
claim!(
    moves,
    "MOVBE, BMI, CMPXCHG8B, CMPXCHG16B and SSE moves come to their end in every mode that has them",
    [Manual("Intel SDM volume 2, the instructions' own pages")],
    Any(&[Amd, Intel])
);

fn avx_moves(program: Moves) -> Outcome {
    each([Mode::Protected, Mode::Compat, Mode::Long], |mode| {
        comes_to_its_end(&program, *mode, &[Event::Halt])
    })
}
claim!(
    avx_moves,
    "AVX moves come to their end in every mode that has them, once XSETBV has turned AVX on",
    [Manual("Intel SDM volume 1, 14.3 Detection of Intel AVX Instructions")],
    Any(&[Amd, Intel])
);

fn ports(program: Ports) -> Outcome {
    let events: Vec<_> = program.steps.iter().map(port_event).chain([Event::Halt]).collect();
    each(MODES, |mode| comes_to_its_end(&program, *mode, &events))
}
claim!(
    ports,
    "A script of IN and OUT leaves the guest once for each step, in order, in every mode",
    [Api("5 The kvm_run structure, KVM_EXIT_IO")]
);

/// What one step leaves: nobody answers its reads, so they are all ones.
fn port_event(step: &PortStep) -> Event {
    let width = |width: guests::Width| width.bytes().min(4);
    match *step {
        PortStep::Out(port, size, value) => Event::out(port, &value.to_le_bytes()[..width(size)]),
        PortStep::OutShort(port, size, value) => Event::out(port.into(), &value.to_le_bytes()[..width(size)]),
        PortStep::In(port, size) => Event::read(port, vec![0xff; width(size)]),
        PortStep::InShort(port, size) => Event::read(port.into(), vec![0xff; width(size)]),
    }
}

/// What was written last is read; before that, whatever the vCPU had.
fn msrs(program: Msrs) -> Outcome {
    each(MODES, |mode| {
        let image = program.image(*mode, Place::Ram).map_err(fault)?;
        let guest = Guest::of(&image)?;
        let story = guest.tell(&mut std::iter::empty())?;
        let told: Vec<u64> = halves(&story.events).collect();
        let mut reads = told.chunks_exact(2).map(|pair| pair[1] << 32 | pair[0]);
        let listing = image.code.disassemble().join("; ");
        equal(story.events.last(), Some(&Event::Halt)).map_err(|stop| stop.during(listing.clone()))?;
        for (index, step) in program.steps.iter().enumerate().filter(|(_, step)| step.value().is_none()) {
            let seen = reads.next();
            let same = |other: &&MsrStep| other.number() == step.number();
            let written = program.steps[..index].iter().rev().filter(same).find_map(MsrStep::value);
            equal(seen, written.or(seen)).map_err(|stop| stop.during(format!("{step:x?} in {listing}")))?;
        }
        equal(reads.next(), None)
    })
}
claim!(
    msrs,
    "RDMSR of an architectural register gives what WRMSR last wrote to it, in every mode of ring 0",
    [Manual("Intel SDM volume 4, 2.1 Architectural MSRs")],
    MSR_SCRIPTS
);

/// What goes out through the port that tells.
fn halves(events: &[Event]) -> impl Iterator<Item = u64> {
    events.iter().filter_map(|event| match event {
        Event::Out { port, data, .. } if *port == u16::from(MsrStep::TOLD) => {
            Some(data.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
        }
        _ => None,
    })
}

/// Steps that the processor lacks are left out.
fn comes_to_its_end<S: Step>(program: &Program<S>, mode: Mode, events: &[Event]) -> Outcome {
    let program = program.without(&lacking(&program.features(mode))?, mode);
    let image = program.image(mode, Place::Ram).map_err(fault)?;
    let story = Guest::of(&image)?.tell(&mut std::iter::empty())?;
    let listing = image.code.disassemble().join("; ");
    let strange = story.ending.memory.changes().iter().find(|change| !may_change(&image, change.address));
    equal((story.events.as_slice(), strange), (events, None))
        .and_then(|()| equal(story.ending.registers.rip, image.code.end()))
        .map_err(|stop| stop.during(listing))
}

/// Whether the program may have written there.
fn may_change(image: &Image, address: u64) -> bool {
    let window = Place::Ram.address()..Place::Ram.address() + WINDOW;
    let stack = STACK - STACKED..image.entry.ss.base + image.entry.registers.rsp;
    window.contains(&address) || stack.contains(&address)
}

fn fault(error: impl std::fmt::Display) -> Stop {
    Stop::HostFault(HostFault(format!("cannot make the guest: {error}")))
}
