//! Code whose KVM_RUN comes back for reasons that are none of the guest's: `immediate_exit`, a signal that waits, a signal that comes.

use std::time::Duration;

use guests::Image;
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use super::{Run, Seen, Turn};
use crate::Stop;
use crate::kvm::Exit;
use crate::signal::Alarm;
use crate::stage::Setting;

/// What comes between, before each KVM_RUN in turn, from the first again where there are more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interruptions(pub Vec<Interruption>);

/// What comes between.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Interruption {
    /// Nothing.
    None,
    /// `immediate_exit`.
    Immediate,
    /// A signal so many microseconds later, which may be before KVM_RUN, in the guest, or after.
    Signal(u16),
}

/// Not every KVM_RUN is kept from running, or the guest would come to no end.
const MOST: usize = 24;

impl Arbitrary for Interruptions {
    type Parameters = ();
    type Strategy = BoxedStrategy<Self>;

    fn arbitrary_with((): ()) -> BoxedStrategy<Self> {
        let one = prop_oneof![
            Just(Interruption::None),
            Just(Interruption::Immediate),
            (1..400u16).prop_map(Interruption::Signal),
        ];
        proptest::collection::vec(one, 1..8).prop_map(Self).boxed()
    }
}

/// Runs the image with these interruptions; how often one of them ended KVM_RUN comes with what was seen.
pub fn interrupted(setting: &Setting, image: &Image, with: &Interruptions) -> Result<(Seen, usize), Stop> {
    let mut run = Run::on(setting, image)?;
    let mut all = with.0.iter().cycle().take(MOST);
    let mut ended = 0;
    while !run.is_over() {
        let interruption = all.next().copied().unwrap_or(Interruption::None);
        let is_immediate = interruption == Interruption::Immediate;
        run.stage().vcpu().run_page()?.put(Exit::IMMEDIATE_EXIT, u8::from(is_immediate));
        let alarm = match interruption {
            Interruption::Signal(microseconds) => {
                Some(Alarm::after(Duration::from_micros(microseconds.max(1).into()))?)
            }
            _ => None,
        };
        let turn = run.turn();
        drop(alarm);
        ended += usize::from(turn? == Turn::Interrupted);
        run.stage().vcpu().run_page()?.put(Exit::IMMEDIATE_EXIT, 0u8);
    }
    Ok((run.finish()?, ended))
}
