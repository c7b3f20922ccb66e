//! `assay explain`: what a claim says, rests on and needs, what it is known for, and how it fared in runs.

use std::fmt::Write;
use std::path::PathBuf;

use reports::Run;

use super::report::read;
use super::screen::{Output, because};
use super::selection::select;
use super::status::{Complaint, Ending};
use crate::Claim;
use crate::expectations::shipped_expectations;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  assay explain system::get_api_version::is_twelve
  assay explain needs:PIT2         all that need the in-kernel PIT
  assay explain vm/irq_line --run target/assay-lab/*/
                                   and how each fared on every kernel of the lab")]
pub(super) struct Arguments {
    /// Which claims: a name, or a query that may match several.
    #[arg(required = true)]
    query: Vec<String>,
    /// A record, to say how the claims fared in it; several are told in this order.
    #[arg(long, value_name = "RUN", num_args = 1..)]
    run: Vec<PathBuf>,
}

pub(super) fn run(arguments: &Arguments) -> Result<Ending, Complaint> {
    let claims = select(&arguments.query)?;
    let known = shipped_expectations().map_err(|error| Complaint::Fault(error.to_string()))?;
    let runs = read(&arguments.run)?;
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
        text += &history(&claim.name(), &runs);
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

/// How the claim fared in each run.
fn history(name: &str, runs: &[(String, Run)]) -> String {
    let width = runs.iter().map(|(run, _)| run.chars().count()).max().unwrap_or(0);
    let told = runs.iter().map(|(run, record)| {
        let entry = record.claims.iter().find(|entry| entry.name == name);
        let became =
            entry.map_or("not asked for".to_owned(), |entry| format!("{}{}", entry.verdict, because(entry)));
        format!("  fared       {run:<width$}  {became}\n")
    });
    told.collect()
}
