//! Payloads in every mode of operation, and under every paging layout: Intel SDM volume 3, chapters 2, 3, 4 and 21.

use guests::{Feature, Image, Mode, Paging, Payload, payload, payloads};
use harness::kvm::Kvm;
use harness::{Guest, HostFault, Outcome, Stop, Subject, claim, each, equal, holds, subjects, tells};

macro_rules! toured {
    ($($function:ident, $mode:ident, $sentence:literal, $source:literal;)+) => {
        $(
            fn $function() -> Outcome {
                tour(Mode::$mode)
            }
            claim!($function, $sentence, [Api("4.13 KVM_SET_SREGS"), Manual($source)]);
        )+
    };
}

toured! {
    real, Real, "Real-mode code reaches a port, RAM, its stack and MMIO, and halts", "Intel SDM volume 3, 21.1 Real-Address Mode";
    virtual_8086, Virtual8086, "Virtual-8086 code reaches a port, RAM, its stack and MMIO, and its HLT leads to ring 0", "Intel SDM volume 3, 21.2 Virtual-8086 Mode";
    segmented, Segmented, "Protected-mode code reaches a port, RAM, a stack that expands down and MMIO through segments with bases and limits, and halts", "Intel SDM volume 3, 3.4.5 Segment Descriptors";
    protected, Protected, "Protected-mode code reaches a port, RAM, its stack and MMIO through flat segments, and halts", "Intel SDM volume 3, 3.2.1 Basic Flat Model";
    pae, Pae, "Protected-mode code under PAE paging reaches a port, RAM, its stack and MMIO, and halts", "Intel SDM volume 3, 4.4 PAE Paging";
    compat, Compat, "Compatibility-mode code reaches a port, RAM, its stack and MMIO, and halts", "Intel SDM volume 3, 2.2 Modes of Operation";
    long, Long, "64-bit code reaches a port, RAM, its stack and MMIO, and halts", "Intel SDM volume 3, 2.2 Modes of Operation";
}

fn tour(mode: Mode) -> Outcome {
    let name = format!("modes::tour::{mode}");
    let payload = payload(&name).ok_or_else(|| fault(format!("there is no payload {name}")))?;
    tells(bare_kvm()?, payload)
}

fn each_paging_layout() -> Outcome {
    let mut tried = 0;
    for paging in Paging::ALL.iter().filter(|paging| lacking(&paging.features()).is_ok_and(|lacking| lacking.is_none())) {
        each(payloads().into_iter().filter(|payload| paging.suits(payload.mode)), |payload| tell_under(*paging, payload))
            .map_err(|stop| stop.during(paging))?;
        tried += 1;
    }
    holds(tried >= 6, "a processor has 4-level paging, and what 32-bit code takes")
}
claim!(
    each_paging_layout,
    "Every payload tells its story under each paging layout that the processor has and its mode takes",
    [Api("4.13 KVM_SET_SREGS"), Manual("Intel SDM volume 3, chapter 4 Paging")]
);

macro_rules! layouts {
    ($($function:ident, $levels:ident, $page:ident, $sentence:literal, $source:literal;)+) => {
        $(
            fn $function() -> Outcome {
                layout(Paging::new(guests::Levels::$levels, guests::Page::$page))
            }
            claim!($function, $sentence, [Api("4.13 KVM_SET_SREGS"), Manual($source)]);
        )+
    };
}

layouts! {
    four_levels_of_1_gib, Four, Huge, "Long-mode payloads tell their stories under 4-level paging with pages of 1 GiB", "Intel SDM volume 3, 4.5 4-Level Paging and 5-Level Paging";
    five_levels_of_4_kib, Five, Small, "Long-mode payloads tell their stories under 5-level paging with pages of 4 KiB", "Intel SDM volume 3, 4.5 4-Level Paging and 5-Level Paging";
    five_levels_of_2_mib, Five, Large, "Long-mode payloads tell their stories under 5-level paging with pages of 2 MiB", "Intel SDM volume 3, 4.5 4-Level Paging and 5-Level Paging";
    five_levels_of_1_gib, Five, Huge, "Long-mode payloads tell their stories under 5-level paging with pages of 1 GiB", "Intel SDM volume 3, 4.5 4-Level Paging and 5-Level Paging";
}

fn layout(paging: Paging) -> Outcome {
    if let Some(feature) = lacking(&paging.features())? {
        return Err(Stop::Skip(format!("KVM_GET_SUPPORTED_CPUID lacks {feature}")));
    }
    each(payloads().into_iter().filter(|payload| paging.suits(payload.mode)), |payload| tell_under(paging, payload))
}

fn tell_under(paging: Paging, payload: &Payload) -> Outcome {
    let code = payload.code().map_err(|error| fault(error.to_string()))?;
    let image = Image::builder(&code).under(paging).build().map_err(|error| fault(error.to_string()))?;
    let expected = (payload.story)(&image);
    let seen = Guest::of(&image)?.tell(&mut expected.replies().map(<[u8]>::to_vec))?;
    equal(expected.difference(&seen), Vec::new())
        .map_err(|stop| stop.during(payload.name()).during(code.disassemble().join("; ")))
}

/// The first of the features that KVM does not offer.
fn lacking(features: &[Feature]) -> Result<Option<Feature>, Stop> {
    let cpuid = Kvm::open()?.get_supported_cpuid()?;
    let has = |feature: &Feature| {
        cpuid.iter().any(|entry| {
            entry.function == feature.leaf
                && entry.index == feature.index
                && feature.is_in(entry.ebx, entry.ecx, entry.edx)
        })
    };
    Ok(features.iter().copied().find(|feature| !has(feature)))
}

fn bare_kvm() -> Result<&'static Subject, Stop> {
    subjects().into_iter().find(|subject| subject.name == "kvm").ok_or_else(|| fault("there is no subject kvm".into()))
}

fn fault(why: String) -> Stop {
    Stop::HostFault(HostFault(why))
}
