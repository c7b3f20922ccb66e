//! The processes that liars start, all of them this program again, and how a test knows that they are gone.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitCode, Stdio};
use std::{fs, thread};

use crate::stage::{Marks, facts, planted, settings};

/// The first argument of a process that plays a part.
const PLAY: &str = "--play";

/// Plays a part, where this process was started to.
pub(crate) fn play() -> Option<ExitCode> {
    let arguments: Vec<_> = std::env::args().collect();
    let (_, part) = arguments.get(1).zip(arguments.get(2)).filter(|(first, _)| *first == PLAY)?;
    let rest: Vec<_> = arguments.iter().skip(3).map(String::as_str).collect();
    match part.as_str() {
        "sleeper" => sleep(),
        "loner" => {
            leave();
            sleep()
        }
        "daemon" => {
            leave();
            drop(start(Command::new("/proc/self/exe").args([PLAY, "sleeper"])));
            Some(ExitCode::SUCCESS)
        }
        "hoarder" => {
            let hoard = vec![1_u8; 1 << 30];
            std::hint::black_box(&hoard);
            sleep()
        }
        "runner" => {
            let interrupt = harness::runner::Interrupt::default();
            harness::runner::run(
                &planted(&rest),
                &facts(),
                &runner_settings(),
                &crate::stage::Nobody,
                &interrupt,
            );
            Some(ExitCode::SUCCESS)
        }
        other => panic!("nobody plays {other}"),
    }
}

/// Settings under which nothing happens by itself while a test looks on.
pub(crate) fn runner_settings() -> harness::runner::Settings {
    let mut settings = settings();
    settings.limits.clock = std::time::Duration::from_secs(600);
    settings
}

fn leave() {
    rustix::process::setsid().expect("a session of its own");
}

fn sleep() -> ! {
    println!("{}", Player::of(std::process::id()));
    let _ = std::io::stdout().flush();
    loop {
        thread::park();
    }
}

fn start(command: &mut Command) -> Child {
    command.spawn().expect("another process of this program")
}

/// Starts a process that plays a part, and notes it under `name` once it is there. Nobody waits for it.
pub(crate) fn send(marks: &Marks, name: &str, part: &str) {
    drop(begin(marks, name, Command::new("/proc/self/exe").args([PLAY, part])));
}

/// The same with any command that prints what [`Player`] does.
pub(crate) fn send_by(marks: &Marks, name: &str, command: &mut Command) {
    drop(begin(marks, name, command));
}

/// Starts a process that plays a part, notes it, and waits for its end.
pub(crate) fn send_and_wait(marks: &Marks, name: &str, part: &str) {
    let _ = begin(marks, name, Command::new("/proc/self/exe").args([PLAY, part])).wait();
}

fn begin(marks: &Marks, name: &str, command: &mut Command) -> Child {
    let mut child = start(command.stdout(Stdio::piped()));
    let mut line = String::new();
    let stdout = child.stdout.take().expect("a pipe");
    let _ = BufReader::new(stdout).read_line(&mut line);
    marks.note(name, line.trim());
    child
}

/// A program of a test's own, which does not outlive the test even where that fails.
pub(crate) struct Program(pub(crate) Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A runner that tries claims in a process, and a process group, of its own.
pub(crate) fn runner(names: &[&str]) -> Program {
    Program(start(Command::new("/proc/self/exe").args([PLAY, "runner"]).args(names).process_group(0)))
}

/// A process, told apart from a later one with the same number by the time of its start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Player {
    pub(crate) pid: String,
    started: String,
}

impl Player {
    pub(crate) fn of(pid: u32) -> Self {
        let pid = pid.to_string();
        let started = fields(&pid).and_then(|fields| fields.get(19).cloned()).unwrap_or_default();
        Self { pid, started }
    }

    /// Whether it lives no more.
    pub(crate) fn is_gone(&self) -> bool {
        fields(&self.pid).is_none_or(|fields| fields[0] == "Z" || fields.get(19) != Some(&self.started))
    }
}

impl std::fmt::Display for Player {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.pid, self.started)
    }
}

/// The fields of `/proc/PID/stat` from the state on.
fn fields(pid: &str) -> Option<Vec<String>> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(stat.rsplit_once(')')?.1.split_whitespace().map(str::to_owned).collect())
}

/// The processes that were noted under a name.
pub(crate) fn players(name: &str) -> Vec<Player> {
    let read = |line: &String| {
        let (pid, started) = line.split_once(' ')?;
        Some(Player { pid: pid.to_owned(), started: started.to_owned() })
    };
    Marks::new().lines(name).iter().filter_map(read).collect()
}

/// Of the processes that were noted under a name, at least one, none is left.
pub(crate) fn all_gone(name: &str) {
    let players = players(name);
    assert!(!players.is_empty(), "no process was noted as {name}");
    let left: Vec<_> = players.iter().filter(|player| !player.is_gone()).collect();
    assert!(left.is_empty(), "{left:?} of {} processes of {name} are left", players.len());
}
