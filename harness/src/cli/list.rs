//! `assay list`: what claims there are.

use super::screen::Output;
use super::selection::select;
use super::status::{Complaint, Ending};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  assay list                       every claim, with its sentence
  assay list vcpu/                 those below vcpu
  assay list is:observed --names   the names of those that nothing but observation promises
  assay list KVM_GET_MSRS refuses  those that speak of both")]
pub(super) struct Arguments {
    /// Which claims [default: all of them].
    query: Vec<String>,
    /// Only the names.
    #[arg(long)]
    names: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<Ending, Complaint> {
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
