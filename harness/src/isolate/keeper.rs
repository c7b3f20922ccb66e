//! The runner's end of a keeper.

use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::net::RecvFlags;
use rustix::process::Pid;

use super::leftovers::{is_stopped, kill_marked};
use super::memory_limit::ControlGroup;
use super::task::{Answer, Report, Task};

/// The first argument of a process that is to be a keeper.
pub(super) const ARGUMENT: &str = "--keeper-of-claims";
/// The variable that marks everything that a keeper starts.
const MARK: &str = "ASSAY_KEEPER";
/// How often a keeper that does not answer is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// A process that tries one claim after the other, each in a child of its own.
#[derive(Debug)]
pub struct Keeper {
    process: Child,
    mark: String,
    requests: UnixStream,
    reports: BufReader<UnixStream>,
    is_usable: bool,
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
    /// It lacks something that it needs.
    #[error("the process that tries claims cannot try this one: {0}")]
    Unable(String),
    /// What it said makes no sense.
    #[error("cannot understand the process that tries claims: {0}")]
    Garbled(#[source] serde_json::Error),
}

impl Keeper {
    /// Starts one. Its children may take so many bytes of memory in a control group, where one is wanted and can be made; otherwise
    /// it watches what they take.
    pub fn start(group: Option<u64>) -> Result<Self, KeeperError> {
        static SERIAL: AtomicU64 = AtomicU64::new(0);
        let mark = format!("{}-{}", std::process::id(), SERIAL.fetch_add(1, Ordering::Relaxed));
        let (ours, theirs) = UnixStream::pair().map_err(KeeperError::Start)?;
        ours.set_read_timeout(Some(LOOK)).map_err(KeeperError::Start)?;
        let reports = BufReader::new(ours.try_clone().map_err(KeeperError::Start)?);
        let group = group.and_then(ControlGroup::make);
        let mut command = Command::new("/proc/self/exe");
        command.arg(ARGUMENT);
        if let Some(group) = &group {
            command.arg(group.path());
        }
        let process = command
            .env(MARK, &mark)
            // What ends the runner's process group must leave the keeper time to clear away what it started.
            .process_group(0)
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .spawn()
            .map_err(KeeperError::Start)?;
        Ok(Self { process, mark, requests: ours, reports, is_usable: true, _group: group })
    }

    /// Has one task done, and waits for its end.
    pub fn work(&mut self, task: &Task) -> Result<Report, KeeperError> {
        let report = self.ask(task);
        // One that cannot get rid of a process would lay it to the charge of the next claim.
        self.is_usable = report.as_ref().is_ok_and(|report| report.surviving == 0);
        report
    }

    /// Whether it can do another task.
    pub fn is_usable(&self) -> bool {
        self.is_usable
    }

    /// What ends this keeper's work from another thread.
    pub fn interrupter(&self) -> Option<Interrupter> {
        self.requests.try_clone().ok().map(Interrupter)
    }

    fn ask(&mut self, task: &Task) -> Result<Report, KeeperError> {
        let mut request = serde_json::to_vec(task).map_err(KeeperError::Garbled)?;
        request.push(b'\n');
        self.requests.write_all(&request).map_err(|_| KeeperError::Lost)?;
        let mut answer = Vec::new();
        loop {
            match self.reports.read_until(b'\n', &mut answer) {
                Ok(1..) => break,
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                    // A keeper that was stopped keeps no clock: it is as good as gone.
                    if Pid::from_raw(self.process.id().cast_signed()).is_some_and(is_stopped) {
                        let _ = self.process.kill();
                        return Err(KeeperError::Lost);
                    }
                }
                Ok(0) | Err(_) => return Err(KeeperError::Lost),
            }
        }
        let answer: Answer = serde_json::from_slice(&answer).map_err(KeeperError::Garbled)?;
        answer.map_err(KeeperError::Unable)
    }
}

impl Interrupter {
    /// Whether there is nothing to interrupt any more: the keeper is gone.
    pub fn is_over(&self) -> bool {
        let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        matches!(rustix::net::recv(&self.0, &mut [0], flags), Ok((_, 0)))
    }

    /// Ends the keeper's work.
    pub fn interrupt(&self) {
        // A socket that is shut down already has nothing left to interrupt.
        let _ = self.0.shutdown(Shutdown::Both);
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        let _ = self.requests.shutdown(Shutdown::Both);
        // The keeper leaves when its socket ends, and nothing stays behind; where it was killed, that is left to this process.
        let ended = self.process.wait();
        if ended.is_ok_and(|status| status.signal().is_some()) {
            kill_marked(&format!("{MARK}={}", self.mark));
        }
    }
}
