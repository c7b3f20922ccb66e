//! Bochs with an emulated processor of Intel's (or an older one of AMD's): started, listened to on both serial lines, and never left
//! behind. `bochsrc(5)` has its settings.
//!
//! Bochs knows no `-kernel`: a disk holds the kernel as it should lie in memory, and an option ROM brings it there. All its files are in
//! memory, so that nothing is left on a disk whatever happens, locks beside an image included. It opens a VNC port (5900 and up), since
//! the displays that Debian builds it with are that one and a terminal; nothing waits for it.
#![expect(unsafe_code, reason = "has the emulator die with this program, and keep the files it was given")]

mod pvh;
mod rom;

use std::fs::{self, File};
use std::io::{ErrorKind, Seek, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use rustix::io::{FdFlags, fcntl_setfd};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, Signal, kill_process_group, set_parent_process_death_signal};

use self::pvh::MEMORY;
pub(super) use self::pvh::Program;
use super::lines::{listen, said};
use super::session::{Emulator, Event};
use super::{LabError, vmlinux};
use crate::process::memory_file;

/// The program.
const PROGRAM: &str = "bochs";
/// What the disk's size is a multiple of: a cylinder of 16 heads, 63 sectors.
const CYLINDER: usize = 16 * 63 * 512;
/// What Bochs writes before the reason for which it ends.
const LAST_WORDS: &str = "Bochs is exiting with the following message:";
/// Reasons that are the machine's and not the emulator's: power-off, a second boot, a triple fault.
const MACHINES: [&str; 4] = ["soft power off", "hutdown port", "exception with no resolution", "3rd ("];

/// Why Bochs could not be started; each completes "cannot …".
#[derive(Debug, thiserror::Error)]
pub(crate) enum BochsError {
    /// It is not there.
    #[error(
        "boot a kernel on this processor: there is no {PROGRAM}; install it (Debian and Ubuntu: bochs bochsbios bochs-term vgabios)"
    )]
    Missing,
    /// It does not start.
    #[error("start {PROGRAM}: {0}")]
    Start(#[source] std::io::Error),
    /// It cannot emulate the processor.
    #[error(
        "boot a kernel on this processor: this {PROGRAM} {0} has no model {1}; install version 2.7 or later, built with \
         virtualization, as Debian's is"
    )]
    NoModel(String, &'static str),
    /// What it should boot cannot be made.
    #[error("lay out the disk for {PROGRAM}: {0}")]
    Disk(String),
}

/// A machine that runs.
#[derive(Debug)]
pub(super) struct Bochs {
    process: Child,
    events: Receiver<Event>,
    /// Whether everything it had to say was heard.
    is_drained: bool,
    /// The reason for which it ends, once it is announced and once it is said.
    end: Option<String>,
    is_announced: bool,
}

/// The Bochs at hand, by its name and version, if it has this model.
pub(super) fn version(model: &'static str) -> Result<String, BochsError> {
    let ask = |arguments: &[&str]| {
        let asked = Command::new(PROGRAM).args(arguments).stdin(Stdio::null()).output();
        let answer = asked.map_err(BochsError::of_start)?;
        Ok::<_, BochsError>(String::from_utf8_lossy(&[answer.stdout, answer.stderr].concat()).into_owned())
    };
    // It says its version whatever it is started for; without a file of settings it ends at once.
    let version = own_version(&ask(&["-q", "-f", "/dev/null/none"])?);
    if ask(&["--help", "cpu"])?.lines().any(|line| line.trim() == model) {
        Ok(format!("Bochs {version}"))
    } else {
        Err(BochsError::NoModel(version, model))
    }
}

fn own_version(said: &str) -> String {
    let version = said.split_once("Bochs x86 Emulator ").and_then(|(_, rest)| rest.split_whitespace().next());
    version.unwrap_or("of unknown version").to_owned()
}

impl BochsError {
    fn of_start(error: std::io::Error) -> Self {
        match error.kind() {
            ErrorKind::NotFound => Self::Missing,
            _ => Self::Start(error),
        }
    }
}

impl Program {
    /// The kernel in a bzImage.
    pub(super) fn of(image: &Path) -> Result<Self, LabError> {
        let bytes = fs::read(image).map_err(LabError::file("read", image))?;
        let program = vmlinux::unpack(&bytes).and_then(|elf| Self::read(&elf));
        program.map_err(|why| LabError::Image { path: image.to_owned(), why })
    }
}

/// The disk, and the ROM that reads it.
fn disk(
    program: &Program,
    initramfs: &[u8],
    command_line: &str,
) -> Result<(Vec<u8>, [u8; rom::SIZE]), String> {
    let image = program.image(initramfs, command_line)?;
    let mut bytes = image.bytes;
    let chunk = usize::try_from(rom::CHUNK).map_err(|error| error.to_string())?;
    let chunks = u16::try_from(bytes.len().div_ceil(chunk)).map_err(|_| "it is too large".to_owned())?;
    bytes.resize((usize::from(chunks) * chunk).next_multiple_of(CYLINDER), 0);
    let rom = rom::assemble(chunks, program.entry, image.start_info).map_err(|error| error.to_string())?;
    Ok((bytes, rom))
}

/// A path to an open file, for a process that has it under the same number.
fn path(file: &impl AsRawFd) -> String {
    format!("/proc/self/fd/{}", file.as_raw_fd())
}

fn file(name: &str, bytes: &[u8]) -> Result<File, BochsError> {
    let refused = |why: String| BochsError::Disk(format!("there is no memory for it ({why})"));
    let mut file = memory_file(name).map_err(|stop| refused(format!("{stop:?}")))?;
    file.write_all(bytes).and_then(|()| file.rewind()).map_err(|error| refused(error.to_string()))?;
    Ok(file)
}

/// The settings. A machine that is reset by a triple fault ends; a clock that is not held against the host's keeps the kernel from
/// giving up its time source.
fn settings(model: &str, disk: &File, size: usize, rom: &File, console: &OwnedFd, words: &OwnedFd) -> String {
    let (memory, cylinders, address) = (MEMORY >> 20, size / CYLINDER, rom::ADDRESS);
    let (disk, rom, console, words) = (path(disk), path(rom), path(console), path(words));
    format!(
        "display_library: rfb, options=\"timeout=0\"\n\
         cpu: model={model}, count=1, ips=10000000, reset_on_triple_fault=0\n\
         memory: guest={memory}, host={memory}\n\
         romimage: file=$BXSHARE/BIOS-bochs-latest\n\
         vgaromimage: file=$BXSHARE/VGABIOS-lgpl-latest\n\
         optromimage1: file={rom}, address={address:#x}\n\
         clock: sync=none\n\
         ata0-master: type=disk, path={disk}, mode=flat, cylinders={cylinders}, heads=16, spt=63\n\
         boot: disk\n\
         com1: enabled=1, mode=file, dev={console}\n\
         com2: enabled=1, mode=file, dev={words}\n\
         log: /dev/null\n\
         panic: action=fatal\n"
    )
}

impl Bochs {
    /// Starts a machine of this model with this kernel, initramfs and kernel command line. It dies with the thread that calls this.
    pub(super) fn start(
        model: &str,
        program: &Program,
        initramfs: &[u8],
        command_line: &str,
    ) -> Result<Self, BochsError> {
        let (disk, rom) = disk(program, initramfs, command_line).map_err(BochsError::Disk)?;
        let size = disk.len();
        let (disk, rom) = (file("disk", &disk)?, file("rom", &rom)?);
        let pipe = || pipe_with(PipeFlags::CLOEXEC).map_err(|errno| BochsError::Start(errno.into()));
        let ((console, console_end), (words, words_end)) = (pipe()?, pipe()?);
        let settings =
            file("settings", settings(model, &disk, size, &rom, &console_end, &words_end).as_bytes())?;
        // A build with the debugger in it, as Debian's, waits for a command.
        let commands = file("commands", b"c\n")?;
        let mut command = Command::new(PROGRAM);
        command
            .args(["-q", "-f", &path(&settings), "-rc", &path(&commands)])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            // An interrupt from the terminal is for this program to act on.
            .process_group(0);
        let kept: [OwnedFd; 6] =
            [disk.into(), rom.into(), settings.into(), commands.into(), console_end, words_end];
        // SAFETY: between fork and exec only system calls are made, which is safe there.
        unsafe {
            command.pre_exec(move || {
                set_parent_process_death_signal(Some(Signal::KILL))?;
                kept.iter().try_for_each(|file| Ok(fcntl_setfd(file, FdFlags::empty())?))
            });
        }
        let mut process = command.spawn().map_err(BochsError::of_start)?;
        // With it go the ends of the pipes that the machine writes to.
        drop(command);
        let (sender, events) = channel();
        listen(File::from(words), sender.clone(), said);
        listen(File::from(console), sender.clone(), Event::Console);
        if let Some(lines) = process.stderr.take() {
            listen(lines, sender, Event::Console);
        }
        Ok(Self { process, events, is_drained: false, end: None, is_announced: false })
    }

    /// What Bochs itself says is of use only where it says why it ends.
    fn hear(&mut self, line: String) -> Event {
        if std::mem::take(&mut self.is_announced) {
            self.end.get_or_insert(line);
            return Event::Quiet;
        }
        self.is_announced = line.contains(LAST_WORDS);
        let is_bochs = self.is_announced || line.starts_with("000") || line.starts_with("=====");
        if is_bochs { Event::Quiet } else { Event::Console(line) }
    }
}

impl Emulator for Bochs {
    fn next(&mut self, patience: Duration) -> Event {
        if !self.is_drained {
            match self.events.recv_timeout(patience) {
                Ok(Event::Console(line)) => return self.hear(line),
                Ok(event) => return event,
                Err(RecvTimeoutError::Timeout) => return Event::Quiet,
                Err(RecvTimeoutError::Disconnected) => self.is_drained = true,
            }
        }
        // All lines ended, which they do with the process.
        match self.process.wait() {
            Ok(status) => Event::Ended { failure: failure(self.end.as_deref(), &status.to_string()) },
            Err(error) => Event::Ended { failure: Some(error.to_string()) },
        }
    }
}

/// Bochs exits the same way whatever it ends for: its words tell.
fn failure(end: Option<&str>, status: &str) -> Option<String> {
    match end {
        Some(end) if MACHINES.iter().any(|reason| end.contains(reason)) => None,
        Some(end) => Some(format!("{status}: {end}")),
        None => Some(status.to_owned()),
    }
}

impl Drop for Bochs {
    fn drop(&mut self) {
        // It may have ended by itself.
        if let Some(group) = i32::try_from(self.process.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.process.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_read() {
        assert_eq!(own_version("====\n    Bochs x86 Emulator 2.7\n  Built from SVN"), "2.7");
        assert_eq!(own_version(""), "of unknown version");
    }

    #[test]
    fn how_it_ended_is_told_by_its_words() {
        assert_eq!(failure(Some("[ACPI  ] ACPI control: soft power off"), "exit status: 1"), None);
        let own = failure(Some("[MEM0  ] ROM: couldn't open ROM image file"), "exit status: 1").unwrap();
        assert!(own.contains("ROM image"));
        assert_eq!(failure(None, "signal: 11").unwrap(), "signal: 11");
    }
}
