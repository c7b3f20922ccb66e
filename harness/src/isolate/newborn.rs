//! The first steps of a child: from a copy of its keeper to a process that a claim may do with as it likes.
#![expect(unsafe_code, reason = "replaces descriptors, and ends without any cleaning up")]

use std::fs::{self, File};
use std::io::Write;
use std::os::fd::{AsRawFd, OwnedFd};
use std::process;

use rustix::process::{Signal, getppid, set_parent_process_death_signal, setpgid};

use super::child;
use super::record::Record;
use super::task::Task;

/// The rest of this process's life as the child that tries the task.
pub(super) fn live(task: &Task, record: &Record, printed: &OwnedFd) -> ! {
    let keeper = getppid();
    let _ = set_parent_process_death_signal(Some(Signal::KILL));
    if getppid() != keeper {
        process::exit(1);
    }
    let _ = setpgid(None, None);
    // Where memory runs out, the kernel is to take this process and not its keeper, nor anything else of this host.
    let _ = fs::write("/proc/self/oom_score_adj", "1000");
    // SAFETY: restores the default, which runs no handler.
    unsafe { libc::signal(libc::SIGINT, libc::SIG_DFL) };
    if let Ok(name) = std::ffi::CString::new(task.process_name()) {
        let _ = rustix::thread::set_name(&name);
    }
    let status = match record.pen() {
        Ok(mut pen) => {
            keep_standard_descriptors(printed);
            if child::run(task, &mut pen) { 0 } else { child::PANICKED }
        }
        Err(error) => {
            eprintln!("assay: cannot write cases down: {error}");
            1
        }
    };
    let _ = std::io::stdout().flush();
    // SAFETY: ends the child at once: nothing of the keeper's is flushed or dropped twice.
    unsafe { libc::_exit(status) }
}

/// Leaves nothing open of the keeper's, so that a claim that closes, or writes to, every descriptor there is hurts itself only.
fn keep_standard_descriptors(printed: &OwnedFd) {
    let nothing = File::open("/dev/null");
    let input = nothing.as_ref().map_or(printed.as_raw_fd(), AsRawFd::as_raw_fd);
    for (from, to) in [(input, 0), (printed.as_raw_fd(), 1), (printed.as_raw_fd(), 2)] {
        // SAFETY: the standard descriptors belong to nobody in this process, whose only thread this is.
        unsafe { libc::dup2(from, to) };
    }
    drop(nothing);
    // SAFETY: what the keeper has open is not used any more in this process, and never dropped. A kernel older than 5.9 lacks the
    // call and leaves it open, where only a claim that looks for it finds it.
    unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, 0) };
}
