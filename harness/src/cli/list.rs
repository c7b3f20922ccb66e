//! `assay list`: what claims there are.

use super::screen::Output;
use super::selection::select;
use super::status::{Complaint, Ending};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Which claims; all of them if not given.
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
    output.flush();
    Ok(Ending::Held)
}
