//! What runs did not reach, and why they could not where that is known.

use super::rows::Thing;
use super::{Coverage, Kind, State};
use crate::{Interface, Run};

/// Something of the interface that no claim that passed saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Untried {
    /// What kind of thing it is.
    pub kind: Kind,
    /// Its name; of a command or an error with the kind of descriptor before it.
    pub name: String,
    /// Why not, where that is known.
    pub why: Option<String>,
}

/// What these runs did not reach: by kind, first what could be reached.
pub fn untried(interface: &Interface, runs: &[Run]) -> Vec<Untried> {
    let coverage = Coverage::of(interface, runs);
    let left = coverage.things().into_iter().filter(|thing| thing.state != State::Tried);
    let mut untried: Vec<_> =
        left.map(|thing| Untried { kind: thing.kind, why: why(&thing, runs), name: thing.name }).collect();
    untried.sort_by_key(|untried| (untried.kind, untried.why.is_some()));
    untried
}

fn why(thing: &Thing<'_>, runs: &[Run]) -> Option<String> {
    let everywhere = |is_so: &dyn Fn(&Run) -> bool| !runs.is_empty() && runs.iter().all(is_so);
    match (thing.state, thing.since, thing.vendor) {
        (State::Swept, ..) => Some("seen in sweeps alone".to_owned()),
        (State::Unproven, ..) => Some("seen in claims alone that did not pass".to_owned()),
        (State::OutOfReach, ..) => thing.out_of_reach.map(|why| format!("out of reach: {why}")),
        (_, Some(since), _) if everywhere(&|run| since.is_lacking_in(&run.host.release)) => {
            Some(format!("not in these kernels: since Linux {}", since.text()))
        }
        (.., Some(vendor)) if everywhere(&|run| !is_of(run, vendor)) => {
            Some(format!("{vendor}'s KVM alone gives it"))
        }
        _ => None,
    }
}

/// Whether the run's KVM is the vendor's own module.
fn is_of(run: &Run, vendor: &str) -> bool {
    let module = if vendor == "AMD" { "kvm_amd" } else { "kvm_intel" };
    run.host.module.as_deref() == Some(module)
}
