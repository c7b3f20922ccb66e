//! `assay explain`: what a claim says, rests on and needs, and how it fared with what it is known for.

use std::fmt::Write;

use super::screen::Output;
use super::selection::select;
use super::status::{Complaint, Ending};
use crate::Claim;
use crate::expectations::shipped_expectations;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  assay explain system::get_api_version::is_twelve
  assay explain needs:PIT2         all that need the in-kernel PIT")]
pub(super) struct Arguments {
    /// Which claims: a name, or a query that may match several.
    #[arg(required = true)]
    query: Vec<String>,
}

pub(super) fn run(arguments: &Arguments) -> Result<Ending, Complaint> {
    let claims = select(&arguments.query)?;
    let known = shipped_expectations().map_err(|error| Complaint::Fault(error.to_string()))?;
    let output = Output::default();
    for (index, claim) in claims.iter().enumerate() {
        let mut text = if index > 0 { "\n".to_owned() } else { String::new() };
        text += &explained(claim);
        for known in known.iter().filter(|known| known.claim == claim.name()) {
            let _ = writeln!(
                text,
                "  known       {} with {}: {} ({}; {})",
                known.verdict, known.seen, known.why, known.link, known.at
            );
        }
        output.print(&text);
    }
    output.end()?;
    Ok(Ending::Held)
}

fn explained(claim: &Claim) -> String {
    let mut text = format!("{}\n  {}\n", claim.name(), claim.sentence);
    for source in claim.source_texts() {
        let _ = writeln!(text, "  rests on    {source}");
    }
    for need in claim.need_texts() {
        let _ = writeln!(text, "  needs       {need}");
    }
    let cases = if (claim.body)().is_generated() {
        "generated inputs, for as long as --budget says"
    } else {
        "one case"
    };
    let _ = writeln!(text, "  tries       {cases}");
    let _ = writeln!(text, "  try it      assay run {}", claim.name());
    text
}
