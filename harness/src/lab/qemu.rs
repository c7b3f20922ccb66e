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
/// The first major version whose TCG emulates SVM with nested paging.
const LEAST: u32 = 3;
/// What it is always told. Multi-threaded TCG corrupts a kernel that patches its own code, in QEMU 7.2 at least. Without ERMS a kernel
/// clears pages by eight bytes at a time and not by one, which TCG does as it is written.
const ARGUMENTS: &[&str] = &[
    "-accel",
    "tcg,thread=single",
    "-cpu",
    "max,+svm,+npt,-erms",
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
    /// It cannot emulate what KVM needs.
    #[error("boot a kernel: {0}")]
    Unfit(String),
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

/// The QEMU at hand, by its name and version, if it can emulate a processor with AMD's virtualization.
pub(super) fn version() -> Result<String, QemuError> {
    let ask = |argument: &[&str]| {
        let answer = Command::new(PROGRAM).args(argument).stdin(Stdio::null()).output();
        let answer = answer.map_err(QemuError::of_start)?;
        Ok::<_, QemuError>(String::from_utf8_lossy(&answer.stdout).into_owned())
    };
    let version = fit(&ask(&["--version"])?).map_err(QemuError::Unfit)?;
    if !ask(&["-accel", "help"])?.lines().any(|line| line.trim() == "tcg") {
        return Err(QemuError::Unfit(format!(
            "this {PROGRAM} is built without TCG, its software emulation: install a build that has it"
        )));
    }
    Ok(format!("QEMU {version} (TCG)"))
}

/// The version that QEMU says it has, if it is new enough; why not.
fn fit(said: &str) -> Result<String, String> {
    let version = said.split_once("version ").and_then(|(_, rest)| rest.split_whitespace().next());
    let Some(version) = version else {
        return Err(format!(
            "{PROGRAM} does not say its version: is it QEMU? Install QEMU {LEAST}.0 or later"
        ));
    };
    let major = version.split('.').next().and_then(|major| major.parse::<u32>().ok());
    match major {
        Some(major) if major >= LEAST => Ok(version.to_owned()),
        _ => Err(format!(
            "QEMU {version} is too old, since it emulates no nested paging: install QEMU {LEAST}.0 or later"
        )),
    }
}

impl QemuError {
    fn of_start(error: std::io::Error) -> Self {
        match error.kind() {
            ErrorKind::NotFound => Self::Missing,
            _ => Self::Start(error),
        }
    }
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
        let mut process = command.spawn().map_err(QemuError::of_start)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_read_and_weighed() {
        let said = "QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7)\nCopyright (c) 2003-2022\n";
        assert_eq!(fit(said).unwrap(), "7.2.22");
        assert!(fit("QEMU emulator version 2.11.1").unwrap_err().contains("too old"));
        assert!(fit("hello").unwrap_err().contains("is it QEMU?"));
    }
}
