//! What became of a child, from the keeper's report of it.

use reports::Verdict;

use crate::isolate::{End, Ending, Limits, Report};
use crate::{Broken, HostFault, Stop};

/// What became of a child.
#[derive(Clone, Debug)]
pub(super) enum Fate {
    Held,
    /// Every case held, and none made a check.
    Vacuous(String),
    Skipped(String),
    Fault(String),
    Broken(Box<Broken>),
    Crashed(Box<Broken>),
    Hung(Box<Broken>),
}

impl Fate {
    pub(super) fn verdict(&self) -> Verdict {
        match self {
            Self::Held => Verdict::Pass,
            Self::Skipped(_) => Verdict::Skip,
            Self::Fault(_) => Verdict::Fault,
            Self::Broken(_) | Self::Vacuous(_) => Verdict::Fail,
            Self::Crashed(_) => Verdict::Crash,
            Self::Hung(_) => Verdict::Hang,
        }
    }

    pub(super) fn of(report: &Report, limits: &Limits) -> Self {
        match report.end {
            End::OutOfTime => {
                let why = format!("it did not come to an end within {:?}", limits.clock);
                Self::Hung(Box::new(Broken { detail: report.whereabouts.clone(), ..because(why) }))
            }
            End::OutOfMemory => {
                Self::crashed(format!("it took more than {} MiB of memory", limits.memory >> 20))
            }
            End::Killed(signal) => {
                Self::crashed(format!("its process was killed by {}", signal_name(signal)))
            }
            End::Exited(status) => match report.said.as_ref().map(|said| &said.ending) {
                Some(Ending::Panicked(panic)) => Self::Crashed(panic.clone()),
                Some(ending) if status == 0 => Self::of_ending(ending),
                _ => Self::crashed(format!(
                    "its process exited with status {status} in the middle of the claim"
                )),
            },
        }
    }

    fn of_ending(ending: &Ending) -> Self {
        match ending {
            Ending::Held | Ending::Exhausted => Self::Held,
            Ending::Stopped(Stop::Skip(why)) => Self::Skipped(why.clone()),
            Ending::Stopped(Stop::HostFault(HostFault(why))) => Self::Fault(why.clone()),
            Ending::Stopped(Stop::Broken(broken)) => Self::Broken(broken.clone()),
            Ending::Stopped(Stop::Hung(broken)) => Self::Hung(broken.clone()),
            Ending::Panicked(panic) => Self::Crashed(panic.clone()),
        }
    }

    /// What became of a child whose cases all held.
    pub(super) fn unless_vacuous(report: &Report) -> Self {
        match &report.said {
            Some(said) if said.reached == 0 => Self::Vacuous(match said.cases {
                1 => "vacuous: it made no check".into(),
                cases => format!("vacuous: none of {cases} cases made a check"),
            }),
            _ => Self::Held,
        }
    }

    fn crashed(why: String) -> Self {
        Self::Crashed(Box::new(because(why)))
    }
}

pub(super) fn because(why: String) -> Broken {
    Broken { why, ..Broken::default() }
}

fn signal_name(signal: i32) -> String {
    let name = match signal {
        libc::SIGILL => "SIGILL",
        libc::SIGTRAP => "SIGTRAP",
        libc::SIGABRT => "SIGABRT",
        libc::SIGBUS => "SIGBUS",
        libc::SIGFPE => "SIGFPE",
        libc::SIGKILL => "SIGKILL",
        libc::SIGSEGV => "SIGSEGV",
        libc::SIGPIPE => "SIGPIPE",
        libc::SIGALRM => "SIGALRM",
        libc::SIGTERM => "SIGTERM",
        libc::SIGXCPU => "SIGXCPU",
        libc::SIGSYS => "SIGSYS",
        other => return format!("signal {other}"),
    };
    name.to_owned()
}
