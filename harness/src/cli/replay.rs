//! `assay replay`: one failing case again.

use reports::Run;
use serde_json::Value;

use super::run::{How, seed, usable_host};
use super::screen::Output;
use super::selection::nothing;
use super::status::{Complaint, Ending};
use crate::runner::{Settings, try_one};
use crate::{claims, isolate::What};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The claim's name.
    claim: String,
    /// The seed of the case, as the record gives it; it is shrunk again.
    #[arg(long, value_name = "S", value_parser = seed, conflicts_with = "input")]
    seed: Option<u64>,
    /// The input itself, as the record gives it: a JSON array with a value for each generated argument.
    #[arg(long, value_name = "JSON")]
    input: Option<String>,
}

pub(super) fn run(arguments: &Arguments) -> Result<Ending, Complaint> {
    let all = claims();
    let Some(claim) = all.iter().find(|claim| claim.name() == arguments.claim) else {
        let names: Vec<_> = all.iter().map(|claim| claim.name()).collect();
        return Err(Complaint::Nothing(nothing(&arguments.claim, &names)));
    };
    let what = match (&arguments.input, arguments.seed) {
        (Some(input), _) => What::Input(parse(input)?),
        (None, Some(seed)) => What::Case { seed, steps: String::new() },
        (None, None) => What::Cases { seed: 0, regressions: Vec::new() },
    };
    let how = How::default();
    let settings = how.settings()?;
    let facts = usable_host(true)?;
    let settings = Settings { limits: how.limits(settings.limits), ..settings };
    let entry =
        try_one(claim, what, &facts, &settings).map_err(|error| Complaint::Fault(error.to_string()))?;
    let run = Run::new(facts.host, vec![entry], Vec::new());
    let mut text = Vec::new();
    if let Some(format) = reports::format("text")
        && (format.write)(&run, &mut text).is_ok()
    {
        let output = Output::default();
        output.print(&String::from_utf8_lossy(&text));
        output.flush();
    }
    Ok(Ending::of(&run))
}

fn parse(input: &str) -> Result<Vec<Value>, Complaint> {
    serde_json::from_str(input).map_err(|error| {
        Complaint::Usage(format!(
            "--input is not a JSON array ({error}): give it as the record does, such as '[3,true]'"
        ))
    })
}
