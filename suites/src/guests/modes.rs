//! Payloads in every mode of operation, and under every paging layout: Intel SDM volume 3, chapters 2, 3, 4 and 21.

use guests::{Builder, EntryState, Image, Levels, Mode, Page, Paging, Payload, Segment, payload, payloads};
use harness::{Guest, HostFault, Outcome, Stop, Subject, claim, each, equal, holds, offers, subjects, tells};

use super::needs::BUSY_TASKS;

macro_rules! toured {
    ($($function:ident, $mode:ident, $sentence:literal, $source:literal $(, $need:expr)?;)+) => {
        $(
            fn $function() -> Outcome {
                tour(Mode::$mode)
            }
            claim!($function, $sentence, [Api("4.14 KVM_SET_SREGS"), Manual($source)] $(, $need)?);
        )+
    };
}

toured! {
    real, Real, "Real-mode code reaches a port, RAM, its stack and MMIO, and halts", "Intel SDM volume 3, 21.1 Real-Address Mode";
    virtual_8086, Virtual8086, "Virtual-8086 code reaches a port, RAM, its stack and MMIO, and its HLT leads to ring 0", "Intel SDM volume 3, 21.2 Virtual-8086 Mode", BUSY_TASKS;
    segmented, Segmented, "Protected-mode code reaches a port, RAM, a stack that expands down and MMIO through segments with bases and limits, and halts", "Intel SDM volume 3, 3.4.5 Segment Descriptors";
    protected, Protected, "Protected-mode code reaches a port, RAM, its stack and MMIO through flat segments, and halts", "Intel SDM volume 3, 3.2.1 Basic Flat Model";
    pae, Pae, "Protected-mode code under PAE paging reaches a port, RAM, its stack and MMIO, and halts", "Intel SDM volume 3, 4.4 PAE Paging";
    compat, Compat, "Compatibility-mode code reaches a port, RAM, its stack and MMIO, and halts", "Intel SDM volume 3, 2.2 Modes of Operation";
    long, Long, "64-bit code reaches a port, RAM, its stack and MMIO, and halts", "Intel SDM volume 3, 2.2 Modes of Operation";
}

fn tour(mode: Mode) -> Outcome {
    tells(bare_kvm()?, tour_of(mode)?)
}

fn tour_of(mode: Mode) -> Result<&'static Payload, Stop> {
    let name = format!("modes::tour::{mode}");
    payload(&name).ok_or_else(|| fault(format!("there is no payload {name}")))
}

/// AMD's VMRUN takes the task as it is; QEMU, which has it so itself, comes to ring 0 only through such a one.
fn virtual_8086_with_a_task_that_is_not_busy() -> Outcome {
    tell_as(tour_of(Mode::Virtual8086)?, |builder| {
        builder.entered(|state| EntryState { tr: Segment { type_: 0x9, ..state.tr }, ..state })
    })
}
claim!(
    virtual_8086_with_a_task_that_is_not_busy,
    "On AMD's processors virtual-8086 code runs and comes to ring 0 though its task is not marked busy",
    [Api("4.14 KVM_SET_SREGS"), Manual("AMD APM volume 2, 15.5.1 Basic Operation")],
    Amd
);

macro_rules! layouts {
    ($($function:ident, $levels:ident, $page:ident, $sentence:literal, $source:literal;)+) => {
        $(
            fn $function() -> Outcome {
                layout(Paging::new(Levels::$levels, Page::$page))
            }
            claim!($function, $sentence, [Api("4.14 KVM_SET_SREGS"), Manual($source)]);
        )+
    };
}

layouts! {
    two_levels_of_4_kib, Two, Small, "Payloads tell their stories under 32-bit paging with pages of 4 KiB", "Intel SDM volume 3, 4.3 32-Bit Paging";
    two_levels_of_4_mib, Two, Large, "Payloads tell their stories under 32-bit paging with pages of 4 MiB", "Intel SDM volume 3, 4.3 32-Bit Paging";
    three_levels_of_4_kib, Three, Small, "Payloads tell their stories under PAE paging with pages of 4 KiB", "Intel SDM volume 3, 4.4 PAE Paging";
    three_levels_of_2_mib, Three, Large, "Payloads tell their stories under PAE paging with pages of 2 MiB", "Intel SDM volume 3, 4.4 PAE Paging";
    four_levels_of_4_kib, Four, Small, "Payloads tell their stories under 4-level paging with pages of 4 KiB", "Intel SDM volume 3, 4.5 4-Level Paging and 5-Level Paging";
    four_levels_of_2_mib, Four, Large, "Payloads tell their stories under 4-level paging with pages of 2 MiB", "Intel SDM volume 3, 4.5 4-Level Paging and 5-Level Paging";
    four_levels_of_1_gib, Four, Huge, "Payloads tell their stories under 4-level paging with pages of 1 GiB", "Intel SDM volume 3, 4.5 4-Level Paging and 5-Level Paging";
    five_levels_of_4_kib, Five, Small, "Payloads tell their stories under 5-level paging with pages of 4 KiB", "Intel SDM volume 3, 4.5 4-Level Paging and 5-Level Paging";
    five_levels_of_2_mib, Five, Large, "Payloads tell their stories under 5-level paging with pages of 2 MiB", "Intel SDM volume 3, 4.5 4-Level Paging and 5-Level Paging";
    five_levels_of_1_gib, Five, Huge, "Payloads tell their stories under 5-level paging with pages of 1 GiB", "Intel SDM volume 3, 4.5 4-Level Paging and 5-Level Paging";
}

fn layout(paging: Paging) -> Outcome {
    offers(&paging.features())?;
    let suited: Vec<_> = payloads().into_iter().filter(|payload| paging.suits(payload.mode)).collect();
    holds(!suited.is_empty(), "some mode can be entered under each layout")?;
    each(suited, |payload| tell_as(payload, |builder| builder.under(paging)))
}

/// On bare KVM, the payload tells its story though its image is another.
fn tell_as(payload: &Payload, change: impl FnOnce(Builder<'_>) -> Builder<'_>) -> Outcome {
    let code = payload.code().map_err(|error| fault(error.to_string()))?;
    let image = change(Image::builder(&code)).build().map_err(|error| fault(error.to_string()))?;
    let expected = (payload.story)(&image);
    let seen = Guest::of(&image)?.tell(&mut expected.replies().map(<[u8]>::to_vec))?;
    let listing = code.disassemble().join("; ");
    equal(expected.difference(&seen), Vec::new()).map_err(|stop| stop.during(listing).during(payload.name()))
}

fn bare_kvm() -> Result<&'static Subject, Stop> {
    subjects()
        .into_iter()
        .find(|subject| subject.name == "kvm")
        .ok_or_else(|| fault("there is no subject kvm".into()))
}

fn fault(why: String) -> Stop {
    Stop::HostFault(HostFault(why))
}
