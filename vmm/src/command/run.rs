//! Runs the machine until its end, and says by a status how that was.

use std::ffi::OsString;
use std::io::{self, BufReader, IsTerminal as _};
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::build::{build, devices, reads_terminal};
use super::options::Options;
use super::saving::{Saving, restore};
use super::terminal::{Escape, Raw};
use crate::boot::{Boot, File, load};
use crate::gdb::{Line, Place, serve};
use crate::qtest::Session;
use crate::{End, Input, Machine};

/// Boots what the words behind the program's name say. The status is what the guest's exit device says, 0 after a stop or a reset
/// that is not followed, 1 where there is no machine, 2 where the words make no sense.
pub fn boot(typed: impl IntoIterator<Item = OsString>) -> ExitCode {
    let options = match Options::read(typed) {
        Ok(options) => options,
        Err(error) => {
            // Where there is nobody to tell, there is nothing to be told.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(2) } else { ExitCode::SUCCESS };
        }
    };
    if options.device.iter().any(|device| device == "?" || device == "help") {
        print!("{}", devices());
        return ExitCode::SUCCESS;
    }
    match run(&options) {
        Ok(status) => ExitCode::from(status),
        Err(why) => {
            eprintln!("assay: {}", without_number(&why));
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<u8, String> {
    if options.trace {
        super::terminal::trace_ioctls();
    }
    let boot = match &options.kernel {
        Some(kernel) => Some(Boot {
            kernel: File::read(kernel).map_err(sentence)?,
            initrd: options.initrd.as_deref().map(File::read).transpose().map_err(sentence)?,
            append: options.append.clone(),
            entry: options.entry.unwrap_or_default(),
        }),
        None if options.qtest.is_some() || options.bios.is_some() || options.restore.is_some() => None,
        None => return Err("there is nothing to boot: -kernel FILE or -bios FILE says what".to_owned()),
    };
    if boot.is_some() && options.bios.is_some() {
        return Err("a machine begins with firmware or with a kernel: -bios and -kernel exclude each other"
            .to_owned());
    }
    let mut machine = build(options)?;
    match (&options.restore, &boot) {
        (Some(file), _) => restore(&mut machine, file)?,
        (None, Some(boot)) => load(&mut machine, boot).map_err(sentence)?,
        (None, None) => {}
    }
    let end = match &options.qtest {
        Some(place) => converse(&machine, place)?,
        None => run_to_the_end(&mut machine, boot.as_ref(), options)?,
    };
    Ok(match end {
        End::Exited { status } => u8::try_from(status & 0xff).unwrap_or(u8::MAX),
        End::Panicked => 1,
        _ => 0,
    })
}

fn run_to_the_end(machine: &mut Machine, boot: Option<&Boot>, options: &Options) -> Result<End, String> {
    let mut saving = Saving::of(options)?;
    let raw = reads_terminal(options).then(|| read_terminal(machine, &saving)).transpose()?.flatten();
    let place = options.s.then(|| Place::Tcp("127.0.0.1:1234".to_owned())).or_else(|| options.gdb.clone());
    let line = place.map(|place| Line::open(&place, machine.stop())).transpose();
    let line = line.map_err(|error| error.to_string())?;
    if options.stands && line.is_none() {
        return Err("-S waits for a debugger, and none can come in: -gdb WHERE says where".to_owned());
    }
    let mut debugger = line.as_ref().filter(|_| options.stands).and_then(Line::wait);
    loop {
        let end = match debugger.take() {
            Some(stream) => serve(machine, stream).map_err(sentence)?,
            None => Some(machine.run(saving.limit()).map_err(sentence)?),
        };
        // Whatever it has ended with, somebody may have asked for something meanwhile.
        let saves = saving.asked.saves.swap(false, Ordering::Relaxed);
        let ends = saving.asked.ends.swap(false, Ordering::Relaxed);
        debugger = end.is_some().then(|| line.as_ref().and_then(Line::came)).flatten();
        match end {
            // A debugger that has gone leaves the machine to go on.
            None => {}
            Some(End::Stopped) if saves || ends || debugger.is_some() => {}
            Some(End::OutOfTime) => match saving.at_the_end(machine) {
                Ok(()) => return Ok(End::Stopped),
                // Who sits there can make room, and save it then.
                Err(why) if raw.is_some() => eprintln!("assay: {}\r", without_number(&why)),
                Err(why) => return Err(why),
            },
            Some(End::Reset) if !options.no_reboot => boot_again(machine, boot, options)?,
            Some(end) => return Ok(end),
        }
        if saves {
            saving.save_and_go_on(machine);
        }
        if ends {
            return Ok(End::Stopped);
        }
    }
}

/// Resets the machine, and begins with what it was booted from.
fn boot_again(machine: &mut Machine, boot: Option<&Boot>, options: &Options) -> Result<(), String> {
    if options.restore.is_some() && boot.is_none() && options.bios.is_none() {
        return Err("the machine resets, and what it was booted from was not saved with it".to_owned());
    }
    machine.reset().map_err(sentence)?;
    boot.map_or(Ok(()), |boot| load(machine, boot).map_err(sentence))
}

/// Has what is typed on standard input go to the first serial port: byte by byte, where it is a terminal.
fn read_terminal(machine: &mut Machine, saving: &Saving) -> Result<Option<Raw>, String> {
    let standard = io::stdin();
    let from = standard.as_fd().try_clone_to_owned().map_err(|error| format!("cannot read: {error}"))?;
    let is_terminal = standard.is_terminal();
    let mut escape = Escape::saying(Arc::clone(&saving.asked));
    let to = machine.wires().serial[0].clone();
    let filter = Box::new(move |bytes: &mut Vec<u8>| is_terminal && escape.filter(bytes));
    machine.add_input(Input { from, to, filter });
    is_terminal.then(Raw::enter).transpose().map_err(|error| format!("cannot read byte by byte: {error}"))
}

/// Speaks QEMU's text protocol.
fn converse(machine: &Machine, place: &str) -> Result<End, String> {
    let cannot = |error: io::Error| format!("cannot speak at {place}: {error}");
    let mut session = Session::new(machine);
    if place == "stdio" {
        return session.serve(io::stdin().lock(), io::stdout().lock()).map_err(cannot);
    }
    let mut words = place
        .strip_prefix("unix:")
        .ok_or_else(|| {
            format!("a conversation cannot be at \"{place}\": there is stdio, unix:PATH, unix:PATH,server=on")
        })?
        .split(',');
    let path = words.next().unwrap_or_default();
    let is_server = words.any(|word| matches!(word, "server" | "server=on"));
    let stream = if is_server {
        UnixListener::bind(path).and_then(|listener| listener.accept().map(|(stream, _)| stream))
    } else {
        UnixStream::connect(path)
    };
    let stream = stream.map_err(cannot)?;
    session.serve(BufReader::new(stream.try_clone().map_err(cannot)?), stream).map_err(cannot)
}

/// What the host says of an error, without its number: the words are enough.
pub(super) fn without_number(why: &str) -> String {
    match why.split_once(" (os error ").and_then(|(words, rest)| Some((words, rest.split_once(')')?.1))) {
        Some((words, rest)) => format!("{words}{rest}"),
        None => why.to_owned(),
    }
}

fn sentence(error: impl std::error::Error) -> String {
    format!("cannot {error}")
}
