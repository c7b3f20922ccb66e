//! What the runner asks of a keeper, and what it hears back.

use std::collections::BTreeMap;
use std::time::Duration;

use reports::Answers;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Broken, Stop};

/// How the name of a child's process begins; its task's serial number follows, in hexadecimal.
pub(crate) const NAME: &str = "claim-";

/// One child's work.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Task {
    /// Unique on the host; the child is named for it, so that the kernel's log can be pinned to it.
    pub serial: u64,
    /// The claim's name.
    pub claim: String,
    /// Which cases of it.
    pub what: What,
    /// What they may take.
    pub limits: Limits,
}

impl Task {
    /// The name of the child's process.
    pub(super) fn process_name(&self) -> String {
        format!("{NAME}{:x}", self.serial)
    }
}

/// Which cases of a claim are tried.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum What {
    /// The inputs that once failed, then cases from this seed on, for as long as the budget lasts.
    Cases {
        /// The seed of the run.
        seed: u64,
        /// Inputs that once failed.
        regressions: Vec<Vec<Value>>,
    },
    /// The case of one seed, made smaller step by step: `s` simplifies, `c` complicates.
    Case {
        /// The case's own seed.
        seed: u64,
        /// The steps.
        steps: String,
    },
    /// One input.
    Input(Vec<Value>),
}

/// What a child may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// How long one case may take before it is a Hang.
    pub clock: Duration,
    /// How long generated cases are tried.
    pub budget: Duration,
    /// How many cases are tried at least, whatever the budget.
    pub least_cases: u64,
    /// How many cases are tried at most.
    pub most_cases: u64,
    /// How much memory a child and all that it starts may take, in bytes.
    pub memory: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            clock: Duration::from_secs(10),
            budget: Duration::from_millis(100),
            least_cases: 8,
            most_cases: 256,
            memory: 1 << 30,
        }
    }
}

/// What the child wrote down before each case.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tried {
    /// The case's own seed; none for an input that was given.
    pub seed: Option<u64>,
    /// The input.
    pub input: Vec<Value>,
}

/// What the child wrote down at its end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Said {
    /// What its cases came to.
    pub ending: Ending,
    /// How many cases it tried.
    pub cases: u64,
    /// How many of them made a check.
    pub reached: u64,
    /// What the descriptors refer to that it left open.
    pub open: Vec<String>,
    /// What it counted by name.
    #[serde(default)]
    pub tallied: BTreeMap<String, u64>,
}

/// What the cases that a child tried came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Ending {
    /// Every case held.
    Held,
    /// The steps led past the smallest input, so that nothing was tried.
    Exhausted,
    /// One stopped.
    Stopped(Stop),
    /// One panicked, and where.
    Panicked(Box<Broken>),
}

/// How the child ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum End {
    /// By itself, with this status.
    Exited(i32),
    /// By this signal.
    Killed(i32),
    /// It was killed because one case took longer than the clock.
    OutOfTime,
    /// It was killed because it took more memory than it may.
    OutOfMemory,
}

/// What a keeper answers: a report, or why there is none.
pub(super) type Answer = Result<Report, String>;

/// What a keeper tells of a task.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    /// How the child ended.
    pub end: End,
    /// What it said at its end; none where it did not get there.
    pub said: Option<Said>,
    /// The last case that it began.
    pub tried: Option<Tried>,
    /// How many cases it began.
    pub begun: u64,
    /// How many processes it left behind that were killed.
    pub left_behind: usize,
    /// How many of its processes, itself among them, could not be killed.
    pub surviving: usize,
    /// Where it was when its clock ran out.
    pub whereabouts: Vec<String>,
    /// The end of what it printed.
    pub output: String,
    /// From the fork to the end, in milliseconds.
    pub ms: f64,
    /// What it and all that it started asked the kernel, and what they were answered.
    #[serde(default)]
    pub answers: Answers,
}
