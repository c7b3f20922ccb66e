//! The keeper itself: forks a child for each task, watches over it, and clears away what it leaves.
#![expect(unsafe_code, reason = "forks, and ignores a signal")]

use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{
    Pid, PidfdFlags, Resource, Rlimit, Signal, WaitOptions, WaitStatus, getrlimit, kill_process,
    kill_process_group, pidfd_open, set_child_subreaper, setrlimit, waitpid,
};

use super::child::Line;
use super::leftovers::{CLEARING, clear_away, ends};
use super::memory_limit;
use super::newborn;
use super::output::Output;
use super::record::{Record, now};
use super::task::{Answer, End, Report, Task};
use super::whereabouts::whereabouts;
use crate::recorder::Table;

/// How often memory is looked at where no control group bounds it.
const MEMORY_WATCH: Duration = Duration::from_millis(20);

/// Takes tasks from the socket that is standard input until it ends.
pub(super) fn serve() -> ! {
    let status = match Kept::new() {
        Ok(mut kept) => {
            let status = kept.serve();
            if let Some(group) = &kept.group {
                memory_limit::leave(group);
            }
            status
        }
        Err(error) => {
            eprintln!("assay: cannot keep claims apart: {error}");
            1
        }
    };
    process::exit(status)
}

struct Kept {
    socket: UnixStream,
    /// What is written to by whatever is forked here.
    table: &'static Table,
    group: Option<PathBuf>,
}

/// How watching over a child ended.
enum Watched {
    Ended(End),
    RunnerIsGone,
}

impl Kept {
    fn new() -> io::Result<Self> {
        let socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
        set_child_subreaper(Some(rustix::process::getpid()))?;
        // SAFETY: ignoring a signal runs no handler. An interrupt is the runner's to act on: it ends this socket.
        unsafe { libc::signal(libc::SIGINT, libc::SIG_IGN) };
        let group =
            std::env::args_os().nth(2).map(PathBuf::from).filter(|group| memory_limit::enter(group).is_ok());
        // The descriptors of a claim that makes many VMs and vCPUs at once.
        let most = getrlimit(Resource::Nofile).maximum;
        let _ = setrlimit(Resource::Nofile, Rlimit { current: most, maximum: most });
        let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
        Ok(Self { socket, table: Table::share()?, group })
    }

    fn serve(&mut self) -> i32 {
        let Ok(requests) = self.socket.try_clone() else { return 1 };
        for request in BufReader::new(requests).lines() {
            let Ok(request) = request else { break };
            let report =
                serde_json::from_str(&request).map_err(io::Error::from).and_then(|task| self.work(&task));
            let answer: Answer = match report {
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return 1,
                report => report.map_err(|error| error.to_string()),
            };
            let sent = serde_json::to_vec(&answer).map_err(io::Error::from).and_then(|mut text| {
                text.push(b'\n');
                self.socket.write_all(&text)
            });
            if sent.is_err() {
                return 1;
            }
        }
        0
    }

    fn work(&self, task: &Task) -> io::Result<Report> {
        let record = Record::new()?;
        let (mut output, printed) = Output::new()?;
        let kills = self.kills();
        self.table.clear();
        let start = Instant::now();
        // SAFETY: this process has one thread, so that the child may do whatever it could.
        let pid = match unsafe { libc::fork() } {
            -1 => return Err(io::Error::last_os_error()),
            0 => newborn::live(task, &record, &printed),
            pid => Pid::from_raw(pid).ok_or_else(|| io::Error::other("fork answered with no process"))?,
        };
        drop(printed);
        let watched = self.watch(pid, task, &record, &mut output);
        let whereabouts = match watched {
            Ok(Watched::Ended(End::OutOfTime)) => whereabouts(pid),
            _ => Vec::new(),
        };
        // Whatever became of the child, its process group and all that it started end here.
        let _ = kill_process_group(pid, Signal::KILL);
        let _ = kill_process(pid, Signal::KILL);
        let status = reap(pid);
        let leftovers = clear_away();
        let end = match (watched?, status) {
            (Watched::RunnerIsGone, _) => return Err(io::ErrorKind::BrokenPipe.into()),
            (Watched::Ended(End::Exited(_)), _) if self.kills() > kills => End::OutOfMemory,
            (Watched::Ended(End::Exited(_)), Some(status)) => ended(status),
            (Watched::Ended(end), _) => end,
        };
        let ms = start.elapsed().as_secs_f64() * 1e3;
        let mut report = Report {
            end,
            said: None,
            tried: None,
            begun: 0,
            left_behind: leftovers.cleared,
            surviving: leftovers.surviving,
            whereabouts,
            output: output.text(),
            ms,
            answers: self.table.answers(),
        };
        for line in record.lines_backwards() {
            match line {
                Line::Said(said) => report.said = report.said.or(Some(said)),
                Line::Tried(tried) => {
                    report.begun += 1;
                    report.tried = report.tried.or(Some(tried));
                }
            }
        }
        Ok(report)
    }

    /// Waits for the child's end, its clock, its memory, or the runner's death. Each case that it begins winds the clock.
    fn watch(&self, pid: Pid, task: &Task, record: &Record, output: &mut Output) -> io::Result<Watched> {
        let child = pidfd_open(pid, PidfdFlags::empty())?;
        let forked = now();
        let left = || task.limits.clock.saturating_sub(now().saturating_sub(record.written_at().max(forked)));
        loop {
            let tick = if self.group.is_some() { left() } else { left().min(MEMORY_WATCH) };
            let (ended, gone) = self.wait_for(&child, output, tick)?;
            output.take();
            if ended {
                return Ok(Watched::Ended(End::Exited(0)));
            }
            if gone {
                return Ok(Watched::RunnerIsGone);
            }
            if left().is_zero() {
                return Ok(Watched::Ended(End::OutOfTime));
            }
            if self.group.is_none() && memory_limit::takes_more_than(task.limits.memory) {
                return Ok(Watched::Ended(End::OutOfMemory));
            }
        }
    }

    /// Whether the child ended, and whether the runner's end of the socket did, within `tick` or before the child printed something.
    fn wait_for(&self, child: &OwnedFd, output: &Output, tick: Duration) -> io::Result<(bool, bool)> {
        let mut watched =
            vec![PollFd::new(child, PollFlags::IN), PollFd::new(&self.socket, PollFlags::RDHUP)];
        let pipe = output.pipe();
        watched.extend(pipe.as_ref().map(|pipe| PollFd::new(pipe, PollFlags::IN)));
        // A millisecond more, so that the clock has run out when this comes back.
        let tick = Timespec::try_from(tick + Duration::from_millis(1)).map_err(io::Error::other)?;
        match poll(&mut watched, Some(&tick)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        let gone = PollFlags::RDHUP | PollFlags::HUP | PollFlags::ERR;
        Ok((!watched[0].revents().is_empty(), watched[1].revents().intersects(gone)))
    }

    /// How many processes the kernel has killed here for lack of memory.
    fn kills(&self) -> u64 {
        self.group.as_deref().map_or(0, memory_limit::kills)
    }
}

/// The status of a child that was killed; none of one that the kernel does not let go.
fn reap(pid: Pid) -> Option<WaitStatus> {
    if !ends(pid, Instant::now() + CLEARING) {
        return None;
    }
    loop {
        match waitpid(Some(pid), WaitOptions::NOHANG) {
            Ok(ended) => return ended.map(|(_, status)| status),
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return None,
        }
    }
}

fn ended(status: WaitStatus) -> End {
    match status.terminating_signal() {
        Some(signal) => End::Killed(signal),
        None => End::Exited(status.exit_status().unwrap_or(-1)),
    }
}
