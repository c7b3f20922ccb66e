//! The rows of the data as things to see, each of one kind, and how many of each kind were seen.

use super::{Coverage, State};
use crate::Since;

/// A kind of thing to see; each has a denominator of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A command that succeeds on a kind of descriptor.
    Pair,
    /// An error that api.rst names for such a pair.
    DocumentedError,
    /// An error that only the kernel's source has for it.
    SourceError,
    /// A capability's behaviour.
    Capability,
    /// A reason for which KVM_RUN comes back.
    Exit,
    /// What the run page tells beside it.
    Detail,
}

impl Kind {
    /// Every kind, in the order in which they are told.
    pub const ALL: [Self; 6] =
        [Self::Pair, Self::DocumentedError, Self::SourceError, Self::Capability, Self::Exit, Self::Detail];

    /// What they are, in words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pair => "descriptor-command pairs",
            Self::DocumentedError => "documented errors",
            Self::SourceError => "errors in the source alone",
            Self::Capability => "capabilities",
            Self::Exit => "exits",
            Self::Detail => "details of exits",
        }
    }
}

/// How many things of a kind there are, and how many were seen by whom.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// How many there are.
    pub of: usize,
    /// How many a claim that passed saw.
    pub tried: usize,
    /// How many only sweeps saw.
    pub swept: usize,
    /// How many only claims saw that did not pass.
    pub unproven: usize,
    /// How many nobody can see.
    pub out_of_reach: usize,
}

/// A thing to see.
pub(super) struct Thing<'a> {
    pub(super) kind: Kind,
    pub(super) name: String,
    pub(super) state: State,
    pub(super) out_of_reach: Option<&'a str>,
    pub(super) since: Option<Since>,
    pub(super) vendor: Option<&'a str>,
}

impl Coverage<'_> {
    /// How many things of a kind were seen.
    pub fn count(&self, kind: Kind) -> Count {
        let mut count = Count::default();
        for thing in self.things().into_iter().filter(|thing| thing.kind == kind) {
            count.of += 1;
            match thing.state {
                State::Tried => count.tried += 1,
                State::Swept => count.swept += 1,
                State::Unproven => count.unproven += 1,
                State::OutOfReach => count.out_of_reach += 1,
                State::Untried => {}
            }
        }
        count
    }

    /// Everything that there is to see.
    pub(super) fn things(&self) -> Vec<Thing<'_>> {
        let mut things = Vec::new();
        for pair in self.interface.pairs() {
            let (since, name) = (Some(pair.since), format!("{:<6}  {}", pair.descriptor, pair.name));
            let (out_of_reach, state) = (pair.out_of_reach, self.pair(pair));
            for (error, out_of_reach) in pair.errors() {
                let is_documented = pair.documented.contains(&error);
                let kind = if is_documented { Kind::DocumentedError } else { Kind::SourceError };
                let state = self.error(pair, error, out_of_reach);
                let name = format!("{name} {error}");
                things.push(Thing { kind, name, state, out_of_reach, since, vendor: None });
            }
            things.push(Thing { kind: Kind::Pair, name, state, out_of_reach, since, vendor: None });
        }
        things.extend(self.interface.capabilities.iter().map(|capability| Thing {
            kind: Kind::Capability,
            name: capability.name.to_owned(),
            state: self.capability(capability),
            out_of_reach: capability.out_of_reach,
            since: Some(capability.since),
            vendor: None,
        }));
        let exits = self.interface.reasons().map(|exit| (Kind::Exit, exit));
        let details = self.interface.details().map(|exit| (Kind::Detail, exit));
        things.extend(exits.chain(details).map(|(kind, exit)| Thing {
            kind,
            name: exit.name.to_owned(),
            state: self.exit(exit),
            out_of_reach: exit.out_of_reach,
            since: Some(exit.since),
            vendor: exit.vendor,
        }));
        things
    }
}
