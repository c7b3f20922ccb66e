//! What a claim leaves behind, and how it is got rid of.

use std::collections::HashMap;
use std::fs;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions, kill_process, pidfd_open, wait};

/// How long processes may take to die after SIGKILL. One that the kernel does not let go takes longer than any patience.
pub(super) const CLEARING: Duration = Duration::from_secs(5);

/// How many processes were left behind.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Leftovers {
    /// Those that are gone.
    pub(super) cleared: usize,
    /// Those that could not be killed.
    pub(super) surviving: usize,
}

/// Kills and reaps whatever has come back to this process, a subreaper without children of its own, until nothing is left.
pub(super) fn clear_away() -> Leftovers {
    let deadline = Instant::now() + CLEARING;
    let mut cleared = 0;
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some(_)) => cleared += 1,
            Ok(None) if Instant::now() >= deadline => {
                return Leftovers { cleared, surviving: children_of(&parents(), own()).len().max(1) };
            }
            Ok(None) => {
                // All of them at once, so that none has the time to start another; what still does is met in the next round.
                for pid in descendants() {
                    let _ = kill_process(pid, Signal::KILL);
                }
                for child in children_of(&parents(), own()) {
                    ends(child, deadline);
                }
            }
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return Leftovers { cleared, surviving: 0 },
        }
    }
}

/// Kills whatever carries `mark` in its environment: what a keeper that is gone can no longer clear away.
pub(super) fn kill_marked(mark: &str) {
    let deadline = Instant::now() + CLEARING;
    let is_marked = |pid: &Pid| {
        // A process that is dying has no environment any more.
        fs::read(format!("/proc/{pid}/environ")).is_ok_and(|environment| {
            environment.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes())
        })
    };
    loop {
        let marked: Vec<_> = processes().into_iter().filter(is_marked).collect();
        if marked.is_empty() || Instant::now() >= deadline {
            return;
        }
        for pid in &marked {
            let _ = kill_process(*pid, Signal::KILL);
        }
        for pid in marked {
            ends(pid, deadline);
        }
    }
}

/// Waits until a process has ended, or the deadline is there; says whether it has.
pub(super) fn ends(pid: Pid, deadline: Instant) -> bool {
    let left = deadline.saturating_duration_since(Instant::now());
    let (Ok(process), Ok(left)) = (pidfd_open(pid, PidfdFlags::empty()), Timespec::try_from(left)) else {
        // There is no such process.
        return true;
    };
    let mut ended = [PollFd::new(&process, PollFlags::IN)];
    matches!(poll(&mut ended, Some(&left)), Ok(1..))
}

/// Everything that comes from this process.
fn descendants() -> Vec<Pid> {
    let parents = parents();
    let mut found = children_of(&parents, own());
    let mut next = 0;
    while let Some(pid) = found.get(next) {
        found.extend(children_of(&parents, *pid));
        next += 1;
    }
    found
}

fn own() -> Pid {
    rustix::process::getpid()
}

fn children_of(parents: &HashMap<Pid, Vec<Pid>>, pid: Pid) -> Vec<Pid> {
    parents.get(&pid).cloned().unwrap_or_default()
}

/// The children of every process, by a walk through `/proc`.
fn parents() -> HashMap<Pid, Vec<Pid>> {
    let mut parents: HashMap<_, Vec<_>> = HashMap::new();
    for pid in processes() {
        if let Some(parent) = field(pid, 1).and_then(|parent| Pid::from_raw(parent.parse().ok()?)) {
            parents.entry(parent).or_default().push(pid);
        }
    }
    parents
}

/// Whether a process was stopped by a signal.
pub(super) fn is_stopped(pid: Pid) -> bool {
    field(pid, 0).is_some_and(|state| state == "T")
}

/// A field of `/proc/PID/stat`, counted from the state on. The name before it, in parentheses, may hold anything.
fn field(pid: Pid, index: usize) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(index).map(str::to_owned)
}

fn processes() -> Vec<Pid> {
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| Pid::from_raw(entry.ok()?.file_name().to_str()?.parse().ok()?))
        .collect()
}
