//! Code that is taken to a fresh vCPU in a fresh VM between two of its exits.

use guests::Image;
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use super::{Run, Seen};
use crate::Stop;
use crate::state::{Special, State, Vectors};
use crate::testbed::{Setting, Testbed};

/// Behind which exit a run is taken elsewhere: their count, from zero for before the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cut(pub u8);

impl Arbitrary for Cut {
    type Parameters = ();
    type Strategy = BoxedStrategy<Self>;

    fn arbitrary_with((): ()) -> BoxedStrategy<Self> {
        // Not every program has many exits.
        prop_oneof![0..2u8, 0..12u8].prop_map(Self).boxed()
    }
}

/// How the registers are taken along, of which there are several ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Luggage {
    /// How the special registers are.
    pub special: Special,
    /// How those of x87, SSE and AVX are.
    pub vectors: Vectors,
}

impl Arbitrary for Luggage {
    type Parameters = ();
    type Strategy = BoxedStrategy<Self>;

    fn arbitrary_with((): ()) -> BoxedStrategy<Self> {
        (proptest::sample::select(&Special::ALL[..]), proptest::sample::select(&Vectors::ALL[..]))
            .prop_map(|(special, vectors)| Self { special, vectors })
            .boxed()
    }
}

/// Runs the image up to the cut, takes everything to a new testbed and runs it on there; whether it came to the cut comes with what was
/// seen.
pub fn travelling(
    setting: &Setting,
    image: &Image,
    cut: Cut,
    luggage: Luggage,
) -> Result<(Seen, bool), Stop> {
    let mut run = Run::on(setting, image)?;
    while !run.is_over() && run.told() < usize::from(cut.0) {
        run.plain_turn()?;
    }
    if run.is_over() {
        return Ok((run.finish()?, false));
    }
    // What the guest read is its own only when KVM has finished the instruction; that may ask for more.
    run.settle()?;
    if run.is_over() {
        return Ok((run.finish()?, false));
    }
    let mut elsewhere = Testbed::new(setting, image)?;
    elsewhere.take_memory(run.testbed())?;
    State::carry(run.testbed().vcpu(), elsewhere.vcpu(), luggage.special, luggage.vectors)?;
    run.move_to(elsewhere);
    while !run.is_over() {
        run.plain_turn()?;
    }
    Ok((run.finish()?, true))
}
