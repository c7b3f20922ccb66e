//! The record of a run: the facts of the host, and one entry for each claim. `run.json` is this structure, format 1;
//! `reports/run.schema.json` is the same as a JSON Schema.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Answers, Part, Verdict};

/// The version of the format that this crate writes. Every earlier one is read.
pub const FORMAT: u32 = 1;

/// The JSON Schema (draft 2020-12) of what [`Run`] is written as.
pub const SCHEMA: &str = include_str!("../run.schema.json");

/// Everything that one run found out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// The version of the format: [`FORMAT`].
    pub format: u32,
    /// Where the claims were tried.
    pub host: Host,
    /// One entry for each claim, sorted by name.
    pub claims: Vec<Entry>,
    /// How many claims got each verdict, by the verdict's name; all eight are present.
    pub totals: BTreeMap<Verdict, usize>,
    /// What is said of the run as a whole: kernel log lines that no claim could be blamed for, an interruption.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Which part this is of a run that was split over several machines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<Part>,
}

/// The facts of a host that decide what its KVM does.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Host {
    /// The kernel's release, as `uname -r` prints it.
    pub release: String,
    /// The kernel's build, as `uname -v` prints it.
    #[serde(default)]
    pub build: String,
    /// The kernel's command line; a kernel tried with `mitigations=off` is another kernel.
    #[serde(default)]
    pub command_line: String,
    /// The module that backs KVM (`kvm_amd`, `kvm_intel`, or another implementation's); none where there is no KVM.
    pub module: Option<String>,
    /// The parameters of `kvm` and of the module that backs it, by module and name.
    #[serde(default)]
    pub parameters: BTreeMap<String, BTreeMap<String, String>>,
    /// What KVM_GET_API_VERSION answered.
    pub api_version: Option<i32>,
    /// What KVM_CHECK_EXTENSION answered on the system descriptor, by the capability's name, where it is not zero.
    #[serde(default)]
    pub capabilities: BTreeMap<String, i32>,
    /// The processor.
    #[serde(default)]
    pub cpu: Cpu,
    /// The hypervisor that the host itself runs under, by its CPUID signature; none on bare metal.
    pub hypervisor: Option<String>,
    /// Whether KVM's guests are run by an emulator: a software KVM, or an emulated processor's SVM or VMX.
    #[serde(default)]
    pub emulated: bool,
    /// What emulates the whole machine, by its own name and version, such as `Bochs 2.7`; none where nobody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub emulator: Option<String>,
}

/// The processor that claims were tried on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cpu {
    /// The vendor's CPUID signature, such as `AuthenticAMD`.
    pub vendor: String,
    /// The processor's brand string.
    pub model: String,
    /// How many processors are online.
    pub online: usize,
}

/// What a run says of one claim.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// The claim's name: its module and function, such as `system::api_version::is_twelve`.
    pub name: String,
    /// The claim's sentence.
    pub claim: String,
    /// What is said of it.
    pub verdict: Verdict,
    /// Why the verdict is not Pass, in one sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// The smallest case that shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub witness: Option<Witness>,
    /// How many cases were tried.
    pub cases: u64,
    /// How many of them reached what the claim is about.
    pub reached: u64,
    /// Wall time from the start of the claim's process to its end, in milliseconds.
    pub ms: f64,
    /// What the claim rests on, as text; `observed` alone where nothing promises it.
    pub source: Vec<String>,
    /// What else was noticed: descriptors left open, processes left behind and killed, output.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// What the kernel was asked meanwhile, and what it answered.
    #[serde(default, skip_serializing_if = "Answers::is_empty")]
    pub answers: Answers,
}

/// The smallest case that shows why a claim does not hold.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Witness {
    /// The shrunk input, one value for each generated argument; none where the claim generates nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<serde_json::Value>,
    /// The seed of the case that was shrunk, in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<String>,
    /// The line of the claim that stopped, as `file:line`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// What the claim says should be seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// What was seen instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<String>,
    /// The rest of the story: disassembly around RIP, registers that differ, the kernel's own words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub detail: Vec<String>,
    /// The one command that shows it again.
    pub replay: String,
}

impl Run {
    /// The record of `claims` tried on `host`, sorted and counted.
    pub fn new(host: Host, mut claims: Vec<Entry>, notes: Vec<String>) -> Self {
        claims.sort_by(|a, b| a.name.cmp(&b.name));
        let totals = Verdict::ALL
            .into_iter()
            .map(|verdict| {
                let count = claims.iter().filter(|entry| entry.verdict == verdict).count();
                (verdict, count)
            })
            .collect();
        Self { format: FORMAT, host, claims, totals, notes, part: None }
    }

    /// This record and that of other claims, which were tried on the same host.
    pub fn and(self, other: Self) -> Self {
        let Self { host, mut claims, mut notes, .. } = self;
        claims.extend(other.claims);
        for note in other.notes {
            if !notes.contains(&note) {
                notes.push(note);
            }
        }
        Self::new(host, claims, notes)
    }
}

impl Entry {
    /// Whether the claim rests on observation alone; what drifts there is information, not failure.
    pub fn is_observed(&self) -> bool {
        is_observed(&self.source)
    }

    /// Whether the entry is drift: a behaviour that was observed, that nothing promises, and that is no longer so.
    ///
    /// A Crash or a Hang is never drift: no document has to promise that a kernel lives. Nor is a Surprise, which asks
    /// for an expectation to be removed.
    pub fn is_drift(&self) -> bool {
        self.verdict == Verdict::Fail && self.is_observed()
    }

    /// Whether somebody has to act on the entry: its verdict is bad, and it is not mere drift.
    pub fn is_failure(&self) -> bool {
        self.verdict.is_bad() && !self.is_drift()
    }
}

/// Whether `source` says of a claim that nothing but observation promises it.
pub(crate) fn is_observed(source: &[String]) -> bool {
    !source.is_empty() && source.iter().all(|source| source.starts_with("observed"))
}
