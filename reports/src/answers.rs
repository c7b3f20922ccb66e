//! What the kernel was asked while a claim was tried, and what it answered: written by the recorder below every ioctl, never by a claim.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// The answer of a command that succeeded.
pub const OK: &str = "ok";

/// How many different commands, counted by descriptor, make a claim a sweep: a claim about everything, whose answers say nothing of
/// any one command. What claims do to set the stage stays far below.
const SWEEP: usize = 48;

/// Commands by the kind of descriptor that they were sent to, each with what it was answered: `ok`, and errors by name.
pub type Commands = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

/// What the kernel was asked, and what it answered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answers {
    /// Commands by the kind of descriptor that they were sent to: `system`, `vm`, `vcpu`, `device`, `guest_memfd`, `stats`, `other`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub commands: Commands,
    /// The same through the entry for 32-bit programs.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub compat: Commands,
    /// The capabilities that KVM_ENABLE_CAP enabled.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub enabled: BTreeSet<String>,
    /// Why KVM_RUN came back.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub exits: BTreeMap<String, Exits>,
    /// What the run page told beside that: sub-reasons, flags, fields that were in use.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub details: BTreeSet<String>,
}

/// How often KVM_RUN came back for one reason, and how fast.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exits {
    /// How often.
    pub times: u64,
    /// The shortest KVM_RUN that ended so, in nanoseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fastest_ns: Option<u64>,
}

impl Answers {
    /// Whether nothing was asked.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether the claim sent so many different commands that it is about all of them.
    pub fn is_sweep(&self) -> bool {
        let count = |commands: &Commands| commands.values().map(BTreeMap::len).sum::<usize>();
        count(&self.commands) + count(&self.compat) > SWEEP
    }

    /// Whether a command was answered so on a kind of descriptor.
    pub fn has(&self, descriptor: &str, command: &str, answer: &str) -> bool {
        has(&self.commands, descriptor, command, answer)
    }

    /// Whether KVM_RUN came back for this reason, or told this detail.
    pub fn has_exit(&self, name: &str) -> bool {
        self.exits.contains_key(name) || self.details.contains(name)
    }

    /// Takes in what was answered elsewhere.
    pub fn add(&mut self, other: &Self) {
        add(&mut self.commands, &other.commands);
        add(&mut self.compat, &other.compat);
        self.enabled.extend(other.enabled.iter().cloned());
        self.details.extend(other.details.iter().cloned());
        for (reason, exits) in &other.exits {
            let all = self.exits.entry(reason.clone()).or_default();
            all.times = all.times.saturating_add(exits.times);
            all.fastest_ns = all.fastest_ns.into_iter().chain(exits.fastest_ns).min();
        }
    }
}

/// Whether a command was answered so on a kind of descriptor.
pub(crate) fn has(commands: &Commands, descriptor: &str, command: &str, answer: &str) -> bool {
    let answers = commands.get(descriptor).and_then(|commands| commands.get(command));
    answers.is_some_and(|answers| answers.contains(answer))
}

fn add(to: &mut Commands, from: &Commands) {
    for (descriptor, commands) in from {
        let of_descriptor = to.entry(descriptor.clone()).or_default();
        for (command, answers) in commands {
            of_descriptor.entry(command.clone()).or_default().extend(answers.iter().cloned());
        }
    }
}
