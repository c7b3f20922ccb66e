//! The command line: what a person types, and the exit statuses of design's section 5.

mod diff;
mod explain;
mod host;
mod lab;
mod lab_screen;
mod list;
mod replay;
mod report;
mod run;
mod screen;
mod selection;
mod status;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use status::Ending;

/// Tests the kernel's KVM interface by trying claims: single falsifiable sentences, each with its source.
#[derive(Debug, Parser)]
#[command(
    version,
    arg_required_else_help = true,
    after_help = "\
A QUERY is any number of terms, all of which must match:
  system, vcpu::mmap     a path prefix, or a part of a claim's name or sentence
  needs:PIT2             a part of what a claim needs
  source:4.7             a part of what a claim rests on; is:observed where nothing promises it
  status:fail            a verdict: pass fail skip known surprise crash hang fault (for records)
  -TERM                  not that

Exit status: 0 every claim held, was skipped or known; 1 something failed, crashed, hung or was a surprise; 2 usage; 3 the harness \
or the host broke; 4 nothing could be tried; 130 interrupted."
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

/// The whole program: every claim that is linked in, and every command of the command line.
pub fn main() -> ExitCode {
    crate::isolate::intercept();
    crate::lab::init::intercept();
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return status::of_usage(&error),
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
            eprintln!("assay: {complaint}");
            Ending::from(&complaint).into()
        }
    }
}
