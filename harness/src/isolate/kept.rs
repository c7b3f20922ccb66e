//! The keeper itself: forks a child for each task, watches over it, and clears away what it leaves.
#![expect(unsafe_code, reason = "forks, and replaces the standard descriptors of the child")]

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{
    Pid, PidfdFlags, Resource, Rlimit, Signal, WaitOptions, WaitStatus, getrlimit, kill_process, pidfd_open,
    set_child_subreaper, set_parent_process_death_signal, setpgid, setrlimit, wait, waitpid,
};

use super::child::{self, Line, Record};
use super::memory_limit;
use super::task::{End, Report, Task};
use crate::process::memory_file;

/// How often the child's memory is looked at where no control group bounds it.
const MEMORY_WATCH: Duration = Duration::from_millis(20);
/// How long processes that were left behind may take to die after SIGKILL.
const CLEARING: Duration = Duration::from_secs(5);
/// How much of the end of a child's output is kept, in bytes.
const OUTPUT: u64 = 4096;

/// Takes tasks from the socket that is standard input until it ends.
pub(super) fn serve() -> ! {
    let status = match Kept::new() {
        Ok(mut kept) => kept.serve(),
        Err(error) => {
            eprintln!("assay: cannot keep claims apart: {error}");
            1
        }
    };
    process::exit(status)
}

struct Kept {
    socket: UnixStream,
    group: Option<PathBuf>,
}

/// How watching over a child ended.
enum Watched {
    Ended(End),
    RunnerIsGone,
}

impl Kept {
    fn new() -> std::io::Result<Self> {
        let socket = UnixStream::from(std::io::stdin().as_fd().try_clone_to_owned()?);
        set_child_subreaper(Some(rustix::process::getpid()))?;
        // SAFETY: ignoring a signal runs no handler. An interrupt is the runner's to act on: it ends this socket.
        unsafe { libc::signal(libc::SIGINT, libc::SIG_IGN) };
        let group =
            std::env::args_os().nth(2).map(PathBuf::from).filter(|group| memory_limit::enter(group).is_ok());
        // The descriptors of a claim that makes many VMs and vCPUs at once.
        let most = getrlimit(Resource::Nofile).maximum;
        let _ = setrlimit(Resource::Nofile, Rlimit { current: most, maximum: most });
        let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
        Ok(Self { socket, group })
    }

    fn serve(&mut self) -> i32 {
        let Ok(requests) = self.socket.try_clone() else { return 1 };
        for request in BufReader::new(requests).lines() {
            let Ok(request) = request else { break };
            let report = serde_json::from_str(&request)
                .map_err(std::io::Error::from)
                .and_then(|task| self.work(&task))
                .and_then(|report| serde_json::to_vec(&report).map_err(std::io::Error::from));
            let sent = report.and_then(|mut text| {
                text.push(b'\n');
                self.socket.write_all(&text)
            });
            if let Err(error) = sent {
                if error.kind() != std::io::ErrorKind::BrokenPipe {
                    eprintln!("assay: cannot try a claim: {error}");
                }
                return 1;
            }
        }
        0
    }

    fn work(&self, task: &Task) -> std::io::Result<Report> {
        let fault = |stop: crate::Stop| std::io::Error::other(format!("{stop:?}"));
        let record = memory_file("record").map_err(fault)?;
        let output = memory_file("output").map_err(fault)?;
        let kills = self.group.as_deref().map_or(0, memory_limit::kills);
        let start = Instant::now();
        // SAFETY: this process has one thread, so that the child may do whatever it could.
        let pid = match unsafe { libc::fork() } {
            -1 => return Err(std::io::Error::last_os_error()),
            0 => become_child(task, record, &output),
            pid => {
                Pid::from_raw(pid).ok_or_else(|| std::io::Error::other("fork answered with no process"))?
            }
        };
        let watched = self.watch(pid, task, &record);
        // Whatever became of the child, its process group and all that it started end here.
        let _ = rustix::process::kill_process_group(pid, Signal::KILL);
        let _ = kill_process(pid, Signal::KILL);
        let status = reap(pid);
        let left_behind = clear_away();
        let end = match watched? {
            Watched::RunnerIsGone => return Err(std::io::ErrorKind::BrokenPipe.into()),
            Watched::Ended(end) => end,
        };
        let killed_for_memory = self.group.as_deref().map_or(0, memory_limit::kills) > kills;
        let end = match (end, status) {
            (End::Exited(_), _) if killed_for_memory => End::OutOfMemory,
            (End::Exited(_), Some(status)) => ended(status),
            (end, _) => end,
        };
        let ms = start.elapsed().as_secs_f64() * 1e3;
        Ok(report(end, record, output, left_behind, ms))
    }

    /// Waits for the child's end, its clock, its memory, or the runner's death. Each case that it begins winds the clock.
    fn watch(&self, pid: Pid, task: &Task, record: &File) -> std::io::Result<Watched> {
        let child = pidfd_open(pid, PidfdFlags::empty())?;
        let mut begun = (0, Instant::now());
        loop {
            let left = task.limits.clock.saturating_sub(begun.1.elapsed());
            let tick = if self.group.is_some() { left } else { left.min(MEMORY_WATCH) };
            let (ended, gone) = wait_for(&child, &self.socket, tick)?;
            if ended {
                return Ok(Watched::Ended(End::Exited(0)));
            }
            if gone {
                return Ok(Watched::RunnerIsGone);
            }
            let written = record.metadata()?.len();
            if written > begun.0 {
                begun = (written, Instant::now());
            } else if begun.1.elapsed() >= task.limits.clock {
                return Ok(Watched::Ended(End::OutOfTime));
            }
            if self.group.is_none() && memory_limit::resident(pid.as_raw_nonzero().get()) > task.limits.memory
            {
                return Ok(Watched::Ended(End::OutOfMemory));
            }
        }
    }
}

/// Whether the child ended, and whether the runner's end of the socket did, within `tick`.
fn wait_for(child: &OwnedFd, socket: &UnixStream, tick: Duration) -> std::io::Result<(bool, bool)> {
    let mut watched = [PollFd::new(child, PollFlags::IN), PollFd::new(socket, PollFlags::RDHUP)];
    // A millisecond more, so that the clock has run out when this comes back.
    let tick = Timespec::try_from(tick + Duration::from_millis(1)).map_err(std::io::Error::other)?;
    match poll(&mut watched, Some(&tick)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => {}
        Err(errno) => return Err(errno.into()),
    }
    let gone = PollFlags::RDHUP | PollFlags::HUP | PollFlags::ERR;
    Ok((!watched[0].revents().is_empty(), watched[1].revents().intersects(gone)))
}

/// The rest of this process's life as the child that tries the task.
fn become_child(task: &Task, record: File, output: &File) -> ! {
    let keeper = rustix::process::getppid();
    let _ = set_parent_process_death_signal(Some(Signal::KILL));
    if rustix::process::getppid() != keeper {
        process::exit(1);
    }
    let _ = setpgid(None, None);
    // SAFETY: restores the default, which runs no handler.
    unsafe { libc::signal(libc::SIGINT, libc::SIG_DFL) };
    if let Ok(name) = std::ffi::CString::new(format!("claim-{}", task.serial)) {
        let _ = rustix::thread::set_name(&name);
    }
    if let Ok(nothing) = File::open("/dev/null") {
        // SAFETY: the standard descriptors belong to nobody in this process, whose only thread this is.
        unsafe { libc::dup2(nothing.as_raw_fd(), 0) };
    }
    for standard in [1, 2] {
        // SAFETY: as above.
        unsafe { libc::dup2(output.as_raw_fd(), standard) };
    }
    let mut record = Record(record);
    let tried = catch_unwind(AssertUnwindSafe(|| child::run(task, &mut record)));
    let status = if tried.is_ok() { 0 } else { 101 };
    // SAFETY: ends the child at once: nothing of the keeper's is flushed or dropped twice.
    unsafe { libc::_exit(status) }
}

fn reap(pid: Pid) -> Option<WaitStatus> {
    loop {
        match waitpid(Some(pid), WaitOptions::empty()) {
            Ok(Some((_, status))) => return Some(status),
            Err(rustix::io::Errno::INTR) => {}
            Ok(None) | Err(_) => return None,
        }
    }
}

fn ended(status: WaitStatus) -> End {
    match status.terminating_signal() {
        Some(signal) => End::Killed(signal),
        None => End::Exited(status.exit_status().unwrap_or(-1)),
    }
}

/// Kills and reaps whatever has come back to this process, until nothing is left; says how many processes it was.
fn clear_away() -> usize {
    let start = Instant::now();
    let mut cleared = 0;
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some(_)) => cleared += 1,
            Ok(None) if start.elapsed() > CLEARING => return cleared,
            Ok(None) => {
                for pid in children() {
                    let _ = kill_process(pid, Signal::KILL);
                }
                // What was killed is waited for; what it had started comes here, and is met in the next round.
                if matches!(wait(WaitOptions::empty()), Ok(Some(_))) {
                    cleared += 1;
                }
            }
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return cleared,
        }
    }
}

/// This process's children, by a walk through `/proc`.
fn children() -> Vec<Pid> {
    let own = process::id().to_string();
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
            // The name in parentheses may hold anything; the parent is the second field behind it.
            let parent = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.to_owned();
            (parent == own).then(|| Pid::from_raw(pid))?
        })
        .collect()
}

fn report(end: End, mut record: File, mut output: File, left_behind: usize, ms: f64) -> Report {
    let mut text = String::new();
    let (mut tried, mut said, mut begun) = (None, None, 0);
    if record.rewind().and_then(|()| record.read_to_string(&mut text)).is_ok() {
        begun = text.lines().count() as u64;
        // Only the end of the record matters: what was said last, and the case that was begun last.
        for line in text.lines().rev() {
            match serde_json::from_str(line) {
                Ok(Line::Said(line)) => {
                    begun -= 1;
                    said = said.or(Some(line));
                }
                Ok(Line::Tried(line)) => {
                    tried = Some(line);
                    break;
                }
                Err(_) => {}
            }
        }
    }
    Report { end, said, tried, begun, left_behind, output: tail(&mut output), ms }
}

fn tail(output: &mut File) -> String {
    let length = output.metadata().map_or(0, |metadata| metadata.len());
    let mut bytes = Vec::new();
    let from = SeekFrom::Start(length.saturating_sub(OUTPUT));
    let _ = output.seek(from).and_then(|_| output.read_to_end(&mut bytes));
    String::from_utf8_lossy(&bytes).trim().to_owned()
}
