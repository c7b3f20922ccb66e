//! The command line: what a person types, and the exit statuses of design's section 5.

mod diff;
mod explain;
mod host;
mod how;
mod lab;
mod list;
mod negation;
mod partition;
mod record;
mod replay;
mod report;
mod run;
mod screen;
mod selection;
mod status;
mod untried;

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use status::Ending;

use crate::command;

/// Tests the kernel's KVM interface by trying claims: single falsifiable sentences, each with its source.
#[derive(Debug, Parser)]
#[command(
    name = "assay",
    version,
    arg_required_else_help = true,
    after_help = "\
Begin with:
  assay host                    what this host's KVM is and has
  assay list                    the claims that there are
  assay run                     try them all; the record goes to target/assay
  assay report target/assay --query status:fail
                                what failed, each with the command that shows it again

A QUERY is any number of terms, all of which must match:
  vcpu::mmap, refuses           a part of a claim's name or sentence
  vcpu/, vcpu::mmap::           the claims below a path alone
  needs:PIT2                    a part of what a claim needs
  source:4.7                    a part of what a claim rests on
  is:observed                   nothing but observation promises it
  status:fail,hang              a verdict in a record: pass, fail, skip, known,
                                surprise, crash, hang or fault
  -TERM, not:TERM               not that

@FILE stands for the arguments in FILE, one a line; # begins a comment there.

Exit status:
  0    every claim held, was skipped or is known not to hold here
  1    a claim failed, crashed, hung or was a surprise; or a run regressed
  2    the command line, or a file that it names, makes no sense
  3    the harness or the host broke
  4    nothing could be tried, or nothing matches the query
  130  interrupted"
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Try claims on this host's KVM, and write down what held.
    Run(run::Arguments),
    /// Try claims inside kernels of your choice, side by side, under emulation; several kernels make a matrix.
    Lab(lab::Arguments),
    /// List the claims that there are.
    List(list::Arguments),
    /// Say what a claim says, rests on and needs.
    Explain(explain::Arguments),
    /// Say what this host's KVM is and has.
    Host(host::Arguments),
    /// Compare two runs: what regressed, was fixed, appeared, vanished.
    Diff(diff::Arguments),
    /// Render runs again, in any format.
    Report(report::Arguments),
    /// Try one failing case again.
    Replay(replay::Arguments),
}

/// The arguments in a file that `@FILE` names: one a line, without blank lines and comments. A file names no further file.
fn lines_of_arguments(text: &str, _: char) -> Vec<argfile::Argument> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| argfile::Argument::PassThrough(line.into())).collect()
}

/// The whole program: every claim that is linked in, and every command of the command line.
pub fn main() -> ExitCode {
    crate::isolate::intercept();
    crate::lab::init::intercept();
    if let Some(status) = command::intercept(std::env::args_os().skip(1)) {
        return status;
    }
    let program = command::listed(Arguments::command());
    let given = match argfile::expand_args(lines_of_arguments, argfile::PREFIX) {
        Ok(given) => given,
        Err(error) => return status::of_lost_arguments(&error),
    };
    let typed = negation::spelled_out(&program, given);
    let parsed = program.clone().try_get_matches_from(&typed);
    let arguments = match parsed.and_then(|matches| Arguments::from_arg_matches(&matches)) {
        Ok(arguments) => arguments,
        Err(error) => {
            let command = typed.get(1).and_then(|name| program.find_subcommand(name));
            return status::of_usage(&error, command.map(clap::Command::get_name));
        }
    };
    let ended = match arguments.command {
        Command::Run(arguments) => run::run(&arguments),
        Command::Lab(arguments) => lab::run(&arguments),
        Command::List(arguments) => list::run(&arguments),
        Command::Explain(arguments) => explain::run(&arguments),
        Command::Host(arguments) => host::run(&arguments),
        Command::Diff(arguments) => diff::run(&arguments),
        Command::Report(arguments) => report::run(&arguments),
        Command::Replay(arguments) => replay::run(&arguments),
    };
    match ended {
        Ok(ending) => ending.into(),
        Err(complaint) => {
            status::say(&complaint);
            Ending::from(&complaint).into()
        }
    }
}
