//! Exit statuses, and the one sentence that is said where something cannot be done.

use std::process::ExitCode;

use reports::{Run, Verdict};

/// How a command ended, which is the program's exit status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// Every claim held, was skipped or known; or there was nothing to try.
    Held,
    /// A claim is broken, or a run regressed.
    Broken,
    /// The command line makes no sense.
    Usage,
    /// The harness or the host broke.
    Fault,
    /// Nothing could be tried.
    Nothing,
    /// The run was interrupted.
    Interrupted,
}

impl Ending {
    /// What a run's verdicts amount to.
    pub(super) fn of(run: &Run) -> Self {
        let has = |verdict| run.totals.get(&verdict).is_some_and(|count| *count > 0);
        if run.claims.iter().any(reports::Entry::is_failure) {
            Self::Broken
        } else if has(Verdict::Fault) {
            Self::Fault
        } else if run.claims.iter().all(|entry| entry.verdict == Verdict::Skip) {
            Self::Nothing
        } else {
            Self::Held
        }
    }
}

impl From<Ending> for ExitCode {
    fn from(ending: Ending) -> Self {
        Self::from(match ending {
            Ending::Held => 0,
            Ending::Broken => 1,
            Ending::Usage => 2,
            Ending::Fault => 3,
            Ending::Nothing => 4,
            Ending::Interrupted => 130,
        })
    }
}

/// Why a command cannot be carried out: one sentence that names the cure.
#[derive(Debug, thiserror::Error)]
pub(super) enum Complaint {
    /// Something on the command line, or a file that it names, makes no sense.
    #[error("{0}")]
    Usage(String),
    /// The host does not let it be done.
    #[error("{0}")]
    Fault(String),
    /// There is nothing to do it with.
    #[error("{0}")]
    Nothing(String),
}

impl From<&Complaint> for Ending {
    fn from(complaint: &Complaint) -> Self {
        match complaint {
            Complaint::Usage(_) => Self::Usage,
            Complaint::Fault(_) => Self::Fault,
            Complaint::Nothing(_) => Self::Nothing,
        }
    }
}

/// Prints what the parser has to say: help is no error.
pub(super) fn of_usage(error: &clap::Error) -> ExitCode {
    // Where even this cannot be printed, the status still tells.
    let _ = error.print();
    if error.use_stderr() { Ending::Usage.into() } else { Ending::Held.into() }
}
