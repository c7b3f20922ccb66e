//! `assay replay`: one failing case again.

use reports::{Entry, Run, Verdict, account, one_line};
use serde_json::Value;

use super::how::{How, seed, usable_host};
use super::screen::Output;
use super::selection::{EVERYTHING, nothing};
use super::status::{Complaint, Ending};
use crate::isolate::What;
use crate::runner::{Settings, try_one};
use crate::{Case, Claim, Stop, claims};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  assay replay system::get_api_version::is_twelve
  assay replay system::get_api_version::refuses_an_argument --input '[7]'

Every witness in a record ends with the command that shows it again, ready to be copied.")]
pub(super) struct Arguments {
    /// The claim's whole name, as assay list shows it.
    claim: String,
    /// The seed of the case, as the record gives it; if the case still fails, it is made smaller again.
    #[arg(long, value_name = "S", value_parser = seed, conflicts_with = "input")]
    seed: Option<u64>,
    /// The input itself, as the record gives it: a JSON array with a value for each generated argument.
    #[arg(long, value_name = "JSON", allow_hyphen_values = true)]
    input: Option<String>,
}

pub(super) fn run(arguments: &Arguments) -> Result<Ending, Complaint> {
    let all = claims();
    let Some(claim) = all.iter().find(|claim| claim.name() == arguments.claim) else {
        let names: Vec<_> = all.iter().map(|claim| claim.name()).collect();
        return Err(Complaint::Nothing(nothing(&arguments.claim, &names, EVERYTHING)));
    };
    let what = what(arguments, claim)?;
    let how = How::default();
    let settings = how.settings()?;
    let facts = usable_host()?;
    let settings = Settings { limits: how.limits(settings.limits), ..settings };
    let entry =
        try_one(claim, what, &facts, &settings).map_err(|error| Complaint::Fault(error.to_string()))?;
    let output = Output::default();
    output.print(&told(&entry, seeded(arguments, claim)));
    output.end()?;
    match entry.verdict {
        Verdict::Skip => {
            let why = entry.why.unwrap_or_default();
            Err(Complaint::Nothing(format!("this host cannot show it ({why}): assay host says what it has")))
        }
        _ => Ok(Ending::of(&Run::new(facts.host, vec![entry], Vec::new()))),
    }
}

fn what(arguments: &Arguments, claim: &Claim) -> Result<What, Complaint> {
    match (&arguments.input, arguments.seed) {
        (Some(input), _) => input_of(claim, input).map(What::Input),
        (None, Some(_)) if !(claim.body)().is_generated() => Err(Complaint::Usage(format!(
            "--seed does not fit {}: it generates no input, so leave the option out",
            arguments.claim
        ))),
        (None, Some(seed)) => Ok(What::Case { seed, steps: String::new() }),
        (None, None) => Ok(What::Cases { seed: 0, regressions: Vec::new() }),
    }
}

fn input_of(claim: &Claim, text: &str) -> Result<Vec<Value>, Complaint> {
    let values: Vec<Value> = serde_json::from_str(text).map_err(|error| {
        Complaint::Usage(format!("--input is not a JSON array ({error}): {}", example(claim)))
    })?;
    (claim.body)().fits(&values).map_err(|error| {
        Complaint::Usage(format!("--input does not fit {} ({error}): {}", claim.name(), example(claim)))
    })?;
    Ok(values)
}

/// What an input of the claim looks like.
fn example(claim: &Claim) -> String {
    match case(claim, 0) {
        Ok(input) if input.is_empty() => "it generates no input, so leave the option out".to_owned(),
        Ok(input) => format!("give it as the record does, such as '{}'", Value::from(input)),
        Err(_) => "give it as the record does".to_owned(),
    }
}

fn case(claim: &Claim, seed: u64) -> Result<Vec<Value>, Stop> {
    (claim.body)().case(seed).and_then(|case| Case::input(&*case))
}

/// The input that a seed begins with, before it is made smaller.
fn seeded(arguments: &Arguments, claim: &Claim) -> Option<String> {
    let input = case(claim, arguments.seed?).ok()?;
    Some(Value::from(input).to_string())
}

fn told(entry: &Entry, seeded: Option<String>) -> String {
    let verdict = entry.verdict.name().to_uppercase();
    let mut text = format!("{verdict}  {}\n  {}\n", entry.name, one_line(&entry.claim));
    let case = seeded.map(|input| format!("case      {}", one_line(&input)));
    for line in case.into_iter().chain(account(entry)) {
        text += format!("    {line}").trim_end();
        text.push('\n');
    }
    text
}
