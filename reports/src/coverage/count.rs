//! Of each row of the data, whether it was seen, and by whom.

use crate::answers::OK;
use crate::{Answers, Capability, Command, Exit, Interface, Run, SeenBy, Verdict};

/// What runs saw of the interface.
#[derive(Clone, Debug)]
pub struct Coverage<'a> {
    pub(super) interface: &'a Interface,
    /// What claims that passed saw, but for sweeps.
    pub(super) tried: Answers,
    /// What sweeps that passed saw.
    swept: Answers,
    /// What claims saw that did not pass.
    unproven: Answers,
    /// How many claims that passed are sweeps.
    sweeps: usize,
}

/// What became of a row of the data, the best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// A claim that passed saw it.
    Tried,
    /// Only sweeps that passed saw it.
    Swept,
    /// Only claims that did not pass saw it.
    Unproven,
    /// Nobody saw it.
    Untried,
    /// Nobody can see it.
    OutOfReach,
}

impl<'a> Coverage<'a> {
    /// What these runs saw together.
    pub fn of<'r>(interface: &'a Interface, runs: impl IntoIterator<Item = &'r Run>) -> Self {
        let (tried, swept, unproven) = <(Answers, Answers, Answers)>::default();
        let mut coverage = Self { interface, tried, swept, unproven, sweeps: 0 };
        for entry in runs.into_iter().flat_map(|run| &run.claims) {
            let is_sweep = entry.answers.is_sweep();
            let seen = match (entry.verdict, is_sweep) {
                (Verdict::Pass, false) => &mut coverage.tried,
                (Verdict::Pass, true) => &mut coverage.swept,
                _ => &mut coverage.unproven,
            };
            seen.add(&entry.answers);
            coverage.sweeps += usize::from(is_sweep && entry.verdict == Verdict::Pass);
        }
        coverage
    }

    /// Whether the runs say anything of what was asked; records of earlier versions do not.
    pub fn is_recorded(&self) -> bool {
        [&self.tried, &self.swept, &self.unproven].iter().any(|answers| !answers.is_empty())
    }

    /// What claims that passed saw, but for sweeps.
    pub fn tried(&self) -> &Answers {
        &self.tried
    }

    /// How many claims that passed are sweeps over everything.
    pub fn sweeps(&self) -> usize {
        self.sweeps
    }

    /// Whether the command was seen to succeed on its kind of descriptor.
    pub fn pair(&self, command: &Command) -> State {
        let (descriptor, name) = (command.descriptor, command.name);
        self.state(command.out_of_reach, |answers| answers.has(descriptor, name, OK))
    }

    /// Whether the command was seen to refuse with this error.
    pub fn error(&self, command: &Command, error: &str, out_of_reach: Option<&str>) -> State {
        self.state(out_of_reach, |answers| answers.has(command.descriptor, command.name, error))
    }

    /// Whether the capability was seen to do what it says.
    pub fn capability(&self, capability: &Capability) -> State {
        self.state(capability.out_of_reach, |answers| {
            capability.seen_by.iter().any(|seen_by| match seen_by {
                SeenBy::Enabling => answers.enabled.contains(capability.name),
                SeenBy::Command(descriptor, command) => answers.has(descriptor, command, OK),
                SeenBy::Exit(name) => answers.has_exit(name),
            })
        })
    }

    /// Whether KVM_RUN was seen to come back so.
    pub fn exit(&self, exit: &Exit) -> State {
        self.state(exit.out_of_reach, |answers| answers.has_exit(exit.name))
    }

    fn state(&self, out_of_reach: Option<&str>, is_seen: impl Fn(&Answers) -> bool) -> State {
        match () {
            () if is_seen(&self.tried) => State::Tried,
            () if is_seen(&self.swept) => State::Swept,
            () if is_seen(&self.unproven) => State::Unproven,
            () if out_of_reach.is_some() => State::OutOfReach,
            () => State::Untried,
        }
    }
}
