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

/// Every command that is linked in besides our own, sorted by name.
pub(crate) fn commands() -> Vec<&'static Command> {
    let mut commands: Vec<_> = COMMANDS.iter().collect();
    commands.sort_by_key(|command| command.name);
    commands
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
