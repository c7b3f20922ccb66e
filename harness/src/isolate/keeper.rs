//! The runner's end of a keeper.

use std::io::{BufRead, BufReader, Write};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};

use super::memory_limit::ControlGroup;
use super::task::{Report, Task};

/// The first argument of a process that is to be a keeper.
pub(super) const ARGUMENT: &str = "--keeper-of-claims";

/// A process that tries one claim after the other, each in a child of its own.
#[derive(Debug)]
pub struct Keeper {
    process: Child,
    requests: UnixStream,
    reports: BufReader<UnixStream>,
    _group: Option<ControlGroup>,
}

/// Ends a keeper's work from another thread: what it tries is killed, and its worker hears [`KeeperError::Lost`].
#[derive(Debug)]
pub struct Interrupter(UnixStream);

/// Why a keeper could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum KeeperError {
    /// The process could not be started.
    #[error("cannot start a process to try claims in: {0}")]
    Start(#[source] std::io::Error),
    /// It went away: something killed it, or the run was interrupted.
    #[error("the process that tries claims went away: something killed it from outside")]
    Lost,
    /// What it said makes no sense.
    #[error("cannot understand the process that tries claims: {0}")]
    Garbled(#[source] serde_json::Error),
}

impl Keeper {
    /// Starts one, whose children may take `memory` bytes each where a control group can be made.
    pub fn start(memory: u64) -> Result<Self, KeeperError> {
        let (ours, theirs) = UnixStream::pair().map_err(KeeperError::Start)?;
        let reports = BufReader::new(ours.try_clone().map_err(KeeperError::Start)?);
        let group = ControlGroup::make(memory);
        let mut command = Command::new("/proc/self/exe");
        command.arg(ARGUMENT);
        if let Some(group) = &group {
            command.arg(group.path());
        }
        let process = command
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .spawn()
            .map_err(KeeperError::Start)?;
        Ok(Self { process, requests: ours, reports, _group: group })
    }

    /// Has one task done, and waits for its end.
    pub fn work(&mut self, task: &Task) -> Result<Report, KeeperError> {
        let mut request = serde_json::to_vec(task).map_err(KeeperError::Garbled)?;
        request.push(b'\n');
        self.requests.write_all(&request).map_err(|_| KeeperError::Lost)?;
        let mut report = String::new();
        match self.reports.read_line(&mut report) {
            Ok(1..) => serde_json::from_str(&report).map_err(KeeperError::Garbled),
            Ok(0) | Err(_) => Err(KeeperError::Lost),
        }
    }

    /// What ends this keeper's work from another thread.
    pub fn interrupter(&self) -> Option<Interrupter> {
        self.requests.try_clone().ok().map(Interrupter)
    }
}

impl Interrupter {
    /// Ends the keeper's work.
    pub fn interrupt(&self) {
        // A socket that is shut down already has nothing left to interrupt.
        let _ = self.0.shutdown(Shutdown::Both);
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        let _ = self.requests.shutdown(Shutdown::Both);
        // The keeper leaves when its socket ends; where it was killed there is nothing left but to reap it.
        let _ = self.process.wait();
    }
}
