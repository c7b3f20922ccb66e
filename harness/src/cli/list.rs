//! `assay list`: what claims there are.

use std::path::PathBuf;

use super::screen::Output;
use super::selection::select;
use super::status::{Complaint, Ending};
use super::untried;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  assay list                       every claim, with its sentence
  assay list vcpu/                 those below vcpu
  assay list is:observed --names   the names of those that nothing but observation promises
  assay list KVM_GET_MSRS refuses  those that speak of both
  assay list --untried target/assay
                                   what no claim of the last run that passed saw the kernel do")]
pub(super) struct Arguments {
    /// Which claims [default: all of them].
    query: Vec<String>,
    /// Only the names.
    #[arg(long)]
    names: bool,
    /// Instead of claims, the commands, errors, capabilities and exits that runs did not reach, and why where that is known: a
    /// run.json each, a journal, or the directory that holds them.
    #[arg(long, value_name = "RUN", num_args = 1.., conflicts_with_all = ["query", "names"])]
    untried: Vec<PathBuf>,
}

pub(super) fn run(arguments: &Arguments) -> Result<Ending, Complaint> {
    if !arguments.untried.is_empty() {
        return untried::list(&arguments.untried);
    }
    let claims = select(&arguments.query)?;
    let output = Output::default();
    let width = claims.iter().map(|claim| claim.name().len()).max().unwrap_or(0);
    for claim in &claims {
        let line = if arguments.names {
            claim.name()
        } else {
            format!("{:width$}  {}", claim.name(), claim.sentence)
        };
        output.print(&format!("{line}\n"));
    }
    output.end()?;
    Ok(Ending::Held)
}
