//! QEMU with an emulated AMD processor: started, listened to on both serial lines, and never left behind.
#![expect(unsafe_code, reason = "has the emulator die with this program")]

use std::io::{ErrorKind, Seek, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use rustix::process::{Signal, set_parent_process_death_signal};

use super::lines::{listen, said};
use super::session::{Emulator, Event};
use crate::process::memory_file;

/// The program.
const PROGRAM: &str = "qemu-system-x86_64";
/// What it is always told. Multi-threaded TCG corrupts a kernel that patches its own code, in QEMU 7.2 at least.
const ARGUMENTS: &[&str] = &[
    "-accel",
    "tcg,thread=single",
    "-cpu",
    "max,+svm,+npt",
    "-machine",
    "q35",
    "-m",
    "1G",
    "-nodefaults",
    "-nic",
    "none",
    "-display",
    "none",
    "-no-reboot",
    "-no-user-config",
];

/// Why QEMU could not be started; each completes "cannot …".
#[derive(Debug, thiserror::Error)]
pub(crate) enum QemuError {
    /// It is not there.
    #[error(
        "boot a kernel: there is no {PROGRAM}; install it (Debian and Ubuntu: qemu-system-x86, Fedora: qemu-system-x86-core, \
         Arch: qemu-system-x86)"
    )]
    Missing,
    /// It does not start.
    #[error("start {PROGRAM}: {0}")]
    Start(#[source] std::io::Error),
    /// There is no memory for what it should boot.
    #[error("hold the initramfs in memory: {0}")]
    Memory(String),
}

/// A machine that runs.
#[derive(Debug)]
pub(super) struct Qemu {
    process: Child,
    events: Receiver<Event>,
    /// Whether both serial lines have ended.
    is_drained: bool,
}

impl Qemu {
    /// Starts a machine with this kernel, initramfs and kernel command line. It dies with the thread that calls this.
    pub(super) fn start(image: &Path, initramfs: &[u8], command_line: &str) -> Result<Self, QemuError> {
        // Standard input is a file in memory, so that nothing is left on a disk whatever happens.
        let mut file = memory_file("initramfs").map_err(|stop| QemuError::Memory(format!("{stop:?}")))?;
        file.write_all(initramfs)
            .and_then(|()| file.rewind())
            .map_err(|error| QemuError::Memory(error.to_string()))?;
        let mut command = Command::new(PROGRAM);
        command
            .args(ARGUMENTS)
            .arg("-kernel")
            .arg(image)
            .args(["-initrd", "/proc/self/fd/0", "-append", command_line])
            // The console goes where the emulator's own complaints go: both are last words.
            .args(["-serial", "file:/proc/self/fd/2", "-serial", "file:/proc/self/fd/1"])
            .stdin(file)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // An interrupt from the terminal is for this program to act on.
            .process_group(0);
        // SAFETY: between fork and exec only one system call is made, which is safe there.
        unsafe { command.pre_exec(|| Ok(set_parent_process_death_signal(Some(Signal::KILL))?)) };
        let mut process = command.spawn().map_err(|error| match error.kind() {
            ErrorKind::NotFound => QemuError::Missing,
            _ => QemuError::Start(error),
        })?;
        let (sender, events) = channel();
        if let Some(lines) = process.stdout.take() {
            listen(lines, sender.clone(), said);
        }
        if let Some(lines) = process.stderr.take() {
            listen(lines, sender, Event::Console);
        }
        Ok(Self { process, events, is_drained: false })
    }
}

impl Emulator for Qemu {
    fn next(&mut self, patience: Duration) -> Event {
        if !self.is_drained {
            match self.events.recv_timeout(patience) {
                Ok(event) => return event,
                Err(RecvTimeoutError::Timeout) => return Event::Quiet,
                Err(RecvTimeoutError::Disconnected) => self.is_drained = true,
            }
        }
        // Both lines ended, which they do with the process.
        match self.process.wait() {
            Ok(status) => Event::Ended { failure: failure(status) },
            Err(error) => Event::Ended { failure: Some(error.to_string()) },
        }
    }
}

impl Drop for Qemu {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn failure(status: ExitStatus) -> Option<String> {
    (!status.success()).then(|| status.to_string())
}
