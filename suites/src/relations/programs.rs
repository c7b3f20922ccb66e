//! Generated programs made ready to be run: without what the host lacks, laid out for a mode.

use std::cell::RefCell;
use std::collections::BTreeMap;

use guests::strategies::{Address, Form, Move, Moves, Place, Program, Start, Step, Vector};
use guests::{EntryState, Event, Feature, Image, Memory, Mode, Paging, Segment, code};
use harness::relation::{Luggage, plainly};
use harness::state::{Special, Vectors};
use harness::testbed::Setting;
use harness::{HostFault, Outcome, Stop, lacking};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use crate::exits::stage::is_intel;

/// A mode in which code halts in its own ring, so that HLT ends it; and PAE, whose instructions are those of protected mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Ring0(pub(super) Mode);

/// Any mode; in virtual-8086 mode HLT ends the code by way of ring 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct AnyRing(pub(super) Mode);

const RING_0: [Mode; 6] = [Mode::Real, Mode::Segmented, Mode::Protected, Mode::Pae, Mode::Compat, Mode::Long];

impl Arbitrary for Ring0 {
    type Parameters = ();
    type Strategy = BoxedStrategy<Self>;

    fn arbitrary_with((): ()) -> BoxedStrategy<Self> {
        proptest::sample::select(&RING_0[..]).prop_map(Self).boxed()
    }
}

impl Arbitrary for AnyRing {
    type Parameters = ();
    type Strategy = BoxedStrategy<Self>;

    fn arbitrary_with((): ()) -> BoxedStrategy<Self> {
        any::<Mode>().prop_map(Self).boxed()
    }
}

/// A program laid out, and which flags it leaves undefined.
pub(super) struct Ready {
    pub(super) image: Image,
    pub(super) undefined: u64,
    pub(super) avx: bool,
}

/// The program in `mode` with its window at `place`, without the steps whose features KVM lacks.
pub(super) fn ready<S: Step>(program: &Program<S>, mode: Mode, place: Place) -> Result<Ready, Stop> {
    ready_under(program, mode, place, mode.paging())
}

/// The same under other page tables than the mode's own. Skips what this host does not run as claims on modes of their own say.
pub(super) fn ready_under<S: Step>(
    program: &Program<S>,
    mode: Mode,
    place: Place,
    paging: Option<Paging>,
) -> Result<Ready, Stop> {
    if !runs(mode, paging)? {
        return Err(Stop::Skip(format!(
            "a lone HLT of {mode} mode does not halt here and leave memory as it is: guests::modes"
        )));
    }
    let mut lacks = lacking(&program.features(mode))?;
    let wants_avx = program.features(mode).contains(&Feature::AVX) && !lacks.contains(&Feature::AVX);
    if wants_avx && !runs_avx()? {
        lacks.push(Feature::AVX);
    }
    let program = program.without(&lacks, mode);
    let other = paging.filter(|_| paging != mode.paging());
    let image = program.image_under(mode, place, other).map_err(fault)?;
    let avx = program.features(mode).contains(&Feature::AVX);
    Ok(Ready { image: with_a_task(image), undefined: program.undefined_flags(mode), avx })
}

/// Whether a lone HLT of `mode` under these page tables halts, and changes nothing.
pub(super) fn runs(mode: Mode, paging: Option<Paging>) -> Result<bool, Stop> {
    thread_local! {
        static KNOWN: RefCell<BTreeMap<String, bool>> = const { RefCell::new(BTreeMap::new()) };
    }
    let name = format!("{mode} {paging:?}");
    if let Some(known) = KNOWN.with(|known| known.borrow().get(&name).copied()) {
        return Ok(known);
    }
    let image = halting(mode, paging)?;
    let story = plainly(&Setting::default(), &image)?.story;
    let is_kept = mode == Mode::Virtual8086 || story.ending.memory == Memory::Unchanged;
    let runs = story.events == [Event::Halt] && is_kept;
    KNOWN.with(|known| known.borrow_mut().insert(name, runs));
    Ok(runs)
}

/// A lone HLT of `mode` under these page tables.
pub(super) fn halting(mode: Mode, paging: Option<Paging>) -> Result<Image, Stop> {
    let halt = code(mode, |a| a.hlt()).map_err(fault)?;
    let builder = Image::builder(&halt);
    let builder = match paging.filter(|_| paging != mode.paging()) {
        Some(paging) => builder.under(paging),
        None => builder,
    };
    Ok(with_a_task(builder.build().map_err(fault)?))
}

/// Whether code that turns AVX on and uses it comes to its end here: guests::generated::avx_moves.
fn runs_avx() -> Result<bool, Stop> {
    thread_local! {
        static KNOWN: RefCell<Option<bool>> = const { RefCell::new(None) };
    }
    if let Some(known) = KNOWN.with(|known| *known.borrow()) {
        return Ok(known);
    }
    let at = Address { form: Form::Base, base: 0, scale: 0, displacement: 0, resized: false };
    let load = Move::Wide(Vector::MovupsLoad, 0, at);
    let program = Moves { start: Start::default(), steps: vec![load] };
    let image = program.image(Mode::Long, Place::Ram).map_err(fault)?;
    let runs = plainly(&Setting::default(), &image)?.story.events == [Event::Halt];
    KNOWN.with(|known| *known.borrow_mut() = Some(runs));
    Ok(runs)
}

/// On AMD's processors a running task need not be marked busy, and QEMU's, which has it so itself, comes to ring 0 only through one that
/// is not; on Intel's it must be.
fn with_a_task(mut image: Image) -> Image {
    if image.entry.is_virtual_8086() && !is_intel() {
        let tr = Segment { type_: 0x9, ..image.entry.tr };
        image.entry = EntryState { tr, ..image.entry };
    }
    image
}

/// The luggage, but as every KVM has it where this one has not or where it does not bring everything.
pub(super) fn offered(luggage: Luggage, avx: bool) -> Result<Luggage, Stop> {
    let Luggage { special, vectors } = luggage;
    Ok(Luggage {
        special: if special.is_offered()? { special } else { Special::default() },
        vectors: if vectors.is_offered(avx)? { vectors } else { Vectors::default() },
    })
}

/// Names the mode where a relation broke.
pub(super) fn in_mode(mode: Mode, outcome: Outcome) -> Outcome {
    outcome.map_err(|stop| stop.during(format_args!("in {mode} mode")))
}

pub(super) fn fault(error: impl std::fmt::Display) -> Stop {
    Stop::HostFault(HostFault(format!("cannot make the guest: {error}")))
}
