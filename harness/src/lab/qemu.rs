//! QEMU with an emulated AMD processor: started, listened to on both serial lines, and never left behind.
#![expect(unsafe_code, reason = "has the emulator die with this program, and keep the file it was given")]

use std::fs::{self, File};
use std::io::{ErrorKind, Seek, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use rustix::io::{FdFlags, fcntl_dupfd_cloexec, fcntl_setfd};
use rustix::process::{Signal, set_parent_process_death_signal};

use super::LabError;
use super::boot::BootError;
use super::lines::{listen, said};
use super::session::{Emulator, Event};
use super::vmlinux::{pvh_entry, unpack};
use crate::process::memory_file;

/// The program.
const PROGRAM: &str = "qemu-system-x86_64";
/// The first major version that enters a kernel by PVH; TCG emulates SVM with nested paging since the one before.
const LEAST: u32 = 4;
/// The first descriptor that is nobody's by custom.
const LEAST_DESCRIPTOR: i32 = 3;
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
    #[error("hold the kernel and the initramfs in memory: {0}")]
    Memory(String),
}

/// What a machine boots.
#[derive(Debug)]
pub(super) enum Image {
    /// A bzImage, which unpacks itself.
    Packed(PathBuf),
    /// The kernel proper, in memory, to be entered by PVH: an emulated processor takes more than a second to unpack one.
    Unpacked(File),
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

impl Image {
    /// The kernel in a bzImage; the bzImage itself where that is not known to be unpacked, or was built without CONFIG_PVH.
    pub(super) fn of(image: &Path) -> Result<Self, BootError> {
        let bytes = fs::read(image).map_err(LabError::file("read", image))?;
        match unpack(&bytes) {
            Ok(elf) if pvh_entry(&elf).is_ok_and(|entry| entry.is_some()) => {
                Ok(Self::Unpacked(in_memory("vmlinux", &elf)?))
            }
            _ => Ok(Self::Packed(image.to_owned())),
        }
    }

    /// A path to it for a process that keeps the descriptor, where that is needed.
    fn for_another_process(&self) -> Result<(PathBuf, Option<OwnedFd>), QemuError> {
        match self {
            Self::Packed(path) => Ok((path.clone(), None)),
            Self::Unpacked(file) => {
                let kept = fcntl_dupfd_cloexec(file, LEAST_DESCRIPTOR);
                let kept = kept.map_err(|errno| QemuError::Memory(errno.to_string()))?;
                Ok((format!("/proc/self/fd/{}", kept.as_raw_fd()).into(), Some(kept)))
            }
        }
    }
}

/// A file in memory, so that nothing is left on a disk whatever happens.
fn in_memory(name: &str, bytes: &[u8]) -> Result<File, QemuError> {
    let mut file = memory_file(name).map_err(|stop| QemuError::Memory(format!("{stop:?}")))?;
    file.write_all(bytes)
        .and_then(|()| file.rewind())
        .map_err(|error| QemuError::Memory(error.to_string()))?;
    Ok(file)
}

impl Qemu {
    /// Starts a machine with this kernel, initramfs and kernel command line. It dies with the thread that calls this.
    pub(super) fn start(image: &Image, initramfs: &[u8], command_line: &str) -> Result<Self, QemuError> {
        let (image, kept) = image.for_another_process()?;
        let mut command = Command::new(PROGRAM);
        command
            .args(ARGUMENTS)
            .arg("-kernel")
            .arg(image)
            .args(["-initrd", "/proc/self/fd/0", "-append", command_line])
            // The console goes where the emulator's own complaints go: both are last words.
            .args(["-serial", "file:/proc/self/fd/2", "-serial", "file:/proc/self/fd/1"])
            .stdin(in_memory("initramfs", initramfs)?)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // An interrupt from the terminal is for this program to act on.
            .process_group(0);
        // SAFETY: between fork and exec only system calls are made, which is safe there.
        unsafe {
            command.pre_exec(move || {
                set_parent_process_death_signal(Some(Signal::KILL))?;
                kept.iter().try_for_each(|file| Ok(fcntl_setfd(file, FdFlags::empty())?))
            });
        }
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
    fn what_cannot_be_unpacked_is_left_to_unpack_itself() {
        let mut image = tempfile::NamedTempFile::new().unwrap();
        image.write_all(b"no kernel of a known form").unwrap();
        assert!(matches!(Image::of(image.path()).unwrap(), Image::Packed(path) if path == image.path()));
        assert!(
            Image::of(Path::new("/nowhere")).unwrap_err().to_string().starts_with("read /nowhere: No such")
        );
    }

    #[test]
    fn a_version_is_read_and_weighed() {
        let said = "QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7)\nCopyright (c) 2003-2022\n";
        assert_eq!(fit(said).unwrap(), "7.2.22");
        assert!(fit("QEMU emulator version 2.11.1").unwrap_err().contains("too old"));
        assert!(fit("hello").unwrap_err().contains("is it QEMU?"));
    }
}
