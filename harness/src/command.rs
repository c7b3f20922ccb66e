//! Commands that others add to the command line: what a suite brings besides claims.

use std::ffi::OsString;
use std::process::ExitCode;

/// Every command that is linked in besides our own.
#[linkme::distributed_slice]
pub static COMMANDS: [Command];

/// A command that reads its arguments by itself.
#[derive(Debug)]
pub struct Command {
    /// What asks for it.
    pub name: &'static str,
    /// What it does, in one sentence.
    pub about: &'static str,
    /// Does it, with what was typed behind its name.
    pub run: fn(Vec<OsString>) -> ExitCode,
}

/// Does what was typed where its first word asks for one of these commands.
pub(crate) fn intercept(mut typed: impl Iterator<Item = OsString>) -> Option<ExitCode> {
    let name = typed.next()?;
    let asked_for = COMMANDS.iter().find(|command| name == command.name)?;
    Some((asked_for.run)(typed.collect()))
}

/// The program's commands with these among them, sorted by name, so that its help tells of them.
pub(crate) fn listed(program: clap::Command) -> clap::Command {
    let mut commands: Vec<_> = COMMANDS.iter().collect();
    commands.sort_by_key(|command| command.name);
    commands.into_iter().fold(program, |program, command| {
        program.subcommand(clap::Command::new(command.name).about(command.about))
    })
}

/// Registers a command: its name, what it does, and the function that does it.
#[macro_export]
macro_rules! command {
    ($name:expr, $about:expr, $run:path) => {
        const _: () = {
            #[$crate::linkme::distributed_slice($crate::COMMANDS)]
            #[linkme(crate = $crate::linkme)]
            static COMMAND: $crate::Command = $crate::Command { name: $name, about: $about, run: $run };
        };
    };
}
