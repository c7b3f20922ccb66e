//! Generated programs made ready to be run: without what the host lacks, laid out for a mode.

use guests::strategies::{Place, Program, Step};
use guests::{Feature, Image, Mode, Paging};
use harness::{HostFault, Outcome, Stop, lacking};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

/// A mode in which code halts in its own ring, so that HLT ends it; and PAE, whose instructions are those of protected mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Ring0(pub(super) Mode);

const MODES: [Mode; 6] = [Mode::Real, Mode::Segmented, Mode::Protected, Mode::Pae, Mode::Compat, Mode::Long];

impl Arbitrary for Ring0 {
    type Parameters = ();
    type Strategy = BoxedStrategy<Self>;

    fn arbitrary_with((): ()) -> BoxedStrategy<Self> {
        proptest::sample::select(&MODES[..]).prop_map(Self).boxed()
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
    ready_under(program, mode, place, None)
}

/// The same under other page tables than the mode's own.
pub(super) fn ready_under<S: Step>(
    program: &Program<S>,
    mode: Mode,
    place: Place,
    paging: Option<Paging>,
) -> Result<Ready, Stop> {
    let program = program.without(&lacking(&program.features(mode))?, mode);
    let image = program.image_under(mode, place, paging).map_err(fault)?;
    let avx = program.features(mode).contains(&Feature::AVX);
    Ok(Ready { image, undefined: program.undefined_flags(mode), avx })
}

/// Names the mode where a relation broke.
pub(super) fn in_mode(mode: Mode, outcome: Outcome) -> Outcome {
    outcome.map_err(|stop| stop.during(format_args!("in {mode} mode")))
}

pub(super) fn fault(error: impl std::fmt::Display) -> Stop {
    Stop::HostFault(HostFault(format!("cannot make the guest: {error}")))
}
