//! What the runner makes of one claim: one of eight verdicts, and no ninth.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What is said of a claim after it was tried.
///
/// Ordered from the best to the worst news, so that `max` of several is the one to act on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// The claim held.
    Pass,
    /// The claim's needs are not met on this host; nothing is said of it.
    Skip,
    /// The claim is broken exactly as an expectation says it is on this host.
    Known,
    /// The harness or the host broke; nothing is said of the claim.
    Fault,
    /// An expectation says that the claim is broken here, and it held.
    Surprise,
    /// The claim is broken.
    Fail,
    /// The claim's process, or the kernel under it, died.
    Crash,
    /// The claim did not come to an end within its clock or its exit budget.
    Hang,
}

impl Verdict {
    /// Every verdict, in the order in which totals are written.
    pub const ALL: [Self; 8] = [
        Self::Pass,
        Self::Fail,
        Self::Skip,
        Self::Known,
        Self::Surprise,
        Self::Crash,
        Self::Hang,
        Self::Fault,
    ];

    /// The word that stands for the verdict in every format and query.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Skip => "skip",
            Self::Known => "known",
            Self::Surprise => "surprise",
            Self::Crash => "crash",
            Self::Hang => "hang",
            Self::Fault => "fault",
        }
    }

    /// The verdict that `name` stands for.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|verdict| verdict.name() == name)
    }

    /// Whether the verdict says that the claim does not hold as it should: a Fail, Crash, Hang or Surprise.
    pub fn is_bad(self) -> bool {
        matches!(self, Self::Fail | Self::Crash | Self::Hang | Self::Surprise)
    }

    /// Whether the claim was tried to an end that says something of it.
    pub fn was_tried(self) -> bool {
        !matches!(self, Self::Skip | Self::Fault)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
