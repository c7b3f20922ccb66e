//! What a run is made with.

use std::path::PathBuf;
use std::time::Duration;

use reports::{Known, Regression};

use crate::isolate::{Keeper, KeeperError, Limits};

/// What a run is made with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where generated inputs come from: the same seed, the same cases.
    pub seed: u64,
    /// How many claims are tried at once.
    pub workers: usize,
    /// What one claim may take.
    pub limits: Limits,
    /// Whether a control group bounds what a claim takes, where one can be made; its resident memory is watched otherwise.
    pub control_groups: bool,
    /// How long a failing input is made smaller, at most.
    pub shrinking: Duration,
    /// What is known to deviate, and where.
    pub known: Vec<Known>,
    /// Inputs that once failed, which are tried first.
    pub regressions: Vec<Regression>,
    /// Where the kernel's log is read.
    pub kernel_log: PathBuf,
}

impl Settings {
    /// A keeper that bounds what claims take as this says.
    pub(super) fn keeper(&self) -> Result<Keeper, KeeperError> {
        Keeper::start(self.control_groups.then_some(self.limits.memory))
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            seed: 0,
            workers: 4 * std::thread::available_parallelism().map_or(1, usize::from),
            limits: Limits::default(),
            control_groups: true,
            shrinking: Duration::from_secs(20),
            known: Vec::new(),
            regressions: Vec::new(),
            kernel_log: "/dev/kmsg".into(),
        }
    }
}
