//! The first process of a Linux guest that a claim boots: this same program, told by the kernel's command line. It loads the modules
//! that came with it, looks at processors and disk, says what it saw in one line, and does what it is told at the end.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::process::ExitCode;

use harness::command;
use rustix::mount::{MountFlags, mount};
use rustix::system::{RebootCommand, init_module, reboot};

command!(NAME, "Be the first process of a Linux guest that a claim boots", serve);

/// What asks for it, behind `--` on the kernel's command line.
pub(super) const NAME: &str = "guest-init";
/// Where the modules are, in the order of their names.
pub(super) const MODULES: &str = "modules";
/// What the line begins with that says what was seen.
pub(super) const SAYS: &str = "assay-guest:";

const DISK: &str = "/dev/vda";
const SECTOR: usize = 512;

fn serve(typed: Vec<OsString>) -> ExitCode {
    if std::process::id() != 1 {
        eprintln!("this is the first process of a guest, and no command for anybody else");
        return ExitCode::from(2);
    }
    let said = match work() {
        Ok(seen) => format!("{SAYS} {seen}\n"),
        Err(error) => format!("{SAYS} cannot {error}\n"),
    };
    // Where the console is gone there is nobody to tell.
    let _ = io::stdout().write_all(said.as_bytes());
    let end = match typed.first().and_then(|word| word.to_str()) {
        Some("restart") => RebootCommand::Restart,
        _ => RebootCommand::PowerOff,
    };
    let refused = reboot(end);
    eprintln!("{SAYS} cannot end: {refused:?}");
    ExitCode::FAILURE
}

/// What was seen: the processors that are online, the sum of all bytes of the disk, and whether a sector keeps what is written.
fn work() -> Result<String, String> {
    for (kind, place) in [("sysfs", "/sys"), ("devtmpfs", "/dev")] {
        let made = fs::create_dir_all(place).map_err(|error| format!("make {place}: {error}"));
        made.and_then(|()| {
            mount(kind, place, kind, MountFlags::empty(), None)
                .map_err(|errno| format!("mount {place}: {errno}"))
        })?;
    }
    load_modules()?;
    let online = fs::read_to_string("/sys/devices/system/cpu/online")
        .map_err(|error| format!("see the processors: {error}"))?;
    let disk = read_and_write().map_err(|error| format!("use {DISK}: {error}"))?;
    Ok(format!("processors {} online, {disk}", online.trim()))
}

fn load_modules() -> Result<(), String> {
    let files = fs::read_dir(Path::new("/").join(MODULES)).into_iter().flatten().flatten();
    let mut files: Vec<_> = files.map(|file| file.path()).collect();
    files.sort();
    for file in files {
        let name = file.display();
        let image = fs::read(&file).map_err(|error| format!("read {name}: {error}"))?;
        init_module(&image, c"").map_err(|errno| format!("load {name}: {errno}"))?;
    }
    Ok(())
}

/// Reads the whole disk, and has its last sector turned around.
fn read_and_write() -> io::Result<String> {
    let mut disk = File::options().read(true).write(true).open(DISK)?;
    let mut bytes = Vec::new();
    disk.read_to_end(&mut bytes)?;
    let sum: u64 = bytes.iter().map(|byte| u64::from(*byte)).sum();
    let last = bytes.len().saturating_sub(SECTOR);
    let mut sector = bytes[last..].to_vec();
    sector.reverse();
    disk.seek(SeekFrom::Start(last as u64))?;
    disk.write_all(&sector)?;
    disk.sync_all()?;
    Ok(format!("{} bytes of disk of sum {sum}", bytes.len()))
}
